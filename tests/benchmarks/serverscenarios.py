"""
What is measured of servers, and of clients at the end of a path with a delay,
as L{tests.benchmarks.scenarios}.
"""

from __future__ import annotations

from tests.benchmarks.scenarios import BANDWIDTH, CIPHERS, FEW_ROUNDS, SERVER, Scenario

# Conch has no AES-GCM.
_WITHOUT_GCM = frozenset({"conch"})

#: For OpenSSH's client, who is the same in all of them.
SERVER_SCENARIOS = (
    Scenario(
        "server: download aes128-gcm",
        "download",
        {"cipher": CIPHERS["aes128-gcm"]},
        share=1,
        targets={"speed": 1.05, "cpu": 0.9},
        role=SERVER,
        leaveOut=_WITHOUT_GCM,
    ),
    Scenario(
        "server: download default",
        "download",
        share=1,
        targets={"speed": 1.2, "cpu": 0.8},
        role=SERVER,
    ),
    Scenario(
        "server: upload aes128-gcm",
        "upload",
        {"cipher": CIPHERS["aes128-gcm"]},
        share=1,
        targets={"speed": 1.6, "cpu": 0.7},
        role=SERVER,
        leaveOut=_WITHOUT_GCM,
    ),
    Scenario(
        "server: upload default",
        "upload",
        share=1,
        targets={"speed": 1.4, "cpu": 0.75},
        role=SERVER,
    ),
    Scenario(
        "server: handshakes, in sequence",
        "handshakes",
        {"count": 20},
        targets={"speed": 5.8, "cpu": 0.14},
        role=SERVER,
    ),
    Scenario(
        "server: commands, in sequence",
        "commands",
        {"count": 100},
        targets={"speed": 1.6, "cpu": 0.2},
        role=SERVER,
    ),
    Scenario(
        "server: echo",
        "echo",
        {"count": 2000},
        targets={"speed": 0.85},
        role=SERVER,
        detail="median",
    ),
)

#: A connection, a login, a command, its output of one byte and its end: how
#: often somebody waits for the other end of the path.
FIRST_BYTES = tuple(
    Scenario(
        f"first byte over {delay} ms",
        "download",
        {"cipher": CIPHERS["aes128-gcm"], "size": 1},
        rounds=FEW_ROUNDS,
        delay=delay,
        bandwidth=BANDWIDTH,
    )
    for delay in (1, 10, 100)
)
