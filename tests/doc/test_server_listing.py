"""
The server's chapter.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from twisted.cred.portal import Portal
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase

from conchlite.client.knownhosts import KnownHostsFile
from conchlite.error import HostKeyChanged, HostKeyRejected
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.keys import Key
from conchlite.ssh.transport import SSHServerTransport
from tests.doc.listings import DOC
from tests.ssh.links import Link

LISTINGS = DOC / "howto" / "listings" / "server"
LISTING = runpy.run_path(str(LISTINGS / "hostkeys.py"))
LIMITS = runpy.run_path(str(LISTINGS / "limits.py"))


class HostKeysTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.knownHosts = FilePath(self.mktemp())
        self.keys = [Key.generate("ed25519"), Key.generate("ecdsa"), Key.generate("ed25519")]
        directory = Path(self.mktemp())
        directory.mkdir()
        self.paths = [str(directory / f"key{number}") for number in range(len(self.keys))]
        for path, key in zip(self.paths, self.keys, strict=True):
            key.toFile(path)

    def logIn(self, *paths: str, coming: str) -> Link:
        known = KnownHostsFile.fromPath(self.knownHosts)
        link = Link(
            LISTING["ClientTransport"](b"example.com", known), LISTING["Server"](paths, coming, Portal(None))
        ).secure()
        if link.client.closeReason is None:
            for end in (link.client, link.server):
                end.isAuthenticated = True
                end.setService(SSHConnection())
            link.flush()
        return link

    def know(self, key: Key) -> None:
        known = KnownHostsFile(self.knownHosts)
        known.addHostKey(b"example.com", key)
        known.save()

    def test_keysEnd(self) -> None:
        """
        The way of a key: a client that knew one knows all that are announced,
        so the old one can go.
        """
        old, other, new = self.paths
        self.know(self.keys[0])
        link = self.logIn(old, other, coming=new)
        self.assertIsNone(link.client.closeReason)
        known = KnownHostsFile.fromPath(self.knownHosts)
        found = [entry.blob for _, entry in known.entriesFor(b"example.com")]
        self.assertEqual(found, [key.blob() for key in self.keys])
        self.assertIsNone(self.logIn(new, coming=other).client.closeReason)

    def test_untold(self) -> None:
        """
        Without that, the new key is refused; and so is a stranger.
        """
        old, other, new = self.paths
        self.assertIsInstance(self.logIn(old, coming=other).client.closeReason.value, HostKeyRejected)
        self.know(self.keys[0])
        error = self.logIn(new, coming=other).client.closeReason.value
        self.assertIsInstance(error, HostKeyRejected)
        self.assertIsInstance(error, HostKeyChanged)


class LimitsTests(SynchronousTestCase):
    def test_names(self) -> None:
        """
        Each limit of the listing is one that there is, with another value.
        """
        for own, base in ((LIMITS["ServerTransport"], SSHServerTransport), (LIMITS["Server"], SSHFactory)):
            for name in vars(own):
                if not name.startswith("_"):
                    self.assertNotEqual(getattr(own, name), getattr(base, name), name)

    def test_groups(self) -> None:
        """
        A moduli file is of use where a method is offered that takes a group.
        """
        self.assertIn(
            b"diffie-hellman-group-exchange-sha256", LIMITS["Server"].protocol.supportedKeyExchanges
        )
