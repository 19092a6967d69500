"""
Tests for L{conchlite.client.consoleui}; those of C{ConsoleUI} are with the
known hosts.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from conchlite.client.consoleui import TerminalUI
from conchlite.error import NoAnswer


class FakeTerminal:
    """
    Remembers the questions, and whether what is typed was to be shown.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, bool]] = []
        self.answer: Deferred[bytes] = Deferred()

    def ask(self, prompt: str, echo: bool = False) -> Deferred[bytes]:
        self.asked.append((prompt, echo))
        self.answer = Deferred()
        return self.answer


class TerminalUITests(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = FakeTerminal()
        self.ui = TerminalUI(self.terminal)

    def test_answers(self) -> None:
        for typed, expected in ((b"yes", True), (b" NO ", False)):
            d = self.ui.prompt(b"well? ")
            self.assertNoResult(d)
            self.assertEqual(self.terminal.asked[-1], ("well? ", True))
            self.terminal.answer.callback(typed)
            self.assertIs(self.successResultOf(d), expected)

    def test_askedAgain(self) -> None:
        """
        Neither a mere return nor a y is an answer.
        """
        d = self.ui.prompt(b"well? ")
        for typed in (b"", b"y", b"yes"):
            self.assertNoResult(d)
            self.terminal.answer.callback(typed)
        self.assertTrue(self.successResultOf(d))
        self.assertEqual([prompt for prompt, _ in self.terminal.asked[1:]], ["Please type yes or no: "] * 2)

    def test_warnings(self) -> None:
        """
        What is to be told stands before the next question, once.
        """
        self.ui.warn(b"look out\n")
        self.ui.prompt(b"well? ")
        self.ui.prompt(b"well? ")
        self.assertEqual([prompt for prompt, _ in self.terminal.asked], ["look out\nwell? ", "well? "])

    def test_nobody(self) -> None:
        self.patch(self.terminal, "ask", lambda prompt, echo: fail(NoAnswer("no terminal")))
        self.failureResultOf(self.ui.prompt(b"well? "), NoAnswer)

    def test_cancel(self) -> None:
        d = self.ui.prompt(b"well? ")
        d.cancel()
        self.failureResultOf(d, CancelledError)
        self.assertTrue(self.terminal.answer.called)
