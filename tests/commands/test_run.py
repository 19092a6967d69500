"""
Tests for the options of L{conchlite.commands.run}. What it does is tried against
OpenSSH's sshd in C{tests/interop}, and its parts by themselves.
"""

import os
import pwd

from twisted.python.usage import UsageError

from conchlite import error
from conchlite.algorithms.catalogue import CLIENT_DEFAULT
from conchlite.client import localuser
from conchlite.client.policies import AcceptNew, Ask, Pin, Policy, Strict
from conchlite.commands import run
from conchlite.commands.login import CommandLogin
from conchlite.commands.run import Options
from tests.commands.capture import CapturingTestCase


class OptionsTests(CapturingTestCase):
    def parse(self, *arguments: str) -> Options:
        options = Options()
        options.parseOptions(list(arguments))
        return options

    def refused(self, *arguments: str) -> str:
        return str(self.assertRaises(UsageError, self.parse, *arguments))

    def test_defaults(self) -> None:
        options = self.parse("host", "true")
        self.assertEqual((options.host, options.port), ("host", 22))
        self.assertEqual(options.user, pwd.getpwuid(os.getuid()).pw_name)
        self.assertEqual(options.command, b"true")
        self.assertEqual((options["identity"], options["known-hosts"]), ([], []))
        self.assertEqual(options["connect-timeout"], 30)
        self.assertFalse(options["password"])

    def test_everything(self) -> None:
        options = self.parse(
            *("-v", "-p", "2222", "-l", "me", "-i", "one", "--identity", "two", "--password"),
            *("--known-hosts", "three", "--known-hosts=four", "--connect-timeout", "1.5", "host", "true"),
        )
        self.assertEqual((options.host, options.port, options.user), ("host", 2222, "me"))
        self.assertEqual(options["identity"], ["one", "two"])
        self.assertEqual(options["known-hosts"], ["three", "four"])
        self.assertEqual(options["connect-timeout"], 1.5)
        self.assertTrue(options["password"] and options["verbose"])

    def test_login(self) -> None:
        """
        What the options say of the login.
        """
        options = self.parse("host", "true")
        self.assertEqual(
            (None, 0, [], None),
            (options["agent"], options["login-timeout"], options["certificate"], options.algorithms()),
        )
        options = self.parse(
            *("--agent", "none", "--identities-only", "--require-authentication", "--certificate", "c"),
            *("--login-timeout", "5", "--legacy", "ssh-rsa", "--legacy=3des-cbc", "host", "true"),
        )
        self.assertEqual(
            ("none", 5, ["c"]), (options["agent"], options["login-timeout"], options["certificate"])
        )
        self.assertTrue(options["identities-only"] and options["require-authentication"])
        algorithms = options.algorithms()
        for family, names in (("signatures", (b"ssh-rsa",)), ("ciphers", (b"3des-cbc",)), ("macs", ())):
            self.assertEqual(getattr(CLIENT_DEFAULT, family) + names, getattr(algorithms, family))
        self.assertIn("none of ", self.refused("--legacy", "aes256-ctr", "host", "true"))
        self.assertIn("no number of seconds", self.refused("--login-timeout", "-1", "host", "true"))

    def test_banner(self) -> None:
        """
        Row 132: each line of a banner is marked as the server's. What it could
        do to a terminal is escaped before.
        """
        options = self.parse("host.example", "true")
        login = CommandLogin(options, None, None, None)
        login.showBanner("hello\nconchlite: all is well\n")
        self.assertEqual(
            "host.example says: hello\nhost.example says: conchlite: all is well\n", self.printed(2)
        )

    def test_destination(self) -> None:
        options = self.parse("me@[::1]:2222", "true")
        self.assertEqual((options.host, options.port, options.user), ("::1", 2222, "me"))

    def test_command(self) -> None:
        """
        What is behind the host is the command's, options as well, and bytes
        that are no text stay what they are.
        """
        options = self.parse("-v", "host", "ls", "-la", "--port", "x", os.fsdecode(b"\xff"))
        self.assertEqual(options.command, b"ls -la --port x \xff")
        self.assertEqual(options.port, 22)

    def test_dashes(self) -> None:
        """
        Two dashes behind the host are not the command's, but any later ones are.
        """
        self.assertEqual(self.parse("host", "--", "ls", "--", "-la").command, b"ls -- -la")
        self.assertEqual(self.parse("--", "host", "--", "--", "ls").command, b"-- ls")
        self.assertIn("the command is missing", self.refused("host", "--"))

    def test_twice(self) -> None:
        """
        Said twice is said once, if it is the same.
        """
        options = self.parse("-p", "2222", "-l", "me", "me@host:2222", "true")
        self.assertEqual((options.port, options.user), (2222, "me"))
        self.assertIn("two different ports", self.refused("-p", "22", "host:2222", "true"))
        self.assertIn("two different users", self.refused("-l", "you", "me@host", "true"))

    def test_refused(self) -> None:
        for arguments, said in [
            ([], "the host is missing"),
            (["host"], "the command is missing"),
            (["-p", "0", "host", "true"], "a port is a number"),
            (["-l", "-x", "host", "true"], "a user that begins with '-'"),
            (["--", "-host", "true"], "a host that begins with '-'"),
            (["http://host/", "true"], "begins with http://, and not with ssh://"),
            (["-l", "a/b", "host", "true"], "a user with a slash"),
            (["--connect-timeout", "soon", "host", "true"], "no number of seconds"),
            (["--connect-timeout", "0", "host", "true"], "no number of seconds"),
            (["--connect-timeout", "nan", "host", "true"], "no number of seconds"),
        ]:
            self.assertIn(said, self.refused(*arguments))

    def test_nobody(self) -> None:
        """
        A user without an account has to say who he is.
        """

        def getpwuid(uid: int) -> object:
            raise KeyError(uid)

        self.patch(localuser.pwd, "getpwuid", getpwuid)
        self.assertIn("nobody knows your user name", self.refused("host", "true"))
        self.assertEqual(self.parse("me@host", "true").user, "me")


class FakeTerminal:
    def __init__(self, there: bool) -> None:
        self.there = there

    def isThere(self) -> bool:
        return self.there


class PolicyTests(CapturingTestCase):
    """
    Whom the command trusts.
    """

    parse = OptionsTests.parse
    refused = OptionsTests.refused

    def policy(self, *arguments: str, terminal: bool = True) -> Policy:
        return run._policy(self.parse(*arguments, "host", "true"), FakeTerminal(terminal))

    def test_strict(self) -> None:
        """
        Row 91: unless something else is asked for, and where nobody is there to
        be asked.
        """
        self.assertIs(type(self.policy()), Strict)
        self.assertIs(type(self.policy("--host-keys=ask", terminal=False)), Strict)

    def test_others(self) -> None:
        self.assertIs(type(self.policy("--host-keys=accept-new")), AcceptNew)
        self.assertIs(type(self.policy("--host-keys", "ask")), Ask)
        pinned = "SHA256:" + "A" * 43
        self.assertIs(type(self.policy("--host-key", pinned, "--host-keys=accept-new")), Pin)
        self.assertRaises(error.UsageError, self.policy, "--host-key", "MD5:00")

    def test_files(self) -> None:
        for kind in ("strict", "accept-new", "ask"):
            policy = self.policy("--known-hosts=/one", "--known-hosts=/two", f"--host-keys={kind}")
            self.assertEqual([file.path for file in policy.records.files], ["/one", "/two"])

    def test_noSuchPolicy(self) -> None:
        """
        Row 91: there is none that accepts everything.
        """
        for bad in ("no", "off", "accept", ""):
            self.assertIn(
                "none of strict, accept-new and ask", self.refused("--host-keys", bad, "host", "true")
            )
