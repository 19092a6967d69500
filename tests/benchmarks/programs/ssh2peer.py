"""
ssh2-python, which is libssh2 (C): a session that blocks, and threads where
there is more than one connection.
"""

from __future__ import annotations

import gc
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from ssh2 import session as ssh2
from ssh2.channel import Channel
from ssh2.exceptions import MethodNotSupported, SSH2Error

from tests.benchmarks.programs import job as jobs
from tests.benchmarks.programs.job import DEFAULT, LOCALHOST, PAUSES, Cannot, Job, Watch

Figures = dict[str, float]

PIECE = 1 << 20

CHUNK = bytes(64 * 1024)

_CIPHERS = (ssh2.LIBSSH2_METHOD_CRYPT_CS, ssh2.LIBSSH2_METHOD_CRYPT_SC)
_MACS = (ssh2.LIBSSH2_METHOD_MAC_CS, ssh2.LIBSSH2_METHOD_MAC_SC)


def connect(job: Job) -> ssh2.Session:
    connection = socket.create_connection((LOCALHOST, job.port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    session = ssh2.Session()
    if job.cipher != DEFAULT:
        try:
            for method in _CIPHERS:
                session.method_pref(method, job.cipher)
            for method in _MACS:
                session.method_pref(method, "hmac-sha2-256-etm@openssh.com")
        except (MethodNotSupported, SSH2Error):
            raise Cannot(f"no {job.cipher}") from None
    session.handshake(connection)
    session.userauth_publickey_fromfile(job.user, job.identity)
    return session


def execute(session: ssh2.Session, command: str) -> Channel:
    channel = session.open_session()
    channel.execute(command)
    return channel


def succeeded(channel: Channel) -> None:
    """
    Wait for the end of the command.
    """
    channel.wait_eof()
    channel.close()
    channel.wait_closed()
    status = channel.get_exit_status()
    if status != 0:
        raise RuntimeError(f"ended with {status}")


def receive(channel: Channel) -> None:
    while channel.read(PIECE)[0] > 0:
        pass


def download(job: Job) -> Figures:
    watch = Watch()
    session = connect(job)
    channel = execute(session, job.download)
    receive(channel)
    succeeded(channel)
    figures = watch.figures()
    session.disconnect()
    return figures


def upload(job: Job) -> Figures:
    watch = Watch()
    session = connect(job)
    channel = execute(session, job.upload)
    left = job.size
    while left:
        chunk = CHUNK if left >= len(CHUNK) else CHUNK[:left]
        channel.write(chunk)
        left -= len(chunk)
    channel.send_eof()
    succeeded(channel)
    figures = watch.figures()
    session.disconnect()
    return figures


def inFlight(job: Job, one: Callable[[], object]) -> None:
    """
    Do it C{count} times, C{flight} at a time.
    """
    with ThreadPoolExecutor(job.flight) as pool:
        for done in [pool.submit(one) for _ in range(job.count)]:
            done.result()


def handshakes(job: Job) -> Figures:
    watch = Watch()
    inFlight(job, lambda: connect(job).disconnect())
    return watch.figures()


def commands(job: Job) -> Figures:
    if job.flight > 1:
        raise Cannot("a session does one thing at a time")
    session = connect(job)
    watch = Watch()
    for _ in range(job.count):
        succeeded(execute(session, "true"))
    figures = watch.figures()
    session.disconnect()
    return figures


def echo(job: Job) -> Figures:
    session = connect(job)
    channel = execute(session, "cat")
    watch = Watch()
    times = []
    for _ in range(job.count):
        sent = time.perf_counter()
        channel.write(b"x")
        channel.read(1)
        times.append(time.perf_counter() - sent)
    figures = watch.figures()
    session.disconnect()
    return {**figures, **jobs.latencies(times)}


def idle(job: Job) -> Figures:
    # What is loaded late is not counted.
    sessions = [connect(job)]
    gc.collect()
    before = jobs.resident()
    watch = Watch()
    inFlight(job, lambda: sessions.append(connect(job)))
    gc.collect()
    return {**watch.figures(), "each": (jobs.resident() - before) / job.count}


def cold(job: Job) -> Figures:
    session = connect(job)
    succeeded(execute(session, "true"))
    session.disconnect()
    return {}


def slow(job: Job) -> Figures:
    watch = Watch()
    session = connect(job)
    gc.collect()
    before = jobs.resident()
    jobs.forgetPeak()
    channel = execute(session, job.download)
    step = job.size // (PAUSES + 1)
    received, stop = 0, step
    while True:
        size, _ = channel.read(PIECE)
        if size <= 0:
            break
        received += size
        if received >= stop:
            stop += step
            time.sleep(job.pause)
    succeeded(channel)
    growth = jobs.peak() - before
    figures = watch.figures()
    session.disconnect()
    return {**figures, "growth": growth}


def busy(job: Job) -> Figures:
    raise Cannot("a session does one thing at a time")


WORK = (download, upload, handshakes, commands, echo, idle, cold, slow, busy)

if __name__ == "__main__":
    sys.exit(jobs.main({**{work.__name__: work for work in WORK}, "imports": lambda job: {}}))
