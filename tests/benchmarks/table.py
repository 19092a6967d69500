"""
The table that people read.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.benchmarks.results import Measured, Miss, Results

_NAME = 14
_WIDTH = 7

#: How figures are shown: what they are divided by, with how many digits, and
#: the unit.
_UNITS = {
    "wall": (1, 3, "s"),
    "cpu": (1, 3, "s"),
    "peak": (2**20, 1, "MiB"),
    "median": (1e-3, 3, "ms"),
    "p99": (1e-3, 3, "ms"),
    "each": (2**10, 1, "KiB"),
    "growth": (2**20, 1, "MiB"),
}

_RATIOS = ("speed", "cpu", "peak")


def shown(figure: str, value: float) -> str:
    """
    A figure with its unit.
    """
    unit = _UNITS.get(figure)
    if unit is None:
        return f"{value:.2f}"
    scale, digits, name = unit
    return f"{value / scale:.{digits}f} {name}"


def heading(results: Results) -> Iterator[str]:
    """
    What all of the table has in common.
    """
    machine = ", ".join(str(value) for value in results.machine.values())
    yield f"{results.date}, {machine}"
    yield ", ".join(f"{name} {version}" for name, version in results.versions.items())
    yield f"{results.size} MiB, medians of {results.rounds} rounds at most"
    yield ""
    groups = ("median", "to the baseline", "to the best Python peer")
    yield " " * _NAME + "".join(f"  {group:^{3 * _WIDTH}}" for group in groups)
    columns = ("wall s", "CPU s", "MiB", *2 * ("speed", "CPU", "memory"))
    yield " " * _NAME + "".join(
        f"{'  ' if place % 3 == 0 else ''}{column:>{_WIDTH}}" for place, column in enumerate(columns)
    )


def rows(measured: Measured) -> Iterator[str]:
    """
    One scenario.
    """
    scenario = measured.scenario
    targets = ", ".join(_target(figure, mark) for figure, mark in scenario.targets.items())
    yield f"{scenario.name}{f'  (to reach: {targets})' if targets else ''}"
    missed = {miss.figure for miss in measured.misses()}
    for name in measured.contestants():
        excuse = measured.excuse(name)
        cells = f"  {excuse}" if excuse else _cells(measured, name)
        yield f"  {name:{_NAME - 2}}{cells}".rstrip()
    if missed:
        yield f"  {'':{_NAME - 2}}  missed: {', '.join(sorted(missed))}"


def _cells(measured: Measured, name: str) -> str:
    medians = "".join(_median(measured, name, figure) for figure in ("wall", "cpu", "peak"))
    toBaseline = "".join(_ratio(measured.ratio(name, figure)) for figure in _RATIOS)
    toPythons = "".join(_ratio(measured.ratioToPythons(name, figure)) for figure in _RATIOS)
    detail = measured.scenario.detail
    value = measured.median(name, detail) if detail else None
    more = f"  {detail} {shown(detail, value)}" if value is not None else ""
    failures = len(measured.failures(name))
    lost = f"  ({failures} failed)" if failures else ""
    return f"  {medians}  {toBaseline}  {toPythons}{more}{lost}"


def _median(measured: Measured, name: str, figure: str) -> str:
    value = measured.median(name, figure)
    scale, digits, _ = _UNITS[figure]
    # Nothing at all is nothing that was seen.
    return f"{f'{value / scale:.{digits}f}' if value else '-':>{_WIDTH}}"


def _ratio(value: float | None) -> str:
    return f"{'-' if value is None else f'{value:.2f}':>{_WIDTH}}"


def _target(figure: str, mark: float) -> str:
    # The processor's time is held against the baseline's, as speed is.
    return f"{figure} {f'{mark:.2f}' if figure in _RATIOS else shown(figure, mark)}"


def missed(miss: Miss) -> str:
    """
    A line about a mark that was not reached.
    """
    was = "nothing was measured" if miss.value is None else _target(miss.figure, miss.value)
    return f"{miss.scenario}: {was}, to reach: {_target(miss.figure, miss.mark)}"
