"""
What both ends of an SSH transport have in common: RFC 4253.

L{conchlite.sansio.transportlayer} is the machine. Here it gets a connection to
read from and to write to, an application to ask, and the names that Conch
gave to all of it. A L{PeerError}, wherever the transport has caught it, comes
to C{failProtocol}: it becomes one line in the log, one DISCONNECT, and the
failure of everything that waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from conchlite import __version__
from conchlite.error import (
    ConchError,
    ConnectionEnded,
    Disconnected,
    HostKeyRejected,
    PeerError,
    UnexpectedMessage,
    UsageError,
    WeakKey,
    safe,
)
from conchlite.limits import (
    CLOSE_SECONDS,
    EXCHANGE_SECONDS,
    HANDSHAKE_SECONDS,
    MAXIMUM_RENEWALS_PER_MINUTE,
    MAXIMUM_UNAUTHENTICATED_BYTES,
    MAXIMUM_WAITING,
    RENEWAL_DISTANCE,
)
from conchlite.sansio.configuration import Configuration
from conchlite.sansio.phases import Phase
from conchlite.sansio.role import Role
from conchlite.sansio.transportlayer import TransportLayer
from conchlite.ssh.acknowledging import acknowledger
from conchlite.ssh.common import asBytes
from conchlite.ssh.permissions import PLAIN, Permissions
from conchlite.ssh.prompt import promptWriter
from conchlite.ssh.service import SSHService
from conchlite.ssh.timers import Timers
from conchlite.ssh.transportsending import Backpressure, TransportSending
from conchlite.wire import numbers, transport

if TYPE_CHECKING:
    from conchlite.algorithms.base import RandomBytes

_T = TypeVar("_T")


class SSHTransportBase(TransportSending, Protocol):
    """
    What the two ends of a transport have in common.

    @cvar supportedLanguages: not used; Conch has it.
    @cvar ourVersionString: our identification line, without its end.
    @cvar allowTerrapin: accept chacha20-poly1305, and CBC with a MAC of what is
        encrypted, with a peer that does no strict key exchange
        (CVE-2023-48795).
    @cvar minimumRSABits: the smallest RSA host key that is accepted, in bits.
    @cvar handshakeTimeout: how many seconds the first key exchange may take,
        without the time that the verdict on a host key takes; 0 for no limit.
    @cvar loginTimeout: how many seconds there are from the connection to the
        end of the login, the time included that people take to judge a host
        key or to type a password; 0 for no limit, which is a client's default.
    @cvar exchangeTimeout: how many seconds a re-exchange may take, after the
        login; before it C{handshakeTimeout} holds. 0 likewise.
    @cvar rekeyBytes: after how many bytes, sent or received, new keys are
        exchanged.
    @cvar rekeyPackets: after how many packets, sent or received, likewise.
    @cvar rekeySeconds: after how many seconds likewise; 0 for no limit.
    @cvar renewalsPerMinute: how many re-exchanges a peer may begin in a
        minute, not counting the first three, and those before which
        C{renewalDistance} bytes went either way.
    @cvar renewalDistance: so many bytes, sent or received since the exchange
        before.
    @cvar keepAliveInterval: after how many seconds of silence the peer is
        asked whether it is there; 0 for never. For logged in users alone.
    @cvar keepAliveCountMax: how often it is asked before the connection ends.
    @cvar clock: what timers run on; L{None} until the connection is made and
        its reactor found.
    @cvar randomBytes: where cookies and padding come from.
    @ivar peerExtensions: what the peer's EXT_INFO said.
    @ivar service: the running service, or L{None}.
    @ivar instance: on a client, the service that was requested last.
    @ivar closeReason: why the connection ended, or is ending.
    @ivar avatar: on a server, whose connection it is, after the login.
    @ivar logoutFunction: on a server, what ends the login.
    @ivar permissions: on a server, what users may do; after the login, what is
        left of it for this one.
    """

    protocolVersion = b"2.0"
    version = b"conchlite_" + __version__.encode("ascii")
    comment = b""
    ourVersionString = b"SSH-2.0-" + version
    supportedVersions: Sequence[bytes] = (b"1.99", b"2.0")

    supportedLanguages: Sequence[bytes] = []

    allowTerrapin = False
    minimumRSABits = 2048
    handshakeTimeout: float = HANDSHAKE_SECONDS
    loginTimeout: float = 0
    exchangeTimeout: float = EXCHANGE_SECONDS
    rekeyBytes = 2**30
    rekeyPackets = 2**30
    rekeySeconds: float = 3600
    renewalsPerMinute = MAXIMUM_RENEWALS_PER_MINUTE
    renewalDistance = RENEWAL_DISTANCE
    keepAliveInterval: float = 0
    keepAliveCountMax = 3
    clock: IReactorTime | None = None
    randomBytes: RandomBytes = staticmethod(os.urandom)

    role: Role
    # What Twisted's Factory wants of it changes from version to version.
    factory: Any
    instance: SSHService | None = None
    avatar: Any = None
    logoutFunction: Callable[[], object] | None = None
    permissions: Permissions = PLAIN

    _holds = 0
    _tcpPaused = False
    _unauthenticatedBytes = 0
    _authenticated = False
    _abortCall: IDelayedCall | None = None
    # The code of our own DISCONNECT.
    _disconnectCode: int | None = None
    _acknowledge: Callable[[], object] | None = None
    _timers: Timers

    # Subclasses written for Conch define __init__ without calling ours, so
    # nothing is set up there.
    _dataPath: Mapping[int, Callable[[memoryview], None]] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls._overridesSendPacket = cls.sendPacket is not SSHTransportBase.sendPacket
        cls._overridesDispatch = cls.dispatchMessage is not SSHTransportBase.dispatchMessage

    _overridesDispatch = False

    # The connection below.

    def connectionMade(self) -> None:
        """
        Begin, without waiting for the peer to do so.
        """
        tcp = self._tcp()
        if self.clock is None:
            self.clock = getattr(tcp, "reactor", None)
        if hasattr(tcp, "setTcpNoDelay"):
            tcp.setTcpNoDelay(True)
        self._acknowledge = acknowledger(tcp)
        self._writePrompt = promptWriter(tcp)
        if hasattr(tcp, "registerProducer"):
            tcp.registerProducer(Backpressure(self), True)
        self.peerExtensions = {}
        self._layer = TransportLayer(self.role, self._configuration(), self.randomBytes)
        self._timers = Timers(self)
        self._start()

    def _start(self) -> None:
        self._timers.connected()
        self._begin()

    def _begin(self) -> None:
        """
        Say who we are, and begin the first key exchange.
        """
        self._timers.exchanging()
        self._layer.start()
        try:
            self.sendKexInit()
        except UsageError as error:
            self._say(self._log.error, "cannot begin with {peer}: {error}", error=error)
            self.end(error, numbers.DISCONNECT_BY_APPLICATION, b"internal error")
        self._flush()

    def _tcp(self) -> Any:
        # ITransport leaves out half of what transports have, so what is
        # optional is asked for by name.
        return self.transport

    def _configuration(self) -> Configuration:
        return Configuration(
            self.ourVersionString,
            tuple(self.supportedVersions),
            self._verifySignature,
            allowTerrapin=self.allowTerrapin,
        )

    def _verifySignature(self, algorithm: bytes, hostKey: bytes, signature: bytes, data: bytes) -> None:
        from conchlite.algorithms.publickeys.signatures import verifySignature

        verifySignature(algorithm, hostKey, signature, data, self.minimumRSABits)

    def dataReceived(self, data: bytes) -> None:
        """
        Take what the peer sent.
        """
        if self._closing:
            return
        self._timers.heard = True
        try:
            if not self._authenticated:
                self._countBytes(len(data))
            self._perform(self._layer.feed(data))
        except PeerError as error:
            if self._layer.phase is Phase.VERSION:
                if isinstance(error.data, bytes):
                    self._unsupportedVersionReceived(error.data)
                self._layer.refuseVersion(error.answer.encode("ascii"))
            self.failProtocol(error)
            return
        self._parse()

    def _unsupportedVersionReceived(self, remoteVersion: bytes) -> None:
        """
        The peer speaks another version, and is told so when this returns.
        Programs written for Conch override it to say it in their own words, and
        then close the connection.
        """

    def _countBytes(self, size: int) -> None:
        self._unauthenticatedBytes += size
        if self._unauthenticatedBytes > MAXIMUM_UNAUTHENTICATED_BYTES:
            raise UnexpectedMessage(f"more than {MAXIMUM_UNAUTHENTICATED_BYTES} bytes without a login")

    def _parse(self) -> None:
        """
        Handle every packet that is there, as long as no verdict is awaited,
        and write what came of it at once.
        """
        if self._parsing or self._closing:
            return
        self._parsing = True
        layer = self._layer
        heldBefore = layer.heldBytes
        onlyData = True
        try:
            while not (self._holds or self._closing):
                packet = layer.next()
                if packet is None:
                    break
                number = packet[1]
                fast = self._dataPath.get(number)
                if fast is not None:
                    fast(memoryview(packet)[2 : len(packet) - packet[0]])
                else:
                    onlyData = False
                    self.dispatchMessage(number, packet[2 : len(packet) - packet[0]])
            self._checkAnswers(layer.heldBytes - heldBefore)
        except PeerError as error:
            self.failProtocol(error)
        except WeakKey as error:
            self.end(
                HostKeyRejected(error.value), numbers.DISCONNECT_HOST_KEY_NOT_VERIFIABLE, b"bad host key"
            )
        finally:
            self._parsing = False
        # What we write acknowledges what came. So does data, by its amount.
        answered = onlyData or layer.unwritten
        self._flush()
        if not (answered or self._closing or self._acknowledge is None):
            self._acknowledge()
        self._pauseOrResumeTCP()
        self._renewWornKeys()

    def _pauseOrResumeTCP(self) -> None:
        wanted = bool(self._holds) and self._layer.waiting > MAXIMUM_WAITING and not self._closing
        if wanted != self._tcpPaused:
            self._tcpPaused = wanted
            if wanted:
                self._tcp().pauseProducing()
            else:
                self._tcp().resumeProducing()

    def pauseWhile(self, deferred: Deferred[_T]) -> Deferred[_T]:
        """
        Read no further packet until C{deferred} has fired, and every callback
        that was added to it meanwhile has run.

        @return: C{deferred}.
        """
        self._holds += 1

        def fired(result: _T) -> _T:
            # Behind the callbacks that the caller adds after this one.
            deferred.addBoth(self._release)
            return result

        return deferred.addBoth(fired)

    def _release(self, result: _T) -> _T:
        self._holds -= 1
        if not self._holds:
            try:
                self._parse()
            except Exception as error:  # noqa: BLE001  a defect, which the reactor does not see here
                self._log.failure("handling what {peer} sent failed", peer=self._peerText())
                defect = ConchError(f"handling what the peer sent failed: {safe(str(error))}", Failure())
                self.end(defect, numbers.DISCONNECT_BY_APPLICATION, b"internal error")
            if not self._closing:
                self._pauseOrResumeTCP()
        return result

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The connection ended: stop the service, log the user out.
        """
        closing, self._closing = self._closing, True
        self._timers.stop()
        if self._abortCall is not None and self._abortCall.active():
            self._abortCall.cancel()
        if self.closeReason is None:
            self.closeReason = Failure(ConnectionEnded(self._endedText(reason), reason))
        self._tellEnd(closing, reason)
        service, self.service = self.service, None
        self._dataPath = {}
        logout, self.logoutFunction = self.logoutFunction, None
        try:
            if service is not None:
                service.serviceStopped()
        finally:
            # A login ends whatever a program's service makes of it.
            if logout is not None:
                logout()

    # Ending.

    def failProtocol(self, error: PeerError) -> None:
        """
        The peer broke the protocol, or has nothing in common with us: say so,
        once, and end.
        """
        if not self._closing:
            self._say(
                self._log.warn, "giving up on {peer}: {error}", error=f"{type(error).__name__}: {error}"
            )
        self.end(error, error.reason, error.answer.encode("ascii"))

    def end(self, error: ConchError, reason: int, description: bytes) -> None:
        """
        Send DISCONNECT and close the connection.

        @param error: what everything that waits fails with.
        @param reason: the reason code, RFC 4253 section 11.1.
        @param description: the text that the peer gets.
        """
        if self._closing:
            return
        if self.closeReason is None:
            self.closeReason = Failure(error)
        self.sendDisconnect(reason, description)

    def sendDisconnect(self, reason: int, desc: bytes) -> None:
        """
        Send DISCONNECT and close the connection. What the peer sends from now
        on is not read.

        @param reason: the reason code, RFC 4253 section 11.1.
        @param desc: the text that goes with it.
        """
        if self._closing:
            return
        desc = asBytes(desc)
        self._disconnectCode = reason
        if self.closeReason is None:
            self.closeReason = Failure(Disconnected(reason, desc))
        self._say(
            self._log.info,
            "disconnecting from {peer}: {reason} ({name}): {text}",
            reason=reason,
            name=numbers.disconnectName(reason),
            text=safe(desc),
        )
        if self._layer.phase is not Phase.VERSION:
            self.sendPacket(numbers.MSG_DISCONNECT, transport.Disconnect(reason, desc, b"").pack())
        self._close()

    def _close(self) -> None:
        """
        Write what waits, and close; abort if that takes too long.
        """
        self._closing = True
        self._timers.stop()
        tcp = self._tcp()
        self._writeOutput()
        if hasattr(tcp, "unregisterProducer"):
            tcp.unregisterProducer()
        if self._tcpPaused:
            # A paused connection would never see the peer close.
            self._tcpPaused = False
            tcp.resumeProducing()
        if self.clock is not None and hasattr(tcp, "abortConnection"):
            self._abortCall = self.clock.callLater(CLOSE_SECONDS, tcp.abortConnection)
        tcp.loseConnection()

    def logPrefix(self) -> str:
        """
        What log lines about this transport begin with.
        """
        return type(self).__name__

    def loseConnection(self) -> None:
        """
        End the connection: DISCONNECT, then close.
        """
        self.sendDisconnect(numbers.DISCONNECT_CONNECTION_LOST, b"user closed connection")

    def abortConnection(self) -> None:
        """
        Drop the connection at once, without a word to the peer.
        """
        self._closing = True
        self._timers.stop()
        tcp = self._tcp()
        if hasattr(tcp, "abortConnection"):
            tcp.abortConnection()
        else:
            tcp.loseConnection()

    def _tellEnd(self, closing: bool, reason: Failure) -> None:
        """
        Write the one line that every connection ends with.

        @param closing: whether we were closing it.
        @param reason: what TCP says.
        """
        error = None if self.closeReason is None else self.closeReason.value
        code = self._disconnectCode
        if isinstance(error, Disconnected) and error.byPeer:
            closedBy, code = "the peer", error.reason
        elif closing:
            closedBy = "us"
        else:
            closedBy = "the peer" if reason.check(ConnectionDone) else "neither side"
        self._say(
            self._log.info,
            "the connection with {peer} ended after {seconds:.3f} seconds, closed by {closedBy}, {code}; "
            "{received} bytes came and {sent} went, under {algorithms}: {reason}",
            seconds=self._timers.elapsed,
            closedBy=closedBy,
            code="no reason code" if code is None else f"{numbers.disconnectName(code)} ({code})",
            received=self._layer.bytesReceived,
            sent=self._layer.bytesSent,
            algorithms=str(self.negotiated or "no keys"),
            reason=str(error),
        )

    # Services.

    def setService(self, service: SSHService) -> None:
        """
        Make C{service} the one that gets the messages from 50 on.
        """
        if self.service is not None:
            self.service.serviceStopped()
        self._dataPath = {}
        self.service = service
        service.transport = self
        self._serviceWritable = True
        service.serviceStarted()
        if self.service is service and not self._closing:
            self._dataPath = {} if self._overridesDispatch else service.dataPath()
            self._tellWritable()

    def limitLogin(self, seconds: float) -> None:
        """
        Change the time that a client has to log in, which runs already.

        @param seconds: how long that is, from the connection on; 0 for no
            limit.
        """
        self.loginTimeout = seconds
        self._timers.loginLimited()

    @property
    def buf(self) -> bytes:
        """
        What the peer sent that was not read yet: part of a packet, or all that
        waits while a verdict is awaited. To be looked at, not to be set.
        """
        # Programs look before there is a connection, too.
        return self._layer.unread if hasattr(self, "_layer") else b""

    @property
    def isAuthenticated(self) -> bool:
        """
        Whether the user is who he says. The service that finds out sets it.
        """
        return self._authenticated

    @isAuthenticated.setter
    def isAuthenticated(self, value: bool) -> None:
        if value and not self._authenticated:
            self._authenticated = True
            self._layer.authenticated()
            self._timers.authenticated()
            self._loggedIn()

    def _loggedIn(self) -> None:
        """
        The login is done.
        """
