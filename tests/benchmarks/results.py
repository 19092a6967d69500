"""
What was measured, and what follows from it: medians, and ratios that are taken
within each round before their median is.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from tests.benchmarks.contestants import CONTESTANTS, OURS
from tests.benchmarks.measure import Figures
from tests.benchmarks.scenarios import MORE_IS_BETTER, Scenario

#: Names of the peers that are libraries for Python.
PYTHONS = frozenset(contestant.name for contestant in CONTESTANTS if contestant.isPythons)

Round = dict[str, Figures]


@dataclass
class Measured:
    """
    All runs of one scenario.

    @ivar rounds: for each round, by contestant, what its program told; or
        C{cannot} or C{failed} and the reason.
    """

    scenario: Scenario
    rounds: list[Round] = field(default_factory=list)

    def contestants(self) -> list[str]:
        """
        Who took part, in the order in which they are shown.
        """
        order = [contestant.name for contestant in CONTESTANTS]
        found = {name for each in self.rounds for name in each}
        return sorted(found, key=lambda name: (name in order, order.index(name) if name in order else 0))

    def excuse(self, contestant: str) -> str | None:
        """
        Why somebody has no figures; L{None} if he has some.
        """
        reasons = []
        for figures in self._runs(contestant):
            if not figures.keys() & {"cannot", "failed"}:
                return None
            reasons += [f"{kind}: {reason}" for kind, reason in figures.items()]
        return reasons[0]

    def failures(self, contestant: str) -> list[str]:
        """
        The rounds that somebody did not end, and why.
        """
        return [figures["failed"] for figures in self._runs(contestant) if "failed" in figures]

    def median(self, contestant: str, figure: str) -> float | None:
        """
        The median of a figure over the rounds.
        """
        values = [figures[figure] for figures in self._runs(contestant) if figure in figures]
        return statistics.median(values) if values else None

    def ratio(self, contestant: str, figure: str, base: str | None = None) -> float | None:
        """
        The median of the rounds' ratios.

        @param figure: C{speed}, or the name of a figure.
        @param base: to whom; by default to the scenario's baseline.
        """
        name = base or self.scenario.baseline
        return self._ratio(contestant, figure, lambda each: each.get(name, {}).get(_measured(figure)))

    def ratioToPythons(self, contestant: str, figure: str) -> float | None:
        """
        The median of the rounds' ratios to whichever peer for Python was the
        best in that round.
        """

        def best(each: Round) -> float | None:
            found = [
                figures[_measured(figure)]
                for name, figures in each.items()
                if name in PYTHONS and name != contestant and _measured(figure) in figures
            ]
            # Of time and memory, the best is the least.
            return min(found, default=None)

        return self._ratio(contestant, figure, best)

    def _ratio(self, contestant: str, figure: str, base: Callable[[Round], float | None]) -> float | None:
        ratios = []
        for each in self.rounds:
            ours, theirs = each.get(contestant, {}).get(_measured(figure)), base(each)
            if ours and theirs:
                ratios.append(theirs / ours if figure in MORE_IS_BETTER else ours / theirs)
        return statistics.median(ratios) if ratios else None

    def _runs(self, contestant: str) -> Iterator[Figures]:
        return (each[contestant] for each in self.rounds if contestant in each)

    def value(self, contestant: str, figure: str) -> float | None:
        """
        What is held against a target of that name.
        """
        if figure in ("speed", "cpu"):
            return self.ratio(contestant, figure)
        return self.median(contestant, figure)

    def misses(self) -> list[Miss]:
        """
        The marks that conchlite did not reach.
        """
        found = []
        if not any(OURS in each for each in self.rounds):
            return found
        for figure, mark in self.scenario.targets.items():
            value = self.value(OURS, figure)
            reached = value is not None and (value >= mark if figure in MORE_IS_BETTER else value <= mark)
            if not reached:
                found.append(Miss(self.scenario.name, figure, mark, value))
        return found


@dataclass(frozen=True)
class Miss:
    """
    A mark that was not reached.

    @ivar value: what was; L{None} if nothing was measured.
    """

    scenario: str
    figure: str
    mark: float
    value: float | None


def _measured(figure: str) -> str:
    # A speed is a ratio of times.
    return "wall" if figure == "speed" else figure


@dataclass
class Results:
    """
    A whole run of the benchmarks.

    @ivar date: when it began, in ISO 8601.
    @ivar machine: what it ran on.
    @ivar versions: by contestant, and of what else mattered.
    @ivar rounds: what C{--rounds} said.
    @ivar size: what C{--size} said, in MiB.
    """

    date: str
    machine: Mapping[str, object]
    versions: Mapping[str, str]
    rounds: int
    size: int
    measured: list[Measured] = field(default_factory=list)

    def misses(self) -> list[Miss]:
        return [miss for measured in self.measured for miss in measured.misses()]

    def toJSON(self) -> str:
        """
        Everything, with each raw figure, and the medians and ratios.
        """
        document = {
            "date": self.date,
            "machine": dict(self.machine),
            "versions": dict(self.versions),
            "rounds": self.rounds,
            "size": self.size,
            "scenarios": [
                {
                    "scenario": {**asdict(measured.scenario), "leaveOut": sorted(measured.scenario.leaveOut)},
                    "rounds": measured.rounds,
                    "summary": {name: summary(measured, name) for name in measured.contestants()},
                }
                for measured in self.measured
            ],
            "misses": [asdict(miss) for miss in self.misses()],
        }
        return json.dumps(document, indent=1) + "\n"

    @classmethod
    def fromJSON(cls, text: str) -> Results:
        """
        What L{toJSON} wrote.
        """
        document = json.loads(text)
        results = cls(*(document[name] for name in ("date", "machine", "versions", "rounds", "size")))
        for entry in document["scenarios"]:
            values = {**entry["scenario"], "leaveOut": frozenset(entry["scenario"]["leaveOut"])}
            results.measured.append(Measured(Scenario(**values), entry["rounds"]))
        return results


def summary(measured: Measured, contestant: str) -> dict[str, Any]:
    """
    What is shown of one contestant in one scenario.
    """
    if (excuse := measured.excuse(contestant)) is not None:
        return {"excuse": excuse}
    figures = {figure for each in measured.rounds for figure in each.get(contestant, {})}
    return {
        "failures": measured.failures(contestant),
        "median": {figure: measured.median(contestant, figure) for figure in sorted(figures)},
        "ratio": {figure: measured.ratio(contestant, figure) for figure in ("speed", "cpu", "peak")},
        "ratioToPythons": {
            figure: measured.ratioToPythons(contestant, figure) for figure in ("speed", "cpu", "peak")
        },
    }
