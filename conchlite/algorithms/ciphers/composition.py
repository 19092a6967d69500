"""
A cipher that only encrypts, together with a MAC: the two ways of RFC 4253
section 6.4 and of OpenSSH PROTOCOL 1.5.

Encrypt-and-MAC: the tag covers the sequence number and the packet in clear, and
packet_length is encrypted like the rest. The first block has to be decrypted to
learn how much belongs to the packet, before anything is known to be authentic.

Encrypt-then-MAC: packet_length is in clear, the rest encrypted, and the tag
covers the sequence number and what is sent. Nothing is decrypted that is not
authentic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import CipherContext

from conchlite.algorithms.macs.hmac import KeyedHMAC
from conchlite.error import UsageError
from conchlite.wire.types import packUInt32

if TYPE_CHECKING:
    from conchlite.algorithms.base import MAC, Opener, Sealer


def composedSealer(context: CipherContext, blockSize: int, mac: MAC | None, macKey: bytes) -> Sealer:
    """
    @param context: encrypts whole blocks, one packet after the other.
    @raise UsageError: there is no MAC.
    """
    authenticator = _authenticator(mac, macKey)
    if authenticator.mac.encryptThenMAC:
        return EncryptThenMACSealer(context, blockSize, authenticator)
    return EncryptAndMACSealer(context, blockSize, authenticator)


def composedOpener(context: CipherContext, blockSize: int, mac: MAC | None, macKey: bytes) -> Opener:
    """
    @param context: decrypts whole blocks, one packet after the other.
    @raise UsageError: there is no MAC.
    """
    authenticator = _authenticator(mac, macKey)
    if authenticator.mac.encryptThenMAC:
        return EncryptThenMACOpener(context, blockSize, authenticator)
    return EncryptAndMACOpener(context, blockSize, authenticator)


def _authenticator(mac: MAC | None, macKey: bytes) -> KeyedHMAC:
    if mac is None:
        raise UsageError("this cipher does not authenticate, and needs a MAC")
    return KeyedHMAC(mac, macKey)


class _Composition:
    """
    What every direction has, in either way: a cipher and a MAC.
    """

    __slots__ = ("_authenticator", "_context", "alignment", "tagSize")

    def __init__(self, context: CipherContext, blockSize: int, authenticator: KeyedHMAC) -> None:
        self._context = context
        self._authenticator = authenticator
        # RFC 4253 section 6: a multiple of the block size or 8, whichever is larger.
        self.alignment = max(8, blockSize)
        self.tagSize = authenticator.mac.tagSize


class EncryptAndMACSealer(_Composition):
    """
    The outgoing direction, encrypt-and-MAC.
    """

    __slots__ = ()

    clearSize = 0

    def seal(self, sequence: int, packet: bytes) -> bytes:
        return self._context.update(packet) + self._authenticator.tag(packUInt32(sequence), packet)

    def sealInto(self, sequence: int, packet: bytes, out: memoryview) -> None:
        end = len(packet)
        # It writes as much as it reads; the rest of the buffer is the tag's.
        self._context.update_into(packet, out)
        out[end:] = self._authenticator.tag(packUInt32(sequence), packet)


class EncryptAndMACOpener(_Composition):
    """
    The incoming direction, encrypt-and-MAC.
    """

    __slots__ = ("_first", "headSize")

    clearSize = 0
    discard: Callable[[int, memoryview], None] | None = None

    def __init__(self, context: CipherContext, blockSize: int, authenticator: KeyedHMAC) -> None:
        super().__init__(context, blockSize, authenticator)
        self._first = b""
        self.headSize = self.alignment

    def packetLength(self, sequence: int, head: memoryview) -> int:
        # Kept for open: the context does not go back to decrypt it again.
        first = self._first = self._context.update(head)
        return int.from_bytes(first[:4], "big")

    def open(self, sequence: int, packet: memoryview) -> bytes:
        first = self._first
        end = len(packet) - self.tagSize
        rest = self._context.update(packet[self.headSize : end])
        self._authenticator.verify(packUInt32(sequence) + first, rest, packet[end:])
        return first[4:] + rest


class EncryptThenMACSealer(_Composition):
    """
    The outgoing direction, encrypt-then-MAC.
    """

    __slots__ = ()

    clearSize = 4

    def seal(self, sequence: int, packet: bytes) -> bytes:
        length = packet[:4]
        encrypted = self._context.update(packet[4:])
        tag = self._authenticator.tag(packUInt32(sequence) + length, encrypted)
        return b"".join((length, encrypted, tag))

    def sealInto(self, sequence: int, packet: bytes, out: memoryview) -> None:
        end = len(packet)
        out[:4] = packet[:4]
        self._context.update_into(memoryview(packet)[4:], out[4:])
        out[end:] = self._authenticator.tag(packUInt32(sequence), out[:end])


class EncryptThenMACOpener(_Composition):
    """
    The incoming direction, encrypt-then-MAC.
    """

    __slots__ = ()

    headSize = 4
    clearSize = 4
    discard = None

    def packetLength(self, sequence: int, head: memoryview) -> int:
        return int.from_bytes(head, "big")

    def open(self, sequence: int, packet: memoryview) -> bytes:
        end = len(packet) - self.tagSize
        self._authenticator.verify(packUInt32(sequence), packet[:end], packet[end:])
        return self._context.update(packet[4:end])
