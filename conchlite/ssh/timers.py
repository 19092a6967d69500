"""
What a transport does when time passes: it gives up on a peer that does not
finish a key exchange, asks for fresh keys, and notices that a peer is gone.

All of it runs on the transport's clock. Where there is none, as on a transport
in memory, no time passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall

from conchlite.error import ConchError, ExchangeTimedOut, HandshakeTimedOut, LoginTimedOut, PeerSilent
from conchlite.wire import numbers

if TYPE_CHECKING:
    from conchlite.ssh.transportbase import SSHTransportBase


class Timers:
    """
    The timers of one transport.

    @ivar heard: whether the peer has said something; set by the transport
        whenever something comes.
    """

    __slots__ = (
        "_exchange",
        "_handshake",
        "_keepAlive",
        "_login",
        "_rekey",
        "_since",
        "_transport",
        "_unanswered",
        "heard",
    )

    def __init__(self, transport: SSHTransportBase) -> None:
        self._transport = transport
        self._handshake: IDelayedCall | None = None
        self._login: IDelayedCall | None = None
        self._exchange: IDelayedCall | None = None
        self._rekey: IDelayedCall | None = None
        self._keepAlive: IDelayedCall | None = None
        self._since = 0.0 if transport.clock is None else transport.clock.seconds()
        self._unanswered = 0
        self.heard = False

    def _later(self, seconds: float, function: Callable[[], None]) -> IDelayedCall | None:
        clock = self._transport.clock
        return clock.callLater(seconds, function) if clock is not None and seconds else None

    @property
    def elapsed(self) -> float:
        """
        How long the connection has been there, in seconds; 0 without a clock.
        """
        clock = self._transport.clock
        return 0.0 if clock is None else clock.seconds() - self._since

    def connected(self) -> None:
        """
        The connection is made: the login's time runs.
        """
        self._login = self._later(self._transport.loginTimeout, self._loginOver)

    def loginLimited(self) -> None:
        """
        There is another limit for the login; it counts from the connection
        all the same.
        """
        _cancel(self._login)
        self._login = None
        clock = self._transport.clock
        if clock is not None and self._transport.loginTimeout:
            left = self._since + self._transport.loginTimeout - clock.seconds()
            self._login = clock.callLater(max(0, left), self._loginOver)

    def exchanging(self) -> None:
        """
        The versions and the first exchange of keys begin: the handshake's
        time runs.
        """
        self._handshake = self._later(self._transport.handshakeTimeout, self._handshakeOver)

    def verdictAwaited(self) -> None:
        """
        A host key is being judged. It may be a person who does that, whose
        time is not the peer's: the handshake's time stands still, and begins
        anew with the verdict.
        """
        _cancel(self._handshake)
        self._handshake = None

    def verdictGiven(self) -> None:
        """
        The host key was accepted: the handshake's time runs again.
        """
        self.exchanging()

    def peerJudges(self) -> None:
        """
        We are a server, and have shown our host key. At the other end a
        person may be judging it, for as long as the login may take.
        """
        self.verdictAwaited()

    def exchangeStarted(self) -> None:
        """
        One of the sides wants new keys. Before the login, where there is no
        data to wait for, they take no longer than the first ones.
        """
        if self._exchange is None:
            transport = self._transport
            seconds = transport.exchangeTimeout if transport.isAuthenticated else transport.handshakeTimeout
            self._exchange = self._later(seconds, self._exchangeOver)

    def newKeys(self) -> None:
        """
        Keys were exchanged: they are good for some time.
        """
        for timer in (self._handshake, self._exchange, self._rekey):
            _cancel(timer)
        self._handshake = self._exchange = None
        self._rekey = self._later(self._transport.rekeySeconds, self._rekeyNow)

    def authenticated(self) -> None:
        """
        The user has logged in: a peer that says nothing is asked whether it
        is there.
        """
        _cancel(self._login)
        self._login = None
        if self._rekey is None and self._transport.rekeySeconds and self._transport.clock is not None:
            # They were due before there could be an exchange.
            self._rekey = self._transport.clock.callLater(0, self._rekeyNow)
        if self._keepAlive is None:
            self._keepAlive = self._later(self._transport.keepAliveInterval, self._probe)

    def stop(self) -> None:
        """
        The connection ends.
        """
        for timer in (self._handshake, self._login, self._exchange, self._rekey, self._keepAlive):
            _cancel(timer)
        self._handshake = self._login = self._exchange = self._rekey = self._keepAlive = None

    def _handshakeOver(self) -> None:
        self._handshake = None
        self._giveUp(HandshakeTimedOut("the peer did not finish the key exchange in time"))

    def _loginOver(self) -> None:
        self._login = None
        seconds = self._transport.loginTimeout
        if self._transport.isClient:
            text = f"the server did not finish the login within {seconds:g} seconds"
        else:
            text = f"the client did not log in within {seconds:g} seconds"
        error = LoginTimedOut(text)
        self._transport.end(error, numbers.DISCONNECT_BY_APPLICATION, b"login timed out")

    def _exchangeOver(self) -> None:
        self._exchange = None
        self._giveUp(ExchangeTimedOut("the peer did not finish the key re-exchange in time"))

    def _giveUp(self, error: ConchError) -> None:
        self._transport.end(error, numbers.DISCONNECT_KEY_EXCHANGE_FAILED, b"key exchange timed out")

    def _rekeyNow(self) -> None:
        self._rekey = None
        self._transport.renewKeys()

    def _probe(self) -> None:
        transport = self._transport
        if self.heard or transport._tcpPaused:
            # What it may have said is not read while something is decided.
            self._unanswered = 0
        elif self._unanswered >= transport.keepAliveCountMax:
            self._keepAlive = None
            silence = transport.keepAliveInterval * (self._unanswered + 1)
            error = PeerSilent(f"the peer has said nothing for {silence:g} seconds")
            transport.end(error, numbers.DISCONNECT_CONNECTION_LOST, b"no answer")
            return
        else:
            self._unanswered += 1
            if transport.service is not None:
                transport.service.sendKeepAlive()
        self.heard = False
        self._keepAlive = self._later(transport.keepAliveInterval, self._probe)


def _cancel(timer: IDelayedCall | None) -> None:
    if timer is not None and timer.active():
        timer.cancel()
