"""
Logging in with the keys that a user has, and with what he types at the terminal.

What a server asks or says is shown as the server's, each line of it behind a
mark: so it cannot pass for a question of ours, such as the one for the
passphrase of a key.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from hmac import compare_digest
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred

from conchlite.client.identities import Identity
from conchlite.client.terminal import Terminal
from conchlite.error import AgentError, BadPassphrase, ConchError, NoAnswer, safe
from conchlite.ssh.agentclient import SSHAgentClient
from conchlite.ssh.authmethods.password import OLD_PASSWORD
from conchlite.ssh.common import Text, asBytes
from conchlite.ssh.service import SSHService
from conchlite.ssh.threads import Run
from conchlite.ssh.userauth import SSHUserAuthClient

if TYPE_CHECKING:
    from typing import TypeAlias

    from conchlite.ssh.keys import Key
    from conchlite.ssh.userauthclient import Later

    #: Knows, or asks somebody for, the passphrase of the key in a file.
    Passphrases: TypeAlias = Callable[[str], Later[Text | None] | Text | None]

#: How often a passphrase is asked for.
MAXIMUM_PASSPHRASES = 3


class IdentityUserAuth(SSHUserAuthClient):
    """
    Offers identities, each once, and then perhaps a password, and answers to
    what else the server asks.

    @ivar passphrase: is asked for the passphrase of a file, in the place of the
        terminal, and gets its path; L{None} from it for that there is none.
    @ivar run: makes the calls that open a private key, which may take a
        second; at once, unless it is set to what uses a thread.
    """

    def __init__(
        self,
        user: Text,
        host: str,
        instance: SSHService,
        identities: Sequence[Identity],
        terminal: Terminal | None = None,
        password: bool = False,
    ) -> None:
        """
        @param host: the server's name, for the prompts.
        @param terminal: where passphrases and the password are asked for;
            L{None} for nowhere.
        @param password: whether to ask for a password when no key will do,
            and for whatever the server asks by C{keyboard-interactive}.
        """
        super().__init__(user, instance)
        self._who = f"{safe(user)}@{safe(host)}"
        self.serverName = host
        self._waiting = list(identities)
        self._offers: list[Key] = []
        self._current: Identity | None = None
        self._terminal = terminal if terminal is not None and terminal.isThere() else None
        self._password = password
        self.passphrase: Passphrases | None = None
        self.run: Run = maybeDeferred

    def getPublicKey(self) -> Deferred[Key | None]:
        """
        The next identity's public key.
        """
        return Deferred.fromCoroutine(self._nextPublicKey())

    async def _nextPublicKey(self) -> Key | None:
        while not self._offers and self._waiting:
            identity = self._current = self._waiting.pop(0)
            obstacle = self._obstacle(identity)
            if obstacle:
                # To offer it would only be one more attempt that fails.
                self.notes.append(f"identity {identity.path} {obstacle}")
                continue
            if identity.public is None:
                await self._unlock(identity)
            self._offers = identity.offers()
        if not self._offers:
            return None
        offered = self._offers.pop(0)
        current = self._current
        if current is None or current.private is None or current.agent is not None:
            return offered
        # With its private half it is signed with at once.
        return _privateHalf(current.private, offered)

    def _obstacle(self, identity: Identity) -> str:
        if not identity.canSign:
            return "is a public key, and no agent has its private half"
        if identity.private is None and identity.agent is None and not self._canAsk():
            return "is encrypted, and there is no terminal to ask for its passphrase"
        return ""

    def keySource(self, publicKey: Key) -> str:
        """
        The file, or the agent.
        """
        return self._current.source if self._current is not None else super().keySource(publicKey)

    def keysLeft(self) -> list[str]:
        """
        The identities that were not offered yet.
        """
        left = [identity.name for identity in self._waiting]
        return [*(["a key of an identity with a certificate"] if self._offers else []), *left]

    def signData(self, publicKey: Key, signData: bytes) -> Deferred[bytes | None]:
        """
        Have the agent sign, if it has the key, or sign with the file's.
        """
        return Deferred.fromCoroutine(self._sign(publicKey, signData))

    async def _sign(self, publicKey: Key, data: bytes) -> bytes | None:
        identity = self._current
        if identity is not None and identity.agent is not None:
            try:
                if isinstance(identity.agent, SSHAgentClient):
                    await identity.agent.bindToTransport(self.transport)
                return await identity.signWithAgent(publicKey, data, self.signatureAlgorithm)
            except AgentError as e:
                self.notes.append(f"a signature by the agent: {e}")
                if identity.private is None and (not identity.path or identity.isPublicFile):
                    return None
        made: Awaitable[bytes | None] | bytes | None = super().signData(publicKey, data)
        return await made if isinstance(made, Deferred) else None

    def getPrivateKey(self) -> Deferred[Key | None]:
        """
        The private key of the identity that the server would accept.
        """
        return Deferred.fromCoroutine(self._currentPrivateKey())

    async def _currentPrivateKey(self) -> Key | None:
        identity = self._current
        if identity is not None and identity.private is None:
            await self._unlock(identity)
        private = identity.private if identity is not None else None
        return None if private is None else _privateHalf(private, self.lastPublicKey)

    def _canAsk(self) -> bool:
        return self._terminal is not None or self.passphrase is not None

    async def _passphraseOf(self, identity: Identity) -> bytes:
        if self.passphrase is not None:
            ask: Callable[[str], Any] = self.passphrase
            answer: Text | None = await maybeDeferred(ask, identity.path)
            if answer is not None:
                return asBytes(answer)
        elif self._terminal is not None:
            return await self._terminal.ask(f"Passphrase of {safe(identity.path, 1024)}: ")
        raise NoAnswer("no passphrase was given")

    async def _unlock(self, identity: Identity) -> None:
        if not self._canAsk():
            return
        try:
            for _ in range(MAXIMUM_PASSPHRASES):
                passphrase = await self._passphraseOf(identity)
                try:
                    await self.run(identity.decrypt, passphrase)
                except BadPassphrase:
                    continue
                return
            self.notes.append(f"identity {identity.path} was not opened by any passphrase")
        except NoAnswer:
            self.notes.append(f"identity {identity.path} is encrypted, and no passphrase was given")
        except ConchError as e:
            self.notes.append(str(e))

    def getPassword(self, prompt: bytes | None = None) -> Deferred[Text | None] | None:
        """
        The password, typed at the terminal.

        @param prompt: the server wants a new password: the old one is asked
            for, and then, behind the server's text, the new one, twice.
        """
        if not self._password:
            return None
        if self._terminal is None:
            self.notes.append("there is no terminal to ask for a password")
            return None
        if prompt is None:
            asked = self._ask(self._terminal, f"Password of {self._who}: ", False)
        elif prompt == OLD_PASSWORD:
            asked = self._ask(self._terminal, f"Old password of {self._who}: ", False)
        else:
            asked = self._newPassword(self._terminal, prompt)
        return Deferred.fromCoroutine(asked)

    async def _newPassword(self, terminal: Terminal, prompt: bytes) -> bytes | None:
        said = "".join(f"{line}\n" for line in self.marked(prompt.splitlines()))
        new = await self._ask(terminal, f"{said}New password of {self._who}: ", False)
        if new is None:
            return None
        again = await self._ask(terminal, f"New password of {self._who}, again: ", False)
        if again is None or not compare_digest(new, again):
            self.notes.append("a new password was not typed twice")
            return None
        return new

    async def _ask(self, terminal: Terminal, prompt: str, echo: bool) -> bytes | None:
        try:
            return await terminal.ask(prompt, echo)
        except NoAnswer:
            self.notes.append("no password was given" if not echo else "no answer was given")
            return None

    def getGenericAnswers(
        self, name: bytes, instruction: bytes, prompts: list[tuple[bytes, bool]]
    ) -> Later[Sequence[Text] | None] | Sequence[Text] | None:
        """
        What the server asks, typed at the terminal. Whatever is shown of it is
        marked as the server's.
        """
        if not self._password or self._terminal is None or not prompts:
            return None
        return Deferred.fromCoroutine(self._answerAll(self._terminal, name, instruction, prompts))

    def hasAnswers(self) -> bool:
        """
        Whether there is a person to ask.
        """
        if self._password and self._terminal is None:
            self.notes.append("there is no terminal to answer the server's questions at")
        return self._password and self._terminal is not None

    async def _answerAll(
        self, terminal: Terminal, name: bytes, instruction: bytes, prompts: list[tuple[bytes, bool]]
    ) -> list[Text] | None:
        answers: list[Text] = []
        said = [line for text in (name, instruction) for line in text.splitlines() if line.strip()]
        for prompt, echo in prompts:
            *before, question = prompt.strip().splitlines() or [b""]
            shown = "".join(f"{line}\n" for line in self.marked([*said, *before]))
            said = []
            shown += f"{self._who} asks: {safe(question)} "
            answer = await self._ask(terminal, shown, echo)
            if answer is None:
                return None
            answers.append(answer)
        return answers

    def marked(self, lines: Sequence[bytes | str]) -> list[str]:
        """
        Lines of the server's text, as they may be shown to a person.
        """
        return [f"{self._who} says: {safe(line, 1024)}" for line in lines]


def _privateHalf(private: Key, offered: Key | None) -> Key:
    if offered is not None and offered.isCertificate():
        return private.withCertificate(offered)
    return private.plain()
