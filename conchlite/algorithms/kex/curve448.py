"""
C{curve448-sha512}: RFC 8731, on the curve of RFC 7748 section 4.2.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey

from conchlite.algorithms.kex.curves import CurveExchange
from conchlite.error import KeyExchangeFailed


class X448Curve:
    """
    X448: every string of 56 bytes is a public value.
    """

    publicSize = 56

    def keypair(self) -> tuple[bytes, X448PrivateKey]:
        private = X448PrivateKey.generate()
        return private.public_key().public_bytes_raw(), private

    def read(self, public: bytes) -> X448PublicKey:
        if len(public) != self.publicSize:
            raise KeyExchangeFailed(f"an X448 public value of {len(public)} bytes")
        return X448PublicKey.from_public_bytes(public)

    def agree(self, private: X448PrivateKey, peer: X448PublicKey) -> bytes:
        try:
            return private.exchange(peer)
        except ValueError:
            # As with X25519: an all-zero secret is refused, RFC 8731 section 3.
            raise KeyExchangeFailed("an X448 public value of small order") from None


CURVE448 = CurveExchange(X448Curve(), "sha512")
