"""
Whole clients and servers, joined in memory: real transports on a fake network.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.test.iosim import FakeTransport, IOPump

from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.keys import Key
from conchlite.ssh.service import SSHService
from conchlite.ssh.transport import SSHClientTransport, SSHServerTransport

HOST_KEY = Key.generate("ed25519")


class RecordingService(SSHService):
    """
    A service that writes down what happens to it.
    """

    name = b"ssh-userauth"

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def serviceStarted(self) -> None:
        self.calls.append("started")

    def serviceStopped(self) -> None:
        self.calls.append("stopped")

    def packetReceived(self, messageNum: int, packet: bytes) -> None:
        self.calls.append((messageNum, packet))

    def pauseWriting(self) -> None:
        self.calls.append("pause")

    def resumeWriting(self) -> None:
        self.calls.append("resume")


class Client(SSHClientTransport):
    """
    A client that accepts the host key, unless told otherwise.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, str]] = []
        self.secure = 0
        self.errors: list[tuple[int, bytes]] = []
        self.verdict: Deferred[object] | None = None
        self.requested: SSHService | None = None

    def verifyHostKey(self, hostKey: bytes, fingerprint: Any) -> Deferred[object]:
        self.asked.append((hostKey, fingerprint))
        return self.verdict or succeed(True)

    def connectionSecure(self) -> None:
        self.secure += 1
        if self.requested is not None:
            self.requestService(self.requested)

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        self.errors.append((reasonCode, description))


class Server(SSHServerTransport):
    """
    A server that writes down why clients go.
    """

    def __init__(self) -> None:
        self.errors: list[tuple[int, bytes]] = []

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        self.errors.append((reasonCode, description))


class ServerFactory(SSHFactory):
    """
    A factory with a host key, and services that only write down.
    """

    protocol = Server

    def __init__(self) -> None:
        self.privateKeys = {HOST_KEY.sshType(): HOST_KEY}
        self.started: list[RecordingService] = []

    def getService(self, transport: SSHServerTransport, service: bytes) -> Any:
        def make() -> RecordingService:
            made = RecordingService()
            self.started.append(made)
            return made

        return make if service == b"ssh-userauth" else None


class Link:
    """
    A client and a server, and the wires between them.

    @ivar clock: what both run their timers on.
    """

    def __init__(self, client: SSHClientTransport | None = None, factory: SSHFactory | None = None) -> None:
        self.clock = Clock()
        self.client: Any = client or Client()
        self.factory: Any = factory or ServerFactory()
        self.server: Any = self.factory.buildProtocol(None)
        self.client.clock = self.server.clock = self.clock
        self.clientIO = FakeTransport(self.client, isServer=False)
        self.serverIO = FakeTransport(self.server, isServer=True)
        self.pump = IOPump(self.client, self.server, self.clientIO, self.serverIO, False, clock=self.clock)

    def start(self) -> None:
        self.server.makeConnection(self.serverIO)
        self.client.makeConnection(self.clientIO)

    def flush(self) -> None:
        self.pump.flush()

    def secure(self) -> Link:
        """
        Go through the first key exchange.
        """
        self.start()
        self.flush()
        return self
