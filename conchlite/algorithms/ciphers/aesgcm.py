"""
C{aes128-gcm@openssh.com} and C{aes256-gcm@openssh.com}: RFC 5647 as OpenSSH
PROTOCOL 1.6 negotiates it.

packet_length travels in clear and is authenticated as associated data. The
12 bytes of IV are 4 that stay and a counter of 8 that grows by one with every
packet, RFC 5647 section 7.1; the sequence number has no part in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from conchlite.error import BadMAC

if TYPE_CHECKING:
    from conchlite.algorithms.base import MAC

_FIXED_SIZE = 4
_TAG_SIZE = 16
# The counter begins at 8 bytes of key material, so it may wrap.
_COUNTER_MASK = 0xFFFFFFFFFFFFFFFF


class AESGCMSealer:
    """
    The outgoing direction.
    """

    __slots__ = ("_counter", "_encrypt", "_encryptInto", "_fixed")

    alignment = 16
    clearSize = 4
    tagSize = _TAG_SIZE

    def __init__(self, key: bytes, iv: bytes) -> None:
        aead = AESGCM(key)
        self._encrypt = aead.encrypt
        self._encryptInto = aead.encrypt_into
        self._fixed = iv[:_FIXED_SIZE]
        self._counter = int.from_bytes(iv[_FIXED_SIZE:], "big")

    def seal(self, sequence: int, packet: bytes) -> bytes:
        counter = self._counter
        self._counter = (counter + 1) & _COUNTER_MASK
        length = packet[:4]
        return length + self._encrypt(self._fixed + counter.to_bytes(8, "big"), packet[4:], length)

    def sealInto(self, sequence: int, packet: bytes, out: memoryview) -> None:
        counter = self._counter
        self._counter = (counter + 1) & _COUNTER_MASK
        length = packet[:4]
        out[:4] = length
        self._encryptInto(self._fixed + counter.to_bytes(8, "big"), memoryview(packet)[4:], length, out[4:])


class AESGCMOpener:
    """
    The incoming direction.
    """

    __slots__ = ("_counter", "_decrypt", "_fixed")

    headSize = 4
    alignment = 16
    clearSize = 4
    tagSize = _TAG_SIZE
    discard = None

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._decrypt = AESGCM(key).decrypt
        self._fixed = iv[:_FIXED_SIZE]
        self._counter = int.from_bytes(iv[_FIXED_SIZE:], "big")

    def packetLength(self, sequence: int, head: memoryview) -> int:
        return int.from_bytes(head, "big")

    def open(self, sequence: int, packet: memoryview) -> bytes:
        counter = self._counter
        self._counter = (counter + 1) & _COUNTER_MASK
        try:
            return self._decrypt(self._fixed + counter.to_bytes(8, "big"), packet[4:], packet[:4])
        except InvalidTag:
            raise BadMAC(f"packet {sequence} is not authentic") from None


class AESGCMCipher:
    """
    AES-GCM with one size of key.
    """

    ivSize = 12
    hasOwnMAC = True

    def __init__(self, keySize: int) -> None:
        self.keySize = keySize

    def sealer(self, key: bytes, iv: bytes, mac: MAC | None, macKey: bytes) -> AESGCMSealer:
        return AESGCMSealer(key, iv)

    def opener(self, key: bytes, iv: bytes, mac: MAC | None, macKey: bytes) -> AESGCMOpener:
        return AESGCMOpener(key, iv)


AES128_GCM = AESGCMCipher(16)
AES256_GCM = AESGCMCipher(32)
