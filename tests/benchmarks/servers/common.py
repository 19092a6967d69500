"""
What the servers that are libraries have in common.
"""

from __future__ import annotations

import json
import os
import re
import sys
import threading
from dataclasses import dataclass

from tests.benchmarks.programs.job import Job, Watch, peak

#: What is written at once.
CHUNK = bytes(64 * 1024)


@dataclass(frozen=True)
class Command:
    """
    What a user wants run.

    @ivar reads: whether it takes all of its input.
    @ivar echoes: whether what it reads is what it writes.
    @ivar writes: how many bytes it writes by itself.
    @ivar expects: how many bytes it must have read to have succeeded, or
        L{None}.
    """

    reads: bool = False
    echoes: bool = False
    writes: int = 0
    expects: int | None = None

    def status(self, received: int) -> int:
        """
        Its exit status, when it has read so many bytes.
        """
        return 0 if self.expects in (None, received) else 1


def parse(text: str) -> Command:
    """
    Know one of L{Job}'s commands.

    @raise ValueError: it is none of them.
    """
    if text == "true":
        return Command()
    if text == "cat":
        return Command(reads=True, echoes=True)
    if found := re.fullmatch(r"head -c (\d+) /dev/zero", text):
        return Command(writes=int(found[1]))
    if found := re.fullmatch(r"test \$\(wc -c\) = (\d+)", text):
        return Command(reads=True, expects=int(found[1]))
    raise ValueError(text)


def job() -> Job:
    """
    What this program was told. All servers do one thing.
    """
    told = Job(sys.argv[1:])
    assert told.action == "serve", told.action
    return told


def listening(port: int) -> None:
    """
    Say where the server listens; it is measured from now on. When the standard
    input ends, so does this process, and tells what it took.
    """
    print(json.dumps({"port": port}), flush=True)
    threading.Thread(target=_tellAtTheEnd, args=(Watch(),), daemon=True).start()


def _tellAtTheEnd(watch: Watch) -> None:
    sys.stdin.buffer.read()
    try:
        print(json.dumps({**watch.figures(), "peak": peak()}), flush=True)
    finally:
        # Also when there is nobody left to be told.
        os._exit(0)
