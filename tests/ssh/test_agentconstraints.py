"""
Tests for L{conchlite.ssh.agentconstraints} and L{conchlite.ssh.agentbindings}:
what a key in an agent may be used for.
"""

from __future__ import annotations

import time

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from conchlite.error import AgentError, MalformedMessage, UsageError
from conchlite.ssh.agent import Constraints, Destination, Hop, HopKey, KeyRing
from conchlite.wire import agent
from conchlite.wire.publickeys import HOST
from conchlite.wire.types import Reader, packString
from tests.ssh.agentscenes import FIRST, ORIGIN, SECOND, THIRD, Ends, asked, keyNamed, login, to
from tests.ssh.certificatescenes import CA, certified

FAILURE, SUCCESS = b"\x05", b"\x06"

WAY = Destination(ORIGIN, FIRST.hop("alice"))

ALL = (
    Constraints(lifetime=2**32 - 1),
    Constraints(confirm=True),
    Constraints(destinations=(WAY,)),
    Constraints(destinations=(WAY, Destination(FIRST.hop(), SECOND.hop()))),
    Constraints(certificatesOnly=True, certificates=(b"one", b"two")),
    Constraints(certificates=(b"one",)),
    Constraints(securityKeyProvider=b"internal"),
    Constraints(5, True, (WAY,), True, (b"one",), b"internal"),
)


class ConstraintsTests(SynchronousTestCase):
    def test_roundTrip(self):
        """
        Row 85: every constraint is what it was, once it was packed and read.
        """
        for constraints in ALL:
            self.assertTrue(constraints)
            self.assertEqual(Constraints.read(Reader(constraints.pack())), constraints)
        self.assertFalse(Constraints())
        self.assertEqual(Constraints().pack(), b"")

    def test_openSSH(self):
        """
        Bytes that ssh-add sends, by hand.
        """
        hop = packString(b"alice") + packString(b"first") + packString(b"")
        hop += packString(FIRST.key.public().blob()) + b"\0"
        origin = packString(b"") * 3
        packed = packString(origin) + packString(hop) + packString(b"")
        name = packString(b"restrict-destination-v00@openssh.com")
        self.assertEqual(
            Constraints(7, True, (WAY,)).pack(),
            b"\x01\0\0\0\x07\x02\xff" + name + packString(packString(packed)),
        )

    def test_unknown(self):
        """
        Row 85: a constraint that is not known, twice there, or empty of what
        it is for, makes an addition fail; so does a destination that nobody
        can be at.
        """
        self.ring = KeyRing(Clock(), confirm=lambda use: True)
        ends = Ends(self.ring)
        identity = keyNamed("ed25519").privateBlob() + packString(b"")
        restrict = b"\xff" + packString(agent.RESTRICT_DESTINATION)
        hop, origin = FIRST.hop().pack(), ORIGIN.pack()

        def destination(fromHop: bytes, toHop: bytes, reserved: bytes = b"") -> bytes:
            packed = packString(fromHop) + packString(toHop) + packString(reserved)
            return restrict + packString(packString(packed))

        names = packString(FIRST.hop().user) + packString(FIRST.hop().hostname)
        self.assertTrue(hop.startswith(names + packString(b"")))
        reserved = hop.replace(names + packString(b""), names + packString(b"x"))
        for constraints in (
            b"\x00",
            b"\x03\0\0\0\x01",
            b"\x01\0\0\0\0",
            b"\x01\0\0\0",
            b"\x02\x02",
            b"\xff" + packString(b"no-such@example.org"),
            restrict + packString(b""),
            restrict + packString(b"\0"),
            destination(origin, origin),
            destination(Hop(b"bob").pack(), hop),
            destination(Hop(b"", b"first").pack(), hop),
            destination(origin, Hop(b"", b"first").pack()),
            destination(origin, hop, b"x"),
            destination(origin, reserved),
        ):
            answers = asked(ends.server, b"\x19" + identity + constraints)
            self.assertEqual((answers, dict(self.ring.keys)), ([FAILURE], {}), constraints)
        self.assertEqual(asked(ends.server, b"\x19" + identity + destination(origin, hop)), [SUCCESS])
        # The other message takes no constraints at all.
        self.assertEqual(asked(ends.server, b"\x11" + identity + b"\x02"), [FAILURE])

    def test_notEnforced(self):
        """
        Row 85: an agent that cannot hold to a constraint does not hold the key.
        """
        for constraints in (
            Constraints(lifetime=5),
            Constraints(confirm=True),
            Constraints(certificatesOnly=True),
            Constraints(certificates=(b"one",)),
            Constraints(securityKeyProvider=b"internal"),
        ):
            ends = Ends(KeyRing())
            adding = ends.client.addKey(keyNamed("ed25519"), constraints=constraints)
            ends.flush()
            self.failureResultOf(adding, AgentError)
            self.assertEqual(ends.ring.keys, {})

    def test_limits(self):
        packed = packString(b"")
        many = b"\xff" + packString(agent.ASSOCIATED_CERTIFICATES) + b"\0" + packString(packed * 1025)
        with self.assertRaises(MalformedMessage):
            Constraints.read(Reader(many))
        with self.assertRaises(UsageError):
            Constraints(lifetime=2**32).pack()


class BindingTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.key = keyNamed("ed25519")
        self.blob = self.key.blob()
        self.ring = KeyRing(Clock())
        self.ends = Ends(self.ring)

    def restrict(self, constraints: Constraints) -> None:
        self.ring.add(self.key, constraints=constraints)

    def fires(self, deferred: Deferred) -> bool:
        self.ends.flush()
        outcome = []
        deferred.addCallbacks(
            lambda _: outcome.append(True), lambda f: outcome.append(not f.trap(AgentError))
        )
        (result,) = outcome
        return result

    def bind(self, *bindings: agent.SessionBind) -> list[bool]:
        return [
            self.fires(self.ends.client.extension(agent.SESSION_BIND, binding.pack())) for binding in bindings
        ]

    def signs(self, data: bytes) -> bool:
        return self.fires(self.ends.client.signData(self.blob, data))

    def listed(self) -> list[bytes]:
        listing = self.ends.client.requestIdentities()
        self.ends.flush()
        return [blob for blob, _ in self.successResultOf(listing)]


class LoginTests(BindingTestCase):
    """
    A key that may be used from the agent's own host to one other, as alice.
    """

    def setUp(self) -> None:
        super().setUp()
        self.restrict(to((ORIGIN, FIRST.hop("al*"))))

    def test_permitted(self):
        self.assertEqual(self.bind(FIRST.binding(b"session")), [True])
        hostKey = FIRST.key.public().blob()
        self.assertTrue(self.signs(login(self.key, b"session")))
        self.assertTrue(self.signs(login(self.key, b"session", hostKey=hostKey)))
        self.assertEqual(self.listed(), [self.blob])

    def test_otherwise(self):
        """
        Another user, session, host, service, method, key or message; and
        anything that is no login at all.
        """
        self.bind(FIRST.binding(b"session"))
        other = keyNamed("ecdsa256")
        for data in (
            login(self.key, b"session", b"bob"),
            login(self.key, b"other"),
            login(self.key, b""),
            login(self.key, b"session", hostKey=SECOND.key.public().blob()),
            login(self.key, b"session", hostKey=b""),
            login(self.key, b"session", serviceName=b"ssh-userauth"),
            login(self.key, b"session", methodName=b"hostbased"),
            login(self.key, b"session", messageNumber=51),
            login(self.key, b"session", hasSignature=False),
            login(self.key, b"session", algorithm=b"ssh-rsa"),
            login(self.key, b"session", publicKey=other.public().blob()),
            login(self.key, b"session") + b"x",
            login(self.key, b"session")[:-1],
            b"SSHSIG" + bytes(40),
            b"",
        ):
            self.assertFalse(self.signs(data), data)
        self.assertTrue(self.signs(login(self.key, b"session")))

    def test_unbound(self):
        """
        On the agent's own host the key is seen, but signs for nobody who does
        not say for which connection.
        """
        self.assertEqual(self.listed(), [self.blob])
        self.assertFalse(self.signs(login(self.key, b"session")))

    def test_badBinding(self):
        """
        A host that has not signed; then the key is not even seen.
        """
        good = FIRST.binding(b"session")
        for binding in (
            agent.SessionBind(good.hostKey, b"other", good.signature, False),
            agent.SessionBind(SECOND.key.public().blob(), b"session", good.signature, False),
            agent.SessionBind(good.hostKey, b"session", b"", False),
            agent.SessionBind(b"", b"session", good.signature, False),
        ):
            self.ends = Ends(self.ring)
            self.assertEqual(self.bind(binding), [False])
            self.assertEqual(self.listed(), [])
            self.assertFalse(self.signs(login(self.key, b"session")))

    def test_malformedBinding(self):
        self.assertFalse(self.fires(self.ends.client.extension(agent.SESSION_BIND, b"x")))
        self.assertEqual(self.listed(), [])

    def test_sha1(self):
        """
        A host's signature with SHA-1 proves nothing.
        """
        key = keyNamed("rsa")
        for algorithm, good in ((b"ssh-rsa", False), (b"rsa-sha2-256", True)):
            self.ends = Ends(self.ring)
            signature = key.sign(b"session", algorithm)
            binding = agent.SessionBind(key.public().blob(), b"session", signature, False)
            self.assertEqual(self.bind(binding), [good])

    def test_otherHost(self):
        self.bind(SECOND.binding(b"session"))
        self.assertEqual(self.listed(), [])
        self.assertFalse(self.signs(login(self.key, b"session")))

    def test_twice(self):
        """
        What is bound to a login is bound to nothing else.
        """
        self.assertEqual(self.bind(FIRST.binding(b"session"), FIRST.binding(b"other")), [True, False])
        self.assertTrue(self.signs(login(self.key, b"session")))

    def test_forwardedHere(self):
        """
        The host that the key ends at gets no more of it than that.
        """
        self.bind(FIRST.binding(b"session", forwarding=True))
        self.assertEqual(self.listed(), [])
        self.assertFalse(self.signs(login(self.key, b"session")))
        self.assertFalse(self.fires(self.ends.client.removeIdentity(self.blob)))
        self.assertIn(self.blob, self.ring.keys)

    def test_eachKey(self):
        """
        Row 128: constraints are each key's own, however many keys there are
        and whichever was added first.
        """
        names = ("ecdsa256", "rsa", "ecdsa384")
        for name in names:
            self.ring.add(keyNamed(name), constraints=to((ORIGIN, SECOND.hop())))
        self.ring.add(keyNamed("ecdsa521"))
        self.bind(FIRST.binding(b"session"))
        self.assertEqual(self.listed(), [self.blob, keyNamed("ecdsa521").blob()])
        for name in names:
            key = keyNamed(name)
            signing = self.ends.client.signData(key.blob(), login(key, b"session"))
            self.assertFalse(self.fires(signing), name)
            self.assertFalse(self.fires(self.ends.client.signData(key.blob(), b"data")), name)


class HopTests(BindingTestCase):
    """
    From the agent's own host to the first, from there to the second, from
    there as alice to the third.
    """

    def setUp(self) -> None:
        super().setUp()
        self.restrict(
            to((ORIGIN, FIRST.hop()), (FIRST.hop(), SECOND.hop()), (SECOND.hop(), THIRD.hop("alice")))
        )
        self.third = THIRD.key.public().blob()

    def test_permitted(self):
        """
        The whole way; what is listed for each host is what is of use there.
        """
        self.bind(FIRST.binding(b"1", True))
        self.assertEqual(self.listed(), [self.blob])
        self.bind(SECOND.binding(b"2", True))
        self.assertEqual(self.listed(), [self.blob])
        self.bind(THIRD.binding(b"3"))
        self.assertEqual(self.listed(), [self.blob])
        self.assertTrue(self.signs(login(self.key, b"3", hostKey=self.third)))

    def test_notHostBound(self):
        """
        A host on the way could pass a login on to another one, unless it is
        bound to the host key.
        """
        self.bind(FIRST.binding(b"1", True), SECOND.binding(b"2", True), THIRD.binding(b"3"))
        self.assertFalse(self.signs(login(self.key, b"3")))
        self.assertFalse(self.signs(login(self.key, b"3", b"bob", self.third)))
        self.assertFalse(self.signs(login(self.key, b"2", hostKey=SECOND.key.public().blob())))

    def test_left_out(self):
        """
        Whoever leaves out a step, or takes another one.
        """
        for bindings, last in (
            ((FIRST.binding(b"1", True), THIRD.binding(b"3")), THIRD),
            ((SECOND.binding(b"2", True), THIRD.binding(b"3")), THIRD),
            ((THIRD.binding(b"3"),), THIRD),
            ((SECOND.binding(b"2"),), SECOND),
            ((SECOND.binding(b"2", True), FIRST.binding(b"1", True), THIRD.binding(b"3")), THIRD),
        ):
            self.ends = Ends(self.ring)
            self.assertEqual(self.bind(*bindings), [True] * len(bindings))
            data = login(self.key, bindings[-1].sessionID, hostKey=last.key.public().blob())
            self.assertFalse(self.signs(data))
            self.assertEqual(self.listed(), [])

    def test_forwardedAndRefused(self):
        """
        Row 84: who could not be bound as another host is one all the same: he
        does not add, remove or lock by failing; nor while the agent is locked.
        """
        wrong = agent.SessionBind(FIRST.key.public().blob(), b"1", b"", True)
        for contents in (wrong.pack(), b"no binding"):
            self.ends = Ends(self.ring)
            self.assertEqual(
                asked(self.ends.server, b"\x1b" + packString(agent.SESSION_BIND) + contents), [b"\x1c"]
            )
            self.assertEqual(asked(self.ends.server, b"\x13"), [FAILURE])
        self.ends = Ends(self.ring)
        binding = packString(agent.SESSION_BIND) + FIRST.binding(b"1", True).pack()
        self.ring.add(self.key)
        self.ring.lock(b"secret")
        self.assertEqual(asked(self.ends.server, b"\x1b" + binding), [SUCCESS])
        self.successResultOf(self.ring.unlock(b"secret"))
        self.assertEqual(asked(self.ends.server, b"\x13"), [FAILURE])
        self.assertEqual(len(self.ring.keys), 1)
        # Of a login here, that is no matter.
        self.ends = Ends(self.ring)
        here = agent.SessionBind(FIRST.key.public().blob(), b"1", b"", False)
        self.assertEqual(self.bind(here), [False])
        self.assertEqual(asked(self.ends.server, b"\x13"), [SUCCESS])

    def test_forwardedEnd(self):
        """
        Nobody logs in by a connection that was bound to be forwarded.
        """
        self.bind(FIRST.binding(b"1", True))
        self.assertFalse(self.signs(login(self.key, b"1", hostKey=FIRST.key.public().blob())))

    def test_sameSession(self):
        """
        A session is bound once, to one key; and so are sixteen at most.
        """
        first = FIRST.binding(b"1", True)
        self.assertEqual(self.bind(first, first, SECOND.binding(b"1", True)), [True, True, False])
        more = [FIRST.binding(b"more %d" % n, True) for n in range(16)]
        self.assertEqual(self.bind(*more), [True] * 15 + [False])

    def test_fromAfar(self):
        """
        Row 84: whom the agent is forwarded to may list keys and have them
        sign, and change nothing.
        """
        self.ring.add(keyNamed("rsa"))
        self.bind(FIRST.binding(b"1", True))
        client = self.ends.client
        for change in (
            lambda: client.addKey(keyNamed("ecdsa256")),
            lambda: client.removeIdentity(keyNamed("rsa").blob()),
            client.removeAllIdentities,
            lambda: client.lock("secret"),
        ):
            self.assertFalse(self.fires(change()))
        self.assertFalse(self.fires(client.signData(keyNamed("rsa").blob(), b"data", 0)))
        self.assertTrue(self.fires(client.signData(keyNamed("rsa").blob(), b"data")))
        self.ring.changesFromAfar = True
        self.assertTrue(self.fires(client.removeIdentity(keyNamed("rsa").blob())))


class CertificateTests(BindingTestCase):
    """
    A host that has a certificate of its key.
    """

    def test_authority(self):
        now = int(time.time())
        for principals, isCA, succeeds in (
            ([b"first"], True, True),
            ([b"*st"], True, True),
            ([b"second"], True, False),
            ([b"first"], False, False),
        ):
            host = certified(
                FIRST.key, kind=HOST, principals=principals, validAfter=now - 60, validBefore=now + 60
            )
            authority = CA.public().blob() if isCA else FIRST.key.public().blob()
            self.restrict(to((ORIGIN, Hop(b"", b"first", (HopKey(authority, isCA),)))))
            self.ends = Ends(self.ring)
            signature = FIRST.key.sign(b"session")
            binding = agent.SessionBind(host.blob(), b"session", signature, False)
            self.assertEqual(self.bind(binding), [True])
            data = login(self.key, b"session", hostKey=host.blob())
            self.assertEqual(self.signs(data), succeeds, principals)

    def test_otherAuthority(self):
        """
        Row 85: an authority speaks for a host that a destination has it for,
        and for no other; and its key is not the host's, nor a host's key an
        authority.
        """
        now = int(time.time())
        host = certified(
            FIRST.key, kind=HOST, principals=[b"first"], validAfter=now - 60, validBefore=now + 60
        )
        certificate, plain, authority = host.blob(), FIRST.key.public().blob(), CA.public().blob()
        for shown, key, isCA, succeeds in (
            (certificate, authority, True, True),
            (certificate, SECOND.key.public().blob(), True, False),
            (certificate, authority, False, False),
            (plain, plain, False, True),
            (plain, plain, True, False),
        ):
            self.restrict(to((ORIGIN, Hop(b"", b"first", (HopKey(key, isCA),)))))
            self.ends = Ends(self.ring)
            binding = agent.SessionBind(shown, b"session", FIRST.key.sign(b"session"), False)
            self.assertEqual(self.bind(binding), [True])
            self.assertEqual(self.signs(login(self.key, b"session", hostKey=shown)), succeeds, (key, isCA))
