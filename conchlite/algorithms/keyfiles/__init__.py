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
    compact = b"".join(text.split())
    try:
        data = binascii.a2b_base64(compact)
    except binascii.Error as error:
        raise BadKeyError(f"{what}: bad base64: {error}") from None
    # The module's own strict mode lets a "=" too many pass.
    if binascii.b2a_base64(data, newline=False) != compact:
        raise BadKeyError(f"{what}: bad base64")
    return data


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
