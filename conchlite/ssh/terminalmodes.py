"""
The modes of terminals: RFC 4254 section 8, and what L{termios} has for them.

An opcode stands for a control character, a flag or a speed. What the opcodes
mean is the same everywhere; what a system has of it is not, so what it lacks
is left out.
"""

from __future__ import annotations

import os
import sys
import termios
from collections.abc import Iterable
from typing import Final

# The places in what tcgetattr(3) says, as Python has it.
_INPUT, _OUTPUT, _CONTROL, _LOCAL, _INPUT_SPEED, _OUTPUT_SPEED, _CHARACTERS = range(7)

#: Opcodes of control characters, and what L{termios} calls them.
_CHARACTER_NAMES: Final = {
    1: "VINTR",
    2: "VQUIT",
    3: "VERASE",
    4: "VKILL",
    5: "VEOF",
    6: "VEOL",
    7: "VEOL2",
    8: "VSTART",
    9: "VSTOP",
    10: "VSUSP",
    11: "VDSUSP",
    12: "VREPRINT",
    13: "VWERASE",
    14: "VLNEXT",
    15: "VFLUSH",
    16: "VSWTC",
    17: "VSTATUS",
    18: "VDISCARD",
}

#: Opcodes of flags, which of the four words they are in, and their names.
_FLAG_NAMES: Final = {
    30: (_INPUT, "IGNPAR"),
    31: (_INPUT, "PARMRK"),
    32: (_INPUT, "INPCK"),
    33: (_INPUT, "ISTRIP"),
    34: (_INPUT, "INLCR"),
    35: (_INPUT, "IGNCR"),
    36: (_INPUT, "ICRNL"),
    37: (_INPUT, "IUCLC"),
    38: (_INPUT, "IXON"),
    39: (_INPUT, "IXANY"),
    40: (_INPUT, "IXOFF"),
    41: (_INPUT, "IMAXBEL"),
    42: (_INPUT, "IUTF8"),
    50: (_LOCAL, "ISIG"),
    51: (_LOCAL, "ICANON"),
    52: (_LOCAL, "XCASE"),
    53: (_LOCAL, "ECHO"),
    54: (_LOCAL, "ECHOE"),
    55: (_LOCAL, "ECHOK"),
    56: (_LOCAL, "ECHONL"),
    57: (_LOCAL, "NOFLSH"),
    58: (_LOCAL, "TOSTOP"),
    59: (_LOCAL, "IEXTEN"),
    60: (_LOCAL, "ECHOCTL"),
    61: (_LOCAL, "ECHOKE"),
    62: (_LOCAL, "PENDIN"),
    70: (_OUTPUT, "OPOST"),
    71: (_OUTPUT, "OLCUC"),
    72: (_OUTPUT, "ONLCR"),
    73: (_OUTPUT, "OCRNL"),
    74: (_OUTPUT, "ONOCR"),
    75: (_OUTPUT, "ONLRET"),
    92: (_CONTROL, "PARENB"),
    93: (_CONTROL, "PARODD"),
}

#: How many bits a character has, which is one value of several, not a flag.
_SIZES: Final = {90: termios.CS7, 91: termios.CS8}

_SPEEDS: Final = {128: _INPUT_SPEED, 129: _OUTPUT_SPEED}

# RFC 4254 section 8: there is no such control character.
_NO_CHARACTER = 255

# What Python's termios has no name for before 3.13: Linux and macOS agree.
_UNNAMED = {"IUTF8": 0x4000} if sys.platform in ("linux", "darwin") else {}


def _number(name: str) -> int | None:
    return getattr(termios, name, _UNNAMED.get(name))


_CHARACTER_PLACES = {
    opcode: place for opcode, name in _CHARACTER_NAMES.items() if (place := _number(name)) is not None
}
_FLAGS = {
    opcode: (word, bit) for opcode, (word, name) in _FLAG_NAMES.items() if (bit := _number(name)) is not None
}
# The numbers of speeds, which are codes on some systems; B0 hangs up.
_RATES = {
    int(name[1:]): getattr(termios, name)
    for name in dir(termios)
    if name.startswith("B") and name[1:].isdigit() and name != "B0"
}


def setModes(descriptor: int, modes: Iterable[tuple[int, int]]) -> None:
    """
    Give a terminal modes. The others stay as they are, and what this system
    does not have is ignored.

    @param descriptor: the terminal's descriptor.
    @param modes: opcodes and their values; of several for an opcode, the last
        counts.
    """
    attributes = termios.tcgetattr(descriptor)
    control = attributes[_CONTROL]
    none = _none(descriptor)
    for opcode, value in modes:
        _setMode(attributes, opcode, value, none)
    try:
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)
    except termios.error:
        # There is no line behind a pseudo-terminal. Some have eight bits in a
        # character and no parity, and cannot be told otherwise.
        attributes[_CONTROL] = control
        termios.tcsetattr(descriptor, termios.TCSANOW, attributes)


def _setMode(attributes: list[object], opcode: int, value: int, none: bytes) -> None:
    words: list[int] = attributes  # type: ignore[assignment]  # but for the last, which is a list
    characters: list[bytes] = attributes[_CHARACTERS]  # type: ignore[assignment]  # this is it
    if opcode in _CHARACTER_PLACES and value <= _NO_CHARACTER:
        characters[_CHARACTER_PLACES[opcode]] = none if value == _NO_CHARACTER else bytes([value])
    elif opcode in _FLAGS:
        word, bit = _FLAGS[opcode]
        words[word] = words[word] | bit if value else words[word] & ~bit
    elif opcode in _SIZES and value:
        words[_CONTROL] = words[_CONTROL] & ~termios.CSIZE | _SIZES[opcode]
    elif opcode in _SPEEDS and value in _RATES:
        words[_SPEEDS[opcode]] = _RATES[value]


def modesOf(descriptor: int) -> list[tuple[int, int]]:
    """
    A terminal's modes, as a client sends them in a C{pty-req}.

    @param descriptor: the terminal's descriptor.
    @return: opcodes and their values.
    """
    attributes = termios.tcgetattr(descriptor)
    none = _none(descriptor)
    # Where lines are not edited, two places count bytes and tenths of seconds,
    # and are numbers. Some systems have VEOF and VEOL there.
    characters = [bytes([it]) if isinstance(it, int) else it for it in attributes[_CHARACTERS]]
    rates = {number: rate for rate, number in _RATES.items()}
    modes = [(opcode, rates.get(attributes[place], 0)) for opcode, place in _SPEEDS.items()]
    for opcode, place in _CHARACTER_PLACES.items():
        character = characters[place]
        modes.append((opcode, _NO_CHARACTER if character == none else character[0]))
    for opcode, (word, bit) in _FLAGS.items():
        modes.append((opcode, int(bool(attributes[word] & bit))))
    for opcode, size in _SIZES.items():
        modes.append((opcode, int(attributes[_CONTROL] & termios.CSIZE == size)))
    return [(opcode, value) for opcode, value in modes if value or opcode not in _SPEEDS]


def endOfInput(descriptor: int) -> bytes:
    """
    The control character that ends a terminal's input; nothing if it has none.

    @param descriptor: the terminal's descriptor.
    """
    character = termios.tcgetattr(descriptor)[_CHARACTERS][termios.VEOF]
    if isinstance(character, int):
        character = bytes([character])
    return b"" if character == _none(descriptor) else bytes(character)


def _none(descriptor: int) -> bytes:
    # What stands in the place of a control character that there is not.
    return bytes([os.fpathconf(descriptor, "PC_VDISABLE") & 0xFF])
