"""
Tests for L{conchlite.tap}: the tree of options, and who runs it.
"""

from twisted.application.app import ServerOptions
from twisted.application.service import IServiceMaker
from twisted.application.twist._options import TwistOptions
from twisted.plugin import getPlugins
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase

from conchlite import tap
from conchlite.commands import COMMANDS
from conchlite.commands.oneshot import OneShotOptions, OneShotService
from tests.commands.capture import CapturingTestCase


class OptionsTests(CapturingTestCase):
    def exits(self, *arguments: str) -> int:
        return self.assertRaises(SystemExit, tap.Options().parseOptions, list(arguments)).code

    def test_help(self) -> None:
        """
        The help names every command, with a few words about it.
        """
        self.assertEqual(self.exits("--help"), 0)
        for command in COMMANDS:
            self.assertIn(command.name, self.printed())
            self.assertIn(command.description, " ".join(self.printed().split()))
        self.assertIn("command [command options]", self.printed())

    def test_commandHelp(self) -> None:
        """
        Every command explains itself, on standard output.
        """
        for command in COMMANDS:
            before = len(self.printed())
            self.assertEqual(self.exits(command.name, "--help"), 0)
            text = " ".join(self.printed()[before:].split())
            self.assertIn(f" {command.name} ", text)
            self.assertIn("--verbose", text)
            self.assertIn(tap.optionsOf(command).longdesc.split(".")[0], text)
        self.assertEqual(self.printed(2), "")

    def test_version(self) -> None:
        from conchlite import __version__

        self.assertEqual(self.exits("--version"), 0)
        self.assertEqual(self.exits("run", "--version"), 0)
        self.assertEqual(self.printed().count(f"conchlite {__version__} (Twisted "), 2)

    def test_errors(self) -> None:
        """
        What cannot be understood is status 64 and one line that says where the help is.
        """
        for arguments, said, where in [
            ([], "which command? ", "conchlite --help"),
            (["nonsense"], "nonsense", "conchlite --help"),
            (["--nonsense"], "--nonsense", "conchlite --help"),
            (["run"], "the host is missing", "conchlite run --help"),
            (["run", "--nonsense"], "--nonsense", "conchlite run --help"),
            (["demo", "surplus"], "Wrong number of arguments", "conchlite demo --help"),
        ]:
            before = len(self.printed(2))
            self.assertEqual(self.exits(*arguments), 64)
            line = self.printed(2)[before:]
            self.assertTrue(line.startswith("conchlite: ") and line.endswith(f"(see {where})\n"), line)
            self.assertIn(said, line)
            self.assertEqual(line.count("\n"), 1)
        self.assertEqual(self.printed(1), "")

    def test_commandsComeFromTheTable(self) -> None:
        """
        A command is a module with Options and makeService, and a line in the table.
        """
        for command in COMMANDS:
            self.assertIsInstance(tap.optionsOf(command), OneShotOptions)


class MakeServiceTests(CapturingTestCase):
    def test_command(self) -> None:
        for arguments in (["demo"], ["run", "host", "true"]):
            options = tap.Options()
            options.parseOptions(arguments)
            service = tap.makeService(options)
            self.assertIsInstance(service, OneShotService)
            self.assertIsNone(service.status)


class PluginTests(SynchronousTestCase):
    def test_found(self) -> None:
        """
        twistd and twist find the plugin, which leads here.
        """
        (maker,) = [maker for maker in getPlugins(IServiceMaker) if maker.tapname == "conchlite"]
        self.assertEqual(maker.module, "conchlite.tap")
        self.assertIs(maker.options, tap.Options)
        self.assertIs(maker.makeService, tap.makeService)

    def hosted(self, host: usage.Options, *before: str) -> usage.Options:
        host.parseOptions([*before, "conchlite", "demo"])
        self.assertTrue(host.subOptions.subOptions.hosted)
        return host

    def test_twistd(self) -> None:
        """
        A command stays in the foreground, and leaves no pid file.
        """
        from twisted.scripts._twistd_unix import ServerOptions as UnixServerOptions

        host = self.hosted(UnixServerOptions())
        self.assertIsInstance(host, ServerOptions)
        self.assertTrue(host["nodaemon"])
        self.assertEqual(host["pidfile"], "")
        self.assertTrue(host.subOptions.subOptions.logsByItself)

    def test_twistdWithWishes(self) -> None:
        """
        What the user asked twistd for himself is done.
        """
        from twisted.scripts._twistd_unix import ServerOptions as UnixServerOptions

        host = self.hosted(UnixServerOptions(), "--pidfile", "mine.pid", "--logfile", "mine.log")
        self.assertTrue(host["pidfile"].endswith("mine.pid"))
        self.assertEqual(host["logfile"], "mine.log")
        self.assertFalse(host.subOptions.subOptions.logsByItself)

    def test_twist(self) -> None:
        """
        The log is not on standard output.
        """
        import sys

        host = self.hosted(TwistOptions())
        self.assertIs(host["logFile"], sys.stderr)

    def test_twistWithWishes(self) -> None:
        path = self.mktemp()
        host = self.hosted(TwistOptions(), "--log-file", path)
        self.addCleanup(host["logFile"].close)
        self.assertEqual(host["logFile"].name, path)

    def test_notHosted(self) -> None:
        options = tap.Options()
        options.parseOptions(["demo"])
        self.assertFalse(options.subOptions.hosted)
        self.assertTrue(options.subOptions.logsByItself)
