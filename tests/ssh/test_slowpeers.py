"""
Peers that do not go on: what they cost, and when they are given up.
"""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

from twisted.cred.credentials import ISSHPrivateKey, IUsernamePassword
from twisted.cred.portal import Portal
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import HandshakeTimedOut, LoginTimedOut, UnexpectedMessage
from conchlite.interfaces import IHostBased, IKeyboardInteractive
from conchlite.limits import (
    HANDSHAKE_SECONDS,
    LOGIN_SECONDS,
    MAXIMUM_NAMES,
    MAXIMUM_PACKET_LENGTH_BEFORE_AUTHENTICATION,
    MAXIMUM_PROMPTS,
    MAXIMUM_STRINGS,
    MAXIMUM_UNAUTHENTICATED_BYTES,
)
from conchlite.sansio.role import Role
from conchlite.ssh.authmethods.keyboardinteractive import KeyboardInteractive
from conchlite.ssh.certificates import FOREVER
from conchlite.ssh.userauth import SSHUserAuthServer
from conchlite.wire import numbers
from conchlite.wire.publickeys import USER
from conchlite.wire.types import packString
from conchlite.wire.userauth import (
    HostBasedData,
    KeyboardInteractiveData,
    PasswordData,
    PublicKeyData,
    UserauthInfoResponse,
)
from tests.sansio.pairs import FAST, End, clearPacket, clientKexInit
from tests.ssh.authlink import FakeChecker, FakeRealm, ed25519
from tests.ssh.authscenes import request
from tests.ssh.links import ServerFactory
from tests.ssh.wholeconnections import Stream, connected

VERSION = b"SSH-2.0-slow\r\n"

#: The length of the largest packet that is waited for before the login.
LARGEST = (MAXIMUM_PACKET_LENGTH_BEFORE_AUTHENTICATION - 4).to_bytes(4, "big")

#: What TCP takes before it says that it is full, as Twisted has it.
TCP_BUFFER = 64 * 1024


class SlowClient:
    """
    A client by hand, and the server's end of its connection.

    @ivar server: the server's transport.
    """

    def __init__(self, factory: ServerFactory, number: int = 1) -> None:
        self.server: Any = factory.buildProtocol(None)
        peer = IPv4Address("TCP", f"192.0.{number // 200}.{number % 200}", 50000)
        self.tcp = StringTransportWithDisconnection(peerAddress=peer)
        self.tcp.protocol = self.server
        self.server.makeConnection(self.tcp)

    def send(self, data: bytes) -> None:
        if self.tcp.connected:
            self.server.dataReceived(data)

    def secure(self) -> End:
        """
        Go through the first exchange of keys.
        """
        end = End(Role.CLIENT, FAST)
        end.start()
        for _ in range(4):
            self.send(end.take())
            said = self.tcp.value()
            self.tcp.clear()
            end.deliver(said)
        self.message(end)
        return end

    def message(self, end: End, *payloads: bytes) -> None:
        for payload in payloads:
            end.layer.send(((payload,),))
        self.send(end.take())


def silent(client: SlowClient) -> None:
    """Nothing."""


def stalledInVersion(client: SlowClient) -> None:
    client.send(b"S")


def stalledBehindKexInit(client: SlowClient) -> None:
    client.send(VERSION + clearPacket(clientKexInit()))


def stalledBehindNewKeys(client: SlowClient) -> None:
    client.secure()


def stalledInLogin(client: SlowClient) -> None:
    client.message(client.secure(), bytes((numbers.MSG_SERVICE_REQUEST,)) + packString(b"ssh-userauth"))


STALLED = (silent, stalledInVersion, stalledBehindKexInit, stalledBehindNewKeys, stalledInLogin)


def factory() -> ServerFactory:
    made = ServerFactory()
    made.maxStartups = None
    made.clock = Clock()
    return made


class SlowLorisTests(SynchronousTestCase):
    """
    Many connections that stop, at every stage.
    """

    def test_gone(self) -> None:
        """
        All are gone when their time is over, also those that say a byte a
        second; and meanwhile they take next to nothing.
        """
        server = factory()
        for stall in STALLED:
            stall(SlowClient(server))
        server.clock.advance(LOGIN_SECONDS)
        gc.collect()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        clients = []
        for number in range(200):
            clients.append(SlowClient(server, number))
            STALLED[number % len(STALLED)](clients[-1])
        gc.collect()
        self.assertLess(tracemalloc.get_traced_memory()[0], 200 * 64 * 1024)
        tracemalloc.stop()
        for _ in range(LOGIN_SECONDS):
            server.clock.advance(1)
            for client in clients:
                if STALLED.index(stalledInVersion) == clients.index(client) % len(STALLED):
                    client.send(b"S")
        self.assertEqual([], [client for client in clients if client.tcp.connected])
        self.assertEqual(0, server.admission.strangers)
        self.assertEqual([], server.clock.getDelayedCalls())

    def test_errors(self) -> None:
        """
        Who did not finish the exchange of keys goes when that was to be done,
        the others when the login was; each with its error.
        """
        for stall in STALLED:
            server = factory()
            client = SlowClient(server)
            stall(client)
            secured = stall in (stalledBehindNewKeys, stalledInLogin)
            seconds, error = (
                (LOGIN_SECONDS, LoginTimedOut) if secured else (HANDSHAKE_SECONDS, HandshakeTimedOut)
            )
            server.clock.advance(seconds - 1)
            self.assertTrue(client.tcp.connected, stall)
            server.clock.advance(1)
            self.assertFalse(client.tcp.connected, stall)
            self.assertIsInstance(client.server.closeReason.value, error)


def halfPacket(client: SlowClient) -> None:
    client.send(VERSION + LARGEST + bytes(34_900))


def halfPacketInBytes(client: SlowClient) -> None:
    client.send(VERSION + LARGEST)
    for _ in range(5000):
        client.send(b"x")


def longestKexInit(client: SlowClient) -> None:
    names = tuple(b"x" * 60 + b"%03d" % number for number in range(MAXIMUM_NAMES - 6))
    kexInit = clientKexInit(languagesClientToServer=names, languagesServerToClient=names)
    client.send(VERSION + clearPacket(kexInit))


def longVersion(client: SlowClient) -> None:
    client.send(b"SSH-2.0-" + b"x" * 240)


def behindAVerdict(client: SlowClient) -> None:
    """
    All that comes while a Deferred decides, as far as we let it.
    """
    client.secure()
    client.server.pauseWhile(Deferred())
    for _ in range(1000):
        if client.tcp.producerState == "producing":
            client.send(bytes(1000))


def unreadAnswers(client: SlowClient) -> None:
    end = client.secure()
    client.server._tcp().producer.pauseProducing()
    client.message(end, *([b"\x19"] * 2500))


class MemoryTests(SynchronousTestCase):
    """
    An unauthenticated peer holds 256 KiB at most.
    """

    def test_atEachStage(self) -> None:
        """
        The worst that we know of, at each stage.
        """
        for reach in (
            longVersion,
            halfPacket,
            halfPacketInBytes,
            longestKexInit,
            behindAVerdict,
            unreadAnswers,
            *STALLED,
        ):
            server = factory()
            reach(SlowClient(server))
            gc.collect()
            tracemalloc.start()
            try:
                client = SlowClient(server)
                reach(client)
                # What was written is TCP's, and so is in the count.
                gc.collect()
                held = tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()
            self.assertTrue(client.tcp.connected, reach)
            self.assertLess(held, 256 * 1024, reach)

    def test_bytes(self) -> None:
        """
        All that is sent before the login has a limit, however it is cut, and
        whatever it is.
        """
        client = SlowClient(factory())
        end = client.secure()
        ignored = bytes((numbers.MSG_IGNORE,)) + packString(bytes(30_000))
        for _ in range(MAXIMUM_UNAUTHENTICATED_BYTES // 30_100):
            client.message(end, ignored)
        self.assertTrue(client.tcp.connected)
        client.message(end, ignored, ignored)
        self.assertIsInstance(client.server.closeReason.value, UnexpectedMessage)

    def test_bytesOfUsers(self) -> None:
        """
        For who has logged in there is none.
        """
        client = SlowClient(factory())
        end = client.secure()
        client.server.isAuthenticated = True
        for _ in range(100):
            client.message(end, bytes((numbers.MSG_IGNORE,)) + packString(bytes(30_000)))
        self.assertIsNone(client.server.closeReason)


def undecided(*interfaces: Any) -> ServerFactory:
    """
    A server whose checkers never come to an end; who can be asked is asked.
    """

    def answer(credentials: Any) -> Deferred[Any]:
        if isinstance(credentials, KeyboardInteractive):
            return credentials.ask("", "", [("Password: ", False)] * MAXIMUM_PROMPTS).addCallback(
                lambda answers: Deferred()
            )
        return Deferred()

    server = factory()
    server.portal = Portal(FakeRealm(), [FakeChecker(interface, answer) for interface in interfaces])
    server.getService = lambda transport, service: SSHUserAuthServer
    return server


def certificate(signed: bool) -> bytes:
    """
    A request with a certificate that has as many names as there may be; if it
    is signed, it is not by its key, and is refused when the delay is over.
    """
    names = [b"%03d" % number + b"x" * 90 for number in range(MAXIMUM_STRINGS)]
    key = ed25519(1).signCertificate(
        ed25519(2).public(), kind=USER, keyID="id", principals=names, validBefore=FOREVER
    )
    signature = packString(packString(b"ssh-ed25519") + packString(bytes(64))) if signed else b""
    return request("publickey", PublicKeyData(signed, key.sshType(), key.blob(), signature).pack())


def hostbased() -> bytes:
    blob = ed25519(1).public().blob()
    data = HostBasedData(b"ssh-ed25519", blob, b"h" * 200, b"u" * 200, bytes(33_000))
    return request("hostbased", data.pack())


class LoginMemoryTests(SynchronousTestCase):
    """
    Nor does it hold more in the middle of a login, with any method.
    """

    def test_eachMethod(self) -> None:
        """
        The largest request that there is, which nobody decides, and behind it
        all that is taken.
        """
        submethods = KeyboardInteractiveData(b"", b"x" * 34_000).pack()
        answers = UserauthInfoResponse((b"a" * 1024,) * MAXIMUM_PROMPTS)
        mechanisms = (16).to_bytes(4, "big") + packString(bytes((6, 200)) + b"\x2a" * 200) * 16
        requests = (
            [certificate(False)],
            [certificate(True)],
            [hostbased()],
            [request("password", PasswordData(False, b"x" * 1024, b"").pack())],
            [request("keyboard-interactive", submethods)],
            [request("keyboard-interactive", submethods), answers.pack()],
            [request("gssapi-with-mic", mechanisms)],
        )
        numbersOf = {answers.pack(): numbers.MSG_USERAUTH_INFO_RESPONSE}
        for payloads in requests:
            for measured in (False, True):
                server = undecided(ISSHPrivateKey, IUsernamePassword, IKeyboardInteractive, IHostBased)
                client = SlowClient(server)
                end = client.secure()
                sent = [bytes((numbers.MSG_SERVICE_REQUEST,)) + packString(b"ssh-userauth")]
                sent += [bytes((numbersOf.get(payload, 50),)) + payload for payload in payloads]
                sent += [bytes((numbers.MSG_IGNORE,)) + packString(bytes(30_000))] * 10
                for payload in sent:
                    end.layer.send(((payload,),))
                data = end.take()
                gc.collect()
                if measured:
                    tracemalloc.start()
                try:
                    for at in range(0, len(data), TCP_BUFFER):
                        if client.tcp.producerState == "producing":
                            client.send(data[at : at + TCP_BUFFER])
                    gc.collect()
                    held = tracemalloc.get_traced_memory()[0]
                finally:
                    tracemalloc.stop()
            self.assertTrue(client.tcp.connected, payloads[0][:40])
            self.assertLess(held, 256 * 1024, payloads[0][:40])


def stall(io: Any) -> None:
    """
    Let a connection in memory be as TCP is whose peer does not read.
    """
    write = io.write

    def full(data: bytes) -> None:
        write(data)
        if len(io.stream) > 50 or sum(map(len, io.stream)) > TCP_BUFFER:
            io.producer.pauseProducing()

    io.write = full
    io.writeSequence = lambda parts: full(b"".join(parts))


class StalledPeerTests(SynchronousTestCase):
    """
    The peer of a channel stops to read, and what we hold for it is no more
    than two windows and 256 KiB.
    """

    BOUND = 2 * Stream.localWindowSize + 256 * 1024
    SIZE = 32 * 2**20

    def grown(self, action: Callable[[], object]) -> int:
        gc.collect()
        tracemalloc.start()
        try:
            action()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def test_sending(self) -> None:
        """
        Nothing of what we send is read: from the beginning, and in a key
        re-exchange that either side begins.
        """
        for before in (
            lambda link: None,
            lambda link: link.server.sendKexInit(),
            lambda link: (link.client.sendKexInit(), link.pump.pump()),
        ):
            link, (_client, server) = connected(1)
            stall(link.serverIO)
            before(link)
            held = self.grown(lambda server=server: server.begin(21, self.SIZE))
            self.assertGreater(server._left, self.SIZE // 2)
            self.assertLess(held, self.BOUND)
            self.assertIsNone(link.server.closeReason)

    def askOn(self, link: Any, channel: Any) -> None:
        """
        Ask on a channel, again and again, what a Deferred answers a moment
        later; and do not read the answers.
        """
        waiting: list[Deferred[bool]] = []

        def later(requestType: bytes, data: bytes) -> Deferred[bool]:
            waiting.append(Deferred())
            return waiting[-1]

        channel.requestReceived = later
        for _ in range(300):
            if link.server.closeReason is not None:
                break
            for _ in range(60):
                link.client.sendPacket(numbers.MSG_CHANNEL_REQUEST, bytes(4) + packString(b"later") + b"\x01")
            link.server.dataReceived(link.clientIO.getOutBuffer())
            while waiting:
                waiting.pop(0).callback(True)

    def test_answersOfDeferreds(self) -> None:
        """
        Answers that are given later are counted as others are.
        """
        for before in (
            lambda link: None,
            lambda link: link.server.sendKexInit(),
        ):
            link, (_client, server) = connected(1)
            stall(link.serverIO)
            link.serverIO.producer.pauseProducing()
            before(link)
            held = self.grown(lambda link=link, server=server: self.askOn(link, server))
            self.assertIsInstance(link.server.closeReason.value, UnexpectedMessage)
            self.assertLess(held, self.BOUND)

    def test_nothingIsLost(self) -> None:
        """
        When it reads again, all arrives.
        """
        link, (client, server) = connected(1)
        stall(link.serverIO)
        server.begin(21, 2**20)
        del link.serverIO.write, link.serverIO.writeSequence
        for _ in range(100):
            link.flush()
            link.serverIO.producer.resumeProducing()
        self.assertEqual(server.digestOfSent(), client.digest.digest())

    def test_receiving(self) -> None:
        """
        Our program does not read, and the peer sends as long as it may.
        """
        link, (client, server) = connected(1)
        server.pauseProducing()

        def send() -> None:
            client.begin(21, self.SIZE)
            link.flush()

        self.assertLess(self.grown(send), 2 * self.BOUND)
        self.assertEqual(0, server.arrived)
        self.assertEqual(0, client.remoteWindowLeft)
        self.assertGreater(client._left, self.SIZE - self.BOUND)
