"""
The table of the matrix, and the chapter that has it.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.known import KNOWN, known
from tests.interop.matrix import CELLS
from tests.interop.table import CHAPTER, NOTHING, Table, Verdicts, cases, read


class ChapterTests(SynchronousTestCase):
    """
    The chapter agrees with the catalogue and with the tests there are: only
    what came out is not known without running them.
    """

    def setUp(self) -> None:
        self.text = CHAPTER.read_text()
        self.table = read(self.text)

    def test_columns(self) -> None:
        peers = {case.peer.name for case in cases()}
        # Those for which the machine has to be prepared may have none here.
        here = {case.peer.name for case in cases() if any(name.startswith("test_") for name in dir(case))}
        self.assertLessEqual(here, set(self.table.versions))
        self.assertLessEqual(set(self.table.versions), peers)
        self.assertEqual(set(self.table.versions), set(self.table.cells))

    def test_rows(self) -> None:
        algorithms = [(cell.family, cell.name) for cell in CELLS]
        for peer, cells in self.table.cells.items():
            self.assertEqual(algorithms, list(cells), f"{peer}: run python -m tests.interop.matrix --write")

    def test_ends(self) -> None:
        """
        A peer has a version where there is a test case for it, and only what
        has one has results.
        """
        roles: dict[str, set[str]] = {}
        for case in cases():
            roles.setdefault(case.peer.name, set()).add(case.role)
        for peer, (server, client) in self.table.versions.items():
            self.assertEqual(server != NOTHING, not roles[peer].isdisjoint({"server", "both"}), peer)
            self.assertEqual(client != NOTHING, not roles[peer].isdisjoint({"client", "both"}), peer)
            entries = " ".join(self.table.cells[peer].values()).upper()
            self.assertEqual(server != NOTHING, "S" in entries, peer)
            self.assertEqual(client != NOTHING, "C" in entries, peer)

    def test_nothingFailed(self) -> None:
        self.assertNotIn("FAILED", self.text)

    def test_notes(self) -> None:
        """
        Each reason is one that the tests see.
        """
        self.assertEqual(set(), set(self.table.notes) - {entry.reason for entry in KNOWN})

    def test_text(self) -> None:
        """
        What is read is what is written.
        """
        self.assertIn(self.table.rst(), self.text)


class TableTests(SynchronousTestCase):
    def test_add(self) -> None:
        """
        What a peer does now takes the place of what it did; what others did
        stays, and notes that nobody needs any more go.
        """
        first, second = CELLS[:2]
        table = Table(
            {"old": ("1", "2"), "kept": ("3", "-")},
            {
                "old": {(cell.family, cell.name): "s [#n1]_" for cell in CELLS},
                "kept": {(cell.family, cell.name): "s [#n2]_" for cell in CELLS},
            },
            ["a reason", "another"],
        )
        verdicts = Verdicts()
        verdicts.versions["old"] = {"server": "4", "client": "5"}
        verdicts.table[first, "old"] = {"server": "ok", "client": "ok"}
        verdicts.table[second, "old"] = {"server": "-", "client": "why not"}
        table.add(verdicts, ["old"])
        text = table.rst()
        self.assertEqual({"old": ("4", "5"), "kept": ("3", "-")}, table.versions)
        entries = [table.cells["old"][cell.family, cell.name] for cell in CELLS[:3]]
        self.assertEqual(["S C", "c [#n1]_", "-"], entries)
        self.assertEqual({"s [#n2]_"}, set(table.cells["kept"].values()))
        self.assertEqual(["why not", "another"], table.notes)
        self.assertIn(".. [#n1] why not\n", text)
        self.assertNotIn("a reason", text)


class KnownTests(SynchronousTestCase):
    def test_everyEntry(self) -> None:
        """
        Each is about an algorithm that there is, and a peer that there is.
        """
        names = {(case.peer.name, case.role) for case in cases()}
        for entry in KNOWN:
            self.assertIn((entry.peer, entry.role), names)
            version = entry.version.replace("\\", "")
            found = [known(entry.peer, entry.role, version, cell) for cell in CELLS]
            self.assertIn(entry, found)

    def test_otherVersions(self) -> None:
        for entry in KNOWN:
            for cell in CELLS:
                self.assertIsNone(known(entry.peer, entry.role, "0", cell))
