"""
The life of a channel, and what goes with it: RFC 4254 sections 5 and 6.

A channel has two directions. Each ends by itself, with EOF, and both at once,
with CLOSE, which each side sends once::

                    EOF in                     EOF out
      EOF_RECEIVED <------ OPEN <- OPENING     OPEN ------> EOF_SENT
           |                 |                                  |
           +---- EOF out ----+--> EOF_BOTH <------- EOF in -----+

    from each of these, CLOSE out leads to CLOSE_SENT (or to
    CLOSE_SENT_AFTER_EOF, where EOF came in), and CLOSE in to CLOSE_RECEIVED;
    from there the other CLOSE leads to CLOSED, where the channel has no
    numbers any more.

L{RECEIVED} and L{SENT} are the tables. A message that is not in the row of the
channel's state is an error of the peer, or is not sent.

Three liberties are in the table because peers take them. Data behind EOF is
accepted: Conch up to 26.10 sends EOF at once, and then the data that waited
for window. EOF may come twice: Conch sends it as often as the application
asks. And what comes behind the peer's own CLOSE is dropped by the floor above,
until our CLOSE makes the channel unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from enum import Enum
from typing import Generic, NewType, TypeVar

from conchlite.error import UnexpectedMessage
from conchlite.wire import numbers

#: The number that we gave a channel; what the peer sends carries it.
LocalChannel = NewType("LocalChannel", int)

#: The number that the peer gave a channel; what we send carries it.
RemoteChannel = NewType("RemoteChannel", int)


class ChannelState(Enum):
    """
    Where a channel is in its life.
    """

    OPENING = "opening"
    OPEN = "open"
    EOF_SENT = "open for the peer's data"
    EOF_RECEIVED = "open for our data"
    EOF_BOTH = "open without data"
    CLOSE_SENT = "closed by us"
    CLOSE_SENT_AFTER_EOF = "closed by us behind the peer's EOF"
    CLOSE_RECEIVED = "closed by the peer"
    CLOSED = "closed"


_S = ChannelState
_Row = dict[int, ChannelState]


def _receiving(stay: ChannelState, eof: ChannelState, close: ChannelState) -> _Row:
    same = (
        numbers.MSG_CHANNEL_WINDOW_ADJUST,
        numbers.MSG_CHANNEL_DATA,
        numbers.MSG_CHANNEL_EXTENDED_DATA,
        numbers.MSG_CHANNEL_REQUEST,
        numbers.MSG_CHANNEL_SUCCESS,
        numbers.MSG_CHANNEL_FAILURE,
    )
    return {
        **dict.fromkeys(same, stay),
        numbers.MSG_CHANNEL_EOF: eof,
        numbers.MSG_CHANNEL_CLOSE: close,
    }


#: State, message that came, state after it.
RECEIVED: dict[ChannelState, _Row] = {
    _S.OPENING: {
        numbers.MSG_CHANNEL_OPEN_CONFIRMATION: _S.OPEN,
        numbers.MSG_CHANNEL_OPEN_FAILURE: _S.CLOSED,
    },
    _S.OPEN: _receiving(_S.OPEN, _S.EOF_RECEIVED, _S.CLOSE_RECEIVED),
    _S.EOF_SENT: _receiving(_S.EOF_SENT, _S.EOF_BOTH, _S.CLOSE_RECEIVED),
    _S.EOF_RECEIVED: _receiving(_S.EOF_RECEIVED, _S.EOF_RECEIVED, _S.CLOSE_RECEIVED),
    _S.EOF_BOTH: _receiving(_S.EOF_BOTH, _S.EOF_BOTH, _S.CLOSE_RECEIVED),
    _S.CLOSE_SENT: _receiving(_S.CLOSE_SENT, _S.CLOSE_SENT_AFTER_EOF, _S.CLOSED),
    _S.CLOSE_SENT_AFTER_EOF: _receiving(_S.CLOSE_SENT_AFTER_EOF, _S.CLOSE_SENT_AFTER_EOF, _S.CLOSED),
    # A second CLOSE is not in this row: the peer has said it already.
    _S.CLOSE_RECEIVED: {
        number: _S.CLOSE_RECEIVED
        for number in _receiving(_S.CLOSE_RECEIVED, _S.CLOSE_RECEIVED, _S.CLOSE_RECEIVED)
        if number != numbers.MSG_CHANNEL_CLOSE
    },
    _S.CLOSED: {},
}


def _sending(stay: ChannelState, close: ChannelState, eof: ChannelState | None) -> _Row:
    row = {
        numbers.MSG_CHANNEL_WINDOW_ADJUST: stay,
        numbers.MSG_CHANNEL_REQUEST: stay,
        numbers.MSG_CHANNEL_SUCCESS: stay,
        numbers.MSG_CHANNEL_FAILURE: stay,
        numbers.MSG_CHANNEL_CLOSE: close,
    }
    if eof is not None:
        row[numbers.MSG_CHANNEL_DATA] = stay
        row[numbers.MSG_CHANNEL_EXTENDED_DATA] = stay
        row[numbers.MSG_CHANNEL_EOF] = eof
    return row


#: State, message that we send, state after it.
SENT: dict[ChannelState, _Row] = {
    _S.OPENING: {},
    _S.OPEN: _sending(_S.OPEN, _S.CLOSE_SENT, _S.EOF_SENT),
    _S.EOF_SENT: _sending(_S.EOF_SENT, _S.CLOSE_SENT, None),
    _S.EOF_RECEIVED: _sending(_S.EOF_RECEIVED, _S.CLOSE_SENT_AFTER_EOF, _S.EOF_BOTH),
    _S.EOF_BOTH: _sending(_S.EOF_BOTH, _S.CLOSE_SENT_AFTER_EOF, None),
    _S.CLOSE_SENT: {},
    _S.CLOSE_SENT_AFTER_EOF: {},
    # The peer takes no more data, but until our CLOSE comes it may want to know
    # how a program ended.
    _S.CLOSE_RECEIVED: {
        numbers.MSG_CHANNEL_REQUEST: _S.CLOSE_RECEIVED,
        numbers.MSG_CHANNEL_CLOSE: _S.CLOSED,
    },
    _S.CLOSED: {},
}

#: States in which nothing that the peer sends counts any more.
DEAF = frozenset((_S.CLOSE_RECEIVED, _S.CLOSED))


class ChannelLife:
    """
    The state of one channel.

    @ivar state: where it is.
    """

    __slots__ = ("state",)

    def __init__(self, state: ChannelState = ChannelState.OPENING) -> None:
        self.state = state

    def received(self, number: int) -> None:
        """
        A message came.

        @raise UnexpectedMessage: the state has no place for it.
        """
        after = RECEIVED[self.state].get(number)
        if after is None:
            raise UnexpectedMessage(f"{numbers.messageName(number)} for a channel that is {self.state.value}")
        self.state = after

    def maySend(self, number: int) -> bool:
        """
        Whether a message may go out now.
        """
        return number in SENT[self.state]

    def sent(self, number: int) -> None:
        """
        A message goes out; L{maySend} must have allowed it.
        """
        self.state = SENT[self.state][number]


class ChannelNumbers:
    """
    Gives out our numbers, in turn, so that a number comes again only when all
    the others were used: what a confused peer sends for an old channel never
    reaches a new one.

    @ivar next: the number that comes next, if it is free.
    """

    __slots__ = ("next",)

    def __init__(self) -> None:
        self.next = 0

    def take(self, used: Container[int]) -> LocalChannel:
        """
        A number that is not among C{used}.
        """
        while self.next in used:
            self.next = (self.next + 1) & 0xFFFFFFFF
        number = self.next
        self.next = (number + 1) & 0xFFFFFFFF
        return LocalChannel(number)


T = TypeVar("T")


class ReplyQueue(Generic[T]):
    """
    The replies that a peer awaits for its requests, in the order of the
    requests, in whatever order they are decided (RFC 4254 sections 4 and 5.4).

    @ivar limit: how many requests the peer may have waiting, those included
        that want no reply.
    """

    __slots__ = ("_quiet", "_replies", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        # A deque takes 700 bytes for none, and these are few.
        self._replies: list[Reply[T]] = []
        self._quiet = 0

    def __len__(self) -> int:
        return len(self._replies)

    def asked(self, wantReply: bool = True) -> Reply[T] | None:
        """
        A request came. One that wants no reply counts too: what it makes a
        program do is the same.

        @return: the place of its reply, if it is to have one.
        @raise UnexpectedMessage: too many wait already.
        """
        if len(self._replies) + self._quiet >= self.limit:
            raise UnexpectedMessage(f"more than {self.limit} requests wait to be decided")
        if not wantReply:
            self._quiet += 1
            return None
        reply: Reply[T] = Reply()
        self._replies.append(reply)
        return reply

    def decided(self, reply: Reply[T] | None, value: T) -> list[T]:
        """
        A request was decided.

        @param reply: what L{asked} returned.
        @return: the replies that are due now.
        """
        if reply is None:
            self._quiet -= 1
            return []
        reply.value = value
        reply.decided = True
        due = []
        while self._replies and self._replies[0].decided:
            due.append(self._replies.pop(0).value)
        return due


class Reply(Generic[T]):
    """
    The place of one reply in a L{ReplyQueue}.
    """

    __slots__ = ("decided", "value")

    value: T

    def __init__(self) -> None:
        self.decided = False


# A name of the IETF's, or a local part and a domain (RFC 4250 section 4.6.1).
# Dots stand in domains only.
_NAME = re.compile(rb"[a-z0-9-]+(@[a-z0-9.-]+)?")

#: The most bytes of a name that is looked up, RFC 4250 section 4.6.1.
MAXIMUM_NAME_SIZE = 64

_TO_UNDERSCORE = bytes.maketrans(b"-.@", b"___")


def methodFor(owner: object, prefix: str, name: bytes) -> Callable[..., object] | None:
    """
    The method that a class declares for a name that the peer chose.

    Only what looks like a name of the protocol is looked up, and only on the
    class, so that no peer reaches an attribute that is no such method.

    @param owner: the object whose class is searched.
    @param prefix: how the methods' names begin, such as C{"request_"}.
    @param name: the peer's name; its C{-}, C{.} and C{@} become C{_}.
    """
    if len(name) > MAXIMUM_NAME_SIZE or _NAME.fullmatch(name) is None:
        return None
    attribute = prefix + name.translate(_TO_UNDERSCORE).decode("ascii")
    if not callable(getattr(type(owner), attribute, None)):
        return None
    method: Callable[..., object] = getattr(owner, attribute)
    return method
