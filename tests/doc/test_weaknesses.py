"""
doc/weaknesses.rst and the tests name the same rows.

A test says in its docstring which row it is about: C{Row 31: ...}, or C{Rows 33
to 36: ...} for a whole module.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[2]

_ROWS = re.compile(r"\b[Rr]ows? (\d+(?:(?:,| and|, and| to) \d+)*)")


def rowsOfChapter() -> set[int]:
    text = (ROOT / "doc" / "weaknesses.rst").read_text()
    return {int(number) for number in re.findall(r'^    "(\d+)", ', text, re.MULTILINE)}


def rowsNamed(text: str) -> Iterator[int]:
    """
    The rows that a docstring speaks of.
    """
    for found in _ROWS.findall(text):
        words = re.findall(r"\d+|to", found)
        for index, word in enumerate(words):
            if word == "to":
                yield from range(int(words[index - 1]) + 1, int(words[index + 1]))
            else:
                yield int(word)


def rowsOfTests() -> dict[int, set[str]]:
    """
    The rows that docstrings of tests name, with the files.
    """
    rows: dict[int, set[str]] = {}
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                for row in rowsNamed(ast.get_docstring(node) or ""):
                    rows.setdefault(row, set()).add(str(path.relative_to(ROOT)))
    return rows


class WeaknessesTests(SynchronousTestCase):
    def test_everyRowHasATest(self):
        self.assertEqual(sorted(rowsOfChapter() - rowsOfTests().keys()), [])

    def test_everyTestHasARow(self):
        chapter = rowsOfChapter()
        self.assertEqual({row: files for row, files in rowsOfTests().items() if row not in chapter}, {})

    def test_ranges(self):
        """
        What is read as a row, so that no reference is overlooked.
        """
        self.assertEqual(
            list(rowsNamed("Row 3: see rows 5 to 8, and 9, 11 and 12.")), [3, 5, 6, 7, 8, 9, 11, 12]
        )
