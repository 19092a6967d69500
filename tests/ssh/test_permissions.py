"""
Tests for L{conchlite.ssh.permissions}, and for what the server makes of them.
"""

from __future__ import annotations

import itertools

from twisted.internet.protocol import Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from conchlite.avatar import SessionUser
from conchlite.error import ChannelOpenFailed, CommandsConflict, GlobalRequestFailed
from conchlite.interfaces import ISessionEnvironment
from conchlite.ssh.common import NS
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.permissions import PLAIN, Permissions
from conchlite.ssh.session import SSHSession
from conchlite.wire.connection import PtyRequest, TCPIPForward, TCPIPOpen
from conchlite.wire.numbers import OPEN_ADMINISTRATIVELY_PROHIBITED
from tests.ssh.channels import Recorder
from tests.ssh.fakes import Link
from tests.ssh.sessions import FakeSession, SessionTestCase

FLAGS = ("pty", "portForwarding", "agentForwarding", "x11Forwarding", "userRC")


class PermissionsTests(SynchronousTestCase):
    """
    L{Permissions}.
    """

    def test_intersect(self):
        """
        Row 59: of two, what either denies is denied.
        """
        for flag in FLAGS:
            for ours, others in itertools.product((True, False), repeat=2):
                both = Permissions(**{flag: ours}).intersect(Permissions(**{flag: others}))
                self.assertEqual(both, Permissions(**{flag: ours and others}))
        self.assertEqual(
            Permissions(touchRequired=False).intersect(Permissions(verificationRequired=True)),
            Permissions(verificationRequired=True),
        )
        self.assertFalse(
            Permissions(touchRequired=False).intersect(Permissions(touchRequired=False)).touchRequired
        )

    def test_command(self):
        """
        Row 59: one command stays, whichever factor has it; of two that differ
        none may run.
        """
        bound = Permissions(command=b"date")
        self.assertEqual(bound.intersect(Permissions()).command, b"date")
        self.assertEqual(Permissions().intersect(bound).command, b"date")
        self.assertEqual(bound.intersect(bound).command, b"date")
        self.assertRaises(CommandsConflict, bound.intersect, Permissions(command=b"uname"))
        self.assertRaises(CommandsConflict, bound.intersect, Permissions(command=b""))

    def test_environment(self):
        """
        The variables of both are set; the first one's count.
        """
        both = Permissions(environment={b"A": b"1"}).intersect(
            Permissions(environment={b"A": b"2", b"B": b"3"})
        )
        self.assertEqual(both.environment, {b"A": b"1", b"B": b"3"})

    def test_lists(self):
        """
        Row 104: where both say what may be opened, it is what both say.
        """
        web = frozenset({(b"web", 80), (b"db", None)})
        other = frozenset({(b"*", 80), (b"db", 5432)})
        for name in ("permitOpen", "permitListen"):
            both = Permissions(**{name: web}).intersect(Permissions(**{name: other}))
            self.assertEqual(getattr(both, name), frozenset({(b"web", 80), (b"db", 5432)}))
            for first, second in ((None, web), (web, None)):
                both = Permissions(**{name: first}).intersect(Permissions(**{name: second}))
                self.assertEqual(getattr(both, name), web)

    def test_mayOpen(self):
        """
        Rows 103 and 104: denial wins, over any list.
        """
        web = frozenset({(b"web", 80), (b"any", None), (b"*", 22)})

        def opens(permissions, host, port):
            return permissions.mayOpen(b"direct-tcpip", TCPIPOpen(host, port, b"", 0).pack())

        for host, port, listed in (
            (b"web", 80, True),
            (b"WEB", 80, True),
            (b"web", 81, False),
            (b"any", 1, True),
            (b"other", 22, True),
            (b"other", 80, False),
        ):
            self.assertEqual(opens(Permissions(permitOpen=web), host, port), listed)
            self.assertFalse(opens(Permissions(permitOpen=web, portForwarding=False), host, port))
            self.assertTrue(opens(Permissions(permitListen=web), host, port))
            self.assertFalse(opens(PLAIN, host, port))
            self.assertFalse(opens(Permissions(permitOpen=frozenset()), host, port))
            forward = TCPIPForward(host, port).pack()
            self.assertEqual(Permissions(permitListen=web).mayRequest(b"tcpip-forward", forward), listed)
            self.assertFalse(PLAIN.mayRequest(b"tcpip-forward", forward))

    def test_sockets(self):
        """
        Sockets are not there with a list of ports, nor with a command.
        """
        opens, listens = b"direct-streamlocal@openssh.com", b"streamlocal-forward@openssh.com"
        for permissions, may in (
            (Permissions(), True),
            (PLAIN, False),
            (Permissions(command=b"date"), False),
        ):
            self.assertEqual(permissions.mayOpen(opens, b""), may)
            self.assertEqual(permissions.mayRequest(listens, b""), may)
        self.assertFalse(Permissions(permitOpen=frozenset()).mayOpen(opens, b""))
        self.assertFalse(Permissions(permitListen=frozenset()).mayRequest(listens, b""))

    def test_asked(self):
        """
        Row 103: whoever asks about an address hears of all that is denied.
        """
        for permissions in (PLAIN, Permissions(permitOpen=frozenset(), permitListen=frozenset())):
            self.assertFalse(permissions.mayConnect(b"host", 80))
            self.assertFalse(permissions.mayListen(b"host", 80))
        self.assertTrue(Permissions().mayConnect(b"host", 80) and Permissions().mayListen(b"host", 80))
        self.assertTrue(Permissions(command=b"date").mayRequest(b"keepalive@openssh.com", b""))

    def test_tunnels(self):
        """
        Row 104: nobody opens a tunnel, whatever else he may.
        """
        for permissions in (Permissions(), PLAIN):
            self.assertFalse(permissions.mayOpen(b"tun@openssh.com", b""))


class Generous(SessionUser):
    def global_tcpip_forward(self, data):
        return True


class ForwardingTests(SynchronousTestCase):
    """
    Channels and global requests, of an avatar that grants everything.
    """

    def connect(self, permissions):
        avatar = Generous(FakeSession)
        avatar.channelLookup[b"direct-tcpip"] = self.make
        self.made = []
        self.link = Link(SSHConnection(), SSHConnection(), avatar)
        self.link.server.permissions = permissions
        self.conn = self.link.client.service

    def make(self, **arguments):
        self.made.append(arguments.pop("data"))
        return Recorder(remoteWindow=arguments["remoteWindow"], remoteMaxPacket=arguments["remoteMaxPacket"])

    def open(self):
        channel = Recorder()
        channel.name = b"direct-tcpip"
        opened = self.conn.openChannel(channel, TCPIPOpen(b"web", 80, b"", 0).pack())
        asked = self.conn.sendGlobalRequest("tcpip-forward", TCPIPForward(b"", 8080).pack(), wantReply=True)
        self.link.pump()
        return opened, asked

    def test_denied(self):
        """
        Row 103: a server forwards nothing unless its program says so, whatever
        avatars offer.
        """
        for permissions in (PLAIN, Permissions().restricted(), Permissions(portForwarding=False)):
            self.connect(permissions)
            opened, asked = self.open()
            error = self.failureResultOf(opened, ChannelOpenFailed).value
            self.assertEqual(error.data, OPEN_ADMINISTRATIVELY_PROHIBITED)
            self.failureResultOf(asked, GlobalRequestFailed)
            self.assertEqual(self.made, [])

    def test_default(self):
        """
        Row 103: that is what transports have.
        """
        from conchlite.ssh.transport import SSHServerTransport

        self.assertEqual(SSHServerTransport.permissions, PLAIN)

    def test_granted(self):
        """
        What is permitted is the avatar's business.
        """
        self.connect(Permissions())
        opened, asked = self.open()
        self.successResultOf(opened)
        self.successResultOf(asked)
        self.assertEqual(len(self.made), 1)


@implementer(ISessionEnvironment)
class EnvironmentSession(FakeSession):
    def __init__(self):
        super().__init__()
        self.added = {}

    def addEnvironment(self, variables):
        self.added.update(variables)


class GenerousSession(SSHSession):
    """
    @ivar asked: what it was asked for.
    """

    def channelOpen(self, specificData):
        self.asked = []

    def request_auth_agent_req_openssh_com(self, data):
        self.asked.append("auth-agent-req@openssh.com")
        return True

    def request_x11_req(self, data):
        self.asked.append("x11-req")
        return True


class SessionPermissionsTests(SessionTestCase):
    """
    Sessions.
    """

    def begin(self, made=None, **permissions):
        self.open(made or EnvironmentSession())
        self.link.server.permissions = Permissions(**permissions)

    def test_command(self):
        """
        Row 78: whatever the user asks for, the command runs, and learns what
        it was.
        """
        for name, data, original in (
            ("shell", b"", {}),
            ("exec", NS("rm -r /"), {b"SSH_ORIGINAL_COMMAND": b"rm -r /"}),
            ("exec", NS(""), {b"SSH_ORIGINAL_COMMAND": b""}),
            ("subsystem", NS("sftp"), {b"SSH_ORIGINAL_COMMAND": b"sftp"}),
        ):
            self.begin(command=b"date")
            self.agreed(name, data)
            self.assertEqual(self.made.calls, [("exec", b"date")])
            self.assertEqual(self.made.added, original)

    def test_subsystem(self):
        """
        Row 78: a subsystem of the avatar's is not begun behind the command.
        """
        begun = []
        self.begin(FakeSession(), command=b"date")
        avatar = self.link.server.avatar
        avatar.subsystemLookup[b"sftp"] = lambda data, avatar: begun.append(data) or Protocol()
        self.agreed("subsystem", NS("sftp"))
        self.assertEqual((begun, self.made.calls), ([], [("exec", b"date")]))

    def test_commandWithNUL(self):
        """
        What no variable can hold is refused.
        """
        self.begin(command=b"date")
        self.refused("exec", NS(b"a\0b"))
        self.assertEqual(self.made.calls, [])

    def test_environment(self):
        """
        Variables of the login are set before anything runs.
        """
        self.begin(environment={b"WHO": b"me"})
        self.agreed("exec", NS("ls"))
        self.assertEqual((self.made.added, self.made.calls), ({b"WHO": b"me"}, [("exec", b"ls")]))

    def test_refused(self):
        """
        Terminals and forwarding that are not permitted do not reach the
        avatar.
        """
        pty = PtyRequest(b"vt100", 80, 24, 0, 0, b"").pack()
        self.begin()
        self.agreed("pty-req", pty)
        self.begin(pty=False)
        self.refused("pty-req", pty)
        self.assertEqual(self.made.calls, [])
        for name, flag in (("auth-agent-req@openssh.com", "agentForwarding"), ("x11-req", "x11Forwarding")):
            for may in (True, False):
                self.open(EnvironmentSession(), GenerousSession)
                self.link.server.permissions = Permissions(**{flag: may})
                (self.agreed if may else self.refused)(name)
                self.assertEqual(self.server.asked, [name] if may else [])
