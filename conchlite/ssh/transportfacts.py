"""
What can be asked of an SSH transport: who speaks, and under which algorithms.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from conchlite.error import safe
from conchlite.sansio.negotiation import NegotiatedAlgorithms
from conchlite.sansio.phases import NEVER_HELD, Phase
from conchlite.sansio.transportlayer import TransportLayer
from conchlite.ssh.address import SSHTransportAddress
from conchlite.wire import numbers

# Where a connection was when it ended; elsewhere it was in its first exchange.
_ENDED_WHEN = {
    Phase.VERSION: "before it said that it speaks SSH",
    Phase.SECURED: "during the login",
    Phase.LOGIN: "during the login",
    Phase.GRANTING: "during the login",
    Phase.OPEN: "without a word",
    Phase.GUESS: "in a key re-exchange",
    Phase.EXCHANGE: "in a key re-exchange",
    Phase.VERDICT: "in a key re-exchange",
    Phase.NEWKEYS: "in a key re-exchange",
}

# How much of what came instead of a version a person is shown.
_LINES_QUOTED = 3


class Encryptions(NamedTuple):
    """
    What runs in each direction, under Conch's names.

    @ivar outCipType: the cipher of what we send.
    @ivar inCipType: the cipher of what comes.
    @ivar outMACType: the MAC of what we send; C{none} where the cipher
        authenticates by itself.
    @ivar inMACType: the MAC of what comes, likewise.
    """

    outCipType: bytes
    inCipType: bytes
    outMACType: bytes
    inMACType: bytes


class TransportFacts:
    """
    The part of a transport that only tells.
    """

    # Conch's words for the state of the key exchange; applications that
    # override sendKexInit compare L{_keyExchangeState} with them.
    _KEY_EXCHANGE_NONE = "_KEY_EXCHANGE_NONE"
    _KEY_EXCHANGE_REQUESTED = "_KEY_EXCHANGE_REQUESTED"
    _KEY_EXCHANGE_PROGRESSING = "_KEY_EXCHANGE_PROGRESSING"

    isClient = False
    # There from when the connection is made.
    _layer: TransportLayer

    def _tcp(self) -> Any:
        # ITransport leaves out half of what transports have, so what is
        # optional is asked for by name.
        raise NotImplementedError

    def _started(self) -> TransportLayer | None:
        return getattr(self, "_layer", None)

    @property
    def sessionID(self) -> bytes:
        """
        The session identifier, RFC 4253 section 7.2; empty before the first
        exchange is done.
        """
        layer = self._started()
        return layer.sessionID if layer else b""

    @property
    def negotiated(self) -> NegotiatedAlgorithms | None:
        """
        What the connection runs on; L{None} before the first exchange is done.
        """
        layer = self._started()
        return layer.negotiated if layer else None

    @property
    def currentEncryptions(self) -> Encryptions:
        """
        What runs in each direction.
        """
        n = self.negotiated
        if n is None:
            return Encryptions(b"none", b"none", b"none", b"none")
        toServer = (n.cipherClientToServer, n.macClientToServer or b"none")
        toClient = (n.cipherServerToClient, n.macServerToClient or b"none")
        out, incoming = (toServer, toClient) if self.isClient else (toClient, toServer)
        return Encryptions(out[0], incoming[0], out[1], incoming[1])

    @property
    def outgoingCompressionType(self) -> bytes:
        """
        The compression of what we send.
        """
        n = self.negotiated
        if n is None:
            return b"none"
        return n.compressionClientToServer if self.isClient else n.compressionServerToClient

    @property
    def incomingCompressionType(self) -> bytes:
        """
        The compression of what comes.
        """
        n = self.negotiated
        if n is None:
            return b"none"
        return n.compressionServerToClient if self.isClient else n.compressionClientToServer

    @property
    def otherVersionString(self) -> bytes:
        """
        The peer's identification line, without its end; empty before it came.
        """
        layer = self._started()
        return layer.peerVersion if layer else b""

    @property
    def gotVersion(self) -> bool:
        """
        Whether the peer's identification line has come.
        """
        return bool(self.otherVersionString)

    @property
    def kexAlg(self) -> bytes | None:
        """
        The key exchange method.
        """
        return self.negotiated.keyExchange if self.negotiated else None

    @property
    def keyAlg(self) -> bytes | None:
        """
        The signature algorithm of the host key.
        """
        return self.negotiated.hostKey if self.negotiated else None

    @property
    def hostKey(self) -> bytes:
        """
        The blob of the host key that the server had in the first exchange;
        empty before its end.
        """
        layer = self._started()
        return layer.hostKey if layer else b""

    @property
    def hostKeySignature(self) -> bytes:
        """
        On a client, what the server signed in the first exchange: the session
        identifier, by its host key. An agent can be shown it as a proof that
        the connection is there.
        """
        layer = self._started()
        return layer.hostKeySignature if layer else b""

    @property
    def ourKexInitPayload(self) -> bytes:
        """
        The payload of our last KEXINIT.
        """
        return self._layer.ourKexInit

    @property
    def otherKexInitPayload(self) -> bytes:
        """
        The payload of the peer's last KEXINIT.
        """
        return self._layer.peerKexInit

    @property
    def incomingPacketSequence(self) -> int:
        """
        The sequence number of the packet that comes next.
        """
        return self._layer.incomingSequence

    @property
    def outgoingPacketSequence(self) -> int:
        """
        The sequence number of the packet that goes next.
        """
        return self._layer.outgoingSequence

    @property
    def _keyExchangeState(self) -> str:
        layer = self._started()
        if layer is None or not layer.kexInitSent:
            return self._KEY_EXCHANGE_NONE
        if layer.phase in (Phase.VERSION, Phase.FIRST_KEXINIT, Phase.SECURED, Phase.LOGIN, Phase.OPEN):
            return self._KEY_EXCHANGE_REQUESTED
        return self._KEY_EXCHANGE_PROGRESSING

    def _allowedKeyExchangeMessageType(self, messageType: int) -> bool:
        """
        Whether a message may be sent while keys are exchanged, RFC 4253 section
        7.1. Another KEXINIT may not.
        """
        return messageType in NEVER_HELD and messageType != numbers.MSG_KEXINIT

    def isEncrypted(self, direction: Literal["out", "in", "both"] = "out") -> bool:
        """
        Whether what is sent, what comes, or both, is encrypted.

        @raise TypeError: there is no such direction.
        """
        if direction not in ("out", "in", "both"):
            raise TypeError('direction must be "out", "in", or "both"')
        incoming = self.negotiated is not None
        outgoing = bool(self.sessionID)
        return {"out": outgoing, "in": incoming, "both": incoming and outgoing}[direction]

    def isVerified(self, direction: Literal["out", "in", "both"] = "out") -> bool:
        """
        Whether what is sent, what comes, or both, is authenticated: just what
        is encrypted, since no cipher goes without a MAC here.

        @raise TypeError: there is no such direction.
        """
        return self.isEncrypted(direction)

    def getPeer(self) -> SSHTransportAddress:
        """
        The peer's address.
        """
        return SSHTransportAddress(self._tcp().getPeer())

    def getHost(self) -> SSHTransportAddress:
        """
        Our own address.
        """
        return SSHTransportAddress(self._tcp().getHost())

    def _peerText(self) -> str:
        address = self._tcp().getPeer()
        host = getattr(address, "host", None)
        return f"{host}:{getattr(address, 'port', '')}" if host is not None else safe(str(address))

    def _endedText(self, reason: Failure) -> str:
        """
        What a person is told who sees only that the connection is gone.
        """
        layer = self._layer
        when = _ENDED_WHEN.get(layer.phase, "in the first key exchange")
        if reason.check(ConnectionDone):
            text = f"the connection to {self._peerText()} was closed {when}"
        else:
            text = f"the connection to {self._peerText()} was lost {when}: {reason.getErrorMessage()}"
        if layer.phase is Phase.VERSION and layer.otherLines:
            said = " / ".join(safe(line, 80) for line in layer.otherLines[:_LINES_QUOTED])
            text += f"; it said: {said}"
        return text
