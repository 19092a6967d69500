"""
How the processes of sessions are started: with and without a terminal, and as
another user.

They are Twisted's processes but for what happens between fork(2) and execve(2).
For a command of a user whom nobody has to trust there is more to do than
C{spawnProcess} does:

  - Each process leads a session of its own, with a terminal or without one. A
    C{kill 0} in a script would otherwise end the server, and with it everybody
    else's sessions; C{/dev/tty} would be the server's terminal; and a signal
    could not reach what the process has started.
  - Who becomes another user takes all groups of the account that was asked
    for, though there may be another name to the same number, and asks nobody
    for them any more: other threads are gone, but their locks are not.
  - A directory is entered as that user, and so is everything else done as he.
    Root may not even do it, where it is another machine's. Without a directory
    there is still a session.
  - What goes wrong is told in a line, not by a traceback of the server's.

The server's own user never changes, not for a moment: its other threads would
change with it.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from twisted.internet import process
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IProcessProtocol, IReactorProcess
from twisted.internet.main import CONNECTION_DONE
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from conchlite.interfaces import SignalName, WindowSize
from conchlite.ssh.accounts import Account
from conchlite.ssh.prompt import promptPipe
from conchlite.ssh.terminalmodes import endOfInput, setModes

_STDERR = 2
_FAILED = 1

# How much of its output a terminal may hold back when its process is gone: the
# kernel has a few pages for it.
_READS, _READ_SIZE = 64, 65536

# Run as the user, by his own right: a process of his session may be another's.
_KILL = b'kill -s "$0" -- "-$1"'


@dataclass(frozen=True)
class Start:
    """
    How a process starts.

    @ivar account: who it is to be; L{None} for who this process is.
    @ivar directory: where it is to be; the root directory, if it cannot.
    @ivar umask: what it takes from the modes of files that it makes.
    """

    account: Account | None
    directory: str
    umask: int

    def enter(self) -> None:
        """
        Become so. Only for a process that is about to run something else.

        @raise OSError: it could not become who it is to be.
        """
        os.umask(self.umask)
        if self.account is not None:
            os.setgroups(self.account.groups)
            os.setgid(self.account.gid)
            os.setuid(self.account.uid)
        try:
            os.chdir(self.directory)
        except OSError as error:
            os.chdir("/")
            _complain(self.directory, error)


def _complain(path: str | bytes, error: OSError) -> None:
    os.write(_STDERR, b"%s: %s\n" % (os.fsencode(path), os.fsencode(error.strerror or "")))


class _Kill(ProcessProtocol):
    """
    A process that sends a signal.
    """

    def __init__(self, child: _Child) -> None:
        self._child = child
        child.signalling += 1

    def processEnded(self, reason: Failure) -> None:
        self._child.signalling -= 1


class _Child:
    """
    The part of a process that both kinds have in common.

    @cvar maxSignals: how many signals may be on their way, where each takes a
        process of its own, as another user.
    @ivar signalling: how many there are.
    """

    maxSignals = 8
    signalling = 0

    pid: Any
    _leads = False
    _abandoned = False

    def __init__(self, start: Start, reactor: IReactorProcess, *arguments: object) -> None:
        self._start = start
        self._spawner = reactor
        super().__init__(reactor, *arguments)  # type: ignore[call-arg]  # what the two kinds take

    # What the reactor's own processes do when they begin, in a new process.
    # Should Twisted come to call it by other names, the process still becomes
    # the user: uid and gid are given to it as well.

    def _trySpawnInsteadOfFork(self, *arguments: object) -> bool:
        return False

    def _execChild(
        self,
        path: object,
        uid: object,
        gid: object,
        executable: bytes,
        args: list[bytes],
        environment: Mapping[bytes, bytes],
    ) -> NoReturn:
        failing: str | bytes = executable
        try:
            if not self._leads:
                os.setsid()
            if self._start.account is not None:
                failing = self._start.account.name
            self._start.enter()
            failing = executable
            os.execve(executable, args, environment)  # noqa: S606
        except OSError as error:
            _complain(failing, error)
        os._exit(_FAILED)

    def signalGroup(self, name: str) -> None:
        """
        Send a signal to the process and to what it has started, but for what
        has left its group.

        @param name: the signal's name without C{SIG}.
        @raise ProcessExitedAlready: the process has ended. Its group may not be
            its own any more.
        @raise OSError: the signal cannot be sent.
        """
        if self.pid is None:
            raise ProcessExitedAlready()
        number = SignalName(name).number
        if number is None:
            raise ProcessLookupError(f"no signal {name} here")
        if self._start.account is not None:
            if self.signalling >= self.maxSignals:
                raise BlockingIOError("too many signals at a time")
            arguments = [b"sh", b"-c", _KILL, name.encode("ascii"), b"%d" % self.pid]
            # It is the user's process, and if he stops it, it shall not cost
            # pipes.
            sender = spawn(self._spawner, _Kill(self), b"/bin/sh", arguments, {}, self._start)
            sender.loseConnection()  # type: ignore[no-untyped-call]  # it is not
            return
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            # It has only just been forked, and leads nothing yet.
            os.kill(self.pid, number)

    def abandon(self) -> None:
        """
        Nobody is left who would read or write. When the process has ended, let
        go of what it had, though what it has started may have that yet.
        """
        self._abandoned = True
        if self.pid is None:
            self._letGo()

    def processEnded(self, status: int) -> None:
        """
        The process has ended.
        """
        super().processEnded(status)  # type: ignore[misc]  # both kinds have it
        if self._abandoned:
            self._letGo()

    def _letGo(self) -> None:
        raise NotImplementedError


class PipedChild(_Child, process.Process):
    """
    A process with three pipes.
    """

    _writePrompt: Callable[[bytes], None] | None = None

    def write(self, data: bytes) -> None:
        """
        Write to its input.
        """
        if 0 in self.pipes and data:
            if self._writePrompt is None:
                self._writePrompt = promptPipe(self.pipes[0]) or self.pipes[0].write
            self._writePrompt(data)

    def _letGo(self) -> None:
        self.loseConnection()  # type: ignore[no-untyped-call]  # it is not
        # The input waits until all is written, which it may never be.
        if 0 in self.pipes:
            self.pipes[0].connectionLost(Failure(CONNECTION_DONE))


class PseudoTerminal:
    """
    A pseudo-terminal, on which nothing runs yet.

    @ivar descriptors: those of the two sides: ours, and the process's.
    @ivar name: the path of the process's side.
    """

    def __init__(
        self, windowSize: WindowSize, modes: Iterable[tuple[int, int]], account: Account | None = None
    ) -> None:
        """
        @param modes: opcodes and their values, RFC 4254 section 8.
        @param account: whose it is to be; L{None} for who this process is.
        @raise OSError: there are no more.
        """
        self.descriptors = os.openpty()
        self.account = account
        _, theirs = self.descriptors
        try:
            self.name = os.ttyname(theirs)
            setModes(theirs, modes)
            setWindowSize(theirs, windowSize)
            if account is not None:
                _give(theirs, account)
        except BaseException:
            self.close()
            raise

    def windowChanged(self, windowSize: WindowSize) -> None:
        """
        The user's terminal has another size.
        """
        setWindowSize(self.descriptors[0], windowSize)

    def close(self) -> None:
        """
        Nothing is going to run on it.
        """
        for descriptor in self.descriptors:
            os.close(descriptor)


def _give(terminal: int, account: Account) -> None:
    # As every login does: others may write to it by write(1) alone, where the
    # system has a group for that.
    import grp

    try:
        group, mode = grp.getgrnam("tty").gr_gid, 0o620
    except KeyError:
        group, mode = account.gid, 0o600
    os.fchown(terminal, account.uid, group)
    os.fchmod(terminal, mode)


def setWindowSize(terminal: int, windowSize: WindowSize) -> None:
    """
    Tell a terminal, and what runs on it, its size.
    """
    sizes = [min(size, 0xFFFF) for size in windowSize]
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", *sizes))


class TerminalChild(_Child, process.PTYProcess):
    """
    A process on a terminal.
    """

    _leads = True
    _lineBegins = True

    def __init__(
        self, start: Start, terminal: PseudoTerminal, reactor: IReactorProcess, *arguments: object
    ) -> None:
        self._terminal = terminal
        super().__init__(start, reactor, *arguments)

    def write(self, data: bytes) -> None:
        """
        What the user types.
        """
        if data:
            self._lineBegins = data.endswith((b"\n", b"\r"))
        super().write(data)

    def closeStdin(self) -> None:
        """
        End its input, as a user does: by the character that the terminal has
        for it. In the middle of a line, it takes two.
        """
        if self.connected:
            character = endOfInput(self.fd)
            self.write(character if self._lineBegins else character * 2)

    def windowChanged(self, windowSize: WindowSize) -> None:
        """
        The user's terminal has another size.
        """
        if self.connected:
            setWindowSize(self.fd, windowSize)

    def sendBreak(self) -> None:
        """
        Send a break, which on most systems does nothing to a pseudo-terminal.
        """
        if self.connected:
            termios.tcsendbreak(self.fd, 0)

    def _letGo(self) -> None:
        if self.connected:
            self.disconnecting = True
            self.connectionLost(Failure(CONNECTION_DONE))

    def connectionLost(self, reason: Failure) -> None:
        """
        The terminal has been hung up, or is to be. What the process had
        written comes first, though the user may not have been reading.
        """
        if not self.disconnecting:
            self._readAll()
        if self._terminal.account is not None:
            self._takeBack()
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # it is not

    def _readAll(self) -> None:
        for _ in range(_READS):
            try:
                data = os.read(self.fd, _READ_SIZE)
            except OSError:
                return
            self.proto.childDataReceived(1, data)  # type: ignore[union-attr]  # it is there to the end

    def _takeBack(self) -> None:
        # The name is this terminal's as long as our side is open.
        os.chown(self._terminal.name, 0, 0)
        os.chmod(self._terminal.name, 0o600)


#: What L{spawn} returns.
Child = PipedChild | TerminalChild


def spawn(
    reactor: IReactorProcess,
    proto: IProcessProtocol,
    executable: bytes,
    arguments: Sequence[bytes],
    environment: Mapping[bytes, bytes],
    start: Start,
    terminal: PseudoTerminal | None = None,
) -> Child:
    """
    Start a process, which gets no descriptors but its standard three.

    @param reactor: one that runs on this system.
    @param proto: what gets its output.
    @param executable: its path.
    @param terminal: what it is to run on; L{None} for pipes. It is the
        process's from now on, even if that cannot be started.
    @return: the process, an C{IProcessTransport} as C{spawnProcess} returns; on
        a terminal a L{TerminalChild}.
    @raise OSError: there can be no more processes or descriptors.
    """
    account = start.account
    numbers = (None, None) if account is None else (account.uid, account.gid)
    common = (reactor, executable, list(arguments), dict(environment), None, proto, *numbers)
    if terminal is None:
        return PipedChild(start, *common)
    try:
        return TerminalChild(start, terminal, *common, (*terminal.descriptors, terminal.name))
    except BaseException:
        terminal.close()
        raise
