"""
What a transport does when time passes, and when keys have been used enough.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import (
    ConchError,
    Disconnected,
    ExchangeTimedOut,
    HandshakeTimedOut,
    KeysWornOut,
    LoginTimedOut,
    PeerSilent,
    TooManyRenewals,
)
from conchlite.ssh.connection import SSHConnection
from tests.ssh.links import Client, Link, RecordingService, ServerFactory


def loggedIn(client: Client | None = None, **attributes: Any) -> Link:
    """
    A link whose client has attributes, and whose ends take the user for
    authenticated.
    """
    client = client or Client()
    for name, value in attributes.items():
        setattr(client, name, value)
    client.requested = RecordingService()
    link = Link(client)
    link.server.rekeySeconds = 0
    link.secure()
    for end in (link.client, link.server):
        end.isAuthenticated = True
    return link


class HandshakeTimeoutTests(SynchronousTestCase):
    def test_silentPeer(self) -> None:
        """
        A peer that says nothing at all, to either role.
        """
        for role in ("client", "server"):
            link = Link()
            end, io = getattr(link, role), getattr(link, role + "IO")
            end.makeConnection(io)
            link.clock.advance(end.handshakeTimeout - 1)
            self.assertIsNone(end.closeReason)
            link.clock.advance(1)
            self.assertIsInstance(end.closeReason.value, HandshakeTimedOut)

    def test_trickle(self) -> None:
        """
        Bytes that come one by one do not buy time.
        """
        link = Link()
        link.server.makeConnection(link.serverIO)
        for byte in b"SSH-2.0-a client that is very slow to say who it is":
            link.server.dataReceived(bytes((byte,)))
            link.clock.advance(1)
        self.assertIsInstance(link.server.closeReason.value, HandshakeTimedOut)

    def test_finished(self) -> None:
        link = Link().secure()
        link.clock.advance(link.client.handshakeTimeout * 2)
        self.assertIsNone(link.client.closeReason)
        self.assertIsNone(link.server.closeReason)

    def test_verdictTakesItsTime(self) -> None:
        """
        A person who is asked about a host key may take longer, as far as the
        client goes; afterwards the server has its time again.
        """
        client = Client()
        client.verdict = Deferred()
        link = Link(client)
        link.server.loginTimeout = 0
        link.secure()
        link.clock.advance(client.handshakeTimeout * 10)
        self.assertIsNone(client.closeReason)
        client.verdict.callback(True)
        link.flush()
        self.assertEqual(1, client.secure)
        link.clock.advance(client.handshakeTimeout * 10)
        self.assertIsNone(client.closeReason)

    def test_stalledBehindTheVerdict(self) -> None:
        """
        A server that does not go on when its host key was accepted has as much
        time as it had before.
        """
        client = Client()
        client.verdict = Deferred()
        link = Link(client)
        link.start()
        # No NEWKEYS.
        link.server._layer._finish = lambda: None
        link.flush()
        link.clock.advance(client.handshakeTimeout - 1)
        client.verdict.callback(True)
        link.clock.advance(client.handshakeTimeout - 1)
        self.assertIsNone(client.closeReason)
        link.clock.advance(1)
        self.assertIsInstance(client.closeReason.value, HandshakeTimedOut)

    def test_clientThinks(self) -> None:
        """
        A server gives a client time to judge the host key, but not for ever.
        """
        client = Client()
        client.verdict = Deferred()
        link = Link(client).secure()
        link.clock.advance(link.server.loginTimeout - 1)
        self.assertIsNone(link.server.closeReason)
        link.clock.advance(1)
        self.assertIsInstance(link.server.closeReason.value, LoginTimedOut)

    def test_noLogin(self) -> None:
        """
        A client that has exchanged keys, and then asks for nothing, or for
        everything but the login; it counts from the connection, and traffic
        does not change it.
        """
        link = Link().secure()
        for _ in range(int(link.server.loginTimeout) - 1):
            link.clock.advance(1)
            link.client.sendIgnore(b"busy")
            link.flush()
        self.assertIsNone(link.server.closeReason)
        link.clock.advance(1)
        self.assertIsInstance(link.server.closeReason.value, LoginTimedOut)
        link.flush()
        self.assertEqual([(11, b"login timed out")], link.client.errors)

    def test_login(self) -> None:
        link = loggedIn()
        link.clock.advance(link.server.loginTimeout * 2)
        self.assertIsNone(link.server.closeReason)

    def test_limitOfTheService(self) -> None:
        """
        SSHUserAuthServer.loginTimeout counts from the connection as well, and
        may be longer or shorter than the transport's.
        """
        for seconds in (30, 500):
            link = Link()
            # No clock begins with a connection.
            link.clock.advance(1000)
            link.secure()
            link.clock.advance(20)
            link.server.limitLogin(seconds)
            link.clock.advance(seconds - 21)
            self.assertIsNone(link.server.closeReason)
            link.clock.advance(1)
            self.assertIsInstance(link.server.closeReason.value, LoginTimedOut)
            self.assertIn(f"{seconds} seconds", str(link.server.closeReason.value))
        link = Link().secure()
        link.clock.advance(20)
        link.server.limitLogin(10)
        link.clock.advance(0)
        self.assertIsInstance(link.server.closeReason.value, LoginTimedOut)
        link = Link().secure()
        link.server.limitLogin(0)
        link.clock.advance(10_000)
        self.assertIsNone(link.server.closeReason)

    def test_noLimit(self) -> None:
        link = Link()
        link.server.handshakeTimeout = link.server.loginTimeout = 0
        link.server.makeConnection(link.serverIO)
        self.assertEqual([], link.clock.getDelayedCalls())

    def test_client(self) -> None:
        """
        A client has none unless it says so; then a server that stalls between
        its keys and the login is no reason to wait for ever.
        """
        link = Link()
        self.assertEqual(0, link.client.loginTimeout)
        link.client.loginTimeout = 5
        link.server.loginTimeout = 0
        link.secure()
        link.clock.advance(5)
        self.assertIsInstance(link.client.closeReason.value, LoginTimedOut)
        self.assertIn(
            "the server did not finish the login within 5 seconds", str(link.client.closeReason.value)
        )


class ExchangeTimeoutTests(SynchronousTestCase):
    def test_unanswered(self) -> None:
        """
        Row 28: a re-exchange that the peer does not finish.
        """
        link = loggedIn()
        link.client.sendKexInit()
        link.clock.advance(link.client.exchangeTimeout)
        self.assertIsInstance(link.client.closeReason.value, ExchangeTimedOut)
        link.flush()
        self.assertIsInstance(link.server.closeReason.value, Disconnected)
        self.assertEqual([(3, b"key exchange timed out")], link.server.errors)

    def test_beforeTheLogin(self) -> None:
        """
        Where no data can be in front of it, it takes no longer than the first.
        """
        link = Link().secure()
        link.client.sendKexInit()
        link.clock.advance(link.client.handshakeTimeout)
        self.assertIsInstance(link.client.closeReason.value, ExchangeTimedOut)
        self.assertLess(link.client.handshakeTimeout, link.client.exchangeTimeout)

    def test_finished(self) -> None:
        link = loggedIn(rekeySeconds=0)
        for _ in range(3):
            link.client.sendKexInit()
            link.flush()
            link.clock.advance(link.client.exchangeTimeout * 2)
        self.assertIsNone(link.client.closeReason)


class RenewalTests(SynchronousTestCase):
    def keys(self, link: Link) -> bytes:
        """
        What tells one exchange from the next.
        """
        return link.client.ourKexInitPayload

    def test_byTime(self) -> None:
        link = loggedIn(rekeySeconds=100)
        for _ in range(3):
            before = self.keys(link)
            link.clock.advance(99)
            link.flush()
            self.assertEqual(before, self.keys(link))
            link.clock.advance(1)
            link.flush()
            self.assertNotEqual(before, self.keys(link))
        self.assertEqual((1, 1), (len(link.client.asked), link.client.secure))

    def test_byBytesSent(self) -> None:
        link = loggedIn(rekeyBytes=100_000)
        before = self.keys(link)
        for _ in range(3):
            link.client.sendPackets([(b"\x3c", bytes(30_000))])
        link.flush()
        self.assertEqual(before, self.keys(link))
        link.client.sendPackets([(b"\x3c", bytes(30_000))])
        link.flush()
        self.assertNotEqual(before, self.keys(link))
        self.assertEqual(4, len(link.factory.started[0].calls) - 3)

    def test_byBytesReceived(self) -> None:
        link = loggedIn(rekeyBytes=100_000)
        before = self.keys(link)
        for _ in range(3):
            link.server.sendPackets([(b"\x3c", bytes(30_000))])
        link.flush()
        self.assertEqual(before, self.keys(link))
        link.server.sendPackets([(b"\x3c", bytes(30_000))])
        link.flush()
        self.assertNotEqual(before, self.keys(link))
        self.assertEqual(4, sum(call[0] == 60 for call in link.client.requested.calls))

    def test_byPackets(self) -> None:
        link = loggedIn(rekeyPackets=50)
        before = self.keys(link)
        for _ in range(60):
            link.server.sendPacket(60, b"small")
        link.flush()
        self.assertNotEqual(before, self.keys(link))
        self.assertEqual(60, sum(call[0] == 60 for call in link.client.requested.calls))

    def test_notBeforeTheLogin(self) -> None:
        """
        OpenSSH expects no re-exchange before the login.
        """
        client = Client()
        client.rekeyBytes = 1000
        client.requested = RecordingService()
        link = Link(client).secure()
        before = self.keys(link)
        client.sendPacket(60, bytes(5000))
        client.renewKeys()
        link.flush()
        self.assertEqual(before, self.keys(link))

    def test_dueDuringTheLogin(self) -> None:
        """
        Keys that are due before the login is over are renewed right behind it.
        """
        client = Client()
        client.rekeySeconds = 100
        client.requested = RecordingService()
        link = Link(client)
        link.server.loginTimeout = link.server.rekeySeconds = 0
        link.secure()
        before = self.keys(link)
        link.clock.advance(250)
        link.flush()
        self.assertEqual(before, self.keys(link))
        for end in (link.client, link.server):
            end.isAuthenticated = True
        link.clock.advance(0)
        link.flush()
        renewed = self.keys(link)
        self.assertNotEqual(before, renewed)
        link.clock.advance(100)
        link.flush()
        self.assertNotEqual(renewed, self.keys(link))

    def test_defaults(self) -> None:
        """
        RFC 4253 section 9: a gigabyte or an hour; and packets long before there
        are too many.
        """
        self.assertEqual((2**30, 2**30, 3600), (Client.rekeyBytes, Client.rekeyPackets, Client.rekeySeconds))


class PeerRenewalTests(SynchronousTestCase):
    """
    Row 31: a peer that begins one re-exchange after the other.
    """

    def test_storm(self) -> None:
        """
        Either role ends it, with reason 2; its own re-exchanges do not count.
        """
        for hostile, victim in (("client", "server"), ("server", "client")):
            link = loggedIn(rekeySeconds=0)
            attacker, target = getattr(link, hostile), getattr(link, victim)
            attacker.renewalsPerMinute = 100
            for _ in range(30):
                target.sendKexInit()
                link.flush()
            for _ in range(13):
                attacker.sendKexInit()
                link.flush()
                self.assertIsNone(target.closeReason)
            attacker.sendKexInit()
            link.flush()
            self.assertIsInstance(target.closeReason.value, TooManyRenewals)
            self.assertEqual([(2, b"too many key exchanges")], attacker.errors)

    def test_slowly(self) -> None:
        """
        Ten in a minute may go on for ever, by the clock of the transport.
        """
        link = loggedIn(rekeySeconds=0)
        for _ in range(50):
            link.clock.advance(6)
            link.client.sendKexInit()
            link.flush()
        self.assertIsNone(link.server.closeReason)

    def test_underLoad(self) -> None:
        """
        A peer that renews keys every 512 KiB may do so as fast as it sends: a
        RekeyLimit of 1M makes OpenSSH 9.2 do that.
        """
        link = loggedIn(rekeySeconds=0)
        for _ in range(40):
            link.client.sendPackets([(b"\x3c", bytes(30_000))] * 18)
            link.client.sendKexInit()
            link.flush()
        self.assertIsNone(link.server.closeReason)

    def test_attributes(self) -> None:
        link = loggedIn(rekeySeconds=0)
        link.server.renewalsPerMinute = 0
        link.server.renewalDistance = 10_000
        for _ in range(10):
            link.client.sendPackets([(b"\x3c", bytes(10_000))])
            link.client.sendKexInit()
            link.flush()
        for _ in range(3):
            link.client.sendKexInit()
            link.flush()
        self.assertIsNone(link.server.closeReason)
        link.client.sendKexInit()
        link.flush()
        self.assertIsInstance(link.server.closeReason.value, TooManyRenewals)


class WornOutTests(SynchronousTestCase):
    def test_ended(self) -> None:
        """
        Rows 18 and 19: keys that may protect nothing more end the connection,
        whoever sends, and whether or not an exchange is under way.
        """
        for exchanging in (False, True):
            for sends in ("client", "server"):
                link = loggedIn(rekeySeconds=0)
                if exchanging:
                    link.client.sendKexInit()
                link.client._layer._reader.packets = 2**31
                getattr(link, sends).sendIgnore(b"one more")
                getattr(link, sends).sendPackets([(b"\x3c", b"one more")])
                link.flush()
                self.assertIsInstance(link.client.closeReason.value, KeysWornOut)
                self.assertEqual([(2, b"keys are worn out")], link.server.errors)


class KeepAliveTests(SynchronousTestCase):
    def link(self, **attributes: Any) -> Link:
        link = loggedIn(keepAliveInterval=10, **attributes)
        link.server.setService(SSHConnection())
        link.client.setService(SSHConnection())
        return link

    def test_answered(self) -> None:
        """
        A refusal is an answer; the connection lives on.
        """
        link = self.link()
        for _ in range(20):
            link.clock.advance(10)
            link.flush()
        self.assertIsNone(link.client.closeReason)

    def test_silent(self) -> None:
        """
        A peer that answers nothing, three times over, is gone.
        """
        link = self.link()
        waiting = link.client.service.sendGlobalRequest("anything", b"", wantReply=True)
        link.clock.advance(10)
        for _ in range(3):
            link.clock.advance(10)
            self.assertIsNone(link.client.closeReason)
        link.clock.advance(10)
        self.assertIsInstance(link.client.closeReason.value, PeerSilent)
        self.assertIn("40 seconds", str(link.client.closeReason.value))
        link.clientIO.abortConnection()
        link.flush()
        self.failureResultOf(waiting, PeerSilent)

    def test_dataIsAnAnswer(self) -> None:
        """
        Nothing is asked of a peer that speaks by itself.
        """
        link = self.link()
        link.clock.advance(10)
        link.flush()
        sent = link.client.outgoingPacketSequence
        for _ in range(5):
            link.server.sendIgnore(b"")
            link.flush()
            link.clock.advance(10)
        self.assertEqual(sent, link.client.outgoingPacketSequence)

    def test_notWhileNothingIsRead(self) -> None:
        """
        A peer is not silent whose words wait until a Deferred has fired.
        """
        link = self.link()
        decision: Deferred[None] = Deferred()
        link.client.pauseWhile(decision)
        for _ in range(40):
            link.server.sendIgnore(bytes(2000))
            link.flush()
        # TCP, paused, delivers nothing.
        for _ in range(20):
            link.clock.advance(10)
        self.assertIsNone(link.client.closeReason)
        decision.callback(None)
        for _ in range(5):
            link.clock.advance(10)
        self.assertIsInstance(link.client.closeReason.value, PeerSilent)

    def test_offByDefault(self) -> None:
        link = loggedIn(rekeySeconds=0)
        self.assertEqual([], link.clock.getDelayedCalls())

    def test_requestsOfOthers(self) -> None:
        """
        Replies to our questions do not disturb those to the program's.
        """
        link = self.link()
        link.server.service.gotGlobalRequest = lambda name, data: (1, b"yes") if name == b"mine" else 0
        link.clock.advance(20)
        waiting = link.client.service.sendGlobalRequest("mine", b"", wantReply=True)
        link.flush()
        self.assertEqual(b"yes", self.successResultOf(waiting))


class StoppedTests(SynchronousTestCase):
    def test_nothingIsLeft(self) -> None:
        """
        No delayed call outlives a connection, however it ends.
        """
        for end in ("loseConnection", "abortConnection", "sendKexInit"):
            link = loggedIn(keepAliveInterval=5)
            getattr(link.client, end)()
            link.clientIO.abortConnection()
            link.serverIO.abortConnection()
            link.flush()
            self.assertEqual([], link.clock.getDelayedCalls(), end)
            self.assertIsInstance(link.server.closeReason.value, ConchError)

    def test_factoryWithoutClock(self) -> None:
        """
        On a transport that has no reactor no time passes.
        """
        server = ServerFactory().buildProtocol(None)
        server.makeConnection(StringTransport())
        self.assertIsNone(server.clock)
        server.loseConnection()
