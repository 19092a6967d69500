"""
RSA keys: RFC 4253 section 6.6 for the blob, RFC 8332 for the signatures.

C{ssh-rsa} is the name of the key type, and that of RFC 4253's signatures, which
are of SHA-1: those are made and judged where they were agreed on by that name,
and it is in no list unless a program has put it there.
"""

from __future__ import annotations

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPrivateNumbers,
    RSAPublicKey,
    RSAPublicNumbers,
    generate_private_key,
    rsa_crt_iqmp,
)
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA512, HashAlgorithm

from conchlite.error import (
    BadSignature,
    BadSignatureAlgorithmError,
    MalformedMessage,
    UsageError,
    WeakKey,
    safe,
)
from conchlite.wire.types import Reader, packMPInt

#: The largest modulus that is read: OpenSSL refuses to compute with more.
MAXIMUM_MODULUS_BITS = 16384

#: What C{RSA.generate} makes when nobody says: 128 bits of strength, SP 800-57.
DEFAULT_BITS = 3072

# The smallest that the library generates.
_MINIMUM_GENERATED_BITS = 1024

# What makes verification slow is the exponent; 2^32 is far above any in use.
_MAXIMUM_EXPONENT = 2**32

_HASHES: dict[bytes, type[HashAlgorithm]] = {
    b"rsa-sha2-512": SHA512,
    b"rsa-sha2-256": SHA256,
    b"ssh-rsa": SHA1,
}


def _checkPublic(e: int, n: int) -> None:
    """
    Refuse, before any arithmetic, what would take long or make no sense:
    a modulus of 100000 bits kept a server busy for minutes (CVE-2026-39829).
    """
    if n <= 0 or n.bit_length() > MAXIMUM_MODULUS_BITS or not n & 1:
        raise MalformedMessage("an RSA modulus that is even, negative or too large")
    if not (3 <= e < _MAXIMUM_EXPONENT and e & 1 and e < n):
        raise MalformedMessage("an RSA exponent that is even, negative or too large")


class RSAKeyType:
    """
    The key type C{ssh-rsa}.
    """

    name = b"ssh-rsa"
    family = "RSA"
    signatureAlgorithms = tuple(_HASHES)

    def owns(self, key: object) -> bool:
        return isinstance(key, RSAPublicKey | RSAPrivateKey)

    def publicHalf(self, key: RSAPublicKey | RSAPrivateKey) -> RSAPublicKey:
        return key.public_key() if isinstance(key, RSAPrivateKey) else key

    def size(self, key: RSAPublicKey | RSAPrivateKey) -> int:
        return key.key_size

    def numbers(self, key: RSAPublicKey | RSAPrivateKey) -> dict[str, int | bytes]:
        public = self.publicHalf(key).public_numbers()
        numbers: dict[str, int | bytes] = {"n": public.n, "e": public.e}
        if isinstance(key, RSAPrivateKey):
            private = key.private_numbers()
            numbers |= {
                "d": private.d,
                "p": private.p,
                "q": private.q,
                "u": rsa_crt_iqmp(private.p, private.q),
            }
        return numbers

    def generate(self, bits: int | None) -> RSAPrivateKey:
        size = DEFAULT_BITS if bits is None else bits
        if not _MINIMUM_GENERATED_BITS <= size <= MAXIMUM_MODULUS_BITS:
            allowed = f"from {_MINIMUM_GENERATED_BITS} to {MAXIMUM_MODULUS_BITS}"
            raise UsageError(f"an RSA key of {size} bits, where there are those {allowed}")
        return generate_private_key(65537, size)

    def read(self, reader: Reader) -> RSAPublicKey:
        e, n = reader.mpint(), reader.mpint()
        return self.fromPublicNumbers(n, e)

    def fromPublicNumbers(self, n: int, e: int) -> RSAPublicKey:
        """
        @raise MalformedMessage: they make no key, or one beyond the bounds.
        """
        _checkPublic(e, n)
        try:
            return RSAPublicNumbers(e, n).public_key()
        except ValueError:
            raise MalformedMessage("no RSA public key") from None

    def fromPrivateNumbers(self, n: int, e: int, d: int, p: int, q: int) -> RSAPrivateKey:
        """
        The key of these numbers; what the Chinese remainder theorem wants
        besides is computed anew, as a wrong number there makes signatures
        that give the key away.

        @raise MalformedMessage: they make no key, or one beyond the bounds.
        """
        _checkPublic(e, n)
        if not (1 < p < n and 1 < q < n and 1 < d < n and p * q == n):
            raise MalformedMessage("RSA numbers that do not belong together")
        try:
            return RSAPrivateNumbers(
                p=p,
                q=q,
                d=d,
                dmp1=d % (p - 1),
                dmq1=d % (q - 1),
                iqmp=rsa_crt_iqmp(p, q),
                public_numbers=RSAPublicNumbers(e, n),
            ).private_key()
        except ValueError:
            raise MalformedMessage("RSA numbers that do not belong together") from None

    def pack(self, key: RSAPublicKey) -> bytes:
        numbers = key.public_numbers()
        return packMPInt(numbers.e) + packMPInt(numbers.n)

    def readPrivate(self, reader: Reader) -> RSAPrivateKey:
        n, e, d = reader.mpint(), reader.mpint(), reader.mpint()
        iqmp, p, q = reader.mpint(), reader.mpint(), reader.mpint()
        key = self.fromPrivateNumbers(n, e, d, p, q)
        if iqmp * q % p != 1:
            raise MalformedMessage("RSA numbers that do not belong together")
        return key

    def packPrivate(self, key: RSAPrivateKey) -> bytes:
        private = key.private_numbers()
        public = private.public_numbers
        iqmp = rsa_crt_iqmp(private.p, private.q)
        return b"".join(map(packMPInt, (public.n, public.e, private.d, iqmp, private.p, private.q)))

    def sign(self, key: RSAPrivateKey, algorithm: bytes, data: bytes) -> bytes:
        if algorithm not in _HASHES:
            raise BadSignatureAlgorithmError(f"an RSA key makes no {safe(algorithm)} signatures")
        try:
            signature = key.sign(data, PKCS1v15(), _HASHES[algorithm]())
        except ValueError:
            raise WeakKey(f"an RSA key of {key.key_size} bits is too small for {safe(algorithm)}") from None
        # A single wrong signature, made by a faulty machine, lets anyone who
        # sees it factor the key (Ryan, He, Sullivan, Heninger 2023).
        self.verify(key.public_key(), algorithm, signature, data)
        return signature

    def verify(self, key: RSAPublicKey, algorithm: bytes, signature: bytes, data: bytes) -> None:
        if algorithm not in _HASHES:
            raise BadSignature(f"a {safe(algorithm)} signature by an RSA key")
        size = (key.key_size + 7) // 8
        if not 0 < len(signature) <= size:
            raise BadSignature(f"an RSA signature of {len(signature)} bytes by a key of {size}")
        # Some peers leave out leading zero bytes; OpenSSH's ssh_rsa_verify
        # puts them back too.
        try:
            key.verify(signature.rjust(size, b"\0"), data, PKCS1v15(), _HASHES[algorithm]())
        except (InvalidSignature, InternalError, UnsupportedAlgorithm, ValueError):
            raise BadSignature("the RSA signature does not verify") from None


RSA = RSAKeyType()
