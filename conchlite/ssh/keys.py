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
from conchlite.algorithms.base import USUAL_EFFORT, Effort
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
from conchlite.files import writeWhole
from conchlite.ssh.fingerprints import Fingerprint, FingerprintFormats, fingerprintOf, hostKeyFingerprint
from conchlite.ssh.keystorage import (
    MAXIMUM_FILE_SIZE,
    formatNamed,
    formatOf,
    later,
    passphraseBytes,
    readKeyFile,
    writer,
)
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


class Key:
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
        if catalogue.plainName(keyTypeOf(keyObject).name) != keyTypeOf(keyObject).name:
            certificate = cast("Certificate", keyObject)
            keyObject = certificate.publicKey
        self._keyType: KeyType = keyTypeOf(keyObject)
        self._keyObject = keyObject
        self._publicObject: PublicKey = self._keyType.publicHalf(keyObject)
        self.comment = comment
        self.certificate = certificate
        if certificate is not None and certificate.plainBlob() != packPublicKey(self._publicObject):
            raise UsageError("a certificate of another key")

    @classmethod
    def fromFile(
        cls,
        filename: str | bytes | os.PathLike[str],
        type: str | None = None,
        passphrase: bytes | str | None = None,
        *,
        checkPermissions: bool = True,
        effort: Effort = USUAL_EFFORT,
    ) -> Key:
        """
        Read a key from a file, which has to be a regular one: what a FIFO
        gives, a program reads itself, and has L{fromString} understand it.

        To derive the key of an encrypted file takes some tenths of a second:
        L{fromFileLater} does it in a thread.

        @param type: the format, as in L{fromString}.
        @param passphrase: as in L{fromString}.
        @param checkPermissions: whether to refuse, as ssh(1) does, a private
            key in a file of ours that others may read.
        @param effort: as in L{fromString}.
        @raise OSError: the file cannot be read, or is no regular one.
        @raise ExposedKeyFile: others may read the private key; the text says
            what to do about it.
        @raise BadKeyError: as L{fromString}; the text of this and of the
            following names the file.
        @raise EncryptedKeyError: as L{fromString}.
        @raise BadPassphrase: as L{fromString}.
        """
        try:
            data, form = readKeyFile(filename, type, checkPermissions)
            return cls._loaded(form, data, passphrase, effort)
        except (BadKeyError, EncryptedKeyError) as error:
            raise error.__class__(f"{safe(os.fsdecode(filename))}: {error}") from error

    @classmethod
    def fromString(
        cls,
        data: bytes | str,
        type: str | None = None,
        passphrase: bytes | str | None = None,
        *,
        effort: Effort = USUAL_EFFORT,
    ) -> Key:
        """
        Read a key. Of a line of C{authorized_keys} this is the key and the
        comment; what its options demand is for the caller to see to.

        @param type: the format: C{public_openssh}, C{private_openssh} (which
            is PEM too), C{private_pem}, C{private_pkcs8}, C{private_putty},
            C{public_rfc4716}, C{public_pem}, C{public_pkcs8}, C{public_lsh},
            C{private_lsh}, C{blob}, C{private_blob} or C{agentv3}, in upper
            or lower case; L{None} to find out.
        @param passphrase: what the key is encrypted with. Text is normalised
            (NFKC) and encoded as UTF-8.
        @param effort: what it may cost to make a key of the passphrase.
        @raise UnknownKeyFormat: C{data} is in no format that is known.
        @raise DamagedKey: it is truncated or damaged.
        @raise BadPassphrase: the passphrase is wrong.
        @raise BadKeyError: the root of these three; and C{data} is no key of
            this format, or of a type that is not supported; or it is not
            encrypted, and a passphrase is given.
        @raise EncryptedKeyError: it is encrypted, and no passphrase is given.
        @raise PassphraseNormalizationError: nobody can say which bytes the
            passphrase stands for.
        """
        if isinstance(data, str):
            # A lone surrogate is no key, and becomes none.
            data = data.encode("utf-8", "replace")
        return cls._loaded(formatOf(data, type), data, passphrase, effort)

    @classmethod
    def _loaded(cls, form: KeyFile, data: bytes, passphrase: bytes | str | None, effort: Effort) -> Key:
        loaded = form.load(data, passphraseBytes(passphrase), effort)
        return cls(loaded.key, loaded.comment)

    @classmethod
    def fromFileLater(
        cls,
        reactor: IReactorThreads,
        filename: str | bytes | os.PathLike[str],
        type: str | None = None,
        passphrase: bytes | str | None = None,
        *,
        checkPermissions: bool = True,
        effort: Effort = USUAL_EFFORT,
    ) -> Deferred[Key]:
        """
        As L{fromFile}, in a thread of the reactor's.

        @return: fires with the key, and fails with what L{fromFile} raises. To
            cancel it is to take no interest any more: the thread goes on.
        """
        return later(
            reactor,
            lambda: cls.fromFile(
                filename, type, passphrase, checkPermissions=checkPermissions, effort=effort
            ),
        )

    @classmethod
    def fromStringLater(
        cls,
        reactor: IReactorThreads,
        data: bytes | str,
        type: str | None = None,
        passphrase: bytes | str | None = None,
        *,
        effort: Effort = USUAL_EFFORT,
    ) -> Deferred[Key]:
        """
        As L{fromString}, in a thread of the reactor's.

        @return: as that of L{fromFileLater}.
        """
        return later(reactor, lambda: cls.fromString(data, type, passphrase, effort=effort))

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
        return cls(catalogue.keyType(name.encode("utf-8", "replace")).generate(bits))

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
        shown = hostKeyFingerprint(self.blob()).sha256
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

    def toString(
        self,
        type: str,
        extra: bytes | str | None = None,
        subtype: str | None = None,
        comment: bytes | str | None = None,
        passphrase: bytes | str | None = None,
        *,
        cipher: bytes | str | None = None,
        rounds: int | None = None,
    ) -> bytes:
        """
        Write the key.

        @param type: C{openssh}, C{lsh}, C{pem} (PKCS#1, SEC 1), C{pkcs8} or
            C{agentv3}, and of a public key C{rfc4716}, in upper or lower case.
        @param extra: the comment of a public key, the passphrase of a private
            one: the old way to give them.
        @param subtype: of a private OpenSSH key: C{v1}, OpenSSH's own format;
            C{PEM}, the traditional one; C{PKCS8}. L{None} is C{PEM}, and C{v1}
            for keys that have no traditional one. With a passphrase, prefer
            C{v1}: what C{PEM} does to the passphrase is one MD5.
        @param comment: left out where the format has no place for it.
        @param passphrase: what to encrypt a private key with.
        @param cipher: the cipher of C{v1}, one of those of C{ssh-keygen -Z};
            L{None} for C{aes256-ctr}.
        @param rounds: how often bcrypt works on the passphrase in C{v1};
            L{None} for 24. A hundred take a second or so.
        @raise BadKeyError: there is no such format.
        @raise UsageError: the format cannot hold the key, or cannot encrypt,
            or knows no such cipher.
        """
        if extra is not None and self.isPublic():
            comment = extra
        elif extra is not None:
            passphrase = extra
        if isinstance(comment, str):
            comment = comment.encode("utf-8")
        traditional = self.type() in ("RSA", "EC") and not self.isSecurityKey()
        form = writer(formatNamed(type, subtype, self.isPublic(), traditional), cipher, rounds)
        written = self._offered() if self.isPublic() else self._keyObject
        return form.dump(written, comment or b"", passphraseBytes(passphrase))

    def toFile(
        self,
        path: str | os.PathLike[str],
        type: str = "openssh",
        subtype: str | None = "v1",
        comment: bytes | str | None = None,
        passphrase: bytes | str | None = None,
        *,
        cipher: bytes | str | None = None,
        rounds: int | None = None,
        replace: bool = False,
    ) -> None:
        """
        Write the key to a file, whole or not at all. That of a private key is
        never readable by anybody else, whatever the umask; that of a public
        key is readable by all.

        @param type: as the other parameters, what it is in L{toString}.
        @param comment: L{None} for the key's own.
        @param replace: whether the file may take the place of another.
        @raise FileExistsError: there is a file, and C{replace} is false.
        @raise OSError: it cannot be written.
        @raise BadKeyError: as L{toString}.
        @raise UsageError: as L{toString}.
        """
        if comment is None:
            comment = self.comment
        if self.isPublic() or type.lower() != "openssh":
            subtype = None
        text = self.toString(type, None, subtype, comment, passphrase, cipher=cipher, rounds=rounds)
        if self.isPublic() and not text.endswith(b"\n"):
            text += b"\n"
        writeWhole(path, text, 0o644 if self.isPublic() else 0o600, replace=replace)

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
