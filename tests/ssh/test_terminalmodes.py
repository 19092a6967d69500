"""
The modes of terminals.
"""

from __future__ import annotations

import os
import termios

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from conchlite.ssh.terminalmodes import endOfInput, modesOf, setModes

# The opcodes of RFC 4254 section 8 that are used here.
VINTR, VEOF, VDSUSP = 1, 5, 11
ICRNL, IUTF8, ISIG, ICANON, ECHO, OPOST = 36, 42, 50, 51, 53, 70
CS7, CS8, PARENB = 90, 91, 92
ISPEED, OSPEED = 128, 129


class ModesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.terminal = self.openTerminal()

    def openTerminal(self) -> int:
        descriptors = os.openpty()
        for descriptor in descriptors:
            self.addCleanup(os.close, descriptor)
        return descriptors[1]

    def modes(self) -> dict[int, int]:
        return dict(modesOf(self.terminal))

    def test_flags(self) -> None:
        """
        The words for input, output and editing have flags, which are set and
        cleared.
        """
        flags = (ICRNL, IUTF8, ISIG, ICANON, ECHO, OPOST)
        words = set()
        for flag in flags:
            for value in (0, 1, 7):
                before = termios.tcgetattr(self.terminal)
                setModes(self.terminal, [(flag, value)])
                self.assertEqual(self.modes()[flag], int(bool(value)))
                after = termios.tcgetattr(self.terminal)
                words |= {place for place in range(4) if before[place] != after[place]}
        self.assertEqual(words, {0, 1, 3})

    def test_echo(self) -> None:
        """
        What is set is what the RFC means.
        """
        setModes(self.terminal, [(ECHO, 0), (ICANON, 1)])
        local = termios.tcgetattr(self.terminal)[3]
        self.assertEqual(local & (termios.ECHO | termios.ICANON), termios.ICANON)

    def test_characters(self) -> None:
        setModes(self.terminal, [(VINTR, 24)])
        self.assertEqual(termios.tcgetattr(self.terminal)[6][termios.VINTR], b"\x18")
        self.assertEqual(self.modes()[VINTR], 24)

    def test_noCharacter(self) -> None:
        """
        255 is for a character that there is not.
        """
        self.assertEqual(endOfInput(self.terminal), b"\x04")
        setModes(self.terminal, [(VINTR, 255), (VEOF, 255)])
        none = bytes([os.fpathconf(self.terminal, "PC_VDISABLE")])
        self.assertEqual(termios.tcgetattr(self.terminal)[6][termios.VINTR], none)
        self.assertEqual(self.modes()[VINTR], 255)
        self.assertEqual(endOfInput(self.terminal), b"")

    def test_notEdited(self) -> None:
        """
        Where lines are not edited, Python has numbers in some places.
        """
        before = self.modes()
        setModes(self.terminal, [(ICANON, 0)])
        self.assertEqual(self.modes(), before | {ICANON: 0})
        self.assertEqual(endOfInput(self.terminal), b"\x04")

    def test_speeds(self) -> None:
        """
        Speeds are bits in a second, whatever the system calls them.
        """
        setModes(self.terminal, [(ISPEED, 9600), (OSPEED, 9600)])
        self.assertEqual(termios.tcgetattr(self.terminal)[4:6], [termios.B9600, termios.B9600])
        self.assertEqual((self.modes()[ISPEED], self.modes()[OSPEED]), (9600, 9600))
        # 0 would hang up; nobody has the other.
        setModes(self.terminal, [(OSPEED, 0), (OSPEED, 31337)])
        self.assertEqual(self.modes()[OSPEED], 9600)

    def controlAfter(self, *modes: tuple[int, int]) -> int:
        """
        The word for the line that is asked for.
        """
        asked = []
        self.patch(termios, "tcsetattr", lambda *arguments: asked.append(arguments))
        setModes(self.terminal, modes)
        [(_, _, attributes)] = asked
        return attributes[2]

    def test_sizes(self) -> None:
        """
        A character has one size. Some clients say 7 of one that has 8 bits, as
        its flag is a part of the other, and then 8.
        """
        for modes, size in (
            ([(CS7, 1), (CS8, 0)], termios.CS7),
            ([(CS7, 1), (CS8, 1)], termios.CS8),
            ([(CS7, 0), (CS8, 0)], termios.CS8),
        ):
            self.assertEqual(self.controlAfter(*modes) & termios.CSIZE, size)
        self.assertEqual((self.modes()[CS7], self.modes()[CS8]), (0, 1))
        self.assertTrue(self.controlAfter((PARENB, 1)) & termios.PARENB)

    def test_noLine(self) -> None:
        """
        What a pseudo-terminal cannot be told does not keep it from the rest.
        """
        setModes(self.terminal, [(CS7, 1), (CS8, 0), (PARENB, 1), (ECHO, 0)])
        self.assertEqual(self.modes()[ECHO], 0)

    def test_ignored(self) -> None:
        """
        What is not defined, not here, or no character changes nothing.
        """
        before = termios.tcgetattr(self.terminal)
        setModes(
            self.terminal, [(0, 1), (19, 3), (99, 1), (159, 1), (255, 1), (VINTR, 256), (VINTR, 2**32 - 1)]
        )
        if not hasattr(termios, "VDSUSP"):
            setModes(self.terminal, [(VDSUSP, 3)])
        self.assertEqual(termios.tcgetattr(self.terminal), before)

    def test_lastCounts(self) -> None:
        setModes(self.terminal, [(ECHO, 0), (ECHO, 1), (ISIG, 1), (ISIG, 0)])
        self.assertEqual((self.modes()[ECHO], self.modes()[ISIG]), (1, 0))

    def test_oneTerminalsForAnother(self) -> None:
        """
        A client's modes on a server are the same.
        """
        raw = [(ICANON, 0), (ECHO, 0), (ISIG, 0), (ICRNL, 0), (OPOST, 0), (VINTR, 255), (OSPEED, 300)]
        setModes(self.terminal, raw)
        other = self.openTerminal()
        self.assertNotEqual(termios.tcgetattr(other), termios.tcgetattr(self.terminal))
        setModes(other, modesOf(self.terminal))
        self.assertEqual(termios.tcgetattr(other), termios.tcgetattr(self.terminal))

    @given(
        strategies.lists(strategies.tuples(strategies.integers(0, 255), strategies.integers(0, 2**32 - 1)))
    )
    def test_anything(self, modes: list[tuple[int, int]]) -> None:
        """
        Whatever a client says, there is a terminal, which says what it is.
        """
        setModes(self.terminal, modes)
        setModes(self.terminal, modesOf(self.terminal))
