"""
C{diffie-hellman-group14-sha256}, C{-group16-sha512} and C{-group18-sha512}:
RFC 4253 section 8 with the groups and hashes of RFC 8268. Legacy, with SHA-1,
are C{diffie-hellman-group14-sha1} and C{diffie-hellman-group1-sha1}, the two of
RFC 4253 itself.
"""

from __future__ import annotations

from typing import Literal

from conchlite.algorithms.kex.groups import RFC3526, Group, Half, judge, oakleyGroup
from conchlite.wire.types import mpintBytes, packMPInt


class FiniteField:
    """
    Diffie-Hellman modulo a prime.

    A public value is the bytes of its mpint. Its sign counts: a negative
    number is out of range.
    """

    choosesGroup: Literal[False] = False

    def __init__(self, hashName: str, group: Group) -> None:
        self.hashName = hashName
        self._group = group

    def keypair(self) -> tuple[bytes, Half]:
        half = self._group.half()
        return mpintBytes(half.public), half

    def encapsulate(self, clientPublic: bytes) -> tuple[bytes, bytes]:
        # Judged before a key is made: a bad value costs next to nothing.
        peer = self._read(clientPublic)
        half = self._group.half()
        return mpintBytes(half.public), self._agree(half, peer)

    def decapsulate(self, private: Half, serverPublic: bytes) -> bytes:
        return self._agree(private, self._read(serverPublic))

    def _read(self, public: bytes) -> int:
        value = int.from_bytes(public, "big", signed=True)
        judge(value, self._group.prime)
        return value

    def _agree(self, half: Half, peer: int) -> bytes:
        secret = half.agree(peer)
        # In a group whose prime is not safe a peer can reach the ends; no
        # honest exchange does.
        judge(secret, self._group.prime)
        return packMPInt(secret)


GROUP14_SHA256 = FiniteField("sha256", RFC3526[2048])
GROUP16_SHA512 = FiniteField("sha512", RFC3526[4096])
GROUP18_SHA512 = FiniteField("sha512", RFC3526[8192])
GROUP14_SHA1 = FiniteField("sha1", RFC3526[2048])
GROUP1_SHA1 = FiniteField("sha1", oakleyGroup())
