"""
A server among hostile clients: does it stay up, and what does it cost?

Clients that stop, cut off, flood, or send garbage at each step before the
login, in rotation, against one server process; every hundredth is honest and
must get in. Then slow ones, all at once, while honest ones come; the memory
that a connection takes at each stage; and all of it once more in a server that
has hardly any memory. Everything is on the loopback interface.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from conchlite.wire import numbers
from conchlite.wire.types import packString
from tests.benchmarks import hostilekinds
from tests.benchmarks.hostilekinds import KINDS, Peer, logIn
from tests.sansio.pairs import clearPacket

ROOT = Path(__file__).resolve().parents[2]
THREADS = 4
LINGERING = 60
WARMING = 1000
LIMIT_GROWTH = 8 * 2**20
LIMIT_UNAUTHENTICATED = 256 * 1024
MEMORY_MIB = 64

#: The stages of a slow client.
SLOW = ("nothing", "halfVersion", "kexInitOnly", "securedOnly", "loginOnly")


class ServerProcess:
    """
    The server, and the way to ask it.
    """

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.benchmarks.hostileserver"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self._process.stdout is not None and self._process.stdin is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self.port = int(self._output.readline())

    def ask(self, *words: object) -> dict[str, Any]:
        self._input.write(" ".join(map(str, words)) + "\n")
        answer: dict[str, Any] = json.loads(self._output.readline())
        return answer

    def settled(self, seconds: float = 30) -> dict[str, Any]:
        """
        What it holds when all connections are gone.
        """
        end = time.monotonic() + seconds
        while True:
            state = self.ask("state")
            if not state["connections"] or time.monotonic() > end:
                return state
            time.sleep(0.1)

    def stop(self) -> None:
        self._input.close()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            self._output.close()


class Rotation:
    """
    Hostile clients of every kind, and honest ones among them.

    @ivar counts: how many of each kind there were.
    @ivar logins: how long each honest login took, in seconds.
    @ivar refused: how many honest logins failed.
    """

    def __init__(self, port: int, total: int, seed: int) -> None:
        self._port = port
        self._indexes = iter(range(total))
        self._seed = seed
        self._lock = threading.Lock()
        self._lingering: deque[Peer] = deque()
        self.counts: Counter[str] = Counter()
        self.logins: list[float] = []
        self.refused: Counter[str] = Counter()
        self.broken: Counter[str] = Counter()

    def run(self) -> float:
        """
        @return: how many seconds it took.
        """
        started = time.monotonic()
        threads = [threading.Thread(target=self._work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - started
        while self._lingering:
            self._lingering.popleft().close()
        return seconds

    def _work(self) -> None:
        while True:
            with self._lock:
                index = next(self._indexes, None)
            if index is None:
                return
            if index % 100 == 99:
                self._honest(index)
            else:
                self._hostile(index)

    def _honest(self, index: int) -> None:
        started = time.monotonic()
        try:
            peer = Peer(self._port, index)
            if not logIn(peer):
                raise ConnectionError("not let in")
            self.logins.append(time.monotonic() - started)
            peer.close()
        except OSError as error:
            self.refused[repr(error)] += 1

    def _hostile(self, index: int) -> None:
        kind = KINDS[index % len(KINDS)]
        # Everybody comes from elsewhere, as in an attack from many hosts.
        source = f"127.{1 + index % 200}.{index // 200 % 250}.{1 + index % 250}"
        try:
            peer = Peer(self._port, (self._seed, index), source)
            kind(peer)
            self._leave(peer, index)
        except (ConnectionError, TimeoutError) as error:
            # The server closed it first, as it should.
            self.broken[type(error).__name__] += 1
        with self._lock:
            self.counts[kind.__name__] += 1

    def _leave(self, peer: Peer, index: int) -> None:
        # Another one in each round of the kinds, so that each kind ends each way.
        manner = index // len(KINDS) % 4
        if manner == 0:
            peer.reset()
        elif manner == 1:
            peer.close()
        elif manner == 2:
            with self._lock:
                self._lingering.append(peer)
                oldest = self._lingering.popleft() if len(self._lingering) > LINGERING else None
            if oldest is not None:
                oldest.close()
        else:
            peer.socket.shutdown(1)
            peer.socket.settimeout(0.2)
            try:
                while peer.socket.recv(65536):
                    pass
            except TimeoutError:
                pass  # It waits for the time to refuse a password, for example.
            peer.close()


def percentile(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def idleLogins(port: int, count: int) -> list[float]:
    """
    How long honest logins take, one after the other.
    """
    found = []
    for number in range(count):
        started = time.monotonic()
        peer = Peer(port, number)
        assert logIn(peer)
        found.append(time.monotonic() - started)
        peer.close()
    return found


def report(name: str, value: str, good: bool) -> bool:
    print(f"  {name:58} {value:>22}  {'ok' if good else 'NOT REACHED'}", flush=True)
    return good


def hostileHandshakes(total: int, seed: int) -> bool:
    """
    Hostile clients of every kind, and what is left of them in the server.
    """
    server = ServerProcess()
    server.ask("set", "handshakeTimeout", 3, "loginTimeout", 5)
    # After this all that is imported late is there, and the memory that so
    # many connections at a time take, which Python gives back in large pieces
    # alone, and seldom.
    Rotation(server.port, WARMING, -1).run()
    idle = idleLogins(server.port, 30)
    before = server.settled()
    rotation = Rotation(server.port, total, seed)
    seconds = rotation.run()
    after = server.settled()
    server.stop()
    print(f"{total} connections, {len(KINDS)} kinds, behind {WARMING} that are not counted")
    for name, count in rotation.counts.items():
        print(f"  {name:24} {count:6}")
    print(f"  closed by the server while we spoke: {dict(rotation.broken)}")
    cpu = after["cpu"] - before["cpu"]
    growth = after["rss"] - before["rss"]
    failed = sum(rotation.refused.values())
    good = [
        report("connections per second", f"{total / seconds:.0f}", total / seconds >= 150),
        report("processor's time of the server per connection", f"{1000 * cpu / total:.2f} ms", True),
        report("growth of memory", f"{growth / 2**20:.2f} MiB", growth <= LIMIT_GROWTH),
        *(
            report(
                f"{name}, before and after",
                f"{before[name]} / {after[name]}",
                after[name] <= before[name] + more,
            )
            for name, more in (
                ("connections", 0),
                ("descriptors", 0),
                ("delayedCalls", 0),
                ("deferreds", 10),
                ("objects", 1000),
                ("blocks", 2000),
            )
        ),
        report("honest logins, those refused", f"{len(rotation.logins)}, {failed}", not failed),
        report("honest login when idle, median", f"{1000 * statistics.median(idle):.1f} ms", True),
        report("honest login, median", f"{1000 * statistics.median(rotation.logins):.1f} ms", True),
        report("failures in the log", f"{sum(after['failures'].values())}", not after["failures"]),
        report("lines in the log", f"{after['lines'] - before['lines']}", True),
    ]
    for text, count in (*rotation.refused.items(), *after["failures"].items()):
        print(f"    {count} x {text}")
    return all(good)


def slowLoris(count: int) -> bool:
    """
    C{count} connections that are silent, or say a byte a second.
    """
    handshake, login = 3, 6
    server = ServerProcess()
    server.ask("set", "handshakeTimeout", handshake, "loginTimeout", login)
    idleLogins(server.port, 20)
    before = server.settled()
    started = time.monotonic()
    peers = {}
    for number in range(count):
        peer = Peer(server.port, number, f"127.9.{number // 200}.{1 + number % 200}")
        getattr(hostilekinds, SLOW[number % len(SLOW)])(peer)
        peers[peer.socket] = peer
    grown = server.ask("state")["rss"] - before["rss"]
    logins: list[float] = []
    opened = time.monotonic()
    dripped = opened
    while peers and time.monotonic() < opened + login + 5:
        begun = time.monotonic()
        honest = Peer(server.port, begun)
        assert logIn(honest)
        logins.append(time.monotonic() - begun)
        honest.close()
        if time.monotonic() > dripped + 1:
            dripped = time.monotonic()
            for number, peer in enumerate(peers.values()):
                if number % 2:
                    peer.send(b"S")
        gone(peers)
    seconds = time.monotonic() - opened
    server.settled(5)
    server.stop()
    print(f"{count} slow connections, opened in {opened - started:.1f} s: {', '.join(SLOW)}")
    return all(
        (
            report("the last one was gone after", f"{seconds:.1f} s", not peers and seconds <= login + 1),
            report("memory for each", f"{grown / count / 1024:.0f} KiB", grown / count <= 64 * 1024),
            report(
                f"honest logins meanwhile: {len(logins)}, 99 of 100 within",
                f"{1000 * percentile(logins, 0.99):.0f} ms",
                percentile(logins, 0.99) <= 1,
            ),
        )
    )


def gone(peers: dict[Any, Peer]) -> None:
    """
    Forget those that the server has closed.
    """
    while ready := select.select(list(peers), [], [], 0)[0]:
        for found in ready:
            try:
                ended = not found.recv(65536)
            except OSError:
                ended = True
            if ended:
                peers.pop(found).close()


def stages() -> dict[str, Callable[[Peer], None]]:
    """
    Where a connection without a login stands, with as much as it may hold.
    """

    def noise(peer: Peer) -> None:
        ignored = bytes((numbers.MSG_IGNORE,)) + packString(bytes(34_000))
        peer.send(hostilekinds.VERSION + clearPacket(ignored) * 25)

    def largestPacket(peer: Peer) -> None:
        peer.send(hostilekinds.VERSION + (34_996).to_bytes(4, "big") + bytes(34_900))

    def bytewise(peer: Peer) -> None:
        peer.send(hostilekinds.VERSION + (34_996).to_bytes(4, "big"))
        for _ in range(500):
            peer.send(b"x")

    def largestKexInit(peer: Peer) -> None:
        names = tuple(b"x" * 60 + b"%03d" % number for number in range(250))
        fields = dict.fromkeys(("languagesClientToServer", "languagesServerToClient"), names)
        peer.send(hostilekinds.VERSION + hostilekinds.kexInitPacket(**fields))

    def longestVersion(peer: Peer) -> None:
        peer.send(b"SSH-2.0-" + b"x" * 240)

    def loginWaits(peer: Peer) -> None:
        wrong = hostilekinds.request(b"password", b"\0" + packString(b"guess"))
        noises = [b"\x02" + packString(bytes(30_000))] * 20
        peer.sendMessages(peer.secure(), hostilekinds.service(b"ssh-userauth"), wrong, *noises)

    def unread(peer: Peer) -> None:
        peer.socket.setsockopt(1, 8, 4096)
        peer.sendMessages(peer.secure(), *([b"\x19"] * 3000))

    return {
        "idle": hostilekinds.nothing,
        "longest version, unfinished": longestVersion,
        "version": hostilekinds.versionOnly,
        "longest packet, unfinished": largestPacket,
        "the same, in single bytes": bytewise,
        "850 KB of messages before KEXINIT": noise,
        "longest KEXINIT": largestKexInit,
        "secured": hostilekinds.securedOnly,
        "login under way": hostilekinds.loginOnly,
        "refusal delayed, 600 KB behind it": loginWaits,
        "answers unread": unread,
    }


def memory(count: int) -> bool:
    """
    What one connection without a login takes of the server.
    """
    print(f"memory for each of {count} connections")
    idle = 0.0
    good = True
    for name, reach in stages().items():
        each = memoryAt(reach, count)
        idle = idle or each
        good &= report(name, f"{each / 1024:.0f} KiB", each - idle <= LIMIT_UNAUTHENTICATED)
    return good


def memoryAt(reach: Callable[[Peer], None], count: int) -> float:
    """
    What a connection takes that C{reach} has brought to its stage.

    @return: in bytes.
    """
    # A process each: what another stage has freed would be taken first.
    server = ServerProcess()
    server.ask("set", "handshakeTimeout", 120, "loginTimeout", 120)
    idleLogins(server.port, 20)
    before = server.settled()
    peers = []
    for number in range(count):
        peers.append(Peer(server.port, number, f"127.8.{number // 200}.{1 + number % 200}"))
        reach(peers[-1])
    # Its answer comes when it has read all that was sent before.
    idleLogins(server.port, 1)
    state = server.ask("state")
    if state["connections"] < count:
        print(f"    {count - state['connections']} of them were closed")
    for peer in peers:
        peer.close()
    server.stop()
    return float(state["rss"] - before["rss"]) / count


def littleMemory(total: int, seed: int) -> bool:
    """
    All kinds, in a server that can get 64 MiB more.
    """
    server = ServerProcess()
    server.ask("set", "handshakeTimeout", 3, "loginTimeout", 5)
    idleLogins(server.port, 20)
    server.ask("limit", MEMORY_MIB)
    rotation = Rotation(server.port, total, seed)
    rotation.run()
    state = server.settled()
    server.stop()
    print(f"{total} connections, no more than {MEMORY_MIB} MiB")
    failed = sum(rotation.refused.values())
    failures = state["failures"]
    for text, count in (*rotation.refused.items(), *failures.items()):
        print(f"    {count} x {text}")
    return all(
        (
            report("failures in the log", f"{sum(failures.values())}", not failures),
            report("honest logins, those refused", f"{len(rotation.logins)}, {failed}", not failed),
        )
    )


def openMany(port: int, count: int) -> dict[Any, Peer]:
    """
    Silent connections, each from another address.
    """
    peers = [Peer(port, number, f"127.7.{number // 200}.{1 + number % 200}") for number in range(count)]
    return {peer.socket: peer for peer in peers}


def admitted(port: int, seconds: float) -> float:
    """
    Try to log in until it can be done.

    @return: how many seconds that took.
    """
    started = time.monotonic()
    while True:
        peer = Peer(port, started)
        try:
            if logIn(peer):
                return time.monotonic() - started
        except OSError:
            pass  # There is no room yet.
        finally:
            peer.close()
        if time.monotonic() > started + seconds:
            raise AssertionError("the server takes nobody any more")


def fewDescriptors(count: int) -> bool:
    """
    C{count} connections, and 64 descriptors.
    """
    server = ServerProcess()
    idleLogins(server.port, 1)
    server.ask("descriptors", 64)
    peers = openMany(server.port, count)
    gone(peers)
    before = server.ask("cpu")
    started = time.monotonic()
    arrived = 0
    while time.monotonic() < started + 2:
        Peer(server.port, started).close()
        arrived += 1
        time.sleep(0.02)
    share = (server.ask("cpu")["cpu"] - before["cpu"]) / (time.monotonic() - started)
    for peer in peers.values():
        peer.close()
    resumed = admitted(server.port, 10)
    failures = server.ask("cpu")["failures"]
    server.stop()
    print(f"{count} connections, 64 descriptors: {before['connections']} were taken")
    return all(
        (
            report(f"processor's time meanwhile, with {arrived} more", f"{100 * share:.0f} %", share < 0.2),
            report("honest login, once there is room, after", f"{resumed:.2f} s", resumed <= 1),
            report("failures in the log", f"{sum(failures.values())}", not failures),
        )
    )


def together(count: int) -> bool:
    """
    Honest clients of one address, all at once: what it costs them that few of
    them exchange keys at a time.
    """
    server = ServerProcess()
    idleLogins(server.port, 20)
    found: dict[int, list[float]] = {4: [], 0: []}
    for _ in range(10):
        for limit, seconds in found.items():
            server.ask("factory", "maxHandshakesPerAddress", limit)
            started = time.monotonic()
            threads = [threading.Thread(target=idleLogins, args=(server.port, 1)) for _ in range(count)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seconds.append(time.monotonic() - started)
    server.stop()
    print(f"{count} honest clients of one address at once, 10 times")
    limited, free = (statistics.median(found[limit]) for limit in (4, 0))
    report("all of them, with no limit", f"{1000 * free:.0f} ms", True)
    return report("all of them, four at a time", f"{1000 * limited:.0f} ms", limited <= 1.25 * free)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.hostile", description=__doc__)
    parser.add_argument("total", type=int, nargs="?", default=10_000, help="hostile connections")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", choices=("hostile", "slow", "memory", "little", "descriptors", "together"))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    parts: dict[str, Callable[[], bool]] = {
        "hostile": lambda: hostileHandshakes(options.total, options.seed),
        "slow": lambda: slowLoris(200),
        "memory": lambda: memory(200),
        "together": lambda: together(50),
        "descriptors": lambda: fewDescriptors(200),
        "little": lambda: littleMemory(options.total // 5, options.seed),
    }
    results = [part() for name, part in parts.items() if options.only in (None, name)]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
