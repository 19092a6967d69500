"""
Programs that are coroutines, as commands, shells and subsystems.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from zope.interface.verify import verifyObject

from conchlite.avatar import SessionUser
from conchlite.error import (
    AgentError,
    InputEnded,
    LineTooLong,
    UsageError,
)
from conchlite.interfaces import (
    ISession,
    ISessionBreak,
    ISessionEnvironment,
    ISessionSetEnv,
    ISessionSignal,
    ISessionWindow,
    Terminal,
    TerminalSize,
)
from conchlite.ssh import session
from conchlite.ssh.common import NS
from conchlite.ssh.coroutineprogram import CoroutineProgram
from conchlite.ssh.programprocess import ProgramInput, ProgramProcess
from conchlite.ssh.programs import ProgramSession
from conchlite.wire.connection import BreakRequest, XonXoff
from tests.ssh.coroutines import LIMIT, WINDOW, CoroutineTestCase
from tests.ssh.sessions import Memorising


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
