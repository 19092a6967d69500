"""
Other implementations, where the network is at its worst: all arrives in small
pieces, and keys are exchanged anew again and again while data goes both ways.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from conchlite.ssh.keys import Key
from tests.interop import (
    test_asyncssh,
    test_conch,
    test_dropbear,
    test_erlang,
    test_go,
    test_libssh,
    test_libssh2,
    test_openssh_server,
    test_paramiko,
    test_putty,
)
from tests.interop.cases import ClientMatrix, ClientPeer, ServerMatrix
from tests.interop.matrix import DATA, Cell, checkEcho, sha256
from tests.interop.peers import SSH, SSHD, Finished
from tests.interop.programpeers import ProgramClient, ProgramServer
from tests.interop.relay import Relay

#: What goes through the relay byte by byte, and in somewhat larger pieces.
LITTLE = DATA[:2048]
SOME = DATA[: 48 * 1024]

#: What goes both ways while keys are exchanged anew, and after how many bytes
#: the peer does that. We begin after half as many, where we are to begin.
MUCH = DATA * 4
DISTANCE = 512 * 1024

# How many exchanges there are then, the first one included, at least: a peer
# with a large window may have sent most of it before it notices.
REEXCHANGED = 2


def single() -> int:
    return 1


def upTo16() -> Callable[[], int]:
    """
    Sizes that look random, and are the same each time.
    """
    generator = random.Random("pieces")
    return lambda: generator.randint(1, 16)


class Faults:
    """
    What is tried with servers and with clients.
    """

    def check(self, data: bytes, exchanges: int = 1, **attributes) -> Coroutine[Any, Any, None]:
        """
        Send through C{cat}.

        @param exchanges: how many exchanges of keys there are at least.
        @param attributes: what our transport gets.
        """
        raise NotImplementedError

    def checkPieces(self, data: bytes, pieces: Callable[[], int], least: int) -> Coroutine[Any, Any, None]:
        """
        The same through a relay.

        @param pieces: the sizes of the pieces.
        @param least: how many pieces there are more than.
        """
        raise NotImplementedError

    def test_bytes(self):
        return self.checkPieces(LITTLE, single, 2 * len(LITTLE))

    def test_pieces(self):
        return self.checkPieces(SOME, upTo16(), 2 * len(SOME) // 16)

    def test_ourExchanges(self):
        """
        We begin them.
        """
        return self.check(MUCH, REEXCHANGED, rekeyBytes=DISTANCE // 2)


class ServerFaults(Faults, ServerMatrix):
    """
    A peer's server and our client.
    """

    # What the relay asks for the sizes, if there is to be one.
    pieces: Callable[[], int] | None = None

    async def serverPort(self) -> int:
        return await super().port()

    async def port(self) -> int:
        port = await self.serverPort()
        if self.pieces is None:
            return port
        self.relay = Relay.start(self, reactor, port, self.pieces)
        return self.relay.port

    async def check(self, data: bytes, exchanges: int = 1, **attributes) -> None:
        client = await self.connect(allowTerrapin=True, **attributes)
        await client.ready
        checkEcho(self, await client.run(self.peer.command, data), data)
        self.assertEqual(client.lost, [])
        await client.close()
        self.assertGreaterEqual(client.exchanges, exchanges)

    async def checkPieces(self, data: bytes, pieces: Callable[[], int], least: int) -> None:
        self.pieces = pieces
        await self.check(data)
        self.assertGreater(self.relay.pieces, least)


class ClientFaults(Faults, ClientMatrix):
    """
    A peer's client and our server.
    """

    async def check(self, data: bytes, exchanges: int = 1, pieces=None, **attributes) -> None:
        server = self.serve(allowTerrapin=True, **attributes)
        port = server.port
        if pieces is not None:
            self.relay = Relay.start(self, reactor, port, pieces)
            port = self.relay.port
        finished = await self.peer.runClient(self, port, self.userKey(None), data, None)
        ends = [str(transport.closeReason and transport.closeReason.value) for transport in server.transports]
        self.assertEqual(finished.status, 0, f"{finished.errors!r}; at our end: {ends}")
        self.assertEqual(sha256(finished.output), sha256(data))
        await server.ended()
        (transport,) = server.transports
        self.assertGreaterEqual(transport.exchanges, exchanges)

    async def checkPieces(self, data: bytes, pieces: Callable[[], int], least: int) -> None:
        await self.check(data, pieces=pieces)
        self.assertGreater(self.relay.pieces, least)


class TheirExchanges:
    """
    The peer begins exchanges, too.
    """

    def test_theirExchanges(self):
        return self.check(MUCH, REEXCHANGED)


class OpenSSHServerTests(TheirExchanges, ServerFaults, TestCase):
    peer = test_openssh_server.MatrixTests.peer

    async def serverPort(self) -> int:
        return (await SSHD.start(self, reactor, RekeyLimit=str(2 * DISTANCE))).port


class _OpenSSH(ClientPeer):
    async def runClient(self, test, port: int, key: Key, data: bytes, cell: Cell | None) -> Finished:
        return await SSH(test, reactor, port).run("cat", data, key=key, RekeyLimit=str(2 * DISTANCE))


class OpenSSHClientTests(TheirExchanges, ClientFaults, TestCase):
    peer = _OpenSSH()


# Dropbear, dbclient and plink exchange keys after a GiB, and no option of theirs
# says that they should do it earlier.


class DropbearServerTests(ServerFaults, TestCase):
    peer = test_dropbear.DropbearServerTests.peer


class DropbearClientTests(ClientFaults, TestCase):
    peer = test_dropbear.DropbearClientTests.peer


class PuTTYClientTests(ClientFaults, TestCase):
    peer = test_putty.PuTTYClientTests.peer


# Twisted Conch and libssh2 begin none.


class ConchServerTests(ServerFaults, TestCase):
    peer = ProgramServer(test_conch.PROGRAM)


class ConchClientTests(ClientFaults, TestCase):
    peer = ProgramClient(test_conch.PROGRAM)


class LibSSH2ClientTests(ClientFaults, TestCase):
    peer = ProgramClient(test_libssh2.PROGRAM)


# Erlang's ssh 4.15.2 looks once a minute whether it has to begin one.


class ErlangServerTests(ServerFaults, TestCase):
    peer = ProgramServer(test_erlang.PROGRAM)


class ErlangClientTests(ClientFaults, TestCase):
    peer = ProgramClient(test_erlang.PROGRAM)


_OFTEN = {"REKEY_BYTES": str(DISTANCE)}


class AsyncSSHServerTests(TheirExchanges, ServerFaults, TestCase):
    peer = ProgramServer(test_asyncssh.PROGRAM, _OFTEN)


class AsyncSSHClientTests(TheirExchanges, ClientFaults, TestCase):
    peer = ProgramClient(test_asyncssh.PROGRAM, _OFTEN)


class ParamikoServerTests(TheirExchanges, ServerFaults, TestCase):
    peer = ProgramServer(test_paramiko.PROGRAM, _OFTEN)


class ParamikoClientTests(TheirExchanges, ClientFaults, TestCase):
    peer = ProgramClient(test_paramiko.PROGRAM, _OFTEN)


class LibsshServerTests(TheirExchanges, ServerFaults, TestCase):
    peer = ProgramServer(test_libssh.PROGRAM, _OFTEN)


class LibsshClientTests(TheirExchanges, ClientFaults, TestCase):
    peer = ProgramClient(test_libssh.PROGRAM, _OFTEN)


class GoServerTests(TheirExchanges, ServerFaults, TestCase):
    peer = ProgramServer(test_go.PROGRAM, _OFTEN)


class GoClientTests(TheirExchanges, ClientFaults, TestCase):
    peer = ProgramClient(test_go.PROGRAM, _OFTEN)
