"""
Whom a program asks about a host that is not known, and the simplest of those:
a terminal.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Protocol

from twisted.internet.defer import Deferred, maybeDeferred


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
        @return: fires with True for C{yes}, with False for C{no} and at the
            end of the input; fails where the terminal cannot be opened.
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
