"""
Go's x/crypto/ssh: its server and its client, as the distribution packages it.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from tests.interop.cases import ClientMatrix, ServerMatrix
from tests.interop.matrix import CELLS, Cell, everyAlgorithm
from tests.interop.peers import missing, program, run
from tests.interop.programpeers import PROGRAMS, CompiledProgram, ProgramClient, ProgramServer

# Where Debian has the sources of libraries; nothing is downloaded.
_GOPATH = Path("/usr/share/gocode")
_PACKAGE = "golang-golang-x-crypto-dev"


class GoProgram(CompiledProgram):
    async def compile(self, test, directory: Path) -> Path:
        go = program("go")
        if not (_GOPATH / "src/golang.org/x/crypto/ssh").is_dir():
            raise missing(f"{_PACKAGE} is not installed")
        path = directory / "gossh"
        environment = {
            "HOME": str(directory),
            "GOCACHE": str(directory / "cache"),
            "GO111MODULE": "off",
            "GOPATH": str(_GOPATH),
            "GOFLAGS": "",
        }
        asked = await run(test, reactor, program("dpkg-query"), ["-W", "-f", "${Version}", _PACKAGE])
        # Neither the sources nor the program know the version.
        flags = f"-X main.version={asked.output.decode().removeprefix('1:').partition('-')[0]}"
        source = str(PROGRAMS / "gossh" / "main.go")
        arguments = ["build", "-ldflags", flags, "-o", str(path), source]
        built = await run(test, reactor, go, arguments, b"", environment)
        assert built.status == 0, built.errors
        return path


PROGRAM = GoProgram("Go x/crypto/ssh")

# In CBC mode x/crypto/ssh 0.4.0 computes the MAC over the plain text, even where
# it has agreed on an -etm MAC. What is not -etm works.
CBC = [
    Cell("cipher and MAC", f"{cipher} {mac}", (("ciphers", cipher.encode()), ("macs", mac.encode())))
    for cipher in ("aes128-cbc", "3des-cbc")
    for mac in ("hmac-sha2-256", "hmac-sha1")
]


@everyAlgorithm([*CELLS, *CBC])
class GoServerTests(ServerMatrix, TestCase):
    peer = ProgramServer(PROGRAM)


@everyAlgorithm([*CELLS, *CBC])
class GoClientTests(ClientMatrix, TestCase):
    peer = ProgramClient(PROGRAM)
