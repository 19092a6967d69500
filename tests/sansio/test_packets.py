"""
The binary packet protocol: RFC 4253 section 6.
"""

from __future__ import annotations

import platform
import struct
import subprocess
import sys
import tracemalloc
from typing import Any

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
    (b"aes256-cbc", b"hmac-sha1-96"),
    (b"3des-cbc", b"hmac-md5"),
)

CBC_MODES = tuple(
    (cipher, mac)
    for cipher in (b"aes128-cbc", b"aes192-cbc", b"aes256-cbc", b"3des-cbc")
    for mac in (b"hmac-sha1", b"hmac-sha1-96", b"hmac-md5", b"hmac-sha2-256")
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

    discard = None

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
        Row 4: a length out of bounds is refused before its bytes
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
        Row 5, CVE-2026-46597: with GCM and encrypt-then-MAC the
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
        Row 6: every padding length in packets of three sizes.
        """
        for length in (12, 20, 28):
            for padding in range(256):
                reader = PacketReader(PlainOpener())
                reader.feed(struct.pack(">LB", length, padding) + bytes(length - 1))
                if 4 <= padding <= length - 2:
                    self.assertIsNotNone(reader.next())
                else:
                    self.assertRaises(BadPacketLength, reader.next)

    def test_largest(self) -> None:
        """
        A packet of just the largest size is taken, where there can be one.
        """
        for maximum, mode in (
            (limits.MAXIMUM_PACKET_LENGTH_BEFORE_AUTHENTICATION, MODES[1]),
            (limits.MAXIMUM_PACKET_LENGTH, MODES[0]),
        ):
            sealer, opener = ciphers(*mode)
            reader = PacketReader(opener)
            reader.maximumLength = maximum
            payload = bytes(maximum - 5)
            data = PacketWriter(sealer, seeded(4)).seal(((payload,),))
            self.assertEqual(4 + maximum + opener.tagSize, len(data))
            reader.feed(data)
            self.assertEqual([payload], payloads(reader))

    def test_paddingIsRandom(self) -> None:
        """
        RFC 4253 section 6: of equal packets each has a padding of its own.
        """
        writer = PacketWriter(PlainSealer(), seeded(5))
        self.assertEqual(500, len({writer.seal(((b"equal",),)) for _ in range(500)}))

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
        Row 12: a bit flipped anywhere behind NEWKEYS is noticed. A
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
        What waits for a packet's end is joined once, not again for every piece
        that comes.
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


_BURSTS = """
import resource
from conchlite.algorithms.ciphers.plain import PlainSealer
from conchlite.sansio.packets import PacketWriter

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

writer = PacketWriter(PlainSealer(), bytes)
parts = [(b"head", bytes(32768))] * 4
writer.seal(parts)
before = faults()
for _ in range(200):
    burst = writer.seal(parts)
    # As TCP does with what the system did not take all at once.
    waiting = b"".join((burst, b"more"))[70000:]
    del burst, waiting
print(faults() - before)
"""


class HeapTests(SynchronousTestCase):
    """
    What bursts are built in is not given back to the system between them.
    """

    if platform.libc_ver()[0] != "glibc":
        skip = "glibc's heap is what this is about"

    def test_bursts(self) -> None:
        faults = subprocess.check_output([sys.executable, "-c", _BURSTS], text=True)
        # It is 32 pages for each burst otherwise, that is 6,400 at least.
        self.assertLess(int(faults), 1000)


class IdleTests(SynchronousTestCase):
    def test_nothingIsKept(self) -> None:
        """
        What was read whole is let go: a connection that is idle after a large
        read would keep it as long as it lasts.
        """
        data = bytearray(PacketWriter(PlainSealer(), seeded(0)).seal([(b"payload",)]))
        size = len(data)
        reader = PacketReader(PlainOpener())
        reader.feed(data)
        self.assertEqual(payloads(reader), [b"payload"])
        # That fails while somebody looks at it.
        data.clear()
        self.assertEqual((reader.volume, reader.unread), (size, b""))


class CountedContext:
    """
    A cipher context that counts bytes.
    """

    def __init__(self, context: Any) -> None:
        self._context = context
        self.count = 0

    def update(self, data: memoryview) -> bytes:
        self.count += len(data)
        return self._context.update(data)


class CountedMAC:
    """
    An HMAC that counts bytes.
    """

    def __init__(self, authenticator: Any) -> None:
        self._authenticator = authenticator
        self.count = 0

    def tag(self, head: bytes, body: bytes) -> bytes:
        self.count += len(head) + len(body)
        return self._authenticator.tag(head, body)

    def verify(self, head: bytes, body: bytes, tag: memoryview) -> None:
        self.count += len(head) + len(body)
        self._authenticator.verify(head, body, tag)


class DiscardTests(SynchronousTestCase):
    """
    Row 11: CVE-2008-5161: in CBC mode without encrypt-then-MAC an error looks
    the same wherever it is.
    """

    def forged(self, mode: tuple[bytes, bytes]) -> list[bytes]:
        """
        Packets whose length is too small, too large or not aligned, whose MAC
        is wrong, near the beginning and far, and whose padding is.
        """
        found = []
        for length in (0, 1, 8, 13, 35_008, 2**20, 2**32 - 1):
            sealer, _ = ciphers(*mode)
            found.append(sealer.seal(0, struct.pack(">LB", length, 4) + bytes(59)))
        for length in (28, 1020, 34_988):
            sealer, _ = ciphers(*mode)
            sealed = bytearray(sealer.seal(0, struct.pack(">LB", length, 4) + bytes(length - 1)))
            sealed[-1] ^= 1
            found.append(bytes(sealed))
        for padding in (0, 3, 27, 255):
            sealer, _ = ciphers(*mode)
            found.append(sealer.seal(0, struct.pack(">LB", 28, padding) + bytes(27)))
        return found

    def consumed(self, mode: tuple[bytes, bytes], data: bytes, maximum: int) -> int:
        """
        How many bytes it takes until the reader says what is wrong.
        """
        _, opener = ciphers(*mode)
        reader = PacketReader(opener)
        reader.maximumLength = maximum
        tagSize = opener.tagSize
        data = data.ljust(4 + maximum + tagSize + 100, b"\xa5")
        # All but the last few in one piece, and those one by one.
        start = 4 + maximum + tagSize - 3
        reader.feed(data[:start])
        for i in range(start, len(data)):
            self.assertIsNone(reader.next())
            reader.feed(data[i : i + 1])
            try:
                reader.next()
            except BadMAC as error:
                self.assertEqual((5, "a packet is not authentic"), (error.reason, str(error)))
                return i + 1 - tagSize
        raise AssertionError("nothing was noticed")

    def test_bytesUntilTheError(self) -> None:
        for mode in CBC_MODES:
            for data in self.forged(mode):
                self.assertEqual(35_004, self.consumed(mode, data, 35_000))
        for data in self.forged(CBC_MODES[0]):
            self.assertEqual(262_148, self.consumed(CBC_MODES[0], data, 262_144))

    def test_work(self) -> None:
        """
        Whatever is wrong, as much is decrypted and authenticated.
        """
        for mode in CBC_MODES[::5]:
            for data in self.forged(mode):
                _, opener = ciphers(*mode)
                context = opener._context = CountedContext(opener._context)
                authenticator = opener._authenticator = CountedMAC(opener._authenticator)
                reader = PacketReader(opener)
                reader.feed(data.ljust(36_000, b"\xa5"))
                self.assertRaises(BadMAC, reader.next)
                # As the tag is decrypted or not, and the first block authenticated
                # or not.
                self.assertApproximates(35_004, context.count, 32)
                self.assertApproximates(35_004, authenticator.count, 32)

    def test_nothingComesBehind(self) -> None:
        """
        Good packets behind a bad one, or a second look, bring nothing.
        """
        sealer, opener = ciphers(*CBC_MODES[0])
        reader = PacketReader(opener)
        sealer.seal(0, struct.pack(">LB", 28, 10) + bytes(27))
        writer = PacketWriter(sealer, seeded(1))
        reader.feed(writer.seal([(b"x" * 1000,)] * 40))
        for _ in range(3):
            self.assertRaises(BadMAC, reader.next)

    def test_authenticLengthsAreJudgedAtOnce(self) -> None:
        """
        With encrypt-then-MAC, where the length is in clear, nothing is waited
        for.
        """
        for macName in (b"hmac-sha1-etm@openssh.com", b"hmac-sha2-256-etm@openssh.com"):
            _, opener = ciphers(b"aes128-cbc", macName)
            reader = PacketReader(opener)
            reader.feed(struct.pack(">L", 2**20) + bytes(60))
            self.assertRaises(BadPacketLength, reader.next)
