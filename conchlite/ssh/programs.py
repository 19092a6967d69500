"""
What a server's sessions can run, ready for use: programs that are protocols or
coroutines of this process. L{conchlite.ssh.processes} has processes.

A L{ProgramSession} is an L{ISession<conchlite.interfaces.ISession>}, and serves
one session. L{conchlite.avatar.SessionUser} brings it to a user.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IProcessProtocol, IProtocol
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from conchlite.error import ConchError, safe
from conchlite.interfaces import (
    ISession,
    ISessionAgent,
    ISessionBreak,
    ISessionSignal,
    ISessionWindow,
    SignalName,
    TerminalSize,
    WindowSize,
)
from conchlite.ssh.coroutineprogram import CoroutineFunction, CoroutineProgram
from conchlite.ssh.session import SSHSessionProcessProtocol, connectProgram
from conchlite.ssh.variables import AcceptsVariables

if TYPE_CHECKING:
    from conchlite.ssh.agentforwarding import ForwardedAgent

#: A program: what makes a protocol for a command, or L{None} if there is none;
#: or a coroutine function.
Program = Callable[[bytes], IProtocol | None] | CoroutineFunction


def programFor(program: Program, command: bytes) -> IProtocol | None:
    """
    Make the protocol that runs for a command.
    """
    if iscoroutinefunction(program):
        return CoroutineProgram(cast(CoroutineFunction, program), command)
    return cast("Callable[[bytes], IProtocol | None]", program)(command)


@implementer(ISession, ISessionAgent, ISessionBreak, ISessionSignal)
class ProgramSession(AcceptsVariables):
    """
    Runs programs that are protocols or coroutines of this process.

    A coroutine is handed a L{ProgramProcess
    <conchlite.ssh.programprocess.ProgramProcess>}; what it returns is its exit
    status.

    A protocol's transport is the user's end: what it receives is its standard
    input, what it writes its standard output; C{writeErr} is standard error,
    C{exit} ends it with an exit status, C{exitBySignal} as if by a signal, and
    C{loseConnection} with 0. It gets signals, breaks and new sizes of its
    terminal if it provides L{ISessionSignal}, L{ISessionBreak} and
    L{ISessionWindow}.
    """

    def __init__(
        self,
        programs: Mapping[bytes, Program] | Program,
        shell: Program | None = None,
        terminals: bool = False,
    ) -> None:
        """
        @param programs: what runs for a command: one program, or one for each
            command or first word of a command.
        @param shell: what runs as a shell; its command is no bytes.
        @param terminals: whether users may have a terminal: what they type
            comes as they type it then, and nothing shows it but the program.
        """
        self._programs = programs
        self._shell = shell
        self._terminals = terminals
        self._program: IProtocol | None = None
        self._process: SSHSessionProcessProtocol | None = None
        self.environment = {}

    def getPty(self, term: bytes, windowSize: WindowSize, modes: list[tuple[int, int]]) -> None:
        """
        The session has the terminal, for programs to look at.

        @raise ConchError: these programs have none.
        """
        if not self._terminals:
            raise ConchError("no terminals here")

    def windowChanged(self, newWindowSize: WindowSize) -> None:
        """
        Tell the program.

        @raise ConchError: there is no terminal.
        """
        if not self._terminals:
            raise ConchError("no terminals here")
        program: ISessionWindow | None = ISessionWindow(self._program, None)
        if program is not None:
            program.windowChanged(TerminalSize(*newWindowSize))

    def signalReceived(self, signalName: SignalName) -> None:
        """
        Tell the program.

        @raise ConchError: it takes no signals.
        """
        program: ISessionSignal | None = ISessionSignal(self._program, None)
        if program is None:
            raise ConchError("nothing that takes signals")
        program.signalReceived(signalName)

    def breakReceived(self, milliseconds: int) -> None:
        """
        Tell the program.

        @raise ConchError: it takes no breaks.
        """
        program: ISessionBreak | None = ISessionBreak(self._program, None)
        if program is None:
            raise ConchError("nothing to break")
        program.breakReceived(milliseconds)

    def agentForwarded(self, agent: ForwardedAgent) -> None:
        """
        Programs reach it by C{openAgent} of their transport.
        """

    def openShell(self, proto: IProcessProtocol) -> None:
        """
        @raise ConchError: there is no shell.
        """
        self._run(proto, self._shell, b"")

    def execCommand(self, proto: IProcessProtocol, command: bytes) -> None:
        """
        @raise ConchError: there is no program for this command.
        """
        programs = self._programs
        if isinstance(programs, Mapping):
            words = command.split(None, 1)
            program = programs.get(command) or (programs.get(words[0]) if words else None)
        else:
            program = programs
        self._run(proto, program, command)

    def _run(self, proto: IProcessProtocol, program: Program | None, command: bytes) -> None:
        running = self._program = None if program is None else programFor(program, command)
        if running is None:
            raise ConchError(f"no program for {safe(command)!r}")
        process = self._process = cast(SSHSessionProcessProtocol, proto)
        process.exitStatus = 0
        connectProgram(running, process)

    def eofReceived(self) -> None:
        """
        The program's input has ended.
        """
        if self._process is not None:
            self._process.inputEnded()

    def closed(self) -> None:
        """
        Nothing is left to do: the program's connection is lost already.
        """


@implementer(IHalfCloseableProtocol)
class Cat(Protocol):
    """
    The program C{cat}: what it receives it sends back, and it takes no more
    than the user takes from it.
    """

    def __init__(self, command: bytes = b"cat") -> None:
        """
        @param command: is not looked at.
        """

    def connectionMade(self) -> None:
        self._end().registerProducer(self._end(), True)

    def _end(self) -> SSHSessionProcessProtocol:
        return cast(SSHSessionProcessProtocol, self.transport)

    def dataReceived(self, data: bytes) -> None:
        self._end().write(data)

    def readConnectionLost(self) -> None:
        self._end().unregisterProducer()
        self._end().loseConnection()

    def writeConnectionLost(self) -> None:
        """
        Is never called: a session does not know what the user reads.
        """
