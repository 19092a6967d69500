"""
Tests for L{conchlite.checkers.publickeys}.
"""

from __future__ import annotations

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ISSHPrivateKey, SSHPrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from conchlite.checkers import InMemorySSHKeyDB, RevokedKeys, SSHPublicKeyChecker
from conchlite.checkers.authorizedkeys import parseAuthorizedKey, parseAuthorizedPrincipal
from conchlite.error import ValidPublicKey
from conchlite.interfaces import IAuthorizedKeysDB, IConchUser
from conchlite.ssh.certificates import HOST, USER, signCertificate
from conchlite.ssh.common import NS
from conchlite.ssh.factors import Login
from conchlite.ssh.keys import Key
from conchlite.ssh.permissions import Permissions
from tests.checkers.checkerscenes import credentials, lineFor
from tests.ssh import howtokeys
from tests.ssh.authlink import FakeRealm, ed25519, rsa


class InMemorySSHKeyDBTests(SynchronousTestCase):
    """
    L{InMemorySSHKeyDB}.
    """

    def test_interface(self):
        """
        It is an L{IAuthorizedKeysDB}.
        """
        self.assertTrue(verifyObject(IAuthorizedKeysDB, InMemorySSHKeyDB({})))

    def test_keys(self):
        """
        A user has the keys of the mapping, whose names may be bytes or text;
        a user who is not in it has none.
        """
        for mapping in ({b"k\xc3\xa4the": [ed25519(1)]}, {"käthe": [ed25519(1)]}):
            db = InMemorySSHKeyDB(mapping)
            self.assertEqual(list(db.getAuthorizedKeys("käthe".encode())), [ed25519(1)])
            self.assertEqual(list(db.getAuthorizedKeys(b"nobody")), [])
            self.assertEqual(list(db.getAuthorizedKeys(b"\xff")), [])

    def test_noKeys(self):
        """
        A user who is in the mapping without keys has none.
        """
        self.assertEqual(list(InMemorySSHKeyDB({b"user": []}).getAuthorizedKeys(b"user")), [])

    def test_changes(self):
        """
        The mapping may be changed later.
        """
        mapping = {}
        db = InMemorySSHKeyDB(mapping)
        mapping[b"user"] = [ed25519(1)]
        self.assertEqual(list(db.getAuthorizedKeys(b"user")), [ed25519(1)])


class SSHPublicKeyCheckerTests(SynchronousTestCase):
    """
    L{SSHPublicKeyChecker}.
    """

    def setUp(self):
        self.checker = SSHPublicKeyChecker(InMemorySSHKeyDB({b"user": [rsa().public(), ed25519(1)]}))

    def test_interface(self):
        """
        It is an L{ICredentialsChecker} for keys.
        """
        self.assertTrue(verifyObject(ICredentialsChecker, self.checker))
        self.assertEqual(list(self.checker.credentialInterfaces), [ISSHPrivateKey])

    def test_good(self):
        """
        A good signature by one of the user's keys gives the user's name.
        """
        for key, algorithm in (
            (ed25519(1), b"ssh-ed25519"),
            (rsa(), b"rsa-sha2-256"),
            (rsa(), b"rsa-sha2-512"),
        ):
            result = self.checker.requestAvatarId(credentials(key, algorithm))
            self.assertEqual(self.successResultOf(result), b"user")

    def test_noSignature(self):
        """
        Without a signature, the key is merely valid, if it is the user's.
        """
        asked = SSHPrivateKey(b"user", b"ssh-ed25519", ed25519(1).blob(), None, None)
        self.failureResultOf(self.checker.requestAvatarId(asked), ValidPublicKey)
        for username, key in ((b"user", ed25519(2)), (b"nobody", ed25519(1))):
            asked = SSHPrivateKey(username, b"ssh-ed25519", key.blob(), None, None)
            self.failureResultOf(self.checker.requestAvatarId(asked), UnauthorizedLogin)

    def test_bad(self):
        """
        Everything else is no login.
        """
        key = ed25519(1)
        for bad in (
            credentials(ed25519(2)),
            credentials(key, username=b"nobody"),
            credentials(key, signed=b"other data"),
            credentials(key, signature=b""),
            credentials(key, signature=NS("ssh-ed25519") + NS(b"\0" * 64)),
            credentials(key, signature=ed25519(2).sign(b"signed data")),
            # Agreed on one algorithm, and signed with another.
            credentials(rsa(), b"rsa-sha2-512", rsa().sign(b"signed data", b"rsa-sha2-256")),
            credentials(rsa(), b"ssh-rsa", NS("ssh-rsa") + NS(b"\0" * 256)),
            SSHPrivateKey(b"user", b"ssh-ed25519", b"no key", b"", b""),
        ):
            self.failureResultOf(self.checker.requestAvatarId(bad), UnauthorizedLogin)

    def test_smallKey(self):
        """
        The size of a key is the server's business.
        """
        key = Key.fromString(howtokeys.privateKey)
        checker = SSHPublicKeyChecker(InMemorySSHKeyDB({b"user": [key.public()]}))
        self.assertEqual(self.successResultOf(checker.requestAvatarId(credentials(key))), b"user")

    def test_later(self):
        """
        A database may take its time, and is cancelled with the request.
        """
        answers, cancelled = [], []

        @implementer(IAuthorizedKeysDB)
        class Slow:
            def getAuthorizedKeys(self, username):
                answers.append(Deferred(cancelled.append))
                return answers[-1]

        checker = SSHPublicKeyChecker(Slow())
        result = checker.requestAvatarId(credentials(ed25519(1)))
        self.assertNoResult(result)
        answers[0].callback(iter([ed25519(1)]))
        self.assertEqual(self.successResultOf(result), b"user")
        result = checker.requestAvatarId(credentials(ed25519(1)))
        result.cancel()
        self.failureResultOf(result, CancelledError)
        self.assertEqual(cancelled, [answers[1]])

    def test_databaseFails(self):
        """
        A database that fails lets nobody in.
        """

        @implementer(IAuthorizedKeysDB)
        class Broken:
            def getAuthorizedKeys(self, username):
                raise OSError("no such file")

        checker = SSHPublicKeyChecker(Broken())
        self.failureResultOf(checker.requestAvatarId(credentials(ed25519(1))), OSError)

    def test_portal(self):
        """
        It works in a portal.
        """
        realm = FakeRealm()
        portal = Portal(realm, [self.checker])
        self.successResultOf(portal.login(credentials(ed25519(1)), None, IConchUser))
        self.assertEqual(realm.events, [("in", b"user")])


NOW = 1_700_000_000


def certificateOf(key, authority, **fields):
    given = {
        "kind": USER,
        "keyID": "id",
        "principals": ["user"],
        "validAfter": NOW - 10,
        "validBefore": NOW + 10,
        **fields,
    }
    return signCertificate(authority, key, **given)


class Judged(SynchronousTestCase):
    """
    What L{SSHPublicKeyChecker} says to lines with options, and to certificates.
    """

    address = "192.0.2.1"

    def ask(self, key, *lines, username=b"user", **arguments):
        entries = [parseAuthorizedKey(line, f"line {number}") for number, line in enumerate(lines, 1)]
        db = InMemorySSHKeyDB({b"user": entries})
        self.checker = SSHPublicKeyChecker(db, now=lambda: NOW, **arguments)
        asked = credentials(key, username=username)
        asked.login = Login(username, self.address)
        return self.checker.requestAvatarId(asked)

    def granted(self, *arguments, **named):
        return self.successResultOf(self.ask(*arguments, **named)).permissions

    def refused(self, *arguments, **named):
        return str(self.failureResultOf(self.ask(*arguments, **named), UnauthorizedLogin).value)


class LineTests(Judged):
    """
    Lines of C{authorized_keys}.
    """

    def test_options(self):
        """
        The checker's answer carries what a line leaves to the user.
        """
        permissions = self.granted(ed25519(1), lineFor(ed25519(1), b'restrict,pty,command="date"'))
        self.assertEqual((permissions.command, permissions.pty), (b"date", True))
        self.assertFalse(permissions.portForwarding)

    def test_from(self):
        """
        From elsewhere, or from nobody knows where, the line lets nobody in.
        """
        line = lineFor(ed25519(1), b'from="192.0.2.0/24"')
        self.granted(ed25519(1), line)
        for self.address in ("198.51.100.1", None):
            self.assertIn("line 1 is not for logins from", self.refused(ed25519(1), line))

    def test_fromOfAnAuthority(self):
        """
        So it is with the certificates of a line's authority.
        """
        shown = certificateOf(ed25519(1), ed25519(9))
        line = lineFor(ed25519(9), b'cert-authority,from="198.51.100.1"')
        self.assertIn("line 1 is not for logins from", self.refused(shown, line))
        self.granted(shown, line, lineFor(ed25519(9), b"cert-authority"))

    def test_expired(self):
        self.granted(ed25519(1), lineFor(ed25519(1), b'expiry-time="20231114221320Z"'))
        why = self.refused(ed25519(1), lineFor(ed25519(1), b'expiry-time="20231114221319Z"'))
        self.assertEqual(why, "line 1 has expired")

    def test_secondLine(self):
        """
        A line that lets nobody in leaves the next one of its key.
        """
        lines = [
            lineFor(ed25519(1), b'from="198.51.100.1",command="first"'),
            lineFor(ed25519(1), b'command="second"'),
            lineFor(ed25519(1)),
        ]
        self.assertEqual(self.granted(ed25519(1), *lines).command, b"second")

    def test_environment(self):
        """
        Variables of a line are there only if the program wants it.
        """
        line = lineFor(ed25519(1), b'environment="LD_PRELOAD=x"')
        self.assertEqual(self.granted(ed25519(1), line).environment, {})
        self.patch(SSHPublicKeyChecker, "permitUserEnvironment", True)
        self.assertEqual(self.granted(ed25519(1), line).environment, {b"LD_PRELOAD": b"x"})

    def test_authority(self):
        """
        An authority is no key to log in with, nor a key an authority.
        """
        self.refused(ed25519(1), lineFor(ed25519(1), b"cert-authority"))
        self.refused(certificateOf(ed25519(1), ed25519(9)), lineFor(ed25519(9)))
        self.refused(certificateOf(ed25519(1), ed25519(9)), lineFor(ed25519(1)))

    def test_query(self):
        """
        A key that would be refused is not asked for.
        """
        db = InMemorySSHKeyDB({b"user": [parseAuthorizedKey(lineFor(ed25519(1), b'from="10.0.0.1"'))]})
        asked = SSHPrivateKey(b"user", b"ssh-ed25519", ed25519(1).blob(), None, None)
        self.failureResultOf(SSHPublicKeyChecker(db).requestAvatarId(asked), UnauthorizedLogin)

    def test_revoked(self):
        """
        Row 79: a revoked key is refused, whatever lines say, and its
        certificates, and those that it has signed.
        """
        for key, authority in ((ed25519(1), ed25519(9)), (ed25519(2), ed25519(1))):
            shown = certificateOf(key, authority)
            line = lineFor(authority, b"cert-authority")
            self.granted(shown, line)
            self.assertIn("revoked", self.refused(shown, line, revokedKeys=RevokedKeys([ed25519(1)])))
        why = self.refused(ed25519(1), lineFor(ed25519(1)), revokedKeys=RevokedKeys([ed25519(1)]))
        self.assertIn("revoked", why)


class CertificateTests(Judged):
    """
    Certificates.
    """

    def test_permissions(self):
        """
        Row 78: what the options and extensions say, each alone.
        """
        line = lineFor(ed25519(9), b"cert-authority")
        nothing = Permissions().restricted()
        for options, extensions, permissions in (
            ({}, {}, nothing),
            ({}, {b"permit-pty": b""}, nothing.replacing(pty=True)),
            ({}, {b"permit-port-forwarding": b""}, nothing.replacing(portForwarding=True)),
            ({}, {b"permit-agent-forwarding": b""}, nothing.replacing(agentForwarding=True)),
            ({}, {b"permit-X11-forwarding": b""}, nothing.replacing(x11Forwarding=True)),
            ({}, {b"permit-user-rc": b""}, nothing.replacing(userRC=True)),
            ({}, {b"unknown@example.org": b""}, nothing),
            ({b"force-command": b"date"}, {}, nothing.replacing(command=b"date")),
            ({b"verify-required": b""}, {}, nothing.replacing(verificationRequired=True)),
            ({b"source-address": b"192.0.2.0/24"}, {}, nothing),
        ):
            shown = certificateOf(ed25519(1), ed25519(9), criticalOptions=options, extensions=extensions)
            self.assertEqual(self.granted(shown, line), permissions)

    def test_refused(self):
        """
        Rows 75 to 78: each thing that is wrong with a certificate.
        """
        line = lineFor(ed25519(9), b"cert-authority")
        for fields in (
            {"validBefore": NOW},
            {"validAfter": NOW + 1},
            {"principals": ["other"]},
            {"principals": ["user,other"]},
            {"principals": ["*"]},
            {"criticalOptions": {b"unknown@example.org": b""}},
            {"criticalOptions": {b"source-address": b"198.51.100.0/24"}},
            {"kind": HOST},
        ):
            self.refused(certificateOf(ed25519(1), ed25519(9), **fields), line)
        self.refused(certificateOf(ed25519(1), ed25519(8)), line)

    def test_reason(self):
        """
        The log has what is wrong, and nothing besides.
        """
        trusted = {"trustedUserCAKeys": [ed25519(9)]}
        old = certificateOf(ed25519(1), ed25519(9), validBefore=NOW)
        self.assertEqual("the certificate has expired", self.refused(old, **trusted))
        other = certificateOf(ed25519(1), ed25519(9), principals=["other"])
        self.assertEqual("the certificate is for somebody else", self.refused(other, **trusted))

    def test_principals(self):
        """
        Row 75: a list of names takes the place of the user's own.
        """
        line = lineFor(ed25519(9), b'cert-authority,principals="a,b"')
        for names, good in ((["a"], True), (["x", "b"], True), (["user"], False), (["a,b"], False)):
            shown = certificateOf(ed25519(1), ed25519(9), principals=names)
            (self.granted if good else self.refused)(shown, line)

    def test_commands(self):
        """
        Row 78: of two commands that differ none runs.
        """
        shown = certificateOf(ed25519(1), ed25519(9), criticalOptions={b"force-command": b"date"})
        line = lineFor(ed25519(9), b'cert-authority,command="%s"')
        self.assertEqual(self.granted(shown, line.replace(b"%s", b"date")).command, b"date")
        self.assertIn("two commands", self.refused(shown, line.replace(b"%s", b"uname")))

    def test_trusted(self):
        """
        An authority of the server's: for the user's own name, or for those of
        a list, with their options.
        """
        shown = certificateOf(ed25519(1), ed25519(9))
        self.granted(shown, trustedUserCAKeys=[ed25519(9).public()])
        self.refused(shown, trustedUserCAKeys=[ed25519(8).public()])
        self.refused(shown, username=b"root", trustedUserCAKeys=[ed25519(9).public()])

        def principals(username):
            return succeed(
                {b"root": [b"user"], b"user": [parseAuthorizedPrincipal(b"no-pty deploy")]}[username]
            )

        arguments = {"trustedUserCAKeys": [ed25519(9).public()], "authorizedPrincipals": principals}
        self.assertTrue(self.granted(shown, username=b"root", **arguments).pty)
        self.refused(shown, **arguments)
        deployer = certificateOf(ed25519(1), ed25519(9), principals=["deploy"])
        self.assertFalse(self.granted(deployer, **arguments).pty)
