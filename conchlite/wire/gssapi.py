"""
The messages of the authentication method C{gssapi-with-mic}: RFC 4462 section 3.
"""

from __future__ import annotations

from typing import Annotated

from conchlite.error import MalformedMessage
from conchlite.limits import MAXIMUM_MECHANISMS
from conchlite.wire import numbers
from conchlite.wire.codec import Message, Structure
from conchlite.wire.types import Byte, FieldType, Reader, Secret, String, UInt32, packString, packUInt32


def _pack(mechanisms: tuple[bytes, ...]) -> bytes:
    return packUInt32(len(mechanisms)) + b"".join(map(packString, mechanisms))


def _read(reader: Reader) -> tuple[bytes, ...]:
    count = reader.uint32()
    # Each is a string, so at least a length of four bytes.
    if count > MAXIMUM_MECHANISMS or count > reader.remaining() // 4:
        raise MalformedMessage(f"GSSAPIData: {count} mechanisms")
    return tuple(reader.string() for _ in range(count))


#: A count, and as many strings: object identifiers as DER has them.
Mechanisms = Annotated[tuple[bytes, ...], FieldType(_pack, _read)]


class GSSAPIData(Structure):
    """
    The method data, section 3.2.
    """

    mechanisms: Mechanisms


class UserauthGSSAPIResponse(Message):
    """
    Section 3.3: the mechanism that the server has chosen.
    """

    number = numbers.MSG_USERAUTH_GSSAPI_RESPONSE
    mechanism: String


class UserauthGSSAPIToken(Message):
    """
    Section 3.4.
    """

    number = numbers.MSG_USERAUTH_GSSAPI_TOKEN
    token: Secret


class UserauthGSSAPIExchangeComplete(Message):
    """
    Section 3.5.2: the client's last message where the mechanism protects no
    integrity.
    """

    number = numbers.MSG_USERAUTH_GSSAPI_EXCHANGE_COMPLETE


class UserauthGSSAPIError(Message):
    """
    Section 3.8: why the server's end of the mechanism failed.
    """

    number = numbers.MSG_USERAUTH_GSSAPI_ERROR
    majorStatus: UInt32
    minorStatus: UInt32
    message: String
    languageTag: String


class UserauthGSSAPIErrtok(Message):
    """
    Section 3.9: what a mechanism that failed has to say to its other end.
    """

    number = numbers.MSG_USERAUTH_GSSAPI_ERRTOK
    token: Secret


class UserauthGSSAPIMIC(Message):
    """
    Section 3.5.1: the client's last message, over L{GSSAPISignedData}.
    """

    number = numbers.MSG_USERAUTH_GSSAPI_MIC
    mic: Secret


class GSSAPISignedData(Structure):
    """
    What the MIC covers, section 3.5.1.
    """

    sessionID: String
    messageNumber: Byte
    userName: String
    serviceName: String
    methodName: String
