"""
Small messages that go out at once.

What Twisted's C{write} is given waits until the reactor has asked whether there
is room for it: three more calls of the system and another turn, for a message
that fits in any case. So what is small, and has nothing before it, is given to
the socket directly. All else is Twisted's as ever: what the system does not
take, what goes wrong, and what comes in bursts, which its buffer bundles and
its producers hold back.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial
from typing import Any

#: What is small.
PROMPT_BYTES = 8 * 1024

# How often in a row, without a look at whether the reactor had its turn.
_WRITES = 16

# What has to be false of a connection for its buffer to be empty and to stay
# in use.
_HINDRANCES = (
    "TLS",
    "dataBuffer",
    "_tempDataBuffer",
    "disconnecting",
    "disconnected",
    "_writeDisconnecting",
    "_writeDisconnected",
    "_aborting",
)
_PIPE_HINDRANCES = ("fd", *_HINDRANCES[1:-1])


def promptWriter(tcp: object) -> Callable[[bytes], None] | None:
    """
    What writes to a connection, small pieces at once.

    @param tcp: what the reactor made the connection with.
    @return: L{None} where it is no TCP connection of Twisted's, as it is known
        to us, or where something stands between us and the socket.
    """
    handle = tcp.getHandle() if hasattr(tcp, "getHandle") else None
    if not isinstance(handle, socket.socket) or handle.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    from twisted.internet.tcp import Connection

    if (
        not isinstance(tcp, Connection)
        or type(tcp).write is not Connection.write
        or "write" in vars(tcp)
        or not all(hasattr(tcp, name) for name in _HINDRANCES)
    ):
        return None
    return _Prompt(tcp, handle.send).write


def promptPipe(pipe: object) -> Callable[[bytes], None] | None:
    """
    As L{promptWriter}, for a process's input.

    @param pipe: what Twisted writes to it with.
    """
    from twisted.internet.process import ProcessWriter

    if not isinstance(pipe, ProcessWriter) or not all(hasattr(pipe, name) for name in _PIPE_HINDRANCES):
        return None
    return _PromptPipe(pipe, partial(os.write, pipe.fd)).write


class _Prompt:
    """
    Writes to one connection.
    """

    __slots__ = ("_descriptor", "_left", "_send")

    def __init__(self, descriptor: Any, send: Callable[[bytes], int]) -> None:
        self._descriptor = descriptor
        self._send = send
        self._left = _WRITES

    def _isInUse(self) -> bool:
        tcp = self._descriptor
        return tcp.connected and not (
            tcp.disconnecting or tcp.TLS or tcp._aborting or tcp._writeDisconnecting
        )

    def write(self, data: bytes) -> None:
        """
        Write C{data}, behind all that was written before.
        """
        descriptor = self._descriptor
        if (
            len(data) > PROMPT_BYTES
            or descriptor._tempDataBuffer
            or descriptor.dataBuffer
            or not self._isInUse()
        ):
            descriptor.write(data)
            return
        if not self._left:
            # Who writes so often without a turn of the reactor between is
            # better bundled. Its buffer is found empty when a turn is over.
            self._left = _WRITES
            descriptor.write(data)
            return
        self._left -= 1
        try:
            sent = self._send(data)
        except OSError:
            # No room, or no connection: Twisted finds that for itself, and
            # says so.
            sent = 0
        if sent < len(data):
            descriptor.write(data[sent:])


class _PromptPipe(_Prompt):
    """
    Writes to a process.
    """

    __slots__ = ()

    def _isInUse(self) -> bool:
        pipe = self._descriptor
        return pipe.connected and not (pipe.disconnecting or pipe._writeDisconnecting)
