"""
OpenSSH's ssh and ssh-keyscan, as they are installed here, and our server.
"""

from __future__ import annotations

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from conchlite.algorithms.catalogue import SERVER_DEFAULT
from conchlite.error import ConnectionEnded, Disconnected, KeyExchangeFailed, NoCommonAlgorithm
from conchlite.ssh.keys import Key
from conchlite.wire.numbers import DISCONNECT_BY_APPLICATION
from tests.interop.cases import ClientMatrix, ClientPeer, Offer
from tests.interop.matrix import CELLS, DATA, PAIRS, Cell, everyAlgorithm, sha256
from tests.interop.ours import Server, processes
from tests.interop.peers import (
    LOCALHOST,
    SSH,
    Finished,
    everyOption,
    hostKeys,
    program,
    run,
    userKeys,
    version,
)


class SSHTestCase(TestCase):
    timeout = 60

    def checkOutput(self, finished: Finished, output: bytes = DATA, status: int = 0) -> None:
        self.assertEqual((finished.status, finished.errors), (status, b""))
        self.assertEqual(sha256(finished.output), sha256(output))

    async def checkEnd(self, server: Server, connections: int = 1) -> None:
        """
        The client said goodbye, and nothing else ended the connection.
        """
        await server.ended()
        self.assertEqual(len(server.transports), connections)
        for transport in server.transports:
            reason = transport.closeReason.value
            self.assertIsInstance(reason, Disconnected)
            self.assertEqual(reason.reason, DISCONNECT_BY_APPLICATION)


class _OpenSSH(ClientPeer):
    """
    ssh with everything switched on that it has.
    """

    name = "OpenSSH"

    async def version(self, test) -> str:
        return "{}.{}".format(*await version(reactor, program("ssh")))

    async def runClient(self, test, port: int, key: Key, data: bytes, cell: Cell | None) -> Finished:
        return await SSH(test, reactor, port).run("cat", data, key=key, **await everyOption(reactor))


@everyAlgorithm((*CELLS, *PAIRS))
class MatrixTests(ClientMatrix, SSHTestCase):
    peer = _OpenSSH()

    async def tryCell(self, cell: Cell, offer: Offer) -> None:
        await super().tryCell(cell, offer)
        await self.checkEnd(self.server)


class CommandTests(SSHTestCase):
    async def check(self, command: str, status: int = 0, data: bytes = DATA, output: bytes = DATA, **server):
        started = Server.start(self, reactor, **server)
        ssh = SSH(self, reactor, started.port)
        self.checkOutput(await ssh.run(command, data), output, status)
        await self.checkEnd(started)

    def test_program(self):
        """
        A program of the server's own process.
        """
        return self.check("cat")

    def test_exitStatus(self):
        return self.check("cat; exit 7", 7, openSession=processes(self, reactor))

    def test_exitSignal(self):
        """
        ssh says 255 of a command that a signal ended.
        """
        session = processes(self, reactor)
        return self.check("kill -TERM $$", 255, output=b"", openSession=session)

    def test_nothing(self):
        return self.check("true", data=b"", output=b"", openSession=processes(self, reactor))

    async def test_standardError(self):
        server = Server.start(self, reactor, openSession=processes(self, reactor))
        finished = await SSH(self, reactor, server.port).run("tee /dev/stderr", DATA)
        self.assertEqual(finished.status, 0)
        self.assertEqual(sha256(finished.output), sha256(DATA))
        self.assertEqual(sha256(finished.errors), sha256(DATA))
        await self.checkEnd(server)

    async def test_refused(self):
        """
        A command that there is not.
        """
        server = Server.start(self, reactor)
        finished = await SSH(self, reactor, server.port).run("dog", LogLevel="INFO")
        self.assertEqual((finished.status, finished.output), (255, b""))
        self.assertIn(b"exec request failed", finished.errors)


class ReexchangeTests(SSHTestCase):
    async def check(self, openSession) -> None:
        server = Server.start(self, reactor, openSession=openSession)
        finished = await SSH(self, reactor, server.port).run("cat", DATA * 8, RekeyLimit="1M")
        self.checkOutput(finished, DATA * 8)
        await self.checkEnd(server)
        self.assertGreater(server.transports[0].exchanges, 8)

    def test_program(self):
        return self.check(None)

    def test_process(self):
        return self.check(processes(self, reactor))


class LostConnectionTests(SSHTestCase):
    def test_killed(self):
        """
        What runs on the server ends when the client is gone.
        """
        return self.check("echo here; exec sleep 120")

    def test_killedBehindACommand(self):
        """
        The command has ended, but what it left behind has its output.
        """
        return self.check("sleep 1 & echo here")

    async def check(self, command: str) -> None:
        server = Server.start(self, reactor, openSession=processes(self, reactor))
        ssh = SSH(self, reactor, server.port).start(command)
        await ssh.wrote
        (transport,) = server.transports
        (channel,) = transport.service.channels.values()
        ssh.kill()
        await server.ended()
        self.assertIsInstance(transport.closeReason.value, ConnectionEnded)
        self.assertEqual(channel.conn.channels, {})


class LoginTests(SSHTestCase):
    async def checkKey(self, name: bytes, algorithm: str) -> None:
        server = Server.start(self, reactor)
        ssh = SSH(self, reactor, server.port)
        finished = await ssh.run(
            "cat", b"whoever I am", key=userKeys()[name], PubkeyAcceptedAlgorithms=algorithm
        )
        self.checkOutput(finished, b"whoever I am")
        await self.checkEnd(server)

    def test_ed25519(self):
        return self.checkKey(b"ssh-ed25519", "ssh-ed25519")

    def test_nistp256(self):
        return self.checkKey(b"ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256")

    def test_nistp384(self):
        return self.checkKey(b"ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384")

    def test_nistp521(self):
        return self.checkKey(b"ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521")

    def test_rsaSHA256(self):
        return self.checkKey(b"ssh-rsa", "rsa-sha2-256")

    def test_rsaSHA512(self):
        return self.checkKey(b"ssh-rsa", "rsa-sha2-512")

    async def test_unknownKey(self):
        server = Server.start(self, reactor)
        finished = await SSH(self, reactor, server.port).run("cat", key=Key.generate())
        self.assertEqual(finished.status, 255)
        self.assertIn(b"Permission denied (publickey)", finished.errors)

    async def logInWithPassword(self, password: str) -> Finished:
        checker = InMemoryUsernamePasswordDatabaseDontUse(alice=b"correct horse")
        self.server = Server.start(self, reactor, checkers=[checker])
        ssh = SSH(self, reactor, self.server.port)
        answer = ssh.directory / "answer"
        answer.write_text(f"#!/bin/sh\necho '{password}'\n")
        answer.chmod(0o700)
        environment = {"SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "none"}
        return await ssh.run(
            "cat",
            b"whoever I am",
            environment=environment,
            BatchMode="no",
            PreferredAuthentications="password",
            NumberOfPasswordPrompts="1",
        )

    async def test_password(self):
        self.checkOutput(await self.logInWithPassword("correct horse"), b"whoever I am")
        await self.checkEnd(self.server)

    async def test_wrongPassword(self):
        finished = await self.logInWithPassword("wrong horse")
        self.assertEqual((finished.status, finished.output), (255, b""))
        self.assertIn(b"Permission denied", finished.errors)


class HostKeyTests(SSHTestCase):
    async def test_wrongKey(self):
        """
        ssh knows another key: it ends the connection, and our server with it.
        """
        server = Server.start(self, reactor)
        ssh = SSH(self, reactor, server.port)
        ssh.trust([Key.generate()])
        finished = await ssh.run("cat")
        self.assertEqual(finished.status, 255)
        self.assertIn(b"Host key verification failed", finished.errors)
        await server.ended()
        self.assertIsInstance(server.transports[0].closeReason.value, ConnectionEnded)

    async def scan(self, server: Server) -> dict[bytes, Key]:
        arguments = ["-p", str(server.port), "-t", "ed25519,ecdsa,rsa", LOCALHOST]
        finished = await run(self, reactor, program("ssh-keyscan"), arguments)
        found = {}
        for line in finished.output.decode().splitlines():
            host, name, key = line.split()
            self.assertEqual(host, f"[{LOCALHOST}]:{server.port}")
            found[name.encode()] = Key.fromString(f"{name} {key}")
        await server.ended()
        # One for each type that it was asked for.
        self.assertEqual(len(server.transports), 3)
        return found

    async def test_scan(self):
        """
        C{ssh-keyscan} gets the host keys.
        """
        ciphers = (b"aes128-gcm@openssh.com", b"aes128-ctr")
        server = Server.start(self, reactor, SERVER_DEFAULT.replacing(ciphers=ciphers))
        names = (b"ssh-ed25519", b"ecdsa-sha2-nistp256", b"ssh-rsa")
        self.assertEqual(await self.scan(server), {name: hostKeys()[name].public() for name in names})

    async def test_terrapin(self):
        """
        Row 20: it does no strict key exchange and prefers chacha20-poly1305,
        which does not go together. So it is refused, as everybody who lets an
        attacker take packets out unseen; but it has the host key then, and
        that is all that it wants.
        """
        server = Server.start(self, reactor)
        names = (b"ssh-ed25519", b"ecdsa-sha2-nistp256", b"ssh-rsa")
        self.assertEqual(await self.scan(server), {name: hostKeys()[name].public() for name in names})
        for transport in server.transports:
            self.assertIsInstance(transport.closeReason.value, KeyExchangeFailed)
            self.assertIn("CVE-2023-48795", str(transport.closeReason.value))

    async def test_noCommonType(self):
        server = Server.start(self, reactor, SERVER_DEFAULT.replacing(signatures=(b"ssh-ed25519",)))
        ssh = SSH(self, reactor, server.port)
        finished = await ssh.run("cat", HostKeyAlgorithms="rsa-sha2-512", LogLevel="INFO")
        self.assertEqual(finished.status, 255)
        self.assertIn(b"no matching host key type found. Their offer: ssh-ed25519", finished.errors)
        await server.ended()
        error = server.transports[0].closeReason.value
        self.assertIsInstance(error, NoCommonAlgorithm)
        self.assertEqual((error.ours, error.theirs), ((b"ssh-ed25519",), (b"rsa-sha2-512",)))
