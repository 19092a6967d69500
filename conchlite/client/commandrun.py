"""
A command from its beginning to its end, with all that it writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from conchlite.client.commandresult import CommandResult
from conchlite.client.commandsession import CommandSession, Wanted
from conchlite.client.remotestreams import RemoteInput, feed
from conchlite.error import CommandFailed, CommandTimedOut, OutputTooLarge, safe
from conchlite.ssh.threads import threadsOf

if TYPE_CHECKING:
    from conchlite.client.remoteprocess import Stderr
    from conchlite.client.remotestreams import Input
    from conchlite.client.sessionqueue import SessionQueue

#: The most bytes that are kept of what a command writes, both streams together.
MAXIMUM_OUTPUT = 16 * 1024 * 1024


@dataclass(frozen=True)
class Bounds:
    """
    What is wanted of the run of a command, and how much.

    @ivar input: its standard input.
    @ivar timeout: how many seconds it may take; L{None} for no limit.
    @ivar maxOutput: the most bytes that it may write.
    @ivar stderr: where its standard error goes.
    @ivar check: whether it has to succeed.
    """

    input: Input
    timeout: float | None
    maxOutput: int
    stderr: Stderr
    check: bool


class CommandRun:
    """
    The run of one command.

    @ivar result: fires when it is over, however that came about. To cancel it
        closes the session.
    """

    def __init__(self, wanted: Wanted, bounds: Bounds, reactor: IReactorTime) -> None:
        self._wanted = wanted
        self._bounds = bounds
        self._reactor = reactor
        self._stdout = bytearray()
        self._stderr = bytearray()
        self._giveUp: Callable[[], object] = _nothing
        self._isOver = False
        self._session: CommandSession | None = None
        self._timer: IDelayedCall | None = None
        self._feeding: Deferred[None] | None = None
        self.result: Deferred[CommandResult] = Deferred(lambda _: self._finish())

    def begin(self, queue: SessionQueue) -> None:
        """
        Run it when it is its turn.
        """
        opening = queue.open(self._makeSession, self._stopTimer)
        # Not if it is there already: then what there is to close is the session.
        if not opening.called:
            self._giveUp = opening.cancel
        opening.addCallbacks(self._opened, self._failed)

    def _makeSession(self) -> CommandSession:
        # It is its turn: the time runs from here.
        if self._bounds.timeout is not None:
            self._timer = self._reactor.callLater(self._bounds.timeout, self._timedOut)
        return CommandSession(self._wanted, self)

    def _opened(self, session: CommandSession) -> None:
        self._session = session
        self._giveUp = session.giveUp
        session.start().addCallbacks(self._started, self._failed)

    def _started(self, _: object) -> None:
        if self._isOver or self._session is None:
            return
        stdin = RemoteInput(self._session)
        run = threadsOf(self._reactor)
        feeding = Deferred.fromCoroutine(feed(stdin, self._bounds.input, run))
        self._feeding = feeding
        feeding.addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        self._finish(failure)

    def _timedOut(self) -> None:
        self._timer = None
        text = f"'{safe(self._wanted.name)}' was not over after {self._bounds.timeout:g} seconds"
        self._finish(Failure(CommandTimedOut(text, self._soFar())))

    # What the session calls.

    def dataReceived(self, data: bytes) -> None:
        """
        See L{Sink<conchlite.client.commandsession.Sink>}.
        """
        self._keep(self._stdout, data)

    def stderrReceived(self, data: bytes) -> None:
        """
        See L{Sink<conchlite.client.commandsession.Sink>}.
        """
        if self._bounds.stderr != "discard":
            self._keep(self._stdout if self._bounds.stderr == "merge" else self._stderr, data)

    def _keep(self, kept: bytearray, data: bytes) -> None:
        if self._isOver:
            return
        room = self._bounds.maxOutput - len(self._stdout) - len(self._stderr)
        kept += data[:room]
        if len(data) > room:
            text = f"'{safe(self._wanted.name)}' wrote more than {self._bounds.maxOutput} bytes"
            self._finish(Failure(OutputTooLarge(text, self._soFar())))

    def eofReceived(self) -> None:
        """
        See L{Sink<conchlite.client.commandsession.Sink>}.
        """

    def ended(self, session: CommandSession) -> None:
        """
        See L{Sink<conchlite.client.commandsession.Sink>}.
        """
        self._giveUp = _nothing
        if session.brokenBy is not None:
            self._finish(session.brokenBy)
            return
        result = self._soFar()
        try:
            self._finish(result.check() if self._bounds.check else result)
        except CommandFailed:
            self._finish(Failure())

    def _soFar(self) -> CommandResult:
        session = self._session
        status, signal = (None, None) if session is None else (session.exitStatus, session.exitSignal)
        return CommandResult(self._wanted.name, status, signal, bytes(self._stdout), bytes(self._stderr))

    def _finish(self, result: CommandResult | Failure | None = None) -> None:
        # Once: what comes of giving up comes here too.
        if self._isOver:
            return
        self._isOver = True
        self._stopTimer()
        if self._feeding is not None:
            self._feeding.cancel()
        self._giveUp()
        if result is not None:
            self.result.callback(result)

    def _stopTimer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


def _nothing() -> None:
    """
    There is nothing to give up.
    """
