"""
Tests for the server's half of L{conchlite.ssh.authmethods.publickey}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.catalogue import LEGACY
from conchlite.algorithms.publickeys import signatures
from conchlite.error import (
    BadSignature,
    MalformedMessage,
    NotEnoughAuthentication,
    ValidPublicKey,
)
from conchlite.ssh.common import NS
from conchlite.ssh.keys import Key
from conchlite.ssh.userauth import SSHUserAuthServer
from conchlite.wire.userauth import (
    PublicKeyData,
    UserauthPKOK,
)
from tests.ssh.authlink import (
    SESSION_ID,
    ed25519,
    keyChecker,
    rsa,
)
from tests.ssh.authscenes import (
    PK_OK,
    ServerMixin,
    owners,
    query,
    request,
    rsaBlob,
    signed,
)


class ServerPublicKeyTests(ServerMixin, SynchronousTestCase):
    """
    The server's half of C{publickey}.
    """

    def test_login(self):
        """
        Every type of key: asked about, then signed with.
        """
        for key in (ed25519(1), rsa(), Key.generate("ecdsa", 256), Key.generate("ecdsa", 521)):
            for algorithm in key.supportedSignatureAlgorithms():
                self.start(owners(ed25519(9), key.public())).acceptedSignatures = LEGACY.signatures
                answer = self.ask(query(key, algorithm))
                self.assertEqual(answer, [(PK_OK, UserauthPKOK(algorithm, key.blob()).pack())])
                self.assertNobodyIn()
                self.assertLoggedIn(self.ask(signed(key, algorithm)))

    def test_credentials(self):
        """
        The checker gets the credentials that a Conch checker knows.
        """
        key = ed25519(1)
        checker = keyChecker(lambda c: c.username if c.signature else fail(ValidPublicKey()))
        self.start(checker)
        self.ask(query(key))
        self.assertLoggedIn(self.ask(signed(key)))
        unsigned, proved = checker.asked
        self.assertEqual(
            (unsigned.username, unsigned.algName, unsigned.blob, unsigned.sigData, unsigned.signature),
            (b"user", b"ssh-ed25519", key.blob(), None, None),
        )
        self.assertEqual(
            proved.sigData,
            NS(SESSION_ID)
            + b"\x32"
            + NS("user")
            + NS("ssh-connection")
            + NS("publickey")
            + b"\1"
            + NS("ssh-ed25519")
            + NS(key.blob()),
        )
        self.assertTrue(key.public().verify(proved.signature, proved.sigData))

    def test_unknownKey(self):
        """
        A key that is not the user's is refused, in the same words for every
        user.
        """
        for user in ("user", "nobody"):
            for ask in (query, signed):
                self.start(owners(ed25519(1)))
                self.assertRefused(self.ask(ask(ed25519(2), user=user)), b"publickey")
                self.assertNobodyIn()

    def test_unsignedIsNoLogin(self):
        """
        A checker that accepts a key without a signature lets nobody in, nor
        half in: the key would do, no more (CVE-2024-45337).
        """
        key = ed25519(1)
        for answer in (lambda c: c.username, lambda c: fail(NotEnoughAuthentication())):
            self.start(keyChecker(answer))
            self.assertEqual([n for n, _ in self.ask(query(key))], [PK_OK])
            self.assertNobodyIn()
            self.assertEqual(self.server.authenticatedWith, [])

    def test_signatureIsVerifiedFirst(self):
        """
        A checker that trusts every signature is asked only about those that
        we have verified (CVE-2026-77185).
        """
        key = ed25519(1)
        checker = keyChecker(lambda credentials: credentials.username)
        for bad in (
            signed(key, sessionID=b"\x18" * 32),
            signed(key, signedUser="root"),
            signed(key, signedService="another"),
            signed(key, signedKey=ed25519(2)),
            signed(key, signature=NS("ssh-ed25519") + NS(b"\0" * 64)),
            signed(key, signature=NS("ssh-ed25519")),
            signed(key, signature=b""),
            signed(key, signature=ed25519(2).sign(b"")),
            signed(rsa(), b"rsa-sha2-512", made=b"rsa-sha2-256"),
            signed(rsa(), signature=NS("ssh-rsa") + NS(b"\0" * 256)),
        ):
            self.start(checker)
            self.assertRefused(self.ask(bad), b"publickey")
            self.assertNobodyIn()
        self.assertEqual(checker.asked, [])

    def test_everyBit(self):
        """
        No bit of a signature may differ.
        """
        key = ed25519(1)
        good = signed(key)
        checker = keyChecker(lambda credentials: credentials.username)
        for bit in range(8 * 64):
            bad = bytearray(good)
            bad[-64 + bit // 8] ^= 1 << bit % 8
            self.start(checker)
            self.ask(bytes(bad))
            self.assertNobodyIn()

    def test_validPublicKeyForSignature(self):
        """
        A checker that finds a signed key merely valid has not let it in.
        """
        self.start(keyChecker(lambda credentials: fail(ValidPublicKey())))
        self.assertRefused(self.ask(signed(ed25519(1))), b"publickey")

    def test_verifierBreaks(self):
        """
        Whatever goes wrong in verifying refuses (CVE-2023-2283).
        """
        checker = keyChecker(lambda credentials: credentials.username)
        for error in (BadSignature("x"), MalformedMessage("x"), MemoryError(), ValueError(), OSError()):

            def verify(*arguments, error=error):
                raise error

            self.patch(signatures, "verifyByKey", verify)
            self.start(checker)
            self.assertRefused(self.ask(signed(ed25519(1))), b"publickey")
        self.assertEqual(len(self.flushLoggedErrors()), 3)
        self.assertEqual(checker.asked, [])

    def test_algorithms(self):
        """
        A request whose algorithm is not accepted, or not the key's, is refused
        without asking: SHA-1 is among these.
        """
        checker = keyChecker(lambda credentials: credentials.username)
        for key, algorithm in (
            (rsa(), b"ssh-rsa"),
            (rsa(), b"ssh-ed25519"),
            (ed25519(1), b"rsa-sha2-512"),
            (ed25519(1), b"ssh-dss"),
            (ed25519(1), b""),
            (ed25519(1), b"\xff" * 300),
        ):
            self.start(checker)
            self.assertRefused(self.ask(query(key, algorithm)), b"publickey")
        self.assertEqual(checker.asked, [])

    def test_acceptedSignatures(self):
        """
        What is accepted is the transport's, unless this service has its own.
        """
        key = ed25519(1)
        transport = self.start(owners(key))
        transport.acceptedSignatures = [b"rsa-sha2-512"]
        self.assertRefused(self.ask(query(key)), b"publickey")
        self.server.acceptedSignatures = [b"ssh-ed25519"]
        self.assertEqual([n for n, _ in self.ask(query(key))], [PK_OK])

    def test_rsaSize(self):
        """
        An RSA key that is small, or absurdly large, is refused without asking.
        """
        checker = keyChecker(lambda credentials: credentials.username)
        small = rsaBlob(1024)
        for blob in (small, rsaBlob(8200), rsaBlob(16384), rsaBlob(16385), rsaBlob(100000)):
            data = PublicKeyData(False, b"rsa-sha2-512", blob, b"").pack()
            self.start(checker)
            self.assertRefused(self.ask(request("publickey", data)), b"publickey")
        self.assertEqual(checker.asked, [])
        server = SSHUserAuthServer()
        server.minimumRSABits = 1024
        self.start(checker, server=server)
        data = PublicKeyData(False, b"rsa-sha2-512", small, b"").pack()
        self.assertEqual([n for n, _ in self.ask(request("publickey", data))], [PK_OK])

    @settings(max_examples=100, deadline=None)
    @given(
        st.sampled_from([b"ssh-ed25519", b"ssh-rsa", b"ecdsa-sha2-nistp256", b"x"]), st.binary(max_size=60)
    )
    def test_anyKey(self, name, rest):
        """
        Any bytes in the place of a key are a refusal, without a trace in the
        log.
        """
        algorithm = b"rsa-sha2-256" if name == b"ssh-rsa" else name
        for blob in (NS(name) + rest, rest):
            data = PublicKeyData(True, algorithm, blob, NS(NS(algorithm) + NS(rest))).pack()
            self.start(owners(ed25519(1)))
            self.assertRefused(self.ask(request("publickey", data)), b"publickey")
        self.assertEqual(self.flushLoggedErrors(), [])
