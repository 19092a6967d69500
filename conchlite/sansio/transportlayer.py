"""
The transport: RFC 4253 as a machine, for both roles.

Bytes go in by L{TransportLayer.feed}; packets come out by
L{TransportLayer.next}, one at a time; those of the transport's own go back in
by L{TransportLayer.handle}, which answers with events. What is to be written
gathers until L{TransportLayer.takeOutput}; that half is
L{conchlite.sansio.sending}.

What may come in and what may go out, and when, is in L{conchlite.sansio.phases}.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from conchlite.algorithms import catalogue
from conchlite.algorithms.blobs import plainBlob
from conchlite.algorithms.catalogue import AlgorithmSet
from conchlite.algorithms.ciphers.plain import PlainOpener
from conchlite.error import (
    BadCompression,
    HostKeyReplaced,
    StrictKexViolation,
    UnexpectedMessage,
    UsageError,
)
from conchlite.limits import MAXIMUM_NOISE_IN_EXCHANGE, MAXIMUM_PACKET_LENGTH
from conchlite.sansio import events
from conchlite.sansio.configuration import Configuration
from conchlite.sansio.events import Event
from conchlite.sansio.kexinits import KexInitPayload, agreed, extensions, kept, offered, read
from conchlite.sansio.keyderivation import KeyDerivation, makeCiphers
from conchlite.sansio.keyexchange import ExchangeState, KeyExchange, Transcript
from conchlite.sansio.negotiation import (
    NegotiatedAlgorithms,
    checkStrictness,
    guessedWrong,
    isStrict,
)
from conchlite.sansio.packets import PacketReader
from conchlite.sansio.phases import (
    EXCHANGE_PHASES,
    FIRST_PHASES,
    METHOD,
    Outgoing,
    Phase,
    admitted,
)
from conchlite.sansio.rekeying import ENOUGH_PACKETS, KeyWear, RenewalCount, volumeLimit
from conchlite.sansio.role import Role
from conchlite.sansio.sending import SendingHalf
from conchlite.sansio.version import VersionReader
from conchlite.wire import numbers, transport

if TYPE_CHECKING:
    from conchlite.algorithms.base import Inflater, Opener, RandomBytes


class TransportLayer(SendingHalf):
    """
    One end of one connection.

    @ivar phase: what may come in.
    @ivar peerVersion: the peer's identification line, once it has come.
    @ivar sessionID: the exchange hash of the first exchange, or empty.
    @ivar hostKey: the blob of the server's host key in it; C{hostKeySignature}: what a client saw it sign.
    @ivar negotiated: what the running keys were negotiated to be, or L{None}.
    """

    # Beyond 30 attributes of its own, Python gives an object a table of their
    # names, of 1.5 KiB: what few connections need begins here.
    _renewals: RenewalCount | None = None

    def __init__(self, role: Role, configuration: Configuration, randomBytes: RandomBytes) -> None:
        super().__init__(role, randomBytes)
        self._configuration = configuration
        self._versionReader: VersionReader | None = VersionReader(
            configuration.supportedVersions, role is Role.CLIENT
        )
        self._reader = PacketReader(PlainOpener())
        self._wear = KeyWear()
        self._noise = 0
        self._kexInitSent = False
        self._exchange: KeyExchange | None = None
        self._pending: NegotiatedAlgorithms | None = None
        self._nextOpener: Opener | None = None
        # The first is the one that was judged.
        self._acceptedHostKeys: list[bytes] = []
        self._phaseBehind = Phase.SECURED
        self._strict = False
        self._wantsExtensions = False
        self.peerVersion = b""
        self.sessionID = self.hostKey = self.hostKeySignature = b""
        self.negotiated: NegotiatedAlgorithms | None = None
        self._ourKexInit = self._peerKexInit = KexInitPayload()
        self._setPhase(Phase.VERSION)

    # What comes in.

    def feed(self, data: bytes) -> list[Event]:
        """
        Take what the peer sent.

        @raise BadVersion: it did not begin with a version that will do.
        """
        reader = self._versionReader
        if reader is None:
            self._reader.feed(data)
            return []
        found = reader.feed(data)
        if found is None:
            return []
        self.peerVersion, rest = found
        self._versionReader = None
        self._setPhase(Phase.FIRST_KEXINIT)
        if rest:
            self._reader.feed(rest)
        return [events.VersionReceived(self.peerVersion, tuple(reader.otherLines))]

    @property
    def paused(self) -> bool:
        """
        Whether a verdict is awaited, so that nothing is read.
        """
        return self.phase in (Phase.FIRST_VERDICT, Phase.VERDICT)

    @property
    def otherLines(self) -> Sequence[bytes]:
        """
        What the peer has said so far instead of its identification line.
        """
        return () if self._versionReader is None else self._versionReader.otherLines

    @property
    def waiting(self) -> int:
        """
        The number of bytes that came and were not read yet.
        """
        return self._reader.waiting

    @property
    def unread(self) -> bytes:
        """
        The bytes that came and were not read yet.
        """
        return (self._versionReader or self._reader).unread

    @property
    def bytesReceived(self) -> int:
        """
        The size of all packets that were opened.
        """
        return self._reader.volumeBefore + self._reader.volume

    @property
    def incomingSequence(self) -> int:
        """
        The sequence number of the packet that comes next.
        """
        return self._reader.sequence

    @property
    def outgoingSequence(self) -> int:
        """
        The sequence number of the packet that goes next.
        """
        return self._writer.sequence

    @property
    def exchanging(self) -> bool:
        """
        Whether keys are being exchanged, from the first KEXINIT of either
        side to both NEWKEYS.
        """
        return self._kexInitSent or self.phase in EXCHANGE_PHASES

    def next(self) -> bytes | None:
        """
        The next packet that came whole: padding_length, payload, padding; so
        the message's number is its second byte.

        @raise UnexpectedMessage: the phase does not allow it.
        @raise PeerError: it is no packet.
        """
        if not self._admitted:
            return None
        packet = self._reader.next()
        if packet is None:
            return None
        if self._compression.inflater is not None:
            packet = self._inflate(self._compression.inflater, packet)
        if packet[1] not in self._admitted:
            self._refuse(packet[1])
        return packet

    def _inflate(self, inflater: Inflater, packet: bytes) -> bytes:
        # What a packet may hold does not depend on how it travels.
        payload = inflater.inflate(
            memoryview(packet)[1 : len(packet) - packet[0]], self._reader.maximumLength
        )
        if not payload:
            raise BadCompression("a packet inflates to nothing")
        return b"\0" + payload

    def _refuse(self, number: int) -> None:
        text = f"{numbers.messageName(number)} while {self.phase.value}"
        if self._strict and self.phase in FIRST_PHASES:
            raise StrictKexViolation(text)
        raise UnexpectedMessage(text)

    def _setPhase(self, phase: Phase) -> None:
        self.phase = phase
        self._admitted = admitted(phase, self.role, self._strict)

    def handle(self, number: int, body: bytes) -> list[Event]:
        """
        A message of the transport's own: a number below 50.

        @param body: what follows the number.
        @return: what the floor above has to know.
        @raise PeerError: the message breaks the protocol.
        """
        if self.phase is Phase.SECURED:
            self._setPhase(Phase.LOGIN)
            if number == numbers.MSG_EXT_INFO:
                return [events.ExtensionsReceived(extensions(body))]
        if number in METHOD:
            return self._receiveMethod(number, body)
        return _HANDLERS[number](self, body)

    def serviceMessageSeen(self) -> None:
        """
        A message from 50 on came: the place for EXT_INFO right behind NEWKEYS
        is past.
        """
        if self.phase is Phase.SECURED:
            self._setPhase(Phase.LOGIN)

    def authenticated(self) -> None:
        """
        The user is who he says: messages of the connection may come, and
        larger packets.
        """
        self._reader.maximumLength = MAXIMUM_PACKET_LENGTH
        if self.role is Role.SERVER and self.outgoing is Outgoing.HELD:
            self._loginHeld = True
        else:
            self._compression.loginOver(incomingToo=self.phase not in EXCHANGE_PHASES)
        if self.phase in EXCHANGE_PHASES:
            self._phaseBehind = Phase.OPEN
        else:
            self._setPhase(Phase.OPEN)

    # What goes out.

    def start(self) -> None:
        """
        Send our identification line.
        """
        self._output.append(self._configuration.version + b"\r\n")

    def refuseVersion(self, text: bytes) -> None:
        """
        Say in plain text why the peer's version will not do.
        """
        self._output.append(text + b"\r\n")

    # The exchange.

    @property
    def mayRenewKeys(self) -> bool:
        """
        Whether a re-exchange can be begun: the user has logged in, and none is
        running.
        """
        return self.phase is Phase.OPEN and not self._kexInitSent

    def areKeysWorn(self, byteLimit: int, packetLimit: int) -> bool:
        """
        Whether the running keys have protected enough, in either direction:
        RFC 4253 section 9, RFC 4344 section 3.

        @raise KeysWornOut: so much that they must not protect any more.
        """
        reader, writer, wear = self._reader, self._writer, self._wear
        # This is asked for every burst, and nearly always answered with no.
        return (
            reader.volume >= byteLimit
            or writer.volume >= byteLimit
            or reader.packets >= packetLimit
            or writer.packets >= packetLimit
            or reader.volume >= wear.incomingVolume
            or writer.volume >= wear.outgoingVolume
            or reader.packets >= ENOUGH_PACKETS
            or writer.packets >= ENOUGH_PACKETS
        ) and wear.checked(reader.packets, writer.packets)

    def peerRenewsKeys(self, now: float | None, distance: int, perMinute: int) -> None:
        """
        The peer begins a re-exchange.

        @param now: the time in seconds, or L{None}.
        @param distance: with so many bytes in either direction since the last
            one it is not counted.
        @param perMinute: how many others a peer may begin.
        @raise TooManyRenewals: it was one too many.
        """
        if max(self._reader.volume, self._writer.volume) < distance:
            if self._renewals is None:
                self._renewals = RenewalCount()
            self._renewals.begun(now, perMinute)

    def sendKexInit(self, algorithms: AlgorithmSet) -> None:
        """
        Begin an exchange, or answer the peer's KEXINIT.

        @raise UsageError: our KEXINIT of a running exchange is out already.
        """
        if self._kexInitSent:
            raise UsageError("keys are being exchanged already")
        self._kexInitSent = True
        self.outgoing = Outgoing.HELD
        cookie = self._writer.randomBytes(16)
        self._ourKexInit = offered(self.role, algorithms, cookie, first=not self.sessionID)
        self.send((self._ourKexInit,))

    @property
    def ourKexInit(self) -> bytes:
        """
        The payload of our last KEXINIT.
        """
        return self._ourKexInit.whole

    @ourKexInit.setter
    def ourKexInit(self, payload: bytes) -> None:
        self._ourKexInit = kept(payload)

    @property
    def peerKexInit(self) -> bytes:
        """
        The payload of the peer's last KEXINIT.
        """
        return self._peerKexInit.whole

    @property
    def kexInitSent(self) -> bool:
        """
        Whether our KEXINIT of a running exchange is out.
        """
        return self._kexInitSent

    def _receiveKexInit(self, body: bytes) -> list[Event]:
        first = self.phase is Phase.FIRST_KEXINIT
        if not self._kexInitSent:
            raise UsageError("our own KEXINIT has to be sent before the peer's is handled")
        self._peerKexInit = kept(bytes((numbers.MSG_KEXINIT,)) + body)
        lists = (self._ourKexInit.lists, self._peerKexInit.lists)
        if self.role is Role.SERVER:
            lists = lists[::-1]
        client, server = map(read, lists)
        theirs = server if self.role is Role.CLIENT else client
        if first:
            self._strict = isStrict(client, server)
            if self._strict and self._reader.sequence != 1:
                raise StrictKexViolation("KEXINIT was not the peer's first message")
            self._wantsExtensions = catalogue.EXT_INFO_CLIENT in theirs.kexAlgorithms
        self._pending = negotiated = agreed(self.role, *lists, self._strict)
        if self.role is Role.CLIENT:
            self._checkStrictness(negotiated)
        self._beginExchange(negotiated)
        self._noise = 0
        if not first:
            self._phaseBehind = self.phase
        guessed = theirs.firstKexPacketFollows and guessedWrong(client, server)
        if first:
            self._setPhase(Phase.FIRST_GUESS if guessed else Phase.FIRST_EXCHANGE)
        else:
            self._setPhase(Phase.GUESS if guessed else Phase.EXCHANGE)
        return [events.ExchangeStarted()]

    def _checkStrictness(self, negotiated: NegotiatedAlgorithms) -> None:
        if not self._configuration.allowTerrapin:
            checkStrictness(negotiated)

    def _beginExchange(self, negotiated: NegotiatedAlgorithms) -> None:
        version = self._configuration.version
        if self.role is Role.CLIENT:
            transcript = Transcript(version, self.peerVersion, self.ourKexInit, self.peerKexInit)
            hostKey = b""
        else:
            transcript = Transcript(self.peerVersion, version, self.peerKexInit, self.ourKexInit)
            hostKey = self._configuration.hostKeys[negotiated.hostKey]
        method = catalogue.keyExchange(negotiated.keyExchange)
        if method.choosesGroup:
            method = method.choosingFrom(self._configuration.groups)
        self._exchange = KeyExchange(self.role, method, transcript, hostKey)
        for message in self._exchange.start():
            self.sendMessage(message)

    def _receiveMethod(self, number: int, body: bytes) -> list[Event]:
        if self.phase in (Phase.FIRST_GUESS, Phase.GUESS):
            self._setPhase(Phase.FIRST_EXCHANGE if self.phase is Phase.FIRST_GUESS else Phase.EXCHANGE)
            return []
        exchange, negotiated = self._running()
        for message in exchange.receive(number, body):
            self.sendMessage(message)
        if exchange.state is ExchangeState.SIGNING:
            self._await()
            return [events.SignatureWanted(negotiated.hostKey, exchange.exchangeHash)]
        if exchange.state is ExchangeState.COMPLETE:
            return self._judge(exchange, negotiated)
        return []

    def _running(self) -> tuple[KeyExchange, NegotiatedAlgorithms]:
        assert self._exchange is not None and self._pending is not None  # noqa: S101  # by the phase
        return self._exchange, self._pending

    def _await(self) -> None:
        self._setPhase(Phase.FIRST_VERDICT if self.phase is Phase.FIRST_EXCHANGE else Phase.VERDICT)

    def _judge(self, exchange: KeyExchange, negotiated: NegotiatedAlgorithms) -> list[Event]:
        self._configuration.verifySignature(
            negotiated.hostKey, exchange.hostKey, exchange.signature, exchange.exchangeHash
        )
        if not self._acceptedHostKeys:
            self._await()
            return [events.HostKeyOffered(exchange.hostKey)]
        if plainBlob(exchange.hostKey) not in map(plainBlob, self._acceptedHostKeys):
            raise HostKeyReplaced("a key re-exchange came with another host key")
        self._finish()
        return []

    def acceptHostKey(self) -> None:
        """
        The verdict on L{events.HostKeyOffered} is yes: go on.
        """
        self._acceptedHostKeys.append(self._running()[0].hostKey)
        self._finish()

    @property
    def acceptedHostKeys(self) -> Sequence[bytes]:
        """
        On a client, the blobs of the keys that the server may have in a
        re-exchange; the first is the one that was judged.
        """
        return self._acceptedHostKeys

    def addAcceptedHostKeys(self, hostKeys: Sequence[bytes]) -> None:
        """
        The server has proved, under the keys of this connection, that these
        are its own too: it may come with one of them in a re-exchange.
        """
        self._acceptedHostKeys += hostKeys

    def provideSignature(self, signature: bytes) -> None:
        """
        The answer to L{events.SignatureWanted}: go on.

        @param signature: the algorithm's name and the signature, packed.
        @raise StrictKexRequired: the keys must not be used.
        """
        exchange, negotiated = self._running()
        self.sendMessage(exchange.reply(signature))
        # The ssh-keyscan of OpenSSH does no strict key exchange and prefers
        # chacha20-poly1305, in 10.0 still. The host key is all that it wants,
        # and is out now; NEWKEYS is not, so nothing goes under that cipher.
        self._checkStrictness(negotiated)
        self._finish()

    def _finish(self) -> None:
        """
        Our part of the exchange is done: send NEWKEYS and use them.
        """
        exchange, negotiated = self._running()
        first = not self.sessionID
        if first:
            self.sessionID, self.hostKey = exchange.exchangeHash, exchange.hostKey
            self.hostKeySignature = exchange.signature
        keys = KeyDerivation(exchange.hashName, exchange.sharedSecret, exchange.exchangeHash, self.sessionID)
        self._exchange = None
        self.sendMessage(transport.NewKeys())
        sealer, self._nextOpener = makeCiphers(self.role, negotiated, keys)
        self._writer.setSealer(sealer)
        self._wear.outgoingVolume = volumeLimit(sealer.alignment)
        self._compression.setOutgoing(negotiated)
        if self._strict:
            self._writer.sequence = 0
        if self.phase in FIRST_PHASES:
            self._setPhase(Phase.FIRST_NEWKEYS)
        else:
            self._setPhase(Phase.NEWKEYS)
        self.outgoing = Outgoing.FREE
        if first and self._configuration.extensions and self._wantsExtensions:
            self.sendMessage(transport.ExtInfo(self._configuration.extensions))
        self._releaseHeld()

    def _receiveNewKeys(self, body: bytes) -> list[Event]:
        transport.NewKeys.unpack(body)
        assert self._nextOpener is not None and self._pending is not None  # noqa: S101  # by the phase
        self._reader.setOpener(self._nextOpener)
        self._wear.incomingVolume = volumeLimit(self._nextOpener.alignment)
        self._nextOpener = None
        self._compression.setIncoming(self._pending)
        if self._strict:
            self._reader.sequence = 0
        self.negotiated = self._pending
        self._kexInitSent = False
        first = self.phase is Phase.FIRST_NEWKEYS
        self._setPhase(self._phaseBehind)
        return [events.NewKeysUsed(first)]

    # The transport's other messages.

    def _receiveDisconnect(self, body: bytes) -> list[Event]:
        message = transport.Disconnect.unpack(body)
        return [events.Disconnected(message.reason, message.description)]

    def _countNoise(self) -> None:
        if self.phase in EXCHANGE_PHASES:
            self._noise += 1
            if self._noise > MAXIMUM_NOISE_IN_EXCHANGE:
                raise UnexpectedMessage(f"more than {MAXIMUM_NOISE_IN_EXCHANGE} idle messages")

    def _receiveIgnore(self, body: bytes) -> list[Event]:
        self._countNoise()
        return [events.Ignored(transport.Ignore.unpack(body).data)]

    def _receiveUnimplemented(self, body: bytes) -> list[Event]:
        self._countNoise()
        return [events.Unimplemented(transport.Unimplemented.unpack(body).sequenceNumber)]

    def _receiveDebug(self, body: bytes) -> list[Event]:
        self._countNoise()
        message = transport.Debug.unpack(body)
        return [events.Debug(message.alwaysDisplay, message.message, message.languageTag)]

    def _receiveServiceRequest(self, body: bytes) -> list[Event]:
        if self.role is Role.CLIENT:
            raise UnexpectedMessage("SERVICE_REQUEST from a server")
        return [events.ServiceRequested(transport.ServiceRequest.unpack(body).serviceName)]

    def _receiveServiceAccept(self, body: bytes) -> list[Event]:
        if self.role is Role.SERVER:
            raise UnexpectedMessage("SERVICE_ACCEPT from a client")
        # SSH.COM servers of the last century leave the name out.
        name = transport.ServiceAccept.unpack(body).serviceName if body else b""
        return [events.ServiceAccepted(name)]

    def _receiveExtInfo(self, body: bytes) -> list[Event]:
        # Admitted here only in LOGIN, from a server.
        self._setPhase(Phase.GRANTING)
        return [events.ExtensionsReceived(extensions(body))]


_HANDLERS: dict[int, Callable[[TransportLayer, bytes], list[Event]]] = {
    numbers.MSG_DISCONNECT: TransportLayer._receiveDisconnect,
    numbers.MSG_IGNORE: TransportLayer._receiveIgnore,
    numbers.MSG_UNIMPLEMENTED: TransportLayer._receiveUnimplemented,
    numbers.MSG_DEBUG: TransportLayer._receiveDebug,
    numbers.MSG_SERVICE_REQUEST: TransportLayer._receiveServiceRequest,
    numbers.MSG_SERVICE_ACCEPT: TransportLayer._receiveServiceAccept,
    numbers.MSG_EXT_INFO: TransportLayer._receiveExtInfo,
    numbers.MSG_KEXINIT: TransportLayer._receiveKexInit,
    numbers.MSG_NEWKEYS: TransportLayer._receiveNewKeys,
}
