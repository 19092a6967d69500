"""
As run.py, in a program that has callbacks.

    python callbacks.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND
"""

import sys

from twisted.internet import task

import conchlite


def main(reactor, host, port, user, identity, knownHosts, command):
    def connected(client):
        running = client.run(command, timeout=60, check=True)
        running.addCallback(lambda result: print(result.text, end=""))
        return running.addBoth(lambda outcome: client.close().addCallback(lambda _: outcome))

    connecting = conchlite.connect(
        reactor, host, user, int(port), identities=[identity], knownHosts=knownHosts
    )
    return connecting.addCallback(connected)


if __name__ == "__main__":
    if len(sys.argv) != 7:
        print("usage: python callbacks.py HOST PORT USER IDENTITY KNOWN_HOSTS COMMAND", file=sys.stderr)
        sys.exit(64)
    task.react(main, sys.argv[1:])
