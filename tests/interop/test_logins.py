"""
Logins by each method, with each type of key, and by several methods: our client
and OpenSSH's sshd, OpenSSH's ssh and PuTTY's plink and our server.
"""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from twisted.cred.credentials import ISSHPrivateKey, IUsernamePassword
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python.filepath import FilePath
from twisted.trial.unittest import TestCase

from conchlite.checkers import (
    HostBasedChecker,
    InMemoryHostBasedDB,
    InMemorySSHKeyDB,
    KnownHostsDB,
    SSHPublicKeyChecker,
)
from conchlite.client.agent import connectToAgent
from conchlite.client.knownhosts import KnownHostsFile
from conchlite.error import AuthenticationFailed, PasswordExpired
from conchlite.interfaces import IKeyboardInteractive, IPasswordChange, IUserNameOnly
from conchlite.ssh.keys import Key, hostKeyFingerprint
from conchlite.ssh.userauth import SSHUserAuthServer
from tests.interop.account import becomeAccount, makeAccount, withAccount
from tests.interop.daemon import STAGE, Daemon
from tests.interop.loginscenes import CLIENT_HOST, PASSWORD, Checker, answering, certified, giving
from tests.interop.ours import Client, Login, Server
from tests.interop.peers import (
    LOCALHOST,
    SSH,
    Finished,
    freePort,
    hostKeys,
    missing,
    program,
    publicKeyLine,
    rareHostKeys,
    run,
    start,
    userKeys,
    writePrivateKey,
)

# What crypt(3) makes of it.
_HASH = "$6$conchlite$WZzfgFgI/Ns4VOgjNbp6.Y.ij9ICC88SlhHJKHTjkNlqFkoK3A7V5Fv4O1DgUnXHHk4Ci5mSWKFP92b0vvOBC/"

# The device of OpenSSH's own tests.
SK_DUMMY = Path("/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so")

#: Users of sshd, and by what they have to log in.
WANTED = {
    "alice": "any",
    "byPassword": "password",
    "byAnswers": "keyboard-interactive",
    "byHost": "hostbased",
    "byKey": "publickey",
    "byKeyAndPassword": "publickey,password",
    "byPasswordAndKey": "password,publickey",
    "byTwoKeys": "publickey,publickey",
    "byKeyAndAnswers": "publickey,keyboard-interactive",
    "byAnswersTwice": "keyboard-interactive,keyboard-interactive",
    "byAll": "hostbased,publickey,password,keyboard-interactive",
}

_OPTIONS = """\
StrictModes no
UsePAM yes
UseDNS no
PasswordAuthentication yes
KbdInteractiveAuthentication yes
HostbasedAuthentication yes
HostbasedUsesNameFromPacketOnly yes
IgnoreRhosts yes
PrintMotd no
PrintLastLog no
PidFile none
LogLevel VERBOSE
MaxStartups 100
"""

_PAM = """\
auth required pam_unix.so nodelay
account required pam_permit.so
session required pam_permit.so
"""


class ServerTests(TestCase):
    """
    Our client and sshd, with accounts that have passwords: one sshd for all.
    """

    timeout = 60
    daemon: Daemon
    authorizedKeys: Path

    async def start(self) -> Daemon:
        if STAGE.take(reactor, type(self)):
            directory = Path(self.mktemp()).absolute()
            directory.mkdir(parents=True)
            port = self.prepare(directory)
            configuration = str(directory / "sshd_config")
            arguments = withAccount(directory, [program("sshd"), "-D", "-e", "-f", configuration])
            type(self).daemon = await Daemon(reactor, directory).start(
                arguments, port=port, announces=f"Server listening on {LOCALHOST} port {port}"
            )
            type(self).authorizedKeys = directory / "home" / "alice" / ".ssh" / "authorized_keys"
            STAGE.holds(self.daemon)
        return self.daemon

    def prepare(self, directory: Path) -> int:
        path = program("sshd")
        assert path
        Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)
        makeAccount(directory)
        passwd = (directory / "passwd").read_text()
        alice = passwd.splitlines()[-1].removeprefix("alice")
        others = "".join(f"{user}{alice}\n" for user in WANTED if user != "alice")
        (directory / "passwd").write_text(passwd + others)
        shadow = "".join(f"{user}:{_HASH}:19000:0:99999:7:::\n" for user in WANTED)
        (directory / "shadow").write_text(Path("/etc/shadow").read_text() + shadow)
        (directory / "shadow").chmod(0o600)
        for name in ("pam.d", "ssh"):
            (directory / name).mkdir()
        (directory / "pam.d" / "sshd").write_text(_PAM)
        hostKey = publicKeyLine(hostKeys()[b"ssh-ed25519"])
        (directory / "ssh" / "ssh_known_hosts").write_text(f"{CLIENT_HOST} {hostKey}\n")
        (directory / "ssh" / "shosts.equiv").write_text(f"{CLIENT_HOST}\n")
        (directory / "ssh" / "ca.pub").write_text(hostKey + "\n")
        port = freePort()
        lines = [_OPTIONS, f"ListenAddress {LOCALHOST}:{port}\n", "TrustedUserCAKeys /etc/ssh/ca.pub\n"]
        for name, key in hostKeys().items():
            file = writePrivateKey(key, directory / "ssh" / f"host_{name.decode()}")
            lines.append(f"HostKey /etc/ssh/{file.name}\n")
        lines.append("AuthorizedKeysFile /home/alice/.ssh/authorized_keys\n")
        for user, methods in WANTED.items():
            lines.append(f"Match User {user}\n    AuthenticationMethods {methods}\n")
        (directory / "sshd_config").write_text("".join(lines))
        return port

    async def logIn(self, user: str, *keys: Key, password: str | None = None, **program: object) -> Client:
        """
        Log in, and run something.

        @param keys: what the user offers.
        """
        daemon = await self.start()
        answers = {
            "preferredOrder": ("publickey", "password", "keyboard-interactive"),
            **giving(keys),
            **program,
        }
        login = Login(user, password=password, userAuth=answers)
        client = await Client.logIn(self, reactor, daemon.port, login)
        command = await client.run("echo $USER")
        self.assertEqual((command.status, command.output), (0, f"{user}\n".encode()))
        await client.close()
        return client

    async def refused(self, user: str, *keys: Key, **program: object) -> AuthenticationFailed:
        login = Deferred.fromCoroutine(self.logIn(user, *keys, **program))
        return await self.assertFailure(login, AuthenticationFailed)

    def accepted(self, what: str, user: str) -> None:
        self.assertRegex(self.daemon.log, rf"Accepted {what} for {user} ")

    async def checkKey(self, key: Key, said: str) -> None:
        client = await self.logIn("byKey", key)
        # sshd announces it, so what we sign is bound to its host key.
        self.assertEqual(client.transport.peerExtensions[b"publickey-hostbound@openssh.com"], b"0")
        self.assertIn(client.transport.hostKey, [key.blob() for key in hostKeys().values()])
        fingerprint = re.escape(hostKeyFingerprint(key.plain().blob()).sha256)
        self.accepted("publickey", "byKey")
        self.assertRegex(self.daemon.log, f"{said} {fingerprint}")

    async def test_keys(self):
        """
        Each type of key, as it is and certified.
        """
        for name, key in userKeys().items():
            family = {b"ssh-rsa": "RSA", b"ssh-ed25519": "ED25519"}.get(name, "ECDSA")
            await self.checkKey(key, family)
            await self.checkKey(certified(key, "byKey"), f"{family}-CERT")

    async def test_securityKeys(self):
        """
        Keys of a device that is none, for which an agent signs.
        """
        await self.start()
        if not SK_DUMMY.exists():
            raise missing(f"{SK_DUMMY} is not installed")
        with tempfile.TemporaryDirectory(prefix="logins-") as name:
            await self.checkDevice(Path(name))

    async def checkDevice(self, directory: Path) -> None:
        socket = str(directory / "socket")
        agent = start(self, reactor, program("ssh-agent"), ["-D", "-a", socket, "-P", str(SK_DUMMY)])
        await agent.wrote
        client = await connectToAgent(reactor, socket)
        self.addCleanup(client.transport.loseConnection)
        for kind, family in (("ed25519-sk", "ED25519-SK"), ("ecdsa-sk", "ECDSA-SK")):
            file = str(directory / kind)
            made = ["-q", "-t", kind, "-N", "", "-w", str(SK_DUMMY), "-f", file]
            added = ["-q", "-S", str(SK_DUMMY), file]
            for command, arguments in (("ssh-keygen", made), ("ssh-add", added)):
                done = await run(
                    self, reactor, program(command), arguments, environment={"SSH_AUTH_SOCK": socket}
                )
                self.assertEqual(done.status, 0, done.errors)
            key = Key.fromFile(file + ".pub")
            with self.authorizedKeys.open("a") as stream:
                stream.write(publicKeyLine(key) + "\n")
            for offered in (key, certified(key, "byKey")):
                given = giving([offered])
                given["signData"] = lambda key, data: client.signData(key.plain().blob(), data)
                await self.logIn("byKey", **given)
            self.assertRegex(self.daemon.log, f"Accepted publickey for byKey .* {family} SHA256")
            self.assertRegex(self.daemon.log, f"Accepted publickey for byKey .* {family}-CERT SHA256")

    async def test_certificateOfAnother(self):
        """
        A certificate for somebody else, of a key that nobody knows otherwise.
        """
        error = await self.refused("byKey", certified(Key.generate(), "alice"))
        self.assertIn("cert", str(error))

    async def test_certificateOnly(self):
        await self.checkKey(certified(Key.generate(), "byKey"), "ED25519-CERT")

    async def test_password(self):
        await self.logIn("byPassword", password=PASSWORD)
        self.accepted("password", "byPassword")

    async def test_wrongPassword(self):
        error = await self.refused("byPassword", password="Regen")
        self.assertEqual((error.tried, error.methods), (("password",), (b"password",)))

    async def test_answers(self):
        """
        keyboard-interactive, as PAM asks.
        """
        asked: list[tuple[bytes, bool]] = []
        client = await self.logIn("byAnswers", **answering(PASSWORD, asked))
        [(prompt, echo)] = asked
        self.assertIn(b"assword", prompt)
        self.assertFalse(echo)
        self.accepted("keyboard-interactive/pam", "byAnswers")
        self.assertEqual(client.userAuth.lastAuth, b"keyboard-interactive")

    async def test_passwordAsAnswer(self):
        """
        A program that has a password and answers no prompts.
        """
        await self.logIn("byAnswers", password=PASSWORD)
        self.accepted("keyboard-interactive/pam", "byAnswers")

    async def test_wrongAnswers(self):
        error = await self.refused("byAnswers", **answering("Regen", []))
        self.assertEqual(error.methods, (b"keyboard-interactive",))
        self.assertEqual(set(error.tried), {"keyboard-interactive"})

    def host(self, key: Key | None = None, **changes: object) -> Mapping[str, object]:
        keys = [key or hostKeys()[b"ssh-ed25519"]]
        answers = {
            "clientHostName": CLIENT_HOST,
            "clientUserName": "byHost",
            "getHostKey": lambda: keys.pop() if keys else None,
        }
        return {**answers, **changes}

    async def test_hostbased(self):
        await self.logIn("byHost", **self.host())
        self.accepted("hostbased", "byHost")

    async def test_wrongHost(self):
        """
        A key that is not the host's, a host that nobody knows, another user.
        """
        for wrong in (
            self.host(Key.generate()),
            self.host(clientHostName="other.example.org"),
            self.host(clientUserName="mallory"),
        ):
            error = await self.refused("byHost", **wrong)
            self.assertEqual(len(error.tried), 1)

    async def test_keyAndPassword(self):
        key = userKeys()[b"ssh-ed25519"]
        for user, first in (("byKeyAndPassword", b"publickey"), ("byPasswordAndKey", b"password")):
            client = await self.logIn(user, key, password=PASSWORD)
            self.assertEqual(client.userAuth.authenticatedWith, [first])
            self.assertRegex(self.daemon.log, f"Partial {first.decode()} for {user} ")
            error = await self.refused(user, key, password="Regen")
            self.assertIn("password", error.tried)

    async def test_twoKeys(self):
        """
        Two keys, one of which is a certificate's; and never one twice.
        """
        first, second = userKeys()[b"ssh-ed25519"], userKeys()[b"ecdsa-sha2-nistp256"]
        await self.logIn("byTwoKeys", first, second)
        await self.logIn("byTwoKeys", certified(first, "byTwoKeys"), second)
        await self.refused("byTwoKeys", first)

    async def test_keyAndAnswers(self):
        asked: list[tuple[bytes, bool]] = []
        key = userKeys()[b"ssh-rsa"]
        await self.logIn("byKeyAndAnswers", key, **answering(PASSWORD, asked))
        self.assertEqual(len(asked), 1)

    async def test_answersTwice(self):
        asked: list[tuple[bytes, bool]] = []
        await self.logIn("byAnswersTwice", **answering(PASSWORD, asked))
        self.assertEqual(len(asked), 2)

    async def test_all(self):
        client = await self.logIn(
            "byAll",
            userKeys()[b"ssh-ed25519"],
            password=PASSWORD,
            **self.host(clientUserName="byAll"),
            **answering(PASSWORD, []),
        )
        self.assertEqual(client.userAuth.authenticatedWith, [b"hostbased", b"publickey", b"password"])


def passwordIs(secret: str):
    async def check(credentials):
        [answer] = await credentials.ask("", "Who are you?", [("Password: ", False)])
        return answer == secret

    return Checker(IKeyboardInteractive, check)


class ClientTests(TestCase):
    """
    ssh and our server, which asks as a script of C{SSH_ASKPASS} answers.
    """

    timeout = 60

    def serve(self, *checkers, wanted: Sequence[Sequence[bytes]] = ()) -> Server:
        server = Server.start(self, reactor, checkers=checkers)

        bound = self.bound = []

        class UserAuth(SSHUserAuthServer):
            requiredMethods = wanted
            passwordDelay = failureDelay = 0.05

            def tryAuth(self, kind, user, data):
                if kind == b"publickey":
                    bound.append(self.boundHostKey == self.transport.hostKey)
                return super().tryAuth(kind, user, data)

        server.factory.services = {**server.factory.services, b"ssh-userauth": UserAuth}
        return server

    async def run_(self, server: Server, answers: Mapping[str, str], **options) -> Finished:
        """
        Run C{cat}.

        @param answers: patterns of prompts and what they are answered with.
        """
        ssh = SSH(self, reactor, server.port)
        askpass = ssh.directory / "askpass"
        cases = "".join(f"{pattern}) echo {shlex.quote(text)};;\n" for pattern, text in answers.items())
        askpass.write_text(f'#!/bin/sh\ncase "$1" in\n{cases}*) exit 1;;\nesac\n')
        askpass.chmod(0o700)
        environment = {"SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"}
        given = {"BatchMode": "no", "NumberOfPasswordPrompts": "1", **options}
        return await ssh.run("cat", b"hello", environment=environment, **given)

    async def letIn(self, server: Server, answers: Mapping[str, str] = {}, **options) -> None:
        finished = await self.run_(server, answers, **options)
        self.assertEqual((finished.status, finished.output), (0, b"hello"), finished.errors)
        self.assertTrue(server.transports[-1].isAuthenticated)

    async def keepOut(self, server: Server, answers: Mapping[str, str] = {}, **options) -> Finished:
        finished = await self.run_(server, answers, **options)
        self.assertEqual((finished.status, finished.output), (255, b""))
        self.assertFalse(server.transports[-1].isAuthenticated)
        return finished

    async def test_answers(self):
        server = self.serve(passwordIs(PASSWORD))
        await self.letIn(server, {"*Password:*": PASSWORD})
        finished = await self.keepOut(server, {"*Password:*": "Regen"})
        self.assertIn(b"Permission denied (keyboard-interactive)", finished.errors)

    async def test_rounds(self):
        """
        Two rounds with prompts, one without, and a prompt that may be shown.
        """
        asked = []

        async def check(credentials):
            asked.append(await credentials.ask("One", "", [("First? ", True), ("Second? ", False)]))
            asked.append(await credentials.ask("Two", "Thank you.", []))
            asked.append(await credentials.ask("", "", [("Third? ", False)]))
            return True

        server = self.serve(Checker(IKeyboardInteractive, check))
        await self.letIn(server, {"*First*": "1", "*Second*": "", "*Third*": "drei ü"})
        self.assertEqual(asked, [["1", ""], [], ["drei ü"]])

    async def test_passwordChange(self):
        """
        ssh asks for a new password when the server wants one.
        """
        passwords = {b"alice": b"old"}

        async def check(credentials):
            if credentials.password == b"old":
                raise PasswordExpired("Not this one any more.\n")
            return passwords[credentials.username] == credentials.password

        async def change(credentials):
            if passwords[credentials.username] != credentials.password:
                return False
            passwords[credentials.username] = credentials.newPassword
            return True

        server = self.serve(Checker(IUsernamePassword, check), Checker(IPasswordChange, change))
        answers = {"*old*": "old", "*new*": PASSWORD, "*password*": "old"}
        await self.letIn(server, answers, PreferredAuthentications="password")
        self.assertEqual(passwords, {b"alice": PASSWORD.encode()})
        await self.letIn(server, {"*password*": PASSWORD}, PreferredAuthentications="password")

    async def test_none(self):
        async def check(credentials):
            return credentials.username == b"alice"

        server = self.serve(Checker(IUserNameOnly, check))
        await self.letIn(server)
        await self.keepOut(server, user="bob")

    async def test_keys(self):
        """
        Each type of key, as it is and certified. ssh signs over our host key,
        once it has heard that we know how; it does not when it asks.
        """
        blobs = []

        async def check(credentials):
            blobs.append(credentials.blob)
            return True

        server = self.serve(Checker(ISSHPrivateKey, check))
        for key in userKeys().values():
            await self.letIn(server, key=key)
            self.assertEqual((blobs[-1], self.bound[-1]), (key.public().blob(), True))
            certificate = certified(key, "alice")
            file = Path(self.mktemp())
            file.write_text(publicKeyLine(certificate) + "\n")
            await self.letIn(server, key=key, CertificateFile=str(file))
            self.assertEqual(Key.fromString(blobs[-1]).certificate, certificate.certificate)

    async def test_factors(self):
        """
        Several methods, in the order that the server wants them.
        """
        key = userKeys()[b"ssh-ed25519"]
        keys = SSHPublicKeyChecker(InMemorySSHKeyDB({b"alice": [key]}))

        async def check(credentials):
            return credentials.password == PASSWORD.encode()

        checkers = (keys, passwordIs("Regen"), Checker(IUsernamePassword, check))
        answers = {"*Password:*": "Regen", "*password*": PASSWORD}
        for wanted in (
            (b"publickey", b"password"),
            (b"password", b"publickey"),
            (b"keyboard-interactive", b"publickey", b"password"),
        ):
            await self.letIn(self.serve(*checkers, wanted=[wanted]), answers)
        await self.keepOut(self.serve(*checkers, wanted=[(b"publickey", b"publickey")]), answers)

    async def test_hostbased(self):
        """
        ssh, whose ssh-keysign signs by the machine's host key.
        """
        machines = {"localhost": [hostKeys()[b"ssh-ed25519"].public()]}
        users = {"alice": [("localhost", "root")]}
        await self.byHost(HostBasedChecker(InMemoryHostBasedDB(machines, users)))

    async def test_hostbasedByFiles(self):
        """
        As sshd is told whom to believe: known hosts, whose names ssh-keygen
        has hashed, and a list of machines.
        """
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        keys, machines = directory / "ssh_known_hosts", directory / "shosts.equiv"
        keys.write_text(f"localhost {publicKeyLine(hostKeys()[b'ssh-ed25519'])}\n")
        hashing = await run(self, reactor, program("ssh-keygen"), ["-H", "-f", str(keys)], b"", {})
        self.assertEqual(hashing.status, 0, hashing.errors)
        self.assertNotIn("localhost", keys.read_text())
        db = KnownHostsDB([KnownHostsFile.fromPath(FilePath(str(keys)))], machines)
        for line, granted in (("localhost", True), ("localhost alice", True), ("-localhost", False)):
            machines.write_text(line + "\n")
            await self.byHost(HostBasedChecker(db), asAccount=True, granted=granted)

    async def byHost(self, checker: HostBasedChecker, asAccount: bool = False, granted: bool = True) -> None:
        """
        Log in as C{alice} with ssh.

        @param asAccount: whether it is C{alice} who runs it, not root.
        """
        server = self.serve(checker)
        ssh = SSH(self, reactor, server.port)
        makeAccount(ssh.directory)
        machine = ssh.directory / "ssh"
        machine.mkdir()
        (machine / "ssh_config").write_text("EnableSSHKeysign yes\nHostbasedAuthentication yes\n")
        key = hostKeys()[b"ssh-ed25519"]
        writePrivateKey(key, machine / "ssh_host_ed25519_key")
        (machine / "ssh_host_ed25519_key.pub").write_text(publicKeyLine(key) + "\n")
        # Where the account may look, too.
        shutil.copy(ssh.directory / "known_hosts", machine)
        options = {"HostbasedAuthentication": "yes", "PreferredAuthentications": "hostbased"}
        command = ssh.command("cat", UserKnownHostsFile="/etc/ssh/known_hosts", **options)
        if asAccount:
            command = becomeAccount(command)
        path, *arguments = withAccount(ssh.directory, command)
        finished = await run(self, reactor, path, arguments, b"hello", {"HOME": str(ssh.directory)})
        expected = (0, b"hello") if granted else (255, b"")
        self.assertEqual((finished.status, finished.output), expected, finished.errors)
        self.assertIs(server.transports[-1].isAuthenticated, granted)

    async def test_putty(self):
        """
        plink, which answers the first prompt with the password of its command line.
        """
        server = self.serve(passwordIs(PASSWORD))
        arguments = ["-ssh", "-batch", "-noagent", "-no-antispoof", "-T", "-P", str(server.port)]
        for hostKey in (*hostKeys().values(), *rareHostKeys().values()):
            arguments += ["-hostkey", hostKeyFingerprint(hostKey.public().blob()).sha256]
        home = Path(self.mktemp()).absolute()
        home.mkdir()
        for answer, status in ((PASSWORD, 0), ("Regen", 1)):
            command = [*arguments, "-pw", answer, f"alice@{LOCALHOST}", "cat"]
            finished = await run(self, reactor, program("plink"), command, b"hello", {"HOME": str(home)})
            self.assertEqual(finished.status, status, finished.errors)
            self.assertEqual(finished.output, b"" if status else b"hello")
