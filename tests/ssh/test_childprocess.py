"""
How processes start and end: real ones, on terminals and without, as others.
"""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.process import ProcessReader, ProcessWriter, reapProcessHandlers
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest

from conchlite.ssh import childprocess
from conchlite.ssh.accounts import Account
from conchlite.ssh.childprocess import PseudoTerminal, Start, spawn
from conchlite.ssh.clientsession import packModes
from conchlite.ssh.common import NS
from conchlite.ssh.permissions import Permissions
from conchlite.ssh.processes import ProcessSession
from conchlite.ssh.session import packRequest_window_change
from conchlite.wire.connection import BreakRequest, ExitSignal
from tests.ssh.realsessions import RealSessionCase

#: Waits for ever, and is there for signals between two moments.
WAIT = "while :; do sleep 0.01; done"

#: Nobody has these numbers.
UID, GROUPS = 64999, (64999, 64997, 64998)


def lives(pid: int) -> bool:
    """
    Whether a process is there. One that has ended and belongs to nobody here
    may be there a while as a zombie.
    """
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


class TerminalTests(RealSessionCase):
    async def test_terminal(self) -> None:
        """
        It is a terminal, with a size, a type and a name, and the process's own.
        """
        await self.askForPty()
        await self.run_('stty size; echo "$TERM $SSH_TTY"; tty; ps -o pid=,sid=,tpgid= -p $$; echo $$')
        size, said, name, numbers, pid = self.client.received.decode().splitlines()
        self.assertEqual((size, said), ("24 80", f"vt100 {name}"))
        self.assertTrue(name.startswith("/dev/"))
        self.assertEqual(numbers.split(), [pid] * 3)

    async def test_modes(self) -> None:
        """
        The modes are there before the process is.
        """
        await self.askForPty(packModes([(53, 0), (72, 0), (3, 8), (129, 9600)]))
        await self.run_("stty -a")
        said = self.client.received.decode()
        for mode in ("-echo", "-onlcr", "erase = ^H;", "9600 baud"):
            self.assertIn(mode, said)

    async def test_lastByte(self) -> None:
        """
        All that was written comes, however soon the process has ended, and how
        it ended.
        """
        self.client.pauseProducing()
        await self.askForPty()
        await self.start("stty -opost; head -c 1048576 /dev/zero; printf end; exit 3")
        self.client.resumeProducing()
        await self.ended
        self.assertEqual(len(self.client.received), 1048579)
        self.assertTrue(self.client.received.endswith(b"\0end"))
        self.assertEqual(self.client.exitStatus, 3)

    async def test_endlessOutput(self) -> None:
        """
        A user who does not read holds back the process.
        """
        self.client.pauseProducing()
        await self.askForPty()
        await self.start("exec yes")
        server = self.channel()
        while server._machine.outgoing.window.size <= server.waitingLimit:
            await self.wait()
        size = server._machine.outgoing.window.size
        for _ in range(20):
            await self.wait()
        self.assertEqual(server._machine.outgoing.window.size, size)
        self.client.abortConnection()
        await self.ended
        await self.gone(server)

    async def test_endOfInput(self) -> None:
        """
        The user's EOF ends the input, in the middle of a line, too.
        """
        await self.askForPty(packModes([(53, 0)]))
        await self.start("cat; echo $?")
        self.client.write(b"one\ntwo")
        self.client.loseWriteConnection()
        await self.ended
        self.assertEqual(self.client.received, b"one\r\ntwo0\r\n")

    async def test_noEndOfInput(self) -> None:
        """
        A terminal may have no character for it.
        """
        await self.askForPty(packModes([(53, 0), (5, 255)]))
        await self.start("read line; echo $line; " + WAIT)
        self.client.write(b"one\n")
        self.client.loseWriteConnection()
        await self.says(b"one\r\n")
        server = self.channel()
        self.client.abortConnection()
        await self.ended
        await self.gone(server)

    async def test_interrupt(self) -> None:
        """
        Control-C is a signal to what is in the foreground.
        """
        await self.askForPty()
        await self.start("trap 'exit 9' INT; echo ready; " + WAIT)
        await self.says(b"ready")
        self.client.write(b"\x03")
        await self.ended
        self.assertEqual(self.client.exitStatus, 9)

    async def test_windowChange(self) -> None:
        """
        The process is told of another size.
        """
        await self.askForPty()
        await self.start("trap 'stty size; exit' WINCH; echo ready; " + WAIT)
        await self.says(b"ready")
        await self.ask("window-change", packRequest_window_change((70_000, 132, 0, 0)))
        await self.ended
        self.assertTrue(self.client.received.endswith(b"65535 132\r\n"))

    async def test_break(self) -> None:
        """
        A break is sent, and does what the system makes of it: here nothing.
        """
        await self.askForPty()
        await self.start("read line; exit 4")
        await self.ask("break", BreakRequest(500).pack())
        self.client.write(b"\n")
        await self.ended
        self.assertEqual(self.client.exitStatus, 4)

    async def test_afterTheEnd(self) -> None:
        """
        What comes when the process has let go of its terminal goes nowhere.
        """
        await self.askForPty()
        await self.start("trap '' HUP; exec <&- >&- 2>&-; " + WAIT)
        server = self.channel()
        while server.client.transport.connected:
            await self.wait()
        await self.ask("window-change", packRequest_window_change((1, 2, 0, 0)))
        await self.ask("break", BreakRequest(0).pack())
        self.client.loseWriteConnection()
        await self.ask("signal", NS("KILL"))
        await self.ended
        self.assertEqual(self.client.exitSignal, ExitSignal(b"KILL", False, b"", b""))

    async def test_hangup(self) -> None:
        """
        With its user the process loses its terminal, which ends it.
        """
        self.hangupSeconds = None
        await self.askForPty()
        await self.start("echo ready; exec sleep 1000")
        await self.says(b"ready")
        server = self.channel()
        self.client.abortConnection()
        await self.ended
        await self.gone(server)

    async def test_nothingLeft(self) -> None:
        """
        When all is over there are as many descriptors as before.
        """
        before = await self.descriptors()
        await self.askForPty()
        await self.run_("echo")
        self.assertEqual(await self.descriptors(), before)

    async def test_outputNobodyWaitedFor(self) -> None:
        """
        What is held back, because the user does not read, is not lost when the
        process ends at a moment at which it was about to be written to.
        """
        fifo = self.mktemp()
        os.mkfifo(fifo)
        end: Deferred[Failure] = Deferred()
        ready: Deferred[None] = Deferred()
        received = bytearray()

        class Collecting(ProcessProtocol):
            def outReceived(self, data: bytes) -> None:
                received.extend(data)
                if received.endswith(b"ready"):
                    ready.callback(None)

            def processEnded(self, reason: Failure) -> None:
                end.callback(reason.value)

        command = f"stty raw -echo; printf ready; read line < {os.path.abspath(fifo)}; printf last; exit 3"
        process = spawn(
            reactor,
            Collecting(),
            b"/bin/sh",
            [b"sh", b"-c", command.encode()],
            {b"PATH": b"/usr/bin:/bin"},
            Start(None, "/", 0o022),
            PseudoTerminal((24, 80, 0, 0), []),
        )
        await ready
        process.pauseProducing()
        process.write(bytes(100_000))
        with open(fifo, "w") as stream:
            stream.write("\n")
        self.assertEqual((await end).exitCode, 3)
        self.assertEqual(received, b"readylast")


class GroupTests(RealSessionCase):
    """
    Each process leads a session and a group.
    """

    async def test_signal(self) -> None:
        """
        A signal reaches what the shell has started, too: otherwise somebody
        would have its output yet.
        """
        await self.start("sleep 1000 & echo ready; wait; echo no")
        await self.says(b"ready")
        await self.ask("signal", NS("TERM"))
        await self.ended
        self.assertEqual(self.client.exitSignal, ExitSignal(b"TERM", False, b"", b""))
        self.assertNotIn(b"no", self.client.received)

    async def test_killZero(self) -> None:
        """
        A script that ends all of its group does not end the server.
        """
        await self.run_("kill 0; " + WAIT)
        self.assertEqual(self.client.exitSignal, ExitSignal(b"TERM", False, b"", b""))

    async def test_noControllingTerminal(self) -> None:
        """
        The server's terminal, if it has one, is not the process's.
        """
        await self.run_("ps -o pid=,sid=,tty= -p $$; echo $$; (: < /dev/tty) 2> /dev/null; echo $?")
        numbers, pid, status = self.client.received.decode().splitlines()
        self.assertEqual(numbers.split(), [pid, pid, "?"])
        self.assertNotEqual(status, "0")

    async def test_stubborn(self) -> None:
        """
        Who does not heed SIGHUP and SIGTERM is killed, with what he started.
        """
        for name, value in (("terminateSeconds", 0.01), ("killSeconds", 0.02)):
            self.patch(ProcessSession, name, value)
        await self.start(f"trap '' HUP TERM; sh -c '{WAIT}' & echo $! ready; {WAIT}")
        await self.says(b"ready")
        server = self.channel()
        self.client.abortConnection()
        await self.ended
        await self.gone(server)
        while lives(int(self.client.received.split()[0])):
            await self.wait()

    async def daemonStays(self, before: object) -> None:
        """
        The user goes, and nothing is left of the session but the daemon, whose
        number came first.

        @param before: the descriptors that there were before the session.
        """
        self.client.abortConnection()
        await self.ended
        while await self.descriptors() != before:
            pass
        pid = int(self.client.received.split()[0])
        self.assertTrue(lives(pid))
        os.kill(pid, signal.SIGKILL)

    async def test_daemon(self) -> None:
        """
        What a command has left behind stays, and costs the server nothing.
        """
        before = await self.descriptors()
        await self.start("sleep 1000 & echo $! ready")
        await self.says(b"ready")
        server = self.channel()
        while server.client.transport.pid is not None:
            await self.wait()
        self.assertGreater(len(await self.descriptors()), len(before))
        self.client.write(bytes(1_000_000))
        await self.wait()
        with self.assertRaises(ProcessExitedAlready):
            server.client.transport.signalGroup("TERM")
        await self.daemonStays(before)

    async def test_daemonWithInput(self) -> None:
        """
        Nor does it when it has the session's input, and does not read it; and
        the command ends after its user.
        """
        before = await self.descriptors()
        daemon = "echo $$ ready; exec sleep 1000"
        await self.start(f"exec 3<&0; setsid sh -c '{daemon}' <&3 & {WAIT}")
        await self.says(b"ready")
        self.client.write(bytes(1_000_000))
        await self.daemonStays(before)

    async def test_core(self) -> None:
        """
        Whether there is a core dump is told as the system tells it.
        """
        await self.run_("ulimit -c 0; kill -ABRT $$")
        self.assertEqual(self.client.exitSignal, ExitSignal(b"ABRT", False, b"", b""))


class StartTests(RealSessionCase):
    directory = "/"
    shell = "/bin/sh"

    def makeSession(self) -> ProcessSession:
        return ProcessSession(reactor, self.shell, self.directory)

    def errors(self) -> bytes:
        return b"".join(event[1] for event in self.client.events if event[0] == "ext 1")

    async def test_descriptors(self) -> None:
        """
        Row 70: a process has three descriptors, and none of the server's:
        no listening socket, and no key that somebody had open.
        """
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        listening.set_inheritable(True)
        await self.run_("ls /proc/self/fd")
        self.assertEqual(self.client.received.split(), [b"0", b"1", b"2", b"3"])

    async def test_descriptorsWithTerminal(self) -> None:
        """
        Row 70: nor does one on a terminal have any.
        """
        listening = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listening.close)
        listening.set_inheritable(True)
        await self.askForPty()
        await self.run_("ls /proc/self/fd | cat")
        self.assertEqual(self.client.received.split(), [b"0", b"1", b"2", b"3"])

    async def test_noDirectory(self) -> None:
        """
        Without a home there is a session all the same, and a word about it.
        """
        self.directory = "/no/such/directory"
        await self.run_("pwd; exit 5")
        self.assertEqual((self.client.received, self.client.exitStatus), (b"/\n", 5))
        self.assertEqual(self.errors(), b"/no/such/directory: No such file or directory\n")

    async def test_noShell(self) -> None:
        """
        What is not there is told in a line, and nothing of the server's.
        """
        self.shell = "/no/such/shell"
        await self.run_("x")
        self.assertEqual(self.client.exitStatus, 1)
        self.assertEqual(self.errors(), b"/no/such/shell: No such file or directory\n")

    async def test_umask(self) -> None:
        """
        Files are made as the session says, not as the daemon does.
        """
        self.addCleanup(os.umask, os.umask(0o077))
        await self.run_("umask")
        self.assertEqual(self.client.received, b"0022\n")

    async def test_nothingLeft(self) -> None:
        before = await self.descriptors()
        await self.run_("echo")
        self.assertEqual(await self.descriptors(), before)


class OtherUserTests(RealSessionCase):
    """
    Processes of another user. It takes root to start them.
    """

    def setUp(self) -> None:
        if os.geteuid() != 0:
            raise SkipTest("it takes root to run anything as another user")
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        os.chown(self.home, UID, UID)
        self.home.chmod(0o700)
        for parent in self.home.parents[:2]:
            parent.chmod(0o755)
        self.account = Account("alice", UID, GROUPS[0], GROUPS, str(self.home), "/bin/sh")
        super().setUp()

    def makeSession(self) -> ProcessSession:
        class Session(ProcessSession):
            def _account(session) -> Account:
                return self.account

        return Session(reactor)

    async def test_user(self) -> None:
        """
        He is he, in all of his groups, and in his directory, and is nobody
        else any more.
        """
        await self.run_(
            "id -u; id -ru; id -g; id -G; pwd; echo $USER $HOME; touch mine; grep ^[UG]id: /proc/$$/status"
        )
        lines = self.client.received.decode().splitlines()
        numbers = "\t".join([str(UID)] * 4)
        self.assertEqual(
            lines,
            [
                *[str(UID)] * 3,
                " ".join(map(str, GROUPS)),
                str(self.home),
                f"alice {self.home}",
                f"Uid:\t{numbers}",
                f"Gid:\t{numbers}",
            ],
        )
        status = (self.home / "mine").stat()
        self.assertEqual((status.st_uid, status.st_gid, status.st_mode & 0o777), (UID, UID, 0o644))

    async def test_terminal(self) -> None:
        """
        The terminal is his, for as long as he has it.
        """
        await self.askForPty()
        await self.run_(
            'stat -c "%u %a" $SSH_TTY; id -u; (exec 3<> $SSH_TTY) && (exec 3<> /dev/tty) && echo open'
        )
        owner, uid, opened = self.client.received.decode().splitlines()
        self.assertEqual(owner.split()[0], str(UID))
        self.assertIn(owner.split()[1], ("620", "600"))
        self.assertEqual((uid, opened), (str(UID), "open"))

    async def test_directory(self) -> None:
        """
        Row 105: his directory is entered as he, so that one that he may not
        enter, behind whatever link, is none.
        """
        secret = Path(self.mktemp()).absolute()
        (secret / "open").mkdir(parents=True)
        secret.chmod(0o700)
        (self.home / "link").symlink_to(secret / "open")
        self.account = Account("alice", UID, UID, GROUPS, str(self.home / "link"), "/bin/sh")
        await self.run_("pwd")
        self.assertEqual(self.client.received, b"/\n")
        errors = b"".join(event[1] for event in self.client.events if event[0] == "ext 1")
        self.assertEqual(errors, os.fsencode(self.home / "link") + b": Permission denied\n")

    async def test_signal(self) -> None:
        """
        Signals reach his processes.
        """
        await self.start(f"sh -c '{WAIT}' & echo ready; {WAIT}")
        await self.says(b"ready")
        await self.ask("signal", NS("TERM"))
        await self.ended
        await self.settled()
        self.assertEqual(self.client.exitSignal, ExitSignal(b"TERM", False, b"", b""))

    async def test_manySignals(self) -> None:
        """
        Each takes a process for a moment, so there are not as many as he
        likes.
        """
        await self.start(f"trap : USR1; echo ready; {WAIT}")
        await self.says(b"ready")
        child = self.channel().client.transport
        for _ in range(child.maxSignals):
            child.signalGroup("USR1")
        self.assertRaises(BlockingIOError, child.signalGroup, "USR1")
        while child.signalling:
            await self.wait()
        await self.ask("signal", NS("TERM"))
        await self.ended
        await self.settled()

    async def test_signalHeStops(self) -> None:
        """
        Such a process is his, and he can stop it: it has nothing of the
        server's.
        """
        # Here it stops itself: from outside it may have ended before.
        patched = self.patch(childprocess, "_KILL", b"kill -STOP $$; " + childprocess._KILL)
        await self.start(f"trap : USR1; echo ready; {WAIT}")
        await self.says(b"ready")
        child = self.channel().client.transport
        before = len(await self.descriptors())
        others = set(reapProcessHandlers)
        child.signalGroup("USR1")
        patched.restore()
        (sender,) = set(reapProcessHandlers) - others
        while ") T " not in Path(f"/proc/{sender}/stat").read_text():
            await self.wait()
        self.assertEqual((len(await self.descriptors()), child.signalling), (before, 1))
        os.kill(sender, signal.SIGCONT)
        while child.signalling:
            await self.wait()
        await self.ask("signal", NS("TERM"))
        await self.ended
        await self.settled()

    async def test_signalAsHe(self) -> None:
        """
        Row 105: he ends by them what he may end himself, and nothing of
        somebody else's.
        """
        end: Deferred[Failure] = Deferred()
        proto = ProcessProtocol()
        proto.processEnded = lambda reason: end.callback(reason.value)
        start = Start(None, "/", 0o022)
        ours = spawn(reactor, proto, b"/bin/sleep", [b"sleep", b"1000"], {}, start)
        await self.start("echo ready; " + WAIT)
        await self.says(b"ready")
        child = self.channel().client.transport
        pid, child.pid = child.pid, ours.pid
        child.signalGroup("KILL")
        child.pid = pid
        await self.ask("signal", NS("TERM"))
        await self.ended
        await self.settled(3)
        self.assertTrue(lives(ours.pid))
        ours.signalGroup("KILL")
        await end

    async def settled(self, pipes: int = 0) -> None:
        """
        Wait for the processes that send signals as he.

        @param pipes: how many pipes other processes have.
        """
        while (
            len([it for it in reactor.getReaders() if isinstance(it, ProcessReader | ProcessWriter)]) > pipes
        ):
            await self.wait()

    async def test_cannotBecome(self) -> None:
        """
        Where he cannot be, nothing runs.
        """
        self.account = Account("alice", 2**32 - 1, UID, GROUPS, "/", "/bin/sh")
        await self.run_("echo here")
        self.assertEqual((self.client.received, self.client.exitStatus), (b"", 1))

    async def test_socket(self) -> None:
        """
        Row 105: the socket of his agent is his, and where it is nobody can put
        anything else in its place.
        """
        self.link.server.permissions = Permissions()
        await self.ask("auth-agent-req@openssh.com")
        await self.run_('stat -c "%u %a" $SSH_AUTH_SOCK $(dirname $SSH_AUTH_SOCK); echo $SSH_AUTH_SOCK')
        own, directory, path = self.client.received.decode().splitlines()
        self.assertEqual((own, directory), (f"{UID} 600", "0 711"))
        while os.path.exists(os.path.dirname(path)):
            await self.wait()
