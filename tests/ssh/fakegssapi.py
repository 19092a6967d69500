"""
GSS-API without Kerberos: a mechanism in memory, what every library is held to,
and programs that log in so.
"""

from __future__ import annotations

import hashlib
import hmac

from conchlite.error import GSSAPIError
from conchlite.interfaces import IGSSAPICredentials
from conchlite.ssh.common import NS
from conchlite.ssh.gssapi import KERBEROS
from conchlite.ssh.userauth import SSHUserAuthServer
from tests.ssh.authlink import FakeChecker
from tests.ssh.authscenes import Program

SERVICE = "host@server.example.org"

METHOD = "gssapi-with-mic"
RESPONSE, TOKEN, COMPLETE, ERROR, ERRTOK, MIC = 60, 61, 63, 64, 65, 66

#: What Kerberos is called, as RFC 4462 section 3.2 wants it: in DER.
OID = bytes.fromhex("06092a864886f712010202")
SPNEGO = bytes.fromhex("06062b0601050502")

FIRST = f"first|alice@EXAMPLE.ORG|{SERVICE}|False".encode()


def outOfPlace(steps):
    """
    The messages of a method that have no place at a step.

    @param steps: what brings about a step, to the messages that it allows.
    @return: yields each message's number and the step, which was brought about.
    """
    for step, allowed in steps.items():
        for number in set(range(60, 80)) - allowed:
            step()
            yield number, step


def damaged(*places):
    """
    Messages that are cut off, or have more behind them.

    @param places: what brings about a step, and a message that belongs there.
    @return: yields each message's number and what it carries; the step was
        brought about.
    """
    for step, number in places:
        for packet in (b"", NS(b"x")[:-1], NS(b"x") + b"x"):
            step()
            yield number, packet


class FakeContext:
    """
    One end of a conversation of two tokens.

    @ivar protectsIntegrity: whether its codes are worth anything.
    """

    def __init__(self, library, initiates, service, delegate=False):
        self._library = library
        self._initiates = initiates
        self._service = service
        self._delegate = delegate
        self._began = False
        self._key = b""
        self.isComplete = False
        self.protectsIntegrity = library.integrity
        self.principal = ""
        self.delegated = None

    def step(self, token):
        if self.isComplete:
            raise GSSAPIError("the context is complete")
        return self._initiate(token) if self._initiates else self._accept(token)

    def _initiate(self, token):
        library = self._library
        if not self._began:
            self._began = True
            if library.ticket is None:
                raise GSSAPIError("No Kerberos credentials available")
            if self._service not in library.services:
                raise GSSAPIError("Server not found in Kerberos database")
            text = f"first|{library.ticket}|{self._service}|{self._delegate}"
            self._key = hashlib.sha256(text.encode()).digest()
            self.isComplete = not library.mutual
            return text.encode()
        if token != b"second":
            raise GSSAPIError("Invalid token was supplied", b"what was that?")
        self.isComplete = True
        return None

    def _accept(self, token):
        parts = token.decode("ascii", "replace").split("|")
        if parts[0] != "first" or len(parts) != 4:
            raise GSSAPIError("Invalid token was supplied", b"what was that?")
        self.principal = parts[1]
        if parts[3] == "True":
            self.delegated = f"the ticket of {parts[1]}"
        self._key = hashlib.sha256(token).digest()
        self.isComplete = True
        return b"second" if self._library.mutual else None

    def sign(self, data):
        return hmac.digest(self._key, data, "sha256")

    def verify(self, data, mic):
        if not hmac.compare_digest(self.sign(data), mic):
            raise GSSAPIError("A token had an invalid Message Integrity Check (MIC)")


class FakeLibrary:
    """
    @ivar ticket: the principal whose ticket there is, or L{None}.
    @ivar integrity: whether the mechanism's codes are worth anything.
    @ivar mutual: whether the acceptor has a token, too.
    @ivar services: the services that there are.
    @ivar asked: what contexts were wanted.
    """

    def __init__(self, ticket="alice@EXAMPLE.ORG", integrity=True, mutual=True):
        self.ticket = ticket
        self.integrity = integrity
        self.mutual = mutual
        self.services = (SERVICE,)
        self.asked = []

    def initiate(self, mechanism, service, delegate):
        self.asked.append((mechanism, service, delegate))
        return FakeContext(self, True, service, delegate)

    def accept(self, mechanism, service):
        self.asked.append((mechanism, service))
        if service not in (None, *self.services):
            raise GSSAPIError("No key table entry found")
        return FakeContext(self, False, service)


def agree(library, service, delegate=False):
    """
    Make a context, both ends.
    """
    initiator = library.initiate(KERBEROS, service, delegate)
    acceptor = library.accept(KERBEROS, None)
    answer = acceptor.step(initiator.step(None))
    if answer is not None:
        initiator.step(answer)
    return initiator, acceptor


class LibraryMixin:
    """
    What every library does.

    @ivar service: a service that there is.
    @ivar principal: whose ticket there is.
    """

    service = SERVICE
    principal = "alice@EXAMPLE.ORG"

    def library(self):
        raise NotImplementedError

    def test_agreement(self):
        """
        Two ends come to an agreement, and the acceptor knows with whom.
        """
        initiator, acceptor = agree(self.library(), self.service)
        self.assertTrue(initiator.isComplete and acceptor.isComplete)
        self.assertTrue(initiator.protectsIntegrity and acceptor.protectsIntegrity)
        self.assertEqual(acceptor.principal, self.principal)
        acceptor.verify(b"data", initiator.sign(b"data"))

    def test_incomplete(self):
        """
        An initiator that waits for its acceptor is not complete.
        """
        initiator = self.library().initiate(KERBEROS, self.service, False)
        self.assertTrue(initiator.step(None))
        self.assertFalse(initiator.isComplete)

    def test_changed(self):
        """
        Neither what is signed nor the code may change.
        """
        initiator, acceptor = agree(self.library(), self.service)
        mic = initiator.sign(b"data")
        self.assertRaises(GSSAPIError, acceptor.verify, b"date", mic)
        for changed in (mic[:-1], mic[:-1] + bytes([mic[-1] ^ 1]), b""):
            self.assertRaises(GSSAPIError, acceptor.verify, b"data", changed)

    def test_anothersCode(self):
        """
        A code of one context is none of another.
        """
        library = self.library()
        initiator, _ = agree(library, self.service, delegate=True)
        _, acceptor = agree(library, self.service)
        self.assertRaises(GSSAPIError, acceptor.verify, b"data", initiator.sign(b"data"))

    def test_delegation(self):
        """
        Credentials are delegated when that is asked for.
        """
        _, acceptor = agree(self.library(), self.service)
        self.assertIsNone(acceptor.delegated)
        _, acceptor = agree(self.library(), self.service, delegate=True)
        self.assertIsNotNone(acceptor.delegated)

    def test_garbage(self):
        """
        What is no token is an error of ours, on either side.
        """
        acceptor = self.library().accept(KERBEROS, None)
        self.assertRaises(GSSAPIError, acceptor.step, b"garbage")
        initiator = self.library().initiate(KERBEROS, self.service, False)
        initiator.step(None)
        self.assertRaises(GSSAPIError, initiator.step, b"garbage")

    def test_unknownService(self):
        """
        Nobody has a ticket for a service that does not exist, and no server
        the key of it.
        """
        initiator = self.library().initiate(KERBEROS, "host@nowhere.invalid", False)
        error = self.assertRaises(GSSAPIError, initiator.step, None)
        self.assertIn("not found in Kerberos database", str(error))

        def accept():
            self.library().accept(KERBEROS, "host@nowhere.invalid").step(b"garbage")

        self.assertRaises(GSSAPIError, accept)


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
