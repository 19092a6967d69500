"""
Identification lines: RFC 4253 section 4.2.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from conchlite import limits
from conchlite.error import BadVersion
from conchlite.sansio.version import VersionReader


def client() -> VersionReader:
    return VersionReader((b"1.99", b"2.0"), linesBefore=True)


def server() -> VersionReader:
    return VersionReader((b"2.0",), linesBefore=False)


class VersionTests(SynchronousTestCase):
    # Row 3: the line, what a client makes of it, what a server.
    TABLE = (
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u10", True, True),
        (b"SSH-2.0-x", True, True),
        (b"SSH-2.0-", True, True),
        (b"SSH-2.0-with-minus-signs and spaces", True, True),
        (b"SSH-1.99-Cisco-1.25", True, False),
        (b"SSH-1.5-1.2.27", False, False),
        (b"SSH-2.1-x", False, False),
        (b"SSH-3.0-x", False, False),
        (b"SSH-2.0", False, False),
        (b"SSH-", False, False),
        (b"SSH--", False, False),
        (b"SSH-2.0-nul\x00byte", False, False),
        (b"SSH-02.0-x", False, False),
    )

    def test_table(self) -> None:
        for line, forClient, forServer in self.TABLE:
            for reader, good in ((client(), forClient), (server(), forServer)):
                if good:
                    self.assertEqual((line, b"rest"), reader.feed(line + b"\r\nrest"))
                else:
                    self.assertRaises(BadVersion, reader.feed, line + b"\r\n")

    def test_lineFeedAlone(self) -> None:
        """
        Old servers end their line without a carriage return.
        """
        self.assertEqual((b"SSH-2.0-x", b""), client().feed(b"SSH-2.0-x\n"))

    def test_linesBefore(self) -> None:
        reader = client()
        self.assertIsNone(reader.feed(b"hello\r\nthere\n"))
        self.assertEqual((b"SSH-2.0-x", b""), reader.feed(b"SSH-2.0-x\r\n"))
        self.assertEqual([b"hello", b"there"], reader.otherLines)
        self.assertRaises(BadVersion, server().feed, b"hello\r\n")

    def test_anyCutting(self) -> None:
        whole = b"a banner\r\nSSH-2.0-x y z\r\n\x00\x00"
        for cut in range(len(whole)):
            reader = client()
            found = reader.feed(whole[:cut])
            if found is None:
                found = reader.feed(whole[cut:])
            self.assertEqual(b"SSH-2.0-x y z", found[0])

    def test_lengthOfTheLine(self) -> None:
        """
        Row 1: 255 bytes with the line's end.
        """
        longest = b"SSH-2.0-" + b"x" * (limits.MAXIMUM_VERSION_LINE - len(b"SSH-2.0-\r\n"))
        for reader in (client(), server()):
            self.assertEqual((longest, b""), reader.feed(longest + b"\r\n"))
        for reader in (client(), server()):
            self.assertRaises(BadVersion, reader.feed, longest + b"x\r\n")
        for reader in (client(), server()):
            self.assertRaises(BadVersion, reader.feed, longest + b"xyz")

    def test_endlessLine(self) -> None:
        """
        Row 1, CVE-2022-21716: bytes without a line's end are not
        kept beyond the limit.
        """
        self.assertRaises(BadVersion, client().feed, b"A" * (limits.MAXIMUM_OTHER_LINE + 1))
        reader = client()
        fed = 0
        with self.assertRaises(BadVersion):
            while fed < 10 * limits.MAXIMUM_OTHER_LINE:
                reader.feed(b"A" * 100)
                fed += 100
        self.assertLessEqual(fed, limits.MAXIMUM_OTHER_LINE)
        self.assertRaises(BadVersion, server().feed, b"A" * limits.MAXIMUM_VERSION_LINE)

    def test_tooManyLines(self) -> None:
        """
        Row 2.
        """
        reader = client()
        reader.feed(b"\r\n" * limits.MAXIMUM_OTHER_LINES)
        self.assertRaises(BadVersion, reader.feed, b"\r\n")
        reader = client()
        with self.assertRaises(BadVersion):
            for _ in range(9):
                reader.feed(b"x" * 8000 + b"\r\n")

    def test_errorsAreSafe(self) -> None:
        error = self.assertRaises(BadVersion, server().feed, b"\x1b[2Jhello\r\n")
        self.assertNotIn("\x1b", str(error))
