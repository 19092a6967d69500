"""
One key exchange, from the first message of its method to the exchange hash.

RFC 4253 section 8, RFC 5656 section 4, RFC 8731 and the hybrids are the same
two messages, INIT and REPLY, around a method's public values. Group exchange,
RFC 4419, asks for a group first; then it is the same two messages again under
other numbers::

    client: AWAIT_REPLY ------------------------------------> COMPLETE
            AWAIT_GROUP -> AWAIT_GROUP_REPLY ---------------> COMPLETE
    server: AWAIT_INIT -----------------------------> SIGNING -> COMPLETE
            AWAIT_GROUP_REQUEST -> AWAIT_GROUP_INIT -> SIGNING -> COMPLETE
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from conchlite.error import UnexpectedMessage
from conchlite.sansio.keyderivation import exchangeHash
from conchlite.sansio.role import Role
from conchlite.wire import kex, numbers
from conchlite.wire.codec import Message
from conchlite.wire.types import packMPInt, packString

if TYPE_CHECKING:
    from conchlite.algorithms.base import GroupExchange, KeyExchangeMethod


class ExchangeState(Enum):
    """
    Which message of the method comes next.
    """

    AWAIT_INIT = "awaiting the client's public value"
    AWAIT_REPLY = "awaiting the server's public value"
    AWAIT_GROUP_REQUEST = "awaiting the request for a group"
    AWAIT_GROUP = "awaiting the group"
    AWAIT_GROUP_INIT = "awaiting the client's public value in the group"
    AWAIT_GROUP_REPLY = "awaiting the server's public value in the group"
    SIGNING = "signing the exchange hash"
    COMPLETE = "complete"


class Transcript(NamedTuple):
    """
    What both sides have said before the method began.

    @ivar clientVersion: the client's identification line.
    @ivar serverVersion: the server's identification line.
    @ivar clientKexInit: the payload of the client's KEXINIT.
    @ivar serverKexInit: the payload of the server's KEXINIT.
    """

    clientVersion: bytes
    serverVersion: bytes
    clientKexInit: bytes
    serverKexInit: bytes


class KeyExchange:
    """
    The machine of one exchange, for either role.

    @ivar state: which message comes next.
    @ivar hashName: the hash of the method.
    @ivar hostKey: the server's host key blob; on a client from REPLY on.
    @ivar signature: the server's signature; on a client from REPLY on.
    @ivar exchangeHash: H, once both public values are there.
    @ivar sharedSecret: K, packed, once both public values are there.
    """

    def __init__(
        self,
        role: Role,
        method: KeyExchangeMethod | GroupExchange,
        transcript: Transcript,
        hostKey: bytes = b"",
    ) -> None:
        """
        @param hostKey: the server's host key blob; given on a server.
        """
        self._transcript = transcript
        self._method = method
        self._hashedBefore: list[bytes] = []
        self._private: Any = None
        self._clientPublic = b""
        self.hashName = method.hashName
        self.hostKey = hostKey
        self.signature = b""
        self.exchangeHash = b""
        self.sharedSecret = b""
        self._replyType: type[kex.KexReply] | type[kex.KexDHGexReply] = kex.KexReply
        self._serverPublic = b""
        self.state = _FIRST[role, method.choosesGroup]

    def start(self) -> list[Message]:
        """
        What is sent first.
        """
        if self.state is ExchangeState.AWAIT_REPLY:
            return [kex.KexInitial(self._makePublic())]
        if self.state is ExchangeState.AWAIT_GROUP:
            group = cast("GroupExchange", self._method)
            return [self._ask(kex.KexDHGexRequest(group.minimumBits, group.preferredBits, group.maximumBits))]
        return []

    def receive(self, number: int, body: bytes) -> list[Message]:
        """
        A message of the method came.

        @return: what is sent in answer.
        @raise UnexpectedMessage: it is not the one that comes next.
        @raise MalformedMessage: it cannot be parsed.
        @raise KeyExchangeFailed: a public value or a group is no good.
        """
        handler = _TABLE.get((self.state, number))
        if handler is None:
            raise UnexpectedMessage(f"message {number} of the key exchange while {self.state.value}")
        return handler(self, body)

    def reply(self, signature: bytes) -> Message:
        """
        The server's REPLY, and with it the end of the exchange.

        @param signature: the host key's signature over C{exchangeHash}.
        """
        self.state = ExchangeState.COMPLETE
        return self._replyType(self.hostKey, self._serverPublic, signature)

    def _ask(self, request: kex.KexDHGexRequest) -> kex.KexDHGexRequest:
        self._hashedBefore = [request.pack()]
        return request

    def _makePublic(self) -> bytes:
        self._clientPublic, self._private = cast("KeyExchangeMethod", self._method).keypair()
        return self._clientPublic

    def _setGroup(self, prime: int, generator: int) -> None:
        self._method = cast("GroupExchange", self._method).method(prime, generator)
        self._hashedBefore += (packMPInt(prime), packMPInt(generator))

    def _agree(self, clientPublic: bytes, serverPublic: bytes, sharedSecret: bytes) -> None:
        script = self._transcript
        self.sharedSecret = sharedSecret
        self.exchangeHash = exchangeHash(
            self.hashName,
            script.clientVersion,
            script.serverVersion,
            script.clientKexInit,
            script.serverKexInit,
            self.hostKey,
            [*self._hashedBefore, packString(clientPublic), packString(serverPublic), sharedSecret],
        )

    def _receiveInit(self, body: bytes) -> list[Message]:
        return self._encapsulate(kex.KexInitial.unpack(body).clientPublic)

    def _receiveGroupInit(self, body: bytes) -> list[Message]:
        self._replyType = kex.KexDHGexReply
        return self._encapsulate(kex.KexDHGexInit.unpack(body).clientPublic)

    def _encapsulate(self, clientPublic: bytes) -> list[Message]:
        method = cast("KeyExchangeMethod", self._method)
        self._serverPublic, sharedSecret = method.encapsulate(clientPublic)
        self._agree(clientPublic, self._serverPublic, sharedSecret)
        self.state = ExchangeState.SIGNING
        return []

    def _receiveReply(self, body: bytes) -> list[Message]:
        return self._decapsulate(kex.KexReply.unpack(body))

    def _receiveGroupReply(self, body: bytes) -> list[Message]:
        return self._decapsulate(kex.KexDHGexReply.unpack(body))

    def _decapsulate(self, reply: kex.KexReply | kex.KexDHGexReply) -> list[Message]:
        method = cast("KeyExchangeMethod", self._method)
        sharedSecret = method.decapsulate(self._private, reply.serverPublic)
        self._private = None
        self.hostKey = reply.hostKey
        self.signature = reply.signature
        self._agree(self._clientPublic, reply.serverPublic, sharedSecret)
        self.state = ExchangeState.COMPLETE
        return []

    def _receiveGroupRequest(self, body: bytes) -> list[Message]:
        request = self._ask(kex.KexDHGexRequest.unpack(body))
        prime, generator = cast("GroupExchange", self._method).choose(
            request.minimumBits, request.preferredBits, request.maximumBits
        )
        self._setGroup(prime, generator)
        self.state = ExchangeState.AWAIT_GROUP_INIT
        return [kex.KexDHGexGroup(prime, generator)]

    def _receiveGroup(self, body: bytes) -> list[Message]:
        group = kex.KexDHGexGroup.unpack(body)
        self._setGroup(group.prime, group.generator)
        self.state = ExchangeState.AWAIT_GROUP_REPLY
        return [kex.KexDHGexInit(self._makePublic())]


_FIRST = {
    (Role.CLIENT, False): ExchangeState.AWAIT_REPLY,
    (Role.CLIENT, True): ExchangeState.AWAIT_GROUP,
    (Role.SERVER, False): ExchangeState.AWAIT_INIT,
    (Role.SERVER, True): ExchangeState.AWAIT_GROUP_REQUEST,
}

_TABLE = {
    (ExchangeState.AWAIT_INIT, numbers.MSG_KEX_ECDH_INIT): KeyExchange._receiveInit,
    (ExchangeState.AWAIT_REPLY, numbers.MSG_KEX_ECDH_REPLY): KeyExchange._receiveReply,
    (ExchangeState.AWAIT_GROUP_REQUEST, numbers.MSG_KEX_DH_GEX_REQUEST): KeyExchange._receiveGroupRequest,
    (ExchangeState.AWAIT_GROUP, numbers.MSG_KEX_DH_GEX_GROUP): KeyExchange._receiveGroup,
    (ExchangeState.AWAIT_GROUP_INIT, numbers.MSG_KEX_DH_GEX_INIT): KeyExchange._receiveGroupInit,
    (ExchangeState.AWAIT_GROUP_REPLY, numbers.MSG_KEX_DH_GEX_REPLY): KeyExchange._receiveGroupReply,
}
