"""
The authentication protocol's messages: RFC 4252, and RFC 4256 for
C{keyboard-interactive}.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from conchlite.error import MalformedMessage
from conchlite.limits import MAXIMUM_PROMPTS
from conchlite.wire import numbers
from conchlite.wire.codec import Message, Structure
from conchlite.wire.types import (
    Boolean,
    Byte,
    FieldType,
    NameList,
    Reader,
    Rest,
    Secret,
    SecretRest,
    String,
    packBoolean,
    packString,
    packStrings,
    packUInt32,
)


def _readCount(reader: Reader, what: str, size: int) -> int:
    """
    @param size: the fewest bytes that each of them has.
    """
    count = reader.uint32()
    if count > MAXIMUM_PROMPTS or count > reader.remaining() // size:
        raise MalformedMessage(f"{count} {what}")
    return count


def _packPrompts(prompts: Sequence[tuple[bytes, bool]]) -> bytes:
    packed = b"".join(packString(prompt) + packBoolean(echo) for prompt, echo in prompts)
    return packUInt32(len(prompts)) + packed


def _readPrompts(reader: Reader) -> tuple[tuple[bytes, bool], ...]:
    return tuple((reader.string(), reader.boolean()) for _ in range(_readCount(reader, "prompts", 5)))


def _packResponses(responses: Sequence[bytes]) -> bytes:
    return packUInt32(len(responses)) + packStrings(responses)


def _readResponses(reader: Reader) -> tuple[bytes, ...]:
    return tuple(reader.string() for _ in range(_readCount(reader, "responses", 4)))


#: Each prompt with whether the answer may be shown.
Prompts = Annotated[tuple[tuple[bytes, bool], ...], FieldType(_packPrompts, _readPrompts)]
#: The answers, which no C{repr} shows.
Responses = Annotated[tuple[bytes, ...], FieldType(_packResponses, _readResponses, shown=False)]


class UserauthRequest(Message):
    """
    RFC 4252 section 5. What lies behind the method's name belongs to the method.
    """

    number = numbers.MSG_USERAUTH_REQUEST
    userName: String
    serviceName: String
    methodName: String
    methodData: SecretRest


class UserauthFailure(Message):
    number = numbers.MSG_USERAUTH_FAILURE
    authenticationsThatCanContinue: NameList
    partialSuccess: Boolean


class UserauthSuccess(Message):
    number = numbers.MSG_USERAUTH_SUCCESS


class UserauthBanner(Message):
    number = numbers.MSG_USERAUTH_BANNER
    message: String
    languageTag: String


class UserauthPKOK(Message):
    """
    RFC 4252 section 7, while C{publickey} runs.
    """

    number = numbers.MSG_USERAUTH_PK_OK
    algorithm: String
    publicKey: String


class UserauthPasswdChangereq(Message):
    """
    RFC 4252 section 8, while C{password} runs.
    """

    number = numbers.MSG_USERAUTH_PASSWD_CHANGEREQ
    prompt: String
    languageTag: String


class UserauthInfoRequest(Message):
    """
    RFC 4256 section 3.2, while C{keyboard-interactive} runs.
    """

    number = numbers.MSG_USERAUTH_INFO_REQUEST
    name: String
    instruction: String
    languageTag: String
    prompts: Prompts


class UserauthInfoResponse(Message):
    """
    RFC 4256 section 3.4: a response for each prompt.
    """

    number = numbers.MSG_USERAUTH_INFO_RESPONSE
    responses: Responses


class PublicKeyData(Structure):
    """
    The method data of C{publickey}; the signature is a string, and there only
    when C{hasSignature} says so.
    """

    hasSignature: Boolean
    algorithm: String
    publicKey: String
    signature: Rest


class SignedData(Structure):
    """
    What a user's signature covers, RFC 4252 section 7.
    """

    sessionID: String
    messageNumber: Byte
    userName: String
    serviceName: String
    methodName: String
    hasSignature: Boolean
    algorithm: String
    publicKey: String


class PasswordData(Structure):
    """
    The method data of C{password}; the new password is a string, and there
    only when C{change} says so.
    """

    change: Boolean
    password: Secret
    newPassword: SecretRest


class KeyboardInteractiveData(Structure):
    """
    The method data of C{keyboard-interactive}, RFC 4256 section 3.1.
    """

    languageTag: String
    submethods: String


class HostBoundData(Structure):
    """
    The method data of C{publickey-hostbound-v00@openssh.com}, OpenSSH PROTOCOL
    3.1: as L{PublicKeyData}, with the host key of the server that it is for.
    """

    hasSignature: Boolean
    algorithm: String
    publicKey: String
    serverHostKey: String
    signature: Rest


class HostBasedData(Structure):
    """
    The method data of C{hostbased}, RFC 4252 section 9.
    """

    algorithm: String
    hostKey: String
    clientHost: String
    clientUser: String
    signature: String


class HostBasedSignedData(Structure):
    """
    What a client host's signature covers, RFC 4252 section 9.
    """

    sessionID: String
    messageNumber: Byte
    userName: String
    serviceName: String
    methodName: String
    algorithm: String
    hostKey: String
    clientHost: String
    clientUser: String
