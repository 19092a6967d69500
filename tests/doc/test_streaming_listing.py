"""
The listings of the chapter on streaming do what it says.
"""

from __future__ import annotations

import random
import re
import shutil
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.doc.listings import DOC, assertUsage, copied, run, serve
from tests.ssh.channels import Accepting
from tests.ssh.fakes import Link

STREAMING = DOC / "howto" / "listings" / "streaming"

MIB = 2**20


class ThroughTests(SynchronousTestCase):
    """
    A file goes through C{cat} of the client's chapter.
    """

    def setUp(self) -> None:
        self.directory = copied(self.mktemp()).resolve()
        shutil.copy(STREAMING / "through.py", self.directory)
        self.arguments = serve(self, self.directory)

    def through(self, command: str, *more: str) -> tuple[str, str, int]:
        done = run(self.directory / "through.py", *self.arguments, command, *more)
        return done.stdout, done.stderr, done.returncode

    def test_through(self) -> None:
        """
        What was read is what is written.
        """
        data = random.Random(6).randbytes(3 * MIB + 17)
        (self.directory / "input").write_bytes(data)
        self.assertEqual(("", "", 0), self.through("cat", "input", "output", "1e9"))
        self.assertEqual(data, (self.directory / "output").read_bytes())

    def test_noFile(self) -> None:
        """
        A file that is not there is one line.
        """
        stdout, stderr, status = self.through("cat", "nothing", "output", "1e9")
        self.assertEqual(("", 1), (stdout, status))
        self.assertRegex(stderr, r"\AFileNotFoundError: .*\n\Z")

    def test_stopped(self) -> None:
        """
        A command that ends before it has read all is no mistake of ours.
        """
        (self.directory / "input").write_bytes(bytes(8 * MIB))
        self.assertEqual(("", "", 0), self.through("hello", "input", "output", "1e9"))
        self.assertEqual(b"Hello, 127.0.0.1.\n", (self.directory / "output").read_bytes())

    def test_usage(self) -> None:
        assertUsage(self, self.directory / "through.py")


class WindowsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.classes: dict[str, Any] = {}
        exec(compile((STREAMING / "windows.py").read_text(), "windows.py", "exec"), self.classes)

    def windows(self, connection: str, *channels: str) -> list[int]:
        """
        How many bytes each channel of such a connection lets the peer send.
        """
        link = Link(self.classes[connection](), Accepting())
        opened = [self.classes[name]() for name in channels]
        for channel in opened:
            link.client.service.openChannel(channel)
        return [channel.localWindowLeft for channel in opened]

    def test_windows(self) -> None:
        """
        The windows are as large as the classes say.
        """
        self.assertEqual([MIB // 16, 63 * MIB // 32], self.windows("Frugal", "Console", "Backup"))
        self.assertEqual([MIB // 16] + [16 * MIB] * 9, self.windows("Fixed", "Console", *["Backup"] * 9))


class ChapterTests(SynchronousTestCase):
    def test_allOfThem(self) -> None:
        """
        The chapter shows what is run here, and nothing that is not there.
        """
        chapter = (DOC / "howto" / "streaming.rst").read_text()
        shown = re.findall(r"literalinclude:: listings/streaming/(\S+)\n   :pyobject: (\w+)", chapter)
        self.assertEqual({path.name for path in STREAMING.glob("*.py")}, {name for name, _ in shown})
        for name, what in shown:
            self.assertRegex((STREAMING / name).read_text(), rf"\n(async def|class) {what}\b")
