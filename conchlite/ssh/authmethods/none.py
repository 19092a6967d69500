"""
The method C{none}: RFC 4252 section 5.2.

A client asks for it to learn which methods there are. A server refuses it, but
where somebody has taken the trouble to give its portal a checker for a user's
name alone.
"""

from __future__ import annotations

from zope.interface import implementer

from conchlite.error import MalformedMessage
from conchlite.interfaces import IUserNameOnly
from conchlite.ssh.authmethods.base import ClientMethod, LoginResult, ServerMethod


class NoneClient(ClientMethod):
    """
    What every client begins with, before it tries methods; so it is never tried.
    """

    name = b"none"

    async def attempt(self) -> bool:
        return False


@implementer(IUserNameOnly)
class UserNameOnly:
    """
    A user's name, and nothing else.
    """

    def __init__(self, username: bytes) -> None:
        self.username = username


class NoneServer(ServerMethod):
    """
    Asks the portal with L{UserNameOnly}.
    """

    name = b"none"
    credentials = IUserNameOnly

    async def decide(self, methodData: bytes) -> LoginResult:
        if methodData:
            raise MalformedMessage(f"none with {len(methodData)} bytes of data")
        return await self.login(UserNameOnly(self.server.user))
