"""
DSA keys: C{ssh-dss} of RFC 4253 section 6.6, FIPS 186-2. Legacy.

Such a key is judged by, and a private one is read, so that a program can say
what it has in front of it. None signs: a nonce that is only a little biased
gives a DSA key away, and a signature is of SHA-1. None is written either.
"""

from __future__ import annotations

from typing import NoReturn

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.dsa import (
    DSAParameterNumbers,
    DSAPrivateKey,
    DSAPrivateNumbers,
    DSAPublicKey,
    DSAPublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA1

from conchlite.error import BadSignature, BadSignatureAlgorithmError, MalformedMessage, UsageError, safe
from conchlite.wire.types import Reader, packMPInt

# FIPS 186-2 knows 1024 bits, and ssh-keygen makes no others. Some SSH.COM
# servers have 2048. What is larger takes longer, and nobody has it.
_MODULUS_BITS = (1024, 2048)

# The hash is SHA-1, and each half of a signature has its size.
_SUBGROUP_BITS = 160
_HALF_SIZE = _SUBGROUP_BITS // 8


class DSAKeyType:
    """
    The key type C{ssh-dss}.
    """

    name = b"ssh-dss"
    family = "DSA"
    signatureAlgorithms = (b"ssh-dss",)

    def owns(self, key: object) -> bool:
        return isinstance(key, DSAPublicKey | DSAPrivateKey)

    def publicHalf(self, key: DSAPublicKey | DSAPrivateKey) -> DSAPublicKey:
        return key.public_key() if isinstance(key, DSAPrivateKey) else key

    def size(self, key: DSAPublicKey | DSAPrivateKey) -> int:
        return key.key_size

    def numbers(self, key: DSAPublicKey | DSAPrivateKey) -> dict[str, int | bytes]:
        public = self.publicHalf(key).public_numbers()
        group = public.parameter_numbers
        numbers: dict[str, int | bytes] = {"y": public.y, "g": group.g, "p": group.p, "q": group.q}
        if isinstance(key, DSAPrivateKey):
            numbers["x"] = key.private_numbers().x
        return numbers

    def generate(self, bits: int | None) -> NoReturn:
        raise UsageError("DSA keys are not made any more")

    def read(self, reader: Reader) -> DSAPublicKey:
        return self.fromPublicNumbers(*(reader.mpint() for _ in range(4)))

    def fromPublicNumbers(self, p: int, q: int, g: int, y: int) -> DSAPublicKey:
        """
        @raise MalformedMessage: they make no key, or one beyond the bounds.
        """
        # Before any arithmetic: the sizes say how long that takes.
        if p.bit_length() not in _MODULUS_BITS or q.bit_length() != _SUBGROUP_BITS:
            raise MalformedMessage(f"a DSA key of {p.bit_length()} and {q.bit_length()} bits")
        if not (p > 0 and q > 0 and p & 1 and q & 1 and 1 < g < p and 1 < y < p):
            raise MalformedMessage("DSA numbers out of range")
        try:
            return DSAPublicNumbers(y, DSAParameterNumbers(p, q, g)).public_key()
        except (UnsupportedAlgorithm, ValueError):
            raise MalformedMessage("no DSA public key") from None

    def fromPrivateNumbers(self, p: int, q: int, g: int, x: int, y: int | None = None) -> DSAPrivateKey:
        """
        @param y: the public number, which PKCS#8 leaves out.
        @raise MalformedMessage: they make no key, or one beyond the bounds.
        """
        self.fromPublicNumbers(p, q, g, 2 if y is None else y)
        if not 0 < x < q:
            raise MalformedMessage("DSA numbers out of range")
        public = DSAPublicNumbers(pow(g, x, p) if y is None else y, DSAParameterNumbers(p, q, g))
        try:
            return DSAPrivateNumbers(x, public).private_key()
        except (UnsupportedAlgorithm, ValueError):
            raise MalformedMessage("DSA numbers that do not belong together") from None

    def pack(self, key: DSAPublicKey) -> bytes:
        numbers = key.public_numbers()
        group = numbers.parameter_numbers
        return b"".join(map(packMPInt, (group.p, group.q, group.g, numbers.y)))

    def readPrivate(self, reader: Reader) -> DSAPrivateKey:
        p, q, g, y, x = (reader.mpint() for _ in range(5))
        return self.fromPrivateNumbers(p, q, g, x, y)

    def packPrivate(self, key: object) -> NoReturn:
        raise UsageError("private DSA keys are read, and not written any more")

    def sign(self, key: object, algorithm: bytes, data: bytes) -> NoReturn:
        raise BadSignatureAlgorithmError("DSA signatures are not made any more")

    def verify(self, key: DSAPublicKey, algorithm: bytes, signature: bytes, data: bytes) -> None:
        if algorithm != self.name:
            raise BadSignature(f"a {safe(algorithm)} signature by a DSA key")
        # RFC 4253 section 6.6: r and s in 160 bits each, without lengths.
        if len(signature) != 2 * _HALF_SIZE:
            raise BadSignature(f"a DSA signature of {len(signature)} bytes")
        r = int.from_bytes(signature[:_HALF_SIZE], "big")
        s = int.from_bytes(signature[_HALF_SIZE:], "big")
        try:
            key.verify(encode_dss_signature(r, s), data, SHA1())  # noqa: S303  # it is the algorithm
        except (InvalidSignature, InternalError, UnsupportedAlgorithm, ValueError):
            raise BadSignature("the DSA signature does not verify") from None


DSA = DSAKeyType()
