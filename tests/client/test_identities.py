"""
Tests for L{conchlite.client.identities}.
"""

from __future__ import annotations

import os

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase

from conchlite.client.identities import (
    LIST_SECONDS,
    Identity,
    agentIdentities,
    arrange,
    defaultIdentities,
    readCertificate,
)
from conchlite.client.identityauth import IdentityUserAuth
from conchlite.error import AgentError, BadKeyError, BadPassphrase, ConchError, NoAnswer
from conchlite.ssh.fingerprints import fingerprint
from conchlite.ssh.keys import Key
from conchlite.ssh.service import SSHService
from tests.client.agents import FakeAgent, certified

KEY = Key.generate("ed25519")
PRIVATE = KEY.toString("openssh", subtype="v1")
PUBLIC = KEY.public().toString("openssh")


def encrypted() -> bytes:
    # PEM's key derivation costs nothing worth mentioning.
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
    )

    return KEY._keyObject.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"sesame"))


class FakeTerminal:
    """
    @ivar answers: what will be typed.
    """

    def __init__(self, *answers: bytes, there: bool = True) -> None:
        self.answers = list(answers)
        self.prompts: list[str] = []
        self.there = there

    def isThere(self) -> bool:
        return self.there

    def ask(self, prompt: str, echo: bool = False) -> Deferred[bytes]:
        assert not echo
        self.prompts.append(prompt)
        return succeed(self.answers.pop(0)) if self.answers else fail(NoAnswer("nothing typed"))


class IdentityTestCase(SynchronousTestCase):
    def file(self, content: bytes, name: str = "id") -> str:
        directory = FilePath(self.mktemp())
        directory.makedirs()
        path = directory.child(name)
        path.setContent(content)
        path.chmod(0o600)
        return path.path


class IdentityTests(IdentityTestCase):
    def test_plain(self) -> None:
        identity = Identity.fromFile(self.file(PRIVATE))
        self.assertEqual(identity.private, KEY)
        self.assertEqual(identity.public, KEY.public())

    def test_encrypted(self) -> None:
        identity = Identity.fromFile(self.file(encrypted()))
        self.assertIsNone(identity.private)
        self.assertIsNone(identity.public)
        self.assertRaises(BadPassphrase, identity.decrypt, b"wrong")
        self.assertIsNone(identity.private)
        self.assertEqual(identity.decrypt(b"sesame"), KEY)
        self.assertEqual(identity.public, KEY.public())

    def test_encryptedWithPublicFile(self) -> None:
        """
        The public half beside it saves a question.
        """
        path = self.file(encrypted())
        FilePath(path + ".pub").setContent(PUBLIC)
        identity = Identity.fromFile(path)
        self.assertIsNone(identity.private)
        self.assertEqual(identity.public, KEY.public())

    def test_encryptedOpenSSH(self) -> None:
        """
        So does OpenSSH's format, which has it in clear.
        """
        written = KEY.toString("openssh", subtype="v1", passphrase=b"sesame")
        identity = Identity.fromFile(self.file(written))
        self.assertIsNone(identity.private)
        self.assertEqual(identity.public, KEY.public())

    def test_publicFileIsUnreadable(self) -> None:
        path = self.file(encrypted())
        FilePath(path + ".pub").setContent(b"no key")
        self.assertIsNone(Identity.fromFile(path).public)

    def test_errors(self) -> None:
        """
        Each names the file.
        """
        for path, error, said in [
            ("/nonexistent/id", ConchError, "identity /nonexistent/id: No such file"),
            (self.file(b"no key"), BadKeyError, "identity "),
        ]:
            failure = self.assertRaises(error, Identity.fromFile, path)
            self.assertIn(said, str(failure))
            self.assertIn(path, str(failure))

    def test_publicKey(self) -> None:
        """
        A public key stands for one that an agent has. Without the agent there
        is nothing to offer.
        """
        identity = Identity.fromFile(self.file(PUBLIC))
        self.assertEqual((None, KEY.public(), False), (identity.private, identity.public, identity.canSign))

    def test_gone(self) -> None:
        identity = Identity.fromFile(self.file(encrypted()))
        os.unlink(identity.path)
        self.assertRaises(ConchError, identity.decrypt, b"sesame")

    def test_defaults(self) -> None:
        """
        Files that are not there, or hold something else, are left out.
        """
        home = FilePath(self.mktemp())
        home.child(".ssh").makedirs()
        self.patch(os, "environ", {"HOME": home.path})
        self.assertEqual(defaultIdentities(), [])
        home.child(".ssh").child("id_ecdsa").setContent(b"no key")
        home.child(".ssh").child("id_rsa").setContent(PRIVATE)
        home.child(".ssh").child("id_rsa").chmod(0o644)
        notes: list[str] = []
        self.assertEqual(defaultIdentities(notes), [])
        # Who has a key wants to know why it is not used.
        (note,) = notes
        self.assertIn("others may read", note)
        home.child(".ssh").child("id_rsa").chmod(0o600)
        self.assertEqual([identity.private for identity in defaultIdentities(notes)], [KEY])
        self.assertEqual(1, len(notes))


class ArrangeTests(IdentityTestCase):
    """
    The order in which keys are offered.
    """

    def setUp(self) -> None:
        self.one, self.two, self.three = (Key.generate("ed25519") for _ in range(3))

    def inAgent(self, *keys: Key) -> list[Identity]:
        return self.successResultOf(Deferred.fromCoroutine(agentIdentities(FakeAgent(*keys), Clock())))

    def offered(self, identities: list[Identity]) -> list[Key]:
        return [key for identity in identities for key in identity.offers()]

    def test_order(self) -> None:
        """
        Those that were named, then the agent's, then the default files; each
        once.
        """
        found = arrange(
            [Identity(self.three)],
            self.inAgent(self.one, self.three),
            [Identity(self.two), Identity(self.one)],
        )
        self.assertEqual([k.public() for k in (self.three, self.one, self.two)], self.offered(found))
        self.assertEqual("agent (comment\\x1b)", found[1].source)
        self.assertEqual("program", found[2].source)
        self.assertIsNotNone(found[0].agent)

    def test_identitiesOnly(self) -> None:
        """
        Only those that were named; the agent may have the private half of one.
        """
        public = Identity.fromFile(self.file(self.one.public().toString("openssh")))
        (found,) = arrange([public], self.inAgent(self.one, self.two), [Identity(self.three)], (), True)
        self.assertEqual(self.one.public(), found.public)
        self.assertTrue(found.canSign)

    def test_certificates(self) -> None:
        """
        A certificate is offered before its key, wherever it comes from.
        """
        path = self.file(PRIVATE)
        beside = certified(KEY)
        FilePath(path + "-cert.pub").setContent(beside.toString("openssh"))
        other = certified(KEY, b"other")
        inAgent = certified(KEY, b"agent")
        (found,) = arrange(
            [Identity.fromFile(path)], self.inAgent(KEY, inAgent), [], [other, certified(self.one)], True
        )
        self.assertEqual(
            [b"me", b"agent", b"other", None],
            [key.certificate and key.certificate.keyID for key in found.offers()],
        )
        self.assertRaises(BadKeyError, readCertificate, path)
        self.assertEqual(beside, readCertificate(path + "-cert.pub"))


class IdentityUserAuthTests(IdentityTestCase):
    def userAuth(self, *identities: Identity, terminal=None, password: bool = False) -> IdentityUserAuth:
        return IdentityUserAuth("me", "host", SSHService(), identities, terminal, password)

    def test_eachOnce(self) -> None:
        other = Key.generate("ed25519")
        auth = self.userAuth(Identity(KEY), Identity(other))
        for key in (KEY, other):
            self.assertEqual(self.successResultOf(auth.getPublicKey()), key)
            self.assertEqual(self.successResultOf(auth.getPrivateKey()), key)
        self.assertIsNone(self.successResultOf(auth.getPublicKey()))

    def test_askedLate(self) -> None:
        """
        Where the public key is known, the passphrase is asked for when the
        server wants the key, and not before.
        """
        path = self.file(encrypted())
        FilePath(path + ".pub").setContent(PUBLIC)
        terminal = FakeTerminal(b"wrong", b"sesame")
        auth = self.userAuth(Identity.fromFile(path), terminal=terminal)
        self.assertEqual(self.successResultOf(auth.getPublicKey()), KEY.public())
        self.assertEqual(terminal.prompts, [])
        self.assertEqual(self.successResultOf(auth.getPrivateKey()), KEY)
        self.assertEqual(terminal.prompts, [f"Passphrase of {path}: "] * 2)
        self.assertEqual(auth.notes, [])

    def test_askedEarly(self) -> None:
        terminal = FakeTerminal(b"sesame")
        auth = self.userAuth(Identity.fromFile(self.file(encrypted())), terminal=terminal)
        self.assertEqual(self.successResultOf(auth.getPublicKey()), KEY)
        self.assertEqual(self.successResultOf(auth.getPrivateKey()), KEY)
        self.assertEqual(len(terminal.prompts), 1)

    def test_notOpened(self) -> None:
        """
        An identity that stays closed is passed over, with a note of why.
        """
        for terminal, said in [
            (None, "there is no terminal to ask for its passphrase"),
            (FakeTerminal(there=False), "there is no terminal to ask for its passphrase"),
            (FakeTerminal(), "no passphrase was given"),
            (FakeTerminal(b"1", b"2", b"3", b"sesame"), "not opened by any passphrase"),
        ]:
            closed = Identity.fromFile(self.file(encrypted()))
            auth = self.userAuth(closed, Identity(KEY), terminal=terminal)
            self.assertEqual(self.successResultOf(auth.getPublicKey()), KEY)
            self.assertEqual(self.successResultOf(auth.getPrivateKey()), KEY)
            (note,) = auth.notes
            self.assertIn(said, note)
            self.assertIn(closed.path, note)

    def test_passphrases(self) -> None:
        """
        A program may be asked in the place of a terminal: three times, with
        the file's path, and it may take its time.
        """
        for answers, opened, asked in (
            ([b"sesame"], True, 1),
            (["sesame"], True, 1),
            ([succeed(b"wrong"), succeed("sesame")], True, 2),
            ([b"1", b"2", b"3", b"sesame"], False, 3),
            ([None, b"sesame"], False, 1),
            ([succeed(None), b"sesame"], False, 1),
        ):
            closed = Identity.fromFile(self.file(encrypted()))
            terminal = FakeTerminal(b"sesame")
            paths: list[str] = []
            left = list(answers)
            auth = self.userAuth(closed, terminal=terminal)
            auth.passphrase = lambda path, paths=paths, left=left: (paths.append(path), left.pop(0))[1]
            found = self.successResultOf(auth.getPublicKey())
            self.assertEqual(found, KEY if opened else None)
            self.assertEqual(paths, [closed.path] * asked)
            self.assertEqual(terminal.prompts, [])
            self.assertEqual(len(auth.notes), 0 if opened else 1)
            self.assertNotIn("sesame", "".join(auth.notes))

    def test_passphraseIsAwaited(self) -> None:
        """
        Where the public key is known, a program is asked when the key has to
        sign; who cancels that cancels the question.
        """
        path = self.file(encrypted())
        FilePath(path + ".pub").setContent(PUBLIC)
        cancelled: list[Deferred[bytes]] = []
        asked: list[Deferred[bytes]] = []
        for end in ("answer", "cancel"):
            auth = self.userAuth(Identity.fromFile(path))
            asking: Deferred[bytes] = Deferred(cancelled.append)
            auth.passphrase = lambda path, asking=asking: (asked.append(asking), asking)[1]
            self.assertEqual(self.successResultOf(auth.getPublicKey()), KEY.public())
            self.assertNotIn(asking, asked)
            private = auth.getPrivateKey()
            self.assertNoResult(private)
            if end == "answer":
                asking.callback(b"sesame")
                self.assertEqual(self.successResultOf(private), KEY)
            else:
                private.cancel()
                self.failureResultOf(private, CancelledError)
                self.assertEqual(cancelled, [asking])

    def test_noTerminal(self) -> None:
        """
        What nobody can open is not offered, although its public half is known.
        """
        path = self.file(encrypted())
        FilePath(path + ".pub").setContent(PUBLIC)
        auth = self.userAuth(Identity.fromFile(path), terminal=FakeTerminal(there=False))
        self.assertIsNone(self.successResultOf(auth.getPublicKey()))
        (note,) = auth.notes
        self.assertIn("there is no terminal to ask for its passphrase", note)

    def test_unreadableAfterTheQuestion(self) -> None:
        closed = Identity.fromFile(self.file(encrypted()))
        os.unlink(closed.path)
        auth = self.userAuth(closed, terminal=FakeTerminal(b"sesame"))
        self.assertIsNone(self.successResultOf(auth.getPublicKey()))
        self.assertIn("No such file", auth.notes[0])

    def signed(self, auth: IdentityUserAuth, key: Key, algorithm: bytes) -> object:
        auth.lastPublicKey = key
        auth.signatureAlgorithm = algorithm
        return self.successResultOf(auth.signData(key, b"data"))

    def test_atHand(self) -> None:
        """
        A key is offered with its private half, to sign with at once, where
        that is there and signs itself; not what is encrypted, nor what an
        agent signs with.
        """
        closed = Identity.fromFile(self.file(encrypted()))
        closed.public = KEY.public()
        agents = Identity(KEY)
        agents.agent = FakeAgent(KEY)
        certain = Identity(KEY)
        certain.certificates.append(certified(KEY))
        for identity, isAtHand in ((Identity(KEY), True), (certain, True), (closed, False), (agents, False)):
            auth = self.userAuth(identity, terminal=FakeTerminal())
            offered = [self.successResultOf(auth.getPublicKey()) for _ in identity.offers()]
            self.assertEqual([key.public() for key in offered], identity.offers())
            self.assertEqual([not key.isPublic() for key in offered], [isAtHand] * len(offered))

    def test_agent(self) -> None:
        """
        An agent signs with what it has, by the algorithm that the key was
        offered with, and nobody is asked for a passphrase.
        """
        rsa = Key.generate("rsa", 2048)
        path = self.file(encrypted())
        FilePath(path + ".pub").setContent(PUBLIC)
        agent = FakeAgent(KEY, rsa)
        fromAgent = self.successResultOf(Deferred.fromCoroutine(agentIdentities(agent, Clock())))
        terminal = FakeTerminal()
        auth = self.userAuth(*arrange([Identity.fromFile(path)], fromAgent), terminal=terminal)
        for key, algorithm, flags in ((KEY, b"ssh-ed25519", 0), (rsa, b"rsa-sha2-512", 4)):
            self.assertEqual(key.public(), self.successResultOf(auth.getPublicKey()))
            self.assertIn("agent", auth.keySource(key))
            self.assertTrue(key.verify(self.signed(auth, key.public(), algorithm), b"data"))
            self.assertEqual((key.blob(), flags), agent.asked[-1])
        self.signed(auth, rsa.public(), b"rsa-sha2-256")
        self.assertEqual((rsa.blob(), 2), agent.asked[-1])
        self.assertEqual([], terminal.prompts)

    def test_agentRefuses(self) -> None:
        """
        What an agent does not sign, the file does, if there is one.
        """
        agent = FakeAgent(KEY, error=AgentError("no"))
        for named, made in (([], False), ([Identity(KEY)], True)):
            fromAgent = self.successResultOf(Deferred.fromCoroutine(agentIdentities(agent, Clock())))
            auth = self.userAuth(*arrange(named, fromAgent))
            self.successResultOf(auth.getPublicKey())
            signature = self.signed(auth, KEY.public(), b"ssh-ed25519")
            self.assertEqual(made, signature is not None)
            self.assertEqual(["a signature by the agent: no"], auth.notes)

    def test_certificate(self) -> None:
        """
        A file's key signs for its certificate.
        """
        identity = Identity(KEY)
        identity.certificates.append(certified(KEY))
        auth = self.userAuth(identity)
        offered = self.successResultOf(auth.getPublicKey())
        self.assertTrue(offered.isCertificate())
        self.assertEqual(["a key of an identity with a certificate"], auth.keysLeft())
        auth.lastPublicKey = offered
        self.assertEqual(offered.blob(), self.successResultOf(auth.getPrivateKey()).blob())
        auth.lastPublicKey = self.successResultOf(auth.getPublicKey())
        self.assertEqual(KEY.blob(), self.successResultOf(auth.getPrivateKey()).blob())

    def test_keysLeft(self):
        """
        A key that is in no file is known by its fingerprint.
        """
        inFile = Identity(KEY)
        inFile.path = "id"
        auth = self.userAuth(Identity(KEY), inFile)
        self.assertEqual([f"{fingerprint(KEY.blob())}, from program", "id"], auth.keysLeft())

    def test_publicAlone(self) -> None:
        auth = self.userAuth(Identity.fromFile(self.file(PUBLIC)), terminal=FakeTerminal())
        self.assertIsNone(self.successResultOf(auth.getPublicKey()))
        self.assertIn("no agent has its private half", auth.notes[0])

    def test_serverQuestions(self) -> None:
        """
        Row 74: what a server asks or says stands behind a mark, each line of
        it, without what moves a cursor; so it cannot be taken for a question of
        ours.
        """
        terminal = FakeTerminal(b"one", b"two")
        auth = self.userAuth(terminal=terminal, password=True)
        answered = auth.getGenericAnswers(
            b"PAM",
            b"first\nPassphrase of ~/.ssh/id: ",
            [(b"\r\x1b[2KPassphrase of id: ", False), (b"PIN\n", False)],
        )
        self.assertEqual([b"one", b"two"], self.successResultOf(answered))
        shown = [line for prompt in terminal.prompts for line in prompt.split("\n")]
        self.assertEqual(
            [
                "me@host says: PAM",
                "me@host says: first",
                "me@host says: Passphrase of ~/.ssh/id: ",
                "me@host asks: \\x1b[2KPassphrase of id: ",
                "me@host asks: PIN ",
            ],
            shown,
        )
        self.assertIsNone(self.successResultOf(auth.getGenericAnswers(b"", b"", [(b"?", False)])))

    def test_longPrompt(self) -> None:
        """
        Of a prompt of several lines the last one asks, and what PAM says in the
        others can be read.
        """
        terminal = FakeTerminal(b"one")
        auth = self.userAuth(terminal=terminal, password=True)
        prompt = b"Your password has expired.\nCurrent password: "
        self.successResultOf(auth.getGenericAnswers(b"", b"", [(prompt, False)]))
        self.assertEqual(
            ["me@host says: Your password has expired.\nme@host asks: Current password: "], terminal.prompts
        )

    def test_noQuestions(self) -> None:
        """
        Nobody is asked unless that is wanted, and where nobody is.
        """
        prompts = [(b"?", False)]
        self.assertIsNone(self.userAuth(terminal=FakeTerminal(b"1")).getGenericAnswers(b"", b"", prompts))
        auth = self.userAuth(password=True)
        self.assertIsNone(auth.getGenericAnswers(b"", b"", prompts))

    def test_hasAnswers(self) -> None:
        """
        Whether there is anybody to ask, and if not, why not.
        """
        for terminal, password, expected, notes in (
            (FakeTerminal(b"1"), True, True, 0),
            (FakeTerminal(b"1"), False, False, 0),
            (None, False, False, 0),
            (None, True, False, 1),
        ):
            auth = self.userAuth(terminal=terminal, password=password)
            self.assertIs(auth.hasAnswers(), expected)
            self.assertEqual(["no terminal" in note for note in auth.notes], [True] * notes)

    def test_password(self) -> None:
        """
        The prompt is ours, and says whose password it is.
        """
        terminal = FakeTerminal(b"sesame")
        auth = self.userAuth(terminal=terminal, password=True)
        self.assertEqual(self.successResultOf(auth.getPassword()), b"sesame")
        self.assertEqual(terminal.prompts, ["Password of me@host: "])
        self.assertIsNone(self.successResultOf(auth.getPassword()))
        self.assertEqual(auth.notes, ["no password was given"])

    def test_newPassword(self) -> None:
        """
        Row 74: when the server wants a new password, what it says stands behind
        a mark, and the question is ours. The new one is typed twice.
        """
        terminal = FakeTerminal(b"old", b"new", b"new", b"new", b"other")
        auth = self.userAuth(terminal=terminal, password=True)
        said = b"expired\r\n\x1b[2KPassphrase of ~/.ssh/id: "
        self.assertEqual(b"old", self.successResultOf(auth.getPassword(b"Old Password: ")))
        self.assertEqual(b"new", self.successResultOf(auth.getPassword(said)))
        self.assertEqual(
            [
                "Old password of me@host: ",
                "me@host says: expired\nme@host says: \\x1b[2KPassphrase of ~/.ssh/id: \n"
                "New password of me@host: ",
                "New password of me@host, again: ",
            ],
            terminal.prompts,
        )
        self.assertIsNone(self.successResultOf(auth.getPassword(said)))
        self.assertEqual(["a new password was not typed twice"], auth.notes)
        self.assertIsNone(self.successResultOf(auth.getPassword(said)))

    def test_silentAgent(self) -> None:
        """
        An agent that does not say which keys it has is given up.
        """
        clock = Clock()
        agent = FakeAgent()
        agent.requestIdentities = Deferred
        listed = Deferred.fromCoroutine(agentIdentities(agent, clock))
        clock.advance(LIST_SECONDS - 1)
        self.assertNoResult(listed)
        clock.advance(1)
        self.assertIn("not answered", str(self.failureResultOf(listed, AgentError).value))

    def test_noPassword(self) -> None:
        """
        It is not asked for unless it is wanted, and where nobody is.
        """
        terminal = FakeTerminal(b"sesame")
        self.assertIsNone(self.userAuth(terminal=terminal).getPassword())
        self.assertIsNone(self.userAuth(terminal=terminal).getPassword(b"New password: "))
        self.assertEqual(terminal.prompts, [])
        auth = self.userAuth(password=True)
        self.assertIsNone(auth.getPassword())
        self.assertEqual(auth.notes, ["there is no terminal to ask for a password"])
