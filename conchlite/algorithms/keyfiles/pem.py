"""
Keys in PEM. Private ones: PKCS#1 for RSA and SEC 1 for ECDSA (the "traditional"
formats, RFC 8017 and RFC 5915, encrypted by RFC 1421's headers), and PKCS#8
(RFC 5208, RFC 5958), plain and encrypted. Public ones: PKCS#1 for RSA, and
SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7), which ssh-keygen calls PKCS8.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator
from typing import Any

from conchlite.algorithms.keyfiles import decodeBase64, reading, refusePassphrase
from conchlite.algorithms.keyfiles.ciphers import FILE_CIPHERS, decrypt
from conchlite.algorithms.loading import USUAL_EFFORT, Effort, LoadedKey
from conchlite.algorithms.publickeys.dsa import DSA
from conchlite.algorithms.publickeys.signatures import keyTypeOf, packPublicKey, readPublicKey
from conchlite.error import BadKeyError, BadPassphrase, DamagedKey, EncryptedKeyError, UsageError, safe

_WHAT = "PEM private key"

# RFC 1421 section 4.6.1.3: the cipher, as OpenSSL calls it, and its initial
# vector, whose first 8 bytes are the salt too.
_DEK_INFO = re.compile(rb"^DEK-Info: ([A-Z0-9-]+),([0-9A-Fa-f]+)\s*?$", re.MULTILINE)
_DEK_CIPHERS = {
    b"AES-128-CBC": b"aes128-cbc",
    b"AES-192-CBC": b"aes192-cbc",
    b"AES-256-CBC": b"aes256-cbc",
    b"DES-EDE3-CBC": b"3des-cbc",
}

_SCRYPT = bytes.fromhex("2b06010401da47040b")  # 1.3.6.1.4.1.11591.4.11, RFC 7914

# RFC 8018, and what its parameters may name; the rest the library knows.
_PBES2 = bytes.fromhex("2a864886f70d01050d")
_PBKDF2 = bytes.fromhex("2a864886f70d01050c")
_PRFS = {
    bytes.fromhex("2a864886f70d0207"): "sha1",
    bytes.fromhex("2a864886f70d0208"): "sha224",
    bytes.fromhex("2a864886f70d0209"): "sha256",
    bytes.fromhex("2a864886f70d020a"): "sha384",
    bytes.fromhex("2a864886f70d020b"): "sha512",
}
_PBES2_CIPHERS = {
    bytes.fromhex("608648016503040102"): b"aes128-cbc",
    bytes.fromhex("608648016503040116"): b"aes192-cbc",
    bytes.fromhex("60864801650304012a"): b"aes256-cbc",
    bytes.fromhex("2a864886f70d0307"): b"3des-cbc",
}

# An AlgorithmIdentifier is smaller by far: it is looked through element by
# element, copying what is inside each.
_MAXIMUM_ALGORITHM_SIZE = 1024

_DSA = bytes.fromhex("2a8648ce380401")  # 1.2.840.10040.4.1, RFC 3279

_SEQUENCE, _INTEGER, _OCTETS, _OBJECT_IDENTIFIER = 0x30, 0x02, 0x04, 0x06


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

    def load(self, data: bytes, passphrase: bytes | None, effort: Effort = USUAL_EFFORT) -> LoadedKey:
        label, body = _cut(self._begin, data, _WHAT)
        encrypted = b"4,ENCRYPTED" in body if self._traditional else label.startswith(b"ENCRYPTED")
        if not encrypted:
            refusePassphrase(passphrase)
            der = decodeBase64(body, _WHAT)
        elif not self._traditional:
            der = decodeBase64(body, _WHAT)
            _checkWork(der, effort)
        else:
            der = _decrypted(body, passphrase)
        checkWhole(der, _WHAT)
        if encrypted and not passphrase:
            raise EncryptedKeyError(f"{_WHAT}: it is encrypted, and no passphrase is given")
        remaining = None if self._traditional else passphrase
        if remaining and (opened := _opened(der, remaining)) is not None:
            der, remaining = opened, None
        numbers = None if remaining else _dsaNumbers(der)
        if numbers is not None:
            with reading(_WHAT):
                return LoadedKey(DSA.fromPrivateNumbers(*numbers))
        key = _load(der, remaining or None)
        # By way of its blob the key passes the bounds that every key passes.
        with reading(_WHAT):
            readPublicKey(packPublicKey(keyTypeOf(key).publicHalf(key)))
        return LoadedKey(key)

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        from cryptography.hazmat.primitives.serialization import (
            BestAvailableEncryption,
            Encoding,
            KeySerializationEncryption,
            NoEncryption,
            PrivateFormat,
        )

        if DSA.owns(key):
            DSA.packPrivate(key)
        encryption: KeySerializationEncryption = NoEncryption()
        try:
            if passphrase:
                encryption = BestAvailableEncryption(passphrase)
            form = PrivateFormat.TraditionalOpenSSL if self._traditional else PrivateFormat.PKCS8
            return bytes(key.private_bytes(Encoding.PEM, form, encryption))
        except ValueError as error:
            raise UsageError(f"{_WHAT}: a {keyTypeOf(key).family} key cannot be written: {error}") from None


def _cut(begin: re.Pattern[bytes], data: bytes, what: str) -> tuple[bytes, bytes]:
    """
    The label, and what stands between the two lines.

    One regular expression for it all would take quadratic time to find out
    that there is no end.
    """
    if found := begin.search(data):
        label = found["label"]
        marker = b"\n-----END %b-----" % label
        first, end = data.find(b"\n", found.end()), data.find(marker, found.end())
        if end >= 0:
            behind = data[end + len(marker) :].split(b"\n", 1)[0]
            if not (data[found.end() : first].strip() or behind.strip()):
                return label, data[first + 1 : end + 1]
    raise DamagedKey(f"{what}: it does not begin and end as PEM does")


def _decrypted(body: bytes, passphrase: bytes | None) -> bytes:
    """
    What RFC 1421's headers encrypt, as OpenSSL has done it since SSLeay: the
    key is MD5 of the passphrase and the salt, as often as it takes.
    """
    found = _DEK_INFO.search(body)
    name = _DEK_CIPHERS.get(found[1]) if found else None
    if not found or not name or body.count(b"DEK-Info") != 1 or body.count(b"Proc-Type") != 1:
        raise BadKeyError(f"{_WHAT}: encrypted in a way that is not supported")
    cipher = FILE_CIPHERS[name]
    encrypted = decodeBase64(body[found.end() :], _WHAT)
    if len(found[2]) != 2 * cipher.ivSize or not encrypted or len(encrypted) % cipher.blockSize:
        raise DamagedKey(f"{_WHAT}: encrypted data, or an initial vector, of the wrong length")
    if not passphrase:
        raise EncryptedKeyError(f"{_WHAT}: it is encrypted, and no passphrase is given")
    iv = bytes.fromhex(found[2].decode("ascii"))
    key = block = b""
    while len(key) < cipher.keySize:
        block = hashlib.md5(block + passphrase + iv[:8], usedforsecurity=False).digest()
        key += block
    return _inClear(name, key[: cipher.keySize] + iv, encrypted)


def _inClear(name: bytes, material: bytes, encrypted: bytes) -> bytes:
    """
    What a passphrase has encrypted, without its padding.

    @raise BadPassphrase: it was another passphrase.
    """
    der = decrypt(name, material, encrypted)
    padding = der[-1]
    if not 0 < padding <= FILE_CIPHERS[name].blockSize or der[-padding:] != bytes((padding,)) * padding:
        raise BadPassphrase(f"{_WHAT}: wrong passphrase")
    der = der[:-padding]
    try:
        checkWhole(der, _WHAT)
    except DamagedKey:
        # One in 256 wrong passphrases leaves good padding.
        raise BadPassphrase(f"{_WHAT}: wrong passphrase") from None
    return der


def _opened(der: bytes, passphrase: bytes) -> bytes | None:
    """
    The key in an EncryptedPrivateKeyInfo, by PBES2 of RFC 8018; L{None} where
    it is encrypted in another way, which is left to the library.

    The library could open it too; but it lets no other thread run for as long
    as it works on the passphrase, as L{hashlib} does.
    """
    match list(_elements(next(_elements(der))[1])):
        case [(0x30, algorithm), (0x04, encrypted)]:
            pass
        case _:
            return None
    match list(_elements(algorithm)):
        case [(0x06, name), (0x30, parameters)] if name == _PBES2:
            pass
        case _:
            return None
    match [list(_elements(content)) for _, content in _elements(parameters)]:
        case [[(0x06, kdf), (0x30, options)], [(0x06, cipher), (0x04, iv)]] if cipher in _PBES2_CIPHERS:
            name = _PBES2_CIPHERS[cipher]
        case _:
            return None
    blockSize = FILE_CIPHERS[name].blockSize
    if len(iv) != blockSize or not encrypted or len(encrypted) % blockSize:
        raise DamagedKey(f"{_WHAT}: encrypted data, or an initial vector, of the wrong length")
    key = _derived(kdf, list(_elements(options)), passphrase, FILE_CIPHERS[name].keySize)
    return None if key is None else _inClear(name, key + iv, encrypted)


def _derived(kdf: bytes, options: list[tuple[int, bytes]], passphrase: bytes, size: int) -> bytes | None:
    """
    The key that PBKDF2 or scrypt makes; L{None} where the options are odd.
    """
    tags = [tag for tag, _ in options]
    hash = "sha1"
    if kdf == _PBKDF2 and tags[-1:] == [_SEQUENCE]:
        hash = _PRFS.get(next(_elements(options.pop()[1]), (0, b""))[1], "")
        tags.pop()
    integers = [_integer(content) for _, content in options[1:]]
    count = {_PBKDF2: 1, _SCRYPT: 3}.get(kdf, 0)
    if not count or not hash or tags[:1] != [_OCTETS] or set(tags[1:]) != {_INTEGER}:
        return None
    # The key's length may stand behind the other numbers.
    if len(integers) < count or integers[count:] not in ([], [size]) or min(integers) < 1:
        return None
    salt = options[0][1]
    try:
        if kdf == _PBKDF2:
            return hashlib.pbkdf2_hmac(hash, passphrase, salt, integers[0], size)
        n, r, p = integers[:3]
        memory = 128 * r * (n + p) + 2**20
        return hashlib.scrypt(passphrase, salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=size)
    except (AttributeError, OverflowError, ValueError):
        return None


def _load(der: bytes, passphrase: bytes | None) -> object:
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    try:
        return load_der_private_key(der, passphrase)
    except UnsupportedAlgorithm as error:
        raise BadKeyError(f"{_WHAT}: {error}") from None
    except (InternalError, TypeError, ValueError) as error:
        if passphrase:
            raise BadPassphrase(f"{_WHAT}: wrong passphrase, or a damaged file") from None
        raise DamagedKey(f"{_WHAT}: {error}") from None


def checkWhole(der: bytes, what: str) -> None:
    """
    @raise DamagedKey: C{der} is not one sequence, from its beginning to its end.
    """
    elements = list(_elements(der))
    if len(elements) != 1 or elements[0][0] != _SEQUENCE:
        raise DamagedKey(f"{what}: no sequence of ASN.1, or more behind it")


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """
    The tags and contents of DER elements that stand one behind the other.
    """
    # A file may have hundreds of thousands of them: none is copied twice.
    position = 0
    while position < len(der):
        tag, start = der[position], position + 2
        size = int.from_bytes(der[position + 1 : start], "big")
        if size & 0x80:
            start += size & 0x7F
            size = int.from_bytes(der[position + 2 : start], "big")
        if len(der) < start + size:
            raise DamagedKey(f"{_WHAT}: truncated")
        yield tag, der[start : start + size]
        position = start + size


def _dsaNumbers(der: bytes) -> tuple[int, int, int, int, int | None] | None:
    """
    Of a DSA key p, q, g, x, and y where it is there; of another, L{None}.

    The library would compute y before anybody has looked at the sizes, and a
    key of some thousand bytes keeps it busy for minutes.
    """
    elements = list(_elements(next(_elements(der))[1]))
    tags = [tag for tag, _ in elements]
    if tags == 6 * [_INTEGER]:
        p, q, g, y, x = (_integer(content) for _, content in elements[1:])
        return p, q, g, x, y
    if tags[:3] != [_INTEGER, _SEQUENCE, _OCTETS]:
        return None
    algorithm = list(_elements(elements[1][1]))
    if len(algorithm) != 2 or algorithm[0] != (_OBJECT_IDENTIFIER, _DSA):
        return None
    parts = [*_elements(algorithm[1][1]), *_elements(elements[2][1])]
    if [algorithm[1][0], *(tag for tag, _ in parts)] != [_SEQUENCE, *4 * [_INTEGER]]:
        raise DamagedKey(f"{_WHAT}: a DSA key without its numbers")
    p, q, g, x = (_integer(content) for _, content in parts)
    return p, q, g, x, None


def _integer(content: bytes) -> int:
    return int.from_bytes(content, "big", signed=True)


def _checkWork(der: bytes, effort: Effort) -> None:
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
        # Beside its N blocks scrypt has p + 2 of them: with a small N and a
        # large r that is most of the memory.
        if len(integers) > 2 and integers[1] * (integers[2] + 2) > effort.scryptWork // 8:
            work = effort.scryptWork + 1
    if largest > effort.iterations or (isScrypt and work > effort.scryptWork):
        raise BadKeyError(f"{_WHAT}: to derive its key is too much work")


class PublicPEMFile:
    """
    One of the two forms of public keys, as C{ssh-keygen -e -m} writes them.
    """

    holdsPrivate = False

    def __init__(self, label: bytes, traditional: bool) -> None:
        """
        @param label: what stands behind BEGIN.
        @param traditional: whether it is that of PKCS#1, for RSA alone.
        """
        self._begin = re.compile(rb"^-----BEGIN (?P<label>%b)-----" % label, re.MULTILINE)
        self._traditional = traditional

    def recognises(self, data: bytes) -> bool:
        return self._begin.search(data) is not None

    def load(self, data: bytes, passphrase: bytes | None, effort: Effort = USUAL_EFFORT) -> LoadedKey:
        from cryptography.exceptions import InternalError, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        what = "PEM public key"
        _, body = _cut(self._begin, data, what)
        refusePassphrase(passphrase)
        der = decodeBase64(body, what)
        checkWhole(der, what)
        try:
            key = load_der_public_key(der)
        except UnsupportedAlgorithm as error:
            raise BadKeyError(f"{what}: {error}") from None
        except (InternalError, TypeError, ValueError) as error:
            raise DamagedKey(f"{what}: {error}") from None
        with reading(what):
            return LoadedKey(readPublicKey(packPublicKey(keyTypeOf(key).publicHalf(key)))[1])

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        if passphrase:
            raise UsageError("a public key is not encrypted")
        form = PublicFormat.PKCS1 if self._traditional else PublicFormat.SubjectPublicKeyInfo
        try:
            return bytes(key.public_bytes(Encoding.PEM, form))
        except (AttributeError, ValueError):
            # PKCS#1 knows RSA, and X.509 neither certificates of SSH nor
            # security keys.
            raise UsageError(f"PEM: {safe(keyTypeOf(key).name)} cannot be written") from None


TRADITIONAL = PEMFile(rb"(?:RSA|EC|DSA) PRIVATE KEY", traditional=True)
PKCS8 = PEMFile(rb"(?:ENCRYPTED )?PRIVATE KEY", traditional=False)
PUBLIC_PKCS1 = PublicPEMFile(rb"RSA PUBLIC KEY", traditional=True)
PUBLIC_PKCS8 = PublicPEMFile(rb"PUBLIC KEY", traditional=False)
