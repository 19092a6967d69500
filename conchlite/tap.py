"""
The command line: one tree of options behind four doors.

C{twistd conchlite} and C{twist conchlite} come here through the plugin, the
console script C{conchlite} and C{python -m conchlite} through L{main}. This is where the reactor is
chosen; everything below is handed it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from typing import cast

from twisted.python import usage
from twisted.python.reflect import namedModule

from conchlite.commands import COMMANDS, Command
from conchlite.commands.oneshot import STATUS_USAGE, CommandLine, ICommandReactor, OneShotService
from conchlite.commands.streams import complain


def optionsOf(command: Command) -> usage.Options:
    """
    A command's options, whose module is imported now.
    """
    return cast(usage.Options, namedModule(command.module).Options())


class Options(CommandLine):
    """
    The options before the subcommand, and the table of subcommands.
    """

    # The modules behind the commands are imported when one is asked for.
    subCommands = [
        [command.name, None, functools.partial(optionsOf, command), command.description]
        for command in COMMANDS
    ]

    longdesc = (
        "SSH from the command line. Each command has a --help of its own. Exit status: the "
        "command's own, 255 where an SSH connection failed, 64 where the command line "
        "cannot be understood."
    )

    def getSynopsis(self) -> str:
        """
        How to call it, as far as the command line is known.
        """
        synopsis = CommandLine.getSynopsis(self)
        return synopsis if self.subCommand else synopsis + " command [command options]"

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Parse the command line.

        @raise SystemExit: it cannot be understood, which was said in a line
            on standard error. twistd would print all of its help and exit
            with 1, twist with 0.
        """
        try:
            usage.Options.parseOptions(self, options)
        except usage.UsageError as e:
            command = f"conchlite {self.subCommand}" if self.subCommand else "conchlite"
            complain(f"{' '.join(str(e).split())} (see {command} --help)")
            raise SystemExit(STATUS_USAGE) from None

    def postOptions(self) -> None:
        """
        Insist on a command.
        """
        if self.subCommand is None:
            raise usage.UsageError("which command? " + ", ".join(command.name for command in COMMANDS))


def makeService(options: Options) -> OneShotService:
    """
    What does the work of the subcommand that was asked for.
    """
    # A daemon runner may have installed another reactor than the default by now.
    from twisted.internet import reactor

    (command,) = [command for command in COMMANDS if command.name == options.subCommand]
    module = namedModule(command.module)
    return cast(OneShotService, module.makeService(options.subOptions, cast(ICommandReactor, reactor)))


def main(arguments: Sequence[str] | None = None) -> int:
    """
    The console script.

    @param arguments: the command line without the program's name; by default the process's.
    @return: the exit status.
    """
    options = Options()
    options.parseOptions(sys.argv[1:] if arguments is None else arguments)

    from twisted.internet import reactor
    from twisted.logger import globalLogBeginner

    service = makeService(options)
    globalLogBeginner.beginLoggingTo([options.subOptions.logObserver(sys.stderr)], redirectStandardIO=False)
    service.startService()
    ours = cast(ICommandReactor, reactor)
    ours.addSystemEventTrigger("before", "shutdown", service.stopService)
    ours.run()
    return service.status or 0
