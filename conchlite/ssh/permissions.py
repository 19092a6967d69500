"""
What a user may do on a connection that he has logged in to.

The keys, certificates and other factors that a login is made of may each take
something away: C{restrict} in an C{authorized_keys}, C{force-command} in a
certificate. What is left of all of them, and of what the server grants to
anybody, is one L{Permissions}, and the transport has it. Sessions, forwarding
and requests look there, before any avatar is asked: so no realm has to know
about it, and none can forget it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from conchlite.error import CommandsConflict
from conchlite.wire.connection import TCPIPForward, TCPIPOpen

#: A host, or C{b"*"}, and a port, or L{None} for any.
Address = tuple[bytes, int | None]

# What a client asks for when it wants this server to connect or to listen.
_OPENS_SOCKET = b"direct-streamlocal@openssh.com"
_LISTENS_ON_SOCKET = b"streamlocal-forward@openssh.com"


class Permissions(NamedTuple):
    """
    What a user may do. As it is made without arguments it takes nothing away.

    @ivar command: what runs instead of whatever the user asks for, or L{None}.
    @ivar pty: whether he may have a terminal.
    @ivar portForwarding: whether he may have ports and sockets forwarded.
    @ivar agentForwarding: whether he may have his agent forwarded.
    @ivar x11Forwarding: whether he may have X11 forwarded.
    @ivar userRC: whether what the user has in C{~/.ssh/rc} may run.
    @ivar permitOpen: where he may have connections opened to; L{None} for
        anywhere.
    @ivar permitListen: on which addresses he may have the server listen;
        L{None} for any.
    @ivar environment: variables that are set in what he runs.
    @ivar touchRequired: whether somebody has to touch a security key for each
        signature by it.
    @ivar verificationRequired: whether a security key has to verify who that
        is, as by a PIN.
    """

    command: bytes | None = None
    pty: bool = True
    portForwarding: bool = True
    agentForwarding: bool = True
    x11Forwarding: bool = True
    userRC: bool = True
    permitOpen: frozenset[Address] | None = None
    permitListen: frozenset[Address] | None = None
    environment: Mapping[bytes, bytes] = MappingProxyType({})
    touchRequired: bool = True
    verificationRequired: bool = False

    def intersect(self, other: Permissions) -> Permissions:
        """
        What both allow. Variables that both set are as C{self} has them.

        @raise CommandsConflict: both have a command, and not the same: there is
            nothing that may run.
        """
        commands = {command for command in (self.command, other.command) if command is not None}
        if len(commands) > 1:
            raise CommandsConflict("the login is bound to two commands that differ")
        return Permissions(
            command=next(iter(commands), None),
            pty=self.pty and other.pty,
            portForwarding=self.portForwarding and other.portForwarding,
            agentForwarding=self.agentForwarding and other.agentForwarding,
            x11Forwarding=self.x11Forwarding and other.x11Forwarding,
            userRC=self.userRC and other.userRC,
            permitOpen=_common(self.permitOpen, other.permitOpen),
            permitListen=_common(self.permitListen, other.permitListen),
            environment={**other.environment, **self.environment},
            touchRequired=self.touchRequired or other.touchRequired,
            verificationRequired=self.verificationRequired or other.verificationRequired,
        )

    def replacing(self, **changes: Any) -> Permissions:
        """
        The same but for what is named.
        """
        return self._replace(**changes)

    def restricted(self) -> Permissions:
        """
        The same, without anything that C{restrict} in an C{authorized_keys}
        takes away.
        """
        return self._replace(
            pty=False,
            portForwarding=False,
            agentForwarding=False,
            x11Forwarding=False,
            userRC=False,
        )

    def mayConnect(self, host: bytes, port: int) -> bool:
        """
        Whether the server may connect to a port for the user.
        """
        return self.portForwarding and _permits(self.permitOpen, host, port)

    def mayListen(self, host: bytes, port: int) -> bool:
        """
        Whether the server may listen on a port for the user.
        """
        return self.portForwarding and _permits(self.permitListen, host, port)

    def mayOpen(self, channelType: bytes, data: bytes) -> bool:
        """
        Whether the user may open a channel.

        @param data: what belongs to the type.
        @raise MalformedMessage: it does not.
        """
        if channelType == b"direct-tcpip" and self.portForwarding:
            message = TCPIPOpen.unpack(data)
            return self.mayConnect(message.address, message.port)
        if channelType == _OPENS_SOCKET and self.portForwarding:
            # A list of ports names no sockets; and who is bound to a command
            # could reach more by one than was thought of.
            return self.permitOpen is None and self.command is None
        # Tunnels for whole networks are not for users.
        return channelType not in (b"direct-tcpip", _OPENS_SOCKET, b"tun@openssh.com")

    def mayRequest(self, requestType: bytes, data: bytes) -> bool:
        """
        Whether the user may send a global request.

        @param data: what belongs to the request.
        @raise MalformedMessage: it does not.
        """
        if requestType == b"tcpip-forward" and self.portForwarding:
            message = TCPIPForward.unpack(data)
            return self.mayListen(message.address, message.port)
        if requestType == _LISTENS_ON_SOCKET and self.portForwarding:
            return self.permitListen is None and self.command is None
        return requestType not in (b"tcpip-forward", _LISTENS_ON_SOCKET)

    def mayAsk(self, requestType: bytes) -> bool:
        """
        Whether the user may send a request in a session.
        """
        return {
            b"pty-req": self.pty,
            b"auth-agent-req@openssh.com": self.agentForwarding,
            b"x11-req": self.x11Forwarding,
        }.get(requestType, True)


#: What anybody who logs in may do, unless the server's program says otherwise:
#: nothing is forwarded.
PLAIN = Permissions(portForwarding=False, agentForwarding=False, x11Forwarding=False)


def _common(ours: frozenset[Address] | None, others: frozenset[Address] | None) -> frozenset[Address] | None:
    if ours is None or others is None:
        return others if ours is None else ours
    return frozenset(
        {address for address in ours if _covers(others, address)}
        | {address for address in others if _covers(ours, address)}
    )


def _covers(addresses: frozenset[Address], address: Address) -> bool:
    host, port = address
    return any(
        allowedHost in (b"*", host) and allowedPort in (None, port) for allowedHost, allowedPort in addresses
    )


def _permits(addresses: frozenset[Address] | None, host: bytes, port: int) -> bool:
    return addresses is None or _covers(addresses, (host.lower(), port))
