"""
C{conchlite run}, as a process, and OpenSSH's sshd.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase

from conchlite.ssh.fingerprints import fingerprint
from conchlite.ssh.keys import Key
from tests.interop.peers import (
    LOCALHOST,
    SSHD,
    Finished,
    hostKeys,
    program,
    publicKeyLine,
    start,
    userKeys,
    userName,
    writePrivateKey,
)
from tests.test_packaging import DOORS, ROOT

ED25519 = b"ssh-ed25519"


class OldServer(Protocol):
    """
    Speaks another version of SSH.
    """

    def connectionMade(self) -> None:
        self.transport.write(b"SSH-1.5-old\r\n")


class RunTests(TestCase):
    timeout = 120

    async def startServer(self, **options: str) -> SSHD:
        self.sshd = await SSHD.start(self, reactor, **options)
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir(parents=True)
        self.knownHosts = self.directory / "known_hosts"
        self.trust(hostKeys()[ED25519])
        self.identity = writePrivateKey(userKeys()[ED25519], self.directory / "identity")
        return self.sshd

    def trust(self, *keys: Key) -> None:
        lines = [f"[{LOCALHOST}]:{self.sshd.port} {publicKeyLine(key)}\n" for key in keys]
        self.knownHosts.write_text("# a comment\n" + "".join(lines))

    async def runCommand(
        self,
        *command: str,
        standardInput: bytes = b"",
        identity: Path | None = None,
        door: str = "conchlite",
        options: Sequence[str] = (),
    ) -> Finished:
        arguments = self.arguments(*command, identity=identity, door=door)
        place = arguments.index("--known-hosts")
        arguments[place:place] = options
        running = start(self, reactor, sys.executable, arguments, standardInput, self.environment())
        return await running.finished

    def arguments(self, *command: str, identity: Path | None = None, door: str = "conchlite") -> list[str]:
        return [
            *DOORS[door],
            "run",
            *("--known-hosts", str(self.knownHosts), "--identity", str(identity or self.identity)),
            f"{userName()}@{LOCALHOST}:{self.sshd.port}",
            *command,
        ]

    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(ROOT), "HOME": str(self.directory)}

    async def shell(self, command: str, **variables: str) -> Finished:
        environment = {**self.environment(), **variables}
        return await start(self, reactor, "/bin/sh", ["-c", command], b"", environment).finished

    def assertRefused(self, finished: Finished, *said: str) -> None:
        """
        Nothing was printed, the status is 255, and one line says why.
        """
        self.assertEqual((finished.output, finished.status), (b"", 255))
        line = finished.errors.decode()
        self.assertEqual((line.count("\n"), line[:11]), (1, "conchlite: "))
        for part in said:
            self.assertIn(part, line)

    async def test_streams(self) -> None:
        """
        The three streams are the command's own, by every door, and so is the status.
        """
        await self.startServer()
        data = os.urandom(2**20)
        for door in DOORS:
            finished = await self.runCommand("cat; echo done >&2; exit 7", standardInput=data, door=door)
            self.assertTrue(finished.output == data, f"{door}: {len(finished.output)} bytes came back")
            self.assertEqual((finished.errors, finished.status), (b"done\n", 7))

    async def test_statuses(self) -> None:
        await self.startServer()
        for command, status in [
            ("true", 0),
            ("exit 255", 255),
            ("kill -TERM $$", 143),
            ("kill -KILL $$", 137),
        ]:
            finished = await self.runCommand(command)
            self.assertEqual((finished.output, finished.errors, finished.status), (b"", b"", status))

    async def test_words(self) -> None:
        """
        The words of the command are joined, and the shell there reads them.
        """
        await self.startServer()
        finished = await self.runCommand("echo", "-n", "one  two", "'three  four'")
        self.assertEqual(finished.output, b"one two three  four")

    async def test_endsBeforeItsInput(self) -> None:
        await self.startServer()
        finished = await self.runCommand("head -c 4; exit 3", standardInput=b"x" * 2**20)
        self.assertEqual((finished.output, finished.status), (b"xxxx", 3))

    async def test_fullDisk(self) -> None:
        """
        A file that takes no more is a failure, and a pipe that nobody reads is
        what it is for others.
        """
        await self.startServer()
        conchlite = shlex.join([sys.executable, *self.arguments("$COMMAND")]).replace(
            "'$COMMAND'", '"$COMMAND"'
        )
        for command in ("echo a", "head -c 9000000 /dev/zero"):
            finished = await self.shell(f"{conchlite} > /dev/full", COMMAND=command)
            self.assertRefused(finished, "cannot write standard output: No space left on device")
        finished = await self.shell(f"({conchlite}; echo $? >&2) | head -c 1", COMMAND="yes")
        self.assertEqual((finished.output, finished.errors), (b"y", b"141\n"))

    async def test_unknownHost(self) -> None:
        """
        The line says what to do, and doing it is all that it takes.
        """
        await self.startServer()
        self.knownHosts.write_text("")
        shown = fingerprint(hostKeys()[ED25519].blob())
        finished = await self.runCommand("true")
        self.assertRefused(finished, "is not known", shown, str(self.knownHosts))
        cure = finished.errors.decode().partition(", with: ")[2]
        await self.shell(cure)
        finished = await self.runCommand("true")
        self.assertEqual((finished.errors, finished.status), (b"", 0))

    async def test_otherPolicies(self) -> None:
        """
        Row 91: a new host is accepted on request, and remembered; a fingerprint
        will do; and where nobody can be asked, one line says so.
        """
        await self.startServer()
        pinned, other = (fingerprint(key.blob()) for key in (hostKeys()[ED25519], Key.generate("ed25519")))
        self.knownHosts.write_text("")
        finished = await self.runCommand("true", options=["--host-keys=ask"])
        self.assertRefused(finished, "is not known", pinned)
        self.assertRefused(await self.runCommand("true", options=["--host-key", other]), pinned, other)
        finished = await self.runCommand("true", options=["--host-key", pinned])
        self.assertEqual((finished.errors, finished.status), (b"", 0))
        self.assertEqual(self.knownHosts.read_text(), "")
        for options in (["--host-keys=accept-new"], []):
            finished = await self.runCommand("true", options=options)
            self.assertEqual((finished.errors, finished.status), (b"", 0))

    async def test_changedHost(self) -> None:
        await self.startServer()
        other = Key.generate("ed25519")
        self.trust(other)
        finished = await self.runCommand("true")
        self.assertRefused(
            finished,
            f"{self.knownHosts}, line 2",
            fingerprint(hostKeys()[ED25519].blob()),
            fingerprint(other.blob()),
        )
        cure = finished.errors.decode().partition(", with: ")[2]
        await self.shell(cure)
        self.assertRefused(await self.runCommand("true"), "is not known")

    async def test_revokedHost(self) -> None:
        await self.startServer()
        with self.knownHosts.open("a") as file:
            file.write(f"@revoked * {publicKeyLine(hostKeys()[ED25519])}\n")
        self.assertRefused(await self.runCommand("true"), "is revoked", f"{self.knownHosts}, line 3")

    async def test_knownKeyIsAskedFor(self) -> None:
        """
        Of a server with several keys the one that is known is seen, whatever
        its type; hashed entries and authorities are no hindrance.
        """
        await self.startServer()
        for name, key in hostKeys().items():
            self.trust(key)
            with self.knownHosts.open("a") as file:
                file.write(f"@cert-authority * {publicKeyLine(Key.generate('ed25519'))}\n")
            hashed = await self.shell(f"ssh-keygen -H -f '{self.knownHosts}'")
            self.assertEqual(hashed.status, 0, hashed.errors)
            self.assertNotIn(LOCALHOST, self.knownHosts.read_text())
            finished = await self.runCommand("echo", name.decode())
            self.assertEqual((finished.output, finished.errors), (name + b"\n", b""))

    async def test_notAuthenticated(self) -> None:
        """
        The line says what was tried, and what the server would accept.
        """
        await self.startServer()
        other = Key.generate("ed25519")
        identity = writePrivateKey(other, self.directory / "other")
        finished = await self.runCommand("true", identity=identity)
        self.assertRefused(finished, "did not authenticate", fingerprint(other.blob()), "publickey")

    async def test_encryptedIdentity(self) -> None:
        """
        Without a terminal nobody can be asked for the passphrase.
        """
        await self.startServer()
        made = await self.shell(f"ssh-keygen -q -p -N sesame -a 1 -f '{self.identity}'")
        self.assertEqual(made.status, 0, made.errors)
        self.leaveTerminal()
        for public in (False, True):
            finished = await self.runCommand("true")
            said = f"not tried: identity {self.identity} is encrypted, and there is no terminal"
            self.assertRefused(finished, said, "; tried: nothing", "the server would accept: ")
            self.assertNotIn(b"--password", finished.errors)
            if not public:
                made = await self.shell(
                    f"ssh-keygen -y -P sesame -f '{self.identity}' > '{self.identity}.pub'"
                )
                self.assertEqual(made.status, 0, made.errors)

    async def test_noIdentity(self) -> None:
        """
        Where there is no key, the line says where it would be.
        """
        await self.startServer()
        arguments = self.arguments("true")
        where = arguments.index("--identity")
        del arguments[where : where + 2]
        finished = await start(self, reactor, sys.executable, arguments, b"", self.environment()).finished
        self.assertRefused(finished, "~/.ssh/id_ed25519, ~/.ssh/id_ecdsa, ~/.ssh/id_rsa", "tried: nothing")

    async def test_agent(self) -> None:
        """
        The agent's keys are used, the one that SSH_AUTH_SOCK names or another;
        a public key that is named stands for one of them; and an encrypted file
        whose key the agent has is not opened.
        """
        await self.startServer(LogLevel="VERBOSE")
        socket = str(Path(tempfile.mkdtemp(dir="/tmp")) / "agent")
        self.addCleanup(lambda: os.path.exists(socket) and os.unlink(socket))
        agent = start(self, reactor, program("ssh-agent"), ["-D", "-a", socket], b"", self.environment())
        await agent.wrote
        environment = {"SSH_AUTH_SOCK": socket}
        other = writePrivateKey(Key.generate("ed25519"), self.directory / "other")
        for path in (other, self.identity):
            added = await self.shell(f"ssh-add -q '{path}'", **environment)
            self.assertEqual(0, added.status, added.errors)
        made = await self.shell(
            f"ssh-keygen -y -f '{self.identity}' > '{self.identity}.pub' && "
            f"ssh-keygen -q -p -N sesame -a 1 -f '{self.identity}'"
        )
        self.assertEqual(0, made.status, made.errors)
        self.leaveTerminal()
        plain = self.arguments("echo in")
        where = plain.index("--identity")
        none = plain[:where] + plain[where + 2 :]
        public = [*plain[: where + 1], f"{self.identity}.pub", *plain[where + 2 :]]
        for arguments, variables in (
            (none, environment),
            (plain, environment),
            (public, environment),
            ([*none[:where], "--agent", socket, *none[where:]], {}),
            ([*plain[:where], "--identities-only", *plain[where:]], environment),
        ):
            running = start(
                self, reactor, sys.executable, arguments, b"", {**self.environment(), **variables}
            )
            finished = await running.finished
            self.assertEqual((b"in\n", b""), (finished.output, finished.errors))
        refused = [*none[:where], "--agent", "none", *none[where:]]
        running = start(self, reactor, sys.executable, refused, b"", {**self.environment(), **environment})
        self.assertRefused(await running.finished, "no key was offered", "there is no agent")
        refused = [*none[:where], "--agent", "/nonexistent", *none[where:]]
        running = start(self, reactor, sys.executable, refused, b"", self.environment())
        self.assertRefused(await running.finished, "no agent at /nonexistent")
        self.assertFalse(agent.finished.called)

    async def test_banner(self) -> None:
        """
        Row 132: what a server says before the login is shown behind a mark, each
        line of it, and none of it reaches the terminal as it came.
        """
        banner = Path(self.mktemp()).absolute()
        banner.write_bytes(b"hello\n\x1b[2Jconchlite: all is well\n")
        await self.startServer(Banner=str(banner))
        finished = await self.runCommand("echo in")
        self.assertEqual(b"in\n", finished.output)
        lines = finished.errors.decode("ascii").splitlines()
        self.assertEqual([f"{LOCALHOST} says: hello"], lines[:1])
        # sshd has made the escape harmless itself, and we make its backslash so.
        self.assertEqual([True, True], [line.startswith(f"{LOCALHOST} says: ") for line in lines])

    async def test_exposed(self) -> None:
        """
        A private key that others may read is not used, and one line says so.
        """
        await self.startServer()
        self.identity.chmod(0o644)
        self.assertRefused(await self.runCommand("true"), str(self.identity), "others may read")

    def leaveTerminal(self) -> None:
        """
        From now on every process has a session of its own, and so no terminal.
        """
        door = DOORS["conchlite"]
        doors = {"conchlite": ["-c", "import os; os.setsid(); " + door[1]]}
        self.patch(sys.modules[__name__], "DOORS", doors)

    async def test_notOurProtocol(self) -> None:
        """
        What a server did wrong is told with its name.
        """
        await self.startServer()
        await self.sshd.stop()
        listening = reactor.listenTCP(self.sshd.port, Factory.forProtocol(OldServer), interface=LOCALHOST)
        self.addCleanup(listening.stopListening)
        finished = await self.runCommand("true")
        self.assertRefused(finished, f"conchlite: {LOCALHOST} port {self.sshd.port}: ", "1.5")

    async def test_serverDies(self) -> None:
        """
        TCP may end it in either way, cleanly or not.
        """
        await self.startServer()
        finished = await self.runCommand("kill -KILL $PPID; sleep 20")
        self.assertRefused(finished, "without a word")

    async def test_noServer(self) -> None:
        await self.startServer()
        await self.sshd.stop()
        self.assertRefused(await self.runCommand("true"), "connection refused")
