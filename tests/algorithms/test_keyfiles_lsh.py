"""
The key files of lsh, and S-expressions.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.keyfiles import lsh, openssh, sexpressions
from conchlite.algorithms.publickeys.rsa import RSA
from conchlite.algorithms.publickeys.signatures import packPrivateKey, packPublicKey
from conchlite.error import (
    BadKeyError,
    UsageError,
)
from conchlite.wire.types import packMPInt
from tests.algorithms.keyfilecases import KeyFileTestCase, lshKey, privateKey
from tests.algorithms.keyvectors import keyText


class LSHTests(KeyFileTestCase):
    """
    The files of lsh 2.1, and the same key in every form of an S-expression.
    """

    def test_private(self):
        text = keyText("lsh.canonical")
        key = lsh.PRIVATE.load(text, None).key
        self.assertEqual(lsh.PRIVATE.dump(key, b"", None), text)
        for form in ("advanced", "hex", "transport"):
            self.assertEqual(
                packPrivateKey(lsh.PRIVATE.load(keyText(f"lsh.{form}"), None).key), packPrivateKey(key)
            )

    def test_public(self):
        text = keyText("lsh.pub")
        key = lsh.PUBLIC.load(text, None).key
        self.assertEqual(packPublicKey(key), packPublicKey(lshKey().public_key()))
        self.assertEqual(lsh.PUBLIC.dump(key, b"", None), text)
        self.assertEqual(
            packPublicKey(lsh.PUBLIC.load(keyText("lsh.pub-advanced"), None).key), packPublicKey(key)
        )
        self.assertEqual(
            packPublicKey(openssh.PUBLIC.load(keyText("lsh.openssh"), None).key), packPublicKey(key)
        )

    def test_truncated(self):
        for keyFile, fileName in [
            (lsh.PRIVATE, "lsh.canonical"),
            (lsh.PRIVATE, "lsh.advanced"),
            (lsh.PRIVATE, "lsh.transport"),
            (lsh.PUBLIC, "lsh.pub"),
            (lsh.PUBLIC, "lsh.pub-advanced"),
        ]:
            self.assertTruncationsRefused(keyFile, keyText(fileName))

    def test_encrypted(self):
        for passphrase in (None, b"secret"):
            error = self.assertRaises(BadKeyError, lsh.PRIVATE.load, keyText("lsh.encrypted"), passphrase)
            self.assertIn("lsh-decrypt-key", str(error))

    def test_passphrase(self):
        self.assertUnencrypted(lsh.PRIVATE, keyText("lsh.canonical"), lshKey())
        self.assertUnencrypted(lsh.PUBLIC, keyText("lsh.pub"), lshKey().public_key())

    def test_otherKeysCannotBeWritten(self):
        for name in ("ed25519", "ecdsa256"):
            self.assertRaises(UsageError, lsh.PRIVATE.dump, privateKey(name), b"", None)
            self.assertRaises(UsageError, lsh.PUBLIC.dump, privateKey(name).public_key(), b"", None)

    def test_namesOfTheAlgorithm(self):
        text = keyText("lsh.canonical")
        for name in (b"9:rsa-pkcs1", b"14:rsa-pkcs1-sha1", b"3:rsa"):
            lsh.PRIVATE.load(text.replace(b"9:rsa-pkcs1", name), None)

    def test_malformed(self):
        n, e = (RSA.numbers(lshKey())[name] for name in "ne")
        number = [[b"n", packMPInt(n)[4:]], [b"e", packMPInt(e)[4:]]]
        lsh.PUBLIC.load(sexpressions.pack([b"public-key", [b"rsa", *number]]), None)
        for bad in [
            b"public-key",
            [],
            [b"public-key"],
            [b"public-key", b"rsa"],
            [b"public-key", []],
            [b"public-key", [b"rsa"]],
            [b"public-key", [b"rsa", b"n", b"e"]],
            [b"public-key", [b"rsa", number[0]]],
            [b"public-key", [b"rsa", *number, number[0]]],
            [b"public-key", [b"rsa", *number, [b"x", b"y", b"z"]]],
            [b"public-key", [b"rsa", *number], b"more"],
            [b"public-key", [b"rsa", [b"n", b"\xff"], number[1]]],
            [b"public-key", [b"rsa", [b"n", b""], number[1]]],
            [b"public-key", [b"rsa-pkcs2", *number]],
            [b"private-key", [b"rsa", *number]],
            [[b"public-key"], [b"rsa", *number]],
        ]:
            self.assertRaises(BadKeyError, lsh.PUBLIC.load, sexpressions.pack(bad), None)
            self.assertRaises(BadKeyError, lsh.PRIVATE.load, sexpressions.pack(bad), None)


class SExpressionTests(SynchronousTestCase):
    def test_forms(self):
        for text, wanted in [
            (b"(1:a(2:bc)0:)", [b"a", [b"bc"], b""]),
            (b' ( a #62 63# |Yw==| "d e" ( ) ) \n', [b"a", b"bc", b"c", b"d e", []]),
            (b"{KDE6YSk=}", [b"a"]),
            (b"{KDE6 \nYSk=}", [b"a"]),
            (b"3:abc", b"abc"),
            (b"2:\n  ", b"\n "),
            (b"rsa-pkcs1", b"rsa-pkcs1"),
            (b"(3:a)(2:b ))"[:6] + b")", [b"a)("]),
        ]:
            self.assertEqual(sexpressions.parse(text), wanted)

    def test_malformed(self):
        for bad in [
            b"",
            b"()()",
            b"(",
            b")",
            b"(1:a))",
            b"((1:a)",
            b"5:abc",
            b"03:abc",
            b"99999999999:a",
            b"3 abc",
            b"#6#",
            b"#6g#",
            b"#66",
            b"|Y|",
            b"|YQ==",
            b'"a',
            b'"\\n"',
            b"[text]a",
            b"{",
            b"{}",
            b"{KDE6YSk}",
            b"{KDE6YSk=",
            b"\0",
            b"(" * 100 + b")" * 100,
        ]:
            self.assertRaises(BadKeyError, sexpressions.parse, bad)

    @settings(max_examples=100, deadline=None)
    @given(st.recursive(st.binary(max_size=20), lambda inner: st.lists(inner, max_size=4), max_leaves=12))
    def test_roundTrip(self, expression):
        self.assertEqual(sexpressions.parse(sexpressions.pack(expression)), expression)
