"""
One run of one program, in a process of its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

#: Seconds after which a run is given up.
LONGEST = 60

Figures = dict[str, Any]


class Failed(Exception):
    """
    A program did not do what it was told. The text says what it did.
    """


def command(module: str, action: str, values: Mapping[str, object]) -> list[str]:
    """
    What runs a program.
    """
    arguments = (f"{name}={value}" for name, value in values.items())
    return [sys.executable, "-m", module, action, *arguments]


def run(module: str, action: str, values: Mapping[str, object], longest: float = LONGEST) -> Figures:
    """
    Run a program to its end.

    @return: what it printed. What it did not print of C{wall} and C{cpu} is
        that of the whole process.
    @raise Failed: it took longer than C{longest} seconds, or ended with an
        error.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        command(module, action, values),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    return _finish(process, started, longest)


def _finish(process: subprocess.Popen[bytes], started: float, longest: float) -> Figures:
    late = threading.Timer(longest, _kill, (process,))
    late.start()
    errors: list[bytes] = []
    draining = threading.Thread(target=lambda: errors.append(process.stderr.read()))
    draining.start()
    try:
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    finally:
        late.cancel()
        # Whatever it started and left behind.
        _kill(process)
        draining.join()
        process.stdout.close()
        process.stderr.close()
    if wall >= longest:
        raise Failed(f"not done after {longest} s")
    if process.returncode:
        said = b"".join(errors).decode("utf-8", "replace").strip().splitlines()
        raise Failed(f"ended with {process.returncode}: {said[-1] if said else 'it said nothing'}")
    told = json.loads(output)
    if "cannot" in told:
        return told
    return {"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, **told}


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # All of them have ended.


class Background:
    """
    A program that listens while others run: a server, or the relay.

    @ivar port: where.
    @ivar figures: what it told of itself, once it has ended.
    """

    def __init__(self, module: str, action: str, values: Mapping[str, object]) -> None:
        self._command = command(module, action, values)
        self.port = 0
        self.figures: Figures = {}

    def __enter__(self) -> Background:
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        line = self._process.stdout.readline()
        if not line:
            _finish(self._process, self._started, LONGEST)
            raise Failed("ended before it listened")
        self.port = json.loads(line)["port"]
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._process.stdin.close()
        self.figures = _finish(self._process, self._started, time.perf_counter() - self._started + LONGEST)
