"""
What the lines of OpenSSH's files have in common: patterns, as ssh_config(5)
has them, addresses, and times. The principals of a host's certificate are
patterns, too.
"""

from __future__ import annotations

from calendar import timegm
from ipaddress import IPv4Address, IPv6Address, ip_address
from time import mktime, strptime

from conchlite.error import InvalidEntry, safe

_FORMATS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}


def matchesPattern(name: bytes, pattern: bytes) -> bool:
    """
    Whether C{name} fits C{pattern}, where C{*} is any run of bytes and C{?} any one.

    It takes no more than C{len(name) * len(pattern)} steps, whatever the file says.
    """
    at = within = 0
    star, resume = -1, 0
    while at < len(name):
        # A star is looked for first: it may stand where the name has one too.
        if pattern[within : within + 1] == b"*":
            star, resume = within, at
            within += 1
        elif within < len(pattern) and pattern[within] in (name[at], 0x3F):
            at += 1
            within += 1
        elif star >= 0:
            resume += 1
            at, within = resume, star + 1
        else:
            return False
    return not pattern[within:].strip(b"*")


def matchesList(name: bytes, patterns: bytes) -> bool:
    """
    Whether C{name} fits one of the patterns, separated by commas, and none
    that C{!} stands in front of.
    """
    found = False
    for pattern in patterns.split(b","):
        if pattern.startswith(b"!") and matchesPattern(name, pattern[1:]):
            return False
        found = found or matchesPattern(name, pattern)
    return found


def parseAddress(text: str | None) -> IPv4Address | IPv6Address | None:
    """
    Where somebody comes from, to be looked for in a list: an IPv4 address is
    one in IPv6's clothes, too, and the zone of a link-local address is nothing
    that a list has.

    @return: L{None} for what is no address.
    """
    try:
        parsed = ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed


def parseTime(value: bytes) -> float:
    """
    Read a time as C{expiry-time} has it: C{YYYYMMDD[HHMM[SS]]}, in the time of
    this machine, or with a C{Z} in UTC.

    @return: seconds since 1970.
    @raise InvalidEntry: it is none.
    """
    universal = value[-1:] in (b"Z", b"z")
    digits = value[:-1] if universal else value
    form = _FORMATS.get(len(digits))
    if form is None or not digits.isdigit():
        raise InvalidEntry(f"no time: {safe(value)}")
    try:
        parts = strptime(digits.decode("ascii"), form)
        return timegm(parts) if universal else mktime(parts)
    except (ValueError, OverflowError):
        raise InvalidEntry(f"no time: {safe(value)}") from None
