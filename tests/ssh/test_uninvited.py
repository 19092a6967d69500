"""
Row 102 of doc/weaknesses.rst: channels that a server opens.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.common import NS
from conchlite.ssh.connection import SSHConnection
from conchlite.wire.numbers import OPEN_UNKNOWN_CHANNEL_TYPE
from conchlite.wire.types import packUInt32
from tests.ssh.channels import Recorder
from tests.ssh.fakes import Link

#: What servers open, and what only clients do.
TYPES = {
    b"forwarded-tcpip": NS("localhost") + packUInt32(8080) + NS("192.0.2.1") + packUInt32(40000),
    b"forwarded-streamlocal@openssh.com": NS("/run/socket") + NS(""),
    b"x11": NS("192.0.2.1") + packUInt32(40000),
    b"auth-agent@openssh.com": b"",
    b"session": b"",
    b"direct-tcpip": NS("localhost") + packUInt32(22) + NS("192.0.2.1") + packUInt32(40000),
    b"tun@openssh.com": packUInt32(1) + packUInt32(0),
}


class UninvitedTests(SynchronousTestCase):
    def test_refused(self) -> None:
        """
        Row 102: a client that has asked for no forwarding refuses every
        channel of the server's, and nothing is left of it.
        """
        link = Link(SSHConnection(), SSHConnection())
        for name, data in TYPES.items():
            channel = Recorder()
            channel.name = name
            link.server.service.openChannel(channel, data)
            link.pump()
            self.assertEqual(channel.events, ["failed"], name)
            self.assertEqual(channel.reason.data, OPEN_UNKNOWN_CHANNEL_TYPE)
            self.assertEqual(link.client.service.channels, {})
