"""
conchlite: SSH for Twisted programs, client and server.

The floors, from the ground up: L{conchlite.wire}, L{conchlite.algorithms},
L{conchlite.sansio}, L{conchlite.ssh}, then the conveniences. A floor imports
only what lies below it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from conchlite.client.sshclient import connect as connect

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # PEP 562: what most programs begin with has a short name, and costs nothing
    # where it is not used.
    if name == "connect":
        from conchlite.client.sshclient import connect

        return connect
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
