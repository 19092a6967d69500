"""
Tests for L{conchlite.ssh.authmethods.gssapi}.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from conchlite.checkers import PrincipalChecker
from conchlite.error import MalformedMessage, UnexpectedMessage
from conchlite.ssh.authmethods import gssapi
from conchlite.ssh.authmethods.gssapi import signedData
from conchlite.ssh.common import NS
from conchlite.ssh.gssapi import KERBEROS
from conchlite.wire.gssapi import (
    GSSAPIData,
    UserauthGSSAPIError,
    UserauthGSSAPIErrtok,
    UserauthGSSAPIMIC,
    UserauthGSSAPIResponse,
)
from tests.ssh.authlink import SESSION_ID, Link
from tests.ssh.authscenes import SUCCESS, ClientMixin
from tests.ssh.fakegssapi import (
    ERROR,
    ERRTOK,
    FIRST,
    METHOD,
    MIC,
    OID,
    RESPONSE,
    SERVICE,
    SPNEGO,
    TOKEN,
    FakeLibrary,
    GSSAPIAuthServer,
    GSSAPIProgram,
    damaged,
    outOfPlace,
    trusting,
)


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

    def test_run(self):
        """
        Every call that may block goes where the program wants it.
        """
        calls = {}

        def runFor(end):
            def run(function, *arguments):
                calls.setdefault(end, []).append(function.__name__)
                return maybeDeferred(function, *arguments)

            return run

        server = GSSAPIAuthServer()
        server.gssapiRun = runFor("server")
        link = self.link(trusting(), server=server, gssapiRun=runFor("client"))
        self.assertTrue(link.server.isAuthenticated)
        self.assertEqual(
            calls, {"client": ["initiate", "step", "step", "sign"], "server": ["accept", "step", "verify"]}
        )

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
        self.assertIn(
            "gssapi-with-mic, as the extra is not installed: pip install conchlite[gssapi]",
            str(self.assertGaveUp()),
        )

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

    def test_requireAuthentication(self):
        """
        Row 55: a success counts as a proof when there was a MIC, and not when
        the server was content with less.
        """
        for step, proven in ((self.offer, False), (self.negotiate, False), (self.prove, True)):
            self.patch(GSSAPIProgram, "requireAuthentication", True)
            step()
            self.transport.receive(SUCCESS)
            self.assertIs(self.transport.isAuthenticated, proven)

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
        for number, step in outOfPlace(steps):
            self.transport.receive(number, NS(b"x"))
            self.assertIsInstance(self.transport.error, UnexpectedMessage, (step, number))

    def test_malformed(self):
        """
        Each message is parsed strictly.
        """
        places = (
            (self.offer, RESPONSE),
            (self.negotiate, TOKEN),
            (self.negotiate, ERROR),
            (self.prove, ERRTOK),
        )
        for number, packet in damaged(*places):
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
