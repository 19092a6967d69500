"""
Channels side by side, each with its own will.
"""

from __future__ import annotations

import gc
import random
import sys
import weakref

from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.connection import SSHConnection
from tests.ssh.channels import Accepting, Recorder, joined, openPair
from tests.ssh.fakes import Link
from tests.ssh.links import Link as WholeLink
from tests.ssh.wholeconnections import connected


class ManyChannelsTests(SynchronousTestCase):
    """
    Channels side by side, each with its own will.
    """

    def test_fair(self) -> None:
        """
        When the transport takes data again, every channel that waits has its
        turn.
        """
        link = joined()
        pairs = [openPair(link) for _ in range(5)]
        link.client.hold()
        for client, _ in pairs:
            client.write(bytes(32768 * 12))
        link.client.release()
        order = [m.recipientChannel for m in link.client.messages()]
        self.assertEqual([0] * 4 + [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4, order[:20])
        self.assertEqual(60, len(order))

    def test_random(self) -> None:
        """
        Random writes, pauses, EOFs, exchanges and delays, seeded: what goes in
        comes out, in its order, and memory stays within the windows.
        """
        for seed in range(6):
            self.run_(random.Random(seed), seed)

    def run_(self, chance: random.Random, seed: int) -> None:
        window = chance.choice((300, 5000, 70_000))

        class Small(Recorder):
            localWindowSize = window
            localMaxPacket = chance.choice((256, 1000, 32768))

        accepting = Accepting()
        accepting.make = Small
        link = Link(SSHConnection(), accepting)
        ends: list[Recorder] = []
        for _ in range(15):
            ends += openPair(link, Small())
        link.client.capacity = link.server.capacity = chance.choice((1000, 100_000))
        sent: dict[Recorder, list[tuple[str, bytes]]] = {end: [] for end in ends}
        serial = 0
        for _ in range(1500):
            end = chance.choice(ends)
            action = chance.random()
            if action < 0.4:
                serial += 1
                data = b"%d," % serial * chance.choice((1, 10, 300, 2000))
                if not end._machine.outgoing.closed:
                    if chance.random() < 0.3:
                        end.writeExtended(1, data)
                        sent[end].append(("ext 1", data))
                    else:
                        end.write(data)
                        sent[end].append(("data", data))
            elif action < 0.5:
                end.pauseProducing()
            elif action < 0.6:
                end.resumeProducing()
            elif action < 0.61:
                end.loseWriteConnection()
            elif action < 0.65:
                side = chance.choice((link.client, link.server))
                side.release() if side.held else side.hold()
            else:
                for _ in range(chance.randrange(40)):
                    side = chance.choice((link.client, link.server))
                    if side.outbox:
                        side.deliver()
            if end._machine.incoming._held is not None:
                self.assertLessEqual(end._machine.incoming._held.size, window)
        link.client.release()
        link.server.release()
        for end in ends:
            end.resumeProducing()
            end.loseConnection()
        link.pump()
        for client, server in zip(ends[::2], ends[1::2], strict=True):
            for writer, reader in ((client, server), (server, client)):
                found = [e for e in reader.events if isinstance(e, tuple) and e[0] in ("data", "ext 1")]
                self.assertEqual(flat(sent[writer]), flat(found), seed)
                last = [e for e in reader.events if e not in ("stop", "start")][-3:]
                self.assertEqual(["eof", "close", "closed"], last, seed)
        self.assertEqual((None, None), (link.client.closeReason, link.server.closeReason))

    def test_nothingIsLeft(self) -> None:
        """
        Ten thousand channels opened and closed on one connection leave nothing
        behind, at neither end: those that did what they were for, and those
        that were refused, aborted, or closed while a request waited.
        """
        link, _ = connected(0)
        services = [link.client.service, link.server.service]
        timers = len(link.clock.getDelayedCalls())
        found = []
        for _ in range(10):
            self.openAndClose(link, 1000)
            gc.collect()
            found.append((len(gc.get_objects()), sys.getallocatedblocks()))
        for service in services:
            left = (service.channels, service._requests, service._ready, service._opening, service._deciding)
            self.assertEqual([], [table for table in left if table])
        self.assertEqual((10_000, timers), (services[0].localChannelID, len(link.clock.getDelayedCalls())))
        # Nine thousand of one small object each would be much more than this.
        for objects, blocks in found[1:]:
            self.assertLess(objects - found[0][0], 500, found)
            self.assertLess(blocks - found[0][1], 500, found)

    def test_theLastIsForgotten(self) -> None:
        """
        Neither end keeps the last channel that was on the connection, however
        it ended.
        """
        link = joined()
        opened = link.server.service.opened
        for name, action in (
            ("nothing", lambda channel: None),
            ("recorder", Recorder.abortConnection),
            ("recorder", lambda channel: link.client.deliver() and link.server.service.sendClose(opened[-1])),
        ):
            channel = Recorder()
            channel.name = name
            link.client.service.openChannel(channel)
            action(channel)
            link.pump()
            self.assertIn(channel.events[-1], ("failed", "closed"))
            ends = [weakref.ref(end) for end in (channel, *opened)]
            opened.clear()
            del channel
            gc.collect()
            self.assertEqual([None] * len(ends), [end() for end in ends])

    def openAndClose(self, link: WholeLink, count: int) -> None:
        connection = link.client.service
        for _ in range(count // 100):
            clients = [Recorder() for _ in range(100)]
            for number, client in enumerate(clients):
                if number % 10 == 3:
                    client.name = "nothing"
                opened = connection.openChannel(client)
                opened.addCallbacks(self.use, lambda _: None)
                if number % 10 == 4:
                    client.abortConnection()
            link.flush()
            for number, server in enumerate(link.server.service.opened):
                if number % 10 == 5:
                    server.abortConnection()
                else:
                    server.write(b"y")
                    server.loseConnection()
            link.flush()
            link.server.service.opened.clear()
            self.assertEqual({"failed", "closed"}, {client.events[-1] for client in clients})

    def use(self, client: Recorder) -> None:
        client.write(b"x")
        client.writeExtended(1, b"x")
        client.conn.sendRequest(client, "yes", b"", wantReply=True).addErrback(lambda _: None)
        client.loseConnection()


def flat(chunks: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """
    The pieces with neighbours of one kind joined.
    """
    joined: list[tuple[str, bytes]] = []
    for kind, data in chunks:
        if joined and joined[-1][0] == kind:
            joined[-1] = (kind, joined[-1][1] + data)
        else:
            joined.append((kind, data))
    return joined
