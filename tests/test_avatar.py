"""
Avatars: what is in their tables, and nothing else.
"""

from __future__ import annotations

from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from conchlite.avatar import ConchUser, SessionUser
from conchlite.error import ConchError
from conchlite.interfaces import IConchUser, ISession
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.programs import ProgramSession
from conchlite.ssh.session import SSHSession
from conchlite.wire.numbers import OPEN_UNKNOWN_CHANNEL_TYPE


class User(ConchUser):
    def global_tcpip_forward(self, data: bytes) -> object:
        return (1, data)


class ConchUserTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.user = User()

    def test_interface(self) -> None:
        verifyObject(IConchUser, self.user)

    def test_channel(self) -> None:
        self.user.channelLookup[b"mine"] = SSHChannel
        channel = self.user.lookupChannel(b"mine", 1000, 2000, b"data")
        self.assertIsInstance(channel, SSHChannel)
        self.assertEqual(
            (1000, 2000, b"data", self.user),
            (channel.remoteWindowLeft, channel.remoteMaxPacket, channel.data, channel.avatar),
        )

    def test_noChannel(self) -> None:
        self.user.channelLookup[b"none"] = lambda **kwargs: None
        for name in (b"session", b"none"):
            error = self.assertRaises(ConchError, self.user.lookupChannel, name, 1, 2, b"")
            self.assertEqual(("unknown channel", OPEN_UNKNOWN_CHANNEL_TYPE), (error.value, error.data))

    def test_subsystem(self) -> None:
        asked = []

        def make(data: bytes, *, avatar: object) -> Protocol:
            asked.append((data, avatar))
            return Protocol()

        self.user.subsystemLookup[b"sftp"] = make
        self.assertIsInstance(self.user.lookupSubsystem(b"sftp", b"data"), Protocol)
        self.assertEqual([(b"data", self.user)], asked)
        self.assertIsNone(self.user.lookupSubsystem(b"unknown", b"data"))

    def test_globalRequests(self) -> None:
        self.assertEqual((1, b"data"), self.user.gotGlobalRequest(b"tcpip-forward", b"data"))
        for name in (b"tcpip_forward", b"unknown", b"", b"\xff", b"__init__"):
            self.assertFalse(self.user.gotGlobalRequest(name, b"data"))

    def test_nothingByDefault(self) -> None:
        user = ConchUser()
        self.assertEqual(({}, {}, None), (user.channelLookup, user.subsystemLookup, user.conn))
        self.assertIsNone(ISession(user, None))


class SessionUserTests(SynchronousTestCase):
    def test_sessions(self) -> None:
        """
        Each session gets an L{ISession} of its own.
        """
        user = SessionUser(lambda: ProgramSession({}))
        self.assertIs(SSHSession, user.channelLookup[b"session"])
        first, second = ISession(user), ISession(user)
        self.assertIsInstance(first, ProgramSession)
        self.assertIsNot(first, second)
        self.assertIs(user, IConchUser(user))
