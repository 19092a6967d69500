"""
Paramiko's server.
"""

import queue
import socket
import threading

import paramiko
from contract import LOCALHOST, exitStatus, listening, publicBlobs, sayVersion, serverArguments
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko_common import enableAll


class Server(paramiko.ServerInterface):
    def __init__(self, authorizedKeys: set[str]) -> None:
        self.authorizedKeys = authorizedKeys
        self.running: queue.Queue[tuple[paramiko.Channel, str]] = queue.Queue()

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL if key.get_base64() in self.authorizedKeys else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, chanid):
        if kind == "session":
            return paramiko.OPEN_SUCCEEDED
        return paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED

    def check_channel_exec_request(self, channel, command):
        text = command.decode()
        if exitStatus(text) is None:
            return False
        threading.Thread(target=run, args=(channel, text), daemon=True).start()
        return True


def run(channel: paramiko.Channel, command: str) -> None:
    try:
        while data := channel.recv(65536):
            if command == "cat":
                channel.sendall(data)
        channel.send_exit_status(exitStatus(command))
        channel.close()
    except OSError:
        pass  # The connection is gone.


def serve(connection: socket.socket, hostKeys, authorizedKeys: set[str]) -> None:
    transport = paramiko.Transport(connection)
    enableAll(transport)
    for key in hostKeys:
        transport.add_server_key(key)
    transport.start_server(event=threading.Event(), server=Server(authorizedKeys))


def main() -> None:
    arguments = serverArguments()
    hostKeys = []
    for path in arguments.hostKeys:
        try:
            hostKeys.append(paramiko.PKey.from_path(path))
        except (paramiko.SSHException, UnsupportedAlgorithm, paramiko.UnknownKeyType):
            pass  # A type of key that it does not have.
    authorizedKeys = publicBlobs(arguments.authorizedKeys)
    # Without them it does no group exchange.
    paramiko.Transport.load_server_moduli()
    # What a connection ends with is for its other side to notice.
    paramiko.util.get_logger("paramiko").disabled = True
    with socket.create_server((LOCALHOST, arguments.port)) as listener:
        listening(listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            serve(connection, hostKeys, authorizedKeys)


if __name__ == "__main__":
    sayVersion(f"Paramiko {paramiko.__version__}")
    main()
