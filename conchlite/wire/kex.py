"""
The messages of the key exchange methods: RFC 4253 section 8, RFC 4419, RFC 5656
section 4, RFC 8731.

A public value is a C{String} here whatever the method: the mpint of finite
field Diffie-Hellman is a string of the number's bytes, and only the method
itself reads it as a number. So one INIT and one REPLY serve all methods.
"""

from __future__ import annotations

from conchlite.wire import numbers
from conchlite.wire.codec import Message, Structure
from conchlite.wire.types import MPInt, String, UInt32


class KexInitial(Message):
    """
    The client's half: KEXDH_INIT, KEX_ECDH_INIT, and the hybrids' INIT.
    """

    number = numbers.MSG_KEX_ECDH_INIT
    clientPublic: String


class KexReply(Message):
    """
    The server's half: KEXDH_REPLY, KEX_ECDH_REPLY, and the hybrids' REPLY.
    """

    number = numbers.MSG_KEX_ECDH_REPLY
    hostKey: String
    serverPublic: String
    signature: String


class KexDHGexRequest(Message):
    number = numbers.MSG_KEX_DH_GEX_REQUEST
    minimumBits: UInt32
    preferredBits: UInt32
    maximumBits: UInt32


class KexDHGexGroup(Message):
    number = numbers.MSG_KEX_DH_GEX_GROUP
    prime: MPInt
    generator: MPInt


class KexDHGexInit(Message):
    number = numbers.MSG_KEX_DH_GEX_INIT
    clientPublic: String


class KexDHGexReply(Message):
    number = numbers.MSG_KEX_DH_GEX_REPLY
    hostKey: String
    serverPublic: String
    signature: String


class SignatureBlob(Structure):
    """
    A signature as it is sent: the algorithm's name, then what it produced.
    """

    algorithm: String
    signature: String
