"""
A client that is logged in to a server in memory, where the test plays the
commands.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from conchlite.client.sshclient import SSHClient
from conchlite.error import ConchError
from conchlite.interfaces import IConchUser
from conchlite.wire.connection import EnvRequest, SignalRequest, SubsystemRequest
from conchlite.wire.numbers import OPEN_CONNECT_FAILED
from tests.endpointscenes import LoginTestCase, Network, Server, Session, User


class Command(Session):
    """
    The server's end of a session, in which anything may run.

    @ivar asked: what was asked besides a program, in its order.
    @ivar refuses: the requests that are not granted.
    """

    refuses: frozenset[bytes] = frozenset()

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.asked: list[Any] = []

    def requestReceived(self, requestType: bytes, data: bytes) -> object:
        if requestType in self.server.refuses:
            return False
        if requestType == b"env":
            self.asked.append((b"env", *EnvRequest.unpack(data).__dict__.values()))
        elif requestType == b"signal":
            self.asked.append((b"signal", SignalRequest.unpack(data).signalName))
        elif requestType == b"subsystem":
            self.command = SubsystemRequest.unpack(data).name
        elif requestType != b"exec":
            self.asked.append((requestType, data))
        else:
            return super().requestReceived(requestType, data)
        return True

    def closed(self) -> None:
        super().closed()
        self.server.over(self)

    def errors(self, data: bytes) -> None:
        """
        The command writes to its standard error.
        """
        self.writeExtended(1, data)


class CommandUser(User):
    def lookupChannel(self, channelType: bytes, windowSize: int, maxPacket: int, data: bytes) -> Any:
        server = self.server
        if channelType == b"session" and server.held >= server.maximumSessions:
            server.refusals += 1
            raise ConchError("open failed", server.reason)
        return super().lookupChannel(channelType, windowSize, maxPacket, data)

    def _session(self, windowSize: int, maxPacket: int) -> Session:
        server = self.server
        session = Command(remoteWindow=windowSize, remoteMaxPacket=maxPacket, server=server)
        server.held += 1
        server.most = max(server.most, server.held)
        server.sessions.append(session)
        return session

    def gotGlobalRequest(self, requestType: bytes, data: bytes) -> object:
        self.server.rounds()
        return False


class CommandServer(Server):
    """
    @ivar maximumSessions: how many there may be.
    @ivar reason: why others are refused.
    @ivar held: how many are counted.
    @ivar most: how many there were at a time.
    @ivar refusals: how many were refused.
    @ivar lingers: whether a session counts, when it is closed, until the next
        round of the main loop, as with OpenSSH's.
    @ivar lingering: how many do.
    @ivar refuses: the requests that are not granted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.maximumSessions = 10
        self.reason = OPEN_CONNECT_FAILED
        self.held = self.most = self.refusals = self.lingering = 0
        self.lingers = False
        self.refuses: frozenset[bytes] = frozenset()

    def requestAvatar(self, avatarId: Any, mind: object, *interfaces: Any) -> Any:
        self.users.append(avatarId)
        return self.checking.then(lambda: (IConchUser, CommandUser(self), lambda: None))

    def over(self, session: Session) -> None:
        if self.lingers:
            self.lingering += 1
        else:
            self.held -= 1

    def rounds(self) -> None:
        """
        A round of the main loop.
        """
        self.held -= self.lingering
        self.lingering = 0


class ClientTestCase(LoginTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = CommandServer()
        self.network = Network(self.server)
        self.client = SSHClient(self.loggedIn(), self.network)

    def begun(self, running: Deferred[Any]) -> Command:
        """
        The server's end of what was begun just now.
        """
        self.network.flush()
        session: Command = self.server.sessions[-1]
        return session

    def exited(self, session: Command, status: int = 0) -> None:
        session.exit(status)
        self.network.flush()

    def run_(self, *arguments: Any, **named: Any) -> tuple[Deferred[Any], Command]:
        """
        Run a command.

        @return: the Deferred of the result, and the server's end.
        """
        running = self.client.run(*arguments, **named)
        return running, self.begun(running)

    def opened(self, *arguments: Any, **named: Any) -> tuple[Any, Command]:
        """
        Open a command.

        @return: the process, and the server's end.
        """
        opening = self.client.open(*arguments, **named)
        session = self.begun(opening)
        return self.successResultOf(opening), session

    def unharmed(self) -> None:
        """
        The connection goes on.
        """
        running, session = self.run_("echo")
        session.write(b"still here\n")
        self.exited(session)
        self.assertEqual(b"still here\n", self.successResultOf(running).stdout)
