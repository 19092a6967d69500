"""
Fingerprints: a key in a form that people can compare. They take no
C{cryptography}, and no parsed key.
"""

from __future__ import annotations

import enum
import hashlib
from base64 import b64encode
from contextlib import suppress

from conchlite.algorithms.blobs import plainBlob
from conchlite.error import BadFingerPrintFormat, MalformedMessage, safe


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
    The fingerprint of a key that was not parsed; that of a certificate is the
    fingerprint of the key in it, as ssh-keygen shows it.

    @param blob: the key blob, as the server sent it.
    """
    return Fingerprint(_colons(_md5(_plain(blob))), fingerprint(blob))


def fingerprint(blob: bytes) -> str:
    """
    The fingerprint of a key as OpenSSH prints it: C{SHA256:} and base64
    without padding. That of a certificate is the key's.
    """
    digest = hashlib.sha256(_plain(blob)).digest()
    return "SHA256:" + b64encode(digest).rstrip(b"=").decode("ascii")


def _plain(blob: bytes) -> bytes:
    with suppress(MalformedMessage):
        return plainBlob(blob)
    return blob


def _colons(digits: str) -> str:
    return ":".join(digits[i : i + 2] for i in range(0, len(digits), 2))


def fingerprintOf(blob: bytes, format: FingerprintFormats) -> str:
    """
    The fingerprint of a key's blob in the form that is asked for.

    @raise BadFingerPrintFormat: there is no such form.
    """
    if format is FingerprintFormats.MD5_HEX:
        return _colons(_md5(blob))
    if format is FingerprintFormats.SHA256_BASE64:
        return b64encode(hashlib.sha256(blob).digest()).decode("ascii")
    raise BadFingerPrintFormat(f"there is no fingerprint format {safe(str(format))}")
