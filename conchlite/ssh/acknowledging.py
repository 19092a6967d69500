"""
Acknowledgements that are not delayed.

A system waits some 40 milliseconds for something to send before it acknowledges
what it got. A peer that leaves Nagle's algorithm on, as OpenSSH does where there
is no terminal, waits as long with the second of two small messages: in the
middle of a login, and in front of each command's first answer. Linux can be told
to acknowledge now, once.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial


def acknowledger(tcp: object) -> Callable[[], object] | None:
    """
    What acknowledges at once all that has come.

    @param tcp: what the reactor made the connection with.
    @return: L{None} where the system has no such thing, or the connection is no
        TCP connection of its.
    """
    option = getattr(socket, "TCP_QUICKACK", None)
    handle = tcp.getHandle() if hasattr(tcp, "getHandle") else None
    if (
        option is None
        or not isinstance(handle, socket.socket)
        or handle.family not in (socket.AF_INET, socket.AF_INET6)
    ):
        return None
    acknowledge = partial(handle.setsockopt, socket.IPPROTO_TCP, option, 1)
    try:
        acknowledge()
    except OSError:
        # Systems that pass for Linux do not have all of its options.
        return None
    return acknowledge
