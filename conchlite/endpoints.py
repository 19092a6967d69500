"""
Commands on other hosts, as endpoints: a protocol is connected to a command as
it would be to a TCP port, and neither it nor its factory has to know.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionAborted, ConnectionDone, NoProtocol, ProcessTerminated
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from conchlite.algorithms.catalogue import AlgorithmSet
from conchlite.client.hostkeys import KnownHosts
from conchlite.client.knownhosts import UserInterface
from conchlite.client.login import IClientReactor, Login
from conchlite.error import ChannelClosed, ConnectionEnded, UsageError, safe
from conchlite.sansio.channels import RemoteChannel
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.channelmachine import ChannelMachine
from conchlite.ssh.common import Text, asBytes
from conchlite.ssh.connection import SSHConnection
from conchlite.wire.connection import ExecRequest, ExitSignal, ExitStatus
from conchlite.wire.numbers import EXTENDED_DATA_STDERR

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key

__all__ = ["SSHCommandAddress", "SSHCommandChannel", "SSHCommandClientEndpoint"]


@implementer(IAddress)
class SSHCommandAddress:
    """
    The address of a command on another host: what C{buildProtocol} is given.

    @ivar server: the address of the SSH server.
    @ivar username: who logged in there; empty where that is not known.
    @ivar command: the command.
    """

    def __init__(self, server: IAddress, username: Text, command: Text) -> None:
        self.server = server
        self.username = asBytes(username)
        self.command = asBytes(command)

    def _key(self) -> tuple[IAddress, bytes, bytes]:
        return self.server, self.username, self.command

    def __eq__(self, other: object) -> bool:
        return self._key() == other._key() if isinstance(other, SSHCommandAddress) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"SSHCommandAddress({self.server!r}, {self.username!r}, {self.command!r})"


class _CommandMachine(ChannelMachine):
    """
    What the command writes before there is a protocol waits for it, within the
    window: a server may send it even before it has said that there is a command.
    """

    __slots__ = ()

    channel: SSHCommandChannel

    def opened(self, remoteChannel: RemoteChannel, windowSize: int, maximumPacketSize: int) -> None:
        super().opened(remoteChannel, windowSize, maximumPacketSize)
        self.incoming.pause()

    def peerGone(self) -> None:
        if not self.channel._started:
            # Nobody will ever take it.
            self.incoming.drop()


class SSHCommandChannel(SSHChannel):
    """
    The channel that a command runs on, and the transport of the protocol that
    is connected to it.

    What the protocol writes is the command's standard input, and what the
    command writes to its standard output the protocol receives. What it writes
    to standard error goes to the protocol's C{stderrReceived}, which gets the
    bytes; without such a method it is dropped. An L{IHalfCloseableProtocol} is
    told of the end of the command's output.

    @ivar exitStatus: the command's exit status, or L{None} if none has come.
    @ivar exitSignal: the name, without C{SIG}, of the signal that ended the
        command, or L{None}.
    """

    _log = Logger()

    name = b"session"
    _machineClass = _CommandMachine

    def __init__(self, conn: SSHConnection, command: bytes, ended: Callable[[], object]) -> None:
        """
        @param ended: is called behind the protocol's C{connectionLost}.
        """
        super().__init__(conn=conn)
        self.exitStatus: int | None = None
        self.exitSignal: str | None = None
        self._command = command
        self._whenEnded = ended
        self._protocol: IProtocol | None = None
        self._started = False
        self._wantsData = True
        self._peerClosed = False

    async def execute(self) -> None:
        """
        Ask for the command.

        @raise ChannelRequestFailed: the server refuses it.
        @raise ChannelClosed: the channel was closed meanwhile.
        """
        replied = self.conn.sendRequest(self, b"exec", ExecRequest(self._command).pack(), wantReply=True)
        if replied is None:
            raise ChannelClosed("Channel closed.")
        await replied

    def connectTo(self, factory: IProtocolFactory, address: SSHCommandAddress) -> IProtocol:
        """
        Make a protocol, and be its transport.

        @raise NoProtocol: the factory makes none.
        """
        protocol = factory.buildProtocol(address)
        if protocol is None:
            raise NoProtocol
        self._protocol = protocol
        protocol.makeConnection(self)
        return protocol

    def start(self) -> None:
        """
        Deliver what came and what comes, unless the protocol has paused it.
        """
        self._started = True
        if self._wantsData:
            super().resumeProducing()

    # As a producer.

    def pauseProducing(self) -> None:
        """
        Deliver nothing until C{resumeProducing}.
        """
        self._wantsData = False
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """
        Deliver what was kept, and whatever comes.
        """
        self._wantsData = True
        if self._started:
            super().resumeProducing()

    # What the connection calls.

    def dataReceived(self, data: bytes) -> None:
        """
        The command wrote to its standard output.
        """
        # Without a protocol: when the connection is lost, what is kept is
        # delivered all the same.
        if self._protocol is not None:
            self._protocol.dataReceived(data)

    def extReceived(self, dataType: int, data: bytes) -> None:
        """
        The command wrote to its standard error.
        """
        if dataType == EXTENDED_DATA_STDERR:
            stderrReceived = getattr(self._protocol, "stderrReceived", None)
            if stderrReceived is not None:
                stderrReceived(data)

    def eofReceived(self) -> None:
        """
        The command will write no more. It may still read, so for a protocol
        that knows no half a connection this is not the end.
        """
        halfCloseable: IHalfCloseableProtocol | None = IHalfCloseableProtocol(self._protocol, None)
        if halfCloseable is not None:
            halfCloseable.readConnectionLost()

    def request_exit_status(self, data: bytes) -> bool:
        """
        The command ended by itself, RFC 4254 section 6.10.
        """
        self.exitStatus = ExitStatus.unpack(data).exitStatus
        return True

    def request_exit_signal(self, data: bytes) -> bool:
        """
        The command was ended by a signal, RFC 4254 section 6.10.
        """
        message = ExitSignal.unpack(data)
        self.exitSignal = message.signalName.decode("ascii", "backslashreplace")
        self._log.info(
            "{command} was ended by signal {signal}: {message}",
            command=safe(self._command),
            signal=safe(message.signalName),
            message=safe(message.errorMessage),
        )
        return True

    def openFailed(self, reason: object) -> None:
        """
        There is no session: the Deferred of C{openChannel} says so.
        """

    def closeReceived(self) -> None:
        """
        The server closed the channel: the command has ended.
        """
        self._peerClosed = True
        super().closeReceived()

    def closed(self) -> None:
        """
        The command has ended, or the connection: tell the protocol why.
        """
        if self._protocol is None:
            return
        try:
            self._protocol.connectionLost(self._endReason())
        finally:
            self._whenEnded()

    def _endReason(self) -> Failure:
        broken = self.conn.transport.closeReason
        if not self._peerClosed:
            # A status that came before the end does not tell that all of the
            # output came.
            if broken is not None:
                return broken
            if not self._machine.aborted:
                return Failure(ConnectionEnded("another service took the connection's place"))
        if self.exitSignal is not None:
            return Failure(ProcessTerminated(signal=_signalNumber(self.exitSignal)))
        if self.exitStatus:
            return Failure(ProcessTerminated(exitCode=self.exitStatus))
        if self.exitStatus == 0:
            return Failure(ConnectionDone("ssh channel closed"))
        if self._machine.aborted:
            return Failure(ConnectionAborted("ssh channel aborted"))
        return Failure(ConnectionDone("ssh channel closed without an exit status"))


def _signalNumber(name: str) -> int:
    # Numbers differ between systems, and only the name is sent; one that RFC
    # 4254 does not have goes with a domain. -1 is for one that is unknown here,
    # as in Conch.
    number = getattr(signal, f"SIG{name.partition('@')[0]}", None)
    return int(number) if isinstance(number, signal.Signals) else -1


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


@implementer(IStreamClientEndpoint)
class SSHCommandClientEndpoint:
    """
    Runs a command on another host, and connects a protocol to it. Each
    C{connect} runs the command anew.

    To be made by L{newConnection} or L{existingConnection}.
    """

    def __init__(self, login: Callable[[], Awaitable[_LoggedIn]], command: Text) -> None:
        """
        @param login: makes the connection for a command, or finds it.
        """
        self._login = login
        self._command = asBytes(command)

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

        async def login() -> _LoggedIn:
            connection = await given.connect()
            return _LoggedIn(
                connection, given.username, connection.close, connection.transport.abortConnection
            )

        return cls(login, command)

    @classmethod
    def existingConnection(cls, connection: SSHConnection, command: Text) -> SSHCommandClientEndpoint:
        """
        An endpoint that runs its commands on a connection that is there, and
        leaves it open.

        @param connection: any connection on which a user is logged in; of a
            protocol that an endpoint has connected it is C{transport.conn}.
        @param command: the command, as the user's shell there will read it.
        """

        async def login() -> _LoggedIn:
            if getattr(connection, "transport", None) is None:
                raise UsageError("existingConnection: the connection has not been started")
            # The service that logged the user in was the last to be requested.
            user = getattr(connection.transport.instance, "user", b"")
            return _LoggedIn(connection, asBytes(user), _leaveOpen, _leaveOpen)

        return cls(login, command)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """
        Run the command.

        @param protocolFactory: its C{buildProtocol} is called with an
            L{SSHCommandAddress} when the command runs.

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
        channel = SSHCommandChannel(login.connection, self._command, login.leave)
        try:
            await login.connection.openChannel(channel)
            await channel.execute()
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
            protocol = channel.connectTo(factory, SSHCommandAddress(server, login.username, self._command))
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


def _leaveOpen() -> None:
    """
    The connection is another's to end.
    """
