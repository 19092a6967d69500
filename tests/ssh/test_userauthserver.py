"""
Tests for L{conchlite.ssh.userauthserver}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.cred.credentials import ISSHPrivateKey, IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import AlreadyCalledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Interface

from conchlite.error import (
    ConchError,
    IgnoreAuthentication,
    LoginTimedOut,
    MalformedMessage,
    NotEnoughAuthentication,
    TooManyAuthenticationFailures,
    UnexpectedMessage,
    UnknownService,
)
from conchlite.ssh.common import NS
from conchlite.ssh.userauth import SSHUserAuthServer
from conchlite.wire.userauth import (
    PasswordData,
)
from tests.ssh.authlink import (
    FakeChecker,
    RecordingService,
    ed25519,
    keyChecker,
    knows,
)
from tests.ssh.authscenes import (
    BANNER,
    FAILURE,
    PK_OK,
    SUCCESS,
    ServerMixin,
    owners,
    passwordRequest,
    query,
    request,
    signed,
)


class ServerStartTests(ServerMixin, SynchronousTestCase):
    """
    Which methods there are.
    """

    def test_methods(self):
        """
        The methods are those that the portal has checkers for.
        """
        for checkers, methods in (
            ((), ()),
            ((owners(),), (b"publickey",)),
            ((knows(), owners()), (b"password", b"publickey")),
        ):
            self.start(*checkers)
            self.assertRefused(self.ask(request("none")), *methods)

    def test_inClear(self):
        """
        There are no passwords on a connection that is not encrypted.
        """
        self.start(knows(user="a"), owners(), encrypted=False)
        self.assertRefused(self.ask(passwordRequest("a")), b"publickey")

    def test_ownMethods(self):
        """
        A subclass may have methods of its own, by the interfaces of its
        credentials.
        """

        class IName(Interface):
            pass

        class Own(SSHUserAuthServer):
            interfaceToMethod = {**SSHUserAuthServer.interfaceToMethod, IName: b"none"}

            def auth_none(self, packet):
                return succeed((None, "avatar", lambda: None))

        self.start(FakeChecker(IName, lambda c: c), server=Own())
        self.assertLoggedIn(self.ask(request("none")))
        self.assertEqual(self.transport.avatar, "avatar")

    def test_conchTable(self):
        """
        The table that programs extend is there under its name.
        """
        table = SSHUserAuthServer.interfaceToMethod
        self.assertEqual((table[ISSHPrivateKey], table[IUsernamePassword]), (b"publickey", b"password"))

    def test_attributesAreNoMethods(self):
        """
        A name off the wire finds no attribute that is not a method of the
        portal's.
        """

        class Own(SSHUserAuthServer):
            def auth_backdoor(self, packet):
                return succeed((None, "avatar", lambda: None))

        for name in ("backdoor", "password", "publickey ", "", "none", "__class__"):
            self.start(owners(), server=Own())
            self.assertRefused(self.ask(request(name)), b"publickey")

    def test_banner(self):
        """
        The banner goes out once, before the first answer.
        """
        server = SSHUserAuthServer()
        server.banner = "Grüß Gott\r\n"
        self.start(owners(), server=server)
        banner, answer = self.ask(request("none"))
        self.assertEqual(banner, (BANNER, NS("Grüß Gott\r\n") + NS("")))
        self.assertEqual(answer[0], FAILURE)
        self.assertRefused(self.ask(request("none")), b"publickey")


class ServerAnswerTests(ServerMixin, SynchronousTestCase):
    """
    Success, partial success, failure, and silence.
    """

    def test_partialSuccess(self):
        """
        When more is needed, that is said with a proper boolean, and the part
        that is done is not asked for again.
        """
        self.start(
            FakeChecker(IUsernamePassword, lambda c: fail(NotEnoughAuthentication())), owners(ed25519(1))
        )
        self.assertRefused(self.ask(passwordRequest("a")), b"publickey", partial=True)
        self.assertEqual(self.server.loginAttempts, 0)
        self.assertLoggedIn(self.ask(signed(ed25519(1))))

    def test_partialSuccessOfAll(self):
        """
        If that leaves no method, all are named.
        """
        self.start(FakeChecker(IUsernamePassword, lambda c: fail(NotEnoughAuthentication())))
        self.assertRefused(self.ask(passwordRequest("a")), b"password", partial=True)

    def test_changeOfName(self):
        """
        Another user, or another service, begins anew (RFC 4252 section 5).
        """
        for names in ({"user": "other"}, {"service": "another"}):
            self.start(
                FakeChecker(IUsernamePassword, lambda c: fail(NotEnoughAuthentication())),
                owners(ed25519(1)),
            )
            self.ask(passwordRequest("a"))
            self.assertEqual(self.server.authenticatedWith, [b"password"])
            self.assertRefused(self.ask(request("none", **names)), b"password", b"publickey")
            self.assertEqual(self.server.authenticatedWith, [])

    def test_ignore(self):
        """
        A request that is ignored stays without an answer, and the next one is
        decided.
        """
        answers = [fail(IgnoreAuthentication()), succeed(b"user")]
        self.start(FakeChecker(IUsernamePassword, lambda c: answers.pop(0)))
        self.assertEqual(self.ask(passwordRequest("a")), [])
        self.assertLoggedIn(self.ask(passwordRequest("b")))

    def test_tooMany(self):
        """
        With the sixth failure, of all methods together and whoever the user,
        the connection ends; the first C{none} is free, and only that.
        """
        self.start(knows(user="right"), owners(ed25519(1)))
        self.ask(request("none"))
        for payload in (
            passwordRequest("a"),
            query(ed25519(2)),
            signed(ed25519(2)),
            request("none", user="other"),
            request("unknown"),
        ):
            self.assertRefused(self.ask(payload), b"password", b"publickey")
        self.assertEqual(self.server.loginAttempts, 5)
        self.assertEqual(self.ask(passwordRequest("b")), [])
        [(error, reason, _)] = self.transport.ended
        self.assertIsInstance(error, TooManyAuthenticationFailures)
        self.assertEqual(reason, 14)
        self.assertEqual(self.ask(passwordRequest("right")), [])
        self.assertNobodyIn()

    def test_unknownService(self):
        """
        Nobody logs in for a service that does not exist.
        """
        transport = self.start(knows(user="a"))
        self.assertEqual(self.ask(passwordRequest("a", service="nonesuch")), [])
        [(error, reason, _)] = transport.ended
        self.assertIsInstance(error, UnknownService)
        self.assertEqual(reason, 7)
        self.assertFalse(transport.isAuthenticated)
        transport.lose()
        self.assertEqual(self.factory.realm.events, [("in", b"user"), ("out", b"user")])

    def test_nextServiceFails(self):
        """
        When the next service cannot start, the user is in all the same; no
        FAILURE follows the SUCCESS.
        """

        class Failing(RecordingService):
            def serviceStarted(self):
                raise RuntimeError("no")

        transport = self.start(knows(user="a"))
        self.factory.getService = lambda transport, name: Failing
        self.assertEqual(self.ask(passwordRequest("a")), [(SUCCESS, b"")])
        [(error, reason, _)] = transport.ended
        self.assertIsInstance(error, ConchError)
        self.assertEqual(reason, 11)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_seams(self):
        """
        The private names that programs for Conch override are called, and may
        call ours.
        """
        calls = []

        class Own(SSHUserAuthServer):
            def _ebPassword(self, reason):
                calls.append("password")
                return super()._ebPassword(reason)

            def _ebMaybeBadAuth(self, reason):
                calls.append("maybe")
                return super()._ebMaybeBadAuth(reason)

            def _ebBadAuth(self, reason):
                calls.append("bad")
                return super()._ebBadAuth(reason)

            def _cbFinishedAuth(self, result):
                calls.append("finished")
                return super()._cbFinishedAuth(result)

        self.start(knows(user="a"), server=Own())
        self.assertRefused(self.ask(passwordRequest("b")), b"password")
        self.assertLoggedIn(self.ask(passwordRequest("a")))
        self.assertEqual(calls, ["password", "maybe", "bad", "finished"])

    def test_ownBadAuth(self):
        """
        An override that answers in its own way does not stop the reader.
        """

        class Own(SSHUserAuthServer):
            def _ebBadAuth(self, reason):
                self.transport.sendPacket(FAILURE, NS("own") + b"\0")

        clock = Clock()
        self.start(knows(user="a"), server=Own(), clock=clock)
        self.assertEqual(self.ask(passwordRequest("b")), [])
        clock.advance(2)
        self.assertEqual(self.transport.sent, [(FAILURE, NS("own") + b"\0")])
        self.assertEqual(self.transport.holds, 0)
        self.assertLoggedIn(self.ask(passwordRequest("a")))

    def test_ownRequest(self):
        """
        So does not an override of the whole request.
        """
        answer = Deferred()

        class Own(SSHUserAuthServer):
            def ssh_USERAUTH_REQUEST(self, packet):
                self.user, self.nextService, self.method = b"user", b"ssh-connection", b"password"
                answer.addCallback(self._cbFinishedAuth)
                answer.addErrback(self._ebMaybeBadAuth)
                answer.addErrback(self._ebBadAuth)
                return answer

        self.start(knows(user="a"), server=Own())
        self.assertEqual((self.ask(b"anything"), self.transport.holds), ([], 1))
        answer.errback(UnauthorizedLogin("no"))
        self.assertRefused(self.transport.sent, b"password")
        self.assertEqual(self.transport.holds, 0)
        answer = Deferred()
        self.ask(b"anything")
        answer.callback((None, "avatar", lambda: None))
        self.assertLoggedIn(self.transport.sent)
        self.assertEqual(self.transport.holds, 0)


class ServerTimeTests(ServerMixin, SynchronousTestCase):
    """
    What takes how long.
    """

    def refusalAfter(self, clock, payload):
        """
        How many milliseconds a refusal takes.
        """
        self.ask(payload)
        milliseconds = 0
        while not self.transport.sent:
            self.assertLess(milliseconds, 10000, "never refused")
            clock.advance(0.001)
            milliseconds += 1
        return milliseconds

    def test_equalTimes(self):
        """
        How long a refusal takes depends neither on whether there is such a
        user nor on how long the checker looked (CVE-2018-15473).
        """

        def slow(clock, seconds):
            def answer(credentials):
                d = Deferred()
                clock.callLater(seconds, d.errback, UnauthorizedLogin("no"))
                return d

            return answer

        for interface, payload, low, high in (
            (IUsernamePassword, passwordRequest("a"), 1000, 1251),
            (ISSHPrivateKey, signed(ed25519(1)), 100, 126),
            (ISSHPrivateKey, query(ed25519(1)), 100, 126),
        ):
            times = set()
            for seconds in (0, 0.01, 0.05, 0.09):
                clock = Clock()
                self.start(FakeChecker(interface, slow(clock, seconds)), clock=clock)
                times.add(self.refusalAfter(clock, payload))
            [milliseconds] = times
            self.assertTrue(low <= milliseconds <= high, milliseconds)

    def test_muchSlower(self):
        """
        A checker that took longer than that has its time rounded up.
        """
        times = []
        for seconds in (0.13, 0.15, 0.19):
            clock = Clock()
            answer = Deferred()
            self.start(keyChecker(lambda c, a=answer: a), clock=clock)
            clock.callLater(seconds, answer.errback, UnauthorizedLogin("no"))
            times.append(self.refusalAfter(clock, query(ed25519(1))))
        self.assertEqual(len(set(times)), 1)
        self.assertTrue(200 <= times[0] <= 251)

    def test_noneAndPartsAreQuick(self):
        """
        C{none}, PK_OK, a partial and a full success do not wait.
        """
        self.start(knows(user="a"), owners(ed25519(1)), clock=Clock())
        self.assertRefused(self.ask(request("none")), b"password", b"publickey")
        self.assertEqual([n for n, _ in self.ask(query(ed25519(1)))], [PK_OK])
        self.assertLoggedIn(self.ask(passwordRequest("a")))

    def test_waitsInTurn(self):
        """
        While a refusal waits, so does what came behind it.
        """
        clock = Clock()
        self.start(knows(user="a"), clock=clock)
        self.ask(passwordRequest("b"))
        self.assertEqual(self.ask(passwordRequest("a")), [])
        clock.advance(2)
        self.assertEqual(self.transport.numbers, [FAILURE, SUCCESS])

    def test_loginTimeout(self):
        """
        The time runs on the transport, where it began with the connection; a
        server that has another limit says so there.
        """

        class Own(SSHUserAuthServer):
            loginTimeout = 5

        transport = self.start(knows(), server=Own(), clock=Clock())
        self.assertEqual((5, 5), (transport.loginTimeout, self.server.loginTimeout))
        transport = self.start(knows(), clock=Clock())
        self.assertEqual((120, 120), (transport.loginTimeout, self.server.loginTimeout))

    def test_timeIsUp(self):
        """
        The connection ends while a checker decides: when it answers later, it
        lets nobody in.
        """
        clock, answer = Clock(), Deferred(lambda d: None)
        transport = self.start(FakeChecker(IUsernamePassword, lambda c: answer), clock=clock)
        self.ask(passwordRequest("a"))
        transport.end(LoginTimedOut("too slow"), 11, b"login timed out")
        answer.callback(b"user")
        self.assertNobodyIn()
        self.assertEqual(self.factory.realm.events, [("in", b"user"), ("out", b"user")])
        self.assertEqual(transport.holds, 0)

    def test_timerStops(self):
        """
        After the login, and after the connection's end, no timer is left.
        """
        clock = Clock()
        self.start(knows(user="a"), clock=clock)
        self.ask(passwordRequest("a"))
        self.assertEqual(clock.getDelayedCalls(), [])
        self.start(knows(user="a"), clock=clock)
        self.ask(passwordRequest("b"))
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        self.transport.lose()
        self.assertEqual(clock.getDelayedCalls(), [])
        self.assertEqual(self.transport.holds, 0)

    def test_ownClock(self):
        """
        A subclass may bring a clock of its own for the delays.
        """
        clock = Clock()

        class Own(SSHUserAuthServer):
            pass

        Own.clock = clock
        self.start(knows(user="a"), server=Own())
        self.assertEqual(self.ask(passwordRequest("b")), [])
        clock.advance(2)
        self.assertEqual(self.transport.numbers, [FAILURE])


class ServerLateTests(ServerMixin, SynchronousTestCase):
    """
    Row 57: checkers that answer when nobody waits any more (CVE-2026-77185).
    """

    def test_lost(self):
        """
        When the connection is lost, the checker is cancelled, and nothing is
        pending.
        """
        cancelled = []
        self.start(FakeChecker(IUsernamePassword, lambda c: Deferred(cancelled.append)))
        self.ask(passwordRequest("a"))
        self.transport.lose()
        self.assertEqual((len(cancelled), self.transport.holds), (1, 0))
        self.assertNobodyIn()

    def test_lostAndLoggedIn(self):
        """
        A checker that says yes when it is cancelled is too late: no realm is
        asked.
        """
        self.start(FakeChecker(IUsernamePassword, lambda c: Deferred(lambda d: d.callback(b"user"))))
        self.ask(passwordRequest("a"))
        self.transport.lose()
        self.assertNobodyIn()
        self.assertEqual(self.factory.realm.events, [])

    def test_twice(self):
        """
        A Deferred cannot say no and then yes.
        """
        answer = Deferred()
        self.start(FakeChecker(IUsernamePassword, lambda c: answer))
        self.ask(passwordRequest("a"))
        answer.errback(UnauthorizedLogin("no"))
        self.assertRaises(AlreadyCalledError, answer.callback, b"user")
        self.assertNobodyIn()

    def test_logoutFails(self):
        """
        A logout that fails then is logged.
        """

        class Own(SSHUserAuthServer):
            def auth_password(self, packet):
                def logout():
                    raise RuntimeError("stuck")

                return Deferred(lambda d: d.callback((None, "avatar", logout)))

        self.start(knows(), server=Own())
        self.ask(passwordRequest("a"))
        self.transport.lose()
        self.assertNobodyIn()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)


class ServerMessageTests(ServerMixin, SynchronousTestCase):
    """
    Messages that are odd, malformed or unexpected.
    """

    def test_unexpected(self):
        """
        Rows 52 to 54: what only a server sends (CVE-2018-10933), what no method
        waits for, and what belongs to the connection (CVE-2018-7750,
        CVE-2025-32433), ends the connection, and nothing else is sent.
        """
        for number in (51, 52, 53, 60, 61, 79, 80, 90, 94, 98, 127):
            for before in (None, request("none")):
                transport = self.start(owners(ed25519(1)))
                if before is not None:
                    self.ask(before)
                    transport.sent.clear()
                transport.receive(number, b"")
                [(error, reason, _)] = transport.ended
                self.assertIsInstance(error, UnexpectedMessage)
                self.assertEqual((reason, transport.sent), (2, []))
                self.assertNobodyIn()

    def test_unknown(self):
        """
        What nobody knows is answered with UNIMPLEMENTED.
        """
        transport = self.start(owners())
        for number in (54, 59, 128, 192, 255):
            transport.receive(number, b"")
        self.assertEqual((transport.unimplemented, transport.ended), (5, []))

    def test_truncated(self):
        """
        Every request, cut anywhere or with a byte too many, is malformed, and
        no checker is asked.
        """
        asked = []
        for checkers, whole in (
            ((), request("none")),
            ((FakeChecker(IUsernamePassword, asked.append),), passwordRequest("a")),
            (
                (FakeChecker(IUsernamePassword, asked.append),),
                request("password", PasswordData(True, b"a", NS("b")).pack()),
            ),
            ((keyChecker(asked.append),), query(ed25519(1))),
            ((keyChecker(asked.append),), signed(ed25519(1))),
        ):
            cuts = [whole[:size] for size in range(len(whole))]
            if checkers:
                # C{none} has no data, so what follows it is let pass.
                cuts.append(whole + b"\0")
            for payload in cuts:
                self.start(*checkers)
                self.assertEqual(self.ask(payload), [])
                [(error, reason, _)] = self.transport.ended
                self.assertIsInstance(error, MalformedMessage)
                self.assertEqual(reason, 2)
        self.assertEqual(asked, [])

    def test_names(self):
        """
        A name that is too long or not printable ends the connection.
        """
        for names in ({"user": "a" * 256}, {"user": "a\nb"}, {"service": "\x1b"}):
            self.start(owners())
            self.ask(request("none", **names))
            self.assertIsInstance(self.transport.error, MalformedMessage)

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.tuples(st.integers(50, 80), st.binary(max_size=30)),
                st.sampled_from(["none", "publickey", "password", "x"]).flatmap(
                    lambda method: st.binary(max_size=40).map(lambda rest: (50, request(method, rest)))
                ),
            ),
            max_size=5,
        )
    )
    def test_anything(self, messages):
        """
        Whatever a client sends, nobody is in, and the connection goes on or
        ends with an error that says why.
        """
        transport = self.start(knows(), owners(ed25519(1)))
        for number, payload in messages:
            transport.receive(number, payload)
        for error, _, _ in transport.ended:
            self.assertIsInstance(error, (MalformedMessage, UnexpectedMessage, TooManyAuthenticationFailures))
        self.assertEqual(transport.holds, 0)
        self.assertNobodyIn()
