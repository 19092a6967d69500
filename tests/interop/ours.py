"""
Our own client and server, written as programs on conchlite are, with a memory
of what happened to them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import Factory
from zope.interface import implementer

from conchlite.algorithms.catalogue import CLIENT_DEFAULT, SERVER_DEFAULT, AlgorithmSet
from conchlite.avatar import SessionUser
from conchlite.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from conchlite.error import HostKeyRejected, UsageError
from conchlite.interfaces import IConchUser
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.childprocess import spawn
from conchlite.ssh.common import NS
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.keys import Key
from conchlite.ssh.processes import ProcessSession
from conchlite.ssh.programs import Cat, ProgramSession
from conchlite.ssh.transport import SSHClientTransport, SSHServerTransport
from conchlite.ssh.userauth import SSHUserAuthClient
from conchlite.wire.connection import ExitSignal, ExitStatus
from tests.interop.peers import (
    LOCALHOST,
    STOP_SECONDS,
    hostKeys,
    rareHostKeys,
    rareUserKeys,
    userKeys,
)

#: Is called with the size of what has been received.
Received = Callable[[int], object] | None


def _knownHostKeys() -> frozenset[bytes]:
    return frozenset(key.blob() for key in (*hostKeys().values(), *rareHostKeys().values()))


def _userKey() -> Key:
    return userKeys()[b"ssh-ed25519"]


@dataclass
class Login:
    """
    What a client program is told.

    @ivar user: who logs in.
    @ivar key: with which private key.
    @ivar password: with which password, if there is one.
    @ivar algorithms: what is offered.
    @ivar userSignatures: what the key may sign with.
    @ivar knownHostKeys: the blobs of the host keys that are accepted.
    @ivar verdict: fires when the user, who is asked about a host key that is
        known, has said yes.
    @ivar attributes: other attributes that the transport gets.
    @ivar userAuth: other attributes that the service gets that logs in.
    """

    user: str
    key: Key = field(default_factory=_userKey)
    password: str | None = None
    algorithms: AlgorithmSet = CLIENT_DEFAULT
    userSignatures: Sequence[bytes] = CLIENT_DEFAULT.signatures
    knownHostKeys: frozenset[bytes] = field(default_factory=_knownHostKeys)
    verdict: Callable[[], Deferred[Any]] = lambda: succeed(None)
    attributes: Mapping[str, object] = field(default_factory=dict)
    userAuth: Mapping[str, object] = field(default_factory=dict)


class Transport(SSHClientTransport):
    def __init__(self, client: Client) -> None:
        self.client = client
        algorithms = client.login.algorithms
        self.supportedKeyExchanges = algorithms.keyExchanges
        self.supportedPublicKeys = algorithms.signatures
        self.supportedCiphers = algorithms.ciphers
        self.supportedMACs = algorithms.macs
        self.supportedCompressions = algorithms.compressions
        vars(self).update(client.login.attributes)

    def sendKexInit(self):
        super().sendKexInit()
        self.client.exchanges += 1

    def verifyHostKey(self, hostKey, fingerprint):
        self.client.verified += 1
        if hostKey not in self.client.login.knownHostKeys:
            raise HostKeyRejected(f"no known host has the key {fingerprint.sha256}")
        return self.client.login.verdict().addCallback(lambda _: True)

    def connectionSecure(self):
        self.client.secured += 1
        self.client.userAuth = UserAuth(self.client.login, Connection(self.client))
        self.requestService(self.client.userAuth)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        self.client._lost(self.closeReason)


class UserAuth(SSHUserAuthClient):
    preferredOrder = ("publickey", "password")

    def __init__(self, login: Login, instance: SSHConnection) -> None:
        super().__init__(login.user, instance)
        self.login = login
        self.signatureAlgorithms = login.userSignatures
        vars(self).update(login.userAuth)

    def getPublicKey(self):
        return self.login.key.public()

    def getPrivateKey(self):
        return succeed(self.login.key)

    def getPassword(self, prompt=None):
        return None if self.login.password is None else succeed(self.login.password)


class Connection(SSHConnection):
    def __init__(self, client: Client) -> None:
        super().__init__()
        self.client = client

    def serviceStarted(self):
        super().serviceStarted()
        self.client.connection = self
        self.client.ready.callback(self.client)


class Client:
    """
    One connection of our client.

    @ivar transport: the transport.
    @ivar userAuth: the login, from when the connection is secure.
    @ivar connection: the service, after the login.
    @ivar verified: how often C{verifyHostKey} was called.
    @ivar secured: how often C{connectionSecure} was called.
    @ivar exchanges: how many key exchanges were begun.
    @ivar ready: fires when the user has logged in; fails with what ended the
        connection.
    @ivar lost: the errors that ended the connection, of which there may be one.
    """

    def __init__(self, login: Login) -> None:
        self.login = login
        self.verified = self.secured = self.exchanges = 0
        self.userAuth: UserAuth | None = None
        self.connection: Connection | None = None
        self.ready: Deferred[Client] = Deferred()
        self.lost: list[Exception] = []
        self._end: Deferred[None] = Deferred()

    @classmethod
    async def connect(cls, test, reactor, port: int, login: Login) -> Client:
        """
        Connect; the connection is dropped when the test ends.
        """
        client = cls(login)
        factory = Factory.forProtocol(lambda: Transport(client))
        client.transport = await TCP4ClientEndpoint(reactor, LOCALHOST, port).connect(factory)
        test.addCleanup(client._cleanUp)
        return client

    @classmethod
    async def logIn(cls, test, reactor, port: int, login: Login) -> Client:
        """
        Connect and log in.
        """
        client = await cls.connect(test, reactor, port, login)
        return await client.ready

    def _cleanUp(self) -> Deferred[None]:
        if not self.lost:
            self.transport.abortConnection()
        # Whoever waits for the login has seen that it failed.
        self.ready.addErrback(lambda _: None)
        return self.ended()

    def _lost(self, reason) -> None:
        self.lost.append(reason.value)
        if not self.ready.called:
            self.ready.errback(reason)
        if not self._end.called:
            self._end.callback(None)

    def ended(self) -> Deferred[None]:
        """
        Fires when the connection is gone.
        """
        ended: Deferred[None] = Deferred()
        self._end.chainDeferred(ended) if not self._end.called else ended.callback(None)
        return ended

    async def close(self) -> Exception:
        """
        End the connection, as a program does.

        @return: what it says about its end.
        """
        self.transport.loseConnection()
        await self.ended()
        (reason,) = self.lost
        return reason

    def open(
        self, command: str, data: bytes = b"", received: Callable[[int], object] | None = None
    ) -> Command:
        """
        Run a command.

        @param data: its standard input.
        @param received: is called with the size of its output, as it grows.
        """
        channel = Command(command, data, received)
        self.connection.openChannel(channel)
        return channel

    def run(self, command: str, data: bytes = b"", received: Received = None) -> Deferred[Command]:
        """
        Run a command to its end.
        """
        return self.open(command, data, received).finished


class Command(SSHChannel):
    """
    A session in which a command runs.

    @ivar status: its exit status.
    @ivar signal: the signal that ended it.
    @ivar eofs: how often the end of its output was announced.
    @ivar closes: how often C{closed} was called.
    @ivar refusal: what the request to run it failed with.
    @ivar finished: fires when the channel is closed; fails if it did not open.
    """

    name = "session"

    def __init__(self, command: str, data: bytes, received: Received) -> None:
        super().__init__()
        self._command = command
        self._data = data
        self._received = received
        self._output: list[bytes] = []
        self._errors: list[bytes] = []
        self._size = 0
        self.status: int | None = None
        self.signal: bytes | None = None
        self.eofs = self.closes = 0
        self.refusal: Exception | None = None
        self.finished: Deferred[Command] = Deferred()

    @property
    def output(self) -> bytes:
        return b"".join(self._output)

    @property
    def errors(self) -> bytes:
        return b"".join(self._errors)

    def openFailed(self, reason):
        self.finished.errback(reason)

    def channelOpen(self, specificData):
        d = self.conn.sendRequest(self, "exec", NS(self._command), wantReply=True)
        d.addCallbacks(self._cbRunning, self._ebRunning)

    def _cbRunning(self, ignored):
        self.write(self._data)
        self.conn.sendEOF(self)

    def _ebRunning(self, reason):
        self.refusal = reason.value
        self.loseConnection()

    def dataReceived(self, data):
        self._output.append(data)
        self._size += len(data)
        if self._received is not None:
            self._received(self._size)

    def extReceived(self, dataType, data):
        assert dataType == 1, dataType
        self._errors.append(data)

    def eofReceived(self):
        self.eofs += 1

    def request_exit_status(self, data):
        self.status = ExitStatus.unpack(data).exitStatus

    def request_exit_signal(self, data):
        self.signal = ExitSignal.unpack(data).signalName

    def closed(self):
        self.closes += 1
        if self.closes == 1:
            self.finished.callback(self)


@implementer(IRealm)
class _Realm:
    def __init__(self, openSession, subsystems) -> None:
        self._openSession = openSession
        self._subsystems = subsystems

    def requestAvatar(self, avatarId, mind, *interfaces):
        user = SessionUser(self._openSession)
        user.subsystemLookup.update(self._subsystems)
        return IConchUser, user, lambda: None


class _ServerTransport(SSHServerTransport):
    server: Server

    def sendKexInit(self):
        super().sendKexInit()
        self.exchanges = getattr(self, "exchanges", 0) + 1

    def connectionMade(self):
        super().connectionMade()
        self.server._connected(self)

    def connectionLost(self, reason):
        super().connectionLost(reason)
        self.server._lost(self)


class Server:
    """
    Our server.

    @ivar port: where it listens.
    @ivar factory: its factory.
    @ivar transports: its connections, those that have ended included.
    """

    def __init__(
        self, reactor, algorithms: AlgorithmSet, checkers, openSession, subsystems, keys, attributes
    ) -> None:
        self.transports: list[_ServerTransport] = []
        self._ends: dict[_ServerTransport, Deferred[None]] = {}

        class Transport(_ServerTransport):
            server = self
            supportedKeyExchanges = algorithms.keyExchanges
            supportedPublicKeys = algorithms.signatures
            supportedCiphers = algorithms.ciphers
            supportedMACs = algorithms.macs
            supportedCompressions = algorithms.compressions

        for name, value in attributes.items():
            setattr(Transport, name, value)
        factory = self.factory = SSHFactory()
        factory.protocol = Transport
        factory.privateKeys = {**hostKeys(), **rareHostKeys(), **keys}
        factory.portal = Portal(_Realm(openSession, subsystems), checkers)
        self._listener = reactor.listenTCP(0, factory, interface=LOCALHOST)
        self.port = self._listener.getHost().port

    @classmethod
    def start(
        cls,
        test,
        reactor,
        algorithms: AlgorithmSet = SERVER_DEFAULT,
        checkers: Sequence[ICredentialsChecker] | None = None,
        openSession: Callable[[], object] | None = None,
        subsystems: Mapping[bytes, Any] = {},
        keys: Mapping[bytes, Key] = {},
        **attributes: object,
    ) -> Server:
        """
        Start a server that is stopped when the test ends.

        @param checkers: who may log in: by default, who has one of
            L{userKeys}, as C{alice}.
        @param openSession: what runs in a session: by default C{cat}, in this
            process.
        @param subsystems: the subsystems, as C{subsystemLookup} has them.
        @param keys: host keys that take the place of L{hostKeys}.
        @param attributes: other attributes that the transports get.
        """
        if checkers is None:
            users = [*userKeys().values(), *rareUserKeys().values()]
            checkers = [SSHPublicKeyChecker(InMemorySSHKeyDB({"alice": users}))]
        if openSession is None:

            def openSession():
                return ProgramSession({b"cat": Cat})

        server = cls(reactor, algorithms, checkers, openSession, subsystems, keys, attributes)
        test.addCleanup(server.stop)
        return server

    def _connected(self, transport: _ServerTransport) -> None:
        self.transports.append(transport)
        self._ends[transport] = Deferred()

    def _lost(self, transport: _ServerTransport) -> None:
        self._ends.pop(transport).callback(None)

    def ended(self) -> Deferred[Any]:
        """
        Fires when all of its connections have ended.
        """
        return DeferredList(list(self._ends.values()))

    def stop(self) -> Deferred[Any]:
        for transport in list(self._ends):
            transport.abortConnection()
        return DeferredList([self.ended(), self._listener.stopListening()])


class _Spawned:
    """
    What sessions have spawned, and when it has ended.
    """

    def __init__(self, reactor) -> None:
        self._reactor = reactor
        self._ends: list[Deferred[None]] = []
        self._processes: list[Any] = []

    def spawn(self, reactor, proto, *arguments):
        end: Deferred[None] = Deferred()
        processEnded = proto.processEnded

        def ended(reason):
            processEnded(reason)
            end.callback(None)

        proto.processEnded = ended
        self._ends.append(end)
        process = spawn(reactor, proto, *arguments)
        self._processes.append(process)
        return process

    async def ended(self) -> None:
        """
        Wait for all to end, which they do by themselves, or ought to.
        """
        killing = self._reactor.callLater(STOP_SECONDS, self._killAll)
        await DeferredList(self._ends)
        if not killing.active():
            raise AssertionError("a process outlived its session")
        killing.cancel()

    def _killAll(self) -> None:
        for process in self._processes:
            try:
                process.signalProcess("KILL")
            except ProcessExitedAlready:
                pass  # It ended by itself.


def processes(test, reactor) -> Callable[[], ProcessSession]:
    """
    What opens sessions that run processes, by C{sh}, in an empty directory.
    They have ended when the test has.
    """
    directory = Path(test.mktemp()).absolute()
    directory.mkdir(parents=True)
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(directory)}
    spawned = _Spawned(reactor)
    test.addCleanup(lambda: Deferred.fromCoroutine(spawned.ended()))

    def openSession() -> ProcessSession:
        session = ProcessSession(reactor, "/bin/sh", str(directory), environment)
        session.spawn = spawned.spawn
        session.hangupSeconds = 0.1
        return session

    return openSession


def exchangeKeys(transport) -> bool:
    """
    Begin a key exchange, unless there is one.
    """
    try:
        transport.sendKexInit()
    except UsageError:
        return False
    return True
