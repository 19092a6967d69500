"""
Tests for L{conchlite.checkers}.
"""

from __future__ import annotations

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ISSHPrivateKey, SSHPrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from conchlite.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from conchlite.error import ValidPublicKey
from conchlite.interfaces import IAuthorizedKeysDB, IConchUser
from conchlite.ssh.common import NS
from conchlite.ssh.keys import Key
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


def credentials(key, algorithm=None, signature=None, username=b"user", signed=b"signed data"):
    algorithm = algorithm or key.supportedSignatureAlgorithms()[0]
    if signature is None:
        signature = key.sign(b"signed data", algorithm)
    return SSHPrivateKey(username, algorithm, key.blob(), signed, signature)


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
