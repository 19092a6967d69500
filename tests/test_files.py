"""
Files that are read with care, and written whole or not at all.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from conchlite.files import readRegularFile, readWithStatus, writeWhole


def modeOf(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


class WriteWholeTests(SynchronousTestCase):
    def setUp(self):
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.path = self.directory / "key"

    def assertAlone(self, *names: str) -> None:
        """
        Nothing is left lying about.
        """
        self.assertEqual(sorted(os.listdir(self.directory)), sorted(names))

    def withUmask(self, umask: int) -> None:
        self.addCleanup(os.umask, os.umask(umask))

    def test_neverReadableByOthers(self):
        """
        Row 88: from the moment that a file exists, and under whichever name,
        nobody else can read it, though the umask is 0.
        """
        self.withUmask(0)
        seen = []
        write, opened = os.rename, os.open

        def spy(path, flags, *mode, **more):
            descriptor = opened(path, flags, *mode, **more)
            if flags & os.O_CREAT:
                self.assertEqual(flags & (os.O_EXCL | os.O_NOFOLLOW), os.O_EXCL | os.O_NOFOLLOW)
                seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            return descriptor

        def rename(source, target):
            seen.append(modeOf(Path(source)))
            write(source, target)

        self.patch(os, "open", spy)
        self.patch(os, "rename", rename)
        writeWhole(self.path, b"secret")
        self.assertEqual([*seen, modeOf(self.path)], [0o600] * 3)
        self.assertAlone("key")

    def test_modeWhateverTheUmask(self):
        for umask in (0, 0o022, 0o077, 0o777):
            self.withUmask(umask)
            for mode in (0o600, 0o644, 0o400):
                writeWhole(self.path, b"%o" % mode, mode)
                self.assertEqual(modeOf(self.path), mode)
                self.assertEqual(self.path.read_bytes(), b"%o" % mode)

    def test_ordersOfTheDisk(self):
        """
        The content is on the disk before the name is, and the name before
        the call is over.
        """
        order = []
        sync, rename = os.fsync, os.rename

        def fsync(descriptor):
            order.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
            sync(descriptor)

        def renamed(source, target):
            order.append(f"rename of {Path(source).stat().st_size} bytes")
            rename(source, target)

        self.patch(os, "fsync", fsync)
        self.patch(os, "rename", renamed)
        writeWhole(self.path, b"12345")
        self.assertEqual(order, ["file", "rename of 5 bytes", "directory"])

    def test_networkFileSystem(self):
        """
        A directory that cannot be synchronised is no reason to fail; a disk
        that does not work is.
        """
        sync = os.fsync
        for code, fails in ((errno.EINVAL, False), (errno.EIO, True)):

            def fsync(descriptor, code=code):
                if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                    raise OSError(code, "no")
                sync(descriptor)

            self.patch(os, "fsync", fsync)
            if fails:
                self.assertRaises(OSError, writeWhole, self.path, b"new")
            else:
                writeWhole(self.path, b"new")
                self.assertEqual(self.path.read_bytes(), b"new")

    def test_failure(self):
        """
        What was there is there still, and nothing else.
        """
        self.path.write_bytes(b"old")

        def full(descriptor):
            raise OSError(errno.ENOSPC, "no space")

        self.patch(os, "fsync", full)
        self.assertRaises(OSError, writeWhole, self.path, b"new")
        self.assertEqual(self.path.read_bytes(), b"old")
        self.assertAlone("key")
        self.assertRaises(FileNotFoundError, writeWhole, self.directory / "none" / "key", b"")

    def test_symbolicLink(self):
        """
        A link is replaced, not followed, unless what is there is to be kept.
        """
        elsewhere = self.directory / "elsewhere"
        elsewhere.write_bytes(b"old")
        elsewhere.chmod(0o640)
        self.path.symlink_to("elsewhere")
        writeWhole(self.path, b"kept", keep=True)
        self.assertTrue(self.path.is_symlink())
        self.assertEqual(elsewhere.read_bytes(), b"kept")
        self.assertEqual(modeOf(elsewhere), 0o640)
        writeWhole(self.path, b"new")
        self.assertFalse(self.path.is_symlink())
        self.assertEqual((elsewhere.read_bytes(), self.path.read_bytes()), (b"kept", b"new"))
        self.assertAlone("elsewhere", "key")

    def test_keep(self):
        """
        The permissions of what is there; C{mode} where nothing is.
        """
        writeWhole(self.path, b"first", 0o644, keep=True)
        self.assertEqual(modeOf(self.path), 0o644)
        self.path.chmod(0o664)
        writeWhole(self.path, b"second", 0o600, keep=True)
        self.assertEqual((self.path.read_bytes(), modeOf(self.path)), (b"second", 0o664))
        writeWhole(self.path, b"third", 0o600)
        self.assertEqual(modeOf(self.path), 0o600)

    def test_keepOwner(self):
        """
        Root gives the file back to whom it belongs; who may not, takes
        nothing from the group's rights into a group of its own.
        """
        self.path.write_bytes(b"old")
        self.path.chmod(0o660)
        status, real = os.stat, str(self.path.resolve())
        given = []

        class Stranger:
            st_uid, st_gid, st_mode = 4711, 4712, stat.S_IFREG | 0o660

        def strangers(path, **more):
            return Stranger if path == real else status(path, **more)

        def chown(descriptor, *ids):
            given.append(ids)

        self.patch(os, "stat", strangers)
        self.patch(os, "fchown", chown)
        writeWhole(self.path, b"new", keep=True)
        self.assertEqual((given, modeOf(self.path)), ([(4711, 4712)], 0o660))

        def refused(descriptor, *ids):
            raise PermissionError(errno.EPERM, "no")

        self.patch(os, "fchown", refused)
        writeWhole(self.path, b"new", keep=True)
        self.assertEqual(modeOf(self.path), 0o600)

    def test_noReplacing(self):
        writeWhole(self.path, b"first", replace=False)
        error = self.assertRaises(FileExistsError, writeWhole, self.path, b"second", replace=False)
        self.assertTrue(str(error).endswith(f" File exists: '{self.path}'"), str(error))
        self.assertEqual((self.path.read_bytes(), modeOf(self.path)), (b"first", 0o600))
        self.assertAlone("key")

    def test_noDirectory(self):
        """
        An error names the file that was meant, not the one on the way to it.
        """
        path = self.path / "key"
        error = self.assertRaises(OSError, writeWhole, path, b"data")
        self.assertEqual(os.fspath(path), error.filename)

    def test_relativePath(self):
        here = os.getcwd()
        os.chdir(self.directory)
        self.addCleanup(os.chdir, here)
        writeWhole("x" * 255, b"long name")
        writeWhole("key", b"short", keep=True)
        self.assertEqual(sorted(os.listdir()), ["key", "x" * 255])


class ReadTests(SynchronousTestCase):
    def test_status(self):
        path = Path(self.mktemp())
        writeWhole(path, b"content", 0o640)
        content, status = readWithStatus(path, 100)
        self.assertEqual((content, stat.S_IMODE(status.st_mode)), (b"content", 0o640))
        self.assertEqual(readRegularFile(path, 7), b"content")
        self.assertRaises(OSError, readRegularFile, path, 6)

    def test_whatIsNoFile(self):
        """
        A FIFO that nobody writes to does not keep us waiting.
        """
        path = self.mktemp()
        os.mkfifo(path)
        for name in (path, "/dev/zero", "/"):
            refused = self.assertRaises(OSError, readRegularFile, name, 100)
            self.assertIn("not a regular file", str(refused))
