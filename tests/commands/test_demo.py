"""
Tests for L{conchlite.commands.demo}, over TCP on the loopback interface.
"""

import os

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import TestCase

from conchlite.commands import demo
from conchlite.commands.demo import Stage, Step, demonstrate
from conchlite.error import ConchError
from tests.commands.capture import CapturingTestCase


class DemonstrateTests(CapturingTestCase, TestCase):
    """
    What is left behind, trial would complain of: each test ends with a
    reactor that has nothing to do.
    """

    async def test_everyStep(self) -> None:
        """
        Each step is a line that says what was done, and that it was right.
        """
        before = set(os.listdir("."))
        self.assertEqual(await demonstrate(reactor), 0)
        first, *steps, last = self.printed().splitlines()
        self.assertIn("conchlite", first)
        self.assertEqual([line.split(":")[0] for line in steps], [step.name for step in demo.STEPS])
        for line in steps:
            self.assertTrue(line.endswith(" - ok"), line)
        self.assertEqual(last, f"{len(demo.STEPS)} steps, and all of them ok")
        for said in ("key exchange ", "cipher to the server ", "MAC to the client ", "SHA256:"):
            self.assertIn(said, self.printed())
        self.assertIn(demo.LINE.decode().rstrip(), self.printed())
        self.assertEqual(set(os.listdir(".")), before)

    def withStep(self, index: int, take: object) -> None:
        steps = list(demo.STEPS)
        steps.insert(index, Step("extra", take))
        self.patch(demo, "STEPS", tuple(steps))

    async def test_aStepFails(self) -> None:
        """
        The error says which step, nothing after it is done, and all is closed.
        """

        async def wrong(stage: Stage) -> str:
            raise ConchError("two and two are five")

        self.withStep(len(demo.STEPS) - 1, wrong)
        error = await self.assertFailure(demonstrate(reactor), ConchError)
        self.assertEqual(str(error), "demo: extra: two and two are five")
        self.assertNotIn("all of them", self.printed())

    async def test_aStepHangs(self) -> None:
        stages: list[Stage] = []

        async def hang(stage: Stage) -> str:
            stages.append(stage)
            await Deferred()
            return "never"

        self.patch(demo, "STEP_SECONDS", 0.5)
        self.withStep(2, hang)
        error = await self.assertFailure(demonstrate(reactor), ConchError)
        self.assertEqual(str(error), "demo: extra: not done within 0.5 seconds")
        await stages[0].server.whenDeserted()

    async def test_cancelled(self) -> None:
        """
        Whoever interrupts it leaves nothing behind either.
        """
        reached: Deferred[Stage] = Deferred()

        async def hang(stage: Stage) -> str:
            # A coroutine that runs just now cannot be cancelled.
            reactor.callLater(0, reached.callback, stage)
            await Deferred()
            return "never"

        self.withStep(2, hang)
        running = demonstrate(reactor)
        stage = await reached
        running.cancel()
        await self.assertFailure(running, CancelledError)
        await stage.server.whenDeserted()

    async def test_impostor(self) -> None:
        """
        A server with another key is not talked to.
        """
        from conchlite.ssh.keys import Key

        async def swap(stage: Stage) -> str:
            impostor = Key.generate("ed25519")
            stage.server.privateKeys = {impostor.sshType(): impostor}
            stage.server.publicKeys = stage.server.getPublicKeys()
            return "swapped the host key"

        self.withStep(1, swap)
        error = await self.assertFailure(demonstrate(reactor), ConchError)
        self.assertIn("connection: the host key of [127.0.0.1]:", str(error))
        self.assertIn("SHA256:", str(error))
