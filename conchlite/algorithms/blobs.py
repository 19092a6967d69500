"""
What a key blob says without being parsed: the key in a certificate.
"""

from __future__ import annotations

from conchlite.algorithms import catalogue
from conchlite.error import MalformedMessage
from conchlite.wire.types import Reader, packString

# How many strings the public key is in the certificate of a type; the same
# follow the name in the plain key's blob.
_KEY_STRINGS = {
    b"ssh-ed25519": 1,
    b"ssh-ed448": 1,
    b"ecdsa-sha2-nistp256": 2,
    b"ecdsa-sha2-nistp384": 2,
    b"ecdsa-sha2-nistp521": 2,
    b"ssh-rsa": 2,
    b"sk-ssh-ed25519@openssh.com": 2,
    b"sk-ecdsa-sha2-nistp256@openssh.com": 3,
    b"ssh-dss": 4,
}


def plainBlob(blob: bytes) -> bytes:
    """
    The blob of the key in a certificate; what is no certificate, as it is.

    @raise MalformedMessage: it begins as a certificate, and is truncated.
    """
    reader = Reader(blob, "certificate")
    try:
        name = reader.string()
    except MalformedMessage:
        return blob
    plain = catalogue.plainName(name)
    if plain == name or plain not in _KEY_STRINGS:
        return blob
    reader.string()
    fields = (packString(reader.stringView()) for _ in range(_KEY_STRINGS[plain]))
    return packString(plain) + b"".join(fields)
