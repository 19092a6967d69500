"""
Programs that are coroutines: C{async def program(process)}.

To a session such a program is a protocol as any other, a L{CoroutineProgram};
it runs the coroutine from the connection on, and what the coroutine comes to
is the end of the session. L{conchlite.ssh.programs.ProgramSession} and
L{conchlite.avatar.ConchUser} make it of what they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from conchlite.error import ChannelClosed, ConchError, UsageError, safe
from conchlite.interfaces import (
    ExitedBySignal,
    ISessionBreak,
    ISessionSignal,
    ISessionWindow,
    SignalName,
    TerminalSize,
)
from conchlite.ssh.programprocess import OutputRoom, ProgramProcess
from conchlite.ssh.sessionprocess import SSHSessionProcessProtocol

#: A program that is a coroutine. What it returns is how it ends: an exit
#: status, L{None} for 0, or a signal.
CoroutineFunction = Callable[[ProgramProcess], Coroutine[Any, Any, int | ExitedBySignal | None]]


@implementer(IHalfCloseableProtocol, IPushProducer, ISessionBreak, ISessionSignal, ISessionWindow)
class CoroutineProgram(Protocol):
    """
    Runs a coroutine for a user. What it raises is an exit status of 1 to the
    user, and the rest of it is in the log; C{SystemExit} is what it says. It
    is cancelled when the user has gone.

    @ivar process: what the coroutine is handed.
    """

    _log = Logger()

    process: ProgramProcess
    _running: Deferred[int | ExitedBySignal] | None = None
    _endedBy: SignalName | None = None
    _over = False

    def __init__(self, function: CoroutineFunction, command: bytes) -> None:
        """
        @param command: what the user has asked for.
        """
        self._function = function
        self._command = command
        self._room = OutputRoom()

    def connectionMade(self) -> None:
        """
        Run it.
        """
        end = self._end()
        self.process = ProgramProcess(self._command, end, self._room)
        end.registerProducer(self, True)
        if not self._over:
            self._running = Deferred.fromCoroutine(self._run())
            self._running.addCallback(self._finish).addErrback(self._failed)

    def _end(self) -> SSHSessionProcessProtocol:
        return cast(SSHSessionProcessProtocol, self.transport)

    async def _run(self) -> int | ExitedBySignal:
        try:
            result = await self._function(self.process)
        except SystemExit as end:
            return self._systemExit(end.code)
        except CancelledError:
            if self._endedBy is not None:
                return ExitedBySignal(self._endedBy)
            return self._raised()
        except Exception:  # noqa: BLE001  it is in the log
            return self._raised()
        if result is None or isinstance(result, int | ExitedBySignal):
            return result or 0
        raise UsageError(f"a program has returned {result!r}")

    def _systemExit(self, code: object) -> int:
        if code is None or isinstance(code, int):
            return code or 0
        # As Python itself has it.
        self._end().writeErr(f"{code}\n".encode())
        return 1

    def _raised(self) -> int:
        failure = Failure()
        if self._over and failure.check(CancelledError, ChannelClosed):
            # That is how it hears of its end.
            return 1
        if failure.check(ConchError) and not failure.check(UsageError):
            # The user's mistake, or another server's.
            self._log.warn(
                "the program for {command} ended with {error}",
                command=safe(self._command),
                error=safe(f"{type(failure.value).__name__}: {failure.value}"),
            )
        else:
            self._logFailure(failure)
        return 1

    def _logFailure(self, failure: Failure) -> None:
        self._log.failure("the program for {command} failed", failure, command=safe(self._command))

    def _failed(self, failure: Failure) -> None:
        self._logFailure(failure)
        self._finish(1)

    def _finish(self, outcome: int | ExitedBySignal) -> None:
        if self._over:
            return
        end = self._end()
        if isinstance(outcome, ExitedBySignal):
            end.exitBySignal(outcome.name, outcome.coreDumped, outcome.message, outcome.language)
        else:
            end.exit(outcome)
        self._lose()
        end.unregisterProducer()

    def _lose(self) -> None:
        self._over = True
        self.process.stdin.lose()
        self._room.lose()

    def _cancel(self) -> None:
        # A coroutine that ends the connection itself, as its first step, hears
        # of that when it reads or writes.
        if self._running is not None:
            self._running.cancel()

    # As a protocol.

    def dataReceived(self, data: bytes) -> None:
        """
        The user sent something.
        """
        self.process.stdin.arrived(data)

    def readConnectionLost(self) -> None:
        """
        The user will send no more.
        """
        self.process.stdin.ended()

    def writeConnectionLost(self) -> None:
        """
        Is never called: a session does not know what the user reads.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The session is over.
        """
        self.stopProducing()

    # As a producer.

    def pauseProducing(self) -> None:
        """
        What the program writes has to wait.
        """
        self._room.full()

    def resumeProducing(self) -> None:
        """
        What the program has written has left.
        """
        self._room.free()

    def stopProducing(self) -> None:
        """
        The user takes nothing any more: he is gone.
        """
        if not self._over:
            self._over = True
            self._cancel()
            self._lose()

    # What the user asks for.

    def signalReceived(self, signalName: SignalName) -> None:
        """
        Hand a signal to who takes it, or end by it.

        @raise ConchError: the program has ended.
        """
        if self._over:
            raise ConchError("the program has ended")
        taker = self.process._signalTaker
        if taker is not None and signalName is not SignalName.KILL:
            taker(signalName)
            return
        self._endedBy = signalName
        self._cancel()
        if signalName is SignalName.KILL:
            self._finish(ExitedBySignal(signalName))

    def breakReceived(self, milliseconds: int) -> None:
        """
        Hand a break to who takes it.

        @raise ConchError: nobody does.
        """
        taker = self.process._breakTaker
        if taker is None or self._over:
            raise ConchError("nothing to break")
        taker(milliseconds)

    def windowChanged(self, newWindowSize: TerminalSize) -> None:
        """
        Tell who wants to know.
        """
        taker = self.process._resizeTaker
        if taker is not None and not self._over:
            taker(newWindowSize)
