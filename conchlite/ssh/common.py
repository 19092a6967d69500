"""
The data types that programs pack and unpack by hand: RFC 4251 section 5.
"""

from __future__ import annotations

from conchlite.wire.types import Reader, packMPInt, packString

Text = str | bytes


def asBytes(text: Text) -> bytes:
    """
    A name or a text as it goes on the wire: UTF-8, RFC 4251 section 5.
    """
    return text.encode("utf-8") if isinstance(text, str) else text


def NS(text: Text) -> bytes:
    """
    A C{string}: its length, then its bytes; text is encoded as UTF-8.
    """
    return packString(asBytes(text))


def getNS(data: bytes, count: int = 1) -> tuple[bytes, ...]:
    """
    Read C{count} strings off the start of C{data}.

    @return: the strings, and last what lies behind them.
    @raise MalformedMessage: C{data} is too short.
    """
    reader = Reader(data, "string")
    strings = [reader.string() for _ in range(count)]
    return (*strings, reader.rest())


def MP(number: int) -> bytes:
    """
    An C{mpint}.
    """
    return packMPInt(number)


def getMP(data: bytes, count: int = 1) -> tuple[int | bytes, ...]:
    """
    Read C{count} mpints off the start of C{data}.

    @return: the numbers, and last the bytes that lie behind them.
    @raise MalformedMessage: C{data} is too short.
    """
    reader = Reader(data, "mpint")
    found = [reader.mpint() for _ in range(count)]
    return (*found, reader.rest())
