"""
Sessions, the client's side: RFC 4254 section 6.

An L{SSHClientSession} is the channel. What is to run in it is asked for by
methods, each with the Deferred of its answer, and how it ended is there in
typed attributes.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionAborted, ConnectionDone, ProcessTerminated
from twisted.python.failure import Failure

from conchlite.error import ChannelClosed, ChannelRequestFailed, ConnectionEnded, UsageError, safe
from conchlite.interfaces import ExitedBySignal as ExitedBySignal
from conchlite.sansio.flowcontrol import END
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.common import Text, asBytes
from conchlite.wire import connection
from conchlite.wire.types import packByte, packUInt32

if TYPE_CHECKING:
    from conchlite.interfaces import WindowSize

#: The end of terminal modes, and the first opcode that has no meaning: RFC
#: 4254 section 8.
_END_OF_MODES = 0
_FIRST_UNDEFINED = 160


class SSHClientSession(SSHChannel):
    """
    A session on a server: it runs one program, which a program of ours asks for
    when the session is open.

    What the server asks here that is not about the end of the program is
    refused, unless a subclass has a method for it.

    @ivar exitStatus: the program's exit status, or L{None} if none has come.
    @ivar exitSignal: the signal that ended it, or L{None}.
    @ivar mayStopOutput: what the server says about control-S and control-Q, RFC
        4254 section 6.8: whether this side may take them for its own; L{None}
        as long as the server has not said anything.
    """

    name: Text = b"session"

    exitStatus: int | None = None
    exitSignal: ExitedBySignal | None = None
    mayStopOutput: bool | None = None
    _peerClosed = False

    # What is asked of the server.

    def requestPty(
        self, term: Text, windowSize: WindowSize = (24, 80, 0, 0), modes: Iterable[tuple[int, int]] = ()
    ) -> Deferred[None]:
        """
        Ask for a terminal, RFC 4254 section 6.2.

        @param term: its type, as TERM has it.
        @param windowSize: rows, columns, width and height in pixels.
        @param modes: opcodes of RFC 4254 section 8, and their values.
        @return: as L{execute}.
        @raise UsageError: an opcode that has no meaning.
        """
        rows, columns, width, height = windowSize
        packed = packModes(modes)
        request = connection.PtyRequest(asBytes(term), columns, rows, width, height, packed)
        return self._ask(b"pty-req", request.pack())

    def setEnv(self, name: Text, value: Text) -> Deferred[None]:
        """
        Set a variable of what will run, RFC 4254 section 6.4. Servers allow
        few of them; OpenSSH's has C{AcceptEnv}.

        @return: as L{execute}.
        """
        request = connection.EnvRequest(asBytes(name), asBytes(value))
        if b"\0" in request.name + request.value:
            return _nul("a variable")
        return self._ask(b"env", request.pack(), f" {safe(name)}")

    def requestX11(
        self,
        authenticationProtocol: Text,
        cookie: Text,
        screenNumber: int = 0,
        singleConnection: bool = False,
    ) -> Deferred[None]:
        """
        Let what will run open windows, RFC 4254 section 6.3.1. The channels of
        type C{x11} that follow are the connection's business: without a method
        C{channel_x11} it refuses them.

        @param cookie: in hexadecimal; a false one, for which the right one is
            put in what comes through the channels.
        @return: as L{execute}.
        """
        request = connection.X11Request(
            singleConnection, asBytes(authenticationProtocol), asBytes(cookie), screenNumber
        )
        return self._ask(b"x11-req", request.pack())

    def execute(self, command: Text) -> Deferred[None]:
        """
        Run a command, RFC 4254 section 6.5.

        @param command: the command, as the user's shell there will read it.
        @return: fires when the server has granted it. Fails with
            L{ChannelRequestFailed} if the server refuses, with L{ChannelClosed}
            if the session is closed first, and with what ended the connection.
        """
        request = connection.ExecRequest(asBytes(command))
        if b"\0" in request.command:
            return _nul("a command")
        return self._ask(b"exec", request.pack())

    def startShell(self) -> Deferred[None]:
        """
        Run the user's shell, RFC 4254 section 6.5.

        @return: as L{execute}.
        """
        return self._ask(b"shell", b"")

    def startSubsystem(self, name: Text) -> Deferred[None]:
        """
        Run a subsystem, RFC 4254 section 6.5.

        @param name: its name, such as C{sftp}.
        @return: as L{execute}.
        """
        request = connection.SubsystemRequest(asBytes(name))
        return self._ask(b"subsystem", request.pack(), f" {safe(name)}")

    def resize(self, windowSize: WindowSize) -> None:
        """
        The terminal has another size, RFC 4254 section 6.7.

        @param windowSize: rows, columns, width and height in pixels.
        """
        rows, columns, width, height = windowSize
        self._tell(b"window-change", connection.WindowChange(columns, rows, width, height).pack())

    def sendSignal(self, name: Text) -> None:
        """
        Send a signal to what runs, RFC 4254 section 6.9. Nobody tells whether
        it was delivered.

        @param name: the signal's name, with C{SIG} or without.
        """
        request = connection.SignalRequest(asBytes(name).removeprefix(b"SIG"))
        self._tell(b"signal", request.pack())

    def sendBreak(self, milliseconds: int = 0) -> Deferred[None]:
        """
        Send a break, RFC 4335, as to a console on a serial line.

        @param milliseconds: how long it is to last; 0 for what the server
            thinks right.
        @return: as L{execute}.
        """
        return self._ask(b"break", connection.BreakRequest(milliseconds).pack())

    def _tell(self, requestType: bytes, data: bytes) -> None:
        self.conn.sendRequest(self, requestType, data)

    def _ask(self, requestType: bytes, data: bytes, which: str = "") -> Deferred[None]:
        replied = self.conn.sendRequest(self, requestType, data, wantReply=True)
        if replied is None:
            return fail(ChannelClosed("the session is closed"))
        return replied.addCallbacks(_granted, _refused, errbackArgs=(requestType.decode("ascii") + which,))

    # What the server tells.

    def request_exit_status(self, data: bytes) -> bool:
        """
        The program ended by itself, RFC 4254 section 6.10.
        """
        self.exitStatus = connection.ExitStatus.unpack(data).exitStatus
        return True

    def request_exit_signal(self, data: bytes) -> bool:
        """
        The program was ended by a signal, RFC 4254 section 6.10.
        """
        message = connection.ExitSignal.unpack(data)
        self.exitSignal = ExitedBySignal(
            safe(message.signalName),
            message.coreDumped,
            safe(message.errorMessage),
            safe(message.languageTag),
        )
        return True

    def request_xon_xoff(self, data: bytes) -> bool:
        """
        RFC 4254 section 6.8: whether control-S and control-Q are the
        terminal's or the program's.
        """
        self.mayStopOutput = connection.XonXoff.unpack(data).clientCanDo
        self.stopOutputChanged(self.mayStopOutput)
        return True

    def stopOutputChanged(self, mayStopOutput: bool) -> None:
        """
        The server has said what C{mayStopOutput} is. A subclass overrides this.
        """

    def request_eow_openssh_com(self, data: bytes) -> bool:
        """
        OpenSSH PROTOCOL section 2.1: the program reads no more. What waits to
        be sent is dropped, a producer stopped, and EOF sent.
        """
        outgoing = self._machine.outgoing
        outgoing.stop()
        if not outgoing.ended:
            # It leaves when the request was handled.
            outgoing.window.put(END, b"")
        return True

    def closeReceived(self) -> None:
        """
        The server closed the session: the program has ended.
        """
        self._peerClosed = True
        super().closeReceived()

    @property
    def brokenBy(self) -> Failure | None:
        """
        When the session is closed: what ended the connection, where that was
        before the server had closed the session; L{None} where it had, or
        where it was aborted here. A status that came before the end does not
        tell that all of the output came.
        """
        if self._peerClosed:
            return None
        broken: Failure | None = self.conn.transport.closeReason
        if broken is None and not self._machine.aborted:
            return Failure(ConnectionEnded("another service took the connection's place"))
        return broken

    def endReason(self) -> Failure:
        """
        When the session is closed: the end as Twisted's protocols are told of
        it.

        @return: a failure of L{ConnectionDone} if the exit status is 0 or the
            server told none, L{ProcessTerminated} for another exit status or a
            signal, L{ConnectionAborted} if it was aborted here, and, if the
            connection ended first, what ended that.
        """
        broken = self.brokenBy
        if broken is not None:
            return broken
        if self.exitSignal is not None:
            return Failure(ProcessTerminated(signal=_signalNumber(self.exitSignal.name)))
        if self.exitStatus:
            return Failure(ProcessTerminated(exitCode=self.exitStatus))
        if self.exitStatus == 0:
            return Failure(ConnectionDone("ssh channel closed"))
        if self._machine.aborted:
            return Failure(ConnectionAborted("ssh channel aborted"))
        return Failure(ConnectionDone("ssh channel closed without an exit status"))


def _signalNumber(name: str) -> int:
    # Numbers differ between systems, and only the name is sent; one that RFC
    # 4254 does not have goes with a domain. -1 is for one that is unknown here,
    # as in Conch.
    number = getattr(signal, f"SIG{name.partition('@')[0]}", None)
    return int(number) if isinstance(number, signal.Signals) else -1


def packModes(modes: Iterable[tuple[int, int]]) -> bytes:
    """
    Terminal modes, RFC 4254 section 8.

    @param modes: opcodes and their values.
    @raise UsageError: an opcode that has no meaning, or is the end.
    """
    packed = b""
    for opcode, value in modes:
        if not _END_OF_MODES < opcode < _FIRST_UNDEFINED:
            raise UsageError(f"a terminal mode with the opcode {opcode}")
        packed += packByte(opcode) + packUInt32(value)
    return packed + packByte(_END_OF_MODES)


def _granted(reply: object) -> None:
    """
    What came with the reply is nothing.
    """


def _nul(what: str) -> Deferred[None]:
    # OpenSSH's server ends the connection, with all that runs there.
    return fail(UsageError(f"{what} with a NUL, which no program can have"))


def _refused(failure: Failure, what: str) -> Failure:
    if failure.check(ChannelRequestFailed):
        return Failure(ChannelRequestFailed(f"the server refused {what}"))
    return failure
