"""
What a transport sends: sealed and gathered, or held back while keys are
exchanged, RFC 4253 section 7.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from conchlite.algorithms.ciphers.plain import PlainSealer
from conchlite.sansio.compression import PacketCompression
from conchlite.sansio.packets import PacketWriter
from conchlite.sansio.phases import NEVER_HELD, Outgoing
from conchlite.sansio.role import Role
from conchlite.wire import numbers
from conchlite.wire.codec import Message
from conchlite.wire.types import Buffer

if TYPE_CHECKING:
    from conchlite.algorithms.base import RandomBytes

# What the objects take of a message that is held back, beside its bytes.
_HELD_OVERHEAD = 128


class SendingHalf:
    """
    The half of a L{conchlite.sansio.transportlayer.TransportLayer} that sends.

    @ivar role: which end it is.
    @ivar outgoing: what may go out.
    @ivar heldBytes: the size of what an exchange holds back, in memory.
    """

    # Whether USERAUTH_SUCCESS is among what is held.
    _loginHeld = False

    def __init__(self, role: Role, randomBytes: RandomBytes) -> None:
        self.role = role
        self.outgoing = Outgoing.HELD
        self.heldBytes = 0
        self._writer = PacketWriter(PlainSealer(), randomBytes)
        self._compression = PacketCompression(role)
        self._output: list[bytes] = []
        self._held: list[Sequence[Buffer]] = []

    @property
    def bytesSent(self) -> int:
        """
        The size of all packets that were sealed.
        """
        return self._writer.volumeBefore + self._writer.volume

    @property
    def unwritten(self) -> int:
        """
        The number of bytes that L{takeOutput} would give.
        """
        return sum(map(len, self._output))

    def takeOutput(self) -> list[bytes]:
        """
        What is to be written now, in order.
        """
        output, self._output = self._output, []
        return output

    def send(self, packets: Sequence[Sequence[Buffer]]) -> None:
        """
        Seal payloads, or hold them back while keys are exchanged.

        @param packets: each in parts, the first of which begins with the
            message's number.
        """
        free = self.outgoing is Outgoing.FREE
        if free and self._compression.deflater is None:
            self._output.append(self._writer.seal(packets))
            return
        for parts in packets:
            if free or parts[0][0] in NEVER_HELD:
                self._seal(parts)
            else:
                self._held.append(parts)
                self.heldBytes += sum(map(len, parts)) + _HELD_OVERHEAD

    def _seal(self, parts: Sequence[Buffer]) -> None:
        deflater = self._compression.deflater
        if deflater is not None:
            parts = (deflater.deflate(parts),)
        self._output.append(self._writer.seal((parts,)))

    def sendMessage(self, message: Message) -> None:
        """
        L{send} for one declared message.
        """
        self.send(((message.packPayload(),),))

    def _releaseHeld(self) -> None:
        held, self._held, self.heldBytes = self._held, [], 0
        for parts in held:
            self._seal(parts)
            if self._loginHeld and parts[0][0] == numbers.MSG_USERAUTH_SUCCESS:
                self._loginHeld = False
                self._compression.loginOver(incomingToo=False)
