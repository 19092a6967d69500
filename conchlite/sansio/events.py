"""
What the transport layer tells the floor above.

An event is rare: one belongs to a step of the handshake or to a message of the
transport's own. Channel data never becomes an event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import dataclass_transform


@dataclass_transform(frozen_default=True)
class Event:
    """
    Something that the floor above has to know. A subclass names its fields.

    These are no dataclasses: to make a dozen of those takes an eighth of the
    time in which a client is imported.
    """

    def __init__(self, *values: object) -> None:
        names = type(self).__annotations__
        if len(values) != len(names):
            raise TypeError(f"{type(self).__name__} takes the fields: {', '.join(names)}")
        self.__dict__.update(zip(names, values, strict=True))

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({shown})"


class VersionReceived(Event):
    """
    The peer's identification line has come.
    """

    version: bytes
    otherLines: tuple[bytes, ...]


class HostKeyOffered(Event):
    """
    The server has proved that it owns this key. The layer is paused until
    C{acceptHostKey}.
    """

    hostKey: bytes


class SignatureWanted(Event):
    """
    The server has to sign the exchange hash. The layer is paused until
    C{provideSignature}.
    """

    algorithm: bytes
    data: bytes


class ExchangeStarted(Event):
    """
    Keys are being exchanged: data written now is held back.
    """


class NewKeysUsed(Event):
    """
    Both directions run under the keys of a finished exchange.

    @ivar first: whether it was the connection's first exchange.
    """

    first: bool


class Disconnected(Event):
    """
    The peer sent DISCONNECT.
    """

    reason: int
    description: bytes


class Ignored(Event):
    """
    The peer sent IGNORE.
    """

    data: bytes


class Unimplemented(Event):
    """
    The peer did not know the message with this sequence number.
    """

    sequenceNumber: int


class Debug(Event):
    """
    The peer sent DEBUG.
    """

    alwaysDisplay: bool
    message: bytes
    languageTag: bytes


class ExtensionsReceived(Event):
    """
    The peer sent EXT_INFO.
    """

    extensions: Mapping[bytes, bytes]


class ServiceRequested(Event):
    """
    The client asks for a service.
    """

    name: bytes


class ServiceAccepted(Event):
    """
    The server starts the service that was asked for.
    """

    name: bytes
