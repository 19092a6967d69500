"""
Certificates as key types: what they are read from and packed to.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.algorithms.blobs import plainBlob
from conchlite.algorithms.publickeys.certificates import Certificate, CertificateType, packOptions
from conchlite.algorithms.publickeys.signatures import (
    keyTypeOf,
    makeSignature,
    packPrivateKey,
    packPublicKey,
    readPrivateKey,
    readPublicKey,
    verifyByKey,
    verifySignature,
)
from conchlite.error import (
    BadSignature,
    BadSignatureAlgorithmError,
    MalformedMessage,
    UsageError,
    WeakKey,
)
from conchlite.limits import MAXIMUM_CERTIFICATE_OPTIONS
from conchlite.ssh.keys import Key
from conchlite.wire.publickeys import CertificateFields, Principals
from conchlite.wire.types import Reader, packString
from tests.ssh.certificatescenes import CA, KEY, KINDS, NOW, Device, certified, keyOf
from tests.ssh.test_legacy import DSA_KEY

KEYS = [keyOf(*kind) for kind in KINDS]
DEVICES = [Device(), Device(curve=True)]


def whole(fields: CertificateFields) -> bytes:
    """
    The blob of a certificate that says what no authority of ours would sign.
    """
    start = packString(b"ssh-ed25519-cert-v01@openssh.com") + packString(b"nonce")
    return start + KEY.blob()[len(packString(b"ssh-ed25519")) :] + fields.pack()


def fields(**changes: object) -> CertificateFields:
    wanted: dict[str, object] = {
        "serial": 1,
        "kind": 1,
        "keyID": b"",
        "principals": Principals((b"alice",)).pack(),
        "validAfter": 0,
        "validBefore": 2**64 - 1,
        "criticalOptions": b"",
        "extensions": b"",
        "reserved": b"",
        "signatureKey": CA.blob(),
        "signature": b"",
    }
    return CertificateFields(**{**wanted, **changes})


class NamesTests(SynchronousTestCase):
    def test_names(self) -> None:
        for plain, certificate in (
            (b"ssh-ed25519", b"ssh-ed25519-cert-v01@openssh.com"),
            (b"ssh-ed448", b"ssh-ed448-cert-v01@openssh.com"),
            (b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp384-cert-v01@openssh.com"),
            (b"ssh-rsa", b"ssh-rsa-cert-v01@openssh.com"),
            (b"rsa-sha2-512", b"rsa-sha2-512-cert-v01@openssh.com"),
            (b"sk-ssh-ed25519@openssh.com", b"sk-ssh-ed25519-cert-v01@openssh.com"),
            (b"sk-ecdsa-sha2-nistp256@openssh.com", b"sk-ecdsa-sha2-nistp256-cert-v01@openssh.com"),
        ):
            self.assertEqual(certificate, catalogue.certificateName(plain))
            self.assertEqual(plain, catalogue.plainName(certificate))
            self.assertEqual(plain, catalogue.plainName(plain))
            self.assertTrue(catalogue.accepts([plain], certificate))
            self.assertFalse(catalogue.accepts([certificate], plain))
            self.assertEqual((), catalogue.unknown("signatures", (plain, certificate)))
        for name in (b"", b"-cert-v01@openssh.com", b"ssh-tiny-cert-v01@openssh.com"):
            self.assertEqual(name, catalogue.plainName(name))
            self.assertRaises(UsageError, catalogue.keyType, name)

    def test_typesOfSignatures(self) -> None:
        for algorithm in (b"rsa-sha2-512", b"rsa-sha2-256", b"ssh-rsa"):
            self.assertEqual(
                b"ssh-rsa-cert-v01@openssh.com",
                catalogue.keyTypeOfSignature(catalogue.certificateName(algorithm)),
            )

    def test_everyTypeHasCertificates(self) -> None:
        self.assertEqual(len(catalogue.keyTypes()), len(catalogue.certificateTypes()))
        for name in catalogue.certificateTypes():
            keyType, plain = catalogue.keyType(name), catalogue.keyType(catalogue.plainName(name))
            self.assertEqual(keyType.family, plain.family)
            self.assertEqual(
                [catalogue.plainName(algorithm) for algorithm in keyType.signatureAlgorithms],
                list(plain.signatureAlgorithms),
            )
            for algorithm in keyType.signatureAlgorithms:
                self.assertEqual(name, catalogue.keyTypeOfSignature(algorithm))


class BlobTests(SynchronousTestCase):
    def all(self) -> list[Key]:
        plain = [*KEYS, *(device.public for device in DEVICES), DSA_KEY.public()]
        return [certified(key) for key in plain]

    def test_roundTrips(self) -> None:
        """
        Each type of key has a certificate, which is packed to what it was read
        from, and has the key in it.
        """
        for key in self.all():
            blob = key.blob()
            keyType, certificate = readPublicKey(memoryview(blob))
            self.assertEqual(keyType.name, key.sshType())
            self.assertIs(keyType, keyTypeOf(certificate))
            self.assertIs(certificate, keyType.publicHalf(certificate))
            self.assertEqual(blob, packPublicKey(certificate))
            self.assertEqual(key.plain().blob(), plainBlob(blob))
            self.assertEqual(key.plain().blob(), certificate.plainBlob())
            self.assertEqual(key.size(), keyType.size(certificate))
            self.assertEqual(key.public().data(), keyType.numbers(certificate))
            self.assertEqual(
                (1, b"a test", (b"alice",), NOW - 1000, NOW + 1000, CA.blob()),
                (
                    certificate.kind,
                    certificate.keyID,
                    certificate.principals,
                    certificate.validAfter,
                    certificate.validBefore,
                    certificate.signatureKey,
                ),
            )
            self.assertEqual(32, len(certificate.nonce))
            certificate.verifySignature(b"ssh-ed25519")

    def test_truncated(self) -> None:
        """
        Row 66: what is cut anywhere, or has anything behind it, is none.
        """
        for key in self.all():
            blob = key.blob()
            for size in range(0, len(blob), 3):
                self.assertRaises(MalformedMessage, readPublicKey, blob[:size])
            self.assertRaises(MalformedMessage, readPublicKey, blob + b"\0")

    def test_everyBitIsSigned(self) -> None:
        blob = certified(criticalOptions={b"force-command": b"ls"}).blob()
        for index in range(len(blob)):
            changed = blob[:index] + bytes((blob[index] ^ 1,)) + blob[index + 1 :]
            try:
                _, certificate = readPublicKey(changed)
                self.assertIsInstance(certificate, Certificate)
                certificate.verifySignature(b"ssh-ed25519")
            except (MalformedMessage, BadSignature):
                continue
            self.fail(f"the bit in byte {index} is not signed")

    def test_equality(self) -> None:
        first, again = (certified(randomBytes=bytes).certificate for _ in range(2))
        other = certified(randomBytes=lambda size: b"\1" * size).certificate
        self.assertEqual(first, again)
        self.assertEqual(hash(first), hash(again))
        self.assertNotEqual(first, other)

    def test_options(self) -> None:
        read = certified(
            criticalOptions={b"force-command": b"ls", b"verify-required": b"", b"x@y": b"z"},
            extensions={b"permit-pty": b"", b"a@b": b"c", b"d@e": b""},
        ).certificate
        self.assertEqual(
            {b"force-command": b"ls", b"verify-required": b"", b"x@y": b"z"}, read.criticalOptions
        )
        self.assertEqual({b"permit-pty": b"", b"a@b": b"c", b"d@e": b""}, read.extensions)
        with self.assertRaises(TypeError):
            read.extensions[b"permit-X11-forwarding"] = b""

    def test_dataThatIsNoString(self) -> None:
        """
        What an option means that nobody knows, nobody knows.
        """
        odd = packString(b"x@y") + packString(b"\0\0\0\5z")
        _, read = readPublicKey(whole(fields(extensions=odd)))
        self.assertEqual({b"x@y": b"\0\0\0\5z"}, read.extensions)

    def test_badOptions(self) -> None:
        bad = [
            packString(b"force-command") + packString(b"ls"),
            packString(b"force-command") + packString(b""),
            packString(b"source-address") + packString(packString(b"::1") + b"x"),
            packString(b"permit-pty") + packString(packString(b"x")),
            packString(b"verify-required") + packString(b"\0"),
            2 * packOptions({b"permit-pty": b""}),
            packString(b"permit-pty"),
            packOptions({b"%d" % n: b"" for n in range(MAXIMUM_CERTIFICATE_OPTIONS + 1)}),
        ]
        for data in bad:
            self.assertRaises(MalformedMessage, readPublicKey, whole(fields(criticalOptions=data)))
            self.assertRaises(MalformedMessage, readPublicKey, whole(fields(extensions=data)))
        most = packOptions({b"%d" % n: b"" for n in range(MAXIMUM_CERTIFICATE_OPTIONS)})
        readPublicKey(whole(fields(extensions=most)))

    def test_badPrincipals(self) -> None:
        for data in (b"\0", b"\0\0\0\5abcd", packString(b"x") * 257):
            self.assertRaises(MalformedMessage, readPublicKey, whole(fields(principals=data)))

    def test_orderOfOptions(self) -> None:
        """
        PROTOCOL.certkeys: in lexical order.
        """
        packed = packOptions({b"b": b"", b"a": b"1", b"force-command": b""})
        self.assertEqual(
            packString(b"a")
            + packString(packString(b"1"))
            + packString(b"b")
            + packString(b"")
            + packString(b"force-command")
            + packString(packString(b"")),
            packed,
        )

    def test_notPrivate(self) -> None:
        certificateType = keyTypeOf(certified().certificate)
        private = packString(b"ssh-ed25519-cert-v01@openssh.com") + packString(b"x")
        self.assertRaises(MalformedMessage, readPrivateKey, Reader(private))
        self.assertRaises(UsageError, packPrivateKey, certified().certificate)
        self.assertRaises(UsageError, certificateType.generate, None)
        self.assertRaises(UsageError, certificateType.sign, KEY._keyObject, b"ssh-ed25519", b"")

    def test_typesAreDistinct(self) -> None:
        ofOther = replace(certified().certificate, name=b"ssh-rsa-cert-v01@openssh.com")
        self.assertFalse(keyTypeOf(certified().certificate).owns(ofOther))
        self.assertFalse(keyTypeOf(certified().certificate).owns(KEY._keyObject))

    @settings(max_examples=150, deadline=None)
    @given(
        st.sampled_from(catalogue.certificateTypes()),
        st.lists(st.binary(max_size=80).map(packString) | st.binary(max_size=9), max_size=14).map(b"".join),
    )
    def test_anyBytes(self, name: bytes, rest: bytes) -> None:
        """
        Row 66: any bytes are a certificate or MalformedMessage, for who parses
        them and for who only looks for the key.
        """
        for read in (readPublicKey, plainBlob):
            try:
                read(packString(name) + rest)
            except MalformedMessage:
                pass

    def test_plainBlobsArePlain(self) -> None:
        for blob in (b"", b"\0\0", KEY.blob(), packString(b"ssh-tiny") + b"x", b"\xff" * 10):
            self.assertEqual(blob, plainBlob(blob))
        self.assertRaises(MalformedMessage, plainBlob, certified().blob()[:60])


class SignatureTests(SynchronousTestCase):
    def test_algorithmsOfCertificates(self) -> None:
        """
        What a certified key signs names the plain algorithm; agreed on is that
        of the certificate.
        """
        for key in KEYS:
            blob = certified(key).blob()
            plainType = key.sshType()
            for plain in key.supportedSignatureAlgorithms():
                algorithm = catalogue.certificateName(plain)
                made = makeSignature(algorithm, key._keyObject, b"data")
                self.assertEqual(plain, Reader(made).string())
                verifySignature(algorithm, blob, made, b"data")
                verifySignature(plain, key.blob(), made, b"data")
                verifyByKey(certified(key).certificate, algorithm, made, b"data")
                for wrongAlgorithm, wrongBlob in ((plain, blob), (algorithm, key.blob())):
                    self.assertRaises(BadSignature, verifySignature, wrongAlgorithm, wrongBlob, made, b"data")
                self.assertRaises(BadSignature, verifySignature, algorithm, blob, made, b"date")
                renamed = packString(algorithm) + made[len(packString(plain)) :]
                self.assertRaises(BadSignature, verifySignature, algorithm, blob, renamed, b"data")
            certificateType = catalogue.keyType(catalogue.certificateName(plainType))
            self.assertIsInstance(certificateType, CertificateType)
            inner = Reader(made)
            inner.string()
            certificateType.verify(certified(key).certificate, algorithm, inner.string(), b"data")

    def test_sha1UnderAnotherName(self) -> None:
        """
        Row 40: with a certificate too.
        """
        rsa = KEYS[-1]
        made = rsa.sign(b"data", "ssh-rsa")
        self.assertRaises(
            BadSignature,
            verifySignature,
            b"rsa-sha2-512-cert-v01@openssh.com",
            certified(rsa).blob(),
            made,
            b"data",
        )

    def test_smallKeys(self) -> None:
        """
        Row 51: a certificate makes no key larger.
        """
        small = Key.generate("rsa", 1024)
        made = small.sign(b"data", "rsa-sha2-512")
        blob = certified(small).blob()
        algorithm = b"rsa-sha2-512-cert-v01@openssh.com"
        self.assertRaises(WeakKey, verifySignature, algorithm, blob, made, b"data")
        verifySignature(algorithm, blob, made, b"data", 1024)
        self.assertRaises(MalformedMessage, verifySignature, algorithm, blob, made, b"data", 0, 1000)

    def test_foreignAlgorithms(self) -> None:
        self.assertRaises(
            BadSignatureAlgorithmError,
            makeSignature,
            b"rsa-sha2-512-cert-v01@openssh.com",
            KEY._keyObject,
            b"data",
        )
