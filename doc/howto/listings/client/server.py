"""
An SSH server in one file. The user "user" may log in with one key, and may run
two programs, which are protocols of this process. Nothing else can be reached.
"""

import os

from twisted.cred.portal import IRealm, Portal
from twisted.internet import protocol, reactor
from zope.interface import implementer

from conchlite.avatar import SessionUser
from conchlite.checkers import InMemorySSHKeyDB, SSHPublicKeyChecker
from conchlite.interfaces import IConchUser
from conchlite.ssh import factory, keys, userauth
from conchlite.ssh.programs import Cat, ProgramSession

# The key of the client in this directory. Everybody knows its private half:
# it is good for a server on your own machine, for as long as you read.
publicKey = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAGEArzJx8OYOnJmzf4tfBEvLi8DVPrJ3"
    "/c9k2I/Az64fxjHf9imyRJbixtQhlH9lfNjUIx+4LmrJH5QNRsFporcHDKOTwTTYLh5KmRpslkYHR"
    "ivcJSkbh/C+BR3utDS555mV"
)


# --- A program ---


class Hello(protocol.Protocol):
    """
    A program: its transport is the user at the other end.
    """

    def __init__(self, command):
        self.command = command

    def connectionMade(self):
        peer = self.transport.getPeer().address
        self.transport.write(f"Hello, {peer.host}.\n".encode())
        self.transport.loseConnection()


# --- The login ---


class UserAuth(userauth.SSHUserAuthServer):
    """
    Takes RSA keys that are as small as the one above. With a key of today,
    this class is not needed.
    """

    minimumRSABits = 768


@implementer(IRealm)
class Realm:
    """
    Says what a user may do who has logged in: here, what every user may.
    """

    def requestAvatar(self, avatarId, mind, *interfaces):
        user = SessionUser(lambda: ProgramSession({b"cat": Cat, b"hello": Hello}))
        return IConchUser, user, lambda: None


# --- The server ---


class Server(factory.SSHFactory):
    services = {**factory.SSHFactory.services, b"ssh-userauth": UserAuth}

    def __init__(self, hostKey):
        self.privateKeys = {hostKey.sshType(): hostKey}
        users = InMemorySSHKeyDB({"user": [keys.Key.fromString(publicKey)]})
        self.portal = Portal(Realm(), [SSHPublicKeyChecker(users)])


def readHostKey(path):
    """
    The server's own key. It is made once: clients will know the server by it.
    """
    if not os.path.exists(path):
        keys.Key.generate().toFile(path)
    return keys.Key.fromFile(path)


def main():
    hostKey = readHostKey("host_key")
    port = reactor.listenTCP(5022, Server(hostKey), interface="127.0.0.1").getHost().port
    fingerprint = keys.hostKeyFingerprint(hostKey.blob())
    print("MD5 fingerprint:", fingerprint)
    print("SHA-256 fingerprint:", fingerprint.sha256)
    print("known_hosts line:", f"[localhost]:{port}", hostKey.public().toString("openssh").decode())
    print("listening on port", port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
