"""
conchlite's client.
"""

from __future__ import annotations

import sys

from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.common import NS
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.keys import Key
from conchlite.ssh.transport import SSHClientTransport
from conchlite.ssh.userauth import SSHUserAuthClient
from tests.benchmarks.programs import job, twistedclient


class Source:
    """
    What writes the data of an upload, as a push producer.
    """

    def __init__(self, upload: Upload) -> None:
        self.pauseProducing = self.stopProducing = upload.pause
        self.resumeProducing = upload.resume


class Upload(twistedclient.Upload):
    _paused = False

    def begin(self) -> None:
        self.registerProducer(Source(self), True)
        super().begin()

    def room(self) -> int:
        return 0 if self._paused else len(twistedclient.CHUNK)

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self.produce()

    def finish(self) -> None:
        self.unregisterProducer()
        self.loseConnection()


class UserAuth(SSHUserAuthClient):
    signsAtOnce = True


def classes() -> twistedclient.Classes:
    channels = {twistedclient.Upload: Upload}
    return twistedclient.Classes(SSHClientTransport, UserAuth, SSHConnection, SSHChannel, Key, NS, channels)


if __name__ == "__main__":
    sys.exit(job.main(twistedclient.actions(classes)))
