"""
Tests for what changes a known hosts file: L{conchlite.client.knownhosts} and
L{conchlite.client.filelock}.
"""

import fcntl
import os
import stat
import subprocess
import sys

from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase

from conchlite.client import filelock
from conchlite.client.hostentries import HashedEntry, parseLine
from conchlite.client.knownhosts import MAXIMUM_LINE_SIZE, KnownHostsFile
from conchlite.error import ConchError
from tests.client.test_knownhosts import blob, line

#: What no change may touch.
ODD = [
    b"# a comment with \rcarriage return",
    b"",
    b"\xff\xfe no line at all \x0b\x0c",
    line(b"@revoked host", blob()),
    line(b"@cert-authority host", blob()),
    line(b"other", blob(fill=9)) + b"\r",
    b"host " + b"x" * (MAXIMUM_LINE_SIZE + 1),
    line(b"host", blob())[:-4],
]

# Adds keys for hosts of its own, one after the other.
_PROGRAM = """
import sys
from twisted.python.filepath import FilePath
from conchlite.client.knownhosts import KnownHostsFile
from conchlite.wire.types import packString
for number in range(25):
    file = KnownHostsFile.fromPath(FilePath(sys.argv[1]))
    file.addHostKey(b"%s%d" % (sys.argv[2].encode(), number), packString(b"ssh-x") + packString(b"key"))
    file.save()
"""


class RemovingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = FilePath(self.mktemp())

    def fileWith(self, *lines: bytes) -> KnownHostsFile:
        self.path.setContent(b"\n".join(lines))
        self.path.chmod(0o640)
        return KnownHostsFile.fromPath(self.path)

    def hashed(self, name: bytes) -> bytes:
        return HashedEntry.forHost(name, blob(), lambda size: b"s" * size).toString()

    def test_removeHost(self) -> None:
        """
        Row 83: the lines about the host go, whichever way they name it, and
        every other stays byte for byte.
        """
        names = [line(b"host", blob()), line(b"a,HOST,b", blob()), line(b"h?st,!hast", blob(fill=3))]
        file = self.fileWith(ODD[0], names[0], *ODD[1:4], *names[1:], self.hashed(b"host"), *ODD[4:])
        self.assertEqual(file.removeHost(b"host"), 4)
        self.assertEqual(self.path.getContent(), b"\n".join(ODD))
        self.assertEqual(stat.S_IMODE(os.stat(self.path.path).st_mode), 0o640)

    def test_removePort(self) -> None:
        file = self.fileWith(line(b"host", blob()), line(b"[host]:22022", blob()))
        self.assertEqual(file.removeHost(b"[host]:22022"), 1)
        self.assertEqual(self.path.getContent(), line(b"host", blob()) + b"\n")

    def test_removeKey(self) -> None:
        """
        A key goes, of whomever it was, and stays revoked.
        """
        file = self.fileWith(*ODD, line(b"host", blob()), line(b"more", blob()), line(b"host", blob(fill=2)))
        self.assertEqual(file.remove(blob()), 2)
        self.assertEqual(self.path.getContent(), b"\n".join([*ODD, line(b"host", blob(fill=2))]))

    def test_nothingToRemove(self) -> None:
        """
        A file that is not there is not made, one that says nothing of the host
        is the same file still.
        """
        self.assertEqual(KnownHostsFile.fromPath(self.path).removeHost(b"host"), 0)
        self.assertFalse(self.path.exists())
        file = self.fileWith(*ODD)
        before = os.stat(self.path.path).st_ino
        self.assertEqual(file.removeHost(b"nobody"), 0)
        self.assertEqual((self.path.getContent(), os.stat(self.path.path).st_ino), (b"\n".join(ODD), before))

    def test_removeLast(self) -> None:
        """
        Of a file that was about nobody else, nothing is left but the file.
        """
        file = self.fileWith(line(b"host", blob()))
        file.addHostKey(b"host", blob(fill=2))
        self.assertEqual(file.removeHost(b"host"), 2)
        self.assertEqual(self.path.getContent(), b"")

    def test_removeUnsaved(self) -> None:
        file = KnownHostsFile.fromPath(self.path)
        file.addHostKey(b"host", blob())
        self.assertEqual(file.removeHost(b"host"), 1)
        self.assertFalse(file.hasHostKey(b"host", blob()))

    def test_replaceKeys(self) -> None:
        """
        Some go and others come in one step.
        """
        file = self.fileWith(line(b"host", blob()), line(b"other", blob()))
        file.replaceKeys([parseLine(line(b"host", blob(fill=2)))], lambda entry: entry.matchesHost(b"host"))
        self.assertEqual(
            self.path.getContent(), line(b"other", blob()) + b"\n" + line(b"host", blob(fill=2)) + b"\n"
        )


class LockTests(SynchronousTestCase):
    def test_severalPrograms(self) -> None:
        """
        Programs that add keys at the same time lose none.
        """
        path = os.path.abspath(self.mktemp())
        running = [
            subprocess.Popen([sys.executable, "-c", _PROGRAM, path, name], cwd=os.getcwd(), env=self.env())
            for name in ("one", "two", "three")
        ]
        self.assertEqual([program.wait(60) for program in running], [0, 0, 0])
        file = KnownHostsFile.fromPath(FilePath(path))
        for name in (b"one", b"two", b"three"):
            for number in range(25):
                self.assertTrue(list(file.entriesFor(b"%s%d" % (name, number))), (name, number))

    def env(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def test_locked(self) -> None:
        """
        Who keeps the file to himself is not waited for for ever.
        """
        self.patch(filelock, "LOCK_SECONDS", 0.0)
        path = FilePath(self.mktemp())
        path.setContent(b"")
        file = KnownHostsFile.fromPath(path)
        file.addHostKey(b"host", blob())
        with path.open() as other:
            fcntl.flock(other, fcntl.LOCK_EX)
            error = self.assertRaises(ConchError, file.save)
        self.assertIn("another program keeps it to itself", str(error))
        self.assertEqual(path.getContent(), b"")
        file.save()
        self.assertTrue(KnownHostsFile.fromPath(path).hasHostKey(b"host", blob()))

    def test_replacedMeanwhile(self) -> None:
        """
        A lock on a file that has another's name no more is worth nothing: the
        new file is locked, and read.
        """
        path = os.path.abspath(self.mktemp())
        flock, looks = fcntl.flock, []

        def replaced(descriptor: int, operation: int) -> None:
            flock(descriptor, operation)
            looks.append(descriptor)
            if len(looks) == 1:
                with open(path + ".new", "wb") as new:
                    new.write(b"their line\n")
                os.rename(path + ".new", path)

        self.patch(fcntl, "flock", replaced)
        filelock.change(path, 2**20, lambda content: content + b"our line\n")
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"their line\nour line\n")
        self.assertEqual(len(looks), 2)
