"""
Patterns as ssh_config(5) has them: in the lines of known hosts, and in the
principals of a host's certificate.
"""

from __future__ import annotations


def matchesPattern(name: bytes, pattern: bytes) -> bool:
    """
    Whether C{name} fits C{pattern}, where C{*} is any run of bytes and C{?} any one.

    It takes no more than C{len(name) * len(pattern)} steps, whatever the file says.
    """
    at = within = 0
    star, resume = -1, 0
    while at < len(name):
        # A star is looked for first: it may stand where the name has one too.
        if pattern[within : within + 1] == b"*":
            star, resume = within, at
            within += 1
        elif within < len(pattern) and pattern[within] in (name[at], 0x3F):
            at += 1
            within += 1
        elif star >= 0:
            resume += 1
            at, within = resume, star + 1
        else:
            return False
    return not pattern[within:].strip(b"*")
