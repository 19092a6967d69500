"""
A client on Twisted, written once for conchlite and for Conch, whose public
names are the same: what is here is mixed into the classes of either.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.protocol import ClientFactory
from twisted.internet.task import deferLater
from twisted.logger import globalLogBeginner
from twisted.python.failure import Failure

from tests.benchmarks.programs.job import (
    DEFAULT,
    LOCALHOST,
    PAUSES,
    Cannot,
    Job,
    Watch,
    forgetPeak,
    latencies,
    peak,
    resident,
)

Figures = dict[str, float]

CHUNK = bytes(64 * 1024)

MACS = [b"hmac-sha2-256-etm@openssh.com"]


class Transport:
    def verifyHostKey(self, hostKey, fingerprint):
        # Both ends are this machine's.
        return succeed(True)

    def connectionSecure(self):
        self.requestService(self.factory.login())

    def connectionLost(self, reason):
        super().connectionLost(reason)
        self.factory.lost(reason)


class UserAuth:
    def getPublicKey(self):
        # Who signs at once is given the private key.
        return self.key if getattr(self, "signsAtOnce", False) else self.key.public()

    def getPrivateKey(self):
        return succeed(self.key)


class Connection:
    def serviceStarted(self):
        super().serviceStarted()
        self.ready.callback(self)

    async def leave(self) -> None:
        """
        End the connection, and wait until it has.
        """
        self.transport.loseConnection()
        await self.transport.factory.ended


class Factory(ClientFactory):
    """
    One connection.

    @ivar ready: fires with the connection when the user is logged in.
    @ivar ended: fires when it is lost.
    """

    noisy = False

    def __init__(self, program: Program) -> None:
        self._program = program
        self.protocol = program.classes.transport
        self.ready: Deferred[Any] = Deferred()
        self.ended: Deferred[None] = Deferred()

    def login(self) -> Any:
        classes = self._program.classes
        connection = classes.connection()
        connection.ready = self.ready
        service = classes.userAuth(self._program.job.user.encode(), connection)
        service.key = self._program.key
        return service

    def clientConnectionFailed(self, connector, reason):
        self.lost(reason)

    def lost(self, reason: Failure) -> None:
        if not self.ready.called:
            self.ready.errback(reason)
        self.ended.callback(None)


class Command:
    """
    A channel with a command.

    @ivar ended: fires with the channel when the command has ended with status
        0.
    """

    name = b"session"

    def __init__(self, program: Program, command: str) -> None:
        super().__init__()
        self._program = program
        self._command = command.encode()
        self._status: int | None = None
        self.ended: Deferred[Any] = Deferred()

    def channelOpen(self, specificData):
        request = self._program.classes.NS(self._command)
        replied = self.conn.sendRequest(self, b"exec", request, wantReply=True)
        replied.addCallback(lambda _: self.begin()).addErrback(self.fail)

    def openFailed(self, reason):
        self.fail(Failure(reason))

    def begin(self) -> None:
        """
        The command runs.
        """

    def fail(self, reason: Failure) -> None:
        if not self.ended.called:
            self.ended.errback(reason)

    def request_exit_status(self, data):
        self._status = int.from_bytes(data, "big")
        return True

    def closed(self):
        if self.ended.called:
            return
        if self._status == 0:
            self.ended.callback(self)
        else:
            self.ended.errback(RuntimeError(f"{self._command!r} ended with {self._status}"))


class Download(Command):
    """
    @ivar received: how many bytes came.
    """

    received = 0

    def dataReceived(self, data):
        self.received += len(data)


class Slow(Download):
    """
    A consumer that stops L{PAUSES} times on its way.
    """

    def __init__(self, program: Program, command: str) -> None:
        super().__init__(program, command)
        self._step = program.job.size // (PAUSES + 1)
        self._stop = self._step

    def dataReceived(self, data):
        self.received += len(data)
        if self.received >= self._stop:
            self._stop += self._step
            self.pauseProducing()
            reactor.callLater(self._program.job.pause, self.resumeProducing)


class Upload(Command):
    """
    @ivar left: how many bytes have to be written yet.
    """

    left = 0

    def begin(self) -> None:
        self.left = self._program.job.size
        self.produce()

    def produce(self) -> None:
        """
        Write as much as there is room for, and then the end.
        """
        while self.left and (room := self.room()):
            chunk = CHUNK[: min(room, self.left)]
            self.left -= len(chunk)
            self.write(chunk)
        if not self.left:
            self.finish()

    def room(self) -> int:
        """
        How many bytes may be written now.
        """
        raise NotImplementedError

    def finish(self) -> None:
        self.conn.sendEOF(self)


class Standing(Command):
    """
    A command that runs until the connection ends.

    @ivar running: fires when the command runs.
    """

    def __init__(self, program: Program, command: str) -> None:
        super().__init__(program, command)
        self.running: Deferred[None] = Deferred()

    def begin(self) -> None:
        self.running.callback(None)

    def fail(self, reason: Failure) -> None:
        if not self.running.called:
            self.running.errback(reason)

    def closed(self):
        self.fail(Failure(RuntimeError(f"{self._command!r} did not run")))


class Echo(Standing):
    """
    One byte goes there and back, again and again.

    @ivar times: how many seconds each took.
    """

    def __init__(self, program: Program, command: str) -> None:
        super().__init__(program, command)
        self.times: list[float] = []

    def exchange(self, count: int) -> Deferred[None]:
        """
        @return: fires after so many round trips.
        """
        self._left = count
        self._all: Deferred[None] = Deferred()
        self._send()
        return self._all

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self.write(b"x")

    def dataReceived(self, data):
        self.times.append(time.perf_counter() - self._sent)
        self._left -= 1
        if self._left:
            self._send()
        else:
            self._all.callback(None)


class Endless(Standing):
    """
    A channel that is busy. It runs when data has come.

    @ivar received: how many bytes came.
    """

    received = 0

    def begin(self) -> None:
        """
        The command was started, no more.
        """

    def dataReceived(self, data):
        self.received += len(data)
        if not self.running.called:
            self.running.callback(None)


def _mixed(mixin: type[Any], base: type[Any]) -> type[Any]:
    return type(mixin.__name__, (mixin, base), {})


@dataclass
class Classes:
    """
    The classes of conchlite, or those of Conch, on which this module's are put.

    @ivar channels: instead of this module's classes of channels, others.
    """

    transport: type[Any]
    userAuth: type[Any]
    connection: type[Any]
    channel: type[Any]
    key: type[Any]
    NS: Callable[[bytes], bytes]
    channels: dict[type[Any], type[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.transport = _mixed(Transport, self.transport)
        self.userAuth = _mixed(UserAuth, self.userAuth)
        self.connection = _mixed(Connection, self.connection)


class Program:
    """
    What is done on such a client.
    """

    def __init__(self, classes: Classes, job: Job) -> None:
        self.classes = classes
        self.job = job
        self._made: dict[type[Any], type[Any]] = {}
        self.key = classes.key.fromFile(job.identity)
        if job.cipher != DEFAULT:
            wanted = job.cipher.encode()
            self._choose("supportedCiphers", [wanted])
            if "gcm" not in job.cipher and "poly1305" not in job.cipher:
                self._choose("supportedMACs", MACS)

    def _choose(self, attribute: str, names: list[bytes]) -> None:
        transport = self.classes.transport
        if not set(names) <= {*getattr(transport, attribute)}:
            raise Cannot(f"no {names[0].decode()}")
        setattr(transport, attribute, names)

    async def connect(self) -> Any:
        """
        @return: the connection of a user who is logged in.
        """
        factory = Factory(self)
        reactor.connectTCP(LOCALHOST, self.job.port, factory)
        return await factory.ready

    def open(self, connection: Any, kind: type[Any], command: str) -> Any:
        """
        @return: the channel, which is being opened.
        """
        if kind not in self._made:
            mixin = self.classes.channels.get(kind, kind)
            self._made[kind] = _mixed(mixin, self.classes.channel)
        channel = self._made[kind](self, command)
        # The channel says how it went.
        opening = connection.openChannel(channel)
        if opening is not None:
            opening.addErrback(lambda _: None)
        return channel

    async def transfer(self, kind: type[Any], command: str) -> Figures:
        watch = Watch()
        connection = await self.connect()
        await self.open(connection, kind, command).ended
        figures = watch.figures()
        await connection.leave()
        return figures

    async def download(self) -> Figures:
        return await self.transfer(Download, self.job.download)

    async def upload(self) -> Figures:
        return await self.transfer(Upload, self.job.upload)

    async def handshakes(self) -> Figures:
        async def one() -> None:
            connection = await self.connect()
            await connection.leave()

        watch = Watch()
        await self.inFlight(one)
        return watch.figures()

    async def commands(self) -> Figures:
        connection = await self.connect()

        async def one() -> None:
            await self.open(connection, Command, "true").ended

        watch = Watch()
        await self.inFlight(one)
        figures = watch.figures()
        await connection.leave()
        return figures

    async def echo(self) -> Figures:
        connection = await self.connect()
        channel = self.open(connection, Echo, "cat")
        await channel.running
        watch = Watch()
        await channel.exchange(self.job.count)
        figures = watch.figures()
        await connection.leave()
        return {**figures, **latencies(channel.times)}

    async def idle(self) -> Figures:
        # What is imported late is not counted.
        connections = [await self.connect()]

        async def one() -> None:
            connections.append(await self.connect())

        gc.collect()
        before = resident()
        watch = Watch()
        await self.inFlight(one)
        gc.collect()
        # The server has more to say than that the login was good.
        await deferLater(reactor, 0.2)
        each = (resident() - before) / self.job.count
        return {**watch.figures(), "each": each}

    async def cold(self) -> Figures:
        connection = await self.connect()
        await self.open(connection, Command, "true").ended
        await connection.leave()
        return {}

    async def slow(self) -> Figures:
        watch = Watch()
        connection = await self.connect()
        gc.collect()
        before = resident()
        forgetPeak()
        await self.open(connection, Slow, self.job.download).ended
        growth = peak() - before
        figures = watch.figures()
        await connection.leave()
        return {**figures, "growth": growth}

    async def busy(self) -> Figures:
        connection = await self.connect()
        channel = self.open(connection, Echo, "cat")
        await channel.running
        others = [self.open(connection, Endless, "cat /dev/zero") for _ in range(self.job.count)]
        await gatherResults([other.running for other in others])
        watch = Watch()
        await channel.exchange(self.job.trips)
        figures = watch.figures()
        received = sum(other.received for other in others)
        connection.transport.transport.abortConnection()
        return {**figures, **latencies(channel.times), "received": received}

    async def inFlight(self, one: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """
        Do it C{count} times, C{flight} at a time.
        """
        left = self.job.count

        async def worker() -> None:
            nonlocal left
            while left:
                left -= 1
                await one()

        workers = [Deferred.fromCoroutine(worker()) for _ in range(self.job.flight)]
        await gatherResults(workers, consumeErrors=True)


def _running(work: Callable[[], Awaitable[Figures]]) -> Figures:
    """
    Do something under the reactor.
    """
    # Until somebody listens, Twisted keeps every event.
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False, discardBuffer=True)
    outcome: list[Any] = []

    def done(result: Any) -> None:
        outcome.append(result)
        reactor.stop()

    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(work()).addBoth(done))
    reactor.run()
    (result,) = outcome
    if isinstance(result, Failure):
        result.raiseException()
    return result


def actions(classes: Callable[[], Classes]) -> dict[str, Callable[[Job], Figures]]:
    """
    What such a program can do.

    @param classes: has whose client it is.
    """

    def action(name: str) -> Callable[[Job], Figures]:
        return lambda job: _running(getattr(Program(classes(), job), name))

    names = ("download", "upload", "handshakes", "commands", "echo", "idle", "cold", "slow", "busy")
    # By now, all of it is imported.
    return {**{name: action(name) for name in names}, "imports": lambda job: {}}
