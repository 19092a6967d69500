"""
The client's side of a session: what it asks, and what it makes of the server's
answers.
"""

from __future__ import annotations

import signal
from typing import Any

from twisted.internet.error import ConnectionAborted, ConnectionDone, ProcessTerminated

from conchlite.error import ChannelClosed, ChannelRequestFailed, ConnectionEnded, UsageError
from conchlite.ssh.clientsession import ExitedBySignal, SSHClientSession, packModes
from conchlite.ssh.session import parseRequest_pty_req, parseRequest_window_change
from conchlite.wire import connection
from tests.ssh.channels import Accepting, ConnectionTestCase, PushProducer, Recorder, joined

SIZE = (40, 132, 800, 600)


class Granting(Recorder):
    """
    The server's end: it grants what is not named otherwise.
    """

    name = "session"
    refused = frozenset({b"subsystem"})

    def requestReceived(self, requestType: bytes, data: bytes) -> object:
        self.events.append((requestType, data))
        return requestType not in self.refused


class Sessions(Accepting):
    make = Granting

    def channel_session(self, windowSize: int, maxPacket: int, data: bytes) -> Any:
        return self.channel_recorder(windowSize, maxPacket, data)


class Told(SSHClientSession):
    """
    @ivar told: what C{stopOutputChanged} was told.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.told: list[bool] = []

    def stopOutputChanged(self, mayStopOutput: bool) -> None:
        self.told.append(mayStopOutput)


class ClientSessionTests(ConnectionTestCase):
    def setUp(self) -> None:
        self.link = joined(Sessions())
        self.client = self.link.client.service
        self.session = Told()
        self.client.openChannel(self.session)
        self.link.pump()
        self.peer = self.link.server.service.opened[0]
        self.peer.events.clear()

    def asked(self, deferred: Any) -> list[Any]:
        """
        What the server was asked, which it granted.
        """
        self.link.pump()
        self.assertIsNone(self.successResultOf(deferred))
        return self.peer.events

    def tell(self, requestType: bytes, data: bytes, wantReply: bool = False) -> Any:
        replied = self.link.server.service.sendRequest(self.peer, requestType, data, wantReply)
        self.link.pump()
        return replied

    def test_pty(self) -> None:
        """
        Rows come before columns, but on the wire.
        """
        ((name, data),) = self.asked(self.session.requestPty("xterm", SIZE, [(53, 0), (128, 38400)]))
        self.assertEqual(b"pty-req", name)
        self.assertEqual((b"xterm", SIZE, [(53, 0), (128, 38400)]), parseRequest_pty_req(data))
        self.assertEqual(132, connection.PtyRequest.unpack(data).columns)

    def test_modes(self) -> None:
        """
        RFC 4254 section 8: an opcode and a uint32 each, and 0 at the end.
        """
        self.assertEqual(b"\0", packModes(()))
        self.assertEqual(b"\x01\0\0\0\x03\x35\0\0\0\0\0", packModes({1: 3, 53: 0}.items()))
        for opcode in (0, 160, -1):
            with self.assertRaises(UsageError):
                packModes([(opcode, 1)])

    def test_programs(self) -> None:
        self.assertEqual([(b"exec", b"\0\0\0\x04true")], self.asked(self.session.execute("true")))
        self.peer.events.clear()
        self.assertEqual([(b"shell", b"")], self.asked(self.session.startShell()))

    def test_others(self) -> None:
        self.asked(self.session.setEnv("LANG", "C"))
        self.asked(self.session.sendBreak(500))
        self.asked(self.session.requestX11("MIT-MAGIC-COOKIE-1", "00ff", 1))
        self.assertEqual(
            [
                (b"env", connection.EnvRequest(b"LANG", b"C").pack()),
                (b"break", b"\0\0\x01\xf4"),
                (b"x11-req", connection.X11Request(False, b"MIT-MAGIC-COOKIE-1", b"00ff", 1).pack()),
            ],
            self.peer.events,
        )

    def test_told(self) -> None:
        """
        What wants no answer is sent at once; a signal's name is without SIG.
        """
        self.session.resize(SIZE)
        self.session.sendSignal("TERM")
        self.session.sendSignal("SIGINT")
        self.link.pump()
        (_, size), term, interrupt = self.peer.events
        self.assertEqual(SIZE, parseRequest_window_change(size))
        self.assertEqual([(b"signal", b"\0\0\0\x04TERM"), (b"signal", b"\0\0\0\x03INT")], [term, interrupt])

    def test_refused(self) -> None:
        """
        The error says what was refused.
        """
        refused = self.session.startSubsystem("sftp")
        self.link.pump()
        failure = self.failureResultOf(refused, ChannelRequestFailed)
        self.assertEqual("the server refused subsystem sftp", str(failure.value))

    def test_nul(self) -> None:
        """
        What would end the connection with OpenSSH's server is not sent.
        """
        for asked in (self.session.execute("a\0b"), self.session.setEnv("A", b"\0")):
            failure = self.failureResultOf(asked, UsageError)
            self.assertIn("NUL", str(failure.value))
        self.link.pump()
        self.assertEqual([], self.peer.events)

    def test_refusedVariable(self) -> None:
        self.peer.refused = {b"env"}
        refused = self.session.setEnv("LANG\x1b", "C")
        self.link.pump()
        failure = self.failureResultOf(refused, ChannelRequestFailed)
        self.assertEqual("the server refused env LANG\\x1b", str(failure.value))

    def test_noMoreInput(self) -> None:
        """
        OpenSSH PROTOCOL section 2.1: what runs reads no more. What waits is
        dropped, and who writes is stopped.
        """
        producer = PushProducer()
        self.session.registerProducer(producer, True)
        self.link.client.hold()
        self.session.write(b"x" * 2**22)
        self.tell(b"eow@openssh.com", b"")
        self.assertEqual(["pause", "stop"], producer.calls)
        self.link.client.release()
        self.session.write(b"y")
        self.tell(b"eow@openssh.com", b"")
        self.link.pump()
        self.assertEqual((b"", ["eof"]), (self.peer.received, self.peer.events))
        # It may go on for as long as it likes, and then close.
        self.session.loseConnection()
        self.link.pump()
        self.assertEqual(["eof"], self.peer.events)
        self.peer.loseConnection()
        self.link.pump()
        self.assertEqual(["eof", "close", "closed"], self.peer.events)

    def test_closed(self) -> None:
        """
        After the end there is an error for what wants an answer.
        """
        self.session.abortConnection()
        self.link.pump()
        self.failureResultOf(self.session.execute("true"), ChannelClosed)
        self.session.sendSignal("TERM")
        self.session.resize(SIZE)
        self.link.pump()
        self.assertEqual([], [event for event in self.peer.events if event not in ("close", "closed")])
        self.assertIsNone(self.session.brokenBy)

    def test_exitStatus(self) -> None:
        self.assertIsNone(self.session.exitStatus)
        self.tell(b"exit-status", connection.ExitStatus(0).pack())
        self.assertEqual((0, None), (self.session.exitStatus, self.session.exitSignal))

    def test_exitSignal(self) -> None:
        """
        The server's texts are safe to print.
        """
        self.tell(b"exit-signal", connection.ExitSignal(b"SEGV", True, b"oh \x1b[31m", b"en").pack())
        self.assertEqual(ExitedBySignal("SEGV", True, "oh \\x1b[31m", "en"), self.session.exitSignal)
        self.assertEqual("signal SEGV (core dumped): oh \\x1b[31m", str(self.session.exitSignal))
        self.assertEqual("signal TERM", str(ExitedBySignal("TERM")))
        self.assertIsNone(self.session.exitStatus)
        self.tell(b"exit-signal", connection.ExitSignal(b"\x1b@a", False, b"", b"\x1b").pack())
        self.assertEqual(ExitedBySignal("\\x1b@a", False, "", "\\x1b"), self.session.exitSignal)

    def test_stopOutput(self) -> None:
        """
        RFC 4254 section 6.8: the server says who has control-S.
        """
        self.assertIsNone(self.session.mayStopOutput)
        self.tell(b"xon-xoff", connection.XonXoff(True).pack())
        self.tell(b"xon-xoff", connection.XonXoff(False).pack())
        self.assertEqual(([True, False], False), (self.session.told, self.session.mayStopOutput))

    def test_unknownRefused(self) -> None:
        """
        A server asks for nothing here: what it is not told of is refused.
        """
        for name in (b"keepalive@openssh.com", b"exec", b"shell", b"x11-req", b"env"):
            self.failureResultOf(self.tell(name, b"", wantReply=True), ChannelRequestFailed)

    def test_endByServer(self) -> None:
        self.peer.abortConnection()
        self.link.pump()
        self.assertIsNone(self.session.brokenBy)

    def test_endOfConnection(self) -> None:
        """
        A connection that ends is no end of the program, whatever it said.
        """
        self.tell(b"exit-status", connection.ExitStatus(0).pack())
        self.link.client.lose()
        self.assertIsInstance(self.session.brokenBy.value, ConnectionEnded)

        self.assertIs(self.session.brokenBy, self.session.endReason())

    def test_endOfService(self) -> None:
        self.client.serviceStopped()
        self.assertIsInstance(self.session.brokenBy.value, ConnectionEnded)

    def ended(self, *told: tuple[bytes, Any]) -> Exception:
        """
        How a protocol hears of an end of which the server tells this.
        """
        for name, message in told:
            self.tell(name, message.pack())
        self.peer.abortConnection()
        self.link.pump()
        return self.session.endReason().value

    def test_reasonStatus(self) -> None:
        reason = self.ended((b"exit-status", connection.ExitStatus(3)))
        self.assertIsInstance(reason, ProcessTerminated)
        self.assertEqual((3, None), (reason.exitCode, reason.signal))

    def test_reasonSuccess(self) -> None:
        self.assertIsInstance(self.ended((b"exit-status", connection.ExitStatus(0))), ConnectionDone)

    def test_reasonNone(self) -> None:
        self.assertIsInstance(self.ended(), ConnectionDone)

    def test_reasonSignal(self) -> None:
        """
        A signal counts for more than a status.
        """
        told = connection.ExitSignal(b"TERM", False, b"", b"")
        reason = self.ended((b"exit-status", connection.ExitStatus(0)), (b"exit-signal", told))
        self.assertIsInstance(reason, ProcessTerminated)
        self.assertEqual(signal.SIGTERM, reason.signal)

    def test_reasonUnknownSignal(self) -> None:
        """
        One that this system does not have, or is none of its signals, is -1.
        """
        for name in (b"BLAH", b"_IGN", b"\xff", b""):
            self.setUp()
            reason = self.ended((b"exit-signal", connection.ExitSignal(name, False, b"", b"")))
            self.assertEqual(-1, reason.signal)

    def test_reasonAborted(self) -> None:
        self.session.abortConnection()
        self.link.pump()
        self.assertIsInstance(self.session.endReason().value, ConnectionAborted)
