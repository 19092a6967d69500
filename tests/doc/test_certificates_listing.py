"""
The listings of the chapter on certificates do what it says.
"""

from __future__ import annotations

import os
import runpy
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.certificates import FOREVER, HOST, USER
from conchlite.ssh.keys import Key
from tests.doc.listings import DOC
from tests.ssh.certificatescenes import CA, KEY
from tests.ssh.links import Client, Link, ServerFactory

LISTINGS = DOC / "howto" / "listings" / "certificates"


class CertificatesListingTests(SynchronousTestCase):
    def listing(self, name: str) -> dict[str, Any]:
        return runpy.run_path(str(LISTINGS / name))

    def write(self, text: bytes) -> str:
        path = self.mktemp()
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as stream:
            stream.write(text)
        return path

    def test_authority(self) -> None:
        program = self.listing("authority.py")
        authority = self.write(CA.toString("openssh"))
        public = self.write(KEY.public().toString("openssh"))
        text = program["certify"](authority, public, "alice")
        made = Key.fromString(text)
        self.assertEqual((KEY.public(), USER), (made.plain(), made.certificate.kind))
        certificate = self.write(text)
        for arguments, said in (
            ((certificate, "alice", "192.0.2.9"), "good"),
            ((certificate, "bob", "192.0.2.9"), "the certificate is for alice, not for bob"),
            ((certificate, "alice", "198.51.100.1"), "not from 198.51.100.1"),
            ((public, "alice", "192.0.2.9"), "not signed by this authority"),
        ):
            self.assertIn(said, program["check"](authority, *arguments))
        stranger = self.write(Key.generate().toString("openssh"))
        self.assertEqual(
            "not signed by this authority", program["check"](stranger, certificate, "alice", "192.0.2.9")
        )

    def test_hostKey(self) -> None:
        certified = CA.signCertificate(
            KEY.public(), kind=HOST, keyID="www", principals=["host.example"], validBefore=FOREVER
        )
        factory = ServerFactory()
        factory.privateKeys = self.listing("hostkey.py")["hostKeys"](
            self.write(KEY.toString("openssh")), self.write(certified.toString("openssh"))
        )
        for algorithms, blob in (
            ([certified.sshType()], certified.blob()),
            ([KEY.sshType()], KEY.blob()),
        ):
            client = Client()
            client.supportedPublicKeys = algorithms
            link = Link(client, factory).secure()
            self.assertEqual([(blob, KEY.fingerprint())], link.client.asked)
