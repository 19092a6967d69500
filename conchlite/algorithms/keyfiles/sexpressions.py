"""
S-expressions as RFC 9804 describes them: what lsh and nettle keep keys in.

An expression is C{bytes} or a list of expressions. All three forms are read:
canonical, C{(1:a2:bc)}; transport, the same in base64 between braces; and
advanced, with tokens, C{#hex#}, C{|base64|} and white space. What no key has,
display hints, escapes in quoted strings, is not.
"""

from __future__ import annotations

import re
from typing import TypeAlias

from conchlite.algorithms.keyfiles import decodeBase64
from conchlite.error import DamagedKey

Expression: TypeAlias = "bytes | list[Expression]"

_WHAT = "S-expression"

# A private key nests three deep.
_MAXIMUM_DEPTH = 16

_ATOM = re.compile(
    rb"""
    (?P<length> 0|[1-9][0-9]{0,7} ) :
    | \# (?P<hex> [0-9A-Fa-f\s]* ) \#
    | \| (?P<base64> [A-Za-z0-9+/=\s]* ) \|
    | " (?P<quoted> [^"\\]* ) "
    | (?P<token> [A-Za-z\-./_:*+=][A-Za-z0-9\-./_:*+=]* )
    """,
    re.VERBOSE,
)


def parse(data: bytes) -> Expression:
    """
    Read one expression, in any of the three forms.

    @raise DamagedKey: it is none, or has something behind it.
    """
    # White space between strings is skipped below, and not stripped here: at
    # the end it may be the last of a string's own bytes.
    text, braced = data, data.strip()
    if braced.startswith(b"{") and braced.endswith(b"}"):
        text = decodeBase64(braced[1:-1], _WHAT)
    # The list at the bottom holds the expression itself.
    stack: list[list[Expression]] = [[]]
    position = 0
    while position < len(text):
        byte = text[position : position + 1]
        if byte == b"(":
            stack.append([])
            if len(stack) > _MAXIMUM_DEPTH:
                raise DamagedKey(f"{_WHAT}: nested too deeply")
        elif byte == b")":
            inner = stack.pop()
            if not stack:
                raise DamagedKey(f"{_WHAT}: a list that does not begin")
            stack[-1].append(inner)
        elif not byte.isspace():
            atom, position = _atom(text, position)
            stack[-1].append(atom)
            continue
        position += 1
    if len(stack) != 1:
        raise DamagedKey(f"{_WHAT}: a list that does not end")
    if len(stack[0]) != 1:
        raise DamagedKey(f"{_WHAT}: {len(stack[0])} expressions where one belongs")
    return stack[0][0]


def _atom(text: bytes, position: int) -> tuple[bytes, int]:
    """
    The string at C{position}, and where it ends.
    """
    match = _ATOM.match(text, position)
    if match is None:
        raise DamagedKey(f"{_WHAT}: no string at byte {position}")
    kind = match.lastgroup or ""
    content, end = match[kind], match.end()
    if kind == "length":
        size = int(content)
        if size > len(text) - end:
            raise DamagedKey(f"{_WHAT}: truncated")
        return text[end : end + size], end + size
    if kind == "hex":
        digits = b"".join(content.split())
        if len(digits) % 2:
            raise DamagedKey(f"{_WHAT}: half a byte")
        return bytes.fromhex(digits.decode("ascii")), end
    if kind == "base64":
        return decodeBase64(content, _WHAT), end
    return content, end


def pack(expression: Expression) -> bytes:
    """
    The canonical form.
    """
    if isinstance(expression, bytes):
        return b"%d:%b" % (len(expression), expression)
    return b"(" + b"".join(map(pack, expression)) + b")"
