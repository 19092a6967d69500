"""
The listings about answers, new passwords and hosts in the chapter on
authentication.
"""

from __future__ import annotations

import runpy
import time
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.keys import Key
from conchlite.ssh.userauth import SSHUserAuthServer
from tests.doc.listings import DOC
from tests.ssh.authlink import FakeRealm, Link, RecordingService, ed25519

LISTINGS = DOC / "howto" / "listings" / "authentication"


def listing(name: str) -> dict[str, object]:
    return runpy.run_path(str(LISTINGS / name))


class AnswersTests(SynchronousTestCase):
    def logIn(self, password, code):
        names = listing("answers.py")
        checker = names["CodeChecker"]({b"alice": password}, lambda user: "123456")
        client = names["UserAuth"]("alice", RecordingService())
        with mock.patch("builtins.input", lambda prompt: code):
            link = Link(client, SSHUserAuthServer(), checker)
            link.pump(8)
        return link.server.isAuthenticated

    def test_answers(self):
        self.assertTrue(self.logIn("correct horse", "123456"))
        self.assertFalse(self.logIn("correct horse", "654321"))
        self.assertFalse(self.logIn("another horse", "123456"))


class NewPasswordTests(SynchronousTestCase):
    def logIn(self, users):
        names = listing("newpassword.py")
        client = names["UserAuth"]("alice", RecordingService())
        link = Link(client, SSHUserAuthServer(), names["AgingPasswords"](users))
        link.pump(8)
        return link.server.isAuthenticated

    def test_expired(self):
        users = {b"alice": (b"summer 2025", 0)}
        self.assertTrue(self.logIn(users))
        password, expires = users[b"alice"]
        self.assertEqual(password, b"a brook, four stones")
        self.assertGreater(expires, time.time())

    def test_fine(self):
        users = {b"alice": (b"summer 2025", time.time() + 3600)}
        self.assertTrue(self.logIn(dict(users)))
        self.assertFalse(self.logIn({b"alice": (b"winter 2025", 0)}))
        self.assertFalse(self.logIn({b"bob": (b"summer 2025", 0)}))


class HostsTests(SynchronousTestCase):
    def logIn(self, user, there, known=1):
        names = listing("hosts.py")
        directory = Path(self.mktemp())
        directory.mkdir()
        private, public = directory / "private", directory / "public"
        private.write_bytes(ed25519(1).toString("openssh"))
        private.chmod(0o600)
        public.write_bytes(ed25519(known).public().toString("openssh"))
        fromFile = Key.fromFile
        paths = {"/etc/ssh/ssh_host_ed25519_key": str(private)}
        with mock.patch.object(Key, "fromFile", lambda path: fromFile(paths.get(path, path))):
            server = names["Server"](FakeRealm(), str(public))
            client = names["UserAuth"](user, RecordingService())
            client.clientUserName = there
            link = Link(client, SSHUserAuthServer(), *set(server.portal.checkers.values()))
            link.pump(8)
        return link.server.isAuthenticated

    def test_hosts(self):
        self.assertTrue(self.logIn("alice", "amy"))
        self.assertTrue(self.logIn("backup", "root"))
        self.assertFalse(self.logIn("alice", "root"))
        self.assertFalse(self.logIn("root", "root"))
        self.assertFalse(self.logIn("alice", "alice", known=2))
