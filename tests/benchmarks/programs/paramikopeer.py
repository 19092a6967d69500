"""
Paramiko's client: a transport of one's own, and threads where more than one
thing happens at a time.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import paramiko

from tests.benchmarks.programs import job as jobs
from tests.benchmarks.programs.job import DEFAULT, LOCALHOST, PAUSES, Cannot, Job, Watch

Figures = dict[str, float]

#: How much is asked for at a time.
PIECE = 1 << 20

CHUNK = bytes(64 * 1024)


def connect(job: Job) -> paramiko.Transport:
    transport = paramiko.Transport((LOCALHOST, job.port))
    if job.cipher != DEFAULT:
        options = transport.get_security_options()
        try:
            options.ciphers = (job.cipher,)
            options.digests = ("hmac-sha2-256-etm@openssh.com",)
        except ValueError:
            transport.close()
            raise Cannot(f"no {job.cipher}") from None
    transport.start_client()
    transport.auth_publickey(job.user, paramiko.Ed25519Key.from_private_key_file(job.identity))
    return transport


def execute(transport: paramiko.Transport, command: str) -> paramiko.Channel:
    channel = transport.open_session()
    channel.exec_command(command)
    return channel


def succeeded(channel: paramiko.Channel) -> None:
    """
    Wait for the end of the command.
    """
    status = channel.recv_exit_status()
    if status != 0:
        raise RuntimeError(f"ended with {status}")
    channel.close()


def receive(channel: paramiko.Channel) -> None:
    while channel.recv(PIECE):
        pass


def download(job: Job) -> Figures:
    watch = Watch()
    transport = connect(job)
    channel = execute(transport, job.download)
    receive(channel)
    succeeded(channel)
    figures = watch.figures()
    transport.close()
    return figures


def upload(job: Job) -> Figures:
    watch = Watch()
    transport = connect(job)
    channel = execute(transport, job.upload)
    left = job.size
    while left:
        chunk = CHUNK if left >= len(CHUNK) else CHUNK[:left]
        channel.sendall(chunk)
        left -= len(chunk)
    channel.shutdown_write()
    succeeded(channel)
    figures = watch.figures()
    transport.close()
    return figures


def inFlight(job: Job, one: Callable[[], None]) -> None:
    """
    Do it C{count} times, C{flight} at a time.
    """
    if job.flight == 1:
        for _ in range(job.count):
            one()
        return
    with ThreadPoolExecutor(job.flight) as pool:
        for done in [pool.submit(one) for _ in range(job.count)]:
            done.result()


def handshakes(job: Job) -> Figures:
    watch = Watch()
    inFlight(job, lambda: connect(job).close())
    return watch.figures()


def commands(job: Job) -> Figures:
    transport = connect(job)
    watch = Watch()
    inFlight(job, lambda: succeeded(execute(transport, "true")))
    figures = watch.figures()
    transport.close()
    return figures


def exchange(channel: paramiko.Channel, count: int) -> list[float]:
    """
    One byte goes there and back, C{count} times.
    """
    times = []
    for _ in range(count):
        sent = time.perf_counter()
        channel.sendall(b"x")
        channel.recv(1)
        times.append(time.perf_counter() - sent)
    return times


def echo(job: Job) -> Figures:
    transport = connect(job)
    channel = execute(transport, "cat")
    watch = Watch()
    times = exchange(channel, job.count)
    figures = watch.figures()
    transport.close()
    return {**figures, **jobs.latencies(times)}


def idle(job: Job) -> Figures:
    # What is imported late is not counted.
    transports = [connect(job)]
    gc.collect()
    before = jobs.resident()
    watch = Watch()
    inFlight(job, lambda: transports.append(connect(job)))
    gc.collect()
    # The server has more to say than that the login was good.
    time.sleep(0.2)
    figures = {**watch.figures(), "each": (jobs.resident() - before) / job.count}
    for transport in transports:
        transport.close()
    return figures


def cold(job: Job) -> Figures:
    transport = connect(job)
    succeeded(execute(transport, "true"))
    transport.close()
    return {}


def slow(job: Job) -> Figures:
    watch = Watch()
    transport = connect(job)
    # Its own exchange of keys, after 512 MiB, does not end while data comes.
    transport.packetizer.REKEY_BYTES = 1 << 40
    gc.collect()
    before = jobs.resident()
    jobs.forgetPeak()
    channel = execute(transport, job.download)
    step = job.size // (PAUSES + 1)
    received, stop = 0, step
    while piece := channel.recv(PIECE):
        received += len(piece)
        if received >= stop:
            stop += step
            time.sleep(job.pause)
    succeeded(channel)
    growth = jobs.peak() - before
    figures = watch.figures()
    transport.close()
    return {**figures, "growth": growth}


def busy(job: Job) -> Figures:
    transport = connect(job)
    channel = execute(transport, "cat")
    with ThreadPoolExecutor(job.count) as pool:
        others = [execute(transport, "echo; exec cat /dev/zero") for _ in range(job.count)]
        for other in others:
            other.recv(1)
            pool.submit(receive, other)
        watch = Watch()
        times = exchange(channel, job.trips)
        figures = watch.figures()
        transport.close()
    return {**figures, **jobs.latencies(times)}


WORK = (download, upload, handshakes, commands, echo, idle, cold, slow, busy)

if __name__ == "__main__":
    sys.exit(jobs.main({**{work.__name__: work for work in WORK}, "imports": lambda job: {}}))
