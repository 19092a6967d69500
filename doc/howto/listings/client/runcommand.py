"""
A command on another host: the howto's client as one would write it today.

It knows the server by a known_hosts file, returns what the command wrote and
how it ended, and says why if it went wrong. It is handed its reactor.

    python runcommand.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND
"""

import sys

from twisted.internet import defer, endpoints, protocol, task
from twisted.internet.error import ConnectError

from conchlite import error
from conchlite.client.policies import Strict
from conchlite.ssh import channel, common, connection, keys, transport, userauth

# --- The Transport ---


class ClientTransport(transport.SSHClientTransport):
    def connectionMade(self):
        self.supportedPublicKeys = self.factory.hostKeyAlgorithms
        super().connectionMade()

    def verifyHostKey(self, hostKey, fingerprint):
        login = self.factory.login
        login.hostKeys.verify(login.host, login.port, hostKey)
        return defer.succeed(True)

    def connectionSecure(self):
        login = self.factory.login
        self.requestService(ClientUserAuth(login, ClientConnection(self.factory)))

    def connectionLost(self, reason):
        super().connectionLost(reason)
        self.factory.connectionEnded(self.closeReason)


# --- The Authorization Client ---


class ClientUserAuth(userauth.SSHUserAuthClient):
    def __init__(self, login, instance):
        super().__init__(login.user, instance)
        self.key = login.key

    def getPublicKey(self):
        return self.key.public()

    def getPrivateKey(self):
        return defer.succeed(self.key)


# --- The Connection ---


class ClientConnection(connection.SSHConnection):
    def __init__(self, factory):
        super().__init__()
        self.factory = factory

    def serviceStarted(self):
        super().serviceStarted()
        self.factory.connectionReady(self)


# --- The Channel ---


class CommandChannel(channel.SSHChannel):
    name = "session"

    def __init__(self, conn):
        super().__init__(conn=conn)
        self.output, self.errors = [], []
        self.status, self.signal = None, None
        self.finished = defer.Deferred()

    def dataReceived(self, data):
        self.output.append(data)

    def extReceived(self, dataType, data):
        self.errors.append(data)

    def request_exit_status(self, data):
        self.status = int.from_bytes(data, "big")
        return True

    def request_exit_signal(self, data):
        name, _ = common.getNS(data)
        self.signal = error.safe(name)
        return True

    def closed(self):
        if self.conn.transport.closeReason is not None:
            self.finished.errback(self.conn.transport.closeReason)
        else:
            self.finished.callback(self)


# --- The Factory ---


class Login:
    """
    Who logs in where, and how the server is known.
    """

    def __init__(self, host, port, user, key, hostKeys):
        self.host = host
        self.port = port
        self.user = user
        self.key = key
        self.hostKeys = hostKeys


class LoginFactory(protocol.ClientFactory):
    """
    One connection. C{ready} fires with it when the user is logged in, or
    fails with the reason why there is none; C{ended} fires when it is closed.
    """

    protocol = ClientTransport
    noisy = False

    def __init__(self, login):
        self.login = login
        # A server that has several keys is to show one that is known here.
        self.hostKeyAlgorithms = login.hostKeys.order(
            login.host, login.port, self.protocol.supportedPublicKeys
        )
        self.ready = defer.Deferred()
        self.ended = defer.Deferred()

    def connectionReady(self, conn):
        self.ready.callback(conn)

    def connectionEnded(self, reason):
        if not self.ready.called:
            self.ready.errback(reason)
        self.ended.callback(None)

    def clientConnectionFailed(self, connector, reason):
        self.ready.errback(reason)


# --- Running a command ---


async def run(conn, command):
    opened = await conn.openChannel(CommandChannel(conn))
    await conn.sendRequest(opened, "exec", common.NS(command), wantReply=True)
    opened.loseConnection()
    return await opened.finished


# --- The main() function ---


async def main(reactor, host, port, user, identity, knownHosts, command):
    endpoint = endpoints.HostnameEndpoint(reactor, host, int(port))
    try:
        key = keys.Key.fromFile(identity)
        factory = LoginFactory(Login(host, int(port), user, key, Strict(knownHosts)))
        await endpoint.connect(factory)
        conn = await factory.ready
        done = await run(conn, command)
    except (error.ConchError, ConnectError, OSError) as e:
        # OSError: the file of the key, and a name that cannot be resolved.
        sys.exit(f"{type(e).__name__}: {e}")
    sys.stdout.buffer.write(b"".join(done.output))
    sys.stderr.buffer.write(b"".join(done.errors))
    conn.transport.loseConnection()
    await factory.ended
    if done.signal is not None:
        sys.exit(f"the command was ended by the signal {done.signal}")
    if done.status is None:
        sys.exit("the server did not say how the command ended")
    sys.exit(done.status)


if __name__ == "__main__":
    if len(sys.argv) != 7:
        print("usage: python runcommand.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND", file=sys.stderr)
        sys.exit(64)
    task.react(main, sys.argv[1:])
