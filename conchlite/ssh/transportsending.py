"""
The part of a transport that sends: RFC 4253 sections 6, 9 and 11.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from conchlite.error import PeerError, UnexpectedMessage
from conchlite.limits import MAXIMUM_HELD_ANSWERS, MAXIMUM_UNREAD_ANSWERS
from conchlite.sansio.phases import Outgoing
from conchlite.ssh.offer import AlgorithmOffer
from conchlite.ssh.prompt import PROMPT_BYTES
from conchlite.ssh.transportmessages import TransportMessages
from conchlite.wire import numbers, transport
from conchlite.wire.types import Buffer

# What a peer can make us say by asking for it, of what Deferreds decide.
_ANSWERS = frozenset(
    (
        numbers.MSG_REQUEST_SUCCESS,
        numbers.MSG_REQUEST_FAILURE,
        numbers.MSG_CHANNEL_OPEN_CONFIRMATION,
        numbers.MSG_CHANNEL_OPEN_FAILURE,
        numbers.MSG_CHANNEL_SUCCESS,
        numbers.MSG_CHANNEL_FAILURE,
    )
)


class TransportSending(AlgorithmOffer, TransportMessages):
    """
    Messages out, new keys in time, and word to the service when it may write.
    """

    rekeyBytes: int
    rekeyPackets: int

    _parsing = False
    _writePrompt: Callable[[bytes], None] | None = None
    _tcpFull = False
    _unreadAnswers = 0
    _serviceWritable = True
    _overridesSendPacket = False

    def failProtocol(self, error: PeerError) -> None:
        """
        The peer broke the protocol, or has nothing in common with us: say so,
        once, and end.
        """
        raise NotImplementedError

    def _flush(self) -> None:
        if not self._parsing:
            self._writeOutput()

    def _writeOutput(self) -> None:
        output = self._layer.takeOutput()
        if self._writePrompt is not None and output:
            self._writePrompt(output[0] if len(output) == 1 else b"".join(output))
        elif len(output) == 1:
            self._tcp().write(output[0])
        elif output:
            self._tcp().writeSequence(output)

    def sendPacket(self, messageType: int, payload: bytes) -> None:
        """
        Send one message; while keys are exchanged it waits for the new ones.

        @param messageType: the message's number.
        @param payload: what follows the number.
        """
        if not self._closing:
            heldBefore = self._layer.heldBytes
            self._layer.send([(bytes((messageType,)), payload)])
            if not self._parsing and messageType in _ANSWERS:
                # The answer of a Deferred. The others are counted when the
                # packets that came with them are done.
                try:
                    self._checkAnswers(self._layer.heldBytes - heldBefore)
                except PeerError as error:
                    self.failProtocol(error)
                    return
            self._flush()

    def _checkAnswers(self, heldGrown: int) -> None:
        """
        @param heldGrown: by how many bytes what is held back has grown.
        @raise UnexpectedMessage: it is too much.
        """
        # A peer that leaves our KEXINIT without an answer and asks for answers
        # of other kinds makes what we hold back grow as long as it likes.
        self._heldAnswers = max(0, self._heldAnswers + heldGrown)
        if self._heldAnswers > MAXIMUM_HELD_ANSWERS:
            raise UnexpectedMessage(f"{self._heldAnswers} bytes of answers wait for the peer's KEXINIT")
        # And one that does not read makes TCP's buffer grow. What an exchange
        # has just let go was counted when it was held.
        if self._tcpFull:
            self._unreadAnswers += self._layer.unwritten + min(0, heldGrown)
            if self._unreadAnswers > MAXIMUM_UNREAD_ANSWERS:
                raise UnexpectedMessage(f"{self._unreadAnswers} bytes of answers wait for the peer to read")

    def sendPackets(self, packets: Sequence[Sequence[Buffer]]) -> None:
        """
        Send messages in one write.

        @param packets: each in parts, the first of which begins with the
            message's number.
        """
        if self._overridesSendPacket:
            for parts in packets:
                whole = b"".join(parts)
                self.sendPacket(whole[0], whole[1:])
        elif not self._closing:
            self._layer.send(packets)
            self._renewWornKeys()
            # At once, even while packets are being handled: TCP says when it
            # is full, and what comes in a larger piece costs it more. Little
            # goes with what else there is to say to what came.
            if not self._parsing or self._tcpFull or self._layer.unwritten > PROMPT_BYTES:
                self._writeOutput()

    def sendIgnore(self, message: bytes) -> None:
        """
        Send IGNORE, RFC 4253 section 11.2.
        """
        self.sendPacket(numbers.MSG_IGNORE, transport.Ignore(message).pack())

    def sendDebug(self, message: bytes, alwaysDisplay: bool = False, language: bytes = b"") -> None:
        """
        Send DEBUG, RFC 4253 section 11.3.
        """
        self.sendPacket(numbers.MSG_DEBUG, transport.Debug(alwaysDisplay, message, language).pack())

    def sendUnimplemented(self) -> None:
        """
        Say that the message that is being handled is not known here, RFC 4253
        section 11.4.
        """
        sequence = (self._layer.incomingSequence - 1) & 0xFFFFFFFF
        self.sendPacket(numbers.MSG_UNIMPLEMENTED, transport.Unimplemented(sequence).pack())

    def sendKexInit(self) -> None:
        """
        Begin a key exchange; after the first one this is a re-exchange.

        @raise UsageError: keys are being exchanged already.
        """
        if self.sessionID:
            self._timers.exchangeStarted()
        self._layer.sendKexInit(self.checkedAlgorithms())
        self._tellWritable()
        self._flush()

    def renewKeys(self) -> None:
        """
        Begin a key re-exchange, unless one is running, or the user has not
        logged in yet: OpenSSH and others do not expect one before.
        """
        if self._layer.mayRenewKeys and not self._closing:
            self.sendKexInit()

    def _renewWornKeys(self) -> None:
        try:
            worn = self._layer.areKeysWorn(self.rekeyBytes, self.rekeyPackets)
        except PeerError as error:
            self.failProtocol(error)
        else:
            if worn:
                self.renewKeys()

    @property
    def canWrite(self) -> bool:
        """
        Whether data written now would go out now: no keys are being
        exchanged, and the connection below is not full.
        """
        return not (self._tcpFull or self._closing) and self._layer.outgoing is Outgoing.FREE

    def _tellWritable(self) -> None:
        writable = self.canWrite
        if self.service is not None and writable != self._serviceWritable:
            self._serviceWritable = writable
            if writable:
                self.service.resumeWriting()
            else:
                self.service.pauseWriting()


class Backpressure:
    """
    Stands between TCP and the transport: TCP pauses it when its buffer is
    full, and resumes it when it has drained.
    """

    def __init__(self, transport: TransportSending) -> None:
        self._transport = transport

    def pauseProducing(self) -> None:
        self._transport._tcpFull = True
        self._transport._tellWritable()

    def resumeProducing(self) -> None:
        self._transport._tcpFull = False
        self._transport._unreadAnswers = 0
        self._transport._tellWritable()

    def stopProducing(self) -> None:
        self._transport._tcpFull = True
