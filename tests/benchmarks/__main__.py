"""
conchlite beside OpenSSH, AsyncSSH, Paramiko, Conch and ssh2-python: whoever is
installed, each run in a process of its own, on the loopback interface. The
contestants take turns; what counts is the ratio within a round, to OpenSSH and
to the best of the peers for Python.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.benchmarks import document, table
from tests.benchmarks.contestants import CONTESTANTS, Contestant
from tests.benchmarks.results import Results
from tests.benchmarks.runner import Runner, participants
from tests.benchmarks.scenarios import CLIENT_SCENARIOS, Scenario
from tests.benchmarks.serverscenarios import FIRST_BYTES, SERVER_SCENARIOS
from tests.benchmarks.sshd import SSHD_OPTIONS, Workplace
from tests.interop import peers

SCENARIOS = (*CLIENT_SCENARIOS, *FIRST_BYTES, *SERVER_SCENARIOS)


def machine() -> dict[str, object]:
    """
    What kind of machine this is.
    """
    with open("/proc/cpuinfo") as info:
        found = re.search(r"^model name\s*:\s*(.*)$", info.read(), re.MULTILINE)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return {
        "processor": found[1] if found else platform.processor(),
        "cores": f"{os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions(contestants: Sequence[Contestant]) -> dict[str, str]:
    """
    The versions of the contestants, and of what conchlite stands on.
    """
    found = {contestant.name: contestant.version() or "" for contestant in contestants}
    found["Python"] = platform.python_version()
    for name in ("Twisted", "cryptography"):
        found[name] = importlib.metadata.version(name)
    return found


def choose(names: Sequence[str] | None) -> list[Contestant]:
    """
    Who takes part: those of that name who are installed. Who is not is told.
    """
    known = {contestant.name: contestant for contestant in CONTESTANTS}
    for name in names or ():
        if name not in known:
            raise SystemExit(f"there is no {name}, only {', '.join(known)}")
    chosen = []
    for name, contestant in known.items():
        if names and name not in names:
            continue
        if contestant.version() is None:
            print(f"{name} is not installed")
        else:
            chosen.append(contestant)
    return chosen


def select(only: Sequence[str]) -> list[Scenario]:
    """
    The scenarios with one of these in their names; all of them if there is
    none.
    """
    return [scenario for scenario in SCENARIOS if not only or any(part in scenario.name for part in only)]


def listing(scenarios: Sequence[Scenario], contestants: Sequence[Contestant]) -> None:
    for contestant in contestants:
        print(f"{contestant.name:14} {contestant.version()}")
    for scenario in scenarios:
        names = ", ".join(contestant.name for contestant in participants(scenario, contestants))
        print(f"{scenario.name:34} {names}")


async def measure(
    reactor: object, results: Results, scenarios: Sequence[Scenario], contestants: Sequence[Contestant]
) -> None:
    """
    Measure, and show each scenario when it is done.
    """
    with tempfile.TemporaryDirectory() as root:
        place = Workplace(root)
        try:
            sshd = await peers.SSHD.start(place, reactor, **SSHD_OPTIONS)
            identity = Path(root, "identity")
            peers.writePrivateKey(peers.userKeys()[b"ssh-ed25519"], identity)
            runner = Runner(sshd.port, peers.userName(), str(identity), results.size, contestants)
            for scenario in scenarios:
                # The reactor has sshd's log to read.
                measured = await deferToThread(runner.measure, scenario, results.rounds)
                results.measured.append(measured)
                print(*table.rows(measured), sep="\n", flush=True)
        finally:
            await place.cleanUp()


def finish(results: Results, options: argparse.Namespace) -> int:
    """
    Write what is wanted.

    @return: the exit status.
    """
    if options.json:
        Path(options.json).write_text(results.toJSON())
    if options.document:
        document.write(results, Path(options.document))
    misses = results.misses()
    if misses:
        print("\nnot reached:", *map(table.missed, misses), sep="\n  ")
    return 1 if options.check and misses else 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    add = parser.add_argument
    add("--only", action="append", default=[], metavar="TEXT", help="scenarios with this in their name")
    add("--rounds", type=int, default=5, help="how often the contestants take turns")
    add("--size", type=int, default=256, help="MiB in each transfer")
    add("--peers", metavar="NAME,...", help="who takes part; by default, whoever is installed")
    add("--json", metavar="FILE", help="write everything there, with each raw figure")
    add("--document", metavar="DIRECTORY", help="write tables and plots there, as doc/performance has them")
    add("--list", action="store_true", help="show the scenarios and who takes part, and measure nothing")
    add("--recorded", metavar="FILE", help="measure nothing: show what --json wrote there")
    add("--check", action="store_true", help="fail if conchlite misses a mark")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    if options.recorded:
        results = Results.fromJSON(Path(options.recorded).read_text())
        print(*table.heading(results), sep="\n")
        for measured in results.measured:
            print(*table.rows(measured), sep="\n")
        return finish(results, options)
    contestants = choose(options.peers.split(",") if options.peers else None)
    scenarios = select(options.only)
    if options.list:
        listing(scenarios, contestants)
        return 0
    date = datetime.datetime.now(datetime.UTC).isoformat(timespec="minutes")
    results = Results(date, machine(), versions(contestants), options.rounds, options.size)
    print(*table.heading(results), sep="\n", flush=True)

    async def work(reactor: object) -> None:
        await measure(reactor, results, scenarios, contestants)

    try:
        task.react(lambda reactor: Deferred.fromCoroutine(work(reactor)))
    except SystemExit as end:
        if end.code:
            raise
    return finish(results, options)


if __name__ == "__main__":
    sys.exit(main())
