"""
Paramiko's server.
"""

from __future__ import annotations

import socket
import tempfile
import threading
from pathlib import Path

import paramiko

from conchlite.ssh.keys import Key
from tests.benchmarks.programs.job import LOCALHOST
from tests.benchmarks.servers.common import CHUNK, Command, job, listening, parse


class Server(paramiko.ServerInterface):
    """
    One connection.
    """

    def __init__(self, identity: bytes) -> None:
        self.identity = identity

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL if key.asbytes() == self.identity else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        threading.Thread(target=run, args=(channel, parse(command.decode())), daemon=True).start()
        return True


def run(channel: paramiko.Channel, command: Command) -> None:
    left = command.writes
    while left:
        size = min(left, len(CHUNK))
        channel.sendall(CHUNK if size == len(CHUNK) else CHUNK[:size])
        left -= size
    received = 0
    while command.reads and (data := channel.recv(len(CHUNK))):
        received += len(data)
        if command.echoes:
            channel.sendall(data)
    channel.send_exit_status(command.status(received))
    channel.close()


def main() -> None:
    told = job()
    identity = Key.fromFile(told.identity).public().blob()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "host")
        path.write_bytes(Key.generate("ed25519").toString("openssh", subtype="v1", comment="host"))
        hostKey = paramiko.Ed25519Key.from_private_key_file(str(path))
    with socket.create_server((LOCALHOST, 0), backlog=100) as listener:
        listening(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            transport = paramiko.Transport(connection)
            transport.add_server_key(hostKey)
            transport.start_server(event=threading.Event(), server=Server(identity))


if __name__ == "__main__":
    main()
