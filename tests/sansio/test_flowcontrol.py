"""
Windows: RFC 4254 section 5.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import FlowControlViolation, UsageError
from conchlite.sansio.flowcontrol import (
    DATA,
    END,
    LARGEST_PACKET_SIZE,
    MAXIMUM_WINDOW_SIZE,
    ChunkQueue,
    HeldData,
    ReceiveWindow,
    SendWindow,
)
from conchlite.sansio.windows import ReceiveWindows
from conchlite.wire.connection import ChannelData, ChannelEOF, ChannelExtendedData
from conchlite.wire.types import Buffer


def message(parts: Sequence[Buffer]) -> ChannelData | ChannelExtendedData | ChannelEOF:
    """
    The packet that is made of C{parts}, by the declaration of its message.
    """
    payload = b"".join(parts)
    for declaration in (ChannelData, ChannelExtendedData, ChannelEOF):
        if declaration.number == payload[0]:
            return declaration.unpackPayload(payload)
    raise AssertionError(f"message {payload[0]}")


def opened(size: int, maximumPacketSize: int = 32768) -> SendWindow:
    window = SendWindow()
    window.open(7, size, maximumPacketSize)
    return window


class ChunkQueueTests(SynchronousTestCase):
    queue: type[ChunkQueue] = ChunkQueue

    def test_smallNeighboursAreJoined(self) -> None:
        """
        A million single bytes take a few hundred places.
        """
        queue = self.queue()
        for number in range(100_000):
            queue.put(DATA, bytes((number & 0xFF,)))
        self.assertEqual(100_000, queue.size)
        self.assertLess(len(queue._chunks), 10)
        found = b"".join(queue.take()[1] for _ in range(len(queue._chunks)))
        self.assertEqual(bytes(n & 0xFF for n in range(100_000)), found)
        self.assertEqual((0, False), (queue.size, bool(queue)))

    def test_kindsKeepTheirOrder(self) -> None:
        queue = self.queue()
        for kind, data in [(DATA, b"a"), (1, b"b"), (1, b"c"), (DATA, b"d" * 5000), (DATA, b"e"), (END, b"")]:
            queue.put(kind, data)
        found = []
        while queue:
            found.append(queue.take())
        self.assertEqual([(DATA, b"a"), (1, b"bc"), (DATA, b"d" * 5000), (DATA, b"e"), (END, b"")], found)

    def test_marksAreNeverJoined(self) -> None:
        queue = self.queue()
        queue.put(END, b"")
        queue.put(END, b"")
        self.assertEqual([(END, b""), (END, b"")], [queue.take(), queue.take()])

    def test_clear(self) -> None:
        queue = self.queue()
        queue.put(DATA, b"abc")
        queue.clear()
        self.assertEqual((0, False), (queue.size, bool(queue)))


class HeldDataTests(ChunkQueueTests):
    queue = HeldData

    def test_alternatingKinds(self) -> None:
        """
        A peer that alternates between data and standard error byte by byte
        gets no place per byte, and loses nothing but the order between them.
        """
        held = HeldData()
        for number in range(200_000):
            held.put((DATA, 1)[number & 1], bytes((number & 0x7F,)))
        self.assertEqual(200_000, held.size)
        self.assertLessEqual(len(held._chunks), HeldData._manyPlaces)
        found: dict[int, bytes] = {DATA: b"", 1: b""}
        while held:
            kind, data = held.take()
            found[kind] += data
        self.assertEqual(bytes(n & 0x7F for n in range(0, 200_000, 2)), found[DATA])
        self.assertEqual(bytes(n & 0x7F for n in range(1, 200_000, 2)), found[1])
        self.assertEqual(0, held.size)

    def test_endIsNotPassed(self) -> None:
        """
        What comes behind EOF stays behind it, however many places there are.
        """
        held = HeldData()
        for number in range(3000):
            held.put((DATA, 1)[number & 1], b"x")
        held.put(END, b"")
        held.put(DATA, b"late")
        found = []
        while held:
            found.append(held.take())
        self.assertEqual([(END, b""), (DATA, b"late")], found[-2:])


class SendWindowTests(SynchronousTestCase):
    def test_nothingBeforeOpen(self) -> None:
        window = SendWindow()
        window.put(DATA, b"abc")
        window.put(END, b"")
        self.assertEqual((False, []), (window.ready, window.takePackets(10)))
        window.open(7, 100, 1000)
        self.assertTrue(window.ready)
        self.assertEqual(
            [ChannelData(7, b"abc"), ChannelEOF(7)], [message(parts) for parts in window.takePackets(10)]
        )

    def test_packetsAreAsTheDeclarations(self) -> None:
        window = opened(1000)
        window.put(DATA, b"out")
        window.put(1, b"err")
        window.put(END, b"")
        self.assertEqual(
            [ChannelData(7, b"out"), ChannelExtendedData(7, 1, b"err"), ChannelEOF(7)],
            [message(parts) for parts in window.takePackets(10)],
        )
        self.assertEqual((994, 0, True), (window.left, window.size, window.ended))

    def test_maximumPacketSize(self) -> None:
        window = opened(10_000, 300)
        window.put(DATA, bytes(1000))
        self.assertEqual([300, 300, 300, 100], [len(message(p).data) for p in window.takePackets(10)])

    def test_noPacketIsLargerThanEveryPeerTakes(self) -> None:
        window = opened(MAXIMUM_WINDOW_SIZE, MAXIMUM_WINDOW_SIZE)
        window.put(DATA, bytes(100_000))
        sizes = [len(message(p).data) for p in window.takePackets(10)]
        self.assertEqual([LARGEST_PACKET_SIZE] * 3 + [100_000 - 3 * LARGEST_PACKET_SIZE], sizes)

    def test_windowIsKept(self) -> None:
        window = opened(5)
        window.put(DATA, b"abcdefgh")
        window.put(END, b"")
        self.assertEqual([b"abcde"], [message(p).data for p in window.takePackets(10)])
        self.assertEqual((0, 3, False), (window.left, window.size, window.ready))
        self.assertEqual([], window.takePackets(10))
        window.add(1)
        self.assertTrue(window.ready)
        self.assertEqual([b"f"], [message(p).data for p in window.takePackets(10)])
        window.add(100)
        self.assertEqual([ChannelData(7, b"gh"), ChannelEOF(7)], [message(p) for p in window.takePackets(9)])

    def test_endNeedsNoWindow(self) -> None:
        window = opened(0)
        window.put(END, b"")
        self.assertTrue(window.ready)
        self.assertEqual([ChannelEOF(7)], [message(p) for p in window.takePackets(10)])

    def test_count(self) -> None:
        window = opened(10**6)
        window.put(DATA, bytes(10 * LARGEST_PACKET_SIZE))
        self.assertEqual(4, len(window.takePackets(4)))
        self.assertTrue(window.ready)

    def test_neighboursShareAPacket(self) -> None:
        window = opened(10**6)
        for _ in range(20):
            window.put(DATA, bytes(3000))
        self.assertEqual([32768, 60_000 - 32768], [len(message(p).data) for p in window.takePackets(10)])

    def test_tooLarge(self) -> None:
        """
        Row 92 of the published weaknesses: an adjustment beyond 2^32 - 1.
        """
        window = opened(MAXIMUM_WINDOW_SIZE - 5)
        window.add(5)
        self.assertRaises(FlowControlViolation, window.add, 1)
        self.assertEqual(MAXIMUM_WINDOW_SIZE, window.left)

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.sampled_from((DATA, 1, 2)), st.binary(min_size=1, max_size=6000)),
                st.integers(1, 9000),
                st.none(),
            ),
            max_size=40,
        ),
        st.integers(256, 5000),
        st.integers(0, 4000),
    )
    def test_everythingLeavesInOrder(
        self, steps: list[tuple[int, bytes] | int | None], maximumPacketSize: int, size: int
    ) -> None:
        """
        Whatever is put in, and however the window grows: the same bytes leave,
        of the same kinds and in the same order, within window and packet size.
        """
        window = opened(size, maximumPacketSize)
        put: list[tuple[int, bytes]] = []
        left: list[tuple[int, bytes]] = []
        allowed = size

        def take() -> None:
            nonlocal allowed
            for parts in window.takePackets(3):
                found = message(parts)
                kind = found.dataType if isinstance(found, ChannelExtendedData) else DATA
                self.assertLessEqual(len(found.data), maximumPacketSize)
                allowed -= len(found.data)
                left.append((kind, found.data))
            self.assertGreaterEqual(allowed, 0)
            self.assertEqual(allowed, window.left)

        for step in steps:
            if step is None:
                take()
            elif isinstance(step, int):
                window.add(step)
                allowed += step
            else:
                window.put(*step)
                put.append(step)
        while window:
            window.add(1000)
            allowed += 1000
            take()
        self.assertEqual(flat(put), flat(left))
        self.assertEqual(0, window.size)


def flat(chunks: list[tuple[int, bytes]]) -> list[tuple[int, int]]:
    return [(kind, byte) for kind, data in chunks for byte in data]


class ReceiveWindowTests(SynchronousTestCase):
    def test_within(self) -> None:
        window = ReceiveWindow(100, 60)
        window.arrived(60)
        window.arrived(40)
        self.assertEqual(0, window.left)
        window.arrived(0)

    def test_beyondTheWindow(self) -> None:
        """
        Row 94: data beyond the window.
        """
        window = ReceiveWindow(100, 60)
        window.arrived(60)
        self.assertRaises(FlowControlViolation, window.arrived, 41)

    def test_beyondThePacketSize(self) -> None:
        """
        Row 94: data beyond the packet size.
        """
        self.assertRaises(FlowControlViolation, ReceiveWindow(100, 60).arrived, 61)

    def test_opensInLargeSteps(self) -> None:
        """
        With half of what it is, less half a packet.
        """
        window = ReceiveWindow(100, 6)
        for _ in range(10):
            window.arrived(6)
        self.assertFalse(window.consumed(46))
        self.assertEqual((0, 40), (window.adjustment(), window.left))
        self.assertTrue(window.consumed(1))
        self.assertEqual((47, 87), (window.adjustment(), window.left))
        self.assertEqual(0, window.adjustment())

    def test_twoStepsInAWindow(self) -> None:
        """
        Whatever the size of the packets: before the window is used up, two
        adjustments have become due, so that half a window is always on its
        way.
        """
        for size, maximumPacketSize in ((2 * 1024 * 1024, 32768), (5_033_164, 32768), (65536, 32768)):
            for packet in (1000, 16384, 30_001, 32768):
                window = ReceiveWindow(size, maximumPacketSize)
                left, due = size, []
                while left:
                    piece = min(packet, left)
                    left -= piece
                    window.arrived(piece)
                    window.consumed(piece)
                    due.append(window.adjustment())
                self.assertGreaterEqual(sum(map(bool, due)), 2, (size, packet))
                self.assertGreaterEqual(sum(due), 0.9 * (size - 2 * maximumPacketSize), (size, packet))

    def test_aWindowOfOne(self) -> None:
        window = ReceiveWindow(1, 1)
        self.assertEqual(0, window.adjustment())
        window.arrived(1)
        window.consumed(1)
        self.assertEqual((1, 1), (window.adjustment(), window.left))

    def test_grow(self) -> None:
        window = ReceiveWindow(MAXIMUM_WINDOW_SIZE - 10, 100)
        window.arrived(100)
        window.consumed(100)
        window.grow(10)
        self.assertRaises(UsageError, window.grow, 1)
        self.assertRaises(UsageError, window.grow, -1)

    def test_growUnread(self) -> None:
        """
        What came counts until it is given back: the peer might otherwise be
        told of more than a window can be, once the program has taken it.
        """
        for window in (
            ReceiveWindow(1000, 1000),
            ReceiveWindows(MAXIMUM_WINDOW_SIZE, lambda: 0.0).window(1000, 1000),
        ):
            window.arrived(1000)
            self.assertRaises(UsageError, window.grow, MAXIMUM_WINDOW_SIZE - 999)
            window.grow(MAXIMUM_WINDOW_SIZE - 1000)
            self.assertEqual(MAXIMUM_WINDOW_SIZE - 1000, window.left)

    def test_impossible(self) -> None:
        for size, maximumPacketSize in [(0, 1), (1, 0), (2**32, 1), (1, 2**32), (-1, 1)]:
            self.assertRaises(UsageError, ReceiveWindow, size, maximumPacketSize)
