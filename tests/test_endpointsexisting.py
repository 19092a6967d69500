"""
Tests for L{conchlite.endpoints}: commands on a connection that is there.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectionDone,
)
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase

from conchlite.endpoints import SSHCommandAddress, SSHCommandClientEndpoint
from conchlite.error import (
    ChannelClosed,
    ChannelOpenFailed,
    ChannelRequestFailed,
    ConnectionEnded,
    UsageError,
)
from conchlite.ssh.connection import SSHConnection
from tests.endpointscenes import (
    ADDRESS,
    EndpointTestCase,
    Gate,
    Recorder,
    Server,
    Session,
)
from tests.ssh import fakes


class ExistingConnectionTests(EndpointTestCase):
    """
    Commands on a connection that is there.
    """

    def setUp(self) -> None:
        super().setUp()
        self.first = self.connected()
        self.connection: SSHConnection = self.first.transport.conn

    def second(self, command: str = "second") -> Deferred[Any]:
        return self.run_(SSHCommandClientEndpoint.existingConnection(self.connection, command), accept=False)

    def test_command(self) -> None:
        protocol = self.successResultOf(self.second())
        session = self.server.sessions[1]
        self.assertEqual(b"second", session.command)
        session.write(b"data")
        session.exit(0)
        self.network.flush()
        self.assertEqual((b"data", ["made", "lost"]), (protocol.received, protocol.events))

    def test_staysOpen(self) -> None:
        """
        The connection outlives its commands.
        """
        for number in (1, 2, 3):
            self.successResultOf(self.second())
            self.server.sessions[number].exit(number)
            self.network.flush()
        self.assertEqual((["made"], 0), (self.first.events, self.server.lost))
        self.assertEqual(1, len(self.connection.channels))

    def test_address(self) -> None:
        addresses = []
        self.factory.buildProtocol = lambda address: addresses.append(address) or Recorder()
        self.successResultOf(self.second())
        self.assertEqual([SSHCommandAddress(IPv4Address("TCP", ADDRESS, 22), b"alice", b"second")], addresses)

    def test_refused(self) -> None:
        """
        What fails leaves the connection open.
        """
        self.failureResultOf(self.second("forbidden"), ChannelRequestFailed)
        self.server.refusesSessions = True
        self.failureResultOf(self.second(), ChannelOpenFailed)
        self.assertEqual((["made"], 0), (self.first.events, self.server.lost))
        self.assertEqual(1, len(self.connection.channels))

    def test_cancel(self) -> None:
        """
        What is cancelled leaves the connection open, and no channel.
        """
        for gate in (self.server.opening, self.server.answering):
            gate.close()
            connecting = self.second()
            connecting.cancel()
            self.failureResultOf(connecting, CancelledError)
            self.network.flush()
            gate.open()
            self.network.flush()
            self.assertEqual((["made"], 0), (self.first.events, self.server.lost))
            self.assertEqual(1, len(self.connection.channels))
        self.successResultOf(self.second())

    def test_ended(self) -> None:
        """
        A connection that has ended says so, and why.
        """
        self.network.cut()
        self.failureResultOf(self.second(), ConnectionEnded)

    def test_lost(self) -> None:
        for name in ("opening", "answering"):
            self.setUp()
            gate = getattr(self.server, name)
            gate.close()
            connecting = self.second()
            self.assertNoResult(connecting)
            self.network.cut()
            self.failureResultOf(connecting, ConnectionEnded)
            gate.open()

    def test_notStarted(self) -> None:
        self.connection = SSHConnection()
        self.failureResultOf(self.second(), UsageError)


class AnyConnectionTests(SynchronousTestCase):
    """
    A connection that no endpoint has made.
    """

    def setUp(self) -> None:
        server = self.server = Server()
        sessions: list[Session] = []

        class Accepting(SSHConnection):
            def channel_session(self, windowSize: int, maxPacket: int, data: bytes) -> Session:
                sessions.append(Session(remoteWindow=windowSize, remoteMaxPacket=maxPacket, server=server))
                return sessions[-1]

        self.connection = SSHConnection()
        self.link = fakes.Link(self.connection, Accepting())
        self.link.client.instance = None
        self.sessions = sessions

    def connect(self) -> Deferred[Any]:
        self.addresses: list[Any] = []
        factory = Factory()
        factory.buildProtocol = lambda address: self.addresses.append(address) or Recorder()
        connecting = SSHCommandClientEndpoint.existingConnection(self.connection, b"true").connect(factory)
        self.link.pump()
        return connecting

    def test_command(self) -> None:
        protocol = self.successResultOf(self.connect())
        self.assertEqual([(b"", b"true")], [(a.username, a.command) for a in self.addresses])
        self.sessions[0].exit(0)
        self.link.pump()
        protocol.reason.trap(ConnectionDone)

    def test_closedWithoutAnAnswer(self) -> None:
        """
        A server that closes the channel instead of answering, behind output or
        not, leaves nobody waiting.
        """
        for output in (b"", b"output"):
            gate = self.server.answering = Gate()
            gate.close()
            connecting = self.connect()
            session = self.sessions[-1]
            session.write(output)
            session.loseWriteConnection()
            session.abortConnection()
            self.link.pump()
            self.failureResultOf(connecting, ChannelClosed)
            self.assertEqual({}, self.connection.channels)

    def test_serviceReplaced(self) -> None:
        protocol = self.successResultOf(self.connect())
        self.connection.serviceStopped()
        protocol.reason.trap(ConnectionEnded)
