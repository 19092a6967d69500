"""
Commands as endpoints, and OpenSSH's sshd.
"""

from __future__ import annotations

import os
import signal
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectionDone, ProcessTerminated
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from twisted.trial.unittest import TestCase

from conchlite.client.knownhosts import KnownHostsFile, hostPattern
from conchlite.endpoints import SSHCommandClientEndpoint
from conchlite.error import AuthenticationFailed, ChannelOpenFailed, Disconnected, HostKeyChanged
from conchlite.ssh.keys import Key
from tests.interop.peers import LOCALHOST, SSHD, hostKeys, userKeys, userName

ED25519 = b"ssh-ed25519"


class Collector(Protocol):
    """
    @ivar output: what came.
    @ivar errors: what came on standard error.
    @ivar ended: fires with the reason of C{connectionLost}.
    """

    def __init__(self) -> None:
        self.output = bytearray()
        self.errors = b""
        self.ended: Deferred[BaseException] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.output += data

    def stderrReceived(self, data: bytes) -> None:
        self.errors += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.ended.callback(reason.value)


class EndpointTests(TestCase):
    timeout = 120

    async def startServer(self, **options: str) -> None:
        self.sshd = await SSHD.start(self, reactor, **options)
        self.knownHosts = KnownHostsFile(FilePath(self.mktemp()))
        self.trust(hostKeys()[ED25519])
        self.keys = [userKeys()[ED25519]]

    def trust(self, key: Key) -> None:
        self.knownHosts.addHostKey(hostPattern(LOCALHOST, self.sshd.port), key.public())

    async def start(self, command: str) -> Any:
        endpoint = SSHCommandClientEndpoint.newConnection(
            reactor,
            command,
            userName(),
            LOCALHOST,
            self.sshd.port,
            keys=self.keys,
            knownHosts=self.knownHosts,
        )
        running = await connectProtocol(endpoint, Collector())
        self.addCleanup(running.transport.conn.connecting.whenLost)
        return running

    async def further(self, connection: Any, command: str) -> Any:
        return await connectProtocol(
            SSHCommandClientEndpoint.existingConnection(connection, command), Collector()
        )

    async def test_streams(self) -> None:
        await self.startServer()
        data = os.urandom(2**20)
        running = await self.start("cat; echo done >&2")
        running.transport.write(data)
        running.transport.loseWriteConnection()
        reason = await running.ended
        self.assertIsInstance(reason, ConnectionDone)
        self.assertTrue(running.output == data, f"{len(running.output)} bytes came back")
        self.assertEqual((b"done\n", 0), (running.errors, running.transport.exitStatus))

    async def test_ends(self) -> None:
        await self.startServer()
        running = await self.start("exit 3")
        reason = await running.ended
        self.assertIsInstance(reason, ProcessTerminated)
        self.assertEqual(3, reason.exitCode)
        running = await self.start("kill -TERM $$")
        reason = await running.ended
        self.assertIsInstance(reason, ProcessTerminated)
        self.assertEqual((signal.SIGTERM, "TERM"), (reason.signal, running.transport.exitSignal.name))

    async def test_severalAtOnce(self) -> None:
        """
        Commands share a connection, which outlives them.
        """
        # sshd counts a session for a moment longer than it exists.
        await self.startServer(MaxSessions="20")
        first = await self.start("cat")
        connection = first.transport.conn

        async def run(number: int) -> bytes:
            running = await self.further(connection, f"echo {number}; cat")
            running.transport.loseConnection()
            await running.ended
            return bytes(running.output)

        for _ in range(3):
            found = await gatherResults([Deferred.fromCoroutine(run(number)) for number in range(3)])
            self.assertEqual([b"0\n", b"1\n", b"2\n"], found)
        first.transport.loseConnection()
        self.assertIsInstance(await first.ended, ConnectionDone)

    async def test_tooMany(self) -> None:
        """
        One more than sshd allows is refused, and the others go on.
        """
        await self.startServer(MaxSessions="4")
        first = await self.start("cat")
        connection = first.transport.conn
        held = [await self.further(connection, "cat") for _ in range(3)]
        with self.assertRaises(ChannelOpenFailed):
            await self.further(connection, "cat")
        for running in [*held, first]:
            running.transport.loseConnection()
            self.assertIsInstance(await running.ended, ConnectionDone)

    async def test_cancel(self) -> None:
        """
        To cancel leaves the connection good for other commands.
        """
        await self.startServer()
        first = await self.start("cat")
        connection = first.transport.conn
        connecting = Deferred.fromCoroutine(self.further(connection, "cat"))
        connecting.cancel()
        with self.assertRaises(CancelledError):
            await connecting
        running = await self.further(connection, "echo still here")
        await running.ended
        self.assertEqual(b"still here\n", running.output)
        first.transport.loseConnection()
        await first.ended

    async def test_abort(self) -> None:
        """
        What does not end by itself is given up.
        """
        await self.startServer()
        running = await self.start("cat /dev/zero")
        running.transport.pauseProducing()
        running.transport.abortConnection()
        await running.ended

    async def test_refused(self) -> None:
        await self.startServer(MaxAuthTries="2")
        self.keys = [Key.generate("ed25519")]
        with self.assertRaises(AuthenticationFailed) as caught:
            await self.start("true")
        self.assertIn("publickey", str(caught.exception))
        self.keys = [Key.generate("ed25519") for _ in range(5)]
        with self.assertRaises(AuthenticationFailed) as caught:
            await self.start("true")
        self.assertIn("Too many authentication failures", str(caught.exception))

    async def test_changed(self) -> None:
        await self.startServer()
        self.knownHosts = KnownHostsFile(FilePath(self.mktemp()))
        self.trust(Key.generate("ed25519"))
        with self.assertRaises(HostKeyChanged):
            await self.start("true")

    async def test_serverGoes(self) -> None:
        """
        A connection that breaks is not taken for a command that ended.
        """
        await self.startServer()
        running = await self.start("kill -TERM $PPID; cat")
        reason = await running.ended
        self.assertNotIsInstance(reason, (ConnectionDone, ProcessTerminated))
        self.assertIn(type(reason).__name__, ("ConnectionEnded", Disconnected.__name__))
