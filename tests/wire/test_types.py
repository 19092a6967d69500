"""
RFC 4251 section 5: the examples of the RFC, and what has to be refused.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite import limits
from conchlite.error import MalformedMessage
from conchlite.wire import types
from conchlite.wire.types import Reader


class MPIntTests(SynchronousTestCase):
    # The examples of RFC 4251 section 5.
    EXAMPLES = (
        (0, "00000000"),
        (0x9A378F9B2E332A7, "0000000809a378f9b2e332a7"),
        (0x80, "000000020080"),
        (-0x1234, "00000002edcc"),
        (-0xDEADBEEF, "00000005ff21524111"),
    )

    def test_examples(self) -> None:
        for number, packed in self.EXAMPLES:
            self.assertEqual(packed, types.packMPInt(number).hex())
            self.assertEqual(number, Reader(bytes.fromhex(packed)).mpint())

    @given(st.integers(min_value=-(2**520), max_value=2**520))
    def test_roundTripIsShort(self, number: int) -> None:
        packed = types.packMPInt(number)
        self.assertEqual(number, Reader(packed).mpint())
        body = packed[4:]
        # No leading byte that says nothing.
        if len(body) > 1:
            self.assertFalse(body[0] == 0x00 and body[1] < 0x80)
            self.assertFalse(body[0] == 0xFF and body[1] >= 0x80)

    def test_leadingZerosAreAccepted(self) -> None:
        self.assertEqual(1, Reader(bytes.fromhex("0000000300000001"[:8] + "000001")).mpint())

    def test_tooLarge(self) -> None:
        size = limits.MAXIMUM_MPINT_SIZE + 1
        self.assertRaises(MalformedMessage, Reader(types.packString(bytes(size))).mpint)


class NameListTests(SynchronousTestCase):
    # The examples of RFC 4251 section 5.
    EXAMPLES = (
        ((), "00000000"),
        ((b"zlib",), "000000047a6c6962"),
        ((b"zlib", b"none"), "000000097a6c69622c6e6f6e65"),
    )

    def test_examples(self) -> None:
        for names, packed in self.EXAMPLES:
            self.assertEqual(packed, types.packNameList(names).hex())
            self.assertEqual(names, Reader(bytes.fromhex(packed)).nameList())

    def test_emptyNamesAreDropped(self) -> None:
        """
        libssh 0.10.6 ends its cipher list with a comma.
        """
        self.assertEqual((b"a", b"b"), Reader(types.packString(b"a,b,")).nameList())

    def test_bounds(self) -> None:
        many = b",".join([b"x"] * (limits.MAXIMUM_NAMES + 1))
        self.assertRaises(MalformedMessage, Reader(types.packString(many)).nameList)
        exactly = b",".join([b"x"] * limits.MAXIMUM_NAMES)
        self.assertEqual(limits.MAXIMUM_NAMES, len(Reader(types.packString(exactly)).nameList()))
        long = b"x" * (limits.MAXIMUM_NAME_LIST_SIZE + 1)
        self.assertRaises(MalformedMessage, Reader(types.packString(long)).nameList)


class ExtensionsTests(SynchronousTestCase):
    def test_roundTrip(self) -> None:
        extensions = {b"server-sig-algs": b"ssh-ed25519", b"x": b""}
        self.assertEqual(extensions, Reader(types.packExtensions(extensions)).extensions())

    def test_count(self) -> None:
        """
        Row 16: a count that the message cannot hold is refused
        before anything is looped over.
        """
        for count in (1, limits.MAXIMUM_EXTENSIONS + 1, 2**32 - 1):
            self.assertRaises(MalformedMessage, Reader(types.packUInt32(count)).extensions)
        full = types.packUInt32(65) + (types.packString(b"a") + types.packString(b"b")) * 65
        self.assertRaises(MalformedMessage, Reader(full).extensions)


class ReaderTests(SynchronousTestCase):
    def test_booleans(self) -> None:
        self.assertEqual([False, True, True], [Reader(bytes((b,))).boolean() for b in (0, 1, 255)])

    def test_numbers(self) -> None:
        self.assertEqual(0x29B7F4AA, Reader(bytes.fromhex("29b7f4aa")).uint32())
        self.assertEqual(2**64 - 1, Reader(b"\xff" * 8).uint64())
        self.assertEqual(7, Reader(b"\x07").byte())

    def test_truncation(self) -> None:
        """
        A length beyond the end is refused, not waited for or padded.
        """
        for method in ("byte", "boolean", "uint32", "uint64", "string", "mpint", "nameList", "extensions"):
            self.assertRaises(MalformedMessage, getattr(Reader(b""), method))
        for length in (2, 2**31, 2**32 - 1):
            for method in ("string", "stringView", "mpint", "nameList"):
                reader = Reader(types.packUInt32(length) + b"x")
                self.assertRaises(MalformedMessage, getattr(reader, method))

    def test_end(self) -> None:
        reader = Reader(b"\x01\x02", "thing")
        reader.byte()
        error = self.assertRaises(MalformedMessage, reader.end)
        self.assertIn("thing has 1 trailing", str(error))
        self.assertEqual(b"\x02", reader.rest())
        reader.end()
