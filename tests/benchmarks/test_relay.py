"""
L{tests.benchmarks.relay}: what it delays, and by how much.
"""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.benchmarks.relay import QUEUE, UNLIMITED, Line, Relay

# All are powers of two, so that no sum is rounded.
DELAY = 0.25
BANDWIDTH = 2**20


class Sink(StringTransport):
    """
    A transport that knows when what it got came.
    """

    def __init__(self, clock):
        super().__init__()
        self.clock = clock
        self.arrivals = []

    def write(self, data):
        self.arrivals.append((self.clock.seconds(), data))


class LineTests(SynchronousTestCase):
    """
    L{Line}, one direction.
    """

    def setUp(self):
        self.clock = Clock()

    def line(self, bandwidth=BANDWIDTH):
        self.source, self.sink = StringTransport(), Sink(self.clock)
        line = Line(self.clock, DELAY, bandwidth)
        line.comesFrom(self.source)
        line.leadsTo(self.sink)
        return line

    def test_delay(self):
        """
        Without a limit, what goes in comes out after the delay, to the moment.
        """
        line = self.line(0)
        line.send(b"first")
        self.clock.advance(DELAY / 2)
        line.send(b"second")
        self.clock.pump([DELAY / 2 - 2**-20, 2**-20])
        self.assertEqual(self.sink.arrivals, [(DELAY, b"first")])
        self.clock.advance(DELAY / 2)
        self.assertEqual(self.sink.arrivals[1:], [(1.5 * DELAY, b"second")])

    def test_rate(self):
        """
        What is sent at once arrives one behind the other, at the path's rate;
        a pause is not made up for.
        """
        line = self.line()
        size = BANDWIDTH // 16
        for _ in range(4):
            line.send(bytes(size))
        self.clock.pump([1 / 64] * 64)
        line.send(bytes(size))
        self.clock.pump([1 / 64] * 64)
        times = [when for when, _ in self.sink.arrivals]
        self.assertEqual(times, [DELAY + number / 16 for number in (1, 2, 3, 4)] + [1 + DELAY + 1 / 16])

    def test_pushesBack(self):
        """
        A source that is faster than the path is paused when the path is full,
        goes on when there is room, and has the whole bandwidth.
        """
        line = self.line()
        sent = most = 0
        while self.clock.seconds() < 8:
            while self.source.producerState == "producing":
                line.send(bytes(2**14))
                sent += 2**14
            most = max(most, line.size)
            self.clock.advance(2**-7)
        self.assertLessEqual(most, BANDWIDTH * DELAY + QUEUE + 2**14)
        arrived = sum(len(data) for _, data in self.sink.arrivals)
        self.assertEqual(arrived + line.size, sent)
        self.assertEqual(arrived, BANDWIDTH * (8 - DELAY))

    def test_noLimitIsBounded(self):
        """
        A path whose bandwidth has no limit does not hold without end, either.
        """
        line = self.line(0)
        chunk = bytes(2**20)
        while self.source.producerState == "producing":
            line.send(chunk)
        self.assertEqual(line.size, UNLIMITED)
        self.clock.advance(DELAY)
        self.assertEqual(self.source.producerState, "producing")

    def test_sinkWithoutRoom(self):
        """
        What arrives at somebody who does not read waits, and so does who sends.
        """
        line = self.line()
        line.pauseProducing()
        while self.source.producerState == "producing":
            line.send(bytes(2**14))
        self.clock.advance(60)
        self.assertEqual(self.sink.arrivals, [])
        self.assertEqual(self.source.producerState, "paused")
        line.resumeProducing()
        self.clock.advance(0)
        self.assertEqual(line.size, 0)
        self.assertEqual(self.source.producerState, "producing")

    def test_end(self):
        """
        The end arrives behind what was sent before it.
        """
        line = self.line()
        line.send(bytes(BANDWIDTH))
        line.end(lambda: self.sink.write(b"end"))
        self.clock.pump([1 / 4] * 8)
        self.assertEqual(self.sink.arrivals, [(1 + DELAY, bytes(BANDWIDTH)), (1 + DELAY, b"end")])

    def test_sinkGone(self):
        """
        Nothing is on its way to somebody who is gone.
        """
        line = self.line()
        line.send(b"late")
        line.stopProducing()
        line.send(b"later")
        self.assertEqual(self.clock.getDelayedCalls(), [])


class End(StringTransport):
    """
    A TCP transport, with a program behind it.
    """

    writeEnded = False

    def setTcpNoDelay(self, enabled):
        pass

    def loseWriteConnection(self):
        self.writeEnded = True


class RelayTests(SynchronousTestCase):
    """
    L{Relay}, both directions.
    """

    def setUp(self):
        self.reactor = MemoryReactorClock()
        self.relay = Relay(self.reactor, 22, 2 * DELAY, 0)
        _, self.listening, _, interface = self.reactor.tcpServers[0]
        self.assertEqual(interface, "127.0.0.1")
        self.client, self.near = self.meet(self.listening)

    def meet(self, factory):
        transport = End()
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(transport)
        return transport, protocol

    def reachServer(self):
        self.reactor.advance(DELAY)
        host, port, factory = self.reactor.tcpClients[0][:3]
        self.assertEqual((host, port), ("127.0.0.1", 22))
        self.server, self.far = self.meet(factory)

    def test_roundTrip(self):
        """
        A question and its answer take the whole time, half of it each; the
        question may be there as soon as the connection is.
        """
        self.near.dataReceived(b"question")
        self.reachServer()
        self.reactor.advance(0)
        self.assertEqual(self.server.value(), b"question")
        self.far.dataReceived(b"answer")
        self.reactor.advance(DELAY - 2**-20)
        self.assertEqual(self.client.value(), b"")
        self.reactor.advance(2**-20)
        self.assertEqual(self.client.value(), b"answer")

    def test_halfClose(self):
        """
        Who has said all that he has still hears the other; then both are closed.
        """
        self.reachServer()
        self.near.dataReceived(b"all")
        self.near.readConnectionLost()
        self.reactor.advance(DELAY)
        self.assertEqual(self.server.value(), b"all")
        self.assertTrue(self.server.writeEnded)
        self.assertFalse(self.server.disconnecting)
        self.far.dataReceived(b"and I")
        self.far.readConnectionLost()
        self.assertTrue(self.server.disconnecting)
        self.reactor.advance(DELAY)
        self.assertEqual(self.client.value(), b"and I")
        self.assertTrue(self.client.writeEnded)
        self.assertTrue(self.client.disconnecting)

    def test_lost(self):
        """
        A connection that is lost ends the other behind what was under way.
        """
        self.reachServer()
        self.far.dataReceived(b"last")
        self.far.connectionLost(Failure(ConnectionDone()))
        self.reactor.advance(DELAY)
        self.assertEqual(self.client.value(), b"last")
        self.assertTrue(self.client.disconnecting)

    def test_lostBeforeServer(self):
        """
        A client that is gone before the server heard of it ends that, too.
        """
        self.near.connectionLost(Failure(ConnectionDone()))
        self.reachServer()
        self.reactor.advance(0)
        self.assertTrue(self.server.disconnecting)

    def test_noServer(self):
        """
        Without a server the client is told at once.
        """
        self.reactor.advance(DELAY)
        factory = self.reactor.tcpClients[0][2]
        factory.clientConnectionFailed(None, Failure(ConnectionDone()))
        self.assertTrue(self.client.disconnecting)
