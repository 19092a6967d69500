"""
Tests for L{conchlite.checkers.protocol}.
"""

from __future__ import annotations

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ISSHPrivateKey, IUsernamePassword, SSHPrivateKey, UsernamePassword
from twisted.cred.error import UnauthorizedLogin, UnhandledCredentials
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from conchlite.checkers import InMemorySSHKeyDB, SSHProtocolChecker, SSHPublicKeyChecker
from conchlite.checkers.authorizedkeys import parseAuthorizedKey
from conchlite.error import NotEnoughAuthentication, ValidPublicKey
from conchlite.ssh.factors import Login
from tests.checkers.checkerscenes import credentials, lineFor
from tests.ssh.authlink import ed25519, keyChecker, knows
from tests.ssh.certificatescenes import Device


class SSHProtocolCheckerTests(SynchronousTestCase):
    """
    L{SSHProtocolChecker}.
    """

    def setUp(self):
        class Both(SSHProtocolChecker):
            def areDone(self, avatarId):
                return len(self.successfulCredentials[avatarId]) > 1

        self.checker = Both()
        self.checker.registerChecker(
            SSHPublicKeyChecker(InMemorySSHKeyDB({b"user": [ed25519(1), ed25519(2)]}))
        )
        self.checker.registerChecker(knows(user="a"), IUsernamePassword)
        self.login = Login(b"user", None)

    def ask(self, asked, login=None):
        asked.login = login or self.login
        return self.checker.requestAvatarId(asked)

    def test_interfaces(self):
        self.assertTrue(verifyObject(ICredentialsChecker, self.checker))
        self.assertEqual(self.checker.credentialInterfaces, [ISSHPrivateKey, IUsernamePassword])

    def test_two(self):
        """
        The user is in when it is enough, with all that he has proved.
        """
        self.failureResultOf(self.ask(credentials(ed25519(1))), NotEnoughAuthentication)
        who = self.successResultOf(self.ask(UsernamePassword(b"user", b"a")))
        self.assertEqual((who, len(who.factors)), (b"user", 2))

    def test_sameKey(self):
        """
        Row 58: one key is one key.
        """
        self.failureResultOf(self.ask(credentials(ed25519(1))), NotEnoughAuthentication)
        self.failureResultOf(self.ask(credentials(ed25519(1))), UnauthorizedLogin)
        self.successResultOf(self.ask(credentials(ed25519(2))))

    def test_presence(self):
        """
        Row 67: what a security key has signed without a touch is no factor,
        though the checker that was asked does not look.
        """
        self.checker.registerChecker(keyChecker(lambda asked: asked.username))
        device = Device()
        for flags, error in ((0, UnauthorizedLogin), (1, NotEnoughAuthentication)):
            device.flags = flags
            signed = credentials(device.public, signature=device.sign(b"signed data"))
            self.failureResultOf(self.ask(signed), error)

    def test_otherConnection(self):
        """
        What somebody has proved on one connection is nothing on another, nor
        without one.
        """
        self.failureResultOf(self.ask(credentials(ed25519(1))), NotEnoughAuthentication)
        password = UsernamePassword(b"user", b"a")
        self.failureResultOf(self.ask(password, Login(b"user", None)), NotEnoughAuthentication)
        self.failureResultOf(
            self.checker.requestAvatarId(UsernamePassword(b"user", b"a")), NotEnoughAuthentication
        )

    def test_query(self):
        """
        A key that is only shown is no factor.
        """
        shown = SSHPrivateKey(b"user", b"ssh-ed25519", ed25519(1).blob(), None, None)
        self.failureResultOf(self.ask(shown), ValidPublicKey)
        self.failureResultOf(self.ask(UsernamePassword(b"user", b"a")), NotEnoughAuthentication)

    def test_restrictions(self):
        """
        Row 59: what the first factor takes away stays away.
        """
        entry = parseAuthorizedKey(lineFor(ed25519(1), b'command="date"'))
        self.checker.registerChecker(SSHPublicKeyChecker(InMemorySSHKeyDB({b"user": [entry]})))
        self.failureResultOf(self.ask(credentials(ed25519(1))), NotEnoughAuthentication)
        who = self.successResultOf(self.ask(UsernamePassword(b"user", b"a")))
        self.assertEqual(who.permissions.command, b"date")

    def test_one(self):
        """
        As it stands, one is enough; and what nobody checks is refused.
        """
        checker = SSHProtocolChecker()
        self.failureResultOf(checker.requestAvatarId(credentials(ed25519(1))), UnhandledCredentials)
        checker.registerChecker(knows(user="a"))
        self.assertEqual(
            self.successResultOf(checker.requestAvatarId(UsernamePassword(b"user", b"a"))), b"user"
        )
