"""
Accounts of this machine.
"""

from __future__ import annotations

import os
import pwd

from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.accounts import Account


class AccountTests(SynchronousTestCase):
    def test_named(self) -> None:
        entry = pwd.getpwuid(0)
        account = Account.named(entry.pw_name)
        self.assertEqual((account.name, account.uid, account.gid), (entry.pw_name, 0, entry.pw_gid))
        self.assertEqual((account.home, account.shell), (entry.pw_dir, entry.pw_shell))
        self.assertEqual(account.groups, tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)))

    def test_nobody(self) -> None:
        self.assertRaises(KeyError, Account.named, "no such user")

    def test_empty(self) -> None:
        """
        Who has no directory and no shell has those that everybody has.
        """
        entry = pwd.struct_passwd(["alice", "x", 64999, 64999, "", "", ""])
        self.patch(pwd, "getpwnam", lambda name: entry)
        self.patch(os, "getgrouplist", lambda name, gid: [gid])
        self.assertEqual(Account.named("alice"), Account("alice", 64999, 64999, (64999,), "/", "/bin/sh"))

    def test_ofProcess(self) -> None:
        account = Account.ofProcess()
        self.assertEqual((account.uid, account.gid), (os.getuid(), os.getgid()))
        self.assertTrue(account.isOurs)
        self.assertFalse(Account("alice", 64999, 64999, (64999,), "/", "/bin/sh").isOurs)

    def test_ofNobody(self) -> None:
        """
        A process may have a number that stands in no list.
        """
        self.patch(os, "getuid", lambda: 64999)
        account = Account.ofProcess()
        self.assertEqual((account.name, account.uid), ("64999", 64999))
        self.assertEqual((account.home, account.shell), ("/", "/bin/sh"))

    def test_environment(self) -> None:
        """
        Who has the number 0 finds the programs for him.
        """
        alice = Account("alice", 64999, 64999, (64999,), "/home/alice", "/bin/bash")
        root = Account("root", 0, 0, (0,), "/root", "/bin/sh")
        self.assertEqual(
            alice.environment(),
            {
                "HOME": "/home/alice",
                "LOGNAME": "alice",
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "SHELL": "/bin/bash",
                "USER": "alice",
            },
        )
        self.assertIn("/sbin", root.environment()["PATH"].split(":"))
