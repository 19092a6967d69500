"""
Tests for L{conchlite.client.login}.
"""

from __future__ import annotations

import os

from twisted.cred.checkers import ICredentialsChecker
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import (
    ConnectError,
    ConnectionRefusedError,
    DNSLookupError,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure
from twisted.python.filepath import FilePath
from zope.interface import implementer

from conchlite.client.knownhosts import KnownHostsFile, hostPattern
from conchlite.error import (
    AgentError,
    AuthenticationFailed,
    CannotConnect,
    ConchError,
    Disconnected,
    HostKeyChanged,
    HostKeyRejected,
    HostKeyUnknown,
    LoginTimedOut,
    UsageError,
    UserRejectedKey,
)
from conchlite.interfaces import IUserNameOnly
from conchlite.ssh.keys import Key
from conchlite.wire.userauth import UserauthBanner
from tests.client.agents import FakeAgent
from tests.endpointscenes import (
    ADDRESS,
    HOST,
    HOST_KEY,
    PASSWORD,
    UI,
    USER_KEY,
    LoginTestCase,
    Network,
)

OTHER_KEY = Key.generate("ed25519")


@implementer(IStreamClientEndpoint)
class Nobody:
    """
    An endpoint that leads to nobody.
    """

    def connect(self, protocolFactory: object) -> Deferred[object]:
        return fail(ConnectionRefusedError("nobody"))


class HostKeyTests(LoginTestCase):
    """
    Whom a login trusts.
    """

    def setUp(self) -> None:
        super().setUp()
        self.ui = UI()

    def unknown(self) -> KnownHostsFile:
        return KnownHostsFile.fromPath(FilePath(self.mktemp()))

    def test_unknown(self) -> None:
        """
        Where nobody is to be asked, a host that is not known is refused.
        """
        failure = self.failureResultOf(self.begin(self.login(knownHosts=self.unknown())), HostKeyUnknown)
        self.assertIn(HOST, str(failure.value))
        self.assertEqual([(9, b"bad host key")], self.server.goodbyes)
        self.assertEqual([], self.server.users)

    def test_changed(self) -> None:
        """
        One that is known with another key is refused, and nobody is asked.
        """
        changed = self.unknown()
        changed.addHostKey(hostPattern(HOST), OTHER_KEY.public())
        for ui in (None, self.ui):
            self.failureResultOf(self.begin(self.login(knownHosts=changed, ui=ui)), HostKeyChanged)
        self.assertEqual([], self.ui.questions)

    def test_knownIsNotAsked(self) -> None:
        self.loggedIn(self.login(ui=self.ui))
        self.assertEqual([], self.ui.questions)

    def test_accepted(self) -> None:
        """
        What is accepted is remembered, for the name and the address.
        """
        path = FilePath(self.mktemp())
        endpoint = self.login(knownHosts=path, ui=self.ui, port=2222)
        connecting = self.begin(endpoint)
        self.assertNoResult(connecting)
        (question,) = self.ui.questions
        for text in (b"[shell.example.com]:2222", b"[192.0.2.7]:2222", b"SHA256:"):
            self.assertIn(text, question)
        self.ui.answer.callback(True)
        self.network.flush()
        self.successResultOf(connecting)
        for host in (HOST, ADDRESS):
            saved = KnownHostsFile.fromPath(path)
            self.assertTrue(saved.hasHostKey(hostPattern(host, 2222), HOST_KEY.public()))
        self.loggedIn(self.login(knownHosts=path.path, port=2222))

    def test_anotherType(self) -> None:
        """
        Whoever is asked is told that the host is known with a key of another
        type: it may have one more key, or be another host.
        """
        knownHosts = self.unknown()
        knownHosts.addHostKey(hostPattern(HOST), Key.generate("ecdsa").public())
        connecting = self.begin(self.login(knownHosts=knownHosts, ui=self.ui))
        (warning,) = self.ui.warnings
        self.assertIn(b"is known with a ecdsa-sha2-nistp256 key", warning)
        self.ui.answer.callback(False)
        self.network.flush()
        self.failureResultOf(connecting, UserRejectedKey)

    def test_rejected(self) -> None:
        connecting = self.begin(self.login(knownHosts=self.unknown(), ui=self.ui))
        self.ui.answer.callback(False)
        self.network.flush()
        self.failureResultOf(connecting, UserRejectedKey)
        self.assertEqual(1, self.server.lost)

    def test_slowPerson(self) -> None:
        """
        Who is asked may take longer than our own limit, as long as the server
        waits.
        """
        connecting = self.begin(self.login(knownHosts=self.unknown(), ui=self.ui))
        self.network.advance(110)
        self.assertNoResult(connecting)
        self.ui.answer.callback(True)
        self.network.flush()
        self.successResultOf(connecting)

    def test_failingUI(self) -> None:
        connecting = self.begin(self.login(knownHosts=self.unknown(), ui=self.ui))
        self.ui.answer.errback(OSError("no terminal"))
        self.network.flush()
        self.failureResultOf(connecting, HostKeyRejected)
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))

    def test_defaultFiles(self) -> None:
        """
        Without other files, the user's own are asked.
        """
        home = FilePath(self.mktemp())
        file = home.child(".ssh").child("known_hosts")
        file.parent().makedirs()
        line = f"{HOST} {HOST_KEY.public().toString('openssh').decode()}\n"
        self.patch(os, "environ", {**os.environ, "HOME": home.path})
        self.failureResultOf(self.begin(self.login(knownHosts=None)), HostKeyUnknown)
        file.setContent(line.encode())
        self.loggedIn(self.login(knownHosts=None))
        self.loggedIn(self.login(knownHosts=b"~/.ssh/known_hosts"))


class LoginTests(LoginTestCase):
    """
    How it goes on then.
    """

    def test_keysInOrder(self) -> None:
        """
        The first key that the server takes will do.
        """
        connecting = self.begin(self.login(keys=[OTHER_KEY, USER_KEY]))
        self.network.wait()
        self.successResultOf(connecting)

    def test_password(self) -> None:
        self.loggedIn(self.login(keys=(), password=PASSWORD))

    def test_passwordBehindKeys(self) -> None:
        connecting = self.begin(self.login(keys=[OTHER_KEY], password=PASSWORD))
        self.network.wait()
        self.successResultOf(connecting)

    def test_refused(self) -> None:
        """
        The failure says what was tried and what the server wants.
        """
        connecting = self.begin(self.login(keys=[OTHER_KEY], password="wrong"))
        self.network.wait()
        error = self.failureResultOf(connecting, AuthenticationFailed).value
        self.assertEqual(2, len(error.tried))
        self.assertIn("password", error.tried[1])
        self.assertEqual({b"publickey", b"password"}, set(error.methods))
        self.assertIn(ADDRESS, str(error))
        self.assertEqual(1, self.server.lost)

    def test_nothingToTry(self) -> None:
        error = self.failureResultOf(self.begin(self.login(keys=())), AuthenticationFailed).value
        self.assertEqual((), error.tried)

    def test_serverEndsTheLogin(self) -> None:
        """
        A server that disconnects during the login has not let the user in.
        """
        self.server.checking.close()
        connecting = self.begin()
        self.network.pumps[0].server.sendDisconnect(2, b"Too many authentication failures")
        self.network.flush()
        error = self.failureResultOf(connecting, AuthenticationFailed).value
        self.assertIn("Too many authentication failures", str(error))
        self.server.checking.open()

    def test_serverEndsEarly(self) -> None:
        """
        One that disconnects before that has other reasons.
        """
        connecting = self.login().connect()
        pump = self.network.accept()
        pump.pump()
        pump.server.sendDisconnect(12, b"too many connections")
        self.network.flush()
        error = self.failureResultOf(connecting, Disconnected).value
        self.assertEqual(12, error.reason)

    def test_agent(self) -> None:
        """
        What an agent has is offered behind the program's own keys, unless
        only those are to be offered.
        """
        agent = FakeAgent(USER_KEY)
        connecting = self.begin(self.login(keys=[OTHER_KEY], agent=agent))
        self.network.wait()
        self.successResultOf(connecting)
        self.assertEqual([(USER_KEY.blob(), 0)], agent.asked)
        connecting = self.begin(self.login(keys=[OTHER_KEY], agent=agent, identitiesOnly=True))
        self.network.wait()
        error = self.failureResultOf(connecting, AuthenticationFailed).value
        self.assertEqual(["program"], [attempt.source for attempt in error.report.attempts])

    def test_agentRefuses(self) -> None:
        """
        A signature that an agent does not make is part of the report.
        """
        agent = FakeAgent(USER_KEY, error=AgentError("the agent is locked"))
        connecting = self.begin(self.login(keys=(), agent=agent))
        self.network.wait()
        error = self.failureResultOf(connecting, AuthenticationFailed).value
        self.assertIn("there was no signature by it", error.report.cause)
        self.assertIn("the agent is locked", str(error))

    def test_noAgent(self) -> None:
        """
        That there is no agent is no reason to give up, but to be told.
        """
        nobody = Nobody()
        self.loggedIn(self.login(agent=nobody))
        connecting = self.begin(self.login(keys=(), agent=nobody))
        error = self.failureResultOf(connecting, AuthenticationFailed).value
        self.assertIn("there is no agent: connection refused", str(error))

    def test_identities(self) -> None:
        """
        Files may be named; what is wrong with one is said at once.
        """
        path = FilePath(self.mktemp())
        path.setContent(USER_KEY.toString("openssh"))
        path.chmod(0o600)
        self.loggedIn(self.login(keys=(), identities=[path.path]))
        self.assertRaises(ConchError, self.login, identities=[path.path + "x"])

    def test_passphrase(self) -> None:
        """
        Files that are encrypted are opened with what the program says, each
        time that it connects; without an answer they are left out.
        """
        path = FilePath(self.mktemp())
        path.setContent(USER_KEY.toString("openssh", subtype="v1", passphrase=b"sesame", rounds=1))
        path.chmod(0o600)
        asked: list[str] = []

        def passphrase(path: str) -> Deferred[str]:
            asked.append(path)
            return succeed("sesame")

        login = self.login(keys=(), identities=[path.path], passphrase=passphrase)
        self.loggedIn(login)
        self.loggedIn(login)
        self.assertEqual(asked, [path.path] * 2)
        for without in (None, lambda path: None):
            login = self.login(keys=(), identities=[path.path], passphrase=without)
            error = self.failureResultOf(self.begin(login), AuthenticationFailed).value
            self.assertIn(path.path, str(error))

    def test_bannerAndQuestions(self) -> None:
        """
        What the server says and asks goes to the program.
        """
        self.server.checking.close()
        banners: list[tuple[str, str]] = []
        login = self.login(
            answers=lambda name, instruction, prompts: [instruction + text for text, _ in prompts],
            bannerReceived=lambda message, language: banners.append((message, language)),
        )
        connecting = self.begin(login)
        pump = self.network.pumps[0]
        pump.server.sendPacket(UserauthBanner.number, UserauthBanner(b"hello\x1b", b"en").pack())
        self.network.flush()
        self.assertEqual([("hello\\x1b", "en")], banners)
        asked = pump.client._wrappedProtocol.service.getGenericAnswers(b"", b"2 + ", [(b"2", True)])
        self.assertEqual([b"2 + 2"], asked)
        self.server.checking.open()
        self.network.flush()
        self.successResultOf(connecting)

    def test_whatIsNotAsked(self) -> None:
        """
        Questions are not begun where there is nothing to answer them with.
        """
        for given, expected in (
            ({}, False),
            ({"password": PASSWORD}, True),
            ({"answers": lambda name, instruction, prompts: []}, True),
        ):
            self.server.checking.close()
            self.begin(self.login(**given))
            self.assertIs(self.network.pumps[-1].client._wrappedProtocol.service.hasAnswers(), expected)

    def test_paths(self) -> None:
        """
        Who gives paths where keys and agents are wanted is told where paths go.
        """
        for given, said in (
            ({"keys": ["id_ed25519"]}, "identities"),
            ({"agent": "/agent"}, "connectToAgent"),
        ):
            self.assertIn(said, str(self.assertRaises(UsageError, self.login, **given)))

    def test_kinds(self) -> None:
        """
        Who takes an argument for something else is told so at once.
        """
        for given, said in (
            ({"identities": "id_ed25519"}, "a list of paths"),
            ({"passphrase": "secret"}, "a function of a path"),
            ({"username": 22}, "the port comes behind it"),
            ({"port": "22"}, "a number"),
        ):
            error = self.assertRaises(UsageError, self.login, **given)
            self.assertIn(said, str(error))
            self.assertNotIn("secret", str(error))

    def test_requireAuthentication(self) -> None:
        """
        Row 55: a server that lets anybody in is left, if that is wanted.
        """

        @implementer(ICredentialsChecker)
        class Anybody:
            credentialInterfaces = (IUserNameOnly,)

            def requestAvatarId(self, credentials: object) -> bytes:
                return credentials.username

        self.server.portal.registerChecker(Anybody())
        self.loggedIn(self.login())
        connecting = self.begin(self.login(requireAuthentication=True))
        error = self.failureResultOf(connecting, AuthenticationFailed).value
        self.assertIn("without asking for a proof", error.report.cause)

    def test_loginTimeout(self) -> None:
        """
        A server that is slow to answer has as long as the program says.
        """
        self.server.checking.close()
        connecting = self.begin(self.login(loginTimeout=50))
        self.network.advance(49)
        self.assertNoResult(connecting)
        self.network.advance(1)
        self.network.flush()
        error = self.failureResultOf(connecting, AuthenticationFailed).value
        self.assertIsInstance(error.data, LoginTimedOut)
        self.assertIn("within 50 seconds", error.report.cause)
        self.server.checking.open()

    def test_publicKey(self) -> None:
        self.assertRaises(UsageError, self.login, keys=[USER_KEY.public()])


class NetworkTests(LoginTestCase):
    """
    The way to the server.
    """

    def test_nameAndPort(self) -> None:
        self.login(port=2222).connect().addErrback(lambda _: None)
        self.assertEqual([HOST], self.network.nameResolver.names)
        self.assertEqual((ADDRESS, 2222), self.network.tcpClients[0][:2])

    def test_defaultPort(self) -> None:
        self.login().connect().addErrback(lambda _: None)
        self.assertEqual(22, self.network.tcpClients[0][1])

    def test_IPv6(self) -> None:
        self.network = Network(self.server, ["2001:db8::7"])
        self.login().connect().addErrback(lambda _: None)
        self.assertEqual(("2001:db8::7", 22), self.network.tcpClients[0][:2])

    def test_nextAddress(self) -> None:
        """
        If one address does not answer, the next one may.
        """
        self.network = Network(self.server, ["2001:db8::7", ADDRESS])
        connecting = self.login().connect()
        self.network.advance(1)
        self.network.tcpClients.pop(0)
        self.network.accept()
        self.network.flush()
        self.successResultOf(connecting)

    def test_unknownName(self) -> None:
        self.network = Network(self.server, [])
        self.failureResultOf(self.begin(accept=False), DNSLookupError)

    def test_badName(self) -> None:
        self.failureResultOf(self.begin(self.login(hostname=b"\xff.example"), accept=False), ValueError)

    def test_refused(self) -> None:
        connecting = self.begin(accept=False)
        factory = self.network.tcpClients[0][2]
        self.network.connectors[0].stopConnecting = lambda: None
        factory.clientConnectionFailed(self.network.connectors[0], Failure(ConnectionRefusedError("no")))
        self.network.advance(1)
        self.failureResultOf(connecting, ConnectError)
        self.assertEqual([], self.network.getDelayedCalls())

    def test_silentServer(self) -> None:
        """
        A server has a minute to prove who it is.
        """
        connecting = self.login().connect()
        self.network.accept()
        self.network.advance(59)
        self.assertNoResult(connecting)
        self.network.advance(1)
        self.failureResultOf(connecting, CannotConnect)
        self.network.flush()
        self.assertEqual(1, self.server.lost)
