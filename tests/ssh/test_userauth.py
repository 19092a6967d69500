"""
Tests for L{conchlite.ssh.userauth}: the two halves together.
"""

from __future__ import annotations

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from conchlite.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from conchlite.error import (
    AuthenticationFailed,
    ConchError,
    NotEnoughAuthentication,
)
from conchlite.ssh.keys import Key, getPrivateKeyObject, getPublicKeyString
from conchlite.ssh.userauth import SSHUserAuthClient, SSHUserAuthServer
from tests.ssh import howtokeys
from tests.ssh.authlink import (
    Link,
    RecordingService,
    ed25519,
    keyChecker,
    knows,
    rsa,
)
from tests.ssh.authscenes import (
    Program,
)


class JoinedTests(SynchronousTestCase):
    """
    Our client with our server.
    """

    def test_publicKey(self):
        """
        A key logs in; the server asked its checker twice, in the words of
        Conch, and both sides started the next service.
        """
        key = ed25519(1)
        link = Link(
            Program([ed25519(2), key]),
            SSHUserAuthServer(),
            SSHPublicKeyChecker(InMemorySSHKeyDB({b"user": [key.public()]})),
        )
        link.pump(1)
        self.assertTrue(link.client.isAuthenticated)
        self.assertTrue(link.server.isAuthenticated)
        self.assertEqual(link.factory.services[0].events, ["started"])
        self.assertEqual(link.factory.realm.events, [("in", b"user")])

    def test_rsa(self):
        """
        RSA keys sign with SHA-512, and with SHA-256 where that is all the
        server takes.
        """
        for accepted in ((b"rsa-sha2-512",), (b"rsa-sha2-256",)):
            server = SSHUserAuthServer()
            server.acceptedSignatures = accepted
            checker = SSHPublicKeyChecker(InMemorySSHKeyDB({"user": [rsa()]}))
            link = Link(Program([rsa()]), server, checker)
            link.pump(1)
            self.assertTrue(link.server.isAuthenticated)

    def test_howto(self):
        """
        The howto's own key of 768 bits logs in where both sides lower the
        floor, with a blob, a Deferred and a password that is L{None}.
        """

        class ClientUserAuth(SSHUserAuthClient):
            minimumRSABits = 768

            def getPassword(self, prompt=None):
                return

            def getPublicKey(self):
                return getPublicKeyString(data=howtokeys.publicKey)

            def getPrivateKey(self):
                return succeed(getPrivateKeyObject(data=howtokeys.privateKey))

        for serverBits in (768, 2048):
            server = SSHUserAuthServer()
            server.minimumRSABits = serverBits
            checker = SSHPublicKeyChecker(InMemorySSHKeyDB({b"user": [Key.fromString(howtokeys.publicKey)]}))
            link = Link(ClientUserAuth("user", RecordingService()), server, checker)
            link.pump(1)
            self.assertEqual(link.client.isAuthenticated, serverBits == 768)
            self.assertEqual(link.server.isAuthenticated, serverBits == 768)
        self.assertIsInstance(link.client.error, AuthenticationFailed)

    def test_password(self):
        """
        A password logs in, the second one.
        """
        link = Link(Program(passwords=["wrong", "right"]), SSHUserAuthServer(), knows(user="right"))
        self.assertFalse(link.server.isAuthenticated)
        link.pump(2)
        self.assertTrue(link.client.isAuthenticated and link.server.isAuthenticated)

    def test_twoFactors(self):
        """
        A server may want a key and a password.
        """
        proved = set()

        def key(credentials):
            if credentials.signature is None:
                return credentials.username
            proved.add("key")
            if "password" in proved:
                return credentials.username
            raise NotEnoughAuthentication

        def password(credentials):
            proved.add("password")
            if "key" in proved:
                return credentials.username
            raise NotEnoughAuthentication

        checker = knows()
        checker.answer = password
        client = Program([ed25519(1)], passwords=["a"])
        link = Link(client, SSHUserAuthServer(), keyChecker(key), checker)
        self.assertTrue(link.client.isAuthenticated and link.server.isAuthenticated)
        self.assertEqual(client.authenticatedWith, [b"publickey"])

    def test_refused(self):
        """
        When nothing helps, the client says why, and the server logs nobody in.
        """

        def no(credentials):
            raise UnauthorizedLogin("no")

        link = Link(Program([ed25519(1)], passwords=["a"]), SSHUserAuthServer(), keyChecker(no), knows())
        link.pump(3)
        self.assertIsInstance(link.client.error, AuthenticationFailed)
        self.assertEqual(len(link.client.error.tried), 2)
        self.assertEqual(link.factory.realm.events, [])
        self.assertIsInstance(link.client.error, ConchError)
