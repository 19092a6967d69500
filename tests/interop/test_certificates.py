"""
Certificates and security keys, to and from OpenSSH.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from conchlite.algorithms.catalogue import CLIENT_DEFAULT, certificateName
from conchlite.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from conchlite.error import AuthenticationFailed, CertificateRejected
from conchlite.ssh.certificates import (
    FOREVER,
    HOST,
    USER,
    judgeHostCertificate,
    judgeUserCertificate,
)
from conchlite.ssh.keys import Key, hostKeyFingerprint
from tests.interop.ours import Client, Login, Server
from tests.interop.peers import (
    LOCALHOST,
    SSH,
    SSHD,
    Finished,
    hostKeys,
    missing,
    program,
    publicKeyLine,
    run,
    userKeys,
    userName,
)

CA = Key.generate("ed25519")
SK_DUMMY = Path("/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so")

#: What ssh-keygen makes keys of; the last two with the device that is none.
KEYGEN_TYPES = ("ed25519", "ecdsa", "rsa", "ed25519-sk", "ecdsa-sk")

#: All that a client can ask a server's certificate for.
WITH_CERTIFICATES = CLIENT_DEFAULT.replacing(
    signatures=(*map(certificateName, CLIENT_DEFAULT.signatures), *CLIENT_DEFAULT.signatures)
)

_PERMITTED = "permit-X11-forwarding permit-agent-forwarding permit-port-forwarding permit-pty permit-user-rc"


def certified(key: Key, ca: Key = CA, **changes: Any) -> Key:
    wanted = {
        "kind": USER,
        "keyID": "a test",
        "principals": [userName()],
        "validBefore": FOREVER,
        **changes,
    }
    return ca.signCertificate(key, **wanted)


class CertificateTestCase(TestCase):
    timeout = 60

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)

    def write(self, name: str, text: bytes) -> str:
        path = self.directory / name
        path.write_bytes(text)
        path.chmod(0o600)
        return str(path)

    def writeCertificate(self, name: str, key: Key) -> str:
        return self.write(name, key.public().toString("openssh") + b"\n")

    async def keygen(self, *arguments: str) -> str:
        done = await run(self, reactor, program("ssh-keygen"), arguments, environment=self.device())
        self.assertEqual(0, done.status, done.errors)
        return done.output.decode()

    def device(self) -> dict[str, str]:
        return {"SSH_SK_PROVIDER": str(SK_DUMMY)}

    async def generate(self, kind: str) -> str:
        """
        A key that ssh-keygen makes: its path.
        """
        path = str(self.directory / kind)
        arguments = ["-q", "-t", kind, "-N", "", "-C", "made", "-f", path]
        if kind.endswith("-sk"):
            if not SK_DUMMY.exists():
                raise missing(f"{SK_DUMMY} is not installed")
            arguments += ["-w", str(SK_DUMMY)]
        await self.keygen(*arguments)
        return path


class SSHKeygenTests(CertificateTestCase):
    async def test_theirs(self) -> None:
        """
        What ssh-keygen certifies is read, and judged good.
        """
        ca = self.write("ca", CA.toString("openssh", subtype="v1"))
        now = time.time()
        for kind in KEYGEN_TYPES:
            path = await self.generate(kind)
            options = ["force-command=ls -l", "source-address=192.0.2.0/24", "verify-required"]
            options += ["clear", "permit-pty", "extension:x@example.org=some text", "no-touch-required"]
            settings = [argument for option in options for argument in ("-O", option)]
            if not kind.endswith("-sk"):
                settings = settings[:-2]
            common = ["-q", "-s", ca, "-I", f"my {kind}", "-z", "77", "-V", "-1d:+1d"]
            # "clear" is for what stands in front of it.
            ordered = [*settings[6:8], *settings[:6], *settings[8:]]
            await self.keygen(*common, "-n", "alice,bob", *ordered, f"{path}.pub")
            key = Key.fromFile(f"{path}-cert.pub")
            read = key.certificate
            self.assertEqual(Key.fromFile(f"{path}.pub"), key.plain())
            self.assertEqual((b"my " + kind.encode(), 77, USER), (read.keyID, read.serial, read.kind))
            self.assertEqual((b"alice", b"bob"), read.principals)
            self.assertTrue(read.validAfter <= now - 86000 < now + 86000 < read.validBefore)
            self.assertEqual(
                {b"force-command": b"ls -l", b"source-address": b"192.0.2.0/24", b"verify-required": b""},
                read.criticalOptions,
            )
            extensions = {b"permit-pty": b"", b"x@example.org": b"some text"}
            if kind.endswith("-sk"):
                extensions[b"no-touch-required"] = b""
            self.assertEqual(extensions, read.extensions)
            judgeUserCertificate(read, [b"bob"], now, "192.0.2.9")
            self.assertEqual(CA.blob(), read.signatureKey)
            written = key.toString("openssh", comment="made")
            self.assertEqual(Path(f"{path}-cert.pub").read_bytes().strip(), written)
            shown = (await self.keygen("-l", "-f", f"{path}-cert.pub")).split()[1]
            self.assertEqual(shown, hostKeyFingerprint(key.blob()).sha256)

            await self.keygen(*common, "-h", "-n", "*.example.org", f"{path}.pub")
            read = Key.fromFile(f"{path}-cert.pub").certificate
            self.assertEqual((HOST, {}, {}), (read.kind, read.criticalOptions, read.extensions))
            judgeHostCertificate(read, "www.example.org", now)
            self.assertRaises(CertificateRejected, judgeHostCertificate, read, "example.org", now)

    async def test_theirAuthorities(self) -> None:
        """
        Authorities of each type; RSA signs as it is told.
        """
        subject = self.writeCertificate("subject.pub", userKeys()[b"ssh-ed25519"])
        for name, key in userKeys().items():
            ca = self.write(name.decode(), key.toString("openssh", subtype="v1"))
            variants = ["rsa-sha2-256", "rsa-sha2-512", "ssh-rsa"] if name == b"ssh-rsa" else [None]
            for variant in variants:
                told = ["-t", variant] if variant else []
                await self.keygen("-q", "-s", ca, "-I", "x", "-n", "alice", *told, subject)
                read = Key.fromFile(str(self.directory / "subject-cert.pub")).certificate
                if variant == "ssh-rsa":
                    self.assertRaises(CertificateRejected, judgeUserCertificate, read, [b"alice"], 1)
                else:
                    judgeUserCertificate(read, [b"alice"], 1)

    async def test_ours(self) -> None:
        """
        What we certify is shown by ssh-keygen as what it is.
        """
        for name, key in userKeys().items():
            options = {
                b"force-command": b"ls -l",
                b"source-address": b"192.0.2.0/24",
                b"verify-required": b"",
            }
            made = certified(key, principals=["alice", "bob"], serial=2**64 - 1, criticalOptions=options)
            shown = await self.keygen("-L", "-f", self.writeCertificate("x-cert.pub", made))
            fingerprint = hostKeyFingerprint(key.blob()).sha256
            for line in (
                f"Type: {certificateName(name).decode()} user certificate",
                f"CERT {fingerprint}",
                f"Signing CA: ED25519 {hostKeyFingerprint(CA.blob()).sha256} (using ssh-ed25519)",
                'Key ID: "a test"',
                f"Serial: {2**64 - 1}",
                "Valid: forever",
                "Principals: alice bob",
                "Critical Options: force-command ls -l source-address 192.0.2.0/24 verify-required",
                f"Extensions: {_PERMITTED}",
            ):
                self.assertIn(line, " ".join(shown.split()))
            made = certified(key, kind=HOST, principals=["host.example"], validAfter=0, validBefore=86400)
            shown = " ".join((await self.keygen("-L", "-f", self.writeCertificate("y", made))).split())
            for line in ("host certificate", "Critical Options: (none) Extensions: (none)", "1970-01-02T"):
                self.assertIn(line, shown)


class SSHDTests(CertificateTestCase):
    """
    Our client and sshd.
    """

    def sshd(self, *cas: Key, **options: str) -> Any:
        authorities = b"".join(ca.public().toString("openssh") + b"\n" for ca in cas or (CA,))
        return SSHD.start(
            self,
            reactor,
            TrustedUserCAKeys=self.write("authorities", authorities),
            AuthorizedKeysFile="none",
            MaxAuthTries="20",
            **options,
        )

    async def accepts(self, sshd: SSHD, key: Key) -> bool:
        client = await Client.connect(self, reactor, sshd.port, Login(userName(), key=key))
        try:
            await client.ready
        except AuthenticationFailed:
            return False
        command = await client.run("cat", b"data")
        self.assertIn(command.output, (b"data", b"forced\n"))
        await client.close()
        return True

    async def test_everyType(self) -> None:
        sshd = await self.sshd()
        for key in userKeys().values():
            self.assertFalse(await self.accepts(sshd, key))
            self.assertTrue(await self.accepts(sshd, certified(key)), key)
            self.assertIn(f"CERT {hostKeyFingerprint(key.blob()).sha256}", sshd.log)

    async def test_sameVerdicts(self) -> None:
        """
        What sshd lets in, and what it does not, side by side with our own
        verdict.
        """
        key, now = userKeys()[b"ssh-ed25519"], int(time.time())
        rsa, stranger = Key.generate("rsa", 2048), Key.generate()
        sshd = await self.sshd(CA, rsa)
        for good, made in self.cases(key, rsa, stranger, now):
            self.assertEqual(good, await self.accepts(sshd, made), made.certificate)
            trusted = made.certificate.signatureKey in (CA.blob(), rsa.blob())
            try:
                judgeUserCertificate(made.certificate, [userName().encode()], now, LOCALHOST)
            except CertificateRejected:
                ours = False
            else:
                ours = trusted
            self.assertEqual(good, ours, made.certificate)

    def cases(self, key: Key, rsa: Key, stranger: Key, now: int) -> Sequence[tuple[bool, Key]]:
        name = userName()

        def options(**critical: bytes) -> dict[bytes, bytes]:
            return {option.replace("_", "-").encode(): value for option, value in critical.items()}

        return [
            (True, certified(key)),
            (True, certified(key, validAfter=now - 100, validBefore=now + 100)),
            (False, certified(key, validAfter=now - 100, validBefore=now - 1)),
            (False, certified(key, validAfter=now + 100, validBefore=FOREVER)),
            (False, certified(key, validAfter=2**63, validBefore=FOREVER)),
            (True, certified(key, principals=["nobody", name])),
            (False, certified(key, principals=["nobody"])),
            (False, certified(key, principals=[f"nobody,{name}"])),
            (False, certified(key, principals=["*"])),
            (False, certified(key, principals=[name + " "])),
            (False, certified(key, kind=HOST)),
            (False, certified(key, ca=stranger)),
            (True, certified(key, ca=rsa)),
            (True, certified(key, ca=rsa, signatureType="rsa-sha2-256")),
            (False, certified(key, ca=rsa, signatureType="ssh-rsa")),
            (True, certified(key, criticalOptions=options(force_command=b"echo forced"))),
            (True, certified(key, criticalOptions=options(source_address=b"127.0.0.0/8,::1"))),
            (False, certified(key, criticalOptions=options(source_address=b"192.0.2.0/24"))),
            (False, certified(key, criticalOptions=options(source_address=b"127.0.0.1/8"))),
            (False, certified(key, criticalOptions=options(source_address=b"localhost"))),
            (False, certified(key, criticalOptions=options(unheard_of=b""))),
            (False, certified(key, criticalOptions={b"x@example.org": b"y"})),
            (True, certified(key, extensions={b"x@example.org": b"y"})),
            (True, certified(key, extensions={})),
        ]

    async def test_hostCertificates(self) -> None:
        """
        sshd has a certificate for each of its keys; who asks for one gets it.
        """
        # The option may be given more than once, each in a line of its own.
        paths = [
            self.writeCertificate(f"host{index}", certified(key, kind=HOST, principals=["host.example"]))
            for index, key in enumerate(hostKeys().values())
        ]
        sshd = await SSHD.start(self, reactor, HostCertificate="\nHostCertificate ".join(paths))
        for name, key in hostKeys().items():
            for algorithm in key.supportedSignatureAlgorithms():
                if algorithm == b"ssh-rsa":
                    continue
                seen = await self.hostKeyOf(sshd, certificateName(algorithm))
                self.assertEqual(certificateName(name), seen.sshType())
                self.assertEqual(key.public(), seen.plain())
                judgeHostCertificate(seen.certificate, "host.example", time.time())
                plain = await self.hostKeyOf(sshd, algorithm)
                self.assertEqual(key.public(), plain)

    async def hostKeyOf(self, sshd: SSHD, algorithm: bytes) -> Key:
        seen: list[bytes] = []

        class Anything(frozenset):
            def __contains__(self, blob: object) -> bool:
                seen.append(blob)
                return True

        algorithms = CLIENT_DEFAULT.replacing(signatures=(algorithm,))
        login = Login(userName(), algorithms=algorithms, knownHostKeys=Anything())
        client = await Client.logIn(self, reactor, sshd.port, login)
        self.assertEqual(algorithm, client.transport.negotiated.hostKey)
        await client.close()
        return Key.fromString(seen[0], "blob")


class SSHTests(CertificateTestCase):
    """
    ssh and our server.
    """

    def serve(self, *keys: Key, **changes: Any) -> Server:
        checker = SSHPublicKeyChecker(InMemorySSHKeyDB({"alice": keys}), trustedUserCAKeys=[CA.public()])
        return Server.start(self, reactor, checkers=[checker], **changes)

    async def cat(self, server: Server, **options: Any) -> Finished:
        return await SSH(self, reactor, server.port).run("cat", b"data", **options)

    def assertWorked(self, finished: Finished) -> None:
        self.assertEqual((b"data", b"", 0), (finished.output, finished.errors, finished.status))

    async def test_userCertificates(self) -> None:
        server = self.serve()
        for index, key in enumerate(userKeys().values()):
            path = self.writeCertificate(f"user{index}", certified(key, principals=["alice"]))
            self.assertWorked(await self.cat(server, key=key, CertificateFile=path))
        refused = await self.cat(server)
        self.assertEqual(255, refused.status)
        path = self.writeCertificate("bob", certified(userKeys()[b"ssh-ed25519"], principals=["bob"]))
        self.assertIn(b"Permission denied", (await self.cat(server, CertificateFile=path)).errors)

    async def test_hostCertificates(self) -> None:
        """
        A line with C{@cert-authority} is all that ssh knows.
        """
        for name, key in hostKeys().items():
            server = self.serve(
                *userKeys().values(), keys={name: certified(key, kind=HOST, principals=[LOCALHOST])}
            )
            known = self.write("known", f"@cert-authority * {publicKeyLine(CA)}\n".encode())
            algorithms = ",".join(
                certificateName(algorithm).decode()
                for algorithm in key.supportedSignatureAlgorithms()
                if algorithm != b"ssh-rsa"
            )
            options = {"UserKnownHostsFile": known, "HostKeyAlgorithms": algorithms}
            self.assertWorked(await self.cat(server, **options))
        # What is for another host, ssh does not take.
        other = certified(key, kind=HOST, principals=["host.example"])
        server = self.serve(*userKeys().values(), keys={name: other})
        self.assertEqual(255, (await self.cat(server, **options)).status)

    async def test_hostCertificateAmongOthers(self) -> None:
        """
        Nor does who knows the keys need the certificate.
        """
        ed25519 = hostKeys()[b"ssh-ed25519"]
        server = self.serve(
            *userKeys().values(),
            keys={b"ssh-ed25519": certified(ed25519, kind=HOST, principals=["host.example"])},
        )
        self.assertWorked(await self.cat(server))

    async def test_securityKeys(self) -> None:
        """
        A security key logs in by itself, and with a certificate; one that
        nobody touched only where that is not asked for.
        """
        for kind in ("ed25519-sk", "ecdsa-sk"):
            key = Key.fromFile(await self.generate(kind))
            self.assertTrue(key.isSecurityKey())
            device = {"SecurityKeyProvider": str(SK_DUMMY)}
            self.assertWorked(await self.cat(self.serve(key.public()), key=key, **device))
            path = self.writeCertificate(kind + "-cert", certified(key.public(), principals=["alice"]))
            self.assertWorked(await self.cat(self.serve(), key=key, CertificateFile=path, **device))
            refused = await self.cat(self.serve(), key=key, **device)
            self.assertEqual(255, refused.status)
