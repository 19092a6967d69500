"""
Tests for L{conchlite.ssh.userauthclient}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import (
    AuthenticationFailed,
    MalformedMessage,
    UnexpectedMessage,
    UsageError,
)
from conchlite.ssh import userauth
from conchlite.ssh.common import NS
from conchlite.ssh.userauth import SSHUserAuthClient
from conchlite.wire.userauth import (
    PasswordData,
    UserauthBanner,
    UserauthFailure,
    UserauthInfoRequest,
    UserauthPasswdChangereq,
    UserauthPKOK,
)
from tests.ssh.authlink import (
    FakeTransport,
    RecordingService,
    ed25519,
)
from tests.ssh.authscenes import (
    ClientMixin,
    Program,
)


class ClientStartTests(ClientMixin, SynchronousTestCase):
    """
    The beginning and the end of an authentication.
    """

    def test_nothingToOffer(self):
        """
        A program that overrides nothing asks once, for C{none}, and gives up.
        """
        self.start(SSHUserAuthClient("user", RecordingService()))
        self.refuse(b"publickey", b"password", b"hostbased")
        self.assertEqual(self.requests(), [])
        error = self.assertGaveUp()
        self.assertEqual(error.tried, ())
        self.assertEqual(error.methods, (b"publickey", b"password", b"hostbased"))
        self.assertIn("192.0.2.1 did not authenticate 'user': ", str(error))
        self.assertIn("; tried: nothing; ", str(error))

    def test_success(self):
        """
        SUCCESS authenticates the transport, stops this service and starts the
        next; after that, this one has nothing to say.
        """
        transport = self.start(Program())
        transport.receive(userauth.MSG_USERAUTH_SUCCESS)
        self.assertTrue(transport.isAuthenticated)
        self.assertIs(transport.service, self.client.instance)
        self.assertEqual(self.client.instance.events, ["started"])
        self.assertRaises(UsageError, self.client.askForAuth, b"none", b"")

    def test_bytes(self):
        """
        The user and the service may be bytes, and are bytes on the wire.
        """
        instance = RecordingService()
        instance.name = b"a-service@example.org"
        transport = FakeTransport()
        transport.setService(SSHUserAuthClient("Käthe".encode(), instance))
        self.assertEqual(transport.sent, [(50, NS("Käthe") + NS("a-service@example.org") + NS("none"))])

    def test_overriddenStart(self):
        """
        A program may begin with a request of its own.
        """

        class Own(Program):
            def serviceStarted(self):
                self.askForAuth("password", PasswordData(False, b"secret", b"").pack())

        self.client = Own()
        self.transport = FakeTransport()
        self.transport.setService(self.client)
        self.assertEqual(self.requests(), [(b"password", b"\0" + NS("secret"))])
        self.assertEqual(self.client.lastAuth, b"password")

    def test_oneRequestAtATime(self):
        """
        A program that asks while it waits for an answer is told so.
        """
        self.start(Program())
        self.assertRaises(UsageError, self.client.askForAuth, b"none", b"")

    def test_used_again(self):
        """
        A second connection begins anew.
        """
        client = Program(passwords=["wrong", "wrong"])
        self.start(client)
        self.refuse(b"password")
        self.transport.lose()
        self.start(client)
        self.refuse(b"password")
        self.assertEqual(len(self.requests()), 1)

    def test_lost(self):
        """
        When the connection is lost while the program is asked, what is awaited
        is cancelled, and nothing is left.
        """
        for name in ("getPublicKey", "getPassword"):
            cancelled = []
            client = Program()
            setattr(client, name, lambda c=cancelled: Deferred(c.append))
            self.start(client)
            self.refuse(b"publickey", b"password")
            self.assertEqual(self.transport.holds, 1)
            self.transport.lose()
            self.assertEqual((len(cancelled), self.transport.holds), (1, 0))
            self.assertEqual((self.transport.ended, self.transport.sent), ([], []))

    def test_lostInSpite(self):
        """
        A Deferred that answers when it is cancelled changes nothing.
        """
        client = Program()
        client.getPassword = lambda: Deferred(lambda d: d.callback("secret"))
        self.start(client)
        self.refuse(b"password")
        self.transport.lose()
        self.assertEqual((self.transport.ended, self.transport.sent), ([], []))


class ClientMethodsTests(ClientMixin, SynchronousTestCase):
    """
    The choice of methods, and methods that a program has of its own.
    """

    def test_order(self):
        """
        Keys come before passwords, unless the program prefers otherwise.
        """
        self.start(Program([ed25519(1)], passwords=["a"]))
        self.refuse(b"password", b"publickey")
        self.assertEqual([m for m, _ in self.requests()], [b"publickey"])
        self.refuse(b"password", b"publickey")
        self.assertEqual([m for m, _ in self.requests()], [b"password"])
        self.start(Program([ed25519(1)], passwords=["a"]))
        self.client.preferredOrder = ["password", "publickey"]
        self.refuse(b"publickey", b"password")
        self.assertEqual([m for m, _ in self.requests()], [b"password"])

    def test_disabled(self):
        """
        C{auth_password = None} turns a method off.
        """

        class NoPasswords(Program):
            auth_password = None

        self.start(NoPasswords(passwords=["a"]))
        self.refuse(b"password")
        self.assertEqual((self.requests(), self.client.calls), ([], []))
        self.assertGaveUp()

    def test_overridden(self):
        """
        A subclass may take a method in hand, and still call ours.
        """

        class Own(Program):
            def auth_publickey(self):
                self.calls.append("auth_publickey")
                return super().auth_publickey()

            def auth_password(self):
                self.askForAuth(b"password", b"mine")
                return True

        self.start(Own([ed25519(1)]))
        self.refuse(b"publickey", b"password")
        self.offered()
        self.assertEqual(self.client.calls, ["auth_publickey", "getPublicKey"])
        self.refuse(b"password")
        self.assertEqual(self.requests(), [(b"password", b"mine")])

    def test_ownMethod(self):
        """
        A subclass may bring a method that we do not know, whose message 60 it
        gets.
        """

        class Own(Program):
            def auth_keyboard_interactive(self):
                self.askForAuth("keyboard-interactive", NS("") + NS(""))
                return succeed(True)

            def ssh_USERAUTH_PK_OK_keyboard_interactive(self, packet):
                self.calls.append(packet)
                self.transport.sendPacket(61, b"answer")

        transport = self.start(Own())
        self.refuse(b"keyboard-interactive")
        self.assertEqual(len(self.requests()), 1)
        transport.receive(60, b"prompts")
        transport.receive(60, b"more prompts")
        self.assertEqual(self.client.calls, [b"prompts", b"more prompts"])
        self.assertEqual(transport.sent, [(61, b"answer")] * 2)
        transport.receive(52)
        self.assertTrue(transport.isAuthenticated)

    def test_ownMethodFails(self):
        """
        When its handler fails, what comes next is tried.
        """

        class Own(Program):
            def auth_keyboard_interactive(self):
                if self.lastAuth == b"keyboard-interactive":
                    return False
                self.askForAuth("keyboard-interactive", b"")
                return True

            def ssh_USERAUTH_PK_OK_keyboard_interactive(self, packet):
                return fail(RuntimeError("what?"))

        self.start(Own(passwords=["a"]))
        self.refuse(b"keyboard-interactive", b"password")
        self.assertEqual([m for m, _ in self.requests()], [b"password"])
        self.refuse(b"keyboard-interactive")
        self.assertEqual([m for m, _ in self.requests()], [b"keyboard-interactive"])
        self.transport.receive(60, b"")
        self.assertIn("keyboard-interactive failed: what?", str(self.assertGaveUp()))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_unknownMethods(self):
        """
        Methods that nobody knows are passed over.
        """
        self.start(Program())
        self.refuse(b"none", b"gssapi-with-mic", b"hostbased", b"")
        self.assertEqual(self.requests(), [])
        self.assertGaveUp()

    def test_endlessMethod(self):
        """
        Row 72: a method that always has something to offer ends with the sixth
        attempt, and if more are allowed, with the twentieth request.
        """

        class Endless(Program):
            def auth_password(self):
                self.askForAuth(b"password", b"again")
                return True

        for attempts, requests, said in ((6, 7, "after 6 attempts"), (99, 20, "after 20 requests")):
            client = Endless()
            client.maximumAttempts = attempts
            self.start(client)
            count = 1
            while not self.transport.ended:
                self.refuse(b"password")
                count += len(self.requests())
            self.assertEqual(count, requests)
            self.assertIn(said, str(self.assertGaveUp()))

    def test_keysLeaveOneOver(self):
        """
        Row 72: where there is something else than keys to try, one attempt is
        left for it; and the report says what was not offered.
        """
        for methods, count in (([b"publickey"], 6), ([b"publickey", b"password"], 5)):
            self.start(Program([ed25519(seed) for seed in range(1, 10)]))
            self.client.keysLeft = lambda: ["one more"]
            offered = 0
            while not self.transport.ended:
                self.refuse(*methods)
                offered += len(self.requests())
            self.assertEqual(count, offered)
            error = self.assertGaveUp()
            self.assertIn(f"one more, after {count} attempts", str(error))
            self.assertIn(f"{count} keys were refused, and one more was not offered", error.report.cause)

    def test_requireAuthentication(self):
        """
        Row 55: a program that wants to prove who its user is leaves a server
        that lets anybody in: after C{none}, after a key that was only shown,
        and after a conversation without a question.
        """

        def none(transport):
            pass

        def shown(transport):
            self.refuse(b"publickey")

        def unasked(transport):
            self.refuse(b"keyboard-interactive")
            transport.receive(60, UserauthInfoRequest(b"", b"", b"", ()).pack())

        for scene in (none, shown, unasked):
            for required in (True, False):
                client = Program([ed25519(1)])
                client.requireAuthentication = required
                transport = self.start(client)
                scene(transport)
                transport.receive(52)
                self.assertEqual(not required, transport.isAuthenticated)
                self.assertEqual([] if required else ["started"], client.instance.events)
                if required:
                    [(error, _, _)] = transport.ended
                    self.assertIsInstance(error, AuthenticationFailed)
                    self.assertIn("without asking for a proof", str(error))

    def test_proof(self):
        """
        A signature, a password and an answer are proofs, also as the first part
        of two.
        """
        prompt = UserauthInfoRequest(b"", b"", b"", ((b"PIN: ", False),)).pack()
        nothing = UserauthInfoRequest(b"", b"", b"", ()).pack()
        for method in (b"publickey", b"password", b"keyboard-interactive"):
            for part in (False, True):
                client = Program([ed25519(1)], passwords=["a"])
                client.getGenericAnswers = lambda name, instruction, prompts: ["1"] * len(prompts)
                client.requireAuthentication = True
                transport = self.start(client)
                self.refuse(method)
                if method == b"publickey":
                    self.accept(*self.offered())
                elif method == b"keyboard-interactive":
                    transport.receive(60, prompt)
                if part:
                    self.refuse(b"keyboard-interactive", partial=True)
                    transport.receive(60, nothing)
                transport.receive(52)
                self.assertTrue(transport.isAuthenticated, (method, part))

    def test_methodRaises(self):
        """
        A method that raises is passed over.
        """

        class Broken(Program):
            def auth_publickey(self):
                raise RuntimeError("broken")

        self.start(Broken(passwords=["a"]))
        self.refuse(b"publickey", b"password")
        self.assertEqual([m for m, _ in self.requests()], [b"password"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_partialSuccess(self):
        """
        After one part, the others are tried; C{publickey} may be a part again,
        with another key.
        """
        first, second = ed25519(1), ed25519(2)
        self.start(Program([first, second], passwords=["a", "b"]))
        self.refuse(b"publickey")
        self.accept(*self.offered())
        self.requests()
        self.refuse(b"publickey", b"password", partial=True)
        self.assertEqual(self.client.authenticatedWith, [b"publickey"])
        self.assertEqual([m for m, _ in self.requests()], [b"password"])
        self.refuse(b"publickey", b"password", partial=True)
        self.assertEqual(self.offered()[1], second.blob())
        self.refuse(b"password")
        self.assertIn("accepted as a part: publickey, password", str(self.assertGaveUp()))


class ClientMessageTests(ClientMixin, SynchronousTestCase):
    """
    Messages that are odd, malformed or unexpected.
    """

    def test_unexpected(self):
        """
        What only a client sends, what no method waits for, and what belongs
        to the service that has not begun, ends the connection.
        """
        for number in (50, 60, 61, 79, 80, 90, 94, 127):
            transport = self.start(Program())
            transport.receive(number, b"")
            [(error, reason, _)] = transport.ended
            self.assertIsInstance(error, UnexpectedMessage)
            self.assertEqual(reason, 2)

    def test_unknown(self):
        """
        What nobody knows is answered with UNIMPLEMENTED.
        """
        transport = self.start(Program())
        for number in (54, 59, 128, 192, 255):
            transport.receive(number, b"")
        self.assertEqual((transport.unimplemented, transport.ended), (5, []))

    def test_malformed(self):
        """
        Every message, cut anywhere or with a byte too many, is malformed.
        """
        key = ed25519(1)
        messages = [
            (51, UserauthFailure((b"a", b"b"), False).pack()),
            (52, b""),
            (53, UserauthBanner(b"hello", b"en").pack()),
            (60, UserauthPKOK(b"ssh-ed25519", key.blob()).pack()),
        ]
        for number, packed in messages:
            for payload in [packed[:size] for size in range(len(packed))] + [packed + b"\0"]:
                transport = self.start(Program([key]))
                if number == 60:
                    self.refuse(b"publickey")
                transport.receive(number, payload)
                self.assertIsInstance(transport.error, MalformedMessage)

    def test_malformedChange(self):
        """
        So is a PASSWD_CHANGEREQ.
        """
        packed = UserauthPasswdChangereq(b"New: ", b"en").pack()
        for payload in [packed[:size] for size in range(len(packed))] + [packed + b"\0"]:
            transport = self.start(Program(passwords=["a"]))
            self.refuse(b"password")
            transport.receive(60, payload)
            self.assertIsInstance(transport.error, MalformedMessage)

    def test_banner(self):
        """
        A banner may come at any time; what it could do to a terminal is
        escaped, and its lines are kept.
        """
        transport = self.start(Program())
        transport.receive(53, UserauthBanner(b"one\r\ntwo\n\x1b[2J\xff" + b"x" * 400, b"en\n").pack())
        self.assertEqual(self.client.calls, [("banner", "one\ntwo\n\\x1b[2J\\xff" + "x" * 400, "en\\n")])
        self.assertEqual(transport.ended, [])

    def test_bannerByDefault(self):
        """
        Without an override it does no harm.
        """
        transport = self.start(SSHUserAuthClient("user", RecordingService()))
        logged = []
        globalLogPublisher.addObserver(logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, logged.append)
        transport.receive(53, UserauthBanner(b"hello {world} \xff\nauthenticated as root", b"").pack())
        self.assertEqual((transport.ended, transport.unimplemented), ([], 0))
        # No line of it looks like one of ours.
        self.assertEqual(
            ["banner of the server: hello {world} \\xff", "banner of the server: authenticated as root"],
            [formatEvent(event) for event in logged],
        )

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.tuples(st.integers(50, 80), st.binary(max_size=30)), max_size=5))
    def test_anything(self, messages):
        """
        Whatever a server sends, the connection goes on or ends with an error
        that says why, and nothing is left waiting.
        """
        transport = self.start(Program([ed25519(1)], passwords=["a", "b"]))
        for number, payload in [(51, NS("publickey,password") + b"\0"), *messages]:
            transport.receive(number, payload)
        for error, _, _ in transport.ended:
            self.assertIsInstance(error, (MalformedMessage, UnexpectedMessage, AuthenticationFailed))
        if not transport.isAuthenticated:
            transport.lose()
        self.assertEqual(transport.holds, 0)
