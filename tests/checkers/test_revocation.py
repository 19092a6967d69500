"""
Tests for L{conchlite.checkers.revocation}.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.cred.error import UnauthorizedLogin
from twisted.trial.unittest import SynchronousTestCase

from conchlite.checkers.revocation import RevokedKeys
from conchlite.ssh.certificates import FOREVER, USER, signCertificate
from conchlite.ssh.keys import Key
from conchlite.wire.types import packString, packUInt32, packUInt64
from tests.ssh.authlink import ed25519


def certified(seed: int, authority: int = 9, serial: int = 0, keyID: str = "id") -> Key:
    return signCertificate(
        ed25519(authority),
        ed25519(seed).public(),
        kind=USER,
        keyID=keyID,
        principals=["user"],
        validBefore=FOREVER,
        serial=serial,
    )


def krl(*sections: tuple[int, bytes], version: int = 1) -> bytes:
    head = b"SSHKRL\n\0" + packUInt32(version) + packUInt64(0) * 3 + packString(b"") * 2
    return head + b"".join(bytes([kind]) + packString(body) for kind, body in sections)


def certificates(*parts: tuple[int, bytes], authority: bytes | None = None) -> tuple[int, bytes]:
    blob = ed25519(9).public().blob() if authority is None else authority
    body = packString(blob) + packString(b"")
    return 1, body + b"".join(bytes([kind]) + packString(part) for kind, part in parts)


class RevokedKeysTests(SynchronousTestCase):
    """
    Row 79: keys, keys in certificates, and authorities.
    """

    def revokes(self, revoked: RevokedKeys, key: Key) -> bool:
        try:
            revoked.check(key)
        except UnauthorizedLogin:
            return True
        return False

    def file(self, content: bytes) -> RevokedKeys:
        path = Path(self.mktemp())
        path.write_bytes(content)
        return RevokedKeys(path=path)

    def test_keys(self):
        """
        Row 79: a key is revoked as it is, in a certificate, and as an authority.
        """
        lines = b"# gone\n\n" + ed25519(1).public().toString("openssh") + b" comment\n"
        for revoked in (RevokedKeys([ed25519(1)]), RevokedKeys([certified(1)]), self.file(lines)):
            self.assertTrue(self.revokes(revoked, ed25519(1).public()))
            self.assertTrue(self.revokes(revoked, certified(1)))
            self.assertTrue(self.revokes(revoked, certified(2, authority=1)))
            self.assertFalse(self.revokes(revoked, ed25519(2).public()))
            self.assertFalse(self.revokes(revoked, certified(2)))

    def test_hashes(self):
        """
        Row 79: a list may have keys, or hashes of them, each in a section of
        its own; who has signed the list is no key of it.
        """
        blob = ed25519(1).public().blob()
        signature = b"\x04" + packString(blob) + packString(b"signature")
        for section in (
            (2, packString(blob)),
            (3, packString(hashlib.sha1(blob).digest())),
            (5, packString(hashlib.sha256(blob).digest())),
        ):
            revoked = self.file(krl((3, b""), section) + signature)
            self.assertTrue(self.revokes(revoked, ed25519(1).public()))
            self.assertTrue(self.revokes(revoked, certified(2, authority=1)))
            self.assertFalse(self.revokes(revoked, ed25519(2).public()))
        self.assertFalse(self.revokes(self.file(krl() + signature), ed25519(1).public()))

    def test_unreadable(self):
        """
        A list that cannot be read revokes everything: there is no telling
        what is in it.
        """
        for revoked in (
            RevokedKeys(path="/nonexistent"),
            self.file(b"nonsense\n"),
            self.file(krl(version=2)),
            self.file(krl((77, b""))),
            self.file(krl()[:-1]),
            self.file(krl(certificates((0x39, b"")))),
            self.file(krl(certificates((0x21, packUInt64(1))))),
        ):
            self.assertTrue(self.revokes(revoked, ed25519(1).public()))
        refused = self.assertRaises(
            UnauthorizedLogin, RevokedKeys(path="/nonexistent").check, ed25519(1).public()
        )
        self.assertIn("/nonexistent, cannot be read: No such file", str(refused))

    def test_serials(self):
        bits = (1 << 0) | (1 << 7) | (1 << 20)
        for part in (
            (0x20, packUInt64(5) + packUInt64(12) + packUInt64(25)),
            (0x22, packUInt64(5) + packString(bits.to_bytes(3, "big"))),
        ):
            revoked = self.file(krl(certificates(part)))
            found = [serial for serial in range(40) if self.revokes(revoked, certified(1, serial=serial))]
            self.assertEqual(found, [5, 12, 25])
            self.assertFalse(self.revokes(revoked, certified(1, authority=8, serial=5)))
        revoked = self.file(krl(certificates((0x21, packUInt64(0) + packUInt64(3)), authority=b"")))
        found = [serial for serial in range(6) if self.revokes(revoked, certified(1, 8, serial))]
        self.assertEqual(found, [1, 2, 3])

    def test_hugeBitmap(self):
        """
        A certificate far from a bitmap's begin is not in it, and costs nothing.
        """
        part = (0x22, packUInt64(0) + packString(b"\xff"))
        revoked = self.file(krl(certificates(part)))
        self.assertFalse(self.revokes(revoked, certified(1, serial=2**64 - 1)))

    def test_keyIDs(self):
        revoked = self.file(krl(certificates((0x23, packString(b"a") + packString(b"b")))))
        found = [name for name in "abc" if self.revokes(revoked, certified(1, keyID=name))]
        self.assertEqual(found, ["a", "b"])

    @given(st.binary())
    def test_anything(self, data):
        """
        Any bytes are a list or revoke everything; nothing else happens.
        """
        for content in (data, krl() + data, krl(certificates()) + data):
            self.revokes(self.file(content), certified(1))
