"""
What the transport layer tells the floor above.

An event is rare: one belongs to a step of the handshake or to a message of the
transport's own. Channel data never becomes an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


class Event:
    """
    Something that the floor above has to know.
    """

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class VersionReceived(Event):
    """
    The peer's identification line has come.
    """

    version: bytes
    otherLines: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class HostKeyOffered(Event):
    """
    The server has proved that it owns this key. The layer is paused until
    C{acceptHostKey}.
    """

    hostKey: bytes


@dataclass(frozen=True, slots=True)
class SignatureWanted(Event):
    """
    The server has to sign the exchange hash. The layer is paused until
    C{provideSignature}.
    """

    algorithm: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class ExchangeStarted(Event):
    """
    Keys are being exchanged: data written now is held back.
    """


@dataclass(frozen=True, slots=True)
class NewKeysUsed(Event):
    """
    Both directions run under the keys of a finished exchange.

    @ivar first: whether it was the connection's first exchange.
    """

    first: bool


@dataclass(frozen=True, slots=True)
class Disconnected(Event):
    """
    The peer sent DISCONNECT.
    """

    reason: int
    description: bytes


@dataclass(frozen=True, slots=True)
class Ignored(Event):
    """
    The peer sent IGNORE.
    """

    data: bytes


@dataclass(frozen=True, slots=True)
class Unimplemented(Event):
    """
    The peer did not know the message with this sequence number.
    """

    sequenceNumber: int


@dataclass(frozen=True, slots=True)
class Debug(Event):
    """
    The peer sent DEBUG.
    """

    alwaysDisplay: bool
    message: bytes
    languageTag: bytes


@dataclass(frozen=True, slots=True)
class ExtensionsReceived(Event):
    """
    The peer sent EXT_INFO.
    """

    extensions: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class ServiceRequested(Event):
    """
    The client asks for a service.
    """

    name: bytes


@dataclass(frozen=True, slots=True)
class ServiceAccepted(Event):
    """
    The server starts the service that was asked for.
    """

    name: bytes
