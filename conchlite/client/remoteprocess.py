"""
What runs on a server: a command, a shell or a subsystem, with its streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol
from twisted.python.failure import Failure

from conchlite.client.commandresult import CommandExit
from conchlite.client.remotestreams import MAXIMUM_UNREAD, PAUSE_AT, RemoteInput, RemoteOutput
from conchlite.error import ChannelClosed

if TYPE_CHECKING:
    from typing import TypeAlias

    from conchlite.client.commandsession import CommandSession
    from conchlite.interfaces import WindowSize
    from conchlite.ssh.common import Text

    #: Where standard error goes: to a stream of its own, among the standard
    #: output, or nowhere.
    Stderr: TypeAlias = Literal["keep", "merge", "discard"]


class OutputStreams:
    """
    Takes what runs' output, for whoever reads it, and holds it back where
    nobody does.

    @ivar stdout: standard output.
    @ivar stderr: standard error.
    @ivar stderrTo: where standard error goes.
    @ivar isEnded: whether the session is closed.
    """

    def __init__(self, stderr: Stderr = "keep", maximumUnread: int = MAXIMUM_UNREAD) -> None:
        self.stderrTo = stderr
        self.stdout = RemoteOutput("standard output", maximumUnread, self.balance)
        self.stderr = RemoteOutput("standard error", maximumUnread, self.balance)
        if stderr != "keep":
            self.stderr.end()
        self.session: CommandSession | None = None
        # Who waits for the end, and whether the output is to come meanwhile.
        self._waiting: list[Deferred[None]] = []
        self._watching: list[Deferred[None]] = []
        self._ending: Failure | None = None
        self.isEnded = False
        self._isPaused = False

    def balance(self) -> None:
        """
        Hold back the output, or let it come.
        """
        if self.session is None or self.isEnded:
            return
        awaited = bool(self._waiting) or self.stdout.isAwaited or self.stderr.isAwaited
        pause = not awaited and self.stdout.unread + self.stderr.unread >= PAUSE_AT
        if pause != self._isPaused:
            self._isPaused = pause
            if pause:
                self.session.pauseProducing()
            else:
                self.session.resumeProducing()

    def release(self) -> None:
        """
        Somebody else takes what comes: it is his to hold it back.
        """
        session, self.session = self.session, None
        if self._isPaused and session is not None:
            self._isPaused = False
            session.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        """
        See L{Sink}.
        """
        self.stdout.received(data)
        self.balance()

    def stderrReceived(self, data: bytes) -> None:
        """
        See L{Sink}.
        """
        if self.stderrTo == "merge":
            self.stdout.received(data)
        elif self.stderrTo == "keep":
            self.stderr.received(data)
        self.balance()

    def eofReceived(self) -> None:
        """
        See L{Sink}.
        """
        self.stdout.end()
        self.stderr.end()

    def ended(self, session: CommandSession) -> None:
        """
        See L{Sink}.
        """
        self.finish(session.brokenBy)

    def finish(self, failure: Failure | None) -> None:
        """
        Tell everybody of the end.

        @param failure: what it was, if it was not that of what runs.
        """
        if self.isEnded:
            return
        self.isEnded = True
        self._ending = failure
        self.stdout.end(failure)
        self.stderr.end(failure)
        told = self._waiting + self._watching
        self._waiting, self._watching = [], []
        for deferred in told:
            deferred.callback(failure)

    def whenEnded(self, forced: bool) -> Deferred[None]:
        """
        @param forced: whether nothing is held back meanwhile.
        @return: fires when the session is closed. Fails with what ended the
            connection if that was before.
        """
        row = self._waiting if forced else self._watching
        ended: Deferred[None] = Deferred(lambda ended: self._noMore(row, ended))
        if self.isEnded:
            ended.callback(self._ending)
            return ended
        row.append(ended)
        self.balance()
        return ended

    def _noMore(self, row: list[Deferred[None]], ended: Deferred[None]) -> None:
        row.remove(ended)
        self.balance()


class RemoteProcess:
    """
    A command, a shell or a subsystem that runs.

    @ivar command: the command; the name of a subsystem; nothing for a shell.
    @ivar stdin: its standard input.
    @ivar stdout: its standard output.
    @ivar stderr: its standard error; it is empty where that goes elsewhere.
    @ivar session: the channel.
    """

    def __init__(self, command: bytes, session: CommandSession, output: OutputStreams) -> None:
        self.command = command
        self.session = session
        self._output = output
        self.stdin = RemoteInput(session)
        self.stdout = output.stdout
        self.stderr = output.stderr
        output.session = session
        output.balance()

    @property
    def exit(self) -> CommandExit:
        """
        How it ended, as far as the server has told yet.
        """
        return CommandExit(self.command, self.session.exitStatus, self.session.exitSignal)

    def wait(self) -> Deferred[CommandExit]:
        """
        Wait for the end, whether somebody reads the output or not: what nobody
        reads is kept up to the limit, and dropped beyond.

        @return: fires with how it ended. Fails with what ended the connection
            if that was before. Cancelling it ends nothing.
        """
        return self._output.whenEnded(forced=True).addCallback(lambda _: self.exit)

    def whenEnded(self) -> Deferred[CommandExit]:
        """
        As L{wait}, for a program that reads the output elsewhere: what it does
        not read holds back the end.
        """
        return self._output.whenEnded(forced=False).addCallback(lambda _: self.exit)

    def sendSignal(self, name: Text) -> None:
        """
        Send a signal. Nobody tells whether it was delivered.

        @param name: the signal's name, with C{SIG} or without.
        """
        self.session.sendSignal(name)

    def terminate(self) -> None:
        """
        Ask it to end, by the signal TERM.
        """
        self.sendSignal("TERM")

    def kill(self) -> None:
        """
        End it, by the signal KILL.
        """
        self.sendSignal("KILL")

    def resize(self, windowSize: WindowSize) -> None:
        """
        Its terminal has another size.

        @param windowSize: rows, columns, width and height in pixels.
        """
        self.session.resize(windowSize)

    def connectTo(self, protocol: IProtocol) -> None:
        """
        Let a protocol have the streams from now on. Its transport is the
        session. It gets standard error by a method C{stderrReceived}, if it has
        one, and its C{connectionLost} tells as that of
        L{SSHCommandClientEndpoint<conchlite.endpoints.SSHCommandClientEndpoint>}
        how it ended.

        @raise UsageError: somebody reads the output, or has missed some of it.
        """
        output = self._output
        output.release()
        stdout, stderr = self.stdout.takeAll(), self.stderr.takeAll()
        sink = self.session.sink = _ProtocolSink(protocol, output)
        if not output.isEnded:
            self.session.unregisterProducer()
        protocol.makeConnection(self.session)
        # What came before there was a protocol.
        if stdout:
            sink.dataReceived(stdout)
        if stderr:
            sink.stderrReceived(stderr)
        if self.stdout.isEnded:
            sink.eofReceived()
        if output.isEnded:
            sink.ended(self.session)

    def close(self) -> None:
        """
        Close the session at once, and tell what runs to end.
        """
        self.session.giveUp()
        self._output.finish(Failure(ChannelClosed("it was closed here")))

    async def __aenter__(self) -> RemoteProcess:
        return self

    async def __aexit__(self, *exception: object) -> None:
        if not self._output.isEnded:
            self.close()


class _ProtocolSink:
    """
    Gives the output to a protocol.
    """

    def __init__(self, protocol: IProtocol, output: OutputStreams) -> None:
        self._protocol = protocol
        self._output = output

    def dataReceived(self, data: bytes) -> None:
        self._protocol.dataReceived(data)

    def stderrReceived(self, data: bytes) -> None:
        if self._output.stderrTo == "merge":
            self._protocol.dataReceived(data)
        elif self._output.stderrTo == "keep":
            received = getattr(self._protocol, "stderrReceived", None)
            if received is not None:
                received(data)

    def eofReceived(self) -> None:
        halfCloseable: IHalfCloseableProtocol | None = IHalfCloseableProtocol(self._protocol, None)
        if halfCloseable is not None:
            halfCloseable.readConnectionLost()

    def ended(self, session: CommandSession) -> None:
        try:
            self._protocol.connectionLost(session.endReason())
        finally:
            self._output.ended(session)
