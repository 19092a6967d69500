"""
Runs the programs, scenario by scenario and round by round. Within a round the
contestants take turns, in another order each time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.benchmarks import measure
from tests.benchmarks.contestants import (
    CONTESTANTS,
    FLOOR,
    OPENSSH,
    PROGRAMS,
    SERVERS,
    Contestant,
)
from tests.benchmarks.measure import Background, Failed, Figures
from tests.benchmarks.results import Measured
from tests.benchmarks.scenarios import SERVER, Scenario

_RELAY = "tests.benchmarks.relay"

_BY_NAME = {contestant.name: contestant for contestant in (*CONTESTANTS, FLOOR)}


@dataclass
class Runner:
    """
    @ivar port: where sshd listens.
    @ivar user: who logs in.
    @ivar identity: the path of the user's key.
    @ivar size: what C{--size} says, in MiB.
    @ivar contestants: who takes part.
    @ivar tell: is called with each run that went wrong.
    """

    port: int
    user: str
    identity: str
    size: int
    contestants: Sequence[Contestant]
    tell: Callable[[str], object] = print
    _random: random.Random = field(default_factory=lambda: random.Random(0))

    def measure(self, scenario: Scenario, rounds: int) -> Measured:
        """
        All rounds of one scenario.
        """
        measured = Measured(scenario)
        taking = participants(scenario, self.contestants)
        for _ in range(min(rounds, scenario.rounds)):
            order = self._random.sample(taking, len(taking))
            found = {contestant.name: self._one(scenario, contestant) for contestant in order}
            measured.rounds.append(found)
        return measured

    def _one(self, scenario: Scenario, contestant: Contestant) -> Figures:
        try:
            return self._run(scenario, contestant)
        except Failed as reason:
            self.tell(f"{scenario.name}: {contestant.name}: {reason}")
            return {"failed": str(reason)}

    def _run(self, scenario: Scenario, contestant: Contestant) -> Figures:
        values = {"user": self.user, "identity": self.identity}
        port = self.port
        server = None
        with ExitStack() as stack:
            if scenario.role == SERVER:
                server = Background(f"{SERVERS}.{contestant.server}", "serve", values)
                port = stack.enter_context(server).port
            if scenario.isRelayed:
                path = {"port": port, "delay": scenario.delay, "bandwidth": scenario.bandwidth}
                port = stack.enter_context(Background(_RELAY, "serve", path)).port
            client = _BY_NAME[OPENSSH] if scenario.role == SERVER else contestant
            told = {**values, "port": port, **scenario.arguments(self.size)}
            figures = measure.run(f"{PROGRAMS}.{client.client}", scenario.action, told)
        if server is None or "cannot" in figures:
            return figures
        theirs = {name: server.figures[name] for name in ("cpu", "peak") if name in server.figures}
        del figures["cpu"], figures["peak"]
        return {**figures, **theirs}


def participants(scenario: Scenario, contestants: Sequence[Contestant]) -> list[Contestant]:
    """
    Who takes part in a scenario, the baseline first if it is nobody's rival.
    """
    taking = [
        contestant
        for contestant in contestants
        if contestant.name not in scenario.leaveOut
        and (scenario.role != SERVER or contestant.server is not None)
    ]
    return [FLOOR, *taking] if scenario.baseline == FLOOR.name else taking
