"""
PuTTY's private keys, PPK versions 2 and 3, as appendix C of its manual
describes them. They are read, and not written: C{puttygen} reads OpenSSH's.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from conchlite.algorithms.keyfiles import checkKnown, decodeBase64, reading, refusePassphrase
from conchlite.algorithms.keyfiles.ciphers import FILE_CIPHERS, decrypt
from conchlite.algorithms.loading import USUAL_EFFORT, Effort, LoadedKey
from conchlite.algorithms.publickeys.signatures import keyTypeOf, packPublicKey, readPrivateKey, readPublicKey
from conchlite.error import BadKeyError, BadPassphrase, DamagedKey, EncryptedKeyError, UsageError, safe
from conchlite.wire.types import Reader, packMPInt, packString

_WHAT = "PuTTY private key"
_BEGIN = b"PuTTY-User-Key-File-"

_CIPHER = b"aes256-cbc"
_MAC_KEY_SIZE = 32
_DERIVATIONS = (b"Argon2id", b"Argon2i", b"Argon2d")
_HEX = re.compile(rb"(?:[0-9A-Fa-f]{2})+")


@dataclass(frozen=True)
class _Secrets:
    """
    What a passphrase is made into; its C{repr} shows nothing of it.

    @ivar material: the cipher's key and initial vector; empty without one.
    @ivar macKey: the key of the MAC.
    """

    material: bytes = field(repr=False)
    macKey: bytes = field(repr=False)


class PuTTYFile:
    """
    C{key.ppk}.
    """

    holdsPrivate = True

    def recognises(self, data: bytes) -> bool:
        return data.lstrip().startswith(_BEGIN)

    def load(self, data: bytes, passphrase: bytes | None, effort: Effort = USUAL_EFFORT) -> LoadedKey:
        fields = _Fields(data)
        version, name = fields.version, fields.algorithm
        encryption, comment = fields.take(b"Encryption"), fields.take(b"Comment")
        if encryption not in (b"none", _CIPHER):
            raise BadKeyError(f"{_WHAT}: encrypted with {safe(encryption)}, which is not supported")
        publicBlob = fields.takeBlob(b"Public-Lines")
        derivation = fields.takeDerivation() if version == 3 and encryption != b"none" else None
        private = fields.takeBlob(b"Private-Lines")
        mac = fields.take(b"Private-MAC")
        fields.end()
        if encryption == b"none":
            refusePassphrase(passphrase)
            secrets = _Secrets(b"", b"" if version == 3 else _version2(b"").macKey)
        elif len(private) % FILE_CIPHERS[_CIPHER].blockSize:
            raise DamagedKey(f"{_WHAT}: encrypted data of the wrong length")
        elif not passphrase:
            raise EncryptedKeyError(f"{_WHAT}: it is encrypted, and no passphrase is given")
        elif derivation is not None:
            secrets = derivation.secrets(passphrase, effort)
        else:
            secrets = _version2(passphrase)
        if secrets.material:
            private = decrypt(_CIPHER, secrets.material, private)
        covered = b"".join(map(packString, (name, encryption, comment, publicBlob, private)))
        wanted = hmac.new(secrets.macKey, covered, "sha256" if version == 3 else "sha1").hexdigest()
        if len(mac) != len(wanted):
            raise DamagedKey(f"{_WHAT}: a MAC of {len(mac)} digits")
        if not hmac.compare_digest(wanted.encode("ascii"), mac.lower()):
            if secrets.material:
                raise BadPassphrase(f"{_WHAT}: wrong passphrase")
            raise DamagedKey(f"{_WHAT}: its MAC is wrong")
        return LoadedKey(_joined(name, publicBlob, private, bool(secrets.material)), comment)

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> NoReturn:
        raise UsageError("PuTTY's format is not written: puttygen reads that of OpenSSH")


def _version2(passphrase: bytes) -> _Secrets:
    """
    A SHA-1 or two of the passphrase, which is why there is a version 3.
    """
    digests = (_sha1(bytes((0, 0, 0, i)) + passphrase) for i in (0, 1))
    key = b"".join(digests)[: FILE_CIPHERS[_CIPHER].keySize]
    iv = bytes(FILE_CIPHERS[_CIPHER].ivSize)
    return _Secrets(key + iv, _sha1(b"putty-private-key-file-mac-key" + passphrase))


#: What a lane costs in each pass: as much time as this many KiB of memory.
_LANE_WORK = 128


def _sha1(data: bytes) -> bytes:
    # The format's own; what it protects is no better than the passphrase.
    return hashlib.sha1(data, usedforsecurity=False).digest()


class _Derivation(NamedTuple):
    """
    How Argon2 is to work on the passphrase.

    @ivar memory: in KiB.
    """

    name: bytes
    memory: int
    passes: int
    parallelism: int
    salt: bytes

    def secrets(self, passphrase: bytes, effort: Effort) -> _Secrets:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.kdf import argon2

        # Lanes are threads, begun anew four times in each pass: with thousands
        # of them they, and not the memory, are the work.
        work = (self.memory + _LANE_WORK * (self.parallelism - 1)) * self.passes
        if self.memory > effort.argon2Memory or work > effort.argon2Work:
            raise BadKeyError(f"{_WHAT}: to derive its key is too much work")
        cipher = FILE_CIPHERS[_CIPHER]
        size = cipher.keySize + cipher.ivSize
        try:
            function = getattr(argon2, self.name.decode("ascii"))(
                salt=self.salt,
                length=size + _MAC_KEY_SIZE,
                iterations=self.passes,
                lanes=self.parallelism,
                memory_cost=self.memory,
            )
            output: bytes = function.derive(passphrase)
        except (AttributeError, UnsupportedAlgorithm):
            raise BadKeyError(f"{_WHAT}: the installed cryptography has no {safe(self.name)}") from None
        except ValueError as error:
            raise DamagedKey(f"{_WHAT}: {error}") from None
        return _Secrets(output[:size], output[size:])


class _Fields:
    """
    The file's lines, each a name and a value, in the order that they have.

    @ivar version: 2 or 3.
    @ivar algorithm: the type of the key.
    """

    def __init__(self, data: bytes) -> None:
        self._lines = [line.rstrip(b"\r") for line in data.strip().split(b"\n")]
        self._next = 0
        head, _, self.algorithm = self._line().partition(b": ")
        version = head.removeprefix(_BEGIN)
        if version not in (b"2", b"3"):
            raise BadKeyError(f"{_WHAT}: of version {safe(version, 8)}, which is not supported")
        self.version = int(version)
        if not self._lines[-1].startswith(b"Private-MAC: "):
            raise DamagedKey(f"{_WHAT}: truncated")

    def _line(self) -> bytes:
        if self._next == len(self._lines):
            raise DamagedKey(f"{_WHAT}: truncated")
        self._next += 1
        return self._lines[self._next - 1]

    def take(self, name: bytes) -> bytes:
        """
        The value of the next line, which has to be this one.
        """
        found, _, value = self._line().partition(b": ")
        if found != name:
            raise DamagedKey(f"{_WHAT}: {safe(found, 32)} where {safe(name)} belongs")
        return value

    def takeNumber(self, name: bytes) -> int:
        value = self.take(name)
        if not value.isdigit() or len(value) > 9:
            raise DamagedKey(f"{_WHAT}: {safe(name)} is no number")
        return int(value)

    def takeBlob(self, name: bytes) -> bytes:
        """
        The base64 in the lines of which the next one has the number.
        """
        count = self.takeNumber(name)
        if count > len(self._lines) - self._next:
            raise DamagedKey(f"{_WHAT}: truncated")
        return decodeBase64(b"".join(self._line() for _ in range(count)), _WHAT)

    def takeDerivation(self) -> _Derivation:
        name = self.take(b"Key-Derivation")
        if name not in _DERIVATIONS:
            raise BadKeyError(f"{_WHAT}: the key derivation {safe(name)} is not known")
        memory, passes, parallelism = (
            self.takeNumber(b"Argon2-" + what) for what in (b"Memory", b"Passes", b"Parallelism")
        )
        salt = self.take(b"Argon2-Salt")
        if not _HEX.fullmatch(salt):
            raise DamagedKey(f"{_WHAT}: a salt that is not hexadecimal")
        return _Derivation(name, memory, passes, parallelism, bytes.fromhex(salt.decode("ascii")))

    def end(self) -> None:
        if self._next != len(self._lines):
            raise DamagedKey(f"{_WHAT}: more behind its end")


def _joined(name: bytes, publicBlob: bytes, private: bytes, padded: bool) -> Any:
    """
    The key of its two halves, by way of the form that OpenSSH has it in.
    """
    checkKnown(publicBlob, _WHAT)
    with reading(_WHAT):
        keyType, public = readPublicKey(publicBlob)
        if keyType.name != name:
            raise DamagedKey(f"{_WHAT}: it says {safe(name)}, the key {safe(keyType.name)}")
        reader = Reader(private, _WHAT)
        if keyType.family == "RSA":
            numbers = keyType.numbers(public)
            d, p, q, u = (reader.mpint() for _ in range(4))
            packed = b"".join(packMPInt(int(number)) for number in (numbers["n"], numbers["e"], d, u, p, q))
        elif keyType.family in ("EC", "DSA"):
            packed = keyType.pack(public) + packMPInt(reader.mpint())
        else:
            point = Reader(keyType.pack(public)).string()
            # It is written as a number, the least byte first, without the
            # zeros that it may end with.
            packed = packString(point) + packString(reader.string().ljust(len(point), b"\0") + point)
        if reader.remaining() >= (FILE_CIPHERS[_CIPHER].blockSize if padded else 1):
            raise DamagedKey(f"{_WHAT}: more behind the private key")
        key = readPrivateKey(Reader(packString(name) + packed, _WHAT))[1]
    if packPublicKey(keyTypeOf(key).publicHalf(key)) != publicBlob:
        raise DamagedKey(f"{_WHAT}: the private key is not the public one's")
    return key


PRIVATE = PuTTYFile()
