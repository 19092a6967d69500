"""
C{ecdh-sha2-nistp256}, C{-nistp384} and C{-nistp521}: RFC 5656 section 4.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec

from conchlite.algorithms.kex.curves import CurveExchange
from conchlite.error import KeyExchangeFailed

_UNCOMPRESSED = 4


class NISTCurve:
    """
    One of NIST's curves, with cofactor 1.

    Points are uncompressed: RFC 5656 section 3.1 lets an implementation do
    without the other forms, and nobody sends them. The curves' order is prime,
    so a point on the curve needs no other check. The secret is the
    x-coordinate, as long as the field's numbers are.
    """

    def __init__(self, curve: ec.EllipticCurve) -> None:
        self._curve = curve
        self._coordinateSize = (curve.key_size + 7) // 8
        self.publicSize = 1 + 2 * self._coordinateSize

    def keypair(self) -> tuple[bytes, ec.EllipticCurvePrivateKey]:
        private = ec.generate_private_key(self._curve)
        return self.encode(private.public_key()), private

    def encode(self, key: ec.EllipticCurvePublicKey) -> bytes:
        """
        The public value of a key.
        """
        # By hand, since cryptography's serialization takes 40 ms to import.
        numbers = key.public_numbers()
        size = self._coordinateSize
        return bytes((_UNCOMPRESSED,)) + numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")

    def read(self, public: bytes) -> ec.EllipticCurvePublicKey:
        if len(public) != self.publicSize or public[0] != _UNCOMPRESSED:
            raise KeyExchangeFailed(f"no uncompressed point of {self._curve.name}")
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(self._curve, public)
        except ValueError:
            raise KeyExchangeFailed(f"a point that is not on {self._curve.name}") from None

    def agree(self, private: ec.EllipticCurvePrivateKey, peer: ec.EllipticCurvePublicKey) -> bytes:
        return private.exchange(ec.ECDH(), peer)


P256 = NISTCurve(ec.SECP256R1())
P384 = NISTCurve(ec.SECP384R1())
P521 = NISTCurve(ec.SECP521R1())

NISTP256 = CurveExchange(P256, "sha256")
NISTP384 = CurveExchange(P384, "sha384")
NISTP521 = CurveExchange(P521, "sha512")
