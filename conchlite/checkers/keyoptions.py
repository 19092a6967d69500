"""
The options of a line of an C{authorized_keys}, as sshd(8) has them under
C{AUTHORIZED_KEYS FILE FORMAT}, and quoted as sshd reads it.

Nobody is let in by a line that is not understood as a whole: with an option
left out, a key might do more than its owner wanted it to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from conchlite.error import InvalidEntry, safe
from conchlite.ssh.patterns import matchesPattern, parseAddress, parseTime
from conchlite.ssh.permissions import Address, Permissions

_NAME = re.compile(rb"[A-Za-z0-9-]+")
_VARIABLE = re.compile(rb"[A-Za-z0-9_]+")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\"|\\(?!"))*)"')
# A pattern with a wildcard, or a name, whose last part begins with a letter.
_EXCLUDABLE = re.compile(rb"[^ /%]*[*?][^ /%]*|(?:[a-z0-9_-]+\.)*[a-z][a-z0-9_-]*\.?")

#: The most variables that a line may set.
MAXIMUM_VARIABLES = 1024

# The options that are there or not, to the permission that they are about.
_FLAGS = {
    b"agent-forwarding": "agentForwarding",
    b"port-forwarding": "portForwarding",
    b"pty": "pty",
    b"user-rc": "userRC",
    b"x11-forwarding": "x11Forwarding",
    b"touch-required": "touchRequired",
    b"verify-required": "verificationRequired",
}


@dataclass(frozen=True)
class KeyOptions:
    """
    What a line says about its key.

    @ivar permissions: what the key leaves its owner to do.
    @ivar fromPatterns: from where he may come; L{None} for anywhere.
    @ivar expires: until when, in seconds since 1970; L{None} for ever.
    @ivar isAuthority: whether the key certifies others, and is none to log in
        with itself.
    @ivar principals: who a certificate of its may name, instead of the user;
        L{None} without such a list.
    @ivar environment: variables that the line wants to be set.
    """

    permissions: Permissions = field(default_factory=Permissions)
    fromPatterns: bytes | None = None
    expires: float | None = None
    isAuthority: bool = False
    principals: tuple[bytes, ...] | None = None
    environment: Mapping[bytes, bytes] = field(default_factory=dict)

    def why(self, clientAddress: str | None, now: float) -> str:
        """
        Why the line lets nobody in; empty if it does.

        @param clientAddress: where the user comes from.
        @param now: the time, in seconds since 1970.
        """
        if self.expires is not None and self.expires < now:
            return "has expired"
        if self.principals is not None and not self.isAuthority:
            return "has principals without cert-authority"
        if self.fromPatterns is not None and not isFrom(clientAddress, self.fromPatterns):
            return f"is not for logins from {safe(clientAddress or 'nobody knows where')}"
        return ""


#: What a line without options says.
PLAIN_LINE = KeyOptions()


def parseOptions(text: bytes) -> KeyOptions:
    """
    Read options, separated by commas.

    @raise InvalidEntry: one of them is not known, or makes no sense.
    """
    found = _Found()
    at = 0
    while at < len(text):
        named = _NAME.match(text, at)
        if named is None:
            raise InvalidEntry(f"no option: {safe(text[at:])}")
        at, name = named.end(), named[0].lower()
        value: bytes | None = None
        if text[at : at + 1] == b"=":
            quoted = _QUOTED.match(text, at + 1)
            if quoted is None:
                raise InvalidEntry(f"the value of {safe(name)} is not in quotes")
            at, value = quoted.end(), quoted[1].replace(b'\\"', b'"')
        found.take(name, value)
        if at < len(text):
            if text[at : at + 1] != b",":
                raise InvalidEntry(f"the unknown option {safe(text[named.start() :])}")
            at += 1
    return found.options()


class _Found:
    """
    What has been read of a line's options.
    """

    def __init__(self) -> None:
        self._permissions = Permissions()
        self._once: dict[bytes, bytes] = {}
        self._authority = False
        self._expires: float | None = None
        self._environment: dict[bytes, bytes] = {}
        self._addresses: dict[bytes, set[Address]] = {}
        self._valued: Mapping[bytes, Callable[[bytes, bytes], None]] = {
            b"command": self._takeOnce,
            b"from": self._takeOnce,
            b"principals": self._takeOnce,
            b"tunnel": self._takeOnce,
            b"environment": self._takeVariable,
            b"expiry-time": self._takeExpiry,
            b"permitopen": self._takeAddress,
            b"permitlisten": self._takeAddress,
        }

    def take(self, name: bytes, value: bytes | None) -> None:
        if value is not None:
            if name not in self._valued:
                raise InvalidEntry(f"the unknown option {safe(name)}")
            self._valued[name](name, value)
            return
        denied = name.startswith(b"no-")
        flag = _FLAGS.get(name.removeprefix(b"no-"))
        if name == b"cert-authority":
            self._authority = True
        elif name == b"restrict":
            self._permissions = self._permissions.restricted()
        elif flag is not None:
            changes: dict[str, bool] = {flag: not denied}
            self._permissions = self._permissions.replacing(**changes)
        else:
            raise InvalidEntry(f"the unknown option {safe(name)}")

    def options(self) -> KeyOptions:
        principals = self._once.get(b"principals")
        permissions = self._permissions.replacing(
            command=self._once.get(b"command"),
            permitOpen=self._listed(b"permitopen"),
            permitListen=self._listed(b"permitlisten"),
        )
        return KeyOptions(
            permissions,
            self._once.get(b"from"),
            self._expires,
            self._authority,
            None if principals is None else tuple(principals.split(b",")),
            self._environment,
        )

    def _listed(self, name: bytes) -> frozenset[Address] | None:
        return frozenset(self._addresses[name]) if name in self._addresses else None

    def _takeOnce(self, name: bytes, value: bytes) -> None:
        if name in self._once:
            raise InvalidEntry(f"{safe(name)} twice")
        if name == b"tunnel" and value != b"any" and not value.isdigit():
            raise InvalidEntry(f"no tunnel: {safe(value)}")
        self._once[name] = value

    def _takeVariable(self, name: bytes, value: bytes) -> None:
        variable, equals, content = value.partition(b"=")
        if not equals or not _VARIABLE.fullmatch(variable):
            raise InvalidEntry(f"no variable: {safe(value)}")
        if len(self._environment) >= MAXIMUM_VARIABLES:
            raise InvalidEntry("too many variables")
        # The first of a name counts.
        self._environment.setdefault(variable, content)

    def _takeExpiry(self, name: bytes, value: bytes) -> None:
        expires = parseTime(value)
        self._expires = expires if self._expires is None else min(self._expires, expires)

    def _takeAddress(self, name: bytes, value: bytes) -> None:
        if name == b"permitlisten" and b":" not in value:
            value = b"*:" + value
        host, _, port = value.rpartition(b":")
        if host.startswith(b"[") and host.endswith(b"]"):
            host = host[1:-1]
        elif b":" in host:
            raise InvalidEntry(f"no host and port: {safe(value)}")
        if not host or not (port == b"*" or (port.isdigit() and 0 < int(port) < 65536)):
            raise InvalidEntry(f"no host and port: {safe(value)}")
        address = (host.lower(), None if port == b"*" else int(port))
        self._addresses.setdefault(name, set()).add(address)


def isFrom(clientAddress: str | None, patterns: bytes) -> bool:
    """
    Whether a user comes from where C{from} says: a list of addresses, of
    networks as C{192.0.2.0/24}, and of patterns of addresses; with a C{!}
    before it, one excludes. Names of hosts are not looked up, as in sshd
    without C{UseDNS}: whoever runs a network gives its addresses any name.

    @param clientAddress: the address; who has none comes from nowhere.
    """
    parsed = parseAddress(clientAddress)
    if parsed is None:
        return False
    text = str(parsed).encode("ascii")
    found = False
    for item in patterns.split(b","):
        excluded = item.startswith(b"!")
        pattern = item[excluded:].lower()
        if not pattern:
            return False
        try:
            matches = parsed in ip_network(pattern.decode("ascii"))
        except ValueError:
            if _isNetwork(pattern) or (excluded and not _EXCLUDABLE.fullmatch(pattern)):
                # 192.0.2.1/24 is no network, and nobody knows what was meant;
                # and what is to be kept out as 10/8 would get in.
                return False
            matches = matchesPattern(text, pattern)
        if matches and excluded:
            return False
        found = found or matches
    return found


def _isNetwork(pattern: bytes) -> bool:
    address, slash, _ = pattern.partition(b"/")
    try:
        ip_address(address.decode("ascii"))
    except ValueError:
        return False
    return bool(slash)
