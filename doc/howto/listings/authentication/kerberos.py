from twisted.cred.portal import Portal

from conchlite.checkers import PrincipalChecker
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.userauth import SSHUserAuthClient

# Who may log in under another name than his principal's.
OTHERS = {("alice/admin@EXAMPLE.ORG", b"root")}


class UserAuth(SSHUserAuthClient):
    """
    Logs in with the user's ticket for the server.
    """

    gssapiHost = "server.example.org"


class Server(SSHFactory):
    """
    Lets in whoever has a ticket of the realm, as himself.
    """

    def __init__(self, realm, keys):
        super().__init__()
        self.privateKeys = {key.sshType(): key for key in keys}
        self.portal = Portal(realm, [PrincipalChecker("EXAMPLE.ORG", mayBe)])


def mayBe(principal, user):
    return (principal, user) in OTHERS
