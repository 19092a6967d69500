"""
The method C{hostbased}: RFC 4252 section 9.

The client's machine signs, with its host key, that one of its users is there.
A server that believes machines lets him in without asking him for anything.
"""

from __future__ import annotations

import getpass
from enum import Enum
from typing import TYPE_CHECKING

from twisted.cred.error import UnauthorizedLogin
from twisted.internet.interfaces import IAddress
from zope.interface import implementer

from conchlite.algorithms import catalogue
from conchlite.error import ConchError, safe
from conchlite.interfaces import IHostBased
from conchlite.sansio.authentication import MAXIMUM_NAME_SIZE, ClientAuthentication, isPrintable
from conchlite.ssh.authmethods.base import ClientMethod, LoginResult, ServerMethod
from conchlite.ssh.authmethods.publickey import (
    algorithmOf,
    asKey,
    describe,
    describeOffer,
    readUserKey,
    usableAlgorithms,
    verifyUserSignature,
)
from conchlite.ssh.common import Text, asBytes
from conchlite.wire import numbers
from conchlite.wire.userauth import HostBasedData, HostBasedSignedData

if TYPE_CHECKING:
    from conchlite.ssh.keys import Key
    from conchlite.ssh.userauthclient import SSHUserAuthClient


class Step(Enum):
    """
    Where the client's half stands.
    """

    IDLE = "its beginning"


class HostBasedClient(ClientMethod):
    """
    Signs with the host keys that C{getHostKey} has, each once, if the program
    says what the machine's name is.
    """

    name = b"hostbased"
    step = Step.IDLE

    def __init__(self, client: SSHUserAuthClient, record: ClientAuthentication) -> None:
        super().__init__(client, record)
        self._seen: set[bytes] = set()

    async def attempt(self) -> bool:
        name = self.client.clientHostName
        if name is None:
            return False
        known = 0
        while known <= len(self._seen):
            answer = await self.ask("getHostKey")
            if answer is None:
                return False
            try:
                key = asKey(answer)
            except ConchError as error:
                self.record.obstacles.append(f"what getHostKey answered, as it is no key: {error}")
                return False
            if key.blob() in self._seen:
                known += 1
                continue
            self._seen.add(key.blob())
            if await self._offer(key, clientHost(name)):
                return True
        return False

    async def _offer(self, key: Key, host: bytes) -> bool:
        algorithms = usableAlgorithms(self.client, self.record, key)
        if not algorithms:
            return False
        algorithm = self.client.signatureAlgorithm = algorithms[0]
        blob = key.public().blob()
        user = self._clientUser()
        covered = HostBasedSignedData(
            self.client.transport.sessionID,
            numbers.MSG_USERAUTH_REQUEST,
            asBytes(self.client.user),
            asBytes(self.client.instance.name),
            self.name,
            algorithm,
            blob,
            host,
            user,
        )
        signature = await self.ask("signAsHost", key, covered.pack())
        if signature is None:
            self.record.obstacles.append(f"hostbased with {describe(key)}, as there was no signature")
            return False
        made = algorithmOf(signature)
        if made != catalogue.plainName(algorithm):
            self.record.obstacles.append(
                f"hostbased with {describe(key)}, as signAsHost made a {safe(made)} signature"
            )
            return False
        data = HostBasedData(algorithm, blob, host, user, signature)
        self.client.askForAuth(self.name, data.pack())
        describeOffer(self.record, key.public(), algorithm, f"host key of {safe(host)}", isSigned=True)
        return True

    def _clientUser(self) -> bytes:
        name = self.client.clientUserName
        return asBytes(getpass.getuser() if name is None else name)


def clientHost(name: Text) -> bytes:
    """
    A host's name as it is sent, fully qualified: with a dot at its end, which
    OpenSSH's clients send and its servers drop.
    """
    return asBytes(name).rstrip(b".") + b"."


@implementer(IHostBased)
class HostBased:
    """
    What another host signed.
    """

    def __init__(self, username: bytes, data: HostBasedData, address: IAddress) -> None:
        self.username = username
        self.algName = data.algorithm
        self.blob = data.hostKey
        self.clientHost = data.clientHost.removesuffix(b".").lower()
        self.clientUser = data.clientUser
        self.address = address


class HostBasedServer(ServerMethod):
    """
    Verifies the signature, then asks the portal with L{HostBased}.
    """

    name = b"hostbased"
    credentials = IHostBased

    async def decide(self, methodData: bytes) -> LoginResult:
        data = HostBasedData.unpack(methodData)
        for what, name in (("host", data.clientHost), ("user", data.clientUser)):
            if not name or len(name) > MAXIMUM_NAME_SIZE or not isPrintable(name):
                raise UnauthorizedLogin(
                    f"the client {what}'s name is empty, too long or not printable: '{safe(name)}'"
                )
        server = self.server
        key = readUserKey(server, data.algorithm, data.hostKey)
        covered = HostBasedSignedData(
            server.transport.sessionID,
            numbers.MSG_USERAUTH_REQUEST,
            server.user,
            server.nextService,
            self.name,
            data.algorithm,
            data.hostKey,
            data.clientHost,
            data.clientUser,
        )
        verifyUserSignature(key, data.algorithm, data.signature, covered.pack())
        server.transport.tellLegacy(("client host's key", data.algorithm))
        return await self.login(HostBased(server.user, data, server.transport.getPeer().address))
