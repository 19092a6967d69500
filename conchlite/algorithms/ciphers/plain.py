"""
No cipher: what a connection begins with, until the first NEWKEYS.

It is no algorithm, has no name and is never negotiated.
"""

from __future__ import annotations


class PlainSealer:
    """
    Packets go out as they are.
    """

    alignment = 8
    clearSize = 0
    tagSize = 0

    def seal(self, sequence: int, packet: bytes) -> bytes:
        return packet

    def sealInto(self, sequence: int, packet: bytes, out: memoryview) -> None:
        out[:] = packet


class PlainOpener:
    """
    Packets are read as they came.
    """

    headSize = 4
    alignment = 8
    clearSize = 0
    tagSize = 0
    discard = None

    def packetLength(self, sequence: int, head: memoryview) -> int:
        return int.from_bytes(head, "big")

    def open(self, sequence: int, packet: memoryview) -> bytes:
        return bytes(packet[4:])
