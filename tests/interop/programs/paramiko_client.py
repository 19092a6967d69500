"""
Paramiko's client.
"""

import socket
import sys
import threading

import paramiko
from contract import LOCALHOST, clientArguments, end, fail, publicBlobs, sayVersion
from paramiko_common import enableAll


def main() -> None:
    arguments = clientArguments()
    data = sys.stdin.buffer.read()
    transport = paramiko.Transport(socket.create_connection((LOCALHOST, arguments.port)))
    enableAll(transport)
    transport.start_client(timeout=30)
    if transport.get_remote_server_key().get_base64() not in publicBlobs(arguments.hostKeys):
        fail("the server's host key is none that is known")
    transport.auth_publickey(arguments.user, paramiko.PKey.from_path(arguments.userKey))
    channel = transport.open_session()
    channel.exec_command(arguments.command)

    def feed() -> None:
        channel.sendall(data)
        channel.shutdown_write()

    threading.Thread(target=feed, daemon=True).start()
    output = []
    size = 0
    while received := channel.recv(65536):
        output.append(received)
        size += len(received)
        # Paramiko 5.1.0 stalls when a channel is closed while it waits for an
        # exchange that it has begun: its one reader waits to answer. So it
        # begins none towards the end.
        if size >= len(data) // 4:
            transport.packetizer.REKEY_BYTES = 2**29
    status = channel.recv_exit_status()
    transport.close()
    end(b"".join(output), 255 if status == -1 else status)


if __name__ == "__main__":
    sayVersion(f"Paramiko {paramiko.__version__}")
    try:
        main()
    except (OSError, EOFError, paramiko.SSHException) as error:
        fail(repr(error))
