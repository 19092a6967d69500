"""
AsyncSSH's client: sessions with callbacks, which are its fastest.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import asyncssh

from tests.benchmarks.programs import job as jobs
from tests.benchmarks.programs.job import DEFAULT, LOCALHOST, PAUSES, Job, Watch

Figures = dict[str, float]

CHUNK = bytes(64 * 1024)


async def connect(job: Job) -> asyncssh.SSHClientConnection:
    options: dict[str, Any] = {}
    if job.cipher != DEFAULT:
        options = {"encryption_algs": [job.cipher], "mac_algs": ["hmac-sha2-256-etm@openssh.com"]}
    return await asyncssh.connect(
        LOCALHOST,
        job.port,
        username=job.user,
        client_keys=[job.identity],
        known_hosts=None,
        agent_path=None,
        config=None,
        **options,
    )


async def leave(connection: asyncssh.SSHClientConnection) -> None:
    connection.close()
    await connection.wait_closed()


class Session(asyncssh.SSHClientSession):
    """
    @ivar received: how many bytes came.
    """

    def __init__(self) -> None:
        self.received = 0
        self.status: int | None = None
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, chan):
        self.channel = chan

    def data_received(self, data, datatype):
        self.received += len(data)

    def exit_status_received(self, status):
        self.status = status

    def connection_lost(self, exc):
        if self.ended.done():
            return
        if self.status == 0:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(exc or RuntimeError(f"ended with {self.status}"))


class Slow(Session):
    """
    A consumer that stops L{PAUSES} times on its way.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._pause = job.pause
        self._stop = self._step = job.size // (PAUSES + 1)

    def data_received(self, data, datatype):
        self.received += len(data)
        if self.received >= self._stop:
            self._stop += self._step
            self.channel.pause_reading()
            asyncio.get_running_loop().call_later(self._pause, self.channel.resume_reading)


class Upload(Session):
    def __init__(self, job: Job) -> None:
        super().__init__()
        self._left = job.size
        self._paused = False

    def session_started(self):
        self._produce()

    def pause_writing(self):
        self._paused = True

    def resume_writing(self):
        self._paused = False
        self._produce()

    def _produce(self) -> None:
        while self._left and not self._paused:
            chunk = CHUNK if self._left >= len(CHUNK) else CHUNK[: self._left]
            self._left -= len(chunk)
            self.channel.write(chunk)
            if not self._left:
                self.channel.write_eof()


class Standing(Session):
    """
    A command that runs until the connection ends.
    """

    def connection_lost(self, exc):
        """
        Its command has not ended, and need not.
        """


class Echo(Standing):
    """
    One byte goes there and back, again and again.
    """

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    async def exchange(self, count: int) -> None:
        self._left = count
        self._all: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._send()
        await self._all

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self.channel.write(b"x")

    def data_received(self, data, datatype):
        self.times.append(time.perf_counter() - self._sent)
        self._left -= 1
        if self._left:
            self._send()
        else:
            self._all.set_result(None)


class Endless(Standing):
    """
    @ivar running: is done when data has come.
    """

    def __init__(self) -> None:
        super().__init__()
        self.running: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data, datatype):
        self.received += len(data)
        if not self.running.done():
            self.running.set_result(None)


async def execute(
    connection: asyncssh.SSHClientConnection, make: Callable[[], Session], command: str
) -> Session:
    """
    @return: the session, whose command runs.
    """
    _, session = await connection.create_session(make, command, encoding=None)
    return session


async def transfer(job: Job, make: Callable[[], Session], command: str) -> Figures:
    watch = Watch()
    connection = await connect(job)
    session = await execute(connection, make, command)
    await session.ended
    figures = watch.figures()
    await leave(connection)
    return figures


async def download(job: Job) -> Figures:
    return await transfer(job, Session, job.download)


async def upload(job: Job) -> Figures:
    return await transfer(job, lambda: Upload(job), job.upload)


async def inFlight(job: Job, one: Callable[[], Awaitable[None]]) -> None:
    """
    Do it C{count} times, C{flight} at a time.
    """
    left = job.count

    async def worker() -> None:
        nonlocal left
        while left:
            left -= 1
            await one()

    await asyncio.gather(*(worker() for _ in range(job.flight)))


async def handshakes(job: Job) -> Figures:
    async def one() -> None:
        await leave(await connect(job))

    watch = Watch()
    await inFlight(job, one)
    return watch.figures()


async def commands(job: Job) -> Figures:
    connection = await connect(job)

    async def one() -> None:
        await (await execute(connection, Session, "true")).ended

    watch = Watch()
    await inFlight(job, one)
    figures = watch.figures()
    await leave(connection)
    return figures


async def echo(job: Job) -> Figures:
    connection = await connect(job)
    session = await execute(connection, Echo, "cat")
    watch = Watch()
    await session.exchange(job.count)
    figures = watch.figures()
    connection.abort()
    return {**figures, **jobs.latencies(session.times)}


async def idle(job: Job) -> Figures:
    # What is imported late is not counted.
    connections = [await connect(job)]

    async def one() -> None:
        connections.append(await connect(job))

    gc.collect()
    before = jobs.resident()
    watch = Watch()
    await inFlight(job, one)
    gc.collect()
    # The server has more to say than that the login was good.
    await asyncio.sleep(0.2)
    each = (jobs.resident() - before) / job.count
    return {**watch.figures(), "each": each}


async def cold(job: Job) -> Figures:
    connection = await connect(job)
    await (await execute(connection, Session, "true")).ended
    await leave(connection)
    return {}


async def slow(job: Job) -> Figures:
    watch = Watch()
    connection = await connect(job)
    gc.collect()
    before = jobs.resident()
    jobs.forgetPeak()
    session = await execute(connection, lambda: Slow(job), job.download)
    await session.ended
    growth = jobs.peak() - before
    figures = watch.figures()
    await leave(connection)
    return {**figures, "growth": growth}


async def busy(job: Job) -> Figures:
    connection = await connect(job)
    session = await execute(connection, Echo, "cat")
    starting = (execute(connection, Endless, "cat /dev/zero") for _ in range(job.count))
    others = await asyncio.gather(*starting)
    await asyncio.gather(*(other.running for other in others))
    watch = Watch()
    await session.exchange(job.trips)
    figures = watch.figures()
    received = sum(other.received for other in others)
    connection.abort()
    return {**figures, **jobs.latencies(session.times), "received": received}


def running(work: Callable[[Job], Awaitable[Figures]]) -> Callable[[Job], Figures]:
    return lambda job: asyncio.run(work(job))


ACTIONS = {
    work.__name__: running(work)
    for work in (download, upload, handshakes, commands, echo, idle, cold, slow, busy)
}

if __name__ == "__main__":
    sys.exit(jobs.main({**ACTIONS, "imports": lambda job: {}}))
