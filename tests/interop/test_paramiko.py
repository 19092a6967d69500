"""
Paramiko: its server and its client.
"""

from twisted.trial.unittest import TestCase

from tests.interop.cases import ClientMatrix, ServerMatrix
from tests.interop.matrix import everyAlgorithm
from tests.interop.programpeers import ProgramClient, ProgramServer, PythonProgram

PROGRAM = PythonProgram("Paramiko", "paramiko", "paramiko")


@everyAlgorithm()
class ParamikoServerTests(ServerMatrix, TestCase):
    peer = ProgramServer(PROGRAM)


@everyAlgorithm()
class ParamikoClientTests(ClientMatrix, TestCase):
    peer = ProgramClient(PROGRAM)
