"""
Read a key file of any format in a thread, and write its public key.

    show.py PATH [PASSPHRASE]
"""

import sys

from twisted.internet.task import react

from conchlite.error import BadKeyError, BadPassphrase, DamagedKey, EncryptedKeyError, UnknownKeyFormat
from conchlite.ssh.keys import Key


async def show(reactor, path, passphrase=None):
    """
    The reactor has its hands free while the passphrase is worked on.
    """
    try:
        key = await Key.fromFileLater(reactor, path, passphrase=passphrase)
    except EncryptedKeyError as error:
        sys.exit(f"a passphrase, please: {error}")
    except BadPassphrase as error:
        sys.exit(f"another passphrase, please: {error}")
    except (UnknownKeyFormat, DamagedKey) as error:
        sys.exit(f"another file, please: {error}")
    except BadKeyError as error:
        # Its permissions, a type that is not supported ...
        sys.exit(f"not this file: {error}")
    print(key.public().toString("openssh", comment=key.comment).decode())


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.stderr.write("usage: show.py PATH [PASSPHRASE]\n")
        sys.exit(64)
    react(lambda reactor: show(reactor, *sys.argv[1:]))
