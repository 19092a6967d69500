"""
What is measured of clients, as data, with the marks that conchlite has to
reach.

The marks are those of each release: C{speed} and C{cpu} are ratios to the
baseline in the same round, and of a speed more is better, of all else less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.benchmarks.contestants import OPENSSH

MIB = 2**20

CLIENT = "client"
SERVER = "server"

#: Figures of which more is better; of all others, less is.
MORE_IS_BETTER = frozenset({"speed"})


@dataclass(frozen=True)
class Scenario:
    """
    One thing that is measured.

    @ivar name: what C{--only} looks into.
    @ivar action: what the programs are told to do.
    @ivar parameters: and with which values of
        L{tests.benchmarks.programs.job.Job}.
    @ivar share: the bytes that are sent, as a part of what C{--size} says; 0
        where that does not matter.
    @ivar targets: by figure, the mark. C{speed} and C{cpu} are ratios to the
        baseline, all else is the figure itself.
    @ivar role: whose program changes from contestant to contestant. With
        L{SERVER}, the client is always OpenSSH's, C{wall} is the client's and
        C{cpu} and C{peak} are the server's.
    @ivar baseline: the contestant to which the ratios are.
    @ivar leaveOut: contestants of which it is known that they would take
        minutes.
    @ivar rounds: the most rounds, where more tell no more.
    @ivar delay: milliseconds of a round trip through the relay; 0 for none.
    @ivar bandwidth: bytes in a second through the relay; 0 for any.
    @ivar detail: the figure that the table shows beside time and memory.
    """

    name: str
    action: str
    parameters: Mapping[str, str | int] = field(default_factory=dict)
    share: float = 0
    targets: Mapping[str, float] = field(default_factory=dict)
    role: str = CLIENT
    baseline: str = OPENSSH
    leaveOut: frozenset[str] = frozenset()
    rounds: int = 1000
    delay: float = 0
    bandwidth: int = 0
    detail: str | None = None

    @property
    def isRelayed(self) -> bool:
        return bool(self.delay or self.bandwidth)

    def size(self, mebibytes: int) -> int:
        """
        How many bytes are sent.

        @param mebibytes: what C{--size} says.
        """
        return int(self.share * mebibytes * MIB)

    def arguments(self, mebibytes: int) -> dict[str, str | int]:
        """
        What the client program is told, but for where the server is.
        """
        size = {"size": self.size(mebibytes)} if self.share else {}
        return {**self.parameters, **size}


def _marks(speed: float | None = None, cpu: float | None = None, **others: float) -> dict[str, float]:
    marks = {"speed": speed, "cpu": cpu, **others}
    return {name: mark for name, mark in marks.items() if mark is not None}


#: Short names of ciphers, and how SSH calls them. With CTR, the MAC is
#: hmac-sha2-256-etm@openssh.com.
CIPHERS = {
    "aes128-gcm": "aes128-gcm@openssh.com",
    "aes256-gcm": "aes256-gcm@openssh.com",
    "chacha20-poly1305": "chacha20-poly1305@openssh.com",
    "aes128-ctr": "aes128-ctr",
    "default": "default",
}

_BULK = {
    ("download", "aes128-gcm"): _marks(1.1, 1.05),
    ("download", "aes256-gcm"): _marks(1.0, 1.2),
    ("download", "chacha20-poly1305"): _marks(1.0, 1.15),
    ("download", "aes128-ctr"): _marks(1.0, 1.4),
    ("download", "default"): _marks(1.4, 0.75),
    ("upload", "aes128-gcm"): _marks(1.1, 1.3),
    ("upload", "aes256-gcm"): _marks(),
    ("upload", "chacha20-poly1305"): _marks(1.0, 1.1),
    ("upload", "aes128-ctr"): _marks(),
    ("upload", "default"): _marks(1.3, 0.8),
}

#: How often it is measured what has no mark, or what is a matter of bytes, or of
#: a delay, which is the same each time.
FEW_ROUNDS = 2

BULK = tuple(
    Scenario(
        f"{action} {cipher}",
        action,
        {"cipher": CIPHERS[cipher]},
        share=1,
        targets=targets,
        **({} if targets else {"rounds": FEW_ROUNDS}),
    )
    for (action, cipher), targets in _BULK.items()
)

#: What the relay lets through: 1 Gbit/s.
BANDWIDTH = 125_000_000

DELAYED = tuple(
    Scenario(
        f"{action} over {delay} ms",
        action,
        {"cipher": CIPHERS["aes128-gcm"]},
        # A window takes some round trips to grow.
        share=0.5 if delay == 100 else 0.25,
        rounds=1 if delay == 100 else FEW_ROUNDS,
        delay=delay,
        bandwidth=BANDWIDTH,
    )
    for action in ("download", "upload")
    for delay in (1, 10, 100)
)

# Where one comes after the other, the ratios do not depend on how many there are.
CONNECTIONS = (
    Scenario("handshakes, in sequence", "handshakes", {"count": 20}, targets=_marks(3.5, 0.25)),
    Scenario("handshakes, at once", "handshakes", {"count": 50, "flight": 50}, targets=_marks(2.0, 0.12)),
    Scenario("commands, in sequence", "commands", {"count": 100}, targets=_marks(3.4, 0.1)),
    Scenario("commands, 20 in flight", "commands", {"count": 200, "flight": 20}, targets=_marks(3.5, 0.05)),
    Scenario("echo", "echo", {"count": 2000}, targets=_marks(0.85, 2.0), detail="median"),
    Scenario(
        "idle connections",
        "idle",
        {"count": 200, "flight": 20},
        targets=_marks(each=12 * 1024),
        rounds=FEW_ROUNDS,
        detail="each",
    ),
    Scenario("cold start", "cold", targets=_marks(0.55)),
    Scenario(
        "import",
        "imports",
        targets=_marks(1 / 1.05),
        baseline="floor",
        leaveOut=frozenset({OPENSSH}),
    ),
    Scenario(
        "slow consumer",
        "slow",
        share=4,
        targets=_marks(growth=4 * MIB),
        rounds=FEW_ROUNDS,
        detail="growth",
    ),
    Scenario(
        "a channel among 100 busy ones",
        "busy",
        {"count": 100, "trips": 50},
        rounds=FEW_ROUNDS,
        detail="p99",
    ),
)

CLIENT_SCENARIOS = (*BULK, *CONNECTIONS, *DELAYED)
