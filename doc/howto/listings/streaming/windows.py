"""
Windows as a program wants them.
"""

from conchlite.ssh import channel, connection


class Frugal(connection.SSHConnection):
    """
    For a program with thousands of connections: 4 MiB for all channels of
    each, however long the path.
    """

    windowBudget = 4 * 1024 * 1024


class Fixed(connection.SSHConnection):
    """
    Every window stays as large as its channel says.
    """

    windowBudget = 0


class Console(channel.SSHChannel):
    """
    A channel on which little comes, and which never costs more than this.
    """

    name = b"session"
    localWindowSize = 64 * 1024
    windowGrows = False


class Backup(channel.SSHChannel):
    """
    A channel that is known to have a long path before it.
    """

    name = b"session"
    localWindowSize = 16 * 1024 * 1024
