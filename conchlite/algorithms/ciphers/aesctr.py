"""
C{aes128-ctr}, C{aes192-ctr} and C{aes256-ctr}: RFC 4344 section 4.

The counter runs on from packet to packet, so one context serves a direction
from NEWKEYS to NEWKEYS.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from conchlite.algorithms.ciphers.composition import composedOpener, composedSealer

if TYPE_CHECKING:
    from conchlite.algorithms.base import MAC, Opener, Sealer

_BLOCK_SIZE = 16


class AESCTRCipher:
    """
    AES in counter mode with one size of key.
    """

    ivSize = _BLOCK_SIZE
    hasOwnMAC = False

    def __init__(self, keySize: int) -> None:
        self.keySize = keySize

    def sealer(self, key: bytes, iv: bytes, mac: MAC | None, macKey: bytes) -> Sealer:
        return composedSealer(Cipher(AES(key), CTR(iv)).encryptor(), _BLOCK_SIZE, mac, macKey)

    def opener(self, key: bytes, iv: bytes, mac: MAC | None, macKey: bytes) -> Opener:
        return composedOpener(Cipher(AES(key), CTR(iv)).decryptor(), _BLOCK_SIZE, mac, macKey)


AES128_CTR = AESCTRCipher(16)
AES192_CTR = AESCTRCipher(24)
AES256_CTR = AESCTRCipher(32)
