"""
Ed25519 keys: RFC 8709, and RFC 8032 for the signatures.
"""

from __future__ import annotations

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from conchlite.error import BadSignature, BadSignatureAlgorithmError, MalformedMessage, UsageError, safe
from conchlite.wire.types import Reader, packString

_KEY_SIZE = 32
_SIGNATURE_SIZE = 64


class Ed25519:
    """
    The key type C{ssh-ed25519}.
    """

    name = b"ssh-ed25519"
    family = "Ed25519"
    signatureAlgorithms = (b"ssh-ed25519",)

    def owns(self, key: object) -> bool:
        return isinstance(key, Ed25519PublicKey | Ed25519PrivateKey)

    def publicHalf(self, key: Ed25519PublicKey | Ed25519PrivateKey) -> Ed25519PublicKey:
        return key.public_key() if isinstance(key, Ed25519PrivateKey) else key

    def size(self, key: Ed25519PublicKey | Ed25519PrivateKey) -> int:
        return 8 * _KEY_SIZE

    def numbers(self, key: Ed25519PublicKey | Ed25519PrivateKey) -> dict[str, int | bytes]:
        numbers: dict[str, int | bytes] = {"a": self.publicHalf(key).public_bytes_raw()}
        if isinstance(key, Ed25519PrivateKey):
            numbers["k"] = key.private_bytes_raw()
        return numbers

    def generate(self, bits: int | None) -> Ed25519PrivateKey:
        if bits not in (None, 8 * _KEY_SIZE):
            raise UsageError(f"an Ed25519 key has 256 bits, not {bits}")
        return Ed25519PrivateKey.generate()

    def read(self, reader: Reader) -> Ed25519PublicKey:
        point = reader.stringView()
        if len(point) != _KEY_SIZE:
            raise MalformedMessage(f"an Ed25519 public key of {len(point)} bytes")
        return Ed25519PublicKey.from_public_bytes(bytes(point))

    def pack(self, key: Ed25519PublicKey) -> bytes:
        return packString(key.public_bytes_raw())

    def readPrivate(self, reader: Reader) -> Ed25519PrivateKey:
        # RFC 8032's private key with the public key behind it: what OpenSSH
        # and the agent's protocol call "k || ENC(A)".
        point = reader.fixed(_KEY_SIZE) if reader.uint32() == _KEY_SIZE else b""
        pair = reader.string()
        if len(point) != _KEY_SIZE or len(pair) != 2 * _KEY_SIZE:
            raise MalformedMessage("an Ed25519 private key of the wrong length")
        key = Ed25519PrivateKey.from_private_bytes(pair[:_KEY_SIZE])
        if not pair[_KEY_SIZE:] == point == key.public_key().public_bytes_raw():
            raise MalformedMessage("an Ed25519 private key with another key's public half")
        return key

    def packPrivate(self, key: Ed25519PrivateKey) -> bytes:
        point = key.public_key().public_bytes_raw()
        return packString(point) + packString(key.private_bytes_raw() + point)

    def sign(self, key: Ed25519PrivateKey, algorithm: bytes, data: bytes) -> bytes:
        if algorithm not in self.signatureAlgorithms:
            raise BadSignatureAlgorithmError(f"an Ed25519 key makes no {safe(algorithm)} signatures")
        return key.sign(data)

    def verify(self, key: Ed25519PublicKey, algorithm: bytes, signature: bytes, data: bytes) -> None:
        if algorithm not in self.signatureAlgorithms:
            raise BadSignature(f"a {safe(algorithm)} signature by an Ed25519 key")
        if len(signature) != _SIGNATURE_SIZE:
            raise BadSignature(f"an Ed25519 signature of {len(signature)} bytes")
        try:
            key.verify(signature, data)
        except (InvalidSignature, InternalError, UnsupportedAlgorithm, ValueError):
            raise BadSignature("the Ed25519 signature does not verify") from None


ED25519 = Ed25519()
