"""
The states of a transport, and the messages of each: RFC 4253 sections 7 and 10.

Two things move in a transport, each by itself. What may come in is the L{Phase}::

    VERSION -> FIRST_KEXINIT -> FIRST_EXCHANGE -> FIRST_NEWKEYS -> SECURED
                                                                      |
        +--------------------------- LOGIN <--------------------------+
        |                          (GRANTING)
        v
      OPEN <-> EXCHANGE -> NEWKEYS (and back to LOGIN, if it came from there)

and a wrong guess of the peer puts FIRST_GUESS or GUESS before the exchange.
L{ADMITTED} has the messages of each phase; whatever is not there is an error.
While a verdict is awaited, on a host key or for a signature, the phase is
FIRST_VERDICT or VERDICT: nothing is read at all, and the bytes that arrive wait
as they came. (What follows them may be encrypted under keys that do not exist
yet.)

What may go out is L{Outgoing}: from our KEXINIT to our NEWKEYS everything but
the exchange's own messages is held back, RFC 4253 section 7.1. The peer has no
part in that: until its own KEXINIT comes it may send what it likes.
"""

from __future__ import annotations

import functools
from enum import Enum

from conchlite.sansio.role import Role
from conchlite.wire import numbers


class Phase(Enum):
    """
    What may come in.
    """

    VERSION = "exchanging versions"
    FIRST_KEXINIT = "awaiting the first KEXINIT"
    FIRST_GUESS = "dropping a wrongly guessed packet of the first key exchange"
    FIRST_EXCHANGE = "in the first key exchange"
    FIRST_VERDICT = "awaiting a verdict in the first key exchange"
    FIRST_NEWKEYS = "awaiting NEWKEYS of the first key exchange"
    SECURED = "right behind the first NEWKEYS"
    LOGIN = "authenticating"
    GRANTING = "awaiting USERAUTH_SUCCESS right behind EXT_INFO"
    OPEN = "open"
    GUESS = "dropping a wrongly guessed packet of a key re-exchange"
    EXCHANGE = "in a key re-exchange"
    VERDICT = "awaiting a verdict in a key re-exchange"
    NEWKEYS = "awaiting NEWKEYS of a key re-exchange"


class Outgoing(Enum):
    """
    What may go out.
    """

    FREE = "everything"
    HELD = "only the key exchange"


_DISCONNECT = {numbers.MSG_DISCONNECT}
_NOISE = {numbers.MSG_IGNORE, numbers.MSG_UNIMPLEMENTED, numbers.MSG_DEBUG}
_SERVICE = {numbers.MSG_SERVICE_REQUEST, numbers.MSG_SERVICE_ACCEPT}
_EXT_INFO = {numbers.MSG_EXT_INFO}
_KEXINIT = {numbers.MSG_KEXINIT}
_NEWKEYS = {numbers.MSG_NEWKEYS}
METHOD = set(range(numbers.FIRST_KEX_METHOD_NUMBER, numbers.FIRST_USERAUTH_NUMBER))
# Numbers of the transport that nobody has given a meaning: they are answered
# with UNIMPLEMENTED (RFC 4253 section 11.4).
_UNKNOWN = {0, *range(8, 20), *range(22, 30)}
_USERAUTH = set(range(numbers.FIRST_USERAUTH_NUMBER, numbers.FIRST_CONNECTION_NUMBER))
_CONNECTION = set(range(numbers.FIRST_CONNECTION_NUMBER, 256))

_PING = {numbers.MSG_PING, numbers.MSG_PONG}

_LOGIN = _DISCONNECT | _NOISE | _SERVICE | _KEXINIT | _USERAUTH | _UNKNOWN | _PING

#: The messages of each phase, whatever the role and however strict.
ADMITTED = {
    Phase.VERSION: set[int](),
    Phase.FIRST_KEXINIT: _DISCONNECT | _NOISE | _KEXINIT,
    Phase.FIRST_GUESS: _DISCONNECT | METHOD,
    Phase.FIRST_EXCHANGE: _DISCONNECT | METHOD,
    Phase.FIRST_VERDICT: set[int](),
    Phase.FIRST_NEWKEYS: _DISCONNECT | _NEWKEYS,
    Phase.SECURED: _LOGIN | _EXT_INFO,
    Phase.LOGIN: _LOGIN,
    Phase.GRANTING: _DISCONNECT | {numbers.MSG_USERAUTH_SUCCESS},
    Phase.OPEN: _LOGIN | _CONNECTION,
    Phase.GUESS: _DISCONNECT | _NOISE | METHOD,
    Phase.EXCHANGE: _DISCONNECT | _NOISE | METHOD,
    Phase.VERDICT: set[int](),
    Phase.NEWKEYS: _DISCONNECT | _NOISE | _NEWKEYS,
}
# A peer that is not strict may say IGNORE and the like within the first
# exchange too, RFC 4253 section 7.1.
ADMITTED_UNLESS_STRICT = dict.fromkeys((Phase.FIRST_GUESS, Phase.FIRST_EXCHANGE, Phase.FIRST_NEWKEYS), _NOISE)
# A server has a second place for EXT_INFO: right before USERAUTH_SUCCESS, RFC
# 8308 section 2.4.
ADMITTED_FROM_SERVER = {Phase.LOGIN: _EXT_INFO}

FIRST_PHASES = frozenset(
    (
        Phase.FIRST_KEXINIT,
        Phase.FIRST_GUESS,
        Phase.FIRST_EXCHANGE,
        Phase.FIRST_VERDICT,
        Phase.FIRST_NEWKEYS,
    )
)
EXCHANGE_PHASES = FIRST_PHASES | {Phase.GUESS, Phase.EXCHANGE, Phase.VERDICT, Phase.NEWKEYS}


@functools.cache
def admitted(phase: Phase, role: Role, strict: bool) -> frozenset[int]:
    """
    The messages that may come in, in one set for all connections: it is large.

    @param strict: whether the exchanges are strict.
    """
    found = ADMITTED[phase]
    if not strict:
        found = found | ADMITTED_UNLESS_STRICT.get(phase, set())
    if role is Role.CLIENT:
        found = found | ADMITTED_FROM_SERVER.get(phase, set())
    return frozenset(found)


# What goes out in spite of L{Outgoing.HELD}: the transport's own messages and
# the exchange's, but for EXT_INFO and those that speak of services.
NEVER_HELD = frozenset(_DISCONNECT | _NOISE | _KEXINIT | _NEWKEYS | METHOD)
