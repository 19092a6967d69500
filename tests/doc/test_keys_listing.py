"""
The listings of the chapter on keys do what it says.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.ssh.keys import Key
from tests.doc.listings import DOC, assertUsage, run

KEYS = DOC / "howto" / "listings" / "keys"
CHAPTER = (DOC / "howto" / "keys.rst").read_text()


class KeysListingsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(
            shutil.copytree(KEYS, self.mktemp(), ignore=shutil.ignore_patterns("__pycache__"))
        )

    def assertSays(
        self, name: str, *arguments: str, out: str = "", err: str = ""
    ) -> subprocess.CompletedProcess:
        done = run(self.directory / name, *arguments)
        self.assertIn(out, done.stdout)
        self.assertIn(err, done.stderr)
        self.assertEqual(done.returncode, 1 if err else 0, done.stderr)
        return done

    def test_usage(self) -> None:
        for name in ("make.py", "show.py", "sign.py"):
            assertUsage(self, self.directory / name)

    def test_makeAndShow(self) -> None:
        done = self.assertSays("make.py", "id", out="+--[ED25519 256]--+\n")
        key = Key.fromFile(self.directory / "id")
        self.assertEqual(done.stdout.split("\n", 1)[1].strip(), key.randomart())
        self.assertSays("show.py", "id", out=(self.directory / "id.pub").read_text())
        self.assertSays("show.py", "id", "x", err="not this file: id: a passphrase is given")
        (self.directory / "id").chmod(0o644)
        self.assertSays("show.py", "id", err="chmod 600 id")

    def test_encrypted(self) -> None:
        self.assertSays("make.py", "id", "secret")
        self.assertSays("show.py", "id", "secret", out=" made by make.py\n")
        self.assertSays("show.py", "id", err="a passphrase, please: id: ")
        self.assertSays("show.py", "id", "Secret", err="another passphrase, please: id: ")
        path = self.directory / "id"
        path.write_bytes(path.read_bytes()[:-50])
        self.assertSays("show.py", "id", "secret", err="another file, please: id: ")
        path.write_bytes(b"hello")
        self.assertSays("show.py", "id", err="another file, please: id: ")

    def test_sign(self) -> None:
        self.assertSays("make.py", "id")
        line = (self.directory / "id.pub").read_text()
        (self.directory / "signers").write_text(f'me@* namespaces="file" {line}')
        (self.directory / "message").write_text("hello")
        self.assertSays("sign.py", "id", "message")
        self.assertSays("sign.py", "signers", "me@x", "message", out="message: signed by me@x\n")
        self.assertSays("sign.py", "signers", "you@x", "message", err="message: no line lets this key sign")
        (self.directory / "message").write_text("Hello")
        self.assertSays("sign.py", "signers", "me@x", "message", err="message: the Ed25519 signature")


class ChapterTests(SynchronousTestCase):
    def test_everyFormat(self) -> None:
        """
        The table has each format by its name.
        """
        table = CHAPTER.partition(':header: "format"')[2].partition("\n\n")[2].partition("\n\n")[0]
        self.assertEqual(set(re.findall(r"``(\w+)``\"$", table, re.MULTILINE)), set(catalogue.keyFiles()))
