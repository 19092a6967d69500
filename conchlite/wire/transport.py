"""
The transport's messages: RFC 4253 sections 7, 10 and 11, RFC 8308 section 2.3.
"""

from __future__ import annotations

from conchlite.wire import numbers
from conchlite.wire.codec import Message
from conchlite.wire.types import Boolean, Cookie, Extensions, NameList, String, UInt32


class Disconnect(Message):
    number = numbers.MSG_DISCONNECT
    reason: UInt32
    description: String
    languageTag: String


class Ignore(Message):
    number = numbers.MSG_IGNORE
    data: String


class Unimplemented(Message):
    number = numbers.MSG_UNIMPLEMENTED
    sequenceNumber: UInt32


class Debug(Message):
    number = numbers.MSG_DEBUG
    alwaysDisplay: Boolean
    message: String
    languageTag: String


class ServiceRequest(Message):
    number = numbers.MSG_SERVICE_REQUEST
    serviceName: String


class ServiceAccept(Message):
    number = numbers.MSG_SERVICE_ACCEPT
    serviceName: String


class ExtInfo(Message):
    number = numbers.MSG_EXT_INFO
    extensions: Extensions


class Ping(Message):
    """
    A question that L{Pong} answers with the same data: OpenSSH PROTOCOL 1.9.
    """

    number = numbers.MSG_PING
    data: String


class Pong(Message):
    number = numbers.MSG_PONG
    data: String


class KexInit(Message):
    """
    What one side offers, each list most preferred first. RFC 4253 section 7.1.
    """

    number = numbers.MSG_KEXINIT
    cookie: Cookie
    kexAlgorithms: NameList
    serverHostKeyAlgorithms: NameList
    encryptionAlgorithmsClientToServer: NameList
    encryptionAlgorithmsServerToClient: NameList
    macAlgorithmsClientToServer: NameList
    macAlgorithmsServerToClient: NameList
    compressionAlgorithmsClientToServer: NameList
    compressionAlgorithmsServerToClient: NameList
    languagesClientToServer: NameList
    languagesServerToClient: NameList
    firstKexPacketFollows: Boolean
    reserved: UInt32


class NewKeys(Message):
    number = numbers.MSG_NEWKEYS
