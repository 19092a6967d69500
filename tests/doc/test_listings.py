"""
The listings of the documentation do what the documentation says.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.keys import Key
from tests.doc.listings import (
    CLIENT,
    DOC,
    FINGERPRINT,
    LINE,
    Server,
    assertUsage,
    clientWithKey,
    copied,
    run,
    serverWithKey,
    substitute,
)

#: The howto's listings as they were published.
ORIGINAL = Path(__file__).with_name("conch_listings.txt")

#: Everything in which ours differ from them: what was there, and what is
#: there now.
CHANGES = [
    (
        ["from twisted.conch import error", "from twisted.conch.ssh import transport"],
        ["from conchlite import error", "from conchlite.ssh import transport"],
    ),
    (["from twisted.conch.ssh import keys, userauth"], ["from conchlite.ssh import keys, userauth"]),
    ([], ["    minimumRSABits = 768"]),
    (["from twisted.conch.ssh import connection"], ["from conchlite.ssh import connection"]),
    (["from twisted.conch.ssh import channel, common"], ["from conchlite.ssh import channel, common"]),
    (["        self.catData = ''"], ["        self.catData = b''"]),
    (
        ["""        self.write('This data will be echoed back to us by "cat."\\r\\n')"""],
        ["""        self.write(b'This data will be echoed back to us by "cat."\\r\\n')"""],
    ),
    (
        ["""        print 'We got this from "cat":', self.catData"""],
        ["""        print('We got this from "cat":', self.catData)""", "        reactor.stop()"],
    ),
    (
        ["    reactor.connectTCP('localhost', 22, factory)"],
        ["    reactor.connectTCP('localhost', 5022, factory)"],
    ),
]


def significant(text: str, mark: str) -> list[str]:
    """
    The lines of code, without blank ones and without those that only name a
    chapter.
    """
    return [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith(mark)]


class PortTests(SynchronousTestCase):
    """
    What a Conch program has to change.
    """

    def test_nothingElse(self) -> None:
        """
        The program is the howto's, but for imports, bytes, print, the port,
        the end, and a floor that is lowered for its key.
        """
        code = ORIGINAL.read_text()
        original = significant(code[code.index("## The Transport") :], "##")
        text = (CLIENT / "client.py").read_text()
        ours = significant(text[text.index("# ---") :], "# ---")
        matcher = difflib.SequenceMatcher(None, original, ours, autojunk=False)
        changes = [(original[a:b], ours[c:d]) for tag, a, b, c, d in matcher.get_opcodes() if tag != "equal"]
        self.assertEqual(CHANGES, changes)


class ListingTests(SynchronousTestCase):
    """
    Every listing runs, against the server that is one of them.
    """

    def setUp(self) -> None:
        self.directory = copied(self.mktemp()).resolve()
        self.key = Key.generate("ed25519")
        identity = self.directory / ".ssh" / "id_ed25519"
        identity.parent.mkdir()
        self.key.toFile(identity)
        self.identity = str(identity)
        self.knownHosts = identity.with_name("known_hosts")

    def edit(self, name: str, literals: dict[str, str]) -> Path:
        path = self.directory / name
        path.write_text(substitute(path.read_text(), literals))
        return path

    def serve(self) -> Server:
        server = Server(self.edit("server.py", {"5022": "0"}))
        self.addCleanup(server.stop)
        self.knownHosts.write_text(server.said["known_hosts line"].replace("localhost", "127.0.0.1") + "\n")
        return server

    def serveKeyOfToday(self) -> Server:
        path = self.directory / "server.py"
        path.write_text(serverWithKey(path.read_text(), self.key))
        return self.serve()

    def client(self, server: Server) -> Path:
        return self.edit("client.py", {FINGERPRINT: server.said["MD5 fingerprint"], "5022": str(server.port)})

    def arguments(self, server: Server, command: str) -> list[str]:
        return ["127.0.0.1", str(server.port), "user", self.identity, str(self.knownHosts), command]

    def assertPrinted(self, path: Path, *arguments: str, line: str) -> None:
        done = run(path, *arguments)
        self.assertEqual((line, "", 0), (done.stdout, done.stderr, done.returncode))

    def test_allOfThem(self) -> None:
        """
        There are no listings but those that the tests below run, and those of
        L{tests.doc.test_endpoints_listing} and L{tests.doc.test_server_listing}.
        """
        found = {str(path.relative_to(DOC)) for path in DOC.rglob("listings/**/*.py")}
        names = ("client.py", "embed.py", "runcommand.py", "server.py", "short.py")
        elsewhere = {
            "howto/listings/agents/adding.py",
            "howto/listings/agents/forwarding.py",
            "howto/listings/agents/running.py",
            "howto/listings/agents/server.py",
            "howto/listings/agents/using.py",
            "howto/listings/authentication/answers.py",
            "howto/listings/authentication/checkers.py",
            "howto/listings/authentication/hosts.py",
            "howto/listings/authentication/kerberos.py",
            "howto/listings/authentication/newpassword.py",
            "howto/listings/authentication/login.py",
            "howto/listings/certificates/authority.py",
            "howto/listings/certificates/hostkey.py",
            "howto/listings/commands/callbacks.py",
            "howto/listings/commands/hosts.py",
            "howto/listings/commands/many.py",
            "howto/listings/commands/run.py",
            "howto/listings/commands/talk.py",
            "howto/listings/commands/withasyncio.py",
            "howto/listings/endpoints/command.py",
            "howto/listings/endpoints/several.py",
            "howto/listings/endpoints/subsystem.py",
            "howto/listings/hostkeys/policies.py",
            "howto/listings/keys/make.py",
            "howto/listings/keys/show.py",
            "howto/listings/keys/sign.py",
            "howto/listings/server/hostkeys.py",
            "howto/listings/server/limits.py",
            "howto/listings/sessions/accounts.py",
            "howto/listings/sessions/programs.py",
            "howto/listings/streaming/through.py",
            "howto/listings/streaming/windows.py",
        }
        self.assertEqual({f"howto/listings/client/{name}" for name in names} | elsewhere, found)

    def test_client(self) -> None:
        """
        The howto's program, with the howto's own key.
        """
        self.assertPrinted(self.client(self.serve()), line=LINE)

    def test_clientKeyOfToday(self) -> None:
        path = self.client(self.serveKeyOfToday())
        path.write_text(clientWithKey(path.read_text(), self.key))
        self.assertPrinted(path, line=LINE)

    def test_clientBadKey(self) -> None:
        """
        Nothing is sent to a server that has another fingerprint.
        """
        server = self.serve()
        path = self.edit("client.py", {"5022": str(server.port)})
        # The howto's program has nothing that would end it now.
        path.write_text(
            path.read_text().replace(
                "return defer.fail(error.ConchError('bad key'))",
                "reactor.callLater(0, reactor.stop); return defer.fail(error.ConchError('bad key'))",
            )
        )
        self.assertPrinted(path, line="")

    def test_serverKeepsItsKey(self) -> None:
        """
        The server makes its host key once, for nobody else to read.
        """
        first = self.serve()
        first.stop()
        hostKey = self.directory / "host_key"
        self.assertEqual(0o600, hostKey.stat().st_mode & 0o777)
        second = Server(self.directory / "server.py")
        self.addCleanup(second.stop)
        self.assertEqual(first.said["SHA-256 fingerprint"], second.said["SHA-256 fingerprint"])
        self.assertEqual(Key.fromFile(str(hostKey)).fingerprint(), second.said["MD5 fingerprint"])

    def test_runcommand(self) -> None:
        server = self.serveKeyOfToday()
        self.assertPrinted(
            self.directory / "runcommand.py", *self.arguments(server, "hello"), line="Hello, 127.0.0.1.\n"
        )

    def test_runcommandRefused(self) -> None:
        """
        What the server does not run fails with what the peer said.
        """
        server = self.serveKeyOfToday()
        done = run(self.directory / "runcommand.py", *self.arguments(server, "reboot"))
        self.assertEqual(("", 1), (done.stdout, done.returncode))
        self.assertEqual("ChannelRequestFailed", done.stderr.partition(":")[0])

    def test_runcommandUnknownHost(self) -> None:
        """
        A server that known_hosts does not have is refused, and the text says
        what to do about it.
        """
        server = self.serveKeyOfToday()
        self.knownHosts.write_text("")
        done = run(self.directory / "runcommand.py", *self.arguments(server, "hello"))
        self.assertEqual(("", 1), (done.stdout, done.returncode))
        self.assertEqual("HostKeyUnknown", done.stderr.partition(":")[0])
        self.assertIn(server.said["SHA-256 fingerprint"], done.stderr)
        self.assertIn(str(self.knownHosts), done.stderr)

    def test_runcommandWrongUser(self) -> None:
        """
        What was tried, and with which key, is in the error.
        """
        server = self.serveKeyOfToday()
        stranger = Key.generate("ed25519")
        stranger.toFile(self.identity, replace=True)
        done = run(self.directory / "runcommand.py", *self.arguments(server, "hello"))
        self.assertEqual(("", 1), (done.stdout, done.returncode))
        self.assertEqual("AuthenticationFailed", done.stderr.partition(":")[0])
        self.assertIn("publickey ssh-ed25519 SHA256:", done.stderr)

    def test_runcommandSignal(self) -> None:
        """
        A command that a signal ended has not succeeded.
        """
        self.edit(
            "server.py",
            {
                "programs import Cat, ProgramSession": "processes import ProcessSession",
                'ProgramSession({b"cat": Cat, b"hello": Hello})': "ProcessSession(reactor)",
            },
        )
        server = self.serveKeyOfToday()
        done = run(self.directory / "runcommand.py", *self.arguments(server, "echo so; kill -9 $$"))
        self.assertEqual(
            ("so\n", "the command was ended by the signal KILL\n", 1),
            (done.stdout, done.stderr, done.returncode),
        )

    def test_runcommandNoStatus(self) -> None:
        """
        Nor has one of which the server does not say how it ended.
        """
        write = 'self.transport.write(f"Hello, {peer.host}.\\n".encode())'
        self.edit("server.py", {write: "self.transport.exitStatus = None"})
        server = self.serveKeyOfToday()
        done = run(self.directory / "runcommand.py", *self.arguments(server, "hello"))
        self.assertEqual(
            ("", "the server did not say how the command ended\n", 1),
            (done.stdout, done.stderr, done.returncode),
        )

    def test_runcommandNoSuchName(self) -> None:
        """
        A name that nothing resolves is one line.
        """
        arguments = ["nobody.invalid", "22", "user", self.identity, str(self.knownHosts), "hello"]
        done = run(self.directory / "runcommand.py", *arguments)
        self.assertEqual(("", 1), (done.stdout, done.returncode))
        self.assertRegex(done.stderr, r"\A(DNSLookupError|UnknownHostError): .*\n\Z")

    def test_runcommandNoKey(self) -> None:
        """
        So is a key that is not there.
        """
        arguments = ["127.0.0.1", "22", "user", "missing", str(self.knownHosts), "hello"]
        done = run(self.directory / "runcommand.py", *arguments)
        self.assertEqual(("", 1), (done.stdout, done.returncode))
        self.assertRegex(done.stderr, r"\AFileNotFoundError: .*'missing'\n\Z")

    def test_usage(self) -> None:
        """
        A program that is not told what it needs says what that is, in the
        words of its own description.
        """
        for name in ("runcommand.py", "embed.py"):
            assertUsage(self, self.directory / name)

    def test_runcommandNobodyThere(self) -> None:
        server = self.serveKeyOfToday()
        server.stop()
        done = run(self.directory / "runcommand.py", *self.arguments(server, "hello"))
        self.assertEqual(("", 1), (done.stdout, done.returncode))
        self.assertEqual("ConnectionRefusedError", done.stderr.partition(":")[0])

    def test_embed(self) -> None:
        """
        Once by connectTCP, and once by an endpoint.
        """
        server = self.serveKeyOfToday()
        self.assertPrinted(
            self.directory / "embed.py", *self.arguments(server, "hello"), line="Hello, 127.0.0.1.\n" * 2
        )

    def test_short(self) -> None:
        """
        Its keys and its known hosts are the user's own.
        """
        server = self.serveKeyOfToday()
        path = self.edit(
            "short.py",
            {'"uptime", "user", "server.example", 22': f'"hello", "user", "127.0.0.1", {server.port}'},
        )
        self.assertPrinted(path, line="Hello, 127.0.0.1.\n")
