"""
AsyncSSH: its server and its client.
"""

from twisted.trial.unittest import TestCase

from tests.interop.cases import ClientMatrix, ServerMatrix
from tests.interop.matrix import everyAlgorithm
from tests.interop.programpeers import ProgramClient, ProgramServer, PythonProgram

PROGRAM = PythonProgram("AsyncSSH", "asyncssh", "asyncssh")


@everyAlgorithm()
class AsyncSSHServerTests(ServerMatrix, TestCase):
    peer = ProgramServer(PROGRAM)


@everyAlgorithm()
class AsyncSSHClientTests(ClientMatrix, TestCase):
    peer = ProgramClient(PROGRAM)
