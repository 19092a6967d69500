"""
Tests for L{conchlite.client.terminal}.
"""

import os
import select
import signal
import termios

from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from conchlite.client.terminal import MAXIMUM_ANSWER_SIZE, Terminal
from conchlite.error import NoAnswer


class FakeReactor:
    """
    Knows its readers and its shutdown triggers.
    """

    def __init__(self) -> None:
        self.readers: list[object] = []
        self.triggers: list[object] = []

    def callFromThread(self, function: object) -> None:
        function()

    def addReader(self, reader: object) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: object) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def addSystemEventTrigger(self, phase: str, event: str, function: object) -> object:
        assert (phase, event) == ("before", "shutdown")
        self.triggers.append(function)
        return function

    def removeSystemEventTrigger(self, trigger: object) -> None:
        self.triggers.remove(trigger)


class TerminalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.keyboard, self.line = os.openpty()
        self.addCleanup(os.close, self.line)
        self.addCleanup(self.hangUp)
        os.set_blocking(self.keyboard, False)
        self.before = termios.tcgetattr(self.line)
        self.reactor = FakeReactor()
        self.terminal = Terminal(self.reactor, os.ttyname(self.line))

    def hangUp(self) -> None:
        if self.keyboard >= 0:
            os.close(self.keyboard)
            self.keyboard = -1

    def type(self, text: bytes) -> None:
        """
        Type a line, or Ctrl-D; the terminal hands it over in its own time.
        """
        os.write(self.keyboard, text)
        (reader,) = self.reactor.readers
        self.assertEqual(select.select([reader], [], [], 5)[0], [reader])
        reader.doRead()

    def assertShown(self, expected: bytes) -> None:
        shown = b""
        while len(shown) < len(expected) and select.select([self.keyboard], [], [], 5)[0]:
            shown += os.read(self.keyboard, 1024)
        self.assertEqual(shown, expected)

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.line)[3] & termios.ECHO)

    def assertRestored(self) -> None:
        """
        The terminal is as it was, and the reactor has nothing more to do with it.
        """
        self.assertEqual(termios.tcgetattr(self.line), self.before)
        self.assertEqual((self.reactor.readers, self.reactor.triggers), ([], []))
        self.assertIs(signal.getsignal(signal.SIGCONT), signal.SIG_DFL)

    def test_secret(self) -> None:
        d = self.terminal.ask("Password: ")
        self.assertFalse(self.echoes())
        self.assertNoResult(d)
        self.type(b"sesame open\n")
        self.assertEqual(self.successResultOf(d), b"sesame open")
        self.assertShown(b"Password: \r\n")
        self.assertRestored()

    def test_echo(self) -> None:
        d = self.terminal.ask("Who? ", echo=True)
        self.assertTrue(self.echoes())
        self.type(b"me\n")
        self.assertEqual(self.successResultOf(d), b"me")
        self.assertShown(b"Who? me\r\n")
        self.assertRestored()

    def test_oneAfterTheOther(self) -> None:
        first, second = self.terminal.ask("1: "), self.terminal.ask("2: ")
        self.assertShown(b"1: ")
        self.type(b"one\n")
        self.assertEqual(self.successResultOf(first), b"one")
        self.assertShown(b"\r\n2: ")
        self.type(b"two\n")
        self.assertEqual(self.successResultOf(second), b"two")
        self.assertRestored()

    def test_endOfFile(self) -> None:
        d = self.terminal.ask("Password: ")
        self.type(b"\x04")
        self.failureResultOf(d, NoAnswer)
        self.assertRestored()

    def test_nothingToRead(self) -> None:
        """
        A reader that is woken for nothing goes on waiting.
        """
        d = self.terminal.ask("Password: ")
        self.reactor.readers[0].doRead()
        self.assertNoResult(d)
        self.type(b"x\n")
        self.assertEqual(self.successResultOf(d), b"x")

    def test_continued(self) -> None:
        """
        When the program goes on after Ctrl-Z, and the shell has set the
        terminal in between, it is asked anew, and what was typed is hidden.
        """
        d = self.terminal.ask("Password: ")
        self.assertShown(b"Password: ")
        termios.tcsetattr(self.line, termios.TCSANOW, self.before)
        signal.raise_signal(signal.SIGCONT)
        self.assertFalse(self.echoes())
        self.assertShown(b"Password: ")
        self.type(b"sesame\n")
        self.assertEqual(self.successResultOf(d), b"sesame")
        self.assertRestored()

    def test_continuedInBackground(self) -> None:
        """
        A program that goes on in the background leaves the terminal alone.
        """
        d = self.terminal.ask("Password: ")
        self.patch(os, "tcgetpgrp", lambda descriptor: os.getpgrp() + 1)
        termios.tcsetattr(self.line, termios.TCSANOW, self.before)
        signal.raise_signal(signal.SIGCONT)
        self.assertTrue(self.echoes())
        self.type(b"x\n")
        self.assertEqual(self.successResultOf(d), b"x")
        self.assertRestored()

    def test_continuedAndGone(self) -> None:
        d = self.terminal.ask("Password: ")
        self.hangUp()
        signal.raise_signal(signal.SIGCONT)
        self.failureResultOf(d, NoAnswer)

    def test_othersHandler(self) -> None:
        """
        A program that watches the signal itself goes on to do so.
        """

        def handler(number: int, frame: object) -> None:
            """
            The program's own.
            """

        signal.signal(signal.SIGCONT, handler)
        self.addCleanup(signal.signal, signal.SIGCONT, signal.SIG_DFL)
        d = self.terminal.ask("Password: ")
        self.type(b"x\n")
        self.assertEqual(self.successResultOf(d), b"x")
        self.assertIs(signal.getsignal(signal.SIGCONT), handler)

    def test_cancel(self) -> None:
        d = self.terminal.ask("Password: ")
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertRestored()

    def test_shutdown(self) -> None:
        d = self.terminal.ask("Password: ")
        (trigger,) = self.reactor.triggers
        self.reactor.removeSystemEventTrigger(trigger)
        trigger()
        self.failureResultOf(d, NoAnswer)
        self.assertRestored()

    def test_connectionLost(self) -> None:
        """
        A reactor that throws the descriptor out, as it does when the line
        hangs up, is no answer.
        """
        d = self.terminal.ask("Password: ")
        self.reactor.readers[0].connectionLost(Failure(ConnectionLost()))
        self.assertIn("gone", str(self.failureResultOf(d, NoAnswer).value))
        self.assertRestored()

    def test_hangUp(self) -> None:
        d = self.terminal.ask("Password: ")
        self.hangUp()
        self.reactor.readers[0].doRead()
        self.failureResultOf(d, NoAnswer)
        self.assertEqual((self.reactor.readers, self.reactor.triggers), ([], []))

    def test_tooLong(self) -> None:
        d = self.terminal.ask("Password: ")
        self.type(b"x" * MAXIMUM_ANSWER_SIZE + b"\n")
        self.assertIn(str(MAXIMUM_ANSWER_SIZE), str(self.failureResultOf(d, NoAnswer).value))
        self.assertRestored()

    def test_noTerminal(self) -> None:
        missing = Terminal(self.reactor, self.mktemp())
        self.assertFalse(missing.isThere())
        self.failureResultOf(missing.ask("Password: "), NoAnswer)
        self.assertTrue(self.terminal.isThere())

    def test_notATerminal(self) -> None:
        d = Terminal(self.reactor, os.devnull).ask("Password: ")
        self.failureResultOf(d, NoAnswer)
        self.assertEqual((self.reactor.readers, self.reactor.triggers), ([], []))
