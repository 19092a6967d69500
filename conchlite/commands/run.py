"""
C{conchlite run}: a command on another host.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, TypeVar

from twisted.internet.defer import Deferred
from twisted.python import usage

from conchlite.client.localuser import localUser
from conchlite.commands.destination import checkName, parseDestination, parsePort
from conchlite.commands.loginoptions import LoginOptions
from conchlite.commands.oneshot import ICommandReactor, OneShotService
from conchlite.commands.streams import BlockingState, standardDescriptor
from conchlite.error import ConchError, PeerError, UsageError, safe

if TYPE_CHECKING:
    from conchlite.client.connecting import ClientConnection
    from conchlite.client.policies import Policy
    from conchlite.client.terminal import Terminal

#: The status of whatever goes wrong with SSH, as OpenSSH's client has it.
STATUS_FAILED = 255


class Options(LoginOptions):
    """
    The options of C{run}.

    @ivar command: what to run there, as the user's shell there will read it.
    """

    synopsis = "[options] [ssh://][user@]host[:port] command [argument...]"

    longdesc = (
        "Runs a command on another host. Its standard input, output and error are those of this "
        "process, and so is its exit status: 128 and the number for a signal, 255 where SSH "
        "failed, which a line on standard error explains. The host must be in a known hosts file. "
        "Options stand before the host; what follows it is the command's."
    )

    optParameters: ClassVar[list[list[object]]] = [
        ["port", "p", None, "The port, if it does not follow the host. [default: 22]"],
        ["user", "l", None, "Who logs in, if not said before the host. [default: who calls]"],
        ["host-keys", None, "strict", "What of a host that is not known: strict, accept-new or ask."],
    ]

    command = b""

    def __init__(self) -> None:
        super().__init__()
        self["known-hosts"] = []
        self["host-key"] = []

    def opt_known_hosts(self, path: str) -> None:
        """
        A file with the hosts' keys; may be given again. [default: ~/.ssh/known_hosts,
        /etc/ssh/ssh_known_hosts]
        """
        self["known-hosts"].append(path)

    def opt_host_key(self, fingerprint: str) -> None:
        """
        The fingerprint of the host's key, SHA256:...; may be given again. No other key is accepted
        then.
        """
        self["host-key"].append(fingerprint)

    def parseArgs(self, destination: str = "", *command: str) -> None:
        """
        What is behind the options.
        """
        if not destination:
            raise usage.UsageError("the host is missing")
        if command[:1] == ("--",):
            # As ssh(1) has it: it ends the options behind the host, of which there are none.
            command = command[1:]
        if not command:
            raise usage.UsageError("the command is missing")
        self.host, port, user = parseDestination(destination)
        self.command = os.fsencode(" ".join(command))
        if self["port"] is not None:
            port = _agreed("port", port, parsePort(self["port"]))
        if self["user"] is not None:
            user = _agreed("user", user, checkName("user", self["user"]))
        self.port = 22 if port is None else port
        self.user = user or _ownName()

    def postOptions(self) -> None:
        """
        Check what is said in numbers.
        """
        super().postOptions()
        if self["host-keys"] not in ("strict", "accept-new", "ask"):
            raise usage.UsageError(
                f"--host-keys: {safe(self['host-keys'])!r} is none of strict, accept-new and ask"
            )


_T = TypeVar("_T")


def _agreed(what: str, inDestination: _T | None, inOption: _T) -> _T:
    if inDestination is not None and inDestination != inOption:
        raise usage.UsageError(f"two different {what}s: {inDestination} at the host, {inOption} as an option")
    return inOption


def _ownName() -> str:
    try:
        return localUser()
    except UsageError as e:
        raise usage.UsageError(f"{e} before the host") from None


def makeService(options: Options, reactor: ICommandReactor) -> OneShotService:
    """
    The service that runs the command, and ends with its status.
    """
    return OneShotService(
        options, reactor, lambda: Deferred.fromCoroutine(_run(options, reactor)), STATUS_FAILED
    )


async def _run(options: Options, reactor: ICommandReactor) -> int:
    # Imported when it is needed: the options explain themselves without it.
    from conchlite.client.terminal import Terminal
    from conchlite.commands.login import CommandLogin

    terminal = Terminal(reactor)
    connection = await CommandLogin(options, reactor, terminal, _policy(options, terminal)).connect()
    try:
        return await _runCommand(options, reactor, connection)
    except PeerError as e:
        raise ConchError(f"{safe(options.host)} port {options.port}: {e}") from e
    finally:
        await connection.close()


def _policy(options: Options, terminal: Terminal) -> Policy:
    """
    Whom the command trusts.
    """
    from conchlite.client.consoleui import TerminalUI
    from conchlite.client.policies import AcceptNew, Ask, Pin, Strict

    files = options["known-hosts"] or None
    if options["host-key"]:
        return Pin(*options["host-key"], knownHosts=files)
    if options["host-keys"] == "accept-new":
        return AcceptNew(files)
    if options["host-keys"] == "ask" and terminal.isThere():
        return Ask(TerminalUI(terminal), files)
    # Where nobody can be asked, the refusal says what to do.
    return Strict(files)


async def _runCommand(options: Options, reactor: ICommandReactor, connection: ClientConnection) -> int:
    from conchlite.commands.remotecommand import RemoteCommand

    descriptors = (standardDescriptor(0), standardDescriptor(1), standardDescriptor(2))
    state = BlockingState([descriptor for descriptor in descriptors if descriptor is not None])
    state.setNonBlocking()
    # Even where the reactor is stopped before the command has ended.
    reactor.addSystemEventTrigger("after", "shutdown", state.restore)
    command = RemoteCommand(connection, options.command, reactor, descriptors)
    connection.openChannel(command)
    return await command.finished
