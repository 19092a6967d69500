"""
A session that runs a coroutine, and its user.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from conchlite.ssh.common import NS
from conchlite.ssh.programprocess import ProgramProcess
from conchlite.ssh.programs import ProgramSession
from tests.ssh.sessions import SessionTestCase

#: The channel's window, and what may wait to be sent before a writer waits.
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
