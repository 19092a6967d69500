"""
The exchange hash and the keys that come of it: RFC 4253 sections 7.2 and 8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from conchlite.wire.types import packString


def exchangeHash(
    hashName: str,
    clientVersion: bytes,
    serverVersion: bytes,
    clientKexInit: bytes,
    serverKexInit: bytes,
    hostKey: bytes,
    method: Iterable[bytes],
) -> bytes:
    """
    The exchange hash H.

    @param clientKexInit: the payload of the client's KEXINIT, its number included.
    @param serverKexInit: the same of the server's.
    @param method: what the method adds, each part packed: the public values
        and the shared secret, and for group exchange the sizes and the group.
    """
    digest = hashlib.new(hashName)
    for part in (clientVersion, serverVersion, clientKexInit, serverKexInit, hostKey):
        digest.update(packString(part))
    for part in method:
        digest.update(part)
    return digest.digest()


class KeyDerivation:
    """
    Derives the keys of one exchange, RFC 4253 section 7.2.
    """

    def __init__(self, hashName: str, sharedSecret: bytes, exchangeHash: bytes, sessionID: bytes) -> None:
        """
        @param sharedSecret: K, packed.
        @param sessionID: the exchange hash of the connection's first exchange.
        """
        self._hashName = hashName
        self._start = sharedSecret + exchangeHash
        self._sessionID = sessionID

    def key(self, letter: bytes, size: int) -> bytes:
        """
        @param letter: C{A} and C{B} for the initial vectors, C{C} and C{D} for
            the cipher's keys, C{E} and C{F} for the MAC's; the first of each
            pair is for what the client sends.
        @param size: the number of bytes wanted.
        """
        key = self._hash(letter + self._sessionID)
        while len(key) < size:
            key += self._hash(key)
        return key[:size]

    def _hash(self, end: bytes) -> bytes:
        return hashlib.new(self._hashName, self._start + end).digest()
