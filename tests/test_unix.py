"""
Accounts as users of a server.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from twisted.cred.portal import IRealm
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from conchlite.error import AccountRefused
from conchlite.interfaces import IConchUser, ISession
from conchlite.ssh.accounts import Account
from conchlite.ssh.childprocess import Start
from conchlite.ssh.common import NS
from conchlite.ssh.session import SSHSession
from conchlite.unix import SSHSessionForUnixConchUser, UnixConchUser, UnixSSHRealm
from tests.ssh.sessions import SessionTestCase

ALICE, UID = b"alice", 64999


class AccountCase(SynchronousTestCase):
    """
    A machine with the accounts of alice and root.
    """

    def setUp(self) -> None:
        super().setUp()
        self.entries = {
            "alice": ["alice", "x", UID, UID, "", "/home/alice", "/bin/sh"],
            "root": ["root", "x", 0, 0, "", "/root", "/bin/sh"],
        }
        self.patch(pwd, "getpwnam", lambda name: pwd.struct_passwd(self.entries[name]))
        self.patch(os, "getgrouplist", lambda name, gid: [gid, 5, 6])
        self.runAs(0)

    def runAs(self, uid: int) -> None:
        """
        Let the server run as somebody.
        """
        self.patch(os, "geteuid", lambda: uid)


class RealmTests(AccountCase):
    def setUp(self) -> None:
        super().setUp()
        self.realm = UnixSSHRealm()
        self.realm.nologin = None

    def user(self, name: bytes = ALICE) -> UnixConchUser:
        interface, user, logout = self.realm.requestAvatar(name, None, IConchUser)
        self.assertIs(interface, IConchUser)
        logout()
        return user

    def refused(self, why: str, name: bytes = ALICE) -> None:
        error = self.assertRaises(AccountRefused, self.user, name)
        self.assertIn(why, str(error))

    def test_user(self) -> None:
        verifyObject(IRealm, self.realm)
        user = self.user()
        verifyObject(IConchUser, user)
        self.assertEqual(user.username, "alice")
        self.assertEqual(user.getUserGroupId(), (UID, UID))
        self.assertEqual(user.getOtherGroups(), [UID, 5, 6])
        self.assertEqual((user.getHomeDir(), user.getShell()), ("/home/alice", "/bin/sh"))
        self.assertEqual(user.pwdData.pw_uid, UID)
        self.assertEqual(user.channelLookup, {b"session": SSHSession})

    def test_noAccount(self) -> None:
        for name in (b"", b"bob", b"\xff", b"a\0b"):
            self.refused("no account", name)
        self.refused("no account", ())

    def test_notRoot(self) -> None:
        """
        A server that is not root has one user: the one that it is.
        """
        self.runAs(UID)
        self.user()
        self.runAs(UID + 1)
        self.refused("would have to run as root to run anything as alice")

    def test_root(self) -> None:
        """
        Root logs in where the program says so.
        """
        self.refused("permitRoot", b"root")
        self.realm.permitRoot = True
        self.assertEqual(self.user(b"root").account.uid, 0)
        self.runAs(UID)
        self.refused("would have to run as root", b"root")

    def test_nologin(self) -> None:
        path = Path(self.mktemp())
        self.realm.nologin = str(path)
        self.realm.permitRoot = True
        self.user()
        path.write_text("going down")
        self.refused(f"there is a file {path}")
        self.user(b"root")

    def test_shell(self) -> None:
        """
        A shell that is no program lets nobody in, as with sshd. One that only
        says good-bye is one, and no shell is C{/bin/sh}.
        """
        path = Path(self.mktemp()).absolute()
        self.entries["alice"][-1] = str(path)
        self.refused("No such file")
        path.write_text("")
        self.refused("is no program")
        path.chmod(0o755)
        self.user()
        self.entries["alice"][-1] = "/"
        self.refused("is no program")
        self.entries["alice"][-1] = ""
        self.assertEqual(self.user().getShell(), "/bin/sh")

    def test_userClass(self) -> None:
        class User(UnixConchUser):
            pass

        self.realm.userClass = User
        self.assertIsInstance(self.user(), User)


class SessionTests(AccountCase, SessionTestCase):
    def test_session(self) -> None:
        """
        What runs is his: who he is, where, by what shell, and with which
        environment.
        """
        reactor = Clock()
        avatar = UnixConchUser(ALICE, reactor)
        session = ISession(avatar)
        self.assertIsInstance(session, SSHSessionForUnixConchUser)
        self.assertIsNot(ISession(avatar), session)
        spawned = []
        session.spawn = lambda *arguments: spawned.append(arguments)
        self.open(session)
        self.agreed("exec", NS("id"))
        [(by, _, shell, arguments, environment, start, terminal)] = spawned
        self.assertIs(by, reactor)
        self.assertEqual((shell, arguments, terminal), (b"/bin/sh", [b"sh", b"-c", b"id"], None))
        account = Account("alice", UID, UID, (UID, 5, 6), "/home/alice", "/bin/sh")
        self.assertEqual(start, Start(account, "/home/alice", 0o022))
        del environment[b"SSH_CLIENT"], environment[b"SSH_CONNECTION"]
        self.assertEqual(
            environment,
            {
                b"HOME": b"/home/alice",
                b"LOGNAME": b"alice",
                b"PATH": b"/usr/local/bin:/usr/bin:/bin",
                b"SHELL": b"/bin/sh",
                b"USER": b"alice",
            },
        )

    def test_ourselves(self) -> None:
        """
        Who the server is already does not become anybody.
        """
        self.runAs(UID)
        session = ISession(UnixConchUser(ALICE, Clock()))
        spawned = []
        session.spawn = lambda *arguments: spawned.append(arguments)
        self.open(session)
        self.agreed("exec", NS("id"))
        self.assertEqual(spawned[0][5], Start(None, "/home/alice", 0o022))

    def test_connectionsReactor(self) -> None:
        """
        By default processes run by what the connection runs by.
        """
        from twisted.internet import reactor

        avatar = UnixConchUser("alice")
        self.open(ISession(UnixConchUser(ALICE, Clock())))
        self.link.server.clock = reactor
        avatar.conn = self.link.server.service
        self.assertIs(avatar.reactor, reactor)
