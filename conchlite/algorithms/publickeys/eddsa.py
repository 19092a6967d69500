"""
What Ed25519 and Ed448 keys have in common: RFC 8709, and RFC 8032 for the
signatures.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast

from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm

from conchlite.error import BadSignature, BadSignatureAlgorithmError, MalformedMessage, UsageError, safe
from conchlite.wire.types import Reader, packString


class EdPublicKey(Protocol):
    """
    What C{cryptography}'s public keys of both kinds can do.
    """

    def public_bytes_raw(self) -> bytes: ...

    def verify(self, signature: bytes, data: bytes) -> None: ...


class EdPrivateKey(Protocol):
    """
    What C{cryptography}'s private keys of both kinds can do.
    """

    def public_key(self) -> EdPublicKey: ...

    def private_bytes_raw(self) -> bytes: ...

    def sign(self, data: bytes) -> bytes: ...


class EdDSA:
    """
    A key type with Edwards curve signatures.
    """

    def __init__(
        self,
        name: bytes,
        family: str,
        bits: int,
        keySize: int,
        types: tuple[type, type],
        generate: Callable[[], EdPrivateKey],
        privateFromBytes: Callable[[bytes], EdPrivateKey],
        publicFromBytes: Callable[[bytes], EdPublicKey],
    ) -> None:
        """
        @param bits: the size that people know the key by.
        @param keySize: the bytes of either half of a key; a signature has
            twice as many.
        @param types: the classes of private and public keys.
        """
        self.name = name
        self.family = family
        self.signatureAlgorithms = (name,)
        self._bits = bits
        self._keySize = keySize
        self._privateType, self._publicType = types
        self._generate = generate
        self._privateFromBytes = privateFromBytes
        self._publicFromBytes = publicFromBytes

    def owns(self, key: object) -> bool:
        return isinstance(key, (self._privateType, self._publicType))

    def publicHalf(self, key: EdPrivateKey | EdPublicKey) -> EdPublicKey:
        if isinstance(key, self._privateType):
            return cast(EdPrivateKey, key).public_key()
        return cast(EdPublicKey, key)

    def size(self, key: EdPrivateKey | EdPublicKey) -> int:
        return self._bits

    def numbers(self, key: EdPrivateKey | EdPublicKey) -> dict[str, int | bytes]:
        numbers: dict[str, int | bytes] = {"a": self.publicHalf(key).public_bytes_raw()}
        if isinstance(key, self._privateType):
            numbers["k"] = cast(EdPrivateKey, key).private_bytes_raw()
        return numbers

    def generate(self, bits: int | None) -> EdPrivateKey:
        if bits not in (None, self._bits):
            raise UsageError(f"an {self.family} key has {self._bits} bits, not {bits}")
        try:
            return self._generate()
        except UnsupportedAlgorithm:
            raise UsageError(f"the installed cryptography cannot do {self.family}") from None

    def read(self, reader: Reader) -> EdPublicKey:
        point = reader.stringView()
        if len(point) != self._keySize:
            raise MalformedMessage(f"an {self.family} public key of {len(point)} bytes")
        try:
            return self._publicFromBytes(bytes(point))
        except UnsupportedAlgorithm:
            raise self._unsupported() from None

    def pack(self, key: EdPublicKey) -> bytes:
        return packString(key.public_bytes_raw())

    def readPrivate(self, reader: Reader) -> EdPrivateKey:
        # RFC 8032's private key with the public key behind it: what OpenSSH
        # and the agent's protocol call "k || ENC(A)".
        size = self._keySize
        point = reader.fixed(size) if reader.uint32() == size else b""
        pair = reader.string()
        if len(point) != size or len(pair) != 2 * size:
            raise MalformedMessage(f"an {self.family} private key of the wrong length")
        try:
            key = self._privateFromBytes(pair[:size])
        except UnsupportedAlgorithm:
            raise self._unsupported() from None
        if not pair[size:] == point == key.public_key().public_bytes_raw():
            raise MalformedMessage(f"an {self.family} private key with another key's public half")
        return key

    def packPrivate(self, key: EdPrivateKey) -> bytes:
        point = key.public_key().public_bytes_raw()
        return packString(point) + packString(key.private_bytes_raw() + point)

    def sign(self, key: EdPrivateKey, algorithm: bytes, data: bytes) -> bytes:
        if algorithm not in self.signatureAlgorithms:
            raise BadSignatureAlgorithmError(f"an {self.family} key makes no {safe(algorithm)} signatures")
        return key.sign(data)

    def verify(self, key: EdPublicKey, algorithm: bytes, signature: bytes, data: bytes) -> None:
        if algorithm not in self.signatureAlgorithms:
            raise BadSignature(f"a {safe(algorithm)} signature by an {self.family} key")
        if len(signature) != 2 * self._keySize:
            raise BadSignature(f"an {self.family} signature of {len(signature)} bytes")
        try:
            key.verify(signature, data)
        except (InvalidSignature, InternalError, UnsupportedAlgorithm, ValueError):
            raise BadSignature(f"the {self.family} signature does not verify") from None

    def _unsupported(self) -> MalformedMessage:
        return MalformedMessage(f"an {self.family} key, which the installed cryptography cannot do")
