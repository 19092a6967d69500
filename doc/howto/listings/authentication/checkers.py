from twisted.cred.portal import Portal

from conchlite.checkers import (
    AuthorizedKeysFiles,
    AuthorizedPrincipalsFiles,
    InMemoryPasswordDatabase,
    RevokedKeys,
    SSHPublicKeyChecker,
)
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.permissions import Permissions
from conchlite.ssh.transport import SSHServerTransport
from conchlite.ssh.userauth import SSHUserAuthServer

ROBOTS = {b"backup", b"deploy"}


class UserAuth(SSHUserAuthServer):
    """
    Wants a key and then a password, but of robots a key alone.
    """

    def methodsFor(self, user):
        if user in ROBOTS:
            return [[b"publickey"]]
        return [[b"publickey", b"password"], [b"publickey", b"keyboard-interactive"]]


class ServerTransport(SSHServerTransport):
    """
    Lets users have connections forwarded to one place, and nothing else.
    """

    permissions = Permissions(
        agentForwarding=False,
        x11Forwarding=False,
        permitOpen=frozenset({(b"db.example.org", 5432)}),
        permitListen=frozenset(),
    )


class Server(SSHFactory):
    """
    Knows keys by users' files, certificates by an authority, and passwords by
    a mapping of names to what hashPassword has made of them.
    """

    protocol = ServerTransport
    services = {**SSHFactory.services, b"ssh-userauth": UserAuth}

    def __init__(self, realm, authority, passwords, directory="/etc/ssh"):
        super().__init__()
        keys = SSHPublicKeyChecker(
            AuthorizedKeysFiles(["%h/.ssh/authorized_keys", f"{directory}/keys/%u"]),
            trustedUserCAKeys=[authority],
            authorizedPrincipals=AuthorizedPrincipalsFiles([f"{directory}/principals/%u"]),
            revokedKeys=RevokedKeys(path=f"{directory}/revoked_keys"),
        )
        self.portal = Portal(realm, [keys, InMemoryPasswordDatabase(passwords)])
