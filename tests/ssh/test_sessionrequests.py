"""
What a user asks of a session on the server, and is told, as typed values.
"""

from __future__ import annotations

import signal

from twisted.internet.protocol import Protocol
from zope.interface import implementer
from zope.interface.verify import verifyObject

from conchlite.avatar import SessionUser
from conchlite.error import ConchError, MalformedMessage, UsageError
from conchlite.interfaces import (
    ISession,
    ISessionBreak,
    ISessionSignal,
    ISessionWindow,
    ISessionX11,
    SignalName,
    Terminal,
    TerminalSize,
)
from conchlite.ssh import session
from conchlite.ssh.common import NS
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.permissions import PLAIN
from conchlite.ssh.programs import ProgramSession
from conchlite.wire.connection import BreakRequest, ExitSignal, X11Request, XonXoff
from tests.ssh.fakes import Link
from tests.ssh.sessions import FakeSession, Memorising, SessionRecorder, SessionTestCase


@implementer(ISessionBreak, ISessionX11)
class TakesAll(FakeSession):
    """
    A session that takes whatever there is.
    """

    def breakReceived(self, milliseconds: int) -> None:
        if milliseconds == 13:
            raise ConchError("nothing to break")
        self.calls.append(("break", milliseconds))

    def x11Requested(self, request: X11Request) -> None:
        self.calls.append(request)


class RequestTests(SessionTestCase):
    def setUp(self) -> None:
        self.open(TakesAll())

    def test_interfaces(self) -> None:
        for interface in (ISession, ISessionBreak, ISessionSignal, ISessionX11):
            verifyObject(interface, self.made)

    def test_signal(self) -> None:
        """
        A signal is a name, and the string that programs know already.
        """
        for name in SignalName:
            self.agreed("signal", NS(name))
        self.assertEqual([("signal", name) for name in session.SUPPORTED_SIGNALS], self.made.calls)
        self.assertTrue(all(type(name) is SignalName for _, name in self.made.calls))
        self.assertEqual((signal.SIGUSR1, "USR1"), (SignalName.USR1.number, str(SignalName.USR1)))
        self.assertEqual([signal.SIGKILL], [SignalName("KILL").number])
        for odd in (b"INFO@openssh.com", b"", b"_missing_", b"name", b"\xff", b"TERM\0"):
            self.refused("signal", NS(odd))
        self.assertEqual(13, len(self.made.calls))

    def test_numberOfAnotherSystem(self) -> None:
        self.patch(signal, "SIGUSR2", None)
        self.assertIsNone(SignalName.USR2.number)

    def test_break(self) -> None:
        self.agreed("break", BreakRequest(500).pack())
        self.refused("break", BreakRequest(13).pack())
        self.assertEqual([("break", 500)], self.made.calls)
        self.assertEqual([], self.flushLoggedErrors())
        self.open(FakeSession())
        self.refused("break", BreakRequest(500).pack())

    def test_malformed(self) -> None:
        for name, data in (
            ("break", b""),
            ("break", b"\0\0\0\1\0"),
            ("x11-req", b""),
            ("x11-req", X11Request(False, b"x", b"ab", 0).pack() + b"x"),
        ):
            self.setUp()
            self.permitX11()
            self.request(name, data).addErrback(lambda _: None)
            self.link.pump()
            self.assertIsInstance(self.link.server.closeReason.value, MalformedMessage, name)
            self.assertEqual([], self.made.calls)
            self.link.lose()

    def permitX11(self) -> None:
        self.link.server.permissions = PLAIN.replacing(x11Forwarding=True)

    def test_x11(self) -> None:
        """
        Row 106: a user's display is for sessions that have a use for it, and
        what they are given can be given to C{xauth}.
        """
        request = X11Request(False, b"MIT-MAGIC-COOKIE-1", b"00ffAA9c" * 4, 0)
        self.refused("x11-req", request.pack())
        self.permitX11()
        self.agreed("x11-req", request.pack())
        self.assertEqual([request], self.made.calls)
        for method, cookie in (
            (b"MIT-MAGIC-COOKIE-1", b""),
            (b"MIT-MAGIC-COOKIE-1", b"abc"),
            (b"MIT-MAGIC-COOKIE-1", b"zz"),
            (b"MIT-MAGIC-COOKIE-1", b"ab\nremove :0"),
            (b"MIT-MAGIC-COOKIE-1", b"ab\n"),
            (b"MIT-MAGIC-COOKIE-1", b"ab" * 129),
            (b"", b"ab"),
            (b"MIT\nsource /etc/shadow", b"ab"),
            (b"MIT\n", b"ab"),
            (b"a" * 65, b"ab"),
        ):
            self.refused("x11-req", X11Request(False, method, cookie, 0).pack())
        self.assertEqual([request], self.made.calls)
        self.agreed("shell")
        self.refused("x11-req", request.pack())

    def test_x11NobodyWants(self) -> None:
        """
        Row 106: and those are not the usual ones.
        """
        for made in (FakeSession(), ProgramSession({})):
            self.open(made)
            self.permitX11()
            self.refused("x11-req", X11Request(False, b"MIT-MAGIC-COOKIE-1", b"ab", 0).pack())

    def test_terminal(self) -> None:
        self.assertIsNone(self.server.terminal)
        self.refused("pty-req", session.packRequest_pty_req(b"bad", (24, 80, 1, 2), b""))
        self.assertIsNone(self.server.terminal)
        self.agreed("pty-req", session.packRequest_pty_req(b"vt100", (24, 80, 1, 2), b"\x05\0\0\0\7"))
        self.assertEqual(Terminal(b"vt100", TerminalSize(24, 80, 1, 2), ((5, 7),)), self.server.terminal)
        _, _, size, _ = self.made.calls[-1]
        self.assertEqual((24, 80, 1, 2), (size.rows, size.columns, size.width, size.height))
        self.agreed("window-change", session.packRequest_window_change((50, 132, 0, 0)))
        self.assertEqual(TerminalSize(50, 132), self.server.terminal.windowSize)
        _, size = self.made.calls[-1]
        self.assertEqual((50, 132), (size.rows, size.columns))

    def test_letStopOutput(self) -> None:
        self.server.letStopOutput(True)
        self.link.pump()
        self.assertIn(("request", b"xon-xoff", XonXoff(True).pack()), self.client.events)

    def test_pausedFromTheFirst(self) -> None:
        """
        A program that wants nothing yet when it is connected gets nothing yet.
        """

        class Later(Memorising):
            def connectionMade(self) -> None:
                super().connectionMade()
                self.transport.resumeProducing()
                self.transport.pauseProducing()

        program = Later()
        self.open(ProgramSession(lambda command: program))
        self.client.write(b"early")
        self.agreed("exec", NS("x"))
        self.assertEqual(b"", program.received)
        program.transport.resumeProducing()
        self.assertEqual(b"early", program.received)


class ExitTests(SessionTestCase):
    """
    How a program that is a protocol ends.
    """

    def setUp(self) -> None:
        self.program = Memorising()
        self.open(ProgramSession(lambda command: self.program))
        self.agreed("exec", NS("x"))

    def test_bySignal(self) -> None:
        self.program.transport.write(b"last words")
        self.program.transport.exitBySignal("SEGV", coreDumped=True, message="très mal", language="fr")
        self.link.pump()
        self.assertEqual(ExitSignal(b"SEGV", True, "très mal".encode(), b"fr"), self.client.exitSignal)
        self.assertEqual(b"last words", self.client.received)
        self.assertEqual(["eof", "close", "closed"], self.client.events[-3:])
        self.assertFalse(hasattr(self.client, "exitStatus"))

    def test_signalOfOnesOwn(self) -> None:
        self.program.transport.exitBySignal("LOST@example.com")
        self.link.pump()
        self.assertEqual(ExitSignal(b"LOST@example.com", False, b"", b""), self.client.exitSignal)

    def test_noSuchSignal(self) -> None:
        for name, language in (("SIGTERM", ""), ("é@example.com", ""), ("", ""), ("TERM", "é")):
            with self.assertRaises(UsageError):
                self.program.transport.exitBySignal(name, language=language)
        self.link.pump()
        self.assertNotIn("eof", self.client.events)


@implementer(ISessionBreak, ISessionSignal, ISessionWindow)
class Listening(Memorising):
    """
    A subsystem that hears of everything.
    """

    def __init__(self) -> None:
        self.calls: list[object] = []

    def breakReceived(self, milliseconds: int) -> None:
        self.calls.append(milliseconds)

    def signalReceived(self, signalName: SignalName) -> None:
        self.calls.append(signalName)

    def windowChanged(self, newWindowSize: TerminalSize) -> None:
        self.calls.append(newWindowSize)


class SubsystemRequestTests(SessionTestCase):
    """
    Where a subsystem runs, it is the subsystem that is asked, and not what
    would run a command.
    """

    def start(self, program: Protocol) -> None:
        self.made = TakesAll()
        self.program = program
        user = SessionUser(lambda: self.made)
        user.subsystemLookup[b"sub"] = lambda data, avatar: program
        self.link = Link(SSHConnection(), SSHConnection(), user)
        self.conn = self.link.client.service
        self.client = SessionRecorder()
        self.conn.openChannel(self.client)
        self.link.pump()
        self.agreed("pty-req", session.packRequest_pty_req(b"vt100", (24, 80, 1, 2), b""))
        self.agreed("env", NS("LANG") + NS("C"))
        self.agreed("subsystem", NS("sub"))
        self.made.calls.clear()

    def test_asked(self) -> None:
        self.start(Listening())
        self.agreed("signal", NS("INT"))
        self.agreed("break", BreakRequest(0).pack())
        self.agreed("window-change", session.packRequest_window_change((1, 2, 3, 4)))
        self.assertEqual([SignalName.INT, 0, TerminalSize(1, 2, 3, 4)], self.program.calls)
        self.assertEqual([("window", (1, 2, 3, 4))], self.made.calls)

    def test_notAsked(self) -> None:
        self.start(Memorising())
        self.refused("signal", NS("INT"))
        self.refused("break", BreakRequest(0).pack())
        self.agreed("window-change", session.packRequest_window_change((1, 2, 3, 4)))
        self.assertEqual([("window", (1, 2, 3, 4))], self.made.calls)

    def test_inputEnds(self) -> None:
        """
        The end of the input is the subsystem's, also if the user has set a
        variable before.
        """
        self.start(Memorising())
        self.client.write(b"all")
        self.client.loseWriteConnection()
        self.link.pump()
        self.assertEqual((b"all", 1), (self.program.received, len(self.program.lost)))
        self.assertEqual("closed", self.client.events[-1])
        self.assertEqual(["closed"], self.made.calls)
