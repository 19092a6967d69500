"""
Commands and subsystems on other hosts, as endpoints: a protocol is connected to
a command as it would be to a TCP port, and neither it nor its factory has to
know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from conchlite.algorithms.catalogue import AlgorithmSet
from conchlite.client.commandchannel import SSHCommandChannel
from conchlite.client.hostkeys import KnownHosts
from conchlite.client.knownhosts import UserInterface
from conchlite.client.login import IClientReactor, Login
from conchlite.error import UsageError
from conchlite.ssh.common import Text, asBytes
from conchlite.ssh.connection import SSHConnection

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key

__all__ = [
    "SSHCommandAddress",
    "SSHCommandChannel",
    "SSHCommandClientEndpoint",
    "SSHSubsystemAddress",
    "SSHSubsystemClientEndpoint",
]


class _ProgramAddress:
    def __init__(self, server: IAddress, username: Text, program: Text) -> None:
        self.server = server
        self.username = asBytes(username)
        self._program = asBytes(program)

    def _key(self) -> tuple[IAddress, bytes, bytes]:
        return self.server, self.username, self._program

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _ProgramAddress) or type(other) is not type(self):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.server!r}, {self.username!r}, {self._program!r})"


@implementer(IAddress)
class SSHCommandAddress(_ProgramAddress):
    """
    The address of a command on another host: what C{buildProtocol} is given.

    @ivar server: the address of the SSH server.
    @ivar username: who logged in there; empty where that is not known.
    """

    def __init__(self, server: IAddress, username: Text, command: Text) -> None:
        super().__init__(server, username, command)

    @property
    def command(self) -> bytes:
        """
        The command.
        """
        return self._program


@implementer(IAddress)
class SSHSubsystemAddress(_ProgramAddress):
    """
    The address of a subsystem of another host.

    @ivar server: the address of the SSH server.
    @ivar username: who logged in there; empty where that is not known.
    """

    def __init__(self, server: IAddress, username: Text, subsystem: Text) -> None:
        super().__init__(server, username, subsystem)

    @property
    def subsystem(self) -> bytes:
        """
        The subsystem's name.
        """
        return self._program


@dataclass(frozen=True)
class _LoggedIn:
    """
    A connection on which a user is logged in.

    @ivar connection: the connection.
    @ivar username: who that is.
    @ivar leave: ends it when the command is over.
    @ivar drop: ends it at once, as the command is not wanted any more.
    """

    connection: SSHConnection
    username: bytes
    leave: Callable[[], object]
    drop: Callable[[], object]


_Login = Callable[[], Awaitable[_LoggedIn]]


def _loggingIn(given: Login) -> _Login:
    async def login() -> _LoggedIn:
        connection = await given.connect()
        return _LoggedIn(connection, given.username, connection.close, connection.transport.abortConnection)

    return login


def _onConnection(connection: SSHConnection) -> _Login:
    async def login() -> _LoggedIn:
        if getattr(connection, "transport", None) is None:
            raise UsageError("existingConnection: the connection has not been started")
        # The service that logged the user in was the last to be requested.
        user = getattr(connection.transport.instance, "user", b"")
        return _LoggedIn(connection, asBytes(user), _leaveOpen, _leaveOpen)

    return login


def _leaveOpen() -> None:
    """
    The connection is another's to end.
    """


@implementer(IStreamClientEndpoint)
class _ProgramClientEndpoint:
    _address: Callable[[IAddress, Text, Text], IAddress]
    _ask: Callable[[SSHCommandChannel, bytes], Deferred[None]]

    def __init__(self, login: _Login, program: Text) -> None:
        """
        @param login: makes the connection for a command, or finds it.
        """
        self._login = login
        self._program = asBytes(program)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Run the command, or the subsystem.

        @param protocolFactory: its C{buildProtocol} is called with an
            L{SSHCommandAddress}, or an L{SSHSubsystemAddress}, when the command
            runs.

        @return: fires with the protocol, whose transport is an
            L{SSHCommandChannel}. Its C{connectionLost} is called with a failure
            of L{ConnectionDone} if the exit status is 0 or the server tells
            none, L{ProcessTerminated} for another exit status or a signal,
            L{ConnectionAborted} after C{transport.abortConnection}, and, if the
            connection ended first, the L{ConchError<conchlite.error.ConchError>}
            that it ended with.

            Fails with what C{HostnameEndpoint} fails with where there is no
            server; with L{HostKeyUnknown}, L{HostKeyChanged
            <conchlite.error.HostKeyChanged>}, L{UserRejectedKey
            <conchlite.error.UserRejectedKey>} or another L{HostKeyRejected};
            with L{AuthenticationFailed}; with L{ChannelOpenFailed
            <conchlite.error.ChannelOpenFailed>} where the server opens no
            session, and L{ChannelRequestFailed
            <conchlite.error.ChannelRequestFailed>} where it does not run the
            command; with L{NoProtocol} or what C{buildProtocol} raised; and
            with what ended the connection.

            Cancelling it drops a new connection at once; on one that was there
            before it closes the channel.
        """
        running = Deferred.fromCoroutine(self._run())
        connected: Deferred[IProtocol] = Deferred(lambda _: running.cancel())
        running.addCallbacks(self._cbRunning, connected.errback, (protocolFactory, connected))
        return connected

    async def _run(self) -> tuple[_LoggedIn, SSHCommandChannel]:
        login = await self._login()
        channel = SSHCommandChannel(login.connection, login.leave)
        try:
            await login.connection.openChannel(channel)
            await self._ask(channel, self._program)
        except CancelledError:
            channel.abortConnection()
            login.drop()
            raise
        except Exception:
            channel.abortConnection()
            login.leave()
            raise
        return login, channel

    def _cbRunning(
        self,
        running: tuple[_LoggedIn, SSHCommandChannel],
        factory: IProtocolFactory,
        connected: Deferred[IProtocol],
    ) -> None:
        login, channel = running
        server = login.connection.transport.getPeer().address
        try:
            protocol = channel.connectTo(factory, self._address(server, login.username, self._program))
        except Exception:  # noqa: BLE001  whoever waits is told
            channel.abortConnection()
            login.leave()
            # Unless it was cancelled by the program's own code just now.
            if not connected.called:
                connected.errback()
            return
        if connected.called:
            channel.abortConnection()
            login.drop()
            return
        # As with TCP, nothing is received before those who wait for the
        # protocol have it.
        connected.callback(protocol)
        channel.start()


class SSHCommandClientEndpoint(_ProgramClientEndpoint):
    """
    Runs a command on another host, and connects a protocol to it. Each
    C{connect} runs the command anew.

    To be made by L{newConnection}, L{withLogin} or L{existingConnection}.
    """

    _address = SSHCommandAddress
    _ask = staticmethod(SSHCommandChannel.execute)

    @classmethod
    def newConnection(
        cls,
        reactor: IClientReactor,
        command: Text,
        username: Text,
        hostname: Text,
        port: int | None = None,
        keys: Sequence[Key] | None = None,
        password: Text | None = None,
        agentEndpoint: IStreamClientEndpoint | None = None,
        knownHosts: KnownHosts = None,
        ui: UserInterface | None = None,
        algorithms: AlgorithmSet | None = None,
    ) -> SSHCommandClientEndpoint:
        """
        An endpoint that makes a connection for each command, and closes it
        when the command's channel is closed.

        @param command: the command, as the user's shell there will read it.
        @param username: who logs in.
        @param hostname: the server: its name as the known hosts have it, or
            its address, IPv4 or IPv6.
        @param port: its port; by default 22.
        @param keys: private keys to log in with, in the order in which they
            are offered.
        @param password: the password, for a server that accepts none of the
            keys.
        @param agentEndpoint: leads to the user's agent, whose keys are offered
            behind C{keys}: for the usual one C{UNIXClientEndpoint(reactor,
            os.environ["SSH_AUTH_SOCK"])}.
        @param knownHosts: a file of known hosts, or its path. By default
            C{~/.ssh/known_hosts} and C{/etc/ssh/ssh_known_hosts}.
        @param ui: whom to ask about a host that is not known; what is accepted
            is added to C{knownHosts}, by default to C{~/.ssh/known_hosts}.
            Without it, such a host is refused. Nobody is asked about a host
            that is known with another key: it is refused.
        @param algorithms: what is offered to the server, such as
            L{conchlite.algorithms.catalogue.LEGACY} for an old one; by default
            what every client offers.
        @raise UsageError: one of C{keys} is no private key.
        """
        given = Login(
            reactor,
            username,
            hostname,
            port,
            keys or (),
            password,
            knownHosts,
            ui,
            algorithms,
            agent=agentEndpoint,
        )
        return cls.withLogin(given, command)

    @classmethod
    def withLogin(cls, given: Login, command: Text) -> SSHCommandClientEndpoint:
        """
        As L{newConnection}, for whoever has more to say about the login.

        @param given: who logs in where, and how.
        @param command: the command, as the user's shell there will read it.
        """
        return cls(_loggingIn(given), command)

    @classmethod
    def existingConnection(cls, connection: SSHConnection, command: Text) -> SSHCommandClientEndpoint:
        """
        An endpoint that runs its commands on a connection that is there, and
        leaves it open.

        @param connection: any connection on which a user is logged in; of a
            protocol that an endpoint has connected it is C{transport.conn}.
        @param command: the command, as the user's shell there will read it.
        """
        return cls(_onConnection(connection), command)


class SSHSubsystemClientEndpoint(_ProgramClientEndpoint):
    """
    Runs a subsystem of another host, such as C{sftp} or C{netconf}, and
    connects a protocol to it, as L{SSHCommandClientEndpoint} does with a
    command.
    """

    _address = SSHSubsystemAddress
    _ask = staticmethod(SSHCommandChannel.startSubsystem)

    @classmethod
    def newConnection(
        cls,
        reactor: IClientReactor,
        subsystem: Text,
        username: Text,
        hostname: Text,
        port: int | None = None,
        keys: Sequence[Key] | None = None,
        password: Text | None = None,
        agentEndpoint: IStreamClientEndpoint | None = None,
        knownHosts: KnownHosts = None,
        ui: UserInterface | None = None,
        algorithms: AlgorithmSet | None = None,
    ) -> SSHSubsystemClientEndpoint:
        """
        An endpoint that makes a connection for each protocol, as
        L{SSHCommandClientEndpoint.newConnection} has it.

        @param subsystem: the subsystem's name.
        @raise UsageError: one of C{keys} is no private key.
        """
        given = Login(
            reactor,
            username,
            hostname,
            port,
            keys or (),
            password,
            knownHosts,
            ui,
            algorithms,
            agent=agentEndpoint,
        )
        return cls.withLogin(given, subsystem)

    @classmethod
    def withLogin(cls, given: Login, subsystem: Text) -> SSHSubsystemClientEndpoint:
        """
        See L{SSHCommandClientEndpoint.withLogin}.
        """
        return cls(_loggingIn(given), subsystem)

    @classmethod
    def existingConnection(cls, connection: SSHConnection, subsystem: Text) -> SSHSubsystemClientEndpoint:
        """
        See L{SSHCommandClientEndpoint.existingConnection}.
        """
        return cls(_onConnection(connection), subsystem)
