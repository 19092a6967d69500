"""
A TCP relay that cuts what goes through it into small pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from tests.interop.peers import LOCALHOST


class _End(Protocol):
    """
    One end of a connection through the relay: what it reads, the other writes.

    @ivar other: the other end, once it is connected.
    @ivar gone: fires when the connection is lost.
    """

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._waiting = bytearray()
        self._next: Any = None
        self._lost = False
        self.other: _End | None = None
        self.gone: Deferred[None] = Deferred()
        relay.ends.append(self)

    def connectionMade(self):
        self.transport.setTcpNoDelay(True)

    def join(self, other: _End) -> None:
        self.other, other.other = other, self
        self._continue()

    def dataReceived(self, data):
        self._waiting += data
        self._continue()

    def connectionLost(self, reason):
        self._lost = True
        self._continue()
        self.gone.callback(None)

    def _continue(self) -> None:
        # One piece in each turn of the reactor: two would leave as one.
        if self._next is None and self.other is not None:
            self._next = self._relay.reactor.callLater(0, self._write)

    def _write(self) -> None:
        self._next = None
        if self._waiting:
            size = self._relay.size()
            self.other.transport.write(bytes(self._waiting[:size]))
            del self._waiting[:size]
            self._relay.pieces += 1
            self._continue()
        elif self._lost:
            self.other.transport.loseConnection()

    def abort(self) -> Deferred[None]:
        if self._next is not None:
            self._next.cancel()
        # What is lost from now on is not told to the other end.
        self.other = None
        self.transport.abortConnection()
        return self.gone


class Relay:
    """
    A relay to one server.

    @ivar port: where it listens.
    @ivar pieces: how many pieces it wrote.
    """

    def __init__(self, reactor, port: int, size: Callable[[], int]) -> None:
        """
        @param port: where the server is.
        @param size: tells how large the next piece is at most, in bytes.
        """
        self.reactor = reactor
        self.size = size
        self.pieces = 0
        self.ends: list[_End] = []
        self._server = TCP4ClientEndpoint(reactor, LOCALHOST, port)
        self._listener = reactor.listenTCP(0, Factory.forProtocol(self._accept), interface=LOCALHOST)
        self.port = self._listener.getHost().port

    @classmethod
    def start(cls, test, reactor, port: int, size: Callable[[], int]) -> Relay:
        """
        Start one that is stopped when the test ends.
        """
        relay = cls(reactor, port, size)
        test.addCleanup(relay.stop)
        return relay

    def _accept(self) -> _End:
        near = _End(self)

        def connected(far):
            near.join(far)
            far.join(near)

        connecting = self._server.connect(Factory.forProtocol(lambda: _End(self)))
        connecting.addCallback(connected)
        return near

    def stop(self) -> Deferred[Any]:
        ended = [end.abort() for end in self.ends]
        return DeferredList([*ended, self._listener.stopListening()])
