"""
Exit statuses other than 0, to and from other implementations.
"""

from __future__ import annotations

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from tests.interop import (
    test_asyncssh,
    test_conch,
    test_erlang,
    test_go,
    test_libssh,
    test_libssh2,
    test_paramiko,
)
from tests.interop.cases import ClientMatrix, ServerMatrix
from tests.interop.ours import processes
from tests.interop.programpeers import ProgramClient, ProgramServer


class ServerStatus(ServerMatrix):
    async def test_exitStatus(self):
        client = await self.connect(allowTerrapin=True)
        await client.ready
        command = await client.run("exit 3", b"which it does not want")
        self.assertEqual((command.status, command.signal, command.output), (3, None, b""))


class ClientStatus(ClientMatrix):
    async def test_exitStatus(self):
        server = self.serve(allowTerrapin=True, openSession=processes(self, reactor))
        key = self.userKey(None)
        finished = await self.peer.runCommand(self, server.port, key, "cat; exit 3", b"on its way")
        self.assertEqual((finished.status, finished.output, finished.errors), (3, b"on its way", b""))
        await server.ended()


class AsyncSSHServerTests(ServerStatus, TestCase):
    peer = ProgramServer(test_asyncssh.PROGRAM)


class AsyncSSHClientTests(ClientStatus, TestCase):
    peer = ProgramClient(test_asyncssh.PROGRAM)


class ParamikoServerTests(ServerStatus, TestCase):
    peer = ProgramServer(test_paramiko.PROGRAM)


class ParamikoClientTests(ClientStatus, TestCase):
    peer = ProgramClient(test_paramiko.PROGRAM)


class ConchServerTests(ServerStatus, TestCase):
    peer = ProgramServer(test_conch.PROGRAM)


class ConchClientTests(ClientStatus, TestCase):
    peer = ProgramClient(test_conch.PROGRAM)


class LibsshServerTests(ServerStatus, TestCase):
    peer = ProgramServer(test_libssh.PROGRAM)


class LibsshClientTests(ClientStatus, TestCase):
    peer = ProgramClient(test_libssh.PROGRAM)


class LibSSH2ClientTests(ClientStatus, TestCase):
    peer = ProgramClient(test_libssh2.PROGRAM)


class ErlangServerTests(ServerStatus, TestCase):
    peer = ProgramServer(test_erlang.PROGRAM)


class ErlangClientTests(ClientStatus, TestCase):
    peer = ProgramClient(test_erlang.PROGRAM)


class GoServerTests(ServerStatus, TestCase):
    peer = ProgramServer(test_go.PROGRAM)


class GoClientTests(ClientStatus, TestCase):
    peer = ProgramClient(test_go.PROGRAM)
