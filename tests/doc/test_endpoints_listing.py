"""
The listings of the chapter on endpoints do what it says.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.doc.listings import DOC, assertUsage, copied, run, serve

ENDPOINTS = DOC / "howto" / "listings" / "endpoints"

#: More programs for the server: one fails, one ends without an exit status.
FAILING = """
class Mute(protocol.Protocol):
    def __init__(self, command):
        pass

    def connectionMade(self):
        self.transport.exitStatus = None
        self.transport.loseConnection()


class Failing(protocol.Protocol):
    def __init__(self, command):
        pass

    def connectionMade(self):
        self.transport.writeErr(b"no such luck\\n")
        self.transport.exit(3)


# --- The login ---
"""

#: A subsystem that says hello, as SFTP servers do.
SFTP = """
        async def sftp(process):
            if await process.stdin.readExactly(9) == b"\\0\\0\\0\\5\\1\\0\\0\\0\\3":
                await process.write(b"\\0\\0\\0\\5\\2\\0\\0\\0\\3")
            await process.read()

        user.subsystemLookup[b"sftp"] = sftp
"""


class EndpointListingsTests(SynchronousTestCase):
    """
    Each runs against the server of the client's chapter.
    """

    def setUp(self) -> None:
        self.directory = copied(self.mktemp()).resolve()
        for path in ENDPOINTS.glob("*.py"):
            shutil.copy(path, self.directory)
        literals = {
            '{b"cat": Cat, ': '{b"false": Failing, b"mute": Mute, b"cat": Cat, ',
            "        return IConchUser, user": SFTP + "        return IConchUser, user",
            "\n# --- The login ---\n": FAILING,
        }
        self.arguments = serve(self, self.directory, literals)

    def printed(self, name: str, *commands: str) -> tuple[str, str, int]:
        done = run(self.directory / name, *self.arguments, *commands)
        return done.stdout, done.stderr, done.returncode

    def test_command(self) -> None:
        self.assertEqual(("Hello, 127.0.0.1.\n", "", 0), self.printed("command.py", "hello"))

    def test_commandWithInput(self) -> None:
        """
        A command that waits for the end of its input gets it.
        """
        self.assertEqual(("", "", 0), self.printed("command.py", "cat"))

    def test_commandFails(self) -> None:
        self.assertEqual(("", "no such luck\n", 3), self.printed("command.py", "false"))

    def test_commandNoStatus(self) -> None:
        """
        A command of which nobody says how it ended has not succeeded.
        """
        self.assertEqual(("", "", 1), self.printed("command.py", "mute"))

    def test_commandUnknownHost(self) -> None:
        """
        A server that is not known is refused.
        """
        Path(self.arguments[-1]).write_text("")
        output, errors, status = self.printed("command.py", "hello")
        self.assertEqual(("", "HostKeyUnknown", 1), (output, errors.partition(":")[0], status))

    def test_commandNoKey(self) -> None:
        """
        A key that is not there is one line.
        """
        self.arguments[3] = "missing"
        output, errors, status = self.printed("command.py", "hello")
        self.assertEqual(("", 1), (output, status))
        self.assertRegex(errors, r"\AFileNotFoundError: .*'missing'\n\Z")

    def test_usage(self) -> None:
        """
        A program that is not told what it needs says what that is.
        """
        for name in ("command.py", "several.py", "subsystem.py"):
            assertUsage(self, self.directory / name)

    def test_several(self) -> None:
        self.assertEqual(
            ("hello: Hello, 127.0.0.1.\nhello you: Hello, 127.0.0.1.\n", "", 0),
            self.printed("several.py", "hello", "hello you"),
        )

    def test_subsystem(self) -> None:
        self.assertEqual(("SFTP 3\n", "", 0), self.printed("subsystem.py"))

    def test_allOfThem(self) -> None:
        """
        The chapter shows what is run here, and nothing that is not there.
        """
        chapter = (DOC / "howto" / "endpoints.rst").read_text()
        shown = re.findall(r"literalinclude:: (\S+)\n   :pyobject: (\w+)", chapter)
        self.assertEqual({"command.py", "several.py", "subsystem.py"}, {Path(path).name for path, _ in shown})
        self.assertEqual(
            {path.name for path in ENDPOINTS.glob("*.py")}, {Path(path).name for path, _ in shown}
        )
        for path, name in shown:
            self.assertRegex((DOC / "howto" / path).read_text(), rf"\n(async def|class) {name}\b")
