"""
Tests for what L{conchlite.client.connecting} does with a policy for host keys.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.python.filepath import FilePath

from conchlite.client.connecting import ClientTransport, Connecting
from conchlite.client.hostentries import hostPattern
from conchlite.client.knownhosts import KnownHostsFile
from conchlite.client.policies import Lookup, Policy, Strict
from conchlite.error import HostKeyRejected
from conchlite.ssh.keys import Key
from tests.client.test_connecting import HOST_KEY, ConnectingTestCase
from tests.client.test_knownhosts import line

HOST = "server.example"
NAME = hostPattern(HOST, 2222)


class Answering(Policy):
    """
    Says what it is told to.
    """

    def __init__(self, answer: object) -> None:
        super().__init__(())
        self.answer = answer

    def decide(self, key: object, known: object) -> object:
        return self.answer


class PolicyTests(ConnectingTestCase):
    def test_onlyTrue(self) -> None:
        """
        Row 48: what is no refusal is no consent either, unless it is True, or
        a policy that does not wait says nothing.
        """
        for answer, accepted in [
            (None, True),
            (True, True),
            (succeed(True), True),
            (False, False),
            (1, False),
            ("yes", False),
            (succeed(None), False),
            (succeed(1), False),
        ]:
            self.trusted = Answering(answer)
            d = self.connecting().connect(self.endpoint)
            self.endpoint.flush()
            if accepted:
                self.successResultOf(d)
            else:
                error = self.failureResultOf(d, HostKeyRejected).value
                self.assertIn("not True", str(error))

    def test_late(self) -> None:
        """
        A policy may take longer than the network: the server has proved by
        then who it is.
        """
        answer: Deferred[bool] = Deferred()
        self.trusted = Lookup(lambda key: answer, ())
        d = self.connecting().connect(self.endpoint)
        self.endpoint.flush()
        self.clock.advance(31)
        self.assertNoResult(d)
        answer.callback(True)
        self.endpoint.flush()
        self.successResultOf(d)

    def test_lostMeanwhile(self) -> None:
        """
        When the connection ends, nobody waits for the answer any more.
        """
        cancelled: list[object] = []
        self.trusted = Lookup(lambda key: Deferred(cancelled.append), ())
        d = self.connecting().connect(self.endpoint)
        self.endpoint.flush()
        self.server.connections[0].abortConnection()
        self.endpoint.flush()
        self.failureResultOf(d)
        self.assertEqual(len(cancelled), 1)
        self.noTimers()

    def test_ownAlgorithms(self) -> None:
        """
        What the transport offers is put in order, not what another would.
        """

        class Own(ClientTransport):
            supportedPublicKeys = [b"rsa-sha2-512", b"ssh-ed25519"]

        class OwnConnecting(Connecting):
            def makeTransport(self) -> ClientTransport:
                return Own()

        path = FilePath(self.mktemp())
        path.setContent(line(NAME, HOST_KEY.blob()) + b"\n")
        self.trusted = Strict(path)
        connecting = self.connecting()
        own = OwnConnecting(HOST, 2222, self.trusted, connecting._makeUserAuth, self.clock)
        d = own.connect(self.endpoint)
        self.assertEqual(list(own.transport.supportedPublicKeys), [b"ssh-ed25519", b"rsa-sha2-512"])
        self.endpoint.flush()
        self.successResultOf(d)


class RotationTests(ConnectingTestCase):
    def known(self, *lines: bytes, update: bool) -> list[bytes]:
        """
        The file after a login to a server that has one more key.
        """
        coming = Key.generate("ecdsa")
        announced = {HOST_KEY.blob(): HOST_KEY, coming.blob(): coming}
        server = type(self.server.buildProtocol(None))
        self.patch(server, "announcedHostKeys", lambda transport: announced)
        path = FilePath(self.mktemp())
        path.setContent(b"".join(text + b"\n" for text in lines))
        self.trusted = Strict(path, updateHostKeys=update)
        d = self.connecting().connect(self.endpoint)
        self.endpoint.flush()
        self.successResultOf(d)
        found = KnownHostsFile.fromPath(path).entriesFor(NAME)
        return ["coming" if entry.matchesKey(coming) else "known" for _, entry in found]

    def test_learned(self) -> None:
        self.assertEqual(self.known(line(NAME, HOST_KEY.blob()), update=True), ["known", "coming"])

    def test_notLearned(self) -> None:
        """
        Row 112: not unless it is wanted, and not for a host that only a pattern
        names: the server is not even asked for proofs.
        """
        proved: list[object] = []
        self.patch(ClientTransport, "hostKeysReceived", proved.append)
        self.assertEqual(self.known(line(NAME, HOST_KEY.blob()), update=False), ["known"])
        self.assertEqual(self.known(line(b"[*]:2222", HOST_KEY.blob()), update=True), ["known"])
        self.assertEqual(proved, [])
