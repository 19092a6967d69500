"""
Tests for L{conchlite.client.connecting}: whole clients and servers, in memory.
"""

from __future__ import annotations

import errno

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionRefusedError, DNSLookupError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.test.iosim import FakeTransport, IOPump
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from conchlite.client.connecting import Connecting
from conchlite.client.identities import Identity
from conchlite.client.identityauth import IdentityUserAuth
from conchlite.client.policies import Pin
from conchlite.commands.demoserver import USER, DemoServer
from conchlite.error import (
    AuthenticationFailed,
    CannotConnect,
    ConchError,
    ConnectionEnded,
    HostKeyRejected,
)
from conchlite.ssh.fingerprints import fingerprint
from conchlite.ssh.keys import Key

HOST_KEY, USER_KEY, OTHER_KEY = (Key.generate("ed25519") for _ in range(3))


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """
    Connects to a server in memory; nothing is sent before L{flush}.
    """

    def __init__(self, server: DemoServer, clock: Clock) -> None:
        self.server = server
        self.clock = clock

    def connect(self, factory):
        client = factory.buildProtocol(None)
        self.server.clock = self.clock
        server = self.server.buildProtocol(None)
        self.clientIO = FakeTransport(client, isServer=False)
        serverIO = FakeTransport(server, isServer=True)
        self.pump = IOPump(client, server, self.clientIO, serverIO, False, clock=self.clock)
        server.makeConnection(serverIO)
        client.makeConnection(self.clientIO)
        return succeed(client)

    def flush(self) -> None:
        self.pump.flush()


@implementer(IStreamClientEndpoint)
class PreparedEndpoint:
    def __init__(self, result: Deferred[object]) -> None:
        self.result = result

    def connect(self, factory):
        return self.result


class ConnectingTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.server = DemoServer(HOST_KEY, USER_KEY.public())
        self.endpoint = MemoryEndpoint(self.server, self.clock)
        self.identities = [Identity(USER_KEY)]
        self.trusted = Pin(fingerprint(HOST_KEY.blob()))

    def connecting(self) -> Connecting:
        return Connecting(
            "server.example",
            2222,
            self.trusted,
            lambda connection: IdentityUserAuth(USER, "server.example", connection, self.identities),
            self.clock,
        )

    def noTimers(self) -> None:
        self.clock.advance(3)
        self.assertEqual([call for call in self.clock.getDelayedCalls() if call.active()], [])


class ConnectingTests(ConnectingTestCase):
    def test_loggedIn(self) -> None:
        connecting = self.connecting()
        d = connecting.connect(self.endpoint)
        self.assertNoResult(d)
        self.endpoint.flush()
        connection = self.successResultOf(d)
        self.assertIs(connection.transport, connecting.transport)
        self.assertTrue(self.trusted.verified)
        self.assertEqual(self.server.loggedIn, [USER.encode()])

    def test_close(self) -> None:
        """
        A connection that is closed leaves no timer, and can be closed again.
        """
        d = self.connecting().connect(self.endpoint)
        self.endpoint.flush()
        connection = self.successResultOf(d)
        closed = connection.close()
        self.assertNoResult(closed)
        self.endpoint.flush()
        self.successResultOf(closed)
        self.successResultOf(connection.close())
        self.assertEqual((self.server.connections, self.server.loggedIn), ([], []))
        self.noTimers()

    def test_untrusted(self) -> None:
        self.trusted = Pin(fingerprint(OTHER_KEY.blob()))
        d = self.connecting().connect(self.endpoint)
        self.endpoint.flush()
        error = self.failureResultOf(d, HostKeyRejected).value
        self.assertIn(fingerprint(HOST_KEY.blob()), str(error))
        self.assertEqual(self.server.loggedIn, [])
        self.noTimers()

    def test_noKnownHosts(self) -> None:
        """
        What the policy cannot say is told before anything is connected.
        """

        def order(host: str, port: int, algorithms: object) -> list[bytes]:
            raise ConchError("known_hosts is a directory")

        self.trusted.order = order
        d = self.connecting().connect(PreparedEndpoint(Deferred()))
        self.assertEqual(str(self.failureResultOf(d, ConchError).value), "known_hosts is a directory")

    def test_order(self) -> None:
        """
        The policy says which host key algorithms are offered.
        """
        self.trusted.order = lambda host, port, algorithms: [b"rsa-sha2-512", b"ssh-ed25519"]
        connecting = self.connecting()
        connecting.connect(self.endpoint)
        self.assertEqual(connecting.transport.supportedPublicKeys, [b"rsa-sha2-512", b"ssh-ed25519"])
        self.endpoint.flush()
        self.assertEqual(connecting.transport.negotiated.hostKey, b"ssh-ed25519")

    def test_notAuthenticated(self) -> None:
        self.identities = [Identity(OTHER_KEY)]
        d = self.connecting().connect(self.endpoint)
        self.endpoint.flush()
        # A server may take its time to refuse.
        self.clock.advance(5)
        self.endpoint.flush()
        error = self.failureResultOf(d, AuthenticationFailed).value
        self.assertIn(fingerprint(OTHER_KEY.blob()), str(error))
        self.endpoint.flush()
        self.noTimers()

    def test_notConnected(self) -> None:
        for error, said in [
            (ConnectionRefusedError(111, "x"), "connection refused"),
            (DNSLookupError("x"), "the name cannot be resolved"),
            (ConnectTimeout(), "no answer"),
            (ConnectError(errno.EHOSTUNREACH, "x"), "No route to host"),
            (ValueError("invalid\x1b hostname"), "invalid\\x1b hostname"),
        ]:
            connecting = self.connecting()
            d = connecting.connect(PreparedEndpoint(fail(error)))
            self.assertEqual(
                str(self.failureResultOf(d, CannotConnect).value),
                f"cannot connect to server.example port 2222: {said}",
            )
            self.successResultOf(connecting.whenLost())
        self.noTimers()

    def test_noAnswer(self) -> None:
        """
        A server that does not even accept is given up.
        """
        cancelled: list[object] = []
        d = self.connecting().connect(PreparedEndpoint(Deferred(cancelled.append)))
        self.clock.advance(29)
        self.assertNoResult(d)
        self.clock.advance(1)
        error = self.failureResultOf(d, CannotConnect).value
        self.assertEqual(str(error), "server.example port 2222: no answer within 30 seconds")
        self.assertEqual(len(cancelled), 1)

    def test_silentServer(self) -> None:
        """
        And so is one that accepts, and then says nothing.
        """
        d = self.connecting().connect(self.endpoint)
        self.clock.advance(30)
        error = self.failureResultOf(d, CannotConnect).value
        self.assertIn("has not proved who it is within 30 seconds", str(error))
        self.assertTrue(self.endpoint.clientIO.disconnecting or self.endpoint.clientIO.disconnected)

    def test_loginMayTakeLonger(self) -> None:
        """
        While a person is asked for a passphrase, no time runs out.
        """
        asked: Deferred[None] = Deferred()
        getPublicKey = IdentityUserAuth.getPublicKey

        def ask(userAuth: IdentityUserAuth) -> Deferred[object]:
            return asked.addCallback(lambda _: getPublicKey(userAuth))

        self.patch(IdentityUserAuth, "getPublicKey", ask)
        d = self.connecting().connect(self.endpoint)
        self.endpoint.flush()
        self.clock.advance(60)
        self.assertNoResult(d)
        asked.callback(None)
        self.endpoint.flush()
        self.successResultOf(d)

    def test_cancel(self) -> None:
        """
        Whoever has enough gets no second answer, and the connection is dropped.
        """
        d = self.connecting().connect(self.endpoint)
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.endpoint.flush()
        self.assertEqual(self.server.connections, [])
        self.noTimers()

    def test_cancelBeforeConnected(self) -> None:
        cancelled: list[object] = []
        d = self.connecting().connect(PreparedEndpoint(Deferred(cancelled.append)))
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertEqual(len(cancelled), 1)
        self.noTimers()

    def test_lostDuringLogin(self) -> None:
        self.patch(IdentityUserAuth, "getPublicKey", lambda self: Deferred())
        connecting = self.connecting()
        d = connecting.connect(self.endpoint)
        self.endpoint.flush()
        lost = connecting.whenLost()
        self.server.connections[0].abortConnection()
        self.endpoint.flush()
        error = self.failureResultOf(d, AuthenticationFailed).value
        self.assertIsInstance(error.data, ConnectionEnded)
        self.successResultOf(lost)
        self.noTimers()
