"""
Tests for L{conchlite.client.policies}.
"""

from __future__ import annotations

import itertools

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase

from conchlite.client import policies
from conchlite.client.consoleui import ConsoleUI
from conchlite.client.knownhosts import KnownHostsFile
from conchlite.client.policies import AcceptNew, AllOf, Ask, FirstOf, Lookup, Pin, Policy, Strict
from conchlite.error import (
    HostKeyChanged,
    HostKeyRejected,
    HostKeyUnknown,
    UsageError,
    UserRejectedKey,
)
from conchlite.ssh.certificates import HOST, USER, signCertificate
from conchlite.ssh.fingerprints import fingerprint
from conchlite.ssh.keys import Key
from tests.client.test_knownhosts import FakeUI, Terminal, line

KEY, OTHER, CA = (Key.generate("ed25519") for _ in range(3))
RSA = Key.generate("ecdsa")
NOW = 1_000_000


def certified(*principals: str, key: Key = KEY, ca: Key = CA, **changed: object) -> bytes:
    """
    A certificate that is good for C{host}, but for what is C{changed}.
    """
    options = {"kind": HOST, "keyID": "id", "validBefore": NOW + 1, "validAfter": NOW, **changed}
    return signCertificate(ca, key.public(), principals=principals or ("host",), **options).blob()


CERTIFICATE = certified()


class PolicyTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = FilePath(self.mktemp())

    def write(self, *lines: bytes) -> str:
        self.path.setContent(b"".join(text + b"\n" for text in lines))
        return self.path.path

    def verdict(self, policy: Policy, key: bytes = KEY.blob(), host: str = "host", port: int = 22) -> object:
        """
        True, or what was raised.
        """
        try:
            answer = policy.verify(host, port, key, "192.0.2.1")
        except HostKeyRejected as e:
            return type(e)
        if isinstance(answer, Deferred):
            outcome: list[object] = []
            answer.addCallbacks(outcome.append, lambda failure: outcome.append(failure.type))
            (result,) = outcome
            return result
        return True if answer is None else answer

    def all(self) -> list[Policy]:
        """
        One of each kind, all of which would say yes.
        """
        path, pinned = self.path.path, fingerprint(KEY.blob())
        yes: list[Policy] = [
            Strict(path, now=lambda: NOW),
            AcceptNew(path, now=lambda: NOW),
            Ask(FakeUI(True), path, now=lambda: NOW),
            Pin(pinned, knownHosts=path, now=lambda: NOW),
            Lookup(lambda key: True, path, now=lambda: NOW),
        ]
        return [*yes, FirstOf(Pin(pinned), yes[0]), AllOf(yes[4], Lookup(lambda key: succeed(True), ()))]


class AlwaysTests(PolicyTestCase):
    """
    What no policy can be talked out of.
    """

    def test_public(self) -> None:
        """
        Row 91: nothing that is public accepts everything; each of these refuses
        somebody here.
        """
        kinds = {name for name in vars(policies)["__all__"] if name != "Policy"}
        self.assertEqual({type(policy).__name__ for policy in self.all()}, kinds)

    def test_revoked(self) -> None:
        """
        Row 79: a revoked key is refused as the server's own, as that in its
        certificate, and as the authority's, whether the line stands before the
        one that would do, or behind it: by every policy.
        """
        good = [line(b"host", KEY.blob()), line(b"@cert-authority host", CA.blob())]
        revoked = [(KEY.blob(), KEY.blob()), (CERTIFICATE, KEY.blob()), (CERTIFICATE, CA.blob())]
        for (shown, blob), before in itertools.product(revoked, (True, False)):
            bad = [line(b"@revoked *", blob)]
            self.write(*(bad + good if before else good + bad))
            for policy in self.all():
                verdict = self.verdict(policy, shown)
                self.assertIs(verdict, HostKeyRejected, (type(policy), before))
        self.write(*good, line(b"@revoked *", OTHER.blob()))
        for policy, shown in itertools.product(self.all(), (KEY.blob(), CERTIFICATE)):
            self.assertIs(self.verdict(policy, shown), True, type(policy))

    def test_changed(self) -> None:
        """
        Row 91: a changed key is refused, whatever the policy, and the file
        stays as it is.
        """
        self.write(line(b"host", OTHER.blob()))
        before = self.path.getContent()
        for policy in self.all():
            self.assertIs(self.verdict(policy), HostKeyChanged, type(policy))
        self.assertEqual(self.path.getContent(), before)

    def test_unknown(self) -> None:
        """
        Row 91: who is not known is refused where nobody says otherwise.
        """
        self.write()
        self.assertIs(self.verdict(Strict(self.path)), HostKeyUnknown)

    def test_errors(self) -> None:
        """
        Each refusal shows the key, and a picture of it.
        """
        for lines in ([], [line(b"host", OTHER.blob())], [line(b"@revoked host", KEY.blob())]):
            error = self.assertRaises(
                HostKeyRejected, Strict(self.write(*lines)).verify, "host", 22, KEY.blob()
            )
            self.assertEqual((error.hostKey, error.fingerprint), (KEY.blob(), fingerprint(KEY.blob())))
            self.assertTrue(error.picture.startswith("+--[ED25519 256]--+\n|"), error.picture)

    def test_unreadable(self) -> None:
        for shown in (b"", b"\0\0\0\x20ssh-ed25519-cert-v01@openssh.com", CERTIFICATE[:-1]):
            error = self.assertRaises(HostKeyRejected, Strict(self.write()).verify, "host", 22, shown)
            self.assertIn("cannot be read", str(error))


class PortTests(PolicyTestCase):
    def test_withoutPort(self) -> None:
        """
        As with ssh(1), a host that is known is known on all its ports, unless
        one is known by itself.
        """
        self.write(line(b"host", KEY.blob()))
        self.assertIs(self.verdict(Strict(self.path), port=2222), True)
        self.write(line(b"host", KEY.blob()), line(b"[host]:2222", RSA.blob()))
        self.assertIs(self.verdict(Strict(self.path), port=2222), HostKeyUnknown)
        self.write(line(b"host", KEY.blob()), line(b"[host]:2222", OTHER.blob()))
        self.assertIs(self.verdict(Strict(self.path), port=2222), HostKeyChanged)
        self.write(line(b"[host]:2222", KEY.blob()))
        self.assertIs(self.verdict(Strict(self.path)), HostKeyUnknown)

    def test_alias(self) -> None:
        self.write(line(b"alias", KEY.blob()))
        self.assertIs(self.verdict(Strict(self.path, alias="Alias"), port=2222), True)
        self.assertIs(self.verdict(Strict(self.path, alias="host")), HostKeyUnknown)


class CertificateTests(PolicyTestCase):
    def strict(self, *lines: bytes, **options: object) -> Strict:
        self.write(*lines)
        return Strict(self.path, now=lambda: NOW, **options)

    def trusting(self, **options: object) -> Strict:
        return self.strict(line(b"@cert-authority *", CA.blob()), **options)

    def test_good(self) -> None:
        self.assertIs(self.verdict(self.trusting(), CERTIFICATE), True)
        self.assertIs(self.verdict(self.trusting(), certified("h?s*"), port=2222), True)

    def test_notGood(self) -> None:
        """
        Rows 76, 79 and 82: a certificate of another authority, for somebody
        else, of another kind, or out of date is no more than the key in it.
        """
        bad = [
            certified(ca=OTHER),
            certified("other"),
            certified("192.0.2.1"),
            certified("host,other"),
            certified(kind=USER),
            certified(validBefore=NOW, validAfter=0),
            certified(validAfter=NOW + 1, validBefore=NOW + 2),
        ]
        for shown in bad:
            self.assertIs(self.verdict(self.trusting(), shown), HostKeyUnknown)
            known = self.strict(line(b"@cert-authority *", CA.blob()), line(b"host", KEY.blob()))
            self.assertIs(self.verdict(known, shown), True)
            error = self.assertRaises(HostKeyUnknown, self.trusting().verify, "host", 22, certified("other"))
            self.assertIn("the certificate is for other, not for host", str(error))

    def test_missing(self) -> None:
        """
        Where an authority speaks for the host, the refusal says what is wrong
        with what the server has shown.
        """
        number = f"{self.path.path}, line 1"
        error = self.assertRaises(HostKeyUnknown, self.trusting().verify, "host", 22, KEY.blob())
        self.assertIn(f"({number}, has an authority for it, and the server shows no certificate)", str(error))
        error = self.assertRaises(HostKeyUnknown, self.trusting().verify, "host", 22, certified(ca=OTHER))
        self.assertIn(f"({number}, has another authority than that of its certificate)", str(error))
        self.assertIs(self.verdict(AcceptNew(self.path)), True)

    def test_nameOfUser(self) -> None:
        """
        Row 82: what counts is the name that the user typed, or the alias that he
        gave the host; not its address.
        """
        self.assertIs(self.verdict(self.trusting(), CERTIFICATE, host="HOST"), True)
        self.assertIs(self.verdict(self.trusting(), CERTIFICATE, host="other"), HostKeyUnknown)
        self.assertIs(self.verdict(self.trusting(alias="host"), CERTIFICATE, host="other"), True)
        self.assertIs(self.verdict(self.trusting(alias="other"), CERTIFICATE), HostKeyUnknown)

    def test_authorityIsNoHost(self) -> None:
        """
        An authority's key is not the host's, nor the other way round.
        """
        self.assertIs(self.verdict(self.trusting(), CA.blob()), HostKeyUnknown)
        self.assertIs(self.verdict(self.strict(line(b"host", CA.blob())), CERTIFICATE), HostKeyChanged)

    def test_notNew(self) -> None:
        """
        Row 91: who has a certificate that is not good any more is not new.
        """
        self.trusting()
        accepting = AcceptNew(self.path, now=lambda: NOW)
        self.assertIs(self.verdict(accepting, certified("other")), HostKeyUnknown)


class AcceptNewTests(PolicyTestCase):
    def test_new(self) -> None:
        """
        Row 91: a new host is remembered, and from then on no other will do.
        """
        self.write(b"# mine")
        self.assertIs(self.verdict(AcceptNew(self.path)), True)
        self.assertIs(self.verdict(Strict(self.path)), True)
        self.assertIs(self.verdict(AcceptNew(self.path), OTHER.blob()), HostKeyChanged)
        self.assertTrue(self.path.getContent().startswith(b"# mine\n|1|"))

    def test_otherType(self) -> None:
        """
        Row 91: a host that is known, and comes with a type of key that it did
        not have, is not new.
        """
        self.write(line(b"host", RSA.blob()))
        self.assertIs(self.verdict(AcceptNew(self.path)), HostKeyUnknown)

    def test_knownAddress(self) -> None:
        """
        Row 91: whoever gives an address a new name gives it no new key: what
        the address is known with stays all that it is known with.
        """
        for known in (OTHER, RSA):
            self.write(line(b"192.0.2.1", known.blob()))
            self.assertIs(self.verdict(AcceptNew(self.path)), True)
            self.assertIs(self.verdict(Strict(self.path)), True)
            entries = KnownHostsFile.fromPath(self.path).entriesFor(b"192.0.2.1")
            self.assertEqual([entry.blob for _, entry in entries], [known.blob()])
        # Nor does a person, who was asked about another type of key.
        self.write(line(b"192.0.2.1", RSA.blob()))
        self.assertIs(self.verdict(Ask(FakeUI(True), self.path)), True)
        self.assertIs(self.verdict(Strict(self.path), host="192.0.2.1"), HostKeyUnknown)

    def test_revokedAddress(self) -> None:
        """
        Row 79: a key that is revoked for the address is no new host's.
        """
        self.write(b"@revoked " + line(b"192.0.2.1", KEY.blob()))
        self.assertIs(self.verdict(AcceptNew(self.path)), HostKeyRejected)

    def test_nowhere(self) -> None:
        self.assertRaises(UsageError, AcceptNew(()).verify, "host", 22, KEY.blob())


class AskTests(PolicyTestCase):
    def test_question(self) -> None:
        """
        Who is asked sees fingerprint and picture; yes is remembered.
        """
        terminal = Terminal(b"yes\n")
        self.write()
        self.assertIs(self.verdict(Ask(ConsoleUI(lambda: terminal), self.path)), True)
        asked = terminal.printed.decode()
        self.assertIn(fingerprint(KEY.blob()), asked)
        self.assertIn("+--[ED25519 256]--+", asked)
        self.assertIs(self.verdict(Strict(self.path)), True)
        self.assertTrue(KnownHostsFile.fromPath(self.path).hasHostKey(b"192.0.2.1", KEY))

    def test_no(self) -> None:
        """
        Row 48: only True is yes.
        """
        self.write()
        for answer in (False, None, 1, "yes"):
            self.assertIs(self.verdict(Ask(FakeUI(answer), self.path)), UserRejectedKey)
        self.assertEqual(self.path.getContent(), b"")

    def test_address(self) -> None:
        """
        An address that is known with another key is no question.
        """
        ui = FakeUI(True)
        self.write(line(b"192.0.2.1", OTHER.blob()))
        self.assertIs(self.verdict(Ask(ui, self.path)), HostKeyChanged)
        self.assertEqual(ui.prompts, [])

    def test_revokedMeanwhile(self) -> None:
        """
        Row 79: what was revoked while somebody looked at it is refused.
        """
        ui = FakeUI(Deferred())
        self.write()
        answer = Ask(ui, self.path).verify("host", 22, KEY.blob())
        self.write(line(b"@revoked *", KEY.blob()))
        ui.answer.callback(True)
        self.failureResultOf(answer, HostKeyRejected)

    def test_cancel(self) -> None:
        """
        Who waits no more takes the question back.
        """
        cancelled: list[object] = []
        self.write()
        answer = Ask(FakeUI(Deferred(cancelled.append)), self.path).verify("host", 22, KEY.blob())
        answer.cancel()
        self.failureResultOf(answer, CancelledError)
        self.assertEqual(len(cancelled), 1)


class PinTests(PolicyTestCase):
    def test_pinned(self) -> None:
        pin = Pin(fingerprint(OTHER.blob()), fingerprint(KEY.blob()) + "=")
        self.assertFalse(pin.verified)
        self.assertIs(self.verdict(pin), True)
        self.assertTrue(pin.verified)
        self.assertIs(self.verdict(pin, RSA.blob()), HostKeyUnknown)

    def test_knownIsNotEnough(self) -> None:
        self.write(line(b"host", KEY.blob()))
        self.assertIs(self.verdict(Pin(fingerprint(RSA.blob()), knownHosts=self.path)), HostKeyUnknown)

    def test_authority(self) -> None:
        """
        The authority may be pinned instead, and its certificates are judged.
        """
        pin = Pin(authorities=[fingerprint(CA.blob())], now=lambda: NOW)
        self.assertIs(self.verdict(pin, CERTIFICATE), True)
        for shown in (certified("other"), certified(ca=OTHER), KEY.blob(), CA.blob()):
            self.assertIs(self.verdict(pin, shown), HostKeyUnknown)
        self.assertEqual(
            pin.order("host", 22, [b"ssh-ed25519"]), [b"ssh-ed25519-cert-v01@openssh.com", b"ssh-ed25519"]
        )

    def test_noFingerprint(self) -> None:
        for bad in (
            [],
            [""],
            ["SHA256:"],
            ["SHA256:" + "!" * 43],
            ["MD5:00:11"],
            [fingerprint(KEY.blob()).encode()],
            [KEY],
            [fingerprint(KEY.blob())[:-1]],
        ):
            self.assertRaises(UsageError, Pin, *bad)


class LookupTests(PolicyTestCase):
    def test_answers(self) -> None:
        """
        Row 48: only True is yes, at once or later; nothing is remembered.
        """
        self.write()
        for answer in (True, succeed(True)):
            self.assertIs(self.verdict(Lookup(lambda key, answer=answer: answer, self.path)), True)
        for answer in (False, None, 1, "yes", succeed(1), succeed(None)):
            lookup = Lookup(lambda key, answer=answer: answer, self.path)
            self.assertIs(self.verdict(lookup), HostKeyUnknown)
        said = self.failureResultOf(lookup.verify("host", 22, KEY.blob())).getErrorMessage()
        self.assertIn("(and what was looked up does not have it)", said)
        failing = Lookup(lambda key: fail(MemoryError()), self.path)
        self.assertIs(self.verdict(failing), MemoryError)
        self.assertEqual(self.path.getContent(), b"")

    def test_told(self) -> None:
        asked = []
        self.write()
        self.verdict(Lookup(asked.append, self.path), CERTIFICATE, port=2222)
        (key,) = asked
        self.assertEqual((key.host, key.port, key.name), ("host", 2222, b"[host]:2222"))
        self.assertEqual(
            (key.blob, key.certificate.blob, key.address), (KEY.blob(), CERTIFICATE, "192.0.2.1")
        )


class SeveralTests(PolicyTestCase):
    def yes(self) -> Policy:
        return Lookup(lambda key: True, ())

    def no(self) -> Policy:
        return Lookup(lambda key: False, ())

    def last(self) -> Policy:
        return Lookup(lambda key: fail(HostKeyRejected("never")), ())

    def test_firstOf(self) -> None:
        for parts, expected in [
            ([self.no(), self.yes()], True),
            ([self.yes(), self.last()], True),
            ([self.no(), self.no()], HostKeyUnknown),
            ([self.last(), self.yes()], HostKeyRejected),
            ([Ask(FakeUI(False), ()), self.yes()], UserRejectedKey),
        ]:
            self.assertIs(self.verdict(FirstOf(*parts)), expected)

    def test_allOf(self) -> None:
        for parts, expected in [
            ([self.yes(), self.yes()], True),
            ([self.yes(), self.no()], HostKeyUnknown),
            ([self.no(), self.yes()], HostKeyUnknown),
            ([Strict(self.path), self.yes()], HostKeyUnknown),
        ]:
            self.assertIs(self.verdict(AllOf(*parts)), expected)

    def test_ownPolicy(self) -> None:
        """
        Row 91: a program's own policy is not asked about what is revoked, and
        its answer has to be yes.
        """

        class Own(Policy):
            def decide(self, key: object, known: object) -> object:
                return "perhaps"

        self.assertIs(self.verdict(FirstOf(Own(()))), HostKeyUnknown)
        self.write(line(b"@revoked *", KEY.blob()))
        self.assertIs(self.verdict(Own(self.path)), HostKeyRejected)

    def test_none(self) -> None:
        self.assertRaises(UsageError, FirstOf)
        self.assertRaises(UsageError, AllOf, Strict((), alias="a"), Strict(()))
