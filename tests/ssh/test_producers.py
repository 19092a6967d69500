"""
Channels between producers and consumers: who is paused by whom.
"""

from __future__ import annotations

import gc
import tracemalloc

from twisted.internet.interfaces import IConsumer, IPullProducer, IPushProducer, ITransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyClass, verifyObject

from conchlite.ssh.channel import SSHChannel
from conchlite.wire.connection import ChannelData, ChannelExtendedData
from conchlite.wire.numbers import MSG_CHANNEL_DATA, MSG_CHANNEL_EXTENDED_DATA
from tests.ssh.channels import ChannelTestCase, PullProducer, PushProducer, Recorder, openPair
from tests.ssh.wholeconnections import connected


class InterfaceTests(SynchronousTestCase):
    def test_interfaces(self) -> None:
        for interface in (ITransport, IConsumer, IPushProducer, IPullProducer):
            self.assertTrue(verifyClass(interface, SSHChannel))
            self.assertTrue(verifyObject(interface, SSHChannel()))


class Pulled(Recorder):
    """
    @ivar pieces: what came, piece by piece.
    """

    pulled = True

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.pieces: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.pieces.append(data)


class PullTests(ChannelTestCase):
    """
    A channel as a pull producer.
    """

    def setUp(self) -> None:
        super().setUp()
        self.link.server.service.make = Pulled
        self.client, self.server = openPair(self.link)
        self.server.events.clear()

    def test_nothingByItself(self) -> None:
        self.client.write(b"a" * 5000)
        self.client.write(b"b" * 5000)
        self.client.loseWriteConnection()
        self.link.pump()
        self.assertEqual([], self.server.events)

    def test_onePieceEach(self) -> None:
        for letter in (b"a", b"b", b"c"):
            self.client.write(letter * 5000)
        self.link.pump()
        self.server.resumeProducing()
        self.assertEqual([b"a" * 5000], self.server.pieces)
        self.server.resumeProducing()
        self.assertEqual([b"a" * 5000, b"b" * 5000], self.server.pieces)

    def test_theNextThatComes(self) -> None:
        self.server.resumeProducing()
        self.client.write(b"a" * 5000)
        self.client.write(b"b" * 5000)
        self.link.pump()
        self.assertEqual([b"a" * 5000], self.server.pieces)

    def test_endIsNoPiece(self) -> None:
        """
        EOF and CLOSE come with the last piece, and by themselves where there
        is none.
        """
        self.client.write(b"a" * 5000)
        self.client.loseConnection()
        self.link.pump()
        self.assertEqual([], self.server.events)
        self.server.resumeProducing()
        self.assertEqual([("data", b"a" * 5000), "eof"], self.server.events)
        client, server = openPair(self.link)
        server.events.clear()
        client.write(b"b" * 5000)
        self.link.pump()
        server.resumeProducing()
        client.loseWriteConnection()
        self.link.pump()
        self.assertEqual([("data", b"b" * 5000), "eof"], server.events)
        client.abortConnection()
        self.link.pump()
        self.assertEqual(["close", "closed"], server.events[2:])

    def test_closeIsBehindWhatIsHeld(self) -> None:
        self.client.write(b"a" * 5000)
        self.client.write(b"b" * 5000)
        self.client.abortConnection()
        self.link.pump()
        self.assertEqual([], self.server.events)
        self.server.resumeProducing()
        self.assertEqual([b"a" * 5000], self.server.pieces)
        self.server.resumeProducing()
        self.assertEqual([b"a" * 5000, b"b" * 5000], self.server.pieces)
        self.assertEqual(["close", "closed"], self.server.events[-2:])

    def test_lost(self) -> None:
        """
        Who collects what came gets it all when the connection is lost.
        """
        self.client.write(b"a" * 5000)
        self.client.write(b"b" * 5000)
        self.link.pump()
        self.link.lose()
        self.assertEqual(10_000, len(self.server.received))
        self.assertEqual("closed", self.server.events[-1])

    def test_askedWithinThePiece(self) -> None:
        """
        A consumer that has drained asks within the write: no recursion, and
        nothing is left.
        """

        def take(data: bytes) -> None:
            self.server.pieces.append(data)
            self.server.resumeProducing()

        self.server.dataReceived = take
        for number in range(2000):
            self.client.write(bytes((number & 0xFF,)) * 3000)
        self.client.loseConnection()
        self.server.resumeProducing()
        self.link.pump()
        self.assertEqual(6_000_000, sum(map(len, self.server.pieces)))
        self.assertIn("eof", self.server.events)

    def test_windowFollows(self) -> None:
        self.client.write(bytes(10_000_000))
        self.link.pump()
        self.assertEqual(0, self.client.remoteWindowLeft)
        for _ in range(400):
            self.server.resumeProducing()
            self.link.pump()
        self.assertEqual(10_000_000, len(self.server.received))

    def test_intoAChannel(self) -> None:
        """
        As the producer of another channel, in the way that consumers pull.
        """
        self.link.server.service.make = Recorder
        other, sink = openPair(self.link)
        self.server.dataReceived = other.write
        self.client.write(bytes(1_000_000))
        self.link.pump()
        self.assertEqual(0, len(sink.received))
        other.registerProducer(self.server, False)
        self.link.pump()
        self.assertEqual(1_000_000, len(sink.received))


class OrderOfReadingTests(ChannelTestCase):
    """
    Standard output and standard error share a window.
    """

    def test_eitherFirst(self) -> None:
        """
        A program that wants all of one kind before any of the other gets it,
        however much of the other comes first: what it sets aside is taken.
        """
        for first, second in ((True, False), (False, True)):
            client, server = openPair(self.link)
            server.events.clear()
            for turn in (first, second):
                for _ in range(100):
                    if turn:
                        client.write(bytes(50_000))
                    else:
                        client.writeExtended(1, bytes(50_000))
            client.loseWriteConnection()
            self.link.pump()
            self.assertEqual([5_000_000] * 2, [len(event[1]) for event in server.events[:2]])
            self.assertEqual("eof", server.events[2])

    def test_pausedBetween(self) -> None:
        """
        A program that pauses with every piece, whichever kind it is of, comes
        to the end of both.
        """
        client, server = openPair(self.link)

        def pausing(data: bytes) -> None:
            server.received += data
            server.pauseProducing()

        server.dataReceived = pausing
        server.extReceived = lambda dataType, data: pausing(data)
        for _ in range(60):
            client.writeExtended(1, bytes(50_000))
            client.write(bytes(50_000))
        self.link.pump()
        for _ in range(2000):
            server.resumeProducing()
            self.link.pump()
        self.assertEqual(6_000_000, len(server.received))


class TransportTests(SynchronousTestCase):
    """
    What the connection below does to producers.
    """

    def test_pullWhileKeysAreRenewed(self) -> None:
        """
        A pull producer is not asked while keys are exchanged, and goes on
        with the new ones; nothing is lost.
        """
        link, (client, server) = connected(1, make=Recorder)
        producer = PullProducer(client, 200)
        link.client.sendKexInit()
        client.registerProducer(producer, False)
        self.assertEqual(1, producer.calls)
        link.flush()
        self.assertEqual(200, producer.calls)
        self.assertEqual(b"".join(bytes((n & 0xFF,)) * 5000 for n in range(1, 201)), server.received)

    def test_pausedByTCPAlone(self) -> None:
        """
        The window is open and no keys are exchanged: a producer is paused
        when TCP has enough, and what waits is bounded.
        """
        link, (client, server) = connected(1, make=Recorder)
        producer = PushProducer()
        client.registerProducer(producer, True)
        link.clientIO.producer.pauseProducing()
        written = 0
        while not producer.calls:
            client.write(bytes(10_000))
            written += 10_000
        self.assertEqual(["pause"], producer.calls)
        self.assertLessEqual(written, client.waitingLimit + 10_000)
        self.assertGreater(client.remoteWindowLeft, written)
        link.clientIO.producer.resumeProducing()
        self.assertEqual(["pause", "resume"], producer.calls)
        link.flush()
        self.assertEqual(written, len(server.received))

    def test_everyProducer(self) -> None:
        """
        TCP's pause reaches the producers of all channels, and its end too.
        """
        link, ends = connected(10, make=Recorder)
        clients = ends[::2]
        producers = [PushProducer() for _ in clients]
        for client, producer in zip(clients, producers, strict=True):
            client.registerProducer(producer, True)
        link.clientIO.producer.pauseProducing()
        for client in clients:
            client.write(bytes(client.waitingLimit + 1))
        self.assertEqual([["pause"]] * 10, [producer.calls for producer in producers])
        link.clientIO.producer.resumeProducing()
        link.flush()
        self.assertEqual([["pause", "resume"]] * 10, [producer.calls for producer in producers])


class HeldMemoryTests(ChannelTestCase):
    """
    What a paused program costs.
    """

    def held(self, number: int, payload: bytes, count: int) -> int:
        self.server.pauseProducing()
        gc.collect()
        tracemalloc.start()
        try:
            for _ in range(count):
                # A packet of its own, as from the wire.
                self.link.server.receive(number, bytes(bytearray(payload)))
            gc.collect()
            return tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()

    def test_largePackets(self) -> None:
        """
        Row 94: one window of memory and little more.
        """
        payload = ChannelData(0, bytes(32768)).pack()
        held = self.held(MSG_CHANNEL_DATA, payload, 64)
        self.assertEqual(0, self.server.localWindowLeft)
        self.assertLess(held, 2 * 2**20 + 64 * 1024)

    def test_smallPackets(self) -> None:
        """
        Row 94: nor do small packets cost more than their bytes.
        """
        for number, message in (
            (MSG_CHANNEL_DATA, ChannelData(0, b"x")),
            (MSG_CHANNEL_EXTENDED_DATA, ChannelExtendedData(0, 1, b"x" * 10)),
        ):
            size = len(message.data)
            self.assertLess(self.held(number, message.pack(), 20_000), 2 * 20_000 * size + 64 * 1024)
