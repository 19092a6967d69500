"""
A peer's server, which runs from the first test of its class to the last.

A process of the reactor's would have to end with each test. So these are not:
there is one at a time, which ends when that of the next class is wanted, or
with the tests.
"""

from __future__ import annotations

import atexit
import os
import re
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.internet.task import deferLater

from tests.interop.peers import LOCALHOST, SERVER_PATH, STOP_SECONDS

#: Seconds that a server has until it listens.
START_SECONDS = 30

# How often it is looked whether it does.
_LOOK_SECONDS = 0.02


class Daemon:
    """
    A server that is a process of its own.

    @ivar port: where it listens.
    """

    def __init__(self, reactor, directory: Path) -> None:
        """
        @param directory: where it runs, and has its log.
        """
        self._reactor = reactor
        self._directory = directory
        self._log = directory / "log"
        self.port = 0

    @property
    def log(self) -> str:
        """
        What it wrote, to its standard output and error.
        """
        return self._log.read_text("utf-8", "replace")

    async def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str] = {},
        port: int = 0,
        announces: str | None = None,
    ) -> Daemon:
        """
        Start it, and wait until it listens.

        @param arguments: the program, as a path, and its arguments.
        @param environment: is added to a C{PATH}, which is all it has.
        @param port: where it was told to listen.
        @param announces: a regular expression of what it writes once it
            listens; its first group, if there is one, is the port. Without
            this the port is tried until somebody answers.
        @raise AssertionError: it did not start.
        """
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                arguments,
                cwd=self._directory,
                env={"PATH": SERVER_PATH, "HOME": str(self._directory), **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.port = port
        for _ in range(round(START_SECONDS / _LOOK_SECONDS)):
            if self._process.poll() is not None:
                break
            if self._listens(announces):
                return self
            await deferLater(self._reactor, _LOOK_SECONDS)
        self.stop()
        raise AssertionError(f"{arguments} did not start:\n{self.log}")

    def _listens(self, announces: str | None) -> bool:
        if announces is not None:
            if (found := re.search(announces, self.log)) is None:
                return False
            if found.groups():
                self.port = int(found[1])
            return True
        with socket.socket() as probe:
            return probe.connect_ex((LOCALHOST, self.port)) == 0

    def stop(self) -> None:
        """
        End it, and everything that it started.
        """
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass  # It is killed, as what it left behind.
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass  # They ended by themselves.


class Stage:
    """
    Whose server runs now.
    """

    def __init__(self) -> None:
        self._owner: type | None = None
        self._daemon: Daemon | None = None
        self._prepared = False

    def take(self, reactor, owner: type) -> bool:
        """
        Make room for another's server.

        @return: whether there was another's.
        """
        if self._owner is owner:
            return False
        if not self._prepared:
            # Trial has the reactor say so when all tests are done.
            reactor.addSystemEventTrigger("before", "shutdown", self.clear)
            atexit.register(self.clear)
            self._prepared = True
        self.clear()
        self._owner = owner
        return True

    def holds(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def clear(self) -> None:
        """
        Stop the server that runs.
        """
        daemon, self._daemon, self._owner = self._daemon, None, None
        if daemon is not None:
            daemon.stop()


STAGE = Stage()
