"""
The scenes that tests of authentication begin with: a program and its client alone, a
server alone, and the requests that it may get.
"""

from __future__ import annotations

from twisted.internet.defer import succeed

from conchlite.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from conchlite.error import (
    AuthenticationFailed,
)
from conchlite.ssh import userauth
from conchlite.ssh.authmethods.publickey import signedData
from conchlite.ssh.common import MP, NS
from conchlite.ssh.keys import Key
from conchlite.ssh.userauth import SSHUserAuthClient, SSHUserAuthServer
from conchlite.wire.userauth import (
    PasswordData,
    PublicKeyData,
    UserauthFailure,
    UserauthPKOK,
    UserauthRequest,
)
from tests.ssh.authlink import (
    SESSION_ID,
    FakeFactory,
    FakeTransport,
    RecordingService,
)

REQUEST, FAILURE, SUCCESS, BANNER, PK_OK = 50, 51, 52, 53, 60


class Program(SSHUserAuthClient):
    """
    A program with what its lists hold.
    """

    def __init__(self, keys=(), privateKeys=None, passwords=(), user="user"):
        super().__init__(user, RecordingService())
        self.keys = list(keys)
        self.privateKeys = {key.blob(): key for key in (self.keys if privateKeys is None else privateKeys)}
        self.passwords = list(passwords)
        self.calls = []

    def getPublicKey(self):
        self.calls.append("getPublicKey")
        key = self.keys.pop(0) if self.keys else None
        return key.public() if isinstance(key, Key) else key

    def getPrivateKey(self):
        self.calls.append("getPrivateKey")
        return succeed(self.privateKeys.get(self.lastPublicKey.blob()))

    def getPassword(self):
        self.calls.append("getPassword")
        return succeed(self.passwords.pop(0)) if self.passwords else None

    def bannerReceived(self, message, language):
        self.calls.append(("banner", message, language))


class ClientMixin:
    """
    A client alone, to which the test is the server.
    """

    def start(self, client):
        self.client = client
        self.transport = FakeTransport()
        self.transport.setService(client)
        self.assertEqual(self.requests(), [(b"none", b"")])
        return self.transport

    def requests(self):
        """
        What was asked for since the last time.
        """
        found = []
        for number, payload in self.transport.sent:
            self.assertEqual(number, userauth.MSG_USERAUTH_REQUEST)
            request = UserauthRequest.unpack(payload)
            self.assertEqual((request.userName, request.serviceName), (b"user", b"ssh-connection"))
            found.append((request.methodName, request.methodData))
        self.transport.sent.clear()
        return found

    def refuse(self, *methods, partial=False):
        self.transport.receive(FAILURE, UserauthFailure(methods, partial).pack())

    def offered(self):
        """
        The one key that was offered: its algorithm and its blob.
        """
        [(method, data)] = self.requests()
        self.assertEqual(method, b"publickey")
        offer = PublicKeyData.unpack(data)
        self.assertEqual((offer.hasSignature, offer.signature), (False, b""))
        return offer.algorithm, offer.publicKey

    def accept(self, algorithm, blob):
        self.transport.receive(userauth.MSG_USERAUTH_PK_OK, UserauthPKOK(algorithm, blob).pack())

    def assertGaveUp(self):
        [(error, reason, description)] = self.transport.ended
        self.assertIsInstance(error, AuthenticationFailed)
        self.assertEqual((reason, description), (14, b"no more authentication methods available"))
        return error


def request(method, data=b"", user="user", service="ssh-connection"):
    return NS(user) + NS(service) + NS(method) + data


def passwordRequest(text, **names):
    return request("password", PasswordData(False, text.encode(), b"").pack(), **names)


def query(key, algorithm=None, **names):
    if algorithm is None:
        algorithm = key.supportedSignatureAlgorithms()[0]
    data = PublicKeyData(False, algorithm, key.blob(), b"")
    return request("publickey", data.pack(), **names)


def signed(
    key,
    algorithm=None,
    made=None,
    sessionID=SESSION_ID,
    signedUser=None,
    signedService=None,
    signedKey=None,
    signature=None,
    user="user",
    service="ssh-connection",
):
    """
    A signed request; what is signed may differ from what is asked for.
    """
    algorithm = algorithm or key.supportedSignatureAlgorithms()[0]
    if signature is None:
        covered = signedData(
            sessionID,
            (signedUser or user).encode(),
            (signedService or service).encode(),
            algorithm,
            (signedKey or key).blob(),
        )
        signature = key.sign(covered, made or algorithm)
    data = PublicKeyData(True, algorithm, key.blob(), NS(signature))
    return request("publickey", data.pack(), user, service)


def rsaBlob(bits):
    """
    A key that nobody can compute with.
    """
    return NS("ssh-rsa") + MP(65537) + MP((1 << (bits - 1)) | 1)


def owners(*keys):
    return SSHPublicKeyChecker(InMemorySSHKeyDB({b"user": list(keys)}))


class ServerMixin:
    """
    A server alone, to which the test is the client.
    """

    def start(self, *checkers, server=None, encrypted=True, clock=None):
        self.server = server or SSHUserAuthServer()
        self.transport = FakeTransport(clock)
        self.transport.encrypted = encrypted
        self.factory = self.transport.factory = FakeFactory(*checkers)
        self.transport.setService(self.server)
        return self.transport

    def ask(self, payload):
        """
        Send a request.

        @return: what came back.
        """
        self.transport.sent.clear()
        self.transport.receive(REQUEST, payload)
        return list(self.transport.sent)

    def assertRefused(self, answer, *methods, partial=False):
        [(number, payload)] = answer
        self.assertEqual(number, FAILURE)
        message = UserauthFailure.unpack(payload)
        self.assertEqual(message, UserauthFailure(methods, partial))
        # Not 0xff, as Conch writes it.
        self.assertEqual(payload[-1:], b"\1" if partial else b"\0")
        self.assertFalse(self.transport.isAuthenticated)

    def assertLoggedIn(self, answer):
        """
        The user is in, and the next service runs.
        """
        self.assertEqual(answer, [(SUCCESS, b"")])
        self.assertTrue(self.transport.isAuthenticated)
        self.assertIs(self.transport.service, self.factory.services[0])
        self.assertEqual(self.factory.services[0].events, ["started"])
        self.assertIsNotNone(self.transport.avatar)
        self.assertEqual(self.transport.ended, [])

    def assertNobodyIn(self):
        self.assertFalse(self.transport.isAuthenticated)
        self.assertIsNone(self.transport.avatar)
        self.assertNotIn(SUCCESS, self.transport.numbers)
        logged = [what for what, _ in self.factory.realm.events]
        self.assertEqual(logged.count("in"), logged.count("out"))
