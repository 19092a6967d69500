"""
Tests for the server's half of L{conchlite.ssh.authmethods.gssapi}.
"""

from __future__ import annotations

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import MalformedMessage, TooManyAuthenticationFailures, UnexpectedMessage
from conchlite.interfaces import IGSSAPICredentials
from conchlite.limits import MAXIMUM_MECHANISMS
from conchlite.ssh.authmethods import gssapi
from conchlite.ssh.authmethods.gssapi import signedData
from conchlite.ssh.common import NS
from conchlite.ssh.gssapi import KERBEROS
from conchlite.wire.gssapi import GSSAPIData, UserauthGSSAPIToken
from tests.ssh.authlink import SESSION_ID, FakeChecker
from tests.ssh.authscenes import FAILURE, REQUEST, ServerMixin, request
from tests.ssh.fakegssapi import (
    COMPLETE,
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
    damaged,
    outOfPlace,
    trusting,
)


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
        So is one whose mechanism does not protect it.
        """
        self.library.integrity = False
        initiator = self.complete()
        mic = initiator.sign(signedData(SESSION_ID, b"user", b"ssh-connection"))
        self.assertRefused(self.answer(MIC, NS(mic)), METHOD.encode())
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
        for number, step in outOfPlace(steps):
            self.assertEqual(self.answer(number, NS(b"x")), [])
            self.assertIsInstance(self.transport.error, UnexpectedMessage, (step, number))
            self.assertNobodyAsked()

    def test_malformed(self):
        """
        Each message is parsed strictly.
        """
        places = (self.chosen, TOKEN), (self.chosen, ERRTOK), (self.complete, MIC), (self.complete, ERRTOK)
        for number, packet in damaged(*places):
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
