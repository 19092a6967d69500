"""
Formats that keys are kept in.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from contextlib import contextmanager

from conchlite.algorithms import catalogue
from conchlite.error import BadKeyError, DamagedKey, MalformedMessage, UsageError, safe
from conchlite.wire.types import Reader

# Of a line of base64.
_WIDTH = 70


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


def encodeLines(data: bytes) -> list[bytes]:
    """
    Base64 in lines, as long as those of ssh-keygen.
    """
    text = binascii.b2a_base64(data, newline=False)
    return [text[i : i + _WIDTH] for i in range(0, len(text), _WIDTH)]


def armor(begin: bytes, data: bytes, end: bytes) -> bytes:
    """
    Base64 in lines, between two that say what it is.
    """
    return b"\n".join([begin, *encodeLines(data), end, b""])


def unarmor(begin: bytes, text: bytes, end: bytes, what: str) -> bytes:
    """
    What stands between the two lines.

    @raise DamagedKey: one of them is not there, or it is no base64.
    """
    text = text.strip()
    if not (text.startswith(begin) and text.endswith(end)):
        raise DamagedKey(f"{what}: it does not begin and end with the format's own lines")
    return decodeBase64(text[len(begin) : -len(end)], what)


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


def checkComment(comment: bytes) -> None:
    """
    Look at a comment that is to be written: a line break would begin another
    line, which may be another entry of C{authorized_keys}.

    @raise UsageError: it has a control character.
    """
    if any(byte < 0x20 for byte in comment):
        raise UsageError("a comment with a control character")


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
