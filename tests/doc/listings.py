"""
The listings of C{doc/}: where they are, and how they are run.

A listing runs as it is in the documentation, in a process and with a reactor of
its own. What is put in the place of something else are literals, as a reader
would: host, port, user, fingerprint, keys.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.keys import Key

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "doc"
CLIENT = DOC / "howto" / "listings" / "client"

#: What the howto's program prints.
LINE = """We got this from "cat": b'This data will be echoed back to us by "cat."\\r\\n'\n"""

#: The fingerprint in the howto, for which a reader puts his server's own.
FINGERPRINT = "b1:94:6a:c9:24:92:d2:34:7c:62:35:b4:d2:61:11:84"

#: Seconds after which a program hangs. Nothing waits that long unless it is wrong.
PATIENCE = 120


def substitute(text: str, literals: Mapping[str, str]) -> str:
    """
    Put literals in the place of others, each of which has to be there once.
    """
    for old, new in literals.items():
        if text.count(old) != 1:
            raise AssertionError(f"{old!r} is there {text.count(old)} times")
        text = text.replace(old, new)
    return text


def between(text: str, begin: str, end: str) -> str:
    """
    What stands between two marks, both included.
    """
    start = text.index(begin)
    return text[start : text.index(end, start + len(begin)) + len(end)]


def clientWithKey(text: str, key: Key) -> str:
    """
    The howto's program with another key in the place of the howto's own.
    """
    public = between(text, "'ssh-rsa AAAA", "mV'")
    private = between(text, '"""-----BEGIN', '-----END RSA PRIVATE KEY-----"""')
    return substitute(
        text,
        {
            public: repr(key.public().toString("openssh").decode()),
            private: f'"""{key.toString("openssh").decode()}"""',
        },
    )


def serverWithKey(text: str, key: Key) -> str:
    """
    The server with another user's key in the place of the howto's own.
    """
    public = between(text, '(\n    "ssh-rsa AAAA', 'mV"\n)')
    return substitute(text, {public: repr(key.public().toString("openssh").decode())})


def copied(directory: str | Path) -> Path:
    """
    A new directory with all listings of the client's chapter.
    """
    return Path(shutil.copytree(CLIENT, directory, ignore=shutil.ignore_patterns("__pycache__", "host_key")))


def serve(test: SynchronousTestCase, directory: Path, literals: Mapping[str, str] | None = None) -> list[str]:
    """
    Run the server of the client's chapter, and let a user log in by a key of
    his own.

    @param directory: where the listings were copied to.
    @param literals: what else to substitute in the server.
    @return: the arguments of programs that log in: host, port, user, and the
        paths of his key and of his known hosts.
    """
    key = Key.generate("ed25519")
    identity = directory / "identity"
    key.toFile(identity)
    path = directory / "server.py"
    path.write_text(substitute(serverWithKey(path.read_text(), key), {"5022": "0", **(literals or {})}))
    server = Server(path)
    test.addCleanup(server.stop)
    knownHosts = directory / "known_hosts"
    knownHosts.write_text(server.said["known_hosts line"].replace("localhost", "127.0.0.1") + "\n")
    return ["127.0.0.1", str(server.port), "user", str(identity), str(knownHosts)]


def command(path: Path, *arguments: str) -> list[str]:
    """
    The command line that runs a program.
    """
    return [sys.executable, path.name, *arguments]


def environment(home: Path) -> dict[str, str]:
    """
    The environment of a listing: the conchlite that is tested, and nothing
    of whoever runs the tests.
    """
    return {
        "HOME": str(home),
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(ROOT),
    }


def run(path: Path, *arguments: str, said: str = "") -> subprocess.CompletedProcess[str]:
    """
    Run a program to its end, in the directory that it is in, which is its
    home as well.

    @param said: its standard input.
    """
    return subprocess.run(
        command(path, *arguments),
        cwd=path.parent,
        env=environment(path.parent),
        input=said,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def assertUsage(test: SynchronousTestCase, path: Path) -> None:
    """
    Without arguments a program prints one line, which its description has
    too, and its status is that of a wrong command line.
    """
    done = run(path)
    test.assertEqual(("", 64), (done.stdout, done.returncode))
    first, line, rest = done.stderr.partition("usage: ")
    test.assertEqual(("", "usage: "), (first, line))
    test.assertIn(f"\n    {rest}", path.read_text())


class Server:
    """
    A program that serves, in a process of its own, on a port that was free.

    @ivar said: what it printed until it was ready, the text behind each colon
        by that before it.
    @ivar port: where it listens.
    """

    def __init__(self, path: Path) -> None:
        """
        @param path: the program; it says C{listening on port} and its port
            when it is ready.
        """
        self._process = subprocess.Popen(
            command(path),
            cwd=path.parent,
            env=environment(path.parent),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        hangs = threading.Timer(PATIENCE, self._process.kill)
        hangs.start()
        try:
            self._readUntilReady()
        finally:
            hangs.cancel()

    def _readUntilReady(self) -> None:
        assert self._process.stdout is not None
        self.said: dict[str, str] = {}
        for line in self._process.stdout:
            if line.startswith("listening on port "):
                self.port = int(line.split()[-1])
                return
            name, _, text = line.partition(":")
            self.said[name] = text.strip()
        self.stop()
        raise AssertionError(f"the server ended instead of listening: {self.said}")

    def stop(self) -> None:
        """
        End it.
        """
        self._process.terminate()
        self._process.communicate(timeout=PATIENCE)
