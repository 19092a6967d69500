"""
libssh: a server and a client of its library.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from conchlite.ssh.keys import Key
from tests.interop.cases import ClientMatrix, ServerMatrix
from tests.interop.matrix import CELLS, Cell, everyAlgorithm
from tests.interop.peers import missing, program, run
from tests.interop.programpeers import PROGRAMS, CompiledProgram, ProgramClient, ProgramServer

_HEADER = Path("/usr/include/libssh/server.h")


class LibsshProgram(CompiledProgram):
    async def compile(self, test, directory: Path) -> Path:
        compiler = program("cc")
        if not _HEADER.exists():
            raise missing("libssh-dev is not installed")
        path = directory / "libssh_peer"
        # What is deprecated in its server is the short way to write one.
        arguments = ["-Wall", "-Werror", "-Wno-deprecated-declarations", "-O1"]
        arguments += ["-o", str(path), str(PROGRAMS / "libssh_peer.c"), "-lssh"]
        compiled = await run(test, reactor, compiler, arguments)
        assert compiled.status == 0, compiled.errors.decode()
        return path


PROGRAM = LibsshProgram("libssh")


# Of ECDSA keys it takes one.
_ECDSA = (b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp521")


class LibsshServer(ProgramServer):
    """
    @ivar ecdsa: the type of its ECDSA key.
    """

    def __init__(self, ecdsa: bytes) -> None:
        super().__init__(PROGRAM)
        self.ecdsa = ecdsa

    def hostKeys(self) -> Mapping[bytes, Key]:
        return {name: key for name, key in super().hostKeys().items() if name not in {*_ECDSA} - {self.ecdsa}}


def _forHostKey(name: bytes) -> list[Cell]:
    return [cell for cell in CELLS if cell.forces("signatures") == name]


@everyAlgorithm([cell for cell in CELLS if cell.forces("signatures") not in _ECDSA[1:]])
class LibsshServerTests(ServerMatrix, TestCase):
    peer = LibsshServer(_ECDSA[0])


@everyAlgorithm(_forHostKey(_ECDSA[1]))
class LibsshNISTP384Tests(ServerMatrix, TestCase):
    peer = LibsshServer(_ECDSA[1])


@everyAlgorithm(_forHostKey(_ECDSA[2]))
class LibsshNISTP521Tests(ServerMatrix, TestCase):
    peer = LibsshServer(_ECDSA[2])


@everyAlgorithm()
class LibsshClientTests(ClientMatrix, TestCase):
    peer = ProgramClient(PROGRAM)


class LibsshDefaultsTests(ClientMatrix, TestCase):
    peer = ProgramClient(PROGRAM, {"DEFAULTS_ONLY": "1"})

    async def test_emptyName(self):
        """
        What libssh 0.10.6 offers by default ends its list of ciphers with a
        comma: the empty name is passed over.
        """
        await self.offer()
        (transport,) = self.probed.transports
        self.assertIn(b"aes128-ctr,\0\0", transport.otherKexInitPayload)
        self.assertTrue(transport.isAuthenticated)
