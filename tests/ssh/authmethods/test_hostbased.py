"""
Tests for L{conchlite.ssh.authmethods.hostbased}.
"""

from __future__ import annotations

import getpass

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import MalformedMessage
from conchlite.interfaces import IHostBased
from conchlite.ssh.common import NS
from conchlite.ssh.keys import Key
from conchlite.ssh.userauth import SSHUserAuthServer
from conchlite.wire.userauth import HostBasedData, HostBasedSignedData
from tests.ssh.authlink import SESSION_ID, FakeChecker, Link, ed25519, rsa
from tests.ssh.authscenes import ClientMixin, Program, ServerMixin, request, rsaBlob

METHOD = b"hostbased"


class Host(Program):
    """
    A program on a machine with host keys.
    """

    clientHostName = "client.example.org"
    clientUserName = "me"

    def __init__(self, *hostKeys, **rest):
        super().__init__(**rest)
        self.hostKeys = list(hostKeys)

    def getHostKey(self):
        self.calls.append("getHostKey")
        return self.hostKeys.pop(0) if self.hostKeys else None


def covered(key, algorithm=b"ssh-ed25519", **fields):
    """
    What a signature has to cover.
    """
    values = {
        "sessionID": SESSION_ID,
        "messageNumber": 50,
        "userName": b"user",
        "serviceName": b"ssh-connection",
        "methodName": METHOD,
        "algorithm": algorithm,
        "hostKey": key.public().blob(),
        "clientHost": b"client.example.org.",
        "clientUser": b"me",
        **fields,
    }
    return HostBasedSignedData(**values).pack()


class ClientTests(ClientMixin, SynchronousTestCase):
    """
    The client's half.
    """

    def sent(self):
        [(method, data)] = self.requests()
        self.assertEqual(method, METHOD)
        return HostBasedData.unpack(data)

    def test_login(self):
        """
        The machine's name has a dot at its end, and the signature covers all
        that is said.
        """
        for name in ("client.example.org", b"client.example.org", "client.example.org."):
            self.start(Host(succeed(ed25519(1))))
            self.client.clientHostName = name
            self.refuse(METHOD)
            data = self.sent()
            self.assertEqual((data.clientHost, data.clientUser), (b"client.example.org.", b"me"))
            self.assertEqual(data.hostKey, ed25519(1).public().blob())
            ed25519(1).verifyStrictly(data.signature, covered(ed25519(1)), data.algorithm)

    def test_userName(self):
        """
        The user is whom the process runs as, unless the program says otherwise.
        """
        self.start(Host(ed25519(1)))
        self.client.clientUserName = None
        self.refuse(METHOD)
        self.assertEqual(self.sent().clientUser, getpass.getuser().encode())

    def test_keys(self):
        """
        Row 72: each key once, until there is none.
        """
        client = Host(ed25519(1), ed25519(1), ed25519(2), ed25519(1))
        self.start(client)
        self.refuse(METHOD)
        self.assertEqual(self.sent().hostKey, ed25519(1).public().blob())
        self.refuse(METHOD)
        self.assertEqual(self.sent().hostKey, ed25519(2).public().blob())
        self.refuse(METHOD)
        self.assertEqual(self.requests(), [])
        self.assertIn("host key of client.example.org.", str(self.assertGaveUp()))

    def test_rsa(self):
        """
        An RSA key signs by what the server knows.
        """
        self.start(Host(rsa()))
        self.transport.peerExtensions[b"server-sig-algs"] = b"rsa-sha2-256,ssh-ed25519"
        self.refuse(METHOD)
        self.assertEqual(self.sent().algorithm, b"rsa-sha2-256")

    def test_signer(self):
        """
        Where the program has the public key only, it signs in its own way.
        """

        class Signing(Host):
            def signAsHost(self, hostKey, data):
                return succeed(ed25519(1).sign(data, self.signatureAlgorithm))

        self.start(Signing(ed25519(1).public()))
        self.refuse(METHOD)
        data = self.sent()
        ed25519(1).verifyStrictly(data.signature, covered(ed25519(1)), data.algorithm)

    def test_notTried(self):
        """
        What makes no request: no name of the machine, no key, what is no key, a
        key that cannot sign, a signature of another algorithm.
        """
        for given, said in (
            ([ed25519(1).public()], "there was no signature"),
            ([None], ""),
            (["no key"], "is no key"),
            ([Key.generate("rsa", 1024)], "bits"),
        ):
            self.start(Host(*given))
            self.refuse(METHOD)
            self.assertEqual(self.requests(), [])
            self.assertIn(said, str(self.assertGaveUp()))
        client = self.client = Host(rsa())
        client.signAsHost = lambda key, data: key.sign(data, b"rsa-sha2-256")
        self.start(client)
        self.refuse(METHOD)
        self.assertEqual(self.requests(), [])
        self.assertIn("rsa-sha2-256 signature", str(self.assertGaveUp()))
        self.start(Program())
        self.refuse(METHOD)
        self.assertEqual((self.requests(), self.client.calls), ([], []))


def signed(key, algorithm=b"ssh-ed25519", made=None, signature=None, blob=None, **fields):
    """
    A request; what is signed may differ from what is asked for.
    """
    data = covered(key, algorithm, **fields)
    signature = key.sign(data, made or algorithm) if signature is None else signature
    blob = key.public().blob() if blob is None else blob
    asked = HostBasedData(algorithm, blob, b"client.example.org.", b"me", signature)
    return request("hostbased", asked.pack())


class ServerTests(ServerMixin, SynchronousTestCase):
    """
    The server's half.
    """

    def begin(self, answer=lambda credentials: credentials.username):
        self.checker = FakeChecker(IHostBased, answer)
        self.start(self.checker)

    def test_login(self):
        """
        The checker is asked when the signature has been verified.
        """
        self.begin()
        self.assertLoggedIn(self.ask(signed(ed25519(1))))
        [credentials] = self.checker.asked
        self.assertEqual(
            (credentials.username, credentials.clientHost, credentials.clientUser, credentials.blob),
            (b"user", b"client.example.org", b"me", ed25519(1).public().blob()),
        )
        self.assertEqual(credentials.address.host, "192.0.2.1")

    def test_covered(self):
        """
        Row 73: a signature covers the session, the user, the service, the
        method, the key and both names, and is good for nothing else.
        """
        for fields in (
            {"sessionID": b"\x18" * 32},
            {"userName": b"root"},
            {"serviceName": b"ssh-userauth"},
            {"methodName": b"publickey"},
            {"algorithm": b"ssh-ed448"},
            {"hostKey": ed25519(2).public().blob()},
            {"clientHost": b"other.example.org."},
            {"clientHost": b"client.example.org"},
            {"clientUser": b"root"},
            {"messageNumber": 51},
        ):
            self.begin()
            values = {"algorithm": b"ssh-ed25519", **fields}
            signature = ed25519(1).sign(covered(ed25519(1), **values), b"ssh-ed25519")
            self.assertRefused(self.ask(signed(ed25519(1), signature=signature)), METHOD)
            self.assertEqual(self.checker.asked, [])

    def test_badKeys(self):
        """
        Rows 40, 47 and 66: what is no key, no signature, too large or of an
        algorithm that is not accepted is a failure, and nobody is asked.
        """
        for asked in (
            signed(ed25519(1), blob=b"junk"),
            signed(ed25519(1), signature=b"junk"),
            signed(ed25519(1), signature=b""),
            signed(ed25519(1), blob=NS("ssh-ed25519") + NS("short")),
            signed(rsa(), b"ssh-rsa", made=b"rsa-sha2-256"),
            signed(rsa(), b"rsa-sha2-512", made=b"rsa-sha2-256"),
            signed(rsa(), b"rsa-sha2-512", blob=rsaBlob(100_000)),
            signed(rsa(), b"rsa-sha2-512", blob=rsaBlob(1024)),
        ):
            self.begin()
            self.assertRefused(self.ask(asked), METHOD)
            self.assertEqual((self.checker.asked, self.server.loginAttempts), ([], 1))

    def test_refused(self):
        self.begin(lambda credentials: fail(UnauthorizedLogin("nobody knows that host")))
        self.assertRefused(self.ask(signed(ed25519(1))), METHOD)

    def test_names(self):
        """
        Names that cannot be shown, or are none, come to no checker.
        """
        for host, user in (
            (b"", b"me"),
            (b"h\n.", b"me"),
            (b"h.", b""),
            (b"h.", b"\xff"),
            (b"h" * 256, b"me"),
        ):
            self.begin()
            data = covered(ed25519(1), clientHost=host, clientUser=user)
            signature = ed25519(1).sign(data, b"ssh-ed25519")
            asked = HostBasedData(b"ssh-ed25519", ed25519(1).public().blob(), host, user, signature)
            self.assertRefused(self.ask(request("hostbased", asked.pack())), METHOD)
            self.assertEqual(self.checker.asked, [])

    def test_malformed(self):
        for data in (b"", NS("ssh-ed25519"), HostBasedData(b"", b"", b"", b"", b"").pack() + b"x"):
            self.begin()
            self.ask(request("hostbased", data))
            self.assertIsInstance(self.transport.error, MalformedMessage)


class TwiceTests(ServerMixin, SynchronousTestCase):
    def test_sameKey(self):
        """
        Row 58: two machines' words, where two are wanted, are two keys.
        """

        class Server(SSHUserAuthServer):
            requiredMethods = ((b"hostbased", b"hostbased"),)

        for second, fine in ((1, False), (2, True)):
            checker = FakeChecker(IHostBased, lambda credentials: credentials.username)
            self.start(checker, server=Server())
            self.assertRefused(self.ask(signed(ed25519(1))), METHOD, partial=True)
            answer = self.ask(signed(ed25519(second)))
            if fine:
                self.assertLoggedIn(answer)
                [(_, avatarID)] = self.factory.realm.events
                self.assertEqual((len(avatarID.factors), avatarID.fingerprints), (2, ()))
            else:
                self.assertRefused(answer, METHOD)


class BothTests(SynchronousTestCase):
    def test_login(self):
        asked = []
        checker = FakeChecker(IHostBased, lambda c: asked.append(c.clientUser) or c.username)
        link = Link(Host(ed25519(1)), SSHUserAuthServer(), checker)
        link.pump(2)
        self.assertTrue(link.server.isAuthenticated)
        self.assertTrue(link.client.isAuthenticated)
        self.assertEqual(asked, [b"me"])
