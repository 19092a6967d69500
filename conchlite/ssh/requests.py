"""
Requests and their replies, on channels and for the whole connection: RFC 4254
sections 4 and 5.4.

Replies carry no name: they answer the requests in their order. Ours wait in
lists; the peer's are answered in their order in whatever order the program
decides about them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, cast

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from conchlite.error import (
    ChannelClosed,
    ChannelRequestFailed,
    ConchError,
    GlobalRequestFailed,
    MalformedMessage,
    UnexpectedMessage,
    UsageError,
)
from conchlite.sansio.channels import (
    DEAF,
    ChannelState,
    RemoteChannel,
    Reply,
    ReplyQueue,
    methodFor,
)
from conchlite.sansio.windows import ReceiveWindows
from conchlite.ssh.channel import SSHChannel
from conchlite.ssh.common import Text, asBytes
from conchlite.ssh.service import SSHService
from conchlite.wire import connection, numbers
from conchlite.wire.types import packBoolean, packString, packUInt32


class Requests(SSHService):
    """
    The lower half of L{conchlite.ssh.connection.SSHConnection}: its table of
    channels, and the requests.

    @cvar maxGlobalRequests: the most global requests of the peer that may wait
        for a reply.
    @ivar channels: the channels by our numbers, those that are opening
        included.
    """

    _log = Logger()

    maxGlobalRequests = 64

    protocolMessages: ClassVar[Mapping[int, str]] = {
        number: numbers.messageName(number)
        for number in (
            numbers.MSG_USERAUTH_REQUEST,
            *range(numbers.MSG_GLOBAL_REQUEST, numbers.MSG_REQUEST_FAILURE + 1),
            *range(numbers.MSG_CHANNEL_OPEN, numbers.MSG_CHANNEL_FAILURE + 1),
        )
    }

    def __init__(self) -> None:
        self.channels: dict[int, SSHChannel] = {}
        # Our requests that wait for replies, and the peer's global ones.
        self._requests: dict[int | str, list[Deferred[str]]] = {}
        self._globalRequests: list[Deferred[bytes]] = []
        self._globalReplies: ReplyQueue[tuple[int, bytes]] = ReplyQueue(self.maxGlobalRequests)
        # Why the service has stopped.
        self._stopped: ConchError | None = None
        # They begin with the first channel.
        self._windows: ReceiveWindows | None = None

    @property
    def deferreds(self) -> Mapping[int | str, Sequence[Deferred[str] | Deferred[bytes]]]:
        """
        The Deferreds that wait for replies, by the number of their channel;
        those of global requests under C{"global"}.
        """
        return {**self._requests, "global": self._globalRequests}

    @property
    def localToRemoteChannel(self) -> Mapping[int, RemoteChannel]:
        """
        The peer's numbers of the channels by ours.
        """
        return {
            number: channel._machine.remoteChannel
            for number, channel in self.channels.items()
            if channel._machine.remoteChannel is not None
        }

    @property
    def channelsToRemoteChannel(self) -> Mapping[SSHChannel, RemoteChannel]:
        """
        The peer's numbers of the channels.
        """
        return {self.channels[number]: remote for number, remote in self.localToRemoteChannel.items()}

    def _channel(self, recipientChannel: int) -> SSHChannel:
        channel = self.channels.get(recipientChannel)
        if channel is None:
            raise UnexpectedMessage(f"a message for channel {recipientChannel}, which does not exist")
        return channel

    def _sendTo(self, channel: SSHChannel, number: int, rest: bytes = b"") -> None:
        # A message of which only the recipient is the connection's business.
        payload = packUInt32(cast(int, channel._machine.remoteChannel)) + rest
        if channel._machine.corked is not None:
            channel._machine.corked.append((number, payload))
        else:
            self.transport.sendPacket(number, payload)

    def _asked(self, question: object) -> None:
        # How long the peer takes to answer tells how far away it is.
        if self._windows is not None:
            self._windows.asked(question)

    def _answered(self, question: object) -> None:
        if self._windows is not None:
            self._windows.answered(question)

    def _forget(self, question: object) -> None:
        if self._windows is not None:
            self._windows.forget(question)

    # Requests on a channel.

    def sendRequest(
        self, channel: SSHChannel, requestType: Text, data: bytes, wantReply: bool | int = False
    ) -> Deferred[str] | None:
        """
        Send a request on a channel.

        @param requestType: the request's name.
        @param data: what belongs to it.
        @param wantReply: whether the peer is to answer.
        @return: L{None} without C{wantReply}, and if our side of the channel is
            closed. Else a Deferred that fires with C{""} if the peer agrees. It
            fails with L{conchlite.error.ChannelRequestFailed} if it refuses,
            with L{conchlite.error.ChannelClosed} if the channel closes first,
            and with what ended the connection. To cancel it makes the reply
            go unseen.
        @raise UsageError: the channel is not open yet.
        """
        life = channel._machine.life
        if life.state is ChannelState.OPENING:
            raise UsageError(f"{channel} is not open yet")
        if channel.localClosed:
            return None
        # A peer that has closed answers nothing more.
        if not life.maySend(numbers.MSG_CHANNEL_REQUEST) or (
            wantReply and life.state is ChannelState.CLOSE_RECEIVED
        ):
            return fail(ChannelClosed("Channel closed.")) if wantReply else None
        deferred: Deferred[str] | None = None
        if wantReply:
            deferred = Deferred()
            self._requests.setdefault(cast(int, channel.id), []).append(deferred)
        self._sendTo(
            channel,
            numbers.MSG_CHANNEL_REQUEST,
            packString(asBytes(requestType)) + packBoolean(bool(wantReply)) + data,
        )
        if deferred is not None:
            self._asked(deferred)
        return deferred

    def ssh_CHANNEL_SUCCESS(self, packet: bytes) -> None:
        """
        RFC 4254 section 5.4: a request of ours succeeded.
        """
        message = connection.ChannelSuccess.unpack(packet)
        deferred = self._replied(message.recipientChannel, numbers.MSG_CHANNEL_SUCCESS)
        if deferred is not None:
            deferred.callback("")

    def ssh_CHANNEL_FAILURE(self, packet: bytes) -> None:
        """
        RFC 4254 section 5.4: a request of ours was refused.
        """
        message = connection.ChannelFailure.unpack(packet)
        deferred = self._replied(message.recipientChannel, numbers.MSG_CHANNEL_FAILURE)
        if deferred is not None:
            deferred.errback(Failure(ChannelRequestFailed("channel request failed")))

    def _replied(self, recipientChannel: int, number: int) -> Deferred[str] | None:
        channel = self._channel(recipientChannel)
        channel._machine.life.received(number)
        if channel._machine.life.state in DEAF:
            return None
        waiting = self._requests.get(recipientChannel)
        if not waiting:
            raise UnexpectedMessage(f"{numbers.messageName(number)}, but no request waits for it")
        deferred = waiting.pop(0)
        self._answered(deferred)
        return deferred

    def ssh_CHANNEL_REQUEST(self, packet: bytes) -> None:
        """
        RFC 4254 section 5.4: the peer sent a request on a channel.
        """
        message = connection.ChannelRequest.unpack(packet)
        channel = self._channel(message.recipientChannel)
        self._answered(channel)
        channel._machine.life.received(numbers.MSG_CHANNEL_REQUEST)
        if channel._machine.incoming.deaf:
            return
        reply = channel._machine.replies.asked(message.wantReply)
        channel._machine.cork()
        try:
            result = _ask(channel.requestReceived, message.requestType, message.requestData)
            if isinstance(result, Deferred):
                result.addBoth(self._requestDecided, channel, reply)
            else:
                self._requestDecided(result, channel, reply)
        finally:
            channel._machine.uncork()

    def _requestDecided(self, result: object, channel: SSHChannel, reply: Reply[bool] | None) -> None:
        if isinstance(result, Failure) and not result.check(ConchError):
            self._log.failure("a request on {channel} failed", result, channel=str(channel))
        machine = channel._machine
        due = machine.replies.decided(reply, bool(result) and not isinstance(result, Failure))
        if reply is None:
            return
        for success in due:
            if machine.life.maySend(numbers.MSG_CHANNEL_SUCCESS):
                number = cast(int, channel.id)
                if success:
                    self._cbChannelRequest(success, number)
                else:
                    self._ebChannelRequest(Failure(ConchError("failed request")), number)
        machine.progress()

    def _cbChannelRequest(self, result: object, localChannel: int) -> None:
        # Conch's name; programs override it or call it.
        if not result:
            raise ConchError("failed request")
        remote = self.channels[localChannel]._machine.remoteChannel
        self.transport.sendPacket(numbers.MSG_CHANNEL_SUCCESS, packUInt32(cast(int, remote)))

    def _ebChannelRequest(self, result: Failure, localChannel: int) -> None:
        remote = self.channels[localChannel]._machine.remoteChannel
        self.transport.sendPacket(numbers.MSG_CHANNEL_FAILURE, packUInt32(cast(int, remote)))

    # Global requests.

    def sendGlobalRequest(
        self, request: Text, data: bytes, wantReply: bool | int = False
    ) -> Deferred[bytes] | None:
        """
        Send a global request.

        @param request: the request's name.
        @param data: what belongs to it.
        @param wantReply: whether the peer is to answer.
        @return: L{None} without C{wantReply}. Else a Deferred that fires with
            what came with the reply. It fails with
            L{conchlite.error.GlobalRequestFailed} if the peer refuses, and
            with what ended the connection. To cancel it makes the reply go
            unseen.
        """
        if wantReply and self._stopped is not None:
            return fail(self._stopped)
        deferred: Deferred[bytes] | None = None
        if wantReply:
            deferred = Deferred()
            self._globalRequests.append(deferred)
        message = connection.GlobalRequest(asBytes(request), bool(wantReply), data)
        self.transport.sendPacket(numbers.MSG_GLOBAL_REQUEST, message.pack())
        if deferred is not None:
            self._asked(deferred)
        return deferred

    def sendKeepAlive(self) -> None:
        """
        Send the global request that OpenSSH sends for this purpose. Peers that
        do not know it refuse it, which is as good an answer as any.
        """
        answer = self.sendGlobalRequest(b"keepalive@openssh.com", b"", wantReply=True)
        if answer is not None:
            answer.addErrback(_ignoreFailure)

    def ssh_REQUEST_SUCCESS(self, packet: bytes) -> None:
        """
        RFC 4254 section 4: a global request of ours succeeded.
        """
        self._globalReplied(numbers.MSG_REQUEST_SUCCESS).callback(packet)

    def ssh_REQUEST_FAILURE(self, packet: bytes) -> None:
        """
        RFC 4254 section 4: a global request of ours was refused.
        """
        error = GlobalRequestFailed("global request failed", packet)
        self._globalReplied(numbers.MSG_REQUEST_FAILURE).errback(Failure(error))

    def _globalReplied(self, number: int) -> Deferred[bytes]:
        if not self._globalRequests:
            raise UnexpectedMessage(f"{numbers.messageName(number)}, but no request waits for it")
        deferred = self._globalRequests.pop(0)
        self._answered(deferred)
        return deferred

    def ssh_GLOBAL_REQUEST(self, packet: bytes) -> None:
        """
        RFC 4254 section 4: the peer sent a global request.
        """
        message = connection.GlobalRequest.unpack(packet)
        reply = self._globalReplies.asked(message.wantReply)
        result = _ask(self._globalRequest, message.requestName, message.requestData)
        if isinstance(result, Deferred):
            result.addBoth(self._globalDecided, reply)
        else:
            self._globalDecided(result, reply)

    def _globalRequest(self, globalType: bytes, data: bytes) -> object:
        # What the user may not do, no avatar can allow him.
        transport = self.transport
        if not transport.isClient and not transport.permissions.mayRequest(globalType, data):
            return False
        return self.gotGlobalRequest(globalType, data)

    def gotGlobalRequest(self, globalType: bytes, data: bytes) -> object:
        """
        The peer sent a global request: the avatar is asked, or, where there is
        none, the method C{global_} with the name behind it and C{_} for what
        is not a letter or a digit. What is about host keys the transport
        answers, unless there is such a method.

        @return: false to refuse; true to agree; a tuple of a true value and
            the bytes that belong to the reply; or a Deferred of one of these.
            An exception refuses.
        """
        avatar = self.transport.avatar
        method = methodFor(self, "global_", globalType) if avatar is None else None
        method = method or self.transport.globalRequestMethod(globalType)
        if method is not None:
            return method(data)
        return False if avatar is None else avatar.gotGlobalRequest(globalType, data)

    def _globalDecided(self, result: object, reply: Reply[tuple[int, bytes]] | None) -> None:
        answer = (numbers.MSG_REQUEST_FAILURE, b"")
        if isinstance(result, Failure):
            if not result.check(ConchError):
                self._log.failure("a global request failed", result)
        elif isinstance(result, tuple):
            match result:
                case (agreed, bytes(data)):
                    if agreed:
                        answer = (numbers.MSG_REQUEST_SUCCESS, data)
                case _:
                    self._log.error("a global request was answered with {result!r}", result=result)
        elif result:
            answer = (numbers.MSG_REQUEST_SUCCESS, b"")
        for number, data in self._globalReplies.decided(reply, answer):
            if self._stopped is None:
                self.transport.sendPacket(number, data)

    def _failGlobalRequests(self, error: ConchError) -> None:
        waiting, self._globalRequests = self._globalRequests, []
        for deferred in waiting:
            deferred.errback(Failure(error))

    def _failRequests(self, number: int) -> None:
        for deferred in self._requests.pop(number, ()):
            self._forget(deferred)
            deferred.errback(Failure(self._stopped or ChannelClosed("Channel closed.")))


def _ask(callback: Callable[[bytes, bytes], object], name: bytes, data: bytes) -> object:
    # What a request's method returns; an exception becomes a Failure, and the
    # request is refused. Data that cannot be parsed is the peer's fault.
    try:
        return callback(name, data)
    except MalformedMessage:
        raise
    except Exception:  # noqa: BLE001  the caller logs it
        return Failure()


def _ignoreFailure(failure: Failure) -> None:
    """
    A refusal is a sign of life, and of a lost connection others are told.
    """
