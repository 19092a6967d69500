"""
Subsystems as endpoints.
"""

from __future__ import annotations

import inspect
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ProcessTerminated
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from conchlite.endpoints import (
    SSHCommandAddress,
    SSHCommandClientEndpoint,
    SSHSubsystemAddress,
    SSHSubsystemClientEndpoint,
)
from conchlite.error import ChannelRequestFailed, UsageError
from conchlite.ssh.connection import SSHConnection
from tests.endpointscenes import ADDRESS, EndpointTestCase, Recorder


class AddressTests(SynchronousTestCase):
    def test_equality(self) -> None:
        server = IPv4Address("TCP", ADDRESS, 22)
        address = SSHSubsystemAddress(server, "alice", "sftp")
        verifyObject(IAddress, address)
        self.assertEqual((server, b"alice", b"sftp"), (address.server, address.username, address.subsystem))
        self.assertEqual(address, SSHSubsystemAddress(server, b"alice", b"sftp"))
        self.assertEqual(1, len({address, SSHSubsystemAddress(server, b"alice", b"sftp")}))
        for other in (
            SSHSubsystemAddress(server, b"alice", b"netconf"),
            SSHCommandAddress(server, b"alice", b"sftp"),
            server,
        ):
            self.assertNotEqual(address, other)
            self.assertNotEqual(other, address)
        self.assertEqual(f"SSHSubsystemAddress({server!r}, b'alice', b'sftp')", repr(address))


class SubsystemTests(EndpointTestCase):
    def endpoint(self, subsystem: bytes | str = b"sftp", **replaced: Any) -> SSHSubsystemClientEndpoint:
        return SSHSubsystemClientEndpoint.newConnection(self.network, subsystem, **self.arguments(**replaced))

    def test_sameArguments(self) -> None:
        """
        What is true of a command's endpoint is true of a subsystem's.
        """
        verifyObject(IStreamClientEndpoint, self.endpoint())
        for name in ("newConnection", "withLogin", "existingConnection"):
            command, subsystem = (
                [
                    (each.name, each.default)
                    for each in inspect.signature(getattr(kind, name)).parameters.values()
                ]
                for kind in (SSHCommandClientEndpoint, SSHSubsystemClientEndpoint)
            )
            place = command.index(("command", inspect.Parameter.empty))
            self.assertEqual(("subsystem", inspect.Parameter.empty), subsystem.pop(place))
            del command[place]
            self.assertEqual(command, subsystem)

    def test_newConnection(self) -> None:
        seen: list[object] = []

        class Addressed(Factory):
            protocol = Recorder
            noisy = False

            def buildProtocol(self, addr: object) -> Any:
                seen.append(addr)
                return super().buildProtocol(addr)

        self.factory = Addressed()
        protocol = self.connected()
        (session,) = self.server.sessions
        self.assertEqual((b"sftp", None), (session.subsystem, session.command))
        (address,) = seen
        self.assertEqual((b"alice", b"sftp"), (address.username, address.subsystem))
        session.write(b"version")
        protocol.transport.write(b"init")
        self.network.flush()
        self.assertEqual((b"version", b"init"), (protocol.received, session.received))
        session.loseConnection()
        self.network.flush()
        protocol.reason.trap(ConnectionDone)
        self.assertEqual(1, self.server.lost)

    def test_arguments(self) -> None:
        """
        Each argument is looked at as a command's is.
        """
        self.assertRaises(UsageError, self.endpoint, keys=["no key"])
        self.endpoint(port=2222, keys=None, password="mellon").connect(self.factory)
        self.assertEqual(2222, self.network.tcpClients[0][1])

    def test_passwordAlone(self) -> None:
        protocol = self.connected(self.endpoint(keys=None, password=b"mellon"))
        self.assertEqual(b"sftp", self.server.sessions[0].subsystem)
        self.server.sessions[0].exit(4)
        self.network.flush()
        protocol.reason.trap(ProcessTerminated)

    def test_withLogin(self) -> None:
        endpoint = SSHSubsystemClientEndpoint.withLogin(self.login(), "netconf")
        self.connected(endpoint)
        self.assertEqual(b"netconf", self.server.sessions[0].subsystem)

    def test_refused(self) -> None:
        connecting = self.run_(self.endpoint("forbidden"))
        failure = self.failureResultOf(connecting, ChannelRequestFailed)
        self.assertIn("subsystem", str(failure.value))
        self.assertEqual(1, self.server.lost)

    def test_existingConnection(self) -> None:
        connection = self.loggedIn()
        endpoint = SSHSubsystemClientEndpoint.existingConnection(connection, "sftp")
        protocols = [self.successResultOf(self.run_(endpoint, accept=False)) for _ in range(2)]
        for protocol, session in zip(protocols, self.server.sessions, strict=True):
            session.exit(0)
            self.network.flush()
            protocol.reason.trap(ConnectionDone)
        self.assertEqual(0, self.server.lost)

    def test_notStarted(self) -> None:
        endpoint = SSHSubsystemClientEndpoint.existingConnection(SSHConnection(), "sftp")
        self.failureResultOf(endpoint.connect(self.factory), UsageError)
