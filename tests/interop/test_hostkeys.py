"""
Host keys that are announced after the login and proved, with OpenSSH's programs
at the other end.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from conchlite.algorithms.catalogue import CLIENT_DEFAULT
from conchlite.error import HostKeyReplaced
from conchlite.ssh.keys import Key
from tests.interop import ours
from tests.interop.ours import Login, Server
from tests.interop.peers import LOCALHOST, SSH, SSHD, hostKeys, publicKeyLine, userName

ED25519 = hostKeys()[b"ssh-ed25519"]


class SSHTests(TestCase):
    """
    OpenSSH's ssh, which takes note of the keys of our server.
    """

    timeout = 60

    async def update(self, server: Server, known: Sequence[Key] = (ED25519,), **options: str) -> set[str]:
        """
        Log in with C{UpdateHostKeys}.

        @return: the keys in the known hosts file afterwards.
        """
        ssh = SSH(self, reactor, server.port)
        ssh.trust(known)
        # Options that stand twice count as they stand first.
        finished = await ssh.run("cat", b"here", UpdateHostKeys="yes", **options)
        self.assertEqual((finished.status, finished.output), (0, b"here"), finished.errors)
        lines = Path(ssh.directory, "known_hosts").read_text().splitlines()
        self.assertEqual({line.split()[0] for line in lines}, {f"[{LOCALHOST}]:{server.port}"})
        return {" ".join(line.split()[1:3]) for line in lines}

    def texts(self, *keys: Key) -> set[str]:
        return {" ".join(publicKeyLine(key).split()[:2]) for key in keys}

    async def test_learns(self):
        """
        It knew one key, and then knows all five; each is proved to it, the RSA
        key by C{rsa-sha2-512}.
        """
        server = Server.start(self, reactor)
        self.assertEqual(await self.update(server), self.texts(*hostKeys().values()))

    async def test_learnsFromEach(self):
        """
        Whichever key the connection began with.
        """
        for name, key in hostKeys().items():
            server = Server.start(self, reactor)
            known = await self.update(server, [key])
            self.assertEqual(known, self.texts(*hostKeys().values()), name)

    async def test_weakerRSASignature(self):
        """
        It wants an RSA key to sign as it did in the exchange.
        """
        server = Server.start(self, reactor)
        rsa = hostKeys()[b"ssh-rsa"]
        algorithms = "rsa-sha2-256,ssh-ed25519,ecdsa-sha2-nistp256"
        known = await self.update(server, [rsa], HostKeyAlgorithms=algorithms)
        self.assertEqual(known, self.texts(rsa, ED25519, hostKeys()[b"ecdsa-sha2-nistp256"]))

    async def test_forgets(self):
        """
        A key that is not announced any more is forgotten.
        """
        old = Key.generate("ed25519")
        server = Server.start(self, reactor)
        known = await self.update(server, [ED25519, old])
        self.assertEqual(known, self.texts(*hostKeys().values()))

    async def test_keysInStore(self):
        """
        The next key is known before it is used.
        """
        following = Key.generate("ed25519")
        keys = {key.blob(): key for key in (ED25519, following)}
        server = Server.start(self, reactor)
        self.patch(ours._ServerTransport, "announcedHostKeys", lambda transport: keys)
        self.assertEqual(await self.update(server), self.texts(ED25519, following))

    async def test_switchedOff(self):
        server = Server.start(self, reactor)
        self.patch(ours._ServerTransport, "announceHostKeys", False)
        self.assertEqual(await self.update(server), self.texts(ED25519))


class Transport(ours.Transport):
    """
    Our client's, which takes note of the keys.
    """

    def __init__(self, client: ours.Client) -> None:
        super().__init__(client)
        self.learned: Deferred[Sequence[Key]] = Deferred()

    def hostKeysReceived(self, keys: Sequence[Key]) -> None:
        self.learned.callback(keys)


class SSHDTests(TestCase):
    """
    OpenSSH's sshd, which announces its keys to our client.
    """

    timeout = 60

    async def logIn(self, first: bytes) -> ours.Client:
        """
        Log in at a server that has proved itself by one key.
        """
        sshd = await SSHD.start(self, reactor)
        others = (name for name in CLIENT_DEFAULT.signatures if name != first)
        algorithms = CLIENT_DEFAULT.replacing(signatures=(first, *others))
        client = ours.Client(Login(userName(), algorithms=algorithms))
        factory = Factory.forProtocol(lambda: Transport(client))
        client.transport = await TCP4ClientEndpoint(reactor, LOCALHOST, sshd.port).connect(factory)
        self.addCleanup(client._cleanUp)
        return await client.ready

    async def learn(self, first: bytes) -> ours.Client:
        client = await self.logIn(first)
        keys = await client.transport.learned
        self.assertEqual([key.blob() for key in keys], [key.blob() for key in hostKeys().values()])
        self.assertTrue(all(key.isPublic() for key in keys))
        return client

    async def test_learns(self):
        """
        All five keys come with good proofs.
        """
        client = await self.learn(b"ssh-ed25519")
        self.assertEqual(client.verified, 1)
        self.assertEqual((await client.run("echo here")).output, b"here\n")

    async def test_learnsWithRSA(self):
        """
        So they do where the exchange was by RSA.
        """
        for name in (b"rsa-sha2-512", b"rsa-sha2-256"):
            client = await self.learn(name)
            self.assertEqual(client.transport.negotiated.hostKey, name)

    async def test_proven(self):
        """
        Row 30: a re-exchange with another key that was proved goes well.
        """
        client = await self.learn(b"ssh-ed25519")
        client.transport.supportedPublicKeys = (b"ecdsa-sha2-nistp384",)
        client.transport.renewKeys()
        self.assertEqual((await client.run("echo here")).output, b"here\n")
        self.assertEqual(client.transport.negotiated.hostKey, b"ecdsa-sha2-nistp384")
        self.assertEqual(client.verified, 1)

    async def test_notProven(self):
        """
        Row 30: with one that was only announced, it ends.
        """
        sshd = await SSHD.start(self, reactor)
        client = await ours.Client.logIn(self, reactor, sshd.port, Login(userName()))
        client.transport.supportedPublicKeys = (b"ecdsa-sha2-nistp384",)
        client.transport.renewKeys()
        await client.ended()
        (error,) = client.lost
        self.assertIsInstance(error, HostKeyReplaced)
