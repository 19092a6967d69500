"""
The accounts of this machine as the users of a server.

A server that runs as root runs what its users ask for as them; any other has
one user, the one that it runs as. The names are Conch's. Unlike there, nothing
that runs in the server's own process is done as a user: see
L{conchlite.ssh.childprocess}.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable
from typing import cast

from twisted.cred.portal import IRealm
from twisted.internet.interfaces import IReactorProcess
from twisted.python.components import registerAdapter
from zope.interface import Interface, implementer

from conchlite.avatar import ConchUser
from conchlite.error import AccountRefused, safe
from conchlite.interfaces import ISession
from conchlite.ssh.accounts import Account
from conchlite.ssh.processes import ProcessSession
from conchlite.ssh.session import SSHSession


class UnixConchUser(ConchUser):
    """
    A user who has an account, and may open sessions.

    What his sessions run, L{ISession} says, to which he is adapted: it is
    L{SSHSessionForUnixConchUser}, unless another adapter is registered for a
    subclass.

    @ivar username: his name.
    @ivar account: his account.
    @ivar pwdData: the same as L{pwd} has it.
    @ivar otherGroups: the numbers of all his groups.
    """

    def __init__(self, username: bytes | str, reactor: IReactorProcess | None = None) -> None:
        """
        @param username: his name.
        @param reactor: what his processes run by; L{None} for what the
            connection runs by.
        @raise AccountRefused: there is no such account.
        """
        super().__init__()
        self.username = os.fsdecode(username)
        try:
            self.account = Account.named(self.username)
            self.pwdData = pwd.getpwnam(self.username)
        except (KeyError, ValueError):
            raise AccountRefused(f"no account {safe(self.username)!r} on this machine") from None
        self.otherGroups = list(self.account.groups)
        self._reactor = reactor
        self.channelLookup[b"session"] = SSHSession

    @property
    def reactor(self) -> IReactorProcess:
        """
        What the user's processes run by.
        """
        if self._reactor is not None or self.conn is None:
            return cast(IReactorProcess, self._reactor)
        return IReactorProcess(self.conn.transport.clock)

    def getUserGroupId(self) -> tuple[int, int]:
        """
        The user's number, and that of his own group.
        """
        return self.account.uid, self.account.gid

    def getOtherGroups(self) -> list[int]:
        """
        The numbers of all his groups.
        """
        return self.otherGroups

    def getHomeDir(self) -> str:
        """
        His directory.
        """
        return self.account.home

    def getShell(self) -> str:
        """
        His shell.
        """
        return self.account.shell

    def logout(self) -> None:
        """
        The connection is over. What he runs ends with its session.
        """


class SSHSessionForUnixConchUser(ProcessSession):
    """
    Runs the user's commands and shells as himself: with his numbers and all of
    his groups, in his directory, by his shell, and with an environment made
    from his account.

    @ivar avatar: the L{UnixConchUser}.
    """

    def __init__(self, avatar: UnixConchUser, reactor: IReactorProcess | None = None) -> None:
        """
        @param reactor: what processes run by; by default the avatar's.
        """
        self.avatar = avatar
        super().__init__(avatar.reactor if reactor is None else reactor)

    def _account(self) -> Account:
        return self.avatar.account


registerAdapter(SSHSessionForUnixConchUser, UnixConchUser, ISession)


@implementer(IRealm)
class UnixSSHRealm:
    """
    Makes avatars of those who have an account on this machine. Whether
    somebody is who he says is for the portal's checkers to know, and whether
    his password has expired or his account is locked, too.

    @cvar userClass: what makes an avatar: called as L{UnixConchUser}.
    @cvar permitRoot: whether somebody may log in whose number is 0, to a server
        that runs as root.
    @cvar nologin: where there is a file of this name, nobody else may log in;
        L{None} for no such file.
    """

    userClass: Callable[[bytes, IReactorProcess | None], UnixConchUser] = UnixConchUser
    permitRoot = False
    nologin: str | None = "/etc/nologin"

    def __init__(self, reactor: IReactorProcess | None = None) -> None:
        """
        @param reactor: what the users' processes run by; L{None} for what
            their connections run by.
        """
        self._reactor = reactor

    def requestAvatar(
        self, avatarId: bytes | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> tuple[type[Interface], UnixConchUser, Callable[[], None]]:
        """
        Make an avatar.

        @param avatarId: the user's name.
        @raise AccountRefused: he has no account that this server can run
            anything for; the log says why.
        """
        user = self.userClass(bytes(avatarId), self._reactor)
        self._check(user.account)
        return interfaces[0], user, user.logout

    def _check(self, account: Account) -> None:
        name = safe(account.name)
        if os.geteuid() != 0 and not account.isOurs:
            raise AccountRefused(f"the server would have to run as root to run anything as {name}")
        if account.uid == 0 and not self.permitRoot:
            raise AccountRefused(f"{name} has the number 0, and the realm's permitRoot is not true")
        if account.uid != 0 and self.nologin is not None and os.path.exists(self.nologin):
            raise AccountRefused(f"there is a file {self.nologin}")
        try:
            status = os.stat(account.shell)
        except OSError as error:
            raise AccountRefused(f"{name}'s shell {safe(account.shell)}: {error.strerror}") from error
        if not stat.S_ISREG(status.st_mode) or not status.st_mode & 0o111:
            raise AccountRefused(f"{name}'s shell {safe(account.shell)} is no program")
