"""
What sessions are asked for, and our programs that are coroutines: other
implementations' clients and our server, and our endpoints.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import TestCase

from conchlite.endpoints import SSHSubsystemClientEndpoint
from conchlite.error import ChannelRequestFailed
from conchlite.interfaces import ExitedBySignal
from conchlite.ssh.programprocess import ProgramProcess
from conchlite.ssh.programs import ProgramSession
from tests.interop.ours import Client, Login, Server
from tests.interop.peers import SSH, SSHD, run, userKeys, userName, writePrivateKey
from tests.interop.programpeers import PROGRAMS, PythonProgram


async def talk(process: ProgramProcess) -> object:
    """
    Says what it is handed and what happens to it, and ends as it is told.
    """

    def tell(*words: object) -> None:
        process.write(" ".join(str(word) for word in words).encode() + b"\n")

    process.onSignal(lambda name: tell("signal", name))
    process.onBreak(lambda milliseconds: tell("break", milliseconds))
    process.onResize(lambda size: tell("resized", *size))
    if process.terminal is not None:
        modes = dict(process.terminal.modes)
        tell("terminal", process.terminal.term.decode(), *process.terminal.windowSize, modes.get(53))
    tell("environment", *(name.decode() for name in process.environment))
    tell("command", process.command.decode())
    tell("ready")
    async for line in process.stdin:
        word, _, rest = line.decode().strip().partition(" ")
        if word == "end":
            return int(rest)
        if word == "die":
            return ExitedBySignal("SEGV", True, "that hurt", "en")
        if word == "careless":
            process.onSignal(None)
            tell("ok")
    return 0


async def echo(process: ProgramProcess) -> None:
    while data := await process.read():
        await process.write(data)


def serve(test: TestCase) -> Server:
    return Server.start(
        test,
        reactor,
        openSession=lambda: ProgramSession({b"talk": talk}, terminals=True),
        subsystems={b"echo": echo},
    )


class ClientTests(TestCase):
    """
    Other clients.
    """

    timeout = 60

    async def printed(self, name: str, stem: str, *modules: str) -> list[str]:
        await PythonProgram(name, stem, *modules).command(self, "client")
        server = serve(self)
        directory = Path(self.mktemp()).absolute()
        directory.mkdir(parents=True)
        key = writePrivateKey(userKeys()[b"ssh-ed25519"], directory / "user")
        path = str(PROGRAMS / f"{stem}_sessions.py")
        arguments = ["-W", "ignore", path, str(server.port), str(key)]
        finished = await run(self, reactor, sys.executable, arguments, b"", {"HOME": str(directory)})
        self.assertEqual((b"", 0), (finished.errors, finished.status))
        await server.ended()
        return finished.output.decode().splitlines()

    async def test_asyncssh(self) -> None:
        self.assertEqual(
            [
                "terminal vt100 24 80 640 480 0",
                "environment LANG",
                "command talk about it",
                "resized 50 132 0 0",
                "signal USR1",
                "break 700",
                "exit -1 ('SEGV', True, 'that hurt', 'en')",
                "exit -1 ('TERM', False, '', '')",
                "echo True b'' 0",
            ],
            await self.printed("AsyncSSH", "asyncssh", "asyncssh"),
        )

    async def test_paramiko(self) -> None:
        self.assertEqual(
            [
                "terminal vt220 24 80 640 480 None",
                "environment LANG",
                "command talk about it",
                "resized 50 132 0 0",
                "exit 7",
                "echo True 0",
            ],
            await self.printed("Paramiko", "paramiko", "paramiko"),
        )

    async def test_conch(self) -> None:
        self.assertEqual(
            [
                "echo True 0",
                "terminal vt100 24 80 640 480 0",
                "environment",
                "command talk",
                "ready",
                "resized 50 132 0 0",
                "signal HUP",
                "exit 9",
            ],
            await self.printed("Twisted Conch", "conch", "bcrypt", "appdirs"),
        )

    async def test_openssh(self) -> None:
        """
        A terminal, a break by the escape character, and the exit status.
        """
        ssh = SSH(self, reactor, serve(self).port)
        finished = await ssh.run(
            "talk", b"\n~B\nend 5\n", RequestTTY="force", EscapeChar="~", environment={"TERM": "vt100"}
        )
        lines = finished.output.decode().splitlines()
        self.assertEqual(5, finished.status)
        self.assertEqual(["terminal", "vt100"], lines[0].split()[:2])
        self.assertIn("break 1000", lines)

    async def test_opensshSubsystem(self) -> None:
        ssh = SSH(self, reactor, serve(self).port)
        data = bytes(range(256)) * 20_000
        finished = await ssh.run(
            "echo", data, SessionType="subsystem", SendEnv="LANG", environment={"LANG": "C"}
        )
        self.assertEqual((0, b""), (finished.status, finished.errors))
        self.assertTrue(finished.output == data, f"{len(finished.output)} bytes came back")


class Collector(Protocol):
    """
    @ivar received: what came.
    @ivar ended: fires with why it ended.
    """

    def __init__(self, wanted: int) -> None:
        self.received = b""
        self.wanted = wanted
        self.complete: Deferred[None] = Deferred()
        self.ended: Deferred[BaseException] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if len(self.received) >= self.wanted and not self.complete.called:
            self.complete.callback(None)

    def connectionLost(self, reason) -> None:
        self.ended.callback(reason.value)


class EndpointTests(TestCase):
    """
    Subsystems as endpoints.
    """

    timeout = 60

    async def test_sshd(self) -> None:
        """
        sshd's own SFTP server answers INIT with VERSION.
        """
        sshd = await SSHD.start(self, reactor, Subsystem="sftp internal-sftp")
        client = await Client.logIn(self, reactor, sshd.port, Login(userName()))
        endpoint = SSHSubsystemClientEndpoint.existingConnection(client.connection, "sftp")
        sftp = await connectProtocol(endpoint, Collector(9))
        sftp.transport.write(struct.pack(">LBL", 5, 1, 3))
        await sftp.complete
        length, kind, version = struct.unpack_from(">LBL", sftp.received)
        self.assertEqual((2, 3), (kind, version))
        self.assertGreaterEqual(length, 5)
        sftp.transport.loseConnection()
        self.assertIsInstance(await sftp.ended, ConnectionDone)
        endpoint = SSHSubsystemClientEndpoint.existingConnection(client.connection, "netconf")
        with self.assertRaises(ChannelRequestFailed):
            await connectProtocol(endpoint, Collector(1))

    async def test_ours(self) -> None:
        """
        And our own server's subsystems.
        """
        client = await Client.logIn(self, reactor, serve(self).port, Login("alice"))
        endpoint = SSHSubsystemClientEndpoint.existingConnection(client.connection, "echo")
        data = bytes(range(256)) * 20_000
        echoing = await connectProtocol(endpoint, Collector(len(data)))
        echoing.transport.write(data)
        await echoing.complete
        self.assertTrue(echoing.received == data)
        echoing.transport.loseConnection()
        self.assertIsInstance(await echoing.ended, ConnectionDone)
        self.assertEqual(0, echoing.transport.exitStatus)
