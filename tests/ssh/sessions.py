"""
Sessions, programs and processes that remember what happened to them.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from conchlite.avatar import SessionUser
from conchlite.error import ChannelRequestFailed, ConchError
from conchlite.interfaces import (
    EnvironmentVariableNotPermitted,
    ISession,
    ISessionSetEnv,
    ISessionSignal,
)
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.session import SSHSession, SSHSessionProcessProtocol
from conchlite.wire.connection import ExitSignal, ExitStatus
from tests.ssh.channels import Recorder
from tests.ssh.fakes import Link


class SessionRecorder(Recorder):
    """
    A client's session.
    """

    name = "session"

    def request_exit_status(self, data: bytes) -> None:
        self.exitStatus = ExitStatus.unpack(data).exitStatus

    def request_exit_signal(self, data: bytes) -> None:
        self.exitSignal = ExitSignal.unpack(data)


@implementer(ISession, ISessionSetEnv, ISessionSignal)
class FakeSession:
    """
    @ivar calls: what was asked of it.
    @ivar answer: what C{execCommand} and C{openShell} return or raise.
    """

    answer: object = None

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.variables: dict[bytes, bytes] = {}

    def _answer(self, proto: SSHSessionProcessProtocol) -> object:
        self.proto = proto
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(proto) if callable(self.answer) else self.answer

    def getPty(self, term: bytes, windowSize: object, modes: object) -> None:
        self.calls.append(("pty", term, windowSize, modes))
        if term == b"bad":
            raise ConchError("no terminal")
        if term == b"worse":
            raise ZeroDivisionError

    def openShell(self, proto: SSHSessionProcessProtocol) -> object:
        self.calls.append("shell")
        return self._answer(proto)

    def execCommand(self, proto: SSHSessionProcessProtocol, command: bytes) -> object:
        self.calls.append(("exec", command))
        return self._answer(proto)

    def windowChanged(self, newWindowSize: object) -> None:
        self.calls.append(("window", newWindowSize))

    def eofReceived(self) -> None:
        self.calls.append("eof")

    def closed(self) -> None:
        self.calls.append("closed")

    def setEnv(self, name: bytes, value: bytes) -> None:
        if name != b"LANG":
            raise EnvironmentVariableNotPermitted(name)
        self.variables[name] = value

    def signalReceived(self, signalName: str) -> None:
        self.calls.append(("signal", signalName))


class SessionTestCase(SynchronousTestCase):
    def open(self, made: object, channel: type[SSHSession] = SSHSession) -> None:
        """
        Open a session of an avatar whose L{ISession} is C{made}.
        """
        self.made = made
        avatar = SessionUser(lambda: made)
        avatar.channelLookup[b"session"] = channel
        self.link = Link(SSHConnection(), SSHConnection(), avatar)
        self.conn = self.link.client.service
        self.client = SessionRecorder()
        self.conn.openChannel(self.client)
        self.link.pump()
        self.server: SSHSession = self.link.server.service.channels[0]

    def request(self, name: str, data: bytes = b"") -> Deferred[str]:
        return self.conn.sendRequest(self.client, name, data, wantReply=True)

    def agreed(self, name: str, data: bytes = b"") -> None:
        answer = self.request(name, data)
        self.link.pump()
        self.successResultOf(answer)

    def refused(self, name: str, data: bytes = b"") -> None:
        answer = self.request(name, data)
        self.link.pump()
        self.failureResultOf(answer, ChannelRequestFailed)


class Memorising(Protocol):
    """
    @ivar received: what came.
    @ivar greeting: what is written first.
    """

    greeting = b""
    lost: list[Failure]

    def connectionMade(self) -> None:
        self.received = bytearray()
        self.lost = []
        self.transport.write(self.greeting)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure) -> None:
        self.lost.append(reason)


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Memorising):
    ended = False

    def readConnectionLost(self) -> None:
        self.ended = True

    def writeConnectionLost(self) -> None:
        raise AssertionError("not called")


class FakeProcess:
    """
    A process of the reactor's, as far as a process protocol sees it.
    """

    def __init__(self) -> None:
        self.written = b""
        self.paused = self.lost = False
        self.producer = None

    def write(self, data: bytes) -> None:
        self.written += data

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def registerProducer(self, producer: object, streaming: bool) -> None:
        assert streaming
        self.producer = producer

    def unregisterProducer(self) -> None:
        self.producer = None

    def loseConnection(self) -> None:
        self.lost = True
