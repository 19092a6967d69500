"""
Paramiko, logging in by passwords and answers, and letting in by them.

C{paramiko_logins.py server HOST_KEY} lets C{alice} in by her password, C{answers} who
answers two rounds, and C{both} by the one and then the other.
C{paramiko_logins.py client PORT} is the other half of it, and says who was let in.
"""

import socket
import sys
import threading

import paramiko
from contract import LOCALHOST, fail, listening, sayVersion

PASSWORD = "Frost und Tau"
ROUNDS = [
    ("First", "one", [("Password: ", False)], ["Frost und Tau"]),
    ("Second", "two", [("A? ", True), ("B? ", False)], ["a", "b"]),
]
METHODS = {"alice": "password", "answers": "keyboard-interactive", "both": "password,keyboard-interactive"}


class Server(paramiko.ServerInterface):
    def __init__(self) -> None:
        self._round = 0
        self._left = set()

    def get_allowed_auths(self, username):
        self._left = self._left or set(METHODS[username].split(","))
        return ",".join(sorted(self._left))

    def _passed(self, username, method):
        self.get_allowed_auths(username)
        if method not in self._left:
            return paramiko.AUTH_FAILED
        self._left.discard(method)
        return paramiko.AUTH_PARTIALLY_SUCCESSFUL if self._left else paramiko.AUTH_SUCCESSFUL

    def check_auth_password(self, username, password):
        return self._passed(username, "password") if password == PASSWORD else paramiko.AUTH_FAILED

    def check_auth_interactive(self, username, submethods):
        self._user, self._round = username, 0
        return self._query()

    def _query(self):
        title, instruction, prompts, _ = ROUNDS[self._round]
        return paramiko.InteractiveQuery(title, instruction, *prompts)

    def check_auth_interactive_response(self, responses):
        if list(responses) != ROUNDS[self._round][3]:
            return paramiko.AUTH_FAILED
        self._round += 1
        return (
            self._query() if self._round < len(ROUNDS) else self._passed(self._user, "keyboard-interactive")
        )


def serve(path: str) -> None:
    key = paramiko.PKey.from_path(path)
    paramiko.util.get_logger("paramiko").disabled = True
    with socket.create_server((LOCALHOST, 0)) as listener:
        listening(listener.getsockname()[1])
        while True:
            transport = paramiko.Transport(listener.accept()[0])
            transport.add_server_key(key)
            transport.start_server(event=threading.Event(), server=Server())


def connect(port: int) -> None:
    for user, methods in (*METHODS.items(), ("nobody", "password"), ("nobody", "keyboard-interactive")):
        transport = paramiko.Transport(socket.create_connection((LOCALHOST, port)))
        transport.start_client(timeout=30)
        rounds = iter(ROUNDS)
        try:
            for method in methods.split(","):
                if method == "password":
                    left = transport.auth_password(user, PASSWORD, fallback=False)
                else:
                    left = transport.auth_interactive(
                        user, lambda *asked, rounds=rounds: answer(asked, rounds)
                    )
                print(user, method, ",".join(left) or "in")
        except paramiko.AuthenticationException as error:
            print(user, method, type(error).__name__)
        transport.close()


def answer(asked, rounds):
    title, instruction, prompts = asked
    if not prompts:
        return []
    wanted = next(rounds)
    assert (title, instruction, [tuple(prompt) for prompt in prompts]) == wanted[:3], asked
    return wanted[3]


if __name__ == "__main__":
    sayVersion(f"Paramiko {paramiko.__version__}")
    role, argument = sys.argv[1:]
    if role == "server":
        serve(argument)
    else:
        try:
            connect(int(argument))
        except (OSError, EOFError, paramiko.SSHException) as error:
            fail(repr(error))
