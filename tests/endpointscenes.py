"""
A server in memory for whoever logs in, and a network that leads to it:
whatever it does can be held back at every step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IHostnameResolver, IReactorPluggableNameResolver
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from twisted.test.iosim import FakeTransport, IOPump
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from conchlite.avatar import ConchUser
from conchlite.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from conchlite.client.connecting import ClientConnection
from conchlite.client.knownhosts import KnownHostsFile, hostPattern
from conchlite.client.login import Login
from conchlite.endpoints import SSHCommandClientEndpoint
from conchlite.error import ConchError
from conchlite.interfaces import IConchUser
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.keys import Key
from conchlite.ssh.transport import SSHServerTransport
from conchlite.wire.connection import ExecRequest, ExitSignal, ExitStatus, SubsystemRequest

HOST_KEY = Key.generate("ed25519")
USER_KEY = Key.generate("ed25519")
PASSWORD = b"mellon"
HOST = "shell.example.com"
ADDRESS = "192.0.2.7"


class Gate:
    """
    Answers at once, until it is closed; then it answers when it is opened.

    @ivar waiting: who waits.
    """

    def __init__(self) -> None:
        self.isClosed = False
        self.waiting: list[Deferred[None]] = []

    def close(self) -> None:
        self.isClosed = True

    def open(self) -> None:
        self.isClosed = False
        waiting, self.waiting = self.waiting, []
        for deferred in waiting:
            deferred.callback(None)

    def then(self, function: Callable[..., Any], *arguments: object) -> Any:
        if not self.isClosed:
            return function(*arguments)
        deferred: Deferred[None] = Deferred()
        self.waiting.append(deferred)
        return deferred.addCallback(lambda _: maybeDeferred(function, *arguments))


class Session(SSHChannel):
    """
    The server's end of a command: the test plays the command.

    @ivar received: what came from the client.
    @ivar events: what else came.
    """

    subsystem: bytes | None = None

    name = b"session"
    closeGrace = 0

    def __init__(self, *args: Any, server: Server, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.server = server
        self.command: bytes | None = None
        self.received = b""
        self.events: list[str] = []

    def request_exec(self, data: bytes) -> Any:
        self.command = ExecRequest.unpack(data).command
        return self.server.answering.then(lambda: self.command != b"forbidden")

    def request_subsystem(self, data: bytes) -> Any:
        self.subsystem = SubsystemRequest.unpack(data).name
        return self.server.answering.then(lambda: self.subsystem != b"forbidden")

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def eofReceived(self) -> None:
        self.events.append("eof")

    def closed(self) -> None:
        self.events.append("closed")

    def exit(self, status: int) -> None:
        self.tell(b"exit-status", ExitStatus(status).pack())

    def die(self, name: bytes) -> None:
        self.tell(b"exit-signal", ExitSignal(name, False, b"killed by \x1b[31mtest", b"").pack())

    def tell(self, request: bytes, data: bytes) -> None:
        self.conn.sendRequest(self, request, data)
        self.loseConnection()


class User(ConchUser):
    def __init__(self, server: Server) -> None:
        super().__init__()
        self.server = server

    def lookupChannel(self, channelType: bytes, windowSize: int, maxPacket: int, data: bytes) -> Any:
        if channelType != b"session" or self.server.refusesSessions:
            raise ConchError("no sessions today", 1)
        return self.server.opening.then(self._session, windowSize, maxPacket)

    def _session(self, windowSize: int, maxPacket: int) -> Session:
        session = Session(remoteWindow=windowSize, remoteMaxPacket=maxPacket, server=self.server)
        self.server.sessions.append(session)
        return session


class ServerTransport(SSHServerTransport):
    factory: Server

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        self.factory.goodbyes.append((reasonCode, description))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.factory.lost += 1


@implementer(IRealm)
class Server(SSHFactory):
    """
    @ivar checking: before a user is let in.
    @ivar opening: before a session is opened.
    @ivar answering: before a command is answered for.
    @ivar sessions: those that were opened.
    @ivar goodbyes: the DISCONNECTs of clients.
    @ivar lost: how many connections have ended.
    """

    protocol = ServerTransport

    def __init__(self) -> None:
        self.privateKeys = {HOST_KEY.sshType(): HOST_KEY}
        self.checking, self.opening, self.answering = Gate(), Gate(), Gate()
        self.refusesSessions = False
        self.sessions: list[Session] = []
        self.goodbyes: list[tuple[int, bytes]] = []
        self.lost = 0
        self.users: list[bytes] = []
        passwords = InMemoryUsernamePasswordDatabaseDontUse(alice=PASSWORD)
        keys = SSHPublicKeyChecker(InMemorySSHKeyDB({b"alice": [USER_KEY.public()]}))
        self.portal = Portal(self, [passwords, keys])

    def requestAvatar(self, avatarId: Any, mind: object, *interfaces: Any) -> Any:
        self.users.append(avatarId)
        return self.checking.then(lambda: (IConchUser, User(self), lambda: None))


@implementer(IHostnameResolver)
class Resolver:
    """
    @ivar names: the names that were asked for.
    """

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = addresses
        self.names: list[str] = []
        self.gate = Gate()

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> None:
        self.names.append(hostName)
        resolutionReceiver.resolutionBegan(self)

        def found() -> None:
            for address in self.addresses:
                if ":" in address:
                    resolutionReceiver.addressResolved(IPv6Address("TCP", address, portNumber))
                else:
                    resolutionReceiver.addressResolved(IPv4Address("TCP", address, portNumber))
            resolutionReceiver.resolutionComplete()

        self.gate.then(found)


@implementer(IReactorPluggableNameResolver)
class Network(MemoryReactorClock):
    """
    A reactor whose every TCP connection leads to L{Server}.

    @ivar pumps: what joins the ends of each.
    """

    def __init__(self, server: Server, addresses: Sequence[str] = (ADDRESS,)) -> None:
        super().__init__()
        self.server = server
        self.nameResolver = Resolver(addresses)
        self.pumps: list[IOPump] = []

    def accept(self) -> IOPump:
        """
        Let the TCP connection that is wanted come about.
        """
        host, port, factory, _, _ = self.tcpClients.pop(0)
        client = factory.buildProtocol(IPv4Address("TCP", host, port))
        server = self.server.buildProtocol(IPv4Address("TCP", "192.0.2.99", 1022))
        server.clock = self
        clientIO = FakeTransport(client, False, peerAddress=IPv4Address("TCP", host, port))
        serverIO = FakeTransport(server, True, peerAddress=IPv4Address("TCP", "192.0.2.99", 1022))
        pump = IOPump(client, server, clientIO, serverIO, False, clock=self)
        self.pumps.append(pump)
        client.makeConnection(clientIO)
        server.makeConnection(serverIO)
        return pump

    def flush(self) -> None:
        while sum(pump.flush() for pump in self.pumps):
            pass

    def wait(self) -> None:
        """
        Let a few seconds pass: a server takes its time to say no.
        """
        for _ in range(5):
            self.advance(1)
            self.flush()

    def cut(self) -> None:
        """
        End every TCP connection.
        """
        for pump in self.pumps:
            pump.serverIO.stream.clear()
            pump.clientIO.stream.clear()
            pump.serverIO.loseConnection()
        self.flush()


class Recorder(Protocol):
    """
    @ivar events: what happened to it.
    """

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.received = b""
        self.errors = b""
        self.reason: Failure | None = None

    def connectionMade(self) -> None:
        self.events.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.events.append("lost")
        self.reason = reason


class UI:
    """
    @ivar questions: what was asked.
    @ivar cancelled: how many questions were taken back.
    """

    def __init__(self) -> None:
        self.questions: list[bytes] = []
        self.warnings: list[bytes] = []
        self.cancelled = 0
        self.answer: Deferred[bool] | None = None

    def prompt(self, text: bytes) -> Deferred[bool]:
        def cancelled(_: object) -> None:
            self.cancelled += 1

        self.questions.append(text)
        self.answer = Deferred(cancelled)
        return self.answer

    def warn(self, text: bytes) -> None:
        self.warnings.append(text)


class LoginTestCase(SynchronousTestCase):
    """
    A server, a way there, and known hosts that know it.
    """

    def setUp(self) -> None:
        self.server = Server()
        self.network = Network(self.server)
        self.knownHosts = KnownHostsFile(FilePath(self.mktemp()))
        self.knownHosts.addHostKey(hostPattern(HOST), HOST_KEY.public())

    def arguments(self, **replaced: Any) -> dict[str, Any]:
        usual = {"keys": [USER_KEY], "knownHosts": self.knownHosts, "username": "alice", "hostname": HOST}
        return {**usual, **replaced}

    def login(self, **replaced: Any) -> Login:
        return Login(self.network, **self.arguments(**replaced))

    def begin(self, login: Login | None = None, accept: bool = True) -> Deferred[Any]:
        """
        Log in, and let it go on as far as it goes.
        """
        connecting = (login or self.login()).connect()
        if accept:
            self.network.accept()
        self.network.flush()
        return connecting

    def loggedIn(self, login: Login | None = None) -> ClientConnection:
        return self.successResultOf(self.begin(login))


class EndpointTestCase(LoginTestCase):
    """
    And a factory for what is connected to commands.
    """

    def setUp(self) -> None:
        super().setUp()
        self.factory = Factory.forProtocol(Recorder)
        self.factory.noisy = False

    def endpoint(self, command: bytes | str = b"sh -c true", **replaced: Any) -> SSHCommandClientEndpoint:
        return SSHCommandClientEndpoint.newConnection(self.network, command, **self.arguments(**replaced))

    def run_(self, endpoint: SSHCommandClientEndpoint | None = None, accept: bool = True) -> Deferred[Any]:
        """
        Connect, and let it go on as far as it goes.
        """
        connecting = (endpoint or self.endpoint()).connect(self.factory)
        if accept:
            self.network.accept()
        self.network.flush()
        return connecting

    def connected(self, endpoint: SSHCommandClientEndpoint | None = None) -> Any:
        return self.successResultOf(self.run_(endpoint))
