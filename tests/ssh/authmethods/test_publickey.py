"""
Tests for L{conchlite.ssh.authmethods.publickey}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.catalogue import LEGACY
from conchlite.algorithms.publickeys import signatures
from conchlite.error import (
    BadSignature,
    MalformedMessage,
    NotEnoughAuthentication,
    UnexpectedMessage,
    ValidPublicKey,
)
from conchlite.ssh.common import NS, getNS
from conchlite.ssh.keys import Key, hostKeyFingerprint
from conchlite.ssh.userauth import SSHUserAuthServer
from conchlite.wire.userauth import (
    PublicKeyData,
    SignedData,
    UserauthBanner,
    UserauthPKOK,
)
from tests.ssh import howtokeys
from tests.ssh.authlink import (
    SESSION_ID,
    ed25519,
    keyChecker,
    rsa,
)
from tests.ssh.authscenes import (
    PK_OK,
    ClientMixin,
    Program,
    ServerMixin,
    owners,
    query,
    request,
    rsaBlob,
    signed,
)


class ClientPublicKeyTests(ClientMixin, SynchronousTestCase):
    """
    The client's half of C{publickey}.
    """

    def test_login(self):
        """
        A key is offered, and a signature made only when the server would
        accept the key: over the session, the user, the service and the key.
        """
        key = ed25519(1)
        self.start(Program([key]))
        self.refuse(b"publickey", b"password")
        self.assertEqual(self.offered(), (b"ssh-ed25519", key.blob()))
        self.assertEqual(self.client.calls, ["getPublicKey"])
        self.assertEqual(self.client.lastPublicKey, key.public())
        self.assertEqual(self.client.triedPublicKeys, [key.public()])
        self.accept(b"ssh-ed25519", key.blob())
        self.assertEqual(self.client.calls, ["getPublicKey", "getPrivateKey"])
        [(method, data)] = self.requests()
        signed = PublicKeyData.unpack(data)
        signature, rest = getNS(signed.signature)
        self.assertEqual((method, signed.hasSignature, rest), (b"publickey", True, b""))
        covered = SignedData(
            SESSION_ID,
            50,
            b"user",
            b"ssh-connection",
            b"publickey",
            True,
            b"ssh-ed25519",
            key.blob(),
        )
        key.public().verifyStrictly(signature, covered.pack(), b"ssh-ed25519")

    def test_forms(self):
        """
        A public key may be given as a private one, a blob, a file's content, a
        C{cryptography} key, or a Deferred; the private key, likewise.
        """
        key = ed25519(1)
        publics = [
            key,
            key.public(),
            key.blob(),
            key.public().toString("openssh"),
            key.public().toString("openssh").decode(),
            key.public()._keyObject,
        ]
        privates = [key, key._keyObject, key.toString("openssh"), key.toString("openssh").decode()]
        for public in publics + [succeed(public) for public in publics]:
            self.start(Program())
            self.client.getPublicKey = lambda public=public: public
            self.refuse(b"publickey")
            self.assertEqual(self.offered(), (b"ssh-ed25519", key.blob()))
        for private in privates + [succeed(private) for private in privates]:
            self.start(Program([key]))
            self.client.getPrivateKey = lambda private=private: private
            self.refuse(b"publickey")
            self.accept(*self.offered())
            self.assertEqual(len(self.requests()), 1)

    def test_coroutines(self):
        """
        C{async def} will do as well.
        """

        class Modern(Program):
            async def getPublicKey(self):
                return ed25519(1)

            async def getPrivateKey(self):
                return ed25519(1)

        self.start(Modern())
        self.refuse(b"publickey")
        self.accept(*self.offered())
        self.assertEqual(len(self.requests()), 1)

    def test_severalKeys(self):
        """
        Keys are asked for until there is none, and each is offered once.
        """
        keys = [ed25519(seed) for seed in (1, 2, 3)]
        self.start(Program(keys))
        offered = []
        for _ in keys:
            self.refuse(b"publickey")
            offered.append(self.offered()[1])
        self.refuse(b"publickey")
        self.assertEqual(offered, [key.blob() for key in keys])
        error = self.assertGaveUp()
        self.assertEqual(
            error.tried,
            tuple(f"publickey ssh-ed25519 {hostKeyFingerprint(key.blob()).sha256}" for key in keys),
        )
        self.assertIn(error.tried[2], str(error))

    def test_sameKeyForEver(self):
        """
        A program that has one key and always gives it, as the howto's does,
        offers it once.
        """
        client = Program()
        client.getPublicKey = lambda: ed25519(1).blob()
        self.start(client)
        self.refuse(b"publickey")
        self.offered()
        self.refuse(b"publickey")
        self.assertEqual(self.requests(), [])
        self.assertEqual(len(self.assertGaveUp().tried), 1)

    def test_keysInACircle(self):
        """
        So does one that gives its keys over and over.
        """
        keys = [ed25519(1), ed25519(2), ed25519(3)] * 5
        self.start(Program(keys))
        for _ in range(3):
            self.refuse(b"publickey")
            self.offered()
        self.refuse(b"publickey")
        self.assertGaveUp()

    def test_sameKeysFromTwoSources(self):
        """
        Keys that come again, from a file after the agent, do not hide those
        that follow.
        """
        keys = [ed25519(seed) for seed in (1, 2, 1, 2, 3)]
        self.start(Program(keys))
        offered = []
        for _ in range(3):
            self.refuse(b"publickey")
            offered.append(self.offered()[1])
        self.assertEqual(offered, [ed25519(seed).blob() for seed in (1, 2, 3)])

    def test_waiting(self):
        """
        While the program makes up its mind, messages wait.
        """
        key, answer = ed25519(1), Deferred()
        client = Program()
        client.getPublicKey = lambda: answer
        self.start(client)
        self.refuse(b"publickey")
        self.transport.receive(53, UserauthBanner(b"hello", b"").pack())
        self.assertEqual((self.transport.holds, client.calls), (1, []))
        answer.callback(key)
        self.assertEqual(self.transport.holds, 0)
        self.assertEqual(client.calls, [("banner", "hello", "")])
        self.assertEqual(self.offered()[1], key.blob())

    def test_waitingForSignature(self):
        """
        So they do while it makes a signature.
        """
        key, answer = ed25519(1), Deferred()
        client = Program([key])
        client.getPrivateKey = lambda: answer
        self.start(client)
        self.refuse(b"publickey")
        self.accept(*self.offered())
        self.assertEqual(self.transport.holds, 1)
        answer.callback(key)
        self.assertEqual(self.transport.holds, 0)
        self.assertEqual(len(self.requests()), 1)

    def test_getterFails(self):
        """
        A getter that fails or raises counts as one that has nothing; its
        error is logged, and told in the end.
        """

        def raises():
            raise ValueError("out of \x1b[2J keys")

        for getter in (raises, lambda: fail(ValueError("out of \x1b[2J keys"))):
            client = Program(passwords=["secret"])
            client.getPublicKey = getter
            self.start(client)
            self.refuse(b"publickey", b"password")
            self.assertEqual([method for method, _ in self.requests()], [b"password"])
            self.refuse(b"publickey")
            self.assertIn("getPublicKey failed: ValueError: out of \\x1b[2J keys", str(self.assertGaveUp()))
            self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_noKeyAtAll(self):
        """
        What is no key is not offered.
        """
        for answer in (b"ssh-dss what", b"", 7, ed25519(1).blob()[:-1], NS("ssh-tiny") + NS("x")):
            self.start(Program())
            self.client.getPublicKey = lambda answer=answer: answer
            self.refuse(b"publickey")
            self.assertEqual(self.requests(), [])
            self.assertIn("it is no key", str(self.assertGaveUp()))

    def test_noPrivateKey(self):
        """
        Without a signature, the next key is offered, and no request is spent
        on telling the server so.
        """
        first, second = ed25519(1), ed25519(2)
        self.start(Program([first, second], privateKeys=[second]))
        self.refuse(b"publickey")
        self.accept(*self.offered())
        self.accept(*self.offered())
        self.assertEqual(len(self.requests()), 1)
        self.refuse()
        self.assertIn(
            f"a signature by ssh-ed25519 {hostKeyFingerprint(first.blob()).sha256}", str(self.assertGaveUp())
        )

    def test_wrongPrivateKey(self):
        """
        A private key of another key, or none, signs nothing.
        """
        for answer in (ed25519(2), ed25519(1).public(), b"no key", fail(RuntimeError("no"))):
            self.start(Program([ed25519(1)]))
            self.client.getPrivateKey = lambda answer=answer: answer
            self.refuse(b"publickey")
            self.accept(*self.offered())
            self.assertEqual(self.requests(), [])
            self.assertIn("signData failed", str(self.assertGaveUp()))
            self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_signData(self):
        """
        Where L{SSHUserAuthClient.signData} is overridden, no private key is
        asked for; the algorithm that is wanted is there to read.
        """
        key = rsa()
        asked = []

        class WithAgent(Program):
            def signData(self, publicKey, signData):
                asked.append((publicKey, self.signatureAlgorithm))
                return succeed(key.sign(signData, self.signatureAlgorithm))

        self.start(WithAgent([key.blob()], privateKeys=[]))
        self.refuse(b"publickey")
        self.accept(*self.offered())
        self.assertEqual(asked, [(key.public(), b"rsa-sha2-512")])
        self.assertEqual(len(self.requests()), 1)
        self.assertNotIn("getPrivateKey", self.client.calls)

    def test_signedOtherwise(self):
        """
        A signature of another algorithm than the one offered, SHA-1 above
        all, is not sent; nor is what is no signature.
        """
        for signature in (NS("ssh-rsa") + NS("x" * 256), b"\0\0\0\7ssh-", b""):
            self.start(Program([rsa()]))
            self.client.signData = lambda publicKey, data, signature=signature: signature
            self.refuse(b"publickey")
            self.accept(*self.offered())
            self.assertEqual(self.requests(), [])
            self.assertGaveUp()

    def test_rsaByExtension(self):
        """
        The server's C{server-sig-algs} decide how an RSA key signs.
        """
        for algorithms, wanted in (
            (b"ssh-ed25519,rsa-sha2-256,rsa-sha2-512", b"rsa-sha2-512"),
            (b"ssh-rsa,rsa-sha2-256", b"rsa-sha2-256"),
        ):
            transport = self.start(Program([rsa()]))
            transport.peerExtensions[b"server-sig-algs"] = algorithms
            self.refuse(b"publickey")
            self.assertEqual(self.offered(), (wanted, rsa().blob()))
            self.refuse(b"publickey")
            self.assertEqual(self.requests(), [])
            self.assertIn(f"({wanted.decode()})", str(self.assertGaveUp()))

    def test_rsaWithoutExtension(self):
        """
        When nothing is known, both are tried, the better one first, and never
        SHA-1. A list that names none of them is no knowledge.
        """
        for extensions in ({}, {b"server-sig-algs": b"ssh-ed25519,ssh-rsa"}):
            transport = self.start(Program([rsa()]))
            transport.peerExtensions.update(extensions)
            algorithms = []
            for _ in range(2):
                self.refuse(b"publickey")
                algorithms.append(self.offered()[0])
            self.refuse(b"publickey")
            self.assertEqual(algorithms, [b"rsa-sha2-512", b"rsa-sha2-256"])
            self.assertGaveUp()

    def test_rsaSignatureRefused(self):
        """
        A key whose signature was refused is not tried with another algorithm.
        """
        self.start(Program([rsa()]))
        self.refuse(b"publickey")
        self.accept(*self.offered())
        self.assertEqual(len(self.requests()), 1)
        self.refuse(b"publickey")
        self.assertEqual(self.requests(), [])

    def test_smallRSA(self):
        """
        A small key is not used, unless the program says so; the error says
        which key, and where to say so.
        """
        small = Key.fromString(howtokeys.publicKey)
        self.start(Program([small]))
        self.refuse(b"publickey")
        self.assertEqual(self.requests(), [])
        text = str(self.assertGaveUp())
        self.assertIn(f"ssh-rsa {hostKeyFingerprint(small.blob()).sha256}, as its 768 bits", text)
        self.assertIn("Program.minimumRSABits = 2048", text)

    def test_algorithmsNotAllowed(self):
        """
        A program may do without some signature algorithms.
        """
        self.start(Program([ed25519(1), rsa()]))
        self.client.signatureAlgorithms = [b"rsa-sha2-256"]
        self.refuse(b"publickey")
        self.assertEqual(self.offered(), (b"rsa-sha2-256", rsa().blob()))

    def test_okForAnotherKey(self):
        """
        PK_OK has to be for the key that was offered; the key's type in the
        place of the algorithm is let pass.
        """
        for algorithm, blob, good in (
            (b"rsa-sha2-512", rsa().blob(), True),
            (b"ssh-rsa", rsa().blob(), True),
            (b"rsa-sha2-256", rsa().blob(), False),
            (b"rsa-sha2-512", ed25519(1).blob(), False),
        ):
            self.start(Program([rsa()]))
            self.refuse(b"publickey")
            self.offered()
            self.accept(algorithm, blob)
            self.assertEqual(len(self.requests()), 1 if good else 0)
            self.assertIsInstance(self.transport.error, type(None) if good else UnexpectedMessage)

    def test_okAtTheWrongTime(self):
        """
        PK_OK for C{none}, or after the signature, is unexpected.
        """
        key = ed25519(1)
        self.start(Program([key]))
        self.accept(b"ssh-ed25519", key.blob())
        self.assertIsInstance(self.transport.error, UnexpectedMessage)
        self.start(Program([key]))
        self.refuse(b"publickey")
        self.accept(*self.offered())
        self.requests()
        self.accept(b"ssh-ed25519", key.blob())
        self.assertIsInstance(self.transport.error, UnexpectedMessage)


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
