"""
OpenSSH's own formats: the one-line public key of sshd(8), and the private key
of OpenSSH's PROTOCOL.key.

The library has a reader for the private keys too, but it drops the comment,
and derives the encryption's key for as many rounds as the file asks for.
"""

from __future__ import annotations

import binascii
import os
from dataclasses import dataclass
from typing import Any

from conchlite.algorithms.keyfiles import (
    armor,
    checkComment,
    checkKnown,
    decodeBase64,
    reading,
    refusePassphrase,
    unarmor,
)
from conchlite.algorithms.keyfiles.ciphers import FILE_CIPHERS, decrypt, encrypt
from conchlite.algorithms.loading import USUAL_EFFORT, Effort, LoadedKey
from conchlite.algorithms.publickeys.signatures import (
    keyTypeOf,
    packPrivateKey,
    packPublicKey,
    readPrivateKey,
    readPublicKey,
)
from conchlite.error import BadKeyError, BadPassphrase, DamagedKey, EncryptedKeyError, UsageError, safe
from conchlite.wire.codec import Structure
from conchlite.wire.types import Reader, Rest, SecretRest, String, UInt32, packString

#: The rounds that we ask for, as ssh-keygen does since OpenSSH 9.4.
DEFAULT_ROUNDS = 24

DEFAULT_CIPHER = b"aes256-ctr"


def splitLine(line: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """
    The parts of a line with a public key: options as sshd(8) describes them
    for C{authorized_keys}, the type's name, the key in base64, the comment;
    what is not there is empty.

    Nothing is looked at closer than it takes to find where a part ends.
    """
    for options in (b"", _optionsOf(line.strip())):
        fields = line.strip()[len(options) :].split(None, 2)
        # A blob begins with the length of the type's name, three zero bytes
        # and a small one, which base64 turns into "AAAA".
        if len(fields) > 1 and fields[1].startswith(b"AAAA"):
            return options, fields[0], fields[1], b"".join(fields[2:])
    return b"", b"", b"", b""


def _optionsOf(line: bytes) -> bytes:
    """
    What a line begins with, up to the first blank that is not in quotes.
    """
    quoted, position = False, 0
    while position < len(line) and (quoted or line[position] not in b" \t"):
        # sshd takes a backslash as one, but in front of a quote.
        if line[position : position + 2] == b'\\"':
            position += 1
        elif line[position : position + 1] == b'"':
            quoted = not quoted
        position += 1
    return line[:position]


class PublicLine:
    """
    C{type base64 comment}: a line of C{id_ed25519.pub}, or one of
    C{authorized_keys}, whose options are left aside.
    """

    holdsPrivate = False

    def recognises(self, data: bytes) -> bool:
        lines = _keyLines(data)
        return bool(lines) and splitLine(lines[0])[2] != b""

    def load(self, data: bytes, passphrase: bytes | None, effort: Effort = USUAL_EFFORT) -> LoadedKey:
        what = "OpenSSH public key"
        refusePassphrase(passphrase)
        lines = _keyLines(data)
        if len(lines) != 1:
            raise DamagedKey(f"{what}: {len(lines)} lines where one belongs")
        _, name, encoded, comment = splitLine(lines[0])
        blob = decodeBase64(encoded, what)
        checkKnown(blob, what)
        with reading(what):
            keyType, key = readPublicKey(blob)
        if keyType.name != name:
            raise DamagedKey(f"{what}: the line says {safe(name)}, the key {safe(keyType.name)}")
        return LoadedKey(key, comment)

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        if passphrase:
            raise UsageError("a public key is not encrypted")
        checkComment(comment)
        blob = packPublicKey(key)
        encoded = binascii.b2a_base64(blob, newline=False)
        return b" ".join([keyTypeOf(key).name, encoded, comment]).strip()


def _keyLines(data: bytes) -> list[bytes]:
    """
    The lines that are neither blank nor a comment.
    """
    lines = [line.strip() for line in data.strip().splitlines()]
    return [line for line in lines if line and not line.startswith(b"#")]


class _Envelope(Structure):
    """
    PROTOCOL.key section 1, behind the magic. The tag of an AEAD cipher is not
    counted in the string that it authenticates.
    """

    cipherName: String
    kdfName: String
    kdfOptions: String
    count: UInt32
    publicKey: String
    privateKeys: String
    tag: Rest


class _BcryptOptions(Structure):
    """
    PROTOCOL.key section 2.
    """

    salt: String
    rounds: UInt32


class _PrivateSection(Structure):
    """
    PROTOCOL.key section 3.
    """

    checks: UInt32
    checksAgain: UInt32
    keyAndPadding: SecretRest


_MAGIC = b"openssh-key-v1\0"
_BEGIN = b"-----BEGIN OPENSSH PRIVATE KEY-----"
_END = b"-----END OPENSSH PRIVATE KEY-----"
_WHAT = "OpenSSH private key"


@dataclass(frozen=True)
class PrivateKeyFile:
    """
    The private key format that ssh-keygen writes since OpenSSH 7.8.

    @ivar cipher: what to encrypt with, where there is a passphrase.
    @ivar rounds: how often bcrypt is to work on the passphrase; L{None} for
        what ssh-keygen takes.
    """

    cipher: bytes = DEFAULT_CIPHER
    rounds: int | None = None

    holdsPrivate = True

    def recognises(self, data: bytes) -> bool:
        return data.lstrip().startswith(_BEGIN)

    def load(self, data: bytes, passphrase: bytes | None, effort: Effort = USUAL_EFFORT) -> LoadedKey:
        with reading(_WHAT):
            envelope = _Envelope.unpack(_content(data))
            if envelope.count != 1:
                raise BadKeyError(f"{_WHAT}: {envelope.count} keys where one belongs")
            section = _PrivateSection.unpack(_opened(envelope, passphrase, effort))
            if section.checks != section.checksAgain:
                if envelope.cipherName != b"none":
                    raise BadPassphrase(f"{_WHAT}: wrong passphrase")
                raise DamagedKey(f"{_WHAT}: the check numbers differ")
            checkKnown(section.keyAndPadding, _WHAT)
            reader = Reader(section.keyAndPadding, _WHAT)
            keyType, key = readPrivateKey(reader)
            comment = reader.string()
            padding = reader.rest()
        if padding != _padding(len(padding)):
            raise DamagedKey(f"{_WHAT}: wrong padding")
        if packPublicKey(keyType.publicHalf(key)) != envelope.publicKey:
            raise DamagedKey(f"{_WHAT}: the private key is not the public one's")
        return LoadedKey(key, comment)

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        check = os.urandom(4)
        section = check + check + packPrivateKey(key) + packString(comment)
        publicKey = packPublicKey(keyTypeOf(key).publicHalf(key))
        if passphrase:
            if self.cipher not in FILE_CIPHERS:
                raise UsageError(f"{_WHAT}: there is no cipher {safe(self.cipher)}")
            rounds = DEFAULT_ROUNDS if self.rounds is None else self.rounds
            if not 1 <= rounds < 2**32:
                raise UsageError(f"{_WHAT}: {rounds} rounds of bcrypt")
            options = _BcryptOptions(os.urandom(16), rounds)
            section += _padding(-len(section) % FILE_CIPHERS[self.cipher].blockSize)
            material = _derive(self.cipher, passphrase, options)
            encrypted, tag = encrypt(self.cipher, material, section)
            envelope = _Envelope(self.cipher, b"bcrypt", options.pack(), 1, publicKey, encrypted, tag)
        else:
            # Without a cipher the block size counts as 8.
            section += _padding(-len(section) % 8)
            envelope = _Envelope(b"none", b"none", b"", 1, publicKey, section, b"")
        return armor(_BEGIN, _MAGIC + envelope.pack(), _END)


def publicBlob(data: bytes) -> bytes:
    """
    The public key that stands in clear in a private key's file, also in an
    encrypted one. Nothing vouches for it.

    @raise BadKeyError: the file is none of this format, or damaged.
    """
    with reading(_WHAT):
        return _Envelope.unpack(_content(data)).publicKey


def _padding(size: int) -> bytes:
    """
    1, 2, 3 ...
    """
    return bytes(i & 0xFF for i in range(1, size + 1))


def _content(data: bytes) -> bytes:
    content = unarmor(_BEGIN, data, _END, _WHAT)
    if not content.startswith(_MAGIC):
        raise BadKeyError(f"{_WHAT}: not of version 1")
    return content[len(_MAGIC) :]


def _opened(envelope: _Envelope, passphrase: bytes | None, effort: Effort) -> bytes:
    """
    The private section in clear.
    """
    name = envelope.cipherName
    if name == b"none":
        if envelope.kdfName != b"none" or envelope.kdfOptions or envelope.tag:
            raise DamagedKey(f"{_WHAT}: neither encrypted nor plain")
        refusePassphrase(passphrase)
        return envelope.privateKeys
    if envelope.kdfName != b"bcrypt":
        raise BadKeyError(f"{_WHAT}: the key derivation {safe(envelope.kdfName)} is not known")
    cipher = FILE_CIPHERS.get(name)
    if cipher is None:
        raise BadKeyError(f"{_WHAT}: encrypted with {safe(name)}, which is not supported")
    if len(envelope.privateKeys) % cipher.blockSize or len(envelope.tag) != cipher.tagSize:
        raise DamagedKey(f"{_WHAT}: encrypted data of the wrong length")
    if not passphrase:
        raise EncryptedKeyError(f"{_WHAT}: it is encrypted, and no passphrase is given")
    options = _BcryptOptions.unpack(envelope.kdfOptions)
    if not 1 <= options.rounds <= effort.bcryptRounds:
        raise BadKeyError(f"{_WHAT}: {options.rounds} rounds of bcrypt, at most {effort.bcryptRounds}")
    if not options.salt:
        raise DamagedKey(f"{_WHAT}: no salt")
    material = _derive(name, passphrase, options)
    try:
        return decrypt(name, material, envelope.privateKeys, envelope.tag)
    except BadPassphrase:
        raise BadPassphrase(f"{_WHAT}: wrong passphrase") from None


def _derive(name: bytes, passphrase: bytes, options: _BcryptOptions) -> bytes:
    """
    The key and the initial vector that the passphrase makes.
    """
    import bcrypt

    size = FILE_CIPHERS[name].keySize + FILE_CIPHERS[name].ivSize
    # OpenSSH's default was 16 rounds for ten years: no reason for a warning.
    return bcrypt.kdf(passphrase, options.salt, size, options.rounds, ignore_few_rounds=True)


PUBLIC = PublicLine()
PRIVATE = PrivateKeyFile()
