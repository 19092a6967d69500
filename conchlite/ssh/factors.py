"""
What a login is made of, on a server: the factors that a user has proved, and
those that he still has to.

A checker answers for one factor. What it has to say beside the user's name, an
L{AvatarID} holds: with which key that was, and what the key takes away from
what the user may do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.cred.credentials import ICredentials, ISSHPrivateKey
from twisted.cred.error import UnauthorizedLogin

from conchlite.algorithms import catalogue
from conchlite.error import BadSignature, CommandsConflict, MalformedMessage, ValidPublicKey, safe
from conchlite.interfaces import IHostBased
from conchlite.ssh.fingerprints import fingerprint
from conchlite.ssh.permissions import Permissions
from conchlite.ssh.threads import threadsOf

if TYPE_CHECKING:
    from conchlite.algorithms.publickeys.certificates import Certificate

#: The methods that have to succeed one after the other, for each way to log in.
Methods = Sequence[Sequence[bytes]]


@dataclass(frozen=True)
class Factor:
    """
    One thing that a user has proved.

    @ivar method: the method by which.
    @ivar permissions: what it leaves the user to do.
    @ivar keyType: the type of the key, if it was one, or of its certificate.
    @ivar fingerprint: the key's SHA-256 fingerprint; of a certificate that of
        the key in it.
    @ivar certificate: the certificate, or L{None}.
    """

    method: bytes
    permissions: Permissions
    keyType: bytes = b""
    fingerprint: str = ""
    certificate: Certificate | None = None

    @classmethod
    def of(cls, method: bytes, credentials: ICredentials, avatarID: object) -> Factor:
        """
        What a checker has just accepted.

        @param avatarID: the checker's answer.
        """
        permissions = getattr(avatarID, "permissions", None) or Permissions()
        blob: bytes | None = getattr(credentials, "blob", None)
        signed = ISSHPrivateKey.providedBy(credentials) or IHostBased.providedBy(credentials)
        if blob is None or not signed:
            return cls(method, permissions)
        from conchlite.ssh.keys import Key

        key = Key.fromString(blob, type="blob")
        return cls(method, permissions, key.sshType(), fingerprint(key.blob()), key.certificate)

    def __str__(self) -> str:
        said = self.method.decode("ascii", "replace")
        if self.fingerprint:
            said += f" {safe(self.keyType)} {self.fingerprint}"
        if self.certificate is not None:
            said += (
                f' ID "{safe(self.certificate.keyID)}" serial {self.certificate.serial}'
                f" CA {fingerprint(self.certificate.signatureKey)}"
            )
        return said


class AvatarID(bytes):
    """
    A user's name, as checkers give it to realms, and what he has proved.

    @ivar permissions: what is left for him to do.
    @ivar factors: what he has proved; empty as long as the server does not know.
    """

    permissions: Permissions
    factors: tuple[Factor, ...]

    def __new__(
        cls, name: bytes, permissions: Permissions | None = None, factors: Sequence[Factor] = ()
    ) -> AvatarID:
        made = super().__new__(cls, name)
        made.permissions = permissions or Permissions()
        made.factors = tuple(factors)
        return made

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """
        The SHA-256 fingerprints of the keys that the user has signed with; that
        of a machine which has spoken for him is not among them.
        """
        own = (factor for factor in self.factors if factor.method != b"hostbased")
        return tuple(factor.fingerprint for factor in own if factor.fingerprint)


class Login:
    """
    A user on his way in. Checkers find it as C{login} in the credentials that
    the server asks them about: one object for all that one user proves on one
    connection, so what is to be remembered until the login is complete belongs
    to it, and never to the user's name.

    @ivar user: the user's name.
    @ivar clientAddress: the address that he comes from; L{None} if that is
        nothing with an address.
    @ivar run: how a checker makes calls that block: in the threads of the
        reactor that the connection is on.
    @ivar method: the method that runs.
    @ivar factors: what he has proved.
    """

    def __init__(self, user: bytes = b"", clientAddress: str | None = None, reactor: object = None) -> None:
        """
        @param reactor: what the connection is on; without threads of its own
            blocking calls are made at once.
        """
        self.user = user
        self.clientAddress = clientAddress
        self.run = threadsOf(reactor)
        self.method = b""
        self.factors: list[Factor] = []
        self._before = 0
        # What the checkers call him.
        self._name: object = None

    def begin(self, method: bytes) -> None:
        """
        Another request comes.
        """
        self.method = method
        self._before = len(self.factors)

    def end(self) -> None:
        """
        The request has succeeded. What was proved by it is there already, but
        for a method of the program's own that has not asked the portal.
        """
        if len(self.factors) == self._before:
            self.factors = [*self.factors, Factor(self.method, Permissions())]

    def add(self, avatarID: object, factors: Collection[Factor]) -> object:
        """
        The user has proved more.

        @param avatarID: what the checker calls him.
        @return: the same, as an L{AvatarID} with all that he has proved by
            now, if that is his name.
        @raise UnauthorizedLogin: he has proved just this before, or as
            another user, or has now two commands that he is bound to.
        """
        if self._name is not None and avatarID != self._name:
            raise UnauthorizedLogin("this is proved by somebody else")
        proved = [factor.fingerprint for factor in self.factors if factor.fingerprint]
        for factor in factors:
            if factor.fingerprint and factor.fingerprint in proved:
                # Two keys are wanted, and the same one is shown twice,
                # perhaps once with its certificate.
                raise UnauthorizedLogin(f"the key {factor.fingerprint} was used before")
            proved.append(factor.fingerprint)
        together = [*self.factors, *factors]
        try:
            permissions = _allowing(Permissions(), together)
        except CommandsConflict as error:
            raise UnauthorizedLogin(str(error)) from None
        self.factors = together
        self._name = avatarID
        if isinstance(avatarID, bytes):
            return AvatarID(avatarID, permissions, together)
        return avatarID

    def permissionsOf(self, granted: Permissions) -> Permissions:
        """
        What is left of what the server grants.

        @raise CommandsConflict: nothing.
        """
        return _allowing(granted, self.factors)


def _allowing(granted: Permissions, factors: Collection[Factor]) -> Permissions:
    for factor in factors:
        granted = granted.intersect(factor.permissions)
    return granted


def loginOf(credentials: ICredentials) -> Login:
    """
    The login that credentials belong to; one of its own for those that no
    server of ours has made.
    """
    login: Login | None = getattr(credentials, "login", None)
    return Login() if login is None else login


def checkPresence(credentials: Any, permissions: Permissions) -> None:
    """
    Return if a key has signed, and, where it is a security key, if somebody
    was there as is wanted. What the checker of the key looks at is its own
    business, so nobody relies on that.

    @param credentials: C{ISSHPrivateKey}, after its checker has accepted them.
    @raise ValidPublicKey: all that was asked is whether the key would do.
    @raise UnauthorizedLogin: nobody was there.
    """
    if credentials.signature is None:
        raise ValidPublicKey(credentials.username)
    if not catalogue.isSecurityKey(catalogue.plainName(credentials.algName)):
        return
    from conchlite.ssh.keys import Key

    try:
        Key.fromString(credentials.blob, type="blob").verifyStrictly(
            credentials.signature,
            credentials.sigData,
            credentials.algName,
            requireTouch=permissions.touchRequired,
            requireVerification=permissions.verificationRequired,
        )
    except (BadSignature, MalformedMessage) as error:
        raise UnauthorizedLogin(str(error)) from None


def following(wanted: Methods, done: Sequence[bytes]) -> list[bytes] | None:
    """
    The methods that may come next, as C{AuthenticationMethods} of
    sshd_config(5) has it: each of the lists is gone through in its order.

    @param wanted: the lists; none for any one method.
    @param done: the methods that have succeeded, in their order.
    @return: L{None} if nothing more is wanted.
    """
    if not wanted:
        return None if done else []
    left = [list(methods) for methods in wanted]
    for method in done:
        for methods in left:
            if methods and methods[0] == method:
                del methods[0]
        if not all(left):
            return None
    return list(dict.fromkeys(methods[0] for methods in left if methods))
