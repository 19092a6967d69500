"""
Certificates, OpenSSH's PROTOCOL.certkeys: a public key, whom it belongs to, and
what for, signed by the key of an authority.

A certificate is a key type of its own, whose public keys are L{Certificate}s.
Its algorithms have names of their own too, but the signature that a certified
key makes names the algorithm of the plain key.

To read a certificate proves nothing: whether it may be trusted is the question
of L{conchlite.ssh.certificates}.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

from conchlite.algorithms import catalogue
from conchlite.algorithms.publickeys.signatures import (
    MAXIMUM_RSA_BITS,
    MINIMUM_RSA_BITS,
    packPublicKey,
    verifySignature,
)
from conchlite.error import MalformedMessage, UsageError, safe
from conchlite.limits import MAXIMUM_CERTIFICATE_OPTIONS
from conchlite.wire.publickeys import HOST as HOST
from conchlite.wire.publickeys import USER as USER
from conchlite.wire.publickeys import CertificateFields, CertificateOption, OptionValue, Principals
from conchlite.wire.types import Buffer, Reader, packString

if TYPE_CHECKING:
    from conchlite.algorithms.base import KeyType
    from conchlite.algorithms.publickeys import PublicKey

#: C{validBefore} of a certificate that is good for ever.
FOREVER = 2**64 - 1

#: Critical options and extensions that have a value.
WITH_VALUE = frozenset((b"force-command", b"source-address"))

#: Those that have none: to be there is what they say.
FLAGS = frozenset(
    (
        b"verify-required",
        b"no-touch-required",
        b"permit-X11-forwarding",
        b"permit-agent-forwarding",
        b"permit-port-forwarding",
        b"permit-pty",
        b"permit-user-rc",
    )
)


@dataclass(frozen=True)
class Certificate:
    """
    A certificate, as it was read. Two are equal that are the same bytes.

    @ivar name: the type: C{b"ssh-ed25519-cert-v01@openssh.com"} ...
    @ivar nonce: what keeps the authority from signing what others chose.
    @ivar publicKey: the key that is certified, C{cryptography}'s own object.
    @ivar serial: a number that the authority gave it, or 0.
    @ivar kind: L{USER} or L{HOST}, or a number that means nothing.
    @ivar keyID: what the authority calls it, for the logs.
    @ivar principals: the users or hosts that it is for.
    @ivar validAfter: from when on it is good, in seconds since 1970.
    @ivar validBefore: from when on it is not, likewise.
    @ivar criticalOptions: what has to be understood by who accepts it: name to
        value, which is empty where there is none.
    @ivar extensions: what it permits, likewise.
    @ivar signatureKey: the blob of the authority's key.
    @ivar signature: the authority's signature.
    @ivar blob: the whole of it, as it travels.
    """

    name: bytes = field(compare=False)
    nonce: bytes = field(compare=False, repr=False)
    publicKey: PublicKey = field(compare=False, repr=False)
    serial: int = field(compare=False)
    kind: int = field(compare=False)
    keyID: bytes = field(compare=False)
    principals: tuple[bytes, ...] = field(compare=False)
    validAfter: int = field(compare=False)
    validBefore: int = field(compare=False)
    criticalOptions: Mapping[bytes, bytes] = field(compare=False)
    extensions: Mapping[bytes, bytes] = field(compare=False)
    signatureKey: bytes = field(compare=False, repr=False)
    signature: bytes = field(compare=False, repr=False)
    blob: bytes = field(repr=False)

    def signedData(self) -> bytes:
        """
        What the authority has signed: all in front of the signature.
        """
        return self.blob[: len(self.blob) - len(packString(self.signature))]

    def plainBlob(self) -> bytes:
        """
        The blob of the key that is certified.
        """
        return packPublicKey(self.publicKey)

    def verifySignature(
        self,
        algorithm: bytes,
        minimumRSABits: int = MINIMUM_RSA_BITS,
        maximumRSABits: int = MAXIMUM_RSA_BITS,
    ) -> None:
        """
        Verify that the key it names as the authority's has signed it: returns
        when it has, and raises when not.

        @param algorithm: the signature algorithm.
        @raise MalformedMessage: the authority's key or its signature is none,
            or the key is too large.
        @raise WeakKey: the authority's key is too small.
        @raise BadSignature: it has not signed this, or not by C{algorithm}.
        """
        verifySignature(
            algorithm, self.signatureKey, self.signature, self.signedData(), minimumRSABits, maximumRSABits
        )


def _readOptions(data: Buffer, what: str) -> Mapping[bytes, bytes]:
    reader = Reader(data, what)
    found: dict[bytes, bytes] = {}
    while reader.remaining():
        option = CertificateOption.read(reader)
        # In which order they stand matters to nobody; sshd does not look.
        if option.name in found:
            raise MalformedMessage(f"{what}: {safe(option.name)} stands there twice")
        if len(found) >= MAXIMUM_CERTIFICATE_OPTIONS:
            raise MalformedMessage(f"{what}: more than {MAXIMUM_CERTIFICATE_OPTIONS}")
        found[option.name] = _valueOf(option, what)
    return MappingProxyType(found)


def _valueOf(option: CertificateOption, what: str) -> bytes:
    if option.name in FLAGS:
        if option.data:
            raise MalformedMessage(f"{what}: {safe(option.name)} has a value")
        return b""
    try:
        return OptionValue.unpack(option.data).value
    except MalformedMessage:
        if option.name in WITH_VALUE:
            raise
        # Nobody knows what it means, nor what it looks like.
        return option.data


def packOptions(options: Mapping[bytes, bytes]) -> bytes:
    """
    Critical options or extensions as a certificate has them, in order.
    """
    packed = b""
    for name, value in sorted(options.items()):
        data = OptionValue(value).pack() if value or name in WITH_VALUE else b""
        packed += CertificateOption(name, data).pack()
    return packed


class CertificateType:
    """
    The type of the certificates of one type of key.
    """

    def __init__(self, plain: KeyType) -> None:
        """
        @param plain: the type of the keys that are certified.
        """
        self._plain = plain
        self.name = catalogue.certificateName(plain.name)
        self.family = plain.family
        self.signatureAlgorithms = tuple(map(catalogue.certificateName, plain.signatureAlgorithms))

    def owns(self, key: object) -> bool:
        return isinstance(key, Certificate) and key.name == self.name

    def publicHalf(self, key: Certificate) -> Certificate:
        return key

    def size(self, key: Certificate) -> int:
        return self._plain.size(key.publicKey)

    def numbers(self, key: Certificate) -> dict[str, int | bytes]:
        return self._plain.numbers(key.publicKey)

    def generate(self, bits: int | None) -> NoReturn:
        raise UsageError("a certificate is signed, not generated: Key.signCertificate")

    def read(self, reader: Reader) -> Certificate:
        nonce = reader.string()
        publicKey = self._plain.read(reader)
        fields = CertificateFields.read(reader)
        return self._made(nonce, publicKey, fields)

    def _made(self, nonce: bytes, publicKey: PublicKey, fields: CertificateFields) -> Certificate:
        return Certificate(
            self.name,
            nonce,
            publicKey,
            fields.serial,
            fields.kind,
            fields.keyID,
            Principals.unpack(fields.principals).names,
            fields.validAfter,
            fields.validBefore,
            _readOptions(fields.criticalOptions, "critical options of a certificate"),
            _readOptions(fields.extensions, "extensions of a certificate"),
            fields.signatureKey,
            fields.signature,
            self._start(nonce, publicKey) + fields.pack(),
        )

    def _start(self, nonce: bytes, publicKey: PublicKey) -> bytes:
        return packString(self.name) + packString(nonce) + self._plain.pack(publicKey)

    def make(
        self,
        nonce: bytes,
        keyBlob: bytes,
        fields: CertificateFields,
        sign: Callable[[bytes], bytes],
    ) -> Certificate:
        """
        A new certificate.

        @param keyBlob: the blob of the key to certify.
        @param fields: all but the signature.
        @param sign: makes the signature of what it is given.
        @raise MalformedMessage: it would be none that can be read.
        """
        key = keyBlob[len(packString(self._plain.name)) :]
        unsigned = packString(nonce) + key + fields.pack()[: -len(packString(fields.signature))]
        # It is read before it is signed: there is no taking back a signature.
        self.read(Reader(unsigned + packString(b"")))
        return self.read(Reader(unsigned + packString(sign(packString(self.name) + unsigned))))

    def pack(self, key: Certificate) -> bytes:
        return key.blob[len(packString(self.name)) :]

    def readPrivate(self, reader: Reader) -> NoReturn:
        raise MalformedMessage("a certificate where a private key belongs")

    def packPrivate(self, key: object) -> NoReturn:
        raise UsageError("a certificate has no private half of its own")

    def sign(self, key: object, algorithm: bytes, data: bytes) -> NoReturn:
        raise UsageError("it is the plain key that signs, not its certificate")

    def verify(self, key: Certificate, algorithm: bytes, signature: bytes, data: bytes) -> None:
        self._plain.verify(key.publicKey, catalogue.plainName(algorithm), signature, data)
