"""
Asks the machine's PAM about passwords: for each that it reads, by L{PAMChecker}.

    python pam_checker.py USER < PASSWORDS
"""

import sys

from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import maybeDeferred

from conchlite.checkers import PAMChecker

checker = PAMChecker(run=maybeDeferred)
for password in sys.stdin.buffer.read().splitlines():
    credentials = UsernamePassword(sys.argv[1].encode(), password)
    answer = checker.requestAvatarId(credentials)
    answer.addErrback(lambda reason: reason.trap(UnauthorizedLogin))
    answer.addCallback(lambda answer: print("yes" if isinstance(answer, bytes) else "no", flush=True))
