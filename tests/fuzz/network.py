"""
A network of two ends in memory, on which bytes move when they are told to, and
what is watched on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from conchlite.error import ConchError


class TCP:
    """
    One end of a connection.

    @ivar sent: all that was written.
    @ivar delivered: all that the other end has got.
    @ivar wire: what is between them.
    @ivar paused: whether our protocol wants to read nothing.
    @ivar lost: whether our protocol knows that the connection is gone.
    """

    disconnecting = False

    def __init__(self, protocol: Any, capacity: int) -> None:
        """
        @param capacity: when more bytes than this are on the wire, the
            protocol is told to write no more.
        """
        self.protocol = protocol
        self.capacity = capacity
        self.peer: TCP
        self.wire = bytearray()
        self.sent = bytearray()
        self.delivered = bytearray()
        self.paused = self.lost = False
        self._full = False
        self._producer: Any = None

    # What the protocol calls.

    def write(self, data: bytes) -> None:
        if self.disconnecting or self.lost:
            return
        self.wire += data
        self.sent += data
        if self._producer is not None and not self._full and len(self.wire) > self.capacity:
            self._full = True
            self._producer.pauseProducing()

    def writeSequence(self, pieces: Iterable[bytes]) -> None:
        self.write(b"".join(pieces))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._producer = producer

    def unregisterProducer(self) -> None:
        self._producer = None

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def loseConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.wire.clear()
        self.lose(ConnectionLost())

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.2", 22)

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 1022)

    # What tests call.

    @property
    def disturbed(self) -> bool:
        """
        Whether what has arrived, with what is on the wire, is not what was
        sent.
        """
        return self.sent != self.delivered + self.wire

    def deliver(self, size: int) -> bool:
        """
        Move at most C{size} bytes to the other end.

        @return: whether anything has happened.
        """
        piece = bytes(self.wire[:size]) if not self.peer.paused else b""
        if piece and not self.lost:
            del self.wire[:size]
            self.delivered += piece
            if self.peer.lost:
                return True
            self.peer.protocol.dataReceived(piece)
            if self._full and len(self.wire) <= self.capacity // 2:
                self._full = False
                if self._producer is not None:
                    self._producer.resumeProducing()
            return True
        if self.disconnecting and not self.lost and not self.wire:
            self.lose(ConnectionDone())
            self.peer.lose(ConnectionDone())
            return True
        return False

    def lose(self, reason: Exception) -> None:
        """
        Tell the protocol that the connection is gone.
        """
        if not self.lost:
            self.lost = True
            self.protocol.connectionLost(Failure(reason))


class Network:
    """
    A client and a server, and the connection between them.

    @ivar clock: what both run their timers on.
    """

    def __init__(self, client: Any, server: Any, capacity: int = 2**16) -> None:
        self.clock = Clock()
        client.clock = server.clock = self.clock
        self.client, self.server = TCP(client, capacity), TCP(server, capacity)
        self.client.peer, self.server.peer = self.server, self.client
        self.ends = (self.client, self.server)

    def start(self) -> None:
        for tcp in (self.server, self.client):
            tcp.protocol.makeConnection(tcp)

    def drain(self, size: int = 2**16) -> None:
        """
        Move everything both ways, in pieces, until nothing moves any more.
        """
        while self.client.deliver(size) | self.server.deliver(size):
            pass

    def cut(self) -> None:
        """
        The connection is gone, and what was on the wire.
        """
        for tcp in self.ends:
            tcp.wire.clear()
            tcp.lose(ConnectionLost())


class Watched:
    """
    Something with Deferreds that all have to fire.

    @ivar waiting: how many have not.
    @ivar problems: what was not as it should be.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self.problems: list[object] = []

    def watch(self, deferred: Deferred[Any] | None) -> None:
        """
        It has to fire, and with an error of ours if with any.
        """
        if deferred is not None:
            self.waiting += 1
            deferred.addBoth(self._fired)

    def _fired(self, result: Any) -> None:
        self.waiting -= 1
        error = getattr(result, "value", None)
        if error is not None and not isinstance(error, ConchError):
            self.problems.append(error)
