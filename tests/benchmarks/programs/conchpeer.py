"""
Conch's client.
"""

from __future__ import annotations

import sys

from twisted.conch.ssh.channel import SSHChannel
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import Key
from twisted.conch.ssh.transport import SSHClientTransport
from twisted.conch.ssh.userauth import SSHUserAuthClient

from tests.benchmarks.programs import job, twistedclient


class Upload(twistedclient.Upload):
    """
    What is written beyond the window would be kept and copied with each
    adjustment, and C{startWriting} comes before there is room.
    """

    def room(self) -> int:
        return self.remoteWindowLeft

    def addWindowBytes(self, data):
        super().addWindowBytes(data)
        if self.left:
            self.produce()


class Slow(twistedclient.Slow):
    """
    A channel cannot be paused here: what comes meanwhile has to be kept.
    """

    def __init__(self, program: twistedclient.Program, command: str) -> None:
        super().__init__(program, command)
        self._kept: list[bytes] = []
        self._resting = False

    def dataReceived(self, data):
        if self._resting:
            self._kept.append(data)
        else:
            super().dataReceived(data)

    def pauseProducing(self) -> None:
        self._resting = True

    def resumeProducing(self) -> None:
        self._resting = False
        kept, self._kept = self._kept, []
        for data in kept:
            self.dataReceived(data)
        if self.remoteClosed and not self._resting:
            super().closed()

    def closed(self):
        if not self._resting:
            super().closed()


def classes() -> twistedclient.Classes:
    channels = {twistedclient.Upload: Upload, twistedclient.Slow: Slow}
    return twistedclient.Classes(
        SSHClientTransport, SSHUserAuthClient, SSHConnection, SSHChannel, Key, NS, channels
    )


if __name__ == "__main__":
    sys.exit(job.main(twistedclient.actions(classes)))
