"""
Tests for the client's half of L{conchlite.ssh.authmethods.publickey}, where the
private key is at hand.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import UnexpectedMessage
from conchlite.sansio.attempts import Answer
from conchlite.ssh.authmethods.publickey import signedData
from conchlite.ssh.common import NS, getNS
from conchlite.ssh.keys import Key
from conchlite.ssh.userauth import SSHUserAuthServer
from conchlite.wire.userauth import PublicKeyData, UserauthSuccess
from tests.ssh.authlink import SESSION_ID, Link, ed25519, rsa
from tests.ssh.authscenes import PK_OK, SUCCESS, ClientMixin, Program, owners


class AtHand(Program):
    """
    A program that gives its keys with their private halves.
    """

    def getPublicKey(self):
        self.calls.append("getPublicKey")
        return self.keys.pop(0) if self.keys else None


class SignedAtOnceTests(ClientMixin, SynchronousTestCase):
    """
    When a signature is sent unasked.
    """

    def start(self, client, algorithms=b"ssh-ed25519,rsa-sha2-512"):
        super().start(client)
        self.transport.peerExtensions = {b"server-sig-algs": algorithms} if algorithms else {}

    def sent(self):
        """
        The one key that was sent, and whether with a good signature.
        """
        [(method, data)] = self.requests()
        self.assertEqual(method, b"publickey")
        said = PublicKeyData.unpack(data)
        if said.hasSignature:
            signature, rest = getNS(said.signature)
            self.assertEqual(rest, b"")
            covered = signedData(SESSION_ID, b"user", b"ssh-connection", said.algorithm, said.publicKey)
            Key.fromString(said.publicKey, "blob").verifyStrictly(signature, covered, said.algorithm)
        return said.publicKey, said.hasSignature

    def test_login(self):
        """
        One request does, and the program is asked in the same order as ever.
        """
        key = ed25519(1)
        self.start(AtHand([key]))
        self.refuse(b"publickey")
        self.assertEqual(self.sent(), (key.blob(), True))
        self.assertEqual(self.client.calls, ["getPublicKey", "getPrivateKey"])
        self.assertEqual((self.client.lastAuth, self.client.lastPublicKey), (b"publickey", key.public()))
        self.assertEqual(self.client.triedPublicKeys, [key.public()])
        self.transport.receive(SUCCESS, UserauthSuccess().pack())
        self.assertIs(self.transport.isAuthenticated, True)

    def test_requireAuthentication(self):
        """
        Such a signature is a proof of who the user is.
        """
        self.start(AtHand([ed25519(1)]))
        self.client.requireAuthentication = True
        self.refuse(b"publickey")
        self.requests()
        self.transport.receive(SUCCESS, UserauthSuccess().pack())
        self.assertEqual(self.transport.ended, [])
        self.assertIs(self.transport.isAuthenticated, True)

    def test_refused(self):
        """
        A refusal is one attempt; the next key follows.
        """
        keys = [ed25519(seed) for seed in range(8)]
        self.start(AtHand(keys))
        tried = []
        self.refuse(b"publickey")
        while not self.transport.ended:
            tried.append(self.sent())
            self.refuse(b"publickey")
        self.assertEqual(tried, [(key.blob(), True) for key in keys[:6]])
        error = self.assertGaveUp()
        self.assertEqual(len(error.tried), 6)
        self.assertEqual({attempt.outcome for attempt in error.report.attempts}, {"refused"})

    def test_partial(self):
        """
        A server may want two keys.
        """
        keys = [ed25519(1), ed25519(2)]
        self.start(AtHand(keys))
        self.refuse(b"publickey")
        self.assertEqual(self.sent(), (keys[0].blob(), True))
        self.refuse(b"publickey", partial=True)
        self.assertEqual(self.sent(), (keys[1].blob(), True))
        self.assertEqual(self.client.authenticatedWith, [b"publickey"])

    def test_asksAllTheSame(self):
        """
        A server that answers the signature as if it were a question gets it
        again, and no third time.
        """
        key = ed25519(1)
        self.start(AtHand([key]))
        self.refuse(b"publickey")
        self.assertEqual(self.sent(), (key.blob(), True))
        self.accept(b"ssh-ed25519", key.blob())
        self.assertEqual(self.sent(), (key.blob(), True))
        self.transport.receive(PK_OK, NS(b"ssh-ed25519") + NS(key.blob()))
        self.assertIsInstance(self.transport.error, UnexpectedMessage)

    def test_choiceOfAlgorithms(self):
        """
        Where the server does not say what it knows, and there is a choice, it
        is asked first.
        """
        for algorithms, atOnce in ((b"", False), (b"rsa-sha2-512", True)):
            self.start(AtHand([rsa()]), algorithms)
            self.refuse(b"publickey")
            self.assertEqual(self.sent(), (rsa().blob(), atOnce))
        self.start(AtHand([ed25519(1)]), b"")
        self.refuse(b"publickey")
        self.assertEqual(self.sent(), (ed25519(1).blob(), True))

    def test_costly(self):
        """
        Of RSA keys only the first signs at once.
        """
        self.start(AtHand([ed25519(1), rsa(), ed25519(2)]))
        sent = []
        for _ in range(3):
            self.refuse(b"publickey")
            sent.append(self.sent()[1])
        self.assertEqual(sent, [True, False, True])

    def test_securityKey(self):
        """
        What wants a touch signs when it is asked to.
        """
        self.patch(Key, "isSecurityKey", lambda key: True)
        self.start(AtHand([ed25519(1)]))
        self.refuse(b"publickey")
        self.assertEqual(self.sent(), (ed25519(1).blob(), False))
        self.assertEqual(self.client.calls, ["getPublicKey"])

    def test_noSignature(self):
        """
        Where there is no signature, the key is offered as ever.
        """
        key, other = ed25519(1), ed25519(2)
        for answer in (None, b"", other, succeed(None), fail(ValueError("not today"))):
            self.start(AtHand([key]))
            self.client.getPrivateKey = lambda answer=answer: answer
            self.refuse(b"publickey")
            self.assertEqual(self.sent(), (key.blob(), False))
            self.flushLoggedErrors(ValueError)

    def test_signData(self):
        """
        The program's own signature is asked for, and may take its time.
        """
        key, made = ed25519(1), Deferred()
        self.start(AtHand([key]))
        self.client.signData = lambda publicKey, data: made.addCallback(lambda _: key.sign(data))
        self.refuse(b"publickey")
        self.assertEqual((self.requests(), self.transport.holds), ([], 1))
        made.callback(None)
        self.assertEqual(self.sent(), (key.blob(), True))

    def test_lost(self):
        """
        If the connection ends meanwhile, what is awaited is cancelled.
        """
        cancelled = []
        made = Deferred(cancelled.append)
        self.start(AtHand([ed25519(1)]))
        self.client.signData = lambda publicKey, data: made
        self.refuse(b"publickey")
        self.transport.lose()
        self.assertEqual(cancelled, [made])
        self.assertEqual(self.requests(), [])


class ServerTests(SynchronousTestCase):
    """
    With our server.
    """

    def test_report(self):
        """
        The server lets the key in; the attempt is noted as one.
        """
        key = ed25519(1)
        client = AtHand([key])
        link = Link(client, SSHUserAuthServer(), owners(key.public()))
        link.pump()
        self.assertIs(link.client.isAuthenticated, True)
        [attempt] = client._record.attempts
        self.assertEqual(
            (attempt.isSigned, attempt.continued, attempt.answer), (True, False, Answer.ACCEPTED)
        )
