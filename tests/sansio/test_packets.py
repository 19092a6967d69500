"""
The binary packet protocol: RFC 4253 section 6.
"""

from __future__ import annotations

import struct
import tracemalloc

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite import limits
from conchlite.algorithms import catalogue
from conchlite.algorithms.base import Opener, Sealer
from conchlite.algorithms.ciphers.plain import PlainOpener, PlainSealer
from conchlite.error import BadMAC, BadPacketLength
from conchlite.sansio.packets import PacketReader, PacketWriter
from tests.sansio.pairs import seeded

MODES = (
    (b"aes128-gcm@openssh.com", None),
    (b"chacha20-poly1305@openssh.com", None),
    (b"aes128-ctr", b"hmac-sha2-256"),
    (b"aes256-ctr", b"hmac-sha2-512-etm@openssh.com"),
)


def ciphers(cipherName: bytes, macName: bytes | None) -> tuple[Sealer, Opener]:
    cipher = catalogue.cipher(cipherName)
    mac = None if macName is None else catalogue.mac(macName)
    parameters = (
        bytes(range(cipher.keySize)),
        bytes(range(cipher.ivSize)),
        mac,
        bytes(range(mac.keySize if mac else 0)),
    )
    return cipher.sealer(*parameters), cipher.opener(*parameters)


def payloads(reader: PacketReader) -> list[bytes]:
    found = []
    while (packet := reader.next()) is not None:
        found.append(packet[1 : len(packet) - packet[0]])
    return found


class Pretending:
    """
    An opener whose packets all say that they have one length.
    """

    def __init__(self, opener: Opener, length: int) -> None:
        self.headSize = opener.headSize
        self.alignment = opener.alignment
        self.clearSize = opener.clearSize
        self.tagSize = opener.tagSize
        self.open = opener.open
        self._length = length

    def packetLength(self, sequence: int, head: memoryview) -> int:
        return self._length


class PacketTests(SynchronousTestCase):
    MESSAGES = (b"\x02", b"\x05hello", b"x" * 100, b"y" * 5000, b"\x5e" + b"z" * 20000)

    def pairs(self) -> list[tuple[PacketWriter, PacketReader]]:
        found = [(PacketWriter(PlainSealer(), seeded(1)), PacketReader(PlainOpener()))]
        for mode in MODES:
            sealer, opener = ciphers(*mode)
            found.append((PacketWriter(sealer, seeded(2)), PacketReader(opener)))
        return found

    def test_roundTrip(self) -> None:
        for writer, reader in self.pairs():
            reader.feed(b"".join(writer.seal(((message,),)) for message in self.MESSAGES))
            self.assertEqual(list(self.MESSAGES), payloads(reader))
            self.assertEqual((len(self.MESSAGES), len(self.MESSAGES)), (writer.sequence, reader.sequence))
            self.assertEqual(0, reader.waiting)

    def test_burst(self) -> None:
        """
        A burst opens as what its packets are, wherever they were cut in parts.
        """
        for writer, reader in self.pairs():
            burst = writer.seal([(message[:1], memoryview(message)[1:]) for message in self.MESSAGES])
            self.assertIs(bytes, type(burst))
            reader.feed(burst)
            self.assertEqual(list(self.MESSAGES), payloads(reader))

    def test_byteByByte(self) -> None:
        for writer, reader in self.pairs():
            data = writer.seal([(message,) for message in self.MESSAGES[:3]])
            found = []
            for i in range(len(data)):
                reader.feed(data[i : i + 1])
                found += payloads(reader)
            self.assertEqual(list(self.MESSAGES[:3]), found)

    @given(st.lists(st.integers(1, 3000), max_size=40))
    def test_anyCutting(self, sizes: list[int]) -> None:
        for writer, reader in self.pairs():
            data = writer.seal([(message,) for message in self.MESSAGES])
            found, offset = [], 0
            for size in sizes:
                reader.feed(data[offset : offset + size])
                offset += size
                found += payloads(reader)
            reader.feed(data[offset:])
            self.assertEqual(list(self.MESSAGES), found + payloads(reader))

    def test_shape(self) -> None:
        """
        RFC 4253 section 6: at least 16 bytes, at least 4 of padding, aligned.
        """
        for size in range(1, 80):
            data = PacketWriter(PlainSealer(), seeded(3)).seal(((b"x" * size,),))
            length, padding = struct.unpack_from(">LB", data)
            self.assertEqual(4 + length, len(data))
            self.assertEqual(size, length - padding - 1)
            self.assertGreaterEqual(padding, 4)
            self.assertGreaterEqual(len(data), 16)
            self.assertEqual(0, len(data) % 8)

    def test_badLengths(self) -> None:
        """
        security.md row 4: a length out of bounds is refused before its bytes
        are waited for.
        """
        for length in (0, 1, 4, 11, 13, 35_001, 2**18 + 1, 2**31 - 1, 2**32 - 1):
            reader = PacketReader(PlainOpener())
            reader.feed(struct.pack(">L", length) + bytes(12))
            self.assertRaises(BadPacketLength, reader.next)
        for mode in MODES:
            for length in (0, 1, 4, 11, 13, 2**18 + 1, 2**31 - 1, 2**32 - 1):
                reader = PacketReader(Pretending(ciphers(*mode)[1], length))
                reader.feed(bytes(16))
                self.assertRaises(BadPacketLength, reader.next)

    def test_alignmentOfLengths(self) -> None:
        """
        security.md row 5, CVE-2026-46597: with GCM and encrypt-then-MAC the
        length is a positive multiple of the block.
        """
        for mode in (MODES[0], MODES[3]):
            for length in range(65):
                _, opener = ciphers(*mode)
                reader = PacketReader(opener)
                reader.feed(struct.pack(">L", length) + bytes(16))
                if length in (16, 32, 48, 64):
                    self.assertIsNone(reader.next())
                else:
                    self.assertRaises(BadPacketLength, reader.next)

    def test_padding(self) -> None:
        """
        security.md row 6: every padding length in packets of three sizes.
        """
        for length in (12, 20, 28):
            for padding in range(256):
                reader = PacketReader(PlainOpener())
                reader.feed(struct.pack(">LB", length, padding) + bytes(length - 1))
                if 4 <= padding <= length - 2:
                    self.assertIsNotNone(reader.next())
                else:
                    self.assertRaises(BadPacketLength, reader.next)

    def test_limitOfAuthenticated(self) -> None:
        reader = PacketReader(PlainOpener())
        reader.maximumLength = limits.MAXIMUM_PACKET_LENGTH
        reader.feed(struct.pack(">L", 262_140) + bytes(4))
        self.assertIsNone(reader.next())

    def test_sequenceWraps(self) -> None:
        for mode in MODES:
            sealer, opener = ciphers(*mode)
            writer, reader = PacketWriter(sealer, seeded(4)), PacketReader(opener)
            writer.sequence = reader.sequence = 2**32 - 2
            reader.feed(writer.seal([(b"one",), (b"two",), (b"three",)]))
            self.assertEqual([b"one", b"two", b"three"], payloads(reader))
            self.assertEqual((1, 1), (writer.sequence, reader.sequence))

    def test_everyBitFlip(self) -> None:
        """
        security.md row 12: a bit flipped anywhere behind NEWKEYS is noticed. A
        flip in the length may ask for more bytes or be out of bounds.
        """
        for mode in MODES:
            sealer, _ = ciphers(*mode)
            good = PacketWriter(sealer, seeded(5)).seal(((b"\x5ehello",),))
            for position in range(len(good)):
                for bit in range(8):
                    data = bytearray(good)
                    data[position] ^= 1 << bit
                    reader = PacketReader(ciphers(*mode)[1])
                    # What follows, so that a longer packet comes whole.
                    reader.feed(bytes(data) + bytes(40_000))
                    self.assertRaises((BadMAC, BadPacketLength), reader.next)

    def test_memoryOfSmallPieces(self) -> None:
        """
        What came of a packet takes little more memory than its bytes, however
        small the pieces that it came in.
        """
        reader = PacketReader(PlainOpener())
        sealed = PacketWriter(PlainSealer(), seeded("memory")).seal([(bytes(34_900),)])
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            for start in range(0, len(sealed) - 2, 2):
                reader.feed(sealed[start : start + 2])
                self.assertIsNone(reader.next())
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(after - before, 160 * 1024)
        reader.feed(sealed[-2:])
        self.assertEqual([bytes(34_900)], payloads(reader))

    def test_smallPiecesOfALargePacket(self) -> None:
        """
        faults.md F1: what waits for a packet's end is joined once, not again
        for every piece that comes.
        """
        joined = 0

        class Counting(PacketReader):
            def _join(self) -> None:
                nonlocal joined
                joined += self.waiting
                super()._join()

        data = PacketWriter(PlainSealer(), seeded(6)).seal(((bytes(30_000),),))
        reader = Counting(PlainOpener())
        for i in range(len(data)):
            reader.feed(data[i : i + 1])
            reader.next()
        self.assertLess(joined, 3 * len(data))
