"""
Checkers for the portal of a server: who may log in with which key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ISSHPrivateKey, SSHPrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from conchlite.error import BadSignature, MalformedMessage, ValidPublicKey, safe
from conchlite.interfaces import IAuthorizedKeysDB

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key


@implementer(IAuthorizedKeysDB)
class InMemorySSHKeyDB:
    """
    The keys of a few users, given by the program.
    """

    def __init__(self, mapping: Mapping[bytes, Iterable[Key]] | Mapping[str, Iterable[Key]]) -> None:
        """
        @param mapping: a user's name to the public keys that he may log in
            with. It is looked into at each login, so it may be changed.
        """
        self._mapping: Mapping[Any, Iterable[Key]] = mapping

    def getAuthorizedKeys(self, username: bytes) -> Iterable[Key]:
        """
        The user's keys; a user who is not in the mapping has none.
        """
        keys = self._mapping.get(username)
        if keys is None:
            keys = self._mapping.get(username.decode("utf-8", "replace"), ())
        return keys


@implementer(ICredentialsChecker)
class SSHPublicKeyChecker:
    """
    Lets users in whose keys an L{IAuthorizedKeysDB} has, if they sign.
    """

    credentialInterfaces = (ISSHPrivateKey,)

    def __init__(self, keydb: IAuthorizedKeysDB) -> None:
        """
        @param keydb: where users' keys are.
        """
        self._keydb = keydb

    def requestAvatarId(self, credentials: SSHPrivateKey) -> Deferred[bytes | tuple[()]]:
        """
        Judge a key, and a signature by it.

        @return: fires with the user's name. Fails with L{UnauthorizedLogin} if
            the key is not the user's or the signature is no good, and with
            L{ValidPublicKey} if the key is the user's and there is no
            signature. Cancelling it cancels what the database gave.
        """
        getAuthorizedKeys: Callable[[bytes], Any] = self._keydb.getAuthorizedKeys
        return maybeDeferred(getAuthorizedKeys, credentials.username).addCallback(self._cbKeys, credentials)

    def _cbKeys(self, keys: Iterable[Key], credentials: SSHPrivateKey) -> bytes:
        username: bytes = credentials.username
        key = next((key for key in keys if key.blob() == credentials.blob), None)
        if key is None:
            raise UnauthorizedLogin(f"the key is not one of {safe(username)}'s")
        if credentials.signature is None:
            raise ValidPublicKey(username)
        try:
            # How large a key must be is the server's to say: a key that comes
            # here has passed SSHUserAuthServer.minimumRSABits.
            key.verifyStrictly(
                credentials.signature, credentials.sigData, credentials.algName, minimumRSABits=0
            )
        except (BadSignature, MalformedMessage) as error:
            raise UnauthorizedLogin(str(error)) from None
        return username
