"""
The identification lines that open a connection: RFC 4253 section 4.2.
"""

from __future__ import annotations

import re

from conchlite.error import BadVersion, safe
from conchlite.limits import (
    MAXIMUM_OTHER_BYTES,
    MAXIMUM_OTHER_LINE,
    MAXIMUM_OTHER_LINES,
    MAXIMUM_VERSION_LINE,
)

# The software version holds no space and no minus sign by the RFC; peers that
# put one there (Cisco, Sun, many appliances) are understood all the same.
_IDENTIFICATION = re.compile(rb"SSH-([^-]*)-([^\x00\r\n]*)")


class VersionReader:
    """
    Finds the peer's identification line at the start of what it sends.

    @ivar otherLines: the lines that came before it, without their ends.
    """

    def __init__(self, supportedVersions: tuple[bytes, ...], linesBefore: bool) -> None:
        """
        @param supportedVersions: the protocol versions that will do.
        @param linesBefore: whether other lines may come first: a server may
            send them, a client may not.
        """
        self._supportedVersions = supportedVersions
        self._linesBefore = linesBefore
        self._buffer = bytearray()
        self._searched = 0
        self._otherBytes = 0
        self.otherLines: list[bytes] = []

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """
        Take what the peer sent.

        @return: the identification line without its end, and what lies behind
            it; L{None} as long as it has not come.
        @raise BadVersion: it will not do, or what comes is no SSH.
        """
        buffer = self._buffer
        buffer += data
        while (end := buffer.find(b"\n", self._searched)) >= 0:
            if end >= self._limit():
                break
            line = bytes(buffer[:end]).removesuffix(b"\r")
            del buffer[: end + 1]
            self._searched = 0
            if line.startswith(b"SSH-"):
                self._judge(line)
                return line, bytes(buffer)
            self._other(line, end + 1)
        self._searched = len(buffer) if end < 0 else end
        if len(buffer) >= self._limit():
            raise BadVersion(f"a line of more than {self._limit()} bytes where a version was expected")
        return None

    @property
    def unread(self) -> bytes:
        """
        The beginning of a line whose end has not come.
        """
        return bytes(self._buffer)

    def _limit(self) -> int:
        if not self._linesBefore or self._buffer.startswith(b"SSH-"):
            return MAXIMUM_VERSION_LINE
        return MAXIMUM_OTHER_LINE

    def _other(self, line: bytes, size: int) -> None:
        if not self._linesBefore:
            raise BadVersion(f"a client has to begin with its version, not with {safe(line)!r}")
        self._otherBytes += size
        self.otherLines.append(line)
        if len(self.otherLines) > MAXIMUM_OTHER_LINES or self._otherBytes > MAXIMUM_OTHER_BYTES:
            raise BadVersion("too many lines before the server's version")

    def _judge(self, line: bytes) -> None:
        match = _IDENTIFICATION.fullmatch(line)
        if match is None:
            raise BadVersion(f"not an SSH version: {safe(line)!r}")
        if match[1] not in self._supportedVersions:
            wanted = " or ".join(version.decode("ascii") for version in self._supportedVersions)
            raise BadVersion(
                f"the peer speaks SSH {safe(match[1])!r}, not {wanted}: {safe(line)!r}", match[1]
            )
