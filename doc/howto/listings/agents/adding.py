from conchlite.client.agent import connectToAgent
from conchlite.ssh.agent import Constraints, Destination, Hop, HopKey
from conchlite.ssh.keys import Key


async def addForAnHour(reactor, keyFile, hostName, hostKey, path=None):
    """
    Give the agent a key for an hour, for logins from here to one host.

    @param hostKey: the blob of the host's public key.
    """
    here, there = Hop(), Hop(hostname=hostName, keys=(HopKey(hostKey),))
    constraints = Constraints(lifetime=3600, destinations=(Destination(here, there),))
    agent = await connectToAgent(reactor, path)
    await agent.addKey(Key.fromFile(keyFile), constraints=constraints)
    agent.disconnect()
