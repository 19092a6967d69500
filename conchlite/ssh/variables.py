"""
The variables of the environment that a session's user may set: a list of
names, and values without surprises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from zope.interface import implementer

from conchlite.error import safe
from conchlite.interfaces import EnvironmentVariableNotPermitted, ISessionEnvironment, ISessionSetEnv

_VARIABLE = re.compile(rb"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


@implementer(ISessionEnvironment, ISessionSetEnv)
class AcceptsVariables:
    """
    The part of an L{ISession<conchlite.interfaces.ISession>} that has the
    environment of what will run. Whoever derives from it makes C{environment}.

    @cvar acceptedVariables: the names that users may set; C{*} at the end
        stands for anything.
    @cvar maxVariables: the most variables that a user may set.
    @cvar maxValueSize: the most bytes of a variable's value.
    @ivar environment: the environment.
    """

    acceptedVariables: Sequence[bytes] = (b"LANG", b"LC_*")
    maxVariables = 64
    maxValueSize = 1024

    environment: dict[bytes, bytes]
    _added = 0

    def setEnv(self, name: bytes, value: bytes) -> None:
        """
        Set a variable, if its name is among the accepted ones.

        @raise EnvironmentVariableNotPermitted: it is not, or the value is too
            long or has control characters.
        """
        accepted = _VARIABLE.fullmatch(name) is not None and any(
            name.startswith(pattern[:-1]) if pattern.endswith(b"*") else name == pattern
            for pattern in self.acceptedVariables
        )
        if not accepted or not self.isValue(value):
            raise EnvironmentVariableNotPermitted(safe(name))
        if self._added >= self.maxVariables:
            raise EnvironmentVariableNotPermitted("too many variables")
        self._added += 1
        self.environment[name] = value

    def isValue(self, value: bytes) -> bool:
        """
        Whether a variable may have a value that comes from the user.
        """
        return len(value) <= self.maxValueSize and not _CONTROL.search(value)

    def addEnvironment(self, variables: Mapping[bytes, bytes]) -> None:
        """
        Set what the server says.
        """
        self.environment.update(variables)
