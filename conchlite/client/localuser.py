"""
The user that this process belongs to.
"""

from __future__ import annotations

import os
import pwd

from conchlite.error import UsageError


def localUser() -> str:
    """
    His name.

    @raise UsageError: nobody knows it.
    """
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        raise UsageError("nobody knows your user name here: say it") from None
