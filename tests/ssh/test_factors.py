"""
Tests for L{conchlite.ssh.factors}, and for logins that take more than one.
"""

from __future__ import annotations

from twisted.cred.credentials import ISSHPrivateKey, IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import fail, succeed
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from conchlite.interfaces import IConchUser
from conchlite.ssh.certificates import FOREVER, USER, signCertificate
from conchlite.ssh.factors import AvatarID, following
from conchlite.ssh.fingerprints import hostKeyFingerprint
from conchlite.ssh.permissions import Permissions
from conchlite.ssh.userauth import SSHUserAuthServer
from tests.ssh.authlink import FakeChecker, ed25519, keyChecker, knows
from tests.ssh.authscenes import PK_OK, ServerMixin, owners, passwordRequest, query, request, signed

KEY, PASSWORD = b"publickey", b"password"


class FollowingTests(SynchronousTestCase):
    """
    L{following}.
    """

    def test_table(self):
        for wanted, done, left in (
            ([], [], []),
            ([], [KEY], None),
            ([[KEY]], [], [KEY]),
            ([[KEY]], [KEY], None),
            ([[KEY, PASSWORD]], [], [KEY]),
            ([[KEY, PASSWORD]], [KEY], [PASSWORD]),
            ([[KEY, PASSWORD]], [KEY, PASSWORD], None),
            ([[KEY, KEY]], [KEY], [KEY]),
            ([[KEY, KEY]], [KEY, KEY], None),
            ([[KEY, PASSWORD], [PASSWORD, KEY]], [], [KEY, PASSWORD]),
            ([[KEY, PASSWORD], [PASSWORD, KEY]], [PASSWORD], [KEY]),
            ([[KEY, PASSWORD], [KEY, KEY]], [KEY], [PASSWORD, KEY]),
            ([[KEY, PASSWORD], [PASSWORD]], [PASSWORD], None),
        ):
            self.assertEqual(following(wanted, done), left, (wanted, done))


class SeveralTests(ServerMixin, SynchronousTestCase):
    """
    A server that wants several methods.
    """

    def begin(self, *wanted, checkers=None):
        server = SSHUserAuthServer()
        server.requiredMethods = wanted
        self.start(*(checkers or (owners(ed25519(1), ed25519(2)), knows(user="a"))), server=server)

    def avatarIDs(self):
        return [who for what, who in self.factory.realm.events if what == "in"]

    def test_inOrder(self):
        """
        A list is gone through in its order; what is not its turn is refused,
        and its checker not asked.
        """
        password = FakeChecker(IUsernamePassword, lambda credentials: credentials.username)
        self.begin([KEY, PASSWORD], checkers=(owners(ed25519(1)), password))
        self.assertRefused(self.ask(request("none")), KEY)
        self.assertRefused(self.ask(passwordRequest("a")), KEY)
        self.assertEqual(password.asked, [])
        self.assertRefused(self.ask(signed(ed25519(1))), PASSWORD, partial=True)
        self.assertEqual(self.factory.realm.events, [])
        self.assertRefused(self.ask(signed(ed25519(1))), PASSWORD)
        self.assertLoggedIn(self.ask(passwordRequest("a")))
        [who] = self.avatarIDs()
        self.assertEqual([factor.method for factor in who.factors], [KEY, PASSWORD])

    def test_eitherOrder(self):
        for first, second, then in (
            (signed(ed25519(1)), passwordRequest("a"), PASSWORD),
            (passwordRequest("a"), signed(ed25519(1)), KEY),
        ):
            self.begin([KEY, PASSWORD], [PASSWORD, KEY])
            self.assertRefused(self.ask(first), then, partial=True)
            self.assertLoggedIn(self.ask(second))

    def test_sameKeyTwice(self):
        """
        Row 58: two keys are two keys.
        """
        self.begin([KEY, KEY])
        self.assertRefused(self.ask(signed(ed25519(1))), KEY, partial=True)
        self.assertRefused(self.ask(signed(ed25519(1))), KEY)
        self.assertEqual(self.server.loginAttempts, 1)
        self.assertLoggedIn(self.ask(signed(ed25519(2))))
        [who] = self.avatarIDs()
        self.assertEqual(len(set(who.fingerprints)), 2)

    def test_keyAndItsCertificate(self):
        """
        Row 58: a certificate is its key once more.
        """
        certified = signCertificate(
            ed25519(9), ed25519(1), kind=USER, keyID="id", principals=["user"], validBefore=FOREVER
        )
        for first, second in ((certified, ed25519(1)), (ed25519(1), certified)):
            server = SSHUserAuthServer()
            server.requiredMethods = [[KEY, KEY]]
            server.acceptedSignatures = [b"ssh-ed25519", b"ssh-ed25519-cert-v01@openssh.com"]
            self.start(keyChecker(lambda credentials: credentials.username), server=server)
            self.assertRefused(self.ask(signed(first)), KEY, partial=True)
            self.assertRefused(self.ask(signed(second)), KEY)
            self.assertNobodyIn()

    def test_anotherUser(self):
        """
        What one user has proved is nothing for another.
        """
        self.begin([KEY, PASSWORD], checkers=(owners(ed25519(1)), knows(user="a", other="a")))
        self.assertRefused(self.ask(signed(ed25519(1))), PASSWORD, partial=True)
        self.assertRefused(self.ask(passwordRequest("a", user="other")), KEY)
        self.assertRefused(self.ask(passwordRequest("a")), KEY)
        self.assertNobodyIn()

    def test_anotherAvatar(self):
        """
        Checkers have to agree on who it is.
        """
        self.begin([KEY, PASSWORD], checkers=(keyChecker(lambda c: b"root"), knows(user="a")))
        self.assertRefused(self.ask(signed(ed25519(1))), PASSWORD, partial=True)
        self.assertRefused(self.ask(passwordRequest("a")), PASSWORD)
        self.assertNobodyIn()

    def test_query(self):
        """
        To show a key is no factor, even where a checker takes it for one.
        """
        self.begin([KEY, PASSWORD], checkers=(keyChecker(lambda c: c.username), knows(user="a")))
        [(number, _)] = self.ask(query(ed25519(1)))
        self.assertEqual(number, PK_OK)
        self.assertRefused(self.ask(passwordRequest("a")), KEY)
        self.assertNobodyIn()

    def test_perUser(self):
        """
        C{methodsFor} may be overridden.
        """

        class Own(SSHUserAuthServer):
            def methodsFor(self, user):
                return [[KEY, PASSWORD]] if user == b"user" else []

        self.start(owners(ed25519(1)), knows(user="a", other="a"), server=Own())
        self.assertRefused(self.ask(passwordRequest("a")), KEY)
        self.assertLoggedIn(self.ask(passwordRequest("a", user="other")))

    def test_impossible(self):
        """
        With a method that is not there nobody gets in, and nothing is offered.
        """
        self.begin([b"hostbased", KEY])
        self.assertRefused(self.ask(signed(ed25519(1))))
        self.assertNobodyIn()


class PermissionsOfFactorsTests(ServerMixin, SynchronousTestCase):
    """
    What keys take away.
    """

    def logIn(self, first, second):
        server = SSHUserAuthServer()
        server.requiredMethods = [[KEY, PASSWORD]]
        self.start(
            keyChecker(lambda c: AvatarID(c.username, first)),
            FakeChecker(IUsernamePassword, lambda c: AvatarID(c.username, second)),
            server=server,
        )
        self.assertRefused(self.ask(signed(ed25519(1))), PASSWORD, partial=True)
        return self.ask(passwordRequest("a"))

    def test_intersected(self):
        """
        Row 59: what the first factor is bound to, the login is bound to.
        """
        bound = Permissions(command=b"date", pty=False)
        self.assertLoggedIn(self.logIn(bound, Permissions(userRC=False)))
        permissions = self.transport.permissions
        self.assertEqual((permissions.command, permissions.pty, permissions.userRC), (b"date", False, False))
        [(_, who)] = self.factory.realm.events
        self.assertEqual((who.permissions.command, who.permissions.pty), (b"date", False))

    def test_conflict(self):
        """
        Row 59: two commands that differ are no login.
        """
        answer = self.logIn(Permissions(command=b"date"), Permissions(command=b"uname"))
        self.assertRefused(answer, PASSWORD)
        self.assertNobodyIn()

    def test_policy(self):
        """
        Row 103: no key grants what the server does not.
        """
        self.start(keyChecker(lambda c: AvatarID(c.username, Permissions())))
        self.assertLoggedIn(self.ask(signed(ed25519(1))))
        self.assertFalse(self.transport.permissions.portForwarding)

    def test_fingerprint(self):
        """
        Row 56: the realm learns by which key, and of no other that was shown
        before.
        """
        self.start(owners(ed25519(1), ed25519(2)))
        for other in (2, 1, 2):
            self.ask(query(ed25519(other)))
        self.assertLoggedIn(self.ask(signed(ed25519(1))))
        [(_, who)] = self.factory.realm.events
        self.assertEqual(who, b"user")
        self.assertEqual(who.fingerprints, (hostKeyFingerprint(ed25519(1).blob()).sha256,))

    def test_otherNames(self):
        """
        What a checker gives that is no name goes to the realm as it is.
        """
        row = object()
        self.start(keyChecker(lambda c: succeed(row)))
        self.assertLoggedIn(self.ask(signed(ed25519(1))))
        self.assertEqual(self.factory.realm.events, [("in", row)])


class OverrideTests(ServerMixin, SynchronousTestCase):
    """
    Subclasses that ask the portal themselves, as programs for Conch do.
    """

    def test_permissions(self):
        """
        Row 59: what the checker takes away stays away.
        """

        class Own(SSHUserAuthServer):
            def auth_password(self, packet):
                return self.portal.login(UsernamePassword(self.user, b"a"), None, IConchUser)

        bound = Permissions(command=b"date")
        checker = FakeChecker(IUsernamePassword, lambda c: AvatarID(c.username, bound))
        self.start(checker, server=Own())
        self.assertLoggedIn(self.ask(passwordRequest("a")))
        self.assertEqual(self.transport.permissions.command, b"date")

    def test_severalMethods(self):
        """
        A method that lets a user in without the portal is one method.
        """

        class Own(SSHUserAuthServer):
            requiredMethods = ((PASSWORD, KEY), (KEY, PASSWORD))

            def auth_password(self, packet):
                return succeed((IConchUser, object(), lambda: out.append("out")))

        out = []
        self.start(knows(), owners(ed25519(1)), server=Own())
        self.assertRefused(self.ask(passwordRequest("a")), KEY, partial=True)
        self.assertEqual(out, ["out"])
        self.assertLoggedIn(self.ask(signed(ed25519(1))))
        self.start(knows(), owners(ed25519(1)), server=Own())
        self.assertRefused(self.ask(signed(ed25519(1))), PASSWORD, partial=True)
        self.assertLoggedIn(self.ask(passwordRequest("a")))

    def test_portal(self):
        """
        The portal has what the factory's has.
        """
        self.start(owners(ed25519(1)))
        self.assertIs(self.server.portal.realm, self.factory.realm)
        self.assertEqual(self.server.portal.listCredentialsInterfaces(), [ISSHPrivateKey])
        self.factory.portal.own = "attribute"
        self.assertEqual(self.server.portal.own, "attribute")

    def test_realmFails(self):
        """
        What is proved to a realm that has no avatar may be proved again.
        """
        self.start(owners(ed25519(1)))
        answers = [fail(UnauthorizedLogin("not today")), succeed((IConchUser, object(), lambda: None))]
        self.factory.portal.realm.requestAvatar = lambda *arguments: answers.pop(0)
        self.assertRefused(self.ask(signed(ed25519(1))), KEY)
        self.assertLoggedIn(self.ask(signed(ed25519(1))))

    def test_serversCommand(self):
        """
        A command of the server's for everybody, and a key with another one.
        """
        self.start(keyChecker(lambda c: AvatarID(c.username, Permissions(command=b"date"))))
        self.transport.permissions = Permissions(command=b"uname")
        self.assertRefused(self.ask(signed(ed25519(1))), KEY)
        self.assertNobodyIn()
        self.assertEqual(self.factory.realm.events, [])


class LogTests(ServerMixin, SynchronousTestCase):
    """
    What the log says of a login.
    """

    def logged(self, key):
        events = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.start(keyChecker(lambda credentials: credentials.username))
        self.assertLoggedIn(self.ask(signed(key)))
        [line] = [formatEvent(event) for event in events if "logged in" in formatEvent(event)]
        return line

    def test_key(self):
        fingerprint = hostKeyFingerprint(ed25519(1).blob()).sha256
        self.assertEqual(
            self.logged(ed25519(1)),
            f"user logged in with publickey ssh-ed25519 {fingerprint} from 192.0.2.1",
        )

    def test_certificate(self):
        """
        Row 130: of a certificate its name, made harmless, its number, and
        whose it is.
        """
        certified = signCertificate(
            ed25519(9),
            ed25519(1),
            kind=USER,
            keyID="a\nb",
            principals=["user"],
            validBefore=FOREVER,
            serial=7,
        )
        fingerprint, authority = (hostKeyFingerprint(ed25519(seed).blob()).sha256 for seed in (1, 9))
        self.assertEqual(
            self.logged(certified),
            f"user logged in with publickey ssh-ed25519-cert-v01@openssh.com {fingerprint}"
            f' ID "a\\nb" serial 7 CA {authority} from 192.0.2.1',
        )
