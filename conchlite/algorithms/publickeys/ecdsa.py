"""
ECDSA keys on the NIST curves: RFC 5656 section 3.

Points are taken uncompressed only (RFC 5656 lets a peer refuse the compressed
form, and nobody sends it), and the library refuses those that are not on the
curve. Nonces are the library's business alone: CVE-2024-31497 was a program's
own way to make them.
"""

from __future__ import annotations

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from conchlite.error import BadSignature, BadSignatureAlgorithmError, MalformedMessage, UsageError, safe
from conchlite.wire.types import Reader, packMPInt, packString

# SEC 1 section 2.3.3: the first byte of an uncompressed point.
_UNCOMPRESSED = 4


class ECDSA:
    """
    The key type of one curve.
    """

    family = "EC"

    def __init__(self, curveName: bytes, curve: ec.EllipticCurve, hashAlgorithm: HashAlgorithm) -> None:
        """
        @param curveName: the curve's name in RFC 5656 section 10.1.
        @param hashAlgorithm: the curve's hash, RFC 5656 section 6.2.1.
        """
        self.name = b"ecdsa-sha2-" + curveName
        self.signatureAlgorithms = (self.name,)
        self._curveName = curveName
        self._curve = curve
        self._scheme = ec.ECDSA(hashAlgorithm)
        self._pointSize = 1 + 2 * ((curve.key_size + 7) // 8)

    def owns(self, key: object) -> bool:
        return (
            isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey)
            and key.curve.name == self._curve.name
        )

    def publicHalf(
        self, key: ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey
    ) -> ec.EllipticCurvePublicKey:
        return key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key

    def size(self, key: ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey) -> int:
        return self._curve.key_size

    def numbers(self, key: ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey) -> dict[str, int | bytes]:
        point = self.publicHalf(key).public_numbers()
        numbers: dict[str, int | bytes] = {"x": point.x, "y": point.y, "curve": self.name}
        if isinstance(key, ec.EllipticCurvePrivateKey):
            numbers["privateValue"] = key.private_numbers().private_value
        return numbers

    def generate(self, bits: int | None) -> ec.EllipticCurvePrivateKey:
        if bits not in (None, self._curve.key_size):
            raise UsageError(f"a key on {safe(self._curveName)} has {self._curve.key_size} bits, not {bits}")
        return ec.generate_private_key(self._curve)

    def _point(self, key: ec.EllipticCurvePublicKey) -> bytes:
        # Written out, as the library's own way costs the import of all that
        # it knows about serialization.
        numbers, size = key.public_numbers(), self._pointSize // 2
        return bytes((_UNCOMPRESSED,)) + numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")

    def read(self, reader: Reader) -> ec.EllipticCurvePublicKey:
        curveName = reader.string()
        if curveName != self._curveName:
            raise MalformedMessage(f"an {safe(self.name)} key on the curve {safe(curveName)}")
        point = reader.stringView()
        if len(point) != self._pointSize or point[0] != _UNCOMPRESSED:
            raise MalformedMessage(f"no uncompressed point of {safe(self._curveName)}")
        try:
            return ec.EllipticCurvePublicKey.from_encoded_point(self._curve, bytes(point))
        except ValueError:
            raise MalformedMessage(f"a point that is not on {safe(self._curveName)}") from None

    def pack(self, key: ec.EllipticCurvePublicKey) -> bytes:
        return packString(self._curveName) + packString(self._point(key))

    def readPrivate(self, reader: Reader) -> ec.EllipticCurvePrivateKey:
        public = self.read(reader)
        value = reader.mpint()
        if not 0 < value < self._curve.group_order:
            raise MalformedMessage(f"a private value out of range for {safe(self._curveName)}")
        key = ec.derive_private_key(value, self._curve)
        if self._point(key.public_key()) != self._point(public):
            raise MalformedMessage("an ECDSA private key with another key's public half")
        return key

    def packPrivate(self, key: ec.EllipticCurvePrivateKey) -> bytes:
        return self.pack(key.public_key()) + packMPInt(key.private_numbers().private_value)

    def sign(self, key: ec.EllipticCurvePrivateKey, algorithm: bytes, data: bytes) -> bytes:
        if algorithm not in self.signatureAlgorithms:
            raise BadSignatureAlgorithmError(
                f"an {safe(self.name)} key makes no {safe(algorithm)} signatures"
            )
        r, s = decode_dss_signature(key.sign(data, self._scheme))
        return packMPInt(r) + packMPInt(s)

    def verify(self, key: ec.EllipticCurvePublicKey, algorithm: bytes, signature: bytes, data: bytes) -> None:
        if algorithm not in self.signatureAlgorithms:
            raise BadSignature(f"a {safe(algorithm)} signature by an {safe(self.name)} key")
        reader = Reader(signature, "ECDSA signature")
        try:
            r, s = reader.mpint(), reader.mpint()
            reader.end()
        except MalformedMessage as malformed:
            raise BadSignature(malformed.value) from None
        # FIPS 186-5 section 6.4.2, step 1. Zero is what CVE-2022-21449 let in.
        order = self._curve.group_order
        if not (0 < r < order and 0 < s < order):
            raise BadSignature("an ECDSA signature out of range")
        try:
            key.verify(encode_dss_signature(r, s), data, self._scheme)
        except (InvalidSignature, InternalError, UnsupportedAlgorithm, ValueError):
            raise BadSignature("the ECDSA signature does not verify") from None


NISTP256 = ECDSA(b"nistp256", ec.SECP256R1(), SHA256())
NISTP384 = ECDSA(b"nistp384", ec.SECP384R1(), SHA384())
NISTP521 = ECDSA(b"nistp521", ec.SECP521R1(), SHA512())
