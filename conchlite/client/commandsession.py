"""
A session for one command, shell or subsystem: what is asked of it, and where
its output goes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from twisted.internet.defer import Deferred, FirstError, gatherResults

from conchlite.error import ConchError
from conchlite.interfaces import Terminal
from conchlite.ssh.clientsession import SSHClientSession
from conchlite.ssh.common import Text
from conchlite.wire.numbers import EXTENDED_DATA_STDERR

if TYPE_CHECKING:
    from conchlite.ssh.agentforwarding import AgentForwarding


@dataclass(frozen=True)
class Wanted:
    """
    What is to run in a session.

    @ivar kind: how it is asked for.
    @ivar name: the command, or the name of the subsystem.
    @ivar environment: variables that are set before.
    @ivar terminal: the terminal that it gets, or none.
    @ivar forwardAgent: lets it use the user's agent.
    """

    kind: Literal["exec", "shell", "subsystem"]
    name: bytes = b""
    environment: Mapping[str, Text] = field(default_factory=dict)
    terminal: Terminal | None = None
    forwardAgent: AgentForwarding | None = None


class Sink(Protocol):
    """
    What gets the output.
    """

    def dataReceived(self, data: bytes) -> None:
        """
        Standard output came.
        """

    def stderrReceived(self, data: bytes) -> None:
        """
        Standard error came.
        """

    def eofReceived(self) -> None:
        """
        No more will come of either.
        """

    def ended(self, session: CommandSession) -> None:
        """
        The session is closed, or the connection is lost: C{session.brokenBy}.
        """


class CommandSession(SSHClientSession):
    """
    The session.

    @ivar released: is called when it does not count any more, with why it was
        not opened if it was not.
    @ivar sink: what gets the output.
    """

    released: Callable[[ConchError | None], None]
    _isAsked = False

    def __init__(self, wanted: Wanted, sink: Sink) -> None:
        super().__init__()
        self.sink = sink
        self._wanted = wanted

    def start(self) -> Deferred[None]:
        """
        Ask for what is wanted.

        @return: fires when it runs. Fails with L{ChannelRequestFailed} where
            the server refuses any of it: then it does not run.
        """
        return Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        wanted = self._wanted
        before: list[Deferred[None]] = []
        if wanted.forwardAgent is not None:
            before.append(wanted.forwardAgent.request(self))
        if wanted.terminal is not None:
            terminal = wanted.terminal
            before.append(self.requestPty(terminal.term, terminal.windowSize, terminal.modes))
        before += [self.setEnv(name, value) for name, value in wanted.environment.items()]
        if before:
            try:
                await gatherResults(before, consumeErrors=True)
            except FirstError as error:
                error.subFailure.raiseException()
        self._isAsked = True
        if wanted.kind == "exec":
            await self.execute(wanted.name)
        elif wanted.kind == "shell":
            await self.startShell()
        else:
            await self.startSubsystem(wanted.name)

    def giveUp(self) -> None:
        """
        Close at once. What runs is told to end, since servers leave it alone
        where it does not mind the loss of its streams.
        """
        if self._isAsked:
            self.sendSignal("TERM")
        self.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        self.sink.dataReceived(data)

    def extReceived(self, dataType: int, data: bytes) -> None:
        if dataType == EXTENDED_DATA_STDERR:
            self.sink.stderrReceived(data)

    def eofReceived(self) -> None:
        self.sink.eofReceived()

    def openFailed(self, reason: ConchError) -> None:
        self.released(reason)

    def closed(self) -> None:
        try:
            self.released(None)
        finally:
            self.sink.ended(self)
