"""
What stands between a session's channel and what runs in the session.

L{SSHSessionProcessProtocol} shows the user to a process of the operating
system, as its process protocol, and to a program that is a protocol of this
process, as its transport.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, Protocol, cast

from twisted.internet import protocol
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IHalfCloseableProtocol,
    IProcessProtocol,
    IProcessTransport,
    IProducer,
    IProtocol,
    IPushProducer,
    ITransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from conchlite.error import AgentError, UsageError
from conchlite.interfaces import ExitedBySignal, SignalName
from conchlite.wire import connection
from conchlite.wire.numbers import EXTENDED_DATA_STDERR

if TYPE_CHECKING:
    from conchlite.ssh.agentclient import SSHAgentClient
    from conchlite.ssh.session import SSHSession

#: The signals that RFC 4254 section 6.10 names.
SUPPORTED_SIGNALS: Final = [name.value for name in SignalName]


class _ProcessTransport(Protocol):
    # What the reactor's processes have beside IProcessTransport: as a producer
    # they are the process's output, as a consumer its input.

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...

    def registerProducer(self, producer: object, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...


@implementer(IPushProducer)
class _ProcessOutput:
    """
    Lets the user's window pause the process's output.
    """

    def __init__(self, process: _ProcessTransport) -> None:
        self._process = process

    def pauseProducing(self) -> None:
        self._process.pauseProducing()

    def resumeProducing(self) -> None:
        self._process.resumeProducing()

    def stopProducing(self) -> None:
        # The session ends the process when it is closed.
        self._process.resumeProducing()


@implementer(IPushProducer)
class _ProcessInput:
    """
    Lets a process that does not read pause the user.
    """

    def __init__(self, session: SSHSession) -> None:
        self._session = session

    def pauseProducing(self) -> None:
        self._session.pauseProducing()

    def resumeProducing(self) -> None:
        self._session.resumeProducing()

    def stopProducing(self) -> None:
        # The process closed its input; it may have a lot to say yet. What the
        # user sends goes nowhere.
        self._session.resumeProducing()


@implementer(ITransport, IConsumer, IPushProducer)
class SSHSessionProcessProtocol(protocol.ProcessProtocol):
    """
    The user's end of a session, for what runs there: a process protocol for a
    process, whose output goes to the user and whose end becomes
    C{exit-status} or C{exit-signal}; and a transport for a protocol.

    @ivar session: the L{SSHSession}.
    @ivar exitStatus: what a protocol that closes its transport has as its exit
        status; L{None} for no such thing.
    @ivar ended: a Deferred that fires with L{None} when a process has ended.
    """

    exitStatus: int | None = None

    def __init__(self, session: SSHSession) -> None:
        self.session = session
        self.ended: Deferred[None] = Deferred()
        self._openOutputs = 2
        self._exitSent = False
        self._producing = False
        self._isProcess = False

    def openAgent(self) -> Deferred[SSHAgentClient]:
        """
        Connect a program of this process to the user's agent.

        @return: a Deferred of the connection. It fails with L{AgentError} if
            the user does not let programs use his agent.
        """
        if self.session.agent is None:
            return fail(AgentError("the user does not forward his agent"))
        return self.session.agent.openAgent()

    # As a process protocol.

    def connectionMade(self) -> None:
        """
        There is something at the other end. If it is a process, let it and the
        user pause each other.
        """
        transport = self.transport
        if hasattr(transport, "registerProducer") and hasattr(transport, "pauseProducing"):
            process = cast(_ProcessTransport, transport)
            self._isProcess = self._producing = True
            self.session.registerProducer(_ProcessOutput(process), True)
            process.registerProducer(_ProcessInput(self.session), True)

    def outReceived(self, data: bytes) -> None:
        self.session.write(data)

    def errReceived(self, data: bytes) -> None:
        self.session.writeExtended(EXTENDED_DATA_STDERR, data)

    def outConnectionLost(self) -> None:
        """
        The user gets EOF when both standard output and standard error have
        ended.
        """
        self._openOutputs -= 1
        if self._openOutputs == 0:
            self._outputEnded()
            self.session.conn.sendEOF(self.session)

    def errConnectionLost(self) -> None:
        """
        See L{outConnectionLost}.
        """
        self.outConnectionLost()

    def _outputEnded(self) -> None:
        if self._producing:
            self._producing = False
            self.session.unregisterProducer()

    def processEnded(self, reason: Failure) -> None:
        """
        Tell the user how it ended, and close.

        @param reason: L{ProcessDone} or L{ProcessTerminated}.
        """
        self._outputEnded()
        if not self.ended.called:
            self.ended.callback(None)
        ended = reason.value if reason is not None else None
        if isinstance(ended, ProcessDone | ProcessTerminated):
            if ended.signal is not None:
                self._sendExitSignal(_exitedBySignal(ended.signal, ended.status))
            else:
                self._sendExitStatus(ended.exitCode or 0)
        self.session.loseConnection()

    def _sendExitStatus(self, status: int) -> None:
        # Windows has negative ones.
        self._sendExit("exit-status", connection.ExitStatus(status & 0xFFFFFFFF).pack())

    def _sendExitSignal(self, ended: ExitedBySignal) -> None:
        fields = (ended.message.encode(), ended.language.encode("ascii"))
        request = connection.ExitSignal(ended.name.encode("ascii"), ended.coreDumped, *fields)
        self._sendExit("exit-signal", request.pack())

    def _sendExit(self, requestType: str, data: bytes) -> None:
        if not self._exitSent:
            self._exitSent = True
            self.session.conn.sendRequest(self.session, requestType, data)

    @property
    def ending(self) -> bool:
        """
        Whether a process has closed its outputs, so that its end, and how it
        ended, should follow at once.
        """
        return self._isProcess and self._openOutputs == 0 and not self.ended.called

    def userGone(self) -> None:
        """
        The user has closed the session. A process gets what he had sent, which
        is a window at most, all at once: as long as it is paused for a process
        that does not read, the session would never end.
        """
        if self._isProcess:
            cast(_ProcessTransport, self.transport).unregisterProducer()
            self.session.resumeProducing()

    def sessionClosed(self) -> None:
        """
        The session is closed: what runs at the other end has lost its user.
        """
        if self._isProcess:
            # Its input is closed when everything is written; with a producer
            # that is paused, it never would be.
            cast(_ProcessTransport, self.transport).unregisterProducer()
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        What was at the other end is gone.
        """
        self._outputEnded()
        self.session.loseConnection()

    # As a transport for a program of this process.

    def write(self, data: bytes) -> None:
        """
        Standard output.
        """
        self.session.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.session.writeSequence(data)

    def writeErr(self, data: bytes) -> None:
        """
        Standard error.
        """
        self.session.writeExtended(EXTENDED_DATA_STDERR, data)

    def loseWriteConnection(self) -> None:
        """
        End standard output and standard error.
        """
        self.session.loseWriteConnection()

    def loseConnection(self) -> None:
        """
        The program has ended, with C{exitStatus} if that is a number. What it
        wrote is sent first.
        """
        if self.exitStatus is not None:
            self._sendExitStatus(self.exitStatus)
        self.session.loseConnection()

    def exit(self, status: int) -> None:
        """
        The program has ended, with this exit status.
        """
        self.exitStatus = status
        self.loseConnection()

    def exitBySignal(
        self, name: str, coreDumped: bool = False, message: str = "", language: str = ""
    ) -> None:
        """
        The program has ended, as if by a signal.

        @param name: the signal's name, as L{SignalName} has it, or one of
            one's own, with C{@} and a domain.
        @param coreDumped: whether to say that there is a core dump.
        @param message: what else to tell the user.
        @param language: the language of that.
        @raise UsageError: there is no such signal.
        """
        if not (name.isascii() and language.isascii() and ("@" in name or name in SUPPORTED_SIGNALS)):
            raise UsageError(f"an exit by the signal {name!r}, {language!r}")
        self._sendExitSignal(ExitedBySignal(name, coreDumped, message, language))
        self.session.loseConnection()

    def abortConnection(self) -> None:
        """
        End at once: what waits to be sent is dropped.
        """
        self.session.abortConnection()

    def inputEnded(self) -> None:
        """
        The user will send no more. A program that does not know of half-closed
        connections (L{IHalfCloseableProtocol}) ends with its input, as it
        would with TCP.
        """
        ended = getattr(self.transport, "inputEnded", None)
        if ended is not None:
            ended()
        else:
            self.loseConnection()

    def getPeer(self) -> IAddress:
        """
        The address that the user comes from.
        """
        return self.session.getPeer()

    def getHost(self) -> IAddress:
        """
        The address that the user came to.
        """
        return self.session.getHost()

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """
        See L{SSHChannel.registerProducer}.
        """
        self.session.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """
        See L{SSHChannel.unregisterProducer}.
        """
        self.session.unregisterProducer()

    def pauseProducing(self) -> None:
        """
        See L{SSHChannel.pauseProducing}.
        """
        self.session.pauseProducing()

    def resumeProducing(self) -> None:
        """
        See L{SSHChannel.resumeProducing}.
        """
        self.session.resumeProducing()

    def stopProducing(self) -> None:
        """
        See L{SSHChannel.stopProducing}.
        """
        self.session.stopProducing()


def _exitedBySignal(number: int, status: int | None) -> ExitedBySignal:
    try:
        name = signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        name = str(number)
    if name not in SUPPORTED_SIGNALS:
        # RFC 4254 section 6.10: names of one's own have a domain.
        name = f"{name}@{sys.platform}"
    coreDumped = status is not None and hasattr(os, "WCOREDUMP") and os.WCOREDUMP(status)
    return ExitedBySignal(name, coreDumped)


@implementer(ITransport)
class _ProgramInput:
    """
    A protocol as an L{SSHSessionProcessProtocol} sees it: what is written to
    it, the protocol receives.
    """

    def __init__(self, program: IProtocol) -> None:
        self._program = program
        self._transport: ITransport = program.transport  # type: ignore[attr-defined]  # Protocol has it
        self._lost = False

    def write(self, data: bytes) -> None:
        self._program.dataReceived(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def inputEnded(self) -> None:
        halfCloseable: IHalfCloseableProtocol | None = IHalfCloseableProtocol(self._program, None)
        if halfCloseable is not None:
            halfCloseable.readConnectionLost()
        else:
            self._transport.loseConnection()

    def loseConnection(self) -> None:
        if not self._lost:
            self._lost = True
            self._program.connectionLost(protocol.connectionDone)

    def getPeer(self) -> IAddress:
        return self._transport.getPeer()

    def getHost(self) -> IAddress:
        return self._transport.getHost()


class _ProtocolAsProcess(protocol.ProcessProtocol):
    """
    A protocol that gets the output of a process.
    """

    def __init__(self, wrapped: IProtocol) -> None:
        self._wrapped = wrapped

    def connectionMade(self) -> None:
        self._wrapped.makeConnection(cast(ITransport, self.transport))

    def outReceived(self, data: bytes) -> None:
        self._wrapped.dataReceived(data)

    def processEnded(self, reason: Failure) -> None:
        self._wrapped.connectionLost(reason)


def wrapProtocol(proto: IProtocol) -> ITransport:
    """
    A protocol, which has its transport already, as the transport of an
    L{SSHSessionProcessProtocol}.
    """
    return _ProgramInput(proto)


def wrapProcessProtocol(inst: IProtocol | IProcessProtocol) -> IProcessProtocol:
    """
    A process protocol as it is; a protocol as one that gets the process's
    standard output.
    """
    if IProtocol.providedBy(inst):
        return _ProtocolAsProcess(inst)
    return inst


def connectProgram(program: IProtocol, process: SSHSessionProcessProtocol) -> None:
    """
    Connect a protocol to the user.
    """
    program.makeConnection(process)
    user: IProcessProtocol = process
    user.makeConnection(cast(IProcessTransport, wrapProtocol(program)))
