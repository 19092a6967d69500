"""
Passwords: checkers for those of a program's own users, and of the machine's.

Whether a user exists cannot be told by the time that a checker takes: for a
user who does not, it does the same work.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface import Interface, implementer

from conchlite.error import UsageError, safe
from conchlite.interfaces import IKeyboardInteractive
from conchlite.ssh.authmethods.password import MAXIMUM_PASSWORD_SIZE
from conchlite.ssh.common import Text, asBytes
from conchlite.ssh.factors import loginOf
from conchlite.ssh.threads import Run

if TYPE_CHECKING:
    from conchlite.algorithms.base import RandomBytes

# scrypt's cost: 16 MiB and some 40 ms.
_N, _R, _P = 2**14, 8, 1
_SALT_SIZE = 16


def hashPassword(password: Text, randomBytes: RandomBytes = os.urandom) -> str:
    """
    A password as L{InMemoryPasswordDatabase} keeps it, by scrypt.

    @param randomBytes: where the salt comes from.
    """
    salt = randomBytes(_SALT_SIZE)
    digest = _scrypt(asBytes(password), salt, _N, _R, _P)
    parts = (b64encode(part).decode("ascii") for part in (salt, digest))
    return "$".join(("scrypt", str(_N), str(_R), str(_P), *parts))


def _scrypt(password: bytes, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=256 * n * r * p, dklen=32)


def _matches(password: bytes, hashed: str) -> bool:
    try:
        name, n, r, p, salt, digest = hashed.split("$")
        if name != "scrypt":
            raise ValueError
        made = _scrypt(password, b64decode(salt, validate=True), int(n), int(r), int(p))
        return hmac.compare_digest(made, b64decode(digest, validate=True))
    except ValueError:
        raise UsageError("a hash of a password that hashPassword has not made") from None


def _fits(password: bytes) -> bool:
    # What is longer than this costs more to hash than it can be worth, and
    # what is empty some directories take for an anonymous login. A NUL ends a
    # text for PAM and crypt(3); and to scrypt one at the end is not there.
    return 0 < len(password) <= MAXIMUM_PASSWORD_SIZE and b"\0" not in password


@implementer(ICredentialsChecker)
class _PasswordChecker:
    """
    What looks at a password before it reaches anything that could mistake it.
    """

    credentialInterfaces: tuple[type[Interface], ...] = (IUsernamePassword,)

    def __init__(self, run: Run | None) -> None:
        self._run = run

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """
        Judge a password.

        @return: fires with the user's name. Fails with L{UnauthorizedLogin},
            and with L{UsageError} where the checker cannot judge.
        """
        return Deferred.fromCoroutine(self._check(credentials))

    async def _check(self, credentials: Any) -> bytes:
        username: bytes = credentials.username
        password = await self._passwordOf(credentials)
        if not _fits(password):
            raise UnauthorizedLogin("an empty password, a long one, or one with a NUL")
        await self._judge(username, password, self._run or loginOf(credentials).run)
        return username

    async def _passwordOf(self, credentials: Any) -> bytes:
        return asBytes(credentials.password)

    async def _judge(self, username: bytes, password: bytes, run: Run) -> None:
        """
        Return where the password is the user's.

        @param run: calls what takes long.
        @raise UnauthorizedLogin: it is not.
        """
        raise NotImplementedError


class InMemoryPasswordDatabase(_PasswordChecker):
    """
    The passwords of a few users, hashed, given by the program.
    """

    # Of no password: it is computed with where there is no user.
    _nobodys = f"scrypt${_N}${_R}${_P}$" + "A" * 22 + "==$" + "A" * 43 + "="

    def __init__(
        self, hashes: Mapping[bytes, str] | Mapping[str, str] | None = None, run: Run | None = None
    ) -> None:
        """
        @param hashes: a user's name to what L{hashPassword} has made of his
            password. It is looked into at each login, so it may be changed.
        @param run: how scrypt is called; by default in a thread of the
            reactor's, if it is a server of ours that asks.
        """
        super().__init__(run)
        self._hashes: Mapping[Any, str] = {} if hashes is None else hashes

    async def _judge(self, username: bytes, password: bytes, run: Run) -> None:
        known = self._hashes.get(username)
        if known is None:
            known = self._hashes.get(username.decode("utf-8", "replace"))
        good = await run(_matches, password, self._nobodys if known is None else known)
        if known is None or not good:
            raise UnauthorizedLogin(f"no password of {safe(username)}'s")


class PAMChecker(_PasswordChecker):
    """
    Asks the machine's PAM, with the extra C{pam}: about a password, or, with
    C{keyboard-interactive}, about what the user answers.

    Root may ask about everybody; others only about themselves, as a rule.
    """

    credentialInterfaces = (IUsernamePassword, IKeyboardInteractive)

    #: What a user is asked who logs in with C{keyboard-interactive}.
    prompt = "Password: "

    def __init__(self, service: str = "sshd", run: Run | None = None, library: Any = None) -> None:
        """
        @param service: the file in C{/etc/pam.d} that says what is asked.
        @param run: how PAM is called, which may block; by default in a
            thread of the reactor's, if it is a server of ours that asks.
        @param library: what has C{PamAuthenticator}; by default the package
            C{pam}.
        """
        super().__init__(run)
        self._service = service
        self._library = library

    async def _passwordOf(self, credentials: Any) -> bytes:
        if not IKeyboardInteractive.providedBy(credentials):
            return asBytes(credentials.password)
        (answer,) = await credentials.ask("", "", [(self.prompt, False)])
        return asBytes(answer)

    async def _judge(self, username: bytes, password: bytes, run: Run) -> None:
        # A NUL would end the name for PAM.
        if b"\0" in username or not await run(self._ask, username, password):
            raise UnauthorizedLogin("PAM says no")

    def _ask(self, username: bytes, password: bytes) -> bool:
        library = self._library
        if library is None:
            try:
                library = import_module("pam")
            except ImportError:
                raise UsageError("PAM takes the extra: pip install conchlite[pam]") from None
        try:
            name, text = username.decode("utf-8"), password.decode("utf-8")
        except UnicodeDecodeError:
            return False
        authenticator = library.PamAuthenticator()
        return authenticator.authenticate(name, text, service=self._service) is True


class UNIXPasswordDatabase(_PasswordChecker):
    """
    The passwords of the machine's users, where their hashes can be read.
    L{PAMChecker} is better: it knows of accounts that are locked or expired.
    """

    # crypt's SHA-512, of nothing that anybody knows.
    _nobodys = "$6$conchlite$" + "." * 86

    def __init__(
        self,
        getByNameFunctions: tuple[Callable[[str], Any], ...] | None = None,
        crypt: Callable[[str, str], str | None] | None = None,
        run: Run | None = None,
    ) -> None:
        """
        @param getByNameFunctions: each gets a name, and returns a tuple
            whose second element is the hash, or raises L{KeyError}; by default
            those of the shadow file, and of L{pwd}.
        @param crypt: crypt(3); by default Python's, which has it up to 3.12.
        @param run: how C{crypt} is called; by default in a thread of the
            reactor's, if it is a server of ours that asks.
        """
        super().__init__(run)
        self._functions = _ofTheMachine() if getByNameFunctions is None else getByNameFunctions
        self._crypt = crypt

    async def _judge(self, username: bytes, password: bytes, run: Run) -> None:
        # Nothing reaches crypt(3) whose length was not looked at: of some, a
        # long password was read as a hash.
        hashed = self._hashOf(username)
        text = password.decode("utf-8", "surrogateescape")
        made = await run(self._crypt or _crypt(), text, hashed or self._nobodys)
        good = made is not None and hmac.compare_digest(
            made.encode("utf-8", "surrogateescape"), (hashed or self._nobodys).encode()
        )
        if hashed is None or not good:
            raise UnauthorizedLogin(f"no password of {safe(username)}'s")

    def _hashOf(self, username: bytes) -> str | None:
        try:
            name = username.decode("utf-8")
        except UnicodeDecodeError:
            return None
        for function in self._functions:
            try:
                hashed = function(name)[1]
            except (KeyError, PermissionError):
                continue
            # What is no hash of crypt's stands for a locked account, or for
            # another file.
            if isinstance(hashed, str) and hashed.startswith("$"):
                return hashed
        return None


def _ofTheMachine() -> tuple[Callable[[str], Any], ...]:
    import pwd
    import warnings

    functions: list[Callable[[str], Any]] = [pwd.getpwnam]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import spwd
    except ImportError:
        pass  # Python 3.13 has no such module.
    else:
        functions.insert(0, spwd.getspnam)
    return tuple(functions)


def _crypt() -> Callable[[str, str], str | None]:
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import crypt
    except ImportError:
        raise UsageError("this Python has no crypt(3): use PAMChecker") from None
    return crypt.crypt
