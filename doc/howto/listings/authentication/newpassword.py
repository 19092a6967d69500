import hmac
import time

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import fail, succeed
from zope.interface import implementer

from conchlite.error import PasswordExpired
from conchlite.interfaces import IPasswordChange
from conchlite.ssh.userauth import SSHUserAuthClient


class UserAuth(SSHUserAuthClient):
    """
    Asked without a prompt, this is a login. To change a password it is asked
    for the old one first, and then, with the server's words, for the new one.
    """

    def getPassword(self, prompt=None):
        if prompt in (None, b"Old Password: "):
            return succeed("summer 2025")
        return succeed("a brook, four stones")


@implementer(ICredentialsChecker)
class AgingPasswords:
    """
    To each user, a password and when it expires.
    """

    credentialInterfaces = (IUsernamePassword, IPasswordChange)

    def __init__(self, users):
        self.users = users

    def requestAvatarId(self, credentials):
        password, expires = self.users.get(credentials.username, (b"", 0))
        if not hmac.compare_digest(credentials.password, password):
            return fail(UnauthorizedLogin("wrong name or password"))
        if IPasswordChange.providedBy(credentials):
            new = credentials.newPassword
            if len(new) < 12 or hmac.compare_digest(new, password):
                return fail(PasswordExpired("Not this one. At least 12 characters: "))
            self.users[credentials.username] = (new, time.time() + 90 * 86400)
        elif time.time() >= expires:
            return fail(PasswordExpired("Your password is too old. A new one: "))
        return succeed(credentials.username)
