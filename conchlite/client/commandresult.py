"""
How a command ended, and what it wrote.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from conchlite.error import CommandFailed, safe
from conchlite.interfaces import ExitedBySignal

_Exit = TypeVar("_Exit", bound="CommandExit")

# How much of what it wrote to standard error an error shows.
_TAIL = 512


@dataclass(frozen=True)
class CommandExit:
    """
    How a command ended.

    @ivar command: the command; the name of a subsystem; nothing for a shell.
    @ivar exitStatus: its exit status; L{None} if it was ended by a signal, or
        if the server did not tell how it ended.
    @ivar exitSignal: the signal that ended it, or L{None}.
    """

    command: bytes
    exitStatus: int | None
    exitSignal: ExitedBySignal | None

    @property
    def succeeded(self) -> bool:
        """
        Whether the server has said that the exit status is 0. A command of
        which nobody knows how it ended has not succeeded.
        """
        return self.exitStatus == 0 and self.exitSignal is None

    def check(self: _Exit) -> _Exit:
        """
        @return: this, if the command succeeded.
        @raise CommandFailed: it did not.
        """
        if not self.succeeded:
            raise CommandFailed(f"{self._name()} {self._how()}{self._said()}", self)
        return self

    def _name(self) -> str:
        return f"'{safe(self.command)}'" if self.command else "the shell"

    def _how(self) -> str:
        if self.exitSignal is not None:
            return f"was ended by {self.exitSignal}"
        if self.exitStatus is not None:
            return f"ended with status {self.exitStatus}"
        return "ended, and the server did not say how"

    def _said(self) -> str:
        return ""


@dataclass(frozen=True)
class CommandResult(CommandExit):
    """
    How a command ended, and what it wrote.

    @ivar stdout: its standard output.
    @ivar stderr: its standard error.
    """

    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def text(self) -> str:
        """
        The standard output as text: UTF-8, with U+FFFD for what is none.
        """
        return self.stdout.decode("utf-8", "replace")

    @property
    def lines(self) -> list[str]:
        """
        The lines of C{text}, without their ends.
        """
        return self.text.splitlines()

    def _said(self) -> str:
        # What it said last says most.
        tail = self.stderr.strip()[-_TAIL:].decode("utf-8", "replace")
        return f": {safe(tail, _TAIL)}" if tail else ""
