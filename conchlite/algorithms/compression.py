"""
C{zlib} and C{zlib@openssh.com}: RFC 4253 section 6.2 and
draft-miller-secsh-compression-delayed.

One deflate stream runs through all the packets of a direction, from NEWKEYS to
NEWKEYS, and is flushed behind each of them, so that a packet can be read as
soon as it is there. What is compressed is the payload, its number included.

Secrets and what an attacker can choose must not share a stream: the length of
what goes out tells how alike they are (CVE-2012-4929). And what comes in is
parsed by C code, with C{zlib} before anybody has logged in (CVE-2016-10012).
So neither is offered unless a program asks for it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from conchlite.error import BadCompression
from conchlite.wire.types import Buffer

# OpenSSH's choice, in the middle between speed and size.
_LEVEL = 6


class ZlibDeflater:
    """
    The outgoing direction.
    """

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream = zlib.compressobj(_LEVEL)

    def deflate(self, parts: Sequence[Buffer]) -> bytes:
        compress = self._stream.compress
        pieces = [compress(part) for part in parts]
        pieces.append(self._stream.flush(zlib.Z_PARTIAL_FLUSH))
        return b"".join(pieces)


class ZlibInflater:
    """
    The incoming direction.
    """

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()

    def inflate(self, data: Buffer, limit: int) -> bytes:
        try:
            # One byte more than may be, for what is beyond the limit can wait
            # inside of zlib, where unconsumed_tail does not show it.
            payload = self._stream.decompress(data, limit + 1)
        except zlib.error as error:
            raise BadCompression(f"a packet cannot be inflated: {error}") from None
        if len(payload) > limit:
            raise BadCompression(f"a packet inflates to more than {limit} bytes")
        if self._stream.eof:
            raise BadCompression("the compressed stream ends within a connection")
        return payload


class ZlibCompression:
    """
    C{zlib}, from either of two times on.
    """

    def __init__(self, delayed: bool) -> None:
        self.delayed = delayed

    def deflater(self) -> ZlibDeflater:
        return ZlibDeflater()

    def inflater(self) -> ZlibInflater:
        return ZlibInflater()


ZLIB = ZlibCompression(delayed=False)
ZLIB_OPENSSH = ZlibCompression(delayed=True)
