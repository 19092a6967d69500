"""
When the packets of each direction begin to be compressed: RFC 4253 section 6.2.

New keys bring new streams, in each direction with its own NEWKEYS. (OpenSSH
does so too.) A method that is delayed begins with the packet behind
USERAUTH_SUCCESS; after the login it begins with the keys, as the others do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conchlite.algorithms import catalogue
from conchlite.sansio.negotiation import NegotiatedAlgorithms
from conchlite.sansio.role import Role

if TYPE_CHECKING:
    from conchlite.algorithms.base import Compression, Deflater, Inflater


class PacketCompression:
    """
    The compression of one connection.

    @ivar deflater: what the next outgoing payload goes through, or L{None}.
    @ivar inflater: what the next incoming payload goes through, or L{None}.
    """

    __slots__ = ("_incoming", "_outgoing", "_role", "_withDelayed", "deflater", "inflater")

    def __init__(self, role: Role) -> None:
        self._role = role
        self.deflater: Deflater | None = None
        self.inflater: Inflater | None = None
        self._outgoing: Compression | None = None
        self._incoming: Compression | None = None
        self._withDelayed = False

    def setOutgoing(self, negotiated: NegotiatedAlgorithms) -> None:
        """
        Our NEWKEYS is sealed.
        """
        method = self._outgoing = catalogue.compression(
            negotiated.compressionClientToServer
            if self._role is Role.CLIENT
            else negotiated.compressionServerToClient
        )
        self.deflater = method.deflater() if method is not None and self._runs(method) else None

    def setIncoming(self, negotiated: NegotiatedAlgorithms) -> None:
        """
        The peer's NEWKEYS was read.
        """
        method = self._incoming = catalogue.compression(
            negotiated.compressionServerToClient
            if self._role is Role.CLIENT
            else negotiated.compressionClientToServer
        )
        self.inflater = method.inflater() if method is not None and self._runs(method) else None

    def _runs(self, method: Compression) -> bool:
        return self._withDelayed or not method.delayed

    def loginOver(self, incomingToo: bool) -> None:
        """
        USERAUTH_SUCCESS was sealed or read: delayed methods begin.

        @param incomingToo: whether they do so in what comes as well. They
            begin there with the keys that are on their way, where an exchange
            runs: the peer's messages of it were compressed by nothing.
        """
        self._withDelayed = True
        if self.deflater is None and self._outgoing is not None:
            self.deflater = self._outgoing.deflater()
        if incomingToo and self.inflater is None and self._incoming is not None:
            self.inflater = self._incoming.inflater()
