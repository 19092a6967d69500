"""
A client that blocks, written once for Paramiko and for ssh2-python: threads
where more than one thing happens at a time.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from tests.benchmarks.programs.job import (
    PAUSES,
    Cannot,
    Job,
    Watch,
    exchange,
    forgetPeak,
    latencies,
    peak,
    resident,
)

Figures = dict[str, float]

#: How much is asked for at a time.
PIECE = 1 << 20

CHUNK = bytes(64 * 1024)


class Client:
    """
    What is done on such a client; what differs, a subclass has.

    @cvar isShared: whether several threads may use a connection.
    """

    isShared = False

    def __init__(self, job: Job) -> None:
        self.job = job

    # What a subclass has.

    def connect(self) -> Any:
        """
        @return: the connection of a user who is logged in.
        """
        raise NotImplementedError

    def execute(self, connection: Any, command: str) -> Any:
        """
        @return: the channel, whose command runs.
        """
        raise NotImplementedError

    def read(self, channel: Any, most: int) -> int:
        """
        @return: how many bytes came; 0 at their end.
        """
        raise NotImplementedError

    def write(self, channel: Any, data: bytes) -> None:
        raise NotImplementedError

    def end(self, channel: Any) -> None:
        """
        Tell the command that no more is written.
        """
        raise NotImplementedError

    def succeeded(self, channel: Any) -> None:
        """
        Wait for the command's end, and close the channel.
        """
        raise NotImplementedError

    def leave(self, connection: Any) -> None:
        raise NotImplementedError

    # What is measured.

    def receive(self, channel: Any) -> None:
        while self.read(channel, PIECE):
            pass

    def download(self) -> Figures:
        watch = Watch()
        connection = self.connect()
        channel = self.execute(connection, self.job.download)
        self.receive(channel)
        self.succeeded(channel)
        figures = watch.figures()
        self.leave(connection)
        return figures

    def upload(self) -> Figures:
        watch = Watch()
        connection = self.connect()
        channel = self.execute(connection, self.job.upload)
        left = self.job.size
        while left:
            chunk = CHUNK if left >= len(CHUNK) else CHUNK[:left]
            self.write(channel, chunk)
            left -= len(chunk)
        self.end(channel)
        self.succeeded(channel)
        figures = watch.figures()
        self.leave(connection)
        return figures

    def handshakes(self) -> Figures:
        watch = Watch()
        self.inFlight(lambda: self.leave(self.connect()))
        return watch.figures()

    def commands(self) -> Figures:
        self._sharing(self.job.flight)
        connection = self.connect()
        watch = Watch()
        self.inFlight(lambda: self.succeeded(self.execute(connection, "true")))
        figures = watch.figures()
        self.leave(connection)
        return figures

    def echo(self) -> Figures:
        connection = self.connect()
        channel = self.execute(connection, "cat")
        watch = Watch()
        times = self.exchange(channel, self.job.count)
        figures = watch.figures()
        self.leave(connection)
        return {**figures, **latencies(times)}

    def idle(self) -> Figures:
        # What is loaded late is not counted.
        connections = [self.connect()]
        gc.collect()
        before = resident()
        watch = Watch()
        self.inFlight(lambda: connections.append(self.connect()))
        gc.collect()
        # The server has more to say than that the login was good.
        time.sleep(0.2)
        figures = {**watch.figures(), "each": (resident() - before) / self.job.count}
        for connection in connections:
            self.leave(connection)
        return figures

    def cold(self) -> Figures:
        connection = self.connect()
        self.succeeded(self.execute(connection, "true"))
        self.leave(connection)
        return {}

    def slow(self) -> Figures:
        watch = Watch()
        connection = self.connect()
        gc.collect()
        before = resident()
        forgetPeak()
        channel = self.execute(connection, self.job.download)
        step = self.job.size // (PAUSES + 1)
        received, stop = 0, step
        while size := self.read(channel, PIECE):
            received += size
            if received >= stop:
                stop += step
                time.sleep(self.job.pause)
        self.succeeded(channel)
        growth = peak() - before
        figures = watch.figures()
        self.leave(connection)
        return {**figures, "growth": growth}

    def busy(self) -> Figures:
        self._sharing(self.job.count)
        connection = self.connect()
        channel = self.execute(connection, "cat")
        with ThreadPoolExecutor(self.job.count) as pool:
            others = [self.execute(connection, "cat /dev/zero") for _ in range(self.job.count)]
            for other in others:
                self.read(other, 1)
                pool.submit(self.receive, other)
            watch = Watch()
            times = self.exchange(channel, self.job.trips)
            figures = watch.figures()
            self.leave(connection)
        return {**figures, **latencies(times)}

    def _sharing(self, users: int) -> None:
        if users > 1 and not self.isShared:
            raise Cannot("a session does one thing at a time")

    def exchange(self, channel: Any, count: int) -> list[float]:
        """
        One byte goes there and back, C{count} times.
        """
        return exchange(partial(self.write, channel), partial(self.read, channel), count)

    def inFlight(self, one: Callable[[], object]) -> None:
        """
        Do it C{count} times, C{flight} at a time.
        """
        if self.job.flight == 1:
            for _ in range(self.job.count):
                one()
            return
        with ThreadPoolExecutor(self.job.flight) as pool:
            for done in [pool.submit(one) for _ in range(self.job.count)]:
                done.result()


def actions(client: type[Client]) -> dict[str, Callable[[Job], Figures]]:
    """
    What such a program can do.
    """

    def action(name: str) -> Callable[[Job], Figures]:
        return lambda job: getattr(client(job), name)()

    names = ("download", "upload", "handshakes", "commands", "echo", "idle", "cold", "slow", "busy")
    # By now, all of it is imported.
    return {**{name: action(name) for name in names}, "imports": lambda job: {}}
