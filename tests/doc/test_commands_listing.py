"""
The listings of the chapter on commands do what it says.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.doc.listings import DOC, assertUsage, copied, run, serve

COMMANDS = DOC / "howto" / "listings" / "commands"
NAMES = ("run.py", "callbacks.py", "many.py", "talk.py", "hosts.py", "withasyncio.py")


class CommandListingsTests(SynchronousTestCase):
    """
    Each runs against the server of the client's chapter.
    """

    def setUp(self) -> None:
        self.directory = copied(self.mktemp()).resolve()
        for path in COMMANDS.glob("*.py"):
            shutil.copy(path, self.directory)
        self.arguments = serve(self, self.directory)

    def printed(self, name: str, *commands: str, said: str = "") -> tuple[str, str, int]:
        done = run(self.directory / name, *self.arguments, *commands, said=said)
        return done.stdout, done.stderr, done.returncode

    def test_listings(self) -> None:
        """
        One command, many of them, which are more than the server allows at a
        time, and a talk. The server has no other command, and nobody trusts
        another server.
        """
        self.assertEqual(("Hello, 127.0.0.1.\n", "", 0), self.printed("run.py", "hello"))
        self.assertEqual(("Hello, 127.0.0.1.\n", "", 0), self.printed("callbacks.py", "hello"))
        lines = [f"line {number}\n" for number in range(30)]
        self.assertEqual(
            ("".join(f"0 {line}" for line in lines), "", 0),
            self.printed("many.py", "cat", said="".join(lines)),
        )
        self.assertEqual(
            ("one -> one\ntwo -> two\nended with 0\n", "", 0), self.printed("talk.py", "cat", "one", "two")
        )
        self.assertEqual(("Hello, 127.0.0.1.\n", "", 0), self.printed("withasyncio.py", "hello"))
        output, errors, status = self.printed("callbacks.py", "nothing")
        self.assertEqual(("", 1), (output, status))
        self.assertIn("ChannelRequestFailed: the server refused exec", errors)
        Path(self.arguments[-1]).write_text("")
        output, errors, status = self.printed("run.py", "hello")
        self.assertEqual(("", 1), (output, status))
        self.assertIn("HostKeyUnknown", errors)

    def test_hosts(self) -> None:
        """
        Of each host one line, whatever goes wrong with the others.
        """
        (host, port, *rest) = self.arguments
        done = run(self.directory / "hosts.py", port, *rest, "hello", host, "::1", "localhost")
        known, nobody, unknown = done.stdout.splitlines()
        self.assertEqual("127.0.0.1: Hello, 127.0.0.1.", known)
        self.assertTrue(nobody.startswith("::1: ConnectionRefusedError: "), nobody)
        self.assertTrue(unknown.startswith("localhost: HostKeyUnknown: "), unknown)
        self.assertEqual(("", 0), (done.stderr, done.returncode))


class ChapterTests(SynchronousTestCase):
    def test_usage(self) -> None:
        for name in NAMES:
            assertUsage(self, COMMANDS / name)

    def test_allOfThem(self) -> None:
        """
        The chapter shows what is run here, and nothing that is not there.
        """
        chapter = (DOC / "howto" / "commands.rst").read_text()
        shown = re.findall(r"literalinclude:: listings/commands/(\S+)\n   :pyobject: main\n", chapter)
        self.assertEqual(sorted(NAMES), sorted(shown))
        self.assertEqual(sorted(NAMES), sorted(path.name for path in COMMANDS.glob("*.py")))
