"""
What a transport does with each message of its own.

A message goes to the method C{ssh_} and its name, which a subclass may
override, and from there into the machine; what the machine says has happened
goes to a method each, and what an application may want to know to the
C{receive} methods.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from conchlite.algorithms.catalogue import LEGACY_NAMES, plainName
from conchlite.error import Disconnected, UnexpectedMessage, safe
from conchlite.sansio import events
from conchlite.sansio.events import Event
from conchlite.ssh.service import SSHService
from conchlite.ssh.timers import Timers
from conchlite.ssh.transportfacts import TransportFacts
from conchlite.wire import numbers, transport


class TransportMessages(TransportFacts):
    """
    The part of a transport that takes messages.

    @ivar peerExtensions: what the peer's EXT_INFO said.
    @ivar service: the running service, or L{None}.
    @ivar closeReason: why the connection ended, or is ending.
    """

    _log = Logger()

    peerExtensions: dict[bytes, bytes]
    service: SSHService | None = None
    closeReason: Failure | None = None
    clock: IReactorTime | None
    renewalDistance: int
    renewalsPerMinute: int
    _timers: Timers
    _closing = False
    _heldAnswers = 0
    _legacyTold: frozenset[tuple[str, bytes]] = frozenset()

    def sendUnimplemented(self) -> None:
        """
        Say that the message that is being handled is not known here, RFC 4253
        section 11.4.
        """
        raise NotImplementedError

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        """
        Send one message.
        """
        raise NotImplementedError

    def sendKexInit(self) -> None:
        """
        Begin a key exchange.
        """
        raise NotImplementedError

    def _tellWritable(self) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError

    def _maySay(self) -> bool:
        """
        Whether one more line in the log may be about this connection.
        """
        return True

    def _say(self, log: Callable[..., None], line: str, /, **fields: object) -> None:
        """
        Log a line that the peer can bring about as often as it connects.
        """
        if self._maySay():
            log(line, peer=self._peerText(), **fields)

    def tellLegacy(self, *uses: tuple[str, bytes | None]) -> None:
        """
        Warn in the log of each use of a legacy algorithm, once.

        @param uses: what for, in words, and an algorithm's name; others than
            legacy ones are let pass.
        """
        new = {
            (what, name): f"{what} {name.decode('ascii')}"
            for what, name in uses
            if name is not None and plainName(name) in LEGACY_NAMES and (what, name) not in self._legacyTold
        }
        if new:
            self._legacyTold |= new.keys()
            self._say(
                self._log.warn,
                "the connection with {peer} uses what is legacy: {algorithms}",
                algorithms=", ".join(new.values()),
            )

    def globalRequestMethod(self, requestName: bytes) -> Callable[[bytes], object] | None:
        """
        What answers a global request that is about the transport; L{None} if
        it is not.
        """
        return None

    def dispatchMessage(self, messageNum: int, payload: bytes) -> None:
        """
        Hand a message to who handles it: the method C{ssh_} and its name for
        the transport's own, else the service.

        @param messageNum: the message's number.
        @param payload: what follows it.
        """
        if messageNum == numbers.MSG_PING:
            self.ssh_PING(payload)
        elif messageNum >= numbers.FIRST_USERAUTH_NUMBER:
            self._layer.serviceMessageSeen()
            if self.service is None:
                raise UnexpectedMessage(f"message {messageNum} without a service")
            self.service.packetReceived(messageNum, payload)
        elif messageNum >= numbers.FIRST_KEX_METHOD_NUMBER:
            self._handle(messageNum, payload)
        else:
            name = _MESSAGE_METHODS.get(messageNum)
            if name is None:
                self.sendUnimplemented()
            else:
                getattr(self, name)(payload)

    def _handle(self, number: int, payload: bytes) -> None:
        self._perform(self._layer.handle(number, payload))

    def _perform(self, happened: Sequence[Event]) -> None:
        for event in happened:
            getattr(self, _PERFORMERS[type(event)])(event)
        self._tellWritable()

    def ssh_DISCONNECT(self, packet: bytes) -> None:
        """
        The peer ends the connection.
        """
        self._handle(numbers.MSG_DISCONNECT, packet)

    def ssh_IGNORE(self, packet: bytes) -> None:
        """
        Nothing is to be done.
        """
        self._handle(numbers.MSG_IGNORE, packet)

    def ssh_UNIMPLEMENTED(self, packet: bytes) -> None:
        """
        The peer does not know a message of ours.
        """
        self._handle(numbers.MSG_UNIMPLEMENTED, packet)

    def ssh_DEBUG(self, packet: bytes) -> None:
        """
        The peer has something to say to who looks for errors.
        """
        self._handle(numbers.MSG_DEBUG, packet)

    def ssh_SERVICE_REQUEST(self, packet: bytes) -> None:
        """
        A client asks for a service.
        """
        self._handle(numbers.MSG_SERVICE_REQUEST, packet)

    def ssh_SERVICE_ACCEPT(self, packet: bytes) -> None:
        """
        A server starts the service that was asked for.
        """
        self._handle(numbers.MSG_SERVICE_ACCEPT, packet)

    def ssh_EXT_INFO(self, packet: bytes) -> None:
        """
        The peer tells its extensions, RFC 8308.
        """
        self._handle(numbers.MSG_EXT_INFO, packet)

    def ssh_PING(self, packet: bytes) -> None:
        """
        The peer asks for a sign of life.
        """
        self._layer.serviceMessageSeen()
        self.sendPacket(numbers.MSG_PONG, transport.Pong(transport.Ping.unpack(packet).data).pack())

    def ssh_KEXINIT(self, packet: bytes) -> None:
        """
        The peer begins a key exchange, or answers ours.
        """
        if not self._layer.kexInitSent:
            if self.sessionID:
                now = None if self.clock is None else self.clock.seconds()
                self._layer.peerRenewsKeys(now, self.renewalDistance, self.renewalsPerMinute)
            self.sendKexInit()
        self._handle(numbers.MSG_KEXINIT, packet)

    def ssh_NEWKEYS(self, packet: bytes) -> None:
        """
        The peer uses the new keys from here on.
        """
        self._handle(numbers.MSG_NEWKEYS, packet)

    # What happened.

    def _versionReceived(self, event: events.VersionReceived) -> None:
        self._log.debug("{peer} is {version}", peer=self._peerText(), version=safe(event.version))

    def _exchangeStarted(self, event: events.ExchangeStarted) -> None:
        """
        Nothing is to be done: the service was told by L{_tellWritable}.
        """

    def _newKeysUsed(self, event: events.NewKeysUsed) -> None:
        self._heldAnswers = 0
        self._timers.newKeys()
        n = self.negotiated
        if n is not None:
            self.tellLegacy(
                ("key exchange", n.keyExchange),
                ("host key", n.hostKey),
                ("cipher", n.cipherClientToServer),
                ("cipher", n.cipherServerToClient),
                ("MAC", n.macClientToServer),
                ("MAC", n.macServerToClient),
            )
        if event.first:
            self._say(self._log.info, "{peer} secured: {negotiated}", negotiated=self.negotiated)
            self._secured()
        else:
            self._say(self._log.debug, "{peer} has new keys: {negotiated}", negotiated=self.negotiated)

    def _secured(self) -> None:
        """
        The first exchange is done.
        """

    def _disconnected(self, event: events.Disconnected) -> None:
        # First the reason: receiveError may call loseConnection.
        if self.closeReason is None:
            self.closeReason = Failure(Disconnected(event.reason, event.description, byPeer=True))
        self.receiveError(event.reason, event.description)
        if not self._closing:
            self._close()

    def _ignored(self, event: events.Ignored) -> None:
        """
        Nothing is to be done.
        """

    def _unimplemented(self, event: events.Unimplemented) -> None:
        self.receiveUnimplemented(event.sequenceNumber)

    def _debug(self, event: events.Debug) -> None:
        self.receiveDebug(event.alwaysDisplay, event.message, event.languageTag)

    def _extensionsReceived(self, event: events.ExtensionsReceived) -> None:
        self.peerExtensions.update(event.extensions)

    def receiveError(self, reasonCode: int, description: bytes) -> None:
        """
        The peer sent DISCONNECT. To be overridden; the connection is closed in
        any case.

        @param reasonCode: why, RFC 4253 section 11.1.
        @param description: the peer's words for it.
        """
        self._say(
            self._log.info,
            "{peer} disconnected: {reason} ({name}): {text}",
            reason=reasonCode,
            name=numbers.disconnectName(reasonCode),
            text=safe(description),
        )

    def receiveUnimplemented(self, seqnum: int) -> None:
        """
        The peer did not know a message of ours. To be overridden.

        @param seqnum: the message's sequence number.
        """
        self._log.debug("{peer} does not know our message {number}", peer=self._peerText(), number=seqnum)

    def receiveDebug(self, alwaysDisplay: bool, message: bytes, lang: bytes) -> None:
        """
        The peer sent DEBUG. To be overridden.
        """
        self._log.debug("{peer} says: {text}", peer=self._peerText(), text=safe(message))


# Event to the method that acts on it. Those that only one role sees stand in
# that role's class.
_PERFORMERS = {
    events.VersionReceived: "_versionReceived",
    events.HostKeyOffered: "_hostKeyOffered",
    events.SignatureWanted: "_signatureWanted",
    events.ExchangeStarted: "_exchangeStarted",
    events.NewKeysUsed: "_newKeysUsed",
    events.Disconnected: "_disconnected",
    events.Ignored: "_ignored",
    events.Unimplemented: "_unimplemented",
    events.Debug: "_debug",
    events.ExtensionsReceived: "_extensionsReceived",
    events.ServiceRequested: "_serviceRequested",
    events.ServiceAccepted: "_serviceAccepted",
}

_MESSAGE_METHODS = {
    number: f"ssh_{numbers.messageName(number)}"
    for number in (
        numbers.MSG_DISCONNECT,
        numbers.MSG_IGNORE,
        numbers.MSG_UNIMPLEMENTED,
        numbers.MSG_DEBUG,
        numbers.MSG_SERVICE_REQUEST,
        numbers.MSG_SERVICE_ACCEPT,
        numbers.MSG_EXT_INFO,
        numbers.MSG_KEXINIT,
        numbers.MSG_NEWKEYS,
    )
}
