"""
Tests for L{conchlite.ssh.prompt}.
"""

from __future__ import annotations

import errno
import os
import random
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet.address import IPv4Address
from twisted.internet.process import ProcessWriter
from twisted.internet.tcp import Connection
from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.prompt import _WRITES, PROMPT_BYTES, promptPipe, promptWriter
from tests.ssh.links import Link
from tests.ssh.wholeconnections import connected


class Socket(socket.socket):
    """
    A socket that is not connected, and takes as much as it is told to.

    @ivar room: for each call, how many bytes are taken, or the error; without
        one left, all are.
    """

    def __init__(self, family: int = socket.AF_INET) -> None:
        super().__init__(family)
        self.room: list[int | OSError] = []
        self.sent = b""
        self.calls = 0

    def send(self, data: bytes) -> int:
        self.calls += 1
        room = self.room.pop(0) if self.room else len(data)
        if isinstance(room, OSError):
            raise room
        self.sent += bytes(data[:room])
        return min(room, len(data))


class Reactor:
    """
    What connections tell of what they wait for.
    """

    def __init__(self) -> None:
        self.writers: list[object] = []

    def addReader(self, reader: object) -> None:
        pass

    removeReader = addReader

    def addWriter(self, writer: object) -> None:
        self.writers.append(writer)

    def removeWriter(self, writer: object) -> None:
        self.writers[:] = []

    def turn(self) -> object:
        """
        Let what waits write.

        @return: what it said last.
        """
        said = None
        while self.writers and said is None:
            said = self.writers[0].doWrite()
        return said


class PromptCase(SynchronousTestCase):
    """
    A connection of Twisted's on such a socket.
    """

    def setUp(self) -> None:
        self.socket = Socket()
        self.addCleanup(self.socket.close)
        self.reactor = Reactor()
        self.tcp = Connection(self.socket, None, self.reactor)
        self.tcp.connected = 1
        self.write = promptWriter(self.tcp)


class WhereTests(PromptCase):
    """
    What is written to at once.
    """

    def test_otherConnections(self) -> None:
        """
        Nothing but Twisted's own TCP connections.
        """
        local = Socket(socket.AF_UNIX)
        self.addCleanup(local.close)
        self.assertIsNone(promptWriter(Connection(local, None, self.reactor)))
        self.assertIsNone(promptWriter(object()))

        class Like:
            def getHandle(self) -> object:
                return self.handle

        like = Like()
        like.handle = object()
        self.assertIsNone(promptWriter(like))
        like.handle = self.socket
        self.assertIsNone(promptWriter(like))

    def test_overridden(self) -> None:
        """
        Nothing whose C{write} does more than Twisted's, by its class or by
        itself.
        """

        class Counting(Connection):
            def write(self, data: bytes) -> None:
                super().write(data)

        self.assertIsNone(promptWriter(Counting(self.socket, None, self.reactor)))
        self.tcp.write = lambda data: None
        self.assertIsNone(promptWriter(self.tcp))

    def test_otherVersions(self) -> None:
        """
        Nothing that keeps its buffer elsewhere.
        """
        del self.tcp._tempDataBuffer
        self.assertIsNone(promptWriter(self.tcp))


class WriteTests(PromptCase):
    """
    What goes out, and in what order.
    """

    def test_small(self) -> None:
        """
        What is small is sent, and nothing is left to the reactor.
        """
        self.write(b"a small message")
        self.assertEqual((b"a small message", []), (self.socket.sent, self.reactor.writers))

    def test_large(self) -> None:
        """
        A burst waits for the reactor.
        """
        self.write(bytes(PROMPT_BYTES + 1))
        self.assertEqual(self.socket.calls, 0)
        self.reactor.turn()
        self.assertEqual(self.socket.sent, bytes(PROMPT_BYTES + 1))

    def test_behindWhatWaits(self) -> None:
        """
        Nothing passes what waits, be it not begun or begun.
        """
        self.tcp.write(b"one ")
        self.write(b"two ")
        self.assertEqual(self.socket.calls, 0)
        self.socket.room = [2]
        self.tcp.doWrite()
        self.write(b"three ")
        self.assertEqual((self.socket.sent, self.socket.calls), (b"on", 1))
        self.reactor.turn()
        self.write(b"four")
        self.assertEqual(self.socket.sent, b"one two three four")
        self.assertEqual(self.reactor.writers, [])

    def test_short(self) -> None:
        """
        What the system does not take waits.
        """
        self.socket.room = [3]
        self.write(b"message")
        self.write(b", another")
        self.assertEqual(self.socket.sent, b"mes")
        self.reactor.turn()
        self.assertEqual(self.socket.sent, b"message, another")

    def test_errors(self) -> None:
        """
        No room is no error, and what is one is Twisted's to find.
        """
        for code, said in ((errno.EAGAIN, "NoneType"), (errno.EPIPE, "ConnectionLost")):
            self.setUp()
            self.socket.room = [OSError(code, "no"), OSError(code, "no"), 2]
            self.write(b"message")
            self.assertEqual(self.reactor.writers, [self.tcp])
            self.assertEqual(type(self.tcp.doWrite()).__name__, said)
            self.assertEqual(self.socket.sent, b"")
            if said == "NoneType":
                self.reactor.turn()
                self.assertEqual(self.socket.sent, b"message")

    def test_loop(self) -> None:
        """
        Who writes on and on is bundled, until the reactor had its turn.
        """
        for _ in range(_WRITES + 1000):
            self.write(b"x")
        self.assertEqual(self.socket.calls, _WRITES)
        self.reactor.turn()
        self.assertEqual(self.socket.calls, _WRITES + 1)
        self.assertEqual(len(self.socket.sent), _WRITES + 1000)
        self.write(b"y")
        self.assertEqual(self.socket.calls, _WRITES + 2)

    def test_closing(self) -> None:
        """
        Behind C{loseConnection} nothing is sent past Twisted, which ends when
        all is written; what came before it is.
        """
        self.write(b"before")
        self.tcp.loseConnection()
        self.write(b" and after")
        self.assertEqual(self.socket.sent, b"before")
        self.assertEqual(type(self.reactor.turn()).__name__, "ConnectionDone")
        self.assertEqual(self.socket.sent, b"before and after")

    def test_notInUse(self) -> None:
        """
        Nothing is sent to a connection that is not there, is dropped, ends its
        half, or is TLS's.
        """
        for name, value in (
            ("connected", 0),
            ("_aborting", True),
            ("_writeDisconnecting", True),
            ("TLS", True),
        ):
            self.setUp()
            setattr(self.tcp, name, value)
            self.write(b"message")
            self.assertEqual(self.socket.calls, 0, name)

    def test_producer(self) -> None:
        """
        A producer is paused when a peer does not read, and resumed when it
        does.
        """
        told: list[str] = []

        class Producer:
            def pauseProducing(self) -> None:
                told.append("pause")

            def resumeProducing(self) -> None:
                told.append("resume")

        self.tcp.registerProducer(Producer(), True)
        self.socket.room = [OSError(errno.EAGAIN, "no")]
        for _ in range(100):
            self.write(bytes(1024))
        self.assertEqual(set(told), {"pause"})
        self.reactor.turn()
        self.assertEqual(told[-1], "resume")
        self.assertEqual(len(self.socket.sent), 100 * 1024)

    def test_anyOrder(self) -> None:
        """
        Whatever the system takes, and whenever the reactor has its turn, what
        was written arrives, in its order.
        """
        for seed in range(200):
            self.setUp()
            chance = random.Random(seed)
            written = b""
            for _ in range(40):
                size = chance.choice((1, 70, 5000, PROMPT_BYTES, PROMPT_BYTES + 1))
                self.socket.room += [
                    chance.choice((0, 1, 3000, 100_000, OSError(errno.EAGAIN, "no"))) for _ in range(2)
                ]
                data = chance.randbytes(size)
                written += data
                self.write(data)
                if chance.random() < 0.3 and self.reactor.writers:
                    self.tcp.doWrite()
                self.assertTrue(written.startswith(self.socket.sent))
            self.reactor.turn()
            self.assertEqual(self.socket.sent, written)


class Narrow(Connection):
    """
    A connection whose socket takes little, and often nothing.
    """

    def __init__(self, protocol: object, chance: random.Random) -> None:
        self.end = Socket()
        self.chance = chance
        self.reactor = Reactor()
        super().__init__(self.end, protocol, self.reactor)
        self.connected = 1

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 22)

    getHost = getPeer

    def deliver(self, other: Connection) -> bool:
        """
        Bring what was sent to the other end, whose answers are sent meanwhile.

        @return: whether anything happened.
        """
        self.end.room = [
            self.chance.choice((0, 1, 50, 2000, 60_000, OSError(errno.EAGAIN, "no"))) for _ in range(6)
        ]
        sent, self.end.sent = self.end.sent, b""
        if sent:
            other.protocol.dataReceived(sent)
        if self.reactor.writers:
            self.doWrite()
            return True
        return bool(sent)


class NarrowLink(Link):
    """
    A link over two of them.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        chance = random.Random(seed)
        self.clientIO = Narrow(self.client, chance)
        self.serverIO = Narrow(self.server, chance)

    def flush(self) -> None:
        while self.clientIO.deliver(self.serverIO) | self.serverIO.deliver(self.clientIO):
            pass


class WholeTests(SynchronousTestCase):
    """
    Both ends of a connection, over sockets that take what they like.
    """

    def test_streams(self) -> None:
        """
        Everything arrives, in both directions at once, and it is written by
        the short way and by the long one.
        """
        for seed in range(4):
            link = NarrowLink(seed)
            self.addCleanup(link.clientIO.end.close)
            self.addCleanup(link.serverIO.end.close)
            _, ends = connected(2, link)
            for number, end in enumerate(ends):
                end.begin(number, 150_000)
            for _ in range(50):
                link.client.sendIgnore(b"a small message")
                link.server.sendIgnore(b"a small message")
            link.flush()
            for one, other in zip(ends[::2], ends[1::2], strict=True):
                for sender, receiver in ((one, other), (other, one)):
                    self.assertEqual(receiver.arrived, 150_000)
                    self.assertEqual(receiver.digest.digest(), sender.digestOfSent())
            self.assertIsNone(link.client.closeReason)
            self.assertIsNone(link.server.closeReason)


class PipeTests(SynchronousTestCase):
    """
    A process's input.
    """

    def setUp(self) -> None:
        self.output, end = os.pipe()
        self.addCleanup(os.close, self.output)
        self.addCleanup(os.close, end)
        self.reactor = Reactor()
        self.pipe = ProcessWriter(self.reactor, self, 0, end)
        self.lost: list[int] = []
        self.write = promptPipe(self.pipe)

    def childConnectionLost(self, number: int, reason: object) -> None:
        self.lost.append(number)

    def test_small(self) -> None:
        """
        What is small is written, and nothing is left to the reactor.
        """
        self.write(b"a line\n")
        self.assertEqual((os.read(self.output, 100), self.reactor.writers), (b"a line\n", []))

    def test_order(self) -> None:
        """
        Nothing passes what waits, and what the pipe does not take waits.
        """
        written = b""
        for number in range(60):
            piece = b"%02d" % number * 2048
            written += piece
            self.write(piece)
        read = b""
        while self.reactor.writers:
            read += os.read(self.output, 10_000)
            self.pipe.doWrite()
        while len(read) < len(written):
            read += os.read(self.output, 100_000)
        self.assertEqual(read, written)

    def test_closing(self) -> None:
        """
        Behind C{loseConnection}, or the end, nothing is written past Twisted.
        """
        for name, value in (("disconnecting", 1), ("connected", 0), ("_writeDisconnecting", True)):
            with self.patched(name, value):
                self.write(b"late")
                self.assertEqual(select.select([self.output], [], [], 0)[0], [], name)

    @contextmanager
    def patched(self, name: str, value: object) -> Iterator[None]:
        """
        Have the pipe in another state.
        """
        before = getattr(self.pipe, name)
        setattr(self.pipe, name, value)
        yield
        setattr(self.pipe, name, before)
        self.pipe._tempDataBuffer.clear()

    def test_gone(self) -> None:
        """
        That nobody reads any more is Twisted's to find.
        """
        other, end = os.pipe()
        pipe = ProcessWriter(self.reactor, self, 0, end)
        os.close(other)
        self.addCleanup(os.close, end)
        promptPipe(pipe)(b"to nobody")
        self.assertEqual(self.reactor.writers, [pipe])
        self.assertEqual(type(pipe.doWrite()).__name__, "ConnectionLost")

    def test_others(self) -> None:
        """
        What is no pipe of Twisted's is not written to.
        """
        self.assertIsNone(promptPipe(object()))
        del self.pipe._tempDataBuffer
        self.assertIsNone(promptPipe(self.pipe))
