"""
C{chacha20-poly1305@openssh.com}: OpenSSH PROTOCOL.chacha20poly1305.

Two instances of ChaCha20 with the sequence number as their nonce: one hides
packet_length alone, so that reading the length of what is not authenticated yet
tells nothing about the key that hides the rest; the other's first block is the
key of Poly1305, and from its second block on it hides the rest. Poly1305 covers
all that is encrypted, packet_length included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.poly1305 import Poly1305

from conchlite.error import BadMAC

if TYPE_CHECKING:
    from conchlite.algorithms.base import MAC

_TAG_SIZE = 16
# The 16 bytes that cryptography calls the nonce are the block counter, 8
# bytes, and the nonce, 8 bytes: the sequence number, most significant byte
# first. Both in one are the number in 16 bytes, with the counter at 0.
_NONCE_SIZE = 16
_POLY1305_KEY_SIZE = 32
# Encrypting a block of zeros gives block 0 of the key stream, and leaves the
# context at block 1, where the payload begins: that spares a second reset.
_BLOCK = bytes(64)


def _contexts(key: bytes) -> tuple[CipherContext, CipherContext]:
    """
    The context for packet_length and the context for the rest.

    They are kept: a new one costs as much as sealing 16 KiB. Encrypting and
    decrypting are the same for a stream cipher.
    """
    # The document's K_2, for the rest, comes first; its K_1, for packet_length, second.
    rest, length = (
        Cipher(ChaCha20(half, bytes(_NONCE_SIZE)), None).encryptor() for half in (key[:32], key[32:])
    )
    return length, rest


class ChaCha20Poly1305Sealer:
    """
    The outgoing direction.
    """

    __slots__ = ("_length", "_rest")

    alignment = 8
    clearSize = 4
    tagSize = _TAG_SIZE

    def __init__(self, key: bytes) -> None:
        self._length, self._rest = _contexts(key)

    def seal(self, sequence: int, packet: bytes) -> bytes:
        nonce = sequence.to_bytes(_NONCE_SIZE, "big")
        length, rest = self._length, self._rest
        length.reset_nonce(nonce)
        rest.reset_nonce(nonce)
        polyKey = rest.update(_BLOCK)[:_POLY1305_KEY_SIZE]
        # One piece, since Poly1305 is slower on two of which one is no whole block.
        encrypted = length.update(packet[:4]) + rest.update(packet[4:])
        return encrypted + Poly1305.generate_tag(polyKey, encrypted)

    def sealInto(self, sequence: int, packet: bytes, out: memoryview) -> None:
        nonce = sequence.to_bytes(_NONCE_SIZE, "big")
        length, rest = self._length, self._rest
        length.reset_nonce(nonce)
        rest.reset_nonce(nonce)
        polyKey = rest.update(_BLOCK)[:_POLY1305_KEY_SIZE]
        out[:4] = length.update(packet[:4])
        rest.update_into(memoryview(packet)[4:], out[4:])
        out[-_TAG_SIZE:] = Poly1305.generate_tag(polyKey, out[:-_TAG_SIZE])


class ChaCha20Poly1305Opener:
    """
    The incoming direction.
    """

    __slots__ = ("_length", "_rest")

    headSize = 4
    alignment = 8
    clearSize = 4
    tagSize = _TAG_SIZE
    discard = None

    def __init__(self, key: bytes) -> None:
        self._length, self._rest = _contexts(key)

    def packetLength(self, sequence: int, head: memoryview) -> int:
        length = self._length
        length.reset_nonce(sequence.to_bytes(_NONCE_SIZE, "big"))
        return int.from_bytes(length.update(head), "big")

    def open(self, sequence: int, packet: memoryview) -> bytes:
        rest = self._rest
        rest.reset_nonce(sequence.to_bytes(_NONCE_SIZE, "big"))
        polyKey = rest.update(_BLOCK)[:_POLY1305_KEY_SIZE]
        end = len(packet) - _TAG_SIZE
        try:
            # It compares in constant time, and before anything is decrypted.
            Poly1305.verify_tag(polyKey, packet[:end], bytes(packet[end:]))
        except InvalidSignature:
            raise BadMAC(f"packet {sequence} is not authentic") from None
        return rest.update(packet[4:end])


class ChaCha20Poly1305Cipher:
    """
    The cipher and the two keys of 32 bytes that it wants.
    """

    keySize = 64
    ivSize = 0
    hasOwnMAC = True

    def sealer(self, key: bytes, iv: bytes, mac: MAC | None, macKey: bytes) -> ChaCha20Poly1305Sealer:
        return ChaCha20Poly1305Sealer(key)

    def opener(self, key: bytes, iv: bytes, mac: MAC | None, macKey: bytes) -> ChaCha20Poly1305Opener:
        return ChaCha20Poly1305Opener(key)


CHACHA20_POLY1305 = ChaCha20Poly1305Cipher()
