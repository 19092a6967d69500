"""
Tests for L{conchlite.checkers.keyoptions}.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from conchlite.checkers.keyoptions import PLAIN_LINE, KeyOptions, isFrom, parseOptions
from conchlite.error import InvalidEntry
from conchlite.ssh.permissions import Permissions


class OptionsTests(SynchronousTestCase):
    """
    L{parseOptions}.
    """

    def test_none(self):
        self.assertEqual(parseOptions(b""), PLAIN_LINE)
        self.assertEqual(PLAIN_LINE.permissions, Permissions())

    def test_flags(self):
        """
        What is there or not, in any case, and in the order of the line.
        """
        nothing = Permissions().restricted()
        for text, permissions in (
            (b"no-pty", Permissions(pty=False)),
            (b"NO-PTY", Permissions(pty=False)),
            (b"no-agent-forwarding", Permissions(agentForwarding=False)),
            (b"no-port-forwarding", Permissions(portForwarding=False)),
            (b"no-X11-forwarding", Permissions(x11Forwarding=False)),
            (b"no-user-rc", Permissions(userRC=False)),
            (b"no-touch-required", Permissions(touchRequired=False)),
            (b"verify-required", Permissions(verificationRequired=True)),
            (b"restrict", nothing),
            (b"pty,restrict", nothing),
            (b"restrict,agent-forwarding,port-forwarding,pty,user-rc,X11-forwarding", Permissions()),
            (b"no-pty,", Permissions(pty=False)),
        ):
            self.assertEqual(parseOptions(text), KeyOptions(permissions), text)

    def test_values(self):
        found = parseOptions(
            b'command="a \\"b\\", c\\d",from="10.0.0.0/8,!10.1.1.1",principals="a,b c",'
            b'environment="A=1=2",environment="B=",environment="A=3",cert-authority,'
            b'permitopen="Web:80",permitopen="[::1]:*",permitlisten="8080",permitlisten="lo:1",'
            b'tunnel="any",expiry-time="20300102Z",expiry-time="20300101000000Z"'
        )
        self.assertEqual(found.permissions.command, b'a "b", c\\d')
        self.assertEqual(found.permissions.permitOpen, {(b"web", 80), (b"::1", None)})
        self.assertEqual(found.permissions.permitListen, {(b"*", 8080), (b"lo", 1)})
        self.assertEqual(found.fromPatterns, b"10.0.0.0/8,!10.1.1.1")
        self.assertEqual(found.principals, (b"a", b"b c"))
        self.assertEqual(found.environment, {b"A": b"1=2", b"B": b""})
        self.assertEqual(found.expires, 1893456000)
        self.assertTrue(found.isAuthority)

    def test_refused(self):
        """
        A line with an option that is not understood is no line at all.
        """
        for text in (
            b"frobnicate",
            b'frobnicate="1"',
            b"restricted",
            b"no-restrict",
            b"no-cert-authority",
            b"command=date",
            b'command="date',
            b'command="date\\"',
            b"command",
            b'pty="yes"',
            b'command="a",command="a"',
            b'from="a",from="a"',
            b'principals="a",principals="a"',
            b'tunnel="x"',
            b'environment="A"',
            b'environment="A B=1"',
            b'environment="=1"',
            b'permitopen="web"',
            b'permitopen="80"',
            b'permitopen="[::1:80"',
            b'permitopen=":80"',
            b'permitopen="web:0"',
            b'permitopen="web:65536"',
            b'permitopen="::1:80"',
            b'permitlisten="x"',
            b'expiry-time="2030"',
            b'expiry-time="20301301"',
            b'expiry-time="never"',
            b'expiry-time="2030010 "',
            b"pty;pty",
            b",pty",
            b"pty,,pty",
        ):
            self.assertRaises(InvalidEntry, parseOptions, text)

    def test_tooManyVariables(self):
        text = b",".join(b'environment="V%d=1"' % number for number in range(1025))
        self.assertRaises(InvalidEntry, parseOptions, text)

    @given(st.binary() | st.text(alphabet='acdemnorst-,"\\= ').map(str.encode))
    def test_anything(self, text):
        """
        Any bytes are options or an L{InvalidEntry}.
        """
        try:
            found = parseOptions(text)
        except InvalidEntry:
            return
        self.assertIsInstance(found, KeyOptions)


class WhyTests(SynchronousTestCase):
    """
    L{KeyOptions.why}.
    """

    def test_expired(self):
        """
        As with sshd, the last second still counts.
        """
        options = KeyOptions(expires=1000)
        self.assertEqual(options.why(None, 1000), "")
        self.assertEqual(options.why(None, 1001), "has expired")

    def test_principals(self):
        self.assertEqual(KeyOptions(principals=(b"a",), isAuthority=True).why(None, 0), "")
        self.assertIn("principals", KeyOptions(principals=(b"a",)).why(None, 0))

    def test_from(self):
        """
        Where somebody comes from who has no address is nowhere.
        """
        self.assertEqual(KeyOptions(fromPatterns=b"*").why("192.0.2.1", 0), "")
        self.assertIn("192.0.2.1", KeyOptions(fromPatterns=b"10.*").why("192.0.2.1", 0))
        self.assertIn("nobody knows", KeyOptions(fromPatterns=b"*").why(None, 0))


class FromTests(SynchronousTestCase):
    """
    L{isFrom}.
    """

    def test_table(self):
        for patterns, address, found in (
            (b"192.0.2.1", "192.0.2.1", True),
            (b"192.0.2.1", "192.0.2.10", False),
            (b"192.0.2.0/24", "192.0.2.77", True),
            (b"192.0.2.0/24", "192.0.3.77", False),
            (b"192.0.2.*", "192.0.2.77", True),
            (b"192.0.2.?", "192.0.2.77", False),
            (b"10.0.0.1,192.0.2.1", "192.0.2.1", True),
            (b"!192.0.2.1,192.0.2.*", "192.0.2.1", False),
            (b"192.0.2.*,!192.0.2.1", "192.0.2.1", False),
            (b"!192.0.2.1", "192.0.2.2", False),
            (b"!192.0.2.0/24,*", "192.0.3.1", True),
            (b"2001:db8::/32", "2001:db8::1", True),
            (b"2001:DB8::1", "2001:db8:0::1", True),
            (b"fe80::/10", "fe80::1%eth0", True),
            (b"192.0.2.0/24", "::ffff:192.0.2.1", True),
            (b"192.0.2.1/24", "192.0.2.1", False),
            (b"192.0.2.1,192.0.2.1/24", "192.0.2.1", False),
            (b"!10/8,*", "10.0.0.1", False),
            (b"!10.1,*", "10.0.0.1", False),
            (b"!0x0a.0.0.1,*", "10.0.0.1", False),
            (b"! 10.0.0.1,*", "10.0.0.1", False),
            (b"!10.0.0.1%eth0,*", "10.0.0.1", False),
            (b"!10.*,*", "192.0.2.1", True),
            (b"!host.example.org,*", "192.0.2.1", True),
            (b"10.1,192.0.2.1", "192.0.2.1", True),
            (b"", "192.0.2.1", False),
            (b"*,", "192.0.2.1", False),
            (b"!", "192.0.2.1", False),
            (b"host.example.org", "192.0.2.1", False),
            (b"*", "no address", False),
            (b"*", None, False),
        ):
            self.assertEqual(isFrom(address, patterns), found, (patterns, address))
