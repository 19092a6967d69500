"""
C{ecdh-sha2-nistp256}, C{-nistp384} and C{-nistp521}: RFC 5656 section 4.
"""

from __future__ import annotations

from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec

from conchlite.error import KeyExchangeFailed
from conchlite.wire.types import packMPInt

_UNCOMPRESSED = 4


class ECDH:
    """
    Diffie-Hellman on one of NIST's curves, with cofactor 1.

    Points are uncompressed: RFC 5656 section 3.1 lets an implementation do
    without the other forms, and nobody sends them. The curves' order is prime,
    so a point on the curve needs no other check.
    """

    choosesGroup: Literal[False] = False

    def __init__(self, curve: ec.EllipticCurve, hashName: str) -> None:
        self.hashName = hashName
        self._curve = curve
        self._coordinateSize = (curve.key_size + 7) // 8

    def keypair(self) -> tuple[bytes, ec.EllipticCurvePrivateKey]:
        private = ec.generate_private_key(self._curve)
        return self._encode(private.public_key()), private

    def encapsulate(self, clientPublic: bytes) -> tuple[bytes, bytes]:
        # Read before a key is made: a bad value costs next to nothing.
        peer = self._decode(clientPublic)
        public, private = self.keypair()
        return public, self._agree(private, peer)

    def decapsulate(self, private: ec.EllipticCurvePrivateKey, serverPublic: bytes) -> bytes:
        return self._agree(private, self._decode(serverPublic))

    def _encode(self, key: ec.EllipticCurvePublicKey) -> bytes:
        # By hand, since cryptography's serialization takes 40 ms to import.
        numbers = key.public_numbers()
        size = self._coordinateSize
        return bytes((_UNCOMPRESSED,)) + numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")

    def _decode(self, point: bytes) -> ec.EllipticCurvePublicKey:
        if len(point) != 1 + 2 * self._coordinateSize or point[0] != _UNCOMPRESSED:
            raise KeyExchangeFailed(f"no uncompressed point of {self._curve.name}")
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(self._curve, point)
        except ValueError:
            raise KeyExchangeFailed(f"a point that is not on {self._curve.name}") from None

    def _agree(self, private: ec.EllipticCurvePrivateKey, peer: ec.EllipticCurvePublicKey) -> bytes:
        return packMPInt(int.from_bytes(private.exchange(ec.ECDH(), peer), "big"))


NISTP256 = ECDH(ec.SECP256R1(), "sha256")
NISTP384 = ECDH(ec.SECP384R1(), "sha384")
NISTP521 = ECDH(ec.SECP521R1(), "sha512")
