"""
Tests for L{conchlite.checkers.hostbased}.
"""

from __future__ import annotations

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, succeed
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from conchlite.checkers.hostbased import HostBasedChecker, InMemoryHostBasedDB, KnownHostsDB
from conchlite.client.hostentries import PlainEntry
from conchlite.client.knownhosts import KnownHostsFile
from conchlite.interfaces import IHostBased, IHostBasedDB
from conchlite.ssh.authmethods.hostbased import HostBased
from conchlite.ssh.common import NS
from conchlite.wire.userauth import HostBasedData
from tests.ssh.authlink import ed25519


def claim(user="alice", key=1, host="client.example.org.", there="alice"):
    """
    What a machine has signed.
    """
    blob = ed25519(key).public().blob()
    data = HostBasedData(b"ssh-ed25519", blob, host.encode(), there.encode(), b"")
    return HostBased(user.encode(), data, None)


class HostBasedTests(SynchronousTestCase):
    def setUp(self):
        self.hostKeys = {"Client.Example.Org": [ed25519(1).public()], "other": [ed25519(2).public()]}

    def judge(self, db, *arguments, **named):
        return HostBasedChecker(db).requestAvatarId(claim(*arguments, **named))

    def assertRefused(self, db, *arguments, **named):
        self.failureResultOf(self.judge(db, *arguments, **named), UnauthorizedLogin)

    def test_interfaces(self):
        db = InMemoryHostBasedDB({})
        verifyObject(IHostBasedDB, db)
        verifyObject(ICredentialsChecker, HostBasedChecker(db))
        verifyObject(IHostBased, claim())

    def test_sameName(self):
        """
        Without a list of users, everybody is who he is on his machine, but
        root.
        """
        db = InMemoryHostBasedDB(self.hostKeys)
        self.assertEqual(self.successResultOf(self.judge(db)), b"alice")
        self.assertEqual(self.successResultOf(self.judge(db, host="CLIENT.example.org")), b"alice")
        self.assertRefused(db, there="bob")
        self.assertRefused(db, user="root", there="root")

    def test_users(self):
        """
        With one, those that it names.
        """
        places = {"alice": [("client.example.org.", "al")], "root": [("other", "root")]}
        db = InMemoryHostBasedDB(self.hostKeys, places)
        self.assertEqual(self.successResultOf(self.judge(db, there="al")), b"alice")
        named = {"user": "root", "key": 2, "host": "other", "there": "root"}
        self.assertEqual(self.successResultOf(self.judge(db, **named)), b"root")
        self.assertRefused(db)
        self.assertRefused(db, key=2, host="other", there="al")
        self.assertRefused(db, user="bob", there="al")
        self.assertRefused(InMemoryHostBasedDB(self.hostKeys, {}))

    def test_keys(self):
        """
        A machine is known by its own keys, and one that nobody knows has none.
        """
        db = InMemoryHostBasedDB(self.hostKeys)
        self.assertRefused(db, key=2)
        self.assertRefused(db, host="other")
        self.assertRefused(db, host="example.org")

    def test_later(self):
        """
        A database may take its time; only C{True} is yes.
        """
        for answer, fine in ((True, True), (False, False), (None, False), (1, False)):

            class DB(InMemoryHostBasedDB):
                def getHostKeys(self, clientHost):
                    return succeed(InMemoryHostBasedDB.getHostKeys(self, clientHost))

                def mayLogIn(self, username, clientHost, clientUser, answer=answer):
                    return succeed(answer)

            if fine:
                self.successResultOf(self.judge(DB(self.hostKeys)))
            else:
                self.assertRefused(DB(self.hostKeys))

    def test_cancelled(self):
        cancelled = []
        db = InMemoryHostBasedDB({})
        db.getHostKeys = lambda host: Deferred(cancelled.append)
        judging = self.judge(db)
        judging.cancel()
        self.failureResultOf(judging)
        self.assertEqual(len(cancelled), 1)


class KnownHostsDBTests(SynchronousTestCase):
    def setUp(self):
        self.directory = FilePath(self.mktemp())
        self.directory.makedirs()
        self.db = KnownHostsDB(
            [KnownHostsFile.fromPath(self.directory.child(name)) for name in ("system", "more")],
            self.directory.child("shosts.equiv").path,
        )
        self.known("system", "client.example.org", 1)
        self.machines("client.example.org")

    def known(self, name, host, number, marker=b""):
        blob = ed25519(number).public().blob()
        entry = PlainEntry([host.encode()], b"ssh-ed25519", blob, None, marker)
        with self.directory.child(name).open("ab") as stream:
            stream.write(entry.toString() + b"\n")

    def machines(self, *lines):
        self.directory.child("shosts.equiv").setContent("\n".join(lines).encode())

    def accepts(self, *arguments, **named):
        judging = HostBasedChecker(self.db).requestAvatarId(claim(*arguments, **named))
        if isinstance(judging.result, Failure):
            self.failureResultOf(judging, UnauthorizedLogin)
            return False
        return bool(self.successResultOf(judging))

    def test_interface(self):
        verifyObject(IHostBasedDB, self.db)

    def test_good(self):
        """
        A machine that is in both, and a user with the name that he has here.
        """
        self.assertTrue(self.accepts())
        self.assertTrue(self.accepts(host="CLIENT.Example.org"))
        self.assertFalse(self.accepts(there="bob"))
        self.assertFalse(self.accepts(user="root", there="root"))

    def test_nobodyElse(self):
        """
        A line that names a user lets him be himself and nobody else, where
        sshd lets him be anybody.
        """
        self.machines("client.example.org bob")
        self.assertTrue(self.accepts(user="bob", there="bob"))
        self.assertFalse(self.accepts(there="bob"))
        self.assertFalse(self.accepts(user="bob"))

    def test_oneOfTwo(self):
        """
        To have a known key is not enough, nor to be in the list.
        """
        self.known("more", "other", 2)
        self.assertFalse(self.accepts(host="other", key=2))
        self.machines("client.example.org", "other", "third")
        self.assertTrue(self.accepts(host="other", key=2))
        self.assertFalse(self.accepts(host="other", key=1))
        self.assertFalse(self.accepts(host="third", key=1))

    def test_revoked(self):
        """
        A key that is revoked in any of the files is no machine's; and that of
        an authority is none either.
        """
        self.known("more", "*", 1, b"@revoked")
        self.assertFalse(self.accepts())
        self.known("more", "client.example.org", 2, b"@cert-authority")
        self.assertFalse(self.accepts(key=2))

    def test_unknownType(self):
        """
        A key of a type that nobody knows hides no other.
        """
        blob = NS(b"ssh-future") + NS(b"x")
        entry = PlainEntry([b"client.example.org"], b"ssh-future", blob, None)
        self.directory.child("more").setContent(entry.toString() + b"\n")
        self.assertTrue(self.accepts())

    def test_lines(self):
        """
        The first line that fits decides.
        """
        name = "client.example.org"
        for lines, granted in (
            (["# nobody", ""], False),
            (["other"], False),
            ([f"{name} alice"], True),
            ([f"{name}. alice # she"], True),
            ([f"{name} bob"], False),
            ([f"{name} bob", f"\t{name}\talice"], True),
            ([f"{name} -alice", name], False),
            ([f"-{name}", name], False),
            ([f"-{name} bob", name], True),
            ([name, f"-{name}"], True),
        ):
            self.machines(*lines)
            self.assertEqual(self.accepts(), granted, lines)

    def test_bad(self):
        """
        What is no machine lets nobody in, and neither does what follows: it
        may have been there to refuse somebody.
        """
        for bad in ("+", "+ +", "-@staff", "@staff alice", "a b c", "-", "client.*", "+ alice"):
            self.machines(bad, "client.example.org")
            with capturedLogs() as logged:
                self.assertFalse(self.accepts(), bad)
            self.assertEqual([event["number"] for event in logged], [1])
            self.machines("client.example.org", bad)
            self.assertTrue(self.accepts(), bad)

    def test_noList(self):
        self.directory.child("shosts.equiv").remove()
        with capturedLogs() as logged:
            self.assertFalse(self.accepts())
        self.assertEqual([event["error"] for event in logged], ["No such file or directory"])
