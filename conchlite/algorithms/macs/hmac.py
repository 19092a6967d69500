"""
HMAC, RFC 2104, with the hashes of RFC 6668: the MACs of a connection. Legacy are
those with the hashes of RFC 4253 section 6.4.

The hash of a key's inner and of its outer padding is computed once and copied
for each packet. L{hmac.new} would do it anew each time, which costs as much as
hashing a small packet.
"""

from __future__ import annotations

import hashlib
import hmac

from conchlite.algorithms.base import MAC
from conchlite.error import BadMAC
from conchlite.wire.types import Buffer

HMAC_SHA2_256 = MAC("sha256", 32, 32, False)
HMAC_SHA2_512 = MAC("sha512", 64, 64, False)
HMAC_SHA2_256_ETM = MAC("sha256", 32, 32, True)
HMAC_SHA2_512_ETM = MAC("sha512", 64, 64, True)
HMAC_SHA1 = MAC("sha1", 20, 20, False)
HMAC_SHA1_ETM = MAC("sha1", 20, 20, True)
HMAC_SHA1_96 = MAC("sha1", 20, 12, False)
HMAC_MD5 = MAC("md5", 16, 16, False)


class KeyedHMAC:
    """
    An HMAC with its key.

    What is authenticated comes in two pieces, so that a caller need not copy
    a packet to put its sequence number before it.

    @ivar mac: which HMAC it is.
    """

    __slots__ = ("_inner", "_outer", "_tagSize", "mac")

    def __init__(self, mac: MAC, key: bytes) -> None:
        blockSize = hashlib.new(mac.hashName).block_size
        if len(key) > blockSize:
            key = hashlib.new(mac.hashName, key).digest()
        key = key.ljust(blockSize, b"\0")
        self.mac = mac
        self._tagSize = mac.tagSize
        self._inner = hashlib.new(mac.hashName, bytes(byte ^ 0x36 for byte in key))
        self._outer = hashlib.new(mac.hashName, bytes(byte ^ 0x5C for byte in key))

    def tag(self, head: bytes, body: Buffer) -> bytes:
        """
        The tag of C{head} and C{body}, one behind the other.
        """
        inner = self._inner.copy()
        inner.update(head)
        inner.update(body)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()[: self._tagSize]

    def verify(self, head: bytes, body: Buffer, tag: Buffer) -> None:
        """
        Compare in constant time.

        @raise BadMAC: C{tag} is not the tag of C{head} and C{body}.
        """
        if not hmac.compare_digest(self.tag(head, body), tag):
            raise BadMAC("a packet is not authentic")
