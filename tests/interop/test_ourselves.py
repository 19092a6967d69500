"""
Our client and our server, over TCP.
"""

from __future__ import annotations

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from conchlite import __version__
from conchlite.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from conchlite.error import AuthenticationFailed, ConnectionEnded, Disconnected
from conchlite.ssh.keys import Key
from conchlite.wire.numbers import DISCONNECT_CONNECTION_LOST
from tests.interop.cases import Matrix, Peer, canServe
from tests.interop.matrix import (
    CELLS,
    DATA,
    EVERYTHING,
    MEBIBYTE,
    PAIRS,
    Cell,
    checkEcho,
    everyAlgorithm,
    sha256,
)
from tests.interop.ours import Client, Command, Login, Server, exchangeKeys, processes
from tests.interop.peers import userKeys


class OurselvesTestCase(TestCase):
    timeout = 60

    async def close(self, server: Server, client: Client) -> None:
        """
        Close the connection: both sides know why it ended.
        """
        reason = await client.close()
        await server.ended()
        (transport,) = server.transports
        for error in (reason, transport.closeReason.value):
            self.assertIsInstance(error, Disconnected)
            self.assertEqual(error.reason, DISCONNECT_CONNECTION_LOST)
        self.assertEqual((client.verified, client.secured), (1, 1))


class _Ourselves(Peer):
    name = "conchlite"

    async def version(self, test) -> str:
        return __version__


@everyAlgorithm((*CELLS, *PAIRS))
class MatrixTests(Matrix, OurselvesTestCase):
    role = "both"
    peer = _Ourselves()

    async def tryAlgorithms(self, cell: Cell) -> str | None:
        self.learnt().version = await self.peer.version(self)
        key = self.userKey(cell)
        if key is None or not canServe(cell):
            return "-"
        server = Server.start(self, reactor, EVERYTHING, acceptedSignatures=EVERYTHING.signatures)
        login = Login("alice", key, algorithms=cell.algorithms, userSignatures=cell.userSignatures)
        client = await Client.logIn(self, reactor, server.port, login)
        cell.check(self, client.transport)
        cell.check(self, server.transports[0])
        command = await client.run("cat", DATA)
        checkEcho(self, command)
        await self.close(server, client)
        self.assertEqual(command.closes, 1)
        return None


class CommandTests(OurselvesTestCase):
    """
    What a process of the server says and how it ends reaches the client.
    """

    async def runProcess(self, command: str, data: bytes = b"") -> Command:
        server = Server.start(self, reactor, openSession=processes(self, reactor))
        client = await Client.logIn(self, reactor, server.port, Login("alice"))
        finished = await client.run(command, data)
        await self.close(server, client)
        self.assertEqual((finished.eofs, finished.closes, finished.refusal), (1, 1, None))
        return finished

    async def test_cat(self):
        checkEcho(self, await self.runProcess("cat", DATA))

    async def test_exitStatus(self):
        command = await self.runProcess("cat; exit 7", b"before the end")
        self.assertEqual((command.status, command.signal, command.output), (7, None, b"before the end"))

    async def test_exitSignal(self):
        command = await self.runProcess("kill -TERM $$")
        self.assertEqual((command.status, command.signal), (None, b"TERM"))

    async def test_standardError(self):
        command = await self.runProcess("tee /dev/stderr", DATA)
        self.assertEqual((sha256(command.output), sha256(command.errors)), (sha256(DATA), sha256(DATA)))
        self.assertEqual(command.status, 0)


class LoginTests(OurselvesTestCase):
    async def logIn(self, **login) -> Client:
        passwords = InMemoryUsernamePasswordDatabaseDontUse(alice=b"correct horse")
        keys = SSHPublicKeyChecker(InMemorySSHKeyDB({"alice": list(userKeys().values())}))
        server = Server.start(self, reactor, checkers=[keys, passwords])
        return await Client.connect(self, reactor, server.port, Login("alice", **login))

    async def test_keys(self):
        for key in userKeys().values():
            client = await self.logIn(key=key)
            await client.ready
            self.assertEqual(client.userAuth.lastAuth, b"publickey")

    async def test_password(self):
        client = await self.logIn(key=Key.generate(), password="correct horse")
        await client.ready
        self.assertEqual(client.userAuth.lastAuth, b"password")

    async def test_nobody(self):
        client = await self.logIn(key=Key.generate(), password=None)
        error = await self.assertFailure(client.ready, AuthenticationFailed)
        self.assertEqual(client.lost, [error])
        self.assertEqual(set(error.methods), {b"publickey", b"password"})


class ReexchangeTests(OurselvesTestCase):
    data = DATA * 8

    async def check(self, begins) -> None:
        """
        Exchange keys whenever another half mebibyte has come back.

        @param begins: which of the two transports begin.
        """
        server = Server.start(self, reactor)
        client = await Client.logIn(self, reactor, server.port, Login("alice"))
        transports = (client.transport, server.transports[0])

        def received(size: int) -> None:
            if size // (MEBIBYTE // 2) > client.exchanges:
                for transport in begins(*transports):
                    exchangeKeys(transport)

        checkEcho(self, await client.run("cat", self.data, received), self.data)
        self.assertEqual(*(transport.sessionID for transport in transports))
        await self.close(server, client)
        self.assertGreater(client.exchanges, 4)
        # One that the server began behind its last data may not have been read.
        self.assertIn(transports[1].exchanges - client.exchanges, (0, 1))

    def test_client(self):
        return self.check(lambda client, server: [client])

    def test_server(self):
        return self.check(lambda client, server: [server])

    def test_both(self):
        return self.check(lambda client, server: [client, server])


class LostConnectionTests(OurselvesTestCase):
    async def check(self, end) -> None:
        """
        Both sides forget everything, and say so once.
        """
        server = Server.start(self, reactor, openSession=processes(self, reactor))
        client = await Client.logIn(self, reactor, server.port, Login("alice"))
        (transport,) = server.transports
        reading: Deferred[int] = Deferred()
        # More than both windows, to a program that takes a part of it: there
        # is always something on its way.
        running = client.open("cat", DATA * 32, lambda size: reading.called or reading.callback(size))
        await reading
        (channel,) = transport.service.channels.values()
        waiting = client.connection.sendGlobalRequest("nobody@example.com", b"", wantReply=True)
        end(client.transport, transport)
        error = await self.assertFailure(waiting, ConnectionEnded)
        await client.ended()
        await server.ended()
        self.assertEqual(client.lost, [error])
        self.assertIsInstance(transport.closeReason.value, ConnectionEnded)
        self.assertEqual(running.closes, 1)
        self.assertEqual((client.connection.channels, channel.conn.channels), ({}, {}))
        self.assertEqual((running.eofs, running.status), (0, None))

    def test_byTheClient(self):
        return self.check(lambda client, server: client.abortConnection())

    def test_byTheServer(self):
        return self.check(lambda client, server: server.abortConnection())
