"""
Tests for L{conchlite.checkers.hostbased}.
"""

from __future__ import annotations

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from conchlite.checkers.hostbased import HostBasedChecker, InMemoryHostBasedDB
from conchlite.interfaces import IHostBased, IHostBasedDB
from conchlite.ssh.authmethods.hostbased import HostBased
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
