"""
Our client and OpenSSH's sshd, as it is installed here.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Collection, Mapping
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from conchlite.algorithms.catalogue import CLIENT_DEFAULT
from conchlite.error import (
    AuthenticationFailed,
    ConnectionEnded,
    Disconnected,
    HostKeyRejected,
    NoCommonAlgorithm,
)
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.common import NS
from conchlite.ssh.keys import Key, hostKeyFingerprint
from conchlite.wire.numbers import DISCONNECT_CONNECTION_LOST
from tests.interop.cases import Offer, ServerMatrix, ServerPeer
from tests.interop.matrix import CELLS, DATA, MEBIBYTE, PAIRS, Cell, checkEcho, everyAlgorithm, sha256
from tests.interop.ours import Client, Login, exchangeKeys
from tests.interop.peers import SSHD, everyOption, program, run, userKeys, userName, version

# How sshd logs that we said goodbye, and how it speaks of trouble.
_GOODBYE = r"(error: )?Received disconnect from \S+ port \d+:10: user closed connection"
_TROUBLE = re.compile(r"(error|fatal): |Bad packet|Corrupted|Disconnecting")


class SSHDTestCase(TestCase):
    timeout = 60

    async def logIn(self, sshd: SSHD, **login) -> Client:
        return await Client.logIn(self, reactor, sshd.port, Login(userName(), **login))

    async def refused(self, sshd: SSHD, error: type[Exception], **login) -> Exception:
        """
        A login that fails: what it fails with. The same error ends the
        connection, once.
        """
        client = await Client.connect(self, reactor, sshd.port, Login(userName(), **login))
        try:
            await client.ready
        except error as failure:
            self.assertEqual(client.lost, [failure])
            return failure
        raise self.failureException("the login succeeded")

    async def close(self, sshd: SSHD, client: Client) -> None:
        """
        Close the connection; sshd has no complaint.
        """
        reason = await client.close()
        self.assertIsInstance(reason, Disconnected)
        self.assertEqual(reason.reason, DISCONNECT_CONNECTION_LOST)
        self.assertEqual((client.verified, client.secured), (1, 1))
        await self.checkLog(sshd)

    async def checkLog(self, sshd: SSHD) -> None:
        self.assertTrue(await sshd.logged(_GOODBYE), sshd.log)
        complaints = [line for line in sshd.log.splitlines() if _TROUBLE.match(re.sub(_GOODBYE, "", line))]
        self.assertEqual(complaints, [])


class _OpenSSH(ServerPeer):
    """
    sshd with everything switched on that it has.
    """

    name = "OpenSSH"

    def __init__(self) -> None:
        self._dsaKey: Path | None = None

    async def version(self, test) -> str:
        return "{}.{}".format(*await version(reactor, program("sshd")))

    async def dsaKey(self, test) -> Mapping[str, str]:
        """
        The option for a DSA host key, which OpenSSH makes itself, as long as
        it can: we have no such keys of our own.
        """
        if self._dsaKey is None:
            directory = Path(test.mktemp()).absolute()
            directory.mkdir(parents=True)
            self._dsaKey = directory / "dsa"
            arguments = ["-q", "-N", "", "-t", "dsa", "-f", str(self._dsaKey)]
            await run(test, reactor, program("ssh-keygen"), arguments)
        return {"HostKey": str(self._dsaKey)} if self._dsaKey.exists() else {}

    def hostKeyBlobs(self) -> Collection[bytes]:
        blobs = set(super().hostKeyBlobs())
        if self._dsaKey is not None and self._dsaKey.exists():
            blobs.add(Key.fromFile(str(self._dsaKey) + ".pub").blob())
        return blobs


@everyAlgorithm((*CELLS, *PAIRS))
class MatrixTests(ServerMatrix, SSHDTestCase):
    """
    Each with an sshd of its own, whose log has no complaint.
    """

    peer = _OpenSSH()

    async def port(self) -> int:
        options = {**await everyOption(reactor), **await self.peer.dsaKey(self)}
        self.sshd = await SSHD.start(self, reactor, **options)
        return self.sshd.port

    async def tryCell(self, cell: Cell, offer: Offer) -> None:
        await super().tryCell(cell, offer)
        await self.checkLog(self.sshd)


class CommandTests(SSHDTestCase):
    async def test_exitStatus(self):
        sshd = await SSHD.start(self, reactor)
        client = await self.logIn(sshd)
        command = await client.run("cat; exit 7", b"before the end")
        self.assertEqual((command.status, command.signal, command.output), (7, None, b"before the end"))
        await self.close(sshd, client)

    async def test_exitSignal(self):
        sshd = await SSHD.start(self, reactor)
        client = await self.logIn(sshd)
        command = await client.run("kill -TERM $$")
        self.assertEqual((command.status, command.signal), (None, b"TERM"))
        await self.close(sshd, client)

    async def test_standardError(self):
        """
        Standard error is apart from standard output, and both are whole.
        """
        sshd = await SSHD.start(self, reactor)
        client = await self.logIn(sshd)
        command = await client.run("tee /dev/stderr", DATA)
        self.assertEqual(sha256(command.output), sha256(DATA))
        self.assertEqual(sha256(command.errors), sha256(DATA))
        self.assertEqual(command.status, 0)
        await self.close(sshd, client)

    async def test_several(self):
        """
        Commands that run at the same time on one connection.
        """
        sshd = await SSHD.start(self, reactor)
        client = await self.logIn(sshd)
        for channel in [client.open("cat", DATA) for _ in range(5)]:
            checkEcho(self, await channel.finished)
        await self.close(sshd, client)

    async def test_nothing(self):
        """
        A command that neither reads nor writes.
        """
        sshd = await SSHD.start(self, reactor)
        client = await self.logIn(sshd)
        checkEcho(self, await client.run("true"), b"")
        await self.close(sshd, client)


class LoginTests(SSHDTestCase):
    async def checkKey(self, name: bytes, algorithm: bytes, offered=CLIENT_DEFAULT.signatures) -> None:
        sshd = await SSHD.start(self, reactor)
        key = userKeys()[name]
        client = await self.logIn(sshd, key=key, userSignatures=offered)
        self.assertEqual(client.userAuth.signatureAlgorithm, algorithm)
        command = await client.run("cat", b"whoever I am")
        checkEcho(self, command, b"whoever I am")
        await self.close(sshd, client)
        fingerprint = re.escape(hostKeyFingerprint(key.blob()).sha256)
        self.assertRegex(sshd.log, f"Accepted publickey for {userName()} .*{fingerprint}")

    def test_ed25519(self):
        return self.checkKey(b"ssh-ed25519", b"ssh-ed25519")

    def test_nistp256(self):
        return self.checkKey(b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp256")

    def test_nistp384(self):
        return self.checkKey(b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp384")

    def test_nistp521(self):
        return self.checkKey(b"ecdsa-sha2-nistp521", b"ecdsa-sha2-nistp521")

    def test_rsa(self):
        return self.checkKey(b"ssh-rsa", b"rsa-sha2-512")

    def test_rsaSHA256(self):
        return self.checkKey(b"ssh-rsa", b"rsa-sha2-256", offered=[b"rsa-sha2-256"])

    async def test_unknownKey(self):
        sshd = await SSHD.start(self, reactor)
        key = Key.generate()
        error = await self.refused(sshd, AuthenticationFailed, key=key)
        self.assertEqual(error.methods, (b"publickey",))
        (tried,) = error.tried
        self.assertIn(key.sshType().decode(), tried)
        self.assertIn("127.0.0.1", str(error))


class HostKeyTests(SSHDTestCase):
    async def test_lateVerdict(self):
        """
        The user takes his time; sshd has sent what comes behind the exchange
        long before.
        """
        sshd = await SSHD.start(self, reactor)
        client = await self.logIn(sshd, verdict=lambda: deferLater(reactor, 0.2))
        checkEcho(self, await client.run("cat", DATA))
        await self.close(sshd, client)

    async def test_wrongKey(self):
        sshd = await SSHD.start(self, reactor)
        error = await self.refused(sshd, HostKeyRejected, knownHostKeys=frozenset())
        self.assertIn("SHA256:", str(error))

    async def test_lateRefusal(self):
        sshd = await SSHD.start(self, reactor)

        async def refuse():
            await deferLater(reactor, 0.2)
            raise HostKeyRejected("this is somebody else")

        error = await self.refused(sshd, HostKeyRejected, verdict=lambda: Deferred.fromCoroutine(refuse()))
        self.assertEqual(str(error), "this is somebody else")

    async def test_typeThatTheServerHasNot(self):
        sshd = await SSHD.start(self, reactor, HostKeyAlgorithms="ssh-ed25519")
        offered = (b"ecdsa-sha2-nistp256",)
        error = await self.refused(
            sshd, NoCommonAlgorithm, algorithms=CLIENT_DEFAULT.replacing(signatures=offered)
        )
        self.assertEqual((error.ours, error.theirs), (offered, (b"ssh-ed25519",)))


class NoCommonAlgorithmTests(SSHDTestCase):
    async def check(self, family: str, kind: str, option: str, ours: bytes, theirs: bytes) -> None:
        sshd = await SSHD.start(self, reactor, **{option: theirs.decode()})
        algorithms = CLIENT_DEFAULT.replacing(**{family: (ours,)})
        if family == "macs":
            # Those that authenticate by themselves want no MAC.
            algorithms = algorithms.replacing(ciphers=(b"aes256-ctr",))
        error = await self.refused(sshd, NoCommonAlgorithm, algorithms=algorithms)
        self.assertEqual(error.ours, (ours,))
        self.assertEqual([name for name in error.theirs if b"kex-strict" not in name], [theirs])
        self.assertIn(kind, error.kind)
        for name in (ours, theirs):
            self.assertIn(name.decode(), str(error))

    def test_keyExchange(self):
        return self.check(
            "keyExchanges", "key exchange", "KexAlgorithms", b"ecdh-sha2-nistp256", b"curve25519-sha256"
        )

    def test_cipher(self):
        return self.check("ciphers", "encryption", "Ciphers", b"aes256-ctr", b"aes128-ctr")

    def test_mac(self):
        return self.check("macs", "MAC", "MACs", b"hmac-sha2-256", b"hmac-sha2-512")


class ReexchangeTests(SSHDTestCase):
    data = DATA * 8

    async def check(self, received=None, **options: str) -> Client:
        sshd = await SSHD.start(self, reactor, **options)
        client = await self.logIn(sshd)
        sessionID = client.transport.sessionID
        command = await client.run("cat", self.data, received and (lambda size: received(client, size)))
        checkEcho(self, command, self.data)
        self.assertEqual(client.transport.sessionID, sessionID)
        await self.close(sshd, client)
        return client

    async def test_theirs(self):
        """
        sshd exchanges keys again and again, while data goes both ways.
        """
        client = await self.check(RekeyLimit="1M")
        self.assertGreater(client.exchanges, 8)

    async def test_ours(self):
        """
        So do we, at moments of our own.
        """
        marks = iter(range(MEBIBYTE // 2, 8 * MEBIBYTE, MEBIBYTE))
        mark = [next(marks)]

        def received(client, size):
            if mark and size >= mark[0] and exchangeKeys(client.transport):
                mark[:] = [following] if (following := next(marks, None)) else []

        client = await self.check(received)
        self.assertGreater(client.exchanges, 4)

    async def test_both(self):
        """
        Both sides begin, at times at the same moment.
        """

        def received(client, size):
            if size // (MEBIBYTE // 4) > client.exchanges:
                exchangeKeys(client.transport)

        client = await self.check(received, RekeyLimit="1M")
        self.assertGreater(client.exchanges, 8)


class Silent(SSHChannel):
    """
    A session that neither sends EOF nor closes by itself.
    """

    name = "session"
    closes = 0

    def closed(self):
        self.closes += 1


class LostConnectionTests(SSHDTestCase):
    """
    Whatever ends the connection, everything that waits fails, once.
    """

    async def setScene(self) -> None:
        """
        A connection with a C{cat} that runs, and another session. The process
        at sshd has stopped, so that nothing gets an answer.
        """
        self.sshd = await SSHD.start(self, reactor)
        self.client = await self.logIn(self.sshd)
        self.pid = int((await self.client.run("echo $PPID")).output)
        connection = self.client.connection
        self.running = await connection.openChannel(Silent())
        self.other = await connection.openChannel(Silent())
        await connection.sendRequest(self.running, "exec", NS("cat"), wantReply=True)
        self.addCleanup(self.sshd.kill, self.pid)
        os.kill(self.pid, signal.SIGSTOP)

    async def check(self, end, expected: type[Exception]) -> None:
        connection = self.client.connection
        opening = self.client.open("cat")
        results: list[object] = []
        waiting = [
            connection.sendRequest(self.other, "exec", NS("cat"), wantReply=True),
            connection.sendRequest(self.other, "shell", b"", wantReply=True),
            connection.sendGlobalRequest("keepalive@openssh.com", b"", wantReply=True),
            connection.sendGlobalRequest("tcpip-forward", b"", wantReply=True),
            opening.finished,
        ]
        for d in waiting:
            d.addBoth(results.append)
        self.running.write(DATA)
        self.assertEqual(results, [])
        end()
        await self.client.ended()
        self.assertEqual([failure.type for failure in results], [expected] * len(waiting))
        self.assertEqual({failure.value for failure in results}, set(self.client.lost))
        self.assertEqual(len(self.client.lost), 1)
        self.assertEqual((self.running.closes, self.other.closes, opening.closes), (1, 1, 0))
        self.assertEqual(connection.channels, {})

    async def test_killed(self):
        await self.setScene()
        await self.check(lambda: os.kill(self.pid, signal.SIGKILL), ConnectionEnded)

    async def test_aborted(self):
        await self.setScene()
        await self.check(self.client.transport.abortConnection, ConnectionEnded)

    async def test_closed(self):
        await self.setScene()
        await self.check(self.client.transport.loseConnection, Disconnected)
