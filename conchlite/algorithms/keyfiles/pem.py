"""
Private keys in PEM: PKCS#1 for RSA and SEC 1 for ECDSA (the "traditional"
formats, RFC 8017 and RFC 5915, encrypted by RFC 1421's headers), and PKCS#8
(RFC 5208, RFC 5958), plain and encrypted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from conchlite.algorithms.base import LoadedKey
from conchlite.algorithms.keyfiles import decodeBase64, reading, refusePassphrase
from conchlite.algorithms.publickeys.signatures import keyTypeOf, packPublicKey, readPublicKey
from conchlite.error import BadKeyError, BadPassphrase, EncryptedKeyError, UsageError

_WHAT = "PEM private key"

#: The most iterations of PBKDF2, and the most work (N * r * p) of scrypt, that
#: a file may ask for: some seconds, and 256 MiB.
MAXIMUM_ITERATIONS = 10_000_000
MAXIMUM_SCRYPT_WORK = 2**21

# What the library can decrypt of RFC 1421's headers. An initial vector of another
# length than the cipher's makes it panic (cryptography 50.0.2), which no except
# clause for an Exception catches.
_DEK_INFO = re.compile(
    rb"^DEK-Info: (?:AES-(?:128|256)-CBC,[0-9A-Fa-f]{32}|DES-EDE3-CBC,[0-9A-Fa-f]{16})\s*?$",
    re.MULTILINE,
)

_SCRYPT = bytes.fromhex("2b06010401da47040b")  # 1.3.6.1.4.1.11591.4.11, RFC 7914

# An AlgorithmIdentifier is smaller by far: it is looked through element by
# element, copying what is inside each.
_MAXIMUM_ALGORITHM_SIZE = 1024

_SEQUENCE, _INTEGER, _OBJECT_IDENTIFIER = 0x30, 0x02, 0x06


class PEMFile:
    """
    One of the two families: they are read alike, and written differently.
    """

    holdsPrivate = True

    def __init__(self, labels: bytes, traditional: bool) -> None:
        """
        @param labels: a pattern for what stands behind BEGIN.
        @param traditional: whether it is the traditional family.
        """
        self._begin = re.compile(rb"^-----BEGIN (?P<label>%b)-----" % labels, re.MULTILINE)
        self._traditional = traditional

    def recognises(self, data: bytes) -> bool:
        # openssl writes text and the curve's parameters before the key.
        return self._begin.search(data) is not None

    def load(self, data: bytes, passphrase: bytes | None) -> LoadedKey:
        label, body, block = self._cut(data)
        encrypted = b"4,ENCRYPTED" in body if self._traditional else label.startswith(b"ENCRYPTED")
        if not encrypted:
            refusePassphrase(passphrase)
        elif not passphrase:
            raise EncryptedKeyError(f"{_WHAT}: it is encrypted, and no passphrase is given")
        elif not self._traditional:
            _checkWork(decodeBase64(body, _WHAT))
        elif body.count(b"DEK-Info") != 1 or not _DEK_INFO.search(body):
            raise BadKeyError(f"{_WHAT}: encrypted in a way that is not supported")
        key = _load(block, passphrase or None)
        # By way of its blob the key passes the bounds that every key passes.
        with reading(_WHAT):
            readPublicKey(packPublicKey(keyTypeOf(key).publicHalf(key)))
        return LoadedKey(key)

    def _cut(self, data: bytes) -> tuple[bytes, bytes, bytes]:
        """
        The label, what stands between the two lines, and all with the lines.

        One regular expression for it all would take quadratic time to find
        out that there is no end.
        """
        if begin := self._begin.search(data):
            label = begin["label"]
            marker = b"\n-----END %b-----" % label
            first, end = data.find(b"\n", begin.end()), data.find(marker, begin.end())
            if end >= 0:
                stop = end + len(marker)
                behind = data[stop:].split(b"\n", 1)[0]
                if not (data[begin.end() : first].strip() or behind.strip()):
                    return label, data[first + 1 : end + 1], data[begin.start() : stop]
        raise BadKeyError(f"{_WHAT}: it does not begin and end as PEM does")

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        from cryptography.hazmat.primitives.serialization import (
            BestAvailableEncryption,
            Encoding,
            KeySerializationEncryption,
            NoEncryption,
            PrivateFormat,
        )

        encryption: KeySerializationEncryption = NoEncryption()
        try:
            if passphrase:
                encryption = BestAvailableEncryption(passphrase)
            form = PrivateFormat.TraditionalOpenSSL if self._traditional else PrivateFormat.PKCS8
            return bytes(key.private_bytes(Encoding.PEM, form, encryption))
        except ValueError as error:
            raise UsageError(f"{_WHAT}: a {keyTypeOf(key).family} key cannot be written: {error}") from None


def _load(block: bytes, passphrase: bytes | None) -> object:
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(block, passphrase)
    except UnsupportedAlgorithm as error:
        raise BadKeyError(f"{_WHAT}: {error}") from None
    except (InternalError, TypeError, ValueError) as error:
        if passphrase:
            raise BadPassphrase(f"{_WHAT}: wrong passphrase, or a damaged file") from None
        raise BadKeyError(f"{_WHAT}: {error}") from None


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """
    The tags and contents of DER elements that stand one behind the other.
    """
    while der:
        tag, size, start = der[0], int.from_bytes(der[1:2], "big"), 2
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(der[2:start], "big")
        if len(der) < start + size:
            raise BadKeyError(f"{_WHAT}: truncated")
        yield tag, der[start : start + size]
        der = der[start + size :]


def _checkWork(der: bytes) -> None:
    """
    Look, before the library does it, at how much work it would be to make a
    key of the passphrase: a file of a stranger's could keep us at it for ever.

    What matters is in the AlgorithmIdentifier that an EncryptedPrivateKeyInfo
    begins with; no integer in it has a reason to be larger than the bounds.
    """
    _, info = next(_elements(der), (0, b""))
    _, algorithm = next(_elements(info), (0, b""))
    if len(algorithm) > _MAXIMUM_ALGORITHM_SIZE:
        raise BadKeyError(f"{_WHAT}: an algorithm described in {len(algorithm)} bytes")
    largest = work = 0
    isScrypt = False
    pending = [algorithm]
    while pending:
        integers: list[int] = []
        for tag, content in _elements(pending.pop()):
            if tag == _SEQUENCE:
                pending.append(content)
            elif tag == _INTEGER:
                integers.append(int.from_bytes(content, "big", signed=True))
            elif tag == _OBJECT_IDENTIFIER:
                isScrypt = isScrypt or content == _SCRYPT
        # N, r and p stand in a sequence of their own, in front of what the
        # cipher's parameters may have of integers.
        largest = max(largest, *integers, 0)
        work = max(work, math.prod(integers[:3]))
    if largest > MAXIMUM_ITERATIONS or (isScrypt and work > MAXIMUM_SCRYPT_WORK):
        raise BadKeyError(f"{_WHAT}: to derive its key is too much work")


TRADITIONAL = PEMFile(rb"(?:RSA|EC|DSA) PRIVATE KEY", traditional=True)
PKCS8 = PEMFile(rb"(?:ENCRYPTED )?PRIVATE KEY", traditional=False)
