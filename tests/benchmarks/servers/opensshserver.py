"""
OpenSSH's server. What it takes is what sshd and all that it starts take: the
sessions' processes, and the commands.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from twisted.internet import task, threads
from twisted.internet.defer import Deferred, maybeDeferred

from conchlite.ssh.keys import Key
from tests.benchmarks.servers.common import job
from tests.interop import peers

#: Seconds that sessions have to end when their user has.
LONGEST = 10


class Place:
    """
    What L{peers.SSHD} wants of a test: a directory, and a time to clean up.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self.cleanUp: Callable[[], object] = int

    def mktemp(self) -> str:
        return str(Path(self._root, "sshd"))

    def addCleanup(self, cleanup: Callable[[], object]) -> None:
        self.cleanUp = cleanup


def taken(pid: int) -> float:
    """
    The processor's time of a process with one thread, in seconds.
    """
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def ended() -> float:
    """
    The processor's time of all processes that have ended, in seconds.
    """
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


async def serve(reactor, root: str) -> None:
    told = job()
    authorized = Path(root, "authorized_keys")
    authorized.write_text(peers.publicKeyLine(Key.fromFile(told.identity)) + "\n")
    place = Place(root)
    try:
        sshd = await peers.SSHD.start(place, reactor, AuthorizedKeysFile=str(authorized))
        pid = sshd.transport.pid
        before = ended() + taken(pid)
        print(json.dumps({"port": sshd.port}), flush=True)
        await threads.deferToThread(sys.stdin.buffer.read)
        end = time.monotonic() + LONGEST
        while peers.descendants(pid) and time.monotonic() < end:
            await task.deferLater(reactor, 0.01)
    finally:
        await maybeDeferred(place.cleanUp)
    # How large they were is not told: each was a copy of this process at first.
    print(json.dumps({"cpu": ended() - before}), flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        task.react(lambda reactor: Deferred.fromCoroutine(serve(reactor, root)))


if __name__ == "__main__":
    main()
