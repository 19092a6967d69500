"""
Tests for L{conchlite.client.agent}.
"""

from __future__ import annotations

import os

from twisted.internet.error import ConnectError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from conchlite.client.agent import SSHAgentClient, connectToAgent
from conchlite.error import AgentError
from tests.ssh.agentscenes import Ends, keyNamed


class KeysTests(SynchronousTestCase):
    def test_oneByOne(self):
        """
        Keys are handed out each once, and those that nobody knows left out.
        """
        client = SSHAgentClient()
        ends = Ends(client=client)
        self.assertIsNone(client.getPublicKey())
        ends.ring.add(keyNamed("ed25519"))
        ends.ring.keys[b"no key"] = (keyNamed("ed25519"), b"")
        ends.ring.add(keyNamed("rsa"))
        learning = client.getPublicKeys()
        ends.flush()
        self.assertIsNone(self.successResultOf(learning))
        found = [client.getPublicKey() for _ in range(3)]
        self.assertEqual(found, [keyNamed("ed25519").public(), keyNamed("rsa").public(), None])


class ConnectTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()

    def test_path(self):
        connecting = connectToAgent(self.reactor, "/run/agent\x1b")
        ((path, factory, *_),) = self.reactor.unixClients
        self.assertEqual(path, "/run/agent\x1b")
        factory.buildProtocol(None).makeConnection(StringTransport())
        self.assertIsInstance(self.successResultOf(connecting), SSHAgentClient)

    def test_environment(self):
        """
        The agent is where SSH_AUTH_SOCK says.
        """
        self.patch(os, "environ", {"SSH_AUTH_SOCK": "/run/agent"})
        connecting = connectToAgent(self.reactor)
        self.assertEqual(self.reactor.unixClients[0][0], "/run/agent")
        connecting.cancel()
        self.failureResultOf(connecting)

    def test_none(self):
        for environment in ({}, {"SSH_AUTH_SOCK": ""}):
            self.patch(os, "environ", environment)
            error = self.failureResultOf(connectToAgent(self.reactor), AgentError).value
            self.assertIn("SSH_AUTH_SOCK", str(error))

    def test_notThere(self):
        connecting = connectToAgent(self.reactor, "/run/agent\x1b")
        factory = self.reactor.unixClients[0][1]
        factory.clientConnectionFailed(None, Failure(ConnectError(2, "no such file")))
        error = self.failureResultOf(connecting, AgentError).value
        self.assertEqual("no agent at /run/agent\\x1b: No such file or directory", str(error))
