"""
Changing a file that several programs change.

Who changes it holds a lock on it (flock) from before it is read until the new
one has its name. As the new one is another file, whoever waited for the lock
looks whether it is still the file's own, and else waits for that of the new.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from conchlite.error import ConchError
from conchlite.files import readRegularFile, writeWhole

#: How long to wait for another program, in seconds, and how long between two
#: looks. It stops the reactor: who holds the lock has it for milliseconds.
LOCK_SECONDS = 2.0
LOCK_INTERVAL = 0.01


def change(path: str, maximumSize: int, edit: Callable[[bytes], bytes]) -> None:
    """
    Change a file, or make it, and the directory that it is in. Its permissions
    and its owner stay, and where C{path} is a link it stays one.

    @param edit: the new content for the old one, which is empty where there is
        no file. Where both are the same nothing is written.
    @raise ConchError: the file cannot be read, or another program keeps it to
        itself.
    @raise OSError: it cannot be written.
    """
    # A link stays a link: it is the file behind it that is replaced.
    real = os.path.realpath(path)
    os.makedirs(os.path.dirname(real), 0o700, exist_ok=True)
    with _locked(real):
        try:
            before = readRegularFile(real, maximumSize)
        except OSError as e:
            raise ConchError(f"{path}: {e.strerror}") from e
        after = edit(before)
        if after != before:
            writeWhole(real, after, keep=True)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        # Without O_NONBLOCK, opening a FIFO waits for somebody to write.
        flags = os.O_RDONLY | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            if _hasLock(descriptor) and _isStill(path, descriptor):
                yield
                return
        finally:
            os.close(descriptor)
        if time.monotonic() > deadline:
            raise ConchError(f"{path}: another program keeps it to itself")
        time.sleep(LOCK_INTERVAL)


def _hasLock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _isStill(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
