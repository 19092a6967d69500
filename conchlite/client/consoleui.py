"""
Whom a program asks about a host that is not known, and the simplest of those:
a terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Protocol

from twisted.internet.defer import Deferred, maybeDeferred

from conchlite.client.terminal import Terminal


class UserInterface(Protocol):
    """
    Whom L{KnownHostsFile.verifyHostKey} asks.
    """

    def prompt(self, text: bytes) -> Deferred[bool]:
        """
        Ask a question that has yes or no for an answer.
        """

    def warn(self, text: bytes) -> None:
        """
        Tell something.
        """


class ConsoleUI:
    """
    Asks on a terminal. It waits for the answer: for a program whose reactor
    may wait, see L{conchlite.client.terminal} for one that may not.
    """

    def __init__(self, opener: Callable[[], IO[bytes]]) -> None:
        """
        @param opener: opens the terminal, for reading and writing, in binary.
        """
        self.opener = opener

    def prompt(self, text: bytes) -> Deferred[bool]:
        """
        @return: fires with True for C{yes}, with False for C{no}, for nothing
            and at the end of the input; fails where the terminal cannot be
            opened.
        """
        return maybeDeferred(self._prompt, text)

    def _prompt(self, text: bytes) -> bool:
        with self.opener() as terminal:
            terminal.write(text)
            while True:
                terminal.flush()
                answer = terminal.readline().strip().lower()
                if answer in (b"yes", b"no", b""):
                    return answer == b"yes"
                terminal.write(b"Please type yes or no: ")

    def warn(self, text: bytes) -> None:
        """
        Print C{text}, where there is a terminal.
        """
        try:
            with self.opener() as terminal:
                terminal.write(text)
        except OSError:
            # Without a terminal there is nobody to warn.
            pass


class TerminalUI:
    """
    Asks on a terminal, and the reactor runs meanwhile.
    """

    def __init__(self, terminal: Terminal) -> None:
        """
        @param terminal: where to ask.
        """
        self._terminal = terminal
        self._warnings = ""

    def prompt(self, text: bytes) -> Deferred[bool]:
        """
        @return: fires with True for C{yes}, and with False for C{no}; fails
            with L{NoAnswer} where nobody answers. Cancelling it takes the
            question back.
        """
        warnings, self._warnings = self._warnings, ""
        return Deferred.fromCoroutine(self._prompt(warnings + text.decode("utf-8", "replace")))

    async def _prompt(self, text: str) -> bool:
        while True:
            answer = (await self._terminal.ask(text, echo=True)).strip().lower()
            if answer in (b"yes", b"no"):
                return answer == b"yes"
            text = "Please type yes or no: "

    def warn(self, text: bytes) -> None:
        """
        Print C{text} with the next question.
        """
        self._warnings += text.decode("utf-8", "replace")
