"""
Channels on which nothing is delivered before there is somebody to take it.
"""

from __future__ import annotations

from conchlite.sansio.channels import RemoteChannel
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.channelmachine import ChannelMachine


class HeldMachine(ChannelMachine):
    """
    What comes before the channel is started waits in it, within the window.
    """

    __slots__ = ()

    channel: HeldChannel

    def opened(self, remoteChannel: RemoteChannel, windowSize: int, maximumPacketSize: int) -> None:
        super().opened(remoteChannel, windowSize, maximumPacketSize)
        self.incoming.pause()

    def peerGone(self) -> None:
        if not self.channel._started:
            # Nobody will ever take it.
            self.incoming.drop()


class HeldChannel(SSHChannel):
    """
    A channel that delivers nothing until C{start}. To pause it before is to
    have it start paused.
    """

    _machineClass = HeldMachine
    _started = False
    _wantsData = True

    def start(self) -> None:
        """
        Deliver what came and what comes, unless it was paused.
        """
        self._started = True
        if self._wantsData:
            super().resumeProducing()

    def pauseProducing(self) -> None:
        """
        Deliver nothing until C{resumeProducing}.
        """
        self._wantsData = False
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """
        Deliver what was kept, and whatever comes.
        """
        self._wantsData = True
        if self._started:
            super().resumeProducing()
