"""
A realm of Kerberos for a test: MIT's KDC, on the loopback interface, with files
of the test's own. Nothing of the machine's configuration is read.
"""

from __future__ import annotations

import os
import struct
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.interop.daemon import Daemon
from tests.interop.peers import LOCALHOST, SERVER_PATH, freePort, missing, program

REALM = "CONCHLITE.TEST"

#: What our servers and sshd are called: tests connect to the address.
SERVICE = f"host@{LOCALHOST}"

_CONFIGURATION = f"""\
[libdefaults]
    default_realm = {REALM}
    dns_lookup_realm = false
    dns_lookup_kdc = false
    dns_canonicalize_hostname = false
    rdns = false
    forwardable = true
[realms]
    {REALM} = {{
        kdc = {LOCALHOST}:%(port)d
    }}
[domain_realm]
    {LOCALHOST} = {REALM}
"""

_KDC_CONFIGURATION = f"""\
[kdcdefaults]
    kdc_listen = {LOCALHOST}:%(port)d
    kdc_tcp_listen = {LOCALHOST}:%(port)d
[realms]
    {REALM} = {{
        database_name = %(directory)s/principal
        key_stash_file = %(directory)s/stash
        acl_file = %(directory)s/acl
    }}
[logging]
    kdc = STDERR
"""


def installedPackage() -> None:
    """
    Skip the test where the extra C{gssapi} is not installed.
    """
    try:
        import gssapi  # noqa: F401
    except ImportError:
        raise missing("the extra 'gssapi' is not installed") from None


class Kerberos(Daemon):
    """
    A KDC with the keys of the service and of C{alice} and C{bob}.

    @ivar environment: what programs need to find it.
    """

    environment: dict[str, str]

    @classmethod
    async def begin(cls, reactor, directory: Path) -> Kerberos:
        """
        Make a realm, and start its KDC.

        @param directory: an empty one.
        """
        kdc = cls(reactor, directory)
        port = freePort()
        names = {"port": port, "directory": str(directory)}
        (directory / "krb5.conf").write_text(_CONFIGURATION % names)
        (directory / "kdc.conf").write_text(_KDC_CONFIGURATION % names)
        kdc.environment = {
            "KRB5_CONFIG": str(directory / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(directory / "kdc.conf"),
            "KRB5_KTNAME": f"FILE:{directory / 'keytab'}",
            "KRB5CCNAME": f"FILE:{directory / 'nobody'}",
            # Where a server remembers what it has seen, lest it is replayed.
            "KRB5RCACHENAME": f"file2:{directory / 'replays'}",
        }
        kdc.call("kdb5_util", "create", "-s", "-P", "master", "-r", REALM)
        commands = [f"addprinc -pw {name} {name}" for name in ("alice", "bob")]
        commands += [
            f"addprinc -randkey host/{LOCALHOST}",
            f"ktadd -k {directory / 'keytab'} host/{LOCALHOST}",
        ]
        kdc.call("kadmin.local", "-r", REALM, given="".join(line + "\n" for line in commands))
        await kdc.start([program("krb5kdc"), "-n", "-r", REALM], kdc.environment, port)
        return kdc

    def call(self, name: str, *arguments: str, given: str = "", **environment: str) -> str:
        """
        Run one of Kerberos' programs.

        @param given: its standard input.
        """
        finished = subprocess.run(
            [program(name), *arguments],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            cwd=self._directory,
            env={"PATH": SERVER_PATH, **self.environment, **environment},
        )
        if finished.returncode != 0:
            raise AssertionError(f"{name}: {finished.stderr}")
        return finished.stdout

    def ticket(self, user: str, *options: str) -> Mapping[str, str]:
        """
        Get a user's ticket.

        @param options: options of kinit(1).
        @return: the environment of who has it.
        """
        cache = f"FILE:{self._directory / user}"
        self.call("kinit", *options, user, given=user + "\n", KRB5CCNAME=cache)
        return {**self.environment, "KRB5CCNAME": cache}


def expire(environment: Mapping[str, str]) -> None:
    """
    Let the tickets that were got for an hour have run out an hour ago.
    """
    path = Path(environment["KRB5CCNAME"].removeprefix("FILE:"))
    content = bytearray(path.read_bytes())
    changed = 0
    for offset in range(len(content) - 12):
        # When the user logged in, and when the ticket begins and ends.
        times = struct.unpack_from(">3L", content, offset)
        if abs(times[0] - time.time()) < 600 and 3500 < times[2] - times[1] < 3700:
            struct.pack_into(">3L", content, offset, *(seconds - 7200 for seconds in times))
            changed += 1
    assert changed, "no ticket"
    path.write_bytes(content)


def useIn(test, environment: Mapping[str, str]) -> None:
    """
    Let this be the environment of our own process until the test ends.
    """
    changed = {name: value for name, value in environment.items() if name.startswith("KRB5")}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)

    def restore() -> None:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value

    test.addCleanup(restore)
