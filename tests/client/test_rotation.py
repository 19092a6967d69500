"""
Tests for L{conchlite.client.rotation}.
"""

from __future__ import annotations

from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase

from conchlite.client.hostentries import HashedEntry
from conchlite.client.knownhosts import KnownHostsFile
from conchlite.client.policies import Pin, Strict
from conchlite.client.rotation import Rotation
from conchlite.limits import MAXIMUM_HOST_KEYS
from conchlite.ssh.keys import Key
from tests.client.test_knownhosts import blob, line
from tests.client.test_policies import CA, CERTIFICATE, KEY, NOW, OTHER, RSA

NEW = Key.generate("ed25519").public()
ALGORITHMS = [b"ssh-ed25519", b"ecdsa-sha2-nistp256"]


class RotationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = FilePath(self.mktemp())

    def rotation(
        self, *lines: bytes, shown: bytes = KEY.blob(), port: int = 22, **options: object
    ) -> Rotation | None:
        self.path.setContent(b"".join(text + b"\n" for text in lines))
        policy = Strict(self.path, updateHostKeys=True, now=lambda: NOW, **options)
        policy.verify("host", port, shown)
        return policy.rotation("host", port, shown)

    def learned(self, rotation: Rotation, *keys: Key) -> list[bytes]:
        """
        The lines of the file, after the server has announced these.
        """
        rotation.received(keys, ALGORITHMS)
        return self.path.getContent().splitlines()

    def test_replaced(self) -> None:
        """
        Keys that the server has now are added, those that it has no more go,
        and all other lines stay.
        """
        others = [b"# mine", line(b"other", OTHER.blob()), line(b"@revoked host", blob())]
        rotation = self.rotation(*others, line(b"host", KEY.blob()), line(b"HOST", RSA.blob()))
        after = self.learned(rotation, KEY.public(), NEW)
        self.assertEqual(after, [*others, line(b"host", KEY.blob()), line(b"host", NEW.blob())])

    def test_certificatesAreNotLearned(self) -> None:
        """
        What a certificate proves is its authority's to say.
        """
        plain = line(b"host", KEY.blob())
        certificate = Key.fromString(CERTIFICATE, "blob")
        self.assertTrue(certificate.isCertificate())
        self.assertEqual(self.learned(self.rotation(plain), KEY.public(), certificate), [plain])

    def test_hashed(self) -> None:
        """
        What was hashed stays so.
        """
        entry = HashedEntry.forHost(b"[host]:2222", KEY.blob(), lambda size: b"s" * size)
        after = self.learned(self.rotation(entry.toString(), port=2222), KEY.public(), NEW)
        self.assertEqual(len(after), 2)
        self.assertTrue(after[1].startswith(b"|1|"))
        self.assertTrue(KnownHostsFile.fromPath(self.path).hasHostKey(b"[host]:2222", NEW))

    def test_notFor(self) -> None:
        """
        Row 112: nothing is learned for a server that was verified by a
        certificate, by a pattern, by a negated one, by another file, under
        another port, or where an authority speaks for it.
        """
        plain = line(b"host", KEY.blob())
        self.assertIsNotNone(self.rotation(plain))
        self.assertIsNotNone(self.rotation(line(b"192.0.2.1,host", KEY.blob())))
        for lines in [
            [line(b"*", KEY.blob())],
            [line(b"h?st,host", KEY.blob())],
            [line(b"host,!other", KEY.blob())],
            [plain, line(b"ho*", KEY.blob())],
            [plain, line(b"@cert-authority host", CA.blob())],
        ]:
            self.assertIsNone(self.rotation(*lines), lines)
        self.assertIsNone(self.rotation(line(b"@cert-authority host", CA.blob()), shown=CERTIFICATE))
        self.assertIsNone(self.rotation(plain, shown=CERTIFICATE))
        self.assertIsNone(self.rotation(plain, port=2222))
        empty = FilePath(self.mktemp())
        self.path.setContent(plain)
        for files in ([empty, self.path], [self.path, empty], ()):
            policy = Strict(files, updateHostKeys=True)
            expected = bool(files) and files[0] is self.path
            self.assertEqual(policy.rotation("host", 22, KEY.blob()) is not None, expected)

    def test_onRequest(self) -> None:
        """
        Row 112: only where the program wants it.
        """
        self.path.setContent(line(b"host", KEY.blob()))
        self.assertIsNone(Strict(self.path).rotation("host", 22, KEY.blob()))
        self.assertIsNone(Pin("SHA256:" + "A" * 43).rotation("host", 22, KEY.blob()))

    def test_bounded(self) -> None:
        """
        Row 112: 32 keys at most, and only with the one that is in use.
        """
        many = [Key.generate("ed25519").public() for _ in range(MAXIMUM_HOST_KEYS)]
        before = [line(b"host", KEY.blob())]
        for keys in ([*many, KEY.public()], [NEW], []):
            self.assertEqual(self.learned(self.rotation(*before), *keys), before)
        self.assertEqual(
            len(self.learned(self.rotation(*before), *many[1:], KEY.public())), MAXIMUM_HOST_KEYS
        )

    def test_revoked(self) -> None:
        """
        Row 79: a key that is revoked is not learned.
        """
        before = [line(b"host", KEY.blob()), line(b"@revoked *", NEW.blob())]
        self.assertEqual(self.learned(self.rotation(*before), KEY.public(), NEW), before)

    def test_kept(self) -> None:
        """
        A key of a type that was not asked for stays, and so does one that is
        another host's as well.
        """
        before = [line(b"host", KEY.blob()), line(b"host", blob(b"ssh-rsa")), line(b"a,host", RSA.blob())]
        self.assertEqual(self.learned(self.rotation(*before), KEY.public()), before)

    def test_takenOut(self) -> None:
        """
        Who was taken out meanwhile teaches nothing.
        """
        rotation = self.rotation(line(b"host", KEY.blob()))
        self.path.setContent(b"")
        self.assertEqual(self.learned(rotation, KEY.public(), NEW), [])
