"""
Services on a transport, where a server's come from, and pauses while a Deferred
decides.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import (
    ConchError,
    Disconnected,
    MalformedMessage,
    UnexpectedMessage,
    UnknownService,
)
from conchlite.limits import MAXIMUM_SERVICE_REQUESTS
from conchlite.ssh import transport
from conchlite.ssh.common import NS
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.keys import Key
from conchlite.ssh.userauth import SSHUserAuthServer
from tests.ssh.links import HOST_KEY, Client, Link, RecordingService, Server, ServerFactory


class ServiceTests(SynchronousTestCase):
    def test_requestAndAccept(self) -> None:
        client = Client()
        client.requested = RecordingService()
        link = Link(client).secure()
        self.assertIs(client.requested, client.service)
        self.assertIs(client.requested, client.instance)
        self.assertEqual(["started"], client.requested.calls)
        client.sendPacket(60, b"hello")
        link.server.sendPacket(61, b"there")
        link.flush()
        self.assertEqual([(61, b"there")], client.requested.calls[1:])
        self.assertEqual(["started", (60, b"hello")], link.factory.started[0].calls)

    def test_unknownService(self) -> None:
        client = Client()
        client.requested = RecordingService()
        client.requested.name = "ssh-nonsense"
        link = Link(client).secure()
        self.assertEqual([(7, b"service not available")], client.errors)
        self.assertEqual([], client.requested.calls)
        self.assertIsInstance(link.server.closeReason.value, UnknownService)
        self.assertIsInstance(client.closeReason.value, Disconnected)
        self.assertEqual(7, client.closeReason.value.reason)

    def test_wrongAccept(self) -> None:
        """
        An acceptance of what was not requested, or of nothing at all.
        """
        for requested in (None, RecordingService()):
            client = Client()
            link = Link(client).secure()
            if requested is not None:
                client.instance = requested
            link.server.sendPacket(transport.MSG_SERVICE_ACCEPT, NS("ssh-other"))
            link.flush()
            self.assertIsInstance(client.closeReason.value, UnexpectedMessage)

    def test_acceptWithoutName(self) -> None:
        """
        Very old servers leave out the name of what they accept.
        """
        client = Client()
        link = Link(client).secure()
        client.instance = RecordingService()
        link.server.sendPacket(transport.MSG_SERVICE_ACCEPT, b"")
        link.flush()
        self.assertEqual(["started"], client.instance.calls)

    def test_acceptedTwice(self) -> None:
        """
        A server cannot make a client start over with its authentication, not
        even when that has given way to the next service.
        """
        for following in (None, RecordingService()):
            client = Client()
            client.requested = RecordingService()
            link = Link(client).secure()
            if following is not None:
                client.setService(following)
            link.server.sendPacket(transport.MSG_SERVICE_ACCEPT, NS("ssh-userauth"))
            link.flush()
            self.assertIsInstance(client.closeReason.value, UnexpectedMessage)
            self.assertEqual(["started", "stopped"], client.requested.calls)

    def test_requestedTwice(self) -> None:
        """
        Row 63: a client gets no new count of failures, and no new
        time to log in, by requesting the authentication again; and who is
        logged in is not replaced by somebody else.
        """
        for name, loggedIn in ((b"ssh-userauth", True), (b"ssh-connection", False)):
            client = Client()
            client.requested = RecordingService()
            link = Link(client).secure()
            link.server.isAuthenticated = loggedIn
            client.sendPacket(transport.MSG_SERVICE_REQUEST, NS(name))
            link.flush()
            self.assertIsInstance(link.server.closeReason.value, UnexpectedMessage)
            self.assertEqual([(2, b"unexpected message")], client.errors)
            [service] = link.factory.started
            self.assertEqual(["started", "stopped"], service.calls)

    def test_requestedAgain(self) -> None:
        """
        Row 63: Paramiko asks for the service of the login before each method,
        and is told that it is there: it is the one that was, with all that it
        has counted. There is an end to that.
        """
        client = Client()
        client.requested = RecordingService()
        link = Link(client).secure()
        for _ in range(MAXIMUM_SERVICE_REQUESTS - 1):
            again = RecordingService()
            client.requestService(again)
            link.flush()
            self.assertEqual(["started"], again.calls)
            self.assertIsNone(link.server.closeReason)
        [service] = link.factory.started
        self.assertEqual(["started"], service.calls)
        self.assertIs(service, link.server.service)
        client.requestService(RecordingService())
        link.flush()
        self.assertIsInstance(link.server.closeReason.value, UnexpectedMessage)

    def test_replaced(self) -> None:
        client = Client()
        client.requested = RecordingService()
        Link(client).secure()
        other = RecordingService()
        client.setService(other)
        self.assertEqual(["started", "stopped"], client.requested.calls)
        self.assertEqual(["started"], other.calls)
        self.assertIsNone(client.closeReason)

    def test_messageWithoutService(self) -> None:
        """
        Rows 52 and 53: no message of a service before there is
        one.
        """
        link = Link().secure()
        link.client.sendPacket(50, b"")
        link.flush()
        self.assertIsInstance(link.server.closeReason.value, UnexpectedMessage)

    def test_dataPath(self) -> None:
        """
        A message on the data path skips packetReceived, and gets a view.
        """
        seen: list[object] = []

        class Fast(RecordingService):
            def dataPath(self) -> Any:
                return {61: seen.append}

        client = Client()
        client.requested = Fast()
        link = Link(client).secure()
        link.server.sendPackets([(b"\x3d", b"fa", memoryview(b"st")), (b"\x3e", b"slow")])
        link.flush()
        self.assertEqual([b"fast"], [bytes(view) for view in seen])
        self.assertIs(memoryview, type(seen[0]))
        self.assertEqual(["started", (62, b"slow")], client.requested.calls)

    def test_overridesAreHonoured(self) -> None:
        """
        dispatchMessage and sendPacket of a subclass see every message.
        """
        seen: list[Any] = []

        class Watching(Client):
            def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
                seen.append(("in", messageNum, payload))
                super().dispatchMessage(messageNum, payload)

            def sendPacket(self, messageType: int, payload: bytes) -> None:
                seen.append(("out", messageType, payload))
                super().sendPacket(messageType, payload)

        class Fast(RecordingService):
            def dataPath(self) -> Any:
                return {61: lambda view: self.calls.append("fast")}

        client = Watching()
        client.requested = Fast()
        link = Link(client).secure()
        link.server.sendPacket(61, b"x")
        client.sendPackets([(b"\x3c", b"ab"), (b"\x3d",)])
        link.flush()
        self.assertIn(("in", 61, b"x"), seen)
        self.assertEqual([("out", 60, b"ab"), ("out", 61, b"")], [s for s in seen if s[0] == "out"][-2:])
        self.assertEqual([(60, b"ab"), (61, b"")], link.factory.started[0].calls[1:])

    def test_handlersByName(self) -> None:
        """
        A subclass may take a message of the transport itself.
        """

        class Counting(Server):
            offers = 0

            def ssh_KEXINIT(self, packet: bytes) -> None:
                self.offers += 1
                super().ssh_KEXINIT(packet)

        factory = ServerFactory()
        factory.protocol = Counting
        link = Link(factory=factory).secure()
        link.client.sendKexInit()
        link.flush()
        self.assertEqual(2, link.server.offers)

    def test_unknownMessage(self) -> None:
        """
        Row 17: UNIMPLEMENTED names the sequence number of the
        message that was not known. (Conch is off by one.)
        """
        numbers: list[int] = []

        class Told(Client):
            def receiveUnimplemented(self, seqnum: int) -> None:
                numbers.append(seqnum)

        link = Link(Told()).secure()
        expected = []
        for _ in range(3):
            link.client.sendIgnore(b"")
            expected.append(link.client.outgoingPacketSequence)
            link.client._layer.send([(b"\x13what is this",)])
            link.client._flush()
            link.flush()
        self.assertEqual(expected, numbers)

    def test_ping(self) -> None:
        """
        OpenSSH PROTOCOL 1.9: a PING is answered with its data, before the login
        too, by either role; a server says so in EXT_INFO.
        """
        answers: list[Any] = []

        class Listening(RecordingService):
            def packetReceived(self, messageNum: int, packet: bytes) -> None:
                answers.append((messageNum, packet))

        client = Client()
        client.requested = Listening()
        link = Link(client).secure()
        self.assertEqual(b"0", client.peerExtensions[b"ping@openssh.com"])
        link.server.setService(Listening())
        for end in (client, link.server):
            end.sendPacket(transport.MSG_PING, NS("are you there?"))
            link.flush()
        self.assertEqual([(transport.MSG_PONG, NS("are you there?"))] * 2, answers)
        client.sendPacket(transport.MSG_PING, b"no string")
        link.flush()
        self.assertIsInstance(link.server.closeReason.value, MalformedMessage)

    def test_debugAndIgnore(self) -> None:
        said: list[Any] = []

        class Listening(Server):
            def receiveDebug(self, alwaysDisplay: bool, message: bytes, lang: bytes) -> None:
                said.append((alwaysDisplay, message, lang))

        factory = ServerFactory()
        factory.protocol = Listening
        link = Link(factory=factory).secure()
        link.client.sendIgnore(b"nothing")
        link.client.sendDebug(b"something", True, b"en")
        link.flush()
        self.assertEqual([(True, b"something", b"en")], said)


class PauseTests(SynchronousTestCase):
    """
    Law 6, as services use it.
    """

    def paused(self) -> tuple[Link, RecordingService, Deferred[None]]:
        client = Client()
        client.requested = RecordingService()
        link = Link(client).secure()
        deferred: Deferred[None] = Deferred()
        client.pauseWhile(deferred)
        link.server.sendPackets([(b"\x3c", b"one"), (b"\x3d", b"two")])
        link.flush()
        return link, client.requested, deferred

    def test_nothingIsRead(self) -> None:
        _, service, deferred = self.paused()
        self.assertEqual(["started"], service.calls)
        deferred.callback(None)
        self.assertEqual([(60, b"one"), (61, b"two")], service.calls[1:])

    def test_callbacksFirst(self) -> None:
        """
        What waits for the Deferred runs before the next packet is read, even
        what was added later than the pause.
        """
        _, service, deferred = self.paused()
        deferred.addCallback(lambda _: service.calls.append("decided"))
        deferred.callback(None)
        self.assertEqual(["decided", (60, b"one"), (61, b"two")], service.calls[1:])

    def test_nested(self) -> None:
        link, service, deferred = self.paused()
        other: Deferred[None] = Deferred()
        link.client.pauseWhile(other)
        deferred.callback(None)
        self.assertEqual(["started"], service.calls)
        other.errback(ConchError("no"))
        self.failureResultOf(other, ConchError)
        self.assertEqual([(60, b"one"), (61, b"two")], service.calls[1:])

    def test_alreadyFired(self) -> None:
        link, service, deferred = self.paused()
        deferred.callback(None)
        link.client.pauseWhile(succeed(None))
        link.server.sendPacket(62, b"")
        link.flush()
        self.assertEqual((62, b""), service.calls[-1])

    def test_tcpIsPaused(self) -> None:
        """
        More than a packet that waits pauses the connection below.
        """
        link, service, deferred = self.paused()
        paused: list[str] = []
        link.clientIO.pauseProducing = lambda: paused.append("pause")
        link.clientIO.resumeProducing = lambda: paused.append("resume")
        for _ in range(4):
            link.server.sendPacket(62, bytes(30_000))
            link.flush()
        self.assertEqual(["pause"], paused)
        deferred.callback(None)
        self.assertEqual(["pause", "resume"], paused)
        self.assertEqual(4, sum(call[0] == 62 for call in service.calls))

    def test_defectBehindThePause(self) -> None:
        """
        A defect of the program in what is read behind a pause ends the
        connection, as the reactor would end it if there had been none: nobody
        is left with one on which no one reads.
        """
        link, service, deferred = self.paused()
        for _ in range(4):
            link.server.sendPacket(62, bytes(30_000))
            link.flush()
        service.packetReceived = lambda number, packet: 1 // 0
        deferred.callback(None)
        self.successResultOf(deferred)
        link.flush()
        self.assertIsInstance(link.client.closeReason.value, ConchError)
        self.assertEqual([(11, b"internal error")], link.server.errors)
        self.assertEqual("stopped", service.calls[-1])
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))


class FactoryTests(SynchronousTestCase):
    def test_noKeys(self) -> None:
        factory = ServerFactory()
        factory.privateKeys = {}
        self.assertRaises(ConchError, factory.startFactory)

    def test_offeredKeys(self) -> None:
        """
        A server offers the signature algorithms of the keys it has.
        """
        factory = ServerFactory()
        rsa = Key.generate("rsa", 2048)
        factory.privateKeys = {b"ssh-rsa": rsa, HOST_KEY.sshType(): HOST_KEY}
        server = factory.buildProtocol(None)
        self.assertEqual([b"ssh-ed25519", b"rsa-sha2-512", b"rsa-sha2-256"], server.supportedPublicKeys)

    def test_servicesByLogin(self) -> None:
        """
        Only the login is to be had before the login.
        """
        factory = SSHFactory()
        link = Link().secure()
        self.assertIs(SSHUserAuthServer, factory.getService(link.server, b"ssh-userauth"))
        self.assertIsNone(factory.getService(link.server, b"ssh-connection"))
        link.server.avatar = object()
        self.assertIsNotNone(factory.getService(link.server, b"ssh-connection"))
        self.assertIsNone(factory.getService(link.server, b"ssh-nonsense"))
