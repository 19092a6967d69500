"""
Tests for L{conchlite.client.identities}.
"""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.filepath import FilePath
from twisted.trial.unittest import SynchronousTestCase

from conchlite.client.identities import Identity, IdentityUserAuth, defaultIdentities
from conchlite.error import BadKeyError, BadPassphrase, ConchError, NoAnswer
from conchlite.ssh.keys import Key
from conchlite.ssh.service import SSHService

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
            (self.file(PUBLIC), BadKeyError, "a public key, where a private one belongs"),
        ]:
            failure = self.assertRaises(error, Identity.fromFile, path)
            self.assertIn(said, str(failure))
            self.assertIn(path, str(failure))

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
        self.assertEqual([identity.private for identity in defaultIdentities()], [KEY])


class IdentityUserAuthTests(IdentityTestCase):
    def userAuth(self, *identities: Identity, terminal=None, password: bool = False) -> IdentityUserAuth:
        return IdentityUserAuth("me", "host", SSHService(), identities, terminal, password)

    def test_eachOnce(self) -> None:
        other = Key.generate("ed25519")
        auth = self.userAuth(Identity(KEY), Identity(other))
        for key in (KEY, other):
            self.assertEqual(self.successResultOf(auth.getPublicKey()), key.public())
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
        self.assertEqual(self.successResultOf(auth.getPublicKey()), KEY.public())
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
            self.assertEqual(self.successResultOf(auth.getPublicKey()), KEY.public())
            self.assertEqual(self.successResultOf(auth.getPrivateKey()), KEY)
            (note,) = auth.notes
            self.assertIn(said, note)
            self.assertIn(closed.path, note)

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

    def test_noPassword(self) -> None:
        """
        It is not asked for unless it is wanted, where nobody is, and when the
        server wants a new one.
        """
        terminal = FakeTerminal(b"sesame")
        self.assertIsNone(self.userAuth(terminal=terminal).getPassword())
        self.assertIsNone(self.userAuth(terminal=terminal, password=True).getPassword(b"New password: "))
        self.assertEqual(terminal.prompts, [])
        auth = self.userAuth(password=True)
        self.assertIsNone(auth.getPassword())
        self.assertEqual(auth.notes, ["there is no terminal to ask for a password"])
