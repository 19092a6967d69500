"""
Keys, certificates and lines of C{authorized_keys}, as sshd and our server judge
them: the same files for both, and the same ssh at the door.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from twisted.cred.error import UnauthorizedLogin
from twisted.internet import reactor
from twisted.internet.defer import DeferredSemaphore, gatherResults
from twisted.trial.unittest import TestCase

from conchlite.algorithms import catalogue
from conchlite.checkers import (
    AuthorizedKeysFiles,
    AuthorizedPrincipalsFiles,
    RevokedKeys,
    SSHPublicKeyChecker,
)
from conchlite.error import AuthenticationFailed
from conchlite.ssh.certificates import FOREVER, HOST, USER, signCertificate
from conchlite.ssh.keys import Key
from conchlite.ssh.userauth import SSHUserAuthServer
from conchlite.wire.publickeys import CertificateFields, Principals
from tests.interop.ours import Client, Login, Server, processes
from tests.interop.peers import (
    SSH,
    SSHD,
    missing,
    program,
    publicKeyLine,
    userName,
    writePrivateKey,
)

HOUR = 3600
COMMAND = 'echo "ran: $SSH_ORIGINAL_COMMAND"; echo "$CASE_A/$CASE_B"'

#: Makes a certificate of a key.
Certify = Callable[[Key], Key]


@dataclass(frozen=True)
class Case:
    """
    A login.

    @ivar line: the line of C{authorized_keys}; C{KEY} stands for the key, C{CA}
        for its authority; nothing for no line.
    @ivar certificate: what of its certificate is not as in every other; L{None}
        for no certificate.
    @ivar trusted: whether the authority is one of the server's own.
    @ivar granted: what both servers have to say.
    """

    line: str = "KEY"
    granted: bool = True
    certificate: Mapping[str, object] | None = None
    trusted: bool = False


def _line(line: str, granted: bool = True) -> Case:
    return Case(line, granted)


def _certified(granted: bool, line: str = "cert-authority CA", **fields: object) -> Case:
    return Case(line, granted, fields)


def _trusted(granted: bool, **fields: object) -> Case:
    return Case("", granted, fields, True)


LINES = {
    "plain": _line("KEY"),
    "tab": _line("no-pty\tKEY"),
    "command": _line('command="echo forced: $SSH_ORIGINAL_COMMAND" KEY'),
    "command with quotes": _line('command="echo \\"a  b\\"; echo c#d" KEY'),
    "command with a backslash": _line('command="printf a\\\\nb" KEY'),
    "two commands": _line('command="echo 1",command="echo 2" KEY', False),
    "environment": _line('environment="CASE_A=1",environment="CASE_B=x y",environment="CASE_A=2" KEY'),
    "no variable": _line('environment="CASE A=1" KEY', False),
    "restrict": _line('restrict,command="echo restricted" KEY'),
    "touch": _line("no-touch-required,verify-required KEY"),
    "forwarding": _line('permitopen="web:80",permitopen="[::1]:*",permitlisten="8080",tunnel="0" KEY'),
    "unknown option": _line("frobnicate KEY", False),
    "no quotes": _line("command=date KEY", False),
    "open quote": _line('command="date KEY', False),
    "comma at the end": _line("no-pty, KEY"),
    "from address": _line('from="127.0.0.1" KEY'),
    "from network": _line('from="192.0.2.0/24,127.0.0.0/8" KEY'),
    "from pattern": _line('from="10.*,127.0.?.1" KEY'),
    "from elsewhere": _line('from="192.0.2.1" KEY', False),
    "from all but here": _line('from="!127.0.0.1,*" KEY', False),
    "from all but there": _line('from="!192.0.2.0/24,*" KEY'),
    "from nothing but not there": _line('from="!192.0.2.0/24" KEY', False),
    "from no network": _line('from="127.0.0.1/8" KEY', False),
    "from nowhere": _line('from="" KEY', False),
    "expired": _line('expiry-time="20200101" KEY', False),
    "not expired": _line('expiry-time="29991231235959Z" KEY'),
    "no time": _line('expiry-time="tomorrow" KEY', False),
    "soon and late": _line('expiry-time="29991231",expiry-time="20200101Z" KEY', False),
    "principals for a key": _line('principals="root" KEY', False),
    "authority for a key": _line("cert-authority KEY", False),
}

_NAMED = 'cert-authority,principals="other,alice" CA'

CERTIFICATES = {
    "plain": _certified(True),
    "line without authority": _certified(False, "CA"),
    # ssh shows the key itself, too.
    "its key": _certified(True, "KEY"),
    "expired": _certified(False, validAfter=-2 * HOUR, validBefore=-HOUR),
    "not yet": _certified(False, validAfter=HOUR, validBefore=2 * HOUR),
    "always": _certified(True, validAfter=None, validBefore=None),
    "wrong principal": _certified(False, principals=["somebody"]),
    "several": _certified(True, principals=["somebody", "USER"]),
    "pattern": _certified(False, principals=["*"]),
    "comma": _certified(False, principals=["USER,somebody"]),
    "named": _certified(True, _NAMED, principals=["alice"]),
    "not named": _certified(False, _NAMED, principals=["USER"]),
    "of a host": _certified(False, kind=HOST),
    "force-command": _certified(True, criticalOptions={b"force-command": b"echo forced"}),
    "two commands": _certified(
        False, 'cert-authority,command="echo 1" CA', criticalOptions={b"force-command": b"echo 2"}
    ),
    "one command": _certified(
        True, 'cert-authority,command="echo 1" CA', criticalOptions={b"force-command": b"echo 1"}
    ),
    "command of the line": _certified(True, 'cert-authority,command="echo line" CA'),
    "from here": _certified(True, criticalOptions={b"source-address": b"192.0.2.1,127.0.0.0/8"}),
    "from elsewhere": _certified(False, criticalOptions={b"source-address": b"192.0.2.0/24"}),
    "line from elsewhere": _certified(False, 'cert-authority,from="192.0.2.1" CA'),
    "line expired": _certified(False, 'cert-authority,expiry-time="20200101" CA'),
    "unknown critical option": _certified(False, criticalOptions={b"frobnicate@example.org": b""}),
    "unknown extension": _certified(True, extensions={b"frobnicate@example.org": b""}),
    "trusted": _trusted(True),
    "trusted, named": _trusted(True, principals=["deploy"]),
    "trusted, bound": _trusted(True, principals=["bound"]),
    "trusted, from elsewhere": _trusted(False, principals=["elsewhere"]),
    "trusted, not named": _trusted(False, principals=["somebody"]),
    "trusted, comma": _trusted(False, principals=["deploy,USER"]),
    "trusted, expired": _trusted(False, validAfter=-2 * HOUR, validBefore=-HOUR),
    "by RSA": _certified(True, keygen=("-n", "USER"), kind="rsa"),
    "by RSA with SHA-1": _certified(False, keygen=("-n", "USER", "-t", "ssh-rsa"), kind="rsa"),
    "revoked": _certified(False, revoked="certificate"),
    "revoked authority": _certified(False, revoked="authority"),
}


@dataclass
class Scene:
    """
    A case with its files.
    """

    case: Case
    key: Key
    authority: Key
    options: dict[str, str] = field(default_factory=dict)


class JudgedTests(TestCase):
    timeout = 120

    def setUp(self):
        if os.geteuid() != 0:
            raise missing("a file of keys that both servers read as the user takes root")
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        # How long a refusal takes is for other tests.
        self.patch(SSHUserAuthServer, "failureDelay", 0)
        self.patch(SSHUserAuthServer, "attemptsBeforeDisconnect", 100)
        self.scenes: dict[str, Scene] = {}
        self.trusted = Key.generate("ed25519")
        self.revoked: list[Key] = []

    def certifyByKeygen(self, key: Key, authority: Key, *arguments: str) -> Key:
        """
        Certify a key in ways that we would not.
        """
        signer = writePrivateKey(authority, self.directory / "signer")
        subject = self.directory / "subject.pub"
        subject.write_text(publicKeyLine(key) + "\n")
        given = [userName() if argument == "USER" else argument for argument in arguments]
        subprocess.run(
            [program("ssh-keygen"), "-q", "-s", str(signer), "-I", "case", *given, str(subject)],
            check=True,
            capture_output=True,
        )
        return Key.fromFile(str(self.directory / "subject-cert.pub"))

    def certify(self, case: Case, key: Key, authority: Key) -> Key:
        if "keygen" in case.certificate:
            return self.certifyByKeygen(key, authority, *case.certificate["keygen"])
        fields = dict(case.certificate)
        now = int(time.time())
        revoked = fields.pop("revoked", None)
        after, before = fields.pop("validAfter", -HOUR), fields.pop("validBefore", HOUR)
        named = [userName() if name == "USER" else name for name in fields.pop("principals", ["USER"])]
        named = [name.replace("USER", userName()) for name in named]
        certified = signCertificate(
            authority,
            key,
            keyID="case",
            kind=fields.pop("kind", USER),
            principals=named,
            validAfter=0 if after is None else now + after,
            validBefore=FOREVER if before is None else now + before,
            **fields,
        )
        if revoked is not None:
            self.revoked.append(authority.public() if revoked == "authority" else key.public())
        return certified

    def prepare(self, cases: Mapping[str, Case]) -> None:
        lines = [
            "# All of these are in one file, and none hides another.",
            "no key at all",
            "ssh-ed25519 AAAA",
        ]
        for number, (name, case) in enumerate(cases.items()):
            key = Key.generate("ed25519")
            byRSA = case.certificate is not None and case.certificate.get("kind") == "rsa"
            authority = (
                self.trusted if case.trusted else Key.generate(*(("rsa", 2048) if byRSA else ("ed25519",)))
            )
            identity = writePrivateKey(key, self.directory / f"key{number}")
            scene = self.scenes[name] = Scene(case, key, authority, {"IdentityFile": str(identity)})
            if case.certificate is not None:
                certified = self.certify(case, key, authority)
                path = self.directory / f"key{number}-cert.pub"
                path.write_text(publicKeyLine(certified) + "\n")
                scene.options["CertificateFile"] = str(path)
            shown = {"KEY": publicKeyLine(key), "CA": publicKeyLine(authority)}
            line = re.sub(r"\b(KEY|CA)\b", lambda found, shown=shown: shown[found[0]], case.line)
            if line:
                lines.append(line)
        self.write("authorized_keys", lines)
        self.write("authorities", [publicKeyLine(self.trusted)])
        self.write(
            "principals",
            [
                "# Who is",
                "deploy # a comment",
                'command="echo bound" bound',
                'from="192.0.2.1" elsewhere',
                userName(),
            ],
        )
        self.write("revoked", [publicKeyLine(key) for key in self.revoked])

    def write(self, name: str, lines: list[str]) -> None:
        (self.directory / name).write_text("".join(line + "\n" for line in lines))

    def path(self, name: str) -> str:
        return str(self.directory / name)

    async def theirs(self) -> SSH:
        options = {
            "AuthorizedKeysFile": self.path("authorized_keys"),
            "TrustedUserCAKeys": self.path("authorities"),
            "AuthorizedPrincipalsFile": self.path("principals"),
            "RevokedKeys": self.path("revoked"),
            "PermitUserEnvironment": "yes",
            "MaxAuthTries": "100",
        }
        self.sshd = await SSHD.start(self, reactor, **options)
        return SSH(self, reactor, self.sshd.port)

    def ours(self) -> SSH:
        checker = SSHPublicKeyChecker(
            AuthorizedKeysFiles([self.path("authorized_keys")], strictModes=False),
            trustedUserCAKeys=[self.trusted.public()],
            authorizedPrincipals=AuthorizedPrincipalsFiles([self.path("principals")], strictModes=False),
            revokedKeys=RevokedKeys(path=self.path("revoked")),
        )
        checker.permitUserEnvironment = True
        server = Server.start(self, reactor, checkers=[checker], openSession=processes(self, reactor))
        return SSH(self, reactor, server.port)

    async def check(self, cases: Mapping[str, Case]) -> None:
        self.prepare(cases)
        servers = {"sshd": await self.theirs(), "ours": self.ours()}
        two = DeferredSemaphore(2)
        # Who has to be let in comes alone. Whoever must not comes with all the
        # others: who lets one in does so on the same connection.
        alone = {name: scene.options for name, scene in self.scenes.items() if scene.case.granted}
        names = [name for name, scene in self.scenes.items() if not scene.case.granted]
        together = {"those to refuse": self.optionsOf(names)}
        runs = [
            (name, which, two.run(ssh.run, COMMAND, user=userName(), key=self.trusted, **options))
            for name, options in {**together, **alone}.items()
            for which, ssh in servers.items()
        ]
        await gatherResults([finished for _, _, finished in runs])
        verdicts: dict[str, dict[str, object]] = {"sshd": {}, "ours": {}}
        for name, which, deferred in runs:
            finished = deferred.result
            denied = b"Permission denied" in finished.errors
            verdicts[which][name] = (
                "denied" if denied else (finished.status, finished.output, finished.errors)
            )
        self.assertEqual(verdicts["ours"], verdicts["sshd"])
        denied = {name for name, verdict in verdicts["ours"].items() if verdict == "denied"}
        self.assertEqual(denied, set(together))

    def optionsOf(self, names: Sequence[str]) -> dict[str, list[str]]:
        """
        What has one ssh try the keys and certificates of all of these.
        """
        options: dict[str, list[str]] = {}
        for name in names:
            for option, path in self.scenes[name].options.items():
                options.setdefault(option, []).append(path)
        self.assertGreater(len(options["IdentityFile"]), 10)
        return options

    def test_lines(self):
        """
        Lines of C{authorized_keys}.
        """
        return self.check(LINES)

    def test_certificates(self):
        """
        Rows 75 to 78: certificates, by lines and by the server's own authority.
        """
        return self.check(CERTIFICATES)


class CraftedTests(TestCase):
    """
    Certificates that ssh neither makes nor shows, which our client does.
    """

    timeout = 60

    def setUp(self):
        self.patch(SSHUserAuthServer, "failureDelay", 0)
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.key, self.trusted, self.listed = (Key.generate("ed25519") for _ in range(3))
        # Both are authorities that are certified themselves.
        self.trustedCertified = self.crafted(self.trusted, signer=self.trusted)
        self.listedCertified = self.crafted(self.listed, signer=self.listed)

    def crafted(
        self,
        key: Key,
        signer: Key,
        kind: int = USER,
        principals: Sequence[bytes] | None = None,
        signatureKey: bytes | None = None,
    ) -> Key:
        """
        Certify a key, whatever L{signCertificate} would say to that.

        @param signatureKey: which blob says who signed; that of the signer by
            default.
        """
        principals = [userName().encode("ascii")] if principals is None else principals
        fields = CertificateFields(
            serial=0,
            kind=kind,
            keyID=b"case",
            principals=Principals(tuple(principals)).pack(),
            validAfter=0,
            validBefore=FOREVER,
            criticalOptions=b"",
            extensions=b"",
            reserved=b"",
            signatureKey=signer.blob() if signatureKey is None else signatureKey,
            signature=b"",
        )
        certificateType = catalogue.keyType(catalogue.certificateName(key.sshType()))
        return key.withCertificate(certificateType.make(bytes(32), key.blob(), fields, signer.sign))

    async def servers(self) -> dict[str, int]:
        """
        The ports of both, by name.
        """
        authorities = [self.trusted, self.trustedCertified]
        lines = [f"cert-authority {publicKeyLine(key)}" for key in (self.listedCertified, self.listed)]
        for name, content in {"authorities": map(publicKeyLine, authorities), "lines": lines}.items():
            (self.directory / name).write_text("".join(line + "\n" for line in content))
        self.sshd = await SSHD.start(
            self,
            reactor,
            AuthorizedKeysFile=str(self.directory / "lines"),
            TrustedUserCAKeys=str(self.directory / "authorities"),
        )
        checker = SSHPublicKeyChecker(
            AuthorizedKeysFiles([str(self.directory / "lines")], strictModes=False),
            trustedUserCAKeys=[key.public() for key in authorities],
        )
        ours = Server.start(self, reactor, checkers=[checker])
        return {"sshd": self.sshd.port, "ours": ours.port}

    async def granted(self, port: int, key: Key) -> bool:
        try:
            client = await Client.logIn(self, reactor, port, Login(userName(), key=key))
        except AuthenticationFailed:
            return False
        await client.close()
        return True

    async def verdicts(self, **shown: Key) -> dict[str, tuple[bool, bool]]:
        """
        What sshd says, and what we say.
        """
        ports = await self.servers()
        return {
            name: tuple([await self.granted(ports[which], key) for which in ("sshd", "ours")])
            for name, key in shown.items()
        }

    async def test_authorities(self):
        """
        A certificate is signed by a key and by no certificate, also where it
        is a certificate that is named as the authority; and it is for users or
        for hosts, not for a third kind.
        """
        trusted, listed = self.trusted, self.listed
        verdicts = await self.verdicts(
            trusted=self.crafted(self.key, trusted),
            listed=self.crafted(self.key, listed),
            nestedTrusted=self.crafted(self.key, trusted, signatureKey=self.trustedCertified.blob()),
            nestedListed=self.crafted(self.key, listed, signatureKey=self.listedCertified.blob()),
            thirdKindTrusted=self.crafted(self.key, trusted, kind=3),
            thirdKindListed=self.crafted(self.key, listed, kind=0),
            hostTrusted=self.crafted(self.key, trusted, kind=HOST),
            authorityItself=self.trustedCertified.plain(),
            listedItself=self.listedCertified.plain(),
        )
        granted = {name for name, (_, ours) in verdicts.items() if ours}
        self.assertEqual(granted, {"trusted", "listed"})
        self.assertEqual({name for name, (theirs, _) in verdicts.items() if theirs}, granted)

    async def test_forNobody(self):
        """
        Row 76: who is named by no certificate is let in by none. Before 10.3,
        sshd took one without names for anybody's where a line of
        C{authorized_keys} has the authority; we do not.
        """
        verdicts = await self.verdicts(
            trusted=self.crafted(self.key, self.trusted, principals=[]),
            listed=self.crafted(self.key, self.listed, principals=[]),
        )
        lenient = self.sshd.version < (10, 3)
        self.assertEqual(verdicts, {"trusted": (False, False), "listed": (lenient, False)})


class RevocationListTests(TestCase):
    """
    Row 79: key revocation lists of ssh-keygen, and what it says is in them.
    """

    def setUp(self):
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()

    def keygen(self, *arguments: str) -> str:
        """
        What ssh-keygen says, which fails where it finds a key that is revoked.
        """
        finished = subprocess.run(
            [program("ssh-keygen"), *arguments],
            cwd=self.directory,
            capture_output=True,
            check=False,
            encoding="ascii",
        )
        self.assertIn(finished.returncode, (0, 1), finished.stderr)
        return finished.stdout

    def write(self, name: str, text: str) -> str:
        (self.directory / name).write_text(text)
        return name

    def test_everySection(self):
        """
        Serial numbers alone, in ranges and in bitmaps, key IDs, keys, and their
        digests.
        """
        authority, other = Key.generate("ed25519"), Key.generate("ed25519")
        keys = [Key.generate("ed25519") for _ in range(5)]
        serials = [*range(100, 120, 2), *range(200, 210), 5000, 2**63]
        lines = [f"serial: {serial}" for serial in serials]
        lines += ["serial: 300-400", "id: gone", f"key: {publicKeyLine(keys[0])}"]
        lines += [f"sha1: {publicKeyLine(keys[1])}", f"sha256: {publicKeyLine(keys[2])}"]
        self.write("ca.pub", publicKeyLine(authority) + "\n")
        self.write("spec", "".join(line + "\n" for line in lines))
        self.keygen("-kf", "krl", "-s", "ca.pub", "spec")
        revoked = RevokedKeys(path=self.directory / "krl")
        shown = [key.public() for key in keys]
        for signer in (authority, other):
            for serial in (0, 99, *range(100, 121), 199, 200, 209, 210, 299, 300, 400, 401, 5000, 2**63):
                shown.append(self.certify(keys[3], signer, serial, "here"))
            shown += [self.certify(keys[3], signer, 1, "gone"), self.certify(keys[0], signer, 1, "here")]
        names = [self.write(f"{number}.pub", publicKeyLine(key) + "\n") for number, key in enumerate(shown)]
        words = {True: "REVOKED", False: "ok"}
        ours = {name: words[self.isRevoked(revoked, key)] for name, key in zip(names, shown, strict=True)}
        said = self.keygen("-Qf", "krl", *names).splitlines()
        self.assertEqual({line.split()[0]: line.split()[-1] for line in said}, ours)
        self.assertEqual(set(ours.values()), set(words.values()))

    def isRevoked(self, revoked: RevokedKeys, key: Key) -> bool:
        try:
            revoked.check(key)
        except UnauthorizedLogin:
            return True
        return False

    def certify(self, key: Key, authority: Key, serial: int, keyID: str) -> Key:
        certified = signCertificate(
            authority, key, kind=USER, keyID=keyID, principals=["a"], validBefore=FOREVER, serial=serial
        )
        return certified.public()
