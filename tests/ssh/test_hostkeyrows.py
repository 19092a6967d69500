"""
A server's key in the first exchange: how it signs, and who says yes to it.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import ANY

from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.publickeys.rsa import RSA
from conchlite.error import (
    BadSignature,
    GlobalRequestFailed,
    HostKeyRejected,
    LoginTimedOut,
    MalformedMessage,
    PeerError,
)
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.hostkeyproof import PROOF
from conchlite.ssh.keys import Key
from conchlite.wire.connection import HostKeys
from tests.ssh.links import HOST_KEY, Client, Link, ServerFactory

KEYS = [HOST_KEY, Key.generate("ecdsa"), Key.generate("rsa", 2048)]


class Faulty:
    """
    What signs as a key does, and gets a bit wrong.
    """

    def __init__(self, key: Key) -> None:
        self._key = key
        self.made: list[bytes] = []

    def supportedSignatureAlgorithms(self) -> list[bytes]:
        return self._key.supportedSignatureAlgorithms()

    def sign(self, data: bytes, algorithm: bytes) -> Deferred[bytes]:
        good = self._key.sign(data, algorithm)
        self.made.append(good[:-1] + bytes((good[-1] ^ 1,)))
        return succeed(self.made[-1])


class FaultySignatureTests(SynchronousTestCase):
    """
    Row 42: a machine that computes a signature wrong.
    """

    def factory(self, key: Key, signer: Any) -> ServerFactory:
        factory = ServerFactory()
        factory.privateKeys = {key.sshType(): signer}
        factory.publicKeys = {key.sshType(): key.public()}
        return factory

    def checkExchange(self, factory: ServerFactory) -> list[Any]:
        """
        @return: what was logged as critical.
        """
        client = Client()
        with capturedLogs() as logged:
            link = Link(client, factory).secure()
        self.assertEqual(([], 0), (client.asked, client.secure))
        self.assertEqual([(3, b"key exchange failed")], client.errors)
        self.assertIsInstance(link.server.closeReason.value.data.value, BadSignature)
        self.assertEqual(1, len(self.flushLoggedErrors(BadSignature)))
        return [event for event in logged if event["log_level"] is LogLevel.critical and "error" in event]

    def test_signerElsewhere(self) -> None:
        """
        Row 42: what signs somewhere else is not trusted to have it right: the
        connection ends with reason 3, the log says why, and the signature has
        not gone out.
        """
        for key in KEYS:
            signer = Faulty(key)
            sent: list[bytes] = []
            factory = self.factory(key, signer)
            build = factory.buildProtocol

            def recording(addr: object, build: Any = build, sent: list[bytes] = sent) -> Any:
                built = build(addr)
                connected = built.makeConnection

                def makeConnection(tcp: Any) -> None:
                    tcp.write, write = lambda data: (sent.append(data), write(data)), tcp.write
                    connected(tcp)

                built.makeConnection = makeConnection
                return built

            factory.buildProtocol = recording
            self.assertEqual(1, len(self.checkExchange(factory)))
            (made,) = signer.made
            self.assertTrue(sent)
            self.assertNotIn(made[-32:], b"".join(sent))

    def test_keyOfOurs(self) -> None:
        """
        Row 42: and so it is with an RSA key of our own.
        """
        good = RSA.sign

        def wrong(key: Any, algorithm: bytes, data: bytes) -> bytes:
            signature = good(key, algorithm, data)
            RSA.verify(key.public_key(), algorithm, signature[:-1] + bytes((signature[-1] ^ 1,)), data)
            return signature

        self.patch(type(RSA), "sign", lambda keyType, *arguments: wrong(*arguments))
        self.checkExchange(self.factory(KEYS[2], KEYS[2]))

    def test_proof(self) -> None:
        """
        Row 42: a proof of a host key that came out wrong is not given.
        """
        signer = Faulty(KEYS[1])
        factory = ServerFactory()
        factory.privateKeys = {HOST_KEY.sshType(): HOST_KEY, KEYS[1].sshType(): signer}
        factory.publicKeys = {key.sshType(): key.public() for key in KEYS[:2]}
        link = Link(Client(), factory).secure()
        for end in (link.client, link.server):
            end.isAuthenticated = True
            end.setService(SSHConnection())
        asked = link.client.service.sendGlobalRequest(
            PROOF, HostKeys((KEYS[1].blob(),)).pack(), wantReply=True
        )
        link.flush()
        self.failureResultOf(asked, GlobalRequestFailed)
        self.assertEqual((1, 1), (len(signer.made), len(self.flushLoggedErrors(BadSignature))))


class VerdictTests(SynchronousTestCase):
    """
    Row 48: what is a yes to a host key.
    """

    def test_looksLikeYes(self) -> None:
        """
        Row 48: only True and 1 are, not what is equal to them.
        """
        for verdict in (1.0, 1 + 0j, ANY, [True], "True", object()):
            client = Client()
            client.verdict = succeed(verdict)
            link = Link(client).secure()
            self.assertEqual(0, client.secure, verdict)
            self.assertEqual([(9, b"bad host key")], link.server.errors)
            self.assertIsInstance(client.closeReason.value, HostKeyRejected)

    def test_timeout(self) -> None:
        """
        Row 48: a verdict that took too long is a no.
        """
        client = Client()
        client.verdict = Deferred()
        link = Link(client)
        client.verdict.addTimeout(10, link.clock)
        link.secure()
        link.clock.advance(10)
        link.flush()
        self.assertEqual(0, client.secure)
        self.assertEqual([(9, b"bad host key")], link.server.errors)
        self.assertEqual(1, len(self.flushLoggedErrors(TimeoutError)))

    def test_never(self) -> None:
        """
        Row 48: no verdict is no yes: nothing is sent, nothing read, until the
        server has waited long enough.
        """
        client = Client()
        client.verdict = Deferred()
        link = Link(client).secure()
        sent = client.outgoingPacketSequence
        link.clock.advance(link.server.loginTimeout - 1)
        link.flush()
        self.assertEqual((0, sent), (client.secure, client.outgoingPacketSequence))
        link.clock.advance(1)
        link.flush()
        self.assertIsInstance(link.server.closeReason.value, LoginTimedOut)
        link.serverIO.abortConnection()
        link.flush()
        self.assertEqual(0, client.secure)
        self.assertIsNotNone(client.closeReason)


class RoamingTests(SynchronousTestCase):
    """
    Row 50: there is no way to come back to a connection that is lost.
    """

    def test_notOffered(self) -> None:
        """
        Row 50: neither side offers to resume anything.
        """
        link = Link().secure()
        for payload in (link.client.ourKexInitPayload, link.server.ourKexInitPayload):
            self.assertNotIn(b"resume@", payload)
            self.assertNotIn(b"roaming", payload)

    def test_refused(self) -> None:
        """
        Row 50: the request of the old OpenSSH is refused like all that nobody
        knows, in both roles; and the connection goes on.
        """
        link = Link().secure()
        for end in (link.client, link.server):
            end.isAuthenticated = True
            end.setService(SSHConnection())
        for asker in (link.client, link.server):
            for name in (b"roaming@appgate.com", b"unheard-of@example.com", b"hostkeys-01@openssh.com", b""):
                asked = asker.service.sendGlobalRequest(name, b"\0" * 8, wantReply=True)
                link.flush()
                self.failureResultOf(asked, GlobalRequestFailed)
        self.assertIsNone(link.client.closeReason)
        self.assertIsNone(link.server.closeReason)


class LibraryTests(SynchronousTestCase):
    """
    Row 46: what goes wrong while a signature is verified is never a yes.
    """

    def test_everyError(self) -> None:
        """
        Row 46: whatever comes out of the verification of the server's
        signature, nobody is asked about its key, and no keys are used.
        """
        for error in (BadSignature("no"), MalformedMessage("no"), ValueError(), TypeError(), MemoryError()):
            client = Client()

            def verify(*arguments: object, error: Exception = error) -> None:
                raise error

            client._verifySignature = verify
            link = Link(client)
            try:
                link.secure()
            except type(error):
                # What is no fault of the peer's leaves dataReceived, and the
                # reactor drops the connection.
                self.assertNotIsInstance(error, PeerError)
            else:
                self.assertIs(error, client.closeReason.value)
            self.assertEqual(([], 0, b""), (client.asked, client.secure, client.sessionID))
            self.assertIsNone(client.negotiated)
