"""
The users of a server, once they have logged in.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Protocol, cast

from twisted.internet.interfaces import IProtocol
from zope.interface import implementer
from zope.interface.interface import InterfaceClass

from conchlite.error import ConchError
from conchlite.interfaces import IConchUser, ISession
from conchlite.sansio.channels import methodFor
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.connection import SSHConnection
from conchlite.ssh.coroutineprogram import CoroutineFunction, CoroutineProgram
from conchlite.ssh.session import SSHSession
from conchlite.wire.numbers import OPEN_UNKNOWN_CHANNEL_TYPE


class ChannelFactory(Protocol):
    """
    What makes a channel that a user opens: most often its class.
    """

    def __call__(
        self, *, remoteWindow: int, remoteMaxPacket: int, data: bytes, avatar: IConchUser
    ) -> SSHChannel | None: ...


class SubsystemFactory(Protocol):
    """
    What makes the protocol of a subsystem. A coroutine function stands for a
    subsystem as well: it is handed a L{ProgramProcess
    <conchlite.ssh.programprocess.ProgramProcess>}.
    """

    def __call__(self, data: bytes, *, avatar: IConchUser) -> IProtocol | None: ...


@implementer(IConchUser)
class ConchUser:
    """
    A user who may open what is in his tables, and nothing else.

    Global requests go to methods: C{global_} with the request's name behind
    it, and C{_} for what is not a letter or a digit.

    @ivar channelLookup: channel types (bytes), and what makes the channel.
    @ivar subsystemLookup: names of subsystems (bytes), and what makes the
        protocol, or the coroutine function that it is.
    @ivar conn: the user's connection.
    """

    conn: SSHConnection | None = None

    def __init__(self) -> None:
        self.channelLookup: dict[bytes, ChannelFactory] = {}
        self.subsystemLookup: dict[bytes, SubsystemFactory | CoroutineFunction] = {}

    def lookupChannel(self, channelType: bytes, windowSize: int, maxPacket: int, data: bytes) -> SSHChannel:
        """
        Make a channel that the user opens.

        @raise ConchError: there is none of this type, with the reason
            C{OPEN_UNKNOWN_CHANNEL_TYPE}.
        """
        factory = self.channelLookup.get(channelType)
        channel = (
            factory(remoteWindow=windowSize, remoteMaxPacket=maxPacket, data=data, avatar=self)
            if factory is not None
            else None
        )
        if channel is None:
            raise ConchError("unknown channel", OPEN_UNKNOWN_CHANNEL_TYPE)
        return channel

    def lookupSubsystem(self, subsystem: bytes, data: bytes) -> IProtocol | None:
        """
        Make the protocol of a subsystem; L{None} if there is none of this
        name.
        """
        factory = self.subsystemLookup.get(subsystem)
        if iscoroutinefunction(factory):
            return CoroutineProgram(cast(CoroutineFunction, factory), subsystem)
        return None if factory is None else cast("SubsystemFactory", factory)(data, avatar=self)

    def gotGlobalRequest(self, requestType: bytes, data: bytes) -> object:
        """
        Hand a global request to its method; without one it is refused.
        """
        method = methodFor(self, "global_", requestType)
        return False if method is None else method(data)


class SessionUser(ConchUser):
    """
    A user who may open sessions, and what runs in them a function says.
    """

    def __init__(self, openSession: Callable[[], ISession]) -> None:
        """
        @param openSession: is called for each session; it may return a
            L{conchlite.ssh.processes.ProcessSession} or
            L{conchlite.ssh.programs.ProgramSession}.
        """
        super().__init__()
        self._openSession = openSession
        self.channelLookup[b"session"] = SSHSession

    def __conform__(self, interface: InterfaceClass) -> ISession | None:
        return self._openSession() if interface is ISession else None
