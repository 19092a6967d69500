"""
The listings of C{doc/}: where they are, and how they are run.

A listing runs as it is in the documentation, in a process and with a reactor of
its own. What is put in the place of something else are literals, as a reader
would: host, port, user, fingerprint, keys.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOC = ROOT / "doc"
CLIENT = DOC / "howto" / "listings" / "client"

#: What the howto's program prints.
LINE = """We got this from "cat": b'This data will be echoed back to us by "cat."\\r\\n'\n"""

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


def section(text: str, begin: str, end: str) -> str:
    """
    What stands between two marks, both included.
    """
    start = text.index(begin)
    return text[start : text.index(end, start + len(begin)) + len(end)]


def environment() -> dict[str, str]:
    """
    The environment of a listing: the conchlite that is tested, and nothing
    of the user's.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONWARNINGS": "error::DeprecationWarning:__main__",
    }


def run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """
    Run a program to its end, in the directory that it is in.
    """
    return subprocess.run(
        [sys.executable, path.name, *arguments],
        cwd=path.parent,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
