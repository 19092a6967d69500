"""
What the programs beside this module have in common: other implementations of
SSH, each in a process of its own, with all that they can do switched on.

A server is called as C{X_server DIRECTORY AUTHORIZED_KEYS PORT}. The directory
has its private host keys, in OpenSSH's format, in files whose names begin with
C{host_}; whoever has one of the authorized keys may log in, by any name. Port 0
is any that is free. When it listens, on the loopback interface, it writes
C{listening PORT}.

A client is called as C{X_client PORT HOST_KEYS USER_KEY USER COMMAND}. The file
of host keys has a public key a line, of which the server must have one. It
runs the command on the server, with its own standard input and output, and
ends with the command's status; where that fails, with 255 and the reason on
standard error.

The commands that a server runs are C{cat}, and C{exit N}, which reads its input
to the end and says nothing.

Where C{REKEY_BYTES} is in the environment, keys are exchanged anew after so many
bytes, by those that can.

With C{--version} they print what they are.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

LOCALHOST = "127.0.0.1"

#: After how many bytes keys are exchanged anew, if that is asked for.
REKEY_BYTES = int(os.environ["REKEY_BYTES"]) if "REKEY_BYTES" in os.environ else None


def sayVersion(text: str) -> None:
    """
    Answer C{--version}, if that is what the program is called with.
    """
    if sys.argv[1:] == ["--version"]:
        print(text)
        sys.exit(0)


@dataclass
class ServerArguments:
    hostKeys: list[str]
    authorizedKeys: str
    port: int


def serverArguments() -> ServerArguments:
    directory, authorizedKeys, port = sys.argv[1:]
    hostKeys = sorted(str(path) for path in Path(directory).glob("host_*"))
    return ServerArguments(hostKeys, authorizedKeys, int(port))


@dataclass
class ClientArguments:
    port: int
    hostKeys: str
    userKey: str
    user: str
    command: str


def clientArguments() -> ClientArguments:
    port, hostKeys, userKey, user, command = sys.argv[1:]
    return ClientArguments(int(port), hostKeys, userKey, user, command)


def publicBlobs(path: str) -> set[str]:
    """
    The blobs, in base 64, of a file of public keys.
    """
    return {line.split()[1] for line in Path(path).read_text().splitlines() if line}


def listening(port: int) -> None:
    """
    Say where the server listens.
    """
    print("listening", port, flush=True)


def exitStatus(command: str) -> int | None:
    """
    How a command is to end, or L{None} if there is no such command.
    """
    if command == "cat":
        return 0
    name, _, status = command.partition(" ")
    return int(status) if name == "exit" and status.isdigit() else None


def end(output: bytes, status: int) -> None:
    """
    End the process of a client as the command has ended.
    """
    sys.stdout.buffer.write(output)
    sys.stdout.buffer.flush()
    # Threads that still run do not matter.
    os._exit(status)


def fail(reason: object) -> None:
    print(reason, file=sys.stderr, flush=True)
    os._exit(255)
