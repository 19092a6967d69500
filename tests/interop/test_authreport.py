"""
Why a login came to nothing: what the report says, where OpenSSH's sshd says as
little as it does.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.python.filepath import FilePath
from twisted.trial.unittest import TestCase

from conchlite.client.knownhosts import KnownHostsFile, hostPattern
from conchlite.client.login import Login
from conchlite.error import AuthenticationFailed, Disconnected
from conchlite.sansio.attempts import Answer
from conchlite.ssh.authreport import AuthenticationReport
from conchlite.ssh.certificates import signCertificate
from conchlite.ssh.keys import Key
from conchlite.wire.publickeys import USER
from tests.interop.peers import LOCALHOST, SSHD, hostKeys, publicKeyLine, userKeys, userName

ED25519 = b"ssh-ed25519"


class ReportTests(TestCase):
    timeout = 60

    async def report(self, options: dict[str, str], user: str | None = None, **login) -> AuthenticationReport:
        """
        The report of a login that comes to nothing.
        """
        sshd = await SSHD.start(self, reactor, **options)
        knownHosts = KnownHostsFile(FilePath(self.mktemp()))
        knownHosts.addHostKey(hostPattern(LOCALHOST, sshd.port), hostKeys()[ED25519].public())
        given = Login(reactor, user or userName(), LOCALHOST, sshd.port, knownHosts=knownHosts, **login)
        try:
            await given.connect()
        except AuthenticationFailed as error:
            self.assertEqual(str(error), str(error.report))
            self.assertNotIn("\n", str(error))
            self.error = error
            return error.report
        raise self.failureException("the login succeeded")

    def keys(self, count: int) -> list[Key]:
        return [Key.generate("ed25519") for _ in range(count)]

    async def test_tooManyKeys(self) -> None:
        """
        sshd closes with code 2 after as many failures as MaxAuthTries says.
        """
        report = await self.report({"MaxAuthTries": "2"}, keys=self.keys(4))
        self.assertIn("2 keys were offered and the server closed: too many (MaxAuthTries)", report.cause)
        self.assertIn("name one with --identity", report.cause)
        self.assertIn("Too many authentication failures", report.cause)
        self.assertEqual([Answer.REFUSED, Answer.NONE], [a.answer for a in report.attempts])
        self.assertIsInstance(self.error.data, Disconnected)
        self.assertEqual(2, self.error.data.reason)

    async def test_patience(self) -> None:
        """
        Row 72: the client gives up before the default MaxAuthTries of sshd.
        """
        report = await self.report({"MaxAuthTries": "6"}, keys=self.keys(9))
        self.assertLessEqual(len(report.attempts), 6)

    async def test_refused(self) -> None:
        report = await self.report({}, keys=self.keys(1))
        self.assertIn(f"the key is not one that the server has for '{userName()}'", report.cause)
        self.assertEqual((b"publickey",), report.methods)

    async def test_onlyPassword(self) -> None:
        """
        Keys are of no use then.
        """
        options = {
            "PasswordAuthentication": "yes",
            "PubkeyAuthentication": "no",
            "PermitRootLogin": "yes",
        }
        report = await self.report(options, keys=self.keys(1))
        self.assertIn("the server accepts only password, and no password was given", report.cause)
        self.assertEqual((), report.attempts)
        report = await self.report(options, password="wrong")
        self.assertIn("the password was refused", report.cause)

    async def test_onlyQuestions(self) -> None:
        """
        And neither is a program that answers no questions.
        """
        options = {
            "KbdInteractiveAuthentication": "yes",
            "PasswordAuthentication": "no",
            "PubkeyAuthentication": "no",
            "UsePAM": "yes",
            "PermitRootLogin": "yes",
        }
        report = await self.report(options)
        self.assertIn("the server accepts only keyboard-interactive, ", report.cause)
        self.assertIn("not answered", report.cause)
        self.assertEqual((), report.attempts)

    async def test_nobody(self) -> None:
        options = dict.fromkeys(
            ("PubkeyAuthentication", "PasswordAuthentication", "KbdInteractiveAuthentication"), "no"
        )
        report = await self.report(options, keys=self.keys(1))
        self.assertIn("it accepts no method", report.cause)

    async def test_wrongUser(self) -> None:
        """
        sshd does not say that there is nobody of that name; nor do we pretend
        to know.
        """
        report = await self.report({}, user="nobodyIsCalledSo", keys=[userKeys()[ED25519]])
        self.assertIn("the key is not one that the server has for 'nobodyIsCalledSo'", report.cause)

    async def test_root(self) -> None:
        if os.geteuid() != 0:
            # Where we are not root, sshd could not let root in anyway.
            return
        report = await self.report({"PermitRootLogin": "no"}, user="root", keys=[userKeys()[ED25519]])
        self.assertIn("many servers forbid root", report.cause)

    async def test_algorithm(self) -> None:
        """
        A key whose algorithm the server does not know.
        """
        report = await self.report({}, keys=[Key.generate("ed448")])
        self.assertIn("the server takes no ssh-ed448; its server-sig-algs are ", report.cause)

    async def test_partly(self) -> None:
        report = await self.report(
            {
                "AuthenticationMethods": "publickey,password",
                "PasswordAuthentication": "yes",
                "PermitRootLogin": "yes",
            },
            keys=[userKeys()[ED25519]],
        )
        self.assertIn("accepted a part and wants more: password", report.cause)
        self.assertEqual([Answer.PARTIAL], [a.answer for a in report.attempts])

    async def test_certificates(self) -> None:
        """
        What is wrong with a certificate that was refused, we can see ourselves.
        """
        authority = Key.generate("ed25519")
        path = Path(self.mktemp()).absolute()
        path.write_text(publicKeyLine(authority) + "\n")
        now = int(time.time())
        for principal, after, before, said in (
            (userName(), 0, now - 60, "expired"),
            (userName(), now + 3600, now + 7200, "valid"),
            ("somebody else", 0, now + 60, "for somebody else"),
        ):
            key = Key.generate("ed25519")
            certificate = signCertificate(
                authority,
                key.public(),
                kind=USER,
                keyID="worker 7",
                principals=[principal],
                validAfter=after,
                validBefore=before,
            )
            report = await self.report(
                {"TrustedUserCAKeys": str(path)}, keys=[key.withCertificate(certificate)]
            )
            self.assertIn("the certificate 'worker 7' was refused, and is wrong: ", report.cause)
            self.assertIn(said, report.cause)
            self.assertIn("certificate 'worker 7', from program", str(report))
