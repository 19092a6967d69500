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
    A private key, which may be in a file and encrypted.

    @ivar path: the file; empty for a key that is in none.
    @ivar private: the private key; L{None} while it is encrypted.
    @ivar public: the public key; L{None} if that is encrypted with it, and
        there is no file C{.pub} beside it.
    """

    def __init__(self, private: Key | None, path: str = "") -> None:
        self.path = path
        self.private = private
        self.public = private.public() if private is not None else self._publicFile()

    @classmethod
    def fromFile(cls, path: str) -> Identity:
        """
        Read a file, as far as that goes without a passphrase.

        @param path: the file's path; C{~} is the user's home.
        @raise ConchError: it cannot be read, or is no private key.
        """
        from conchlite.ssh.keys import Key

        path = str(Path(path).expanduser())
        try:
            key = Key.fromFile(path)
        except EncryptedKeyError:
            return cls(None, path)
        except OSError as e:
            raise ConchError(f"identity {path}: {e.strerror}") from e
        except BadKeyError as e:
            raise BadKeyError(f"identity {e}") from e
        if key.isPublic():
            raise BadKeyError(f"identity {path}: a public key, where a private one belongs")
        return cls(key, path)

    def _publicFile(self) -> Key | None:
        from conchlite.ssh.keys import Key

        try:
            return Key.fromFile(self.path + ".pub").public()
        except (OSError, BadKeyError, EncryptedKeyError):
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
            found.append(Identity.fromFile(path))
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
        @param password: whether to ask for a password when no key will do.
        """
        super().__init__(user, instance)
        self._who = f"{safe(user)}@{safe(host)}"
        self._waiting = list(identities)
        self._current: Identity | None = None
        self._terminal = terminal if terminal is not None and terminal.isThere() else None
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
            if identity.private is None and self._terminal is None:
                # To offer it would only be one more attempt that fails.
                said = "is encrypted, and there is no terminal to ask for its passphrase"
                self.notes.append(f"identity {identity.path} {said}")
                continue
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
        if self._terminal is None:
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
        if self._terminal is None:
            self.notes.append("there is no terminal to ask for a password")
            return None
        return Deferred.fromCoroutine(self._askPassword(self._terminal))

    async def _askPassword(self, terminal: Terminal) -> Text | None:
        try:
            return await terminal.ask(f"Password of {self._who}: ")
        except NoAnswer:
            self.notes.append("no password was given")
            return None
