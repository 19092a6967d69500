"""
C{aes128-cbc}, C{aes192-cbc} and C{aes256-cbc}: RFC 4253 section 6.3. Legacy.

The last block of a packet is the initial vector of the next, so one context
serves a direction from NEWKEYS to NEWKEYS. Whoever sees that block can choose a
text that fits it, and whoever sees where an error was found learns what a block
says that he put in packet_length's place (CVE-2008-5161): against the second
there is L{CBCOpener}, against the first nothing but not to use CBC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm, Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from conchlite.algorithms.ciphers.composition import (
    EncryptAndMACOpener,
    EncryptAndMACSealer,
    composedOpener,
    composedSealer,
)
from conchlite.algorithms.macs.hmac import KeyedHMAC
from conchlite.wire.types import packUInt32

if TYPE_CHECKING:
    from conchlite.algorithms.base import MAC, Opener, Sealer


class CBCSealer(EncryptAndMACSealer):
    """
    The outgoing direction, encrypt-and-MAC.
    """

    __slots__ = ()

    def sealInto(self, sequence: int, packet: bytes, out: memoryview) -> None:
        # cryptography wants room for a block more than it writes, and the tag
        # of hmac-sha1-96 is shorter than that.
        out[:] = self.seal(sequence, packet)


class CBCOpener(EncryptAndMACOpener):
    """
    The incoming direction, encrypt-and-MAC.
    """

    __slots__ = ()

    def discard(self, sequence: int, rest: memoryview) -> None:
        self._authenticator.tag(packUInt32(sequence), self._context.update(rest))


class CBCCipher:
    """
    A block cipher in CBC mode with one size of key.
    """

    hasOwnMAC = False

    def __init__(self, algorithm: Callable[[bytes], BlockCipherAlgorithm], keySize: int, ivSize: int) -> None:
        """
        @param algorithm: makes the block cipher of its key.
        @param ivSize: bytes of a block.
        """
        self._algorithm = algorithm
        self.keySize = keySize
        self.ivSize = ivSize

    def sealer(self, key: bytes, iv: bytes, mac: MAC | None, macKey: bytes) -> Sealer:
        context = Cipher(self._algorithm(key), CBC(iv)).encryptor()
        if mac is None or mac.encryptThenMAC:
            return composedSealer(context, self.ivSize, mac, macKey)
        return CBCSealer(context, self.ivSize, KeyedHMAC(mac, macKey))

    def opener(self, key: bytes, iv: bytes, mac: MAC | None, macKey: bytes) -> Opener:
        context = Cipher(self._algorithm(key), CBC(iv)).decryptor()
        if mac is None or mac.encryptThenMAC:
            return composedOpener(context, self.ivSize, mac, macKey)
        return CBCOpener(context, self.ivSize, KeyedHMAC(mac, macKey))


AES128_CBC = CBCCipher(AES, 16, 16)
AES192_CBC = CBCCipher(AES, 24, 16)
AES256_CBC = CBCCipher(AES, 32, 16)
