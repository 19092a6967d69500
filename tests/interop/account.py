"""
An account for servers that let in only the accounts of the machine.

The server runs in a mount namespace of its own, with a C{/etc/passwd} and a
C{/home} of its own: the machine's are as they were. That takes root.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.interop.daemon import Daemon
from tests.interop.peers import (
    LOCALHOST,
    freePort,
    hostKeys,
    missing,
    program,
    publicKeyLine,
    rareUserKeys,
    userKeys,
    writePrivateKey,
)

#: Who has the account.
ACCOUNT = "alice"

# Nobody has this number: what is run may not do more than it must.
_UID = 64999

# Directories of the server's own, where the namespace has them: tinysshd wants
# no key below a directory that everybody may write to, and lshd no home there.
HOME = Path("/home")

# What there is in the server's directory takes the place of the machine's.
_SCRIPT = """\
for place in /home /etc/passwd /etc/shadow /etc/pam.d /etc/ssh; do
    mine="$1/$(basename $place)"
    [ ! -e "$mine" ] || mount --bind "$mine" $place || exit
done
shift
exec "$@"
"""


def accountKeys() -> str:
    """
    The lines of an C{authorized_keys} for all users' keys.
    """
    keys = (*userKeys().values(), *rareUserKeys().values())
    return "".join(publicKeyLine(key) + "\n" for key in keys)


def makeAccount(directory: Path) -> Path:
    """
    Make the account's files.

    @param directory: the server's directory.
    @return: what will be L{HOME}.
    """
    if os.geteuid() != 0:
        raise missing("the server wants an account of the machine, and to make one takes root")
    home = directory / "home"
    ssh = home / ACCOUNT / ".ssh"
    ssh.mkdir(parents=True)
    (ssh / "authorized_keys").write_text(accountKeys())
    for path in (ssh.parent, ssh, ssh / "authorized_keys"):
        chownToAccount(path)
    home.chmod(0o755)
    entry = f"{ACCOUNT}:x:{_UID}:{_UID}::{HOME / ACCOUNT}:/bin/sh\n"
    (directory / "passwd").write_text(Path("/etc/passwd").read_text() + entry)
    return home


def chownToAccount(path: Path) -> None:
    """
    Let a file be the account's own, and nobody else's.
    """
    os.chown(path, _UID, _UID)
    path.chmod(0o600 if path.is_file() else 0o700)


def withAccount(directory: Path, arguments: Sequence[str]) -> list[str]:
    """
    The command that runs another one where the account is.

    @param directory: what L{makeAccount} was given. There may be a C{shadow}, a
        C{pam.d} and an C{ssh} in it, too.
    """
    return [program("unshare"), "--mount", "/bin/sh", "-c", _SCRIPT, "sh", str(directory), *arguments]


async def startSSHD(test, reactor, environment: Mapping[str, str] = {}, **options: str) -> Daemon:
    """
    Start OpenSSH's server where the account is; it is stopped when the test
    ends.

    @param options: options of sshd_config(5) that take the place of those it
        would have.
    """
    directory = Path(test.mktemp()).absolute()
    directory.mkdir(parents=True)
    makeAccount(directory)
    Path("/run/sshd").mkdir(mode=0o755, parents=True, exist_ok=True)
    port = freePort()
    given = {
        "ListenAddress": f"{LOCALHOST}:{port}",
        "HostKey": str(writePrivateKey(hostKeys()[b"ssh-ed25519"], directory / "host")),
        "PidFile": "none",
        "UseDNS": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PrintMotd": "no",
        "PrintLastLog": "no",
        "LogLevel": "VERBOSE",
        **options,
    }
    configuration = directory / "sshd_config"
    configuration.write_text("".join(f"{name} {value}\n" for name, value in given.items()))
    command = withAccount(directory, [program("sshd"), "-D", "-e", "-f", str(configuration)])
    daemon = Daemon(reactor, directory)
    await daemon.start(command, environment, port, rf"Server listening on {LOCALHOST} port {port}")
    test.addCleanup(daemon.stop)
    return daemon


def becomeAccount(arguments: Sequence[str]) -> list[str]:
    """
    The command that runs another one as the account's user.
    """
    numbers = [f"--reuid={_UID}", f"--regid={_UID}", "--clear-groups"]
    return [program("setpriv"), *numbers, *arguments]
