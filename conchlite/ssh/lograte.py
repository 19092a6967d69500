"""
How much is written into the log about one address.

What a connection says about itself before its login is only a few lines, but
anybody can connect as often as he likes. Of each address so many lines are
written in a second; the others are counted, and the count is written when the
second is over and something is said again.

What is said about users, their logins and the refusals of them, is no part of
this: nobody hides a login in a flood.
"""

from __future__ import annotations

from twisted.logger import Logger

from conchlite.limits import MAXIMUM_LOG_LINES

# The addresses of one second that are told apart. Further ones are counted as
# one, so that a flood from many addresses does not fill the memory instead.
_ADDRESSES = 1024
_OTHERS = "other addresses"


class LogRate:
    """
    Counts the lines of the current second.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._second = -1
        self._lines: dict[str, int] = {}

    def permits(self, address: str, now: float) -> bool:
        """
        Whether one more line about C{address} may be written.

        @param address: whom it is about, in whatever form.
        @param now: the time, in seconds.
        """
        second = int(now)
        if second != self._second:
            self.stop()
            self._second = second
        if address not in self._lines and len(self._lines) >= _ADDRESSES:
            address = _OTHERS
        lines = self._lines[address] = self._lines.get(address, 0) + 1
        return lines <= MAXIMUM_LOG_LINES

    def stop(self) -> None:
        """
        The second is over: say what was left out, in one line.
        """
        over = [(address, lines) for address, lines in self._lines.items() if lines > MAXIMUM_LOG_LINES]
        self._lines.clear()
        if over:
            self._log.warn(
                "left out {count} lines about {address}{more}",
                count=sum(lines - MAXIMUM_LOG_LINES for _, lines in over),
                address=over[0][0],
                more=f" and {len(over) - 1} others" if len(over) > 1 else "",
            )
