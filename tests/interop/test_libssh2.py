"""
libssh2, which is a client only, by ssh2-python.
"""

from twisted.trial.unittest import TestCase

from tests.interop.cases import ClientMatrix
from tests.interop.matrix import everyAlgorithm
from tests.interop.programpeers import ProgramClient, PythonProgram

PROGRAM = PythonProgram("libssh2", "ssh2", "ssh2")


@everyAlgorithm()
class LibSSH2ClientTests(ClientMatrix, TestCase):
    peer = ProgramClient(PROGRAM)
