"""
Tests for L{conchlite.ssh.authmethods.gssapi}.
"""

from __future__ import annotations

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import MalformedMessage, TooManyAuthenticationFailures, UnexpectedMessage, UsageError
from conchlite.gssapicheckers import PrincipalChecker
from conchlite.interfaces import IGSSAPICredentials
from conchlite.limits import MAXIMUM_MECHANISMS
from conchlite.ssh.authmethods import gssapi
from conchlite.ssh.authmethods.gssapi import signedData
from conchlite.ssh.common import NS
from conchlite.ssh.gssapi import KERBEROS, encodeMechanism
from conchlite.ssh.userauth import SSHUserAuthServer
from conchlite.wire.gssapi import (
    GSSAPIData,
    UserauthGSSAPIError,
    UserauthGSSAPIErrtok,
    UserauthGSSAPIMIC,
    UserauthGSSAPIResponse,
    UserauthGSSAPIToken,
)
from tests.ssh.authlink import SESSION_ID, FakeChecker, FakeTransport, Link
from tests.ssh.authscenes import FAILURE, REQUEST, ClientMixin, Program, ServerMixin, request
from tests.ssh.fakegssapi import SERVICE, FakeLibrary, LibraryMixin

METHOD = "gssapi-with-mic"
RESPONSE, TOKEN, COMPLETE, ERROR, ERRTOK, MIC = 60, 61, 63, 64, 65, 66

#: What Kerberos is called, as RFC 4462 section 3.2 wants it: in DER.
OID = bytes.fromhex("06092a864886f712010202")
SPNEGO = bytes.fromhex("06062b0601050502")

FIRST = f"first|alice@EXAMPLE.ORG|{SERVICE}|False".encode()


class GSSAPIProgram(Program):
    gssapiHost = "server.example.org"

    def __init__(self, library=None, **names):
        super().__init__(**names)
        self.gssapiLibrary = library or FakeLibrary()


class GSSAPIAuthServer(SSHUserAuthServer):
    def __init__(self, library=None):
        super().__init__()
        self.gssapiLibrary = library or FakeLibrary()


def trusting():
    """
    A checker that lets in everybody who comes to it.
    """
    return FakeChecker(IGSSAPICredentials, lambda credentials: credentials.username)


class FakeLibraryTests(LibraryMixin, SynchronousTestCase):
    """
    The fake does what libraries do.
    """

    def library(self):
        return FakeLibrary()


class MechanismTests(SynchronousTestCase):
    def test_der(self):
        self.assertEqual(encodeMechanism(KERBEROS), OID)

    def test_noMechanisms(self):
        """
        SPNEGO must not be used, RFC 4462 section 3.2.
        """
        for name in ("1.3.6.1.5.5.2", "kerberos", ""):
            self.assertRaises(UsageError, encodeMechanism, name)


class BothTests(SynchronousTestCase):
    """
    Client and server.
    """

    def link(self, *checkers, server=None, client=None, **attributes):
        client = client or GSSAPIProgram(user="alice")
        vars(client).update(attributes)
        return Link(client, server or GSSAPIAuthServer(), *checkers)

    def test_login(self):
        """
        A user logs in as whom he has a ticket of.
        """
        for mutual in (True, False):
            library = FakeLibrary(mutual=mutual)
            link = self.link(
                PrincipalChecker("EXAMPLE.ORG"),
                server=GSSAPIAuthServer(library),
                client=GSSAPIProgram(library, user="alice"),
            )
            self.assertTrue(link.server.isAuthenticated and link.client.isAuthenticated)
            self.assertEqual(link.factory.realm.events, [("in", b"alice")])

    def test_credentials(self):
        """
        What the checker gets: nothing is delegated unless the program says so.
        """
        for delegate, given in ((False, None), (True, "the ticket of alice@EXAMPLE.ORG")):
            checker = trusting()
            link = self.link(checker, gssapiDelegate=delegate)
            self.assertTrue(link.server.isAuthenticated)
            [credentials] = checker.asked
            self.assertEqual(credentials.username, b"alice")
            self.assertEqual(credentials.principal, "alice@EXAMPLE.ORG")
            self.assertEqual((credentials.mechanism, credentials.delegated), (KERBEROS, given))
            self.assertNotIn("ticket", repr(credentials))

    def test_otherPrincipal(self):
        """
        With another's ticket nobody is let in; the report says what was tried.
        """
        link = self.link(PrincipalChecker("EXAMPLE.ORG"), client=GSSAPIProgram(user="bob"))
        link.pump(2)
        self.assertFalse(link.server.isAuthenticated)
        self.assertIn(f"gssapi-with-mic for {SERVICE}", str(link.client.error))

    def test_serverService(self):
        """
        A server can say which of its keys it means.
        """
        server = GSSAPIAuthServer()
        server.gssapiService = SERVICE
        link = self.link(trusting(), server=server)
        self.assertTrue(link.server.isAuthenticated)
        self.assertEqual(server.gssapiLibrary.asked, [(KERBEROS, SERVICE)])

    def test_serverWithoutKey(self):
        server = GSSAPIAuthServer()
        server.gssapiService = "host@elsewhere.example.org"
        link = self.link(trusting(), server=server)
        link.pump(2)
        self.assertFalse(link.server.isAuthenticated)
        self.assertEqual(link.client.error.methods, (METHOD.encode(),))


class ClientTests(ClientMixin, SynchronousTestCase):
    """
    The client's half.
    """

    def offer(self, library=None, **names):
        """
        A client that has offered Kerberos.
        """
        self.start(GSSAPIProgram(library, **names))
        self.refuse(METHOD.encode(), b"password")
        self.assertEqual(self.requests(), [(METHOD.encode(), GSSAPIData((OID,)).pack())])

    def choose(self, oid=OID):
        self.transport.receive(RESPONSE, UserauthGSSAPIResponse(oid).pack())

    def sent(self):
        found, self.transport.sent[:] = list(self.transport.sent), []
        return found

    def negotiate(self, library=None, **names):
        """
        A client that has sent its first token.
        """
        self.offer(library, **names)
        self.choose()
        self.assertEqual(self.sent(), [(TOKEN, NS(FIRST))])

    def prove(self):
        """
        A client that has sent its MIC.
        """
        self.negotiate()
        self.transport.receive(TOKEN, NS(b"second"))
        [(number, packet)] = self.sent()
        self.assertEqual(number, MIC)
        return packet

    def test_notAskedFor(self):
        """
        Without the host's name nothing is looked for, and nothing sent.
        """
        program = GSSAPIProgram()
        program.gssapiHost = None
        self.start(program)
        self.refuse(METHOD.encode())
        self.assertEqual(self.requests(), [])
        self.assertEqual(program.gssapiLibrary.asked, [])
        self.assertGaveUp()

    def test_before(self):
        """
        It is tried before anything that may ask the user, and once.
        """
        self.start(GSSAPIProgram(passwords=["p"]))
        self.refuse(b"password", METHOD.encode())
        self.assertEqual([method for method, _ in self.requests()], [METHOD.encode()])
        self.refuse(b"password", METHOD.encode())
        self.assertEqual([method for method, _ in self.requests()], [b"password"])

    def test_noLibrary(self):
        self.patch(gssapi, "installedLibrary", lambda: None)
        program = GSSAPIProgram()
        program.gssapiLibrary = None
        self.start(program)
        self.refuse(METHOD.encode())
        self.assertEqual(self.requests(), [])
        self.assertIn("gssapi-with-mic, as the extra 'gssapi' is not installed", str(self.assertGaveUp()))

    def test_noTicket(self):
        """
        Without a ticket there is no offer, and the report says why.
        """
        self.start(GSSAPIProgram(FakeLibrary(ticket=None)))
        self.refuse(METHOD.encode())
        self.assertEqual(self.requests(), [])
        self.assertIn(
            f"there is no ticket for {SERVICE}: No Kerberos credentials available", str(self.assertGaveUp())
        )

    def test_mic(self):
        """
        The MIC covers the session identifier and the request, RFC 4462
        section 3.5.1.
        """
        packet = self.prove()
        covered = NS(SESSION_ID) + b"\x32" + NS("user") + NS("ssh-connection") + NS(METHOD)
        self.assertEqual(covered, signedData(SESSION_ID, b"user", b"ssh-connection"))
        acceptor = FakeLibrary().accept(KERBEROS, None)
        acceptor.step(FIRST)
        acceptor.verify(covered, UserauthGSSAPIMIC.unpack(packet).mic)

    def test_otherMechanism(self):
        """
        A server chooses among what was offered.
        """
        self.offer()
        self.choose(SPNEGO)
        self.assertIsInstance(self.transport.error, UnexpectedMessage)
        self.assertEqual(self.sent(), [])

    def test_noIntegrity(self):
        """
        A context that protects no integrity is no login: nothing is signed,
        and the next method is tried.
        """
        self.negotiate(FakeLibrary(integrity=False), passwords=["p"])
        self.transport.receive(TOKEN, NS(b"second"))
        self.assertEqual([method for method, _ in self.requests()], [b"password"])
        self.refuse()
        self.assertIn("protects no integrity", str(self.assertGaveUp()))

    def test_badToken(self):
        """
        When the mechanism fails, the server gets its last word, and the next
        method is tried without its answer.
        """
        self.negotiate(passwords=["p"])
        self.transport.receive(TOKEN, NS(b"garbage"))
        errtok = self.transport.sent.pop(0)
        self.assertEqual(errtok, (ERRTOK, UserauthGSSAPIErrtok(b"what was that?").pack()))
        self.assertEqual([method for method, _ in self.requests()], [b"password"])
        self.refuse()
        self.assertIn("the mechanism failed: Invalid token was supplied", str(self.assertGaveUp()))

    def test_serverFails(self):
        """
        What the server says of its failure is in the report, made safe; the
        FAILURE behind it is the answer.
        """
        self.negotiate()
        self.transport.receive(ERROR, UserauthGSSAPIError(1, 2, b"clock\x1b[2J skew", b"en").pack())
        self.transport.receive(ERRTOK, NS(b"error token"))
        self.assertEqual(self.transport.sent, [])
        self.refuse()
        said = str(self.assertGaveUp())
        self.assertIn("the server's end failed: 'clock\\x1b[2J skew'", said)

    def test_serverFailsWithToken(self):
        """
        The mechanism is asked what its other end's last word means.
        """
        self.negotiate()
        self.transport.receive(ERRTOK, NS(b"error token"))
        self.refuse()
        self.assertIn("the server's end failed: Invalid token was supplied", str(self.assertGaveUp()))

    def test_failuresWithoutEnd(self):
        """
        A server fails once.
        """
        for number, packet in (
            (ERROR, UserauthGSSAPIError(1, 2, b"no", b"").pack()),
            (ERRTOK, NS(b"no")),
        ):
            self.negotiate()
            self.transport.receive(number, packet)
            self.transport.receive(number, packet)
            self.assertIsInstance(self.transport.error, UnexpectedMessage)

    def test_messagesOutOfPlace(self):
        """
        At every step, every message that may not come there ends the
        connection.
        """
        steps = {
            self.offer: {RESPONSE, ERROR, ERRTOK},
            self.negotiate: {TOKEN, ERROR, ERRTOK},
            self.prove: {ERROR, ERRTOK},
        }
        for step, allowed in steps.items():
            for number in set(range(60, 80)) - allowed:
                step()
                self.transport.receive(number, NS(b"x"))
                self.assertIsInstance(self.transport.error, UnexpectedMessage, (step, number))

    def test_malformed(self):
        """
        Each message is parsed strictly.
        """
        for step, number in (
            (self.offer, RESPONSE),
            (self.negotiate, TOKEN),
            (self.negotiate, ERROR),
            (self.prove, ERRTOK),
        ):
            for packet in (b"", NS(b"x")[:-1], NS(b"x") + b"x"):
                step()
                self.transport.receive(number, packet)
                self.assertIsInstance(self.transport.error, MalformedMessage)

    def test_waits(self):
        """
        The calls may take their time: nothing is read meanwhile, and when the
        connection goes they are cancelled.
        """
        cancelled = []
        waiting = []

        def run(function, *arguments):
            waiting.append((function, arguments))
            return Deferred(cancelled.append)

        program = GSSAPIProgram()
        program.gssapiRun = run
        self.start(program)
        self.refuse(METHOD.encode())
        [(function, arguments)] = waiting
        self.assertEqual(function(*arguments).step(None), FIRST)
        self.assertEqual((self.transport.holds, self.transport.sent), (1, []))
        self.transport.lose()
        self.assertEqual((len(cancelled), self.transport.holds), (1, 0))


class ServerTests(ServerMixin, SynchronousTestCase):
    """
    The server's half.
    """

    def setUp(self):
        self.library = FakeLibrary()
        self.checker = trusting()

    def serve(self, *checkers):
        self.start(*(checkers or (self.checker,)), server=GSSAPIAuthServer(self.library))

    def offer(self, *mechanisms, user="user"):
        return self.ask(request(METHOD, GSSAPIData(mechanisms or (OID,)).pack(), user=user))

    def answer(self, number, packet):
        self.transport.sent.clear()
        self.transport.receive(number, packet)
        return list(self.transport.sent)

    def chosen(self):
        """
        A server that has chosen Kerberos.
        """
        self.serve()
        self.assertEqual(self.offer(), [(RESPONSE, NS(OID))])

    def complete(self):
        """
        A server whose context is complete.

        @return: the client's end.
        """
        self.chosen()
        initiator = self.library.initiate(KERBEROS, SERVICE, False)
        [(number, packet)] = self.answer(TOKEN, NS(initiator.step(None)))
        self.assertEqual(number, TOKEN)
        initiator.step(UserauthGSSAPIToken.unpack(packet).token)
        return initiator

    def assertNobodyAsked(self):
        self.assertNobodyIn()
        self.assertEqual(self.checker.asked, [])

    def test_login(self):
        initiator = self.complete()
        self.assertNobodyAsked()
        mic = initiator.sign(signedData(SESSION_ID, b"user", b"ssh-connection"))
        self.assertLoggedIn(self.answer(MIC, NS(mic)))
        self.assertEqual(len(self.checker.asked), 1)

    def test_otherMIC(self):
        """
        Row 73: a MIC for another connection, user or service is none, nor one
        with a bit flipped; the checker does not hear of it.
        """
        covered = [
            signedData(b"\x18" * 32, b"user", b"ssh-connection"),
            signedData(SESSION_ID, b"root", b"ssh-connection"),
            signedData(SESSION_ID, b"user", b"ssh-userauth"),
            signedData(SESSION_ID, b"user", b"ssh-connection").replace(
                b"gssapi-with-mic", b"gssapi-keyex---"
            ),
        ]
        for data in covered:
            initiator = self.complete()
            self.assertRefused(self.answer(MIC, NS(initiator.sign(data))), METHOD.encode())
            self.assertNobodyAsked()
        initiator = self.complete()
        mic = initiator.sign(signedData(SESSION_ID, b"user", b"ssh-connection"))
        self.assertRefused(self.answer(MIC, NS(bytes([mic[0] ^ 1]) + mic[1:])), METHOD.encode())
        self.assertNobodyAsked()

    def test_withoutMIC(self):
        """
        A client that says that it has no MIC is refused.
        """
        self.complete()
        self.assertRefused(self.answer(COMPLETE, b""), METHOD.encode())
        self.assertNobodyAsked()

    def test_noIntegrity(self):
        """
        So is one whose mechanism has none.
        """
        self.library.integrity = False
        self.complete()
        self.assertRefused(self.answer(MIC, NS(b"")), METHOD.encode())
        self.assertNobodyAsked()

    def test_manyMechanisms(self):
        """
        Row 65: at most 16 mechanisms, and no more than the packet has room for
        (CVE-2025-58181).
        """
        other = bytes.fromhex("06032a0304")
        self.serve()
        most = (other,) * (MAXIMUM_MECHANISMS - 1)
        self.assertEqual(MAXIMUM_MECHANISMS, 16)
        self.assertEqual(self.offer(*most, OID), [(RESPONSE, NS(OID))])
        count = MAXIMUM_MECHANISMS + 1
        hostile = [
            count.to_bytes(4, "big") + NS(OID) * count,
            (3).to_bytes(4, "big") + NS(OID),
            b"\xff\xff\xff\xff",
            b"\x00\x00\x00\x01" + NS(OID) + b"\x00",
            b"",
        ]
        for data in hostile:
            self.serve()
            self.assertEqual(self.ask(request(METHOD, data)), [])
            self.assertIsInstance(self.transport.error, MalformedMessage)
            self.assertEqual(self.library.asked.count((KERBEROS, None)), 1)

    def test_withoutTheExtra(self):
        """
        Row 65: without the extra a request fails like any other, whatever is
        in it.
        """
        self.patch(gssapi, "installedLibrary", lambda: None)
        for data in (GSSAPIData((OID,)).pack(), b"\xff\xff\xff\xff", b""):
            self.start(self.checker)
            self.assertRefused(self.ask(request(METHOD, data)), METHOD.encode())
            self.assertEqual(self.transport.ended, [])

    def test_noCommonMechanism(self):
        """
        SPNEGO is none either.
        """
        self.serve()
        self.assertRefused(self.ask(request(METHOD, b"\0\0\0\0")), METHOD.encode())
        self.assertRefused(self.offer(SPNEGO), METHOD.encode())
        self.assertEqual(self.library.asked, [])

    def test_encrypted(self):
        """
        Without encryption the method is not there.
        """
        self.start(self.checker, server=GSSAPIAuthServer(self.library), encrypted=False)
        self.assertRefused(self.offer())
        self.assertEqual(self.library.asked, [])

    def test_badToken(self):
        """
        When the mechanism fails, the client gets its last word, and a FAILURE.
        """
        self.chosen()
        errtok, failure = self.answer(TOKEN, NS(b"garbage"))
        self.assertEqual(errtok, (ERRTOK, NS(b"what was that?")))
        self.assertRefused([failure], METHOD.encode())

    def test_clientFails(self):
        """
        A client whose end has failed gets no answer: it has gone on to
        something else.
        """
        for step in (self.chosen, self.complete):
            step()
            self.assertEqual(self.answer(ERRTOK, NS(b"error token")), [])
            self.assertEqual(self.transport.holds, 0)
            self.assertRefused(self.ask(request("password", b"x")), METHOD.encode())
            self.assertEqual(self.server.loginAttempts, 2)

    def test_silenceBehindFailure(self):
        """
        Nothing but a new request may follow.
        """
        self.chosen()
        self.answer(ERRTOK, NS(b"error token"))
        self.answer(TOKEN, NS(FIRST))
        self.assertIsInstance(self.transport.error, UnexpectedMessage)

    def test_abandonedRequestsCount(self):
        """
        Row 63: a client that begins and never ends is disconnected as one that
        fails (CVE-2026-60000).
        """
        for fails in (False, True):
            self.serve()
            for _ in range(self.server.attemptsBeforeDisconnect):
                self.assertEqual(self.offer(), [(RESPONSE, NS(OID))])
                if fails:
                    self.answer(ERRTOK, NS(b"error token"))
            self.assertEqual(self.offer(), [])
            self.assertIsInstance(self.transport.error, TooManyAuthenticationFailures)

    def test_messagesOutOfPlace(self):
        """
        At every step, every message that may not come there ends the
        connection.
        """
        steps = {self.chosen: {TOKEN, ERRTOK}, self.complete: {COMPLETE, ERRTOK, MIC}}
        for step, allowed in steps.items():
            for number in set(range(60, 80)) - allowed:
                step()
                self.assertEqual(self.answer(number, NS(b"x")), [])
                self.assertIsInstance(self.transport.error, UnexpectedMessage, (step, number))
                self.assertNobodyAsked()

    def test_malformed(self):
        """
        Each message is parsed strictly.
        """
        for step, number in (
            (self.chosen, TOKEN),
            (self.chosen, ERRTOK),
            (self.complete, MIC),
            (self.complete, ERRTOK),
        ):
            for packet in (b"", NS(b"x")[:-1], NS(b"x") + b"x"):
                step()
                self.assertEqual(self.answer(number, packet), [])
                self.assertIsInstance(self.transport.error, MalformedMessage)
        self.complete()
        self.assertEqual(self.answer(COMPLETE, b"x"), [])
        self.assertIsInstance(self.transport.error, MalformedMessage)

    def test_refusedByChecker(self):
        """
        Who a principal may be is the checker's to say.
        """

        def refuse(credentials):
            raise UnauthorizedLogin("no")

        self.checker = FakeChecker(IGSSAPICredentials, refuse)
        initiator = self.complete()
        mic = initiator.sign(signedData(SESSION_ID, b"user", b"ssh-connection"))
        self.assertRefused(self.answer(MIC, NS(mic)), METHOD.encode())

    def test_waits(self):
        """
        The calls may take their time: nothing is read meanwhile, and when the
        connection goes they are cancelled.
        """
        waiting = []

        def cancel(deferred):
            deferred.errback(CancelledError())

        def run(function, *arguments):
            waiting.append(Deferred(cancel))
            return waiting[-1]

        self.library = FakeLibrary()
        server = GSSAPIAuthServer(self.library)
        server.gssapiRun = run
        self.start(self.checker, server=server)
        self.assertEqual(self.offer(), [])
        self.assertEqual(self.transport.holds, 1)
        self.transport.receive(REQUEST, request("none"))
        self.assertEqual(self.transport.numbers, [])
        waiting[0].callback(self.library.accept(KERBEROS, None))
        self.assertEqual(self.transport.numbers, [RESPONSE, FAILURE])
        self.offer()
        self.transport.lose()
        self.assertTrue(waiting[1].called)
        self.assertEqual(self.transport.holds, 0)


class ClockTests(SynchronousTestCase):
    """
    Where the calls run.
    """

    def test_inThreads(self):
        """
        With a reactor, in its threads, and the answer comes in the reactor's.
        """
        from twisted.internet.interfaces import IReactorThreads
        from zope.interface import implementer

        calls = []

        @implementer(IReactorThreads)
        class Threads:
            def getThreadPool(self):
                return self

            def callInThreadWithCallback(self, onResult, function, *arguments):
                calls.append((onResult, function, arguments))

            def callFromThread(self, function, *arguments):
                function(*arguments)

        program = GSSAPIProgram()
        transport = FakeTransport(Threads())
        transport.setService(program)
        transport.sent.clear()
        transport.receive(FAILURE, NS(METHOD) + b"\0")
        self.assertEqual(program.gssapiLibrary.asked, [])
        while calls:
            onResult, function, arguments = calls.pop()
            onResult(True, function(*arguments))
        self.assertEqual(transport.numbers, [REQUEST])
