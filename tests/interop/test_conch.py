"""
Twisted Conch: its server and its client, in processes of their own.
"""

from twisted.trial.unittest import TestCase

from tests.interop.cases import ClientMatrix, ServerMatrix
from tests.interop.matrix import everyAlgorithm
from tests.interop.programpeers import ProgramClient, ProgramServer, PythonProgram

PROGRAM = PythonProgram("Twisted Conch", "conch", "bcrypt", "appdirs")


@everyAlgorithm()
class ConchServerTests(ServerMatrix, TestCase):
    peer = ProgramServer(PROGRAM)


@everyAlgorithm()
class ConchClientTests(ClientMatrix, TestCase):
    peer = ProgramClient(PROGRAM)
