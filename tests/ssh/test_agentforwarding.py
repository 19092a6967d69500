"""
Tests for L{conchlite.ssh.agentforwarding}: a user's agent on the other host.
"""

from __future__ import annotations

import os
import stat

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import AgentError, ChannelOpenFailed, ChannelRequestFailed, UsageError
from conchlite.ssh.agent import AgentFactory, AgentSocket, KeyRing
from conchlite.ssh.agentforwarding import REQUEST, AgentChannel, AgentForwarding, ForwardedAgent
from conchlite.ssh.permissions import Permissions
from conchlite.ssh.processes import ProcessSession
from conchlite.ssh.programs import Cat, ProgramSession
from conchlite.wire import agent
from conchlite.wire.types import packString
from tests.ssh.agentscenes import FIRST, ORIGIN, SECOND, Ends, keyNamed, login, to
from tests.ssh.sessions import FakeSession, SessionTestCase


class ForwardingTestCase(SessionTestCase):
    """
    A session whose user has an agent.

    @ivar agents: the connections to the agent.
    @ivar uses: what the program was asked about, and what became of it.
    """

    def setUp(self) -> None:
        self.ring = KeyRing()
        self.key = keyNamed("ed25519")
        self.ring.add(self.key, "mine")
        self.agents: list[Ends] = []
        self.asked = []
        self.uses = []
        self.verdict: object = True
        self.reachable: Deferred | None = None
        self.forwarding = AgentForwarding(
            self.connect, self.approve, lambda use, permitted: self.uses.append((use, permitted))
        )
        self.open(ProgramSession({b"cat": Cat}))

    def open(self, made, **named) -> None:
        super().open(made, **named)
        self.link.server.permissions = Permissions()
        for name, value in (
            ("hostKey", FIRST.key.public().blob()),
            ("hostKeySignature", FIRST.key.sign(self.link.client.sessionID)),
        ):
            setattr(self.link.client, name, value)

    def connect(self):
        if self.reachable is not None:
            return self.reachable
        ends = Ends(self.ring)
        self.agents.append(ends)
        return succeed(ends.client)

    def approve(self, use):
        self.asked.append(use)
        return self.verdict

    def pump(self) -> None:
        moved = True
        while moved:
            moved = bool(self.link.pump())
            for ends in self.agents:
                moved = moved or bool(ends.client.transport.value())
                ends.flush()

    def forward(self) -> None:
        asking = self.forwarding.request(self.client)
        self.pump()
        self.successResultOf(asking)

    def openAgent(self):
        opening = self.server.agent.openAgent()
        self.pump()
        return self.successResultOf(opening)

    def result(self, deferred):
        self.pump()
        return self.successResultOf(deferred)

    def failure(self, deferred, error=AgentError):
        self.pump()
        return self.failureResultOf(deferred, error).value


class ClientTests(ForwardingTestCase):
    """
    The client's half.
    """

    def openChannel(self):
        channel = AgentChannel(Protocol(), lambda _: None)
        return self.link.server.service.openChannel(channel)

    def test_unasked(self):
        """
        Row 102: a server that opens a channel to the agent nobody offered is
        refused, before and after others were asked for.
        """
        self.failure(self.openChannel(), ChannelOpenFailed)
        self.assertEqual(self.agents, [])
        self.link.server.permissions = Permissions(agentForwarding=False)
        self.failure(self.forwarding.request(self.client), ChannelRequestFailed)
        self.failure(self.openChannel(), ChannelOpenFailed)
        self.assertEqual(self.agents, [])

    def test_otherWay(self):
        """
        Row 102: a server has no agent to offer, whatever a client opens.
        """
        channel = AgentChannel(Protocol(), lambda _: None)
        self.failure(self.conn.openChannel(channel), ChannelOpenFailed)
        self.link.server.avatar = None
        channel = AgentChannel(Protocol(), lambda _: None)
        self.link.server.service.agentForwarding = self.forwarding
        self.failure(self.conn.openChannel(channel), ChannelOpenFailed)

    def test_signs(self):
        """
        The program is asked, with what it needs to know, and is told.
        """
        self.forward()
        client = self.openAgent()
        blob = self.key.blob()
        self.assertEqual(self.result(client.requestIdentities()), [(blob, b"mine")])
        data = login(self.key, b"elsewhere", hostKey=b"its key")
        self.assertTrue(self.key.verify(self.result(client.signData(blob, data)), data))
        ((use, permitted),) = self.uses
        self.assertEqual(self.asked, [use])
        self.assertEqual((use.host, use.publicKey, use.comment), ("192.0.2.2", blob, b"mine"))
        self.assertEqual((use.login.user, use.login.hostKey, permitted), (b"alice", b"its key", True))
        self.assertTrue(use.fingerprint.startswith("SHA256:"))

    def test_refused(self):
        """
        Row 84: only true permits a signature; an exception does not.
        """
        self.forward()
        client = self.openAgent()
        for verdict in (False, None, 1, succeed(False), fail(AgentError("no"))):
            self.verdict = verdict
            self.failure(client.signData(self.key.blob(), b"data"))
            self.assertEqual([permitted for _, permitted in self.uses], [False])
            self.uses.clear()
        self.verdict = fail(ZeroDivisionError())
        self.failure(client.signData(self.key.blob(), b"data"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_waits(self):
        """
        While somebody decides, what follows waits; when the server has gone,
        nobody decides any more.
        """
        cancelled = []
        self.verdict = Deferred(cancelled.append)
        self.forward()
        client = self.openAgent()
        signing, listing = client.signData(self.key.blob(), b"data"), client.requestIdentities()
        self.pump()
        self.assertNoResult(listing)
        client.disconnect()
        self.pump()
        self.assertEqual(len(cancelled), 1)
        for deferred in (signing, listing):
            self.failure(deferred)
        self.assertTrue(self.agents[0].client.transport.disconnecting)

    def test_nothingElse(self):
        """
        Row 84: what is not to list keys or to sign does not reach the agent,
        libraries least of all.
        """
        self.forward()
        client = self.openAgent()
        bound = len(self.ring.keys)
        changes = (
            lambda: client.addKey(keyNamed("rsa")),
            lambda: client.removeIdentity(self.key.blob()),
            client.removeAllIdentities,
            lambda: client.lock("secret"),
            lambda: client.unlock("secret"),
            client.queryExtensions,
            lambda: client.extension("x@example.org"),
            lambda: client.extension("x@example.org", SECOND.binding(b"second").pack()),
        )
        self.agents[0].server.dataReceived = self.fail
        for change in changes:
            self.failure(change())
        self.assertEqual(len(self.ring.keys), bound)

    def test_changes(self):
        """
        What a program allows, but never libraries.
        """
        self.ring.changesFromAfar = True
        self.forwarding.changes = True
        self.forward()
        client = self.openAgent()
        self.result(client.addKey(keyNamed("rsa")))
        self.result(client.removeIdentity(self.key.blob()))
        self.assertEqual(list(self.ring.keys), [keyNamed("rsa").blob()])
        self.agents[0].server.dataReceived = self.fail

        class AddSmartcardKey(agent.Lock):
            number = agent.ADD_SMARTCARD_KEY

        self.failure(client.do(AddSmartcardKey(b"/lib.so")))

    def test_bound(self):
        """
        The agent knows by which connection it is forwarded, and by which ones
        behind that, so that destinations are held to.
        """
        self.ring.removeAll()
        self.ring.add(self.key, constraints=to((ORIGIN, FIRST.hop()), (FIRST.hop(), SECOND.hop())))
        self.forward()
        client = self.openAgent()
        self.assertEqual(len(self.result(client.requestIdentities())), 1)
        hostKey = SECOND.key.public().blob()
        data = login(self.key, b"second", hostKey=hostKey)
        self.failure(client.signData(self.key.blob(), data))
        binding = SECOND.binding(b"second")
        self.result(client.bindSession(hostKey, b"second", binding.signature))
        self.result(client.signData(self.key.blob(), data))
        self.failure(client.signData(self.key.blob(), login(self.key, b"second", b"x", FIRST.key.blob())))

    def test_noAgent(self):
        """
        Where there is no agent the channel is closed.
        """
        self.reachable = fail(AgentError("none"))
        self.forward()
        client = self.openAgent()
        self.failure(client.requestIdentities())

    def test_slowAgent(self):
        """
        What the server asks before the agent is there waits.
        """
        self.reachable = Deferred()
        self.forward()
        client = self.openAgent()
        listing = client.requestIdentities()
        self.pump()
        self.assertNoResult(listing)
        ends = Ends(self.ring)
        self.agents.append(ends)
        self.reachable.callback(ends.client)
        self.assertEqual(len(self.result(listing)), 1)

    def test_tooMany(self):
        self.forwarding.maximumConnections = 2
        self.forward()
        clients = [self.openAgent(), self.openAgent()]
        self.failure(self.server.agent.openAgent())
        clients[0].disconnect()
        self.pump()
        self.openAgent()

    def test_random(self):
        """
        Row 87: whatever the server sends, the relay answers, or closes.
        """
        self.forward()
        self.forwarding.maximumConnections = 10_000
        self.server.agent.maximumConnections = 10_000
        for data in (bytes(4), b"\xff" * 4, b"\0\4\0\1"):
            client = self.openAgent()
            waiting = client.requestIdentities()
            client.transport.write(data)
            self.pump()
            self.successResultOf(waiting)
            self.failure(client.requestIdentities())
        client = self.openAgent()
        for number in range(1, 256):
            if number in (agent.REQUEST_IDENTITIES, agent.SIGN_REQUEST):
                continue

            class Anything(agent.Lock):
                pass

            Anything.number = number
            self.failure(client.do(Anything(b"x")))

    def test_lost(self):
        self.forward()
        client = self.openAgent()
        listing = client.requestIdentities()
        self.link.lose()
        self.failureResultOf(listing, AgentError)
        self.assertTrue(self.agents[0].client.transport.disconnecting)

    def test_refusedLater(self):
        """
        OpenSSH's sshd agrees once, and refuses the next session; the agent
        stays.
        """
        self.forward()
        self.link.server.permissions = Permissions(agentForwarding=False)
        self.result(self.forwarding.request(self.client))
        self.openAgent()

    def test_another(self):
        """
        A second forwarding does not take the place of the one that the
        connection has, which would end that without a word.
        """
        self.forward()
        other = AgentForwarding(self.forwarding.connect, lambda use: True)
        self.assertIn("has another", str(self.failure(other.request(self.client), UsageError)))
        self.assertIs(self.conn.agentForwarding, self.forwarding)
        self.openAgent()

    def test_closedSession(self):
        self.client.abortConnection()
        self.pump()
        self.failure(self.forwarding.request(self.client), AgentError)
        self.assertIsNone(self.conn.agentForwarding)


class ServerTests(ForwardingTestCase):
    """
    The server's half.
    """

    def test_permissions(self):
        """
        Neither a user whose permissions lack it, nor a session that does not
        take an agent, nor one that runs something already.
        """
        self.link.server.permissions = Permissions(agentForwarding=False)
        self.refused(REQUEST.decode())
        self.open(FakeSession())
        self.refused(REQUEST.decode())
        self.open(ProgramSession({b"cat": Cat}))
        self.agreed("exec", packString(b"cat"))
        self.refused(REQUEST.decode())
        self.assertIsNone(self.server.agent)

    def test_program(self):
        """
        A program reaches it by its transport.
        """
        self.forward()
        self.agreed("exec", packString(b"cat"))
        opening = self.server.client.openAgent()
        self.pump()
        client = self.successResultOf(opening)
        self.assertEqual(len(self.result(client.requestIdentities())), 1)

    def test_noAgent(self):
        self.agreed("exec", packString(b"cat"))
        self.failureResultOf(self.server.client.openAgent(), AgentError)

    def test_few(self):
        """
        A session's programs have no more connections than it allows.
        """
        self.forward()
        self.server.agent.maximumConnections = 1
        client = self.openAgent()
        said = str(self.failureResultOf(self.server.agent.openAgent(), AgentError).value)
        self.assertEqual((said, len(self.agents)), ("too many connections", 1))
        client.disconnect()
        self.pump()
        self.openAgent()

    def test_process(self):
        """
        A process has a socket of its own, until the session ends.
        """
        reactor = MemoryReactorClock()
        session = ProcessSession(reactor)
        self.open(session)
        self.forward()
        path = session.environment[b"SSH_AUTH_SOCK"].decode()
        ((listening, factory, _, mode, _),) = [tuple(server) for server in reactor.unixServers]
        self.assertEqual((listening, mode), (path, 0o600))
        directory = os.path.dirname(path)
        self.assertEqual(stat.S_IMODE(os.stat(directory).st_mode), 0o700)
        end = factory.buildProtocol(None)
        end.makeConnection(StringTransport())
        self.assertEqual(end.transport.producerState, "paused")
        self.pump()
        self.assertEqual(end.transport.producerState, "producing")
        end.dataReceived(packString(b"\x0b"))
        self.pump()
        answer = agent.IdentitiesAnswer(((self.key.blob(), b"mine"),)).packPayload()
        self.assertEqual(end.transport.value(), packString(answer))
        self.client.abortConnection()
        self.pump()
        self.assertTrue(end.transport.disconnecting)
        self.assertFalse(os.path.exists(directory))
        self.failureResultOf(self.server.agent.openAgent(), AgentError)

    def test_userRefuses(self):
        """
        Who connects to the socket and is refused is disconnected.
        """
        reactor = MemoryReactorClock()
        self.open(ProcessSession(reactor))
        self.forward()
        self.conn.agentForwarding = None
        end = reactor.unixServers[0][1].buildProtocol(None)
        end.makeConnection(StringTransport())
        self.pump()
        self.assertTrue(end.transport.disconnecting)
        self.link.lose()

    def test_socketGone(self):
        """
        Who leaves the socket closes the channel, open or not yet.
        """
        reactor = MemoryReactorClock()
        self.open(ProcessSession(reactor))
        self.forward()
        for early in (True, False):
            end = reactor.unixServers[0][1].buildProtocol(None)
            end.makeConnection(StringTransport())
            if not early:
                self.pump()
            end.connectionLost()
            self.pump()
            self.assertEqual([channel.name for channel in self.conn.channels.values()], ["session"])
        self.link.lose()


class SocketTests(SynchronousTestCase):
    def test_failure(self):
        """
        Where no socket can be made, no directory is left.
        """
        directory = self.mktemp()
        os.mkdir(directory)

        class Reactor:
            def listenUNIX(self, path, *arguments, **named):
                raise CannotListenError(None, path, OSError("no"))

        error = self.assertRaises(AgentError, AgentSocket, Reactor(), AgentFactory(KeyRing()), directory)
        self.assertIn("no socket for an agent", str(error))
        self.assertEqual(os.listdir(directory), [])
        error = self.assertRaises(
            AgentError, AgentSocket, Reactor(), AgentFactory(KeyRing()), directory + "/x"
        )
        self.assertIn("No such file", str(error))

    def test_refused(self):
        """
        A server that can make no socket says so in its log, without a traceback.
        """
        forwarded = ForwardedAgent(None)
        with capturedLogs() as events:
            self.assertRaises(AgentError, forwarded.listen, None, self.mktemp())
        [event] = [event for event in events if event["log_namespace"].endswith("ForwardedAgent")]
        self.assertIn("is not forwarded: no directory", formatEvent(event))
        self.assertNotIn("log_failure", event)
