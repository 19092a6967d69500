"""
Tests for L{conchlite.ssh.authmethods.base}: that a method fits in.
"""

from __future__ import annotations

from enum import Enum

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface

from conchlite.error import (
    AuthenticationFailed,
    TooManyAuthenticationFailures,
    UnexpectedMessage,
    UsageError,
)
from conchlite.ssh.authmethods import METHODS, Method
from conchlite.ssh.authmethods.base import ClientMethod, ServerMethod
from conchlite.ssh.common import NS
from conchlite.ssh.userauth import SSHUserAuthClient, SSHUserAuthServer
from tests.ssh.authlink import (
    FakeChecker,
    FakeTransport,
    Link,
    RecordingService,
)
from tests.ssh.authscenes import (
    FAILURE,
    ServerMixin,
    request,
)


class Step(Enum):
    IDLE = "its beginning"
    ASKED = "a request"


class ChallengeClient(ClientMethod):
    """
    A method that no catalogue has: the server sends numbers, the client
    doubles them.
    """

    name = b"challenge@example.org"
    messages = {(Step.ASKED, 60): "_asked"}

    def __init__(self, client, record):
        super().__init__(client, record)
        self.step = Step.IDLE

    async def attempt(self):
        if self.step is Step.ASKED:
            return False
        self.step = Step.ASKED
        self.client.askForAuth(self.name, b"")
        return True

    def _asked(self, packet):
        self.client.transport.sendPacket(61, bytes([2 * packet[0]]))
        return succeed(packet[0] < 50)


class IChallenge(Interface):
    """
    Credentials of that method.
    """


class ChallengeServer(ServerMethod):
    """
    Its other half.
    """

    name = b"challenge@example.org"
    credentials = IChallenge
    numbers = (1, 20, 3)

    async def decide(self, methodData):
        for number in self.numbers:
            answered, packet = await self.server.converse(60, bytes([number]), (61,))
            assert answered == 61
            if packet != bytes([2 * number]):
                raise UnauthorizedLogin("cannot count")
        return None, "avatar", lambda: None


class ConversationTests(ServerMixin, SynchronousTestCase):
    """
    A method with messages both ways fits in with a file and a line.
    """

    def setUp(self):
        METHODS[ChallengeClient.name] = Method(ChallengeClient, ChallengeServer)
        self.addCleanup(METHODS.pop, ChallengeClient.name)

    def challenging(self):
        server = SSHUserAuthServer()
        server.interfaceToMethod = {**server.interfaceToMethod, IChallenge: ChallengeServer.name}
        return server

    checker = FakeChecker(IChallenge, lambda credentials: None)

    def test_joined(self):
        """
        Both halves, with messages of the method between them.
        """
        link = Link(SSHUserAuthClient("user", RecordingService()), self.challenging(), self.checker)
        link.pump()
        self.assertEqual(link.server.numbers, [51, 60, 60, 60, 52])
        self.assertEqual(link.client.numbers, [50, 50, 61, 61, 61])
        self.assertTrue(link.client.isAuthenticated and link.server.isAuthenticated)
        self.assertEqual((link.client.holds, link.server.holds), (0, 0))

    def begin(self, **more):
        transport = self.start(self.checker, server=self.challenging(), **more)
        self.assertEqual(self.ask(request(ChallengeServer.name.decode())), [(60, b"\1")])
        return transport

    def test_wrongNumber(self):
        """
        Only the numbers that the method waits for may come.
        """
        transport = self.begin()
        transport.receive(60, b"\2")
        self.assertIsInstance(transport.error, UnexpectedMessage)

    def test_wrongAnswer(self):
        """
        A wrong answer is one failure.
        """
        transport = self.begin()
        transport.receive(61, b"\7")
        self.assertEqual(transport.numbers, [60, FAILURE])
        self.assertEqual(self.server.loginAttempts, 1)

    def test_abandoned(self):
        """
        A new request abandons the method, which costs an attempt: nobody goes
        on asking for prompts (CVE-2015-5600).
        """
        transport = self.begin()
        for count in range(1, 6):
            self.assertEqual(self.ask(request(ChallengeServer.name.decode())), [(60, b"\1")])
            self.assertEqual(self.server.loginAttempts, count)
        transport.receive(61, b"\2")
        self.assertEqual(transport.numbers[-1], 60)
        transport.receive(61, b"\0")
        self.assertIsInstance(transport.error, TooManyAuthenticationFailures)

    def test_slowAnswer(self):
        """
        While the method thinks, the reader waits; while the client thinks, it
        does not.
        """
        thinking = Deferred()

        class Slow(ChallengeServer):
            async def decide(self, methodData):
                await thinking
                return await super().decide(methodData)

        METHODS[ChallengeClient.name] = Method(ChallengeClient, Slow)
        transport = self.start(self.checker, server=self.challenging())
        self.assertEqual(self.ask(request(ChallengeServer.name.decode())), [])
        self.assertEqual(transport.holds, 1)
        thinking.callback(None)
        self.assertEqual((transport.sent, transport.holds), ([(60, b"\1")], 0))

    def test_lost(self):
        """
        When the connection is lost, what the method waits for is cancelled.
        """
        errors = []

        class Watching(ChallengeServer):
            async def decide(self, methodData):
                try:
                    return await super().decide(methodData)
                except CancelledError as error:
                    errors.append(error)
                    raise

        METHODS[ChallengeClient.name] = Method(ChallengeClient, Watching)
        self.begin().lose()
        self.assertEqual(len(errors), 1)
        self.assertNobodyIn()

    def test_nobodyAsked(self):
        """
        A conversation needs a request.
        """
        self.start(self.checker, server=self.challenging())
        self.assertRaises(UsageError, self.server.converse, 60, b"", (61,))

    def test_clientFollowsTheTable(self):
        """
        The client's half gets the messages that its table has, at the steps
        that it has them for.
        """
        client = SSHUserAuthClient("user", RecordingService())
        transport = FakeTransport()
        transport.setService(client)
        transport.receive(FAILURE, NS(ChallengeClient.name) + b"\0")
        transport.receive(60, b"\3")
        self.assertEqual(transport.sent[-1], (61, b"\6"))
        transport.receive(62, b"")
        self.assertIsInstance(transport.error, UnexpectedMessage)

    def test_clientDeclines(self):
        """
        A half that leaves a message without an answer makes room for others.
        """
        client = SSHUserAuthClient("user", RecordingService())
        transport = FakeTransport()
        transport.setService(client)
        transport.receive(FAILURE, NS(ChallengeClient.name) + b"\0")
        transport.receive(60, b"\x50")
        self.assertIsInstance(transport.error, AuthenticationFailed)
