"""
Many commands on one connection: L{conchlite.client.sessionqueue}.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from conchlite.client.sessionqueue import LONGEST_PAUSE, RETRIES
from conchlite.error import ChannelOpenFailed
from conchlite.ssh.channel import SSHChannel
from conchlite.wire.numbers import OPEN_UNKNOWN_CHANNEL_TYPE
from tests.client.clientscenes import ClientTestCase, Command


class QueueTestCase(ClientTestCase):
    def several(self, count: int) -> list[Deferred[Any]]:
        running = [self.client.run(f"command {number}") for number in range(count)]
        self.network.flush()
        return running

    def alive(self) -> list[Command]:
        return [session for session in self.server.sessions if "closed" not in session.events]

    def ends(self, session: Command) -> None:
        """
        A command says its name, and ends.
        """
        session.write(session.command or b"")
        self.exited(session)

    def pause(self, seconds: float = 2 * LONGEST_PAUSE) -> None:
        """
        Time passes.
        """
        for _ in range(round(seconds / 0.5)):
            self.network.advance(0.5)
            self.network.flush()

    def allDone(self, running: list[Deferred[Any]]) -> None:
        """
        Let one command after the other end, whenever there is one; and if
        there is none, let time pass.
        """
        for _ in range(20 * len(running)):
            alive = self.alive()
            if alive:
                self.ends(alive[0])
            else:
                self.network.advance(0.1)
                self.network.flush()
            if all(deferred.called for deferred in running):
                break
        results = [self.successResultOf(deferred) for deferred in running]
        self.assertEqual([result.command for result in results], [result.stdout for result in results])


class QueueTests(QueueTestCase):
    def test_few(self) -> None:
        """
        Where the server has enough for all, nobody waits.
        """
        running = self.several(10)
        self.assertEqual((10, 0), (len(self.alive()), self.server.refusals))
        self.allDone(running)

    def test_many(self) -> None:
        """
        More than the server allows wait, and all of them succeed, in their
        order. It is not asked over and over.
        """
        for limit in (1, 3, 10):
            self.setUp()
            self.server.maximumSessions = limit
            running = self.several(60)
            self.assertEqual(limit, len(self.alive()))
            self.allDone(running)
            self.assertEqual(limit, self.server.most)
            self.assertLess(self.server.refusals, 25)
            commands = [session.command for session in self.server.sessions if session.command]
            self.assertEqual([b"command %d" % number for number in range(60)], commands)

    def test_atOnce(self) -> None:
        """
        When one ends, the next begins, without waiting.
        """
        self.server.maximumSessions = 3
        running = self.several(5)
        for session in self.alive()[:2]:
            self.ends(session)
        self.assertEqual(3, len(self.alive()))
        self.allDone(running)

    def test_lingering(self) -> None:
        """
        OpenSSH's server counts a session that is closed until its next round:
        the next is asked for behind that, and is not refused.
        """
        self.server.maximumSessions = 3
        self.server.lingers = True
        running = self.several(40)
        self.pause(1)
        refusals = self.server.refusals
        self.allDone(running)
        self.assertLess(self.server.refusals - refusals, 5)

    def test_leftBehind(self) -> None:
        """
        One that is counted for longer, because of a process that goes on, is
        waited for; and its place is used when it is free.
        """
        self.server.maximumSessions = 2
        running = self.several(6)
        self.server.held += 1
        self.ends(self.alive()[0])
        self.assertEqual(1, len(self.alive()))
        self.pause()
        self.assertEqual(1, len(self.alive()))
        self.server.held -= 1
        self.pause()
        self.assertEqual(2, len(self.alive()))
        self.allDone(running)

    def test_noneOfOurs(self) -> None:
        """
        If all that is counted is left behind, it is waited for some time.
        """
        self.server.maximumSessions = 1
        first, second = self.several(2)
        self.server.held += 1
        self.ends(self.alive()[0])
        self.successResultOf(first)
        self.pause(3)
        self.assertNoResult(second)
        self.server.held -= 1
        self.pause()
        self.allDone([second])

    def test_forEver(self) -> None:
        """
        But not for ever.
        """
        self.server.maximumSessions = 1
        _, second = self.several(2)
        self.server.held += 1
        self.ends(self.alive()[0])
        before = self.server.refusals
        self.pause(30)
        self.failureResultOf(second, ChannelOpenFailed)
        self.assertEqual(RETRIES, self.server.refusals - before)
        # The next has its own chance.
        self.server.held -= 1
        self.unharmed()

    def test_forEverForAll(self) -> None:
        """
        And not for ever for each, one after the other.
        """
        self.server.maximumSessions = 1
        running = self.several(50)
        self.server.held += 1
        self.ends(self.alive()[0])
        self.pause(30)
        for deferred in running[1:]:
            self.failureResultOf(deferred, ChannelOpenFailed)
        self.server.held -= 1
        self.unharmed()

    def test_neverAny(self) -> None:
        """
        A server that has never opened one is not asked as often as there are
        who want one.
        """
        self.server.maximumSessions = 0
        running = self.several(50)
        for deferred in running:
            self.failureResultOf(deferred, ChannelOpenFailed)
        self.assertEqual(10, self.server.refusals)

    def test_moreThanKnown(self) -> None:
        """
        What was learnt is not held to be true for ever.
        """
        self.server.maximumSessions = 2
        running = self.several(30)
        self.assertEqual(2, len(self.alive()))
        self.server.maximumSessions = 8
        self.pause(5)
        self.assertEqual(8, len(self.alive()))
        self.allDone(running)

    def test_fewerThanKnown(self) -> None:
        self.server.maximumSessions = 8
        running = self.several(30)
        self.server.maximumSessions = 2
        for session in self.alive():
            self.ends(session)
        self.assertEqual(2, len(self.alive()))
        self.allDone(running)

    def test_rarely(self) -> None:
        """
        As long as nothing ends, it is tried now and then.
        """
        self.server.maximumSessions = 3
        self.several(10)
        refusals = self.server.refusals
        self.pause(60)
        self.assertLess(self.server.refusals - refusals, 60 / LONGEST_PAUSE + 3)
        self.assertGreater(self.server.refusals - refusals, 20)

    def test_cancelled(self) -> None:
        """
        Who does not wait any more takes no place.
        """
        self.server.maximumSessions = 1
        first, second, third = self.several(3)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.ends(self.alive()[0])
        self.assertEqual([b"command 2"], [session.command for session in self.alive()])
        self.allDone([first, third])

    def test_cancelledAll(self) -> None:
        """
        And when nobody waits, nothing is tried.
        """
        self.server.maximumSessions = 1
        running = self.several(5)
        for deferred in running[1:]:
            deferred.cancel()
            self.failureResultOf(deferred, CancelledError)
        refusals = self.server.refusals
        self.pause(20)
        self.assertEqual(refusals, self.server.refusals)
        self.allDone(running[:1])

    def test_cancelledWhileOpening(self) -> None:
        """
        One that the server has not decided about is closed when it has.
        """
        self.server.maximumSessions = 2
        self.server.opening.close()
        running = self.several(4)
        running[0].cancel()
        self.failureResultOf(running[0], CancelledError)
        self.server.opening.open()
        self.network.flush()
        self.pause()
        self.allDone(running[1:])

    def test_foreign(self) -> None:
        """
        A program may have sessions of its own on the connection; they count.
        """
        self.server.maximumSessions = 1

        class Own(SSHChannel):
            name = "session"

        own = Own()
        self.client.connection.openChannel(own)
        self.network.flush()
        (running,) = self.several(1)
        self.pause(60)
        self.assertNoResult(running)
        own.abortConnection()
        self.network.flush()
        self.server.sessions.clear()
        self.pause()
        self.allDone([running])

    def test_open(self) -> None:
        """
        What is open counts with the rest.
        """
        self.server.maximumSessions = 1
        process, session = self.opened("cat")
        (running,) = self.several(1)
        self.assertNoResult(running)
        process.close()
        self.network.flush()
        self.assertIn("closed", session.events)
        self.allDone([running])

    def test_unknownType(self) -> None:
        """
        A server that knows no sessions will not know any later.
        """
        process, _ = self.opened("cat")
        self.server.maximumSessions = 1
        self.server.reason = OPEN_UNKNOWN_CHANNEL_TYPE
        (running,) = self.several(1)
        self.failureResultOf(running, ChannelOpenFailed)
        process.close()
        self.network.flush()
