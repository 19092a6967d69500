from conchlite.ssh.agent import AgentFactory, AgentSocket, KeyRing


class Agent:
    """
    An agent for the programs of this user: let SSH_AUTH_SOCK be its path.
    """

    def __init__(self, reactor, ask):
        """
        @param ask: shows a question; returns a Deferred of True or False.
        """
        self.ask = ask
        self.ring = KeyRing(reactor, confirm=self.confirm)
        self.socket = AgentSocket(reactor, AgentFactory(self.ring))
        self.path = self.socket.path

    def confirm(self, use):
        who = "another host" if use.forwarded else "a program"
        return self.ask(f"Let {who} use {use.key!r}?")

    def stop(self):
        self.ring.removeAll()
        return self.socket.close()
