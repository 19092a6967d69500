"""
What a server's sessions can run, ready for use: processes, as the user that
the server runs as, and programs that are protocols of this process.

Each is an L{ISession<conchlite.interfaces.ISession>}, and serves one session.
L{conchlite.avatar.SessionUser} brings them to a user.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IProcessProtocol,
    IProcessTransport,
    IProtocol,
    IReactorProcess,
    IReactorTime,
    IReactorUNIX,
)
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from conchlite.error import ConchError, safe
from conchlite.interfaces import (
    EnvironmentVariableNotPermitted,
    ISession,
    ISessionAgent,
    ISessionEnvironment,
    ISessionSetEnv,
    ISessionSignal,
    WindowSize,
)
from conchlite.ssh.session import SSHSessionProcessProtocol, connectProgram

if TYPE_CHECKING:
    from conchlite.ssh.agentforwarding import ForwardedAgent

#: Makes a program for a command; L{None} if there is none.
Program = Callable[[bytes], IProtocol | None]

_VARIABLE = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


@implementer(ISession, ISessionAgent, ISessionEnvironment, ISessionSetEnv, ISessionSignal)
class ProcessSession:
    """
    Runs commands and shells as processes, under the server's own user.

    As with sshd, a command is one argument to the user's shell, after C{-c};
    nothing that the user sends is put together with anything else.

    @cvar acceptedVariables: the names that users may set; C{*} at the end
        stands for anything.
    @cvar maxVariables: the most variables that a user may set.
    @cvar maxValueSize: the most bytes of a variable's value.
    @cvar hangupSeconds: how long a process may go on when its session is
        closed, with its input and output, until it gets SIGHUP.
    @ivar shell: the shell's path.
    @ivar directory: where processes start.
    @ivar environment: their environment.
    """

    acceptedVariables: Sequence[bytes] = (b"LANG", b"LC_*")
    maxVariables = 64
    maxValueSize = 1024
    hangupSeconds: float = 5

    def __init__(
        self,
        reactor: IReactorProcess,
        shell: str | None = None,
        directory: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """
        @param reactor: what spawns the processes.
        @param shell: the shell; by default the one of the user's account.
        @param directory: where to start; by default the user's home.
        @param environment: the environment; by default no more than the
            account says: HOME, LOGNAME, PATH, SHELL, USER.
        """
        name, home, accountShell = _account()
        self._reactor = reactor
        self.shell = shell or accountShell
        self.directory = directory or home
        if environment is None:
            environment = {
                "HOME": home,
                "LOGNAME": name,
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "SHELL": self.shell,
                "USER": name,
            }
        self.environment = {os.fsencode(key): os.fsencode(value) for key, value in environment.items()}
        self._added = 0
        self._process: IProcessTransport | None = None
        self._ended: Deferred[None] | None = None

    def getPty(self, term: bytes, windowSize: WindowSize, modes: list[tuple[int, int]]) -> None:
        """
        @raise ConchError: always: these processes have no terminal.
        """
        raise ConchError("no terminals here")

    def windowChanged(self, newWindowSize: WindowSize) -> None:
        """
        @raise ConchError: always: there is no terminal.
        """
        raise ConchError("no terminals here")

    def setEnv(self, name: bytes, value: bytes) -> None:
        """
        Set a variable, if its name is among the accepted ones.

        @raise EnvironmentVariableNotPermitted: it is not, or the value is too
            long or has control characters.
        """
        accepted = _VARIABLE.fullmatch(name) is not None and any(
            name.startswith(pattern[:-1]) if pattern.endswith(b"*") else name == pattern
            for pattern in self.acceptedVariables
        )
        if not accepted or len(value) > self.maxValueSize or _CONTROL.search(value):
            raise EnvironmentVariableNotPermitted(safe(name))
        if self._added >= self.maxVariables:
            raise EnvironmentVariableNotPermitted("too many variables")
        self._added += 1
        self.environment[name] = value

    def addEnvironment(self, variables: Mapping[bytes, bytes]) -> None:
        """
        Set what the server says.
        """
        self.environment.update(variables)

    def agentForwarded(self, agent: ForwardedAgent) -> None:
        """
        Have SSH_AUTH_SOCK name a socket of the user's agent.

        @raise ConchError: there are no such sockets here.
        """
        reactor: IReactorUNIX | None = IReactorUNIX(self._reactor, None)
        if reactor is None:
            raise ConchError("no Unix sockets here")
        self.environment[b"SSH_AUTH_SOCK"] = os.fsencode(agent.listen(reactor))

    def openShell(self, proto: IProcessProtocol) -> None:
        """
        Run the shell, as a login shell: its name begins with C{-}.
        """
        self._spawn(proto, [b"-" + self._shellName()])

    def execCommand(self, proto: IProcessProtocol, command: bytes) -> None:
        """
        Run a command by the shell.

        @raise ConchError: it has a NUL in it.
        """
        if b"\0" in command:
            raise ConchError("a command with a NUL in it")
        self._spawn(proto, [self._shellName(), b"-c", command])

    def _shellName(self) -> bytes:
        return os.fsencode(os.path.basename(self.shell))

    def _spawn(self, proto: IProcessProtocol, arguments: list[bytes]) -> None:
        self._ended = cast(SSHSessionProcessProtocol, proto).ended
        self._process = self._reactor.spawnProcess(
            proto,
            os.fsencode(self.shell),
            arguments,
            self.environment,
            os.fsencode(self.directory),
        )

    def signalReceived(self, signalName: str) -> None:
        """
        Send the process a signal.

        @raise ConchError: there is no process, or not any more.
        """
        if self._process is None:
            raise ConchError("no process to signal")
        try:
            self._process.signalProcess(signalName)
        except ProcessExitedAlready:
            raise ConchError("the process has exited") from None

    def eofReceived(self) -> None:
        """
        Close the process's standard input.
        """
        if self._process is not None:
            self._process.closeStdin()

    def closed(self) -> None:
        """
        Give the process a while to take what the user had sent, and to end.
        """
        clock: IReactorTime | None = IReactorTime(self._reactor, None)
        process, ended = self._process, self._ended
        if clock is not None and process is not None and ended is not None and not ended.called:
            call = clock.callLater(self.hangupSeconds, process.signalProcess, "HUP")
            ended.addCallback(lambda _: call.cancel() if call.active() else None)


def _account() -> tuple[str, str, str]:
    # The name, home and shell of the user that we run as.
    import pwd

    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:
        return str(os.getuid()), "/", "/bin/sh"
    return entry.pw_name, entry.pw_dir, entry.pw_shell or "/bin/sh"


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
