"""
Tests for L{conchlite.commands.destination}.
"""

from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from conchlite.commands.destination import Destination, parseDestination, parsePort


class ParseDestinationTests(SynchronousTestCase):
    def test_forms(self) -> None:
        for text, expected in [
            ("host", Destination("host", None, None)),
            ("host:2222", Destination("host", 2222, None)),
            ("me@host", Destination("host", None, "me")),
            ("me@host:22", Destination("host", 22, "me")),
            ("me@corp@host", Destination("host", None, "me@corp")),
            ("192.0.2.1:1", Destination("192.0.2.1", 1, None)),
            ("::1", Destination("::1", None, None)),
            ("me@fe80::1%eth0", Destination("fe80::1%eth0", None, "me")),
            ("[::1]", Destination("::1", None, None)),
            ("me@[::1]:65535", Destination("::1", 65535, "me")),
            ("ssh://host", Destination("host", None, None)),
            ("ssh://me@host:2222/", Destination("host", 2222, "me")),
            ("SSH://me%40corp@[::1]:1", Destination("::1", 1, "me@corp")),
            ("me%40corp@host", Destination("host", None, "me%40corp")),
        ]:
            self.assertEqual(parseDestination(text), expected)

    def test_refused(self) -> None:
        """
        No name is one that another program would take for an option, or that
        would write to a terminal.
        """
        for text in [
            "",
            "@host",
            "me@",
            "-oProxyCommand=x",
            "me@-v",
            "-l@host",
            "a b",
            "host\n",
            "ho\x1bst",
            "me\x00@host",
            "ho\u202est",
            "host:",
            "host:0",
            "host:65536",
            "host:ssh",
            "[::1]:x",
            "[::1]22",
            "[]",
            "ssh://",
            "ssh:///",
            "ssh://host/directory",
            "ssh://host//",
            "ssh://%2Doption@host",
            "ssh://m%0ae@host",
            "ssh:host",
            "sftp://host",
            "://host",
            "me@ssh://host",
            "host/",
            "a/b@host",
        ]:
            self.assertRaises(UsageError, parseDestination, text)

    def test_otherScheme(self) -> None:
        error = self.assertRaises(UsageError, parseDestination, "http://me@host:22/")
        self.assertEqual(str(error), "a URL that begins with http://, and not with ssh://")

    def test_refusalIsHarmless(self) -> None:
        error = self.assertRaises(UsageError, parseDestination, "-\x1b[2J")
        self.assertNotIn("\x1b", str(error))

    def test_port(self) -> None:
        self.assertEqual(parsePort("22"), 22)
        for text in ("", "+22", " 22", "0x16", "\u0662\u0662", "99999", "1" * 100):
            self.assertRaises(UsageError, parsePort, text)
