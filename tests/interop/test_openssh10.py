"""
OpenSSH 10, which this system may not have: it runs from another's directory.

C{CONCHLITE_OPENSSH10_ROOT} is a directory with a whole system, as C{mmdebstrap
--include=openssh-server,openssh-client trixie DIRECTORY} makes it. Without it
none of this is tested; with it, the tests must be run by root. Nothing is
written there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from conchlite.ssh.keys import Key
from tests.interop.cases import ClientMatrix, ClientPeer, ServerMatrix, ServerPeer
from tests.interop.daemon import Daemon
from tests.interop.matrix import CELLS, Cell, everyAlgorithm
from tests.interop.peers import (
    LOCALHOST,
    SERVER_PATH,
    Finished,
    everyOption,
    freePort,
    hostKeys,
    program,
    publicKeyLine,
    run,
    userKeys,
    writePrivateKey,
)

ROOT = os.environ.get("CONCHLITE_OPENSSH10_ROOT")

# Where the other system sees the files of a test.
_FILES = Path("/mnt")

_SCRIPT = """
mount --bind "$2" "$1/mnt" && mount --rbind /dev "$1/dev" && mount -t tmpfs tmpfs "$1/run" &&
mkdir -m 755 "$1/run/sshd" && root=$1 && shift 2 && exec chroot "$root" "$@"
"""


def inside(directory: Path, *arguments: str) -> list[str]:
    """
    The command that runs another one in the other system.

    @param directory: what is L{_FILES} there.
    """
    return [
        program("unshare"),
        "--mount",
        "/bin/sh",
        "-c",
        _SCRIPT,
        "sh",
        str(ROOT),
        str(directory),
        *arguments,
    ]


class OpenSSH10(ServerPeer, ClientPeer):
    name = "OpenSSH 10"
    user = "root"

    async def version(self, test) -> str:
        finished = await self._run(test, self._directory(test), "/usr/bin/ssh", "-V")
        return re.match(rb"OpenSSH_(\w+\.\w+)", finished.errors)[1].decode()

    def _directory(self, test) -> Path:
        directory = Path(test.mktemp()).absolute()
        directory.mkdir(parents=True)
        return directory

    async def _run(self, test, directory: Path, *arguments: str, data: bytes = b"") -> Finished:
        path, *others = inside(directory, *arguments)
        return await run(test, reactor, path, others, data, {"PATH": SERVER_PATH})

    async def _everyOption(self, directory: Path) -> dict[str, str]:
        return await everyOption(reactor, inside(directory, "/usr/bin/ssh"))

    async def startServer(self, test, directory: Path) -> Daemon:
        port = freePort()
        options = {
            "ListenAddress": f"{LOCALHOST}:{port}",
            "AuthorizedKeysFile": str(_FILES / "authorized_keys"),
            "PidFile": "none",
            "StrictModes": "no",
            "UsePAM": "no",
            "UseDNS": "no",
            "PermitRootLogin": "yes",
            "PrintMotd": "no",
            "PrintLastLog": "no",
            "MaxStartups": "100",
            "PerSourcePenalties": "no",
            **await self._everyOption(directory),
        }
        lines = [f"{name} {value}\n" for name, value in options.items()]
        for name, key in hostKeys().items():
            path = writePrivateKey(key, directory / f"host_{name.decode()}")
            lines.append(f"HostKey {_FILES / path.name}\n")
        (directory / "sshd_config").write_text("".join(lines))
        keys = "".join(publicKeyLine(key) + "\n" for key in userKeys().values())
        (directory / "authorized_keys").write_text(keys)
        arguments = inside(directory, "/usr/sbin/sshd", "-D", "-e", "-f", str(_FILES / "sshd_config"))
        return await Daemon(reactor, directory).start(arguments, port=port, announces="Server listening on")

    async def runClient(self, test, port: int, key: Key, data: bytes, cell: Cell | None) -> Finished:
        directory = self._directory(test)
        writePrivateKey(key, directory / "identity")
        lines = [f"[{LOCALHOST}]:{port} {publicKeyLine(each)}\n" for each in hostKeys().values()]
        (directory / "known_hosts").write_text("".join(lines))
        options = {
            "BatchMode": "yes",
            "UserKnownHostsFile": str(_FILES / "known_hosts"),
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "IdentityFile": str(_FILES / "identity"),
            "IdentitiesOnly": "yes",
            "LogLevel": "ERROR",
            **await self._everyOption(directory),
        }
        arguments: Sequence[str] = [f"-o{name}={value}" for name, value in options.items()]
        target = ["-T", "-p", str(port), f"alice@{LOCALHOST}", "cat"]
        return await self._run(test, directory, "/usr/bin/ssh", "-F", "none", *arguments, *target, data=data)


# None, and not a skipped one, where there is no such system.
_CELLS = CELLS if ROOT else ()


@everyAlgorithm(_CELLS)
class OpenSSH10ServerTests(ServerMatrix, TestCase):
    peer = OpenSSH10()


@everyAlgorithm(_CELLS)
class OpenSSH10ClientTests(ClientMatrix, TestCase):
    peer = OpenSSH10()
