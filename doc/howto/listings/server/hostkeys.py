"""
A server that will have another host key one day, and a client that will know
it by then.
"""

from conchlite.client.hostentries import hostPattern
from conchlite.ssh import factory, keys, transport


class ServerTransport(transport.SSHServerTransport):
    def announcedHostKeys(self):
        """
        Those in use, and the next one.
        """
        coming = self.factory.comingKey
        return {**super().announcedHostKeys(), coming.blob(): coming}


class Server(factory.SSHFactory):
    protocol = ServerTransport

    def __init__(self, paths, coming, portal):
        hostKeys = [keys.Key.fromFile(path) for path in paths]
        self.privateKeys = {key.sshType(): key for key in hostKeys}
        self.comingKey = keys.Key.fromFile(coming)
        self.portal = portal


class ClientTransport(transport.SSHClientTransport):
    def __init__(self, host, knownHosts):
        self.host = hostPattern(host)
        self.knownHosts = knownHosts

    def verifyHostKey(self, hostKey, fingerprint):
        # Whom the file does not know is not asked about, but refused.
        return self.knownHosts.hasHostKey(self.host, hostKey)

    def hostKeysReceived(self, hostKeys):
        """
        The server has proved that it owns these: remember the new ones.
        """
        known = {entry.blob for _, entry in self.knownHosts.entriesFor(self.host)}
        for key in hostKeys:
            if key.blob() not in known:
                self.knownHosts.addHostKey(self.host, key)
        self.knownHosts.save()

    def connectionSecure(self):
        """
        Here the login begins.
        """
