"""
Security keys: OpenSSH's PROTOCOL.u2f.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms import catalogue
from conchlite.algorithms.publickeys.securitykeys import SecurityKeyHandle
from conchlite.algorithms.publickeys.signatures import (
    Presence,
    keyTypeOf,
    packPrivateKey,
    packPublicKey,
    readPrivateKey,
    readPublicKey,
    verifySignature,
)
from conchlite.error import BadSignature, BadSignatureAlgorithmError, MalformedMessage, UsageError
from conchlite.ssh.keys import Key
from conchlite.wire.types import Reader, packString, packUInt32
from tests.ssh.certificatescenes import Device, certified

DEVICES = [Device(), Device(curve=True)]
NAMES = [b"sk-ssh-ed25519@openssh.com", b"sk-ecdsa-sha2-nistp256@openssh.com"]


def private(device: Device) -> bytes:
    return device.public.blob() + b"\1" + packString(b"the handle") + packString(b"")


class SecurityKeyTests(SynchronousTestCase):
    def test_types(self) -> None:
        for device, name, kind in zip(DEVICES, NAMES, ("Ed25519", "EC"), strict=True):
            key = device.public
            self.assertEqual((name, kind, 256), (key.sshType(), key.type(), key.size()))
            self.assertEqual((True, b"ssh:", [name]), _about(key))
            self.assertEqual(b"ssh:", key.data()["application"])
            self.assertTrue(catalogue.isSecurityKey(name))
            self.assertTrue(catalogue.isSecurityKey(catalogue.certificateName(name)))
            keyType, read = readPublicKey(key.blob())
            self.assertIs(keyType, keyTypeOf(read))
            self.assertEqual(key.blob(), packPublicKey(read))
            self.assertRaises(UsageError, keyType.generate, None)
        plain = Key.generate()
        self.assertEqual((False, b"", [b"ssh-ed25519"]), _about(plain))

    def test_signatures(self) -> None:
        for device, name in zip(DEVICES, NAMES, strict=True):
            made = device.sign(b"data")
            device.public.verifyStrictly(made, b"data", name)
            self.assertTrue(device.public.verify(made, b"data"))
            self.assertFalse(device.public.verify(made, b"date"))
            certificate = certified(device.public)
            certificate.verifyStrictly(made, b"data", catalogue.certificateName(name))
            self.assertRaises(BadSignature, certificate.verifyStrictly, made, b"data", name)

    def test_everyBitIsSigned(self) -> None:
        """
        The flags and the counter too; and no key takes the other's.
        """
        for device, name in zip(DEVICES, NAMES, strict=True):
            made = device.sign(b"data")
            for index in range(len(made)):
                changed = made[:index] + bytes((made[index] ^ 4,)) + made[index + 1 :]
                self.assertRaises(
                    (BadSignature, MalformedMessage), device.public.verifyStrictly, changed, b"data", name
                )
            for size in range(len(made)):
                self.assertRaises(
                    (BadSignature, MalformedMessage), device.public.verifyStrictly, made[:size], b"data", name
                )
            self.assertRaises(BadSignature, device.public.verifyStrictly, made + b"\0", b"data", name)
            other = Device(curve=device is DEVICES[1])
            self.assertRaises(BadSignature, other.public.verifyStrictly, made, b"data", name)

    def test_presence(self) -> None:
        """
        Row 67: without the flag that says that somebody touched the device a
        signature is none, and without the one that says that it knows who,
        where that is asked for.
        """
        # Flags, and whether it is good: as a rule, without a touch, with a
        # verification, with that alone.
        for flags, verdicts in (
            (0x00, (False, True, False, False)),
            (0x01, (True, True, False, False)),
            (0x04, (False, True, False, True)),
            (0x05, (True, True, True, True)),
        ):
            for curve in (False, True):
                device = Device(curve)
                device.flags = flags
                name, made = device.public.sshType(), device.sign(b"data")
                key, certificate = device.public, certified(device.public)
                demands = ((True, False), (False, False), (True, True), (False, True))
                for (touch, verification), expected in zip(demands, verdicts, strict=True):
                    for bearer, algorithm in ((key, name), (certificate, catalogue.certificateName(name))):
                        strictly = {"requireTouch": touch, "requireVerification": verification}
                        self.assertEqual(expected, _verifies(bearer, made, algorithm, **strictly), flags)
                    presence = Presence(touch, verification)
                    if expected:
                        verifySignature(name, key.blob(), made, b"data", presence=presence)
                    else:
                        with self.assertRaises(BadSignature):
                            verifySignature(name, key.blob(), made, b"data", presence=presence)
                self.assertEqual(verdicts[0], key.verify(made, b"data"))

    def test_handles(self) -> None:
        """
        What a file has in the place of a private key is kept, and signs nothing.
        """
        for device, name in zip(DEVICES, NAMES, strict=True):
            keyType, handle = readPrivateKey(Reader(private(device)))
            self.assertIsInstance(handle, SecurityKeyHandle)
            self.assertNotIn("the handle", repr(handle))
            self.assertIs(keyType, keyTypeOf(handle))
            self.assertEqual(private(device), packPrivateKey(handle))
            key = Key(handle)
            self.assertFalse(key.isPublic())
            self.assertEqual(device.public, key.public())
            self.assertEqual(256, key.size())
            failed = self.assertRaises(UsageError, key.sign, b"data")
            self.assertIn("agent", str(failed))
            self.assertRaises(BadSignatureAlgorithmError, key.sign, b"data", "ssh-ed25519")
            text = key.toString("openssh", subtype="v1", comment="a device")
            self.assertEqual(key, Key.fromString(text))
            self.assertEqual(name, Key.fromString(text).sshType())
            for size in range(len(private(device))):
                self.assertRaises(MalformedMessage, readPrivateKey, Reader(private(device)[:size]))

    def test_foreignAlgorithms(self) -> None:
        for device in DEVICES:
            keyType = keyTypeOf(device.public._keyObject)
            for algorithm in (b"ssh-ed25519", b"ecdsa-sha2-nistp256", b""):
                self.assertRaises(
                    BadSignature, keyType.verify, device.public._keyObject, algorithm, b"x" * 80, b"data"
                )

    def test_plainSignature(self) -> None:
        """
        What the key would sign if it were in no device is not taken.
        """
        for device, name in zip(DEVICES, NAMES, strict=True):
            inner = device._type.sign(device._key, device._type.name, b"data")
            trailer = b"\1" + packUInt32(7)
            for made in (
                packString(name) + packString(inner),
                packString(name) + packString(inner) + trailer,
                packString(device._type.name) + packString(inner),
            ):
                self.assertRaises(BadSignature, device.public.verifyStrictly, made, b"data", name)


def _about(key: Key) -> tuple[bool, bytes, list[bytes]]:
    return key.isSecurityKey(), key.application, key.supportedSignatureAlgorithms()


def _verifies(key: Key, made: bytes, algorithm: bytes, **strictly: bool) -> bool:
    try:
        key.verifyStrictly(made, b"data", algorithm, **strictly)
    except BadSignature:
        return False
    return True
