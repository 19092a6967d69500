"""
What does not work with a peer, and why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from tests.interop.matrix import Cell


@dataclass(frozen=True)
class Known:
    """
    Something that a peer says it can and yet cannot.

    @ivar peer: its name.
    @ivar role: what it is where it cannot: C{"server"} or C{"client"}.
    @ivar version: a regular expression that its version matches from the
        beginning.
    @ivar cell: one that the family and the name of the cell match, with a
        blank between them.
    @ivar reason: why, as the documentation says it.
    @ivar tried: whether it is seen to fail; false for what would hang.
    """

    peer: str
    role: str
    version: str
    cell: str
    reason: str
    tried: bool = True


KNOWN: tuple[Known, ...] = (
    Known(
        "Twisted Conch",
        "client",
        r"26\.10",
        "user key rsa-sha2-.*",
        "Twisted Conch 26.10 signs with SHA-1 when it logs in with an RSA key.",
    ),
    *(
        Known(
            "Go x/crypto/ssh",
            role,
            r"0\.4\.",
            "cipher (aes128|3des)-cbc",
            "x/crypto/ssh 0.4.0 in CBC mode does every -etm MAC as if it were not; with other MACs it works.",
        )
        for role in ("server", "client")
    ),
)


def known(peer: str, role: str, version: str, cell: Cell, table: Iterable[Known] = KNOWN) -> Known | None:
    """
    What is known about a cell, if it is known not to work.
    """
    name = f"{cell.family} {cell.name}"
    for entry in table:
        isThis = (entry.peer, entry.role) == (peer, role) and re.match(entry.version, version)
        if isThis and re.fullmatch(entry.cell, name):
            return entry
    return None
