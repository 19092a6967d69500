"""
Authentication methods, one module each, client and server halves face to face,
and the catalogue of them.

A method's module is imported when it is first tried.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from conchlite.ssh.authmethods.base import ClientMethod, ServerMethod


class Method:
    """
    The two halves of a method.
    """

    def __init__(self, client: type[ClientMethod] | str, server: type[ServerMethod] | str) -> None:
        """
        @param client: the client's half, or where in this package it is.
        @param server: the server's half, likewise.
        """
        self._client = client
        self._server = server

    @property
    def client(self) -> type[ClientMethod]:
        found: type[ClientMethod] = _load(self._client)
        return found

    @property
    def server(self) -> type[ServerMethod]:
        found: type[ServerMethod] = _load(self._server)
        return found


def _load(half: Any) -> Any:
    if not isinstance(half, str):
        return half
    module, name = half.split(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), name)


#: Every method that there is. To add one: its file, and its line here.
METHODS: Mapping[bytes, Method] = {
    b"publickey": Method("publickey:PublicKeyClient", "publickey:PublicKeyServer"),
    b"password": Method("password:PasswordClient", "password:PasswordServer"),
    b"keyboard-interactive": Method(
        "keyboardinteractive:KeyboardInteractiveClient", "keyboardinteractive:KeyboardInteractiveServer"
    ),
    b"hostbased": Method("hostbased:HostBasedClient", "hostbased:HostBasedServer"),
    b"none": Method("none:NoneClient", "none:NoneServer"),
    b"gssapi-with-mic": Method("gssapi:GSSAPIClient", "gssapi:GSSAPIServer"),
}
