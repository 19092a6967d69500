"""
Tests for L{conchlite.ssh.authmethods.keyboardinteractive}.
"""

from __future__ import annotations

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import (
    ConversationOver,
    MalformedMessage,
    NotEnoughAuthentication,
    TooManyAuthenticationFailures,
    UnexpectedMessage,
    UsageError,
)
from conchlite.interfaces import IKeyboardInteractive
from conchlite.limits import MAXIMUM_ANSWER_SIZE, MAXIMUM_PROMPTS, MAXIMUM_ROUNDS
from conchlite.ssh.common import NS
from conchlite.ssh.userauth import SSHUserAuthClient, SSHUserAuthServer
from conchlite.wire.types import packUInt32
from conchlite.wire.userauth import KeyboardInteractiveData, UserauthInfoRequest, UserauthInfoResponse
from tests.ssh.authlink import FakeChecker, Link, knows
from tests.ssh.authscenes import (
    FAILURE,
    SUCCESS,
    ClientMixin,
    Program,
    ServerMixin,
    passwordRequest,
    request,
)

METHOD = b"keyboard-interactive"
ASK, RESPONSE = 60, 61
PASSWORD = (b"Password: ", False)


class Answering(Program):
    """
    A program that answers with what its lists hold.
    """

    def __init__(self, *answers, passwords=()):
        super().__init__(passwords=passwords)
        self.answers = list(answers)

    def getGenericAnswers(self, name, instruction, prompts):
        self.calls.append((name, instruction, prompts))
        return self.answers.pop(0) if self.answers else None


class SilentProgram(Program):
    getPassword = SSHUserAuthClient.getPassword


class ClientTests(ClientMixin, SynchronousTestCase):
    """
    The client's half.
    """

    def begin(self, client):
        self.start(client)
        self.again()

    def again(self, *methods):
        self.refuse(*(methods or (METHOD,)))
        self.assertEqual(self.requests(), [(METHOD, NS("") + NS(""))])

    def asked(self, *prompts, name=b"", instruction=b""):
        """
        The server asks.

        @return: what came back.
        """
        self.transport.sent.clear()
        self.transport.receive(ASK, UserauthInfoRequest(name, instruction, b"", prompts).pack())
        return list(self.transport.sent)

    def assertAnswered(self, sent, *answers):
        self.assertEqual(sent, [(RESPONSE, UserauthInfoResponse(answers).pack())])
        self.transport.sent.clear()

    def test_rounds(self):
        """
        Each round is answered, with what the program has for it.
        """
        self.begin(Answering(["gehëim"], succeed(["1", b"2"])))
        self.assertAnswered(self.asked(PASSWORD, name=b"n", instruction=b"i"), "gehëim".encode())
        self.assertAnswered(self.asked((b"A", True), (b"B", False)), b"1", b"2")
        self.assertEqual(
            self.client.calls, [(b"n", b"i", [PASSWORD]), (b"", b"", [(b"A", True), (b"B", False)])]
        )
        self.transport.receive(SUCCESS)
        self.assertTrue(self.transport.isAuthenticated)

    def test_nothingAsked(self):
        """
        What asks for nothing is shown, if there is something, and answered,
        whatever the program makes of it.
        """
        for answer in ([], None, ["x"], fail(RuntimeError("no"))):
            self.begin(Answering(answer))
            self.assertAnswered(self.asked())
            self.assertEqual(self.client.calls, [])
            self.assertAnswered(self.asked(instruction=b"hello"))
            self.assertEqual(self.client.calls, [(b"", b"hello", [])])
        self.flushLoggedErrors(RuntimeError)

    def test_declined(self):
        """
        A program that has no answers goes on to something else: L{None}, a
        failure, and too few or too many of them are none.
        """
        for answer in (None, fail(RuntimeError("no")), [], ["a", "b"]):
            self.begin(Answering(answer))
            self.assertDeclined(self.asked((b"Token: ", False)))
            self.assertIn("'Token: '", str(self.assertGaveUp()))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def assertDeclined(self, sent):
        self.assertEqual(sent, [])

    def test_abandons(self):
        """
        Something else may be tried in the middle of a conversation.
        """
        self.start(Answering(passwords=["p"]))
        self.client.preferredOrder = [METHOD, b"password"]
        self.again(METHOD, b"password")
        self.asked((b"Token: ", False))
        self.assertEqual(self.requests(), [(b"password", b"\0" + NS("p"))])

    def test_password(self):
        """
        A lone prompt for a password gets what C{getPassword} has.
        """
        self.begin(Program(passwords=["sécret"]))
        self.assertAnswered(self.asked((b"(user@host) PassWord: ", False)), "sécret".encode())

    def test_noPassword(self):
        """
        Nothing else gets the password.
        """
        for prompts in (
            [(b"Password: ", True)],
            [(b"Verification code: ", False)],
            [PASSWORD, PASSWORD],
        ):
            self.begin(Program(passwords=["secret"] * 2))
            self.assertDeclined(self.asked(*prompts))
            self.assertEqual(self.client.calls, [])
            self.assertGaveUp()

    def test_newPassword(self):
        """
        Nor does a prompt for a new one, or for what leads to a new one, as PAM
        asks for it behind a login with a password that has expired.
        """
        for prompt in (
            b"New password: ",
            b"You are required to change your password immediately.\nCurrent password: ",
            b"Password expired. Password: ",
            b"Retype password: ",
        ):
            self.begin(Program(passwords=["secret"] * 2))
            self.assertAnswered(self.asked(PASSWORD), b"secret")
            self.assertDeclined(self.asked((prompt, False)))
            self.assertIn("Password: ".lower(), str(self.assertGaveUp()).lower())
        self.begin(Program(passwords=["secret"]))
        self.assertAnswered(self.asked((b"newton's password: ", False)), b"secret")

    def test_passwordOnce(self):
        """
        A password that was refused in this way or as a password is not sent again.
        """
        self.begin(Program(passwords=["secret"] * 2))
        self.assertAnswered(self.asked(PASSWORD), b"secret")
        self.again()
        self.assertDeclined(self.asked(PASSWORD))
        self.assertGaveUp()
        self.start(Program(passwords=["secret"] * 3))
        self.refuse(METHOD, b"password")
        self.assertEqual([method for method, _ in self.requests()], [b"password"])
        self.again(METHOD, b"password")
        self.assertDeclined(self.asked(PASSWORD))
        self.assertGaveUp()

    def test_passwordForBoth(self):
        """
        One that was accepted as a part is.
        """
        self.start(Program(passwords=["secret"] * 2))
        self.refuse(b"password")
        self.requests()
        self.refuse(METHOD, partial=True)
        self.assertEqual([method for method, _ in self.requests()], [METHOD])
        self.assertAnswered(self.asked(PASSWORD), b"secret")

    def test_sameAgain(self):
        """
        What went as a conversation that was refused is broken off; another
        answer is another one. Three are tried in all.
        """
        self.begin(Answering(["a"], ["b"], ["a"], ["c"]))
        self.assertAnswered(self.asked(PASSWORD), b"a")
        self.assertAnswered(self.asked(PASSWORD), b"b")
        self.again()
        self.assertAnswered(self.asked(PASSWORD), b"a")
        self.assertAnswered(self.asked(PASSWORD), b"c")
        self.again()
        self.client.answers = [["a"], ["b"]]
        self.assertAnswered(self.asked(PASSWORD), b"a")
        self.assertDeclined(self.asked(PASSWORD))
        self.assertGaveUp()
        self.begin(Answering(["a"], ["b"], ["c"], ["d"]))
        for answer in (b"a", b"b"):
            self.assertAnswered(self.asked(PASSWORD), answer)
            self.again()
        self.assertAnswered(self.asked(PASSWORD), b"c")
        self.refuse(METHOD)
        self.assertEqual(self.requests(), [])
        self.assertEqual(self.client.answers, [["d"]])
        self.assertGaveUp()

    def test_twice(self):
        """
        A server may want it twice, as two parts, and the same answers again.
        """
        self.begin(Answering(["a"], ["a"], ["a"]))
        self.assertAnswered(self.asked(PASSWORD), b"a")
        self.refuse(METHOD, partial=True)
        self.assertEqual(self.requests(), [(METHOD, NS("") + NS(""))])
        self.assertAnswered(self.asked(PASSWORD), b"a")
        self.again()
        self.assertDeclined(self.asked(PASSWORD))
        self.assertGaveUp()

    def test_nobodyToAsk(self):
        """
        A program that has neither answers nor passwords does not begin.
        """
        self.start(SilentProgram())
        self.refuse(METHOD)
        self.assertEqual(self.requests(), [])
        self.assertGaveUp()

    def test_nothingToAsk(self):
        """
        A server that refuses without a question is not tried again.
        """
        self.begin(Answering(["a"]))
        self.refuse(METHOD)
        self.assertEqual(self.requests(), [])
        self.assertGaveUp()

    def test_withoutEnd(self):
        """
        Row 15: a server that asks on and on gets answers to a number of rounds.
        """
        self.begin(Answering(*[["a"]] * 100))
        for _ in range(MAXIMUM_ROUNDS):
            self.assertAnswered(self.asked(PASSWORD), b"a")
        self.assertDeclined(self.asked(PASSWORD))
        self.assertIn("rounds", str(self.assertGaveUp()))

    def test_counts(self):
        """
        Row 64: the number of prompts is compared with the packet and with what
        anybody can answer before anything is made of it.
        """
        head = NS("") * 3
        for count, body, fine in (
            (MAXIMUM_PROMPTS, (NS("P") + b"\0") * MAXIMUM_PROMPTS, True),
            (MAXIMUM_PROMPTS + 1, (NS("P") + b"\0") * (MAXIMUM_PROMPTS + 1), False),
            (2, NS("P") + b"\0", False),
            (0, NS("P") + b"\0", False),
            (2**32 - 1, NS("P") + b"\0", False),
            (2**31, b"", False),
        ):
            self.begin(Answering(["a"] * MAXIMUM_PROMPTS))
            self.transport.receive(ASK, head + packUInt32(count) + body)
            self.assertEqual(self.transport.numbers, [RESPONSE] if fine else [])
            if not fine:
                self.assertIsInstance(self.transport.error, MalformedMessage)

    def test_waiting(self):
        """
        While the user types, nothing is read; when the connection ends, he
        need not go on.
        """
        cancelled = []
        answer = Deferred(cancelled.append)
        self.begin(Answering(answer))
        self.assertDeclined(self.asked(PASSWORD))
        self.assertEqual(self.transport.holds, 1)
        self.transport.lose()
        self.assertEqual((cancelled, self.transport.sent), ([answer], []))

    def test_unasked(self):
        """
        A prompt may come only while the method runs.
        """
        self.start(Answering(["a"]))
        self.transport.receive(ASK, UserauthInfoRequest(b"", b"", b"", ()).pack())
        self.assertIsInstance(self.transport.error, UnexpectedMessage)

    def test_inClear(self):
        """
        Nothing is answered over a connection that is not encrypted.
        """
        transport = self.start(Answering(["a"]))
        transport.encrypted = False
        self.refuse(METHOD)
        self.assertEqual((self.requests(), self.client.calls), ([], []))
        self.assertIn("not encrypted", str(self.assertGaveUp()))


def asks(conversation):
    """
    A checker for users who can be asked, by a coroutine.
    """
    return FakeChecker(IKeyboardInteractive, lambda c: Deferred.fromCoroutine(conversation(c)))


def passwordIs(secret, again=1):
    """
    A checker that asks for a password, and again.
    """

    async def conversation(credentials):
        for _ in range(again):
            [answer] = await credentials.ask(b"", b"", [PASSWORD])
            if answer == secret:
                return credentials.username
        raise UnauthorizedLogin("no")

    return asks(conversation)


class ServerTests(ServerMixin, SynchronousTestCase):
    """
    The server's half.
    """

    def begin(self):
        """
        @return: what the server asks.
        """
        [(number, payload)] = self.ask(request(METHOD.decode(), KeyboardInteractiveData(b"", b"pam").pack()))
        self.assertEqual(number, ASK)
        return UserauthInfoRequest.unpack(payload)

    def answer(self, *answers):
        self.transport.sent.clear()
        self.transport.receive(RESPONSE, UserauthInfoResponse(answers).pack())
        return list(self.transport.sent)

    def test_login(self):
        """
        The checker asks, and judges the answer.
        """
        self.start(passwordIs("gehëim"))
        self.assertEqual(self.begin(), UserauthInfoRequest(b"", b"", b"", (PASSWORD,)))
        self.assertEqual(self.transport.holds, 0)
        self.assertLoggedIn(self.answer("gehëim".encode()))

    def test_refused(self):
        """
        A wrong answer is a failure, and the method can be begun again.
        """
        self.start(passwordIs("right"))
        for failures in (1, 2):
            self.begin()
            self.assertRefused(self.answer(b"wrong"), METHOD)
            self.assertEqual(self.server.loginAttempts, failures)
        self.begin()
        self.assertLoggedIn(self.answer(b"right"))

    def test_rounds(self):
        """
        Several rounds, one of which asks for nothing; text is encoded.
        """
        seen = []

        async def conversation(credentials):
            seen.append(await credentials.ask("Ü", "I", [("A", True), (b"B", False)]))
            seen.append(await credentials.ask("", "That was it.", []))
            return credentials.username

        self.start(asks(conversation))
        asked = self.begin()
        self.assertEqual(asked, UserauthInfoRequest("Ü".encode(), b"I", b"", ((b"A", True), (b"B", False))))
        [(_, payload)] = self.answer(b"a", b"")
        self.assertEqual(UserauthInfoRequest.unpack(payload).instruction, b"That was it.")
        self.assertLoggedIn(self.answer())
        self.assertEqual(seen, [["a", ""], []])

    def test_guesses(self):
        """
        Row 63: a checker that asks for a password over and over gives no more
        guesses than there may be failures: each further round counts as one,
        and so do requests, of whichever method.
        """
        self.start(passwordIs("right", again=100), knows(user="right"))
        self.ask(passwordRequest("wrong"))
        self.begin()
        for failures in (1, 2, 3, 4):
            self.assertEqual(self.server.loginAttempts, failures)
            [(number, _)] = self.answer(b"wrong")
            self.assertEqual(number, ASK)
        self.assertEqual(self.answer(b"wrong"), [])
        self.assertIsInstance(self.transport.error, TooManyAuthenticationFailures)
        self.assertNobodyIn()

    def test_abandoned(self):
        """
        Rows 57 and 63: a client that asks for something else in the middle has
        failed by that, and what the checker waits for is cancelled.
        """
        told = []

        async def conversation(credentials):
            try:
                await credentials.ask("", "", [PASSWORD])
            except BaseException as error:
                told.append(type(error))
                raise

        self.start(asks(conversation), knows(user="right"))
        for failures in (2, 4):
            self.begin()
            self.assertRefused(self.ask(passwordRequest("wrong")), METHOD, b"password")
            self.assertEqual(self.server.loginAttempts, failures)
        self.begin()
        self.assertLoggedIn(self.ask(passwordRequest("right")))
        self.assertEqual(told, [CancelledError] * 3)

    def test_asksWhenTheClientIsGone(self):
        """
        A checker that wakes up behind the end of the connection is told so at once.
        """
        kept = []
        self.start(FakeChecker(IKeyboardInteractive, lambda asked: kept.append(asked) or Deferred()))
        self.assertEqual(self.ask(request(METHOD.decode(), NS("") + NS(""))), [])
        self.transport.end(UnexpectedMessage("x"), 2, b"x")
        self.failureResultOf(kept[0].ask("", "", [PASSWORD]), ConversationOver)
        self.assertEqual(self.transport.sent, [])

    def test_late(self):
        """
        Row 57: a checker that keeps the credentials cannot ask when the request
        is decided, nor during another one.
        """
        kept = []
        open_ = Deferred()

        def answer(credentials):
            kept.append(credentials)
            return fail(UnauthorizedLogin("no")) if len(kept) == 1 else open_

        self.start(FakeChecker(IKeyboardInteractive, answer))
        again = request(METHOD.decode(), NS("") + NS(""))
        self.assertRefused(self.ask(again), METHOD)
        self.failureResultOf(kept[0].ask("", "", [PASSWORD]), ConversationOver)
        self.assertEqual(self.ask(again), [])
        self.failureResultOf(kept[0].ask("", "", [PASSWORD]), ConversationOver)
        self.assertEqual(self.transport.sent, [])
        asked = kept[1].ask("", "", [PASSWORD])
        self.assertEqual(self.transport.numbers, [ASK])
        self.failureResultOf(kept[1].ask("", "", [PASSWORD]), UsageError)
        self.transport.lose()
        self.failureResultOf(asked)
        self.failureResultOf(kept[1].ask("", "", [PASSWORD]), ConversationOver)
        self.assertNobodyIn()

    def test_counts(self):
        """
        Row 64: as many answers as prompts, and no more than the packet has.
        """
        for payload in (
            packUInt32(0),
            packUInt32(2) + NS("a") + NS("b"),
            packUInt32(1),
            packUInt32(1) + NS("a") + b"\0",
            packUInt32(2**32 - 1) + NS("a"),
            packUInt32(MAXIMUM_PROMPTS + 1) + NS("") * (MAXIMUM_PROMPTS + 1),
        ):
            self.start(passwordIs("a"))
            self.begin()
            self.transport.receive(RESPONSE, payload)
            self.assertIsInstance(self.transport.error, MalformedMessage)
            self.assertNobodyIn()

    def test_malformedRequest(self):
        """
        A request that cannot be read ends the connection; what languages and
        devices it names does not matter (CVE-2015-5600).
        """
        self.start(passwordIs("a"))
        devices = KeyboardInteractiveData(b"de,en", b"pam," * 4000).pack()
        [(number, _)] = self.ask(request(METHOD.decode(), devices))
        self.assertEqual(number, ASK)
        self.assertLoggedIn(self.answer(b"a"))
        self.start(passwordIs("a"))
        self.ask(request(METHOD.decode(), NS("") + NS("") + b"x"))
        self.assertIsInstance(self.transport.error, MalformedMessage)

    def test_answers(self):
        """
        Row 62: an answer that is huge, or no UTF-8, is a failure, and no checker
        has it.
        """
        for answer in (b"a" * (MAXIMUM_ANSWER_SIZE + 1), b"\xff"):
            self.start(passwordIs(answer.decode("latin-1")))
            self.begin()
            self.assertRefused(self.answer(answer), METHOD)
        self.start(passwordIs("a" * MAXIMUM_ANSWER_SIZE))
        self.begin()
        self.assertLoggedIn(self.answer(b"a" * MAXIMUM_ANSWER_SIZE))

    def test_tooManyPrompts(self):
        """
        A checker that asks more than may be asked has an error of its own.
        """

        async def conversation(credentials):
            await credentials.ask("", "", [PASSWORD] * (MAXIMUM_PROMPTS + 1))

        self.start(asks(conversation))
        self.assertRefused(self.ask(request(METHOD.decode(), NS("") + NS(""))), METHOD)

    def test_unasked(self):
        """
        An answer may come only when there is a question.
        """
        self.start(passwordIs("a"))
        self.answer(b"a")
        self.assertIsInstance(self.transport.error, UnexpectedMessage)
        self.assertNobodyIn()

    def test_typing(self):
        """
        A refusal waits as one of a password does, however long the user typed.
        """
        clock = Clock()
        self.start(passwordIs("a"), clock=clock)
        self.begin()
        clock.advance(1000)
        self.assertEqual(self.answer(b"b"), [])
        clock.advance(0.9)
        self.assertEqual(self.transport.sent, [])
        clock.advance(0.5)
        self.assertEqual(self.transport.numbers, [FAILURE])

    def test_inClear(self):
        """
        The method is not there without encryption.
        """
        self.start(passwordIs("a"), knows(), encrypted=False)
        self.assertEqual(self.server.supportedAuthentications, [])

    def test_partial(self):
        """
        A part of what is wanted.
        """

        async def conversation(credentials):
            await credentials.ask("", "", [PASSWORD])
            raise NotEnoughAuthentication("more")

        self.start(asks(conversation), knows(user="a"))
        self.begin()
        self.assertRefused(self.answer(b"x"), b"password", partial=True)


class BothTests(SynchronousTestCase):
    """
    The two halves with each other.
    """

    def test_login(self):
        async def conversation(credentials):
            first = await credentials.ask("", "", [PASSWORD])
            second = await credentials.ask("Second", "by mail", [("Code: ", True)])
            if (first, second) == (["a"], ["b"]):
                return credentials.username
            raise UnauthorizedLogin("no")

        client = Answering(["a"], ["x"], ["a"], ["b"])
        link = Link(client, SSHUserAuthServer(), asks(conversation))
        link.pump(2)
        self.assertTrue(link.server.isAuthenticated)
        self.assertTrue(link.client.isAuthenticated)
        self.assertEqual(client.answers, [])

    def test_refused(self):
        """
        The client has said what it has, and the report says so.
        """
        link = Link(Answering(["a"], ["b"]), SSHUserAuthServer(), passwordIs("right"))
        link.pump(8)
        self.assertFalse(link.server.isAuthenticated)
        self.assertEqual(link.client.error.tried, ("keyboard-interactive",) * 3)
