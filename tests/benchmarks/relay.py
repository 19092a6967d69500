"""
A path with a delay and a bandwidth, on the loopback interface::

    python -m tests.benchmarks.relay serve port=PORT delay=MILLISECONDS bandwidth=BYTES

It brings each connection to C{PORT} of the same machine. C{delay} is that of a
round trip, C{bandwidth} is for a second. It tells where it listens, and what it
took, as the servers of L{tests.benchmarks.programs} do.

A path holds what is under way on it, and little more: who sends faster than it
carries, or to somebody who does not read, is made to wait. It delays bytes, not
packets: there is no slow start, no loss, and of TCP's own handshake only the
half in which the client's first bytes travel. So it shows what a protocol makes
of a delay, and not what TCP does.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from zope.interface import implementer

from tests.benchmarks.servers.common import listening

HOST = "127.0.0.1"

#: Bytes that wait at the path's beginning, beyond those that are under way: the
#: time until its source is told and has more.
QUEUE = 512 * 1024

#: Bytes on a path whose bandwidth has no limit.
UNLIMITED = 64 * 2**20


@implementer(IPushProducer)
class Line:
    """
    One direction of a path.

    @ivar size: how many bytes are under way.
    """

    def __init__(self, clock: Any, delay: float, bandwidth: float) -> None:
        """
        @param delay: how long a byte is under way, in seconds.
        @param bandwidth: how many bytes a second go in; 0 for all that come.
        """
        self._clock = clock
        self._delay = delay
        self._bandwidth = bandwidth
        self._limit = int(bandwidth * delay) + QUEUE if bandwidth else UNLIMITED
        # What is under way, and when it arrives: bytes, or what to do then.
        self._queue: deque[tuple[float, bytes | Callable[[], object]]] = deque()
        self._free = 0.0
        self._call: Any = None
        self._blocked = True
        self._source: Any = None
        self._sourcePaused = False
        self._sink: Any = None
        self.size = 0

    def comesFrom(self, source: Any) -> None:
        """
        @param source: the transport that is paused when the path is full.
        """
        self._source = source

    def leadsTo(self, sink: Any) -> None:
        """
        @param sink: the transport that gets what arrives.
        """
        self._sink = sink
        sink.registerProducer(self, True)
        self.resumeProducing()

    def send(self, data: bytes) -> None:
        """
        Take bytes from the source.
        """
        self.size += len(data)
        self._free = max(self._free, self._clock.seconds())
        if self._bandwidth:
            self._free += len(data) / self._bandwidth
        self._put(data)
        if self.size >= self._limit and not self._sourcePaused:
            self._sourcePaused = True
            self._source.pauseProducing()

    def end(self, what: Callable[[], object]) -> None:
        """
        Take the source's end.

        @param what: is called when it has arrived behind all bytes.
        """
        self._free = max(self._free, self._clock.seconds())
        self._put(what)

    def _put(self, item: bytes | Callable[[], object]) -> None:
        self._queue.append((self._free + self._delay, item))
        self._schedule()

    def _schedule(self) -> None:
        if self._queue and self._call is None and not self._blocked:
            wait = self._queue[0][0] - self._clock.seconds()
            self._call = self._clock.callLater(max(0.0, wait), self._arrive)

    def _arrive(self) -> None:
        self._call = None
        now = self._clock.seconds()
        while self._queue and self._queue[0][0] <= now and not self._blocked:
            _, item = self._queue.popleft()
            if isinstance(item, bytes):
                self.size -= len(item)
                self._sink.write(item)
            else:
                item()
        if self._sourcePaused and self.size < self._limit:
            self._sourcePaused = False
            self._source.resumeProducing()
        self._schedule()

    def pauseProducing(self) -> None:
        """
        The sink has enough: what arrives waits.
        """
        self._blocked = True

    def resumeProducing(self) -> None:
        """
        The sink takes more.
        """
        self._blocked = False
        self._schedule()

    def stopProducing(self) -> None:
        """
        The sink is gone, and what was on its way to it is lost.
        """
        self._blocked = True
        self._queue.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None


@implementer(IHalfCloseableProtocol)
class End(Protocol):
    """
    One end of a path.

    @ivar line: the way from here to the other end.
    @ivar other: the other end.
    """

    other: End

    def __init__(self, line: Line) -> None:
        self.line = line
        self.lost = False
        self._readEnded = False
        self._writeEnded = False

    def connectionMade(self) -> None:
        """
        What arrives can leave.
        """
        self.transport.setTcpNoDelay(True)
        self.line.comesFrom(self.transport)
        self.other.line.leadsTo(self.transport)

    def dataReceived(self, data: bytes) -> None:
        """
        Put it on its way.
        """
        self.line.send(data)

    def readConnectionLost(self) -> None:
        """
        Nothing follows; the other direction goes on.
        """
        self._readEnded = True
        self.line.end(self.other.closeWriting)
        self._closeIfEnded()

    def closeWriting(self) -> None:
        """
        The other end's end has arrived.
        """
        self._writeEnded = True
        if not self.lost:
            # Twisted waits for a producer that is registered.
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()
            self._closeIfEnded()

    def _closeIfEnded(self) -> None:
        if self._readEnded and self._writeEnded:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """
        L{closeWriting} has done it.
        """

    def close(self) -> None:
        """
        The other end is gone altogether.
        """
        if not self.lost:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def connectionLost(self, reason: object) -> None:
        """
        Tell the other end, behind all that was sent.
        """
        self.lost = True
        self.line.end(self.other.close)


class Relay:
    """
    A path to a server.

    @ivar port: where it begins.
    """

    def __init__(self, reactor: Any, port: int, roundTrip: float, bandwidth: float) -> None:
        """
        @param port: where the server is.
        @param roundTrip: how long there and back takes, in seconds.
        @param bandwidth: bytes a second in each direction; 0 for no limit.
        """
        self._reactor = reactor
        self._serverPort = port
        self._delay = roundTrip / 2
        self._bandwidth = bandwidth
        self.listener = reactor.listenTCP(0, Factory.forProtocol(self._accept), interface=HOST)
        self.port = self.listener.getHost().port

    def _accept(self) -> End:
        near, far = (End(Line(self._reactor, self._delay, self._bandwidth)) for _ in range(2))
        near.other, far.other = far, near
        # The server hears of the client when its first bytes could be there.
        self._reactor.callLater(self._delay, self._connect, near, far)
        return near

    def _connect(self, near: End, far: End) -> None:
        self._reactor.connectTCP(HOST, self._serverPort, _Far(near, far))


class _Far(ClientFactory):
    """
    Has the path's other end connected to the server.
    """

    noisy = False

    def __init__(self, near: End, far: End) -> None:
        self._near, self._far = near, far

    def buildProtocol(self, address: object) -> End:
        return self._far

    def clientConnectionFailed(self, connector: object, reason: object) -> None:
        self._near.close()


def main(action: str, *values: str) -> None:
    # epoll's time-outs are whole milliseconds, and a path may be shorter.
    from twisted.internet import selectreactor

    selectreactor.install()
    from twisted.internet import reactor

    assert action == "serve", action
    told = {name: float(value) for name, _, value in (each.partition("=") for each in values)}
    relay = Relay(reactor, int(told["port"]), told["delay"] / 1000, told["bandwidth"])
    listening(relay.port)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
