"""
The table of the matrix: who does which algorithm with us.

It is run and kept by C{python -m tests.interop.matrix}.
"""

from __future__ import annotations

import argparse
import csv
import io
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.reporter import TestResult
from twisted.trial.runner import TestLoader

from tests.interop.matrix import CELLS, Cell

CHAPTER = Path(__file__).parents[2] / "doc" / "interop.rst"

#: The modules that have the peers, in the order of the table.
MODULES = (
    "test_openssh_server",
    "test_openssh_client",
    "test_openssh10",
    "test_dropbear",
    "test_tinyssh",
    "test_putty",
    "test_lsh",
    "test_libssh",
    "test_asyncssh",
    "test_paramiko",
    "test_conch",
    "test_libssh2",
    "test_erlang",
    "test_go",
    "test_ourselves",
)

#: How the table says what the peer was, where it went well.
LETTERS = {"server": "S", "client": "C", "both": "S C"}

# What the table says where neither end has the algorithm.
NOTHING = "-"

# Between these lines of the chapter stands what is written here.
_BEGIN = ".. The tables, by ``python -m tests.interop.matrix --write``."
_END = ".. The end of the tables."


def cases() -> list[type]:
    """
    The test cases that have the matrix.
    """
    found = []
    for name in MODULES:
        module = import_module(f"tests.interop.{name}")
        found += [
            value
            for value in vars(module).values()
            if isinstance(value, type) and value.__module__ == module.__name__ and hasattr(value, "matrix")
        ]
    return found


class Verdicts(TestResult):
    """
    What became of each cell.

    @ivar table: by cell and peer, by what the peer was, the verdict.
    @ivar versions: by peer, by what it was, its version.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table: dict[tuple[Cell, str], dict[str, str]] = {}
        self.versions: dict[str, dict[str, str]] = {}

    def _note(self, test, verdict: str) -> None:
        # What could not even be loaded has no cell.
        if hasattr(test, "cell"):
            self.table.setdefault((test.cell, test.peer.name), {}).setdefault(test.role, verdict)
            if (version := test.learnt().version) is not None:
                self.versions.setdefault(test.peer.name, {})[test.role] = version

    def addSuccess(self, test):
        super().addSuccess(test)
        self._note(test, test.verdict)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._note(test, "skipped")

    def addFailure(self, test, fail):
        super().addFailure(test, fail)
        self._note(test, "FAILED")

    def addError(self, test, error):
        super().addError(test, error)
        self._note(test, "FAILED")


@dataclass
class Table:
    """
    The table as the chapter has it.

    @ivar versions: for each peer, its versions as server and as client.
    @ivar cells: for each peer, by the family and the name of a cell, what
        stands there.
    @ivar notes: why something does not work, in the order of their numbers.
    """

    versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    cells: dict[str, dict[tuple[str, str], str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, verdicts: Verdicts, peers: Iterable[str]) -> None:
        """
        Put what peers did in place of what is there.
        """
        for peer in peers:
            versions = verdicts.versions[peer]
            ends = [versions.get("both") or versions.get(role, NOTHING) for role in ("server", "client")]
            self.versions[peer] = (ends[0], ends[1])
            self.cells[peer] = {
                (cell.family, cell.name): self._entry(verdicts.table.get((cell, peer), {})) for cell in CELLS
            }

    def _entry(self, verdicts: Mapping[str, str]) -> str:
        texts = []
        for role, letter in LETTERS.items():
            verdict = verdicts.get(role, NOTHING)
            if verdict == "ok":
                texts.append(letter)
            elif verdict not in (NOTHING, "skipped"):
                texts.append(f"{letter.lower()} [#n{self._note(verdict)}]_")
        return " ".join(texts) or NOTHING

    def _note(self, reason: str) -> int:
        if reason not in self.notes:
            self.notes.append(reason)
        return self.notes.index(reason) + 1

    def _renumber(self) -> None:
        # Without the notes that nobody refers to any more.
        entries = [entry for cells in self.cells.values() for entry in cells.values()]
        used = dict.fromkeys(number for entry in entries for number in re.findall(r"\[#n(\d+)\]", entry))
        numbers = {old: str(new) for new, old in enumerate(used, 1)}
        for cells in self.cells.values():
            for key, entry in cells.items():
                cells[key] = re.sub(r"(?<=\[#n)\d+", lambda found: numbers[found[0]], entry)
        self.notes = [self.notes[int(old) - 1] for old in used]

    def rst(self) -> str:
        """
        The text that the chapter has.
        """
        self._renumber()
        blocks = [
            _csv(
                ["peer", "its server", "its client"], [[peer, *self.versions[peer]] for peer in self.versions]
            )
        ]
        for family in dict.fromkeys(cell.family for cell in CELLS):
            rows = [
                [cell.name, *(self.cells[peer].get((family, cell.name), NOTHING) for peer in self.versions)]
                for cell in CELLS
                if cell.family == family
            ]
            blocks.append(_csv([family, *self.versions], rows))
        blocks += [f".. [#n{number}] {reason}\n" for number, reason in enumerate(self.notes, 1)]
        return "\n".join(blocks)


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(header)
    title = stream.getvalue()
    stream.seek(0)
    stream.truncate()
    writer.writerows(rows)
    lines = [".. csv-table::", f"    :header: {title.strip()}", ""]
    lines += [f"    {line}" for line in stream.getvalue().splitlines()]
    return "\n".join(lines) + "\n"


def read(text: str) -> Table:
    """
    The table that a chapter has.
    """
    table = Table()
    body = text.partition(_BEGIN)[2].partition(_END)[0]
    for block in body.split(".. csv-table::\n")[1:]:
        lines = [line.strip() for line in block.partition(".. [#")[0].splitlines() if line.strip()]
        header, *rows = csv.reader([lines[0].removeprefix(":header: "), *lines[1:]])
        if header[0] == "peer":
            table.versions = {peer: (server, client) for peer, server, client in rows}
            continue
        for name, *entries in rows:
            for peer, entry in zip(header[1:], entries, strict=True):
                table.cells.setdefault(peer, {})[header[0], name] = entry
    for line in body.splitlines():
        if line.startswith(".. [#n"):
            table.notes.append(line.partition("] ")[2])
    return table


def write(table: Table) -> None:
    """
    Keep the table in the chapter.
    """
    before, begin, rest = CHAPTER.read_text().partition(_BEGIN)
    _, end, behind = rest.partition(_END)
    assert begin and end, f"{CHAPTER} has no place for the tables"
    CHAPTER.write_text(f"{before}{begin}\n\n{table.rst()}\n{end}{behind}")


def _print(verdicts: Verdicts, peers: Sequence[str]) -> None:
    table = Table()
    table.add(verdicts, peers)
    rows = [["", *peers]]
    family = ""
    for cell in CELLS:
        if cell.family != family:
            family = cell.family
            rows.append([family + ":", *("" for _ in peers)])
        entries = [table.cells[peer][cell.family, cell.name] for peer in peers]
        rows.append([cell.name, *(entry.replace("[#n", "[").replace("]_", "]") for entry in entries)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    for number, reason in enumerate(table.notes, 1):
        print(f"[{number}] {reason}")


def main(arguments: Sequence[str]) -> int:
    """
    Run the matrix and print it.

    @param arguments: parts of the names of the test cases that are to be run,
        of which none is all; with C{--write} what comes out is kept in the
        documentation, and what it says of peers that did not run stays.
    @return: the exit status.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.interop.matrix",
        description="Every algorithm, one at a time, with every peer; then a table of it.",
    )
    parser.add_argument("part", nargs="*", help="part of the names of test cases to run; by default all are")
    parser.add_argument("--write", action="store_true", help="keep what comes out in doc/interop.rst")
    options = parser.parse_args(arguments)
    wanted: list[str] = options.part
    chosen = {
        case: case.peer.name
        for case in cases()
        if not wanted or any(part in f"{case.__module__}.{case.__qualname__}" for part in wanted)
    }
    if not chosen:
        parser.error(f"no test case has {' or '.join(wanted)} in its name")
    if options.write:
        # What is kept of a peer is all of it.
        chosen = {case: case.peer.name for case in cases() if case.peer.name in chosen.values()}
    names = [f"{case.__module__}.{case.__qualname__}" for case in chosen]
    verdicts = Verdicts()
    # Where the tests leave their files.
    with TemporaryDirectory() as directory, chdir(directory):
        TestLoader().loadByNames(names).run(verdicts)
    _print(verdicts, list(verdicts.versions))
    counts = {role: {"ok": 0, "-": 0} for role in LETTERS}
    for ends in verdicts.table.values():
        for role, verdict in ends.items():
            kind = verdict if verdict in ("ok", "-", "skipped", "FAILED") else "known"
            counts[role][kind] = counts[role].get(kind, 0) + 1
    for role, numbers in counts.items():
        print(f"{role}: " + ", ".join(f"{number} {kind}" for kind, number in numbers.items()))
    problems: dict[str, object] = {}
    for test, problem in [*verdicts.failures, *verdicts.errors]:
        print(f"\n{test.id()}: {problem.getErrorMessage()}")
        # One that all tests of a class have in common is told once.
        problems.setdefault(problem.getErrorMessage(), problem)
    for problem in problems.values():
        print(f"\n{problem}")
    if not verdicts.wasSuccessful():
        return 1
    if options.write:
        kept = read(CHAPTER.read_text())
        kept.add(verdicts, verdicts.versions)
        peers = dict.fromkeys(case.peer.name for case in cases())
        kept.versions = {peer: kept.versions[peer] for peer in peers if peer in kept.versions}
        write(kept)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
