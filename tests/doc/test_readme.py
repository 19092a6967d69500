"""
README.md is true: its programs run, its commands exist, its files are there.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from subprocess import CompletedProcess

from twisted.trial.unittest import SynchronousTestCase

from conchlite.commands import COMMANDS
from conchlite.ssh.keys import Key
from conchlite.tap import Options
from tests.doc.listings import CLIENT, ROOT, Server, run, substitute

README = (ROOT / "README.md").read_text()

#: What a newcomer types first, and what continuous integration begins with.
FIRST = "python3 -m venv v && v/bin/pip install . && v/bin/twistd conchlite demo"
SECOND = "python3 -m venv v && v/bin/pip install -e '.[test]' && v/bin/python -m twisted.trial tests"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


class CommandTests(SynchronousTestCase):
    def conchlite(self) -> list[list[str]]:
        """
        The arguments of each C{conchlite} in README.md.
        """
        found = []
        for line in "".join(blocks("sh")).splitlines():
            lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
            lexer.whitespace_split = True
            words = list(lexer)
            for index, word in enumerate(words):
                if os.path.basename(word) == "conchlite":
                    behind = words[index + 1 :]
                    end = next((i for i, other in enumerate(behind) if set(other) <= set("|&;")), None)
                    found.append(behind[:end])
        return found

    def test_theTwo(self) -> None:
        """
        The two commands are there, word for word, near the top and before any
        other.
        """
        commands = "".join(blocks("sh")).splitlines()
        self.assertEqual([FIRST, SECOND], commands[:2])
        self.assertLess(README.index(SECOND), len(README) / 4)

    def test_conchlite(self) -> None:
        """
        Each use of conchlite is a subcommand with options that there are.
        """
        found = self.conchlite()
        self.assertGreaterEqual(len(found), 3)
        for arguments in found:
            options = Options()
            options.parseOptions(arguments)
            self.assertIn(options.subCommand, [command.name for command in COMMANDS])

    def test_files(self) -> None:
        """
        What README.md says is somewhere is there.
        """
        named = re.findall(r"`((?:doc|conchlite|tests)(?:/[\w./]+)?)`", README)
        self.assertGreater(len(named), 10)
        self.assertEqual([], [name for name in named if not (ROOT / name).exists()])


class ProgramTests(SynchronousTestCase):
    """
    The Python blocks, in their order: a first program, one with a protocol, one
    that is embedded, a server.
    """

    def setUp(self) -> None:
        self.shortest, self.first, self.embedded, self.server = blocks("python")
        self.directory = Path(self.mktemp()).resolve()
        (self.directory / ".ssh").mkdir(parents=True)

    def write(self, name: str, text: str) -> Path:
        path = self.directory / name
        path.write_text(text)
        # A private key that others may read is not used.
        path.chmod(0o600)
        return path

    def serve(self) -> Server:
        userKey, self.hostKey = Key.generate("ed25519"), Key.generate("ed25519")
        self.write(".ssh/id_ed25519", userKey.toString("openssh").decode())
        self.write("user.pub", userKey.public().toString("openssh").decode())
        self.write("host_key", self.hostKey.toString("openssh").decode())
        listening = 'reactor.listenTCP(5022, factory, interface="127.0.0.1")'
        said = f'print("listening on port", {listening.replace("5022", "0")}.getHost().port, flush=True)'
        server = Server(self.write("server.py", substitute(self.server, {listening: said})))
        self.addCleanup(server.stop)
        return server

    def test_firstIsAListing(self) -> None:
        self.assertEqual((CLIENT / "short.py").read_text(), self.first)

    def test_shortest(self) -> None:
        """
        With the user's own key and known hosts, the program runs a command;
        the server has C{cat}.
        """
        server = self.serve()
        known = f"[127.0.0.1]:{server.port} {self.hostKey.public().toString('openssh').decode()}\n"
        self.write(".ssh/known_hosts", known)
        text = substitute(
            self.shortest,
            {
                '"server.example", "user", 22': f'"127.0.0.1", "user", {server.port}',
                '"uptime", timeout': '"cat", "over\\n", timeout',
            },
        )
        done = run(self.write("shortest.py", text))
        self.assertEqual(("over\n", "", 0), (done.stdout, done.stderr, done.returncode))

    def test_firstAndServer(self) -> None:
        """
        The first program runs cat, which the server has; at the end of its
        input it ends.
        """
        server = self.serve()
        known = f"[127.0.0.1]:{server.port} {self.hostKey.public().toString('openssh').decode()}\n"
        self.write(".ssh/known_hosts", known)
        text = substitute(
            self.first,
            {
                '"uptime", "user", "server.example", 22': f'"cat", "user", "127.0.0.1", {server.port}',
                "    await output.ended\n": "    output.transport.write(b'over\\n')\n"
                "    output.transport.loseWriteConnection()\n    await output.ended\n",
            },
        )
        done = run(self.write("first.py", text))
        self.assertEqual(("over\n", "", 0), (done.stdout, done.stderr, done.returncode))

    def test_serverHasNothingElse(self) -> None:
        server = self.serve()
        known = f"[127.0.0.1]:{server.port} {self.hostKey.public().toString('openssh').decode()}\n"
        self.write(".ssh/known_hosts", known)
        place = '"uptime", "user", "server.example", 22'
        text = substitute(self.first, {place: f'"uptime", "user", "127.0.0.1", {server.port}'})
        done = run(self.write("first.py", text))
        self.assertEqual(("", 1), (done.stdout, done.returncode))
        self.assertIn("conchlite.error.ChannelRequestFailed", done.stderr)

    def embed(self, server: Server, known: str) -> CompletedProcess[str]:
        self.write(".ssh/known_hosts", f"[127.0.0.1]:{server.port} {known}\n")
        text = substitute(self.embedded, {'"server.example", 22': f'"127.0.0.1", {server.port}'})
        return run(self.write("embedded.py", text))

    def test_embedded(self) -> None:
        """
        With the user's own key and known hosts, the program logs in.
        """
        server = self.serve()
        done = self.embed(server, self.hostKey.public().toString("openssh").decode())
        self.assertEqual(("logged in\n", "", 0), (done.stdout, done.stderr, done.returncode))

    def test_embeddedRefuses(self) -> None:
        """
        A server with another key is told nothing.
        """
        server = self.serve()
        done = self.embed(server, Key.generate("ed25519").public().toString("openssh").decode())
        self.assertEqual(("", 1), (done.stdout, done.returncode))
        self.assertIn("conchlite.error.HostKeyChanged", done.stderr)

    def test_embeddedKnowsAnotherType(self) -> None:
        """
        Of a server's keys, the program asks for the one that is known.
        """
        other = Key.generate("ecdsa")
        both = "{k.sshType(): k for k in (hostKey, Key.fromFile('other_key'))}"
        self.server = substitute(self.server, {"{hostKey.sshType(): hostKey}": both})
        self.write("other_key", other.toString("openssh").decode())
        done = self.embed(self.serve(), other.public().toString("openssh").decode())
        self.assertEqual(("logged in\n", "", 0), (done.stdout, done.stderr, done.returncode))
