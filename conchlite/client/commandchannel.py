"""
The channel of what runs on a server for a protocol here.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IProtocol, IProtocolFactory

from conchlite.ssh.clientsession import SSHClientSession
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.heldchannel import HeldChannel
from conchlite.wire.numbers import EXTENDED_DATA_STDERR


class SSHCommandChannel(HeldChannel, SSHClientSession):
    """
    The channel that a command or a subsystem runs on, and the transport of the
    protocol that is connected to it.

    What the protocol writes is the command's standard input, and what the
    command writes to its standard output the protocol receives; a server may
    send that even before it has said that there is a command. What it writes
    to standard error goes to the protocol's C{stderrReceived}, which gets the
    bytes; without such a method it is dropped. An L{IHalfCloseableProtocol} is
    told of the end of the command's output.
    """

    def __init__(self, conn: SSHConnection, ended: Callable[[], object]) -> None:
        """
        @param ended: is called behind the protocol's C{connectionLost}.
        """
        super().__init__(conn=conn)
        self._whenEnded = ended
        self._protocol: IProtocol | None = None

    def connectTo(self, factory: IProtocolFactory, address: IAddress) -> IProtocol:
        """
        Make a protocol, and be its transport.

        @raise NoProtocol: the factory makes none.
        """
        protocol = factory.buildProtocol(address)
        if protocol is None:
            raise NoProtocol
        self._protocol = protocol
        protocol.makeConnection(self)
        return protocol

    # What the connection calls.

    def dataReceived(self, data: bytes) -> None:
        """
        The command wrote to its standard output.
        """
        # Without a protocol: when the connection is lost, what is kept is
        # delivered all the same.
        if self._protocol is not None:
            self._protocol.dataReceived(data)

    def extReceived(self, dataType: int, data: bytes) -> None:
        """
        The command wrote to its standard error.
        """
        if dataType == EXTENDED_DATA_STDERR:
            stderrReceived = getattr(self._protocol, "stderrReceived", None)
            if stderrReceived is not None:
                stderrReceived(data)

    def eofReceived(self) -> None:
        """
        The command will write no more. It may still read, so for a protocol
        that knows no half a connection this is not the end.
        """
        halfCloseable: IHalfCloseableProtocol | None = IHalfCloseableProtocol(self._protocol, None)
        if halfCloseable is not None:
            halfCloseable.readConnectionLost()

    def openFailed(self, reason: object) -> None:
        """
        There is no session: the Deferred of C{openChannel} says so.
        """

    def closed(self) -> None:
        """
        The command has ended, or the connection: tell the protocol why.
        """
        if self._protocol is None:
            return
        try:
            self._protocol.connectionLost(self.endReason())
        finally:
            self._whenEnded()
