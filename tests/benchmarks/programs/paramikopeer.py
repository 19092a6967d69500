"""
Paramiko's client: a transport of one's own.
"""

from __future__ import annotations

import sys

import paramiko

from tests.benchmarks.programs import blockingclient
from tests.benchmarks.programs.job import DEFAULT, LOCALHOST, Cannot, main


class Client(blockingclient.Client):
    isShared = True

    def connect(self) -> paramiko.Transport:
        transport = paramiko.Transport((LOCALHOST, self.job.port))
        if self.job.action == "slow":
            # Its own exchange of keys, after 512 MiB, does not end while data
            # comes.
            transport.packetizer.REKEY_BYTES = 1 << 40
        if self.job.cipher != DEFAULT:
            options = transport.get_security_options()
            try:
                options.ciphers = (self.job.cipher,)
                options.digests = ("hmac-sha2-256-etm@openssh.com",)
            except ValueError:
                transport.close()
                raise Cannot(f"no {self.job.cipher}") from None
        transport.start_client()
        key = paramiko.Ed25519Key.from_private_key_file(self.job.identity)
        transport.auth_publickey(self.job.user, key)
        return transport

    def execute(self, connection: paramiko.Transport, command: str) -> paramiko.Channel:
        channel = connection.open_session()
        channel.exec_command(command)
        return channel

    def read(self, channel: paramiko.Channel, most: int) -> int:
        return len(channel.recv(most))

    def write(self, channel: paramiko.Channel, data: bytes) -> None:
        channel.sendall(data)

    def end(self, channel: paramiko.Channel) -> None:
        channel.shutdown_write()

    def succeeded(self, channel: paramiko.Channel) -> None:
        status = channel.recv_exit_status()
        if status != 0:
            raise RuntimeError(f"ended with {status}")
        channel.close()

    def leave(self, connection: paramiko.Transport) -> None:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(blockingclient.actions(Client)))
