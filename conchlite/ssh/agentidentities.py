"""
Private keys as they are given to an agent: draft-ietf-sshm-ssh-agent section
3.2; with a certificate, as OpenSSH has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from conchlite.algorithms import catalogue
from conchlite.error import MalformedMessage, UsageError
from conchlite.wire.types import Reader, packString

if TYPE_CHECKING:
    from conchlite.algorithms.publickeys.certificates import Certificate
    from conchlite.ssh.keys import Key


def packIdentity(key: Key) -> bytes:
    """
    A private key for C{addIdentity}, with its certificate if it carries one.

    @raise UsageError: it is a public key.
    """
    plain = key.plain().privateBlob()
    if key.certificate is None:
        return plain
    start = len(packString(key.plain().sshType()) + _leftOut(key.certificate))
    return packString(key.certificate.name) + packString(key.certificate.blob) + plain[start:]


def readIdentity(data: bytes) -> tuple[Key, Reader]:
    """
    Read a private key and its comment.

    @return: the key, and a reader of what lies behind.
    @raise MalformedMessage: it is none, or of a type that is not known.
    """
    from conchlite.algorithms.publickeys.signatures import readPrivateKey
    from conchlite.ssh.keys import Key

    certificate = None
    start = Reader(data, "identity")
    name = start.string()
    plain = catalogue.plainName(name)
    if plain != name:
        certificate = _readCertificate(name, start.string())
        data = packString(plain) + _leftOut(certificate) + start.rest()
    reader = Reader(data, "identity")
    _, private = readPrivateKey(reader)
    try:
        return Key(private, reader.string(), certificate), reader
    except UsageError as error:
        raise MalformedMessage(str(error)) from None


def _readCertificate(name: bytes, blob: bytes) -> Certificate:
    from conchlite.algorithms.publickeys.signatures import readPublicKey

    keyType, certificate = readPublicKey(blob)
    if keyType.name != name:
        raise MalformedMessage("an identity with a certificate of another type")
    return cast("Certificate", certificate)


def _leftOut(certificate: Certificate) -> bytes:
    """
    What of a private key is not sent behind its certificate, as that has it.
    """
    blob = Reader(certificate.plainBlob(), "certified key")
    name = blob.string()
    if name == b"ssh-rsa":
        e, n = blob.string(), blob.string()
        return packString(n) + packString(e)
    if name.startswith(b"ecdsa-"):
        return blob.rest()
    if name.startswith(b"sk-ecdsa-"):
        return packString(blob.string()) + packString(blob.string())
    # Ed25519 repeats its public half.
    return b""
