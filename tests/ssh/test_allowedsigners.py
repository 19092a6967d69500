"""
Who may sign what.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import SignerRejected
from conchlite.files import writeWhole
from conchlite.ssh.allowedsigners import MAXIMUM_UNREADABLE, AllowedSigners
from conchlite.ssh.certificates import FOREVER
from conchlite.ssh.keys import Key
from conchlite.wire.publickeys import USER

KEY, OTHER, CA = (Key.generate("ed25519") for _ in range(3))
NOW = 1_600_000_000  # 2020-09-13 12:26:40 UTC


def line(principals: str, options: str = "", key: Key = KEY) -> bytes:
    shown = key.public().toString("openssh")
    return " ".join(filter(None, (principals, options))).encode() + b" " + shown + b"\n"


def certified(*principals: str, authority: Key = CA) -> Key:
    return authority.signCertificate(
        KEY.public(), kind=USER, keyID="id", principals=principals, validBefore=FOREVER
    )


class CheckTests(SynchronousTestCase):
    def assertAllowed(self, text: bytes, principal="me@example.org", namespace="file", key=KEY, now=NOW):
        self.assertIsNone(AllowedSigners(text).check(key.public(), principal, namespace, now))

    def assertRejected(
        self, text: bytes, said="", principal="me@example.org", namespace="file", key=KEY, now=NOW
    ):
        signers = AllowedSigners(text)
        refused = self.assertRaises(SignerRejected, signers.check, key.public(), principal, namespace, now)
        self.assertIn(said, str(refused))

    def test_principals(self):
        for allowed in ("me@example.org", "*@example.org", "you,me@*", "*", '"me@example.org"', '"a b,me@*"'):
            self.assertAllowed(line(allowed))
        for other in ("you", "me@example.com", "*,!me@*", "!*", "m?@example.org,!*.org", "ME@EXAMPLE.ORG"):
            self.assertRejected(line(other), "no line lets this key sign as me@example.org")
        self.assertRejected(b"")
        self.assertRejected(line("me@*", key=OTHER))

    def test_manyLinesThatCannotBeRead(self):
        """
        Of two million of them the error does not tell, nor is memory taken for them.
        """
        signers = AllowedSigners(b"x\n" * 1000)
        refused = self.assertRaises(SignerRejected, signers.check, KEY.public(), "me", "file", NOW)
        self.assertIn("line 1 cannot be read", str(refused))
        self.assertLess(len(str(refused)), 2000)
        self.assertEqual(len(signers.unreadable), MAXIMUM_UNREADABLE)

    def test_otherLines(self):
        text = (
            b"# comment\n\n  \r\n"
            + line("you")
            + line("me@*", key=OTHER)
            + b"\t"
            + line("me@*").strip()
            + b" more\r\n"
        )
        self.assertAllowed(text)

    def test_namespaces(self):
        for allowed in (
            'namespaces="file"',
            'namespaces="git,file"',
            'namespaces="f*"',
            'NAMESPACES="*,!git"',
        ):
            self.assertAllowed(line("me@*", allowed))
        for other in ('namespaces="git"', 'namespaces="*,!file"', 'namespaces=""'):
            self.assertRejected(line("me@*", other), "may not sign for file")

    def test_times(self):
        for allowed in (
            'valid-after="20200913122640Z"',
            'valid-before="20200913122640Z"',
            'valid-after="202009131226Z"',
        ):
            self.assertAllowed(line("me@*", allowed))
        self.assertRejected(line("me@*", 'valid-after="20200913122641Z"'), "not valid yet")
        self.assertRejected(line("me@*", 'valid-before="20200913122639Z"'), "expired")
        both = 'valid-after="20200101Z",namespaces="file",valid-before="20210101Z"'
        self.assertAllowed(line("me@*", both))

    def test_laterLine(self):
        """
        A line that says no does not keep another from saying yes.
        """
        self.assertAllowed(line("me@*", 'namespaces="git"') + line("me@*", 'namespaces="file"'))

    def test_lineThatCannotBeRead(self):
        """
        It is left out, and named when nothing else is found.
        """
        for bad in (
            b"me@*\n",
            b"me@* ssh-ed25519\n",
            b"me@* ssh-ed25519 AAAA\n",
            b"me@* ssh-rsa " + line("x").split()[2] + b"\n",
            line("me@*", "nonsense"),
            line("me@*", "namespaces=file"),
            line("me@*", 'namespaces="file",'),
            line("me@*", 'namespaces="file"cert-authority'),
            line("me@*", 'namespaces="file",namespaces="file"'),
            line("me@*", "namespaces"),
            line("me@*", 'cert-authority="x"'),
            line("me@*", 'valid-after="yesterday"'),
            line("me@*", 'valid-after="20200102Z",valid-before="20200101Z"'),
        ):
            self.assertAllowed(line("you") + bad + line("me@*"))
            self.assertRejected(line("you") + bad, "; line 2 cannot be read: ")

    def test_certificates(self):
        authority = line("*@example.org", "cert-authority", CA)
        for principals in (["me@example.org"], ["you", "me@example.org"]):
            self.assertAllowed(authority, key=certified(*principals))
        for key, said in [
            (certified("you"), "is for you, not for me@example.org"),
            (certified("*"), "is for *"),
            (certified("me@example.org", authority=OTHER), "no line"),
            (KEY, "no line"),
            (CA, "no line"),
        ]:
            self.assertRejected(authority, said, key=key)
        # A line with a plain key says nothing of its certificates.
        self.assertRejected(line("*"), "no line", key=certified("me@example.org"))
        self.assertRejected(authority, "", "me@example.com", key=certified("me@example.com"))
        limited = line("*", 'cert-authority,namespaces="git"', CA)
        self.assertRejected(limited, "may not sign for file", key=certified("me@example.org"))
        expired = CA.signCertificate(
            KEY.public(), kind=USER, keyID="id", principals=["me@example.org"], validBefore=NOW
        )
        self.assertRejected(authority, "expired", key=expired, now=NOW)
        self.assertAllowed(authority, key=expired, now=NOW - 1)

    def test_file(self):
        path = self.mktemp()
        writeWhole(path, line("me@*"), 0o644)
        self.assertIsNone(AllowedSigners.fromFile(path).check(KEY.public(), "me@x", "file", NOW))
        self.assertRaises(OSError, AllowedSigners.fromFile, self.mktemp())


class FindPrincipalsTests(SynchronousTestCase):
    def test_find(self):
        text = (
            line("you", key=OTHER) + line("old", 'valid-before="20000101Z"') + line("me@*,!you") + line("x")
        )
        signers = AllowedSigners(text)
        self.assertEqual(signers.findPrincipals(KEY.public(), NOW), (b"me@*", b"!you"))
        self.assertRaises(SignerRejected, signers.findPrincipals, CA.public(), NOW)
        signers = AllowedSigners(b"x y\n")
        refused = self.assertRaises(SignerRejected, signers.findPrincipals, KEY.public(), NOW)
        self.assertIn("line 1 cannot be read", str(refused))
        self.assertEqual(len(signers.unreadable), 1)

    def test_certificate(self):
        signers = AllowedSigners(line("*,you,me,them", "cert-authority", CA))
        self.assertEqual(signers.findPrincipals(certified("me", "them", "*"), NOW), (b"me", b"them"))
        self.assertRaises(SignerRejected, signers.findPrincipals, certified("nobody"), NOW)
        self.assertRaises(SignerRejected, signers.findPrincipals, KEY.public(), NOW)
