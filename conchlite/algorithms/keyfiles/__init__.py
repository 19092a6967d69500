"""
Formats that keys are kept in.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from contextlib import contextmanager

from conchlite.algorithms import catalogue
from conchlite.error import BadKeyError, DamagedKey, MalformedMessage, safe
from conchlite.wire.types import Reader


def decodeBase64(text: bytes, what: str) -> bytes:
    """
    Base64 with white space in it, and with nothing else that does not belong.

    @raise DamagedKey: it is none.
    """
    compact = b"".join(text.split())
    try:
        data = binascii.a2b_base64(compact)
    except binascii.Error as error:
        raise DamagedKey(f"{what}: bad base64: {error}") from None
    # The module's own strict mode lets a "=" too many pass.
    if binascii.b2a_base64(data, newline=False) != compact:
        raise DamagedKey(f"{what}: bad base64")
    return data


@contextmanager
def reading(what: str) -> Iterator[None]:
    """
    What is malformed in a file is no fault of a peer: L{MalformedMessage}
    becomes L{DamagedKey}.
    """
    try:
        yield
    except MalformedMessage as malformed:
        raise DamagedKey(f"{what}: {malformed}") from malformed


def refusePassphrase(passphrase: bytes | None) -> None:
    """
    For a key that is not encrypted. Who gives a passphrase believes that the
    key is protected, and should hear that it is not.

    @raise BadKeyError: there is a passphrase.
    """
    if passphrase:
        raise BadKeyError("a passphrase is given, and the key is not encrypted")


def checkKnown(blob: bytes, what: str) -> None:
    """
    Look at the type's name that a key begins with, so that a key of a type
    that is not supported does not pass for a damaged one.

    @raise BadKeyError: there is no such type here.
    """
    with reading(what):
        name = Reader(blob, what).string()
    if name not in (*catalogue.keyTypes(), *catalogue.certificateTypes()):
        raise BadKeyError(f"{what}: a key of the unknown type {safe(name)}")
