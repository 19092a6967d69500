"""
What a program that is a coroutine is handed: its input and output, and the
rest of what a process has.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IAddress
from twisted.python.failure import Failure

from conchlite.error import ChannelClosed, InputEnded
from conchlite.ssh.readbuffer import ReadBuffer
from conchlite.ssh.variables import AcceptsVariables

if TYPE_CHECKING:
    from conchlite.interfaces import IConchUser, SignalName, Terminal, TerminalSize
    from conchlite.ssh.agentclient import SSHAgentClient
    from conchlite.ssh.readbuffer import Take
    from conchlite.ssh.sessionprocess import SSHSessionProcessProtocol


class ProgramInput:
    """
    What the user sends, for a program that takes it when it likes. What it
    does not take waits here, then within the window, and then at the user's.

    Its Deferreds fail with L{ChannelClosed} once the user is gone, and with
    L{UsageError} where one is waiting already. To cancel one loses nothing.

    @cvar maxLine: the most bytes of a line, with its end.
    @cvar maxAhead: when so many bytes have come that the program has not asked
        for, no more are taken from the channel.
    """

    maxLine = 64 * 1024
    maxAhead = 64 * 1024

    def __init__(self, end: SSHSessionProcessProtocol) -> None:
        self._end = end
        self._buffer = ReadBuffer("the input", self._balance)
        self._inputEnded = False
        self._lost = False
        self._isPaused = False

    def read(self, size: int = 32768) -> Deferred[bytes]:
        """
        Take what is there, as soon as something is.

        @param size: the most bytes to take.
        @return: fires with at least one byte, or with none at the end of the
            input.
        """
        buffer = self._buffer
        return self._read(lambda: buffer.cut(size) if buffer.unread or self._inputEnded else None)

    def readExactly(self, size: int) -> Deferred[bytes]:
        """
        Take so many bytes.

        @return: fires with them. Fails with L{InputEnded} if the input ends
            before; what came is still there to be read.
        """

        def take() -> bytes | None:
            came = len(self._buffer.unread)
            if came >= size:
                return self._buffer.cut(size)
            if self._inputEnded:
                raise InputEnded(f"{came} bytes of {size} came")
            return None

        return self._read(take)

    def readLine(self) -> Deferred[bytes]:
        """
        Take a line. With a terminal, what the user types comes as he types it,
        and no key is the end of a line.

        @return: fires with the line and its C{\\n}, which may be missing from
            the last one; with nothing at the end of the input. Fails with
            L{LineTooLong} where there are more than C{maxLine} bytes without
            an end; they are still there to be read.
        """

        def take() -> bytes | None:
            line = self._buffer.cutLine(self.maxLine, self._inputEnded)
            return b"" if line is None and self._inputEnded else line

        return self._read(take)

    def __aiter__(self) -> ProgramInput:
        return self

    async def __anext__(self) -> bytes:
        line = await self.readLine()
        if not line:
            raise StopAsyncIteration
        return line

    def _read(self, take: Take) -> Deferred[bytes]:
        if self._lost:
            return fail(ChannelClosed("the user is gone"))
        return self._buffer.read(take)

    def _balance(self) -> None:
        enough = not self._buffer.isAwaited and len(self._buffer.unread) >= self.maxAhead
        if enough and not self._isPaused:
            self._isPaused = True
            self._end.pauseProducing()
        elif self._isPaused and not enough:
            self._isPaused = False
            self._end.resumeProducing()

    # What the session calls.

    def arrived(self, data: bytes) -> None:
        """
        The user sent something.
        """
        if self._lost:
            return
        self._buffer.unread += data
        self._buffer.serve()
        self._balance()

    def ended(self) -> None:
        """
        The user will send no more.
        """
        self._inputEnded = True
        self._buffer.serve()

    def lose(self) -> None:
        """
        Nobody reads any more, or nobody has sent what is there.
        """
        self._lost = True
        self._buffer.cut(len(self._buffer.unread))
        self._buffer.answer(Failure(ChannelClosed("the user is gone")))
        self._balance()


class OutputRoom:
    """
    Whether the user takes what a program writes, and who waits until he does.
    """

    def __init__(self) -> None:
        self._isFull = False
        self._lost = False
        self._waiting: deque[Deferred[None]] = deque()

    def whenFree(self) -> Deferred[None]:
        """
        @return: fires when there is room.
        """
        if self._lost:
            return fail(ChannelClosed("the user is gone"))
        if not self._isFull:
            return succeed(None)
        deferred: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(deferred)
        return deferred

    def full(self) -> None:
        """
        There is no room.
        """
        self._isFull = True

    def free(self) -> None:
        """
        There is some again.
        """
        self._isFull = False
        while self._waiting and not self._isFull:
            self._waiting.popleft().callback(None)

    def lose(self) -> None:
        """
        Nobody takes anything any more. Nobody need wait, then; whoever writes
        again hears of it.
        """
        self._lost = True
        self.free()


class ProgramOutput:
    """
    Standard output, or standard error.
    """

    def __init__(self, send: Callable[[bytes], None], room: OutputRoom) -> None:
        self._send = send
        self._room = room

    def write(self, data: bytes) -> Deferred[None]:
        """
        Send the user something.

        @return: fires at once, or as soon as the user has taken enough of what
            was written; a program that waits for it never piles up more than
            the channel's C{waitingLimit}. Fails with L{ChannelClosed} once the
            user is gone. To cancel it only ends the waiting.
        """
        self._send(data)
        return self._room.whenFree()


class ProgramProcess:
    """
    The process that a coroutine of ours is for a user.

    @ivar command: the command; of a subsystem its name; of a shell nothing.
    @ivar environment: the variables that the user was let set, and those that
        the server has set.
    @ivar avatar: the user.
    @ivar stdin: his input, a L{ProgramInput}.
    @ivar stdout: the output, a L{ProgramOutput}.
    @ivar stderr: standard error, another.
    """

    _signalTaker: Callable[[SignalName], object] | None = None
    _breakTaker: Callable[[int], object] | None = None
    _resizeTaker: Callable[[TerminalSize], object] | None = None

    def __init__(self, command: bytes, end: SSHSessionProcessProtocol, room: OutputRoom) -> None:
        session = end.session.session
        self._end = end
        self.command = command
        self.environment: Mapping[bytes, bytes] = (
            dict(session.environment) if isinstance(session, AcceptsVariables) else {}
        )
        self.avatar: IConchUser | None = end.session.avatar
        self.stdin = ProgramInput(end)
        self.stdout = ProgramOutput(end.write, room)
        self.stderr = ProgramOutput(end.writeErr, room)

    @property
    def terminal(self) -> Terminal | None:
        """
        The user's terminal as it is now, or L{None} if he has none.
        """
        return self._end.session.terminal

    def read(self, size: int = 32768) -> Deferred[bytes]:
        """
        See L{ProgramInput.read}.
        """
        return self.stdin.read(size)

    def readLine(self) -> Deferred[bytes]:
        """
        See L{ProgramInput.readLine}.
        """
        return self.stdin.readLine()

    def write(self, data: bytes) -> Deferred[None]:
        """
        Write to standard output: see L{ProgramOutput.write}.
        """
        return self.stdout.write(data)

    def onSignal(self, callback: Callable[[SignalName], object] | None) -> None:
        """
        Take the user's signals. Without this, any signal cancels the
        coroutine, and it has ended by that signal; as C{KILL} always does.

        @param callback: is called with each; L{None} for nobody any more. If
            it raises, the user hears that the signal was not delivered.
        """
        self._signalTaker = callback

    def onBreak(self, callback: Callable[[int], object] | None) -> None:
        """
        Take the user's breaks, which are refused without this.

        @param callback: is called with the milliseconds, as
            L{ISessionBreak<conchlite.interfaces.ISessionBreak>} has them.
        """
        self._breakTaker = callback

    def onResize(self, callback: Callable[[TerminalSize], object] | None) -> None:
        """
        Be told when the terminal has another size.

        @param callback: is called with the size, which C{terminal} has by
            then, too.
        """
        self._resizeTaker = callback

    def letStopOutput(self, allowed: bool) -> None:
        """
        See L{SSHSession.letStopOutput<conchlite.ssh.session.SSHSession.letStopOutput>}.
        """
        self._end.session.letStopOutput(allowed)

    def openAgent(self) -> Deferred[SSHAgentClient]:
        """
        Connect to the user's agent.

        @return: a Deferred of the connection. It fails with L{AgentError
            <conchlite.error.AgentError>} if the user does not let programs use
            his agent.
        """
        return self._end.openAgent()

    def getPeer(self) -> IAddress:
        """
        The address that the user comes from.
        """
        return self._end.getPeer()
