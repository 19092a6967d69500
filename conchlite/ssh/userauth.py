"""
The service C{ssh-userauth}: RFC 4252.

L{SSHUserAuthClient} is what a client program derives its own from, and says
there with which keys and passwords it logs in. L{SSHUserAuthServer} asks the
portal of the server's factory. What the two do at which moment is in
L{conchlite.sansio.authentication}; how each method works is in
L{conchlite.ssh.authmethods}.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from conchlite.wire.numbers import MSG_USERAUTH_BANNER as MSG_USERAUTH_BANNER
from conchlite.wire.numbers import MSG_USERAUTH_FAILURE as MSG_USERAUTH_FAILURE
from conchlite.wire.numbers import MSG_USERAUTH_INFO_REQUEST as MSG_USERAUTH_INFO_REQUEST
from conchlite.wire.numbers import MSG_USERAUTH_INFO_RESPONSE as MSG_USERAUTH_INFO_RESPONSE
from conchlite.wire.numbers import MSG_USERAUTH_PASSWD_CHANGEREQ as MSG_USERAUTH_PASSWD_CHANGEREQ
from conchlite.wire.numbers import MSG_USERAUTH_PK_OK as MSG_USERAUTH_PK_OK
from conchlite.wire.numbers import MSG_USERAUTH_REQUEST as MSG_USERAUTH_REQUEST
from conchlite.wire.numbers import MSG_USERAUTH_SUCCESS as MSG_USERAUTH_SUCCESS

if TYPE_CHECKING:
    from conchlite.ssh.userauthclient import SSHUserAuthClient as SSHUserAuthClient
    from conchlite.ssh.userauthserver import SSHUserAuthServer as SSHUserAuthServer


def __getattr__(name: str) -> object:
    # A client that starts would spend a tenth of our part of it on the server's
    # half, which it has no use for.
    if name == "SSHUserAuthClient":
        from conchlite.ssh.userauthclient import SSHUserAuthClient

        return SSHUserAuthClient
    if name == "SSHUserAuthServer":
        from conchlite.ssh.userauthserver import SSHUserAuthServer

        return SSHUserAuthServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
