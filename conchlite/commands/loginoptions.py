"""
How a command logs in: the options that say with what, and the login itself.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar

from twisted.internet.endpoints import HostnameEndpoint
from twisted.python import usage

from conchlite.commands.oneshot import ICommandReactor, OneShotOptions
from conchlite.commands.streams import writeLine
from conchlite.error import AgentError, AuthenticationFailed, ConchError, PeerError, safe

if TYPE_CHECKING:
    from conchlite.algorithms.catalogue import AlgorithmSet
    from conchlite.client.agent import SSHAgentClient
    from conchlite.client.connecting import ClientConnection
    from conchlite.client.hostkeys import HostKeyPolicy
    from conchlite.client.identities import Identity
    from conchlite.client.identityauth import IdentityUserAuth
    from conchlite.client.terminal import Terminal


class LoginOptions(OneShotOptions):
    """
    The options of a command that logs in somewhere.

    @ivar host: where to connect to.
    @ivar port: its port.
    @ivar user: who logs in.
    """

    optFlags: ClassVar[list[list[str | None]]] = [
        [
            "password",
            None,
            "Ask on the terminal for a password, and for whatever else the server wants to know, if no key "
            "is accepted.",
        ],
        ["identities-only", None, "Offer no keys but those of --identity, whatever the agent has."],
        ["require-authentication", None, "Leave a server that lets you in without asking for a proof."],
    ]

    optParameters: ClassVar[list[list[object]]] = [
        ["agent", None, None, "The socket of the agent, or none. [default: $SSH_AUTH_SOCK]"],
        ["connect-timeout", None, "30", "Seconds until the server must have proved who it is."],
        [
            "login-timeout",
            None,
            "0",
            "Seconds until the login must be over; 0 for no limit.",
        ],
    ]

    host = ""
    port = 22
    user = ""

    def __init__(self) -> None:
        super().__init__()
        self["identity"] = []
        self["certificate"] = []
        self["legacy"] = []

    def opt_identity(self, path: str) -> None:
        """
        A file with a private key, or with the public key of one that the agent has; may be given
        again. [default: what the agent has, ~/.ssh/id_ed25519, id_ecdsa, id_rsa]
        """
        self["identity"].append(path)

    opt_i = opt_identity

    def opt_certificate(self, path: str) -> None:
        """
        A file with a certificate of one of the keys; may be given again. [default: for each key the
        file beside it, id_ed25519-cert.pub for id_ed25519]
        """
        self["certificate"].append(path)

    def opt_legacy(self, name: str) -> None:
        """
        Allow an algorithm that is not safe any more, for an old server; may be given again.
        """
        from conchlite.algorithms.catalogue import LEGACY_NAMES

        if name.encode("utf-8", "replace") not in LEGACY_NAMES:
            known = safe(b", ".join(sorted(LEGACY_NAMES)), 2048)
            raise usage.UsageError(f"--legacy: {safe(name)!r} is none of {known}")
        self["legacy"].append(name.encode())

    def postOptions(self) -> None:
        """
        Check what is said in numbers.
        """
        super().postOptions()
        self["connect-timeout"] = self._seconds("connect-timeout", least=0.001)
        self["login-timeout"] = self._seconds("login-timeout", least=0)

    def _seconds(self, name: str, least: float) -> float:
        try:
            seconds = float(self[name])
        except ValueError:
            seconds = -1
        if not least <= seconds < 2**31:
            raise usage.UsageError(f"--{name}: {safe(self[name])!r} is no number of seconds")
        return seconds

    def algorithms(self) -> AlgorithmSet | None:
        """
        What is offered to the server; L{None} for the default.
        """
        from conchlite.algorithms.catalogue import CLIENT_DEFAULT, LEGACY

        if not self["legacy"]:
            return None
        return CLIENT_DEFAULT.replacing(
            **{
                family: getattr(CLIENT_DEFAULT, family)
                + tuple(name for name in getattr(LEGACY, family) if name in self["legacy"])
                for family in ("keyExchanges", "signatures", "ciphers", "macs")
            }
        )


class CommandLogin:
    """
    One login of a command.
    """

    def __init__(
        self, options: LoginOptions, reactor: ICommandReactor, terminal: Terminal, policy: HostKeyPolicy
    ) -> None:
        """
        @param terminal: where a person can be asked.
        @param policy: whom to trust.
        """
        self._options = options
        self._reactor = reactor
        self._terminal = terminal
        self._policy = policy
        self._notes: list[str] = []

    async def connect(self) -> ClientConnection:
        """
        Connect and log in.

        @return: the connection.
        @raise ConchError: it came to nothing; the text says why, to a person.
        """
        options = self._options
        try:
            agent = await self._connectToAgent()
            try:
                return await self._connect(await self._identities(agent))
            finally:
                if agent is not None:
                    agent.disconnect()
        except AuthenticationFailed as e:
            advice = ""
            if b"password" in e.methods and not options["password"] and self._terminal.isThere():
                advice = "; --password would ask for one"
            raise ConchError(f"{e}{advice}") from e
        except PeerError as e:
            raise ConchError(f"{safe(options.host)} port {options.port}: {e}") from e

    async def _connectToAgent(self) -> SSHAgentClient | None:
        from conchlite.client.agent import connectToAgent

        named = self._options["agent"]
        path = named if named is not None else os.environ.get("SSH_AUTH_SOCK")
        if not path or path == "none":
            return None
        try:
            return await connectToAgent(self._reactor, path)
        except AgentError as e:
            if named is not None:
                # Somebody asked for this one.
                raise
            self._notes.append(str(e))
            return None

    async def _identities(self, agent: SSHAgentClient | None) -> list[Identity]:
        from conchlite.client import identities

        options = self._options
        paths = options["identity"]
        named = [identities.Identity.fromFile(path) for path in paths]
        fromAgent: list[Identity] = []
        if agent is not None:
            try:
                fromAgent = await identities.agentIdentities(agent, self._reactor)
            except AgentError as e:
                self._notes.append(f"the agent's keys: {e}")
        defaults = [] if paths else identities.defaultIdentities(self._notes)
        certificates = [identities.readCertificate(path) for path in options["certificate"]]
        found = identities.arrange(
            named, fromAgent, defaults, certificates, identitiesOnly=bool(options["identities-only"])
        )
        if not found:
            usual = ", ".join(identities.DEFAULT_PATHS)
            asked = "there is no agent" if agent is None else "the agent has no key"
            self._notes.append(f"{asked}, and there is no private key that can be read in {usual}")
        return found

    async def _connect(self, identities: list[Identity]) -> ClientConnection:
        from conchlite.client.connecting import Connecting
        from conchlite.client.identityauth import IdentityUserAuth
        from conchlite.ssh.threads import threadsOf

        options = self._options
        login = self

        class UserAuth(IdentityUserAuth):
            def bannerReceived(self, message: str, language: str) -> None:
                login.showBanner(message)

        def makeUserAuth(connection: ClientConnection) -> IdentityUserAuth:
            userAuth = UserAuth(
                options.user,
                options.host,
                connection,
                identities,
                login._terminal,
                bool(options["password"]),
            )
            userAuth.run = threadsOf(self._reactor)
            userAuth.notes = login._notes
            userAuth.requireAuthentication = bool(options["require-authentication"])
            return userAuth

        seconds = options["connect-timeout"]
        connecting = Connecting(
            options.host, options.port, self._policy, makeUserAuth, self._reactor, seconds
        )
        connecting.algorithms = options.algorithms()
        connecting.loginTimeout = options["login-timeout"]
        # The endpoint would give up before we do, and say less.
        return await connecting.connect(
            HostnameEndpoint(self._reactor, options.host, options.port, timeout=seconds + 1)
        )

    def showBanner(self, message: str) -> None:
        """
        Show what the server has to say on standard error, each line behind a
        mark: what a server says shall not look like what we say.

        @param message: its lines, safe to print.
        """
        host = safe(self._options.host)
        for line in message.rstrip("\n").split("\n"):
            try:
                writeLine(f"{host} says: {line}", 2)
            except OSError:
                # Nobody reads it.
                return
