"""
Tests for the client's half of L{conchlite.ssh.authmethods.publickey}.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import (
    UnexpectedMessage,
)
from conchlite.ssh.common import NS, getNS
from conchlite.ssh.keys import Key, hostKeyFingerprint
from conchlite.wire.userauth import (
    PublicKeyData,
    SignedData,
    UserauthBanner,
)
from tests.ssh import howtokeys
from tests.ssh.authlink import (
    SESSION_ID,
    ed25519,
    rsa,
)
from tests.ssh.authscenes import (
    ClientMixin,
    Program,
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
                return ed25519(1).public()

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
        answer.callback(key.public())
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
        for answer, errors in (
            (ed25519(2), 0),
            (ed25519(1).public(), 0),
            (b"no key", 0),
            (fail(RuntimeError("no")), 1),
        ):
            self.start(Program([ed25519(1)]))
            self.client.getPrivateKey = lambda answer=answer: answer
            self.refuse(b"publickey")
            self.accept(*self.offered())
            self.assertEqual(self.requests(), [])
            self.assertIn("signData failed", str(self.assertGaveUp()))
            # Only what looks like a defect is told with a traceback.
            self.assertEqual(len(self.flushLoggedErrors()), errors)

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
