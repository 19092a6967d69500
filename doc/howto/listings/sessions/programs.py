"""
Programs of a server's own process, as coroutines. The realm is for the portal
of a server like that of the client's chapter.
"""

import struct

from twisted.cred.portal import IRealm
from zope.interface import implementer

from conchlite.avatar import SessionUser
from conchlite.error import InputEnded
from conchlite.interfaces import IConchUser
from conchlite.ssh.programs import ProgramSession

PRICES = {b"tea": b"3.20", b"cake": b"4.50"}

held = set()


async def number(process):
    """
    Numbers the lines of its input.
    """
    count = 0
    async for line in process.stdin:
        count += 1
        await process.write(b"%4d  " % count + line)


async def greet(process):
    await process.write(b"Who are you? ")
    name = (await process.readLine()).strip()
    if not name:
        await process.stderr.write(b"Nobody, it seems.\n")
        return 1
    await process.write(b"Hello, " + name + b".\n")
    return 0


async def lock(process):
    """
    Holds a lock for as long as the user is there.
    """
    name = process.command.partition(b" ")[2]
    if name in held:
        raise SystemExit("somebody else has it")
    held.add(name)
    try:
        await process.write(b"locked\n")
        while await process.read():
            pass
    finally:
        held.discard(name)


async def size(process):
    """
    Shows how large the terminal is, until somebody types q.
    """
    if process.terminal is None:
        raise SystemExit("this wants a terminal")

    def show(windowSize):
        process.write(b"%d columns, %d rows\r\n" % (windowSize.columns, windowSize.rows))

    process.onResize(show)
    process.onSignal(lambda name: process.write(b"%s?\r\n" % name.encode()))
    show(process.terminal.windowSize)
    while await process.read(1) not in (b"q", b""):
        pass


async def prices(process):
    """
    A subsystem: each question is a length and a name, each answer a length and
    a price.
    """
    while True:
        try:
            (length,) = struct.unpack(">L", await process.stdin.readExactly(4))
        except InputEnded:
            return
        if length > 64:
            raise SystemExit("that is no name")
        price = PRICES.get(await process.stdin.readExactly(length), b"")
        await process.write(struct.pack(">L", len(price)) + price)


@implementer(IRealm)
class Realm:
    def requestAvatar(self, avatarId, mind, *interfaces):
        user = SessionUser(self.openSession)
        user.subsystemLookup[b"prices"] = prices
        return IConchUser, user, lambda: None

    def openSession(self):
        programs = {b"number": number, b"lock": lock, b"size": size}
        return ProgramSession(programs, shell=greet, terminals=True)
