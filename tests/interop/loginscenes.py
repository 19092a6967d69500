"""
What programs and checkers answer in tests of logins.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface import implementer

from conchlite.ssh.certificates import FOREVER, USER, signCertificate
from conchlite.ssh.keys import Key
from tests.interop.peers import hostKeys

PASSWORD = "Frost und Tau"

#: Our machine, for servers that believe machines.
CLIENT_HOST = "client.example.org"


def certified(key: Key, *principals: str) -> Key:
    """
    A user's key with a certificate.
    """
    authority = hostKeys()[b"ssh-ed25519"]
    certificate = signCertificate(
        authority, key.public(), kind=USER, keyID="interop", principals=principals, validBefore=FOREVER
    )
    return key.withCertificate(certificate)


def giving(keys: Sequence[Key]):
    """
    What a program with these keys answers.
    """
    left = list(keys)
    given: list[Key] = []

    def getPublicKey():
        given[:] = left[:1]
        return left.pop(0).public() if left else None

    return {"getPublicKey": getPublicKey, "getPrivateKey": lambda: given[0]}


def answering(answer: str, asked: list[tuple[bytes, bool]]):
    """
    What a program does with prompts.
    """

    def getGenericAnswers(name, instruction, prompts):
        asked.extend(prompts)
        return [answer] * len(prompts)

    return {"getGenericAnswers": getGenericAnswers}


@implementer(ICredentialsChecker)
class Checker:
    """
    A checker that is a function.
    """

    def __init__(self, interface, check) -> None:
        self.credentialInterfaces = (interface,)
        self._check = check

    async def _answer(self, credentials):
        if not await self._check(credentials):
            raise UnauthorizedLogin("no")
        return credentials.username

    def requestAvatarId(self, credentials):
        return Deferred.fromCoroutine(self._answer(credentials))
