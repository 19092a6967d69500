"""
Policies for host keys, and OpenSSH's sshd.
"""

from __future__ import annotations

import time

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.python.filepath import FilePath
from twisted.trial.unittest import TestCase

from conchlite.client.hostentries import hostPattern
from conchlite.client.knownhosts import KnownHostsFile
from conchlite.client.login import Login
from conchlite.client.policies import AcceptNew, Pin, Policy, Strict
from conchlite.error import HostKeyRejected, HostKeyUnknown
from conchlite.ssh.certificates import HOST, signCertificate
from conchlite.ssh.fingerprints import fingerprint
from conchlite.ssh.keys import Key
from tests.client.test_knownhosts import line
from tests.interop.peers import LOCALHOST, SSHD, hostKeys, userKeys, userName

ED25519, RSA = b"ssh-ed25519", b"ssh-rsa"


class PoliciesTests(TestCase):
    timeout = 60

    async def startServer(self, **options: str) -> None:
        self.sshd = await SSHD.start(self, reactor, **options)
        self.known = FilePath(self.mktemp())

    def write(self, *lines: bytes) -> None:
        self.known.setContent(b"".join(text + b"\n" for text in lines))

    async def logIn(self, policy: Policy) -> bytes:
        """
        @return: the type of the key that the server has shown.
        """
        login = Login(reactor, userName(), LOCALHOST, self.sshd.port, [userKeys()[ED25519]], hostKeys=policy)
        connection = await login.connect()
        shown = connection.transport.negotiated.hostKey
        await self.announced(policy)
        await connection.close()
        return shown

    async def announced(self, policy: Policy) -> None:
        """
        Wait for the keys that are announced, if they are to be learned.
        """
        deadline = time.monotonic() + 10
        while policy.updateHostKeys and time.monotonic() < deadline:
            if len(self.known.getContent().splitlines()) >= len(hostKeys()):
                return
            await deferLater(reactor, 0.02, lambda: None)

    async def test_certificate(self) -> None:
        """
        Row 82: a certificate of an authority in the file is asked for first,
        and is good for the name that it is for; of an RSA key as well.
        """
        ca = Key.generate("ed25519")
        for name in (ED25519, RSA):
            path = FilePath(self.mktemp())
            for principals, trusted in (([LOCALHOST], True), (["elsewhere"], False)):
                certified = signCertificate(
                    ca, hostKeys()[name], kind=HOST, keyID="id", principals=principals, validBefore=2**40
                )
                path.setContent(certified.public().toString("openssh") + b"\n")
                await self.startServer(HostCertificate=path.path)
                self.write(line(b"@cert-authority *", ca.blob()))
                for policy in (
                    Strict(self.known),
                    AcceptNew(self.known),
                    Pin(authorities=[fingerprint(ca.blob())]),
                ):
                    if trusted:
                        shown = await self.logIn(policy)
                        self.assertTrue(shown.endswith(b"-cert-v01@openssh.com"), shown)
                    else:
                        with self.assertRaises(HostKeyUnknown):
                            await self.logIn(policy)
                self.write(line(b"@cert-authority *", ca.blob()), line(b"@revoked *", ca.blob()))
                with self.assertRaises(HostKeyRejected):
                    await self.logIn(Strict(self.known))

    async def test_rotation(self) -> None:
        """
        Row 112: of a host that is known by one key all are learned, and what
        it has no more goes.
        """
        await self.startServer()
        name = hostPattern(LOCALHOST, self.sshd.port)
        for old in ([], [Key.generate("ed25519").public().blob()]):
            self.write(line(name, hostKeys()[ED25519].public().blob()), *[line(name, blob) for blob in old])
            await self.logIn(Strict(self.known, updateHostKeys=True))
            file = KnownHostsFile.fromPath(self.known)
            found = {entry.blob for _, entry in file.entriesFor(name)}
            self.assertEqual(found, {key.public().blob() for key in hostKeys().values()})
            await self.logIn(Strict(self.known))

    async def test_acceptNew(self) -> None:
        """
        Row 91: it is remembered, and strictly from then on.
        """
        await self.startServer()
        with self.assertRaises(HostKeyUnknown):
            await self.logIn(Strict(self.known))
        await self.logIn(AcceptNew(self.known))
        await self.logIn(Strict(self.known))
