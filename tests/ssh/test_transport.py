"""
The transport as a protocol: who is asked, what is sent, how it ends.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import (
    BadMAC,
    BadVersion,
    ConchError,
    ConnectionEnded,
    Disconnected,
    HostKeyRejected,
    NoCommonAlgorithm,
    UnexpectedMessage,
    UsageError,
)
from conchlite.limits import CLOSE_SECONDS, MAXIMUM_UNREAD_ANSWERS
from conchlite.ssh import transport
from conchlite.ssh.address import SSHTransportAddress
from conchlite.ssh.keys import Key
from tests.ssh.links import HOST_KEY, Client, Link, RecordingService, Server, ServerFactory


class HandshakeTests(SynchronousTestCase):
    def test_secure(self) -> None:
        link = Link().secure()
        self.assertEqual([HOST_KEY.public().blob()], [blob for blob, _ in link.client.asked])
        self.assertEqual(1, link.client.secure)
        self.assertEqual(link.client.sessionID, link.server.sessionID)
        self.assertEqual(b"mlkem768x25519-sha256", link.client.kexAlg)
        self.assertEqual(b"ssh-ed25519", link.client.keyAlg)
        self.assertEqual(b"aes128-gcm@openssh.com", link.client.currentEncryptions.outCipType)
        self.assertEqual(b"none", link.client.outgoingCompressionType)
        self.assertEqual(link.server.ourVersionString, link.client.otherVersionString)
        self.assertTrue(link.client.gotVersion)
        for direction in ("in", "out", "both"):
            self.assertTrue(link.client.isEncrypted(direction))
            self.assertTrue(link.server.isVerified(direction))
        self.assertRaises(TypeError, link.client.isEncrypted, "sideways")
        self.assertIn(b"ssh-ed25519", link.client.peerExtensions[b"server-sig-algs"].split(b","))

    def test_beforeTheConnection(self) -> None:
        """
        What a transport tells can be asked for before there is a connection.
        """
        client = Client()
        self.assertEqual((b"", b"", None), (client.sessionID, client.otherVersionString, client.negotiated))
        self.assertFalse(client.isEncrypted())
        self.assertEqual(client._KEY_EXCHANGE_NONE, client._keyExchangeState)

    def test_fingerprint(self) -> None:
        """
        The fingerprint is the MD5 form, equal as text and as bytes, and has
        the SHA-256 form beside it.
        """
        link = Link().secure()
        [(_, fingerprint)] = link.client.asked
        self.assertEqual(HOST_KEY.fingerprint(), fingerprint)
        self.assertEqual(fingerprint, HOST_KEY.fingerprint().encode("ascii"))
        self.assertTrue(fingerprint.sha256.startswith("SHA256:"))

    def test_plainInitIsNotNeeded(self) -> None:
        """
        A subclass that defines __init__ without calling ours works, as those
        written for Conch do. So does one whose lists are replaced on the
        instance.
        """
        link = Link()
        link.client.supportedCiphers = [b"aes256-ctr"]
        link.client.supportedMACs = [b"hmac-sha2-512"]
        link.secure()
        self.assertEqual(b"aes256-ctr", link.client.currentEncryptions.inCipType)
        self.assertEqual(b"hmac-sha2-512", link.server.currentEncryptions.inMACType)

    def test_slowVerdict(self) -> None:
        """
        D1: the verdict takes its time, and the server's packets behind it
        wait.
        """
        client = Client()
        client.verdict = Deferred()
        link = Link(client).secure()
        self.assertEqual((1, 0), (len(client.asked), client.secure))
        link.clock.advance(1)
        client.verdict.callback(True)
        self.assertEqual(1, client.secure)
        link.flush()
        self.assertTrue(link.server.isEncrypted("both"))
        self.assertIn(b"server-sig-algs", client.peerExtensions)

    def test_verdicts(self) -> None:
        """
        Row 48: True, or 1 as the howto has it, is yes. Everything
        else ends the connection with reason 9.
        """
        for verdict, good in (
            (True, True),
            (1, True),
            (None, False),
            (False, False),
            (0, False),
            ("yes", False),
            (b"", False),
            (2, False),
        ):
            client = Client()
            client.verdict = succeed(verdict)
            link = Link(client).secure()
            self.assertEqual(int(good), client.secure, verdict)
            if not good:
                self.assertEqual([(9, b"bad host key")], link.server.errors)
                self.assertIsInstance(client.closeReason.value, HostKeyRejected)

    def test_failingVerdicts(self) -> None:
        for error, logged in ((ConchError("bad key"), 0), (MemoryError("gone"), 1)):
            client = Client()
            client.verdict = fail(error)
            link = Link(client).secure()
            self.assertEqual(0, client.secure)
            self.assertEqual([(9, b"bad host key")], link.server.errors)
            self.assertIsInstance(client.closeReason.value, HostKeyRejected)
            self.assertIn(str(error.args[0]), str(client.closeReason.value))
            self.assertEqual(logged, len(self.flushLoggedErrors(MemoryError)))

    def test_raisingVerdict(self) -> None:
        class Raises(Client):
            def verifyHostKey(self, hostKey: bytes, fingerprint: Any) -> Any:
                raise ConchError("no")

        link = Link(Raises()).secure()
        self.assertIsInstance(link.client.closeReason.value, HostKeyRejected)

    def test_nobodyVerifies(self) -> None:
        """
        As it stands, a client refuses every server.
        """

        class Plain(transport.SSHClientTransport):
            pass

        link = Link(Plain()).secure()
        self.assertIsInstance(link.client.closeReason.value, HostKeyRejected)
        self.assertIn("override verifyHostKey", str(link.client.closeReason.value))
        self.assertEqual([(9, b"bad host key")], link.server.errors)

    def test_verdictAfterTheEnd(self) -> None:
        """
        The connection goes while the user thinks; his answer changes nothing.
        """
        client = Client()
        client.verdict = Deferred()
        link = Link(client).secure()
        link.serverIO.abortConnection()
        link.flush()
        client.verdict.callback(True)
        self.assertEqual(0, client.secure)
        self.assertIsInstance(client.closeReason.value, ConnectionEnded)

    def test_connectionSecureFails(self) -> None:
        class Fails(Client):
            def connectionSecure(self) -> None:
                raise ValueError("a defect of the program")

        link = Link(Fails()).secure()
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))
        self.assertEqual([(11, b"internal error")], link.server.errors)
        self.assertIn("a defect of the program", str(link.client.closeReason.value))

    def test_weakHostKey(self) -> None:
        """
        Row 51: an RSA host key below the floor ends with reason 9
        and names the attribute that lowers the floor.
        """
        weak = Key.generate("rsa", 1024)
        for floor, secure in ((2048, 0), (1024, 1)):
            factory = ServerFactory()
            factory.privateKeys = {b"ssh-rsa": weak}
            client = Client()
            client.minimumRSABits = floor
            link = Link(client, factory).secure()
            self.assertEqual(secure, client.secure)
        client = Client()
        link = Link(client, factory).secure()
        self.assertEqual([(9, b"bad host key")], link.server.errors)
        self.assertIsInstance(client.closeReason.value, HostKeyRejected)
        self.assertIn("1024", str(client.closeReason.value))
        self.assertIn("minimumRSABits", str(client.closeReason.value))

    def test_asynchronousSignature(self) -> None:
        """
        The host key may sign in its own time, as one in an agent does.
        """
        waiting: list[tuple[Deferred[bytes], bytes, bytes]] = []

        class Slow:
            def sign(self, data: bytes, algorithm: bytes) -> Deferred[bytes]:
                deferred: Deferred[bytes] = Deferred()
                waiting.append((deferred, data, algorithm))
                return deferred

        factory = ServerFactory()
        factory.publicKeys = {b"ssh-ed25519": HOST_KEY.public()}
        factory.privateKeys = {b"ssh-ed25519": Slow()}
        link = Link(factory=factory).secure()
        self.assertEqual(0, link.client.secure)
        [(deferred, data, algorithm)] = waiting
        deferred.callback(HOST_KEY.sign(data, algorithm))
        link.flush()
        self.assertEqual(1, link.client.secure)

    def test_failingSignature(self) -> None:
        class Broken:
            def sign(self, data: bytes, algorithm: bytes) -> Deferred[bytes]:
                return fail(ValueError("no card"))

        factory = ServerFactory()
        factory.publicKeys = {b"ssh-ed25519": HOST_KEY.public()}
        factory.privateKeys = {b"ssh-ed25519": Broken()}
        link = Link(factory=factory).secure()
        self.assertEqual([(3, b"key exchange failed")], link.client.errors)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))


class ReexchangeTests(SynchronousTestCase):
    def test_askedOnce(self) -> None:
        """
        D2: neither verifyHostKey nor connectionSecure is called again.
        """
        link = Link().secure()
        for starter in (link.client, link.server, link.client):
            starter.sendKexInit()
            link.flush()
            self.assertEqual(starter._KEY_EXCHANGE_NONE, starter._keyExchangeState)
        self.assertEqual((1, 1), (len(link.client.asked), link.client.secure))

    def test_whileOneRuns(self) -> None:
        link = Link().secure()
        link.client.sendKexInit()
        self.assertEqual(link.client._KEY_EXCHANGE_REQUESTED, link.client._keyExchangeState)
        self.assertRaises(UsageError, link.client.sendKexInit)

    def test_servicesAreTold(self) -> None:
        """
        A service is told to hold its data while keys are exchanged.
        """
        client = Client()
        client.requested = RecordingService()
        link = Link(client).secure()
        self.assertTrue(client.canWrite)
        client.sendKexInit()
        self.assertFalse(client.canWrite)
        self.assertEqual(["started", "pause"], client.requested.calls)
        link.flush()
        self.assertEqual(["started", "pause", "resume"], client.requested.calls)
        self.assertEqual(["started", "pause", "resume"], link.factory.started[0].calls)

    def test_delayedKexInit(self) -> None:
        """
        A server that says nothing until the client has spoken, as honeypots
        do: ssh_KEXINIT calls sendKexInit when nothing is going on.
        """

        class Late(Server):
            def sendKexInit(self) -> None:
                if self.gotVersion:
                    super().sendKexInit()

        factory = ServerFactory()
        factory.protocol = Late
        link = Link(factory=factory).secure()
        self.assertEqual(1, link.client.secure)

    def test_heldAnswers(self) -> None:
        """
        Row 28: a peer that ignores our KEXINIT and goes on asking
        for answers does not fill our memory.
        """

        class Answering(RecordingService):
            def packetReceived(self, messageNum: int, packet: bytes) -> None:
                self.transport.sendPacket(messageNum, packet)

        client = Client()
        client.requested = RecordingService()
        link = Link(client).secure()
        service = Answering()
        link.server.setService(service)
        link.server.sendKexInit()
        link.serverIO.getOutBuffer()
        for _ in range(20):
            client.sendPacket(50, b"x" * 30_000)
            data, link.clientIO.stream[:] = b"".join(link.clientIO.stream), []
            link.server.dataReceived(data)
        self.assertIsInstance(link.server.closeReason.value, UnexpectedMessage)
        self.assertLess(link.server._layer.heldBytes, 300_000)


class UnreadTests(SynchronousTestCase):
    """
    A peer that asks, and does not read what it is answered.
    """

    def setUp(self) -> None:
        self.link = Link().secure()
        self.link.client.receiveUnimplemented = lambda number: None
        self.tcp = self.link.serverIO.producer
        self.tcp.pauseProducing()

    def ask(self, times: int) -> None:
        for _ in range(times):
            self.link.client.sendPackets([(b"\x19",)] * 1000)
            data, self.link.clientIO.stream[:] = b"".join(self.link.clientIO.stream), []
            self.link.server.dataReceived(data)

    def test_ended(self) -> None:
        """
        It fills no more memory than the limit, not even before it has logged
        in.
        """
        self.ask(20)
        self.assertIsInstance(self.link.server.closeReason.value, UnexpectedMessage)
        self.assertLess(sum(map(len, self.link.serverIO.stream)), MAXIMUM_UNREAD_ANSWERS + 64 * 1024)

    def test_read(self) -> None:
        """
        One that has logged in, and reads now and then, may ask as much as it
        likes.
        """
        self.link.server.isAuthenticated = True
        for _ in range(10):
            self.ask(4)
            self.tcp.resumeProducing()
            self.tcp.pauseProducing()
        self.tcp.resumeProducing()
        self.ask(10)
        self.assertIsNone(self.link.server.closeReason)


class EndTests(SynchronousTestCase):
    def test_loseConnection(self) -> None:
        client = Client()
        client.requested = RecordingService()
        link = Link(client).secure()
        client.loseConnection()
        link.flush()
        self.assertEqual([(10, b"user closed connection")], link.server.errors)
        self.assertEqual("stopped", client.requested.calls[-1])
        self.assertEqual("stopped", link.factory.started[0].calls[-1])
        self.assertIsInstance(client.closeReason.value, Disconnected)
        self.assertEqual(10, link.server.closeReason.value.reason)
        self.assertEqual([], link.clock.getDelayedCalls())

    def test_onlyOnce(self) -> None:
        link = Link().secure()
        link.client.sendDisconnect(11, b"first")
        link.client.sendDisconnect(2, b"second")
        link.client.loseConnection()
        link.client.sendPacket(50, b"too late")
        link.flush()
        self.assertEqual([(11, b"first")], link.server.errors)
        self.assertEqual(11, link.client.closeReason.value.reason)

    def test_peerDoesNotClose(self) -> None:
        """
        A peer that does not take the DISCONNECT is aborted in the end.
        """
        link = Link().secure()
        aborted: list[float] = []
        link.clientIO.abortConnection = lambda: aborted.append(link.clock.seconds())
        link.client.loseConnection()
        link.clock.pump([CLOSE_SECONDS / 2, CLOSE_SECONDS / 2, 1])
        self.assertEqual([CLOSE_SECONDS], aborted)

    def test_connectionLost(self) -> None:
        """
        What waits fails with what ended the connection, and the user is logged
        out once.
        """
        link = Link().secure()
        logouts: list[int] = []
        link.server.logoutFunction = lambda: logouts.append(1)
        link.clientIO.abortConnection()
        link.flush()
        self.assertEqual([1], logouts)
        self.assertIsInstance(link.server.closeReason.value, ConnectionEnded)
        self.assertEqual([], link.clock.getDelayedCalls())

    def test_serviceFailsToStop(self) -> None:
        """
        The user is logged out even if his service fails.
        """

        class Failing(RecordingService):
            def serviceStopped(self) -> None:
                raise RuntimeError("a program's fault")

        link = Link().secure()
        logouts: list[int] = []
        link.server.logoutFunction = lambda: logouts.append(1)
        link.server.setService(Failing())
        self.assertRaises(RuntimeError, link.server.connectionLost)
        self.assertEqual([1], logouts)

    def test_loseConnectionInReceiveError(self) -> None:
        """
        What the peer said remains the reason, whatever a program does about it.
        """

        class Leaving(Client):
            def receiveError(self, reasonCode: int, description: bytes) -> None:
                self.loseConnection()

        link = Link(Leaving()).secure()
        link.server.sendDisconnect(12, b"too many")
        link.flush()
        self.assertIsInstance(link.client.closeReason.value, Disconnected)
        self.assertEqual(12, link.client.closeReason.value.reason)

    def test_whatWasLost(self) -> None:
        """
        A program that sees only TCP end is told with whom, and when; and what
        came instead of a version, if that is where it ended.
        """
        client = Client()
        client.makeConnection(StringTransport())
        client.dataReceived(b"Exceeded \x1bMaxStartups\r\n")
        client.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(
            "the connection to 192.168.1.1:54321 was closed before it said that it speaks SSH; "
            "it said: Exceeded \\x1bMaxStartups",
            str(client.closeReason.value),
        )
        link = Link()
        link.start()
        link.client.connectionLost(Failure(ConnectionLost()))
        self.assertIn("was lost before it said that it speaks SSH: ", str(link.client.closeReason.value))
        for prepare, words in (
            (lambda link: setattr(link.client, "verdict", Deferred()), "in the first key exchange"),
            (lambda link: None, "during the login"),
        ):
            link = Link()
            prepare(link)
            link.secure()
            link.client.connectionLost(Failure(ConnectionDone()))
            self.assertIn(f"was closed {words}", str(link.client.closeReason.value))
        link = Link().secure()
        link.client.isAuthenticated = True
        link.client.sendKexInit()
        link.client.connectionLost(Failure(ConnectionDone()))
        self.assertIn("was closed without a word", str(link.client.closeReason.value))

    def test_abort(self) -> None:
        link = Link().secure()
        link.client.abortConnection()
        link.flush()
        self.assertEqual([], link.server.errors)
        self.assertIsInstance(link.server.closeReason.value, ConnectionEnded)

    def test_brokenProtocol(self) -> None:
        """
        A flipped bit: one DISCONNECT with its reason, a fixed text, a typed
        error for everything that waits, and nothing more is read.
        """
        client = Client()
        client.requested = RecordingService()
        link = Link(client).secure()
        client.sendPackets([(b"\x3c", b"one"), (b"\x3d", b"two")])
        data = bytearray(b"".join(link.clientIO.stream))
        link.clientIO.stream[:] = []
        data[20] ^= 1
        link.server.dataReceived(bytes(data))
        link.flush()
        self.assertEqual([(5, b"bad MAC")], client.errors)
        self.assertIsInstance(link.server.closeReason.value, BadMAC)
        self.assertEqual(["started", "stopped"], link.factory.started[0].calls)

    def test_nothingInCommon(self) -> None:
        client = Client()
        client.supportedCiphers = [b"aes128-ctr"]
        factory = ServerFactory()
        link = Link(client, factory)
        link.server.supportedCiphers = [b"aes256-ctr"]
        link.secure()
        for end in (link.client, link.server):
            error = end.closeReason.value
            if isinstance(error, NoCommonAlgorithm):
                self.assertEqual("encryption", error.kind)
                self.assertIn("aes128-ctr", str(error))
                self.assertIn("aes256-ctr", str(error))
            else:
                self.assertEqual(3, error.reason)

    def test_badVersion(self) -> None:
        """
        Row 3: a line in clear, and nothing else.
        """
        tcp = StringTransport()
        client = Client()
        client.makeConnection(tcp)
        tcp.clear()
        client.dataReceived(b"SSH-1.5-old\r\n")
        self.assertEqual(b"bad version\r\n", tcp.value())
        self.assertTrue(tcp.disconnecting)
        self.assertIsInstance(client.closeReason.value, BadVersion)

    def test_buf(self) -> None:
        """
        What has come and was not read yet can be looked at, and only that: of
        a line, of a packet, and of what waits for a verdict.
        """
        client = Client()
        self.assertEqual(b"", client.buf)
        client.makeConnection(StringTransport())
        client.dataReceived(b"hello\r\nSSH-2")
        self.assertEqual(b"SSH-2", client.buf)
        client.dataReceived(b".0-peer\r\n\0\0")
        client.dataReceived(b"\1")
        self.assertEqual(b"\0\0\1", client.buf)
        client = Client()
        client.verdict = Deferred()
        link = Link(client).secure()
        self.assertGreater(len(client.buf), 16)
        client.verdict.callback(True)
        link.flush()
        self.assertEqual(b"", client.buf)
        with self.assertRaises(AttributeError):
            client.buf = b""

    def test_versionsOfEachRole(self) -> None:
        """
        Row 3: a server speaks 2.0 alone; a client takes 1.99 for it too.
        """
        for make, version, good in (
            (Client, b"1.99", True),
            (Client, b"2.0", True),
            (Client, b"1.5", False),
            (lambda: ServerFactory().buildProtocol(None), b"1.99", False),
            (lambda: ServerFactory().buildProtocol(None), b"2.0", True),
        ):
            end: Any = make()
            end.makeConnection(StringTransport())
            end.dataReceived(b"SSH-" + version + b"-peer\r\n")
            self.assertEqual(good, end.closeReason is None, (end, version))

    def test_peerTextIsSafe(self) -> None:
        """
        Row 130: the text of a DISCONNECT is escaped.
        """
        link = Link().secure()
        link.server.sendDisconnect(2, b"\x1b[2Jgone\r\nforged: line \xff")
        link.flush()
        text = str(link.client.closeReason.value)
        self.assertIn("\\x1b[2Jgone\\r\\nforged", text)
        self.assertTrue(text.isprintable())

    def test_writtenAtOnce(self) -> None:
        """
        What one read brings about goes out in one write.
        """
        writes: list[bytes] = []
        link = Link()
        link.start()
        real = link.serverIO.write
        link.serverIO.write = lambda data: (writes.append(data), real(data))
        link.serverIO.writeSequence = lambda data: link.serverIO.write(b"".join(data))
        link.flush()
        # REPLY, NEWKEYS and EXT_INFO.
        self.assertEqual(1, len(writes))


class StandaloneTests(SynchronousTestCase):
    """
    On a transport that has no reactor, and none of what is optional.
    """

    def test_stringTransport(self) -> None:
        tcp = StringTransport()
        client = Client()
        client.makeConnection(tcp)
        self.assertTrue(tcp.value().startswith(b"SSH-2.0-conchlite_"))
        self.assertIsNone(client.clock)
        self.assertEqual(SSHTransportAddress(tcp.getPeer()), client.getPeer())
        self.assertNotEqual(client.getPeer(), tcp.getPeer())
        self.assertEqual(1, len({client.getHost(), SSHTransportAddress(tcp.getHost())}))
        client.loseConnection()
        self.assertTrue(tcp.disconnecting)
        client.connectionLost(Failure(ConnectionDone()))

    def test_versionOnTheClass(self) -> None:
        class Pot(Server):
            ourVersionString = b"SSH-2.0-OpenSSH_9.2p1"

        factory = ServerFactory()
        factory.protocol = Pot
        link = Link(factory=factory).secure()
        self.assertEqual(b"SSH-2.0-OpenSSH_9.2p1", link.client.otherVersionString)
        self.assertEqual(1, link.client.secure)

    def test_namesOfNumbers(self) -> None:
        """
        The numbers are names of the transport's module, as in Conch.
        """
        self.assertEqual((1, 20), (transport.MSG_DISCONNECT, transport.MSG_KEXINIT))
        self.assertEqual(9, transport.DISCONNECT_HOST_KEY_NOT_VERIFIABLE)
