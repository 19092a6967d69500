"""
Flow control of a channel: RFC 4254 section 5.2.

Each side tells the other how many bytes of data it may send: the window. What
is written while the peer's window is shut waits in a L{SendWindow}. What comes
is counted against a L{ReceiveWindow}, which opens again only as the
application takes the data: a slow application slows its peer down, and no more
than one window of data ever piles up here.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

from conchlite.error import FlowControlViolation, UsageError
from conchlite.wire.numbers import MSG_CHANNEL_DATA, MSG_CHANNEL_EOF, MSG_CHANNEL_EXTENDED_DATA
from conchlite.wire.types import Buffer

#: The most that a window may come to, RFC 4254 section 5.2.
MAXIMUM_WINDOW_SIZE: Final = 2**32 - 1

#: No packet that is sent carries more data than this, however much the peer
#: would take: every peer takes it (RFC 4253 section 6.1), and more gains
#: nothing.
LARGEST_PACKET_SIZE: Final = 32768

#: The kind of ordinary data. The kind of extended data is its type code.
DATA: Final = -1

#: What a queue of data has in it for EOF.
END: Final = -2

# The message number with the hand-packed head behind it, in one go.
_DATA_HEAD = struct.Struct(">BLL").pack
_EXTENDED_DATA_HEAD = struct.Struct(">BLLL").pack
_EOF = struct.Struct(">BL").pack

# Up to this size a piece of data is worth a copy rather than a place.
_SMALL = 2048


class ChunkQueue:
    """
    Pieces of data in their order, each with its kind.

    Small neighbours of one kind are joined, so that many tiny pieces take
    little more memory than their bytes.

    @ivar size: how many bytes there are.
    """

    __slots__ = ("_chunks", "size")

    def __init__(self) -> None:
        self._chunks: deque[tuple[int, Buffer]] = deque()
        self.size = 0

    def __bool__(self) -> bool:
        return bool(self._chunks)

    def put(self, kind: int, data: bytes) -> None:
        """
        Add C{data} at the end.

        @param kind: L{DATA}, a type code of extended data, or a negative
            number of the caller's for a mark without data.
        """
        chunks = self._chunks
        self.size += len(data)
        if chunks and data:
            lastKind, last = chunks[-1]
            if (
                lastKind == kind
                and isinstance(last, bytearray)
                and len(last) + len(data) <= LARGEST_PACKET_SIZE
            ):
                last += data
                return
        chunks.append((kind, bytearray(data) if 0 < len(data) <= _SMALL else data))

    def take(self) -> tuple[int, bytes]:
        """
        Remove the first piece; there must be one.

        @return: its kind, and the data.
        """
        kind, data = self._chunks.popleft()
        self.size -= len(data)
        return kind, bytes(data)

    def clear(self) -> None:
        """
        Drop everything.
        """
        self._chunks.clear()
        self.size = 0


class HeldData(ChunkQueue):
    """
    What came for an application that is not ready for it.

    Its size is bounded by the window, but a peer that alternates between two
    kinds byte by byte would get a place for each byte. Where there are many
    places, a piece is joined to the last one of its kind; what gets lost then
    is the order between the kinds, which the protocol does not promise.
    """

    __slots__ = ()

    _manyPlaces = 1024

    @property
    def ending(self) -> bool:
        """
        Whether the first piece is the mark of EOF.
        """
        return bool(self._chunks) and self._chunks[0][0] == END

    def put(self, kind: int, data: bytes) -> None:
        chunks = self._chunks
        if data and len(chunks) >= self._manyPlaces:
            for index in (-1, -2):
                lastKind, last = chunks[index]
                if lastKind == kind and isinstance(last, bytearray):
                    last += data
                    self.size += len(data)
                    return
        super().put(kind, data)


class SendWindow(ChunkQueue):
    """
    What is on its way to the peer, and how much of it the peer will take.

    Data of all kinds and EOF leave in the order in which they were put in.
    Before L{open} nothing leaves.

    @ivar left: the peer's window: how many bytes it takes yet.
    @ivar maximumPacketSize: how many bytes of data the peer takes in a packet.
    @ivar ended: whether EOF has left.
    """

    __slots__ = ("_packetSize", "_recipientChannel", "ended", "left", "maximumPacketSize")

    def __init__(self) -> None:
        super().__init__()
        self._recipientChannel = -1
        self._packetSize = 0
        self.left = 0
        self.maximumPacketSize = 0
        self.ended = False

    def open(self, recipientChannel: int, size: int, maximumPacketSize: int) -> None:
        """
        The peer has a channel for the data.

        @param recipientChannel: its number there.
        """
        self._recipientChannel = recipientChannel
        self.left = size
        self.maximumPacketSize = maximumPacketSize
        self._packetSize = min(maximumPacketSize, LARGEST_PACKET_SIZE)

    def add(self, size: int) -> None:
        """
        The peer's window grew.

        @raise FlowControlViolation: beyond what a window can be.
        """
        if self.left + size > MAXIMUM_WINDOW_SIZE:
            raise FlowControlViolation(f"a window of {self.left} bytes was to grow by {size}")
        self.left += size

    @property
    def ready(self) -> bool:
        """
        Whether L{takePackets} has anything to give.
        """
        return (
            bool(self._chunks)
            and self._recipientChannel >= 0
            and (self.left > 0 or self._chunks[0][0] == END)
        )

    def takePackets(self, count: int) -> list[tuple[Buffer, ...]]:
        """
        Take what may be sent now, and count it against the window.

        @param count: the most packets to take.
        @return: the payloads, each in parts, the first of which begins with
            the message's number.
        """
        packets: list[tuple[Buffer, ...]] = []
        chunks = self._chunks
        recipientChannel = self._recipientChannel
        while chunks and recipientChannel >= 0 and len(packets) < count:
            kind = chunks[0][0]
            if kind == END:
                chunks.popleft()
                self.ended = True
                packets.append((_EOF(MSG_CHANNEL_EOF, recipientChannel),))
                continue
            room = min(self.left, self._packetSize)
            if not room:
                break
            size, parts = self._gather(kind, room)
            if kind == DATA:
                head = _DATA_HEAD(MSG_CHANNEL_DATA, recipientChannel, size)
            else:
                head = _EXTENDED_DATA_HEAD(MSG_CHANNEL_EXTENDED_DATA, recipientChannel, kind, size)
            packets.append((head, *parts))
            self.left -= size
            self.size -= size
        return packets

    def _gather(self, kind: int, room: int) -> tuple[int, list[Buffer]]:
        # One packet's data: neighbours of one kind share it.
        chunks = self._chunks
        parts: list[Buffer] = []
        size = 0
        while chunks and size < room and chunks[0][0] == kind:
            data = chunks[0][1]
            free = room - size
            if len(data) <= free:
                chunks.popleft()
                size += len(data)
                parts.append(data)
            else:
                # Slices of a memoryview: what is long is not copied here.
                view = memoryview(data)
                parts.append(view[:free])
                chunks[0] = (kind, view[free:])
                size = room
        return size, parts


class ReceiveWindow:
    """
    How much the peer may send.

    @ivar size: how large the window is when nothing is in it.
    @ivar left: how many bytes the peer may send yet.
    @ivar maximumPacketSize: how many bytes of data it may send in a packet.
    """

    __slots__ = ("_consumed", "_extent", "_mark", "_step", "left", "maximumPacketSize", "size")

    def __init__(self, size: int, maximumPacketSize: int) -> None:
        if not (0 < size <= MAXIMUM_WINDOW_SIZE and 0 < maximumPacketSize <= MAXIMUM_WINDOW_SIZE):
            raise UsageError(f"a window of {size} bytes, packets of {maximumPacketSize}")
        self.maximumPacketSize = maximumPacketSize
        self._resize(size)
        self.left = size
        self._consumed = 0
        # What the peer can make us hold: what it may send, what has come, and
        # what was taken and not given back yet. Where the window has shrunk,
        # this is more than its size for a while.
        self._extent = size
        # When less than this is left, a subclass wants to know of it.
        self._mark = 0

    def _resize(self, size: int) -> None:
        self.size = size
        # Half of it less half a packet: when one adjustment is due, enough is
        # left for the next one to become due. Otherwise a peer whose packets
        # do not fill the half to the byte would have to wait with every
        # window, and get through only half of it in a round trip.
        self._step = max((size - self.maximumPacketSize) // 2, size // 4, 1)

    def arrived(self, size: int) -> None:
        """
        Count data that came. This runs for each packet.

        @raise FlowControlViolation: it was too much.
        """
        left = self.left - size
        if left < self._mark or size > self.maximumPacketSize:
            if left < 0 or size > self.maximumPacketSize:
                raise FlowControlViolation(
                    f"{size} bytes of data came; the window had {self.left} left,"
                    f" a packet may have {self.maximumPacketSize}"
                )
            self._beyond(left)
        self.left = left

    def _beyond(self, left: int) -> None:
        """
        Less than C{_mark} is left.
        """

    def consumed(self, size: int) -> bool:
        """
        Count data that the application has taken.

        @return: whether it is time for an L{adjustment}.
        """
        self._consumed += size
        return self._consumed >= self._step

    def adjustment(self) -> int:
        """
        By how much the window is to grow now: by nothing until about half of
        it was consumed, so that there is one message for many packets.
        """
        consumed = self._consumed
        if consumed < self._step:
            return 0
        self._consumed = 0
        return self._credit(consumed)

    def _credit(self, consumed: int) -> int:
        self.left += consumed
        return consumed

    def grow(self, size: int) -> None:
        """
        Let the peer send more than the consumption makes room for.

        @raise UsageError: beyond what a window can be.
        """
        if size < 0 or self._extent + size > MAXIMUM_WINDOW_SIZE:
            # It may not be as much today, but when what came is taken.
            raise UsageError(f"a window of {self._extent} bytes was to grow by {size}")
        self._resize(self.size + size)
        self._extent += size
        self.left += size

    def end(self) -> None:
        """
        The channel is over.
        """
