"""
Windows that follow the path.

The path is simulated: a clock, a bandwidth, a delay, and a peer that sends
whatever it may.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import FlowControlViolation, UsageError
from conchlite.sansio.flowcontrol import MAXIMUM_WINDOW_SIZE
from conchlite.sansio.windows import SMALLEST_WINDOW, PathWindow, ReceiveWindows

MIB = 2**20
BUDGET = 64 * MIB
PACKET = 32768


class Network:
    """
    The time, and what happens when.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = itertools.count()

    def seconds(self) -> float:
        return self.now

    def at(self, time: float, function: Callable[..., object], *args: Any) -> None:
        heapq.heappush(self._events, (time, next(self._order), function, args))

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self._events and self._events[0][0] <= until:
            self.now, _, function, args = heapq.heappop(self._events)
            function(*args)
        self.now = until


class Bulk:
    """
    A peer that sends as fast as it may, and a program that takes it.

    @cvar packet: how many bytes it sends in a packet.
    @ivar taken: how many bytes the program has taken.
    @ivar paused: whether it takes none.
    @ivar speed: the most that it takes, in bytes a second.
    """

    packet = PACKET

    def __init__(
        self,
        network: Network,
        windows: ReceiveWindows,
        bandwidth: float,
        roundTrip: float,
        size: int = 2 * MIB,
    ) -> None:
        self.network = network
        self.bandwidth = bandwidth
        self.roundTrip = roundTrip
        self.window = windows.window(size, PACKET)
        self.taken = 0
        self.paused = False
        self.speed = 10e9
        self._credit = self.window.size
        self._linkFree = self._programFree = 0.0
        self._held: list[int] = []

    def send(self) -> None:
        while self._credit:
            size = min(self.packet, self._credit)
            self._credit -= size
            self._linkFree = max(self._linkFree, self.network.now) + size / self.bandwidth
            # What the program has no time for waits below it, as TCP has it.
            self._programFree = (
                max(self._programFree, self._linkFree + self.roundTrip / 2) + size / self.speed
            )
            self.network.at(self._programFree, self._arrive, size)

    def busy(self, seconds: float) -> None:
        """
        The program does something else: nothing that comes is looked at.
        """
        self._programFree = max(self._programFree, self.network.now) + seconds

    def _arrive(self, size: int) -> None:
        self.window.arrived(size)
        if self.paused:
            self._held.append(size)
        else:
            self._take(size)

    def _take(self, size: int) -> None:
        self.taken += size
        if self.window.consumed(size):
            credit = self.window.adjustment()
            self.network.at(self.network.now + self.roundTrip / 2, self._adjust, credit)

    def _adjust(self, credit: int) -> None:
        self._credit += credit
        self.send()

    def resume(self) -> None:
        self.paused = False
        held, self._held = self._held, []
        for size in held:
            self._take(size)

    def rate(self, seconds: float) -> float:
        """
        How many bytes a second are taken from now on.
        """
        before = self.taken
        self.network.run(seconds)
        return (self.taken - before) / seconds


def sized(packet: int) -> type[Bulk]:
    """
    A peer that does not send the largest packets.
    """
    return type("Sized", (Bulk,), {"packet": packet})


def scene(bandwidth: float, roundTrip: float, make: type[Bulk] = Bulk, channels: int = 1) -> Any:
    network = Network()
    windows = ReceiveWindows(BUDGET, network.seconds)
    bulks = [make(network, windows, bandwidth / channels, roundTrip) for _ in range(channels)]
    for bulk in bulks:
        bulk.send()
    return (network, windows, *bulks)


class PathTests(SynchronousTestCase):
    def test_everyPathIsFilled(self) -> None:
        """
        Whatever the delay: nine tenths of the path, with a window of no more
        than four times its bytes.
        """
        chance = random.Random(7)
        for roundTrip in (0.001, 0.01, 0.1):
            for bandwidth in (1e6, 10e6, 50e6, 100e6, 200e6):
                _, _, bulk = scene(bandwidth, roundTrip, sized(chance.choice((16384, 30_001, PACKET))))
                bulk.network.run(10 * roundTrip + 4 * MIB / bandwidth)
                path = bandwidth * roundTrip
                name = f"{bandwidth:g} bytes/s, {roundTrip} s: {bulk.window.size}"
                self.assertGreaterEqual(
                    bulk.rate(10 * roundTrip + 4 * MIB / bandwidth), 0.9 * bandwidth, name
                )
                self.assertLessEqual(bulk.window.size, max(2 * MIB, 4 * path), name)

    def test_fixedWouldNotDo(self) -> None:
        """
        What the growing is for: a window of 2 MiB gives a fifth of that path.
        """
        network = Network()
        bulk = Bulk(network, ReceiveWindows(BUDGET, None), 100e6, 0.1)
        bulk.send()
        network.run(2)
        self.assertLess(bulk.rate(4), 0.21 * 100e6)
        self.assertEqual(2 * MIB, bulk.window.size)

    def test_quickly(self) -> None:
        """
        It takes two round trips for each doubling, and not more.
        """
        _, _, bulk = scene(200e6, 0.1)
        bulk.network.run(1)
        self.assertEqual(32 * MIB, bulk.window.size)

    def test_nearby(self) -> None:
        """
        On loopback nothing grows, with no more to go by than adjustments and
        a program whose speed is no steady one.
        """
        for seed in range(10):
            chance = random.Random(seed)
            network, windows, bulk = scene(1000e6, 0.0002)
            bulk.speed = 500e6
            network.run(0.01)
            windows.asked(seed)
            network.run(0.0003)
            windows.answered(seed)
            for _ in range(30):
                network.run(chance.random() * 0.01)
                bulk.busy(chance.choice((0, 0, 0.002, 0.05)))
            self.assertEqual(2 * MIB, bulk.window.size, seed)

    def test_slowBeginning(self) -> None:
        """
        Nor does anything grow where all gets faster in the middle of the
        first measurement, when it is not known yet how near the peer is: the
        peer did not wait.
        """
        network = Network()
        windows = ReceiveWindows(BUDGET, network.seconds)
        bulk = Bulk(network, windows, 1000e6, 0.0002)
        bulk.speed = 50e6
        bulk.send()
        bulk.speed = 500e6
        network.run(1)
        self.assertEqual(2 * MIB, bulk.window.size)

    def test_slowProgram(self) -> None:
        """
        Who is slower than the path needs no more window: a program that takes
        5 MB/s of 100, that pauses for long, or that is away for a while.
        """
        _, _, slow = scene(100e6, 0.1)
        slow.speed = 5e6
        slow.network.run(10)
        self.assertEqual(2 * MIB, slow.window.size)
        _, _, away = scene(10e6, 0.05)
        for _ in range(20):
            away.network.run(2)
            away.busy(0.5)
        self.assertEqual(2 * MIB, away.window.size)
        _, _, pausing = scene(100e6, 0.01)
        pausing.speed = 500e6
        for _ in range(20):
            pausing.network.run(0.004)
            pausing.paused = True
            pausing.network.run(0.5)
            pausing.resume()
        self.assertLessEqual(pausing.window.size, 4 * MIB)

    def test_slowPeer(self) -> None:
        """
        A peer that has little to send, and answers late, does not make a
        window grow.
        """
        network, windows, bulk = scene(100e3, 0.1)
        windows.asked("late")
        network.run(5)
        windows.answered("late")
        network.run(1000)
        self.assertEqual(2 * MIB, bulk.window.size)

    def test_pathThatGetsFaster(self) -> None:
        """
        What was measured on a slow beginning is forgotten with the first
        measurement that is better.
        """
        _, windows, bulk = scene(1e6, 0.1)
        bulk.network.run(10)
        self.assertEqual(2 * MIB, bulk.window.size)
        bulk.bandwidth = 100e6
        bulk.network.run(5)
        self.assertAlmostEqual(0.1, windows.roundTrip, 2)
        self.assertGreaterEqual(bulk.rate(2), 90e6)

    def test_paused(self) -> None:
        """
        Row 94: a paused program opens no window, however large it was.
        """
        network, _, bulk = scene(200e6, 0.1)
        network.run(3)
        bulk.paused = True
        network.run(10)
        size = bulk.window.size
        self.assertLessEqual(sum(bulk._held), size)
        self.assertGreater(sum(bulk._held), size // 2)
        before = bulk.taken
        network.run(10)
        self.assertEqual(before, bulk.taken)
        bulk.resume()
        network.run(3)
        self.assertGreaterEqual(bulk.rate(2), 0.9 * 200e6)

    def test_beyond(self) -> None:
        """
        Row 94: with a window that has grown, data beyond it is an error to
        the byte.
        """
        network, _, bulk = scene(200e6, 0.1)
        network.run(3)
        window = bulk.window
        while window.left > PACKET:
            window.arrived(PACKET)
        self.assertRaises(FlowControlViolation, window.arrived, window.left + 1)
        window.arrived(window.left)
        self.assertEqual(0, window.left)
        self.assertRaises(FlowControlViolation, window.arrived, 1)

    def test_packetSize(self) -> None:
        _, _, bulk = scene(200e6, 0.1)
        bulk.network.run(3)
        self.assertRaises(FlowControlViolation, bulk.window.arrived, PACKET + 1)

    def test_noClock(self) -> None:
        """
        Where no time passes, or none is told, nothing grows.
        """
        for seconds in (None, lambda: 5.0):
            windows = ReceiveWindows(BUDGET, seconds)
            window = windows.window(2 * MIB, PACKET)
            windows.asked(window)
            windows.answered(window)
            for _ in range(1000):
                window.arrived(PACKET)
                if window.consumed(PACKET):
                    self.assertEqual(MIB, window.adjustment())
            self.assertEqual(2 * MIB, window.size)

    def test_clockThatJumps(self) -> None:
        """
        A clock that is set back in a measurement spoils that one only.
        """
        network, windows, bulk = scene(100e6, 0.1)
        network.run(0.05)
        back = [0.0]
        windows.seconds = lambda: network.now - back[0]
        network.run(0.05)
        back[0] = 1000.0
        network.run(4)
        self.assertGreaterEqual(bulk.rate(2), 90e6)
        self.assertAlmostEqual(0.1, windows.roundTrip, 2)


class QuestionTests(SynchronousTestCase):
    def test_theLastQuestion(self) -> None:
        """
        The shortest answer counts, and only one that was waited for.
        """
        network = Network()
        windows = ReceiveWindows(BUDGET, network.seconds)
        first, second = object(), object()
        windows.asked(first)
        network.run(0.5)
        windows.asked(second)
        network.run(0.25)
        windows.answered(first)
        self.assertEqual(float("inf"), windows.roundTrip)
        windows.answered(second)
        self.assertEqual(0.25, windows.roundTrip)
        network.run(0.001)
        windows.answered(second)
        self.assertEqual(0.25, windows.roundTrip)
        windows.asked(first)
        windows.forget(second)
        windows.forget(first)
        windows.answered(first)
        self.assertEqual(0.25, windows.roundTrip)
        for elapsed, expected in ((1, 0.25), (0.125, 0.125), (-1, 0.125)):
            windows.measured(elapsed)
            self.assertEqual(expected, windows.roundTrip)


class BudgetTests(SynchronousTestCase):
    def test_budgetIsKept(self) -> None:
        """
        A path longer than the budget gets three quarters of it, and the rest
        is for those that come.
        """
        network, windows, bulk = scene(1000e6, 0.5)
        network.run(20)
        self.assertEqual(48 * MIB, bulk.window.size)
        self.assertEqual(48 * MIB, windows.taken)

    def test_manyBeginSmaller(self) -> None:
        """
        As many windows as there may be channels stay within the budget, and
        the last of them still moves data.
        """
        windows = ReceiveWindows(BUDGET, None)
        sizes = [windows.window(2 * MIB, PACKET).size for _ in range(256)]
        self.assertEqual([2 * MIB] * 16, sizes[:16])
        self.assertLess(sizes[16], 2 * MIB)
        self.assertEqual(sorted(sizes, reverse=True), sizes)
        self.assertGreaterEqual(sizes[-1], SMALLEST_WINDOW)
        self.assertLessEqual(sum(sizes), BUDGET)
        self.assertEqual(sum(sizes), windows.taken)

    def test_roomIsGivenBack(self) -> None:
        windows = ReceiveWindows(BUDGET, None)
        opened = [windows.window(2 * MIB, PACKET) for _ in range(200)]
        for window in opened:
            window.end()
        self.assertEqual((0, 0), (windows.taken, windows.count))
        self.assertEqual(2 * MIB, windows.window(2 * MIB, PACKET).size)

    def test_endIsTheEnd(self) -> None:
        """
        What happens to a window whose channel is over changes nothing for
        the others.
        """
        network, windows, bulk = scene(200e6, 0.1)
        network.run(0.5)
        bulk.window.end()
        network.run(3)
        self.assertEqual((0, 0), (windows.taken, windows.count))

    def test_fixed(self) -> None:
        """
        A window that is not to grow has the size that it was given, counts,
        and is never made smaller.
        """
        windows = ReceiveWindows(4 * MIB, lambda: 0.0)
        fixed = windows.window(16 * MIB, PACKET, grows=False)
        self.assertEqual((16 * MIB, 16 * MIB), (fixed.size, windows.taken))
        self.assertEqual(SMALLEST_WINDOW, windows.window(2 * MIB, PACKET).size)
        network = Network()
        windows = ReceiveWindows(BUDGET, network.seconds)
        bulk = Bulk(network, windows, 200e6, 0.1)
        bulk.window = windows.window(2 * MIB, PACKET, grows=False)
        bulk.send()
        network.run(5)
        self.assertEqual(2 * MIB, bulk.window.size)

    def test_larger(self) -> None:
        """
        A program's own adjustment is kept, and counted.
        """
        windows = ReceiveWindows(BUDGET, lambda: 0.0)
        window = windows.window(2 * MIB, PACKET)
        window.grow(MIB)
        self.assertEqual((3 * MIB, 3 * MIB, 3 * MIB), (window.size, window.left, windows.taken))
        for _ in range(96):
            window.arrived(PACKET)
            window.consumed(PACKET)
        self.assertEqual((3 * MIB, 3 * MIB), (window.adjustment(), window.left))
        self.assertRaises(UsageError, window.grow, MAXIMUM_WINDOW_SIZE)
        self.assertEqual(3 * MIB, windows.taken)
        window.end()
        self.assertEqual(0, windows.taken)

    def test_share(self) -> None:
        """
        When a second channel wants to grow, the first gives back what it has
        beyond its share; both then have the same.
        """
        network, windows, first = scene(1000e6, 0.5)
        network.run(20)
        second = Bulk(network, windows, 1000e6, 0.5)
        self.assertEqual(2 * MIB, second.window.size)
        second.send()
        network.run(30)
        self.assertEqual((24 * MIB, 24 * MIB), (first.window.size, second.window.size))
        self.assertEqual(48 * MIB, windows.taken)
        self.assertLessEqual(first.window.left, 24 * MIB)

    def test_shareComesBack(self) -> None:
        network, windows, first = scene(1000e6, 0.5)
        second = Bulk(network, windows, 1000e6, 0.5)
        second.send()
        network.run(30)
        second.window.end()
        network.run(30)
        self.assertEqual(48 * MIB, first.window.size)

    def test_idleOnesAreLeftAlone(self) -> None:
        """
        A channel that nothing comes on does not keep another from growing,
        beyond what it has.
        """
        network, windows, first = scene(1000e6, 0.5)
        for _ in range(9):
            windows.window(2 * MIB, PACKET)
        network.run(30)
        self.assertGreaterEqual(first.window.size, 28 * MIB)
        self.assertLessEqual(windows.taken, 48 * MIB)

    def test_pausedOnesKeepWhatTheyHave(self) -> None:
        """
        A program that was fast and is paused for ever holds what it has, and
        others go on without it.
        """
        network, windows, hog = scene(200e6, 0.2)
        network.run(10)
        hog.paused = True
        network.run(1)
        others = [Bulk(network, windows, 5e6, 0.2) for _ in range(5)]
        for other in others:
            other.send()
        network.run(10)
        for other in others:
            self.assertGreaterEqual(other.rate(4), 0.9 * 5e6)
        self.assertLessEqual(windows.taken, BUDGET)

    def test_hundred(self) -> None:
        """
        A hundred that all have something to send: nobody stands still, nobody
        has more than it needs, and it all stays within the budget.
        """
        network, windows, *bulks = scene(100e6, 0.1, channels=100)
        network.run(5)
        self.assertLessEqual(windows.taken, BUDGET)
        before = [bulk.taken for bulk in bulks]
        network.run(2)
        found = [(bulk.taken - taken) / 2 for bulk, taken in zip(bulks, before, strict=True)]
        self.assertGreaterEqual(min(found), 0.5 * 1e6)
        self.assertGreaterEqual(sum(found), 0.85 * 100e6)

    @settings(max_examples=30, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 7), st.integers(0, 5), st.floats(0.001, 0.5)), max_size=60),
        st.sampled_from((MIB, 4 * MIB, BUDGET)),
        st.sampled_from((0.001, 0.1, 1.0)),
    )
    def test_whateverHappens(
        self, steps: list[tuple[int, int, float]], budget: int, roundTrip: float
    ) -> None:
        """
        Row 94: whatever channels do and however late the peer is, what it can
        make us hold stays within the budget and a little; and nobody who
        reads stands still.
        """
        network = Network()
        windows = ReceiveWindows(budget, network.seconds)
        bulks = [Bulk(network, windows, 5e6, roundTrip) for _ in range(8)]
        for index, action, seconds in steps:
            bulk = bulks[index]
            if action < 2:
                bulk.send()
            elif action == 2:
                bulk.paused = True
            elif action == 3:
                bulk.resume()
            elif action == 4:
                bulk.busy(seconds)
            network.run(seconds)
            self.assertLessEqual(windows.taken, budget + 8 * SMALLEST_WINDOW)
            for each in bulks:
                exposed = each.window.left + sum(each._held) + each.window._consumed
                self.assertEqual(each.window._extent, exposed)
        self.assertEqual(windows.taken, sum(bulk.window._extent for bulk in bulks))
        for bulk in bulks:
            bulk.resume()
            bulk.send()
        network.run(1 + 4 * roundTrip)
        before = [bulk.taken for bulk in bulks]
        network.run(1 + 2 * roundTrip)
        for bulk, taken in zip(bulks, before, strict=True):
            self.assertGreater(bulk.taken, taken)


class PathWindowTests(SynchronousTestCase):
    def test_largestOfAll(self) -> None:
        """
        No window becomes larger than a window can be.
        """
        network = Network()
        windows = ReceiveWindows(2**40, network.seconds)
        bulk = Bulk(network, windows, 1e12, 10, size=2**31)
        bulk.send = lambda: None  # type: ignore[method-assign]
        window: PathWindow = bulk.window
        window.maximumPacketSize = MAXIMUM_WINDOW_SIZE
        total = 2**31
        for _ in range(12):
            network.run(10)
            left = window.left
            window.arrived(left)
            network.run(0.001)
            window.consumed(left)
            window.adjustment()
            self.assertLessEqual(window.left, MAXIMUM_WINDOW_SIZE)
            total = max(total, window.size)
        self.assertGreater(total, 2**31)
        self.assertLessEqual(total, MAXIMUM_WINDOW_SIZE)
