"""
A server for the accounts of this machine: of all of them if it runs as root,
otherwise of the one that it runs as. It is given the file of its host key.
"""

import sys

from twisted.cred.portal import Portal
from twisted.internet import reactor

from conchlite.checkers import AuthorizedKeysFiles, SSHPublicKeyChecker
from conchlite.ssh import factory, keys
from conchlite.unix import SSHSessionForUnixConchUser, UnixSSHRealm

# Who does not end with his user has half a minute.
SSHSessionForUnixConchUser.terminateSeconds = 20
SSHSessionForUnixConchUser.killSeconds = 30

hostKey = keys.Key.fromFile(sys.argv[1])
server = factory.SSHFactory()
server.privateKeys = {hostKey.sshType(): hostKey}
server.portal = Portal(UnixSSHRealm(), [SSHPublicKeyChecker(AuthorizedKeysFiles())])
listening = reactor.listenTCP(0, server, interface="127.0.0.1")
print("listening on port", listening.getHost().port, flush=True)
reactor.run()
