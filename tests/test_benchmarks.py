"""
The benchmarks' own code: what follows from measurements, and that the programs
do what they are told. No time is held against anything.
"""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks import measure, table
from tests.benchmarks.contestants import CONTESTANTS, FLOOR, OPENSSH, OURS, PROGRAMS
from tests.benchmarks.programs.job import Job, latencies
from tests.benchmarks.results import Measured, Miss, Results, summary
from tests.benchmarks.runner import Runner, participants
from tests.benchmarks.scenarios import MIB, SERVER, Scenario
from tests.interop import peers

SCENARIO = Scenario("download x", "download", {"cipher": "x"}, share=0.5, targets={"speed": 1.1, "cpu": 1.05})


def figures(wall: float, cpu: float, peak: int = MIB, **others: float) -> dict[str, float]:
    return {"wall": wall, "cpu": cpu, "peak": peak, **others}


def recorded() -> Measured:
    """
    Three rounds, in the second of which the machine was half as fast.
    """
    return Measured(
        SCENARIO,
        [
            {
                OPENSSH: figures(1.0, 0.50),
                OURS: figures(0.8, 0.50, 4 * MIB),
                "asyncssh": figures(1.6, 1.0),
                "paramiko": figures(2.0, 0.8),
                "conch": {"cannot": "no x"},
            },
            {
                OPENSSH: figures(2.0, 1.00),
                OURS: figures(1.0, 1.20, 4 * MIB),
                "asyncssh": figures(3.2, 2.0),
                "paramiko": figures(2.4, 1.6),
                "conch": {"cannot": "no x"},
            },
            {
                OPENSSH: figures(1.0, 0.50),
                OURS: figures(0.5, 0.55, 4 * MIB),
                "asyncssh": figures(1.0, 1.0),
                "paramiko": {"failed": "not done after 60 s"},
                "conch": {"cannot": "no x"},
            },
        ],
    )


def results() -> Results:
    machine = {"processor": "one", "cores": "2 cores"}
    return Results("2026-11-23T10:00+00:00", machine, {OPENSSH: "9.2", OURS: "1"}, 3, 256, [recorded()])


class MeasuredTests(SynchronousTestCase):
    def test_ratiosAreTakenWithinARound(self) -> None:
        """
        The ratio's median is that of the rounds' ratios, not the medians' ratio.
        """
        measured = recorded()
        self.assertEqual(0.8, measured.median(OURS, "wall"))
        self.assertEqual(2.0, measured.ratio(OURS, "speed"))
        self.assertAlmostEqual(1.1, measured.ratio(OURS, "cpu"))
        self.assertEqual(4.0, measured.ratio(OURS, "peak"))
        self.assertEqual(1.0, measured.ratio(OPENSSH, "speed"))

    def test_bestPythonPeer(self) -> None:
        """
        The best of a round is another one in each, and never conchlite or
        OpenSSH.
        """
        measured = recorded()
        # 1.6, 2.4 and 1.0 seconds are the best, to 0.8, 1.0 and 0.5.
        self.assertEqual(2.0, measured.ratioToPythons(OURS, "speed"))
        # 0.8, 1.6 and 1.0 of the processor's.
        self.assertAlmostEqual(0.625, measured.ratioToPythons(OURS, "cpu"))
        # Against Paramiko, which ended two, there is AsyncSSH: 0.8 and 4/3.
        self.assertAlmostEqual((0.8 + 4 / 3) / 2, measured.ratioToPythons("paramiko", "speed"))

    def test_withoutFigures(self) -> None:
        measured = recorded()
        self.assertEqual("cannot: no x", measured.excuse("conch"))
        self.assertIsNone(measured.excuse("paramiko"))
        self.assertEqual(["not done after 60 s"], measured.failures("paramiko"))
        self.assertIsNone(measured.median("conch", "wall"))
        self.assertIsNone(measured.ratio("conch", "speed"))
        self.assertIsNone(measured.ratio("ssh2-python", "speed"))
        self.assertEqual({"excuse": "cannot: no x"}, summary(measured, "conch"))

    def test_order(self) -> None:
        """
        They are shown as they are declared; who is only a baseline comes first.
        """
        self.assertEqual([OPENSSH, OURS, "asyncssh", "paramiko", "conch"], recorded().contestants())
        measured = Measured(SCENARIO, [{OURS: {}, FLOOR.name: {}}])
        self.assertEqual([FLOOR.name, OURS], measured.contestants())

    def test_misses(self) -> None:
        (miss,) = recorded().misses()
        self.assertEqual(("download x", "cpu", 1.05), (miss.scenario, miss.figure, miss.mark))
        self.assertEqual("download x: cpu 1.10, to reach: cpu 1.05", table.missed(miss))

    def test_nothingMeasuredIsAMiss(self) -> None:
        measured = Measured(SCENARIO, [{OURS: {"failed": "no"}}])
        self.assertEqual([None, None], [miss.value for miss in measured.misses()])
        self.assertEqual([], Measured(SCENARIO, [{OPENSSH: figures(1, 1)}]).misses())

    def test_bytesAreMarks(self) -> None:
        scenario = Scenario("slow", "slow", targets={"growth": 4 * MIB})
        for growth, misses in (4 * MIB, 0), (4 * MIB + 1, 1):
            measured = Measured(scenario, [{OURS: figures(1, 1, growth=growth)}])
            self.assertEqual(misses, len(measured.misses()))
        text = table.missed(Miss("slow", "growth", 4 * MIB, 5 * MIB))
        self.assertEqual("slow: growth 5.0 MiB, to reach: growth 4.0 MiB", text)


class ResultsTests(SynchronousTestCase):
    def test_JSON(self) -> None:
        """
        All raw figures are in there, and what follows from them; it can be
        read again.
        """
        text = results().toJSON()
        self.assertEqual(results(), Results.fromJSON(text))
        document = json.loads(text)
        (entry,) = document["scenarios"]
        self.assertEqual(0.8, entry["rounds"][0][OURS]["wall"])
        self.assertEqual(2.0, entry["summary"][OURS]["ratio"]["speed"])
        self.assertEqual(["cpu"], [miss["figure"] for miss in document["misses"]])

    def test_table(self) -> None:
        lines = list(table.rows(recorded()))
        self.assertEqual("download x  (to reach: speed 1.10, cpu 1.05)", lines[0])
        ours = lines[2].split()
        self.assertEqual(
            [OURS, "0.800", "0.550", "4.0", "2.00", "1.10", "4.00", "2.00", "0.62", "4.00"], ours
        )
        self.assertIn("(1 failed)", lines[4])
        self.assertEqual(["conch", "cannot:", "no", "x"], lines[5].split())
        self.assertIn("missed: cpu", lines[6])


def output(*arguments: str) -> tuple[int, str]:
    """
    What the command prints, and its exit status.
    """
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = benchmarks.main(arguments)
    return status, printed.getvalue()


class CommandTests(SynchronousTestCase):
    def test_list(self) -> None:
        status, text = output("--list", "--only", "handshakes", "--only", "echo", "--peers", OURS)
        self.assertEqual(0, status)
        self.assertRegex(text, rf"(?m)^{OURS} +\d")
        self.assertRegex(text, rf"(?m)^handshakes, in sequence +{OURS}$")
        self.assertRegex(text, rf"(?m)^echo +{OURS}$")
        self.assertNotIn("download", text)

    def test_unknownPeer(self) -> None:
        problem = self.assertRaises(SystemExit, benchmarks.main, ["--list", "--peers", "nobody"])
        self.assertIn("there is no nobody", str(problem))

    def test_recorded(self) -> None:
        """
        With C{--check}, a mark that was missed is a failure.
        """
        path = Path(self.mktemp())
        path.write_text(results().toJSON())
        status, text = output("--recorded", str(path))
        self.assertEqual(0, status)
        self.assertIn("openssh 9.2, conchlite 1", text)
        self.assertIn("download x", text)
        self.assertEqual(1, output("--recorded", str(path), "--check")[0])

    def test_namesAreUnique(self) -> None:
        names = [scenario.name for scenario in benchmarks.SCENARIOS]
        self.assertEqual(len(set(names)), len(names))


class RunnerTests(SynchronousTestCase):
    def runner(self, size: int = 256) -> tuple[Runner, list[str]]:
        self.runs: list[tuple[str, str, dict[str, object]]] = []
        told: list[str] = []

        def run(module: str, action: str, values: dict[str, object]) -> measure.Figures:
            self.runs.append((module, action, values))
            if module.endswith("paramikopeer"):
                raise measure.Failed("it fell over")
            return figures(1, 1)

        self.patch(measure, "run", run)
        installed = [each for each in CONTESTANTS if each.name in (OPENSSH, OURS, "paramiko", "ssh2-python")]
        return Runner(22, "user", "key", size, installed, told.append), told

    def test_rounds(self) -> None:
        """
        Everybody has his turn in each round, and is told the same.
        """
        runner, told = self.runner()
        measured = runner.measure(SCENARIO, 3)
        self.assertEqual(3, len(measured.rounds))
        names = [module.removeprefix(f"{PROGRAMS}.") for module, _, _ in self.runs]
        for start in 0, 4, 8:
            expected = ["openssh", "ours", "paramikopeer", "ssh2peer"]
            self.assertEqual(expected, sorted(names[start : start + 4]))
        self.assertGreater(len({tuple(names[start : start + 4]) for start in (0, 4, 8)}), 1)
        values = {"user": "user", "identity": "key", "port": 22, "cipher": "x", "size": 128 * MIB}
        for _, action, given in self.runs:
            self.assertEqual(("download", values), (action, given))
        self.assertEqual({"failed": "it fell over"}, measured.rounds[0]["paramiko"])
        self.assertEqual(3 * ["download x: paramiko: it fell over"], told)

    def test_fewerRounds(self) -> None:
        runner, _ = self.runner()
        measured = runner.measure(Scenario("x", "download", rounds=2), 5)
        self.assertEqual(2, len(measured.rounds))

    def test_participants(self) -> None:
        runner, _ = self.runner()

        def names(**attributes: object) -> list[str]:
            found = participants(Scenario("x", "x", **attributes), runner.contestants)
            return [contestant.name for contestant in found]

        self.assertEqual([OPENSSH, OURS, "paramiko", "ssh2-python"], names())
        self.assertEqual([OPENSSH, OURS, "ssh2-python"], names(leaveOut=frozenset({"paramiko"})))
        self.assertEqual([OPENSSH, OURS, "paramiko"], names(role=SERVER))
        self.assertEqual(FLOOR.name, names(baseline=FLOOR.name)[0])


class JobTests(SynchronousTestCase):
    def test_arguments(self) -> None:
        job = Job(["download", "port=22", "cipher=x=y", "size=5"])
        self.assertEqual(
            ("download", 22, "x=y", 5, 1), (job.action, job.port, job.cipher, job.size, job.count)
        )

    def test_latencies(self) -> None:
        times = [number / 1000 for number in reversed(range(100))]
        self.assertEqual({"median": 0.05, "p99": 0.099}, latencies(times))


SMALL = 200_000

#: What the programs are told, and which figures they have to have besides.
ACTIONS = {
    "download": ({"size": SMALL, "cipher": "aes128-ctr"}, ()),
    "upload": ({"size": SMALL, "cipher": "aes128-gcm@openssh.com"}, ()),
    "handshakes": ({"count": 2, "flight": 2}, ()),
    "commands": ({"count": 3, "flight": 2}, ()),
    "echo": ({"count": 3}, ("median", "p99")),
    "idle": ({"count": 2, "flight": 2}, ("each",)),
    "cold": ({}, ()),
    "slow": ({"size": SMALL, "pause": 0.01}, ("growth",)),
    "busy": ({"count": 2, "trips": 3}, ("median", "p99")),
}


class ProgramsTests(TestCase):
    """
    Our own program, and the one for OpenSSH, with little to do.
    """

    timeout = 60

    async def run_(self, program: str) -> None:
        sshd = await peers.SSHD.start(self, reactor, **benchmarks.SSHD_OPTIONS)
        identity = Path(self.mktemp())
        peers.writePrivateKey(peers.userKeys()[b"ssh-ed25519"], identity)
        login = {"port": sshd.port, "user": peers.userName(), "identity": identity.absolute()}
        running = [
            deferToThread(measure.run, f"{PROGRAMS}.{program}", action, {**login, **values})
            for action, (values, _) in ACTIONS.items()
        ]
        found = await gatherResults(running, consumeErrors=True)
        for (action, (_, more)), figures in zip(ACTIONS.items(), found, strict=True):
            self.assertLessEqual({"wall", "cpu", "peak", *more}, figures.keys(), action)
            self.assertGreater(figures["wall"], 0, action)

    def test_ours(self):
        return self.run_("ours")

    def test_openssh(self):
        return self.run_("openssh")

    def test_cannot(self) -> None:
        """
        Who has no such program says so, and has no figures.
        """
        self.assertEqual(
            {"cannot": "no program for nothing"}, measure.run(f"{PROGRAMS}.floor", "nothing", {})
        )

    def test_failure(self) -> None:
        """
        A program that ends with an error tells what its last words were.
        """
        problem = self.assertRaises(measure.Failed, measure.run, f"{PROGRAMS}.openssh", "cold", {"x": 1})
        self.assertIn("ended with 1", str(problem))

    def test_tooLong(self) -> None:
        problem = self.assertRaises(measure.Failed, measure.run, f"{PROGRAMS}.openssh", "cold", {}, 0.0)
        self.assertIn("not done after", str(problem))
