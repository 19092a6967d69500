"""
Certificates: what is signed, and what is believed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.publickeys.certificates import Certificate
from conchlite.error import (
    BadSignatureAlgorithmError,
    CertificateRejected,
    UsageError,
    WeakKey,
)
from conchlite.ssh.certificates import (
    FOREVER,
    HOST,
    USER,
    isInNetworks,
    judgeHostCertificate,
    judgeUserCertificate,
    signCertificate,
)
from conchlite.ssh.keys import FingerprintFormats, Key, hostKeyFingerprint
from conchlite.wire.publickeys import Principals
from conchlite.wire.types import Reader, packString
from tests.ssh.certificatescenes import CA, KEY, KINDS, NOW, Device, certified, keyOf


def hostCertificate(*principals: bytes, **changes: Any) -> Certificate:
    return certified(kind=HOST, principals=principals or [b"host.example"], **changes).certificate


def userCertificate(*principals: bytes, **changes: Any) -> Certificate:
    return certified(principals=principals or [b"alice"], **changes).certificate


class JudgeTestCase(SynchronousTestCase):
    def assertUser(self, certificate: Certificate, *arguments: Any, **named: Any) -> None:
        judgeUserCertificate(certificate, *(arguments or ([b"alice"], NOW)), **named)

    def assertNoUser(self, why: str, certificate: Certificate, *arguments: Any, **named: Any) -> None:
        arguments = arguments or ([b"alice"], NOW)
        refused = self.assertRaises(
            CertificateRejected, judgeUserCertificate, certificate, *arguments, **named
        )
        self.assertIn(why, str(refused))

    def assertNoHost(self, why: str, certificate: Certificate, *arguments: Any, **named: Any) -> None:
        arguments = arguments or ("host.example", NOW)
        refused = self.assertRaises(
            CertificateRejected, judgeHostCertificate, certificate, *arguments, **named
        )
        self.assertIn(why, str(refused))


class KindTests(JudgeTestCase):
    def test_kinds(self) -> None:
        """
        What proves a host is not for logging in, and what logs in is no host.
        """
        self.assertUser(userCertificate())
        judgeHostCertificate(hostCertificate(), "host.example", NOW)
        self.assertNoUser("for a host, not for a user", hostCertificate(b"alice"))
        self.assertNoHost("for a user, not for a host", userCertificate(b"host.example"))
        for kind in (0, 3, 2**32 - 1):
            odd = replace(userCertificate(), kind=kind)
            self.assertNoUser(f"kind {kind}", odd)
            self.assertNoHost(f"kind {kind}", odd)

    def test_everyTypeOfKey(self) -> None:
        devices = [Device().public, Device(curve=True).public]
        for key in [*(keyOf(*kind) for kind in KINDS), *devices]:
            self.assertUser(userCertificate(key=key))

    def test_everyAuthority(self) -> None:
        for kind in KINDS:
            self.assertUser(userCertificate(ca=keyOf(*kind)))


class PrincipalTests(JudgeTestCase):
    def test_commas(self) -> None:
        """
        Row 75: a principal is compared as a whole: a comma in it does not make
        it two.
        """
        self.assertNoUser("not for a", userCertificate(b"a,b"), [b"a"], NOW)
        self.assertNoUser("not for b", userCertificate(b"a,b"), [b"b"], NOW)
        self.assertNoUser("is for a", userCertificate(b"a", b"b"), [b"a,b"], NOW)
        self.assertUser(userCertificate(b"a,b"), [b"a,b"], NOW)
        self.assertNoHost("not for a", hostCertificate(b"a,b"), "a", NOW)

    def test_wholeStrings(self) -> None:
        certificate = userCertificate(b"alice", b"bob")
        for name in (b"alic", b"alice\0", b"ALICE", b" alice", b""):
            self.assertNoUser("not for", certificate, [name], NOW)
        self.assertUser(certificate, [b"bob"], NOW)
        self.assertUser(certificate, [b"carol", b"bob"], NOW)

    def test_textForNames(self) -> None:
        """
        Names may be text here as everywhere.
        """
        self.assertUser(userCertificate(b"alice", "josé".encode()), ["josé"], NOW)
        self.assertNoUser("for alice, not for carol", userCertificate(b"alice"), ["carol"], NOW)

    def test_nobody(self) -> None:
        """
        Row 76: a certificate that names nobody is for nobody, user or host.
        """
        empty = self._withPrincipals(b"")
        self.assertNoUser("for nobody", empty[USER], [b"alice"], NOW)
        self.assertNoUser("for nobody", empty[USER], [], NOW)
        self.assertNoUser("not for nobody", userCertificate(), [], NOW)
        self.assertNoHost("for nobody", empty[HOST], "host.example", NOW)
        self.assertNoHost("for nobody", empty[HOST], "", NOW)

    def test_emptyName(self) -> None:
        """
        Row 76: nor is one that names the empty name for whoever has none.
        """
        self.assertNoHost("not for", self._withPrincipals(packString(b""))[HOST], "host.example", NOW)
        self.assertNoUser("not for", self._withPrincipals(packString(b""))[USER], [b"alice"], NOW)
        self.assertNoUser("not for", self._withPrincipals(packString(b""))[USER], [b""], NOW)

    def _withPrincipals(self, packed: bytes) -> dict[int, Certificate]:
        """
        What other authorities may sign, and ours does not.
        """
        names = Principals.unpack(packed).names
        made = {}
        for kind in (USER, HOST):
            before = certified(kind=kind, principals=[b"x"]).certificate
            start = before.blob[: before.blob.index(packString(Principals((b"x",)).pack()))]
            rest = before.signedData()[len(start) + 9 :]
            unsigned = start + packString(packed) + rest
            made[kind] = Key.fromString(unsigned + packString(CA.sign(unsigned)), "blob").certificate
            self.assertEqual(names, made[kind].principals)
        return made

    def test_wildcards(self) -> None:
        """
        Row 77: patterns are for hosts alone: a user is who he is called.
        """
        for pattern in (b"*", b"alic?", b"a*"):
            self.assertNoUser("not for alice", userCertificate(pattern))
        self.assertUser(userCertificate(b"*"), [b"*"], NOW)
        judgeHostCertificate(hostCertificate(b"*.example"), "host.example", NOW)
        judgeHostCertificate(hostCertificate(b"host?.example"), "host1.example", NOW)
        for pattern in (b"*.example.", b"example", b"*.other", b"!host.example", b"host"):
            self.assertNoHost("not for host.example", hostCertificate(pattern))

    def test_hostNames(self) -> None:
        """
        Row 82: the name is the one that the user gave, in whichever case, and
        not a part of it, nor what it was resolved to.
        """
        certificate = hostCertificate(b"host.example", b"other.example")
        judgeHostCertificate(certificate, "HOST.example", NOW)
        judgeHostCertificate(certificate, b"other.example", NOW)
        for name in ("192.0.2.1", "host", "host.example.evil", "[host.example]:2022", "*", "host.exampl?"):
            self.assertNoHost("not for", certificate, name, NOW)
        # As with ssh, a certificate has names in lower case; the text shows why.
        self.assertNoHost(
            "for HOST.example, not for host.example", hostCertificate(b"HOST.example"), "HOST.example", NOW
        )


class ValidityTests(JudgeTestCase):
    def test_edges(self) -> None:
        """
        Row 81: valid from the first second on, and not in the last any more.
        """
        clock = Clock()
        certificate = userCertificate(validAfter=100, validBefore=200)
        host = hostCertificate(validAfter=100, validBefore=200)
        for at, why in (
            (99, "not valid yet"),
            (99.999, "not valid yet"),
            (100, ""),
            (199, ""),
            (199.999, ""),
            (200, "expired"),
            (2**63, "expired"),
            (0, "not valid yet"),
            (-1, "not valid yet"),
        ):
            clock.rightNow = at
            if why:
                self.assertNoUser(why, certificate, [b"alice"], clock.seconds())
                self.assertNoHost(why, host, "host.example", clock.seconds())
            else:
                self.assertUser(certificate, [b"alice"], clock.seconds())
                judgeHostCertificate(host, "host.example", clock.seconds())

    def test_forever(self) -> None:
        """
        Row 81: 2^64 - 1 is the end of time, and nothing is negative.
        """
        certificate = userCertificate(validAfter=0, validBefore=FOREVER)
        for at in (0, NOW, 2**63, 2**64 - 2):
            self.assertUser(certificate, [b"alice"], at)
        self.assertNoUser("expired", certificate, [b"alice"], 2**64 - 1)
        late = userCertificate(validAfter=2**63, validBefore=FOREVER)
        self.assertNoUser("not valid yet", late)

    def test_never(self) -> None:
        """
        Row 81: what begins after its end is never valid.
        """
        for after, before in ((200, 100), (150, 150), (2**64 - 1, 0)):
            certificate = replace(userCertificate(), validAfter=after, validBefore=before)
            for at in (0, 99, 100, 150, 199, 200, 201, NOW):
                self.assertNoUser("", certificate, [b"alice"], at)


class OptionTests(JudgeTestCase):
    def test_criticalOptions(self) -> None:
        """
        Row 78: a critical option that is not understood is a refusal; none is
        understood of a host.
        """
        for name, value, understood in (
            (b"force-command", b"ls", True),
            (b"verify-required", b"", True),
            (b"source-address", b"192.0.2.0/24", True),
            (b"force-commands", b"ls", False),
            (b"no-touch-required", b"", False),
            (b"permit-pty", b"", False),
            (b"x@example", b"z", False),
            (b"", b"", False),
        ):
            user = userCertificate(criticalOptions={name: value})
            if understood:
                self.assertUser(user, [b"alice"], NOW, "192.0.2.7")
                self.assertEqual(value, user.criticalOptions[name])
            else:
                self.assertNoUser("unknown critical option", user, [b"alice"], NOW, "192.0.2.7")
            host = self._asHost(user)
            self.assertNoHost("unknown critical option", host)

    def _asHost(self, certificate: Certificate) -> Certificate:
        """
        The same of a host, which no authority of ours would sign.
        """
        patched = certificate.signedData().replace(
            packString(Principals((b"alice",)).pack()), packString(Principals((b"*",)).pack())
        )
        patched = patched.replace(b"\0\0\0\1" + packString(b"a test"), b"\0\0\0\2" + packString(b"a test"))
        made = Key.fromString(patched + packString(CA.sign(patched)), "blob").certificate
        self.assertEqual((HOST, (b"*",)), (made.kind, made.principals))
        return made

    def test_extensions(self) -> None:
        """
        Row 78: an extension that is not understood changes nothing.
        """
        extensions = {b"permit-pty": b"", b"x@example": b"z", b"force-command": b"ls"}
        self.assertUser(userCertificate(extensions=extensions))
        judgeHostCertificate(hostCertificate(extensions=extensions), "host.example", NOW)

    def test_addresses(self) -> None:
        """
        Row 78: C{source-address} is enforced, and who does not say where the
        user comes from gets no for an answer.
        """
        certificate = userCertificate(criticalOptions={b"source-address": b"192.0.2.0/24,2001:db8::/32"})
        for address in ("192.0.2.1", "192.0.2.255", "2001:db8::1", "::ffff:192.0.2.1"):
            self.assertUser(certificate, [b"alice"], NOW, address)
        for address in ("192.0.3.1", "2001:db9::1", "::1", "", "host.example", None):
            self.assertNoUser("not from", certificate, [b"alice"], NOW, address)
        self.assertUser(userCertificate(), [b"alice"], NOW, None)

    def test_badAddresses(self) -> None:
        for value in (
            b"",
            b"192.0.2.1/24",
            b"192.0.2.0/33",
            b"host",
            b"192.0.2.1,,::1",
            b"!192.0.2.1",
            b"\xff",
        ):
            certificate = userCertificate(criticalOptions={b"source-address": value})
            self.assertNoUser("is no list", certificate, [b"alice"], NOW, "192.0.2.1")

    def test_isInNetworks(self) -> None:
        self.assertTrue(isInNetworks("fe80::1%eth0", b"fe80::/10"))
        self.assertTrue(isInNetworks("10.1.2.3", b"10.0.0.0/8"))
        self.assertFalse(isInNetworks("11.1.2.3", b"10.0.0.0/8"))


class AuthorityTests(JudgeTestCase):
    def test_notSigned(self) -> None:
        good = userCertificate()
        for bad in (
            replace(good, signature=good.signature[:-1] + bytes((good.signature[-1] ^ 1,))),
            replace(good, signature=b""),
            replace(good, signature=packString(b"ssh-ed25519")),
            replace(good, signatureKey=KEY.blob()),
            replace(good, signatureKey=b""),
            replace(good, signatureKey=packString(b"ssh-tiny")),
        ):
            self.assertNoUser("signature is not good", bad)

    def test_nested(self) -> None:
        """
        Row 80: a certificate does not sign certificates, whatever is in it.
        """
        nested = certified(CA, principals=[b"ca"])
        before = userCertificate()
        unsigned = before.signedData().replace(packString(CA.blob()), packString(nested.blob()))
        made = Key.fromString(unsigned + packString(CA.sign(unsigned)), "blob").certificate
        self.assertEqual(nested.blob(), made.signatureKey)
        self.assertNoUser("signed by a certificate", made)
        self.assertRaises(UsageError, certified, ca=nested)

    def test_sha1(self) -> None:
        """
        Row 80: an authority's signature is of an algorithm that is accepted
        from authorities, which SHA-1 is not unless somebody says so.
        """
        rsa = keyOf("rsa", 2048)
        certificate = userCertificate(ca=rsa, signatureType="ssh-rsa")
        self.assertNoUser("signed with ssh-rsa", certificate)
        self.assertUser(certificate, [b"alice"], NOW, None, [b"ssh-rsa"])
        for algorithm in ("rsa-sha2-256", "rsa-sha2-512"):
            certificate = userCertificate(ca=rsa, signatureType=algorithm)
            self.assertUser(certificate)
            self.assertNoUser(
                "not accepted from authorities", certificate, [b"alice"], NOW, None, [b"ssh-ed25519"]
            )

    def test_namedOtherwise(self) -> None:
        """
        Row 80: it is the signature that says which algorithm it is of.
        """
        rsa = keyOf("rsa", 2048)
        certificate = userCertificate(ca=rsa, signatureType="ssh-rsa")
        reader = Reader(certificate.signature)
        reader.string()
        renamed = packString(b"rsa-sha2-512") + reader.rest()
        self.assertNoUser("signature is not good", replace(certificate, signature=renamed))

    def test_smallAuthorities(self) -> None:
        """
        Row 80: an authority with an RSA key of less than 2048 bits is none.
        """
        small = Key.generate("rsa", 1024)
        self.assertRaises(WeakKey, certified, ca=small)
        before = userCertificate(ca=keyOf("rsa", 2048))
        unsigned = before.signedData().replace(
            packString(keyOf("rsa", 2048).blob()), packString(small.blob())
        )
        made = Key.fromString(unsigned + packString(small.sign(unsigned, "rsa-sha2-512")), "blob").certificate
        self.assertNoUser("too small", made)
        self.assertUser(made, [b"alice"], NOW, minimumRSABits=1024)

    def test_devices(self) -> None:
        """
        Row 67: an authority in a security key has to be touched.
        """
        for flags, good in ((1, True), (0, False)):
            device = Device()
            device.flags = flags
            before = userCertificate()
            unsigned = before.signedData().replace(packString(CA.blob()), packString(device.public.blob()))
            made = Key.fromString(unsigned + packString(device.sign(unsigned)), "blob").certificate
            if good:
                self.assertUser(made)
            else:
                self.assertNoUser("nobody touched", made)


class SignCertificateTests(SynchronousTestCase):
    def test_whatIsSigned(self) -> None:
        key = signCertificate(
            CA,
            KEY.public(),
            kind=USER,
            keyID="the laptop",
            principals=["alice", b"bob"],
            validAfter=1,
            validBefore=2,
            serial=2**64 - 1,
            criticalOptions={b"force-command": b"ls"},
            extensions={},
            randomBytes=lambda size: b"n" * size,
        )
        made = key.certificate
        self.assertEqual(
            (b"the laptop", (b"alice", b"bob"), 1, 2, 2**64 - 1, {b"force-command": b"ls"}, {}, b"n" * 32),
            (
                made.keyID,
                made.principals,
                made.validAfter,
                made.validBefore,
                made.serial,
                made.criticalOptions,
                made.extensions,
                made.nonce,
            ),
        )
        self.assertTrue(key.isPublic())
        self.assertFalse(certified(KEY).isPublic())

    def test_defaults(self) -> None:
        wanted = {"keyID": "x", "principals": ["alice"], "validBefore": FOREVER}
        user = CA.signCertificate(KEY, kind=USER, **wanted).certificate
        self.assertEqual(
            [
                b"permit-X11-forwarding",
                b"permit-agent-forwarding",
                b"permit-port-forwarding",
                b"permit-pty",
                b"permit-user-rc",
            ],
            list(user.extensions),
        )
        self.assertEqual((0, 0), (user.validAfter, user.serial))
        host = CA.signCertificate(KEY, kind=HOST, **wanted).certificate
        self.assertEqual(({}, {}), (host.extensions, host.criticalOptions))
        # A nonce is what makes two of one key differ.
        self.assertNotEqual(user, CA.signCertificate(KEY, kind=USER, **wanted).certificate)

    def test_asPythonHasThem(self) -> None:
        """
        C{time.time()} is a time, and options may be text.
        """
        made = certified(
            validAfter=NOW + 0.5,
            validBefore=NOW + 60.5,
            criticalOptions={"force-command": "ls"},
            extensions={"permit-pty": ""},
        ).certificate
        self.assertEqual((NOW, NOW + 60), (made.validAfter, made.validBefore))
        self.assertEqual({b"force-command": b"ls"}, dict(made.criticalOptions))
        self.assertEqual({b"permit-pty": b""}, dict(made.extensions))

    def test_refused(self) -> None:
        for changes in (
            {"kind": 0},
            {"kind": 3},
            {"principals": []},
            {"principals": [b"alice", b""]},
            {"principals": "alice"},
            {"principals": b"alice"},
            {"principals": [b"%d" % n for n in range(257)]},
            {"validAfter": 5, "validBefore": 5},
            {"validAfter": -1},
            {"validBefore": 2**64},
            {"serial": -1},
            {"serial": 2**64},
            {"criticalOptions": {b"verify-required": b"x"}},
            {"extensions": {b"permit-pty": b"x"}},
            {"kind": HOST, "criticalOptions": {b"force-command": b"ls"}},
            {"ca": CA.public()},
            {"ca": Key(Device().public._keyObject)},
        ):
            self.assertRaises(UsageError, certified, **changes)
        self.assertRaises(BadSignatureAlgorithmError, certified, signatureType="rsa-sha2-512")

    def test_nothingBadIsSigned(self) -> None:
        """
        What could not be read is not signed first.
        """
        signed = []

        class Authority:
            isCertificate = checkSize = lambda self: None
            blob = CA.blob

            def sign(self, data: bytes, signatureType: object) -> bytes:
                signed.append(data)
                return CA.sign(data)

        certified(ca=Authority())
        self.assertEqual(1, len(signed))
        self.assertRaises(UsageError, certified, ca=Authority(), extensions={b"permit-pty": b"x"})
        self.assertEqual(1, len(signed))


class KeyTests(SynchronousTestCase):
    """
    A L{Key} that carries a certificate.
    """

    def test_offered(self) -> None:
        for kind in KINDS:
            plain = keyOf(*kind)
            key = certified(plain)
            self.assertEqual(key.certificate.blob, key.blob())
            self.assertEqual(key.certificate.name, key.sshType())
            self.assertEqual(
                [name.decode() for name in key.supportedSignatureAlgorithms()],
                [f"{name.decode()}-cert-v01@openssh.com" for name in plain.supportedSignatureAlgorithms()],
            )
            self.assertTrue(key.isCertificate())
            self.assertFalse(plain.isCertificate())
            self.assertIsNone(plain.certificate)
            self.assertEqual(plain.blob(), key.plain().blob())
            self.assertIs(plain, plain.plain())
            self.assertEqual((plain.type(), plain.size(), plain.data()), (key.type(), key.size(), key.data()))
            self.assertNotEqual(plain, key)
            self.assertEqual(key, plain.withCertificate(key.public()))
            self.assertEqual(key, plain.withCertificate(key.certificate))

    def test_signing(self) -> None:
        for kind in KINDS:
            plain = keyOf(*kind)
            key = certified(plain)
            for algorithm in key.supportedSignatureAlgorithms():
                made = key.sign(b"data", algorithm)
                key.verifyStrictly(made, b"data", algorithm)
                self.assertEqual(
                    plain.sign(b"data", made[4 : 4 + made[3]])[: 4 + made[3]], made[: 4 + made[3]]
                )
            made = key.sign(b"data")
            key.public().verifyStrictly(made, b"data", key.supportedSignatureAlgorithms()[0])
            plain.verifyStrictly(made, b"data", plain.supportedSignatureAlgorithms()[0])
            self.assertTrue(key.verify(made, b"data"))

    def test_fingerprints(self) -> None:
        """
        A certificate has its key's, as with ssh-keygen.
        """
        key = certified()
        for form in FingerprintFormats:
            self.assertEqual(KEY.fingerprint(form), key.fingerprint(form))
        shown = hostKeyFingerprint(key.blob())
        self.assertEqual(hostKeyFingerprint(KEY.blob()), shown)
        self.assertEqual(hostKeyFingerprint(KEY.blob()).sha256, shown.sha256)
        self.assertIn(shown.sha256, repr(key))
        self.assertIn("certificate", repr(key))
        # A server may send anything.
        self.assertNotEqual("", hostKeyFingerprint(key.blob()[:50]).sha256)

    def test_text(self) -> None:
        key = certified()
        text = key.public().toString("openssh", comment="me")
        self.assertTrue(text.startswith(b"ssh-ed25519-cert-v01@openssh.com AAAA"))
        self.assertEqual(key.public(), Key.fromString(text))
        self.assertEqual(key.public(), Key.fromString(key.blob(), "blob"))
        # The file of the private key is the same with it and without.
        self.assertEqual(KEY, Key.fromString(key.toString("openssh")))

    def test_foreign(self) -> None:
        other = Key.generate()
        self.assertRaises(UsageError, other.withCertificate, certified())
        self.assertRaises(UsageError, other.withCertificate, certified().certificate)
        self.assertRaises(UsageError, other.withCertificate, KEY)
        self.assertRaises(UsageError, Key, other._keyObject, b"", certified().certificate)

    def test_secondCertificate(self) -> None:
        first, second = certified(serial=1), certified(serial=2)
        self.assertEqual(second, first.withCertificate(second))
        self.assertEqual(2, certified(first, serial=2).certificate.serial)
