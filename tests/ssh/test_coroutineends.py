"""
How programs that are coroutines end, by themselves and with their user.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import LogLevel, capturedLogs

from conchlite.error import (
    BadKeyError,
    ChannelClosed,
    UsageError,
)
from conchlite.interfaces import (
    ExitedBySignal,
    SignalName,
)
from conchlite.ssh import session
from conchlite.ssh.common import NS
from conchlite.ssh.programprocess import ProgramProcess
from conchlite.ssh.programs import ProgramSession
from conchlite.wire.connection import BreakRequest, ExitSignal
from tests.ssh.coroutines import WINDOW, CoroutineTestCase


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
