"""
Tests for L{conchlite.ssh.factory} and L{conchlite.ssh.admission}: who of those
who connect may stay, and when it is their turn.
"""

from __future__ import annotations

import gc
import random
import weakref
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.logger import capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import ConnectionEnded, LoginTimedOut, MalformedMessage, UsageError
from conchlite.limits import HANDSHAKE_SECONDS, LOGIN_SECONDS, STARTUPS
from conchlite.ssh.admission import addressGroup
from conchlite.ssh.factory import SSHFactory
from tests.ssh.links import Client, Link, ServerFactory

TOO_MANY = b"Not allowed at this time\r\n"


def address(number: int = 1) -> IPv4Address:
    return IPv4Address("TCP", f"192.0.2.{number}", 50000)


class Crowd:
    """
    Connections to one factory, which say nothing.

    @ivar clock: what their timers run on.
    """

    def __init__(self) -> None:
        self.factory = ServerFactory()
        self.factory.randomBytes = random.Random(133).randbytes
        self.clock = self.factory.clock = Clock()

    def connect(self, peer: Any = None) -> Any:
        """
        @param peer: the address that the connection comes from.
        @return: the server's end.
        """
        server = self.factory.buildProtocol(None)
        tcp = StringTransportWithDisconnection(peerAddress=peer or UNIXAddress(None))
        tcp.protocol = server
        server.makeConnection(tcp)
        return server

    def connectMany(self, count: int, peer: Any = None) -> list[Any]:
        return [self.connect(peer) for _ in range(count)]

    def refused(self, count: int) -> int:
        """
        Connect C{count} times.

        @return: how many of them were closed at once.
        """
        return [server.transport.value() for server in self.connectMany(count)].count(TOO_MANY)


def lose(server: Any) -> None:
    server.transport.connected = False
    server.connectionLost(Failure(ConnectionDone()))


def begun(server: Any) -> bool:
    """
    Whether the server has said who it is.
    """
    return server.transport.value().startswith(b"SSH-2.0-")


class MaxStartupsTests(SynchronousTestCase):
    """
    Row 133: connections without a login, CVE-2010-5107.
    """

    def setUp(self) -> None:
        self.crowd = Crowd()
        self.factory = self.crowd.factory

    def test_default(self) -> None:
        self.assertEqual((10, 30, 100), SSHFactory.maxStartups)
        self.assertEqual(STARTUPS, SSHFactory.maxStartups)

    def test_few(self) -> None:
        """
        Below the first number nobody is refused.
        """
        self.assertEqual(0, self.crowd.refused(10))

    def test_some(self) -> None:
        """
        From the first number on the share of the second is refused, and it
        grows.
        """
        crowd = self.crowd
        crowd.connectMany(10)
        shares = []
        for _ in range(2):
            refused = 0
            for _ in range(1000):
                server = crowd.connect()
                refused += not begun(server)
                lose(server)
            shares.append(refused / 1000)
            self.factory.maxStartups = None
            crowd.connectMany(45)
            self.factory.maxStartups = (10, 30, 100)
        self.assertLess(abs(0.30 - shares[0]), 0.05, shares)
        self.assertLess(abs(0.65 - shares[1]), 0.05, shares)

    def test_full(self) -> None:
        """
        At the third number everybody is, with a word, and the connection is
        closed.
        """
        self.factory.maxStartups = (3, 0, 4)
        self.assertEqual(0, self.crowd.refused(4))
        server = self.crowd.connect()
        self.assertEqual(TOO_MANY, server.transport.value())
        self.assertFalse(server.transport.connected)
        self.assertIsInstance(server.closeReason.value, ConnectionEnded)
        self.assertEqual(4, self.factory.admission.strangers)

    def test_noLimit(self) -> None:
        for limit in (None, ()):
            self.factory.maxStartups = limit
            self.assertEqual(0, self.crowd.refused(150))

    def test_nonsense(self) -> None:
        """
        What cannot be meant is told when the factory starts, and not when
        somebody connects.
        """
        for wrong in (
            (10, 30),
            (10, 30, 100, 200),
            "10:30:100",
            100,
            (100, 30, 10),
            (10, 101, 100),
            (-1, 0, 1),
        ):
            self.factory.maxStartups = wrong
            error = self.assertRaises(UsageError, self.factory.startFactory)
            self.assertIn("(10, 30, 100)", str(error))
        for right in (None, (), (0, 0, 0), (1, 100, 1), STARTUPS):
            self.factory.maxStartups = right
            self.factory.startFactory()

    def test_end(self) -> None:
        """
        Who leaves makes room; who was refused took none.
        """
        self.factory.maxStartups = (2, 100, 2)
        first, _ = self.crowd.connectMany(2)
        lose(self.crowd.connect())
        self.assertEqual(1, self.crowd.refused(1))
        lose(first)
        self.assertEqual(0, self.crowd.refused(1))

    def test_login(self) -> None:
        """
        Who logs in makes room, once.
        """
        self.factory.maxStartups = (2, 100, 2)
        first, _ = self.crowd.connectMany(2)
        first.isAuthenticated = True
        lose(first)
        self.assertEqual(1, self.factory.admission.strangers)
        self.assertEqual(0, self.crowd.refused(1))
        self.assertEqual(1, self.crowd.refused(1))

    def test_loginTimeout(self) -> None:
        """
        Who does not log in takes a place for as long as a login may take.
        """
        self.factory.maxStartups = (1, 100, 1)
        self.factory.protocol.handshakeTimeout = 0
        self.addCleanup(delattr, self.factory.protocol, "handshakeTimeout")
        server = self.crowd.connect()
        self.crowd.clock.advance(LOGIN_SECONDS)
        self.assertIsInstance(server.closeReason.value, LoginTimedOut)
        self.assertEqual(0, self.factory.admission.strangers)

    def test_log(self) -> None:
        """
        One line when it begins, and one with the count when nobody was
        refused for a minute: not one per connection.
        """
        self.factory.maxStartups = (1, 100, 1)
        protocol = self.factory.protocol
        protocol.handshakeTimeout = protocol.loginTimeout = 0
        self.addCleanup(delattr, protocol, "handshakeTimeout")
        self.addCleanup(delattr, protocol, "loginTimeout")
        with capturedLogs() as logged:
            self.crowd.connect()
            self.crowd.connectMany(50)
            for _ in range(3):
                self.crowd.clock.advance(50)
                self.crowd.connect()
            self.assertEqual(
                ["1 connections have not logged in: closing new ones"],
                [e["log_format"].format(**e) for e in logged if e["log_level"].name == "warn"],
            )
            self.crowd.clock.advance(61)
            self.crowd.connect()
        texts = [e["log_format"].format(**e) for e in logged if "connections" in e["log_format"]]
        self.assertEqual("closed 53 connections that were too many", texts[1])

    def test_stop(self) -> None:
        """
        When the factory stops, the count is told, too.
        """
        self.factory.maxStartups = (1, 100, 1)
        self.factory.stopFactory()
        self.crowd.connectMany(3)
        with capturedLogs() as logged:
            self.factory.stopFactory()
            self.factory.stopFactory()
        self.assertEqual([2], [event["count"] for event in logged])


class HandshakesTests(SynchronousTestCase):
    """
    Row 133 and row 32: of one address, a few connections exchange keys at a
    time (CVE-2002-20001).
    """

    def setUp(self) -> None:
        self.crowd = Crowd()
        self.factory = self.crowd.factory
        self.factory.maxStartups = None

    def test_wait(self) -> None:
        """
        The fifth one is neither refused nor read, and nothing is sent to it.
        """
        self.assertEqual(4, SSHFactory.maxHandshakesPerAddress)
        servers = self.crowd.connectMany(6, address())
        self.assertEqual([True] * 4 + [False] * 2, [begun(server) for server in servers])
        for server in servers[4:]:
            self.assertEqual(b"", server.transport.value())
            self.assertEqual("paused", server.transport.producerState)
            self.assertFalse(server.transport.disconnecting)

    def test_others(self) -> None:
        """
        Who comes from elsewhere does not wait.
        """
        self.crowd.connectMany(9, address())
        self.assertTrue(begun(self.crowd.connect(address(2))))

    def test_noAddress(self) -> None:
        """
        On a UNIX socket everybody is somebody else.
        """
        self.assertTrue(all(map(begun, self.crowd.connectMany(9))))

    def test_noLimit(self) -> None:
        self.factory.maxHandshakesPerAddress = 0
        self.assertTrue(all(map(begun, self.crowd.connectMany(9, address()))))

    def test_turn(self) -> None:
        """
        First come, first served; and who has his turn is read.
        """
        servers = self.crowd.connectMany(7, address())
        lose(servers[2])
        self.assertEqual([True, False, False], [begun(server) for server in servers[4:]])
        self.assertEqual("producing", servers[4].transport.producerState)
        lose(servers[5])
        lose(servers[4])
        self.assertTrue(begun(servers[6]))
        self.assertFalse(begun(servers[5]))

    def test_login(self) -> None:
        """
        While it waits, the time for its login runs, and that for its key
        exchange does not.
        """
        self.factory.protocol.handshakeTimeout = LOGIN_SECONDS - 1
        self.addCleanup(delattr, self.factory.protocol, "handshakeTimeout")
        servers = self.crowd.connectMany(6, address())
        self.crowd.clock.advance(LOGIN_SECONDS - 1)
        self.assertEqual([None, None], [server.closeReason for server in servers[4:]])
        self.assertTrue(all(map(begun, servers[4:])))
        self.crowd.clock.advance(1)
        self.assertIsInstance(servers[5].closeReason.value, LoginTimedOut)

    def test_loginWhileWaiting(self) -> None:
        """
        One whose time is over before its turn has come is closed, without a
        word, and its turn is not kept.
        """
        protocol = self.factory.protocol
        protocol.handshakeTimeout = protocol.loginTimeout = 0
        self.addCleanup(delattr, protocol, "handshakeTimeout")
        busy = self.crowd.connectMany(4, address())
        del protocol.loginTimeout
        waiting = self.crowd.connect(address())
        self.crowd.clock.advance(LOGIN_SECONDS)
        self.assertIsInstance(waiting.closeReason.value, LoginTimedOut)
        self.assertEqual(b"", waiting.transport.value())
        self.assertEqual("producing", waiting.transport.producerState)
        following = self.crowd.connect(address())
        self.assertFalse(begun(following))
        lose(busy[0])
        self.assertTrue(begun(following))

    def test_silent(self) -> None:
        """
        Those who say nothing lose their turns when the time for a key
        exchange is over.
        """
        servers = self.crowd.connectMany(8, address())
        self.crowd.clock.advance(HANDSHAKE_SECONDS)
        self.assertTrue(all(map(begun, servers)))

    def test_abort(self) -> None:
        """
        Our own end of a connection counts as any other.
        """
        servers = self.crowd.connectMany(6, address())
        servers[4].loseConnection()
        servers[0].loseConnection()
        self.assertEqual([False, True], [begun(server) for server in servers[4:]])

    def test_dataAllTheSame(self) -> None:
        """
        What comes in spite of the pause waits, and is read at its turn.
        """
        servers = self.crowd.connectMany(5, address())
        last = servers[4]
        last.dataReceived(b"SSH-2.0-client\r\n" + bytes(10))
        self.assertEqual((b"", None), (last.transport.value(), last.closeReason))
        lose(servers[0])
        self.assertTrue(begun(last))
        self.assertIsNotNone(last.closeReason)

    def test_fifty(self) -> None:
        """
        Fifty clients of one address that come at once all get through.
        """
        links = []
        for _ in range(50):
            link = Link(Client(), self.factory)
            link.serverIO.peerAddress = address()
            link.start()
            links.append(link)
        for _ in range(50):
            for link in links:
                link.flush()
            if all(link.client.secure for link in links):
                break
        self.assertEqual([1] * 50, [link.client.secure for link in links])
        self.assertTrue(all(link.server.isEncrypted("both") for link in links))

    def links(self, count: int) -> list[Link]:
        """
        Clients of one address that have exchanged keys, and not logged in.
        """
        links = [Link(Client(), self.factory) for _ in range(count)]
        for link in links:
            link.serverIO.peerAddress = address()
            link.secure()
        return links

    def test_again(self) -> None:
        """
        Row 32: before the login a further exchange of keys has to wait for its
        turn like the first, so that it is no way around the limit.
        """
        links = self.links(7)
        for link in links:
            link.client.sendKexInit()
            # KEXINIT arrives, its answer does not.
            link.server.dataReceived(link.clientIO.getOutBuffer())
        self.assertEqual([True] * 4 + [False] * 3, [link.server._layer.exchanging for link in links])
        # Whose turn comes goes on with what has come meanwhile.
        for link in links[4:]:
            link.client.sendIgnore(b"")
        links[5].clientIO.abortConnection()
        for _ in range(3):
            for link in links:
                link.flush()
        for link in links[:5] + links[6:]:
            self.assertEqual((0, None), (link.server._holds, link.server.closeReason))
            self.assertFalse(link.server._layer.exchanging or link.client._layer.exchanging)
        self.assertEqual({}, self.factory.admission._groups)

    def test_againBadly(self) -> None:
        """
        Who has waited for his turn and then has nothing good to say is refused
        as without a wait.
        """
        links = self.links(5)
        for link in links[:4]:
            link.client.sendKexInit()
            link.server.dataReceived(link.clientIO.getOutBuffer())
        links[4].client._layer.send([(b"\x14rubbish",)])
        links[4].client._flush()
        links[4].flush()
        self.assertIsNone(links[4].server.closeReason)
        links[0].flush()
        self.assertIsInstance(links[4].server.closeReason.value, MalformedMessage)

    def test_againAsUser(self) -> None:
        """
        Who has logged in does not wait, and takes no turn from others.
        """
        links = self.links(6)
        for link in links:
            link.server.isAuthenticated = link.client.isAuthenticated = True
            link.client.sendKexInit()
            link.server.dataReceived(link.clientIO.getOutBuffer())
        self.assertTrue(all(link.server._layer.exchanging for link in links))

    def test_nothingIsLeft(self) -> None:
        """
        No connection is kept, wherever it ended: while it waited, in its
        turn, secured, logged in, or refused.
        """
        self.factory.maxStartups = (12, 100, 12)
        link = Link(Client(), self.factory).secure()
        self.crowd.connect(address(2)).isAuthenticated = True
        servers = [link.server, *self.crowd.connectMany(15, address())]
        gone = [weakref.ref(server) for server in servers]
        for server in servers:
            lose(server)
        self.assertEqual(0, self.factory.admission.strangers)
        del link, server, servers
        self.crowd.clock.advance(10)
        gc.collect()
        self.assertEqual([], [ref for ref in gone if ref() is not None])


class AddressGroupTests(SynchronousTestCase):
    """
    Row 133: whom a connection is counted with.
    """

    def test_groups(self) -> None:
        for host, group in (
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
            ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("a-host-by-name", "a-host-by-name"),
        ):
            self.assertEqual(group, addressGroup(IPv6Address("TCP", host, 22)), host)

    def test_none(self) -> None:
        self.assertIsNone(addressGroup(UNIXAddress("/run/socket")))
        self.assertIsNone(addressGroup(None))


class LogTests(SynchronousTestCase):
    def broken(self, crowd: Crowd, count: int) -> list[str]:
        """
        Connect C{count} times and say something that is not SSH.

        @return: what is in the log.
        """
        with capturedLogs() as logged:
            for _ in range(count):
                server = crowd.connect(address())
                server.dataReceived(b"GET / HTTP/1.0\r\n\r\n")
        return [e["log_format"].format(**e) for e in logged if e["log_level"].name in ("info", "warn")]

    def test_rate(self) -> None:
        """
        A flood from one address does not fill the disk: what goes beyond 20
        lines in a second is counted.
        """
        crowd = Crowd()
        said = self.broken(crowd, 1000)
        self.assertEqual(20, len(said))
        # Each says that we give up and disconnect, and that the connection ended.
        self.assertEqual(7, len([text for text in said if "giving up on" in text]))
        crowd.clock.advance(1)
        said = self.broken(crowd, 1)
        self.assertEqual(4, len(said))
        self.assertEqual("left out 2980 lines about 192.0.2.1", said[0])

    def test_login(self) -> None:
        """
        What happens to a connection that is logged in is told in any case.
        """
        crowd = Crowd()
        user = crowd.connect(address())
        user.isAuthenticated = True
        self.broken(crowd, 100)
        with capturedLogs() as logged:
            user.loseConnection()
        self.assertIn(
            "disconnecting from {peer}: {reason} ({name}): {text}", [e["log_format"] for e in logged]
        )
