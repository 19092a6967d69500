"""
A server that has no descriptors left, in a process of its own.
"""

from __future__ import annotations

import select
import socket
import time

from twisted.trial.unittest import SynchronousTestCase

from conchlite.wire import numbers
from conchlite.wire.transport import Ping
from tests.benchmarks.hostile import ServerProcess, admitted, openMany
from tests.benchmarks.hostilekinds import Peer, logInAs

DESCRIPTORS = 64
CLIENTS = 200

# Nothing waits that long unless it is wrong.
PATIENCE = 60


class DescriptorsTests(SynchronousTestCase):
    """
    Row 133: the accept loop and EMFILE.
    """

    def setUp(self) -> None:
        self.server = ServerProcess()
        self.addCleanup(self.server.stop)

    def test_exhausted(self) -> None:
        """
        Who is one too many is closed, and not left waiting, so the server does
        not turn in circles. Who is there stays, and when there is room again,
        the next one is let in.
        """
        there = Peer(self.server.port, "there")
        self.addCleanup(there.close)
        end = logInAs(there)
        self.server.ask("descriptors", DESCRIPTORS)
        peers = openMany(self.server.port, CLIENTS)
        ended = 0
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            state = self.server.ask("cpu")
            for found in select.select(list(peers), [], [], 0)[0]:
                if not found.recv(65536, socket.MSG_DONTWAIT):
                    ended += 1
                    peers.pop(found).close()
            if ended + state["connections"] == CLIENTS + 1:
                break
        self.assertEqual(CLIENTS + 1, ended + state["connections"])
        self.assertLess(state["connections"], DESCRIPTORS)
        self.assertGreater(ended, CLIENTS - DESCRIPTORS)

        there.sendMessages(end, bytes((numbers.MSG_PING,)) + Ping(b"still there?").pack())
        there.until(end, lambda: any(number == numbers.MSG_PONG for number, _ in end.received))

        for peer in peers.values():
            peer.close()
        admitted(self.server.port, PATIENCE)
        self.assertEqual({}, self.server.ask("cpu")["failures"])
