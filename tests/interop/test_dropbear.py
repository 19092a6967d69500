"""
Dropbear: its server, and its client, dbclient.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from conchlite.ssh.keys import Key
from conchlite.wire.transport import KexInit
from tests.interop.account import ACCOUNT, makeAccount, withAccount
from tests.interop.cases import ClientMatrix, ClientPeer, ServerMatrix, ServerPeer
from tests.interop.daemon import Daemon
from tests.interop.matrix import CELLS, Cell, everyAlgorithm
from tests.interop.peers import LOCALHOST, Finished, freePort, hostKeys, program, run, writePrivateKey

# Dropbear 2022.83 takes no more than four host keys.
_FIFTH = b"ecdsa-sha2-nistp384"


async def _version(test, path: str) -> str:
    finished = await run(test, reactor, path, ["-V"])
    return re.match(rb"Dropbear v(\S+)", finished.output + finished.errors)[1].decode()


async def _convert(test, key: Key, path: Path) -> Path:
    """
    Write a key as Dropbear reads it.
    """
    source = path.with_suffix(".openssh")
    writePrivateKey(key, source)
    arguments = ["openssh", "dropbear", str(source), str(path)]
    finished = await run(test, reactor, program("dropbearconvert"), arguments)
    assert finished.status == 0, finished.errors
    return path


class Server(ServerPeer):
    """
    @ivar keys: the types of its host keys, of which it takes four.
    """

    name = "Dropbear"
    user = ACCOUNT

    def __init__(self, keys: Collection[bytes]) -> None:
        self.keys = keys

    async def version(self, test) -> str:
        return await _version(test, program("dropbear"))

    async def startServer(self, test, directory: Path) -> Daemon:
        makeAccount(directory)
        port = freePort()
        arguments = [program("dropbear"), "-F", "-E", "-m", "-s", "-p", f"{LOCALHOST}:{port}"]
        arguments += ["-P", str(directory / "pid")]
        for name in self.keys:
            path = await _convert(test, hostKeys()[name], directory / name.decode())
            arguments += ["-r", str(path)]
        daemon = Daemon(reactor, directory)
        return await daemon.start(withAccount(directory, arguments), port=port)


class Client(ClientPeer):
    name = "Dropbear"

    async def version(self, test) -> str:
        return await _version(test, program("dbclient"))

    async def runClient(self, test, port: int, key: Key, data: bytes, cell: Cell | None) -> Finished:
        directory = Path(test.mktemp()).absolute()
        directory.mkdir(parents=True)
        identity = await _convert(test, key, directory / "identity")
        # Twice: it accepts whatever host key there is, and does not write it down.
        arguments = ["-y", "-y", "-T", "-i", str(identity), "-p", str(port)]
        # dbclient 2022.83 looks for whether its last channel is gone before it
        # writes what waits for its standard output, and not again until
        # something comes. A keepalive after a second of silence is something.
        arguments += ["-K", "1", f"alice@{LOCALHOST}", "cat"]
        environment = {"HOME": str(directory)}
        return await run(test, reactor, program("dbclient"), arguments, data, environment)


@everyAlgorithm([cell for cell in CELLS if cell.forces("signatures") != _FIFTH])
class DropbearServerTests(ServerMatrix, TestCase):
    peer = Server([name for name in hostKeys() if name != _FIFTH])


@everyAlgorithm([cell for cell in CELLS if cell.forces("signatures") == _FIFTH])
class DropbearOtherKeyTests(ServerMatrix, TestCase):
    peer = Server([_FIFTH])


@everyAlgorithm()
class DropbearClientTests(ClientMatrix, TestCase):
    peer = Client()

    async def checkGuess(self, keyExchange: bytes, guessed: bool) -> None:
        cell = Cell("key exchange", keyExchange.decode(), (("keyExchanges", keyExchange),))
        await self.tryCell(cell, await self.offer())
        (transport,) = self.server.transports
        kexInit = KexInit.unpack(transport.otherKexInitPayload[1:])
        self.assertTrue(kexInit.firstKexPacketFollows)
        self.assertEqual(kexInit.kexAlgorithms[0] == keyExchange, guessed)

    def test_guess(self):
        """
        dbclient 2022.83 sends the first packet of the key exchange that it
        prefers at once, and when it guessed right that is taken.
        """
        return self.checkGuess(b"curve25519-sha256", True)

    def test_wrongGuess(self):
        """
        What it guessed wrong is dropped.
        """
        return self.checkGuess(b"ecdh-sha2-nistp256", False)
