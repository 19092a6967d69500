"""
C{conchlite run}: a command on another host.
"""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING, ClassVar, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.python import usage

from conchlite.commands.destination import checkName, parseDestination, parsePort
from conchlite.commands.oneshot import ICommandReactor, OneShotOptions, OneShotService
from conchlite.commands.streams import BlockingState, standardDescriptor
from conchlite.error import AuthenticationFailed, ConchError, PeerError, safe

if TYPE_CHECKING:
    from conchlite.client.connecting import ClientConnection

#: The status of whatever goes wrong with SSH, as OpenSSH's client has it.
STATUS_FAILED = 255


class Options(OneShotOptions):
    """
    The options of C{run}.

    @ivar host: where to connect to.
    @ivar port: its port.
    @ivar user: who logs in.
    @ivar command: what to run there, as the user's shell there will read it.
    """

    synopsis = "[options] [ssh://][user@]host[:port] command [argument...]"

    longdesc = (
        "Runs a command on another host. Its standard input, output and error are those of this "
        "process, and so is its exit status: 128 and the number for a signal, 255 where SSH "
        "failed, which a line on standard error explains. The host must be in a known hosts file. "
        "Options stand before the host; what follows it is the command's."
    )

    optFlags: ClassVar[list[list[str | None]]] = [
        ["password", None, "Ask for a password on the terminal, if no key is accepted."],
    ]

    optParameters: ClassVar[list[list[object]]] = [
        ["port", "p", None, "The port, if it does not follow the host. [default: 22]"],
        ["user", "l", None, "Who logs in, if not said before the host. [default: who calls]"],
        ["connect-timeout", None, "30", "Seconds until the server must have proved who it is."],
    ]

    host = ""
    port = 22
    user = ""
    command = b""

    def __init__(self) -> None:
        super().__init__()
        self["identity"] = []
        self["known-hosts"] = []

    def opt_identity(self, path: str) -> None:
        """
        A file with a private key; may be given again. [default: ~/.ssh/id_ed25519, id_ecdsa, id_rsa]
        """
        self["identity"].append(path)

    opt_i = opt_identity

    def opt_known_hosts(self, path: str) -> None:
        """
        A file with the hosts' keys; may be given again. [default: ~/.ssh/known_hosts,
        /etc/ssh/ssh_known_hosts]
        """
        self["known-hosts"].append(path)

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
        try:
            seconds = float(self["connect-timeout"])
        except ValueError:
            seconds = 0
        if not 0 < seconds < 2**31:
            raise usage.UsageError(
                f"--connect-timeout: {safe(self['connect-timeout'])!r} is no number of seconds"
            )
        self["connect-timeout"] = seconds


_T = TypeVar("_T")


def _agreed(what: str, inDestination: _T | None, inOption: _T) -> _T:
    if inDestination is not None and inDestination != inOption:
        raise usage.UsageError(f"two different {what}s: {inDestination} at the host, {inOption} as an option")
    return inOption


def _ownName() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise usage.UsageError("nobody knows your user name here: say it before the host") from None


def makeService(options: Options, reactor: ICommandReactor) -> OneShotService:
    """
    The service that runs the command, and ends with its status.
    """
    return OneShotService(
        options, reactor, lambda: Deferred.fromCoroutine(_run(options, reactor)), STATUS_FAILED
    )


async def _run(options: Options, reactor: ICommandReactor) -> int:
    # Imported when it is needed: the options explain themselves without it.
    from conchlite.client.connecting import Connecting
    from conchlite.client.hostkeys import DEFAULT_PATHS, HostKeys
    from conchlite.client.identities import DEFAULT_PATHS as DEFAULT_IDENTITIES
    from conchlite.client.identities import Identity, defaultIdentities
    from conchlite.client.identityauth import IdentityUserAuth
    from conchlite.client.terminal import Terminal

    paths = options["identity"]
    identities = [Identity.fromFile(path) for path in paths] if paths else defaultIdentities()
    terminal = Terminal(reactor)
    notes: list[str] = []
    if not identities:
        notes.append(f"there is no private key that can be read in {', '.join(DEFAULT_IDENTITIES)}")

    def makeUserAuth(connection: ClientConnection) -> IdentityUserAuth:
        userAuth = IdentityUserAuth(
            options.user, options.host, connection, identities, terminal, bool(options["password"])
        )
        userAuth.notes = notes
        return userAuth

    connecting = Connecting(
        options.host,
        options.port,
        HostKeys.fromPaths(options["known-hosts"] or DEFAULT_PATHS),
        makeUserAuth,
        reactor,
        options["connect-timeout"],
    )
    # The endpoint would give up before we do, and say less.
    endpoint = HostnameEndpoint(reactor, options.host, options.port, timeout=options["connect-timeout"] + 1)
    try:
        connection = await connecting.connect(endpoint)
        try:
            return await _runCommand(options, reactor, connection)
        finally:
            await connection.close()
    except AuthenticationFailed as e:
        if b"password" in e.methods and not options["password"] and terminal.isThere():
            notes.append("--password would ask for one")
        raise ConchError("; ".join([*notes, str(e)])) from e
    except PeerError as e:
        raise ConchError(f"{safe(options.host)} port {options.port}: {e}") from e


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
