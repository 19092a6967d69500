"""
Sessions on the server: what runs in them, and how it ends.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from conchlite.avatar import ConchUser
from conchlite.error import ChannelRequestFailed, ConchError, MalformedMessage
from conchlite.interfaces import (
    ISession,
)
from conchlite.ssh import session
from conchlite.ssh.common import NS
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.session import SSHSession
from conchlite.wire.connection import EnvRequest, PtyRequest
from tests.ssh.fakes import Link
from tests.ssh.sessions import (
    FakeSession,
    Memorising,
    SessionRecorder,
    SessionTestCase,
)


class SSHSessionTests(SessionTestCase):
    def setUp(self) -> None:
        self.open(FakeSession())

    def test_exec(self) -> None:
        self.agreed("exec", NS("ls -l"))
        self.assertEqual([("exec", b"ls -l")], self.made.calls)
        self.assertIs(self.server, self.made.proto.session)
        self.assertIs(self.made.proto, self.server.client)
        self.assertIs(self.made, self.server.session)

    def test_shell(self) -> None:
        self.agreed("shell")
        self.assertEqual(["shell"], self.made.calls)

    def test_onlyOneProgram(self) -> None:
        """
        Row 108: a second program is refused, whatever it is.
        """
        self.agreed("exec", NS("one"))
        for name, data in (("exec", NS("two")), ("shell", b""), ("subsystem", NS("sftp"))):
            self.refused(name, data)
        self.assertEqual([("exec", b"one")], self.made.calls)

    def test_secondWhileTheFirstStarts(self) -> None:
        self.made.answer = started = Deferred()
        first = self.request("exec", NS("one"))
        second = self.request("exec", NS("two"))
        self.link.pump()
        self.assertNoResult(first)
        started.callback("whatever")
        self.link.pump()
        self.successResultOf(first)
        self.failureResultOf(second, ChannelRequestFailed)

    def test_refusedAndAgain(self) -> None:
        """
        A program that could not be started leaves the place free.
        """
        for answer in (ConchError("not today"), Deferred()):
            self.made.answer = answer
            reply = self.request("exec", NS("one"))
            self.link.pump()
            if isinstance(answer, Deferred):
                answer.errback(ConchError("not today"))
                self.link.pump()
            self.failureResultOf(reply, ChannelRequestFailed)
            self.assertIsNone(self.server.client)
        self.made.answer = None
        self.agreed("shell")

    def test_closingSession(self) -> None:
        """
        Row 100: nothing begins in a session that is being closed.
        """
        self.server.loseConnection()
        answer = self.request("exec", NS("one"))
        self.link.pump()
        self.failureResultOf(answer)
        self.assertEqual([], self.made.calls)

    def test_defect(self) -> None:
        self.made.answer = ZeroDivisionError()
        self.refused("exec", NS("one"))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_malformed(self) -> None:
        for name, data in (
            ("exec", b"\0\0\0\5ab"),
            ("exec", NS("ls") + b"x"),
            ("subsystem", b""),
            ("pty-req", NS("vt100")),
            ("env", NS("LANG")),
            ("window-change", b"1234"),
            ("signal", b"1"),
        ):
            self.setUp()
            self.request(name, data).addErrback(lambda _: None)
            self.link.pump()
            self.assertIsInstance(self.link.server.closeReason.value, MalformedMessage, name)
            self.assertEqual([], self.made.calls)
            self.link.lose()

    def test_pty(self) -> None:
        modes = b"\x01\0\0\0\x03\x80\0\0\x96\0\0"
        data = session.packRequest_pty_req("vt100", (24, 80, 480, 640), modes)
        self.assertEqual(PtyRequest(b"vt100", 80, 24, 480, 640, modes), PtyRequest.unpack(data))
        self.agreed("pty-req", data)
        self.assertEqual([("pty", b"vt100", (24, 80, 480, 640), [(1, 3), (128, 38400)])], self.made.calls)
        self.refused("pty-req", session.packRequest_pty_req(b"bad", (1, 2, 3, 4), b""))
        self.assertEqual([], self.flushLoggedErrors())
        self.refused("pty-req", session.packRequest_pty_req(b"worse", (1, 2, 3, 4), b""))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_modes(self) -> None:
        for packed, parsed in (
            (b"", []),
            (b"\0", []),
            (b"\0garbage", []),
            (b"\x05\0\0\0\7", [(5, 7)]),
            (b"\x05\0\0\0\7\xa0what is this", [(5, 7)]),
        ):
            data = session.packRequest_pty_req(b"x", (1, 2, 3, 4), packed)
            self.assertEqual((b"x", (1, 2, 3, 4), parsed), session.parseRequest_pty_req(data))
        data = session.packRequest_pty_req(b"x", (1, 2, 3, 4), b"\x05\0\0")
        self.assertRaises(MalformedMessage, session.parseRequest_pty_req, data)

    def test_windowChange(self) -> None:
        data = session.packRequest_window_change((50, 100, 1, 2))
        self.assertEqual((50, 100, 1, 2), session.parseRequest_window_change(data))
        self.agreed("window-change", data)
        self.assertEqual([("window", (50, 100, 1, 2))], self.made.calls)

    def test_env(self) -> None:
        self.agreed("env", EnvRequest(b"LANG", b"C").pack())
        self.refused("env", EnvRequest(b"LD_PRELOAD", b"/tmp/x").pack())
        self.assertEqual({b"LANG": b"C"}, self.made.variables)
        self.assertEqual([], self.flushLoggedErrors())

    def test_signal(self) -> None:
        self.agreed("signal", NS("TERM"))
        self.refused("signal", NS("term"))
        self.refused("signal", NS("SIGTERM"))
        self.refused("signal", NS("\xff"))
        self.assertEqual([("signal", "TERM")], self.made.calls)

    def test_optionalInterfaces(self) -> None:
        @implementer(ISession)
        class Plain(FakeSession):
            pass

        from zope.interface import classImplementsOnly

        classImplementsOnly(Plain, ISession)
        self.open(Plain())
        self.refused("env", EnvRequest(b"LANG", b"C").pack())
        self.refused("signal", NS("TERM"))

    def test_unknown(self) -> None:
        self.refused("x11-req", b"")
        self.refused("auth-agent-req@openssh.com", b"")

    def test_noSession(self) -> None:
        """
        An avatar that is no L{ISession} has no programs.
        """
        user = ConchUser()
        user.channelLookup[b"session"] = SSHSession
        self.link = Link(SSHConnection(), SSHConnection(), user)
        self.conn = self.link.client.service
        self.client = SessionRecorder()
        self.conn.openChannel(self.client)
        self.link.pump()
        for name, data in (
            ("shell", b""),
            ("exec", NS("x")),
            ("subsystem", NS("x")),
            ("pty-req", session.packRequest_pty_req("x", (1, 2, 3, 4), b"")),
            ("window-change", session.packRequest_window_change((1, 2, 3, 4))),
            ("env", NS("LANG") + NS("C")),
            ("signal", NS("TERM")),
        ):
            self.refused(name, data)
        self.assertEqual([], self.flushLoggedErrors())

    def test_sessionIsToldOfTheEnd(self) -> None:
        self.agreed("shell")
        self.client.loseWriteConnection()
        self.link.pump()
        self.assertEqual(["shell", "eof"], self.made.calls)
        self.client.abortConnection()
        self.link.pump()
        self.assertEqual(["shell", "eof", "closed"], self.made.calls)

    def test_connectionLost(self) -> None:
        self.agreed("shell")
        self.link.lose()
        self.assertEqual(["shell", "closed"], self.made.calls)

    def test_closedBeforeAnythingRan(self) -> None:
        """
        What came for a program that never was does not keep the session.
        """
        self.client.write(b"early")
        self.client.conn.sendClose(self.client)
        self.link.pump()
        self.assertEqual("closed", self.client.events[-1])
        self.assertEqual({}, self.link.server.service.channels)


class SubsystemTests(SessionTestCase):
    def setUp(self) -> None:
        self.user = ConchUser()
        self.user.channelLookup[b"session"] = SSHSession
        self.user.subsystemLookup[b"memory"] = self.make
        self.made = []
        self.link = Link(SSHConnection(), SSHConnection(), self.user)
        self.conn = self.link.client.service
        self.client = SessionRecorder()
        self.conn.openChannel(self.client)
        self.link.pump()

    def make(self, data: bytes, avatar: object) -> Protocol:
        self.assertEqual((NS("memory"), self.user), (data, avatar))
        program = Memorising()
        self.made.append(program)
        return program

    def test_runs(self) -> None:
        self.agreed("subsystem", NS("memory"))
        self.client.write(b"data")
        self.client.loseConnection()
        self.link.pump()
        self.assertEqual(b"data", self.made[0].received)
        self.assertEqual(1, len(self.made[0].lost))
        self.assertEqual("closed", self.client.events[-1])

    def test_unknown(self) -> None:
        self.refused("subsystem", NS("forgetfulness"))
        self.agreed("subsystem", NS("memory"))
        self.refused("subsystem", NS("memory"))
        self.assertEqual(1, len(self.made))
