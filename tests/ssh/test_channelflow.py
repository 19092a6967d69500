"""
The data of channels: that nothing is lost, and nothing swells.
"""

from __future__ import annotations

from conchlite.error import UsageError
from conchlite.wire.connection import ChannelData, ChannelEOF, ChannelExtendedData, ChannelWindowAdjust
from conchlite.wire.numbers import MSG_CHANNEL_DATA
from tests.ssh.channels import ChannelTestCase, PullProducer, PushProducer, Recorder, joined, openPair
from tests.ssh.fakes import Link


class WritingTests(ChannelTestCase):
    def test_write(self) -> None:
        self.client.write(b"out")
        self.client.writeExtended(1, b"err")
        self.client.writeSequence([b"a", b"b"])
        self.link.pump()
        self.assertEqual([("data", b"out"), ("ext 1", b"err"), ("data", b"ab")], self.server.events)

    def test_whatItTakes(self) -> None:
        buffer = bytearray(b"abc")
        self.link.client.hold()
        self.client.write(buffer)
        buffer[:] = b"xyz"
        self.client.write(memoryview(b"def"))
        self.link.client.release()
        self.link.pump()
        self.assertEqual([("data", b"abcdef")], self.server.events)
        self.assertRaises(TypeError, self.client.write, "text")
        self.assertRaises(TypeError, self.client.write, 5)
        self.assertRaises(UsageError, self.client.writeExtended, -1, b"x")
        self.assertRaises(UsageError, self.client.writeExtended, 2**32, b"x")

    def test_nothing(self) -> None:
        self.client.write(b"")
        self.client.writeSequence([])
        self.assertEqual(0, self.link.pump())

    def test_packetSize(self) -> None:
        client, server = self.small(10_000, 256)
        client.write(bytes(1000))
        self.assertEqual([256, 256, 256, 232], [len(m.data) for m in self.link.client.messages()])
        self.link.pump()
        self.assertEqual(1000, len(server.received))

    def test_bursts(self) -> None:
        """
        What there is to send leaves several packets at a time, and not more.
        """
        self.client.write(bytes(10 * 32768))
        self.assertEqual([4, 4, 2], self.link.client.bursts)

    def test_windowIsKept(self) -> None:
        client, server = self.small(1000)
        server.pauseProducing()
        client.write(b"x" * 1500)
        client.writeExtended(1, b"e" * 100)
        client.write(b"y" * 100)
        self.assertEqual(["stop"], client.events)
        self.link.pump()
        self.assertEqual((0, 0), (client.remoteWindowLeft, server.localWindowLeft))
        self.assertEqual([], server.events)
        server.resumeProducing()
        self.link.pump()
        self.assertEqual([("data", b"x" * 1500), ("ext 1", b"e" * 100), ("data", b"y" * 100)], server.events)
        self.assertEqual(["stop", "start"], client.events)

    def test_eofKeepsItsPlace(self) -> None:
        """
        D3: EOF stays behind the data that waits for window.
        """
        client, server = self.small(1000)
        client.write(b"x" * 5000)
        client.conn.sendEOF(client)
        client.write(b"too late")
        self.assertEqual([ChannelData(0, b"x" * 1000)], self.link.client.messages())
        self.link.pump()
        self.assertEqual([("data", b"x" * 5000), "eof"], server.events)
        self.assertFalse(client.localClosed)

    def test_standardErrorKeepsItsPlace(self) -> None:
        """
        D13: data and extended data leave in the order they were written in.
        """
        client, server = self.small(300, 256)
        expected = []
        for number in range(50):
            client.write(b"%d" % number * 20)
            client.writeExtended(1, b"e%d" % number * 20)
            expected += [("data", b"%d" % number * 20), ("ext 1", b"e%d" % number * 20)]
        self.link.pump()
        self.assertEqual(expected, server.events)

    def test_waitsForTheExchange(self) -> None:
        self.link.client.hold()
        self.client.write(b"one")
        self.client.write(b"two")
        self.client.conn.sendEOF(self.client)
        self.assertEqual(0, self.link.pump())
        self.link.client.release()
        self.assertEqual([ChannelData(0, b"onetwo"), ChannelEOF(0)], self.link.client.messages())

    def test_conchsSeams(self) -> None:
        conn = self.client.conn
        conn.sendData(self.client, b"out")
        conn.sendExtendedData(self.client, 1, b"err")
        self.link.pump()
        self.assertEqual([("data", b"out"), ("ext 1", b"err")], self.server.events)

    def test_manySmallWrites(self) -> None:
        """
        A megabyte in single bytes, while nothing can leave, and after.
        """
        self.link.client.hold()
        for _ in range(2**17):
            self.client.write(b"x")
        self.assertLess(len(self.client._machine.outgoing.window._chunks), 20)
        self.link.client.release()
        self.assertEqual(4, len(self.link.client.outbox))

    def test_asDeclared(self) -> None:
        """
        The fast way out packs what the declarations say.
        """
        self.client.write(b"out")
        self.client.writeExtended(1, b"err")
        self.client.loseWriteConnection()
        self.assertEqual(
            [ChannelData(0, b"out"), ChannelExtendedData(0, 1, b"err"), ChannelEOF(0)],
            self.link.client.messages(),
        )


class ReadingTests(ChannelTestCase):
    def adjustments(self, link: Link) -> list[int]:
        return [m.bytesToAdd for m in link.server.messages() if isinstance(m, ChannelWindowAdjust)]

    def test_windowFollowsConsumption(self) -> None:
        client, server = self.small(1000, 256)
        client.write(bytes(371))
        while self.link.client.outbox:
            self.link.client.deliver()
        self.assertEqual([], self.adjustments(self.link))
        client.write(bytes(1))
        self.link.client.deliver()
        self.assertEqual([372], self.adjustments(self.link))
        self.assertEqual(1000, server.localWindowLeft)

    def test_pausedGetsNothing(self) -> None:
        """
        Row 94: a paused consumer opens no window, so that what is kept is
        bounded by it; resumed, it gets everything.
        """
        client, server = self.small(10_000)
        server.pauseProducing()
        client.write(bytes(range(256)) * 1000)
        self.link.pump()
        self.assertEqual([], server.events)
        self.assertEqual(0, server.localWindowLeft)
        self.assertEqual(10_000, server._machine.incoming._held.size)
        server.resumeProducing()
        self.assertEqual([10_000], self.adjustments(self.link))
        self.link.pump()
        self.assertEqual([("data", bytes(range(256)) * 1000)], server.events)
        self.assertIsNone(server._machine.incoming._held)

    def test_pausingInTheCallback(self) -> None:
        class OneAtATime(Recorder):
            localWindowSize = 4096

            def dataReceived(self, data: bytes) -> None:
                self.pauseProducing()
                super().dataReceived(data)

        self.link.server.service.make = OneAtATime
        client, server = openPair(self.link)
        for number in range(8):
            client.write(bytes((number,)) * 2049)
        self.link.pump()
        self.assertEqual(b"\0" * 2049, server.received)
        taken = 0
        while len(server.received) < 8 * 2049:
            self.assertEqual([], self.adjustments(self.link))
            server.resumeProducing()
            self.link.pump()
            self.assertGreater(len(server.received), taken)
            taken = len(server.received)
        self.assertEqual(b"".join(bytes((n,)) * 2049 for n in range(8)), server.received)

    def test_windowFollowsThePieces(self) -> None:
        """
        Who pauses with each piece need not have taken the last one of a window
        before the peer may send more.
        """

        class OneAtATime(Recorder):
            localWindowSize = 40_000
            localMaxPacket = 4000

            def dataReceived(self, data: bytes) -> None:
                self.pauseProducing()
                super().dataReceived(data)

        self.link.server.service.make = OneAtATime
        client, server = openPair(self.link)
        client.write(bytes(80_000))
        self.link.pump()
        for _ in range(5):
            server.resumeProducing()
            self.link.pump()
        self.assertEqual(24_000, len(server.received))
        held = server._machine.incoming._held.size
        self.assertGreater(held, 16_000)
        self.assertLessEqual(held + server.localWindowLeft, 40_000)

    def test_orderWhilePaused(self) -> None:
        self.server.pauseProducing()
        self.client.write(b"a")
        self.client.writeExtended(1, b"b")
        self.client.write(b"c")
        self.client.loseWriteConnection()
        self.link.pump()
        self.assertEqual([], self.server.events)
        self.server.resumeProducing()
        self.assertEqual([("data", b"a"), ("ext 1", b"b"), ("data", b"c"), "eof"], self.server.events)

    def test_unknownKindsAreNotHeld(self) -> None:
        self.server.pauseProducing()
        self.client.writeExtended(2, b"who knows")
        self.link.pump()
        self.assertEqual([("ext 2", b"who knows")], self.server.events)

    def test_emptyData(self) -> None:
        """
        Empty packets cost no window: they must not cost memory either.
        """
        self.server.pauseProducing()
        for _ in range(1000):
            self.link.server.receive(MSG_CHANNEL_DATA, ChannelData(0, b"").pack())
        self.assertIsNone(self.server._machine.incoming._held)
        self.server.resumeProducing()
        self.assertEqual([], self.server.events)

    def test_pausedStallsNobodyElse(self) -> None:
        self.server.pauseProducing()
        other, otherServer = openPair(self.link)
        self.client.write(bytes(3_000_000))
        other.write(bytes(3_000_000))
        self.link.pump()
        self.assertEqual((0, 3_000_000), (len(self.server.received), len(otherServer.received)))

    def test_dataBehindEOF(self) -> None:
        """
        Conch up to 26.10 sends EOF ahead of data that waits for window.
        """
        for message in (ChannelData(0, b"one"), ChannelEOF(0), ChannelData(0, b"two"), ChannelEOF(0)):
            self.link.server.receive(message.number, message.pack())
        self.assertEqual([("data", b"one"), "eof", ("data", b"two")], self.server.events)
        self.assertIsNone(self.link.server.closeReason)

    def test_adjustWindow(self) -> None:
        self.client.conn.adjustWindow(self.client, 1000)
        self.link.pump()
        self.assertEqual(2 * 1024 * 1024 + 1000, self.server.remoteWindowLeft)
        self.assertEqual(2 * 1024 * 1024 + 1000, self.client.localWindowLeft)
        self.client.abortConnection()
        self.link.client.outbox.clear()
        self.client.conn.adjustWindow(self.client, 1000)
        self.assertEqual([], self.link.client.messages())


class ProducerTests(ChannelTestCase):
    def test_pushIsPausedByTheWindow(self) -> None:
        client, server = self.small(10_000)
        client.waitingLimit = 3000
        producer = PushProducer()
        client.registerProducer(producer, True)
        server.pauseProducing()
        client.write(bytes(13_000))
        self.assertEqual([], producer.calls)
        client.write(b"x")
        client.write(b"x")
        self.assertEqual(["pause"], producer.calls)
        self.link.pump()
        self.assertEqual(["pause"], producer.calls)
        server.resumeProducing()
        self.link.pump()
        self.assertEqual(["pause", "resume"], producer.calls)
        self.assertEqual(13_002, len(server.received))

    def test_pushIsPausedByAnExchange(self) -> None:
        producer = PushProducer()
        self.client.registerProducer(producer, True)
        self.link.client.hold()
        self.client.write(bytes(self.client.waitingLimit + 1))
        self.assertEqual(["pause"], producer.calls)
        self.link.client.release()
        self.assertEqual(["pause", "resume"], producer.calls)

    def test_pushIsPausedByTheConnectionBelow(self) -> None:
        """
        Row 95: what TCP does not take waits in the channel, and the producer
        is paused.
        """
        producer = PushProducer()
        self.client.registerProducer(producer, True)
        self.link.client.capacity = 100_000
        for _ in range(100):
            if "pause" in producer.calls:
                break
            self.client.write(bytes(30_000))
        self.assertLess(self.link.client.outboxSize, 100_000 + 4 * 40_000)
        self.assertLess(self.client._machine.outgoing.window.size, self.client.waitingLimit + 30_001)
        self.assertEqual(["pause"], producer.calls)
        self.link.pump()
        self.assertEqual(["pause", "resume"], producer.calls)

    def test_registeredWhileFull(self) -> None:
        client, _ = self.small(10)
        client.write(bytes(client.waitingLimit + 100))
        producer = PushProducer()
        client.registerProducer(producer, True)
        self.assertEqual(["pause"], producer.calls)

    def test_pull(self) -> None:
        client, server = self.small(20_000)
        server.pauseProducing()
        producer = PullProducer(client, 50)
        client.registerProducer(producer, False)
        self.link.pump()
        self.assertLess(producer.calls, 10)
        server.resumeProducing()
        self.link.pump()
        self.assertEqual(50, producer.calls)
        self.assertEqual(b"".join(bytes((n,)) * 5000 for n in range(1, 51)), server.received)

    def test_pullWaitsForTheConnectionBelow(self) -> None:
        self.link.client.capacity = 50_000
        producer = PullProducer(self.client, 1000)
        self.client.registerProducer(producer, False)
        self.assertLess(producer.calls, 20)
        self.link.pump()
        self.assertEqual(1000, producer.calls)
        self.assertEqual(5_000_000, len(self.server.received))

    def test_pullThatWritesLater(self) -> None:
        class Lazy:
            asked = 0

            def resumeProducing(self) -> None:
                self.asked += 1

        producer = Lazy()
        self.client.registerProducer(producer, False)
        self.assertEqual(1, producer.asked)
        self.client.write(b"here it is")
        self.assertEqual(2, producer.asked)

    def test_loseConnectionWaitsForTheProducer(self) -> None:
        """
        As with every transport: who closes while a producer is registered
        closes when it is not any more.
        """
        producer = PullProducer(self.client, 500)
        self.link.client.capacity = 50_000
        self.client.registerProducer(producer, False)
        self.client.loseConnection()
        self.link.pump()
        self.assertEqual(2_500_000, len(self.server.received))
        self.assertEqual("eof", self.server.events[-1])

    def test_onlyOne(self) -> None:
        self.client.registerProducer(PushProducer(), True)
        self.assertRaises(RuntimeError, self.client.registerProducer, PushProducer(), True)
        self.client.unregisterProducer()
        self.client.registerProducer(PushProducer(), True)

    def test_stopped(self) -> None:
        """
        A producer is told when nobody takes what it produces: when the peer
        closes, when the connection is lost, and when it is too late already.
        """
        first, second, third = PushProducer(), PushProducer(), PushProducer()
        self.client.registerProducer(first, True)
        self.server.abortConnection()
        self.link.pump()
        self.assertEqual(["stop"], first.calls)
        self.client.registerProducer(second, True)
        self.assertEqual(["stop"], second.calls)
        client, _ = openPair(self.link)
        client.registerProducer(third, True)
        self.link.lose()
        self.assertEqual(["stop"], third.calls)

    def test_stopProducing(self) -> None:
        self.client.stopProducing()
        self.link.pump()
        self.assertEqual(["eof"], self.server.events)

    def test_aChainOfChannels(self) -> None:
        """
        A proxy in three lines: each channel is the other's producer, and what
        a slow end does not take is not read from the fast one.
        """
        link = joined()
        link.server.service.make = Recorder
        source, near = openPair(link)
        far = joined()
        there, sink = openPair(far)
        near.dataReceived = there.write
        there.registerProducer(near, True)
        sink.pauseProducing()
        source.write(bytes(20_000_000))
        for _ in range(5):
            link.pump()
            far.pump()
        self.assertLess(there._machine.outgoing.window.size, 4 * 1024 * 1024)
        self.assertGreater(source._machine.outgoing.window.size, 10_000_000)
        sink.resumeProducing()
        while link.pump() + far.pump():
            pass
        self.assertEqual(20_000_000, len(sink.received))
