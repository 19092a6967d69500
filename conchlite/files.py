"""
Reading files that somebody else may have put there.
"""

from __future__ import annotations

import errno
import os
import stat


def readRegularFile(path: str | os.PathLike[str], maximumSize: int) -> bytes:
    """
    Read a file that has to be a regular one, and of a bounded size.

    @param maximumSize: in bytes.
    @raise OSError: it cannot be read, is no regular file, or is larger; the
        C{strerror} says which.
    """
    # Without O_NONBLOCK, opening a FIFO waits for somebody to write.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(maximumSize + 1)
    finally:
        os.close(descriptor)
    if len(content) > maximumSize:
        raise OSError(errno.EFBIG, f"larger than {maximumSize // 2**20} MiB", path)
    return content
