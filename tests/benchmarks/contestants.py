"""
Who is measured: conchlite, and the peers that are installed beside it.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from dataclasses import dataclass

import conchlite
from tests.interop.peers import SERVER_PATH

PROGRAMS = "tests.benchmarks.programs"
SERVERS = "tests.benchmarks.servers"

#: Who is measured against the others.
OURS = "conchlite"

#: What the ratios are to.
OPENSSH = "openssh"


@dataclass(frozen=True)
class Contestant:
    """
    One implementation.

    @ivar name: what C{--peers} calls it.
    @ivar client: the module of L{PROGRAMS} that is its client.
    @ivar server: the module of L{SERVERS} that is its server, or L{None}
        where it has none.
    @ivar distribution: what it is installed as; L{None} for OpenSSH.
    """

    name: str
    client: str
    server: str | None
    distribution: str | None

    @property
    def isPythons(self) -> bool:
        """
        Whether it is a peer, and a program for Python.
        """
        return self.distribution is not None and self.name != OURS

    def version(self) -> str | None:
        """
        The version that is installed; L{None} if none is.
        """
        if self.distribution is None:
            return _openSSHVersion()
        if self.name == OURS:
            # It may well run from its sources, and is not installed then.
            return conchlite.__version__
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None


def _openSSHVersion() -> str | None:
    if shutil.which("ssh") is None or shutil.which("sshd", path=SERVER_PATH) is None:
        return None
    printed = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True).stderr
    found = re.match(r"OpenSSH_([\w.]+)", printed)
    return found[1] if found else printed.strip()


#: What no client on Twisted can do without, as if it were one.
FLOOR = Contestant("floor", "floor", None, None)

CONTESTANTS = (
    Contestant(OPENSSH, "openssh", "opensshserver", None),
    Contestant(OURS, "ours", "ours", "conchlite"),
    Contestant("asyncssh", "asyncsshpeer", "asyncsshserver", "asyncssh"),
    Contestant("paramiko", "paramikopeer", "paramikoserver", "paramiko"),
    Contestant("conch", "conchpeer", "conchserver", "twisted"),
    Contestant("ssh2-python", "ssh2peer", None, "ssh2-python"),
)
