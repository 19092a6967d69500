from twisted.cred.portal import Portal

from conchlite.checkers import HostBasedChecker, InMemoryHostBasedDB
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.keys import Key
from conchlite.ssh.userauth import SSHUserAuthClient


class UserAuth(SSHUserAuthClient):
    """
    Runs as root, which may read the machine's host key.
    """

    clientHostName = "client.example.org"
    clientUserName = "amy"

    def getHostKey(self):
        return Key.fromFile("/etc/ssh/ssh_host_ed25519_key")


class Server(SSHFactory):
    """
    Believes one machine, about two of its users.
    """

    def __init__(self, realm, hostKeyFile):
        hostKeys = {"client.example.org": [Key.fromFile(hostKeyFile)]}
        users = {
            "alice": [("client.example.org", "alice"), ("client.example.org", "amy")],
            "backup": [("client.example.org", "root")],
        }
        self.portal = Portal(realm, [HostBasedChecker(InMemoryHostBasedDB(hostKeys, users))])
