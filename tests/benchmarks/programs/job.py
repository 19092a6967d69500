"""
What a program is told to do, and what it tells.

Nothing large is imported here: a cold start is measured with this.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

LOCALHOST = "127.0.0.1"
DEFAULT = "default"

#: How often the slow consumer stops on its way.
PAUSES = 3

_PAGE = 4096


class Cannot(Exception):
    """
    The implementation has not got what is to be measured. The text says what.
    """


class Job:
    """
    The arguments: an action, and C{name=value} for each of these.

    @ivar action: what is to be done.
    @ivar port: where the server listens on L{LOCALHOST}.
    @ivar user: who logs in.
    @ivar identity: the path of the user's private key.
    @ivar cipher: the cipher's name, or L{DEFAULT} for whatever is chosen.
    @ivar size: how many bytes are sent.
    @ivar count: how many connections, commands, round trips or channels.
    @ivar flight: how many of them at a time.
    @ivar trips: how many round trips there are beside C{count} busy channels.
    @ivar pause: how many seconds the slow consumer stops each time.
    """

    port = 0
    user = ""
    identity = ""
    cipher = DEFAULT
    size = 0
    count = 1
    flight = 1
    trips = 0
    pause = 0.5

    def __init__(self, arguments: list[str]) -> None:
        self.action, *values = arguments
        for value in values:
            name, _, text = value.partition("=")
            setattr(self, name, type(getattr(type(self), name))(text))

    @property
    def download(self) -> str:
        """
        The command that sends C{size} bytes.
        """
        return f"head -c {self.size} /dev/zero"

    @property
    def upload(self) -> str:
        """
        The command that wants C{size} bytes.
        """
        return f"test $(wc -c) = {self.size}"


class Watch:
    """
    A stopwatch for this process, which is started when it is made.
    """

    def __init__(self) -> None:
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def figures(self) -> dict[str, float]:
        return {"wall": time.perf_counter() - self._wall, "cpu": time.process_time() - self._cpu}


def exchange(write: Callable[[bytes], object], read: Callable[[int], object], count: int) -> list[float]:
    """
    One byte goes there and back, C{count} times.

    @return: the seconds of each.
    """
    times = []
    for _ in range(count):
        sent = time.perf_counter()
        write(b"x")
        read(1)
        times.append(time.perf_counter() - sent)
    return times


def latencies(seconds: list[float]) -> dict[str, float]:
    """
    What is told of the times of round trips.
    """
    ordered = sorted(seconds)
    return {"median": ordered[len(ordered) // 2], "p99": ordered[len(ordered) * 99 // 100]}


def resident(process: str | int = "self") -> int:
    """
    The bytes of memory that a process has now.
    """
    with open(f"/proc/{process}/statm", "rb") as statm:
        return int(statm.read().split()[1]) * _PAGE


def peak(process: str | int = "self") -> int:
    """
    The most bytes of memory that a process has had.
    """
    with open(f"/proc/{process}/status", "rb") as status:
        for line in status:
            if line.startswith(b"VmHWM"):
                return int(line.split()[1]) * 1024
    # It has ended, and nobody has asked it how.
    return 0


def forgetPeak(process: str | int = "self") -> None:
    """
    Let L{peak} start again from what the process has now.
    """
    with open(f"/proc/{process}/clear_refs", "w") as references:
        references.write("5")


def main(actions: Mapping[str, Callable[[Job], dict[str, float]]]) -> int:
    """
    Do what the arguments say, and print what it gave.

    @param actions: by name, what does it and returns the figures.
    """
    job = Job(sys.argv[1:])
    try:
        if job.action not in actions:
            raise Cannot(f"no program for {job.action}")
        figures: dict[str, object] = {"peak": 0, **actions[job.action](job)}
    except Cannot as reason:
        figures = {"cannot": str(reason)}
    else:
        figures["peak"] = figures["peak"] or peak()
    import json

    print(json.dumps(figures), flush=True)
    return 0
