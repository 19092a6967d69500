"""
The checker for users who have a key, or a certificate: the method
C{publickey}, RFC 4252 section 7.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ISSHPrivateKey, SSHPrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, maybeDeferred
from zope.interface import implementer

from conchlite.checkers.authorizedkeys import AuthorizedKey, AuthorizedPrincipal, certificatePermissions
from conchlite.checkers.keyoptions import KeyOptions
from conchlite.checkers.revocation import RevokedKeys
from conchlite.error import (
    BadSignature,
    CertificateRejected,
    CommandsConflict,
    ConchError,
    MalformedMessage,
    ValidPublicKey,
    safe,
)
from conchlite.interfaces import IAuthorizedKeysDB
from conchlite.ssh.factors import AvatarID, loginOf
from conchlite.ssh.permissions import Permissions

if TYPE_CHECKING:
    from conchlite.ssh.certificates import Certificate
    from conchlite.ssh.keys import Key

#: Says which names the certificates of a user may have.
Principals = Callable[[bytes], Any]


@implementer(IAuthorizedKeysDB)
class InMemorySSHKeyDB:
    """
    The keys of a few users, given by the program.
    """

    def __init__(
        self,
        mapping: Mapping[bytes, Iterable[Key | AuthorizedKey]] | Mapping[str, Iterable[Key | AuthorizedKey]],
    ) -> None:
        """
        @param mapping: a user's name to the public keys that he may log in
            with, or to L{AuthorizedKey} where there are options to a key. It
            is looked into at each login, so it may be changed.
        """
        self._mapping: Mapping[Any, Iterable[Key | AuthorizedKey]] = mapping

    def getAuthorizedKeys(self, username: bytes) -> Iterable[Key | AuthorizedKey]:
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
    Lets users in whose keys an L{IAuthorizedKeysDB} has, or who have a good
    certificate, if they sign.

    @ivar permitUserEnvironment: whether the variables that a line of
        C{authorized_keys} sets are set. As with sshd they are not, unless
        somebody wants it: who may write such a line and is bound to a command
        could change what the command does.
    """

    credentialInterfaces = (ISSHPrivateKey,)
    permitUserEnvironment = False

    def __init__(
        self,
        keydb: IAuthorizedKeysDB,
        trustedUserCAKeys: Iterable[Key] = (),
        authorizedPrincipals: Principals | None = None,
        revokedKeys: RevokedKeys | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        """
        @param keydb: where users' keys are.
        @param trustedUserCAKeys: whose certificates are good for every user
            that they name.
        @param authorizedPrincipals: for these certificates: which names let a
            user in, where his own does not; L{AuthorizedPrincipalsFiles} is
            one. It gets the user's name, and returns an iterable of names or
            L{AuthorizedPrincipal}, or a Deferred of one.
        @param revokedKeys: the keys that nobody logs in with any more.
        @param now: the time, in seconds since 1970.
        """
        self._keydb = keydb
        self._authorities = [AuthorizedKey(key) for key in trustedUserCAKeys]
        self._principals = authorizedPrincipals
        self._revoked = revokedKeys
        self._now = now

    def requestAvatarId(self, credentials: SSHPrivateKey) -> Deferred[bytes | tuple[()]]:
        """
        Judge a key, and a signature by it.

        @return: fires with the user's name, an L{AvatarID}. Fails with
            L{UnauthorizedLogin} if the key is not the user's or the signature
            is no good, and with L{ValidPublicKey} if the key is the user's and
            there is no signature. Cancelling it cancels what the database gave.
        """
        return Deferred.fromCoroutine(self._check(credentials))

    async def _check(self, credentials: SSHPrivateKey) -> bytes:
        from conchlite.ssh.keys import Key

        username: bytes = credentials.username
        # What belongs to the key is done first, so that it is done for users
        # who do not exist, too.
        try:
            key = Key.fromString(credentials.blob, type="blob")
        except ConchError as error:
            raise UnauthorizedLogin(str(error)) from None
        if self._revoked is not None:
            self._revoked.check(key)
        getAuthorizedKeys: Callable[[bytes], Any] = self._keydb.getAuthorizedKeys
        found = await maybeDeferred(getAuthorizedKeys, username)
        entries = [_entry(entry) for entry in found]
        address = loginOf(credentials).clientAddress
        certificate = key.certificate
        reasons: list[str] = []
        permissions: Permissions | None = None
        if certificate is not None:
            permissions = await self._byAuthority(certificate, username, address, reasons)
        if permissions is None:
            permissions = self._byEntry(key, entries, username, address, reasons)
        if permissions is None:
            raise UnauthorizedLogin("; ".join(reasons) or f"the key is not one of {safe(username)}'s")
        if credentials.signature is None:
            raise ValidPublicKey(username)
        _verify(key, credentials, permissions)
        return AvatarID(username, permissions)

    async def _byAuthority(
        self, certificate: Certificate, username: bytes, address: str | None, reasons: list[str]
    ) -> Permissions | None:
        """
        What a certificate of an authority that the server trusts allows.
        """
        if all(entry.key.blob() != certificate.signatureKey for entry in self._authorities):
            return None
        principals = [AuthorizedPrincipal(username)]
        if self._principals is not None:
            found = await maybeDeferred(self._principals, username)
            principals = [AuthorizedPrincipal(one) if isinstance(one, bytes) else one for one in found]
        named = [principal for principal in principals if principal.name in certificate.principals]
        for principal in named:
            permissions = self._permissionsOf(
                certificate, (principal.name,), principal.options, address, principal.source, reasons
            )
            if permissions is not None:
                return permissions
        if not named:
            reasons.append("the certificate is for somebody else")
        return None

    def _byEntry(
        self,
        key: Key,
        entries: Iterable[AuthorizedKey],
        username: bytes,
        address: str | None,
        reasons: list[str],
    ) -> Permissions | None:
        """
        What the first of the user's lines allows that lets him in.
        """
        certificate = key.certificate
        wanted = key.blob() if certificate is None else certificate.signatureKey
        for entry in entries:
            options = entry.options
            if entry.key.blob() != wanted or options.isAuthority is (certificate is None):
                continue
            permissions: Permissions | None
            if certificate is None:
                permissions = self._permitted(options, address, entry.source, reasons)
            else:
                names = (username,) if options.principals is None else options.principals
                permissions = self._permissionsOf(certificate, names, options, address, entry.source, reasons)
            if permissions is not None:
                return permissions
        return None

    def _permissionsOf(
        self,
        certificate: Certificate,
        names: tuple[bytes, ...],
        options: KeyOptions,
        address: str | None,
        source: str,
        reasons: list[str],
    ) -> Permissions | None:
        from conchlite.ssh.certificates import judgeUserCertificate

        permissions = self._permitted(options, address, source, reasons)
        if permissions is None:
            return None
        try:
            judgeUserCertificate(certificate, names, self._now(), address)
            return permissions.intersect(certificatePermissions(certificate))
        except (CertificateRejected, CommandsConflict) as error:
            reasons.append(str(error))
            return None

    def _permitted(
        self, options: KeyOptions, address: str | None, source: str, reasons: list[str]
    ) -> Permissions | None:
        why = options.why(address, self._now())
        if why:
            reasons.append(f"{source or 'the key'} {why}")
            return None
        environment = options.environment if self.permitUserEnvironment else {}
        return options.permissions.replacing(environment=environment)


def _entry(entry: Key | AuthorizedKey) -> AuthorizedKey:
    return entry if isinstance(entry, AuthorizedKey) else AuthorizedKey(entry)


def _verify(key: Key, credentials: SSHPrivateKey, permissions: Permissions) -> None:
    try:
        # How large a key must be is the server's to say: a key that comes
        # here has passed SSHUserAuthServer.minimumRSABits.
        key.verifyStrictly(
            credentials.signature,
            credentials.sigData,
            credentials.algName,
            minimumRSABits=0,
            requireTouch=permissions.touchRequired,
            requireVerification=permissions.verificationRequired,
        )
    except (BadSignature, MalformedMessage) as error:
        raise UnauthorizedLogin(str(error)) from None
