"""
The server that hostile clients meet, in a process of its own.

It says its port in a line on its standard output. Then it takes commands, one
a line, on its standard input, and answers each with a line of JSON:

  - C{state}: what it holds, after the garbage was collected, and what is
    free was given back to the system;
  - C{set NAME VALUE ...}: numbers for attributes of the transport's class;
  - C{factory NAME VALUE}: a number for an attribute of the factory;
  - C{cpu}: seconds of the processor, and what else can be told without
    opening a file;
  - C{descriptors COUNT}: no more open files than so many;
  - C{limit MIB}: no more address space than so much beyond what there is.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import resource
import sys
from collections import Counter
from pathlib import Path

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor, stdio
from twisted.internet.defer import Deferred
from twisted.logger import globalLogPublisher
from twisted.protocols.basic import LineOnlyReceiver
from zope.interface import implementer

from conchlite.avatar import ConchUser
from conchlite.interfaces import IConchUser
from conchlite.ssh.factory import SSHFactory
from conchlite.ssh.keys import Key
from conchlite.ssh.transport import SSHServerTransport

USER = "honest"
PASSWORD = "correct horse battery staple"
_PAGE = resource.getpagesize()


def pages() -> list[int]:
    """
    The pages of this process: all, those in memory, and what else there is.
    """
    return [int(field) for field in Path("/proc/self/statm").read_text().split()]


@implementer(IRealm)
class Realm:
    def requestAvatar(self, avatarId, mind, *interfaces):
        return IConchUser, ConchUser(), lambda: None


class Transport(SSHServerTransport):
    """
    Counts those that are there.
    """

    connections = 0

    def connectionMade(self):
        Transport.connections += 1
        super().connectionMade()

    def connectionLost(self, reason):
        Transport.connections -= 1
        super().connectionLost(reason)


class Log:
    """
    Counts what would have been written.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.failures: Counter[str] = Counter()

    def __call__(self, event):
        if event["log_level"].name != "debug":
            self.lines += 1
        if "log_failure" in event:
            failure = event["log_failure"]
            self.failures[f"{failure.type.__name__}: {failure.getErrorMessage()}"] += 1


class Control(LineOnlyReceiver):
    """
    Takes the commands.
    """

    delimiter = b"\n"

    def __init__(self, log: Log, factory: SSHFactory) -> None:
        self._log = log
        self._factory = factory

    def lineReceived(self, line):
        name, *arguments = line.decode().split()
        answer = getattr(self, f"do_{name}")(*arguments)
        self.transport.write(json.dumps(answer).encode() + b"\n")

    def do_state(self):
        gc.collect()
        # What the C library has free is not what the server holds.
        ctypes.CDLL(None).malloc_trim(0)
        objects = gc.get_objects()
        return {
            "connections": Transport.connections,
            "descriptors": len(os.listdir("/proc/self/fd")) - 1,
            "delayedCalls": len(reactor.getDelayedCalls()),
            "deferreds": sum(type(found) is Deferred for found in objects),
            "objects": len(objects),
            "blocks": sys.getallocatedblocks(),
            "rss": pages()[1] * _PAGE,
            "cpu": sum(resource.getrusage(resource.RUSAGE_SELF)[:2]),
            "lines": self._log.lines,
            "failures": dict(self._log.failures),
        }

    def do_set(self, *pairs):
        for name, value in zip(pairs[::2], pairs[1::2], strict=True):
            assert hasattr(Transport, name), name
            setattr(Transport, name, float(value))
        return {}

    def do_factory(self, name, value):
        assert hasattr(self._factory, name), name
        setattr(self._factory, name, int(value))
        return {}

    def do_cpu(self):
        return {
            "cpu": sum(resource.getrusage(resource.RUSAGE_SELF)[:2]),
            "connections": Transport.connections,
            "failures": dict(self._log.failures),
        }

    def do_descriptors(self, count):
        resource.setrlimit(resource.RLIMIT_NOFILE, (int(count), int(count)))
        return {}

    def do_limit(self, mib):
        limit = pages()[0] * _PAGE + int(mib) * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        return {"limit": limit}

    def connectionLost(self, reason):
        if reactor.running:
            reactor.stop()


def main() -> None:
    log = Log()
    globalLogPublisher.addObserver(log)
    checker = InMemoryUsernamePasswordDatabaseDontUse(**{USER: PASSWORD.encode()})
    factory = SSHFactory()
    factory.protocol = Transport
    key = Key.generate("ed25519")
    factory.privateKeys = {key.sshType(): key}
    factory.portal = Portal(Realm(), [checker])
    # What is measured is the server, not who is turned away at its door.
    factory.maxStartups = None
    port = reactor.listenTCP(0, factory, backlog=1000, interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    stdio.StandardIO(Control(log, factory))
    reactor.run()
    sys.exit(0)


if __name__ == "__main__":
    main()
