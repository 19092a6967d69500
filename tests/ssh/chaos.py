"""
A hundred channels on one connection in memory, on which everything happens at
random moments, from a seed.

Both ends are whole transports. What they send passes in pieces of random sizes,
and now and then nobody takes it, so that they meet a TCP that is full. A run of
as many seeds as the time allows::

    python -m tests.ssh.chaos --minutes 20
"""

from __future__ import annotations

import argparse
import gc
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from conchlite.error import (
    ChannelClosed,
    ChannelRequestFailed,
    ConchError,
    ConnectionEnded,
    GlobalRequestFailed,
)
from conchlite.sansio.channels import ChannelState
from conchlite.ssh.connection import SSHConnection
from conchlite.wire.numbers import OPEN_ADMINISTRATIVELY_PROHIBITED
from conchlite.wire.types import packUInt32
from tests.ssh.chaosends import KINDS, End, Mischief, Pattern
from tests.ssh.wholeconnections import loggedIn

#: How much of what an end sends lies on the wire until its TCP is full.
_FULL = 64 * 1024


def patterns(serial: int, opener: bool) -> dict[int, Pattern]:
    """
    What one end of a channel writes.
    """
    return {kind: Pattern(serial, opener, kind) for kind in KINDS}


def agrees(serial: int) -> bool:
    """
    Whether the request with a number is granted.
    """
    return serial % 3 != 0


class AskingEnd(End):
    """
    An end that asks the other one, too.

    @ivar asked: how many requests were sent.
    @ivar heard: the numbers of those that came.
    @ivar answers: the numbers of our requests that were answered, with what.
    """

    def __init__(self, scene: Scene, **named: object) -> None:
        super().__init__(**named)
        self._scene = scene
        self.asked = 0
        self.heard: list[int] = []
        self.answers: list[tuple[int, object]] = []
        self.awaited: list[int] = []

    def ask(self, wantReply: bool) -> None:
        serial, self.asked = self.asked, self.asked + 1
        answer = self.conn.sendRequest(self, "note", packUInt32(serial), wantReply)
        if answer is not None:
            self.awaited.append(serial)
            answer.addBoth(lambda result: self.answers.append((serial, result)))

    def request_note(self, data: bytes) -> object:
        serial = int.from_bytes(data, "big")
        self._note("request")
        self.heard.append(serial)
        return self._scene.decisions.decide(serial)

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self._scene.meddle(self)

    def eofReceived(self) -> None:
        super().eofReceived()
        self._scene.meddle(self)

    @property
    def problems(self) -> list[str]:
        found = super().problems
        if self.heard != list(range(len(self.heard))):
            found.append(f"requests came as {self.heard}")
        if [serial for serial, _ in self.answers] != self.awaited:
            found.append(f"{self.awaited} were asked, and answered {self.answers}")
        for serial, result in self.answers:
            if isinstance(result, Failure):
                refused = result.check(ChannelRequestFailed) and not agrees(serial)
                if not refused and not result.check(ChannelClosed, ConnectionEnded):
                    found.append(f"request {serial} failed with {result.value!r}")
            elif not agrees(serial):
                found.append(f"request {serial} was granted")
        return found


class Decisions(list[tuple[Deferred[Any], object]]):
    """
    What somebody has yet to decide, and will: Deferreds, and what they will
    fire with.
    """

    def decide(self, serial: int) -> object:
        return self.later(agrees(serial)) if serial % 4 == 1 else agrees(serial)

    def later(self, result: object) -> Deferred[Any]:
        decision: Deferred[Any] = Deferred()
        self.append((decision, result))
        return decision


class Chaotic(SSHConnection):
    """
    Opens what the peer asks for: at once, later, or not at all.
    """

    maxChannels = 1000
    scene: Scene
    heard = 0

    def channel_chaos(self, windowSize: int, maxPacket: int, data: bytes) -> object:
        serial = int.from_bytes(data, "big")
        if serial % 13 == 12:
            raise ConchError("not this one", OPEN_ADMINISTRATIVELY_PROHIBITED)
        end = self.scene.make(serial, False, remoteWindow=windowSize, remoteMaxPacket=maxPacket)
        return self.scene.decisions.later(end) if serial % 5 == 4 else end

    def global_note(self, data: bytes) -> object:
        if int.from_bytes(data, "big") != self.heard:
            raise AssertionError(f"global request {data!r} came for {self.heard}")
        self.heard += 1
        return self.scene.decisions.decide(self.heard - 1)


class Scene(Mischief):
    """
    Two transports, and the channels between them.

    @ivar decisions: what has yet to be decided.
    """

    def __init__(self, seed: int, channels: int = 100, actions: int = 5000) -> None:
        super().__init__(seed)
        self.decisions = Decisions()
        self._channels = channels
        self._actions = actions
        self._serial = 0
        self._settling = False
        self._openings: list[tuple[AskingEnd, list[object]]] = []
        self._globals: dict[Chaotic, list[tuple[int, object]]] = {}
        self._asked: Counter[Chaotic] = Counter()
        self._pairs: dict[int, list[AskingEnd]] = {}
        # More key exchanges in no time than a server would stand.
        self.link = loggedIn(renewalsPerMinute=10**6)
        self._wires = {self.link.client: bytearray(), self.link.server: bytearray()}
        self._tcp = {self.link.client: self.link.clientIO, self.link.server: self.link.serverIO}
        self._full = dict.fromkeys(self._wires, False)
        for transport in self._wires:
            service = Chaotic()
            service.scene = self
            self._globals[service] = []
            transport.setService(service)
        self._timers = len(self.link.clock.getDelayedCalls())

    def make(self, serial: int, opener: bool, **named: object) -> AskingEnd:
        end = AskingEnd(self, localWindow=self.chance.choice((700, 5000, 70_000, 2**21)), **named)
        end.localMaxPacket = self.chance.choice((256, 1000, 32768))
        end.waitingLimit = self.chance.choice((1000, 256 * 1024))
        end.follow(patterns(serial, opener), patterns(serial, not opener))
        self._pairs.setdefault(serial, []).append(end)
        return end

    # What happens.

    def run(self, cut: bool = False) -> Counter[str]:
        """
        Let everything happen, and then come to its end.

        @param cut: whether that is the loss of the connection.
        @raise AssertionError: something was lost, came out of order, was
            called when it should not have been, or is left.
        """
        for _ in range(self._channels):
            self.open()
        weights: dict[Callable[[], object], float] = {
            self.transmit: 45,
            self.write: 22,
            self.produce: 3,
            self.pause: 5,
            self.resume: 7,
            self.ask: 6,
            self.askGlobally: 1,
            self.decide: 3,
            self.openMore: 5,
            self.end: 3,
            self.exchange: 1,
            self.wait: 1,
        }
        self.act(weights, self._actions)
        if cut:
            self.cut()
        else:
            self.finish()
        self.check(cut)
        self.close()
        return self.count

    def ends(self) -> Iterator[AskingEnd]:
        for pair in self._pairs.values():
            yield from pair

    def any(self) -> AskingEnd | None:
        service = self.chance.choice(list(self._globals))
        numbers = list(service.channels)
        return service.channels[self.chance.choice(numbers)] if numbers else None

    def open(self) -> None:
        self.count["open"] += 1
        serial, self._serial = self._serial, self._serial + 1
        end = self.make(serial, True)
        if serial % 29 == 28:
            end.name = "nothing"
        opening: Deferred[Any] = self.chance.choice(list(self._globals)).openChannel(end, packUInt32(serial))
        fired: list[object] = []
        opening.addBoth(fired.append)
        self._openings.append((end, fired))
        if self.chance.random() < 0.05:
            end.aborted = True
            if self.chance.random() < 0.5:
                opening.cancel()
            else:
                end.abortConnection()

    def openMore(self) -> None:
        if sum(len(service.channels) for service in self._globals) < 2 * self._channels:
            self.open()

    def ask(self) -> None:
        end = self.any()
        if (
            end is not None
            and end._machine.life.state is not ChannelState.OPENING
            and not (end.localClosed or end.remoteClosed)
            and len(end.awaited) - len(end.answers) < 16
        ):
            self.count["request"] += 1
            end.ask(self.chance.random() < 0.7)

    def askGlobally(self) -> None:
        service = self.chance.choice(list(self._globals))
        serial = self._asked[service]
        self._asked[service] += 1
        self.count["global request"] += 1
        answers = self._globals[service]
        answer: Any = service.sendGlobalRequest("note", packUInt32(serial), wantReply=True)
        answer.addBoth(lambda result: answers.append((serial, result)))

    def decide(self) -> None:
        if self.decisions:
            decision, result = self.decisions.pop(self.chance.randrange(len(self.decisions)))
            decision.callback(result)

    def meddle(self, end: AskingEnd) -> None:
        """
        What an end does while it is being told something.
        """
        choice = self.chance.random()
        if self._settling or choice > 0.05:
            return
        self.count["meddled"] += 1
        if choice < 0.03:
            end.pauseProducing()
        elif choice < 0.032:
            self.endIt(end)
        elif not end.ending:
            end.put(self.chance.choice(KINDS), 100)

    def exchange(self) -> None:
        self.count["exchange"] += 1
        self.chance.choice(list(self._wires)).renewKeys()

    def wait(self) -> None:
        # All together much less than closeGrace.
        self.link.clock.advance(self.chance.random() / 50)

    def transmit(self) -> None:
        """
        Something passes, in one direction.
        """
        sender = self.chance.choice(list(self._wires))
        self.pass_(sender, self.chance.choice((1, 40, 1500, 20_000, 200_000)))

    def pass_(self, sender: Any, size: int) -> bool:
        wire = self._wires[sender]
        tcp = self._tcp[sender]
        wire += tcp.getOutBuffer() or b""
        if len(wire) > _FULL and not self._full[sender]:
            self._full[sender] = True
            self.count["full"] += 1
            tcp.producer.pauseProducing()
        piece = bytes(wire[:size])
        del wire[:size]
        if piece:
            receiver = self.link.server if sender is self.link.client else self.link.client
            receiver.dataReceived(piece)
        if self._full[sender] and len(wire) < _FULL // 2:
            self._full[sender] = False
            tcp.producer.resumeProducing()
        return bool(piece)

    # The end.

    def settle(self) -> None:
        """
        Let everything pass and be decided.
        """
        passed = True
        while passed or self.decisions:
            passed = any(self.pass_(sender, 2**20) for sender in self._wires)
            while self.decisions:
                self.decide()

    def finish(self) -> None:
        self.settle()
        self._settling = True
        for end in list(self.ends()):
            end.resumeProducing()
            end.loseConnection()
        self.settle()

    def cut(self) -> None:
        self._settling = True
        for transport in self._wires:
            self._tcp[transport].disconnected = True
            transport.connectionLost(Failure(ConnectionLost()))
        self.settle()

    def check(self, cut: bool) -> None:
        for transport in self._wires:
            reason = transport.closeReason
            assert isinstance(reason.value, ConnectionEnded) if cut else reason is None, reason
        for service, answers in self._globals.items():
            assert [serial for serial, _ in answers] == list(range(self._asked[service])), answers
            for serial, result in answers:
                if not (cut and isinstance(result, Failure) and result.check(ConnectionEnded)):
                    refused = isinstance(result, Failure) and result.check(GlobalRequestFailed)
                    assert bool(refused) != agrees(serial), (serial, result)
        for end, fired in self._openings:
            opened = end.history != ["failed"]
            assert len(fired) == 1 and opened == (fired[0] is end), (end.history, fired)
        for serial, pair in self._pairs.items():
            for end in pair:
                assert end.isOver, (serial, end.history)
                assert not end.problems, (serial, end.problems)
            if len(pair) == 2:
                self.checkPair(serial, cut, *pair)
                self.checkPair(serial, cut, *pair[::-1])
            else:
                assert pair[0].history == ["failed"], (serial, pair[0].history)

    def checkPair(self, serial: int, cut: bool, writer: AskingEnd, reader: AskingEnd) -> None:
        """
        Of what was written all came, unless one end did not want it to.
        """
        given, taken = writer.written, {kind: checked.position for kind, checked in reader.checked.items()}
        if cut or writer.aborted or reader.aborted or reader.hasty:
            assert all(taken[kind] <= given[kind] for kind in KINDS), (serial, given, taken)
        else:
            assert taken == given, (serial, given, taken, writer.history, reader.history)
            assert len(reader.heard) == writer.asked, (serial, writer.asked, reader.heard)
            self.count["whole"] += 1

    def close(self) -> None:
        """
        Nothing is left of all the channels; and then the connection ends.
        """
        clock = self.link.clock
        if self.link.client.closeReason is None:
            assert len(clock.getDelayedCalls()) == self._timers, clock.getDelayedCalls()
        services = list(self._globals)
        for service in services:
            left = (service.channels, service._requests, service._ready, service._opening, service._deciding)
            assert not any(left), left
            assert len(service._globalReplies) == 0 and not service._globalRequests
        ends = weakref.WeakSet(self.ends())
        self._pairs.clear()
        self._openings.clear()
        gc.collect()
        assert not ends, (len(ends), gc.get_referrers(next(iter(ends))))
        self.link.client.loseConnection()
        self.settle()
        for transport in self._wires:
            transport.connectionLost(Failure(ConnectionDone()))
        assert not clock.getDelayedCalls(), clock.getDelayedCalls()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.ssh.chaos")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--actions", type=int, default=20_000)
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    end = time.monotonic() + 60 * arguments.minutes
    seed = arguments.seed
    while time.monotonic() < end:
        try:
            total += Scene(seed, actions=arguments.actions).run(cut=seed % 8 == 7)
        except BaseException:
            print(f"seed {seed}")
            raise
        seed += 1
    print(f"{seed - arguments.seed} seeds: {dict(total)}")


if __name__ == "__main__":
    main()
