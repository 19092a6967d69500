"""
A server's checkers, in the chapter on authentication.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from conchlite.checkers import hashPassword, userfiles
from conchlite.ssh.certificates import FOREVER, USER, signCertificate
from tests.doc.listings import DOC
from tests.ssh.authlink import FakeRealm, ed25519
from tests.ssh.authscenes import ServerMixin, passwordRequest, request, signed

LISTING = runpy.run_path(str(DOC / "howto" / "listings" / "authentication" / "checkers.py"))

AUTHORITY = 9


class CheckersTests(ServerMixin, SynchronousTestCase):
    def begin(self, revoked: bytes = b"") -> None:
        directory = Path(self.mktemp()).absolute()
        (directory / "principals").mkdir(parents=True)
        (directory / "principals" / "root").write_text("operator\n")
        (directory / "revoked_keys").write_bytes(revoked)
        # The tests may run below a directory that everybody may write to.
        self.patch(userfiles, "_checkWriters", lambda *arguments: None)
        server = LISTING["Server"](
            FakeRealm(), ed25519(AUTHORITY).public(), {"root": hashPassword("secret")}, str(directory)
        )
        self.start(server=LISTING["UserAuth"]())
        self.transport.permissions = LISTING["ServerTransport"].permissions
        self.factory.portal = server.portal
        self.server.serviceStarted()
        self.certified = signCertificate(
            ed25519(AUTHORITY),
            ed25519(1),
            kind=USER,
            keyID="an operator's",
            principals=["operator"],
            validBefore=FOREVER,
            criticalOptions={b"force-command": b"date"},
        )

    def test_both(self) -> None:
        """
        A certificate for one of the user's principals, and then the password.
        """
        self.begin()
        self.assertRefused(self.ask(request("none", user="root")), b"publickey")
        answer = self.ask(signed(self.certified, user="root"))
        self.assertRefused(answer, b"password", partial=True)
        self.assertLoggedIn(self.ask(passwordRequest("secret", user="root")))
        permissions = self.transport.permissions
        self.assertEqual(permissions.command, b"date")
        self.assertTrue(permissions.mayConnect(b"db.example.org", 5432))
        self.assertFalse(permissions.mayConnect(b"db.example.org", 22))
        self.assertFalse(permissions.mayListen(b"", 8080))

    def test_revoked(self) -> None:
        self.begin(ed25519(1).public().toString("openssh"))
        self.assertRefused(self.ask(signed(self.certified, user="root")), b"publickey")

    def test_robots(self) -> None:
        """
        Of robots a key is enough, and a password nothing.
        """
        self.begin()
        self.assertEqual(self.server.methodsFor(b"backup"), [[b"publickey"]])
        self.assertRefused(self.ask(passwordRequest("secret", user="backup")), b"publickey")

    def test_services(self) -> None:
        services = LISTING["Server"].services
        self.assertEqual(services[b"ssh-userauth"], LISTING["UserAuth"])
        self.assertIn(b"ssh-connection", services)
