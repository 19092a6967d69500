from conchlite.client.agent import connectToAgent
from conchlite.ssh.keys import Key


async def signAll(reactor, data, path=None):
    """
    A signature of the data by each key of the user's agent.
    """
    agent = await connectToAgent(reactor, path)
    signatures = {}
    for blob, comment in await agent.requestIdentities():
        signature = await agent.signData(blob, data)
        if Key.fromString(blob, type="blob").verify(signature, data):
            signatures[comment] = signature
    agent.disconnect()
    return signatures
