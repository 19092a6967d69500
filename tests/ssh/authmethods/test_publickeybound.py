"""
Tests for L{conchlite.ssh.authmethods.publickey}: signatures that are bound to a
host key, those of certified keys and those of security keys.
"""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.publickeys.securitykeys import SecurityPublicKey
from conchlite.error import BadSignature, MalformedMessage, NotEnoughAuthentication
from conchlite.ssh.authmethods.publickey import HOST_BOUND, HOST_BOUND_EXTENSION, signedData
from conchlite.ssh.certificates import FOREVER, USER, signCertificate
from conchlite.ssh.common import NS
from conchlite.ssh.factors import AvatarID
from conchlite.ssh.keys import Key
from conchlite.ssh.permissions import Permissions
from conchlite.ssh.userauth import SSHUserAuthServer
from conchlite.wire.userauth import HostBoundData, PublicKeyData, UserauthPKOK
from tests.ssh.authlink import HOST_KEY, SESSION_ID, Link, ed25519, keyChecker, knows, rsa
from tests.ssh.authscenes import (
    PK_OK,
    ClientMixin,
    Program,
    ServerMixin,
    owners,
    query,
    request,
    signed,
)


def certified(key=None):
    """
    A key with a certificate.
    """
    key = key or ed25519(1)
    certificate = signCertificate(
        ed25519(9), key.public(), kind=USER, keyID="test", principals=["user"], validBefore=FOREVER
    )
    return key.withCertificate(certificate)


def bound(key, hostKey=HOST_KEY, method=HOST_BOUND, covers=HOST_KEY, hasSignature=True):
    """
    A bound request; what is signed may differ from what is asked for.
    """
    algorithm = key.supportedSignatureAlgorithms()[0]
    blob = key.public().blob()
    signature = b""
    if hasSignature:
        data = signedData(SESSION_ID, b"user", b"ssh-connection", algorithm, blob, covers)
        signature = NS(key.sign(data, algorithm))
    return request(method.decode(), HostBoundData(hasSignature, algorithm, blob, hostKey, signature).pack())


class ClientBoundTests(ClientMixin, SynchronousTestCase):
    """
    The client's half, with a server that announces bound signatures.
    """

    def prove(self, version):
        self.start(Program([ed25519(1)], passwords=["p"]))
        if version is not None:
            self.transport.peerExtensions[HOST_BOUND_EXTENSION] = version
        self.refuse(b"publickey")
        self.accept(*self.offered())
        [(method, data)] = self.requests()
        return method, data

    def test_announced(self):
        """
        Row 73: the signature covers the server's host key, too.
        """
        method, data = self.prove(b"0")
        self.assertEqual(method, HOST_BOUND)
        made = HostBoundData.unpack(data)
        self.assertEqual(made.serverHostKey, HOST_KEY)
        plain = signedData(SESSION_ID, b"user", b"ssh-connection", b"ssh-ed25519", ed25519(1).blob())
        covered = plain.replace(NS(b"publickey"), NS(HOST_BOUND)) + NS(HOST_KEY)
        ed25519(1).verifyStrictly(made.signature[4:], covered, b"ssh-ed25519")
        self.assertRaises(BadSignature, ed25519(1).verifyStrictly, made.signature[4:], plain, b"ssh-ed25519")

    def test_notAnnounced(self):
        """
        Without it, or with a version that nobody knows, it does not.
        """
        for version in (None, b"1", b""):
            method, data = self.prove(version)
            self.assertEqual(method, b"publickey")
            PublicKeyData.unpack(data)

    def test_isPublickey(self):
        """
        But for what is signed it is C{publickey}: for the program, for what
        comes next, and for the report.
        """
        self.prove(b"0")
        self.assertEqual(self.client.lastAuth, b"publickey")
        self.refuse(b"publickey", b"password", partial=True)
        self.assertEqual(self.client.authenticatedWith, [b"publickey"])
        self.assertEqual([method for method, _ in self.requests()], [b"password"])
        self.refuse(b"password")
        tried = self.assertGaveUp().tried
        self.assertEqual(len(tried), 2)
        self.assertIn("publickey", tried[0])


class ServerBoundTests(ServerMixin, SynchronousTestCase):
    """
    The server's half.
    """

    def test_login(self):
        self.start(owners(ed25519(1)))
        self.assertLoggedIn(self.ask(bound(ed25519(1))))
        self.assertEqual(self.server.method, b"publickey")

    def test_query(self):
        self.start(owners(ed25519(1)))
        answer = self.ask(bound(ed25519(1), hasSignature=False))
        self.assertEqual(answer, [(PK_OK, UserauthPKOK(b"ssh-ed25519", ed25519(1).public().blob()).pack())])

    def test_otherHostKey(self):
        """
        Row 73: a request that is bound to another host key was made for another
        server; whoever brings it here is not who signed it.
        """
        for other in (b"another host key", b"", HOST_KEY + b"x"):
            self.start(owners(ed25519(1)))
            self.ask(bound(ed25519(1), hostKey=other, covers=other))
            self.assertIsInstance(self.transport.error, MalformedMessage)
            self.assertNobodyIn()

    def test_covered(self):
        """
        Row 73: what is signed is what is asked for: not the plain method's
        signature, and none over another key.
        """
        for covers in (None, b"another host key"):
            self.start(owners(ed25519(1)))
            self.assertRefused(self.ask(bound(ed25519(1), covers=covers)), b"publickey")
        # Nor the other way round.
        self.start(owners(ed25519(1)))
        data = signedData(SESSION_ID, b"user", b"ssh-connection", b"ssh-ed25519", ed25519(1).blob(), HOST_KEY)
        asked = signed(ed25519(1), signature=ed25519(1).sign(data, b"ssh-ed25519"))
        self.assertRefused(self.ask(asked), b"publickey")

    def test_plainAgain(self):
        """
        A bound request does not bind those behind it.
        """
        self.start(owners(ed25519(1)))
        self.ask(bound(ed25519(1), hasSignature=False))
        self.assertLoggedIn(self.ask(signed(ed25519(1))))

    def test_notHere(self):
        """
        Where there is no C{publickey}, there is none of this.
        """
        self.start(knows(user="a"))
        self.assertRefused(self.ask(bound(ed25519(1))), b"password")

    def test_twice(self):
        """
        Row 58: it is no other method: the same key does not count twice.
        """

        def answer(credentials):
            if credentials.signature is None:
                return credentials.username
            raise NotEnoughAuthentication("more")

        self.start(keyChecker(answer), knows(user="a"))
        self.assertRefused(self.ask(bound(ed25519(1))), b"password", partial=True)
        self.assertEqual(self.server.authenticatedWith, [b"publickey"])


class CertificateTests(ClientMixin, SynchronousTestCase):
    """
    The client's half, with certificates.
    """

    def test_login(self):
        """
        The certificate is offered, and its key signs.
        """
        for key, algorithm in (
            (ed25519(1), b"ssh-ed25519-cert-v01@openssh.com"),
            (rsa(), b"rsa-sha2-512-cert-v01@openssh.com"),
        ):
            certificate = certified(key)
            self.start(Program([certificate]))
            self.refuse(b"publickey")
            offered = self.offered()
            self.assertEqual(offered, (algorithm, certificate.blob()))
            self.accept(*offered)
            [(_, data)] = self.requests()
            made = PublicKeyData.unpack(data)
            covered = signedData(SESSION_ID, b"user", b"ssh-connection", algorithm, certificate.blob())
            certificate.verifyStrictly(made.signature[4:], covered, algorithm)

    def test_plainPrivateKey(self):
        """
        The private key may come without its certificate, as from a file beside it.
        """
        certificate = certified()
        self.start(Program([certificate]))
        self.client.privateKeys = {certificate.blob(): ed25519(1)}
        self.refuse(b"publickey")
        self.accept(*self.offered())
        self.assertEqual(len(self.requests()), 1)

    def test_bothForms(self):
        """
        Row 72: a key and its certificate are two identities, and each is
        offered once.
        """
        certificate = certified()
        self.start(Program([certificate, ed25519(1), certificate, ed25519(1)]))
        seen = []
        for _ in range(2):
            self.refuse(b"publickey")
            seen.append(self.offered()[1])
        self.refuse(b"publickey")
        self.assertGaveUp()
        self.assertEqual(seen, [certificate.blob(), ed25519(1).public().blob()])


class ServerCertificateTests(ServerMixin, SynchronousTestCase):
    """
    The server's half, with certificates.
    """

    def test_passedOn(self):
        """
        The checker gets the certificate, when its key has signed.
        """
        checker = keyChecker(lambda credentials: credentials.username)
        self.start(checker)
        certificate = certified()
        self.assertLoggedIn(self.ask(signed(certificate)))
        [credentials] = checker.asked
        self.assertEqual(Key.fromString(credentials.blob).certificate, certificate.certificate)

    def test_otherKey(self):
        """
        Row 56: a certificate proves nothing for who has another key.
        """
        checker = keyChecker(lambda credentials: credentials.username)
        self.start(checker)
        algorithm = b"ssh-ed25519-cert-v01@openssh.com"
        blob = certified().blob()
        data = signedData(SESSION_ID, b"user", b"ssh-connection", algorithm, blob)
        made = NS(ed25519(2).sign(data, b"ssh-ed25519"))
        asked = request("publickey", PublicKeyData(True, algorithm, blob, made).pack())
        self.assertRefused(self.ask(asked), b"publickey")
        self.assertEqual(checker.asked, [])

    def test_names(self):
        """
        Rows 40 and 66: a certificate is offered by its own algorithm, and a
        plain key by its own; what cannot be read is a failure.
        """
        certificate, key = certified(), ed25519(1)
        for algorithm, blob in (
            (b"ssh-ed25519", certificate.blob()),
            (b"ssh-ed25519-cert-v01@openssh.com", key.public().blob()),
            (b"rsa-sha2-512-cert-v01@openssh.com", certificate.blob()),
            (b"ssh-ed25519-cert-v01@openssh.com", certificate.blob()[:-1]),
            (b"ssh-ed25519-cert-v01@openssh.com", certificate.blob() + b"\0"),
            (b"ssh-ed25519-cert-v01@openssh.com", b""),
        ):
            self.start(keyChecker(lambda credentials: credentials.username))
            asked = request("publickey", PublicKeyData(False, algorithm, blob, b"").pack())
            self.assertRefused(self.ask(asked), b"publickey")

    def test_unknownToCheckers(self):
        """
        A checker that knows keys only does not take a certificate for its key.
        """
        self.start(keyChecker(self.fromList))
        self.assertRefused(self.ask(query(certified())), b"publickey")

    def fromList(self, credentials):
        if credentials.blob == ed25519(1).public().blob():
            return credentials.username
        raise UnauthorizedLogin("no")


class SecurityKey:
    """
    A security key, whose flags are what the test likes.
    """

    def __init__(self, flags):
        self._key = Ed25519PrivateKey.from_private_bytes(b"\x05" * 32)
        self._flags = flags
        self._public = Key(SecurityPublicKey(self._key.public_key(), b"ssh:"))

    def __getattr__(self, name):
        return getattr(self._public, name)

    def sign(self, data, algorithm):
        counter = bytes([self._flags]) + (7).to_bytes(4, "big")
        message = hashlib.sha256(b"ssh:").digest() + counter + hashlib.sha256(data).digest()
        return NS(b"sk-ssh-ed25519@openssh.com") + NS(self._key.sign(message)) + counter


class SecurityKeyTests(ServerMixin, SynchronousTestCase):
    """
    The server's half, with security keys.
    """

    def test_touch(self):
        """
        Row 67: a key that was not touched proves nothing, unless its entry
        says that it need not be.
        """
        for flags, fine in ((0x00, False), (0x01, True), (0x04, False), (0x05, True)):
            for touchRequired in (True, False):
                permissions = Permissions(touchRequired=touchRequired)
                self.start(keyChecker(lambda c, p=permissions: AvatarID(c.username, p)))
                answer = self.ask(signed(SecurityKey(flags)))
                if fine or not touchRequired:
                    self.assertLoggedIn(answer)
                else:
                    self.assertRefused(answer, b"publickey")
                    self.assertNobodyIn()

    def test_covered(self):
        """
        The signature has to be good in any case.
        """
        self.start(keyChecker(lambda c: AvatarID(c.username, Permissions(touchRequired=False))))
        self.assertRefused(self.ask(signed(SecurityKey(0x01), sessionID=b"\x18" * 32)), b"publickey")


class FactorTests(SynchronousTestCase):
    """
    Several factors, in any order: the two halves with each other.
    """

    def logIn(self, client, server, *checkers):
        link = Link(client, server, *checkers)
        link.client.peerExtensions[HOST_BOUND_EXTENSION] = b"0"
        link.pump(8)
        return link

    def test_orders(self):
        """
        C{publickey} and C{password}, in either order, and the other one alone
        is not enough.
        """
        for methods in ((b"publickey", b"password"), (b"password", b"publickey")):
            for keys, passwords, fine in (([1], ["a"], True), ([1], [], False), ([], ["a"], False)):

                class Server(SSHUserAuthServer):
                    requiredMethods = (methods,)

                client = Program([ed25519(seed) for seed in keys], passwords=passwords)
                link = self.logIn(client, Server(), owners(ed25519(1)), knows(user="a"))
                self.assertEqual(link.server.isAuthenticated, fine)
                if fine:
                    self.assertEqual(client.authenticatedWith, [methods[0]])

    def test_twoKeys(self):
        """
        Row 58: two keys, where two are wanted, and not one of them twice, as it
        is and with its certificate or bound to our host key.
        """

        class Server(SSHUserAuthServer):
            requiredMethods = ((b"publickey", b"publickey"),)

        for keys, fine in (([1, 2], True), ([1], False), ([1, 1], False)):
            client = Program([ed25519(seed) for seed in keys])
            link = self.logIn(client, Server(), owners(ed25519(1), ed25519(2)))
            self.assertEqual(link.server.isAuthenticated, fine)
        client = Program([ed25519(1), certified()])
        anyKey = keyChecker(lambda credentials: credentials.username)
        self.assertFalse(self.logIn(client, Server(), anyKey).server.isAuthenticated)
        client = Program([ed25519(1), certified(ed25519(2))])
        self.assertTrue(self.logIn(client, Server(), anyKey).server.isAuthenticated)
