"""
Reading files that somebody else may have put there, and writing files that
are there whole or not at all.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat


def readRegularFile(path: str | os.PathLike[str], maximumSize: int) -> bytes:
    """
    Read a file that has to be a regular one, and of a bounded size.

    @param maximumSize: in bytes.
    @raise OSError: it cannot be read, is no regular file, or is larger; the
        C{strerror} says which.
    """
    return readWithStatus(path, maximumSize)[0]


def readWithStatus(path: str | bytes | os.PathLike[str], maximumSize: int) -> tuple[bytes, os.stat_result]:
    """
    As L{readRegularFile}, and what the file was when it was read: its owner
    and its mode, of the very file and not of what has its name by now.

    @raise OSError: as L{readRegularFile}.
    """
    # Without O_NONBLOCK, opening a FIFO waits for somebody to write.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return readOpened(descriptor, path, maximumSize)
    finally:
        os.close(descriptor)


def readOpened(
    descriptor: int, path: str | bytes | os.PathLike[str], maximumSize: int
) -> tuple[bytes, os.stat_result]:
    """
    As L{readWithStatus}, what is open already; it stays so.

    @param path: what it is called in errors.
    @raise OSError: as L{readRegularFile}.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    with open(descriptor, "rb", closefd=False) as file:
        content = file.read(maximumSize + 1)
    if len(content) > maximumSize:
        raise OSError(errno.EFBIG, f"larger than {maximumSize // 2**20} MiB", path)
    return content, status


def writeWhole(
    path: str | os.PathLike[str],
    data: bytes,
    mode: int = 0o600,
    *,
    keep: bool = False,
    replace: bool = True,
) -> None:
    """
    Write a file so that whoever looks finds the old content or the new, and
    after a crash too. It is written under another name in the same directory,
    where nobody but its owner can read it from the moment that it exists
    (CVE-2022-24302), and gets its name when it is on the disk.

    @param mode: the permissions of a new file, whatever the umask is.
    @param keep: whether a file that is there keeps its permissions, and, as
        far as we may give them, its owner and group; and whether, if C{path}
        is a symbolic link, what it points to is written. Without, the new file
        is ours, with C{mode}, and takes the link's place.
    @param replace: whether it may take the place of a file that is there.
    @raise FileExistsError: there is one, and C{replace} is false.
    @raise OSError: it cannot be written; what was there is there still.
    """
    target = os.path.realpath(path) if keep else os.fspath(path)
    directory, name = os.path.split(target)
    # Cut, as a name with something behind it may be too long for the disk.
    temporary = os.path.join(directory, f".{name[:32]}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(temporary, flags, 0o600)
    except OSError as error:
        error.filename = target
        raise
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, mode)
            if keep:
                _takeOver(target, descriptor)
            os.fsync(descriptor)
        if replace:
            os.rename(temporary, target)
        else:
            # Unlike rename, this does not replace what came in between.
            os.link(temporary, target)
            os.unlink(temporary)
    except BaseException as error:
        try:
            os.unlink(temporary)
        except FileNotFoundError:
            pass
        if isinstance(error, OSError):
            # The name that nobody has heard of helps nobody.
            raise OSError(error.errno, error.strerror, target) from None
        raise
    _syncDirectory(directory or os.curdir)


def _takeOver(path: str, descriptor: int) -> None:
    """
    Give a file that is open the owner and the permissions of C{path}.
    """
    try:
        old = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return
    new = os.fstat(descriptor)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.fchown(descriptor, old.st_uid, old.st_gid)
        except PermissionError:
            # Only root gives files away. It is ours then, and what the old
            # group was allowed is not for ours.
            os.fchmod(descriptor, stat.S_IMODE(old.st_mode) & ~0o070)
            return
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _syncDirectory(directory: str) -> None:
    """
    Without this, a crash may leave the old name with the old file, or none.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some file systems of networks cannot.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
