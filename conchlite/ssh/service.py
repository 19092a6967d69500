"""
A service is what runs on a transport: authentication first, then the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar

from conchlite.ssh.common import Text, asBytes

if TYPE_CHECKING:
    from conchlite.ssh.transport import SSHTransportBase


class SSHService:
    """
    A protocol that the transport hands the messages from 50 on.

    @cvar name: the service's name, RFC 4253 section 10.
    @cvar protocolMessages: message number to the name behind C{MSG_}; a
        message goes to the method C{ssh_} and that name.
    @ivar transport: the transport, from just before L{serviceStarted} on.
    """

    name: Text = b""
    protocolMessages: ClassVar[Mapping[int, str]] = {}
    transport: SSHTransportBase

    def serviceStarted(self) -> None:
        """
        The service is the transport's current one.
        """

    def serviceStopped(self) -> None:
        """
        Another service took the place of this one, or the connection ended;
        then C{transport.closeReason} says why.
        """

    def packetReceived(self, messageNum: int, packet: bytes) -> None:
        """
        A message of this service came.

        @param messageNum: its number.
        @param packet: what follows the number.
        """
        name = self.protocolMessages.get(messageNum)
        method = getattr(self, f"ssh_{name}", None) if name else None
        if method is None:
            self.transport.sendUnimplemented()
        else:
            method(packet)

    def dataPath(self) -> Mapping[int, Callable[[memoryview], None]]:
        """
        Message numbers that skip L{packetReceived}, each with the function
        that gets a view of what follows the number. Asked once, behind
        L{serviceStarted}.
        """
        return {}

    def pauseWriting(self) -> None:
        """
        The transport takes no more: keys are being exchanged, or the
        connection below is full.
        """

    def resumeWriting(self) -> None:
        """
        The transport takes data again.
        """

    def sendKeepAlive(self) -> None:
        """
        Ask the peer for a sign of life: whatever it answers is one. Called
        when C{keepAliveInterval} has passed in silence.
        """

    def logPrefix(self) -> str:
        name = asBytes(self.name).decode("utf-8", "replace")
        return f"SSHService {name!r} on {self.transport.logPrefix()}"
