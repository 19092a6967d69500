"""
How many clients a server listens to at once that it does not know yet.

Anybody can connect, and each connection costs memory and, in the exchange of
keys, the processor's time. Two limits stand before that:

From the connection to the login, as OpenSSH's MaxStartups: of new connections
a share is closed at once, which grows with the number of those that have not
logged in. A flood is thinned out, and an honest client gets in when it tries
again.

In the exchanges of keys before the login, by address: of one address a few
connections have their turn. The next ones wait for theirs; nothing is read from
them and nothing sent to them until it comes. Nobody is refused by that, but who
asks for key exchanges only to make us work (CVE-2002-20001) does not get the
processor to himself.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from conchlite.ssh.lograte import LogRate

if TYPE_CHECKING:
    from conchlite.ssh.factory import SSHFactory
    from conchlite.ssh.transport import SSHServerTransport

# After so many seconds in which nobody was turned away, it is over.
_QUIET_SECONDS = 60


def addressGroup(address: object) -> str | None:
    """
    Whom a connection is counted with: its address; of IPv6 the network of 64
    bits, which is what one customer has.

    @param address: what C{getPeer} of the TCP connection says.
    @return: L{None} where it has no host, as on a UNIX socket.
    """
    host = getattr(address, "host", None)
    if not isinstance(host, str):
        return None
    try:
        # A link-local address has its interface behind the percent sign.
        parsed = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((parsed, 64), strict=False))


class _Group:
    """
    The connections that are counted together.

    @ivar exchanging: whose turn it is to exchange keys.
    @ivar waiting: who waits, in the order in which they came, and what tells
        them that it is their turn.
    """

    __slots__ = ("exchanging", "waiting")

    def __init__(self) -> None:
        self.exchanging: set[SSHServerTransport] = set()
        self.waiting: dict[SSHServerTransport, Deferred[None]] = {}


class Admission:
    """
    The door of one factory. The limits are the factory's attributes.
    """

    _log = Logger()

    def __init__(self, factory: SSHFactory) -> None:
        self._factory = factory
        self._strangers: set[SSHServerTransport] = set()
        self._groups: dict[str, _Group] = {}
        # Which of them those are in that exchange keys, or wait to.
        self._names: dict[SSHServerTransport, str] = {}
        self._dropped = 0
        self._lastDropped = 0.0
        self._lines = LogRate()

    @property
    def strangers(self) -> int:
        """
        The number of connections that have not logged in.
        """
        return len(self._strangers)

    def arrived(self, transport: SSHServerTransport) -> bool:
        """
        Somebody connects.

        @return: whether the connection may stay. One that may is counted
            until L{loggedIn} or L{left}.
        """
        self._endDropping(transport)
        if self._isTooMany():
            if not self._dropped:
                self._log.warn(
                    "{count} connections have not logged in: closing new ones", count=len(self._strangers)
                )
            self._dropped += 1
            self._lastDropped = _now(transport)
            return False
        self._strangers.add(transport)
        return True

    def _isTooMany(self) -> bool:
        """
        Decide by lot, as sshd_config(5) describes for MaxStartups.
        """
        if not self._factory.maxStartups:
            return False
        begin, percent, full = self._factory.maxStartups
        count = len(self._strangers)
        if count < begin:
            return False
        if count >= full:
            return True
        share = percent + (100 - percent) * (count - begin) / (full - begin)
        return int.from_bytes(self._factory.randomBytes(4), "big") * 100 < share * 2**32

    def turn(self, transport: SSHServerTransport) -> Deferred[None] | None:
        """
        Whether C{transport} may begin its exchange of keys.

        @return: L{None} if it may at once, or what fires when it may. A turn
            lasts until L{exchanged} or L{left}.
        """
        name = addressGroup(transport.getPeer().address)
        limit = self._factory.maxHandshakesPerAddress
        if name is None or not limit:
            return None
        group = self._groups.setdefault(name, _Group())
        self._names[transport] = name
        if len(group.exchanging) < limit:
            group.exchanging.add(transport)
            return None
        itsTurn: Deferred[None] = Deferred()
        group.waiting[transport] = itsTurn
        return itsTurn

    def exchanged(self, transport: SSHServerTransport) -> None:
        """
        C{transport} has done its part of the exchange of keys, or has ended:
        the next one's turn.
        """
        name = self._names.pop(transport, None)
        if name is None:
            return
        group = self._groups[name]
        group.exchanging.discard(transport)
        group.waiting.pop(transport, None)
        limit = self._factory.maxHandshakesPerAddress
        while group.waiting and (not limit or len(group.exchanging) < limit):
            following = next(iter(group.waiting))
            group.exchanging.add(following)
            group.waiting.pop(following).callback(None)
        if not group.exchanging:
            self._groups.pop(name, None)

    def maySay(self, transport: SSHServerTransport) -> bool:
        """
        Whether one more line of the log may be about C{transport}'s address.
        """
        address = transport.getPeer().address
        return self._lines.permits(addressGroup(address) or str(address), _now(transport))

    def loggedIn(self, transport: SSHServerTransport) -> None:
        """
        It is no stranger's connection any more.
        """
        self._strangers.discard(transport)
        self._endDropping(transport)

    def left(self, transport: SSHServerTransport) -> None:
        """
        The connection ended, wherever it was.
        """
        self.exchanged(transport)
        self.loggedIn(transport)

    def _endDropping(self, transport: SSHServerTransport) -> None:
        if self._dropped and _now(transport) - self._lastDropped >= _QUIET_SECONDS:
            self._tellDropped()

    def stop(self) -> None:
        """
        Say what is left to be said.
        """
        self._lines.stop()
        self._tellDropped()

    def _tellDropped(self) -> None:
        if self._dropped:
            self._log.warn("closed {count} connections that were too many", count=self._dropped)
            self._dropped = 0


def _now(transport: SSHServerTransport) -> float:
    return transport.clock.seconds() if transport.clock is not None else 0.0
