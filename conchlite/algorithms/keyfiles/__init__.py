"""
Formats that keys are kept in.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from contextlib import contextmanager

from conchlite.error import BadKeyError, MalformedMessage


def decodeBase64(text: bytes, what: str) -> bytes:
    """
    Base64 with white space in it, and with nothing else that does not belong.

    @raise BadKeyError: it is none.
    """
    try:
        return binascii.a2b_base64(b"".join(text.split()), strict_mode=True)
    except binascii.Error as error:
        raise BadKeyError(f"{what}: bad base64: {error}") from None


@contextmanager
def reading(what: str) -> Iterator[None]:
    """
    What is malformed in a file is no fault of a peer: L{MalformedMessage}
    becomes L{BadKeyError}.
    """
    try:
        yield
    except MalformedMessage as malformed:
        raise BadKeyError(f"{what}: {malformed}") from malformed


def refusePassphrase(passphrase: bytes | None) -> None:
    """
    For a key that is not encrypted. Who gives a passphrase believes that the
    key is protected, and should hear that it is not.

    @raise BadKeyError: there is a passphrase.
    """
    if passphrase:
        raise BadKeyError("a passphrase is given, and the key is not encrypted")
