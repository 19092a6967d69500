"""
Tests for L{conchlite.client.hostkeys}, by way of the policy that adds nothing to it.
"""

import os
import shlex
import subprocess

from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase

from conchlite.client.hostentries import parseLine
from conchlite.client.policies import Strict
from conchlite.error import HostKeyChanged, HostKeyRejected, HostKeyUnknown
from conchlite.ssh.fingerprints import fingerprint
from tests.client.test_knownhosts import blob, line


class StrictTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.paths: list[str] = []

    def hostKeys(self, *contents: bytes) -> Strict:
        """
        As many files as there are contents.
        """
        self.paths = [self.mktemp() for _ in contents]
        for path, content in zip(self.paths, contents, strict=True):
            FilePath(path).setContent(content + b"\n")
        self.paths = [FilePath(path).path for path in self.paths]
        return Strict(self.paths)

    def test_known(self) -> None:
        """
        One file of several is enough, even where another disagrees.
        """
        keys = self.hostKeys(line(b"host", blob(fill=2)), line(b"host", blob(fill=1)))
        self.assertIsNone(keys.verify("HOST", 22, blob(fill=1)))

    def test_unknown(self) -> None:
        """
        The refusal names the fingerprint, the files, and a command that adds just this key.
        """
        keys = self.hostKeys(b"", line(b"other", blob()))
        error = str(self.assertRaises(HostKeyUnknown, keys.verify, "host", 2222, blob()))
        for part in ("[host]:2222", fingerprint(blob()), *self.paths):
            self.assertIn(part, error)
        self.assertNotIn("\n", error)
        echo, text, arrow, path = shlex.split(error[error.index("echo ") :])
        self.assertEqual((echo, arrow, path), ("echo", ">>", self.paths[0]))
        self.assertTrue(parseLine(text.encode()).matchesHost(b"[host]:2222"))
        self.assertTrue(parseLine(text.encode()).matchesKey(blob()))

    def cured(self, directory: str, path: FilePath[str]) -> FilePath[str]:
        """
        Do in a shell what the refusal says.
        """
        keys = Strict([path.path])
        error = str(self.assertRaises(HostKeyUnknown, keys.verify, "host", 2222, blob()))
        cure = error.partition(", with: ")[2]
        subprocess.run(["/bin/sh", "-c", cure], cwd=directory, check=True, timeout=30)
        self.assertIsNone(keys.verify("host", 2222, blob()))
        return path

    def test_cure(self) -> None:
        """
        The command does it for whatever file there is, and loses no line of it.
        """
        directory = FilePath(self.mktemp())
        directory.makedirs()
        for content in (b"", b"\n", b"# a comment", line(b"other", blob()), line(b"other", blob()) + b"\n"):
            path = directory.child("known 'hosts'")
            path.setContent(content)
            lines = self.cured(directory.path, path).getContent().splitlines()
            self.assertEqual((lines[:-1], lines[-1][:11]), (content.splitlines(), b"[host]:2222"))

    def test_cureWithoutDirectory(self) -> None:
        """
        The directory, which is missing as well, becomes the user's alone.
        """
        directory = FilePath(self.mktemp())
        directory.makedirs()
        self.cured(directory.path, directory.child("a home").child(".ssh").child("known_hosts"))
        self.assertEqual(directory.child("a home").child(".ssh").getPermissions().shorthand(), "rwx------")

    def test_unknownWithOtherType(self) -> None:
        """
        A key of another type is no disagreement, and worth telling.
        """
        keys = self.hostKeys(b"#\n" + line(b"host", blob(b"ssh-rsa")))
        error = str(self.assertRaises(HostKeyUnknown, keys.verify, "host", 22, blob()))
        self.assertIn(f"{self.paths[0]}, line 2, has a key of type ssh-rsa", error)

    def test_changed(self) -> None:
        keys = self.hostKeys(b"", line(b"[host]:2222", blob(fill=2)))
        error = self.assertRaises(HostKeyChanged, keys.verify, "host", 2222, blob(fill=1))
        for part in (f"{self.paths[1]}, line 1", fingerprint(blob(fill=1)), fingerprint(blob(fill=2))):
            self.assertIn(part, str(error))
        self.assertIn(f"ssh-keygen -f {self.paths[1]} -R '[host]:2222'", str(error))
        self.assertNotIn("\n", str(error))
        self.assertEqual(error.lineno, 1)

    def test_revokedAnywhere(self) -> None:
        """
        A file that revokes the key is heard although an earlier one has it.
        """
        keys = self.hostKeys(line(b"host", blob()), line(b"@revoked *", blob()))
        error = self.assertRaises(HostKeyRejected, keys.verify, "host", 22, blob())
        self.assertIn("revoked", str(error))

    def test_home(self) -> None:
        home = FilePath(self.mktemp())
        home.makedirs()
        home.child("known_hosts").setContent(line(b"host", blob()))
        self.patch(os, "environ", {"HOME": home.path})
        self.assertIsNone(Strict(["~/known_hosts"]).verify("host", 22, blob()))


class OrderTests(SynchronousTestCase):
    algorithms = (b"ssh-ed25519", b"ecdsa-sha2-nistp256", b"rsa-sha2-512", b"rsa-sha2-256")

    def order(self, *lines: bytes) -> list[bytes]:
        path = FilePath(self.mktemp())
        path.setContent(b"\n".join(lines))
        return Strict([path.path]).order("host", 22, self.algorithms)

    def test_nothingKnown(self) -> None:
        self.assertEqual(self.order(), list(self.algorithms))

    def test_knownFirst(self) -> None:
        """
        Both algorithms of an RSA key come first, in the order they had.
        """
        self.assertEqual(
            self.order(line(b"host", blob(b"ssh-rsa"))),
            [b"rsa-sha2-512", b"rsa-sha2-256", b"ssh-ed25519", b"ecdsa-sha2-nistp256"],
        )

    def test_favouriteKnown(self) -> None:
        """
        Row 49: where the first algorithm will do, nothing is put first, since
        that would tell whoever listens that the host is known.
        """
        self.assertEqual(
            self.order(line(b"host", blob(b"ssh-rsa")), line(b"host", blob())), list(self.algorithms)
        )

    def test_leftAlone(self) -> None:
        """
        Row 49: it can be switched off.
        """

        class Discreet(Strict):
            knownTypesFirst = False

        path = FilePath(self.mktemp())
        path.setContent(line(b"host", blob(b"ssh-rsa")))
        ordered = Discreet([path.path]).order("host", 22, self.algorithms)
        self.assertEqual(ordered, list(self.algorithms))

    def test_otherHostsAndMarkers(self) -> None:
        """
        Keys of other hosts and revoked ones do not count.
        """
        rsa = blob(b"ssh-rsa")
        self.assertEqual(
            self.order(line(b"other", rsa), line(b"@revoked host", rsa), line(b"@cert-authority other", rsa)),
            list(self.algorithms),
        )

    def test_authority(self) -> None:
        """
        Where an authority speaks for the host, certificates are asked for
        first, and of all types: of which the authority's is, is not the host's.
        """
        rsa = blob(b"ssh-rsa")
        ordered = self.order(line(b"host", rsa), line(b"@cert-authority h*", blob()))
        plain = [b"rsa-sha2-512", b"rsa-sha2-256", b"ssh-ed25519", b"ecdsa-sha2-nistp256"]
        self.assertEqual(ordered, [name + b"-cert-v01@openssh.com" for name in plain] + plain)

    def test_otherPort(self) -> None:
        """
        A host on another port is looked for there, and then without it.
        """
        path = FilePath(self.mktemp())
        path.setContent(line(b"host", blob(b"ssh-rsa")) + b"\n")
        first = Strict(path).order("host", 2222, self.algorithms)[0]
        self.assertEqual(first, b"rsa-sha2-512")
        path.setContent(path.getContent() + line(b"[host]:2222", blob(b"ecdsa-sha2-nistp256")) + b"\n")
        first = Strict(path).order("host", 2222, self.algorithms)[0]
        self.assertEqual(first, b"ecdsa-sha2-nistp256")
