"""
The listings of the chapter on agents do what it says.
"""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import AgentError
from conchlite.ssh.agent import Constraints, Destination, Hop, HopKey, KeyRing
from conchlite.ssh.agentbindings import readLogin
from conchlite.ssh.agentforwarding import AgentUse
from tests.doc.listings import DOC
from tests.ssh.agentscenes import FIRST, Ends, keyNamed, login
from tests.ssh.sessions import SessionTestCase

LISTINGS = DOC / "howto" / "listings" / "agents"


def listing(name: str) -> dict[str, Any]:
    return runpy.run_path(str(LISTINGS / name))


class Agents:
    """
    A reactor on which there is an agent, for who connects to it.
    """

    def __init__(self, ring: KeyRing) -> None:
        self.reactor = MemoryReactorClock()
        self.ring = ring
        self._ends: list[Ends] = []

    def flush(self) -> bool:
        """
        Let everything pass; whether there was anything.
        """
        moved = False
        while self.reactor.unixClients:
            factory = self.reactor.unixClients.pop()[1]
            client = factory.buildProtocol(None)
            client.makeConnection(StringTransport())
            ends = Ends(self.ring)
            # What the endpoint wraps is the client.
            ends.client = client
            self._ends.append(ends)
            moved = True
        for ends in self._ends:
            moved = moved or bool(ends.client.transport.value())
            ends.flush()
        return moved


class UsingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.agents = Agents(KeyRing(MemoryReactorClock()))
        self.key = keyNamed("ed25519")

    def result(self, coroutine) -> object:
        running = ensureDeferred(coroutine)
        while self.agents.flush():
            pass
        return self.successResultOf(running)

    def test_using(self) -> None:
        self.agents.ring.add(self.key, "mine")
        signAll = listing("using.py")["signAll"]
        signatures = self.result(signAll(self.agents.reactor, b"data", "/run/agent"))
        self.assertEqual(list(signatures), [b"mine"])

    def test_adding(self) -> None:
        path = Path(self.mktemp())
        path.touch(0o600)
        path.write_bytes(self.key.toString("openssh"))
        hostKey = FIRST.key.public().blob()
        add = listing("adding.py")["addForAnHour"]
        self.result(add(self.agents.reactor, str(path), b"first", hostKey, "/run/agent"))
        destination = Destination(Hop(), Hop(b"", b"first", (HopKey(hostKey),)))
        self.assertEqual(
            self.agents.ring.constraints(self.key.blob()),
            Constraints(lifetime=3600, destinations=(destination,)),
        )

    def test_running(self) -> None:
        questions: list[str] = []
        reactor = MemoryReactorClock()
        reactor.listenUNIX = self.listen
        running = listing("running.py")["Agent"](
            reactor, lambda text: questions.append(text) or succeed(True)
        )
        running.ring.add(self.key, constraints=Constraints(confirm=True))
        ends = Ends(running.ring)
        signing = ends.client.signData(self.key.blob(), b"data")
        ends.flush()
        self.successResultOf(signing)
        self.assertEqual(questions, [f"Let a program use {self.key.public()!r}?"])
        self.assertTrue(Path(running.path).parent.is_dir())
        self.successResultOf(running.stop())
        self.assertFalse(Path(running.path).parent.exists())

    def listen(self, path: str, factory: object, mode: int) -> Any:
        class Port:
            def stopListening(self) -> Deferred[None]:
                return succeed(None)

        self.assertTrue(path.startswith(tempfile.gettempdir()))
        return Port()


class ForwardingTests(SessionTestCase):
    def setUp(self) -> None:
        self.key = keyNamed("ed25519")
        self.agents = Agents(KeyRing())
        self.agents.ring.add(self.key, "mine")
        program = listing("server.py")
        self.open(program["openSession"]())
        self.link.server.permissions = program["ServerTransport"].permissions
        self.link.client.hostKey = FIRST.key.public().blob()
        self.link.client.hostKeySignature = FIRST.key.sign(self.link.client.sessionID)

    def pump(self) -> None:
        while self.link.pump() or self.agents.flush():
            pass

    def start(self, command: bytes) -> Any:
        session = listing("forwarding.py")["Session"](self.agents.reactor, command, "/run/agent")
        self.conn.openChannel(session)
        self.pump()
        return session

    def test_forwarding(self) -> None:
        """
        The program on the server has the keys; a signature for the one user is
        permitted, and no other.
        """
        session = self.start(b"list-keys")
        self.assertEqual(session.output, b"mine\n")
        for user, permitted in ((b"deploy", True), (b"root", False)):
            use = self.use(login(self.key, b"session", user))
            self.assertIs(session.approve(use), permitted)
            session.used(use, permitted)
        self.assertEqual([entry[2] for entry in session.log], [True, False])
        self.assertIs(session.approve(self.use(b"data")), False)

    def use(self, data: bytes) -> Any:
        try:
            found = readLogin(data, self.key.blob())
        except AgentError:
            found = None
        return AgentUse("192.0.2.1", self.key.blob(), b"mine", found)

    def test_noAgent(self) -> None:
        """
        Without one the program says so.
        """
        self.link.server.permissions = self.link.client.permissions
        self.assertEqual(self.start(b"list-keys").output, b"no agent\n")
