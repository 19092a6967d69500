"""
Reading files that users put where they like, as root.

To become the user for a moment, as sshd does, is nothing for a process with
other threads: they would be him as well. So the way to the file is gone
directory by directory, and every step is judged as it was opened, not by what
has its name later: may the user himself read this, and can nobody else have
written it?
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Protocol

from conchlite.error import safe
from conchlite.files import readOpened

# A directory may be passed that may not be listed.
_DIRECTORY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without O_NONBLOCK, opening a FIFO waits for somebody to write.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Account(Protocol):
    """
    What of an entry of L{pwd} is looked at.
    """

    @property
    def pw_name(self) -> str: ...
    @property
    def pw_uid(self) -> int: ...
    @property
    def pw_gid(self) -> int: ...
    @property
    def pw_dir(self) -> str: ...


def readUserFile(path: str, account: Account, maximumSize: int, strictModes: bool = True) -> bytes:
    """
    Read a file of a user's.

    Root reads only what the user can read by the permissions of the file and
    of the directories above it: a link of his to somebody else's secret is of
    no use.

    @param path: from the root; links on the way are followed.
    @param maximumSize: in bytes.
    @param strictModes: as C{StrictModes} of sshd_config(5): the file and each
        directory above it, up to the user's home, have to belong to him or to
        root, and nobody else may write there.
    @raise OSError: not so; or it cannot be read, is no regular file, or is
        larger; the C{strerror} says which.
    """
    # What is a link after this was made one meanwhile, and ends the walk.
    target = os.path.realpath(path)
    home = os.path.realpath(account.pw_dir)
    reader = _Reader(account) if os.geteuid() == 0 else None
    *directories, name = target.split(os.sep)[1:]
    below = strictModes and os.path.commonpath([home, target]) != home
    descriptor = os.open(os.sep, _DIRECTORY)
    at = os.sep
    try:
        for directory in [None, *directories]:
            if directory is not None:
                at = os.path.join(at, directory)
                descriptor = _step(descriptor, directory)
            status = os.fstat(descriptor)
            below = below or (strictModes and at == home)
            if below:
                _checkWriters(at, status, account)
            if reader is not None:
                reader.check(at, status, stat.S_IXOTH)
        # Opening a device can have effects of its own, so it is not tried.
        if not stat.S_ISREG(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        file = os.open(name, _FILE, dir_fd=descriptor)
    finally:
        os.close(descriptor)
    try:
        status = os.fstat(file)
        if strictModes:
            _checkWriters(target, status, account)
        if reader is not None:
            reader.check(target, status, stat.S_IROTH)
        return readOpened(file, path, maximumSize)[0]
    finally:
        os.close(file)


def _step(descriptor: int, directory: str) -> int:
    below = os.open(directory, _DIRECTORY, dir_fd=descriptor)
    os.close(descriptor)
    return below


def _checkWriters(path: str, status: os.stat_result, account: Account) -> None:
    if status.st_uid not in (0, account.pw_uid) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(errno.EACCES, f"others may write to {safe(path)}")


class _Reader:
    """
    What a user may read, by owner, group and mode.
    """

    def __init__(self, account: Account) -> None:
        self._account = account
        self._groups: list[int] | None = None

    def check(self, path: str, status: os.stat_result, bit: int) -> None:
        """
        @param bit: what is asked for, as the right of others.
        @raise PermissionError: he may not.
        """
        mode = status.st_mode
        if self._account.pw_uid == 0:
            return
        if status.st_uid == self._account.pw_uid:
            granted = bool(mode & bit << 6)
        elif bool(mode & bit) is bool(mode & bit << 3):
            granted = bool(mode & bit)
        else:
            # Who knows the groups may be far away, so they are the last to ask.
            granted = bool(mode & (bit << 3 if status.st_gid in self._groupsOf() else bit))
        if not granted:
            raise PermissionError(errno.EACCES, f"{self._account.pw_name} may not read {safe(path)}")

    def _groupsOf(self) -> list[int]:
        if self._groups is None:
            self._groups = os.getgrouplist(self._account.pw_name, self._account.pw_gid)
        return self._groups
