"""
The public key files of RFC 4716: what SSH.COM's programs, PuTTY and
C{ssh-keygen -e} write.
"""

from __future__ import annotations

import re
from typing import Any

from conchlite.algorithms.keyfiles import (
    checkComment,
    checkKnown,
    decodeBase64,
    encodeLines,
    reading,
    refusePassphrase,
)
from conchlite.algorithms.loading import USUAL_EFFORT, Effort, LoadedKey
from conchlite.algorithms.publickeys.signatures import packPublicKey, readPublicKey
from conchlite.error import DamagedKey, UsageError

_WHAT = "RFC 4716 public key"
_BEGIN = b"---- BEGIN SSH2 PUBLIC KEY ----"
_END = b"---- END SSH2 PUBLIC KEY ----"

# Section 3.1: a line has at most 72 bytes, and a value at most 1024.
_WIDTH = 72
_MAXIMUM_VALUE = 1024


class RFC4716File:
    """
    Headers, of which the comment is kept, and the blob in base64.
    """

    holdsPrivate = False

    def recognises(self, data: bytes) -> bool:
        return data.lstrip().startswith(_BEGIN)

    def load(self, data: bytes, passphrase: bytes | None, effort: Effort = USUAL_EFFORT) -> LoadedKey:
        refusePassphrase(passphrase)
        lines = [line.rstrip() for line in data.strip().splitlines()]
        if len(lines) < 2 or lines[0] != _BEGIN or lines[-1] != _END:
            raise DamagedKey(f"{_WHAT}: it does not begin and end with the format's own lines")
        headers, body = _headers(lines[1:-1])
        blob = decodeBase64(b"".join(body), _WHAT)
        checkKnown(blob, _WHAT)
        with reading(_WHAT):
            return LoadedKey(readPublicKey(blob)[1], _unquoted(headers.get(b"comment", b"")))

    def dump(self, key: Any, comment: bytes, passphrase: bytes | None) -> bytes:
        if passphrase:
            raise UsageError("a public key is not encrypted")
        lines = [_BEGIN]
        if comment:
            lines += _folded(b"Comment: " + _quoted(comment))
        return b"\n".join([*lines, *encodeLines(packPublicKey(key)), _END, b""])


def _headers(lines: list[bytes]) -> tuple[dict[bytes, bytes], list[bytes]]:
    """
    The headers by their names in lower case, and the lines behind them.
    """
    headers: dict[bytes, bytes] = {}
    at = 0
    # What is base64 has no colon.
    while at < len(lines) and b":" in lines[at]:
        name, _, value = lines[at].partition(b":")
        at += 1
        # There may be millions of either: none is copied more than once.
        parts = [value]
        while parts[-1].endswith(b"\\"):
            if at == len(lines):
                raise DamagedKey(f"{_WHAT}: a header that does not end")
            parts[-1] = parts[-1][:-1]
            parts.append(lines[at])
            at += 1
        headers[name.strip().lower()] = b"".join(parts).strip()
    return headers, lines[at:]


def _unquoted(value: bytes) -> bytes:
    """
    A comment without the quotes that may be around it, section 3.3.2. PuTTY
    puts a backslash in front of those inside.
    """
    if len(value) > 1 and value.startswith(b'"') and value.endswith(b'"'):
        return re.sub(rb"\\(.)", rb"\1", value[1:-1])
    return value


def _quoted(comment: bytes) -> bytes:
    checkComment(comment)
    quoted = b'"' + re.sub(rb'(["\\])', rb"\\\1", comment) + b'"'
    if len(quoted) > _MAXIMUM_VALUE:
        raise UsageError(f"{_WHAT}: a comment of more than {_MAXIMUM_VALUE} bytes")
    return quoted


def _folded(header: bytes) -> list[bytes]:
    """
    The lines of a header: all but the last end with a backslash.
    """
    lines = []
    while len(header) > _WIDTH:
        # White space at a line's end is nobody's: ssh-keygen strips it.
        lines.append(header[: _WIDTH - 1] + b"\\")
        header = header[_WIDTH - 1 :]
    return [*lines, header]


PUBLIC = RFC4716File()
