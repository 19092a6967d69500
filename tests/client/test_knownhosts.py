"""
Tests for L{conchlite.client.hostentries} and L{conchlite.client.knownhosts}.
"""

import base64
import io
import os
import stat
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import LogLevel, capturedLogs
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase

from conchlite.client import knownhosts
from conchlite.client.hostentries import (
    CERT_AUTHORITY,
    REVOKED,
    HashedEntry,
    PlainEntry,
    hostPattern,
    parseLine,
)
from conchlite.client.knownhosts import ConsoleUI, KnownHostsFile
from conchlite.error import ConchError, HostKeyChanged, HostKeyRejected, InvalidEntry, UserRejectedKey
from conchlite.ssh.fingerprints import fingerprint
from conchlite.wire.types import packString


def blob(keyType: bytes = b"ssh-ed25519", fill: int = 1) -> bytes:
    return packString(keyType) + packString(bytes([fill]) * 32)


def line(hosts: bytes, key: bytes, comment: bytes = b"") -> bytes:
    keyType = key[4 : 4 + int.from_bytes(key[:4], "big")]
    return b" ".join(filter(None, [hosts, keyType, base64.b64encode(key), comment]))


# Made by "ssh-keygen -H" of OpenSSH 9.2 from a line for example.com.
OPENSSH_HASHED = (
    b"|1|qzrTE0mQ1N0SIKXzRC/9DN9tCtA=|cCWnZDcR91GT7dPYWbix5BrujxQ= ssh-ed25519 "
    b"AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
)


class HostPatternTests(SynchronousTestCase):
    def test_port(self) -> None:
        """
        The standard port is left out, any other stands behind the bracketed name.
        """
        self.assertEqual(hostPattern("Example.COM"), b"example.com")
        self.assertEqual(hostPattern(b"::1", 2222), b"[::1]:2222")

    def test_fingerprint(self) -> None:
        """
        It is what "ssh-keygen -l" prints for the same key.
        """
        self.assertEqual(fingerprint(blob()), "SHA256:RXm/ruZ0eTzRXKwi1AQEDynB0VgHQ2ac9KPSFdf/YnA")


class EntryTests(SynchronousTestCase):
    def test_plain(self) -> None:
        entry = parseLine(line(b"one,two,192.0.2.1", blob(), b"a comment  of words") + b"\r")
        self.assertIsInstance(entry, PlainEntry)
        self.assertEqual(entry.hostnames, (b"one", b"two", b"192.0.2.1"))
        self.assertEqual(entry.keyType, b"ssh-ed25519")
        self.assertEqual(entry.comment, b"a comment  of words")
        self.assertTrue(entry.matchesHost(b"TWO"))
        self.assertFalse(entry.matchesHost(b"one,two"))
        self.assertTrue(entry.matchesKey(blob()))
        self.assertFalse(entry.matchesKey(blob(fill=2)))

    def test_negated(self) -> None:
        """
        A name that fits a negated pattern is excepted, wherever the pattern stands.
        """
        entry = parseLine(line(b"*.example.com,!bad.example.com", blob()))
        self.assertTrue(entry.matchesHost(b"good.example.com"))
        self.assertFalse(entry.matchesHost(b"bad.example.com"))

    def test_hashed(self) -> None:
        entry = parseLine(OPENSSH_HASHED)
        self.assertIsInstance(entry, HashedEntry)
        self.assertTrue(entry.matchesHost(b"Example.com"))
        self.assertFalse(entry.matchesHost(b"example.org"))
        self.assertEqual(entry.toString(), OPENSSH_HASHED)

    def test_lineBreakInFront(self) -> None:
        """
        Found by fuzzing: what is in front of a hash does not make it a name.
        """
        for blank in (b" ", b"\t", b"\n", b"\r\n"):
            self.assertEqual(parseLine(blank + OPENSSH_HASHED).toString(), OPENSSH_HASHED)
            self.assertRaises(InvalidEntry, parseLine, blank + b"|x" + OPENSSH_HASHED)

    def test_markers(self) -> None:
        for marker in (REVOKED, CERT_AUTHORITY):
            text = line(marker + b" *", blob())
            entry = parseLine(text)
            self.assertEqual(entry.marker, marker)
            self.assertTrue(entry.matchesHost(b"any"))
            self.assertEqual(entry.toString(), text)

    def test_markedHash(self) -> None:
        entry = parseLine(b"@revoked \t" + OPENSSH_HASHED)
        self.assertIsInstance(entry, HashedEntry)
        self.assertEqual(entry.marker, REVOKED)

    def test_roundTrip(self) -> None:
        text = line(b"one,[two]:22", blob(b"ssh-rsa"), b"comment")
        self.assertEqual(PlainEntry.fromString(text).toString(), text)

    def test_unreadable(self) -> None:
        good = base64.b64encode(blob())
        for bad in [
            b"host",
            b"host ssh-ed25519",
            b"host ssh-rsa " + good,
            b"host ssh-ed25519 " + good[:-3],
            b"host ssh-ed25519 !" + good,
            b"host ssh-ed25519 AAAA",
            b"@revoked",
            b"@revoked host",
            b"@strange host ssh-ed25519 " + good,
            b"|1|AAAA ssh-ed25519 " + good,
            b"|1|AAAA|AAAA ssh-ed25519 " + good,
            b"|2|AAAA|AAAA ssh-ed25519 " + good,
            # SSH 1: bits, exponent, modulus.
            b"host 1024 35 1234567890",
        ]:
            self.assertRaises(InvalidEntry, parseLine, bad)

    @given(st.one_of(st.binary(max_size=200), st.binary(max_size=40).map(lambda b: OPENSSH_HASHED[:60] + b)))
    @settings(max_examples=150, deadline=None)
    def test_anyBytes(self, data: bytes) -> None:
        """
        Any line is an entry, or L{InvalidEntry}.
        """
        try:
            entry = parseLine(data)
        except InvalidEntry:
            return
        self.assertEqual(parseLine(entry.toString()).toString(), entry.toString())


class FakeUI:
    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.prompts: list[bytes] = []
        self.warnings: list[bytes] = []

    def prompt(self, text: bytes) -> Deferred[bool]:
        self.prompts.append(text)
        return self.answer if isinstance(self.answer, Deferred) else succeed(self.answer)

    def warn(self, text: bytes) -> None:
        self.warnings.append(text)


class KnownHostsFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = FilePath(self.mktemp())

    def fileWith(self, *lines: bytes) -> KnownHostsFile:
        self.path.setContent(b"".join(text + b"\n" for text in lines))
        return KnownHostsFile.fromPath(self.path)

    def test_noFile(self) -> None:
        knownHosts = KnownHostsFile.fromPath(self.path)
        self.assertFalse(knownHosts.hasHostKey(b"host", blob()))
        self.assertEqual(list(knownHosts.iterentries()), [])
        self.assertEqual(knownHosts.savePath, self.path)

    def test_path(self) -> None:
        """
        A path will do, as text or as C{pathlib} has it.
        """
        knownHosts = self.fileWith(line(b"host", blob()))
        for path in (knownHosts.path, Path(knownHosts.path)):
            self.assertTrue(KnownHostsFile.fromPath(path).hasHostKey(b"host", blob()))

    def test_known(self) -> None:
        knownHosts = self.fileWith(b"# a comment", b"", line(b"host", blob()), OPENSSH_HASHED)
        self.assertTrue(knownHosts.hasHostKey(b"host", blob()))
        self.assertTrue(knownHosts.hasHostKey(b"example.com", blob()))
        self.assertFalse(knownHosts.hasHostKey(b"other", blob()))

    def test_portIsPartOfTheName(self) -> None:
        knownHosts = self.fileWith(line(b"[host]:2222", blob()))
        self.assertTrue(knownHosts.hasHostKey(hostPattern("host", 2222), blob()))
        self.assertFalse(knownHosts.hasHostKey(hostPattern("host"), blob()))

    def test_changed(self) -> None:
        """
        Another key of the same type is refused, with the line that disagrees.
        """
        knownHosts = self.fileWith(b"# comment", line(b"host", blob(fill=1)))
        error = self.assertRaises(HostKeyChanged, knownHosts.hasHostKey, b"host", blob(fill=2))
        self.assertEqual(error.lineno, 2)
        self.assertEqual(error.path, self.path)
        self.assertTrue(error.offendingEntry.matchesKey(blob(fill=1)))
        for part in (self.path.path, "line 2", fingerprint(blob(fill=1)), fingerprint(blob(fill=2)), "host"):
            self.assertIn(part, str(error))

    def test_oneOfSeveral(self) -> None:
        """
        A host may have several keys of one type: any of them will do.
        """
        knownHosts = self.fileWith(line(b"host", blob(fill=1)), line(b"host", blob(fill=2)))
        self.assertTrue(knownHosts.hasHostKey(b"host", blob(fill=2)))

    def test_otherType(self) -> None:
        knownHosts = self.fileWith(line(b"host", blob(b"ssh-rsa")))
        self.assertFalse(knownHosts.hasHostKey(b"host", blob()))

    def test_revoked(self) -> None:
        """
        A revoked key is refused although another line has it, before or after.
        """
        for lines in ([b"host", b"@revoked *"], [b"@revoked *", b"host"]):
            knownHosts = self.fileWith(*[line(hosts, blob()) for hosts in lines])
            error = self.assertRaises(HostKeyRejected, knownHosts.hasHostKey, b"host", blob())
            self.assertNotIsInstance(error, HostKeyChanged)
            self.assertIn(f"line {lines.index(b'@revoked *') + 1}", str(error))
            self.assertIn(fingerprint(blob()), str(error))

    def test_revokedOther(self) -> None:
        """
        That one key is revoked says nothing of another.
        """
        knownHosts = self.fileWith(line(b"@revoked *", blob(fill=1)), line(b"host", blob(fill=2)))
        self.assertTrue(knownHosts.hasHostKey(b"host", blob(fill=2)))
        self.assertFalse(knownHosts.hasHostKey(b"new", blob(fill=3)))

    def test_certificateAuthority(self) -> None:
        """
        An authority's key is not the host's, and breaks nothing.
        """
        knownHosts = self.fileWith(line(b"@cert-authority *", blob(fill=1)), line(b"host", blob(fill=2)))
        self.assertTrue(knownHosts.hasHostKey(b"host", blob(fill=2)))
        self.assertFalse(knownHosts.hasHostKey(b"new", blob(fill=1)))

    def test_badLineHidesNothing(self) -> None:
        bad = [b"\xff\xfe nonsense", b"@odd x", b"x" * (knownhosts.MAXIMUM_LINE_SIZE + 1)]
        knownHosts = self.fileWith(*bad, line(b"host", blob()))
        with capturedLogs() as events:
            self.assertTrue(knownHosts.hasHostKey(b"host", blob()))
        warnings = [event for event in events if event["log_level"] is LogLevel.warn]
        self.assertEqual([event["number"] for event in warnings], [1, 2, 3])

    def test_tooLarge(self) -> None:
        self.patch(knownhosts, "MAXIMUM_FILE_SIZE", 2**20)
        knownHosts = self.fileWith(b"#" * 2**20)
        error = self.assertRaises(ConchError, knownHosts.hasHostKey, b"host", blob())
        self.assertIn("larger than 1 MiB", str(error))

    def test_notAFile(self) -> None:
        """
        A FIFO would wait for a writer, a directory has no lines.
        """
        os.mkfifo(self.path.path)
        for path in (self.path, FilePath(os.path.dirname(self.path.path))):
            knownHosts = KnownHostsFile.fromPath(path)
            error = self.assertRaises(ConchError, knownHosts.hasHostKey, b"host", blob())
            self.assertIn(": not a regular file", str(error))

    def test_unreadable(self) -> None:
        knownHosts = KnownHostsFile.fromPath(FilePath(os.devnull + "/below"))
        error = self.assertRaises(ConchError, knownHosts.hasHostKey, b"host", blob())
        self.assertIn("/below: Not a directory", str(error))

    def test_add(self) -> None:
        """
        What was added counts at once, is hashed, and keeps what was in the
        file, byte for byte, at its mode.
        """
        before = b"\xff unreadable\r\n" + line(b"host", blob(), b"no newline at the end")
        self.path.setContent(before)
        self.path.chmod(0o640)
        knownHosts = KnownHostsFile.fromPath(self.path, randomBytes=lambda n: b"s" * n)
        entry = knownHosts.addHostKey(b"New", blob(fill=3))
        self.assertTrue(knownHosts.hasHostKey(b"new", blob(fill=3)))
        self.assertEqual(entry.hostSalt, b"s" * 20)
        knownHosts.save()
        self.assertEqual(self.path.getContent(), before + b"\n" + entry.toString() + b"\n")
        self.assertEqual(stat.S_IMODE(os.stat(self.path.path).st_mode), 0o640)
        self.assertTrue(KnownHostsFile.fromPath(self.path).hasHostKey(b"new", blob(fill=3)))
        knownHosts.save()
        self.assertEqual(self.path.getContent().count(entry.toString()), 1)

    def test_overwrite(self) -> None:
        """
        Made by hand, the object is all that the file will have.
        """
        self.path.setContent(line(b"old", blob()) + b"\n")
        knownHosts = KnownHostsFile(self.path)
        self.assertFalse(knownHosts.hasHostKey(b"old", blob()))
        entry = knownHosts.addHostKey(b"new", blob())
        knownHosts.save()
        self.assertEqual(self.path.getContent(), entry.toString() + b"\n")

    def test_newFile(self) -> None:
        """
        A file that was not there is for its owner's eyes, and so is its directory.
        """
        path = self.path.child("ssh").child("known_hosts")
        knownHosts = KnownHostsFile.fromPath(path)
        knownHosts.addHostKey(b"host", blob())
        knownHosts.save()
        self.assertEqual(stat.S_IMODE(os.stat(path.path).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(path.parent().path).st_mode), 0o700)
        self.assertEqual([child.basename() for child in path.parent().children()], ["known_hosts"])

    def test_link(self) -> None:
        """
        Where the file is a link, the file behind it is written.
        """
        self.path.makedirs()
        real, link = self.path.child("real"), self.path.child("link")
        real.setContent(line(b"host", blob()) + b"\n")
        os.symlink("real", link.path)
        knownHosts = KnownHostsFile.fromPath(link)
        knownHosts.addHostKey(b"new", blob())
        knownHosts.save()
        self.assertTrue(os.path.islink(link.path))
        self.assertEqual(len(real.getContent().splitlines()), 2)

    def test_failedSave(self) -> None:
        """
        A save that fails leaves the old file, and nothing beside it.
        """
        knownHosts = self.fileWith(line(b"host", blob()))
        knownHosts.addHostKey(b"new", blob())

        def rename(source: str, target: str) -> None:
            raise OSError("no space")

        self.patch(os, "rename", rename)
        before = sorted(os.listdir(self.path.parent().path))
        self.assertRaises(OSError, knownHosts.save)
        self.assertEqual(sorted(os.listdir(self.path.parent().path)), before)
        self.assertEqual(self.path.getContent(), line(b"host", blob()) + b"\n")
        self.assertTrue(knownHosts.hasHostKey(b"new", blob()))

    def test_verifyKnown(self) -> None:
        knownHosts = self.fileWith(line(b"host,192.0.2.1", blob()))
        ui = FakeUI(False)
        self.assertIs(self.successResultOf(knownHosts.verifyHostKey(ui, b"host", b"192.0.2.1", blob())), True)
        self.assertEqual((ui.prompts, ui.warnings), ([], []))

    def test_verifyNewAddress(self) -> None:
        """
        A known host at a new address is told of, and remembered.
        """
        knownHosts = self.fileWith(line(b"host", blob()))
        ui = FakeUI(False)
        self.assertTrue(self.successResultOf(knownHosts.verifyHostKey(ui, b"host", b"192.0.2.1", blob())))
        self.assertEqual(ui.prompts, [])
        self.assertIn(b"192.0.2.1", ui.warnings[0])
        self.assertTrue(KnownHostsFile.fromPath(self.path).hasHostKey(b"192.0.2.1", blob()))

    def test_verifyAccepted(self) -> None:
        knownHosts = KnownHostsFile.fromPath(self.path)
        ui = FakeUI(Deferred())
        d = knownHosts.verifyHostKey(ui, b"host", b"192.0.2.1", blob())
        self.assertNoResult(d)
        self.assertIn(fingerprint(blob()).encode(), ui.prompts[0])
        ui.answer.callback(True)
        self.assertIs(self.successResultOf(d), True)
        for name in (b"host", b"192.0.2.1"):
            self.assertTrue(KnownHostsFile.fromPath(self.path).hasHostKey(name, blob()))

    def test_verifyRefused(self) -> None:
        """
        Only True is yes.
        """
        for answer in (False, None, "yes", 1):
            knownHosts = KnownHostsFile.fromPath(self.path)
            d = knownHosts.verifyHostKey(FakeUI(answer), b"host", b"host", blob())
            self.assertIn(fingerprint(blob()), str(self.failureResultOf(d, UserRejectedKey).value))
            self.assertFalse(self.path.exists())

    def test_verifyUnanswered(self) -> None:
        knownHosts = KnownHostsFile.fromPath(self.path)
        d = knownHosts.verifyHostKey(FakeUI(fail(OSError("no tty"))), b"host", b"host", blob())
        self.failureResultOf(d, OSError)

    def test_verifyChanged(self) -> None:
        """
        A changed key is no question, of the name or of the address.
        """
        for name in (b"host", b"192.0.2.1"):
            knownHosts = self.fileWith(line(name, blob(fill=2)))
            ui = FakeUI(True)
            d = knownHosts.verifyHostKey(ui, b"host", b"192.0.2.1", blob())
            self.failureResultOf(d, HostKeyChanged)
            self.assertEqual(ui.prompts, [])


class Terminal(io.BytesIO):
    """
    What was typed to read, and what was printed to look at.
    """

    def __init__(self, typed: bytes) -> None:
        super().__init__(typed)
        self.printed = b""

    def write(self, data: bytes) -> int:
        self.printed += data
        return len(data)


class ConsoleUITests(SynchronousTestCase):
    def ask(self, typed: bytes) -> tuple[bool, bytes]:
        terminal = Terminal(typed)
        answer = self.successResultOf(ConsoleUI(lambda: terminal).prompt(b"well? "))
        self.assertTrue(terminal.closed)
        return answer, terminal.printed

    def test_answers(self) -> None:
        self.assertEqual(self.ask(b"yes\n"), (True, b"well? "))
        self.assertEqual(self.ask(b"NO\n"), (False, b"well? "))
        self.assertEqual(self.ask(b""), (False, b"well? "))

    def test_askedAgain(self) -> None:
        answer, printed = self.ask(b"y\nperhaps\nyes\n")
        self.assertTrue(answer)
        self.assertEqual(printed.count(b"Please type yes or no: "), 2)

    def test_noTerminal(self) -> None:
        def opener() -> io.BytesIO:
            raise OSError("no tty")

        ui = ConsoleUI(opener)
        self.failureResultOf(ui.prompt(b"well?"), OSError)
        ui.warn(b"nobody sees this")

    def test_warn(self) -> None:
        terminal = Terminal(b"")
        ConsoleUI(lambda: terminal).warn(b"look out")
        self.assertEqual(terminal.printed, b"look out")
