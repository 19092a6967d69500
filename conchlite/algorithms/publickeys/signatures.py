"""
Key blobs and signature blobs: what travels in a key exchange and in an
authentication request, and how it is judged.

The rules that hold for every type of key stand here once: a signature names
the algorithm that was agreed on, and no other; the key is of the type that
makes such signatures; nothing trails behind either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from conchlite.algorithms import catalogue
from conchlite.error import (
    BadKeyError,
    BadSignature,
    MalformedMessage,
    UsageError,
    WeakKey,
    safe,
)
from conchlite.wire.kex import SignatureBlob
from conchlite.wire.types import Buffer, Reader, packString

if TYPE_CHECKING:
    from conchlite.algorithms.base import KeyType
    from conchlite.algorithms.publickeys import PrivateKey, PublicKey
    from conchlite.algorithms.publickeys.certificates import Certificate
    from conchlite.algorithms.publickeys.securitykeys import SecurityKeyType, SecurityPublicKey

#: The smallest RSA key that is trusted to prove anything, in bits.
MINIMUM_RSA_BITS = 2048

#: The largest RSA key that is computed with, in bits.
MAXIMUM_RSA_BITS = 16384

#: The largest RSA key that a server lets a client make it compute with.
MAXIMUM_USER_RSA_BITS = 8192


class Presence(NamedTuple):
    """
    What a security key has to say about the person in front of it, PROTOCOL.u2f.

    @ivar touch: that somebody has touched it.
    @ivar verification: that it knows who, by a PIN or a finger.
    """

    touch: bool = True
    verification: bool = False


#: What it has to say unless somebody asked for more, or for less.
TOUCHED = Presence()


def keyTypeOf(key: object) -> KeyType:
    """
    The type of one of C{cryptography}'s keys, public or private, or of a
    certificate or a security key.

    @raise BadKeyError: it is none that SSH knows.
    """
    for name in (*catalogue.keyTypes(), *catalogue.certificateTypes()):
        keyType = catalogue.keyType(name)
        if keyType.owns(key):
            return keyType
    raise BadKeyError(f"SSH has no keys like {type(key).__name__}")


def _keyTypeNamed(name: bytes) -> KeyType:
    try:
        return catalogue.keyType(name)
    except UsageError:
        raise MalformedMessage(f"a key of the unknown type {safe(name)}") from None


def readPublicKey(blob: Buffer) -> tuple[KeyType, PublicKey]:
    """
    Read a key blob, RFC 4253 section 6.6.

    @raise MalformedMessage: it is no key, of a type that is not known, or has
        bytes behind it.
    """
    reader = Reader(blob, "public key")
    keyType = _keyTypeNamed(reader.string())
    key = cast("PublicKey", keyType.read(reader))
    reader.end()
    return keyType, key


def packPublicKey(key: PublicKey) -> bytes:
    """
    The key's blob.

    @raise BadKeyError: it is no key that SSH knows.
    """
    keyType = keyTypeOf(key)
    return packString(keyType.name) + keyType.pack(key)


def readPrivateKey(reader: Reader) -> tuple[KeyType, PrivateKey]:
    """
    Read a private key as OpenSSH's files and the agent's protocol have it, and
    leave what lies behind it.

    @raise MalformedMessage: it is no key, or of a type that is not known.
    """
    keyType = _keyTypeNamed(reader.string())
    return keyType, cast("PrivateKey", keyType.readPrivate(reader))


def packPrivateKey(key: PrivateKey) -> bytes:
    """
    The private key as L{readPrivateKey} reads it.

    @raise BadKeyError: it is no key that SSH knows.
    """
    keyType = keyTypeOf(key)
    return packString(keyType.name) + keyType.packPrivate(key)


def checkKeySize(key: PublicKey | PrivateKey, minimumRSABits: int = MINIMUM_RSA_BITS) -> None:
    """
    Refuse a key that is too small to prove anything. Keys of any size can be
    read: this is where a program says what it trusts.

    @param minimumRSABits: the smallest RSA modulus, in bits.
    @raise WeakKey: the key is smaller.
    """
    _checkSize(keyTypeOf(key), key, minimumRSABits)


def _checkSize(keyType: KeyType, key: PublicKey | PrivateKey, minimumRSABits: int) -> None:
    if keyType.family == "RSA" and keyType.size(key) < minimumRSABits:
        raise WeakKey(
            f"an RSA key of {keyType.size(key)} bits: minimumRSABits asks for {minimumRSABits} at least"
        )


def verifySignature(
    algorithm: bytes,
    keyBlob: Buffer,
    signatureBlob: Buffer,
    data: bytes,
    minimumRSABits: int = MINIMUM_RSA_BITS,
    maximumRSABits: int = MAXIMUM_RSA_BITS,
    presence: Presence = TOUCHED,
) -> None:
    """
    Verify a signature off the wire by a key off the wire: returns when it is
    good, and raises when it is anything else.

    @param algorithm: the signature algorithm that was agreed on: the
        negotiated host key algorithm, or the one that the authentication
        request named. With a certificate it is one of a certificate's
        algorithms, while the signature names that of the plain key.
    @param signatureBlob: the algorithm's name and the signature.
    @param data: what was signed.
    @param minimumRSABits: the smallest RSA key that counts.
    @param maximumRSABits: the largest RSA key that is computed with.
    @param presence: what the signature of a security key has to say.
    @raise MalformedMessage: one of the blobs is not well formed, or the key
        is too large.
    @raise WeakKey: the key is too small.
    @raise BadSignature: the signature is not the key's, not of C{data}, or
        not of C{algorithm}.
    """
    keyType, key = readPublicKey(keyBlob)
    if keyType.family == "RSA" and keyType.size(key) > maximumRSABits:
        raise MalformedMessage(f"an RSA key of {keyType.size(key)} bits: at most {maximumRSABits}")
    _checkSize(keyType, key, minimumRSABits)
    _verify(keyType, key, algorithm, signatureBlob, data, presence)


def verifyByKey(
    key: PublicKey,
    algorithm: bytes,
    signatureBlob: Buffer,
    data: bytes,
    presence: Presence = TOUCHED,
) -> None:
    """
    As L{verifySignature}, by a key that was read before and whose size is no
    question.

    @raise MalformedMessage: the signature blob is not well formed.
    @raise BadSignature: the signature is not the key's, not of C{data}, or
        not of C{algorithm}.
    """
    _verify(keyTypeOf(key), key, algorithm, signatureBlob, data, presence)


def _verify(
    keyType: KeyType,
    key: PublicKey,
    algorithm: bytes,
    signatureBlob: Buffer,
    data: bytes,
    presence: Presence,
) -> None:
    if catalogue.keyTypeOfSignature(algorithm) != keyType.name:
        raise BadSignature(f"a {safe(keyType.name)} key where {safe(algorithm)} was agreed on")
    plain = catalogue.plainName(algorithm)
    if plain != algorithm:
        # It is the key in the certificate that has signed, and its own
        # algorithm that the signature names.
        verifyByKey(cast("Certificate", key).publicKey, plain, signatureBlob, data, presence)
        return
    reader = Reader(signatureBlob, "signature")
    named = reader.string()
    # RFC 8332 section 3.2: a peer that agreed on rsa-sha2-256 must not get
    # away with SHA-1 by writing another name here.
    if named != algorithm:
        raise BadSignature(f"a {safe(named)} signature where {safe(algorithm)} was agreed on")
    if catalogue.isSecurityKey(algorithm):
        securityKeyType, securityKey = cast("SecurityKeyType", keyType), cast("SecurityPublicKey", key)
        securityKeyType.verify(securityKey, algorithm, reader.rest(), data, presence)
    else:
        signature = reader.string()
        reader.end()
        keyType.verify(key, algorithm, signature, data)


def makeSignature(algorithm: bytes, key: PrivateKey, data: bytes) -> bytes:
    """
    Sign.

    @param algorithm: one of the C{signatureAlgorithms} of the key's type, or of
        its certificate's; the signature names that of the plain key.
    @return: a signature blob: the algorithm's name and the signature.
    @raise BadKeyError: it is no key that SSH knows.
    @raise BadSignatureAlgorithmError: the key makes no such signatures.
    @raise WeakKey: the key is too small for the algorithm.
    @raise BadSignature: what was computed does not verify: a fault of this
        machine, which must not be sent.
    """
    keyType, plain = keyTypeOf(key), catalogue.plainName(algorithm)
    return SignatureBlob(plain, keyType.sign(key, plain, data)).pack()
