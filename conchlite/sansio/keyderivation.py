"""
The exchange hash, the keys that come of it, and the ciphers that get them: RFC
4253 sections 7.2 and 8.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from conchlite.algorithms import catalogue
from conchlite.sansio.negotiation import NegotiatedAlgorithms
from conchlite.sansio.role import Role
from conchlite.wire.types import packString

if TYPE_CHECKING:
    from conchlite.algorithms.base import MAC, Cipher, Opener, Sealer


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


def makeCiphers(role: Role, negotiated: NegotiatedAlgorithms, keys: KeyDerivation) -> tuple[Sealer, Opener]:
    """
    The sealer and the opener of a finished exchange.
    """

    def parameters(
        cipherName: bytes, macName: bytes | None, iv: bytes, key: bytes, macKey: bytes
    ) -> tuple[Cipher, tuple[bytes, bytes, MAC | None, bytes]]:
        cipher = catalogue.cipher(cipherName)
        mac = None if macName is None else catalogue.mac(macName)
        macKeySize = 0 if mac is None else mac.keySize
        return cipher, (
            keys.key(key, cipher.keySize),
            keys.key(iv, cipher.ivSize),
            mac,
            keys.key(macKey, macKeySize),
        )

    toServer = parameters(negotiated.cipherClientToServer, negotiated.macClientToServer, b"A", b"C", b"E")
    toClient = parameters(negotiated.cipherServerToClient, negotiated.macServerToClient, b"B", b"D", b"F")
    outgoing, incoming = (toServer, toClient) if role is Role.CLIENT else (toClient, toServer)
    return outgoing[0].sealer(*outgoing[1]), incoming[0].opener(*incoming[1])
