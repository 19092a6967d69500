"""
What KEXINIT messages have in common: RFC 4253 section 7.1.

Behind the cookie they say the same on every connection of ours, and on every
connection of one peer. It is packed, read and agreed upon once for all of them,
and the last few of a process are in memory once. So are those of EXT_INFO.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from conchlite.algorithms.catalogue import AlgorithmSet
from conchlite.sansio.negotiation import NegotiatedAlgorithms, negotiate, offer
from conchlite.sansio.role import Role
from conchlite.wire.transport import ExtInfo, KexInit

_NO_COOKIE = bytes(16)
_HEAD_SIZE = 1 + len(_NO_COOKIE)

#: How many are remembered.
REMEMBERED = 16

#: Larger ones are not: a peer could fill the memory with its own.
LARGEST_REMEMBERED = 4096


class KexInitPayload(NamedTuple):
    """
    The payload of one KEXINIT.

    @ivar head: the message's number and the cookie.
    @ivar lists: what follows them.
    """

    head: bytes = b""
    lists: bytes = b""

    @property
    def whole(self) -> bytes:
        return self.head + self.lists


def kept(payload: bytes) -> KexInitPayload:
    """
    A payload to keep as long as the connection.
    """
    lists = payload[_HEAD_SIZE:]
    return KexInitPayload(payload[:_HEAD_SIZE], _shared(lists) if _isRemembered(lists) else lists)


def offered(role: Role, algorithms: AlgorithmSet, cookie: bytes, first: bool) -> KexInitPayload:
    """
    Our KEXINIT, as L{offer} makes it.
    """
    return KexInitPayload(bytes((KexInit.number,)) + cookie, _offered(role, algorithms, first))


def read(lists: bytes) -> KexInit:
    """
    The message, with a cookie of zeros.

    @raise MalformedMessage: it is none.
    """
    return _read(lists) if _isRemembered(lists) else _read.__wrapped__(lists)


def agreed(role: Role, client: bytes, server: bytes, strict: bool) -> NegotiatedAlgorithms:
    """
    What L{negotiate} says of two messages.

    @raise NoCommonAlgorithm: they have none.
    """
    if _isRemembered(client) and _isRemembered(server):
        return _agreed(role, client, server, strict)
    return _agreed.__wrapped__(role, client, server, strict)


def extensions(body: bytes) -> Mapping[bytes, bytes]:
    """
    What an EXT_INFO says, RFC 8308.

    @raise MalformedMessage: it is none.
    """
    return _extensions(body) if _isRemembered(body) else _extensions.__wrapped__(body)


def _isRemembered(lists: bytes) -> bool:
    return len(lists) <= LARGEST_REMEMBERED


@functools.lru_cache(maxsize=REMEMBERED)
def _shared(lists: bytes) -> bytes:
    return lists


@functools.lru_cache(maxsize=REMEMBERED)
def _offered(role: Role, algorithms: AlgorithmSet, first: bool) -> bytes:
    return offer(role, algorithms, _NO_COOKIE, first).pack()[len(_NO_COOKIE) :]


@functools.lru_cache(maxsize=REMEMBERED)
def _read(lists: bytes) -> KexInit:
    return KexInit.unpack(_NO_COOKIE + lists)


@functools.lru_cache(maxsize=REMEMBERED)
def _extensions(body: bytes) -> Mapping[bytes, bytes]:
    return MappingProxyType(dict(ExtInfo.unpack(body).extensions))


@functools.lru_cache(maxsize=REMEMBERED)
def _agreed(role: Role, client: bytes, server: bytes, strict: bool) -> NegotiatedAlgorithms:
    return negotiate(role, read(client), read(server), strict)
