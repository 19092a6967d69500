"""
Connections whose windows follow the path between them.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.connection import SSHConnection
from conchlite.wire.connection import ChannelOpen
from conchlite.wire.numbers import MSG_CHANNEL_OPEN
from tests.ssh.channels import Accepting, PullProducer, Recorder, joined, openPair
from tests.ssh.fakes import FakeTransport, Link

MIB = 2**20


class Path:
    """
    A path with a bandwidth and a delay, for a link: it takes the place of the
    link's C{pump}.
    """

    def __init__(self, link: Link, bandwidth: float, roundTrip: float) -> None:
        self.link = link
        self.bandwidth = bandwidth
        self.roundTrip = roundTrip
        self._free = {link.client: 0.0, link.server: 0.0}

    def pump(self, seconds: float) -> None:
        """
        Let time pass.
        """
        clock = self.link.clock
        until = clock.seconds() + seconds
        while True:
            for side in (self.link.client, self.link.server):
                self._take(side)
            times = [call.getTime() for call in clock.getDelayedCalls()]
            if not times or min(times) > until:
                break
            clock.advance(max(0, min(times) - clock.seconds()))
        clock.advance(max(0, until - clock.seconds()))

    def _take(self, side: FakeTransport) -> None:
        clock = self.link.clock
        while side.outbox:
            number, payload = side.outbox.popleft()
            self._free[side] = max(self._free[side], clock.seconds()) + len(payload) / self.bandwidth
            arrival = self._free[side] + self.roundTrip / 2
            clock.callLater(arrival - clock.seconds(), side.peer.receive, number, payload)


def far(clientWindow: int = 0, **attributes: Any) -> tuple[Path, Recorder, Recorder]:
    """
    A channel over a long path.

    @param attributes: of both connections.
    """
    link = joined()
    for end in (link.client, link.server):
        for name, value in attributes.items():
            setattr(end.service, name, value)
    path = Path(link, 20e6, 0.2)
    client = Recorder(localWindow=clientWindow)
    link.client.service.openChannel(client)
    path.pump(0.5)
    return path, client, link.server.service.opened[-1]


class GrowingTests(SynchronousTestCase):
    def carry(self, path: Path, sender: Recorder, receiver: Recorder) -> float:
        """
        @return: bytes a second, when all has settled.
        """
        producer = PullProducer(sender, 10**6, 65536)
        sender.registerProducer(producer, False)
        path.pump(2.5)
        before = len(receiver.received)
        path.pump(2)
        return (len(receiver.received) - before) / 2

    def test_bothWays(self) -> None:
        """
        A path of 4 MB is filled, in either direction, by windows of 8 MiB.
        """
        for upload in (True, False):
            path, client, server = far()
            sender, receiver = (client, server) if upload else (server, client)
            self.assertGreater(self.carry(path, sender, receiver), 0.9 * 20e6)
            self.assertEqual(8 * MIB, receiver._machine.incoming.window.size)
            self.assertEqual(2 * MIB, sender._machine.incoming.window.size)
            self.assertEqual((None, None), (path.link.client.closeReason, path.link.server.closeReason))

    def test_fixed(self) -> None:
        """
        Attributes fix the windows: of a connection, and of a channel.
        """
        path, client, server = far(windowBudget=0)
        self.assertLess(self.carry(path, client, server), 0.55 * 20e6)
        self.assertEqual(2 * MIB, server._machine.incoming.window.size)
        path, client, server = far()
        fixed = Recorder()
        fixed.windowGrows = False
        path.link.client.service.openChannel(fixed)
        path.pump(0.5)
        self.assertLess(self.carry(path, path.link.server.service.opened[-1], fixed), 0.55 * 20e6)
        self.assertEqual(2 * MIB, fixed._machine.incoming.window.size)

    def test_nearby(self) -> None:
        """
        Where no time passes nothing grows.
        """
        link = joined()
        client, server = openPair(link)
        client.write(bytes(20_000_000))
        link.pump()
        self.assertEqual(20_000_000, len(server.received))
        self.assertEqual(2 * MIB, server._machine.incoming.window.size)

    def test_noClock(self) -> None:
        link = Link(SSHConnection(), Accepting())
        link.client.clock = link.server.clock = None
        client, server = openPair(link)
        server.write(bytes(20_000_000))
        client.conn.sendGlobalRequest("anything", b"", wantReply=True).addErrback(lambda _: None)
        link.pump()
        self.assertEqual(20_000_000, len(client.received))

    def test_pausedLater(self) -> None:
        """
        Row 94: a program that is paused when its window has grown holds that
        window, and one byte more ends the connection.
        """
        path, client, server = far()
        self.carry(path, client, server)
        server.pauseProducing()
        path.pump(3)
        self.assertEqual(0, server.localWindowLeft)
        self.assertLessEqual(server._machine.incoming._held.size, 8 * MIB)
        client._machine.outgoing.window.add(1)
        client.write(b"x")
        path.pump(1)
        self.assertEqual([2], [code for code, _ in path.link.server.disconnects])


class QuestionTests(SynchronousTestCase):
    """
    What tells how far away the peer is.
    """

    def setUp(self) -> None:
        self.path, self.client, self.server = far()
        self.link = self.path.link

    def roundTrip(self, end: FakeTransport) -> float:
        return end.service._windows.roundTrip

    def forget(self) -> None:
        for end in (self.link.client, self.link.server):
            end.service._windows.roundTrip = 100.0

    def test_opening(self) -> None:
        self.assertAlmostEqual(0.2, self.roundTrip(self.link.client), 3)

    def test_requests(self) -> None:
        """
        A request with a reply tells the one who sent it; the first request on
        a new channel tells the one who confirmed it.
        """
        self.forget()
        granted = self.client.conn.sendRequest(self.client, "yes", b"", wantReply=True)
        self.path.pump(1)
        self.assertEqual("", self.successResultOf(granted))
        self.assertAlmostEqual(0.2, self.roundTrip(self.link.client), 3)
        self.forget()
        channel = Recorder()
        channel.channelOpen = lambda data: channel.conn.sendRequest(channel, "yes", b"")
        self.link.client.service.openChannel(channel)
        self.path.pump(1)
        self.assertAlmostEqual(0.2, self.roundTrip(self.link.server), 3)

    def test_globalRequests(self) -> None:
        """
        So does a keepalive, refused as it may be.
        """
        self.forget()
        self.link.server.service.sendKeepAlive()
        self.path.pump(1)
        self.assertAlmostEqual(0.2, self.roundTrip(self.link.server), 3)


class ManyTests(SynchronousTestCase):
    def test_asManyAsThereMayBe(self) -> None:
        """
        Row 94: a peer that opens as many channels as it may, and is not read
        from, can make us hold no more than the budget.
        """
        link = joined()
        for number in range(256):
            message = ChannelOpen(b"recorder", number, MIB, 32768, b"")
            link.server.receive(MSG_CHANNEL_OPEN, message.pack())
        opened = link.server.service.opened
        self.assertEqual(256, len(opened))
        self.assertLessEqual(sum(channel.localWindowLeft for channel in opened), 64 * MIB)
        self.assertEqual(2 * MIB, opened[0].localWindowLeft)
        self.assertGreaterEqual(opened[-1].localWindowLeft, 8192)

    def test_nothingIsLeft(self) -> None:
        """
        However a channel ends, what its window took is free again: closed,
        aborted, refused, cancelled, lost.
        """
        link = joined()
        service = link.client.service
        client, _ = openPair(link)
        client.loseConnection()
        link.pump()
        link.clock.advance(client.closeGrace)
        link.pump()
        aborted, _ = openPair(link)
        aborted.abortConnection()
        refused, cancelled, lost = Recorder(), Recorder(), Recorder()
        refused.name = "nothing"
        service.openChannel(refused).addErrback(lambda _: None)
        opening = service.openChannel(cancelled)
        opening.addErrback(lambda _: None)
        opening.cancel()
        link.pump()
        service.openChannel(lost)
        link.pump()
        self.assertEqual(2 * MIB, service._windows.taken)
        self.assertEqual(1, service._windows.count)
        link.lose()
        for end in (service, lost.conn):
            self.assertEqual((0, 0), (end._windows.taken, end._windows.count))
