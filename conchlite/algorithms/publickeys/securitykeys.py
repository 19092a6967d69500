"""
Security keys, C{sk-ssh-ed25519@openssh.com} and
C{sk-ecdsa-sha2-nistp256@openssh.com}: OpenSSH's PROTOCOL.u2f.

The private half never leaves the device. What a file has is a handle by which
the device knows the key again, so that an agent can sign with it, and nobody
here.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from conchlite.algorithms.publickeys import ecdsa, ed25519
from conchlite.algorithms.publickeys.signatures import TOUCHED, Presence
from conchlite.error import (
    BadSignature,
    BadSignatureAlgorithmError,
    MalformedMessage,
    UsageError,
    safe,
)
from conchlite.wire.publickeys import SecurityKeyFields, SecurityKeySignature, SecurityKeySigned
from conchlite.wire.types import Reader, packString

if TYPE_CHECKING:
    from conchlite.algorithms.base import KeyType

# What the flags of a signature say, CTAP section 5.2 and FIDO U2F.
_USER_PRESENT = 0x01
_USER_VERIFIED = 0x04


@dataclass(frozen=True)
class SecurityPublicKey:
    """
    The public key of a security key.

    @ivar key: C{cryptography}'s own object.
    @ivar application: whom the device made it for, such as C{b"ssh:"}.
    """

    key: Any
    application: bytes


@dataclass(frozen=True)
class SecurityKeyHandle:
    """
    What stands where another key has its private half.

    @ivar public: the public key.
    @ivar flags: what the device was asked to ask for.
    @ivar handle: how the device knows the key again.
    @ivar reserved: what nobody has given a meaning yet.
    """

    public: SecurityPublicKey
    flags: int
    handle: bytes = field(repr=False)
    reserved: bytes = b""

    def public_key(self) -> SecurityPublicKey:
        return self.public


class SecurityKeyType:
    """
    The security keys of one kind.
    """

    def __init__(self, name: bytes, plain: KeyType) -> None:
        """
        @param plain: the type whose signatures the device makes.
        """
        self.name = name
        self.family = plain.family
        self.signatureAlgorithms = (name,)
        self._plain = plain

    def owns(self, key: object) -> bool:
        public = key.public if isinstance(key, SecurityKeyHandle) else key
        return isinstance(public, SecurityPublicKey) and self._plain.owns(public.key)

    def publicHalf(self, key: SecurityPublicKey | SecurityKeyHandle) -> SecurityPublicKey:
        return key.public if isinstance(key, SecurityKeyHandle) else key

    def size(self, key: SecurityPublicKey | SecurityKeyHandle) -> int:
        return self._plain.size(self.publicHalf(key).key)

    def numbers(self, key: SecurityPublicKey | SecurityKeyHandle) -> dict[str, int | bytes]:
        public = self.publicHalf(key)
        return {**self._plain.numbers(public.key), "application": public.application}

    def generate(self, bits: int | None) -> NoReturn:
        raise UsageError("a security key is made by the device itself: ssh-keygen -t ed25519-sk")

    def read(self, reader: Reader) -> SecurityPublicKey:
        key = self._plain.read(reader)
        return SecurityPublicKey(key, reader.string())

    def pack(self, key: SecurityPublicKey) -> bytes:
        return self._plain.pack(key.key) + packString(key.application)

    def readPrivate(self, reader: Reader) -> SecurityKeyHandle:
        public = self.read(reader)
        fields = SecurityKeyFields.read(reader)
        return SecurityKeyHandle(public, fields.flags, fields.handle, fields.reserved)

    def packPrivate(self, key: SecurityKeyHandle) -> bytes:
        return self.pack(key.public) + SecurityKeyFields(key.flags, key.handle, key.reserved).pack()

    def sign(self, key: object, algorithm: bytes, data: bytes) -> NoReturn:
        if algorithm != self.name:
            raise BadSignatureAlgorithmError(
                f"an {safe(self.name)} key makes no {safe(algorithm)} signatures"
            )
        raise UsageError(
            "only its device signs with a security key: give it to an agent with ssh-add, and let that sign"
        )

    def verify(
        self,
        key: SecurityPublicKey,
        algorithm: bytes,
        signature: bytes,
        data: bytes,
        presence: Presence = TOUCHED,
    ) -> None:
        """
        @param signature: all that follows the algorithm's name: the device's
            signature, its flags and its counter.
        @param presence: what the flags have to say.
        """
        if algorithm != self.name:
            raise BadSignature(f"a {safe(algorithm)} signature by an {safe(self.name)} key")
        try:
            made = SecurityKeySignature.unpack(signature)
        except MalformedMessage as malformed:
            raise BadSignature(malformed.value) from None
        # The counter is told to nobody who could compare it with the last
        # one; OpenSSH does not look at it either.
        signed = SecurityKeySigned(made.flags, made.counter).pack()
        covered = _sha256(key.application) + signed + _sha256(data)
        self._plain.verify(key.key, self._plain.name, made.signature, covered)
        if presence.touch and not made.flags & _USER_PRESENT:
            raise BadSignature("a signature by a security key that nobody touched")
        if presence.verification and not made.flags & _USER_VERIFIED:
            raise BadSignature("a signature by a security key that did not verify who touched it")


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


ED25519 = SecurityKeyType(b"sk-ssh-ed25519@openssh.com", ed25519.ED25519)
NISTP256 = SecurityKeyType(b"sk-ecdsa-sha2-nistp256@openssh.com", ecdsa.NISTP256)
