"""
The address of an end of an SSH connection.
"""

from __future__ import annotations

from twisted.internet.interfaces import IAddress
from zope.interface import implementer

from conchlite.error import safe


@implementer(IAddress)
class SSHTransportAddress:
    """
    What an SSH transport returns for itself and for its peer.

    @ivar address: the address of the transport below.
    """

    def __init__(self, address: IAddress) -> None:
        self.address = address

    @property
    def hostText(self) -> str:
        """
        The host, for people to read; the whole address where it has none, as
        that of a UNIX socket.
        """
        return safe(str(getattr(self.address, "host", self.address)))

    def __eq__(self, other: object) -> bool:
        return self.address == other.address if isinstance(other, SSHTransportAddress) else NotImplemented

    def __hash__(self) -> int:
        return hash(("SSH", self.address))

    def __repr__(self) -> str:
        return f"SSHTransportAddress({self.address!r})"
