"""
Tests for L{conchlite.ssh.agent}: a client, a server, and the keys.
"""

from __future__ import annotations

import random

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import AgentError, UsageError
from conchlite.ssh.agent import Constraints, KeyRing, SSHAgentClient, SSHAgentServer
from conchlite.ssh.agentidentities import packIdentity, readIdentity
from conchlite.ssh.keys import Key
from conchlite.wire import agent
from conchlite.wire.types import packString
from tests.ssh.agentscenes import Ends, asked, keyNamed, sent
from tests.ssh.certificatescenes import Device, certified

NAMES = ("ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa")

FAILURE, SUCCESS = b"\x05", b"\x06"


class EndsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.ring = KeyRing(self.clock)
        self.ends = Ends(self.ring)
        self.client, self.server = self.ends.client, self.ends.server
        self.key = keyNamed("ed25519")
        self.blob = self.key.blob()

    def done(self, deferred):
        self.ends.flush()
        return self.successResultOf(deferred)

    def fails(self, deferred) -> AgentError:
        self.ends.flush()
        return self.failureResultOf(deferred, AgentError).value


class TogetherTests(EndsTestCase):
    """
    Our client and our server.
    """

    def test_everyKey(self):
        """
        Keys of every type, with a certificate and without.
        """
        for name in NAMES:
            plain = keyNamed(name)
            for key in (plain, certified(plain)):
                self.done(self.client.addKey(key, "a comment"))
                self.assertEqual(self.done(self.client.requestIdentities()), [(key.blob(), b"a comment")])
                signature = self.done(self.client.signData(key.blob(), b"data"))
                self.assertTrue(plain.verify(signature, b"data"))
                self.done(self.client.removeIdentity(key.blob()))
                self.assertEqual(self.done(self.client.requestIdentities()), [])

    def test_identities(self):
        """
        A private key on the wire is read as it was written.
        """
        for name in NAMES:
            for key in (keyNamed(name), certified(keyNamed(name))):
                read, rest = readIdentity(packIdentity(key) + packString(b"c") + b"rest")
                self.assertEqual((read, read.comment, rest.rest()), (key, b"c", b"rest"))
                self.assertEqual(read.certificate, key.certificate)
                self.assertEqual(packIdentity(read), packIdentity(key))

    def test_conchsNames(self):
        """
        A private blob without a comment is what Conch's addIdentity takes,
        and its factory has only keys.
        """
        factory = Factory.forProtocol(SSHAgentServer)
        factory.keys = {}
        self.ends.server = factory.buildProtocol(None)
        self.ends.server.makeConnection(StringTransport())
        self.done(self.client.addIdentity(self.key.privateBlob()))
        self.assertEqual(factory.keys, {self.blob: (self.key, b"")})
        self.assertEqual(self.done(self.client.requestIdentities()), [(self.blob, b"")])
        self.done(self.client.removeAllIdentities())
        self.assertEqual(factory.keys, {})

    def test_signatureAlgorithms(self):
        """
        RSA keys sign with SHA-512 unless they are told otherwise.
        """
        key = keyNamed("rsa")
        self.ring.add(key)
        for flags, name in (
            (None, b"rsa-sha2-512"),
            (agent.RSA_SHA2_512, b"rsa-sha2-512"),
            (agent.RSA_SHA2_256, b"rsa-sha2-256"),
            (0, b"ssh-rsa"),
        ):
            signature = self.done(self.client.signData(key.blob(), b"data", flags))
            self.assertTrue(signature.startswith(packString(name)), flags)
        self.ring.legacySignatures = False
        self.fails(self.client.signData(key.blob(), b"data", 0))

    def test_unknownKey(self):
        self.fails(self.client.signData(self.blob, b"data"))
        self.fails(self.client.removeIdentity(self.blob))

    def test_query(self):
        names = self.done(self.client.queryExtensions())
        self.assertEqual(names, (b"query", b"session-bind@openssh.com"))
        self.fails(self.client.extension("no-such@example.org"))

    def test_lifetime(self):
        """
        A key is forgotten when its time is over; added anew it has another.
        """
        self.done(self.client.addKey(self.key, constraints=Constraints(lifetime=10)))
        self.clock.advance(9)
        self.done(self.client.addKey(self.key, constraints=Constraints(lifetime=10)))
        self.clock.advance(9)
        self.assertEqual(len(self.done(self.client.requestIdentities())), 1)
        self.clock.advance(1)
        self.assertEqual(self.done(self.client.requestIdentities()), [])
        self.done(self.client.addKey(self.key, constraints=Constraints(lifetime=10)))
        self.done(self.client.addKey(self.key))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_tooManyKeys(self):
        self.ring.maximumKeys = 1
        self.done(self.client.addKey(self.key))
        self.fails(self.client.addKey(keyNamed("rsa")))
        self.done(self.client.addKey(self.key))

    def test_lock(self):
        """
        A locked agent has no keys; a wrong passphrase costs time, more each
        time, whoever tries.
        """
        self.ring.add(self.key)
        self.fails(self.client.unlock("secret"))
        self.fails(self.client.lock(""))
        self.done(self.client.lock("secret"))
        self.fails(self.client.lock("secret"))
        self.assertEqual(self.done(self.client.requestIdentities()), [])
        self.fails(self.client.signData(self.blob, b"data"))
        self.fails(self.client.addKey(keyNamed("rsa")))
        other = Ends(self.ring)
        first, second = self.client.unlock("wrong"), other.client.unlock("secret")
        self.ends.flush()
        other.flush()
        self.assertNoResult(first)
        self.assertNoResult(second)
        self.clock.advance(0.1)
        self.fails(first)
        other.flush()
        self.successResultOf(second)
        self.assertEqual(len(self.done(self.client.requestIdentities())), 1)
        self.done(self.client.lock("secret"))
        for seconds in (0.1, 0.2, 0.3):
            wrong = self.client.unlock("wrong")
            self.ends.flush()
            self.clock.advance(seconds - 0.05)
            self.ends.flush()
            self.assertNoResult(wrong)
            self.clock.advance(0.06)
            self.fails(wrong)

    def test_guessAndGo(self):
        """
        Who does not wait for the answer to a wrong passphrase has the others
        wait for it all the same, himself with the next one, too; but what has
        not been tried yet is dropped.
        """
        self.done(self.client.lock("secret"))
        ends = [Ends(self.ring) for _ in range(3)]
        for end, passphrase in zip(ends, ("wrong", "wrong too", "secret"), strict=True):
            end.client.unlock(passphrase).addErrback(lambda _: None)
            end.flush()
        for end in ends[:2]:
            end.lose()
        self.clock.advance(0.09)
        self.assertTrue(self.ring.locked)
        self.clock.advance(0.02)
        self.assertFalse(self.ring.locked)

    def test_lockedMeanwhile(self):
        """
        A key that somebody was asked about signs nothing once the agent is
        locked; and who has locked it alone knows how to unlock it.
        """
        asked = Deferred()
        self.ring = KeyRing(self.clock, confirm=lambda use: asked)
        self.ends = Ends(self.ring)
        self.ring.add(self.key, constraints=Constraints(confirm=True))
        signing = self.ends.client.signData(self.blob, b"data")
        self.ends.flush()
        self.ring.lock(b"secret")
        self.assertRaises(AgentError, self.ring.lock, b"another")
        asked.callback(True)
        self.fails(signing)
        self.successResultOf(self.ring.unlock(b"secret"))

    def test_lockWithoutAClock(self):
        """
        Where nobody who guesses can be delayed, there is no lock.
        """
        ends = Ends(KeyRing())
        locking = ends.client.lock("secret")
        ends.flush()
        self.failureResultOf(locking, AgentError)

    def test_securityKey(self):
        """
        A security key signs by what the program has for its device.
        """
        asked = []
        device = Device()
        public = device.public.blob()
        handle = public + b"\x01" + packString(b"handle") + packString(b"")
        self.fails(self.client.addIdentity(handle))
        ring = KeyRing(signByDevice=lambda key, data: asked.append(key) or succeed(device.sign(data)))
        ends = Ends(ring)
        for constraints in (None, Constraints(securityKeyProvider=b"internal")):
            adding = ends.client.addIdentity(handle, constraints=constraints)
            ends.flush()
            self.successResultOf(adding)
        signing = ends.client.signData(public, b"data")
        ends.flush()
        self.assertTrue(device.public.verify(self.successResultOf(signing), b"data"))
        self.assertEqual([key.handle for key in asked], [b"handle"])


class ConfirmTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked = []
        self.answer: Deferred = Deferred()
        self.ring = KeyRing(confirm=self.confirm)
        self.key = keyNamed("ed25519")
        self.ring.add(self.key, "it", Constraints(confirm=True))
        self.ends = Ends(self.ring)

    def confirm(self, use):
        self.asked.append(use)
        return self.answer

    def test_yes(self):
        """
        While a person decides, the next request waits, and is not read.
        """
        signing = self.ends.client.signData(self.key.blob(), b"data")
        listing = self.ends.client.requestIdentities()
        self.ends.flush()
        self.assertNoResult(listing)
        self.assertEqual(self.ends.server.transport.producerState, "paused")
        (use,) = self.asked
        self.assertEqual(
            (use.key, use.comment, use.forwarded, use.data), (self.key.public(), b"it", False, b"data")
        )
        self.assertNotIn("data=", repr(use))
        self.answer.callback(True)
        self.ends.flush()
        self.assertTrue(self.key.verify(self.successResultOf(signing), b"data"))
        self.assertEqual(len(self.successResultOf(listing)), 1)
        self.assertEqual(self.ends.server.transport.producerState, "producing")

    def test_no(self):
        for answer in (False, None, 1, Failure(AgentError("no"))):
            self.answer = Deferred()
            signing = self.ends.client.signData(self.key.blob(), b"data")
            self.ends.flush()
            self.answer.callback(answer)
            self.ends.flush()
            self.failureResultOf(signing, AgentError)

    def test_defect(self):
        """
        A program that cannot ask has not been told yes.
        """
        signing = self.ends.client.signData(self.key.blob(), b"data")
        self.ends.flush()
        self.answer.errback(ZeroDivisionError())
        self.ends.flush()
        self.failureResultOf(signing, AgentError)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_goneMeanwhile(self):
        signing = self.ends.client.signData(self.key.blob(), b"data")
        self.ends.flush()
        self.ring.removeAll()
        self.answer.callback(True)
        self.ends.flush()
        self.failureResultOf(signing, AgentError)

    def test_lost(self):
        """
        Nobody is asked any more when who wanted to know is gone.
        """
        cancelled = []
        self.answer = Deferred(cancelled.append)
        signing = self.ends.client.signData(self.key.blob(), b"data")
        self.ends.flush()
        self.ends.lose()
        self.assertEqual(len(cancelled), 1)
        self.failureResultOf(signing, AgentError)


class LibraryTests(EndsTestCase):
    def test_smartcards(self):
        """
        Row 84: whoever wants a library loaded is told FAILURE, whatever the
        library is, and so is a security key that names one.
        """
        library = packString(b"/usr/lib/opensc-pkcs11.so") + packString(b"1234")
        for number in (
            agent.ADD_SMARTCARD_KEY,
            agent.REMOVE_SMARTCARD_KEY,
            agent.ADD_SMARTCARD_KEY_CONSTRAINED,
        ):
            self.assertEqual(asked(self.server, bytes([number]) + library), [FAILURE])
        self.ring = KeyRing(signByDevice=lambda key, data: b"")
        handle = Device().public.blob() + b"\x01" + packString(b"handle") + packString(b"")
        ends = Ends(self.ring)
        adding = ends.client.addIdentity(handle, constraints=Constraints(securityKeyProvider=b"/lib.so"))
        ends.flush()
        self.failureResultOf(adding, AgentError)
        self.assertEqual(self.ring.keys, {})


class ClientTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.client = SSHAgentClient()
        self.client.makeConnection(StringTransport())

    def answer(self, *frames: bytes) -> None:
        self.client.dataReceived(b"".join(map(packString, frames)))

    def test_order(self):
        """
        Answers go to the requests in their order; one that was cancelled takes
        its answer along.
        """
        first, second, third = (self.client.signData(b"key", b"data", 0) for _ in range(3))
        second.cancel()
        self.answer(*(agent.SignResponse(packString(name)).packPayload() for name in (b"1", b"2", b"3")))
        self.assertEqual(self.successResultOf(first), packString(b"1"))
        self.assertEqual(self.successResultOf(third), packString(b"3"))
        self.failureResultOf(second)

    def test_refusal(self):
        """
        An agent says no and not why; the error has what it may be.
        """
        signing = self.client.signData(keyNamed("ed25519").blob(), b"data")
        self.answer(b"\x05")
        error = self.failureResultOf(signing, AgentError).value
        self.assertIn("the agent refused", str(error))
        self.assertIn("may not have the key", str(error))
        self.assertEqual(error.data, 5)

    def test_wrongAlgorithm(self):
        """
        An agent that does not know flags signs with SHA-1; that is not taken.
        """
        key = keyNamed("rsa")
        signing = self.client.signData(key.blob(), b"data")
        self.answer(agent.SignResponse(key.sign(b"data", b"ssh-rsa")).packPayload())
        error = self.failureResultOf(signing, AgentError).value
        self.assertIn("ssh-rsa", str(error))
        self.assertFalse(self.client.transport.disconnecting)

    def test_wrongAnswers(self):
        """
        Row 86: an answer of another kind, with bytes behind it, too short, too
        many, or of a size that nobody should wait for, ends the connection,
        and everything that waits fails.
        """
        identities = b"\x0c\x00\x00\x00\x00"
        for data in (
            packString(b"\x0e" + packString(b"signature")),
            packString(SUCCESS),
            packString(FAILURE + b"x"),
            packString(identities + b"x"),
            packString(b"\x0c\x00\x00\x00\x01"),
            packString(b"\x0c\xff\xff\xff\xff"),
            packString(b"\x0e\0\0\0\0"),
            packString(b"\x0c" + (2049).to_bytes(4, "big") + bytes(8 * 2049)),
            packString(b""),
            b"\xff\xff\xff\xff",
            b"\x00\x04\x00\x01",
        ):
            client = self.client = SSHAgentClient()
            client.makeConnection(StringTransport())
            waiting = [client.requestIdentities(), client.requestIdentities()]
            client.dataReceived(data)
            for deferred in waiting:
                self.failureResultOf(deferred, AgentError)
            self.assertTrue(client.transport.disconnecting, data)
            self.failureResultOf(client.requestIdentities(), AgentError)

    def test_unasked(self):
        self.answer(SUCCESS)
        self.assertTrue(self.client.transport.disconnecting)

    def test_lost(self):
        """
        Each Deferred fires once, also those that come too late.
        """
        waiting = [self.client.requestIdentities() for _ in range(3)]
        self.client.connectionLost(Failure(ConnectionDone()))
        waiting.append(self.client.removeAllIdentities())
        for deferred in waiting:
            self.failureResultOf(deferred, AgentError)
        self.failureResultOf(SSHAgentClient().requestIdentities(), AgentError)

    def test_tooLarge(self):
        with self.assertRaises(UsageError):
            self.client.signData(b"key", bytes(256 * 1024))
        self.assertEqual(sent(self.client), [])

    def test_oldExtensions(self):
        """
        Agents of the older drafts answer an extension with SUCCESS.
        """
        asking = self.client.extension("x@example.org")
        self.answer(SUCCESS + b"contents")
        self.assertEqual(self.successResultOf(asking), b"contents")


class FrameTests(SynchronousTestCase):
    def server(self) -> SSHAgentServer:
        ring = KeyRing(Clock())
        for name in ("ed25519", "ecdsa256"):
            ring.add(keyNamed(name))
        return Ends(ring).server

    def test_pieces(self):
        """
        A request is the same however it is cut.
        """
        data = packString(b"\x0b") * 2
        for size in range(1, len(data)):
            server = self.server()
            for at in range(0, len(data), size):
                server.dataReceived(data[at : at + size])
            self.assertEqual(len(sent(server)), 2)

    def test_tooLarge(self):
        """
        Row 86: a server leaves whoever announces more than 256 KiB, or
        nothing, before he has sent it.
        """
        for size, stays in ((256 * 1024, True), (256 * 1024 + 1, False), (2**32 - 1, False), (0, False)):
            server = self.server()
            server.dataReceived(size.to_bytes(4, "big"))
            self.assertEqual(server.transport.disconnecting, not stays, size)

    def test_unread(self):
        """
        Who does not read the answers is not read from.
        """
        server = self.server()
        server.pauseProducing()
        self.assertEqual(server.transport.producerState, "paused")
        self.assertEqual(asked(server, b"\x0b", b"\x0b"), [])
        server.resumeProducing()
        self.assertEqual(len(sent(server)), 2)
        self.assertEqual(server.transport.producerState, "producing")

    def test_random(self):
        """
        Row 87: an agent survives ten thousand random messages, and answers
        each.
        """
        chance = random.Random(87)
        server = self.server()
        numbers = [*range(1, 30), 255]
        blobs = [keyNamed(name).blob() for name in ("ed25519", "ecdsa256")]
        answered = 0
        for _ in range(10_000):
            parts = [bytes([chance.choice(numbers)])]
            for _ in range(chance.randrange(4)):
                kind = chance.randrange(3)
                if kind == 0:
                    parts.append(packString(chance.choice(blobs)))
                elif kind == 1:
                    parts.append(packString(chance.randbytes(chance.randrange(20))))
                else:
                    parts.append(chance.randbytes(chance.randrange(8)))
            if parts[0] not in (b"\x16", b"\x17"):
                answered += len(asked(server, b"".join(parts)))
            else:
                answered += 1
        self.assertEqual(answered, 10_000)
        self.assertFalse(server.transport.disconnecting)

    def test_secrets(self):
        """
        No repr shows a key, a passphrase, or what is signed.
        """
        secret = b"canary"
        for message in (
            agent.AddIdentity(secret),
            agent.AddIDConstrained(secret),
            agent.Lock(secret),
            agent.Unlock(secret),
            agent.SignRequest(b"", secret, 0),
            agent.SignResponse(secret),
        ):
            self.assertNotIn("canary", repr(message))


class KeyTests(SynchronousTestCase):
    def test_publicKey(self):
        ring = KeyRing()
        with self.assertRaises(AgentError):
            ring.add(keyNamed("ed25519").public())
        with self.assertRaises(UsageError):
            SSHAgentClient().addKey(keyNamed("ed25519").public())

    def test_certificateOfAnother(self):
        """
        A certificate and a key that do not belong together are not held.
        """
        one, other = certified(keyNamed("ed25519")), Key.generate("ed25519")
        name = packString(one.certificate.name) + packString(one.certificate.blob)
        private = packIdentity(other)[len(packString(b"ssh-ed25519")) :]
        ends = Ends()
        adding = ends.client.addIdentity(name + private)
        ends.flush()
        self.failureResultOf(adding, AgentError)
