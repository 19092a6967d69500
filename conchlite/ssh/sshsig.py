"""
Signatures of files and messages: OpenSSH's PROTOCOL.sshsig, C{ssh-keygen -Y},
and what git signs commits with.

A signature is of a purpose, its namespace (C{file}, C{git}, C{email} or a
program's own C{name@domain}), so that one cannot be taken for another. Who may
sign is another question: L{conchlite.ssh.allowedsigners}.
"""

from __future__ import annotations

import hashlib
from typing import IO, TYPE_CHECKING

from conchlite.algorithms import catalogue
from conchlite.algorithms.keyfiles import armor, unarmor
from conchlite.algorithms.publickeys.signatures import MINIMUM_RSA_BITS
from conchlite.error import BadKeyError, BadSignature, MalformedMessage, UsageError, safe
from conchlite.wire.publickeys import FileSignature, SignedFile
from conchlite.wire.types import Reader

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key

_BEGIN = b"-----BEGIN SSH SIGNATURE-----"
_END = b"-----END SSH SIGNATURE-----"
_MAGIC = b"SSHSIG"
_VERSION = 1

# The document allows these, and of RSA no SHA-1.
_HASHES = ("sha512", "sha256")
_RSA_SIGNATURES = (b"rsa-sha2-512", b"rsa-sha2-256")

_CHUNK = 256 * 1024


def signedData(data: bytes | IO[bytes], namespace: bytes | str, hash: str = "sha512") -> bytes:
    """
    What a key signs, where the key is not in hand: what an agent is to be
    given. L{armored} makes a signature of its answer.

    @param data: the message, or a file open for reading.
    @param namespace: what the signature is for; not empty.
    @param hash: C{sha512} or C{sha256}.
    @raise UsageError: there is no such hash, or no namespace.
    """
    if hash not in _HASHES:
        raise UsageError(f"signatures are of {' or '.join(_HASHES)}, not of {safe(hash)}")
    digest = hashlib.new(hash)
    if isinstance(data, bytes):
        digest.update(data)
    else:
        while chunk := data.read(_CHUNK):
            digest.update(chunk)
    return _MAGIC + SignedFile(_named(namespace), b"", hash.encode("ascii"), digest.digest()).pack()


def armored(blob: bytes, namespace: bytes | str, signature: bytes, hash: str = "sha512") -> bytes:
    """
    A signature as C{ssh-keygen -Y sign} writes it.

    @param blob: the public key that has signed, or its certificate.
    @param signature: what it made of L{signedData}: the algorithm's name and
        the signature, RFC 4253 section 6.6. Of an RSA key, one of C{rsa-sha2}.
    @param hash: as in L{signedData}.
    @raise UsageError: there is no namespace.
    """
    packed = FileSignature(_VERSION, blob, _named(namespace), b"", hash.encode("ascii"), signature).pack()
    return armor(_BEGIN, _MAGIC + packed, _END)


def sign(key: Key, data: bytes | IO[bytes], namespace: bytes | str, hash: str = "sha512") -> bytes:
    """
    Sign a message.

    @param key: a private key; with a certificate, that goes with it.
    @param data: the message, or a file open for reading.
    @param namespace: what the signature is for; not empty.
    @param hash: C{sha512} or C{sha256}.
    @return: the signature as C{ssh-keygen -Y sign} writes it.
    @raise UsageError: the key is public, or there is no such hash or no
        namespace.
    @raise BadSignature: as L{Key.sign}.
    @raise WeakKey: as L{Key.sign}.
    """
    return armored(key.blob(), namespace, key.sign(signedData(data, namespace, hash)), hash)


def verify(
    signature: bytes | str,
    data: bytes | IO[bytes],
    namespace: bytes | str,
    *,
    minimumRSABits: int = MINIMUM_RSA_BITS,
    requireTouch: bool = True,
    requireVerification: bool = False,
) -> Key:
    """
    Verify a signature. Whether to believe the key that made it is for the
    caller to say, or for L{conchlite.ssh.allowedsigners.AllowedSigners}.

    @param signature: what C{ssh-keygen -Y sign} wrote.
    @param data: the message, or a file open for reading.
    @param namespace: what the signature has to be for.
    @param minimumRSABits: the smallest RSA key that counts.
    @param requireTouch: whether a security key has to say that somebody
        touched it.
    @param requireVerification: whether it has to say that it knows who.
    @return: the public key that has signed, with the certificate that it
        signed with, if any; that is not judged.
    @raise BadSignature: it is none, is for another namespace, or not of
        C{data}.
    @raise WeakKey: the key is too small.
    @raise UsageError: there is no namespace.
    """
    from conchlite.ssh.keys import Key

    wanted = _named(namespace)
    parsed = _read(signature)
    try:
        key = Key.fromString(parsed.publicKey, "blob")
        algorithm = Reader(parsed.signature, "signature").string()
    except (BadKeyError, MalformedMessage) as error:
        raise BadSignature(f"a signature that cannot be read: {error}") from None
    if parsed.namespace != wanted:
        raise BadSignature(f"a signature for {safe(parsed.namespace)}, where one for {safe(wanted)} belongs")
    if catalogue.keyTypeOfSignature(algorithm) == b"ssh-rsa" and algorithm not in _RSA_SIGNATURES:
        raise BadSignature(f"a {safe(algorithm)} signature")
    covered = signedData(data, wanted, parsed.hashAlgorithm.decode("ascii"))
    try:
        key.plain().verifyStrictly(
            parsed.signature, covered, algorithm, minimumRSABits, requireTouch, requireVerification
        )
    except MalformedMessage as error:
        raise BadSignature(f"a signature that cannot be read: {error}") from None
    return key


def _named(namespace: bytes | str) -> bytes:
    name = namespace.encode("utf-8") if isinstance(namespace, str) else namespace
    if not name:
        raise UsageError("a signature has a namespace")
    return name


def _read(signature: bytes | str) -> FileSignature:
    text = signature.encode("utf-8", "replace") if isinstance(signature, str) else signature
    try:
        content = unarmor(_BEGIN, text, _END, "signature")
        if not content.startswith(_MAGIC):
            raise BadSignature("no signature in the form of ssh-keygen")
        parsed = FileSignature.unpack(content[len(_MAGIC) :])
    except (BadKeyError, MalformedMessage) as error:
        raise BadSignature(f"a signature that cannot be read: {error}") from None
    if parsed.version != _VERSION:
        raise BadSignature(f"a signature of version {parsed.version}")
    if parsed.hashAlgorithm not in [name.encode("ascii") for name in _HASHES]:
        raise BadSignature(f"a signature of the hash {safe(parsed.hashAlgorithm)}")
    return parsed
