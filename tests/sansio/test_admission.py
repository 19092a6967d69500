"""
Row 23: the whole table of phases and messages, for both roles, strict or not.

What is written here is what RFC 4253, RFC 8308 and OpenSSH PROTOCOL 1.10 allow;
each phase is reached through the handshake, and every number is tried there.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from conchlite.algorithms.ciphers.plain import PlainSealer
from conchlite.error import StrictKexViolation, UnexpectedMessage
from conchlite.sansio.packets import PacketWriter
from conchlite.sansio.phases import EXCHANGE_PHASES, FIRST_PHASES, Phase
from conchlite.sansio.role import Role
from conchlite.wire import numbers, transport
from tests.sansio.pairs import End, Pair, seeded
from tests.sansio.test_transportlayer import STATELESS, loosen, rewriteKexInit

NOISE = {2, 3, 4}
METHOD = set(range(30, 50))
# DISCONNECT, the numbers without a meaning, services, KEXINIT, ping, the login.
LOGIN = {0, 1, *NOISE, 5, 6, *range(8, 20), 20, *range(22, 30), *range(50, 80), 192, 193}
EVERYTHING = {*LOGIN, *range(80, 256)}

#: Another preference than STATELESS, so that a guess is wrong.
OTHERWISE = STATELESS.replacing(keyExchanges=(b"ecdh-sha2-nistp256", b"curve25519-sha256"))


def admitted(phase: Phase, role: Role, strict: bool) -> set[int]:
    """
    The messages that may come.
    """
    noise = set() if strict else NOISE
    return {
        Phase.VERSION: set(),
        Phase.FIRST_KEXINIT: {1, 20, *NOISE},
        Phase.FIRST_GUESS: {1, *METHOD, *noise},
        Phase.FIRST_EXCHANGE: {1, *METHOD, *noise},
        Phase.FIRST_VERDICT: set(),
        Phase.FIRST_NEWKEYS: {1, 21, *noise},
        Phase.SECURED: {*LOGIN, 7},
        Phase.LOGIN: {*LOGIN, 7} if role is Role.CLIENT else LOGIN,
        Phase.GRANTING: {1, 52},
        Phase.OPEN: EVERYTHING,
        Phase.GUESS: {1, *METHOD, *NOISE},
        Phase.EXCHANGE: {1, *METHOD, *NOISE},
        Phase.VERDICT: set(),
        Phase.NEWKEYS: {1, 21, *NOISE},
    }[phase]


def pairOf(role: Role, strict: bool, guessing: bool) -> tuple[End, End]:
    # Without extensions no EXT_INFO follows NEWKEYS, and ends SECURED.
    target = End(role, STATELESS, allowTerrapin=True, extensions={})
    other = Role.SERVER if role is Role.CLIENT else Role.CLIENT
    peer = End(other, OTHERWISE if guessing else STATELESS, allowTerrapin=True, extensions={})
    if not strict:
        loosen(peer)
    if guessing:
        rewriteKexInit(peer, lambda fields: {**fields, "firstKexPacketFollows": True})
    return target, peer


def reach(phase: Phase, role: Role, strict: bool) -> tuple[End, End]:
    """
    A target in the phase, and its peer.
    """
    target, peer = pairOf(role, strict, guessing=phase is Phase.FIRST_GUESS)
    target.start()
    if phase is Phase.VERSION:
        return target, peer
    peer.start()
    target.automatic = phase is not Phase.FIRST_VERDICT
    if phase not in FIRST_PHASES:
        pair = Pair(*((target, peer) if role is Role.CLIENT else (peer, target)))
        pair.pump()
        if phase in (Phase.LOGIN, Phase.GRANTING):
            target.layer.serviceMessageSeen()
        if phase is Phase.GRANTING:
            target.layer.handle(numbers.MSG_EXT_INFO, transport.ExtInfo({}).pack())
        if phase in EXCHANGE_PHASES or phase is Phase.OPEN:
            for end in (target, peer):
                end.layer.authenticated()
        if phase in EXCHANGE_PHASES:
            target.oldSealer = peer.layer._writer._sealer
            target.automatic = phase is not Phase.VERDICT
            if phase is Phase.GUESS:
                rewriteKexInit(peer, lambda fields: {**fields, "firstKexPacketFollows": True})
                peer.layer.sendKexInit(OTHERWISE)
            else:
                peer.layer.sendKexInit(STATELESS)
    for _ in range(8):
        if target.layer.phase is phase:
            break
        step(peer, target, phase)
        if target.layer.phase is not phase:
            peer.deliver(target.take())
    return target, peer


def inject(target: End, peer: End, number: int) -> None:
    """
    Send a message as if the peer had sent it, under the keys that the target
    reads with.
    """
    phase = target.layer.phase
    if phase in FIRST_PHASES:
        sealer = PlainSealer()
    elif phase in EXCHANGE_PHASES:
        sealer = target.oldSealer
    else:
        sealer = peer.layer._writer._sealer
    writer = PacketWriter(sealer, seeded(number))
    writer.sequence = target.layer.incomingSequence
    target.layer.feed(writer.seal([(bytes((number,)), b"xxxx")]))


def step(peer: End, target: End, phase: Phase) -> None:
    """
    Deliver what the peer said, packet by packet, until the phase is reached.
    """
    data = peer.take()
    for i in range(len(data)):
        target.deliver(data[i : i + 1])
        if target.layer.phase is phase:
            target.layer.feed(b"")
            return


class AdmissionTests(SynchronousTestCase):
    def check(self, role: Role, strict: bool) -> None:
        for phase in Phase:
            if phase is Phase.GRANTING and role is Role.SERVER:
                # EXT_INFO right before USERAUTH_SUCCESS is the server's.
                continue
            if phase is Phase.VERDICT and role is Role.CLIENT:
                # The host key was judged in the first exchange.
                continue
            may = admitted(phase, role, strict)
            target, peer = reach(phase, role, strict)
            for number in range(256):
                case = (role, strict, phase, number)
                self.assertIs(phase, target.layer.phase, case)
                if not may:
                    target.layer._reader.feed(b"anything")
                    self.assertIsNone(target.layer.next(), case)
                    continue
                inject(target, peer, number)
                if number in may:
                    packet = target.layer.next()
                    self.assertEqual(number, packet and packet[1], case)
                else:
                    error = self.assertRaises(UnexpectedMessage, target.layer.next)
                    self.assertEqual(2, error.reason)
                    first = phase in (Phase.FIRST_GUESS, Phase.FIRST_EXCHANGE, Phase.FIRST_NEWKEYS)
                    self.assertEqual(strict and first, isinstance(error, StrictKexViolation), case)

    def test_strictClient(self) -> None:
        """
        Rows 21 to 24: see the table.
        """
        self.check(Role.CLIENT, True)

    def test_strictServer(self) -> None:
        """
        Rows 21 to 24: see the table.
        """
        self.check(Role.SERVER, True)

    def test_looseClient(self) -> None:
        """
        Rows 21 to 24: see the table.
        """
        self.check(Role.CLIENT, False)

    def test_looseServer(self) -> None:
        """
        Rows 21 to 24: see the table.
        """
        self.check(Role.SERVER, False)
