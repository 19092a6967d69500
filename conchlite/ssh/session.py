"""
Sessions, the server's side: RFC 4254 section 6.

An L{SSHSession} is the channel. What it runs, a process or a protocol of this
process, the user's L{ISession<conchlite.interfaces.ISession>} decides, to which
the avatar is adapted; it connects it to an L{SSHSessionProcessProtocol}, which
is a process protocol for the one and a transport for the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IProtocol
from twisted.python.failure import Failure

from conchlite.error import ConchError, MalformedMessage
from conchlite.interfaces import (
    EnvironmentVariableNotPermitted,
    ISession,
    ISessionAgent,
    ISessionBreak,
    ISessionEnvironment,
    ISessionSetEnv,
    ISessionSignal,
    ISessionWindow,
    ISessionX11,
    SignalName,
    Terminal,
    TerminalSize,
    WindowSize,
)
from conchlite.sansio.channels import RemoteChannel
from conchlite.ssh.common import Text, asBytes
from conchlite.ssh.heldchannel import HeldChannel, HeldMachine
from conchlite.ssh.sessionprocess import SUPPORTED_SIGNALS as SUPPORTED_SIGNALS
from conchlite.ssh.sessionprocess import SSHSessionProcessProtocol as SSHSessionProcessProtocol
from conchlite.ssh.sessionprocess import connectProgram as connectProgram
from conchlite.ssh.sessionprocess import wrapProcessProtocol as wrapProcessProtocol
from conchlite.ssh.sessionprocess import wrapProtocol as wrapProtocol
from conchlite.wire import connection
from conchlite.wire.numbers import EXTENDED_DATA_STDERR
from conchlite.wire.types import Reader

if TYPE_CHECKING:
    from conchlite.ssh.agentforwarding import ForwardedAgent

# The requests that run something: one of them, once, in a session.
_PROGRAM_REQUESTS = frozenset((b"shell", b"exec", b"subsystem"))

_X11_METHOD = re.compile(rb"[A-Za-z0-9-]{1,64}")
_X11_COOKIE = re.compile(rb"(?:[0-9A-Fa-f]{2}){1,128}")


class _SessionMachine(HeldMachine):
    """
    What comes before there is a program waits for it.
    """

    __slots__ = ()

    channel: SSHSession

    def opened(self, remoteChannel: RemoteChannel, windowSize: int, maximumPacketSize: int) -> None:
        super().opened(remoteChannel, windowSize, maximumPacketSize)
        if self.openedAs is None:
            # It was opened here, as by a client's program.
            self.channel.start()

    def peerGone(self) -> None:
        super().peerGone()
        if self.channel._started and self.channel.client is not None:
            self.channel.client.userGone()


class SSHSession(HeldChannel):
    """
    A session that the user opened: it runs one program.

    What the user sends before there is a program waits in the channel, and the
    window bounds it. The session closes when the program has ended.

    @ivar session: the avatar as an L{ISession}, from the first request on that
        needs it.
    @ivar client: what the program is connected to, or L{None}.
    @ivar agent: the user's agent, if he lets the program use it.
    @ivar terminal: the user's terminal, if he was granted one, as it is now.
    """

    name: Text = b"session"
    #: When the program has ended, nobody is left to take what the user sends.
    closeGrace = 0
    #: Seconds that a process has, from the end of its output to its own, to
    #: have its exit status sent to a user who has closed the session meanwhile.
    exitGrace: float = 2

    session: ISession | None = None
    client: SSHSessionProcessProtocol | None = None
    agent: ForwardedAgent | None = None
    terminal: Terminal | None = None

    _machineClass = _SessionMachine
    _programWanted = False
    _subsystem: IProtocol | None = None
    _givingUp: IDelayedCall | None = None

    def _adapted(self) -> ISession | None:
        if self.session is None:
            self.session = ISession(self.avatar, None)
        return self.session

    def _running(self) -> object:
        # Who takes what the user asks for: what his session is adapted to; but
        # where a subsystem runs, nobody but that knows of it.
        return self._adapted() if self._subsystem is None else self._subsystem

    def requestReceived(self, requestType: bytes, data: bytes) -> object:
        """
        As with every channel; but only one program runs in a session, and
        what the user's permissions do not allow is refused.
        """
        if not self.conn.transport.permissions.mayAsk(requestType):
            return False
        if requestType not in _PROGRAM_REQUESTS:
            return super().requestReceived(requestType, data)
        if self._programWanted or self.disconnecting:
            return False
        self._programWanted = True
        try:
            result = super().requestReceived(*self._permitted(requestType, data))
        except Exception:
            self._programStarted(False)
            raise
        if isinstance(result, Deferred):
            return result.addBoth(self._programStarted)
        return self._programStarted(result)

    def _permitted(self, requestType: bytes, data: bytes) -> tuple[bytes, bytes]:
        """
        The request that is granted in the place of one to run something.

        @raise MalformedMessage: C{data} is no such request's.
        @raise ConchError: what the user asks for cannot be a variable.
        """
        permissions = self.conn.transport.permissions
        variables = dict(permissions.environment)
        if permissions.command is not None:
            original = _originalCommand(requestType, data)
            if original is not None:
                if b"\0" in original:
                    raise ConchError("a command with a NUL in it")
                variables[b"SSH_ORIGINAL_COMMAND"] = original
            requestType, data = b"exec", connection.ExecRequest(permissions.command).pack()
        session: ISessionEnvironment | None = (
            ISessionEnvironment(self._adapted(), None) if variables else None
        )
        if session is not None:
            session.addEnvironment(variables)
        return requestType, data

    def _programStarted(self, result: object) -> object:
        if result and not isinstance(result, Failure):
            self.start()
        else:
            self._programWanted = False
            self.client = self._subsystem = None
        return result

    def _start(self, connect: Callable[[SSHSessionProcessProtocol], object]) -> bool | Deferred[bool]:
        self.client = SSHSessionProcessProtocol(self)
        result = connect(self.client)
        if isinstance(result, Deferred):
            return result.addCallback(lambda _: True)
        return True

    def request_shell(self, data: bytes) -> bool | Deferred[bool]:
        """
        RFC 4254 section 6.5: run the user's shell.
        """
        session = self._adapted()
        if session is None:
            return False
        return self._start(session.openShell)

    def request_exec(self, data: bytes) -> bool | Deferred[bool]:
        """
        RFC 4254 section 6.5: run a command.
        """
        command = connection.ExecRequest.unpack(data).command
        session = self._adapted()
        if session is None:
            return False
        execCommand = session.execCommand
        return self._start(lambda process: execCommand(process, command))

    def request_subsystem(self, data: bytes) -> bool | Deferred[bool]:
        """
        RFC 4254 section 6.5: run a protocol that the avatar has for a name.
        """
        name = connection.SubsystemRequest.unpack(data).name
        if self.avatar is None:
            return False
        subsystem = self._subsystem = self.avatar.lookupSubsystem(name, data)
        if subsystem is None:
            return False
        return self._start(lambda process: connectProgram(subsystem, process))

    def request_pty_req(self, data: bytes) -> bool:
        """
        RFC 4254 section 6.2: the user wants a terminal.
        """
        term, windowSize, modes = parseRequest_pty_req(data)
        session = self._adapted()
        if session is None:
            return False
        session.getPty(term, windowSize, modes)
        self.terminal = Terminal(term, windowSize, tuple(modes))
        return True

    def request_window_change(self, data: bytes) -> bool:
        """
        RFC 4254 section 6.7: the terminal has another size.
        """
        windowSize = parseRequest_window_change(data)
        session = self._adapted()
        if session is None:
            return False
        if self.terminal is not None:
            self.terminal = replace(self.terminal, windowSize=windowSize)
        session.windowChanged(windowSize)
        subsystem: ISessionWindow | None = ISessionWindow(self._subsystem, None)
        if subsystem is not None:
            subsystem.windowChanged(windowSize)
        return True

    def request_env(self, data: bytes) -> bool:
        """
        RFC 4254 section 6.4: the user sets a variable, if the session lets him.
        """
        request = connection.EnvRequest.unpack(data)
        session: ISessionSetEnv | None = ISessionSetEnv(self._adapted(), None)
        if session is None:
            return False
        try:
            session.setEnv(request.name, request.value)
        except EnvironmentVariableNotPermitted:
            return False
        return True

    def request_signal(self, data: bytes) -> bool:
        """
        RFC 4254 section 6.9: the user sends a signal, if the session takes
        any.
        """
        name = connection.SignalRequest.unpack(data).signalName
        session: ISessionSignal | None = ISessionSignal(self._running(), None)
        known = SignalName.__members__.get(name.decode("ascii", "replace"))
        if session is None or known is None:
            return False
        session.signalReceived(known)
        return True

    def request_break(self, data: bytes) -> bool:
        """
        RFC 4335: the user sends a break, if the session takes any.
        """
        milliseconds = connection.BreakRequest.unpack(data).milliseconds
        session: ISessionBreak | None = ISessionBreak(self._running(), None)
        if session is None:
            return False
        session.breakReceived(milliseconds)
        return True

    def request_x11_req(self, data: bytes) -> bool:
        """
        RFC 4254 section 6.3.1: what runs may use the user's display, if the
        session has a use for it. What others give to C{xauth} is looked at
        here: no command is to be found in it.
        """
        request = connection.X11Request.unpack(data)
        session: ISessionX11 | None = ISessionX11(self._adapted(), None)
        if (
            session is None
            or self._programWanted
            or not _X11_METHOD.fullmatch(request.authenticationProtocol)
            or not _X11_COOKIE.fullmatch(request.authenticationCookie)
        ):
            return False
        session.x11Requested(request)
        return True

    def request_auth_agent_req_openssh_com(self, data: bytes) -> bool:
        """
        PROTOCOL.agent: what runs may use the user's agent, if the session
        takes it.
        """
        if data:
            raise MalformedMessage("a request to forward an agent with more than its name")
        session: ISessionAgent | None = ISessionAgent(self._adapted(), None)
        if session is None or self._programWanted:
            return False
        if self.agent is None:
            from conchlite.ssh.agentforwarding import ForwardedAgent

            forwarded = ForwardedAgent(self.conn)
            session.agentForwarded(forwarded)
            self.agent = forwarded
        return True

    def dataReceived(self, data: bytes) -> None:
        """
        The user's data goes to the program.
        """
        if self.client is not None and self.client.transport is not None:
            self.client.transport.write(data)

    def extReceived(self, dataType: int, data: bytes) -> None:
        """
        Standard error of the user's, which is no usual thing, goes to a
        program that takes it.
        """
        writeErr = getattr(self.client and self.client.transport, "writeErr", None)
        if dataType == EXTENDED_DATA_STDERR and writeErr is not None:
            writeErr(data)

    def eofReceived(self) -> None:
        """
        The user will send no more: the L{ISession} knows what that means to
        its program; to a subsystem it is the end of its input.
        """
        if self.session is not None and self._subsystem is None:
            self.session.eofReceived()
        elif self.client is not None:
            self.client.inputEnded()

    def letStopOutput(self, allowed: bool) -> None:
        """
        Tell the user whether control-S and control-Q are his terminal's, to
        stop the output and go on with it, or the program's: RFC 4254 section
        6.8, C{xon-xoff}.
        """
        self.conn.sendRequest(self, "xon-xoff", connection.XonXoff(allowed).pack())

    def closeReceived(self) -> None:
        """
        The user has closed the session, and so does this side; but if he did
        so on the end of a process's output, as programs do that have called
        C{loseConnection}, he is told first how the process ended.
        """
        clock = self.conn.transport.clock
        if self.client is not None and self.client.ending and clock is not None and self.exitGrace:
            self._givingUp = clock.callLater(self.exitGrace, self.loseConnection)
        else:
            super().closeReceived()

    def closed(self) -> None:
        """
        The session is over, and the program too.
        """
        if self._givingUp is not None and self._givingUp.active():
            self._givingUp.cancel()
        if self.agent is not None:
            self.agent.close()
        try:
            if self.client is not None:
                self.client.sessionClosed()
        finally:
            if self.session is not None:
                self.session.closed()


def _originalCommand(requestType: bytes, data: bytes) -> bytes | None:
    if requestType == b"exec":
        return connection.ExecRequest.unpack(data).command
    if requestType == b"subsystem":
        return connection.SubsystemRequest.unpack(data).name
    return None


class SSHSessionClient(protocol.Protocol):
    """
    A protocol that writes what it receives to its transport: half of a pipe.
    """

    def dataReceived(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)


def parseRequest_pty_req(data: bytes) -> tuple[bytes, TerminalSize, list[tuple[int, int]]]:
    """
    Parse a C{pty-req}.

    @return: the terminal's type; rows, columns, width and height in pixels;
        and the modes, opcodes and values, RFC 4254 section 8.
    @raise MalformedMessage: it is none.
    """
    request = connection.PtyRequest.unpack(data)
    size = TerminalSize(request.rows, request.columns, request.widthPixels, request.heightPixels)
    return request.term, size, _parseModes(request.modes)


def _parseModes(data: bytes) -> list[tuple[int, int]]:
    reader = Reader(data, "terminal modes")
    modes = []
    while reader.remaining():
        opcode = reader.byte()
        # RFC 4254 section 8: 0 is the end; opcodes from 160 on are not
        # defined, and nobody knows how long their values are.
        if opcode == 0 or opcode >= 160:
            break
        modes.append((opcode, reader.uint32()))
    return modes


def packRequest_pty_req(term: Text, geometry: WindowSize, modes: bytes) -> bytes:
    """
    Pack a C{pty-req}.

    @param geometry: rows, columns, width and height in pixels.
    @param modes: packed terminal modes.
    """
    rows, columns, width, height = geometry
    return connection.PtyRequest(asBytes(term), columns, rows, width, height, modes).pack()


def parseRequest_window_change(data: bytes) -> TerminalSize:
    """
    Parse a C{window-change}.

    @return: rows, columns, width and height in pixels.
    @raise MalformedMessage: it is none.
    """
    request = connection.WindowChange.unpack(data)
    return TerminalSize(request.rows, request.columns, request.widthPixels, request.heightPixels)


def packRequest_window_change(geometry: WindowSize) -> bytes:
    """
    Pack a C{window-change}.

    @param geometry: rows, columns, width and height in pixels.
    """
    rows, columns, width, height = geometry
    return connection.WindowChange(columns, rows, width, height).pack()
