"""
The line in the log that every connection ends with.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import UnexpectedMessage
from conchlite.ssh.service import SSHService
from conchlite.wire import numbers
from tests.ssh.links import Link


class EndTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.link = Link()
        logged = capturedLogs()
        self.events: list[dict[str, Any]] = logged.__enter__()
        self.addCleanup(logged.__exit__, None, None, None)

    def lose(self, reason: Exception) -> None:
        for end in (self.link.client, self.link.server):
            end.connectionLost(Failure(reason))

    def ends(self) -> list[dict[str, Any]]:
        return [event for event in self.events if "ended after" in event["log_format"]]

    def both(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """
        The client's line, and the server's.
        """
        server, client = sorted(self.ends(), key=lambda event: event["log_source"].isClient)
        for event in (client, server):
            self.assertEqual(event["log_level"], LogLevel.info)
        return client, server

    def said(self, *keys: str) -> tuple[list[Any], list[Any]]:
        client, server = self.both()
        return [client[key] for key in keys], [server[key] for key in keys]

    def test_text(self) -> None:
        """
        One line says with whom, how long, who closed and why, how much, and
        under which algorithms.
        """
        self.link.secure()
        self.link.clock.advance(61.5)
        self.link.client.loseConnection()
        self.link.flush()
        client, server = self.both()
        text = client["log_format"].format(**client)
        n = self.link.client.negotiated
        for part in (
            "61.500 seconds",
            "closed by us, CONNECTION_LOST (10)",
            f"{client['received']} bytes came and {client['sent']} went",
            f"{n.keyExchange.decode()}, ssh-ed25519, {n.cipherClientToServer.decode()}",
            "user closed connection",
        ):
            self.assertIn(part, text)
        self.assertEqual(str(n).count(n.cipherClientToServer.decode()), 1)
        self.assertEqual(server["seconds"], 61.5)
        self.assertEqual(server["peer"], self.link.server._peerText())

    def test_bytes(self) -> None:
        """
        The bytes of all keys are added up: what one end sent has come to the
        other.
        """
        self.link.secure()
        sizes = [self.link.server._layer.bytesReceived]
        for _ in range(3):
            self.link.client.sendIgnore(bytes(5000))
            self.link.client.sendKexInit()
            self.link.flush()
            sizes.append(self.link.server._layer.bytesReceived)
        for before, after in pairwise(sizes):
            self.assertGreater(after - before, 5000)
        self.link.server.loseConnection()
        self.link.flush()
        client, server = self.both()
        self.assertEqual(client["sent"], server["received"])
        self.assertEqual(client["received"], server["sent"])
        self.assertGreaterEqual(server["received"], sizes[-1])

    def test_byUs(self) -> None:
        """
        A DISCONNECT is the one's who sent it, and its code that of both.
        """
        self.link.secure()
        self.link.server.failProtocol(UnexpectedMessage("nobody asked for this"))
        self.link.flush()
        client, server = self.said("closedBy", "code")
        self.assertEqual(client, ["the peer", "PROTOCOL_ERROR (2)"])
        self.assertEqual(server, ["us", "PROTOCOL_ERROR (2)"])

    def test_unknownCode(self) -> None:
        self.link.secure()
        self.link.server.sendDisconnect(4711, b"so \x1b[31m")
        self.link.flush()
        client, server = self.said("code", "reason")
        self.assertEqual(client[0], "reason 4711 (4711)")
        self.assertEqual(client, server)
        self.assertNotIn("\x1b", client[1])

    def test_answeredByClosing(self) -> None:
        """
        Who closes because the peer said goodbye has not closed it.
        """
        self.link.secure()
        self.link.client.receiveError = lambda *_: self.link.client.loseConnection()
        self.link.server.sendDisconnect(numbers.DISCONNECT_BY_APPLICATION, b"bye")
        self.link.flush()
        client, _ = self.said("closedBy", "code")
        self.assertEqual(client, ["the peer", "BY_APPLICATION (11)"])

    def test_withoutAWord(self) -> None:
        self.link.secure()
        self.lose(ConnectionDone())
        self.assertEqual(self.said("closedBy", "code"), (["the peer", "no reason code"],) * 2)

    def test_lost(self) -> None:
        self.link.secure()
        self.lose(ConnectionLost())
        self.assertEqual(self.said("closedBy", "code"), (["neither side", "no reason code"],) * 2)

    def test_aborted(self) -> None:
        """
        Whoever drops the connection has closed it, too.
        """
        self.link.secure()
        self.link.client.abortConnection()
        self.link.server.abortConnection()
        self.lose(ConnectionLost())
        self.assertEqual(self.said("closedBy", "code"), (["us", "no reason code"],) * 2)

    def test_early(self) -> None:
        """
        A connection that ends before it has keys has its line as well.
        """
        self.link.start()
        self.lose(ConnectionDone())
        none = [0, "no keys", "the peer"]
        self.assertEqual(self.said("received", "algorithms", "closedBy"), (none, none))

    def test_withoutClock(self) -> None:
        self.link.client.clock = self.link.server.clock = None
        self.link.secure()
        self.lose(ConnectionDone())
        self.assertEqual(self.said("seconds"), ([0], [0]))

    def test_badService(self) -> None:
        """
        What a program does at the end does not keep the line away.
        """

        class Bad(SSHService):
            name = b"bad"

            def serviceStopped(self) -> None:
                raise ZeroDivisionError

        self.link.secure()
        self.link.client.setService(Bad())
        self.assertRaises(ZeroDivisionError, self.link.client.connectionLost, Failure(ConnectionDone()))
        self.assertEqual(len(self.ends()), 1)

    def test_reexchange(self) -> None:
        """
        New keys are told to who wants to know, the first ones to everybody.
        """
        self.link.secure()
        self.link.client.sendKexInit()
        self.link.flush()
        told = [event for event in self.events if "new keys" in event["log_format"]]
        self.assertEqual([event["log_level"] for event in told], [LogLevel.debug] * 2)
        for event in told:
            self.assertIn("ssh-ed25519", event["log_format"].format(**event))
