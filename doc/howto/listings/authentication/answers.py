import hmac

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface import implementer

from conchlite.interfaces import IKeyboardInteractive
from conchlite.ssh.userauth import SSHUserAuthClient


class UserAuth(SSHUserAuthClient):
    """
    Knows the password, and asks for the code.
    """

    def getGenericAnswers(self, name, instruction, prompts):
        if [shown for _, shown in prompts] == [False]:
            return ["correct horse"]
        return [input("The code that you have been sent: ") for _ in prompts]


@implementer(ICredentialsChecker)
class CodeChecker:
    """
    Asks for a password, sends the user a code, and asks for that.
    """

    credentialInterfaces = (IKeyboardInteractive,)

    def __init__(self, passwords, sendCode):
        self.passwords = passwords
        self.sendCode = sendCode

    def requestAvatarId(self, credentials):
        return Deferred.fromCoroutine(self.converse(credentials))

    async def converse(self, credentials):
        [password] = await credentials.ask("", "", [("Password: ", False)])
        # A user who does not exist gets as far as one who does.
        code = self.sendCode(credentials.username)
        [answer] = await credentials.ask("", "A code is on its way.", [("Code: ", True)])
        known = self.passwords.get(credentials.username, "")
        isRight = [
            hmac.compare_digest(given.encode(), wanted.encode())
            for given, wanted in ((password, known), (answer, code))
        ]
        if not known or not all(isRight):
            raise UnauthorizedLogin("wrong password or code")
        return credentials.username
