"""
Logging in with the keys in a user's files, and with a password from the terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred

from conchlite.client.terminal import Terminal
from conchlite.error import BadKeyError, BadPassphrase, ConchError, EncryptedKeyError, NoAnswer, safe
from conchlite.ssh.common import Text
from conchlite.ssh.service import SSHService
from conchlite.ssh.userauth import SSHUserAuthClient

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key

#: The key files that are used where none is named, if they are there.
DEFAULT_PATHS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")

#: How often a passphrase is asked for.
MAXIMUM_PASSPHRASES = 3


class Identity:
    """
    A file with a private key.

    @ivar path: where it is.
    @ivar private: the private key; L{None} while it is encrypted.
    @ivar public: the public key; L{None} if that is encrypted with it, and
        there is no file C{.pub} beside it.
    """

    def __init__(self, path: str) -> None:
        """
        Read the file, as far as that goes without a passphrase.

        @raise ConchError: it cannot be read, or is no private key.
        """
        from conchlite.ssh.keys import Key

        self.path = str(Path(path).expanduser())
        self.private: Key | None = None
        self.public: Key | None = None
        try:
            self.private = Key.fromFile(self.path)
        except EncryptedKeyError:
            self.public = self._publicFile()
        except OSError as e:
            raise ConchError(f"identity {self.path}: {e.strerror}") from e
        except BadKeyError as e:
            raise BadKeyError(f"identity {e}") from e
        else:
            if self.private.isPublic():
                raise BadKeyError(f"identity {self.path}: a public key, where a private one belongs")
            self.public = self.private.public()

    def _publicFile(self) -> Key | None:
        from conchlite.ssh.keys import Key

        try:
            return Key.fromFile(self.path + ".pub").public()
        except (OSError, BadKeyError):
            # It only saves a question, if the server does not want the key.
            return None

    def decrypt(self, passphrase: bytes) -> Key:
        """
        Open the private key.

        @raise BadPassphrase: the passphrase is wrong.
        @raise ConchError: the file cannot be read any more.
        """
        from conchlite.ssh.keys import Key

        try:
            self.private = Key.fromFile(self.path, passphrase=passphrase)
        except OSError as e:
            raise ConchError(f"identity {self.path}: {e.strerror}") from e
        self.public = self.private.public()
        return self.private


def defaultIdentities() -> list[Identity]:
    """
    What the user has under the usual names; what cannot be read is left out.
    """
    found = []
    for path in DEFAULT_PATHS:
        try:
            found.append(Identity(path))
        except ConchError:
            # Nobody asked for this one by name.
            pass
    return found


class IdentityUserAuth(SSHUserAuthClient):
    """
    Offers identities, each once, and then perhaps a password.

    @ivar notes: what a person who is told of a failure should know besides.
    """

    def __init__(
        self,
        user: str,
        host: str,
        instance: SSHService,
        identities: Sequence[Identity],
        terminal: Terminal,
        password: bool = False,
    ) -> None:
        """
        @param host: the server's name, for the prompts.
        @param terminal: where passphrases and the password are asked for.
        @param password: whether to ask for a password when no key will do.
        """
        super().__init__(user, instance)
        self._who = f"{safe(user)}@{safe(host)}"
        self._waiting = list(identities)
        self._current: Identity | None = None
        self._terminal = terminal
        self._password = password
        self.notes: list[str] = []

    def getPublicKey(self) -> Deferred[Key | None]:
        """
        The next identity's public key.
        """
        return Deferred.fromCoroutine(self._nextPublicKey())

    async def _nextPublicKey(self) -> Key | None:
        while self._waiting:
            identity = self._current = self._waiting.pop(0)
            if identity.public is None:
                await self._unlock(identity)
            if identity.public is not None:
                return identity.public
        return None

    def getPrivateKey(self) -> Deferred[Key | None]:
        """
        The private key of the identity that the server would accept.
        """
        return Deferred.fromCoroutine(self._currentPrivateKey())

    async def _currentPrivateKey(self) -> Key | None:
        identity = self._current
        if identity is not None and identity.private is None:
            await self._unlock(identity)
        return identity.private if identity is not None else None

    async def _unlock(self, identity: Identity) -> None:
        if not self._terminal.isThere():
            self.notes.append(
                f"identity {identity.path} is encrypted, and there is no terminal to ask for its passphrase"
            )
            return
        try:
            for _ in range(MAXIMUM_PASSPHRASES):
                passphrase = await self._terminal.ask(f"Passphrase of {safe(identity.path, 1024)}: ")
                try:
                    identity.decrypt(passphrase)
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

        @param prompt: the server asks for a new password: that is declined,
            and so is a password where nobody is there to be asked.
        """
        if not self._password or prompt is not None:
            return None
        if not self._terminal.isThere():
            self.notes.append("there is no terminal to ask for a password")
            return None
        return Deferred.fromCoroutine(self._askPassword())

    async def _askPassword(self) -> Text | None:
        try:
            return await self._terminal.ask(f"Password of {self._who}: ")
        except NoAnswer:
            self.notes.append("no password was given")
            return None
