from conchlite.client.agent import connectToAgent
from conchlite.error import ChannelRequestFailed
from conchlite.ssh.agentforwarding import AgentForwarding
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.common import NS


class Session(SSHChannel):
    """
    Runs a command that may use the user's agent, to log in as "deploy" alone.
    """

    name = "session"

    def __init__(self, reactor, command, path=None):
        super().__init__()
        self.command = command
        self.output = b""
        self.log = []
        self.forwarding = AgentForwarding(lambda: connectToAgent(reactor, path), self.approve, self.used)

    def approve(self, use):
        return use.login is not None and use.login.user == b"deploy"

    def used(self, use, permitted):
        self.log.append((use.host, use.fingerprint, permitted))

    def channelOpen(self, data):
        self.forwarding.request(self).addErrback(self.refused).addCallback(self.run)

    def refused(self, failure):
        failure.trap(ChannelRequestFailed)

    def run(self, _):
        return self.conn.sendRequest(self, "exec", NS(self.command), wantReply=True)

    def dataReceived(self, data):
        self.output += data
