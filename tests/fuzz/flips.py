"""
One bit flipped in any byte of a session, for each way to protect packets.

C{python -m tests.fuzz.flips} does all bytes of all of them, in both directions,
and says how many there were; the test suite does a sample.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator

from conchlite.error import BadMAC, BadPacketLength
from conchlite.sansio.role import Role
from tests.fuzz.recording import MESSAGES, MODES, Recording

_OTHER = {Role.CLIENT: Role.SERVER, Role.SERVER: Role.CLIENT}


def lengthFieldSize(mode: str) -> int:
    """
    How many bytes at a packet's start make it longer or shorter when they are
    changed, so that the error may be that of the length.
    """
    return 16 if mode == "aes-cbc, mac" else 4


def flip(mode: str, recording: Recording, sender: Role, offset: int) -> str:
    """
    Replay what C{sender} sent with one bit flipped, and see that the other end
    does as it should.

    @return: what it did: the name of its error, or why there was none.
    @raise AssertionError: it did something else.
    """
    stream = bytearray(recording.stream(sender))
    stream[offset] ^= 1 << (offset % 8)
    end, error = recording.replay(_OTHER[sender], bytes(stream))
    where = f"{mode}, from the {sender.value}, byte {offset}: {error!r}"
    if offset in recording.clearPadding(sender):
        assert error is None and end.received == MESSAGES, where
        return "covered by nothing"
    starts = recording.starts(sender)
    packet = next(n for n, start in enumerate(starts[1:]) if offset < start)
    intact = max(0, packet - recording.firstMessage[sender])
    assert end.received == MESSAGES[:intact], where
    assert error is not None, where
    if packet >= recording.behindNewKeys[sender]:
        inLength = offset - starts[packet] < lengthFieldSize(mode)
        assert isinstance(error, (BadMAC, BadPacketLength) if inLength else BadMAC), where
        assert error.reason == 5 or type(error) is BadPacketLength, where
    return type(error).__name__


def positions(recordings: dict[str, Recording]) -> Iterator[tuple[str, Role, int]]:
    """
    Every byte of every session.
    """
    for mode, recording in recordings.items():
        for sender in Role:
            for offset in range(len(recording.stream(sender))):
                yield mode, sender, offset


def main() -> None:
    """
    Flip them all.
    """
    began = time.perf_counter()
    recordings = {mode: Recording(algorithms) for mode, algorithms in MODES.items()}
    outcomes: dict[str, Counter[str]] = {mode: Counter() for mode in MODES}
    failures = 0
    for mode, sender, offset in positions(recordings):
        try:
            outcomes[mode][flip(mode, recordings[mode], sender, offset)] += 1
        except AssertionError as error:
            failures += 1
            print(f"NOT DETECTED: {error}")
    for mode, counted in outcomes.items():
        print(f"{mode}: " + ", ".join(f"{count} {name}" for name, count in counted.most_common()))
    total = sum(counted.total() for counted in outcomes.values())
    print(f"{total + failures} flips, {failures} failures, {time.perf_counter() - began:.0f} seconds")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
