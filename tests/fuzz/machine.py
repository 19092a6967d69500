"""
Two whole ends, a link that cuts, delays, duplicates and flips, and a model of
what has to arrive.

Bytes sent are bytes received, or both ends end with an error: never silence,
never another byte. C{python -m tests.fuzz.machine --minutes 20} looks for the
opposite for that long, with a new seed each time; the suite does two hundred
examples that are always the same.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import deque
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher

from conchlite.error import ConchError
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.connection import SSHConnection
from conchlite.wire.types import packString
from tests.fuzz.network import Network, Watched
from tests.fuzz.recording import MODES, fixedSecrets
from tests.sansio.pairs import seeded
from tests.ssh.authlink import ed25519
from tests.ssh.links import Client, ServerFactory

_STDERR = 1


class Flow:
    """
    One direction of a channel, as the model has it.

    @ivar expected: what was written and has not arrived, kind and bytes.
    @ivar ended: whether the writer has said that there is no more.
    @ivar mayLose: whether either side has given the channel up, so that what
        waits need not arrive.
    """

    def __init__(self) -> None:
        self.expected: deque[tuple[int, bytes]] = deque()
        self.ended = self.mayLose = False

    def wrote(self, kind: int, data: bytes) -> None:
        self.expected.append((kind, data))

    def arrived(self, kind: int, data: bytes) -> None:
        while data:
            assert self.expected, f"{data[:20]!r} was never written"
            expectedKind, head = self.expected.popleft()
            size = min(len(head), len(data))
            assert (kind, data[:size]) == (expectedKind, head[:size]), "another byte"
            if size < len(head):
                self.expected.appendleft((expectedKind, head[size:]))
            data = data[size:]

    def endArrived(self) -> None:
        assert self.ended and not self.expected, "EOF before what was written"


class Tracked(SSHChannel):
    """
    A channel that knows what it may get.

    @ivar outgoing: what was written here.
    @ivar incoming: what the peer has written.
    @ivar other: the peer's end, once it is there.
    """

    name = b"fuzz"
    # Longer than any example: nobody is given up for being slow.
    closeGrace = 10.0**9

    world: World
    outgoing: Flow
    incoming: Flow
    other: Tracked | None = None
    isOpen = wasClosed = False
    failed: ConchError | None = None

    def loseConnection(self) -> None:
        self.outgoing.ended = True
        super().loseConnection()

    def abortConnection(self) -> None:
        self.outgoing.ended = self.outgoing.mayLose = self.incoming.mayLose = True
        super().abortConnection()

    def channelOpen(self, specificData: bytes) -> None:
        assert not self.isOpen
        self.isOpen = True

    def openFailed(self, reason: ConchError) -> None:
        self.failed = reason

    def dataReceived(self, data: bytes) -> None:
        self.world.check(self.incoming.arrived, 0, data)

    def extReceived(self, dataType: int, data: bytes) -> None:
        self.world.check(self.incoming.arrived, dataType, data)

    def eofReceived(self) -> None:
        self.world.check(self.incoming.endArrived)

    def closed(self) -> None:
        self.world.check(self._closedOnce)
        self.wasClosed = True

    def _closedOnce(self) -> None:
        # One that is given up while it opens is closed without having been open.
        assert (self.isOpen or self.outgoing.mayLose) and not self.wasClosed, "closed at the wrong time"

    def request_later(self, data: bytes) -> Deferred[bool]:
        decision: Deferred[bool] = Deferred()
        self.world.decisions.append(decision)
        return decision

    def request_yes(self, data: bytes) -> bool:
        return True


class Connection(SSHConnection):
    """
    A connection on which both sides may open channels.
    """

    maxChannels = 12
    world: World

    def channel_fuzz(self, windowSize: int, maxPacket: int, data: bytes) -> SSHChannel:
        asking = self.world.channels[int.from_bytes(data, "big")]
        window, packet = self.world.windows
        channel = Tracked(window, packet, windowSize, maxPacket)
        channel.world = self.world
        channel.other, asking.other = asking, channel
        channel.incoming, channel.outgoing = asking.outgoing, asking.incoming
        self.world.channels.append(channel)
        return channel

    def global_echo(self, data: bytes) -> tuple[int, bytes]:
        return 1, data


class World(Watched):
    """
    Both ends, the link and the model.
    """

    def __init__(
        self, mode: str, capacity: int, windows: tuple[int, int], rekeyBytes: int, compression: bytes
    ) -> None:
        super().__init__()
        self.windows = windows
        self.channels: list[Tracked] = []
        self.decisions: list[Deferred[bool]] = []
        factory = ServerFactory()
        factory.privateKeys = {b"ssh-ed25519": ed25519(1)}
        client, server = Client(), factory.buildProtocol(None)
        for seed, each in enumerate((client, server)):
            # What is compressed has to be as long again when Hypothesis wants
            # to see the same once more.
            each.randomBytes = seeded(seed)
            each.supportedKeyExchanges = [b"curve25519-sha256"]
            each.supportedCiphers = list(MODES[mode].ciphers)
            each.supportedMACs = list(MODES[mode].macs)
            each.supportedCompressions = [compression]
            each.rekeyBytes = rekeyBytes
            each.renewalsPerMinute = 10**9
            # Time passes for channels alone: a link that is slow is lawful.
            each.handshakeTimeout = each.loginTimeout = each.exchangeTimeout = each.rekeySeconds = 0
        self.network = Network(client, server, capacity)
        self.network.start()
        self.network.drain()
        self.connections = []
        for tcp in self.network.ends:
            assert tcp.protocol.isEncrypted("both")
            connection = Connection()
            connection.world = self
            tcp.protocol.isAuthenticated = True
            tcp.protocol.setService(connection)
            self.connections.append(connection)

    def check(self, assertion: Any, *arguments: object) -> None:
        """
        Note what an assertion says within a callback, where nobody would
        hear it.
        """
        try:
            assertion(*arguments)
        except AssertionError as error:
            self.problems.append(str(error))

    @property
    def disturbed(self) -> bool:
        return any(tcp.disturbed for tcp in self.network.ends)

    @property
    def ended(self) -> bool:
        return any(tcp.protocol.closeReason is not None for tcp in self.network.ends)


# What compression cannot make less of, taken together or one by one.
_FILLERS = [random.Random(n).randbytes(30_000) for n in range(10)]

_SIDES = st.sampled_from((0, 1))
_PICKS = st.integers(0, 30)
_OFFSETS = st.integers(0, 5000)
_CHANCES = st.sampled_from((1, 0, 2))


class Machine(RuleBasedStateMachine):
    """
    The rules. The link of an example has one kind of fault, or only
    delays.

    @cvar examples: how many there were.
    @cvar steps: how many steps in all of them.
    @cvar disturbances: how often the link has changed something.
    """

    examples = steps = disturbances = 0

    def __init__(self) -> None:
        super().__init__()
        self._secrets = fixedSecrets()
        self._secrets.__enter__()
        self.logged: list[Any] = []
        self._writes = 0
        globalLogPublisher.addObserver(self._observe)
        Machine.examples += 1

    def _observe(self, event: Any) -> None:
        if event.get("log_failure") is not None or event["log_level"].name in ("error", "critical"):
            self.logged.append(event.get("log_failure") or event)

    @initialize(
        mode=st.sampled_from(sorted(MODES)),
        capacity=st.sampled_from((200, 5000, 2**20)),
        window=st.sampled_from((1, 300, 5000, 70_000)),
        packet=st.sampled_from((256, 1000, 32768)),
        compression=st.sampled_from((b"none", b"none", b"zlib")),
        rekeyBytes=st.sampled_from((3000, 50_000, 2**30)),
        channels=st.integers(1, 4),
        fault=st.sampled_from((None, None, "flip", "flip", "drop", "duplicate", "cut")),
    )
    def begin(
        self,
        mode: str,
        capacity: int,
        window: int,
        packet: int,
        compression: bytes,
        rekeyBytes: int,
        channels: int,
        fault: str | None,
    ) -> None:
        self.world = World(mode, capacity, (window, packet), rekeyBytes, compression)
        self.fault = fault
        for n in range(channels):
            self.open(n % 2)
        self.world.network.drain()

    def _channel(self, pick: int) -> Tracked | None:
        channels = [c for c in self.world.channels if not c.wasClosed and c.failed is None]
        return channels[pick % len(channels)] if channels else None

    # What programs do.

    @rule(side=_SIDES)
    def open(self, side: int) -> None:
        world = self.world
        channel = Tracked(*world.windows)
        channel.world = world
        channel.incoming, channel.outgoing = Flow(), Flow()
        world.channels.append(channel)
        number = len(world.channels) - 1
        world.watch(world.connections[side].openChannel(channel, number.to_bytes(4, "big")))

    @rule(
        pick=_PICKS, size=st.sampled_from((1, 10, 255, 1000, 40_000)), kind=st.sampled_from((0, 0, _STDERR))
    )
    def write(self, pick: int, size: int, kind: int) -> None:
        channel = self._channel(pick)
        if channel is not None:
            self._write(channel, size, kind)

    def _write(self, channel: Tracked, size: int, kind: int) -> None:
        # A window of one byte makes a packet of every byte.
        size = min(size, 50 * self.world.windows[0])
        # Other bytes each time, and the same when the example is run again.
        self._writes += 1
        data = random.Random(self._writes).randbytes(size)
        if not channel.outgoing.ended and not self._over(channel):
            channel.outgoing.wrote(kind, data)
        if kind:
            channel.writeExtended(kind, data)
        else:
            channel.write(data)

    def _over(self, channel: Tracked) -> bool:
        # The peer's CLOSE is here, or the connection's end: nothing is sent.
        return channel.remoteClosed or channel.localClosed

    @rule(pick=_PICKS, pause=st.booleans())
    def read(self, pick: int, pause: bool) -> None:
        channel = self._channel(pick)
        if channel is not None:
            (channel.pauseProducing if pause else channel.resumeProducing)()

    @rule(pick=_PICKS)
    def end(self, pick: int) -> None:
        channel = self._channel(pick)
        if channel is not None:
            channel.outgoing.ended = True
            channel.loseWriteConnection()

    @rule(pick=_PICKS)
    def close(self, pick: int) -> None:
        channel = self._channel(pick)
        if channel is not None:
            channel.loseConnection()

    @rule(pick=_PICKS)
    def abort(self, pick: int) -> None:
        channel = self._channel(pick)
        if channel is not None:
            channel.abortConnection()

    @rule(pick=_PICKS, size=st.sampled_from((1, 5000)))
    def adjust(self, pick: int, size: int) -> None:
        channel = self._channel(pick)
        if channel is not None and channel.isOpen:
            channel.conn.adjustWindow(channel, size)

    @rule(pick=_PICKS, name=st.sampled_from((b"yes", b"no", b"later")), wantReply=st.booleans())
    def request(self, pick: int, name: bytes, wantReply: bool) -> None:
        channel = self._channel(pick)
        if channel is not None and channel.isOpen:
            self.world.watch(channel.conn.sendRequest(channel, name, packString(b"data"), wantReply))

    @precondition(lambda self: self.world.decisions)
    @rule(pick=_PICKS, verdict=st.booleans())
    def decide(self, pick: int, verdict: bool) -> None:
        decisions = self.world.decisions
        decisions.pop(pick % len(decisions)).callback(verdict)

    @rule(side=_SIDES, name=st.sampled_from((b"echo", b"unknown")), wantReply=st.booleans())
    def ask(self, side: int, name: bytes, wantReply: bool) -> None:
        self.world.watch(self.world.connections[side].sendGlobalRequest(name, b"data", wantReply))

    @rule(side=_SIDES)
    def renewKeys(self, side: int) -> None:
        self.world.network.ends[side].protocol.renewKeys()

    @rule(seed=st.integers(0, 2**32 - 1))
    def several(self, seed: int) -> None:
        """
        Left to itself, Hypothesis leaves out most of the rules in each
        example, and so most of what they do to each other.
        """
        chance = random.Random(seed)
        for _ in range(8):
            side, pick = chance.randrange(2), chance.randrange(31)
            size = chance.choice((1, 100, 255, 1000, 40_000))
            match chance.randrange(16):
                case 0 | 1 | 2 | 3:
                    self.write(pick, size, chance.choice((0, 0, _STDERR)))
                case 4:
                    self.read(pick, chance.random() < 0.5)
                case 5:
                    self.renewKeys(side)
                case 6:
                    self.request(pick, chance.choice((b"yes", b"no", b"later")), True)
                case 7:
                    self.ask(side, chance.choice((b"echo", b"unknown")), True)
                case 8:
                    self.adjust(pick, size)
                case 9:
                    chance.choice((self.open, self.end, self.close, self.abort))(pick % 2)
                case _:
                    self.deliver(side, size)

    # What the link does.

    @rule(side=_SIDES, size=st.sampled_from((1, 3, 16, 100, 1000, 2**20)))
    def deliver(self, side: int, size: int) -> None:
        self.world.network.ends[side].deliver(size)

    @rule(size=st.sampled_from((7, 2**16)))
    def deliverAll(self, size: int) -> None:
        self.world.network.drain(size)

    def _wire(self, side: int, chance: int) -> bytearray | None:
        # The first change is the last that matters, so it should not come too
        # early, and should have something to change.
        if chance:
            return None
        for channel in self.world.channels:
            if channel.isOpen and not channel.wasClosed:
                self._write(channel, 255, 0)
        wire = self.world.network.ends[side].wire
        if not wire:
            return None
        Machine.disturbances += 1
        return wire

    @precondition(lambda self: self.fault == "flip")
    @rule(side=_SIDES, offset=_OFFSETS, bit=st.integers(0, 7), chance=_CHANCES)
    def flip(self, side: int, offset: int, bit: int, chance: int) -> None:
        wire = self._wire(side, chance)
        if wire is not None:
            wire[offset % len(wire)] ^= 1 << bit

    @precondition(lambda self: self.fault == "drop")
    @rule(side=_SIDES, offset=_OFFSETS, size=st.sampled_from((1, 16, 36, 100)), chance=_CHANCES)
    def drop(self, side: int, offset: int, size: int, chance: int) -> None:
        wire = self._wire(side, chance)
        if wire is not None:
            start = offset % len(wire)
            del wire[start : start + size]

    @precondition(lambda self: self.fault == "duplicate")
    @rule(side=_SIDES, offset=_OFFSETS, size=st.sampled_from((1, 16, 36, 100)), chance=_CHANCES)
    def duplicate(self, side: int, offset: int, size: int, chance: int) -> None:
        wire = self._wire(side, chance)
        if wire is not None:
            start = offset % len(wire)
            wire[start:start] = wire[start : start + size]

    @precondition(lambda self: self.fault == "cut")
    @rule(chance=_CHANCES)
    def cut(self, chance: int) -> None:
        if not chance and not self.world.ended:
            Machine.disturbances += 1
            self.world.network.cut()

    @invariant()
    def nothingIsWrong(self) -> None:
        Machine.steps += 1
        world = getattr(self, "world", None)
        if world is not None:
            assert not world.problems, world.problems
        assert not self.logged, self.logged

    # What has to come of it.

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self._settle(self.world)
        finally:
            self._secrets.__exit__(None, None, None)
            globalLogPublisher.removeObserver(self._observe)

    def _settle(self, world: World) -> None:
        network = world.network
        for channel in list(world.channels):
            channel.resumeProducing()
        network.drain()
        while world.decisions:
            world.decisions.pop().callback(True)
            network.drain()
        if world.disturbed or any(tcp.lost for tcp in network.ends):
            self._settleDisturbed(world)
        elif world.ended:
            raise AssertionError([tcp.protocol.closeReason for tcp in network.ends])
        else:
            self._settleHealthy(world)
        for tcp in network.ends:
            assert tcp.lost, "a connection stays"
            assert isinstance(tcp.protocol.closeReason.value, ConchError), tcp.protocol.closeReason
        assert world.waiting == 0, f"{world.waiting} Deferreds have not fired"
        assert [c for c in world.channels if c.isOpen and not c.wasClosed] == [], "channels stay open"
        assert network.clock.getDelayedCalls() == [], network.clock.getDelayedCalls()
        self.nothingIsWrong()

    def _settleDisturbed(self, world: World) -> None:
        """
        The link goes on, so that whoever waits for the rest of something gets
        what is no rest of it.
        """
        network = world.network
        for tcp in network.ends:
            for filler in _FILLERS:
                if tcp.disturbed and not world.ended:
                    tcp.protocol.sendIgnore(filler)
                    network.drain()
        assert world.ended, "what was changed on the wire went unnoticed"
        network.drain()

    def _settleHealthy(self, world: World) -> None:
        network = world.network
        for tcp in network.ends:
            assert not tcp.protocol._layer.exchanging, "an exchange of keys does not end"
            assert not tcp.wire, "bytes stay on the wire"
        for channel in world.channels:
            if channel.failed is None and not channel.outgoing.mayLose:
                assert not channel.outgoing.expected, "silence: what was written has not arrived"
        assert world.waiting == 0, f"{world.waiting} Deferreds have not fired"
        for channel in list(world.channels):
            channel.loseConnection()
        network.drain()
        assert [c for c in world.channels if c.isOpen and not c.wasClosed] == [], "a channel does not close"
        for connection in world.connections:
            assert (connection.channels, connection._requests, connection._ready) == ({}, {}, {})
        network.client.protocol.loseConnection()
        network.drain()


def run(examples: int, steps: int, **options: Any) -> None:
    """
    Try so many examples of so many steps.
    """
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            **options,
        ),
    )


def main() -> None:
    """
    Look for so many minutes.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    began = time.monotonic()
    while time.monotonic() - began < 60 * arguments.minutes:
        run(500, arguments.steps, phases=(Phase.generate, Phase.shrink), print_blob=True)
        print(
            f"{Machine.examples} examples, {Machine.steps} steps, {Machine.disturbances} disturbances, "
            f"{time.monotonic() - began:.0f} seconds, nothing found",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
