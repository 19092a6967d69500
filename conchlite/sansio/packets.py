"""
The binary packet protocol: RFC 4253 section 6.

The reader is on the path of every byte that comes in. It keeps what the reactor
read as it came until a whole packet is there, joins it once, and opens packets
straight out of a view of that. A packet's length is judged before its bytes
are waited for.

Except in CBC mode: there, who has put a block of an earlier packet in the place
of a packet's first would learn a part of what it says from where the error is
noticed (CVE-2008-5161). So the reader goes on until as much has come as the
largest packet has, spends on it what that would cost, and then says what it
says of any packet that is not authentic.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from conchlite.error import BadMAC, BadPacketLength
from conchlite.limits import (
    MAXIMUM_PACKET_LENGTH_BEFORE_AUTHENTICATION,
    MINIMUM_PACKET_LENGTH,
    MINIMUM_PADDING,
)
from conchlite.wire.types import Buffer

if TYPE_CHECKING:
    from conchlite.algorithms.base import Opener, RandomBytes, Sealer

_SEQUENCE_MASK = 0xFFFFFFFF
_HEAD = struct.Struct(">LB")
# Two dozen packets' worth: each connection has one.
_RANDOM_POOL_SIZE = 256
_NOTHING = memoryview(b"")

# A piece of one or two bytes takes twenty times as much memory: so many pieces
# are joined, and seldom enough for that to cost nothing.
_MANY_CHUNKS = 1024


class PacketReader:
    """
    Bytes in, packets out.

    @ivar sequence: the sequence number of the packet that comes next.
    @ivar maximumLength: the largest packet_length that is accepted.
    @ivar waiting: how many bytes were fed and not yet read.
    @ivar volume: how many bytes the running cipher has opened.
    @ivar volumeBefore: how many bytes the ciphers before it have opened.
    @ivar packets: how many packets the running cipher has opened.
    """

    def __init__(self, opener: Opener) -> None:
        self.sequence = 0
        self.maximumLength = MAXIMUM_PACKET_LENGTH_BEFORE_AUTHENTICATION
        self.waiting = 0
        self.volume = self.volumeBefore = 0
        self._chunks: list[bytes] = []
        self._view = _NOTHING
        self._offset = 0
        self.setOpener(opener)

    def setOpener(self, opener: Opener) -> None:
        """
        Open what comes next with another cipher.
        """
        self._opener = opener
        self.volumeBefore += self.volume
        self.volume = 0
        self.packets = 0
        self._size: int | None = None
        self._wanted = opener.headSize

    def feed(self, data: bytes) -> None:
        """
        Take what the peer sent.
        """
        chunks = self._chunks
        chunks.append(data)
        self.waiting += len(data)
        if len(chunks) >= _MANY_CHUNKS:
            chunks[:] = [b"".join(chunks)]

    @property
    def unread(self) -> bytes:
        """
        What was fed and not yet read.
        """
        return b"".join((self._view[self._offset :], *self._chunks))

    def next(self) -> bytes | None:
        """
        The next packet: padding_length, payload, padding. L{None} as long as
        it has not come whole.

        @raise BadPacketLength: its length or its padding is out of bounds.
        @raise BadMAC: it is not authentic, or in CBC mode anything else.
        """
        if self.waiting < self._wanted:
            if not self.waiting:
                # What was read is let go: with an idle connection it would stay.
                self._view = _NOTHING
                self._offset = 0
            return None
        if self._chunks:
            self._join()
        opener = self._opener
        start = self._offset
        try:
            if self._size is None:
                self._wanted = self._size = self._measure(self._view[start : start + opener.headSize])
                if self.waiting < self._size:
                    return None
            end = start + self._size
            packet = opener.open(self.sequence, self._view[start:end])
            # At least four bytes of padding, and at least one byte of payload.
            if not MINIMUM_PADDING <= packet[0] <= len(packet) - 2:
                raise BadPacketLength(f"padding of {packet[0]} bytes in a packet of {len(packet)}")
        except (BadPacketLength, BadMAC):
            if opener.discard is None:
                raise
            seen = opener.headSize if self._size is None else self._size
            self.setOpener(_Discarder(opener.discard, seen, 4 + self.maximumLength + opener.tagSize))
            return self.next()
        self._offset = end
        self.waiting -= self._size
        self.volume += self._size
        self.packets += 1
        self._size = None
        self._wanted = opener.headSize
        self.sequence = (self.sequence + 1) & _SEQUENCE_MASK
        return packet

    def _join(self) -> None:
        chunks = self._chunks
        left = self._view[self._offset :]
        if len(left):
            self._view = memoryview(b"".join((left, *chunks)))
        else:
            self._view = memoryview(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        self._offset = 0
        self._chunks = []

    def _measure(self, head: memoryview) -> int:
        opener = self._opener
        length = opener.packetLength(self.sequence, head)
        minimum = opener.alignment if opener.clearSize else MINIMUM_PACKET_LENGTH
        if not minimum <= length <= self.maximumLength:
            raise BadPacketLength(f"a packet_length of {length} bytes")
        if (length + 4 - opener.clearSize) % opener.alignment:
            raise BadPacketLength(f"a packet_length of {length} bytes is not aligned")
        return 4 + length + opener.tagSize


class _Discarder:
    """
    What takes an opener's place when it has met a bad packet: it lets nothing
    be opened any more, and wants as much as the largest packet has to say so.
    """

    alignment = 8
    clearSize = 0
    tagSize = 0
    discard = None

    def __init__(self, discard: Callable[[int, memoryview], None], seen: int, size: int) -> None:
        """
        @param discard: the opener's.
        @param seen: how many bytes of the packet the opener has worked on.
        @param size: the size of the largest packet, tag included.
        """
        self._discard = discard
        self._seen = seen
        self.headSize = size

    def packetLength(self, sequence: int, head: memoryview) -> int:
        self._discard(sequence, head[self._seen :])
        raise BadMAC("a packet is not authentic")

    def open(self, sequence: int, packet: memoryview) -> bytes:
        raise BadMAC("a packet is not authentic")


# glibc gives what is free at the top of its heap back to the system when that
# is more than twice the largest block that was ever freed; at first, 256 KiB.
# The buffers of a burst come to more, so they would be faulted in again for
# every burst, which costs more than sealing it. A block of this size, which is
# never touched and freed at once, has it keep 2 MiB.
_LARGE_BLOCK = 1 << 20


class PacketWriter:
    """
    Payloads in, bytes out.

    @ivar sequence: the sequence number of the packet that goes next.
    @ivar volume: how many bytes the running cipher has sealed.
    @ivar volumeBefore: how many bytes the ciphers before it have sealed.
    @ivar packets: how many packets the running cipher has sealed.
    @ivar randomBytes: where random bytes come from.
    """

    _heapIsKept = False

    def __init__(self, sealer: Sealer, randomBytes: RandomBytes) -> None:
        self.sequence = 0
        self.volume = self.volumeBefore = 0
        self.randomBytes = randomBytes
        self._pool = b""
        self._poolOffset = 0
        self.setSealer(sealer)

    def setSealer(self, sealer: Sealer) -> None:
        """
        Seal what goes next with another cipher.
        """
        self._sealer = sealer
        self.volumeBefore += self.volume
        self.volume = 0
        self.packets = 0

    def _frame(self, parts: Sequence[Buffer]) -> bytes:
        sealer = self._sealer
        size = sum(map(len, parts))
        padding = -(5 - sealer.clearSize + size) % sealer.alignment
        if padding < MINIMUM_PADDING:
            padding += sealer.alignment
        # Random padding is a SHOULD of RFC 4253 section 6. It is drawn from a
        # pool, since a call of the system for each packet costs more than
        # sealing a small one.
        if self._poolOffset + padding > len(self._pool):
            self._pool = self.randomBytes(_RANDOM_POOL_SIZE)
            self._poolOffset = 0
        start = self._poolOffset
        self._poolOffset = start + padding
        return b"".join(
            (_HEAD.pack(size + 1 + padding, padding), *parts, self._pool[start : start + padding])
        )

    def seal(self, packets: Sequence[Sequence[Buffer]]) -> bytes:
        """
        Seal payloads, each given in parts, one behind the other.
        """
        sealer = self._sealer
        sequence = self.sequence
        self.packets += len(packets)
        if len(packets) == 1:
            self.sequence = (sequence + 1) & _SEQUENCE_MASK
            sealed = sealer.seal(sequence, self._frame(packets[0]))
            self.volume += len(sealed)
            return sealed
        if not PacketWriter._heapIsKept:
            PacketWriter._heapIsKept = True
            bytes(_LARGE_BLOCK)
        frames = [self._frame(parts) for parts in packets]
        tagSize = sealer.tagSize
        burst = bytearray(sum(map(len, frames)) + tagSize * len(frames))
        out = memoryview(burst)
        offset = 0
        for frame in frames:
            end = offset + len(frame) + tagSize
            sealer.sealInto(sequence, frame, out[offset:end])
            sequence = (sequence + 1) & _SEQUENCE_MASK
            offset = end
        self.sequence = sequence
        self.volume += len(burst)
        return bytes(burst)
