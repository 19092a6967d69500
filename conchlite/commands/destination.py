"""
C{[user@]host[:port]} or C{ssh://[user@]host[:port]}, as people write where they want to go.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from twisted.internet.abstract import isIPv6Address
from twisted.python.usage import UsageError

from conchlite.error import safe

_URL = re.compile(r"([^/@]*)://(.*)", re.DOTALL)
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::(.*))?", re.DOTALL)


class Destination(NamedTuple):
    """
    Where to connect to; L{None} for what was not said.
    """

    host: str
    port: int | None
    user: str | None


def parseDestination(text: str) -> Destination:
    """
    @param text: C{host}, C{host:port}, C{[address]:port} or an IPv6 address
        by itself, each perhaps with C{user@} before it, and C{ssh://} before that.
    @raise UsageError: it is none of these.
    """
    url = _URL.fullmatch(text)
    if url:
        scheme, text = url.groups()
        if scheme.lower() != "ssh":
            raise UsageError(f"a URL that begins with {safe(scheme)}://, and not with ssh://")
        text = text.removesuffix("/")
    user, at, rest = text.rpartition("@")
    if url:
        user = unquote(user)
    bracketed = _BRACKETED.fullmatch(rest)
    port: str | None
    if bracketed:
        host, port = bracketed.groups()
    elif rest.count(":") == 1:
        host, _, port = rest.partition(":")
    else:
        host, port = rest, None
        if ":" in host and not isIPv6Address(host):
            raise UsageError(f"neither host:port nor an IPv6 address: {safe(host)}")
    return Destination(
        checkName("host", host),
        None if port is None else parsePort(port),
        checkName("user", user) if at else None,
    )


def checkName(what: str, name: str) -> str:
    """
    Return C{name}, if it can be the name of a user or a host. One that begins
    with C{-} would be an option where it is handed to another program.

    @raise UsageError: it cannot.
    """
    if not name:
        raise UsageError(f"the {what} is missing")
    if name.startswith("-"):
        raise UsageError(f"a {what} that begins with '-': {safe(name)}")
    if "/" in name:
        raise UsageError(f"a {what} with a slash: {safe(name)}")
    if not name.isprintable() or " " in name:
        raise UsageError(f"a {what} with a blank or a control character: {safe(name)}")
    return name


def parsePort(text: str) -> int:
    """
    @raise UsageError: it is not the number of a port.
    """
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 2**16:
        raise UsageError(f"a port is a number from 1 to 65535, not {safe(text)!r}")
    return int(text)
