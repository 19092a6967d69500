"""
Bulk transfers, conchlite's client beside OpenSSH's, against one sshd.

Each transfer is a process of its own, and the two take turns; what counts is
the ratio within a round. Connecting and logging in are counted, the start of a
process is counted for OpenSSH and not for ours, whose imports would be most of
the time of a short transfer.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cryptography
import twisted
from twisted.internet import task
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.threads import deferToThread

import conchlite
from tests.interop import peers

CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "default",
)
MAC = "hmac-sha2-256-etm@openssh.com"
OPENSSH_COMMANDS = {"download": "head -c {size} /dev/zero", "upload": "test $(wc -c) = {size}"}


class Workplace:
    """
    What the peers want of a test: a directory, and a time to clean up.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._cleanups: list[Callable[[], object]] = []

    def mktemp(self) -> str:
        return tempfile.mktemp(dir=self._root)

    def addCleanup(self, cleanup: Callable[[], object]) -> None:
        self._cleanups.append(cleanup)

    async def cleanUp(self) -> None:
        while self._cleanups:
            await maybeDeferred(self._cleanups.pop())


def measureOurs(arguments: list[str]) -> tuple[float, float]:
    """
    @return: seconds of wall time, and of the processor's, as the client says.
    """
    finished = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    wall, cpu = map(float, finished.stdout.split())
    return wall, cpu


def measureTheirs(arguments: list[str], size: int) -> tuple[float, float]:
    """
    Run a command that reads C{size} bytes from its standard input.

    @return: seconds of wall time, and of the processor's.
    """
    started = time.perf_counter()
    with open(os.devnull, "wb") as nothing:
        feeder = subprocess.Popen(["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE)
        process = subprocess.Popen(arguments, stdin=feeder.stdout, stdout=nothing)
        feeder.stdout.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        feeder.wait()
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}")
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime


async def run(reactor: object, options: argparse.Namespace) -> None:
    size = options.size * 2**20
    with tempfile.TemporaryDirectory() as root:
        place = Workplace(root)
        try:
            sshd = await peers.SSHD.start(place, reactor)
            identity = Path(root, "identity")
            peers.writePrivateKey(peers.userKeys()[b"ssh-ed25519"], identity)
            print(
                f"conchlite {conchlite.__version__}, Python {platform.python_version()}, Twisted "
                f"{twisted.__version__}, cryptography {cryptography.__version__}, "
                f"{peers.versionText(sshd.version)}; {options.size} MiB, {options.rounds} rounds"
            )
            print(f"{'scenario':42} {'MiB/s':>8} {'CPU s/GiB':>10} {'speed':>7} {'CPU':>6}")
            for mode in ("download", "upload"):
                for cipher in CIPHERS:
                    if options.only in f"{mode} {cipher}":
                        await compare(sshd.port, identity, mode, cipher, size, options.rounds)
        finally:
            await place.cleanUp()


async def compare(port: int, identity: Path, mode: str, cipher: str, size: int, rounds: int) -> None:
    ours = [sys.executable, "-m", "tests.benchmarks.bulk"]
    ours += [mode, str(port), str(size), cipher, peers.userName(), str(identity)]
    theirs = [peers.program("ssh"), "-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR"]
    theirs += ["-o", "UserKnownHostsFile=/dev/null", "-i", str(identity), "-p", str(port)]
    if cipher != "default":
        theirs += ["-c", cipher, "-m", MAC]
    theirs += [f"{peers.userName()}@127.0.0.1", OPENSSH_COMMANDS[mode].format(size=size)]
    found = []
    for _ in range(rounds):
        # Ours makes what it uploads by itself; ssh is fed through a pipe.
        found.append(
            (
                await deferToThread(measureOurs, ours),
                await deferToThread(measureTheirs, theirs, size if mode == "upload" else 0),
            )
        )
    wall = statistics.median(ours[0] for ours, _ in found)
    cpu = statistics.median(ours[1] for ours, _ in found)
    speedRatio = statistics.median(theirs[0] / ours[0] for ours, theirs in found)
    cpuRatio = statistics.median(ours[1] / theirs[1] for ours, theirs in found)
    print(
        f"{mode + ' ' + cipher:42} {size / 2**20 / wall:8.0f} {cpu / (size / 2**30):10.2f} "
        f"{speedRatio:7.2f} {cpuRatio:6.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="MiB in each transfer")
    parser.add_argument("--rounds", type=int, default=5, help="how often the two take turns")
    parser.add_argument("--only", default="", help="scenarios with this in their name")
    options = parser.parse_args()
    task.react(lambda reactor: Deferred.fromCoroutine(run(reactor, options)))


if __name__ == "__main__":
    main()
