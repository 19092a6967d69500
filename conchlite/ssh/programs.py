"""
What a server's sessions can run, ready for use: programs that are protocols of
this process. L{conchlite.ssh.processes} has processes.

A L{ProgramSession} is an L{ISession<conchlite.interfaces.ISession>}, and serves
one session. L{conchlite.avatar.SessionUser} brings it to a user.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from twisted.internet.interfaces import IHalfCloseableProtocol, IProcessProtocol, IProtocol
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from conchlite.error import ConchError, safe
from conchlite.interfaces import ISession, ISessionAgent, WindowSize
from conchlite.ssh.session import SSHSessionProcessProtocol, connectProgram

if TYPE_CHECKING:
    from conchlite.ssh.agentforwarding import ForwardedAgent

#: Makes a program for a command; L{None} if there is none.
Program = Callable[[bytes], IProtocol | None]


@implementer(ISession, ISessionAgent)
class ProgramSession:
    """
    Runs programs that are protocols of this process.

    A program's transport is the user's end: what it receives is its standard
    input, what it writes its standard output; C{writeErr} is standard error,
    C{exit} ends it with an exit status, and C{loseConnection} with 0.
    """

    def __init__(self, programs: Mapping[bytes, Program] | Program, shell: Program | None = None) -> None:
        """
        @param programs: what makes a program for a command: a function of the
            command, or one for each command or first word of a command.
        @param shell: what makes a shell; it is called with no bytes.
        """
        self._programs = programs
        self._shell = shell
        self._process: SSHSessionProcessProtocol | None = None

    def getPty(self, term: bytes, windowSize: WindowSize, modes: list[tuple[int, int]]) -> None:
        """
        @raise ConchError: always: these programs have no terminal.
        """
        raise ConchError("no terminals here")

    def windowChanged(self, newWindowSize: WindowSize) -> None:
        """
        @raise ConchError: always: there is no terminal.
        """
        raise ConchError("no terminals here")

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
        running = None if program is None else program(command)
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
