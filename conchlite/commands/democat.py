"""
The channel of C{conchlite demo}: C{cat}, as the howto has it.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred

from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.common import NS
from conchlite.ssh.connection import SSHConnection
from conchlite.wire.connection import ExitStatus


class CatChannel(SSHChannel):
    """
    Sends a line to C{cat}, and collects what comes back.

    @ivar received: fires with what came back when the channel is closed.
    @ivar exitStatus: the exit status, or L{None} as long as there is none.
    """

    name = b"session"

    exitStatus: int | None = None

    def __init__(self, conn: SSHConnection, line: bytes) -> None:
        super().__init__(conn=conn)
        self._line = line
        self._parts: list[bytes] = []
        self.received: Deferred[bytes] = Deferred(lambda _: self.abortConnection())

    def channelOpen(self, specificData: bytes) -> None:
        """
        Ask for C{cat}.
        """
        replied = self.conn.sendRequest(self, b"exec", NS("cat"), wantReply=True)
        if replied is not None:
            replied.addCallbacks(self._started, self.received.errback)

    def _started(self, reply: object) -> None:
        self.write(self._line)
        self.loseConnection()

    def request_exit_status(self, data: bytes) -> bool:
        """
        C{cat} has ended.
        """
        self.exitStatus = ExitStatus.unpack(data).exitStatus
        return True

    def dataReceived(self, data: bytes) -> None:
        """
        Some of the line came back.
        """
        self._parts.append(data)

    def closed(self) -> None:
        """
        That was all.
        """
        if not self.received.called:
            self.received.callback(b"".join(self._parts))
