"""
Programs that are coroutines, as commands, shells and subsystems.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.logger import LogLevel, capturedLogs
from zope.interface.verify import verifyObject

from conchlite.avatar import SessionUser
from conchlite.error import (
    AgentError,
    BadKeyError,
    ChannelClosed,
    InputEnded,
    LineTooLong,
    UsageError,
)
from conchlite.interfaces import (
    ExitedBySignal,
    ISession,
    ISessionBreak,
    ISessionEnvironment,
    ISessionSetEnv,
    ISessionSignal,
    ISessionWindow,
    SignalName,
    Terminal,
    TerminalSize,
)
from conchlite.ssh import session
from conchlite.ssh.common import NS
from conchlite.ssh.coroutineprogram import CoroutineProgram
from conchlite.ssh.programprocess import ProgramInput, ProgramProcess
from conchlite.ssh.programs import ProgramSession
from conchlite.wire.connection import BreakRequest, ExitSignal, XonXoff
from tests.ssh.sessions import Memorising, SessionTestCase

WINDOW = 2 * 1024 * 1024
LIMIT = 256 * 1024


class CoroutineTestCase(SessionTestCase):
    def run_(self, program: Callable[[ProgramProcess], Any], terminals: bool = False) -> None:
        """
        Run a program as a command.
        """
        self.open(ProgramSession(program, terminals=terminals))
        self.agreed("exec", NS("program with words"))

    def send(self, data: bytes) -> None:
        self.client.write(data)
        self.link.pump()

    def endInput(self) -> None:
        self.client.loseWriteConnection()
        self.link.pump()

    @property
    def ended(self) -> bool:
        return self.client.events[-1] == "closed"


class ProcessTests(CoroutineTestCase):
    """
    What a program is handed.
    """

    def test_interfaces(self) -> None:
        made = ProgramSession({})
        for interface in (ISession, ISessionBreak, ISessionEnvironment, ISessionSetEnv, ISessionSignal):
            verifyObject(interface, made)
        program = CoroutineProgram(lambda process: None, b"")
        for interface in (
            IHalfCloseableProtocol,
            IPushProducer,
            ISessionBreak,
            ISessionSignal,
            ISessionWindow,
        ):
            verifyObject(interface, program)

    def test_talk(self) -> None:
        async def shout(process: ProgramProcess) -> int:
            async for line in process.stdin:
                await process.write(line.upper())
                await process.stderr.write(b".")
            return 3

        self.run_(shout)
        self.send(b"one\ntw")
        self.assertEqual(b"ONE\n", self.client.received)
        self.send(b"o\nthree")
        self.endInput()
        self.assertEqual(b"ONE\nTWO\nTHREE", self.client.received)
        self.assertEqual(3, self.client.exitStatus)
        self.assertIn(("ext 1", b"."), self.client.events)
        self.assertEqual(["eof", "close", "closed"], self.client.events[-3:])
        self.assertEqual({}, self.link.server.service.channels)

    def test_attributes(self) -> None:
        """
        Row 107: of the variables that a user may not set, none arrives.
        """
        found = []

        async def look(process: ProgramProcess) -> None:
            found.append(process)
            with self.assertRaises(AgentError):
                await process.openAgent()

        self.open(ProgramSession(look))
        self.agreed("env", NS("LANG") + NS("C"))
        self.refused("env", NS("LD_PRELOAD") + NS("/tmp/x"))
        self.agreed("exec", NS("look around"))
        (process,) = found
        self.assertEqual((b"look around", {b"LANG": b"C"}), (process.command, process.environment))
        self.assertIs(self.link.server.avatar, process.avatar)
        self.assertEqual(self.link.server.getPeer(), process.getPeer())
        self.assertIsNone(process.terminal)
        self.assertEqual(0, self.client.exitStatus)

    def test_choice(self) -> None:
        """
        One program for each command, whatever kind it is, and a shell.
        """

        async def one(process: ProgramProcess) -> None:
            await process.write(b"one " + process.command)

        async def shell(process: ProgramProcess) -> None:
            await process.write(b"shell" + process.command)

        def open() -> None:
            self.open(ProgramSession({b"one": one, b"none": lambda command: None}, shell))

        open()
        self.agreed("exec", NS("one argument"))
        self.assertEqual(b"one one argument", self.client.received)
        open()
        self.agreed("shell")
        self.assertEqual(b"shell", self.client.received)
        for command in ("two", "", "none"):
            open()
            self.refused("exec", NS(command))

    def test_terminal(self) -> None:
        sizes = []

        async def screen(process: ProgramProcess) -> None:
            process.onResize(sizes.append)
            process.letStopOutput(False)
            self.process = process
            await process.read()

        self.open(ProgramSession(screen, terminals=True))
        self.agreed("pty-req", session.packRequest_pty_req(b"vt100", (24, 80, 1, 2), b"\x05\0\0\0\7"))
        self.agreed("exec", NS("x"))
        self.assertEqual(Terminal(b"vt100", TerminalSize(24, 80, 1, 2), ((5, 7),)), self.process.terminal)
        self.agreed("window-change", session.packRequest_window_change((50, 132, 0, 0)))
        self.assertEqual([TerminalSize(50, 132)], sizes)
        self.assertEqual(TerminalSize(50, 132), self.process.terminal.windowSize)
        self.assertIn(("request", b"xon-xoff", XonXoff(False).pack()), self.client.events)
        self.process.onResize(None)
        self.agreed("window-change", session.packRequest_window_change((1, 2, 3, 4)))
        self.assertEqual([TerminalSize(50, 132)], sizes)

    def test_noTerminals(self) -> None:
        self.open(ProgramSession({}))
        self.refused("pty-req", session.packRequest_pty_req(b"vt100", (24, 80, 1, 2), b""))
        self.refused("window-change", session.packRequest_window_change((1, 2, 3, 4)))

    def test_break(self) -> None:
        breaks = []

        async def program(process: ProgramProcess) -> None:
            process.onBreak(breaks.append)
            await process.readLine()
            process.onBreak(None)
            await process.readLine()

        self.run_(program)
        self.agreed("break", BreakRequest(700).pack())
        self.send(b"\n")
        self.refused("break", BreakRequest(800).pack())
        self.assertEqual([700], breaks)

    def test_protocolsTakeNoSignals(self) -> None:
        self.open(ProgramSession(lambda command: Memorising()))
        for _ in range(2):
            self.refused("signal", NS("TERM"))
            self.refused("break", BreakRequest(0).pack())
            if self.server.client is None:
                self.agreed("exec", NS("x"))


class EndTests(CoroutineTestCase):
    """
    How a program ends.
    """

    def outcome(self, outcome: object) -> object:
        async def program(process: ProgramProcess) -> Any:
            await process.write(b"output")
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        self.run_(program)
        self.assertTrue(self.ended)
        self.assertEqual(b"output", self.client.received)
        return getattr(self.client, "exitStatus", None)

    def test_statuses(self) -> None:
        for outcome, status in (
            (None, 0),
            (0, 0),
            (1, 1),
            (255, 255),
            (-1, 2**32 - 1),
            (SystemExit(), 0),
            (SystemExit(None), 0),
            (SystemExit(0), 0),
            (SystemExit(7), 7),
        ):
            self.assertEqual(status, self.outcome(outcome), outcome)
        self.assertEqual([], self.flushLoggedErrors())

    def test_lastWords(self) -> None:
        """
        As for any Python program, a text is for standard error.
        """
        self.assertEqual(1, self.outcome(SystemExit("usage: à la carte")))
        self.assertIn(("ext 1", "usage: à la carte\n".encode()), self.client.events)

    def test_signal(self) -> None:
        for ended, sent in (
            (ExitedBySignal("TERM"), ExitSignal(b"TERM", False, b"", b"")),
            (
                ExitedBySignal("SEGV", True, "ouch", "en"),
                ExitSignal(b"SEGV", True, b"ouch", b"en"),
            ),
        ):
            self.assertIsNone(self.outcome(ended))
            self.assertEqual(sent, self.client.exitSignal)

    def test_defects(self) -> None:
        """
        What went wrong is in the log, and the user does not see it.
        """
        for outcome, kind in (
            (ZeroDivisionError("secret"), ZeroDivisionError),
            (UsageError("secret"), UsageError),
            (CancelledError(), CancelledError),
            ("a string", UsageError),
            (ExitedBySignal("SIGTERM"), UsageError),
            (KeyboardInterrupt("secret"), KeyboardInterrupt),
        ):
            self.assertEqual(1, self.outcome(outcome), outcome)
            self.assertEqual(1, len(self.flushLoggedErrors(kind)))
            self.assertNotIn("ext 1", [event[0] for event in self.client.events])

    def test_usersMistakes(self) -> None:
        """
        They are worth a line, and no traceback.
        """
        self.assertEqual(1, self.outcome(BadKeyError("a key with a \x1b[31mcolour")))
        self.assertEqual([], self.flushLoggedErrors())

    def test_beforeTheReply(self) -> None:
        """
        D6: a program that ends while it starts: the reply comes first.
        """

        async def hasty(process: ProgramProcess) -> int:
            await process.write(b"hello")
            return 1

        self.open(ProgramSession(hasty))
        self.link.delivered.clear()
        self.agreed("exec", NS("x"))
        self.assertEqual("<CHANNEL_SUCCESS", self.link.delivered[1])
        self.assertEqual((1, b"hello"), (self.client.exitStatus, self.client.received))

    def test_endsWithInputLeft(self) -> None:
        async def picky(process: ProgramProcess) -> None:
            await process.readLine()

        self.run_(picky)
        self.send(b"enough\n" + bytes(3 * WINDOW))
        self.assertTrue(self.ended)
        self.assertEqual(0, self.client.exitStatus)
        self.assertEqual([], self.link.clock.getDelayedCalls())

    def test_endsWithOutputLeft(self) -> None:
        """
        The user gets what was written before the end, as slowly as he likes.
        """

        calls: list[object] = []

        async def verbose(process: ProgramProcess) -> None:
            process.onSignal(calls.append)
            process.onBreak(calls.append)
            process.onResize(calls.append)
            process.write(bytes(2 * WINDOW))

        self.open(ProgramSession(verbose, terminals=True))
        self.client.pauseProducing()
        self.agreed("exec", NS("x"))
        self.assertFalse(self.ended)
        self.refused("signal", NS("TERM"))
        self.refused("break", BreakRequest(0).pack())
        self.agreed("window-change", session.packRequest_window_change((1, 2, 3, 4)))
        self.assertEqual([], calls)
        self.client.resumeProducing()
        self.link.pump()
        self.assertEqual(2 * WINDOW, len(self.client.received))
        self.assertEqual(0, self.client.exitStatus)
        self.assertTrue(self.ended)


class InputTests(CoroutineTestCase):
    """
    The ways to take input.
    """

    def setUp(self) -> None:
        async def program(process: ProgramProcess) -> None:
            self.input = process.stdin
            await Deferred()

        self.run_(program)

    def test_read(self) -> None:
        first = self.input.read()
        self.assertNoResult(first)
        self.send(b"abcdef")
        self.assertEqual(b"abcdef", self.successResultOf(first))
        self.send(b"ghi")
        self.send(b"jkl")
        self.assertEqual(b"gh", self.successResultOf(self.input.read(2)))
        self.endInput()
        self.assertEqual(b"ijkl", self.successResultOf(self.input.read()))
        for _ in range(2):
            self.assertEqual(b"", self.successResultOf(self.input.read()))

    def test_readExactly(self) -> None:
        first = self.input.readExactly(5)
        self.send(b"abc")
        self.assertNoResult(first)
        self.send(b"defgh")
        self.assertEqual(b"abcde", self.successResultOf(first))
        self.assertEqual(b"", self.successResultOf(self.input.readExactly(0)))
        self.endInput()
        self.failureResultOf(self.input.readExactly(4), InputEnded)
        self.assertEqual(b"fgh", self.successResultOf(self.input.readExactly(3)))
        self.failureResultOf(self.input.readExactly(1), InputEnded)

    def test_readExactlyAcrossWindows(self) -> None:
        """
        As much as the program says, more than a window, too.
        """
        wanted = self.input.readExactly(3 * WINDOW)
        self.send(bytes(3 * WINDOW) + b"x")
        self.assertEqual(3 * WINDOW, len(self.successResultOf(wanted)))
        self.assertEqual(b"x", self.successResultOf(self.input.read()))

    def test_readLine(self) -> None:
        self.send(b"one\n\ntw")
        self.assertEqual(b"one\n", self.successResultOf(self.input.readLine()))
        self.assertEqual(b"\n", self.successResultOf(self.input.readLine()))
        second = self.input.readLine()
        self.assertNoResult(second)
        self.send(b"o\r\nrest")
        self.assertEqual(b"two\r\n", self.successResultOf(second))
        self.endInput()
        self.assertEqual(b"rest", self.successResultOf(self.input.readLine()))
        self.assertEqual(b"", self.successResultOf(self.input.readLine()))

    def test_longLines(self) -> None:
        longest = b"x" * (ProgramInput.maxLine - 1) + b"\n"
        self.send(longest)
        self.assertEqual(longest, self.successResultOf(self.input.readLine()))
        line = self.input.readLine()
        self.send(b"x" * (ProgramInput.maxLine - 1))
        self.assertNoResult(line)
        self.send(b"x" * WINDOW)
        self.failureResultOf(line, LineTooLong)
        self.failureResultOf(self.input.readLine(), LineTooLong)
        self.assertEqual(b"xxx", self.successResultOf(self.input.read(3)))

    def test_longLinesAreTheUsersMistake(self) -> None:
        async def program(process: ProgramProcess) -> None:
            await process.readLine()

        self.run_(program)
        self.send(b"x" * (ProgramInput.maxLine + 1))
        self.assertEqual(1, self.client.exitStatus)

    def test_oneAtATime(self) -> None:
        first = self.input.read()
        self.failureResultOf(self.input.readLine(), UsageError)
        self.send(b"x")
        self.assertEqual(b"x", self.successResultOf(first))

    def test_cancel(self) -> None:
        """
        Nothing is lost with a read that is cancelled.
        """
        line = self.input.readLine()
        self.send(b"begin")
        line.cancel()
        self.failureResultOf(line, CancelledError)
        self.send(b"ning\n")
        self.assertEqual(b"begi", self.successResultOf(self.input.read(4)))
        self.assertEqual(b"nning\n", self.successResultOf(self.input.readLine()))

    def test_early(self) -> None:
        """
        What came before the program is there, in its place.
        """

        async def program(process: ProgramProcess) -> None:
            await process.write(await process.readLine())
            await process.write(await process.read(4))

        self.open(ProgramSession(program))
        self.send(b"early\nbird")
        self.agreed("exec", NS("x"))
        self.assertEqual(b"early\nbird", self.client.received)


class FlowTests(CoroutineTestCase):
    """
    Nothing piles up.
    """

    def test_unread(self) -> None:
        """
        What the program does not take, the user does not get rid of.
        """

        async def program(process: ProgramProcess) -> None:
            self.process = process
            await Deferred()

        self.run_(program)
        self.send(bytes(3 * WINDOW))
        held = self.server._machine.incoming._held.size + len(self.process.stdin._buffer.unread)
        self.assertLessEqual(held, WINDOW + ProgramInput.maxAhead)
        self.assertLess(0, self.client._machine.outgoing.window.size)
        taken = 0
        while taken < 3 * WINDOW:
            reading = self.process.read()
            self.link.pump()
            taken += len(self.successResultOf(reading))
            self.assertLess(len(self.process.stdin._buffer.unread), ProgramInput.maxAhead + 32768)

    def test_unreadByTheUser(self) -> None:
        written = []

        async def endless(process: ProgramProcess) -> None:
            while True:
                await process.write(bytes(32768))
                written.append(32768)

        self.open(ProgramSession(endless))
        self.client.pauseProducing()
        self.agreed("exec", NS("x"))
        before = sum(written)
        self.assertLess(before, WINDOW + LIMIT + 65536)
        self.client.resumeProducing()
        self.link.pump(100)
        self.assertGreater(sum(written), before)
        self.client.abortConnection()
        self.link.pump()
        self.assertTrue(self.ended)

    def test_cancelledWrites(self) -> None:
        """
        A write that is not waited for any more is sent all the same.
        """

        async def program(process: ProgramProcess) -> None:
            self.process = process
            await Deferred()

        self.open(ProgramSession(program))
        self.client.pauseProducing()
        self.agreed("exec", NS("x"))
        writes = [self.process.write(bytes(WINDOW)) for _ in range(3)]
        self.link.pump()
        self.assertNoResult(writes[1])
        writes[1].cancel()
        self.failureResultOf(writes[1], CancelledError)
        self.client.resumeProducing()
        self.link.pump()
        self.successResultOf(writes[2])
        self.assertEqual(3 * WINDOW, len(self.client.received))


class GoneTests(CoroutineTestCase):
    """
    The user goes away, or says how it is to end.
    """

    def start(self) -> None:
        """
        Run a program that neither reads nor writes, but waits for something
        else; and tidies up.
        """
        self.log: list[object] = []
        self.waiting: Deferred[None] = Deferred()

        async def program(process: ProgramProcess) -> int | None:
            self.process = process
            try:
                await self.waiting
            except CancelledError:
                self.log.append("cancelled")
                raise
            finally:
                self.log.append("finally")
            return 5

        self.run_(program)

    def test_closes(self) -> None:
        """
        Also with input that nobody has read.
        """
        for unread in (b"", b"unread"):
            for name in ("abortConnection", "close", "lose"):
                self.start()
                self.send(unread)
                if name == "lose":
                    self.link.lose()
                elif name == "close":
                    self.conn.sendClose(self.client)
                else:
                    self.client.abortConnection()
                self.link.pump()
                self.assertEqual(["cancelled", "finally"], self.log, name)
                self.assertTrue(self.server._machine.outgoing.closed)
                self.assertFalse(self.server._machine.incoming.holds)
                self.assertEqual([], self.link.clock.getDelayedCalls())

    def test_nothingAfterwards(self) -> None:
        self.start()
        read = self.process.read()
        self.client.abortConnection()
        self.link.pump()
        for deferred in (
            read,
            self.process.readLine(),
            self.process.write(b"x"),
            self.process.stderr.write(b"x"),
        ):
            self.failureResultOf(deferred, ChannelClosed)

    def test_doesNotHear(self) -> None:
        """
        A program that will not be cancelled cannot go on for ever, if it
        writes at all.
        """

        async def stubborn(process: ProgramProcess) -> None:
            while True:
                try:
                    await process.write(bytes(32768))
                except CancelledError:
                    pass

        self.open(ProgramSession(stubborn))
        self.client.pauseProducing()
        self.agreed("exec", NS("x"))
        self.client.abortConnection()
        self.link.pump()
        self.assertEqual({}, self.link.server.service.channels)

    def test_failsAsItGoes(self) -> None:
        async def program(process: ProgramProcess) -> None:
            try:
                await Deferred()
            finally:
                raise ZeroDivisionError

        self.run_(program)
        self.client.abortConnection()
        self.link.pump()
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_endsTheConnection(self) -> None:
        """
        A program that throws its user out goes on to its own end.
        """
        log: list[object] = []

        async def program(process: ProgramProcess) -> None:
            await process.readLine()
            self.link.lose()
            log.append("goes on")
            await process.write(b"x")

        self.run_(program)
        with capturedLogs() as events:
            self.send(b"\n")
        self.assertEqual(["goes on"], log)
        self.assertEqual([], [event for event in events if event["log_level"] >= LogLevel.warn])

    def test_endsTheConnectionAtOnce(self) -> None:
        log: list[object] = []

        async def program(process: ProgramProcess) -> None:
            self.link.lose()
            log.append("goes on")
            await process.read()

        self.open(ProgramSession(program))
        self.request("exec", NS("x")).addErrback(log.append)
        with capturedLogs() as events:
            self.link.pump()
        self.assertIn("goes on", log)
        self.assertEqual([], [event for event in events if event["log_level"] >= LogLevel.warn])

    def test_startsTooLate(self) -> None:
        """
        A session that is closed before the program is there has none.
        """
        log: list[object] = []
        ready: Deferred[None] = Deferred()

        async def program(process: ProgramProcess) -> None:
            log.append("started")

        class Slow(ProgramSession):
            def execCommand(self, proto: Any, command: bytes) -> Any:
                return ready.addCallback(lambda _: ProgramSession.execCommand(self, proto, command))

        self.open(Slow(program))
        answer = self.request("exec", NS("x"))
        self.link.pump()
        self.client.abortConnection()
        self.link.pump()
        ready.callback(None)
        self.link.pump()
        self.failureResultOf(answer)
        self.assertEqual([], log)

    # Signals.

    def test_signal(self) -> None:
        for name in SignalName:
            self.start()
            self.agreed("signal", NS(name))
            self.assertEqual(["cancelled", "finally"], self.log)
            self.assertEqual(ExitSignal(name.encode(), False, b"", b""), self.client.exitSignal)
            self.assertTrue(self.ended)

    def test_ownEnd(self) -> None:
        """
        What a program makes of being cancelled is its own business.
        """

        async def program(process: ProgramProcess) -> int:
            try:
                await process.read()
            except CancelledError:
                await process.write(b"goodbye")
            return 4

        self.run_(program)
        self.agreed("signal", NS("INT"))
        self.assertEqual((b"goodbye", 4), (self.client.received, self.client.exitStatus))

    def test_kill(self) -> None:
        """
        Except that there is no defence.
        """
        signals: list[object] = []

        async def stubborn(process: ProgramProcess) -> None:
            process.onSignal(signals.append)
            while True:
                try:
                    await process.read()
                except CancelledError:
                    signals.append("cancelled")

        self.run_(stubborn)
        self.agreed("signal", NS("TERM"))
        self.assertFalse(self.ended)
        self.agreed("signal", NS("KILL"))
        self.assertEqual(["TERM", "cancelled"], signals)
        self.assertEqual(ExitSignal(b"KILL", False, b"", b""), self.client.exitSignal)
        self.assertTrue(self.ended)

    def test_caught(self) -> None:
        signals: list[SignalName] = []

        async def program(process: ProgramProcess) -> None:
            process.onSignal(signals.append)
            await process.readLine()
            process.onSignal(lambda name: 1 / 0)
            await process.readLine()
            process.onSignal(None)
            await process.readLine()

        self.run_(program)
        self.agreed("signal", NS("USR1"))
        self.assertEqual([SignalName.USR1], signals)
        self.assertIs(SignalName, type(signals[0]))
        self.send(b"\n")
        self.refused("signal", NS("USR1"))
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertFalse(self.ended)
        self.send(b"\n")
        self.agreed("signal", NS("USR1"))
        self.assertTrue(self.ended)


class SubsystemTests(CoroutineTestCase):
    def start(self, program: Callable[[ProgramProcess], Any]) -> None:
        self.open(ProgramSession({}, terminals=True))
        self.link.server.avatar.subsystemLookup[b"sub"] = program

    def test_runs(self) -> None:
        async def frames(process: ProgramProcess) -> int:
            while True:
                size = (await process.stdin.readExactly(1))[0]
                if not size:
                    return size
                await process.write(await process.stdin.readExactly(size))

        self.start(frames)
        self.agreed("subsystem", NS("sub"))
        self.send(b"\x03abc\x01x\x00")
        self.assertEqual((b"abcx", 0), (self.client.received, self.client.exitStatus))

    def test_attributes(self) -> None:
        async def program(process: ProgramProcess) -> int:
            self.process = process
            breaks: list[object] = []
            process.onBreak(breaks.append)
            process.onResize(breaks.append)
            await process.stdin.read()
            return len(breaks)

        self.start(program)
        self.agreed("env", NS("LC_ALL") + NS("C"))
        self.agreed("pty-req", session.packRequest_pty_req(b"vt100", (24, 80, 1, 2), b""))
        self.agreed("subsystem", NS("sub"))
        self.assertEqual(
            (b"sub", {b"LC_ALL": b"C"}, b"vt100"),
            (self.process.command, self.process.environment, self.process.terminal.term),
        )
        self.agreed("window-change", session.packRequest_window_change((1, 2, 3, 4)))
        self.agreed("break", BreakRequest(0).pack())
        self.endInput()
        self.assertEqual(2, self.client.exitStatus)

    def test_signal(self) -> None:
        async def program(process: ProgramProcess) -> None:
            await process.read()

        self.start(program)
        self.agreed("subsystem", NS("sub"))
        self.agreed("signal", NS("HUP"))
        self.assertEqual(b"HUP", self.client.exitSignal.signalName)

    def test_nothingSet(self) -> None:
        """
        Without any request before it.
        """

        async def program(process: ProgramProcess) -> None:
            self.process = process

        self.start(program)
        self.assertIsInstance(self.link.server.avatar, SessionUser)
        self.agreed("subsystem", NS("sub"))
        self.assertEqual({}, self.process.environment)
        self.assertEqual(0, self.client.exitStatus)
