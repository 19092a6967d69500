"""
Ends of channels that know, of each byte, where it belongs: what the chaotic
scenes are made of, in memory (L{tests.ssh.chaos}) and against other servers.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from conchlite.error import ConchError
from conchlite.sansio.flowcontrol import DATA
from conchlite.ssh.channel import SSHChannel
from conchlite.wire.numbers import EXTENDED_DATA_STDERR

#: The kinds of data.
KINDS = (DATA, EXTENDED_DATA_STDERR)

#: The most bytes that L{Pattern.at} gives.
LARGEST = 2**18

# No power of two, and no size of a packet or a window, divides it.
_SIZE = 1_048_573
_BLOCK = random.Random(0).randbytes(_SIZE)
_BLOCK += _BLOCK[:LARGEST]


class Pattern:
    """
    Bytes without end, unlike those of any other key at the same position.
    """

    def __init__(self, *key: object) -> None:
        self._offset = random.Random(repr(key)).randrange(_SIZE)

    def at(self, position: int, size: int) -> bytes:
        """
        C{size} bytes from a position on.
        """
        start = (self._offset + position) % _SIZE
        return _BLOCK[start : start + size]


class Checked:
    """
    What comes of a L{Pattern}.

    @ivar position: how many bytes have come.
    @ivar wrong: where the first came that does not belong there.
    """

    def __init__(self, pattern: Pattern) -> None:
        self._pattern = pattern
        self.position = 0
        self.wrong: int | None = None

    def received(self, data: bytes) -> None:
        if self.wrong is None and data != self._pattern.at(self.position, len(data)):
            self.wrong = self.position
        self.position += len(data)


class End(SSHChannel):
    """
    One end of a channel.

    @ivar written: how many bytes were written, by kind.
    @ivar checked: what came, by kind.
    @ivar history: what was called, each name once for calls in a row.
    @ivar ending: whether the scene writes no more here.
    @ivar aborted: whether the scene has aborted it.
    @ivar hasty: whether the scene has closed it without waiting for the other
        end.
    @ivar source: a producer.
    """

    name = "chaos"

    def __init__(self, *args: object, **named: object) -> None:
        super().__init__(*args, **named)
        self.written = dict.fromkeys(KINDS, 0)
        self.checked: dict[int, Checked] = {}
        self.history: list[str] = []
        self.ending = self.aborted = self.hasty = False
        self.source: Source | None = None
        self._patterns: Mapping[int, Pattern] = {}

    def follow(self, ours: Mapping[int, Pattern], theirs: Mapping[int, Pattern]) -> None:
        """
        @param ours: what is written here.
        @param theirs: what has to come.
        """
        self._patterns = ours
        self.checked = {kind: Checked(pattern) for kind, pattern in theirs.items()}

    def put(self, kind: int, size: int) -> None:
        """
        Write the next bytes of the pattern.
        """
        data = self._patterns[kind].at(self.written[kind], size)
        self.written[kind] += size
        if kind == DATA:
            self.write(data)
        else:
            self.writeExtended(kind, data)

    def end(self, how: Callable[[SSHChannel], object]) -> None:
        """
        End it, one way or another.
        """
        self.ending = True
        self.aborted |= how is SSHChannel.abortConnection
        self.hasty |= how is sendClose
        how(self)

    @property
    def isOver(self) -> bool:
        """
        Whether nothing will be called any more.
        """
        return self.history[-1:] in (["closed"], ["failed"])

    @property
    def problems(self) -> list[str]:
        """
        What is wrong with what was called, and what came.
        """
        found = [f"byte {c.wrong} of {k} is wrong" for k, c in self.checked.items() if c.wrong is not None]
        last = [name for name in self.history if name in ("eof", "close", "closed")]
        if self.history[:1] != ["open"] and self.history not in ([], ["failed"]):
            found.append("it did not begin with open")
        if last != sorted(set(last), key=["eof", "close", "closed"].index):
            found.append("the end came twice, or out of order")
        if "closed" in last and self.history[-1] != "closed":
            found.append("closed was not the last")
        if "eof" in self.history and {"data", "ext"} & {*self.history[self.history.index("eof") :]}:
            found.append("data came behind EOF")
        return [f"{problem}: {self.history}" for problem in found]

    def _note(self, name: str) -> None:
        if self.history[-1:] != [name] or name not in ("data", "ext", "request"):
            self.history.append(name)

    def channelOpen(self, specificData: bytes) -> None:
        self._note("open")

    def openFailed(self, reason: ConchError) -> None:
        self._note("failed")

    def dataReceived(self, data: bytes) -> None:
        self._note("data")
        self.checked[DATA].received(data)

    def extReceived(self, dataType: int, data: bytes) -> None:
        self._note("ext")
        self.checked[dataType].received(data)

    def eofReceived(self) -> None:
        self._note("eof")

    def closeReceived(self) -> None:
        self._note("close")
        super().closeReceived()

    def closed(self) -> None:
        self._note("closed")
        self.ending = True


def sendClose(channel: SSHChannel) -> None:
    """
    Close a channel whatever the other end does.
    """
    channel.conn.sendClose(channel)


class Mischief:
    """
    What happens to ends at random moments.

    @cvar kinds: of what data.
    @ivar count: how often what was done.
    """

    kinds: Sequence[int] = KINDS

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.count: Counter[str] = Counter()

    def any(self) -> End | None:
        """
        An end of a channel that lives.
        """
        raise NotImplementedError

    def anyThatWrites(self) -> End | None:
        """
        One whose data somebody takes.
        """
        return self.any()

    def write(self) -> None:
        end = self.anyThatWrites()
        if end is not None and not end.ending:
            size = self.chance.choice((1, 10, 300, 5000, 5000, 40_000))
            end.put(self.chance.choice(self.kinds), size)
            self.count["bytes"] += size

    def produce(self) -> None:
        end = self.anyThatWrites()
        if end is not None and not end.ending and end.source is None:
            size = self.chance.choice((1000, 20_000, 200_000))
            piece = self.chance.choice((size // 10, 30_000))
            self.count["bytes"] += size
            Source(end, self.chance.choice(self.kinds), size, piece, self.chance.random() < 0.5)

    def pause(self) -> None:
        if (end := self.any()) is not None:
            end.pauseProducing()

    def resume(self) -> None:
        if (end := self.any()) is not None:
            end.resumeProducing()

    def end(self) -> None:
        if (end := self.any()) is not None:
            self.endIt(end)

    def endIt(self, end: End) -> None:
        ways = [SSHChannel.loseWriteConnection, SSHChannel.loseConnection, SSHChannel.abortConnection]
        how = self.chance.choice([*ways, *ways[:2] * 2, sendClose])
        self.count[how.__name__] += 1
        end.end(how)

    def act(self, weights: Mapping[Callable[[], object], float], actions: int) -> None:
        """
        Do something, so often.
        """
        for action in self.chance.choices(list(weights), list(weights.values()), k=actions):
            action()


class Source:
    """
    A producer, of either sort, of the bytes of an L{End}.
    """

    def __init__(self, end: End, kind: int, size: int, piece: int, streaming: bool) -> None:
        self._end: End | None = end
        self._kind = kind
        self._left = size
        self._piece = piece
        self._streaming = streaming
        self._paused = False
        end.source = self
        end.registerProducer(self, streaming)
        if streaming:
            self.resumeProducing()

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        while (end := self._end) is not None and not self._paused:
            size = min(self._left, self._piece)
            self._left -= size
            end.put(self._kind, size)
            if not self._left and self._end is end:
                self._end = end.source = None
                end.unregisterProducer()
            if not self._streaming:
                break

    def stopProducing(self) -> None:
        if self._end is not None:
            self._end.source = self._end = None
