"""
libssh2's client, by ssh2-python.
"""

import base64
import select
import socket
import sys

import ssh2
from contract import LOCALHOST, clientArguments, end, fail, publicBlobs, sayVersion
from ssh2 import session as names
from ssh2.error_codes import LIBSSH2_ERROR_EAGAIN
from ssh2.exceptions import SSH2Error
from ssh2.session import Session
from ssh2.utils import version


def enableAll(session: Session) -> None:
    for method in (
        names.LIBSSH2_METHOD_KEX,
        names.LIBSSH2_METHOD_HOSTKEY,
        names.LIBSSH2_METHOD_CRYPT_CS,
        names.LIBSSH2_METHOD_CRYPT_SC,
        names.LIBSSH2_METHOD_MAC_CS,
        names.LIBSSH2_METHOD_MAC_SC,
    ):
        session.method_pref(method, ",".join(session.supported_algs(method)))


def converse(session: Session, channel, connection: socket.socket, data: bytes) -> bytes:
    """
    Write and read at once, because what is written comes back.
    """
    session.set_blocking(False)
    left = memoryview(data)
    sentEOF = False
    output = []
    while not channel.eof():
        moved = False
        if left:
            _, written = channel.write(bytes(left[:32768]))
            left = left[written:]
            moved = written > 0
        elif not sentEOF:
            sentEOF = moved = channel.send_eof() != LIBSSH2_ERROR_EAGAIN
        size, received = channel.read(65536)
        if size > 0:
            output.append(received)
            moved = True
        if not moved:
            directions = session.block_directions()
            writers = [connection] if directions & names.LIBSSH2_SESSION_BLOCK_OUTBOUND else []
            select.select([connection], writers, [], 1)
    session.set_blocking(True)
    return b"".join(output)


def main() -> None:
    arguments = clientArguments()
    data = sys.stdin.buffer.read()
    connection = socket.create_connection((LOCALHOST, arguments.port))
    session = Session()
    enableAll(session)
    session.handshake(connection)
    hostKey, _ = session.hostkey()
    if base64.b64encode(hostKey).decode() not in publicBlobs(arguments.hostKeys):
        fail("the server's host key is none that is known")
    session.userauth_publickey_fromfile(arguments.user, arguments.userKey)
    channel = session.open_session()
    channel.execute(arguments.command)
    output = converse(session, channel, connection, data)
    channel.close()
    channel.wait_closed()
    status = channel.get_exit_status()
    session.disconnect()
    end(output, status)


if __name__ == "__main__":
    sayVersion(f"libssh2 {version().decode()} (ssh2-python {ssh2.__version__})")
    try:
        main()
    except (OSError, SSH2Error) as error:
        fail(repr(error))
