"""
What a server's sessions can run, ready for use: processes, with a terminal or
without one, as the user that the server runs as. L{conchlite.unix} runs them as
others.

A L{ProcessSession} is an L{ISession<conchlite.interfaces.ISession>}, and serves
one session. L{conchlite.avatar.SessionUser} brings it to a user.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, cast

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import (
    IDelayedCall,
    IProcessProtocol,
    IReactorProcess,
    IReactorTime,
    IReactorUNIX,
)
from zope.interface import implementer

from conchlite.error import ConchError
from conchlite.interfaces import (
    ISession,
    ISessionAgent,
    ISessionBreak,
    ISessionSignal,
    WindowSize,
)
from conchlite.ssh.accounts import Account
from conchlite.ssh.childprocess import Child, PseudoTerminal, Start, TerminalChild, spawn
from conchlite.ssh.session import SSHSessionProcessProtocol
from conchlite.ssh.variables import AcceptsVariables

if TYPE_CHECKING:
    from conchlite.ssh.agentforwarding import ForwardedAgent


@implementer(ISession, ISessionAgent, ISessionBreak, ISessionSignal)
class ProcessSession(AcceptsVariables):
    """
    Runs commands and shells as processes, under the server's own user.

    As with sshd, a command is one argument to the user's shell, after C{-c};
    nothing that the user sends is put together with anything else. Signals go
    to the process and to what it has started.

    When the session is closed, so are the process's input and output, and its
    terminal is hung up. If it goes on all the same, it is sent SIGHUP, SIGTERM
    and SIGKILL after a while. What has left its process group, or is there when
    it has ended, stays: daemons, and what runs in the background of a shell.

    @cvar hangupSeconds: how long a process may go on when its session is
        closed, with its input and output, until it gets SIGHUP; L{None} for
        ever.
    @cvar terminateSeconds: the same until SIGTERM.
    @cvar killSeconds: the same until SIGKILL.
    @cvar umask: what is taken from the modes of files that processes make.
    @cvar spawn: starts a process: L{conchlite.ssh.childprocess.spawn}.
    @ivar account: who processes run as.
    @ivar shell: the shell's path.
    @ivar directory: where processes start.
    @ivar environment: their environment.
    """

    hangupSeconds: float | None = 5
    terminateSeconds: float | None = 30
    killSeconds: float | None = 60
    umask = 0o022

    spawn: Callable[..., Child] = staticmethod(spawn)

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
            account says: HOME, LOGNAME, PATH, SHELL, USER. What belongs to the
            session is set in any case: SSH_CLIENT, SSH_CONNECTION, and with a
            terminal SSH_TTY and TERM.
        """
        self.account = self._account()
        self._reactor = reactor
        self.shell = shell or self.account.shell
        self.directory = directory or self.account.home
        if environment is None:
            environment = {**self.account.environment(), "SHELL": self.shell}
        self.environment = {os.fsencode(key): os.fsencode(value) for key, value in environment.items()}
        self._terminal: PseudoTerminal | None = None
        self._process: Child | None = None
        self._ended: Deferred[None] | None = None

    def _account(self) -> Account:
        return Account.ofProcess()

    @property
    def _other(self) -> Account | None:
        # Who processes run as, if not who this one runs as.
        return None if self.account.isOurs else self.account

    def getPty(self, term: bytes, windowSize: WindowSize, modes: list[tuple[int, int]]) -> None:
        """
        Have what will run on a terminal.

        @raise ConchError: there is one, or something runs; C{term} cannot be a
            variable; or the system has no more terminals.
        """
        if self._terminal is not None or self._process is not None:
            raise ConchError("one terminal, and before anything runs")
        if not self.isValue(term):
            raise ConchError("what TERM cannot be")
        try:
            self._terminal = PseudoTerminal(windowSize, modes, self._other)
        except OSError as error:
            raise ConchError(f"no terminal: {error.strerror}") from error
        self.environment[b"SSH_TTY"] = os.fsencode(self._terminal.name)
        if term:
            self.environment[b"TERM"] = term

    def windowChanged(self, newWindowSize: WindowSize) -> None:
        """
        The user's terminal has another size: so has that of the processes, and
        they are told by SIGWINCH.

        @raise ConchError: there is no terminal.
        """
        if self._terminal is None:
            raise ConchError("no terminal")
        if self._process is None:
            self._terminal.windowChanged(newWindowSize)
        else:
            cast(TerminalChild, self._process).windowChanged(newWindowSize)

    def breakReceived(self, milliseconds: int) -> None:
        """
        Send the terminal a break, as long as the system has them.

        @raise ConchError: nothing runs on a terminal.
        """
        if self._terminal is None or self._process is None:
            raise ConchError("no terminal to send a break to")
        cast(TerminalChild, self._process).sendBreak()

    def agentForwarded(self, agent: ForwardedAgent) -> None:
        """
        Have SSH_AUTH_SOCK name a socket of the user's agent.

        @raise ConchError: there are no such sockets here.
        """
        reactor: IReactorUNIX | None = IReactorUNIX(self._reactor, None)
        if reactor is None:
            raise ConchError("no Unix sockets here")
        owner = None if self._other is None else self._other.uid
        self.environment[b"SSH_AUTH_SOCK"] = os.fsencode(agent.listen(reactor, owner=owner))

    def openShell(self, proto: IProcessProtocol) -> None:
        """
        Run the shell, as a login shell: its name begins with C{-}.

        @raise ConchError: the system cannot run more.
        """
        self._run(proto, [b"-" + self._shellName()])

    def execCommand(self, proto: IProcessProtocol, command: bytes) -> None:
        """
        Run a command by the shell.

        @raise ConchError: it has a NUL in it, or the system cannot run more.
        """
        if b"\0" in command:
            raise ConchError("a command with a NUL in it")
        self._run(proto, [self._shellName(), b"-c", command])

    def _shellName(self) -> bytes:
        return os.fsencode(os.path.basename(self.shell))

    def _run(self, proto: IProcessProtocol, arguments: list[bytes]) -> None:
        process = cast(SSHSessionProcessProtocol, proto)
        start = Start(self._other, self.directory, self.umask)
        environment = {**self.environment, **_connection(process)}
        terminal, self._terminal = self._terminal, None
        try:
            self._process = self.spawn(
                self._reactor, proto, os.fsencode(self.shell), arguments, environment, start, terminal
            )
        except OSError as error:
            raise ConchError(f"the process does not start: {error.strerror}") from error
        self._terminal = terminal
        self._ended = process.ended

    def signalReceived(self, signalName: str) -> None:
        """
        Send a signal to the process, and to what it has started.

        @raise ConchError: there is no process, or not any more; or the system
            has no such signal.
        """
        if self._process is None:
            raise ConchError("no process to signal")
        try:
            self._process.signalGroup(signalName)
        except ProcessExitedAlready:
            raise ConchError("the process has exited") from None
        except OSError as error:
            raise ConchError(f"no signal: {error}") from error

    def eofReceived(self) -> None:
        """
        Close the process's standard input; on a terminal, as C{^D} does.
        """
        if self._process is not None:
            self._process.closeStdin()

    def closed(self) -> None:
        """
        Give the process a while to take what the user had sent, and to end.
        """
        clock: IReactorTime | None = IReactorTime(self._reactor, None)
        process, ended = self._process, self._ended
        if process is None or ended is None:
            if self._terminal is not None:
                self._terminal.close()
                self._terminal = None
            return
        process.abandon()
        if clock is None or ended.called:
            return
        steps = (("HUP", self.hangupSeconds), ("TERM", self.terminateSeconds), ("KILL", self.killSeconds))
        calls = [
            clock.callLater(seconds, _end, process, name) for name, seconds in steps if seconds is not None
        ]
        ended.addCallback(lambda _: _cancel(calls))


def _cancel(calls: list[IDelayedCall]) -> None:
    for call in calls:
        if call.active():
            call.cancel()


def _end(process: Child, signalName: str) -> None:
    try:
        process.signalGroup(signalName)
    except (ProcessExitedAlready, OSError):
        # It has ended, and somebody else has its pipes; or it is not ours to
        # end any more.
        pass


def _connection(process: SSHSessionProcessProtocol) -> dict[bytes, bytes]:
    # Where the user comes from, and where he has come to, as sshd tells.
    ends = [getattr(end, "address", None) for end in (process.getPeer(), process.getHost())]
    if not all(isinstance(end, IPv4Address | IPv6Address) for end in ends):
        return {}
    peer, host = (b"%s %d" % (end.host.encode("ascii"), end.port) for end in cast(list[IPv4Address], ends))
    return {b"SSH_CLIENT": b"%s %s" % (peer, host.split()[1]), b"SSH_CONNECTION": peer + b" " + host}
