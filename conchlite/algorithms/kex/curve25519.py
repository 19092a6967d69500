"""
C{curve25519-sha256}: RFC 8731, on the curve of RFC 7748 section 4.1.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from conchlite.algorithms.kex.curves import CurveExchange
from conchlite.error import KeyExchangeFailed


class X25519Curve:
    """
    X25519: every string of 32 bytes is a public value.
    """

    publicSize = 32

    def keypair(self) -> tuple[bytes, X25519PrivateKey]:
        private = X25519PrivateKey.generate()
        return private.public_key().public_bytes_raw(), private

    def read(self, public: bytes) -> X25519PublicKey:
        if len(public) != self.publicSize:
            raise KeyExchangeFailed(f"an X25519 public value of {len(public)} bytes")
        return X25519PublicKey.from_public_bytes(public)

    def agree(self, private: X25519PrivateKey, peer: X25519PublicKey) -> bytes:
        try:
            return private.exchange(peer)
        except ValueError:
            # What RFC 8731 section 3 asks for: cryptography refuses an
            # all-zero secret, which is what such a value gives with any key.
            raise KeyExchangeFailed("an X25519 public value of small order") from None


X25519 = X25519Curve()
CURVE25519 = CurveExchange(X25519, "sha256")
