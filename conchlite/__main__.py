"""
C{python -m conchlite}, and the console script C{conchlite}.

Nothing is imported before L{main} is called: from then on Ctrl-C ends the
program with its status, and without a traceback.
"""

import signal
import sys


def main() -> int:
    """
    Run the command line.

    @return: the exit status.
    """
    try:
        from conchlite import tap

        return tap.main()
    except KeyboardInterrupt:
        # Later on, the command itself takes the signal.
        return 128 + signal.SIGINT


if __name__ == "__main__":
    # The name that the help shows.
    sys.argv[0] = "conchlite"
    sys.exit(main())
