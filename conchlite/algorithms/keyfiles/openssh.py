"""
OpenSSH's own formats: the one-line public key of sshd(8), and the private key
of OpenSSH's PROTOCOL.key.

The library has a reader for the private keys too, but it drops the comment,
and derives the encryption's key for as many rounds as the file asks for.
"""

from __future__ import annotations

import binascii
import os
from typing import TYPE_CHECKING, Any

from conchlite.algorithms.base import LoadedKey
from conchlite.algorithms.keyfiles import decodeBase64, reading, refusePassphrase
from conchlite.algorithms.publickeys.signatures import (
    keyTypeOf,
    packPrivateKey,
    packPublicKey,
    readPrivateKey,
    readPublicKey,
)
from conchlite.error import BadKeyError, BadPassphrase, EncryptedKeyError, UsageError, safe
from conchlite.wire.codec import Structure
from conchlite.wire.types import Reader, Rest, SecretRest, String, UInt32, packString

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers import Cipher

#: The most rounds of bcrypt that a file may ask for: some seconds of work.
MAXIMUM_ROUNDS = 1024

#: The rounds that we ask for, as ssh-keygen does since OpenSSH 9.4.
DEFAULT_ROUNDS = 24

_DEFAULT_CIPHER = b"aes256-ctr"


class PublicLine:
    """
    C{type base64 comment}: a line of C{id_ed25519.pub}.
    """

    holdsPrivate = False

    def recognises(self, data: bytes) -> bool:
        # A blob begins with the length of the type's name, three zero bytes
        # and a small one, which base64 turns into "AAAA".
        fields = data.split(None, 2)
        return len(fields) > 1 and fields[1].startswith(b"AAAA")

    def load(self, data: bytes, passphrase: bytes | None) -> LoadedKey:
        what = "OpenSSH public key"
        refusePassphrase(passphrase)
        lines = data.strip().splitlines()
        if len(lines) != 1:
            raise BadKeyError(f"{what}: {len(lines)} lines where one belongs")
        name, encoded, comment, *_ = [*lines[0].split(None, 2), b"", b"", b""]
        with reading(what):
            keyType, key = readPublicKey(decodeBase64(encoded, what))
        if keyType.name != name:
            raise BadKeyError(f"{what}: the line says {safe(name)}, the key {safe(keyType.name)}")
        return LoadedKey(key, comment)

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        if passphrase:
            raise UsageError("a public key is not encrypted")
        # A line break would begin another entry of authorized_keys.
        if any(byte < 0x20 for byte in comment):
            raise UsageError("a comment with a control character")
        blob = packPublicKey(key)
        encoded = binascii.b2a_base64(blob, newline=False)
        return b" ".join([keyTypeOf(key).name, encoded, comment]).strip()


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
_WIDTH = 70
_WHAT = "OpenSSH private key"

_KEY_SIZES = {b"aes128": 16, b"aes192": 24, b"aes256": 32}
_BLOCK_SIZE = 16
_GCM = b"gcm@openssh.com"
# The modes of AES, and the size of their initial vectors.
_MODES = {b"ctr": _BLOCK_SIZE, b"cbc": _BLOCK_SIZE, _GCM: 12}
_TAG_SIZE = 16


class PrivateKeyFile:
    """
    The private key format that ssh-keygen writes since OpenSSH 7.8.
    """

    holdsPrivate = True

    def recognises(self, data: bytes) -> bool:
        return data.lstrip().startswith(_BEGIN)

    def load(self, data: bytes, passphrase: bytes | None) -> LoadedKey:
        with reading(_WHAT):
            envelope = _Envelope.unpack(_unarmoured(data))
            if envelope.count != 1:
                raise BadKeyError(f"{_WHAT}: {envelope.count} keys where one belongs")
            section = _PrivateSection.unpack(_opened(envelope, passphrase))
            if section.checks != section.checksAgain:
                if envelope.cipherName != b"none":
                    raise BadPassphrase(f"{_WHAT}: wrong passphrase")
                raise BadKeyError(f"{_WHAT}: the check numbers differ")
            reader = Reader(section.keyAndPadding, _WHAT)
            keyType, key = readPrivateKey(reader)
            comment = reader.string()
            padding = reader.rest()
        if padding != _padding(len(padding)):
            raise BadKeyError(f"{_WHAT}: wrong padding")
        if packPublicKey(keyType.publicHalf(key)) != envelope.publicKey:
            raise BadKeyError(f"{_WHAT}: the private key is not the public one's")
        return LoadedKey(key, comment)

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        check = os.urandom(4)
        section = check + check + packPrivateKey(key) + packString(comment)
        publicKey = packPublicKey(keyTypeOf(key).publicHalf(key))
        if passphrase:
            section += _padding(-len(section) % _BLOCK_SIZE)
            options = _BcryptOptions(os.urandom(16), DEFAULT_ROUNDS)
            encryptor = _cipher(_DEFAULT_CIPHER, passphrase, options).encryptor()
            envelope = _Envelope(
                _DEFAULT_CIPHER,
                b"bcrypt",
                options.pack(),
                1,
                publicKey,
                encryptor.update(section) + encryptor.finalize(),
                b"",
            )
        else:
            # Without a cipher the block size counts as 8.
            section += _padding(-len(section) % 8)
            envelope = _Envelope(b"none", b"none", b"", 1, publicKey, section, b"")
        return _armoured(_MAGIC + envelope.pack())


def _padding(size: int) -> bytes:
    """
    1, 2, 3 ...
    """
    return bytes(i & 0xFF for i in range(1, size + 1))


def _unarmoured(data: bytes) -> bytes:
    text = data.strip()
    if not (text.startswith(_BEGIN) and text.endswith(_END)):
        raise BadKeyError(f"{_WHAT}: it does not begin and end with the format's own lines")
    content = decodeBase64(text[len(_BEGIN) : -len(_END)], _WHAT)
    if not content.startswith(_MAGIC):
        raise BadKeyError(f"{_WHAT}: not of version 1")
    return content[len(_MAGIC) :]


def _armoured(content: bytes) -> bytes:
    text = binascii.b2a_base64(content, newline=False)
    lines = [text[i : i + _WIDTH] for i in range(0, len(text), _WIDTH)]
    return b"\n".join([_BEGIN, *lines, _END, b""])


def _opened(envelope: _Envelope, passphrase: bytes | None) -> bytes:
    """
    The private section in clear.
    """
    name = envelope.cipherName
    if name == b"none":
        if envelope.kdfName != b"none" or envelope.kdfOptions or envelope.tag:
            raise BadKeyError(f"{_WHAT}: neither encrypted nor plain")
        refusePassphrase(passphrase)
        return envelope.privateKeys
    if envelope.kdfName != b"bcrypt":
        raise BadKeyError(f"{_WHAT}: the key derivation {safe(envelope.kdfName)} is not known")
    if not passphrase:
        raise EncryptedKeyError(f"{_WHAT}: it is encrypted, and no passphrase is given")
    algorithm, _, mode = name.partition(b"-")
    if algorithm not in _KEY_SIZES or mode not in _MODES:
        raise BadKeyError(f"{_WHAT}: encrypted with {safe(name)}, which is not supported")
    wantedTag = _TAG_SIZE if mode == _GCM else 0
    if len(envelope.privateKeys) % _BLOCK_SIZE or len(envelope.tag) != wantedTag:
        raise BadKeyError(f"{_WHAT}: encrypted data of the wrong length")
    options = _BcryptOptions.unpack(envelope.kdfOptions)
    decryptor = _cipher(name, passphrase, options, envelope.tag).decryptor()
    from cryptography.exceptions import InvalidTag

    try:
        return decryptor.update(envelope.privateKeys) + decryptor.finalize()
    except InvalidTag:
        raise BadPassphrase(f"{_WHAT}: wrong passphrase") from None


def _cipher(name: bytes, passphrase: bytes, options: _BcryptOptions, tag: bytes = b"") -> Cipher[Any]:
    """
    The cipher of this name, its key and initial vector made of the passphrase.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC, CTR, GCM

    # An application may give us its users' files: the rounds are the work
    # that a stranger can make us do.
    if not 1 <= options.rounds <= MAXIMUM_ROUNDS:
        raise BadKeyError(f"{_WHAT}: {options.rounds} rounds of bcrypt, at most {MAXIMUM_ROUNDS}")
    if not options.salt:
        raise BadKeyError(f"{_WHAT}: no salt")
    import bcrypt

    algorithm, _, mode = name.partition(b"-")
    keySize, ivSize = _KEY_SIZES[algorithm], _MODES[mode]
    # OpenSSH's default was 16 rounds for ten years: no reason for a warning.
    material = bcrypt.kdf(passphrase, options.salt, keySize + ivSize, options.rounds, ignore_few_rounds=True)
    key, iv = AES(material[:keySize]), material[keySize:]
    if mode == b"ctr":
        return Cipher(key, CTR(iv))
    if mode == b"cbc":
        return Cipher(key, CBC(iv))
    return Cipher(key, GCM(iv, tag or None))


PUBLIC = PublicLine()
PRIVATE = PrivateKeyFile()
