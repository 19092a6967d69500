"""
Erlang's ssh: its server and its client.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import TestCase

from tests.interop.cases import ClientMatrix, ServerMatrix
from tests.interop.matrix import everyAlgorithm
from tests.interop.peers import program
from tests.interop.programpeers import PROGRAMS, Program, ProgramClient, ProgramServer


class ErlangProgram(Program):
    async def command(self, test, role: str) -> Sequence[str]:
        return [program("escript"), str(PROGRAMS / "erlang_ssh.escript"), role]


PROGRAM = ErlangProgram("Erlang ssh")


@everyAlgorithm()
class ErlangServerTests(ServerMatrix, TestCase):
    peer = ProgramServer(PROGRAM)


@everyAlgorithm()
class ErlangClientTests(ClientMatrix, TestCase):
    peer = ProgramClient(PROGRAM)
