"""
Compression: what goes in comes out, and no packet costs more than it may.
"""

from __future__ import annotations

import tracemalloc
import zlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.algorithms.compression import ZLIB
from conchlite.error import BadCompression, UsageError
from conchlite.limits import MAXIMUM_PACKET_LENGTH

LIMIT = MAXIMUM_PACKET_LENGTH


class StreamTests(SynchronousTestCase):
    @given(st.lists(st.lists(st.binary(max_size=200), min_size=1, max_size=3), max_size=8))
    @settings(max_examples=50, deadline=None, derandomize=True)
    def test_eachPacketByItself(self, payloads: list[list[bytes]]) -> None:
        """
        Every packet can be inflated as soon as it is there, and what was said
        before makes it smaller.
        """
        deflater, inflater = ZLIB.deflater(), ZLIB.inflater()
        for parts in payloads:
            self.assertEqual(b"".join(parts), inflater.inflate(deflater.deflate(parts), LIMIT))
        said = b"".join(b"%d, " % n for n in range(500))
        first, second = deflater.deflate([said]), deflater.deflate([said])
        self.assertLess(len(second), len(first) // 10)

    def test_largest(self) -> None:
        """
        What may be in a packet may be in a compressed one.
        """
        payload = bytes(LIMIT)
        packed = ZLIB.deflater().deflate([payload])
        self.assertEqual(payload, ZLIB.inflater().inflate(packed, LIMIT))
        self.assertRaises(BadCompression, ZLIB.inflater().inflate, packed, LIMIT - 1)

    def test_bomb(self) -> None:
        """
        Row 8: what would inflate to gigabytes is refused, and costs no more
        memory than the largest packet.
        """
        stream = zlib.compressobj(9)
        bomb = b"".join(stream.compress(bytes(2**20)) for _ in range(64)) + stream.flush()
        self.assertLess(len(bomb), 2**16 + 2**10)
        for size in (1024, len(bomb)):
            inflater = ZLIB.inflater()
            tracemalloc.start()
            try:
                self.assertRaises(BadCompression, inflater.inflate, bomb[:size], LIMIT)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            self.assertLess(peak, 2**20)

    def test_hidden(self) -> None:
        """
        Row 8: what zlib keeps back counts too. (All of the packet is consumed
        then, and unconsumed_tail is empty.)
        """
        packed = ZLIB.deflater().deflate([bytes(LIMIT + 1)])
        self.assertRaises(BadCompression, ZLIB.inflater().inflate, packed, LIMIT)

    def test_broken(self) -> None:
        """
        Bytes that are no stream, and a stream that ends: nothing could come
        behind it.
        """
        for data in (b"\xff" * 20, b"", zlib.compress(b"a packet")):
            inflater = ZLIB.inflater()
            if data:
                error = self.assertRaises(BadCompression, inflater.inflate, data, LIMIT)
                self.assertEqual(6, error.reason)
            else:
                self.assertEqual(b"", inflater.inflate(data, LIMIT))

    @given(st.binary(max_size=300))
    @settings(max_examples=100, deadline=None, derandomize=True)
    def test_anyBytes(self, data: bytes) -> None:
        """
        Any bytes inflate to something or are BadCompression.
        """
        try:
            self.assertIsInstance(ZLIB.inflater().inflate(b"\x78\x9c" + data, LIMIT), bytes)
        except BadCompression:
            pass


class CatalogueTests(SynchronousTestCase):
    def test_names(self) -> None:
        self.assertEqual((b"none", b"zlib@openssh.com", b"zlib"), catalogue.compressions())
        self.assertIsNone(catalogue.compression(b"none"))
        self.assertTrue(catalogue.compression(b"zlib@openssh.com").delayed)
        self.assertFalse(catalogue.compression(b"zlib").delayed)
        self.assertRaises(UsageError, catalogue.compression, b"zstd")

    def test_offByDefault(self) -> None:
        """
        Rows 9 and 10: what is compressed tells its content by its length
        (CVE-2012-4929), and is parsed before the login (CVE-2016-10012). It
        has to be asked for.
        """
        for offer in (catalogue.CLIENT_DEFAULT, catalogue.SERVER_DEFAULT):
            self.assertEqual((b"none",), offer.compressions)
