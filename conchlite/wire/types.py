"""
The data types of RFC 4251 section 5: packing them, and reading them off a packet.

A L{Reader} walks over a memoryview of the packet: a length is compared with
what is left before anything is copied, and a field is copied once, at last.
Messages name the types by the annotations at the end of this file.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Generic, TypeVar

from conchlite.error import MalformedMessage
from conchlite.limits import (
    MAXIMUM_EXTENSIONS,
    MAXIMUM_MPINT_SIZE,
    MAXIMUM_NAME_LIST_SIZE,
    MAXIMUM_NAMES,
    MAXIMUM_STRINGS,
)

Buffer = bytes | bytearray | memoryview

_UINT32 = struct.Struct(">L")
_UINT64 = struct.Struct(">Q")

packUInt32 = _UINT32.pack
packUInt64 = _UINT64.pack


def packByte(value: int) -> bytes:
    return bytes((value,))


def packBoolean(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


def packString(value: Buffer) -> bytes:
    """
    A C{string}: the length as a uint32, then the bytes.
    """
    return _UINT32.pack(len(value)) + value


def packMPInt(value: int) -> bytes:
    """
    An C{mpint}: two's complement, most significant byte first, as short as can be.
    """
    return packString(mpintBytes(value))


def mpintBytes(value: int) -> bytes:
    """
    The bytes of an C{mpint} without their length.
    """
    if value == 0:
        return b""
    # A negative number -2^(8n-1) fits n bytes; its positive twin does not.
    bits = value.bit_length() if value > 0 else (value + 1).bit_length()
    return value.to_bytes(bits // 8 + 1, "big", signed=True)


def packNameList(names: Iterable[bytes]) -> bytes:
    """
    A C{name-list}: the names with commas between them, as a string.
    """
    return packString(b",".join(names))


def packExtensions(extensions: Mapping[bytes, bytes]) -> bytes:
    """
    The body of an EXT_INFO, RFC 8308 section 2.3: a count, then names and values.
    """
    parts = [_UINT32.pack(len(extensions))]
    for name, value in extensions.items():
        parts += (packString(name), packString(value))
    return b"".join(parts)


def packStrings(strings: Iterable[bytes]) -> bytes:
    """
    Strings, one behind the other.
    """
    return b"".join(map(packString, strings))


class Reader:
    """
    Reads fields off a packet, one after the other.

    Every method raises L{MalformedMessage} when what is left is too short for
    the field, and L{end} when anything is left at all.
    """

    __slots__ = ("_offset", "_view", "_what")

    def __init__(self, data: Buffer, what: str = "message") -> None:
        """
        @param what: what is being read, for the error.
        """
        self._view = memoryview(data)
        self._offset = 0
        self._what = what

    def _take(self, size: int) -> memoryview:
        start = self._offset
        stop = start + size
        if stop > len(self._view):
            raise MalformedMessage(
                f"{self._what} is truncated: {size} bytes wanted, {len(self._view) - start} left"
            )
        self._offset = stop
        return self._view[start:stop]

    def remaining(self) -> int:
        """
        The number of bytes that were not read yet.
        """
        return len(self._view) - self._offset

    def end(self) -> None:
        """
        @raise MalformedMessage: there are bytes behind the last field.
        """
        if self._offset != len(self._view):
            raise MalformedMessage(f"{self._what} has {self.remaining()} trailing bytes")

    def fixed(self, size: int) -> bytes:
        return bytes(self._take(size))

    def byte(self) -> int:
        return self._take(1)[0]

    def boolean(self) -> bool:
        """
        Any value but 0 is true, as RFC 4251 section 5 wants it.
        """
        return self._take(1)[0] != 0

    def uint32(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def uint64(self) -> int:
        return int.from_bytes(self._take(8), "big")

    def string(self) -> bytes:
        return bytes(self._take(self.uint32()))

    def stringView(self) -> memoryview:
        """
        A string that is not copied: for a nested structure.
        """
        return self._take(self.uint32())

    def mpint(self) -> int:
        """
        Leading zero bytes that need not be there are accepted, as OpenSSH's
        sshbuf_get_bignum2 accepts them; they are never sent.
        """
        size = self.uint32()
        if size > MAXIMUM_MPINT_SIZE:
            raise MalformedMessage(f"{self._what}: an mpint of {size} bytes")
        return int.from_bytes(self._take(size), "big", signed=True)

    def nameList(self) -> tuple[bytes, ...]:
        """
        Empty names are dropped: libssh 0.10.6 ends its cipher list with a comma.
        """
        size = self.uint32()
        if size > MAXIMUM_NAME_LIST_SIZE:
            raise MalformedMessage(f"{self._what}: a name-list of {size} bytes")
        names = tuple(filter(None, bytes(self._take(size)).split(b",")))
        if len(names) > MAXIMUM_NAMES:
            raise MalformedMessage(f"{self._what}: a name-list of {len(names)} names")
        return names

    def extensions(self) -> dict[bytes, bytes]:
        count = self.uint32()
        # Each extension is two strings, so at least two lengths of four bytes.
        if count > MAXIMUM_EXTENSIONS or count > self.remaining() // 8:
            raise MalformedMessage(f"{self._what}: {count} extensions")
        return {self.string(): self.string() for _ in range(count)}

    def strings(self) -> tuple[bytes, ...]:
        """
        All that is left, as strings.
        """
        found: list[bytes] = []
        while self.remaining():
            if len(found) >= MAXIMUM_STRINGS:
                raise MalformedMessage(f"{self._what} has more than {MAXIMUM_STRINGS} strings")
            found.append(self.string())
        return tuple(found)

    def rest(self) -> bytes:
        return bytes(self._take(self.remaining()))


T = TypeVar("T")


class FieldType(Generic[T]):
    """
    How one field of a message is packed and read.

    @ivar shown: whether C{repr} of the message may show the value.
    """

    __slots__ = ("pack", "read", "shown")

    def __init__(self, pack: Callable[[T], bytes], read: Callable[[Reader], T], shown: bool = True) -> None:
        self.pack = pack
        self.read = read
        self.shown = shown


def _fixed(size: int) -> FieldType[Any]:
    def pack(value: bytes) -> bytes:
        if len(value) != size:
            raise ValueError(f"{len(value)} bytes where {size} belong")
        return value

    return FieldType(pack, lambda reader: reader.fixed(size))


Byte = Annotated[int, FieldType(packByte, Reader.byte)]
Boolean = Annotated[bool, FieldType(packBoolean, Reader.boolean)]
UInt32 = Annotated[int, FieldType(packUInt32, Reader.uint32)]
UInt64 = Annotated[int, FieldType(packUInt64, Reader.uint64)]
String = Annotated[bytes, FieldType(packString, Reader.string)]
MPInt = Annotated[int, FieldType(packMPInt, Reader.mpint)]
NameList = Annotated[tuple[bytes, ...], FieldType(packNameList, Reader.nameList)]
Extensions = Annotated[Mapping[bytes, bytes], FieldType(packExtensions, Reader.extensions)]
#: All that is left, as strings.
Strings = Annotated[tuple[bytes, ...], FieldType(packStrings, Reader.strings)]
#: The 16 random bytes of a KEXINIT.
Cookie = Annotated[bytes, _fixed(16)]
#: All that is left: what the message's type, method or name gives a meaning.
Rest = Annotated[bytes, FieldType(bytes, Reader.rest)]
#: A string that no C{repr} shows: a password, an answer.
Secret = Annotated[bytes, FieldType(packString, Reader.string, shown=False)]
#: All that is left, and secret.
SecretRest = Annotated[bytes, FieldType(bytes, Reader.rest, shown=False)]
