"""
Accounts of this machine, as far as a server's sessions are about them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

_SHELL = "/bin/sh"


@dataclass(frozen=True)
class Account:
    """
    What the system's lists of users and groups say about a user.

    @ivar name: his name.
    @ivar uid: his number.
    @ivar gid: the number of his own group.
    @ivar groups: the numbers of all groups that he is in, with that one.
    @ivar home: his directory.
    @ivar shell: his shell.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str

    @classmethod
    def named(cls, name: str) -> Account:
        """
        Look up an account.

        @raise KeyError: there is none of this name.
        """
        import pwd

        entry = pwd.getpwnam(name)
        # All groups are asked for here: a process that is about to become the
        # user could not, where another program has to answer.
        groups = tuple(os.getgrouplist(entry.pw_name, entry.pw_gid))
        return cls(
            entry.pw_name, entry.pw_uid, entry.pw_gid, groups, entry.pw_dir or "/", entry.pw_shell or _SHELL
        )

    @classmethod
    def ofProcess(cls) -> Account:
        """
        The account that this process runs under. It need not be in any list.
        """
        import pwd

        uid, gid, groups = os.getuid(), os.getgid(), tuple(os.getgroups())
        try:
            entry = pwd.getpwuid(uid)
        except KeyError:
            return cls(str(uid), uid, gid, groups, "/", _SHELL)
        return cls(entry.pw_name, uid, gid, groups, entry.pw_dir or "/", entry.pw_shell or _SHELL)

    @property
    def isOurs(self) -> bool:
        """
        Whether this process runs under it.
        """
        return self.uid == os.geteuid()

    def environment(self) -> dict[str, str]:
        """
        What a login sets of the environment.
        """
        places = ("/usr/local/sbin:/usr/sbin:/sbin:" if self.uid == 0 else "") + (
            "/usr/local/bin:/usr/bin:/bin"
        )
        return {
            "HOME": self.home,
            "LOGNAME": self.name,
            "PATH": places,
            "SHELL": self.shell,
            "USER": self.name,
        }
