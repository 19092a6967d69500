"""
Logging in with what a program was given: keys, a password, known hosts, and
perhaps somebody to ask about a host that is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.interfaces import (
    IReactorPluggableNameResolver,
    IReactorTCP,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure

from conchlite.algorithms.catalogue import AlgorithmSet
from conchlite.client.connecting import ClientConnection, Connecting, connectText
from conchlite.client.hostkeys import HostKeyPolicy, KnownHosts
from conchlite.client.identities import Agent, Identity, agentIdentities, arrange
from conchlite.client.identityauth import IdentityUserAuth
from conchlite.client.knownhosts import UserInterface
from conchlite.client.policies import Ask, Strict
from conchlite.error import AgentError, CannotConnect, UsageError
from conchlite.ssh.agent import SSHAgentClient
from conchlite.ssh.common import Text, asBytes
from conchlite.ssh.threads import threadsOf

if TYPE_CHECKING:
    from typing import TypeAlias

    from conchlite.client.identityauth import Passphrases
    from conchlite.ssh.keys import Key
    from conchlite.ssh.userauthclient import Later

    #: Answers the questions of a server: its title, what it has to say, and the
    #: questions, each with whether the answer may be shown.
    Answers: TypeAlias = Callable[
        [bytes, bytes, list[tuple[bytes, bool]]], Later[Sequence[Text] | None] | Sequence[Text] | None
    ]

#: How many seconds a TCP connection may take to come about.
TCP_SECONDS = 30

#: How many seconds it may take, that included, until the server has proved who
#: it is.
SECURE_SECONDS = 60


class IClientReactor(IReactorPluggableNameResolver, IReactorTCP, IReactorTime):
    """
    What a new connection asks of the reactor.
    """


class Login:
    """
    Who logs in where, and how: each L{connect} makes a connection.

    @ivar username: who logs in.
    @ivar tcpSeconds: how many seconds a TCP connection may take to come about.
    @ivar secureSeconds: how many it may take, that included, until the server
        has proved who it is.
    """

    tcpSeconds: float = TCP_SECONDS
    secureSeconds: float = SECURE_SECONDS

    def __init__(
        self,
        reactor: IClientReactor,
        username: Text,
        hostname: Text,
        port: int | None = None,
        keys: Sequence[Key] = (),
        password: Text | None = None,
        knownHosts: KnownHosts = None,
        ui: UserInterface | None = None,
        algorithms: AlgorithmSet | None = None,
        *,
        hostKeys: HostKeyPolicy | None = None,
        agent: Agent | IStreamClientEndpoint | None = None,
        identities: Sequence[str] = (),
        identitiesOnly: bool = False,
        passphrase: Passphrases | None = None,
        answers: Answers | None = None,
        loginTimeout: float = 0,
        requireAuthentication: bool = False,
        bannerReceived: Callable[[str, str], object] | None = None,
        endpoint: IStreamClientEndpoint | None = None,
        keepAlive: float = 0,
    ) -> None:
        """
        @param hostname: the server's name, or its address, IPv4 or IPv6.
        @param port: its port; by default 22.
        @param keys: private keys, in the order in which they are offered.
        @param password: the password, for a server that accepts no key.
        @param knownHosts: by default the files of the user and of the machine.
        @param ui: whom to ask about a host that is not known; what is accepted
            is added to the known hosts, to the user's file by default. L{None}
            to refuse it.
        @param algorithms: what is offered to the server; by default what every
            client offers.
        @param hostKeys: whom to trust, as L{conchlite.client.policies} has it,
            in the place of C{knownHosts} and C{ui}.
        @param agent: the user's agent, as L{connectToAgent
            <conchlite.client.agent.connectToAgent>} has it, or an endpoint
            that leads to one, which is asked anew for each connection. It
            signs with the keys that it has of C{identities}, and then its
            others are offered.
        @param identities: paths of files with private keys, or with the public
            keys of those that the agent has. They come behind C{keys}.
        @param passphrase: gets the path of one of C{identities} that is
            encrypted, and returns its passphrase or a Deferred of it, L{None}
            to go without that key. It is called when the key is needed, and
            up to twice more if the passphrase is wrong. Without it such keys
            are left out, but for those that the agent has.
        @param identitiesOnly: whether the agent's other keys are not offered.
        @param answers: answers the server's questions, as C{getGenericAnswers}
            of L{SSHUserAuthClient<conchlite.ssh.userauth.SSHUserAuthClient>}
            does; L{None} to answer a lone one for a password with C{password}.
        @param loginTimeout: how many seconds it may take from the connection
            to the end of the login; 0 for no limit.
        @param requireAuthentication: whether a server is left that lets the
            user in without asking for a proof.
        @param bannerReceived: gets what the server has to say to the user
            before the login, safe to print, and its language.
        @param endpoint: leads to the server in the place of TCP to C{hostname}
            and C{port}, by which it is still known.
        @param keepAlive: after how many seconds of silence the server is asked
            whether it is there; 0 for never. Three questions without an answer
            end the connection.
        @raise UsageError: one of C{keys} is no private key, there are two
            ways to know the server, or something is of another kind than what
            stands here.
        @raise ConchError: a file of C{identities} cannot be read.
        """
        for key in keys:
            if not hasattr(key, "isPublic"):
                raise UsageError("keys: they are Key objects; the paths of files are given as identities")
            if key.isPublic():
                raise UsageError("keys: one is a public key, and only a private key can log in")
        # What people take these for, and would hear of late or in riddles.
        if not isinstance(username, str | bytes):
            raise UsageError("username: text; the port comes behind it")
        if not isinstance(port, int | None):
            raise UsageError("port: a number")
        if isinstance(identities, str | bytes):
            raise UsageError("identities: a list of paths, and not one path")
        if not callable(passphrase) and passphrase is not None:
            raise UsageError("passphrase: a function of a path, and not the passphrase")
        self.username = asBytes(username)
        self._reactor = reactor
        # Bytes that are no text are no name either: the TCP endpoint refuses them.
        self._host = hostname if isinstance(hostname, str) else hostname.decode("utf-8", "backslashreplace")
        self._port = 22 if port is None else port
        self._keys = tuple(keys)
        # Either a connection to an agent, or what leads to one.
        self._agentEndpoint = agent if IStreamClientEndpoint.providedBy(agent) else None
        if isinstance(agent, str | bytes):
            raise UsageError("agent: an endpoint, or what connectToAgent gives, and not a path")
        self._agent: Agent | None = None if self._agentEndpoint is not None else cast("Agent | None", agent)
        self._paths = tuple(identities)
        self._identitiesOnly = identitiesOnly
        self._passphrase = passphrase
        self._answers = answers
        self._loginTimeout = loginTimeout
        self._requireAuthentication = requireAuthentication
        self._bannerReceived = bannerReceived
        self._endpoint = endpoint
        self._keepAlive = keepAlive
        for path in identities:
            Identity.fromFile(path)
        self._password = password
        if hostKeys is not None and (knownHosts is not None or ui is not None):
            raise UsageError("hostKeys says whom to trust: give it the known hosts and the user interface")
        if hostKeys is None:
            hostKeys = Strict(knownHosts) if ui is None else Ask(ui, knownHosts)
        self._hostKeys = hostKeys
        self._algorithms = algorithms

    def connect(self) -> Deferred[ClientConnection]:
        """
        Connect and log in.

        @return: fires with the connection when the user is logged in. Fails
            with what L{HostnameEndpoint} fails with where there is no server,
            with L{AuthenticationFailed}, also where the server puts an end to
            the login, and with whatever else ended the connection. Cancelling
            it drops the connection.
        """
        return Deferred.fromCoroutine(self._connect())

    async def _connect(self) -> ClientConnection:
        try:
            return await self.logIn()
        except CannotConnect as error:
            if isinstance(error.data, Failure) and error.data.value is not None:
                raise error.data.value from None
            raise

    async def logIn(self) -> ClientConnection:
        """
        What L{connect} does, for a subclass: where there is no server it
        raises L{CannotConnect}, which says so to a person.
        """
        notes: list[str] = []
        agent = await self.openAgent(notes)
        try:
            identities = await self.findIdentities(agent, notes)
            return await self._connectWith(identities, notes)
        finally:
            if isinstance(agent, SSHAgentClient) and agent is not self._agent:
                agent.disconnect()

    async def openAgent(self, notes: list[str]) -> Agent | None:
        """
        The agent that is asked for its keys, and to sign. One that was
        connected for this login is disconnected after it.

        @param notes: gets a line that says why there is none, for the report
            of a login that fails.
        """
        if self._agentEndpoint is None:
            return self._agent
        try:
            agent: SSHAgentClient = await connectProtocol(self._agentEndpoint, SSHAgentClient())
            return agent
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001  what an endpoint fails with is its own affair
            # No reason not to try what else there is.
            notes.append(f"there is no agent: {connectText(Failure())}")
            return None

    async def findIdentities(self, agent: Agent | None, notes: list[str]) -> list[Identity]:
        """
        The keys that are offered, in their order.

        @param notes: gets a line for each that should be among them, and is
            not.
        """
        fromAgent: list[Identity] = []
        if agent is not None:
            try:
                fromAgent = await agentIdentities(agent, self._reactor)
            except AgentError as error:
                notes.append(f"the agent's keys: {error}")
        named = [Identity(key) for key in self._keys] + [Identity.fromFile(path) for path in self._paths]
        return self.arrangeIdentities(named, fromAgent, notes)

    def arrangeIdentities(
        self, named: list[Identity], fromAgent: list[Identity], notes: list[str]
    ) -> list[Identity]:
        """
        The order of the keys that were named, and of the agent's; and what
        else a subclass has.
        """
        return arrange(named, fromAgent, identitiesOnly=self._identitiesOnly)

    def makeUserAuth(self, connection: ClientConnection, identities: list[Identity]) -> IdentityUserAuth:
        """
        What logs in.
        """
        userAuth = _UserAuth(self.username, self._host, connection, identities)
        userAuth.given = self._password
        userAuth.answers = self._answers
        userAuth.passphrase = self._passphrase
        userAuth.banner = self._bannerReceived
        return userAuth

    async def _connectWith(self, identities: list[Identity], notes: list[str]) -> ClientConnection:
        def makeUserAuth(connection: ClientConnection) -> IdentityUserAuth:
            userAuth = self.makeUserAuth(connection, identities)
            # To open a key is meant to take time.
            userAuth.run = threadsOf(self._reactor)
            userAuth.notes += notes
            userAuth.requireAuthentication = self._requireAuthentication
            return userAuth

        connecting = Connecting(
            self._host, self._port, self._hostKeys, makeUserAuth, self._reactor, self.secureSeconds
        )
        connecting.algorithms = self._algorithms
        connecting.loginTimeout = self._loginTimeout
        connecting.keepAlive = self._keepAlive
        endpoint = self._endpoint
        if endpoint is None:
            endpoint = HostnameEndpoint(self._reactor, self._host, self._port, self.tcpSeconds)
        return await connecting.connect(endpoint)


class _UserAuth(IdentityUserAuth):
    """
    Logs in with what the program was given: nobody is asked.
    """

    given: Text | None = None
    answers: Answers | None = None
    banner: Callable[[str, str], object] | None = None

    def bannerReceived(self, message: str, language: str) -> None:
        if self.banner is None:
            super().bannerReceived(message, language)
        else:
            self.banner(message, language)

    def getPassword(self, prompt: bytes | None = None) -> Deferred[Text | None] | None:
        return None if prompt is not None else succeed(self.given)

    def hasAnswers(self) -> bool:
        return self.given is not None or self.answers is not None

    def getGenericAnswers(
        self, name: bytes, instruction: bytes, prompts: list[tuple[bytes, bool]]
    ) -> Later[Sequence[Text] | None] | Sequence[Text] | None:
        return self.answers(name, instruction, prompts) if self.answers is not None else None
