"""
OpenSSH's client. It is processes of its own, so this program is not measured,
but measures them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.benchmarks.programs import job as jobs
from tests.benchmarks.programs.job import DEFAULT, LOCALHOST, Job

#: How often it is looked how much memory a process has, which nobody can ask
#: it when it has ended.
LOOK_SECONDS = 0.02

_PIECE = 1 << 20


class Run:
    """
    One ssh.

    @ivar cpu: seconds of the processor, once it has ended.
    @ivar peak: the most memory that was seen.
    """

    def __init__(self, arguments: list[str], **streams: object) -> None:
        self.process = subprocess.Popen(arguments, **streams)
        self.cpu = 0.0
        self.peak = 0

    def look(self) -> None:
        """
        See how much memory it has.
        """
        try:
            self.peak = max(self.peak, jobs.peak(self.process.pid))
        except (FileNotFoundError, ProcessLookupError):
            pass  # It has ended meanwhile.

    def wait(self, check: bool = True) -> Run:
        """
        Wait for its end.

        @param check: whether it has to have ended well.
        """
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime
        if check and self.process.returncode:
            raise SystemExit(f"ssh ended with {self.process.returncode}")
        return self


class Looking:
    """
    Looks at processes while they run, from a thread of its own.
    """

    def __init__(self, *runs: Run) -> None:
        self._runs = runs
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(LOOK_SECONDS):
            for run in self._runs:
                run.look()


def ssh(job: Job, *command: str, options: tuple[str, ...] = ()) -> list[str]:
    """
    How ssh is run.
    """
    arguments = ["ssh", "-F", "none", "-i", job.identity, "-p", str(job.port), "-l", job.user]
    for option in (
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "LogLevel=ERROR",
        *options,
    ):
        arguments += ["-o", option]
    if job.cipher != DEFAULT:
        arguments += ["-c", job.cipher, "-m", "hmac-sha2-256-etm@openssh.com"]
    return [*arguments, LOCALHOST, *command]


def _transfer(job: Job, command: str, fed: bool) -> dict[str, float]:
    started = time.perf_counter()
    with open(os.devnull, "r+b") as nothing:
        # Others make what they upload by themselves; ssh is fed through a pipe.
        arguments = ["head", "-c", str(job.size), "/dev/zero"]
        feeder = subprocess.Popen(arguments, stdout=subprocess.PIPE) if fed else None
        run = Run(ssh(job, command), stdin=feeder.stdout if feeder else nothing, stdout=nothing)
        if feeder:
            feeder.stdout.close()
        with Looking(run):
            run.wait()
        wall = time.perf_counter() - started
        if feeder:
            feeder.wait()
    return {"wall": wall, "cpu": run.cpu, "peak": run.peak}


def download(job: Job) -> dict[str, float]:
    return _transfer(job, job.download, False)


def upload(job: Job) -> dict[str, float]:
    return _transfer(job, job.upload, True)


def _repeat(job: Job, arguments: list[str]) -> dict[str, float]:
    """
    Run the same C{count} times, C{flight} at a time.
    """
    started = time.perf_counter()
    running: deque[Run] = deque()
    cpu = 0.0
    most = 0
    for _ in range(job.count):
        if len(running) == job.flight:
            cpu += running.popleft().wait().cpu
        running.append(Run(arguments, stdin=subprocess.DEVNULL))
        most = max(most, len(running))
    cpu += sum(run.wait().cpu for run in running)
    return {"wall": time.perf_counter() - started, "cpu": cpu, "most": most}


def handshakes(job: Job) -> dict[str, float]:
    arguments = ssh(job, "true")
    figures = _repeat(job, arguments)
    return {**figures, "peak": int(figures.pop("most")) * _peakOf(arguments)}


def cold(job: Job) -> dict[str, float]:
    arguments = ssh(job, "true")
    figures = _repeat(job, arguments)
    return {**figures, "peak": _peakOf(arguments)}


def _peakOf(arguments: list[str]) -> int:
    """
    How much memory one more takes, which is not one of those whose time counts.
    """
    run = Run(arguments, stdin=subprocess.DEVNULL)
    while run.process.returncode is None:
        run.look()
        if os.waitid(os.P_PID, run.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            run.wait()
    return run.peak


@contextmanager
def _master(job: Job) -> Iterator[tuple[Run, tuple[str, ...]]]:
    """
    A connection that others share.

    @return: its process, and the options of those who share it.
    """
    with tempfile.TemporaryDirectory(prefix="bench") as directory:
        path = Path(directory, "s")
        arguments = ssh(job, options=("ControlMaster=yes", f"ControlPath={path}", "SessionType=none"))
        master = Run(arguments, stdin=subprocess.DEVNULL)
        while not path.exists():
            if master.process.poll() is not None:
                raise SystemExit("ssh did not connect")
            time.sleep(LOOK_SECONDS)
        try:
            yield master, (f"ControlPath={path}",)
        finally:
            if master.process.returncode is None:
                # Told to end, it may not notice before something else happens.
                master.process.kill()
                master.wait(check=False)


def commands(job: Job) -> dict[str, float]:
    """
    The master is counted too: the connection is its.
    """
    with _master(job) as (master, options):
        before = _cpuOf(master.process.pid)
        figures = _repeat(job, ssh(job, "true", options=options))
        figures["cpu"] += _cpuOf(master.process.pid) - before
        master.look()
    del figures["most"]
    return {**figures, "peak": master.peak}


def _cpuOf(process: int) -> float:
    """
    Seconds of the processor that a process has had.
    """
    with open(f"/proc/{process}/schedstat") as times:
        return int(times.read().split()[0]) / 1e9


def _exchange(run: Run, count: int) -> list[float]:
    """
    One byte goes there and back, C{count} times.
    """
    there, back = run.process.stdin.fileno(), run.process.stdout.fileno()
    return jobs.exchange(partial(os.write, there), partial(os.read, back), count)


def _cat(job: Job, options: tuple[str, ...] = ()) -> Run:
    run = Run(ssh(job, "cat", options=options), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    # When this is back, it runs.
    _exchange(run, 1)
    return run


def echo(job: Job) -> dict[str, float]:
    run = _cat(job)
    before = _cpuOf(run.process.pid)
    started = time.perf_counter()
    times = _exchange(run, job.count)
    figures = {"wall": time.perf_counter() - started, "cpu": _cpuOf(run.process.pid) - before}
    run.look()
    run.process.stdin.close()
    run.wait()
    return {**figures, **jobs.latencies(times), "peak": run.peak}


def idle(job: Job) -> dict[str, float]:
    """
    What processes share of their memory is counted once.
    """
    started = time.perf_counter()
    runs = []
    arguments = ssh(job, "echo; cat")
    for _ in range(job.count):
        runs.append(Run(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        if len(runs) >= job.flight:
            runs[-job.flight].process.stdout.readline()
    for run in runs[-job.flight + 1 :]:
        run.process.stdout.readline()
    wall = time.perf_counter() - started
    memory = sum(_proportional(run.process.pid) for run in runs)
    for run in runs:
        run.look()
        run.process.stdin.close()
    cpu = sum(run.wait().cpu for run in runs)
    return {"wall": wall, "cpu": cpu, "peak": sum(run.peak for run in runs), "each": memory / job.count}


def _proportional(process: int) -> int:
    with open(f"/proc/{process}/smaps_rollup") as rollup:
        (line,) = (line for line in rollup if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024


def slow(job: Job) -> dict[str, float]:
    started = time.perf_counter()
    command = f"echo; read go; exec {job.download}"
    run = Run(ssh(job, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    back = run.process.stdout.fileno()
    os.read(back, 1)
    before = jobs.resident(run.process.pid)
    jobs.forgetPeak(run.process.pid)
    os.write(run.process.stdin.fileno(), b"\n")
    step = job.size // (jobs.PAUSES + 1)
    received, stop = 0, step
    while piece := os.read(back, _PIECE):
        received += len(piece)
        if received >= stop:
            run.look()
            stop += step
            time.sleep(job.pause)
    run.process.stdin.close()
    run.wait()
    wall = time.perf_counter() - started
    return {"wall": wall, "cpu": run.cpu, "peak": run.peak, "growth": run.peak - before}


def busy(job: Job) -> dict[str, float]:
    """
    Each channel is a process's that shares the connection.
    """
    with _master(job) as (master, options), open(os.devnull, "wb") as nothing:
        channel = _cat(job, options)
        arguments = ssh(job, "echo >&2; exec cat /dev/zero", options=options)
        streams = {"stdin": subprocess.DEVNULL, "stdout": nothing, "stderr": subprocess.PIPE}
        others = [Run(arguments, **streams) for _ in range(job.count)]
        for run in others:
            run.process.stderr.readline()
        before = _cpuOf(master.process.pid)
        started = time.perf_counter()
        times = _exchange(channel, job.trips)
        figures = {"wall": time.perf_counter() - started}
        figures["cpu"] = _cpuOf(master.process.pid) - before
        master.look()
        for run in (channel, *others):
            run.process.kill()
            run.wait(check=False)
    return {**figures, **jobs.latencies(times), "peak": master.peak}


ACTIONS = {
    "download": download,
    "upload": upload,
    "handshakes": handshakes,
    "commands": commands,
    "echo": echo,
    "idle": idle,
    "cold": cold,
    "slow": slow,
    "busy": busy,
}

if __name__ == "__main__":
    sys.exit(jobs.main(ACTIONS))
