"""
The programs of the chapter on sessions do what it says.
"""

from __future__ import annotations

import re
import runpy
import struct

from conchlite.ssh import session
from conchlite.ssh.common import NS
from conchlite.ssh.connection import SSHConnection
from tests.doc.listings import DOC
from tests.ssh.fakes import Link
from tests.ssh.sessions import SessionRecorder, SessionTestCase

LISTING = DOC / "howto" / "listings" / "sessions" / "programs.py"


class ProgramsTests(SessionTestCase):
    def setUp(self) -> None:
        self.listing = runpy.run_path(str(LISTING))

    def begin(self, request: str, data: bytes = b"", terminal: bool = False) -> None:
        _, user, _ = self.listing["Realm"]().requestAvatar(b"user", None)
        self.link = Link(SSHConnection(), SSHConnection(), user)
        self.conn = self.link.client.service
        self.client = SessionRecorder()
        self.conn.openChannel(self.client)
        self.link.pump()
        if terminal:
            self.agreed("pty-req", session.packRequest_pty_req("xterm", (24, 80, 0, 0), b""))
        self.agreed(request, data)

    def send(self, data: bytes, end: bool = False) -> bytes:
        self.client.received.clear()
        self.client.write(data)
        if end:
            self.client.loseWriteConnection()
        self.link.pump()
        return bytes(self.client.received)

    def test_number(self) -> None:
        self.begin("exec", NS("number"))
        self.assertEqual(b"   1  one\n   2  two\n", self.send(b"one\ntwo\n"))
        self.assertEqual(b"   3  three", self.send(b"three", end=True))
        self.assertEqual(0, self.client.exitStatus)

    def test_greet(self) -> None:
        self.begin("shell")
        self.assertEqual(b"Hello, Alice.\n", self.send(b"Alice\n"))
        self.assertEqual(0, self.client.exitStatus)
        self.begin("shell")
        self.send(b"", end=True)
        self.assertEqual(1, self.client.exitStatus)
        self.assertIn(("ext 1", b"Nobody, it seems.\n"), self.client.events)

    def test_lock(self) -> None:
        """
        A lock goes with its user, however he goes.
        """
        for end in ("abort", "eof", "signal", "lose"):
            self.begin("exec", NS("lock door"))
            self.assertEqual(b"locked\n", bytes(self.client.received))
            first, link = self.client, self.link
            self.begin("exec", NS("lock door"))
            self.assertEqual(1, self.client.exitStatus)
            self.assertIn(("ext 1", b"somebody else has it\n"), self.client.events)
            self.assertEqual({b"door"}, self.listing["held"])
            if end == "abort":
                first.abortConnection()
            elif end == "eof":
                first.loseWriteConnection()
            elif end == "signal":
                first.conn.sendRequest(first, "signal", NS("TERM"))
            else:
                link.lose()
            link.pump()
            self.assertEqual(set(), self.listing["held"], end)

    def test_size(self) -> None:
        self.begin("exec", NS("size"), terminal=True)
        self.assertEqual(b"80 columns, 24 rows\r\n", bytes(self.client.received))
        self.client.received.clear()
        self.agreed("window-change", session.packRequest_window_change((50, 132, 0, 0)))
        self.agreed("signal", NS("USR1"))
        self.assertEqual(b"132 columns, 50 rows\r\nUSR1?\r\n", bytes(self.client.received))
        self.send(b"xyq")
        self.assertEqual(0, self.client.exitStatus)
        self.begin("exec", NS("size"))
        self.assertEqual(1, self.client.exitStatus)

    def test_prices(self) -> None:
        self.begin("subsystem", NS("prices"))
        self.assertEqual(NS("3.20") + NS(""), self.send(NS("tea") + NS("gold")))
        self.send(b"", end=True)
        self.assertEqual(0, self.client.exitStatus)
        self.begin("subsystem", NS("prices"))
        self.send(struct.pack(">L", 2**31))
        self.assertEqual(1, self.client.exitStatus)

    def test_shown(self) -> None:
        """
        The chapter shows each of them.
        """
        chapter = (DOC / "howto" / "sessions.rst").read_text()
        shown = re.findall(r"listings/sessions/programs\.py\n   :pyobject: (\w+)", chapter)
        source = LISTING.read_text()
        self.assertEqual(set(re.findall(r"^(?:async def|class) (\w+)", source, re.M)), set(shown))
