"""
Channels: what is called in which order, and that nothing is lost or swells.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from twisted.internet.interfaces import IConsumer, IPushProducer, ITransport
from twisted.internet.protocol import Protocol
from zope.interface.verify import verifyObject

from conchlite.error import ConnectionEnded
from conchlite.sansio.channels import ChannelState
from conchlite.ssh.channel import SSHChannel
from conchlite.wire.connection import (
    ChannelClose,
)
from tests.ssh.channels import ChannelTestCase, Recorder, joined, openPair


class InterfaceTests(ChannelTestCase):
    def test_interfaces(self) -> None:
        for interface in (ITransport, IConsumer, IPushProducer):
            verifyObject(interface, self.client)

    def test_defaults(self) -> None:
        channel = SSHChannel()
        self.assertEqual(
            (2 * 1024 * 1024, 32768, 2 * 1024 * 1024, None, None, b""),
            (
                channel.localWindowSize,
                channel.localMaxPacket,
                channel.localWindowLeft,
                channel.conn,
                channel.id,
                channel.specificData,
            ),
        )

    def test_arguments(self) -> None:
        channel = SSHChannel(100, 200, 300, 400, None, b"data")
        self.assertEqual(
            (100, 200, 300, 400, b"data"),
            (
                channel.localWindowLeft,
                channel.localMaxPacket,
                channel.remoteWindowLeft,
                channel.remoteMaxPacket,
                channel.data,
            ),
        )

    def test_windows(self) -> None:
        self.assertEqual(
            (2 * 1024 * 1024, 32768), (self.client.remoteWindowLeft, self.client.remoteMaxPacket)
        )
        self.client.write(b"abc")
        self.link.pump()
        self.assertEqual(2 * 1024 * 1024 - 3, self.client.remoteWindowLeft)
        self.assertEqual(2 * 1024 * 1024 - 3, self.server.localWindowLeft)

    def test_text(self) -> None:
        self.assertEqual("<SSHChannel recorder (lw 2097152 rw 2097152)>", str(self.client))
        self.assertEqual(
            "SSHChannel recorder (0) on SSHService 'ssh-connection' on FakeTransport",
            self.client.logPrefix(),
        )
        self.assertEqual("<SSHChannel None (lw 5 rw 6)>", str(SSHChannel(5, remoteWindow=6)))

    def test_onePrivateName(self) -> None:
        """
        A program's own private attributes do not meet ours: there are three.
        """
        private = {name for name in dir(self.client) if name.startswith("_") and not name.startswith("__")}
        ours = {name for name in private if name not in vars(Recorder)}
        self.assertEqual({"_log", "_machine", "_machineClass"}, ours - {"_abc_impl"})

    def test_addresses(self) -> None:
        self.assertEqual(self.link.client.getPeer(), self.client.getPeer())
        self.assertEqual(self.link.client.getHost(), self.client.getHost())

    def test_aProtocolsTransport(self) -> None:
        class Greeter(Protocol):
            def connectionMade(self) -> None:
                self.transport.writeSequence([b"Hello", b", ", b"world"])
                self.transport.loseConnection()

        Greeter().makeConnection(self.client)
        self.link.pump()
        self.assertEqual([("data", b"Hello, world"), "eof"], self.server.events)


class EndTests(ChannelTestCase):
    def passed(self) -> list[str]:
        """
        What passes the link from now on.
        """
        self.link.delivered.clear()
        self.link.pump()
        return [name.replace("CHANNEL_", "") for name in self.link.delivered]

    def test_loseConnection(self) -> None:
        """
        Our side is shut; what the other side still sends is delivered; CLOSE
        goes out behind its EOF.
        """
        self.client.write(b"question")
        self.client.loseConnection()
        self.client.write(b"too late")
        self.link.pump()
        self.assertEqual([("data", b"question"), "eof"], self.server.events)
        self.assertEqual([], self.client.events)
        self.server.write(b"answer")
        self.server.loseConnection()
        self.assertEqual(["<DATA", "<EOF", ">CLOSE", "<CLOSE"], self.passed())
        self.assertEqual([("data", b"answer"), "eof", "close", "closed"], self.client.events)
        self.assertEqual([("data", b"question"), "eof", "close", "closed"], self.server.events)
        self.assertEqual(({}, {}), (self.client.conn.channels, self.server.conn.channels))
        self.assertEqual([], self.link.clock.getDelayedCalls())

    def test_peerClosesWithoutEOF(self) -> None:
        self.client.loseConnection()
        self.link.pump()
        self.server.abortConnection()
        self.assertEqual(["<CLOSE", ">CLOSE"], self.passed())
        self.assertEqual(["close", "closed"], self.client.events)
        self.assertEqual(["eof", "closed"], self.server.events)

    def test_grace(self) -> None:
        """
        A peer that says nothing has C{closeGrace} seconds.
        """
        self.client.loseConnection()
        self.assertEqual([">EOF"], self.passed())
        self.link.clock.advance(self.client.closeGrace - 1)
        self.assertEqual([], self.passed())
        self.link.clock.advance(1)
        self.assertEqual([">CLOSE", "<CLOSE"], self.passed())
        self.assertEqual("closed", self.client.events[-1])

    def test_graceBeginsAnewWithData(self) -> None:
        """
        A peer that is still sending is not cut off.
        """
        self.client.loseConnection()
        for _ in range(10):
            self.link.clock.advance(self.client.closeGrace - 1)
            self.server.write(b"x")
            self.link.pump()
        self.assertEqual(10, len(self.client.received))
        self.link.clock.pump([self.client.closeGrace] * 2)
        self.link.pump()
        self.assertEqual("closed", self.client.events[-1])

    def test_graceBeginsWhenEverythingIsSent(self) -> None:
        client, server = self.small(1000)
        server.pauseProducing()
        client.write(bytes(3000))
        client.loseConnection()
        self.link.pump()
        self.link.clock.advance(10 * client.closeGrace)
        self.assertEqual([], self.link.client.messages())
        server.resumeProducing()
        self.link.pump()
        self.assertEqual(3000, len(server.received))
        self.assertIn("eof", server.events)

    def test_graceWithoutClock(self) -> None:
        self.link.client.clock = None
        self.client.loseConnection()
        self.assertEqual([">EOF"], self.passed())

    def test_sendClose(self) -> None:
        """
        CLOSE behind what waits, whatever the peer does; what it had on its way
        is delivered.
        """
        client, server = self.small(100)
        client.write(bytes(250))
        client.conn.sendClose(client)
        server.write(b"on its way")
        self.link.pump()
        self.assertEqual([("data", bytes(250)), "eof", "close", "closed"], server.events)
        self.assertEqual(["stop", ("data", b"on its way"), "close", "closed"], client.events)

    def test_abort(self) -> None:
        """
        CLOSE at once: nothing that waits is sent, and nothing delivered any
        more.
        """
        client, server = self.small(100)
        client.write(bytes(250))
        self.link.client.take()
        server.write(b"on its way")
        client.abortConnection()
        client.abortConnection()
        self.assertEqual([ChannelClose(0)], self.link.client.messages())
        self.link.pump()
        self.assertEqual(["stop", "closed"], client.events)
        self.assertEqual(["close", "closed"], server.events)

    def test_abortWhileHeld(self) -> None:
        """
        Everything has come and waits behind a pause: aborting ends that too.
        """
        self.client.pauseProducing()
        self.server.write(b"held")
        self.server.conn.sendClose(self.server)
        self.link.pump()
        self.assertEqual([], self.client.events)
        self.client.abortConnection()
        self.link.pump()
        self.assertEqual(["closed"], self.client.events)
        self.assertEqual({}, self.client.conn.channels)

    def test_halfClose(self) -> None:
        self.client.loseWriteConnection()
        self.link.pump()
        self.server.write(b"still here")
        self.link.pump()
        self.assertEqual([("data", b"still here")], self.client.events)
        self.server.loseWriteConnection()
        self.link.pump()
        self.assertEqual(["eof"], self.server.events)
        self.assertIn(self.client, self.client.conn.channels.values())

    def test_closeBehindAPause(self) -> None:
        """
        Data that the program does not want yet holds EOF, CLOSE and C{closed}
        back behind it.
        """
        self.client.pauseProducing()
        self.server.write(b"data")
        self.server.conn.sendClose(self.server)
        self.link.pump()
        self.assertEqual([], self.client.events)
        self.assertTrue(self.client.remoteClosed)
        self.client.resumeProducing()
        self.assertEqual([("data", b"data"), "eof", "close", "closed"], self.client.events)
        self.link.pump()
        self.assertEqual("closed", self.server.events[-1])

    def test_closeBehindAnEmptyPause(self) -> None:
        """
        A pause with nothing to hold back does not keep a channel alive.
        """
        self.client.pauseProducing()
        self.server.abortConnection()
        self.link.pump()
        self.assertEqual(["close", "closed"], self.client.events)

    def test_pausedAndLeft(self) -> None:
        """
        A program that pauses a channel, closes it, and goes: the grace ends it.
        """
        self.client.pauseProducing()
        self.client.loseConnection()
        self.link.pump()
        self.server.write(b"data")
        self.server.loseConnection()
        self.link.pump()
        self.assertEqual([], self.client.events)
        self.link.clock.advance(self.client.closeGrace)
        self.link.pump()
        self.assertEqual([("data", b"data"), "eof", "close", "closed"], self.client.events)
        self.assertEqual({}, self.client.conn.channels)

    def test_overriddenCloseReceived(self) -> None:
        """
        A program may close its side later; until then nothing that comes is
        delivered, and nothing that is written is sent.
        """

        class Stubborn(Recorder):
            def closeReceived(self) -> None:
                self.events.append("close")

        self.link.server.service.make = Stubborn
        client, server = openPair(self.link)
        server.events.clear()
        client.abortConnection()
        self.link.pump()
        self.assertEqual(["close"], server.events)
        self.assertEqual((True, False), (server.remoteClosed, server.localClosed))
        server.write(b"to nobody")
        self.assertEqual([], self.link.server.messages())
        server.loseConnection()
        self.assertEqual(["close", "closed"], server.events)
        self.link.pump()
        self.assertEqual("closed", client.events[-1])

    def test_closedComesLast(self) -> None:
        """
        C{closed} is not called within another callback of the channel.
        """

        class Nested(Recorder):
            def closeReceived(self) -> None:
                self.loseConnection()
                self.events.append("close")

            def eofReceived(self) -> None:
                self.abortConnection()
                self.events.append("eof")

        self.link.server.service.make = Nested
        client, server = openPair(self.link)
        server.events.clear()
        server.pauseProducing()
        client.write(b"data")
        client.conn.sendClose(client)
        self.link.pump()
        server.resumeProducing()
        self.assertEqual([("data", b"data"), "eof", "closed"], server.events)
        client, server = openPair(self.link)
        server.events.clear()
        client.abortConnection()
        self.link.pump()
        self.assertEqual(["close", "closed"], server.events)

    def test_afterTheEnd(self) -> None:
        self.client.abortConnection()
        self.link.pump()
        events = list(self.client.events)
        self.client.write(b"x")
        self.client.writeExtended(1, b"x")
        self.client.loseWriteConnection()
        self.client.loseConnection()
        self.client.abortConnection()
        self.client.pauseProducing()
        self.client.resumeProducing()
        self.client.conn.sendClose(self.client)
        self.client.conn.sendEOF(self.client)
        self.client.conn.adjustWindow(self.client, 5)
        self.client.conn.channelClosed(self.client)
        self.assertEqual(0, self.link.pump())
        self.assertEqual(events, self.client.events)

    def test_everyOrderOfEnding(self) -> None:
        """
        Whatever each side does, in whatever order the messages pass, both are
        told once, at the end.
        """
        steps: list[Callable[[Recorder], None]] = [
            lambda channel: channel.write(b"data"),
            SSHChannel.loseWriteConnection,
            SSHChannel.loseConnection,
            SSHChannel.abortConnection,
            lambda channel: channel.conn.sendClose(channel),
            SSHChannel.pauseProducing,
            SSHChannel.resumeProducing,
        ]
        for seed in range(400):
            chance = random.Random(seed)
            link = joined()
            client, server = openPair(link)
            for _ in range(chance.randrange(2, 12)):
                chance.choice(steps)(chance.choice((client, server)))
                for _ in range(chance.randrange(3)):
                    side = chance.choice((link.client, link.server))
                    if side.outbox:
                        side.deliver()
            for channel in (client, server):
                channel.resumeProducing()
                channel.loseConnection()
            link.pump()
            for channel in (client, server):
                self.assertEqual(1, channel.events.count("closed"), seed)
                self.assertEqual("closed", channel.events[-1], seed)
                self.assertLessEqual(channel.events.count("eof"), 1)
                self.assertLessEqual(channel.events.count("close"), 1)
                self.assertEqual({}, channel.conn.channels)
                self.assertIs(ChannelState.CLOSED, channel._machine.life.state)
            self.assertEqual([], link.clock.getDelayedCalls())
            self.assertEqual((None, None), (link.client.closeReason, link.server.closeReason), seed)


class RaisingTests(ChannelTestCase):
    """
    A callback that raises ends its channel, and not the connection.
    """

    def raising(self, name: str) -> tuple[Recorder, Recorder]:
        def callback(self: Recorder, *args: object) -> None:
            raise ZeroDivisionError("defect of a program")

        self.link.server.service.make = type("Raising", (Recorder,), {name: callback})
        return openPair(self.link)

    def check(self, client: Recorder, server: Recorder) -> None:
        self.link.pump()
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual("closed", client.events[-1])
        self.assertNotIn(server, self.link.server.service.channels.values())
        self.assertEqual((None, None), (self.link.client.closeReason, self.link.server.closeReason))
        self.client.write(b"others go on")
        self.link.pump()
        self.assertEqual([("data", b"others go on")], self.server.events)

    def test_channelOpen(self) -> None:
        client, server = self.raising("channelOpen")
        self.check(client, server)
        self.assertEqual("closed", server.events[-1])

    def test_dataReceived(self) -> None:
        client, server = self.raising("dataReceived")
        client.write(b"x")
        client.write(b"y")
        self.check(client, server)
        self.assertEqual("closed", server.events[-1])

    def test_extReceived(self) -> None:
        client, server = self.raising("extReceived")
        client.writeExtended(1, b"x")
        self.check(client, server)

    def test_eofReceived(self) -> None:
        client, server = self.raising("eofReceived")
        client.loseWriteConnection()
        self.check(client, server)

    def test_closeReceived(self) -> None:
        client, server = self.raising("closeReceived")
        client.abortConnection()
        self.check(client, server)
        self.assertEqual("closed", server.events[-1])

    def test_closed(self) -> None:
        client, server = self.raising("closed")
        client.abortConnection()
        self.check(client, server)

    def test_whileDraining(self) -> None:
        client, server = self.raising("dataReceived")
        server.pauseProducing()
        client.write(b"x")
        client.writeExtended(1, b"y")
        client.loseWriteConnection()
        self.link.pump()
        server.resumeProducing()
        self.check(client, server)
        self.assertEqual([("open", b""), "closed"], server.events)


class LossTests(ChannelTestCase):
    def test_open(self) -> None:
        self.link.lose()
        self.assertEqual((["closed"], ["closed"]), (self.client.events, self.server.events))
        self.assertTrue(self.client.localClosed and self.client.remoteClosed)

    def test_closing(self) -> None:
        self.client.loseConnection()
        self.link.pump()
        self.link.lose()
        self.assertEqual(["closed"], self.client.events)
        self.assertEqual([], self.link.clock.getDelayedCalls())

    def test_heldDataIsDelivered(self) -> None:
        """
        A program that is behind gets what had come before the connection was
        lost.
        """
        self.client.pauseProducing()
        self.server.write(b"all there was")
        self.server.loseWriteConnection()
        self.link.pump()
        self.link.lose(ConnectionEnded("cut"))
        self.assertEqual([("data", b"all there was"), "eof", "closed"], self.client.events)

    def test_heldClose(self) -> None:
        self.client.pauseProducing()
        self.server.write(b"all there was")
        self.server.conn.sendClose(self.server)
        self.link.pump()
        self.link.lose()
        self.assertEqual([("data", b"all there was"), "eof", "close", "closed"], self.client.events)

    def test_abortedGetsNothing(self) -> None:
        self.client.pauseProducing()
        self.server.write(b"held")
        self.link.pump()
        self.client.abortConnection()
        self.link.lose()
        self.assertEqual(["closed"], self.client.events)
