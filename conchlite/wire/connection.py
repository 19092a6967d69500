"""
The connection protocol's messages: RFC 4254.

CHANNEL_DATA, CHANNEL_EXTENDED_DATA and CHANNEL_WINDOW_ADJUST are nearly all
that a busy connection carries, so each has a hand-packed twin here. The tests
hold the twins equal to the declarations.
"""

from __future__ import annotations

import struct

from conchlite.error import MalformedMessage
from conchlite.wire import numbers
from conchlite.wire.codec import Message, Structure
from conchlite.wire.types import Boolean, Buffer, Rest, String, Strings, UInt32


class GlobalRequest(Message):
    number = numbers.MSG_GLOBAL_REQUEST
    requestName: String
    wantReply: Boolean
    requestData: Rest


class RequestSuccess(Message):
    number = numbers.MSG_REQUEST_SUCCESS
    responseData: Rest


class RequestFailure(Message):
    """
    RFC 4254 section 4 gives it no field; some peers append one all the same,
    and Conch hands it to the application.
    """

    number = numbers.MSG_REQUEST_FAILURE
    responseData: Rest


class ChannelOpen(Message):
    number = numbers.MSG_CHANNEL_OPEN
    channelType: String
    senderChannel: UInt32
    initialWindowSize: UInt32
    maximumPacketSize: UInt32
    specificData: Rest


class ChannelOpenConfirmation(Message):
    number = numbers.MSG_CHANNEL_OPEN_CONFIRMATION
    recipientChannel: UInt32
    senderChannel: UInt32
    initialWindowSize: UInt32
    maximumPacketSize: UInt32
    specificData: Rest


class ChannelOpenFailure(Message):
    number = numbers.MSG_CHANNEL_OPEN_FAILURE
    recipientChannel: UInt32
    reasonCode: UInt32
    description: String
    languageTag: String


class ChannelWindowAdjust(Message):
    number = numbers.MSG_CHANNEL_WINDOW_ADJUST
    recipientChannel: UInt32
    bytesToAdd: UInt32


class ChannelData(Message):
    number = numbers.MSG_CHANNEL_DATA
    recipientChannel: UInt32
    data: String


class ChannelExtendedData(Message):
    number = numbers.MSG_CHANNEL_EXTENDED_DATA
    recipientChannel: UInt32
    dataType: UInt32
    data: String


class ChannelEOF(Message):
    number = numbers.MSG_CHANNEL_EOF
    recipientChannel: UInt32


class ChannelClose(Message):
    number = numbers.MSG_CHANNEL_CLOSE
    recipientChannel: UInt32


class ChannelRequest(Message):
    number = numbers.MSG_CHANNEL_REQUEST
    recipientChannel: UInt32
    requestType: String
    wantReply: Boolean
    requestData: Rest


class ChannelSuccess(Message):
    number = numbers.MSG_CHANNEL_SUCCESS
    recipientChannel: UInt32


class ChannelFailure(Message):
    number = numbers.MSG_CHANNEL_FAILURE
    recipientChannel: UInt32


_TWO = struct.Struct(">LL")
_THREE = struct.Struct(">LLL")

packWindowAdjust = _TWO.pack
packDataHead = _TWO.pack
packExtendedDataHead = _THREE.pack


def unpackWindowAdjust(body: Buffer) -> tuple[int, int]:
    """
    L{ChannelWindowAdjust} by hand: the recipient's channel and the bytes to add.
    """
    if len(body) != 8:
        raise MalformedMessage(f"ChannelWindowAdjust of {len(body)} bytes")
    recipientChannel, bytesToAdd = _TWO.unpack(body)
    return recipientChannel, bytesToAdd


def unpackData(body: Buffer) -> tuple[int, bytes]:
    """
    L{ChannelData} by hand: the recipient's channel and the data, copied once.
    """
    if len(body) < 8:
        raise MalformedMessage(f"ChannelData of {len(body)} bytes")
    recipientChannel, size = _TWO.unpack_from(body)
    if len(body) != 8 + size:
        raise MalformedMessage(f"ChannelData: {size} bytes announced, {len(body) - 8} came")
    return recipientChannel, bytes(body[8:])


def unpackExtendedData(body: Buffer) -> tuple[int, int, bytes]:
    """
    L{ChannelExtendedData} by hand: the recipient's channel, the kind, the data.
    """
    if len(body) < 12:
        raise MalformedMessage(f"ChannelExtendedData of {len(body)} bytes")
    recipientChannel, dataType, size = _THREE.unpack_from(body)
    if len(body) != 12 + size:
        raise MalformedMessage(f"ChannelExtendedData: {size} bytes announced, {len(body) - 12} came")
    return recipientChannel, dataType, bytes(body[12:])


# What stands in the C{specificData} and C{requestData} of each type.


class PtyRequest(Structure):
    """
    C{pty-req}, RFC 4254 section 6.2: columns before rows, sizes in characters
    and pixels.
    """

    term: String
    columns: UInt32
    rows: UInt32
    widthPixels: UInt32
    heightPixels: UInt32
    modes: String


class WindowChange(Structure):
    """
    C{window-change}, RFC 4254 section 6.7.
    """

    columns: UInt32
    rows: UInt32
    widthPixels: UInt32
    heightPixels: UInt32


class X11Request(Structure):
    """
    C{x11-req}, RFC 4254 section 6.3.1.
    """

    singleConnection: Boolean
    authenticationProtocol: String
    authenticationCookie: String
    screenNumber: UInt32


class X11Open(Structure):
    """
    A channel of type C{x11}, RFC 4254 section 6.3.2.
    """

    originatorAddress: String
    originatorPort: UInt32


class EnvRequest(Structure):
    """
    C{env}, RFC 4254 section 6.4.
    """

    name: String
    value: String


class ExecRequest(Structure):
    """
    C{exec}, RFC 4254 section 6.5.
    """

    command: String


class SubsystemRequest(Structure):
    """
    C{subsystem}, RFC 4254 section 6.5.
    """

    name: String


class XonXoff(Structure):
    """
    C{xon-xoff}, RFC 4254 section 6.8.
    """

    clientCanDo: Boolean


class SignalRequest(Structure):
    """
    C{signal}, RFC 4254 section 6.9: the name without C{SIG}.
    """

    signalName: String


class BreakRequest(Structure):
    """
    C{break}, RFC 4335 section 3: how long it is to last, 0 for as long as the
    server thinks right.
    """

    milliseconds: UInt32


class HostKeys(Structure):
    """
    C{hostkeys-00@openssh.com} and C{hostkeys-prove-00@openssh.com}, OpenSSH
    PROTOCOL section 2.5: blobs of host keys.
    """

    hostKeys: Strings


class HostKeyProofs(Structure):
    """
    The answer to C{hostkeys-prove-00@openssh.com}: signature blobs.
    """

    signatures: Strings


class HostKeyProof(Structure):
    """
    What is signed there.
    """

    requestName: String
    sessionID: String
    hostKey: String


class ExitStatus(Structure):
    """
    C{exit-status}, RFC 4254 section 6.10.
    """

    exitStatus: UInt32


class ExitSignal(Structure):
    """
    C{exit-signal}, RFC 4254 section 6.10: the name without C{SIG}.
    """

    signalName: String
    coreDumped: Boolean
    errorMessage: String
    languageTag: String


class TCPIPForward(Structure):
    """
    C{tcpip-forward} and C{cancel-tcpip-forward}, RFC 4254 section 7.1.
    """

    address: String
    port: UInt32


class TCPIPForwardReply(Structure):
    """
    The answer to a C{tcpip-forward} of port 0: the port that was bound.
    """

    port: UInt32


class TCPIPOpen(Structure):
    """
    Channels of type C{direct-tcpip} and C{forwarded-tcpip}, RFC 4254 section 7.2.
    """

    address: String
    port: UInt32
    originatorAddress: String
    originatorPort: UInt32
