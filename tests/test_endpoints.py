"""
Tests for L{conchlite.endpoints}: commands as endpoints.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.cred.portal import Portal
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionRefusedError,
    NoProtocol,
    ProcessTerminated,
)
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    IPushProducer,
    IStreamClientEndpoint,
    ITransport,
)
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from conchlite.avatar import SessionUser
from conchlite.client.knownhosts import KnownHostsFile, hostPattern
from conchlite.endpoints import SSHCommandAddress, SSHCommandClientEndpoint
from conchlite.error import (
    ChannelOpenFailed,
    ChannelRequestFailed,
    ConchError,
    ConnectionEnded,
    Disconnected,
)
from conchlite.interfaces import ExitedBySignal, IConchUser
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.keys import Key
from conchlite.ssh.programs import Cat, ProgramSession
from conchlite.wire import numbers
from tests.endpointscenes import (
    ADDRESS,
    HOST,
    HOST_KEY,
    USER_KEY,
    EndpointTestCase,
    Recorder,
    Server,
)

OTHER_KEY = Key.generate("ed25519")


class AddressTests(SynchronousTestCase):
    def test_equality(self) -> None:
        server = IPv4Address("TCP", ADDRESS, 22)
        address = SSHCommandAddress(server, "alice", "ls")
        self.assertEqual(address, SSHCommandAddress(server, b"alice", b"ls"))
        self.assertEqual(hash(address), hash(SSHCommandAddress(server, b"alice", b"ls")))
        for other in (
            SSHCommandAddress(IPv4Address("TCP", ADDRESS, 23), b"alice", b"ls"),
            SSHCommandAddress(server, b"bob", b"ls"),
            SSHCommandAddress(server, b"alice", b"rm"),
            server,
        ):
            self.assertNotEqual(address, other)

    def test_attributes(self) -> None:
        server = IPv4Address("TCP", ADDRESS, 22)
        address = SSHCommandAddress(server, "älice", "ls")
        self.assertEqual(
            (server, "älice".encode(), b"ls"), (address.server, address.username, address.command)
        )
        self.assertIn("b'ls'", repr(address))


class CommandTests(EndpointTestCase):
    """
    A command from its beginning to its end.
    """

    def test_interface(self) -> None:
        verifyObject(IStreamClientEndpoint, self.endpoint())
        verifyObject(
            IStreamClientEndpoint, SSHCommandClientEndpoint.existingConnection(SSHConnection(), "true")
        )

    def test_command(self) -> None:
        """
        The server is asked for the command, and the factory gets its address.
        """
        addresses = []

        class Noting(Factory):
            noisy = False

            def buildProtocol(self, addr: Any) -> Recorder:
                addresses.append(addr)
                return Recorder()

        self.factory = Noting()
        protocol = self.connected(self.endpoint("ls 'ä'"))
        self.assertEqual("ls 'ä'".encode(), self.server.sessions[0].command)
        self.assertEqual([b"alice"], self.server.users)
        server = IPv4Address("TCP", ADDRESS, 22)
        self.assertEqual([SSHCommandAddress(server, b"alice", "ls 'ä'")], addresses)
        self.assertEqual(["made"], protocol.events)

    def test_texts(self) -> None:
        """
        Names and texts may be bytes or text.
        """
        for convert in (str.encode, str):
            endpoint = self.endpoint(
                convert("true"), username=convert("alice"), hostname=convert(HOST), password=convert("no")
            )
            self.connected(endpoint)
        self.assertEqual([HOST, HOST], self.network.nameResolver.names)

    def test_transport(self) -> None:
        protocol = self.connected()
        for interface in (ITransport, IConsumer, IPushProducer):
            verifyObject(interface, protocol.transport)
        self.assertEqual(IPv4Address("TCP", ADDRESS, 22), protocol.transport.getPeer().address)

    def test_data(self) -> None:
        """
        What is written arrives, either way.
        """
        protocol = self.connected()
        session = self.server.sessions[0]
        protocol.transport.write(b"in")
        protocol.transport.writeSequence([b"p", b"ut"])
        session.write(b"output")
        self.network.flush()
        self.assertEqual((b"input", b"output"), (session.received, protocol.received))

    def test_halfClose(self) -> None:
        """
        The command's input can be ended alone.
        """
        protocol = self.connected()
        session = self.server.sessions[0]
        protocol.transport.write(b"x" * 100000)
        protocol.transport.loseWriteConnection()
        self.network.flush()
        self.assertEqual((100000, ["eof"]), (len(session.received), session.events))
        session.write(b"answer")
        session.exit(0)
        self.network.flush()
        self.assertEqual((b"answer", ["made", "lost"]), (protocol.received, protocol.events))

    def test_outputEnds(self) -> None:
        """
        The command ends its output and goes on reading: a protocol that knows
        of such things is told, another one does not lose its connection.
        """

        @implementer(IHalfCloseableProtocol)
        class HalfCloseable(Recorder):
            def readConnectionLost(self) -> None:
                self.events.append("read lost")

            def writeConnectionLost(self) -> None:
                self.events.append("write lost")

        for kind, events in ((Recorder, ["made"]), (HalfCloseable, ["made", "read lost"])):
            self.factory.protocol = kind
            protocol = self.connected()
            session = self.server.sessions[-1]
            session.loseWriteConnection()
            self.network.flush()
            protocol.transport.write(b"more")
            self.network.flush()
            self.assertEqual((events, b"more"), (protocol.events, session.received))

    def test_stderr(self) -> None:
        """
        Standard error goes to C{stderrReceived}, where there is one.
        """

        class Both(Recorder):
            def stderrReceived(self, data: bytes) -> None:
                self.errors += data

        self.factory.protocol = Both
        protocol = self.connected()
        session = self.server.sessions[0]
        session.write(b"out")
        session.writeExtended(numbers.EXTENDED_DATA_STDERR, b"err")
        session.writeExtended(77, b"neither")
        self.network.flush()
        self.assertEqual((b"out", b"err"), (protocol.received, protocol.errors))

    def test_stderrDropped(self) -> None:
        """
        Where nobody wants standard error, any amount of it passes.
        """
        protocol = self.connected()
        session = self.server.sessions[0]
        session.writeExtended(numbers.EXTENDED_DATA_STDERR, b"e" * (5 * 1024 * 1024))
        session.write(b"out")
        self.network.flush()
        self.assertEqual(b"out", protocol.received)

    def test_earlyOutput(self) -> None:
        """
        What the command writes before the server has said that it runs waits
        for the protocol, and for those who wait for the protocol.
        """
        self.server.answering.close()
        connecting = self.run_()
        session = self.server.sessions[0]
        session.write(b"early")
        self.network.flush()
        self.assertNoResult(connecting)
        seen: list[bytes] = []
        connecting.addCallback(lambda protocol: seen.append(protocol.received) or protocol)
        self.server.answering.open()
        self.network.flush()
        protocol = self.successResultOf(connecting)
        self.assertEqual(([b""], b"early"), (seen, protocol.received))

    def test_pausedByProtocol(self) -> None:
        """
        A protocol that pauses its transport when it is connected is sent
        nothing until it wants something.
        """

        class Pausing(Recorder):
            def connectionMade(self) -> None:
                self.transport.pauseProducing()

        self.factory.protocol = Pausing
        protocol = self.connected()
        self.server.sessions[0].write(b"data")
        self.server.sessions[0].exit(0)
        self.network.flush()
        self.assertEqual((b"", None), (protocol.received, protocol.reason))
        protocol.transport.resumeProducing()
        self.network.flush()
        self.assertEqual(b"data", protocol.received)
        protocol.reason.trap(ConnectionDone)

    def test_resumedByProtocol(self) -> None:
        """
        Who resumes early does not get data early.
        """
        early: list[bytes] = []

        class Eager(Recorder):
            def connectionMade(self) -> None:
                self.transport.resumeProducing()
                early.append(self.received)

        self.factory.protocol = Eager
        self.server.answering.close()
        connecting = self.run_()
        self.server.sessions[0].write(b"data")
        self.network.flush()
        self.server.answering.open()
        self.network.flush()
        self.assertEqual(([b""], b"data"), (early, self.successResultOf(connecting).received))

    def test_connectsAgain(self) -> None:
        """
        Each C{connect} makes a connection.
        """
        endpoint = self.endpoint()
        first, second = self.connected(endpoint), self.connected(endpoint)
        self.assertIsNot(first.transport.conn, second.transport.conn)
        self.assertEqual(2, len(self.server.sessions))

    def test_failingProtocol(self) -> None:
        """
        A protocol that raises loses its connection, and the failure is logged.
        """

        class Failing(Recorder):
            def dataReceived(self, data: bytes) -> None:
                raise ValueError("not what I expected")

        self.factory.protocol = Failing
        protocol = self.connected()
        self.server.sessions[0].write(b"data")
        self.network.flush()
        protocol.reason.trap(ConnectionAborted)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))
        self.assertEqual(1, self.server.lost)


class EndTests(EndpointTestCase):
    """
    How a protocol learns how its command ended.
    """

    def ended(self, end: Callable[[Any], object]) -> Recorder:
        protocol = self.connected()
        end(self.server.sessions[0])
        self.network.flush()
        self.assertEqual(["made", "lost"], protocol.events)
        return protocol

    def test_success(self) -> None:
        protocol = self.ended(lambda session: session.exit(0))
        protocol.reason.trap(ConnectionDone)
        self.assertEqual(0, protocol.transport.exitStatus)

    def test_status(self) -> None:
        protocol = self.ended(lambda session: session.exit(3))
        protocol.reason.trap(ProcessTerminated)
        self.assertEqual((3, None), (protocol.reason.value.exitCode, protocol.reason.value.signal))
        self.assertEqual((3, None), (protocol.transport.exitStatus, protocol.transport.exitSignal))

    def test_signal(self) -> None:
        protocol = self.ended(lambda session: session.die(b"TERM"))
        protocol.reason.trap(ProcessTerminated)
        self.assertEqual(
            (None, signal.SIGTERM), (protocol.reason.value.exitCode, protocol.reason.value.signal)
        )
        self.assertEqual(
            (None, ExitedBySignal("TERM", False, "killed by \\x1b[31mtest")),
            (protocol.transport.exitStatus, protocol.transport.exitSignal),
        )

    def test_strangeSignals(self) -> None:
        for name, number in (
            (b"BUS@linux", signal.SIGBUS),
            (b"SIG@openssh.com", -1),
            (b"_IGN", -1),
            (b"\xff", -1),
        ):
            protocol = self.connected()
            self.server.sessions[-1].die(name)
            self.network.flush()
            self.assertEqual(number, protocol.reason.value.signal, name)

    def test_noStatus(self) -> None:
        """
        A server need not tell how a command ended.
        """
        protocol = self.ended(lambda session: session.loseConnection())
        protocol.reason.trap(ConnectionDone)
        self.assertIn("without an exit status", str(protocol.reason.value))
        self.assertIs(None, protocol.transport.exitStatus)

    def test_malformedStatus(self) -> None:
        """
        What cannot be read ends the connection.
        """
        protocol = self.ended(lambda session: session.conn.sendRequest(session, b"exit-status", b"abc"))
        self.assertIsInstance(protocol.reason.value, ConchError)
        self.assertEqual([(2, b"malformed message")], self.server.goodbyes)

    def test_loseConnection(self) -> None:
        """
        C{loseConnection} sends what was written, and waits for what the
        command has to say to that.
        """
        protocol = self.connected()
        session = self.server.sessions[0]
        protocol.transport.write(b"last words")
        protocol.transport.loseConnection()
        self.network.flush()
        self.assertEqual((b"last words", ["eof"]), (session.received, session.events))
        session.write(b"and mine")
        session.exit(0)
        self.network.flush()
        self.assertEqual(b"and mine", protocol.received)
        protocol.reason.trap(ConnectionDone)

    def test_abortConnection(self) -> None:
        protocol = self.connected()
        protocol.transport.abortConnection()
        self.network.flush()
        self.assertEqual(["made", "lost"], protocol.events)
        protocol.reason.trap(ConnectionAborted)

    def test_connectionLost(self) -> None:
        """
        The error of a connection that broke tells more than a status that came
        before: some of the output may be missing.
        """
        protocol = self.connected()
        session = self.server.sessions[0]
        session.conn.sendRequest(session, b"exit-status", b"\0\0\0\0")
        self.network.flush()
        self.network.cut()
        self.assertEqual(["made", "lost"], protocol.events)
        protocol.reason.trap(ConnectionEnded)
        self.assertEqual(0, protocol.transport.exitStatus)

    def test_disconnected(self) -> None:
        protocol = self.ended(lambda session: session.conn.transport.sendDisconnect(11, b"closing time"))
        protocol.reason.trap(Disconnected)
        self.assertEqual(
            (11, "closing time"), (protocol.reason.value.reason, protocol.reason.value.description)
        )

    def test_heldWhenConnectionIsLost(self) -> None:
        """
        A protocol that has paused learns how its command ended, even if the
        connection breaks before it wants to know.
        """
        protocol = self.connected()
        protocol.transport.pauseProducing()
        session = self.server.sessions[0]
        session.write(b"all of it")
        session.exit(4)
        self.network.flush()
        self.assertEqual(["made"], protocol.events)
        self.network.cut()
        self.assertEqual((b"all of it", ["made", "lost"]), (protocol.received, protocol.events))
        self.assertEqual(4, protocol.reason.value.exitCode)

    def test_connectionEndsToo(self) -> None:
        """
        The connection ends with its command, and nothing stays behind.
        """
        self.ended(lambda session: session.exit(0))
        self.assertEqual((1, [(11, b"disconnected by user")]), (self.server.lost, self.server.goodbyes))
        self.assertEqual([], self.network.getDelayedCalls())

    def test_failingConnectionLost(self) -> None:
        """
        It ends also when the protocol raises.
        """

        class Failing(Recorder):
            def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
                raise ValueError("not now")

        self.factory.protocol = Failing
        self.connected()
        self.server.sessions[0].exit(0)
        self.network.flush()
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))
        self.assertEqual(1, self.server.lost)


class RefusedTests(EndpointTestCase):
    """
    What a server does not do, and what nobody does.
    """

    def test_agent(self) -> None:
        """
        An endpoint leads to the agent; where there is none, the keys do.
        """
        asked: list[object] = []

        @implementer(IStreamClientEndpoint)
        class Nobody:
            def connect(self, protocolFactory: object) -> Deferred[object]:
                asked.append(protocolFactory)
                return fail(ConnectionRefusedError("nobody"))

        self.connected(self.endpoint(agentEndpoint=Nobody()))
        self.assertEqual(1, len(asked))

    def test_session(self) -> None:
        self.server.refusesSessions = True
        error = self.failureResultOf(self.run_(), ChannelOpenFailed).value
        self.assertEqual((b"no sessions today", 1), (error.value, error.data))
        self.assertEqual(1, self.server.lost)

    def test_command(self) -> None:
        self.failureResultOf(self.run_(self.endpoint("forbidden")), ChannelRequestFailed)
        self.assertEqual(1, self.server.lost)

    def test_noProtocol(self) -> None:
        self.factory.buildProtocol = lambda address: None
        self.failureResultOf(self.run_(), NoProtocol)
        self.network.flush()
        self.assertEqual(1, self.server.lost)

    def test_failingFactory(self) -> None:
        def buildProtocol(address: object) -> Recorder:
            raise ValueError("none left")

        self.factory.buildProtocol = buildProtocol
        self.failureResultOf(self.run_(), ValueError)
        self.network.flush()
        self.assertEqual(1, self.server.lost)


class TCPTests(TestCase):
    """
    Over a real network, with the server's own sessions.
    """

    async def test_cat(self) -> None:
        """
        A mebibyte goes to C{cat} and comes back, and then the rest.
        """
        from twisted.internet import reactor

        server = Server()
        server.portal = Portal(_CatRealm(), server.portal.checkers.values())
        listening = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(server)
        self.addCleanup(listening.stopListening)
        port = listening.getHost().port
        knownHosts = KnownHostsFile(FilePath(self.mktemp()))
        knownHosts.addHostKey(hostPattern("127.0.0.1", port), HOST_KEY.public())

        ended: Deferred[Failure] = Deferred()

        class Collector(Recorder):
            def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
                super().connectionLost(reason)
                ended.callback(None)

        endpoint = SSHCommandClientEndpoint.newConnection(
            reactor, "cat", "alice", "127.0.0.1", port, keys=[USER_KEY], knownHosts=knownHosts
        )
        protocol = await endpoint.connect(Factory.forProtocol(Collector))
        data = bytes(range(256)) * 4096
        protocol.transport.write(data)
        protocol.transport.loseConnection()
        await ended
        protocol.reason.trap(ConnectionDone)
        self.assertEqual((0, data), (protocol.transport.exitStatus, protocol.received))
        await protocol.transport.conn.connecting.whenLost()


class _CatRealm:
    def requestAvatar(self, avatarId: Any, mind: object, *interfaces: Any) -> Any:
        return IConchUser, SessionUser(lambda: ProgramSession({b"cat": Cat})), lambda: None
