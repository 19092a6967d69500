"""
C{curve25519-sha256}: RFC 8731.
"""

from __future__ import annotations

from typing import Literal

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from conchlite.error import KeyExchangeFailed
from conchlite.wire.types import packMPInt

PUBLIC_SIZE = 32


def agree(private: X25519PrivateKey, peerPublic: bytes) -> bytes:
    """
    X25519, RFC 7748 section 6.1: the 32 bytes of the shared secret.

    @raise KeyExchangeFailed: the peer's value has not 32 bytes, or is one of
        those whose secret is zero whatever the private key.
    """
    if len(peerPublic) != PUBLIC_SIZE:
        raise KeyExchangeFailed(f"an X25519 public value of {len(peerPublic)} bytes")
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(peerPublic))
    except ValueError:
        # What RFC 8731 section 3 asks for: cryptography refuses an all-zero secret.
        raise KeyExchangeFailed("an X25519 public value of small order") from None


class Curve25519:
    """
    X25519 with SHA-256. The secret is an mpint: its bytes read as a number,
    most significant byte first, RFC 8731 section 3.1.
    """

    hashName = "sha256"
    choosesGroup: Literal[False] = False

    def keypair(self) -> tuple[bytes, X25519PrivateKey]:
        private = X25519PrivateKey.generate()
        return private.public_key().public_bytes_raw(), private

    def encapsulate(self, clientPublic: bytes) -> tuple[bytes, bytes]:
        public, private = self.keypair()
        return public, self.decapsulate(private, clientPublic)

    def decapsulate(self, private: X25519PrivateKey, serverPublic: bytes) -> bytes:
        return packMPInt(int.from_bytes(agree(private, serverPublic), "big"))


CURVE25519 = Curve25519()
