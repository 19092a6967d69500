"""
Rows 71, 130 and 131 of doc/weaknesses.rst, where they are about the login: its
time, and what is said about it.
"""

from __future__ import annotations

from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import ensureDeferred, succeed
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import BadKeyError, LoginTimedOut
from conchlite.interfaces import IGSSAPICredentials, IKeyboardInteractive
from conchlite.limits import HANDSHAKE_SECONDS, LOGIN_SECONDS
from conchlite.ssh.keys import Key
from conchlite.ssh.userauth import SSHUserAuthServer
from conchlite.wire.types import packString
from conchlite.wire.userauth import PasswordData, UserauthBanner, UserauthFailure
from tests.ssh import links
from tests.ssh.authlink import FakeChecker, Link, ed25519, keyChecker, knows
from tests.ssh.authscenes import BANNER, FAILURE, ClientMixin, Program, ServerMixin, request
from tests.ssh.fakegssapi import FakeLibrary

CANARY = "correct horse battery staple"


class GraceTests(SynchronousTestCase):
    """
    The time for a login.
    """

    def test_fromTheConnection(self) -> None:
        """
        Row 71: it runs on the reactor's clock, from the connection on, however
        late the keys were exchanged, and whatever has been asked for since.
        """
        link = links.Link()
        link.server.makeConnection(link.serverIO)
        link.clock.advance(HANDSHAKE_SECONDS - 1)
        link.client.makeConnection(link.clientIO)
        link.flush()
        self.assertEqual(link.client.secure, 1)
        link.clock.advance(LOGIN_SECONDS - HANDSHAKE_SECONDS)
        link.flush()
        self.assertIsNone(link.server.closeReason)
        link.clock.advance(1)
        self.assertIsInstance(link.server.closeReason.value, LoginTimedOut)


class Talkative(Program):
    """
    A program that answers all questions with secrets.
    """

    def getPassword(self, prompt=None):
        return succeed(CANARY if prompt is None else CANARY[::-1])

    def getGenericAnswers(self, name, instruction, prompts):
        return succeed([CANARY for _ in prompts])


class CanaryMixin:
    """
    All that is logged, at the most verbose.
    """

    def setUp(self) -> None:
        self.events = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def assertSecret(self, *others: object) -> None:
        """
        Neither a log nor one of these has the secret, in whichever form.
        """
        said = [*map(str, others), *map(repr, others)]
        for event in self.events:
            said += [formatEvent(event), repr(dict(event))]
            if "log_failure" in event:
                said.append(event["log_failure"].getTraceback(detail="default"))
        self.assertTrue(said)
        for secret in (CANARY, CANARY[::-1]):
            for form in (secret, repr(packString(secret.encode()))[2:-1], secret.encode().hex()):
                self.assertEqual([], [text for text in said if form in text])


class CanaryTests(CanaryMixin, SynchronousTestCase):
    """
    What a login leaves in the log.
    """

    def test_accepted(self) -> None:
        """
        Row 131: not when it is right.
        """
        link = Link(Talkative(), SSHUserAuthServer(), knows(user=CANARY))
        self.assertTrue(link.server.isAuthenticated)
        levels = {event.get("log_level") for event in self.events}
        self.assertIn(LogLevel.info, levels)
        self.assertSecret(link.client, link.server, link.client.service)

    def test_refused(self) -> None:
        """
        Row 131: nor when it is wrong, nor in what the client fails with.
        """
        link = Link(Talkative(), SSHUserAuthServer(), knows(user="another"))
        link.pump(4)
        self.assertFalse(link.server.isAuthenticated)
        self.assertSecret(link.client.error, link.client.error.report)

    def test_checkerBroken(self) -> None:
        """
        Row 131: nor when the checker raises what it should not.
        """

        def broken(credentials):
            raise LookupError(f"no directory for {credentials!r}")

        link = Link(Talkative(), SSHUserAuthServer(), FakeChecker(IUsernamePassword, broken))
        link.pump(4)
        self.assertSecret(link.client.error)
        self.assertTrue(self.flushLoggedErrors(LookupError))

    def test_answers(self) -> None:
        """
        Row 131: nor are the answers to prompts, from either end.
        """

        async def converse(credentials):
            answers = await credentials.ask("", "", [("Password: ", False)])
            assert answers == [CANARY]
            raise UnauthorizedLogin("no")

        checker = FakeChecker(IKeyboardInteractive, lambda asking: ensureDeferred(converse(asking)))
        link = Link(Talkative(), SSHUserAuthServer(), checker)
        link.pump(4)
        self.assertTrue(checker.asked)
        self.assertSecret(link.client.error, *checker.asked)

    def test_ticket(self) -> None:
        """
        Row 131: nor what was delegated.
        """
        checker = FakeChecker(IGSSAPICredentials, lambda credentials: credentials.username)
        client, server = Talkative(), SSHUserAuthServer()
        client.gssapiHost = "server.example.org"
        client.gssapiDelegate = True
        client.gssapiLibrary = server.gssapiLibrary = FakeLibrary(CANARY)
        link = Link(client, server, checker)
        self.assertTrue(link.server.isAuthenticated)
        [credentials] = checker.asked
        self.assertIn(CANARY, credentials.delegated)
        credentials.principal = ""
        self.assertSecret(*checker.asked)

    def test_keys(self) -> None:
        """
        Row 131: nor a private key, nor a passphrase that does not open it.
        """
        key = ed25519(5)
        file = key.toString("openssh", passphrase="another")
        error = self.assertRaises(BadKeyError, Key.fromString, file, passphrase=CANARY)
        self.assertSecret(error)
        link = Link(Program([key]), SSHUserAuthServer(), keyChecker(lambda credentials: credentials.username))
        self.assertTrue(link.server.isAuthenticated)
        seed = bytes([5]) * 32
        said = [repr(key), *map(formatEvent, self.events), *map(repr, self.events)]
        for form in (seed.hex(), repr(seed)[2:-1]):
            self.assertEqual([], [text for text in said if form in text])


class ServerCanaryTests(ServerMixin, CanaryMixin, SynchronousTestCase):
    """
    What a client sends that a server cannot read.
    """

    def test_malformed(self) -> None:
        """
        Row 131: a message that is malformed is not quoted.
        """
        data = PasswordData(False, CANARY.encode(), b"").pack()
        for changed in (data[:-1], data + CANARY.encode(), b"\1" + data[1:]):
            self.start(knows(user=CANARY))
            self.ask(request("password", changed))
            self.assertIsNotNone(self.transport.error)
            self.assertSecret(self.transport.error)

    def test_tooLong(self) -> None:
        """
        Row 131: nor is one that is too long.
        """
        self.start(knows(user=CANARY))
        self.ask(request("password", PasswordData(False, CANARY.encode() * 100, b"").pack()))
        self.assertSecret()


class EscapeTests(ClientMixin, SynchronousTestCase):
    """
    What a server says in a login.
    """

    hostile = b"\x1b[2J\r\nlogin: \x9b1m\xe2\x80\xae\x00"

    def assertHarmless(self, text: str) -> None:
        self.assertTrue("".join(text.split("\n")).isprintable(), repr(text))

    def test_report(self) -> None:
        """
        Row 130: banners and names of methods are escaped in the report of a
        failure, and in the log.
        """
        events = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        program = Program(passwords=["p"])
        self.start(program)
        self.transport.receive(BANNER, UserauthBanner(self.hostile, self.hostile).pack())
        self.refuse(b"password", self.hostile)
        self.requests()
        self.refuse(self.hostile)
        error = self.assertGaveUp()
        self.assertIn("\\x1b[2J", str(error))
        for text in (str(error), repr(str(error.report)), *map(formatEvent, events)):
            self.assertHarmless(text)
        for call in program.calls:
            if call[0] == "banner":
                self.assertHarmless(call[1] + call[2])

    def test_malformed(self) -> None:
        """
        Row 130: so is what cannot be read.
        """
        self.start(Program())
        self.transport.receive(FAILURE, UserauthFailure((self.hostile,), False).pack() + self.hostile)
        self.assertHarmless(str(self.transport.error))
