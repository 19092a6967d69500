"""
Authentication methods, one module each, client and server halves face to face,
and the catalogue of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from conchlite.ssh.authmethods import gssapi, hostbased, keyboardinteractive, none, password, publickey
from conchlite.ssh.authmethods.base import ClientMethod, ServerMethod


class Method(NamedTuple):
    """
    The two halves of a method.
    """

    client: type[ClientMethod]
    server: type[ServerMethod]


#: Every method that there is. To add one: its file, and its line here.
METHODS: Mapping[bytes, Method] = {
    b"publickey": Method(publickey.PublicKeyClient, publickey.PublicKeyServer),
    b"password": Method(password.PasswordClient, password.PasswordServer),
    b"keyboard-interactive": Method(
        keyboardinteractive.KeyboardInteractiveClient, keyboardinteractive.KeyboardInteractiveServer
    ),
    b"hostbased": Method(hostbased.HostBasedClient, hostbased.HostBasedServer),
    b"none": Method(none.NoneClient, none.NoneServer),
    b"gssapi-with-mic": Method(gssapi.GSSAPIClient, gssapi.GSSAPIServer),
}
