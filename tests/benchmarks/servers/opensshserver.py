"""
OpenSSH's server. What it takes is what sshd and all that it starts take: the
sessions' processes, and the commands.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from twisted.internet import task, threads
from twisted.internet.defer import Deferred

from conchlite.ssh.keys import Key
from tests.benchmarks.servers.common import job
from tests.benchmarks.sshd import SSHD_OPTIONS, Workplace
from tests.interop import peers

#: Seconds that sessions have to end when their user has.
LONGEST = 10


def taken(pid: int) -> float:
    """
    The processor's time of a process with one thread, in seconds.
    """
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def ended() -> float:
    """
    The processor's time of all processes that have ended, in seconds.
    """
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


async def serve(reactor, root: str) -> None:
    told = job()
    authorized = Path(root, "authorized_keys")
    authorized.write_text(peers.publicKeyLine(Key.fromFile(told.identity)) + "\n")
    place = Workplace(root)
    try:
        options = {**SSHD_OPTIONS, "AuthorizedKeysFile": str(authorized)}
        sshd = await peers.SSHD.start(place, reactor, **options)
        pid = sshd.transport.pid
        before = ended() + taken(pid)
        print(json.dumps({"port": sshd.port}), flush=True)
        await threads.deferToThread(sys.stdin.buffer.read)
        end = time.monotonic() + LONGEST
        while peers.descendants(pid) and time.monotonic() < end:
            await task.deferLater(reactor, 0.01)
    finally:
        await place.cleanUp()
    # How large they were nobody knows: each was a copy of this process at first.
    print(json.dumps({"cpu": ended() - before, "peak": 0}), flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as root:
        task.react(lambda reactor: Deferred.fromCoroutine(serve(reactor, root)))


if __name__ == "__main__":
    main()
