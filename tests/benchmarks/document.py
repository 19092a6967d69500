"""
The tables of C{doc/performance.rst}, as reStructuredText: they are made of
what was measured, and nothing in them is typed by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.benchmarks import table
from tests.benchmarks.contestants import OPENSSH, OURS
from tests.benchmarks.results import Measured, Results
from tests.benchmarks.scenarios import CLIENT, MIB, SERVER

#: What is shown of the machine: its class, and no more.
CLASS = ("cores", "system")

#: How contestants are called, in the order of the columns.
NAMES = {
    OPENSSH: "OpenSSH",
    OURS: "conchlite",
    "asyncssh": "AsyncSSH",
    "paramiko": "Paramiko",
    "conch": "Conch",
    "ssh2-python": "ssh2-python",
}

#: Figures that are bytes, and stand in the place of the ratios.
BYTES = ("each", "growth")

NOTHING = "\\-"


def write(results: Results, directory: Path) -> None:
    """
    Write what C{doc/performance.rst} includes: the tables, the plots, and what
    they were made from.
    """
    # Drawing takes an extra, the tables do not.
    from tests.benchmarks import plot

    machine = {name: results.machine[name] for name in CLASS if name in results.machine}
    shown = replace(results, machine=machine)
    directory.mkdir(exist_ok=True)
    (directory / "results.json").write_text(_compact(shown))
    (directory / "tables.inc").write_text(document(shown))
    for name, drawing in plot.drawings(shown).items():
        (directory / f"{name}.svg").write_bytes(drawing)


def _compact(results: Results) -> str:
    # What follows from the figures would be most of the file.
    written = json.loads(results.toJSON())
    for each in written["scenarios"]:
        del each["summary"]
    return json.dumps(written, separators=(",", ":")) + "\n"


def document(results: Results) -> str:
    """
    All tables, with what they were measured on.
    """
    tables = _Tables(results)
    parts = [
        tables.preface(),
        tables.ratios("Clients, against sshd", CLIENT),
        tables.ratios("Servers, under OpenSSH's client", SERVER),
        tables.delays(),
        tables.memory(),
        tables.missed(),
    ]
    head = [".. Made by python -m tests.benchmarks; not to be edited.", ""]
    return "\n".join([*head, *(line for part in parts for line in part)]).rstrip() + "\n"


def isDirect(measured: Measured) -> bool:
    return not measured.scenario.isRelayed


def label(measured: Measured) -> str:
    """
    What a scenario is called where it is clear whose it is.
    """
    return measured.scenario.name.removeprefix("server: ")


def excused(measured: Measured, name: str) -> str | None:
    """
    What stands in the place of somebody's figures; L{None} if he has them.
    """
    if name not in measured.contestants():
        return NOTHING
    reason = measured.excuse(name)
    return None if reason is None else reason.partition(":")[0]


def pathRate(results: Results, measured: Measured, name: str) -> float | None:
    """
    What of its path's bandwidth somebody used, in bytes a second. The time
    until the first byte does not count: it is a matter of the round trips.
    """
    scenario = measured.scenario
    wall = measured.median(name, "wall")
    firsts = [
        each.median(name, "wall") or 0.0
        for each in results.measured
        if each.scenario.delay == scenario.delay and not each.scenario.share
    ]
    if wall is None:
        return None
    return scenario.size(results.size) / (wall - sum(firsts))


class _Tables:
    def __init__(self, results: Results) -> None:
        self._results = results
        self._names = [name for name in NAMES if any(name in each.contestants() for each in results.measured)]

    def preface(self) -> list[str]:
        results = self._results
        versions = ", ".join(f"{NAMES.get(name, name)} {found}" for name, found in results.versions.items())
        machine = ", ".join(map(str, results.machine.values()))
        return [
            f"Measured on {results.date[:10]}, with {machine}.",
            f"{results.rounds} rounds; {results.size} MiB in a whole transfer.",
            f"{versions}.",
            "",
        ]

    def ratios(self, title: str, role: str) -> list[str]:
        found = [each for each in self._results.measured if each.scenario.role == role and isDirect(each)]
        others = [name for name in self._names if name != OPENSSH]
        rows = []
        for each in found:
            cells = [self._cell(each, name, self._ratio) for name in others]
            rows.append([label(each), self._cell(each, OPENSSH, self._absolute), _mark(each), *cells])
        return _section(title, ["speed / CPU", "OpenSSH itself", "mark", *self._titles(others)], rows)

    def delays(self) -> list[str]:
        relayed = [each for each in self._results.measured if not isDirect(each)]
        rows = [
            [label(each), *(self._cell(each, name, self._path) for name in self._names)] for each in relayed
        ]
        return _section("Over a delay", ["over a path", *self._titles(self._names)], rows)

    def memory(self) -> list[str]:
        found = [
            each for each in self._results.measured if each.scenario.share and each.scenario.role == CLIENT
        ]
        rows = [[label(each), *(self._cell(each, name, _peak) for name in self._names)] for each in found]
        return _section("Memory", ["most, in MiB", *self._titles(self._names)], rows)

    def missed(self) -> list[str]:
        misses = "; ".join(map(table.missed, self._results.misses()))
        return [f"Marks that were not reached: {misses}." if misses else "All marks were reached."]

    def _titles(self, names: list[str]) -> list[str]:
        return [NAMES[name] for name in names]

    def _cell(self, measured: Measured, name: str, show: Callable[[Measured, str], str]) -> str:
        return excused(measured, name) or show(measured, name)

    def _ratio(self, measured: Measured, name: str) -> str:
        return _inBytes(measured, name) or _both(measured.ratio(name, "speed"), measured.ratio(name, "cpu"))

    def _absolute(self, measured: Measured, name: str) -> str:
        wall = measured.median(name, "wall")
        if (text := _inBytes(measured, name)) or not wall:
            return text or NOTHING
        if size := measured.scenario.size(self._results.size):
            cpu = measured.median(name, "cpu") or 0.0
            return f"{size / wall / MIB:.0f} MiB/s, {cpu / size * 2**30:.2f} s/GiB"
        count = int(measured.scenario.parameters.get("count", 1))
        return f"{1000 * wall / count:.2f} ms"

    def _path(self, measured: Measured, name: str) -> str:
        """
        What was made of a path: its bandwidth, or its round trips.
        """
        wall = measured.median(name, "wall")
        if not wall:
            return NOTHING
        scenario = measured.scenario
        size = scenario.size(self._results.size)
        if not size:
            return f"{1000 * wall:.0f} ms, {1000 * wall / scenario.delay:.1f} trips"
        rate = pathRate(self._results, measured, name) or 0.0
        return f"{rate / MIB:.0f} MiB/s ({100 * rate / scenario.bandwidth:.0f} %)"


def _section(title: str, head: list[str], rows: list[list[str]]) -> list[str]:
    if not rows:
        return []
    lines = [title, "-" * len(title), "", ".. list-table::", "    :header-rows: 1", ""]
    for row in (head, *rows):
        first, *others = row
        lines += [f"    * - {first}", *(f"      - {cell}" for cell in others)]
    return [*lines, ""]


def _mark(measured: Measured) -> str:
    targets = measured.scenario.targets
    for figure in BYTES:
        if figure in targets:
            return table.shown(figure, targets[figure])
    return _both(targets.get("speed"), targets.get("cpu"))


def _both(speed: float | None, cpu: float | None) -> str:
    if speed is None and cpu is None:
        return NOTHING
    return " / ".join("\\-" if value is None else f"{value:.2f}" for value in (speed, cpu))


def _inBytes(measured: Measured, name: str) -> str | None:
    for figure in BYTES:
        if (value := measured.median(name, figure)) is not None:
            return table.shown(figure, value)
    return None


def _peak(measured: Measured, name: str) -> str:
    peak = measured.median(name, "peak")
    return f"{peak / MIB:.0f}" if peak else NOTHING
