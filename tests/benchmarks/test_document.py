"""
L{tests.benchmarks.document} and L{tests.benchmarks.plot}, and that
C{doc/performance.rst} shows what was measured.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

import conchlite
from tests.benchmarks import document
from tests.benchmarks.__main__ import SCENARIOS
from tests.benchmarks.contestants import CONTESTANTS
from tests.benchmarks.results import Measured, Results
from tests.interop.peers import missing

DOC = Path(conchlite.__file__).resolve().parents[1] / "doc"
PAGE = DOC / "performance.rst"
RECORDED = DOC / "performance"

MIB = 2**20


def figures(wall, cpu, **others):
    return {"wall": wall, "cpu": cpu, "peak": 50 * MIB, **others}


def results(**rounds):
    """
    @param rounds: by a scenario's name, with C{_} for each blank, its rounds.
    """
    scenarios = {scenario.name.replace(" ", "_").replace(":", ""): scenario for scenario in SCENARIOS}
    versions = {"openssh": "9.2p1", "conchlite": "0.1.0", "Python": "3.11"}
    machine = {"processor": "Something 9000", "cores": "2 cores", "system": "Linux x86_64"}
    measured = [Measured(scenarios[name], found) for name, found in rounds.items()]
    return Results("2026-11-23T03:00+00:00", machine, versions, 3, 256, measured)


def cells(text):
    """
    @return: all rows of all tables, each as the list of its cells.
    """
    rows = re.findall(r"^    \* - (.*(?:\n      - .*)*)", text, re.MULTILINE)
    return [found.replace("\\", "").split("\n      - ") for found in rows]


class TableTests(SynchronousTestCase):
    """
    The tables.
    """

    def test_ratios(self):
        """
        Ratios are medians of those within the rounds; the fastest of all rounds
        is not compared with another one's.
        """
        rounds = [
            {"openssh": figures(1.0, 2.0), "conchlite": figures(0.5, 1.0)},
            {"openssh": figures(9.0, 9.0), "conchlite": figures(3.0, 4.5)},
            {"openssh": figures(1.0, 1.0), "conchlite": figures(1.0, 0.1)},
        ]
        text = document.document(results(**{"download_aes128-gcm": rounds}))
        self.assertIn(
            ["download aes128-gcm", "256 MiB/s, 8.00 s/GiB", "1.10 / 1.05", "2.00 / 0.50"], cells(text)
        )

    def test_servers(self):
        """
        A server's rows are in a table of their own.
        """
        one = [{"openssh": figures(5.0, 2.0), "conchlite": figures(1.0, 1.0)}]
        text = document.document(results(server_echo=one, echo=one))
        clients, servers = text.index("Clients, against sshd"), text.index("Servers, under OpenSSH's client")
        self.assertEqual(len(re.findall(r"\* - echo$", text[clients:servers], re.MULTILINE)), 1)
        self.assertEqual(len(re.findall(r"\* - echo$", text[servers:], re.MULTILINE)), 1)

    def test_whoHasNone(self):
        """
        Who cannot do it, or failed, or was left out, has that in the place of
        figures.
        """
        one = [
            {
                "openssh": figures(1.0, 1.0),
                "conchlite": {"failed": "ended with 1: so it was"},
                "conch": {"cannot": "no aes128-gcm"},
            }
        ]
        found = cells(
            document.document(results(**{"upload_aes128-gcm": one, "echo": [{"paramiko": figures(1, 1)}]}))
        )
        self.assertIn(
            ["upload aes128-gcm", "256 MiB/s, 4.00 s/GiB", "1.10 / 1.30", "failed", "-", "cannot"], found
        )

    def test_delay(self):
        """
        A path's bandwidth is taken from the first byte on; the first byte is
        told in round trips.
        """
        size = 64 * MIB
        first = [{"conchlite": figures(0.05, 0.1)}]
        whole = [{"conchlite": figures(0.05 + size / 125e6, 0.1)}]
        text = document.document(results(first_byte_over_10_ms=first, download_over_10_ms=whole))
        found = cells(text)
        self.assertIn(["first byte over 10 ms", "50 ms, 5.0 trips"], found)
        self.assertIn(["download over 10 ms", "119 MiB/s (100 %)"], found)

    def test_bytes(self):
        """
        Where memory is what counts, that is what is shown, and missed.
        """
        one = [{"openssh": figures(1, 1, each=3 * MIB), "conchlite": figures(1, 1, each=20 * 1024)}]
        text = document.document(results(idle_connections=one))
        self.assertIn(["idle connections", "3072.0 KiB", "12.0 KiB", "20.0 KiB"], cells(text))
        self.assertIn("idle connections: each 20.0 KiB, to reach: each 12.0 KiB.", text)

    def test_allReached(self):
        """
        It is said, too, when no mark was missed.
        """
        one = [{"openssh": figures(1.0, 1.0), "conchlite": figures(0.1, 0.1)}]
        self.assertIn("All marks were reached.", document.document(results(server_echo=one)))

    def test_machine(self):
        """
        Of the machine its class is told, and no more.
        """
        directory = Path(self.mktemp())
        try:
            document.write(results(), directory)
        except ImportError:
            raise missing("matplotlib is not installed") from None
        tables = (directory / "tables.inc").read_text()
        self.assertIn("2 cores, Linux x86_64", tables)
        self.assertNotIn("9000", tables + (directory / "results.json").read_text())


class PlotTests(SynchronousTestCase):
    """
    The plots.
    """

    def setUp(self):
        try:
            from tests.benchmarks import plot
        except ImportError:
            raise missing("matplotlib is not installed") from None
        self.plot = plot

    def everything(self):
        found = {}
        for number, scenario in enumerate(SCENARIOS):
            each = {
                contestant.name: figures(2 + (number * 7 + place * 3) % 5, 1 + place % 3)
                for place, contestant in enumerate(CONTESTANTS)
            }
            found[scenario.name.replace(" ", "_").replace(":", "")] = [each]
        return results(**found)

    def test_deterministic(self):
        """
        The same figures give the same bytes, with no date in them.
        """
        one = results(**{"download_aes128-gcm": [{"openssh": figures(2, 2), "conchlite": figures(1, 1)}]})
        first, second = (self.plot.drawings(one)["client"] for _ in range(2))
        self.assertEqual(first, second)
        self.assertNotIn(b"<dc:date>", first)

    def test_everything(self):
        """
        All that is measured makes three plots, of not too many bytes.
        """
        drawn = self.plot.drawings(self.everything())
        self.assertEqual(sorted(drawn), ["client", "delays", "server"])
        for drawing in drawn.values():
            self.assertLess(len(drawing), 200_000)

    def test_legible(self):
        """
        Everybody and every scenario is named, in text, and each bar has its
        figure.
        """
        one = [
            {
                "openssh": figures(2.0, 2.0),
                "conchlite": figures(1.0, 0.5),
                "paramiko": figures(100.0, 4.0),
                "conch": {"cannot": "no aes128-gcm"},
            }
        ]
        drawing = self.plot.drawings(results(**{"download_aes128-gcm": one}))["client"]
        texts = [
            "".join(found.itertext()).strip()
            for found in ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}text")
        ]
        for text in ("download aes128-gcm", "conchlite", "2.00", "0.25", "0.02", "Conch: cannot"):
            self.assertIn(text, texts)
        self.assertNotIn("AsyncSSH", texts)

    def test_memoryIsNotDrawn(self):
        """
        What has no ratio of times is in the tables alone.
        """
        one = [{"openssh": figures(1, 1, each=MIB), "conchlite": figures(1, 1, each=MIB)}]
        self.assertEqual(self.plot.drawings(results(idle_connections=one)), {})


class PageTests(SynchronousTestCase):
    """
    C{doc/performance.rst}.
    """

    def recorded(self):
        return Results.fromJSON((RECORDED / "results.json").read_text())

    def test_tables(self):
        """
        The tables are those that follow from the figures beside them.
        """
        self.assertEqual((RECORDED / "tables.inc").read_text(), document.document(self.recorded()))

    def test_complete(self):
        """
        Every scenario was measured, and what the page shows is there.
        """
        self.assertEqual(
            {each.scenario.name for each in self.recorded().measured},
            {scenario.name for scenario in SCENARIOS},
        )
        page = PAGE.read_text()
        shown = re.findall(r"^\.\. (?:include|image):: (.*)$", page, re.MULTILINE)
        self.assertEqual(
            sorted(shown),
            [f"performance/{name}" for name in ("client.svg", "delays.svg", "server.svg", "tables.inc")],
        )
        for name in shown:
            self.assertTrue((DOC / name).exists(), name)
