"""
How a command logs in, as its options say.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred

from conchlite.client.agent import connectToAgent
from conchlite.client.identities import DEFAULT_PATHS, arrange, defaultIdentities, readCertificate
from conchlite.client.identityauth import IdentityUserAuth
from conchlite.client.login import Login
from conchlite.commands.streams import writeLine
from conchlite.error import AgentError, AuthenticationFailed, ConchError, PeerError, safe

if TYPE_CHECKING:
    from conchlite.client.connecting import ClientConnection
    from conchlite.client.hostkeys import HostKeyPolicy
    from conchlite.client.identities import Agent, Identity
    from conchlite.client.login import IClientReactor
    from conchlite.client.terminal import Terminal
    from conchlite.commands.loginoptions import LoginOptions
    from conchlite.commands.oneshot import ICommandReactor


class CommandLogin(Login):
    """
    One login of a command.
    """

    def __init__(
        self, options: LoginOptions, reactor: ICommandReactor, terminal: Terminal, policy: HostKeyPolicy
    ) -> None:
        """
        @param terminal: where a person can be asked.
        @param policy: whom to trust.
        @raise ConchError: a file with a key cannot be read.
        """
        super().__init__(
            cast("IClientReactor", reactor),
            options.user,
            options.host,
            options.port,
            algorithms=options.algorithms(),
            hostKeys=policy,
            identities=options["identity"],
            identitiesOnly=bool(options["identities-only"]),
            loginTimeout=options["login-timeout"],
            requireAuthentication=bool(options["require-authentication"]),
        )
        self._options = options
        self._agentReactor = reactor
        self._terminal = terminal
        self.secureSeconds = options["connect-timeout"]
        # The endpoint would give up before we do, and say less.
        self.tcpSeconds = self.secureSeconds + 1

    def connect(self) -> Deferred[ClientConnection]:
        """
        Connect and log in.

        @return: fires with the connection. Fails with L{ConchError} if it came
            to nothing; the text says why, to a person.
        """
        return Deferred.fromCoroutine(self._connectOrExplain())

    async def _connectOrExplain(self) -> ClientConnection:
        options = self._options
        try:
            return await self.logIn()
        except AuthenticationFailed as e:
            advice = ""
            if b"password" in e.methods and not options["password"] and self._terminal.isThere():
                advice = "; --password would ask for one"
            raise ConchError(f"{e}{advice}") from e
        except PeerError as e:
            raise ConchError(f"{safe(options.host)} port {options.port}: {e}") from e

    async def openAgent(self, notes: list[str]) -> Agent | None:
        """
        The agent that C{--agent} names, which has to be there; or the user's,
        if there is one.
        """
        named = self._options["agent"]
        path = named if named is not None else os.environ.get("SSH_AUTH_SOCK")
        if not path or path == "none":
            return None
        try:
            return await connectToAgent(self._agentReactor, path)
        except AgentError as e:
            if named is not None:
                # Somebody asked for this one.
                raise
            notes.append(str(e))
            return None

    async def findIdentities(self, agent: Agent | None, notes: list[str]) -> list[Identity]:
        """
        The keys that are offered; with none of them, the report says where
        they were looked for.
        """
        found = await super().findIdentities(agent, notes)
        if not found:
            asked = "there is no agent" if agent is None else "the agent has no key"
            usual = ", ".join(DEFAULT_PATHS)
            notes.append(f"{asked}, and there is no private key that can be read in {usual}")
        return found

    def arrangeIdentities(
        self, named: list[Identity], fromAgent: list[Identity], notes: list[str]
    ) -> list[Identity]:
        """
        Behind the agent's keys those in the usual files, where none was named;
        and the certificates that were named, each with its key.
        """
        options = self._options
        defaults = [] if named else defaultIdentities(notes)
        certificates = [readCertificate(path) for path in options["certificate"]]
        only = bool(options["identities-only"])
        return arrange(named, fromAgent, defaults, certificates, identitiesOnly=only)

    def makeUserAuth(self, connection: ClientConnection, identities: list[Identity]) -> IdentityUserAuth:
        """
        What logs in, with the person at the terminal.
        """
        options = self._options
        login = self

        class UserAuth(IdentityUserAuth):
            def bannerReceived(self, message: str, language: str) -> None:
                login.showBanner(message)

        asks = bool(options["password"])
        return UserAuth(options.user, options.host, connection, identities, self._terminal, asks)

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
