"""
Keys as an application handles them: read from a file or a string, written to
one, shown by their fingerprint, signing and verifying.

What a key is made of and what its blob looks like is
L{conchlite.algorithms.publickeys}; the formats of files are
L{conchlite.algorithms.keyfiles}. What of them needs C{cryptography} is imported
when a key is first read: a fingerprint needs none of it.
"""

from __future__ import annotations

import enum
import hashlib
import os
import unicodedata
from base64 import b64encode
from typing import TYPE_CHECKING, cast

from twisted.logger import Logger

from conchlite.algorithms import catalogue
from conchlite.algorithms.publickeys.signatures import (
    MINIMUM_RSA_BITS,
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
from conchlite.wire.kex import SignatureBlob

if TYPE_CHECKING:
    from conchlite.algorithms.base import KeyType
    from conchlite.algorithms.publickeys import PrivateKey, PublicKey

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

#: No key file is larger than this, in bytes.
MAXIMUM_FILE_SIZE = 1024 * 1024


class FingerprintFormats(enum.Enum):
    """
    The forms that L{Key.fingerprint} has.

    @cvar MD5_HEX: MD5, in hexadecimal with colons: C{b1:94:6a:...}.
    @cvar SHA256_BASE64: SHA-256, in base64 with its padding.
    """

    MD5_HEX = "md5-hex"
    SHA256_BASE64 = "sha256-base64"


def _md5(blob: bytes) -> str:
    # An identifier that people have compared by eye since 1995, not a proof.
    return hashlib.md5(blob, usedforsecurity=False).hexdigest()


class Fingerprint(str):
    """
    A host key's fingerprint as C{verifyHostKey} gets it: MD5 in hexadecimal
    with colons. It equals the same text whether that is C{str} or C{bytes}.

    @ivar sha256: the fingerprint as OpenSSH shows it today: C{SHA256:}, and
        SHA-256 in base64 without padding. This is the one to compare.
    """

    sha256: str

    def __new__(cls, md5: str, sha256: str = "") -> Fingerprint:
        self = super().__new__(cls, md5)
        self.sha256 = sha256
        return self

    def __eq__(self, other: object) -> bool:
        if isinstance(other, bytes):
            return self.encode("ascii") == other
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def hostKeyFingerprint(blob: bytes) -> Fingerprint:
    """
    The fingerprint of a key that was not parsed.

    @param blob: the key blob, as the server sent it.
    """
    digest = b64encode(hashlib.sha256(blob).digest()).rstrip(b"=").decode("ascii")
    return Fingerprint(_colons(_md5(blob)), "SHA256:" + digest)


def _colons(digits: str) -> str:
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


def _passphraseBytes(passphrase: bytes | str | None) -> bytes | None:
    """
    The bytes that a passphrase stands for; an empty one is none.

    @raise PassphraseNormalizationError: it has a character that this Python's
        Unicode does not know, so that its normal form is anyone's guess.
    """
    if not passphrase:
        return None
    if isinstance(passphrase, bytes):
        return passphrase
    if any(unicodedata.category(character) in ("Cn", "Cs") for character in passphrase):
        raise PassphraseNormalizationError("the passphrase has a character that Unicode does not define")
    return unicodedata.normalize("NFKC", passphrase).encode("utf-8")


# What C{type} in L{Key.fromString} stands for, where it is more than one format.
_FORMATS = {"private_openssh": ("private_openssh", "private_pem", "private_pkcs8")}


def _formatOf(data: bytes, type: str | None) -> str:
    """
    The name of the format that C{data} is in.
    """
    if type is None:
        candidates = catalogue.keyFiles()
    else:
        name = type.lower()
        candidates = _FORMATS.get(name, (name,))
        if name not in catalogue.keyFiles():
            raise BadKeyError(f"there is no key type {safe(type)}")
        if len(candidates) == 1:
            return name
    for name in candidates:
        if catalogue.keyFile(name).recognises(data):
            return name
    raise BadKeyError("this is no key in a format that is known")


class Key:
    """
    A public or private key.

    It cannot be changed. C{repr} shows nothing secret.

    @ivar comment: the text that stood with the key in its file, or nothing.
    """

    _log = Logger()

    def __init__(self, keyObject: PublicKey | PrivateKey, comment: bytes = b"") -> None:
        """
        @param keyObject: one of C{cryptography}'s keys.
        @raise BadKeyError: SSH has no such keys.
        """
        self._keyType: KeyType = keyTypeOf(keyObject)
        self._keyObject = keyObject
        self._publicObject: PublicKey = self._keyType.publicHalf(keyObject)
        self.comment = comment

    @classmethod
    def fromFile(
        cls,
        filename: str | bytes | os.PathLike[str],
        type: str | None = None,
        passphrase: bytes | str | None = None,
    ) -> Key:
        """
        Read a key from a file.

        To derive the key of an encrypted file takes some tenths of a second:
        where that is too long for the reactor's thread, call this in another.

        @param type: the format, as in L{fromString}.
        @param passphrase: as in L{fromString}.
        @raise OSError: the file cannot be read.
        @raise BadKeyError: as L{fromString}; the text names the file.
        @raise EncryptedKeyError: as L{fromString}.
        @raise BadPassphrase: as L{fromString}.
        """
        with open(filename, "rb") as stream:
            data = stream.read(MAXIMUM_FILE_SIZE + 1)
        try:
            if len(data) > MAXIMUM_FILE_SIZE:
                raise BadKeyError("too large for a key")
            return cls.fromString(data, type, passphrase)
        except (BadKeyError, EncryptedKeyError) as error:
            raise error.__class__(f"{safe(os.fsdecode(filename))}: {error}") from error

    @classmethod
    def fromString(
        cls,
        data: bytes | str,
        type: str | None = None,
        passphrase: bytes | str | None = None,
    ) -> Key:
        """
        Read a key.

        @param type: the format: C{public_openssh}, C{private_openssh} (which
            is PEM too), C{private_pem}, C{private_pkcs8}, C{public_lsh},
            C{private_lsh}, C{blob}, C{private_blob} or C{agentv3}, in upper
            or lower case; L{None} to find out.
        @param passphrase: what the key is encrypted with. Text is normalised
            (NFKC) and encoded as UTF-8.
        @raise BadKeyError: C{data} is no key, not of this format, of a type
            that is not supported; or it is not encrypted, and a passphrase is
            given.
        @raise EncryptedKeyError: it is encrypted, and no passphrase is given.
        @raise BadPassphrase: the passphrase is wrong.
        @raise PassphraseNormalizationError: nobody can say which bytes the
            passphrase stands for.
        """
        if isinstance(data, str):
            # A lone surrogate is no key, and becomes none.
            data = data.encode("utf-8", "replace")
        secret = _passphraseBytes(passphrase)
        loaded = catalogue.keyFile(_formatOf(data, type)).load(data, secret)
        return cls(loaded.key, loaded.comment)

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
        return f"<{half} {self.type()} key, {self.size()} bits, {shown}>"

    def isPublic(self) -> bool:
        """
        Whether this is a public key; else it is a private one.
        """
        return self._publicObject is self._keyObject

    def public(self) -> Key:
        """
        The public half; a public key is its own.
        """
        return self if self.isPublic() else Key(self._publicObject, self.comment)

    def type(self) -> str:
        """
        C{"RSA"}, C{"EC"}, C{"Ed25519"} or C{"Ed448"}.
        """
        return self._keyType.family

    def sshType(self) -> bytes:
        """
        The name of the type on the wire: C{b"ssh-rsa"}, C{b"ssh-ed25519"} ...
        """
        return self._keyType.name

    def supportedSignatureAlgorithms(self) -> list[bytes]:
        """
        The signature algorithms of the key, most preferred first; behind them
        C{ssh-rsa}, which is SHA-1, for those who ask for it by name.
        """
        return list(self._keyType.signatureAlgorithms)

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
        """
        return self._keyType.numbers(self._keyObject)

    def blob(self) -> bytes:
        """
        The public key as it travels, RFC 4253 section 6.6.
        """
        return packPublicKey(self._publicObject)

    def privateBlob(self) -> bytes:
        """
        The private key as the agent's protocol has it.

        @raise UsageError: this is a public key.
        """
        return packPrivateKey(self._privateObject())

    def fingerprint(self, format: FingerprintFormats = FingerprintFormats.MD5_HEX) -> str:
        """
        A short form of the public key, for people to compare.

        @raise BadFingerPrintFormat: there is no such form.
        """
        if format is FingerprintFormats.MD5_HEX:
            return _colons(_md5(self.blob()))
        if format is FingerprintFormats.SHA256_BASE64:
            return b64encode(hashlib.sha256(self.blob()).digest()).decode("ascii")
        raise BadFingerPrintFormat(f"there is no fingerprint format {safe(str(format))}")

    def toString(
        self,
        type: str,
        extra: bytes | str | None = None,
        subtype: str | None = None,
        comment: bytes | str | None = None,
        passphrase: bytes | str | None = None,
    ) -> bytes:
        """
        Write the key.

        @param type: C{openssh}, C{lsh} or C{agentv3}, in upper or lower case.
        @param extra: the comment of a public key, the passphrase of a private
            one: the old way to give them.
        @param subtype: of a private OpenSSH key: C{v1}, OpenSSH's own format;
            C{PEM}, the traditional one; C{PKCS8}. L{None} is C{PEM}, and C{v1}
            for Ed25519 and Ed448, which have no traditional one. With a
            passphrase, prefer C{v1}: what C{PEM} does to the passphrase is one
            MD5.
        @param comment: left out where the format has no place for it.
        @param passphrase: what to encrypt a private key with.
        @raise BadKeyError: there is no such format.
        @raise UsageError: the format cannot hold the key, or cannot encrypt.
        """
        if extra is not None and self.isPublic():
            comment = extra
        elif extra is not None:
            passphrase = extra
        if isinstance(comment, str):
            comment = comment.encode("utf-8")
        form = catalogue.keyFile(self._formatNamed(type, subtype))
        secret = _passphraseBytes(passphrase)
        return form.dump(self._keyObject, comment or b"", secret)

    def _formatNamed(self, type: str, subtype: str | None) -> str:
        name, half = type.lower(), "public" if self.isPublic() else "private"
        if name == "lsh" or (name == "openssh" and self.isPublic()):
            return f"{half}_{name}"
        if name == "agentv3":
            self._privateObject()
            return name
        if name != "openssh":
            raise BadKeyError(f"there is no key type {safe(type)}")
        wanted = subtype or ("v1" if self.type() in ("Ed25519", "Ed448") else "PEM")
        formats = {"v1": "private_openssh", "pem": "private_pem", "pkcs8": "private_pkcs8"}
        if wanted.lower() not in formats:
            raise BadKeyError(f"there is no subtype {safe(wanted)}")
        return formats[wanted.lower()]

    def _privateObject(self) -> PrivateKey:
        if self.isPublic():
            raise UsageError("this takes a private key, and the key is public")
        return cast("PrivateKey", self._keyObject)

    def sign(self, data: bytes, signatureType: bytes | str | None = None) -> bytes:
        """
        Sign.

        @param signatureType: the signature algorithm; L{None} for the key's
            preferred one, which for RSA is C{rsa-sha2-512}: SHA-1 is of the
            past, and OpenSSH refuses it since 8.8.
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
        algorithm = signatureType or self._keyType.signatureAlgorithms[0]
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
            algorithm = SignatureBlob.unpack(signature).algorithm
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
    ) -> None:
        """
        Verify a signature: returns when it is good, and raises when it is
        anything else.

        @param signature: the algorithm's name and the signature.
        @param algorithm: what was agreed on; the signature must be of it.
        @param minimumRSABits: the smallest RSA key that counts.
        @raise BadSignature: it is not the key's, not of C{data}, or not of
            C{algorithm}.
        @raise MalformedMessage: C{signature} is none.
        @raise WeakKey: the key is too small.
        """
        self.checkSize(minimumRSABits)
        verifyByKey(self._publicObject, algorithm, signature, data)


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
