"""
How sshd is started to be measured, or to measure with.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable

from twisted.internet.defer import maybeDeferred

#: What sshd is told: it lets in as many as come, and all exchange keys in the
#: same way, which each of them has. Paramiko knows only the second name.
SSHD_OPTIONS = {
    "MaxStartups": "1000",
    "MaxSessions": "1000",
    "LogLevel": "INFO",
    "KexAlgorithms": "curve25519-sha256,curve25519-sha256@libssh.org",
    "HostKeyAlgorithms": "ssh-ed25519",
}


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
