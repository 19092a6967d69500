"""
The subcommands of C{conchlite}: each is a module with C{Options} and C{makeService}.
"""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """
    Where a subcommand is, and what it does in a few words.
    """

    name: str
    module: str
    description: str


#: THE table of subcommands, in the order in which they are listed. A module is
#: imported when its command is asked for.
COMMANDS = (
    Command("demo", "conchlite.commands.demo", "Show that it works, with nothing set up."),
    Command("run", "conchlite.commands.run", "Run a command on another host."),
)
