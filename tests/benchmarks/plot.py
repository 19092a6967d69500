"""
The plots of C{doc/performance.rst}, as SVG.

This takes matplotlib, which the C{dev} extra has; nothing else imports it. The
same figures give the same bytes: no date, no random names.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from tests.benchmarks.contestants import OPENSSH, OURS
from tests.benchmarks.document import BYTES, NAMES, excused, isDirect, label, pathRate
from tests.benchmarks.results import Measured, Results
from tests.benchmarks.scenarios import CLIENT, SERVER

#: Text stays text, in whatever sans-serif font the reader has.
_STYLE = {
    "svg.hashsalt": "conchlite",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica", "sans-serif"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
}

#: Told apart by those who see fewer colours, too (Okabe and Ito).
_COLOURS = {
    OPENSSH: "#777777",
    OURS: "#d55e00",
    "asyncssh": "#56b4e9",
    "paramiko": "#009e73",
    "conch": "#cc79a7",
    "ssh2-python": "#e6c229",
}

_INK = "#222222"
_BAR = 0.13
_WIDTH = 10

#: Ratios beyond these would leave nothing to be seen of the others.
_RANGE = (1 / 16, 16)


def drawings(results: Results) -> dict[str, bytes]:
    """
    @return: SVG files by their names, of what there is to draw.
    """
    found = {}
    with matplotlib.rc_context(_STYLE):
        for role in (CLIENT, SERVER):
            chosen = [
                each
                for each in results.measured
                if each.scenario.role == role and isDirect(each) and _isRatio(each)
            ]
            if chosen:
                found[role] = _svg(_ratios(chosen))
        paths = [each for each in results.measured if not isDirect(each) and each.scenario.share]
        if paths:
            found["delays"] = _svg(_paths(results, paths))
    return found


def _isRatio(measured: Measured) -> bool:
    # What is bytes is in the tables alone.
    return measured.scenario.baseline == OPENSSH and measured.scenario.detail not in BYTES


def _svg(figure: Figure) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def _taking(chosen: Sequence[Measured]) -> list[str]:
    """
    Who takes part in any of these.
    """
    return [name for name in NAMES if any(name in each.contestants() for each in chosen)]


def _blank(chosen: Sequence[Measured], names: Sequence[str]) -> Figure:
    return Figure(figsize=(_WIDTH, 0.9 + len(chosen) * (len(names) + 1.5) * _BAR))


def _finish(figure: Figure, first: Any, chosen: Sequence[Measured], names: Sequence[str]) -> Figure:
    """
    Add what all of them have: the scenarios' names and the legend.

    @param first: the axes at the left.
    """
    first.set_yticks(range(len(chosen)), [label(each) for each in chosen])
    first.set_ylim(len(chosen) - 0.5, -0.5)
    figure.legend(
        *first.get_legend_handles_labels(),
        loc="lower center",
        bbox_to_anchor=(0.5, 1),
        ncols=len(names) + 1,
        frameon=False,
    )
    figure.tight_layout()
    return figure


def _ratios(chosen: Sequence[Measured]) -> Figure:
    names = [name for name in _taking(chosen) if name != OPENSSH]
    figure = _blank(chosen, names)
    speed, cpu = figure.subplots(1, 2, sharey=True)
    for axes, what, title in ((speed, "speed", "speed: more is better"), (cpu, "cpu", "CPU: less is better")):
        _panel(axes, chosen, names, what)
        axes.set_title(title, color=_INK, fontsize=10)
    return _finish(figure, speed, chosen, names)


def _paths(results: Results, chosen: Sequence[Measured]) -> Figure:
    """
    What of a path's bandwidth is used.
    """
    names = _taking(chosen)
    figure = _blank(chosen, names)
    axes = figure.subplots()
    _frame(axes)
    axes.set_xlim(0, 110)
    axes.set_title("used of the path's bandwidth, in %", color=_INK, fontsize=10)
    height = 1 / (len(names) + 1.5)
    for column, name in enumerate(names):
        places, shares = [], []
        for row, each in enumerate(chosen):
            rate = pathRate(results, each, name)
            if rate is not None:
                places.append(row + (column - (len(names) - 1) / 2) * height)
                shares.append(100 * rate / each.scenario.bandwidth)
                _number(axes, shares[-1], places[-1], f"{shares[-1]:.0f}")
        axes.barh(places, shares, height * 0.9, color=_COLOURS[name], label=NAMES[name])
    return _finish(figure, axes, chosen, names)


def _frame(axes: Any) -> None:
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0, colors=_INK)


def _panel(axes: Any, chosen: Sequence[Measured], names: Sequence[str], what: str) -> None:
    """
    The ratios to OpenSSH, as bars from 1 to either side.
    """
    low, high = _RANGE
    height = 1 / (len(names) + 1.5)
    axes.set_xscale("log", base=2)
    axes.set_xlim(low, high)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    _frame(axes)
    axes.axvline(1, color=_INK, linewidth=1)
    for column, name in enumerate(names):
        offset = (column - (len(names) - 1) / 2) * height
        places, ratios = [], []
        for row, each in enumerate(chosen):
            ratio = each.ratio(name, what)
            if ratio is None:
                _excuse(axes, row + offset, each, name)
                continue
            places.append(row + offset)
            ratios.append(min(max(ratio, low), high))
            _number(axes, ratios[-1], places[-1], f"{ratio:.2f}", ratio >= 1)
        axes.barh(
            places,
            [ratio - 1 for ratio in ratios],
            height * 0.9,
            left=1,
            color=_COLOURS[name],
            label=NAMES[name],
        )
    _marks(axes, chosen, what, -(len(names) - 1) / 2 * height, height)


def _excuse(axes: Any, place: float, measured: Measured, name: str) -> None:
    reason = excused(measured, name)
    if reason in ("cannot", "failed"):
        _number(axes, 1, place, f"{NAMES[name]}: {reason}")


def _number(axes: Any, end: float, place: float, text: str, toRight: bool = True) -> None:
    """
    Say what a bar shows, at its end.
    """
    axes.annotate(
        text,
        (end, place),
        (2 if toRight else -2, 0),
        textcoords="offset points",
        ha="left" if toRight else "right",
        va="center",
        fontsize=5.5,
        color=_INK,
    )


def _marks(axes: Any, chosen: Sequence[Measured], what: str, offset: float, height: float) -> None:
    """
    What conchlite has to reach, across its bars.
    """
    found = [
        (row, each.scenario.targets[what]) for row, each in enumerate(chosen) if what in each.scenario.targets
    ]
    places = [row + offset for row, _ in found]
    axes.vlines(
        [mark for _, mark in found],
        [place - height * 0.6 for place in places],
        [place + height * 0.6 for place in places],
        color=_INK,
        linewidth=1.4,
        label="conchlite's mark",
    )
