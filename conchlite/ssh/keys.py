"""
Keys as an application handles them: read from a file or a string, written to
one, shown by their fingerprint, signing and verifying.

What a key is made of and what its blob looks like is
L{conchlite.algorithms.publickeys}; the formats of files are
L{conchlite.algorithms.keyfiles}. What of them needs C{cryptography} is imported
when a key is first read: a fingerprint needs none of it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from twisted.logger import Logger

from conchlite.algorithms import catalogue
from conchlite.algorithms.publickeys.signatures import (
    MINIMUM_RSA_BITS,
    Presence,
    checkKeySize,
    keyTypeOf,
    makeSignature,
    packPrivateKey,
    packPublicKey,
    verifyByKey,
)
from conchlite.error import (
    BadFingerPrintFormat,
    BadKeyError,
    BadPassphrase,
    BadSignature,
    BadSignatureAlgorithmError,
    EncryptedKeyError,
    MalformedMessage,
    PassphraseNormalizationError,
    UsageError,
    WeakKey,
    safe,
)
from conchlite.ssh.fingerprints import (
    Fingerprint,
    FingerprintFormats,
    fingerprint,
    fingerprintOf,
    hostKeyFingerprint,
)
from conchlite.ssh.keystorage import StoredKey
from conchlite.wire.types import Reader

if TYPE_CHECKING:
    from typing import Unpack

    from conchlite.algorithms.base import KeyType
    from conchlite.algorithms.publickeys import PrivateKey, PublicKey
    from conchlite.algorithms.publickeys.certificates import Certificate
    from conchlite.ssh.certificates import CertificateTerms

__all__ = [
    "BadFingerPrintFormat",
    "BadKeyError",
    "BadPassphrase",
    "BadSignatureAlgorithmError",
    "EncryptedKeyError",
    "Fingerprint",
    "FingerprintFormats",
    "Key",
    "PassphraseNormalizationError",
    "WeakKey",
    "getPrivateKeyObject",
    "getPublicKeyString",
    "hostKeyFingerprint",
]


class Key(StoredKey):
    """
    A public or private key.

    It cannot be changed. C{repr} shows nothing secret.

    A key may carry a certificate. Then it is the certificate that is offered:
    L{blob}, L{sshType} and L{supportedSignatureAlgorithms} are the
    certificate's, and L{sign} signs for it.

    @ivar comment: the text that stood with the key in its file, or nothing.
    @ivar certificate: the key's certificate, as it was read, or L{None}. That
        it is there says nothing about whether to trust it.
    """

    _log = Logger()

    def __init__(
        self,
        keyObject: PublicKey | PrivateKey,
        comment: bytes = b"",
        certificate: Certificate | None = None,
    ) -> None:
        """
        @param keyObject: one of C{cryptography}'s keys, or a certificate.
        @param certificate: one of the key, which it is offered with.
        @raise BadKeyError: SSH has no such keys.
        @raise UsageError: the certificate is another key's.
        """
        keyType = keyTypeOf(keyObject)
        if keyType.name in catalogue.certificateTypes():
            certificate = cast("Certificate", keyObject)
            keyObject = certificate.publicKey
            keyType = keyTypeOf(keyObject)
        self._keyType: KeyType = keyType
        self._keyObject = keyObject
        self._publicObject: PublicKey = self._keyType.publicHalf(keyObject)
        self.comment = comment
        self.certificate = certificate
        if certificate is not None and certificate.plainBlob() != packPublicKey(self._publicObject):
            raise UsageError("a certificate of another key")

    @classmethod
    def generate(cls, type: str = "ed25519", bits: int | None = None) -> Key:
        """
        A new private key.

        @param type: C{ed25519}, C{ecdsa}, C{rsa} or C{ed448}.
        @param bits: its size; L{None} for what is good today.
        @raise UsageError: there is no such type, or no such size of it.
        """
        names = {
            "ed25519": "ssh-ed25519",
            "ecdsa": f"ecdsa-sha2-nistp{bits or 256}",
            "rsa": "ssh-rsa",
            "ed448": "ssh-ed448",
        }
        name = names.get(type.lower(), type)
        if type.lower() == "ecdsa" and bits not in (None, 256, 384, 521):
            raise UsageError(f"an ECDSA key of {bits} bits, where there are those of 256, 384, 521")
        try:
            keyType = catalogue.keyType(name.encode("utf-8", "replace"))
        except UsageError:
            raise UsageError(f"no keys are made of type {safe(type)}, but of {', '.join(names)}") from None
        return cls(keyType.generate(bits))

    def __eq__(self, other: object) -> bool:
        """
        Keys are equal that are the same key, and both public or both private;
        their comments do not matter.
        """
        if not isinstance(other, Key):
            return NotImplemented
        return self.isPublic() == other.isPublic() and self.blob() == other.blob()

    def __hash__(self) -> int:
        return hash(self.blob())

    def __repr__(self) -> str:
        half = "public" if self.isPublic() else "private"
        shown = fingerprint(self.blob())
        certified = "" if self.certificate is None else " with a certificate"
        return f"<{half} {self.type()} key, {self.size()} bits, {shown}{certified}>"

    def isPublic(self) -> bool:
        """
        Whether this is a public key; else it is a private one.
        """
        return self._publicObject is self._keyObject

    def public(self) -> Key:
        """
        The public half; a public key is its own.
        """
        return self if self.isPublic() else Key(self._publicObject, self.comment, self.certificate)

    def isCertificate(self) -> bool:
        """
        Whether the key carries a certificate.
        """
        return self.certificate is not None

    def plain(self) -> Key:
        """
        The key without its certificate.
        """
        return self if self.certificate is None else Key(self._keyObject, self.comment)

    def withCertificate(self, other: Key | Certificate) -> Key:
        """
        The key with a certificate: what C{id_ed25519-cert.pub} is to
        C{id_ed25519}.

        @param other: the certificate, or a key that carries it.
        @raise UsageError: it is another key's, or none.
        """
        certificate = other.certificate if isinstance(other, Key) else other
        if certificate is None:
            raise UsageError("a certificate is wanted, and this is a plain key")
        return Key(self._keyObject, self.comment, certificate)

    def signCertificate(self, publicKey: Key, **terms: Unpack[CertificateTerms]) -> Key:
        """
        Certify a key; this one is the authority's. The arguments and what it
        raises are those of L{conchlite.ssh.certificates.signCertificate}.

        @return: C{publicKey} with its certificate.
        """
        from conchlite.ssh.certificates import signCertificate

        return signCertificate(self, publicKey, **terms)

    def isSecurityKey(self) -> bool:
        """
        Whether the private half is in a device, which only an agent asks to
        sign.
        """
        return catalogue.isSecurityKey(self._keyType.name)

    @property
    def application(self) -> bytes:
        """
        Whom a security key was made for, such as C{b"ssh:"}; of other keys,
        nothing.
        """
        found = self.data().get("application", b"")
        return found if isinstance(found, bytes) else b""

    def type(self) -> str:
        """
        C{"RSA"}, C{"EC"}, C{"Ed25519"} or C{"Ed448"}.
        """
        return self._keyType.family

    def sshType(self) -> bytes:
        """
        The name of the type on the wire: C{b"ssh-rsa"}, C{b"ssh-ed25519"} ...;
        with a certificate, the certificate's:
        C{b"ssh-rsa-cert-v01@openssh.com"} ...
        """
        return self._offeredType().name

    def _offeredType(self) -> KeyType:
        return self._keyType if self.certificate is None else keyTypeOf(self.certificate)

    def supportedSignatureAlgorithms(self) -> list[bytes]:
        """
        The signature algorithms of the key, most preferred first; behind them
        C{ssh-rsa}, which is SHA-1, for those who ask for it by name. With a
        certificate they have the names that they have with one.
        """
        return list(self._offeredType().signatureAlgorithms)

    def size(self) -> int:
        """
        The size in bits: an RSA key's modulus, the curve's field.
        """
        return self._keyType.size(self._keyObject)

    def checkSize(self, minimumRSABits: int = MINIMUM_RSA_BITS) -> None:
        """
        @raise WeakKey: the key is too small to prove anything.
        """
        checkKeySize(self._publicObject, minimumRSABits)

    def data(self) -> dict[str, int | bytes]:
        """
        What the key consists of. RSA: C{n}, C{e}, and of a private key C{d},
        C{p}, C{q}, C{u} (1/q mod p). ECDSA: C{x}, C{y}, C{curve} (the type's
        name), C{privateValue}. Ed25519 and Ed448: C{a}, C{k}, as C{bytes}.
        Security keys: the public half of these, and C{application}.
        """
        return self._keyType.numbers(self._keyObject)

    def blob(self) -> bytes:
        """
        The public key as it travels, RFC 4253 section 6.6; with a certificate,
        the certificate.
        """
        return packPublicKey(self._offered())

    def _offered(self) -> PublicKey:
        return self._publicObject if self.certificate is None else self.certificate

    def privateBlob(self) -> bytes:
        """
        The private key as the agent's protocol has it.

        @raise UsageError: this is a public key.
        """
        return packPrivateKey(self._privateObject())

    def fingerprint(self, format: FingerprintFormats = FingerprintFormats.MD5_HEX) -> str:
        """
        A short form of the public key, for people to compare; a certificate
        does not change it.

        @raise BadFingerPrintFormat: there is no such form.
        """
        return fingerprintOf(packPublicKey(self._publicObject), format)

    def randomart(self) -> str:
        """
        A picture of the public key, for people who compare pictures better:
        what C{ssh-keygen -lv} draws, in eleven lines.
        """
        from conchlite.ssh.randomart import randomart

        return randomart(packPublicKey(self._offered()))

    def _written(self) -> tuple[PublicKey | PrivateKey, bool]:
        traditional = self.type() in ("RSA", "EC") and not self.isSecurityKey()
        return (self._offered() if self.isPublic() else self._keyObject), traditional

    def _privateObject(self) -> PrivateKey:
        if self.isPublic():
            raise UsageError("this takes a private key, and the key is public")
        return cast("PrivateKey", self._keyObject)

    def sign(
        self, data: bytes, signatureType: bytes | str | None = None, minimumRSABits: int | None = None
    ) -> bytes:
        """
        Sign.

        @param signatureType: the signature algorithm; L{None} for the key's
            preferred one, which for RSA is C{rsa-sha2-512}: SHA-1 is of the
            past, and OpenSSH refuses it since 8.8.
        @param minimumRSABits: the smallest RSA key to sign with. With L{None} a
            smaller one than L{MINIMUM_RSA_BITS} signs only by an algorithm that
            is asked for by its name.
        @return: the algorithm's name and the signature, as RFC 4253 section
            6.6 packs them.
        @raise BadSignatureAlgorithmError: the key makes no such signatures.
        @raise WeakKey: the key is too small for the algorithm.
        @raise BadSignature: the machine computed it wrong. It must not be
            sent: a wrong RSA signature gives the key away.
        @raise UsageError: this is a public key.
        """
        if isinstance(signatureType, str):
            signatureType = signatureType.encode("utf-8", "replace")
        if minimumRSABits is None:
            minimumRSABits = 0 if signatureType else MINIMUM_RSA_BITS
        self.checkSize(minimumRSABits)
        algorithm = signatureType or self._offeredType().signatureAlgorithms[0]
        try:
            return makeSignature(algorithm, self._privateObject(), data)
        except BadSignature:
            self._log.critical(
                "a signature by {key!r} came out wrong and was kept back: this machine makes errors",
                key=self,
            )
            raise

    def verify(self, signature: bytes, data: bytes) -> bool:
        """
        Whether C{signature} is the key's, of C{data}, by whatever algorithm
        of the key's type it names, but for SHA-1 by an RSA key. Where an
        algorithm was agreed on, and wherever the answer decides about access,
        use L{verifyStrictly}.

        @param signature: the algorithm's name and the signature.
        """
        try:
            algorithm = Reader(signature, "signature").string()
            if algorithm == b"ssh-rsa":
                return False
            verifyByKey(self._publicObject, algorithm, signature, data)
        except (BadSignature, MalformedMessage):
            return False
        return True

    def verifyStrictly(
        self,
        signature: bytes,
        data: bytes,
        algorithm: bytes,
        minimumRSABits: int = MINIMUM_RSA_BITS,
        requireTouch: bool = True,
        requireVerification: bool = False,
    ) -> None:
        """
        Verify a signature: returns when it is good, and raises when it is
        anything else.

        @param signature: the algorithm's name and the signature.
        @param algorithm: what was agreed on; the signature must be of it.
        @param minimumRSABits: the smallest RSA key that counts.
        @param requireTouch: whether a security key has to say that somebody
            touched it.
        @param requireVerification: whether it has to say that it knows who.
        @raise BadSignature: it is not the key's, not of C{data}, or not of
            C{algorithm}; or a security key does not say what it has to.
        @raise MalformedMessage: C{signature} is none.
        @raise WeakKey: the key is too small.
        """
        self.checkSize(minimumRSABits)
        presence = Presence(requireTouch, requireVerification)
        verifyByKey(self._offered(), algorithm, signature, data, presence)


def _given(
    filename: str | bytes | os.PathLike[str] | None,
    data: bytes | str,
    passphrase: bytes | str | None = None,
) -> Key:
    if filename is not None:
        return Key.fromFile(filename, passphrase=passphrase)
    if not data:
        raise UsageError("neither a file nor data is given")
    return Key.fromString(data, passphrase=passphrase)


def getPublicKeyString(
    filename: str | bytes | os.PathLike[str] | None = None,
    data: bytes | str = "",
) -> bytes:
    """
    The blob of a public key, as C{getPublicKey} of a user authentication
    client may return it.

    @param filename: a file with the key, in any format.
    @param data: the key itself, in any format, where there is no file.
    @raise OSError: the file cannot be read.
    @raise BadKeyError: there is no key in it.
    @raise UsageError: neither is given.
    """
    return _given(filename, data).blob()


def getPrivateKeyObject(
    filename: str | bytes | os.PathLike[str] | None = None,
    data: bytes | str = "",
    passphrase: bytes | str | None = None,
) -> Key:
    """
    A private key, as the Deferred of C{getPrivateKey} of a user
    authentication client may fire with.

    @param filename: a file with the key, in any format.
    @param data: the key itself, in any format, where there is no file.
    @param passphrase: what it is encrypted with.
    @raise OSError: the file cannot be read.
    @raise BadKeyError: there is no private key in it.
    @raise EncryptedKeyError: it is encrypted, and no passphrase is given.
    @raise BadPassphrase: the passphrase is wrong.
    @raise UsageError: neither file nor data is given.
    """
    key = _given(filename, data, passphrase)
    if key.isPublic():
        raise BadKeyError("a public key where a private key belongs")
    return key
