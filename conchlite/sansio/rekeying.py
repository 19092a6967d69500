"""
How long keys last, and how often a peer may want new ones: RFC 4253 section 9,
RFC 4344 section 3.
"""

from __future__ import annotations

from conchlite.error import KeysWornOut, TooManyRenewals
from conchlite.limits import MAXIMUM_FREE_RENEWALS, MAXIMUM_PACKETS_PER_KEY

_MINUTE = 60

#: The number of packets with which a key is worn. There has to be room for
#: what is on its way until the new one runs.
ENOUGH_PACKETS = MAXIMUM_PACKETS_PER_KEY // 2


def volumeLimit(blockSize: int) -> int:
    """
    How many bytes one key may protect.

    @param blockSize: the cipher's block in bytes.
    """
    bits = 8 * blockSize
    if bits >= 128:
        # RFC 4344 section 3.2: 2**(L/4) blocks.
        return (1 << bits // 4) * blockSize
    # The same section, for smaller blocks: the gigabyte of RFC 4253 section 9.
    return 2**30


class KeyWear:
    """
    What the running keys of both directions may still do.

    @ivar outgoingVolume: how many bytes our key may protect.
    @ivar incomingVolume: how many bytes the peer's key may protect.
    """

    __slots__ = ("incomingVolume", "outgoingVolume")

    def __init__(self) -> None:
        self.outgoingVolume = self.incomingVolume = volumeLimit(1)

    def checked(self, *packets: int) -> bool:
        """
        Keys that are worn: see that they are no more than that.

        @param packets: how many packets each key has protected.
        @return: True, for new keys are due.
        @raise KeysWornOut: it was time for new ones long ago. So no sequence
            number comes twice under one key, and AES-GCM is not invoked more
            often than NIST SP 800-38D allows.
        """
        if max(packets) >= MAXIMUM_PACKETS_PER_KEY:
            raise KeysWornOut(f"{max(packets)} packets under one key, and no new one from the peer")
        return True


class RenewalCount:
    """
    The re-exchanges that a peer begins without need: each costs it little,
    and us a signature and a key agreement.
    """

    __slots__ = ("_free", "_times")

    def __init__(self) -> None:
        self._free = MAXIMUM_FREE_RENEWALS
        self._times: list[float] = []

    def begun(self, now: float | None, perMinute: int) -> None:
        """
        The peer began one.

        @param now: the time in seconds; L{None} where there is no clock, and
            then all of them fall into one minute.
        @raise TooManyRenewals: it does so too often.
        """
        if self._free:
            self._free -= 1
            return
        times = self._times
        times.append(now or 0)
        while times[0] <= times[-1] - _MINUTE:
            del times[0]
        if len(times) > perMinute:
            raise TooManyRenewals(f"more than {perMinute} key re-exchanges in a minute with little between")
