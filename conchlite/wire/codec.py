"""
Declaring, parsing and packing a message.

A declaration names its fields in the order of the RFC::

    class ServiceRequest(Message):
        number = MSG_SERVICE_REQUEST
        serviceName: String

and gets a constructor, equality, C{repr}, L{Structure.pack} and
L{Structure.unpack}. Parsing is strict: a message that is too short, or has
bytes behind its last field, is L{MalformedMessage}.

The declarations are looked into when a class is first used, not when it is
imported: a program pays for the messages that it sends.
"""

from __future__ import annotations

import typing
from typing import Any, ClassVar, Self, dataclass_transform

from conchlite.error import MalformedMessage, UnexpectedMessage
from conchlite.wire.types import Buffer, FieldType, Reader

_Fields = tuple[tuple[str, FieldType[Any]], ...]


def _fieldsOf(cls: type[Structure]) -> _Fields:
    fields: _Fields | None = cls.__dict__.get("_fields")
    if fields is None:
        hints = typing.get_type_hints(cls, include_extras=True)
        fields = cls._fields = tuple(
            (name, annotation)
            for name, hint in hints.items()
            for annotation in getattr(hint, "__metadata__", ())
            if isinstance(annotation, FieldType)
        )
    return fields


@dataclass_transform(frozen_default=True)
class Structure:
    """
    Named fields that are packed one behind the other.
    """

    _fields: ClassVar[_Fields]

    def __init__(self, *values: Any, **named: Any) -> None:
        names = [name for name, _ in _fieldsOf(type(self))]
        own = self.__dict__
        own.update(zip(names, values, strict=False))
        if not named and len(values) == len(names):
            return
        own.update(named)
        if len(values) + len(named) != len(names) or own.keys() != set(names):
            own.clear()
            raise TypeError(f"{type(self).__name__} takes the fields: {', '.join(names)}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(self.pack())

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={self.__dict__.get(name)!r}" if field.shown else f"{name}=***"
            for name, field in _fieldsOf(type(self))
        )
        return f"{type(self).__name__}({shown})"

    def pack(self) -> bytes:
        """
        The fields as bytes; for a L{Message}, without its number.
        """
        own = self.__dict__
        return b"".join([field.pack(own[name]) for name, field in _fieldsOf(type(self))])

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """
        Read the fields off C{reader}, and leave what lies behind them.

        @raise MalformedMessage: there are too few bytes.
        """
        self = cls.__new__(cls)
        own = self.__dict__
        for name, field in _fieldsOf(cls):
            own[name] = field.read(reader)
        return self

    @classmethod
    def unpack(cls, data: Buffer) -> Self:
        """
        Parse C{data}; for a L{Message}, without its number.

        @raise MalformedMessage: C{data} is not exactly the fields.
        """
        reader = Reader(data, cls.__name__)
        self = cls.read(reader)
        reader.end()
        return self


class Message(Structure):
    """
    A structure with a message number.

    @cvar number: the message number, the first byte of the payload.
    """

    number: ClassVar[int]

    def packPayload(self) -> bytes:
        """
        The message's number and its fields: the payload of a packet.
        """
        return bytes((self.number,)) + self.pack()

    @classmethod
    def unpackPayload(cls, payload: Buffer) -> Self:
        """
        Parse the payload of a packet.

        @raise MalformedMessage: it is not exactly this message.
        @raise UnexpectedMessage: it is another message.
        """
        if not len(payload):
            raise MalformedMessage("an empty payload")
        if payload[0] != cls.number:
            raise UnexpectedMessage(f"{cls.__name__} expected, message {payload[0]} came")
        return cls.unpack(memoryview(payload)[1:])
