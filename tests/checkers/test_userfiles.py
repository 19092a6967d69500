"""
Which files of a user root reads for him.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from conchlite.checkers.userfiles import readUserFile

USER = 64998
GROUP = 64997
SOMEBODY = 64996


@dataclass(frozen=True)
class Account:
    pw_dir: str
    pw_name: str = "nobody-here"
    pw_uid: int = USER
    pw_gid: int = GROUP


class ReadUserFileTests(SynchronousTestCase):
    def setUp(self):
        if os.geteuid() != 0:
            self.skipTest("only root has files of others")
        # Trial's own directory may be none where others can look.
        self.home = Path(tempfile.mkdtemp()).resolve()
        self.addCleanup(shutil.rmtree, self.home)
        self.home.chmod(0o755)
        os.chown(self.home, USER, GROUP)
        self.account = Account(str(self.home))

    def make(self, name: str, mode: int = 0o600, owner: int = USER, group: int = GROUP) -> Path:
        path = self.home / name
        if name.endswith("/"):
            path.mkdir()
        else:
            path.write_bytes(b"content")
        os.chown(path, owner, group)
        path.chmod(mode)
        return path

    def read(self, path: Path, strictModes: bool = True) -> bytes:
        return readUserFile(str(path), self.account, 100, strictModes)

    def assertNotRead(self, path: Path, reason: str, strictModes: bool = True) -> None:
        error = self.assertRaises(OSError, self.read, path, strictModes)
        self.assertIn(reason, error.strerror)

    def test_own(self):
        """
        A file of his own, and one of root's that he may read.
        """
        self.assertEqual(self.read(self.make("own")), b"content")
        self.assertEqual(self.read(self.make("everybody's", 0o644, 0, 0)), b"content")
        self.assertEqual(self.read(self.make("his group's", 0o640, 0, GROUP)), b"content")

    def test_unreadable(self):
        """
        What he may not read himself is not read for him, whatever the modes
        have to be: the owner's right comes first, then the group's.
        """
        files = (
            self.make("secret", 0o600, 0, 0),
            self.make("another group's", 0o640, 0, SOMEBODY),
            self.make("not his group's", 0o604, 0, GROUP),
            self.make("not the owner's", 0o044),
        )
        for path in files:
            for strictModes in (True, False):
                self.assertNotRead(path, "nobody-here may not read", strictModes)

    def test_links(self):
        """
        A link is as good as what it leads to.
        """
        link = self.home / "authorized_keys"
        for target, reason in (
            (self.make("secret", 0o600, 0, 0), "may not read"),
            (self.make("somebody's", 0o644, SOMEBODY), "others may write"),
            (Path("/dev/null"), "not a regular file"),
        ):
            link.symlink_to(target)
            self.assertNotRead(link, reason, target.name == "somebody's")
            link.unlink()
        link.symlink_to(self.make("own"))
        self.assertEqual(self.read(link), b"content")

    def test_directories(self):
        """
        He has to come to the file, and nobody else may have changed the way.
        """
        for number, (mode, owner, reason) in enumerate(
            (
                (0o700, 0, "may not read"),
                (0o600, USER, "may not read"),
                (0o775, USER, "others may write"),
                (0o757, USER, "others may write"),
                (0o755, SOMEBODY, "others may write"),
            )
        ):
            self.make(f"{number}/", mode, owner)
            path = self.make(f"{number}/file", 0o644)
            self.assertNotRead(path, reason)
            if reason == "others may write":
                self.assertEqual(self.read(path, strictModes=False), b"content")

    def test_elsewhere(self):
        """
        Outside of his home every directory counts, up to the root.
        """
        elsewhere = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, elsewhere)
        elsewhere.chmod(0o755)
        path = elsewhere / "file"
        path.write_bytes(b"content")
        path.chmod(0o644)
        self.assertEqual(self.read(path, strictModes=False), b"content")
        # Everybody writes to the directory of temporary files.
        self.assertNotRead(path, "others may write")

    def test_meanwhile(self):
        """
        What becomes a link while the file is looked for is not followed.
        """
        self.make("directory/", 0o755)
        self.make("directory/file")
        (self.home / "link").symlink_to("directory/file")
        (self.home / "linked").symlink_to("directory")
        paths = (self.home / "link", self.home / "linked" / "file")
        for path in paths:
            self.assertEqual(self.read(path), b"content")
        # As if they had been none a moment ago.
        self.patch(os.path, "realpath", str)
        for path in paths:
            self.assertRaises(OSError, self.read, path)

    def test_fileBecomesLink(self):
        """
        Nor is a file that becomes a link between the look at it and the
        opening.
        """
        secret, path = self.make("secret", 0o600, 0, 0), self.make("file")
        stat = os.stat

        def statAndReplace(name, **arguments):
            status = stat(name, **arguments)
            path.unlink()
            path.symlink_to(secret)
            return status

        self.patch(os.path, "realpath", str)
        self.patch(os, "stat", statAndReplace)
        error = self.assertRaises(OSError, self.read, path)
        self.assertIn("symbolic link", error.strerror)

    def test_nobodyElse(self):
        """
        The process stays who it is, and keeps no file open.
        """
        for name in ("seteuid", "setegid", "setgroups", "setresuid"):
            self.patch(os, name, self.fail)
        before = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
        self.assertEqual(self.read(self.make("own")), b"content")
        self.assertNotRead(self.make("secret", 0o600, 0, 0), "may not read")
        self.assertNotRead(self.home / "none", "No such file")
        self.assertNotRead(self.home / "nowhere" / "none", "No such file")
        after = os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []
        self.assertEqual(len(after), len(before))
