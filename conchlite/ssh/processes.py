"""
What a server's sessions can run, ready for use: processes, as the user that
the server runs as.

A L{ProcessSession} is an L{ISession<conchlite.interfaces.ISession>}, and serves
one session. L{conchlite.avatar.SessionUser} brings it to a user.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import (
    IProcessProtocol,
    IProcessTransport,
    IReactorProcess,
    IReactorTime,
    IReactorUNIX,
)
from zope.interface import implementer

from conchlite.error import ConchError
from conchlite.interfaces import (
    ISession,
    ISessionAgent,
    ISessionSignal,
    WindowSize,
)
from conchlite.ssh.session import SSHSessionProcessProtocol
from conchlite.ssh.variables import AcceptsVariables

if TYPE_CHECKING:
    from conchlite.ssh.agentforwarding import ForwardedAgent


@implementer(ISession, ISessionAgent, ISessionSignal)
class ProcessSession(AcceptsVariables):
    """
    Runs commands and shells as processes, under the server's own user.

    As with sshd, a command is one argument to the user's shell, after C{-c};
    nothing that the user sends is put together with anything else.

    @cvar hangupSeconds: how long a process may go on when its session is
        closed, with its input and output, until it gets SIGHUP.
    @ivar shell: the shell's path.
    @ivar directory: where processes start.
    @ivar environment: their environment.
    """

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
