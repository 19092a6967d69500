"""
A picture of a key: what C{ssh-keygen -lv} and VisualHostKey draw.

It is the drunken bishop of OpenSSH's C{sshkey.c}: he starts in the middle of a
board, every two bits of the fingerprint are a step in one of the diagonals, and
what is drawn is how often he stood where. See Loss, Limmer, von Gernler, The
drunken bishop (2009).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, cast

from conchlite.algorithms import catalogue
from conchlite.algorithms.publickeys.signatures import packPublicKey, readPublicKey

if TYPE_CHECKING:
    from conchlite.algorithms.publickeys.certificates import Certificate

_WIDTH, _HEIGHT = 17, 9

# How often a square was visited; the last two are where he started and where
# he ended.
_VISITS = " .o+=*BOX@%&#/^SE"
_START, _END = len(_VISITS) - 2, len(_VISITS) - 1

# The names of OpenSSH, where they are no part of the type's name.
_NAMES = {b"ssh-rsa": "RSA", b"ssh-dss": "DSA", b"ssh-ed25519": "ED25519", b"ssh-ed448": "ED448"}

_CERTIFIED = "-CERT"


def keyName(name: bytes) -> str:
    """
    What C{ssh-keygen -l} calls a type of key: C{ED25519}, C{RSA-CERT},
    C{ECDSA-SK} ...

    @param name: the type's name on the wire.
    """
    plain = catalogue.plainName(name)
    shown = _NAMES.get(plain, "ED25519" if b"ed25519" in plain else "ECDSA")
    if catalogue.isSecurityKey(plain):
        shown += "-SK"
    return shown if plain == name else shown + _CERTIFIED


def randomart(blob: bytes) -> str:
    """
    The picture of a public key or a certificate, of its SHA-256 fingerprint:
    eleven lines, without a line break behind the last.

    @param blob: the key, RFC 4253 section 6.6. The picture of a certificate is
        that of its key, but for the title.
    @raise MalformedMessage: it is no key, or of a type that is not known.
    """
    keyType, key = readPublicKey(blob)
    name, size = keyName(keyType.name), keyType.size(key)
    if name.endswith(_CERTIFIED):
        blob = packPublicKey(cast("Certificate", key).publicKey)
    title = f"[{name} {size}]"
    if len(title) > _WIDTH:
        title = f"[{name}]"
    rows = _walk(hashlib.sha256(blob).digest())
    # OpenSSH's title is a C string in a field of the board's width: a zero
    # byte has the last place.
    return "\n".join([_border(title[: _WIDTH - 1]), *(f"|{row}|" for row in rows), _border("[SHA256]")])


def _border(title: str) -> str:
    left = (_WIDTH - len(title)) // 2
    return "+" + ("-" * left + title).ljust(_WIDTH, "-") + "+"


def _walk(digest: bytes) -> list[str]:
    board = [[0] * _WIDTH for _ in range(_HEIGHT)]
    x, y = _WIDTH // 2, _HEIGHT // 2
    for byte in digest:
        for shift in (0, 2, 4, 6):
            move = byte >> shift
            x = min(max(x + (1 if move & 1 else -1), 0), _WIDTH - 1)
            y = min(max(y + (1 if move & 2 else -1), 0), _HEIGHT - 1)
            board[y][x] = min(board[y][x] + 1, _START - 1)
    board[_HEIGHT // 2][_WIDTH // 2] = _START
    board[y][x] = _END
    return ["".join(_VISITS[visits] for visits in row) for row in board]
