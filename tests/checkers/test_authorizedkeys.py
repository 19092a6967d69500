"""
Tests for L{conchlite.checkers.authorizedkeys}.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from conchlite.checkers.authorizedkeys import (
    MAXIMUM_LINE_SIZE,
    MAXIMUM_UNREADABLE,
    AuthorizedKeysFiles,
    AuthorizedPrincipalsFiles,
    UNIXAuthorizedKeysFiles,
    expandPath,
    parseAuthorizedKey,
    readAuthorizedKeyFile,
    readAuthorizedKeys,
)
from conchlite.checkers.keyoptions import PLAIN_LINE
from conchlite.error import InvalidEntry, UsageError
from conchlite.interfaces import IAuthorizedKeysDB
from conchlite.ssh.keys import Key
from tests.ssh.authlink import ed25519


def line(seed: int) -> bytes:
    return ed25519(seed).public().toString("openssh")


@dataclass
class Account:
    pw_name: str
    pw_dir: str
    pw_uid: int = 0
    pw_gid: int = 0


class Accounts:
    """
    @ivar asked: for whom.
    """

    def __init__(self, *accounts: Account) -> None:
        self._accounts = {account.pw_name: account for account in accounts}
        self.asked: list[str] = []

    def getpwnam(self, name: str) -> Account:
        self.asked.append(name)
        return self._accounts[name]


class LineTests(SynchronousTestCase):
    """
    L{parseAuthorizedKey}.
    """

    def test_keys(self):
        for text, command in (
            (line(1), None),
            (line(1) + b" a comment", None),
            (b"  " + line(1) + b"\r\n", None),
            (line(1).replace(b" ", b"\t"), None),
            (b"no-pty " + line(1), None),
            (b'command="a b" ' + line(1), b"a b"),
            (b'command="ssh-ed25519 AAAA" ' + line(1), b"ssh-ed25519 AAAA"),
            (b'command="a\\" b"\t' + line(1), b'a" b'),
        ):
            entry = parseAuthorizedKey(text)
            self.assertEqual(entry.key, ed25519(1).public())
            self.assertEqual(entry.options.permissions.command, command)

    def test_optionsAreNotLost(self):
        """
        Options are read here, whatever else the key's parser could read.
        """
        seen = []

        def parseKey(text):
            seen.append(text)
            return Key.fromString(text)

        entry = parseAuthorizedKey(b'restrict,command="date" ' + line(1) + b" me", parseKey=parseKey)
        self.assertEqual(seen, [line(1) + b" me"])
        self.assertEqual(entry.options.permissions.command, b"date")

    def test_bad(self):
        for text in (
            b"",
            b"ssh-ed25519",
            b"ssh-ed25519 AAAA",
            b"ssh-frobnicate AAAA",
            b"no-pty",
            b"no-pty no-x11-forwarding " + line(1),
            b'command="a b ' + line(1),
            b"frobnicate " + line(1),
            line(1)[:-8],
        ):
            self.assertRaises(InvalidEntry, parseAuthorizedKey, text)

    def test_longLine(self):
        """
        No memory is spent on a line of megabytes.
        """
        for length, good in ((MAXIMUM_LINE_SIZE, True), (MAXIMUM_LINE_SIZE + 1, False)):
            text = b'command="' + b"a" * (length - len(line(1)) - 11) + b'" ' + line(1)
            self.assertEqual(len(text), length)
            self.assertEqual(
                [bool(entry.options) for entry in readAuthorizedKeys(text, "file")], [True] * good
            )

    @given(st.binary())
    def test_anything(self, text):
        """
        Row 66: any bytes are an entry or an L{InvalidEntry}.
        """
        for data in (text, b"ssh-ed25519 " + text, text + b" " + line(1)):
            try:
                parseAuthorizedKey(data)
            except InvalidEntry:
                pass


class ReadingTests(SynchronousTestCase):
    """
    Whole files.
    """

    def logged(self):
        events = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        return events

    def test_manyBadLines(self):
        """
        A file of nonsense does not fill the log.
        """
        events = self.logged()
        (entry,) = readAuthorizedKeys(b"nonsense\n" * 1000 + line(1), "/keys")
        self.assertEqual(entry.source, "/keys:1001")
        self.assertEqual(len(events), MAXIMUM_UNREADABLE + 1)
        self.assertEqual(events[-1]["count"], 1000)

    def test_badLines(self):
        """
        What cannot be read hides nothing else, and is reported with its line.
        """
        content = b"\n".join(
            (b"# mine", b"", b"nonsense", b"no-pty " + line(1), b"frobnicate " + line(2), line(3))
        )
        events = self.logged()
        entries = list(readAuthorizedKeys(content, "/keys"))
        self.assertEqual(
            [(entry.key, entry.source) for entry in entries],
            [(ed25519(1).public(), "/keys:4"), (ed25519(3).public(), "/keys:6")],
        )
        self.assertEqual([event["source"] for event in events], ["/keys:3", "/keys:5"])

    def test_readAuthorizedKeyFile(self):
        """
        Who gets only keys gets none that have options.
        """
        content = b"\n".join((line(1), b"restrict " + line(2), b"nonsense", line(3) + b" comment"))
        keys = list(readAuthorizedKeyFile(io.BytesIO(content)))
        self.assertEqual(keys, [ed25519(1).public(), ed25519(3).public()])


class FilesTests(SynchronousTestCase):
    """
    L{AuthorizedKeysFiles} and L{AuthorizedPrincipalsFiles}.
    """

    def setUp(self):
        self.home = Path(self.mktemp()).absolute()
        (self.home / ".ssh").mkdir(parents=True)
        for directory in (self.home, self.home / ".ssh"):
            directory.chmod(0o755)
        self.file = self.home / ".ssh" / "authorized_keys"
        self.accounts = Accounts(Account("alice", str(self.home), os.getuid(), os.getgid()))

    def write(self, content: bytes, path: Path | None = None) -> None:
        path = path or self.file
        path.write_bytes(content)
        path.chmod(0o644)

    def keys(self, name: bytes = b"alice", **arguments: object) -> list[Key]:
        files = AuthorizedKeysFiles(userdb=self.accounts, **arguments)
        return [entry.key for entry in files.getAuthorizedKeys(name)]

    def test_interface(self):
        for files in (AuthorizedKeysFiles(), UNIXAuthorizedKeysFiles()):
            self.assertTrue(verifyObject(IAuthorizedKeysDB, files))

    def test_both(self):
        """
        Both of the usual files are read.
        """
        self.write(line(1))
        self.write(line(2), self.file.with_name("authorized_keys2"))
        self.assertEqual(self.keys(), [ed25519(1).public(), ed25519(2).public()])
        entries = UNIXAuthorizedKeysFiles(self.accounts).getAuthorizedKeys(b"alice")
        self.assertEqual([entry.options for entry in entries], [PLAIN_LINE, PLAIN_LINE])

    def test_none(self):
        self.assertEqual(self.keys(), [])
        self.assertEqual(self.keys(b"nobody"), [])

    def test_strictModes(self):
        """
        A file that others may write to, or below a directory that they may,
        is passed over.
        """
        self.write(line(1))
        for path in (self.file, self.file.parent, self.home):
            mode = path.stat().st_mode
            for more in (0o020, 0o002):
                path.chmod(mode | more)
                self.assertEqual(self.keys(), [])
                self.assertEqual(self.keys(strictModes=False), [ed25519(1).public()])
            path.chmod(mode)
        self.assertEqual(self.keys(), [ed25519(1).public()])

    def test_owner(self):
        """
        So is one that belongs to somebody else.
        """
        if os.geteuid() != 0:
            self.skipTest("files of others are made by root")
        self.write(line(1))
        os.chown(self.file, 64998, 64998)
        self.assertEqual(self.keys(), [])

    def test_asTheUser(self):
        """
        Root reads what the user may read: a link to other files is of no use.
        """
        if os.geteuid() != 0:
            self.skipTest("only root reads as others")
        # Trial's own directory is none where others can look.
        home = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, home)
        home.chmod(0o755)
        self.accounts = Accounts(Account("nobody", str(home), 65534, 65534))
        self.write(line(1), home / "secret")
        (home / "authorized_keys").symlink_to(home / "secret")
        for mode, keys in ((0o600, []), (0o644, [ed25519(1).public()])):
            (home / "secret").chmod(mode)
            self.assertEqual(self.keys(b"nobody", paths=["%h/authorized_keys"], strictModes=False), keys)

    def test_noFile(self):
        """
        What is no file, or too large a one, has no keys.
        """
        os.mkfifo(self.file)
        self.assertEqual(self.keys(), [])
        self.file.unlink()
        with open(self.file, "wb") as stream:
            stream.truncate(2**30)
        self.assertEqual(self.keys(), [])

    def test_principals(self):
        path = self.home / "principals"
        self.write(b'# who\ndeploy # may\n no-pty,command="a b" other\ncert-authority root\nx y\n', path)
        found = AuthorizedPrincipalsFiles([str(path)], self.accounts)(b"alice")
        self.assertEqual(
            [(one.name, one.options.permissions.command) for one in found],
            [(b"deploy", None), (b"other", b"a b")],
        )

    def test_badTemplate(self):
        self.assertRaises(UsageError, AuthorizedKeysFiles, ["/keys/%x"])


_WORDS = """
.. . ../x ..\\x / /x x/ x/y ~ ~root ~/x $HOME ${HOME} %h %u %% x%u -x -oProxyCommand=x @x x;y x|y x&y x`y`
x$(y)
x'y x"y x*y x?y x<y x>y x[y x{y x!y x#y x=y x,y x:y x+y x^y
"""
NAMES = [*_WORDS.split(), "", "x y", "x\ny", "x\0y", "x\x7f", "x" * 65, "\u00e4"]


class PathTests(SynchronousTestCase):
    """
    Row 68: names that would lead out of a directory.
    """

    def test_hostileNames(self):
        """
        Row 68: they are not looked up, and lead nowhere.
        """
        self.assertGreaterEqual(len(NAMES), 40)
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        (directory / "keys").mkdir()
        (directory / "authorized_keys").write_bytes(line(1))
        for name in NAMES:
            accounts = Accounts(Account(name, "/", 0, 0))
            files = AuthorizedKeysFiles([f"{directory}/keys/%u"], accounts, strictModes=False)
            self.assertEqual(list(files.getAuthorizedKeys(name.encode())), [], name)
            self.assertIsNone(expandPath("/keys/%u/authorized_keys", Account(name, "/home/x")), name)
            if name not in ("..", "."):
                self.assertEqual(accounts.asked, [], name)

    def test_good(self):
        account = Account("a.b@c-d_E", "/home/a", 7)
        for template, path in (
            ("%h/.ssh/keys", "/home/a/.ssh/keys"),
            (".ssh/keys", "/home/a/.ssh/keys"),
            ("/keys/%u", "/keys/a.b@c-d_E"),
            ("/keys/%U/x", "/keys/7/x"),
            ("/keys/100%%/%u", "/keys/100%/a.b@c-d_E"),
            ("/keys/all", "/keys/all"),
        ):
            self.assertEqual(expandPath(template, account), path)

    def test_once(self):
        """
        Row 68: what stands in a home is no token.
        """
        self.assertEqual(expandPath("%h/keys", Account("x", "/home/%u")), "/home/%u/keys")

    def test_outside(self):
        """
        Row 68: what comes of it stays in its directory.
        """
        for template in ("%h/../keys", "%h", "../keys", "/keys/%u/..", "/keys/%u/../../etc"):
            self.assertIsNone(expandPath(template, Account("x", "/home/x")), template)
        self.assertIsNone(expandPath("%h/keys", Account("x", "home")))
