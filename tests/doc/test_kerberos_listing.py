"""
The listing about Kerberos in the chapter on authentication.
"""

from __future__ import annotations

import runpy

from twisted.trial.unittest import SynchronousTestCase

from tests.doc.listings import DOC
from tests.ssh.authlink import FakeRealm, Link, RecordingService
from tests.ssh.fakegssapi import FakeLibrary, GSSAPIAuthServer

LISTING = runpy.run_path(str(DOC / "howto" / "listings" / "authentication" / "kerberos.py"))


class KerberosTests(SynchronousTestCase):
    def logIn(self, principal, user):
        library = FakeLibrary(principal)
        client = LISTING["UserAuth"](user, RecordingService())
        client.gssapiLibrary = library
        portal = LISTING["Server"](FakeRealm(), []).portal
        link = Link(client, GSSAPIAuthServer(library), *set(portal.checkers.values()))
        link.pump(2)
        return link.server.isAuthenticated

    def test_principals(self):
        """
        Everybody is himself, and who is listed may be another.
        """
        self.assertTrue(self.logIn("alice@EXAMPLE.ORG", "alice"))
        self.assertTrue(self.logIn("alice/admin@EXAMPLE.ORG", "root"))
        self.assertFalse(self.logIn("alice@EXAMPLE.ORG", "root"))
        self.assertFalse(self.logIn("bob@EXAMPLE.ORG", "alice"))
        self.assertFalse(self.logIn("alice/admin@EXAMPLE.ORG", "alice"))
