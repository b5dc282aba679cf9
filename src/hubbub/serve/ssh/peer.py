"""The connection of an ssh client: its packets between the socket and asyncssh, its deadlines, its channels."""

from __future__ import annotations

import logging
from time import thread_time

import asyncssh

from hubbub.model.accounts.account import Account
from hubbub.serve.accept.dispatcher import Caller
from hubbub.serve.sockets.connection import STOPPING, TICK, Connection
from hubbub.serve.ssh.authentication.identity import SshIdentity
from hubbub.serve.ssh.authentication.login import SshLogin
from hubbub.serve.ssh.channel import SshChannel
from hubbub.serve.ssh.parts import SshParts
from hubbub.serve.ssh.transport import PacketTransport

log = logging.getLogger("hubbub")

LOGIN_SECONDS = 120.0  # that a login may take: somebody compares a fingerprint, and types a passphrase
# Bytes after which a client has begun its key exchange; before that it has `name_timeout` seconds.
BEGUN = 256
# Bytes that count as a line for the rate limits: they may be forty packets, which cost as much CPU as a message.
LINE_BYTES = 2048
# Seconds of CPU that count as a line: a client that is logged in may exchange keys over and over, with few bytes.
LINE_SECONDS = 0.001
LOGIN_BYTES = 64 * 1024  # that a client may send until it is logged in
IDLE_SECONDS = 60.0  # for which a connection may have no channel
CHANNELS = 4
ENVIRONMENT = 16 * 1024  # bytes of the environment variables of all channels together


class SshPeer:
    """Passes a client's packets to asyncssh, and asyncssh's packets to the client.

    Args:
        parts: the parts that all peers use.
        caller: the peer.

    """

    is_idle = True  # never asked: it has no items

    def __init__(self, parts: SshParts, caller: Caller) -> None:
        self.channels: dict[SshChannel, None] = {}
        self.packets: PacketTransport
        self.login: SshLogin | None = None  # once asyncssh has the connection
        self.connection: Connection
        self._parts = parts
        self._since = caller.since
        self._prompted = caller.prompted
        self._stream: asyncssh.SSHTCPSession[bytes] | None = None  # asyncssh's end; None while the peer waits
        self._data = b""  # input that asyncssh has not had
        self._received = 0  # bytes that it has had
        self._has_turn = False
        self._is_in = False  # the peer is logged in
        self._paused = False  # the peer does not read
        self._ending = False  # no more channels are opened: the server is stopping, or the login is void
        self._empty_since = 0.0  # time since which there is no session

    # --- the queue's calls ----------------------------------------------------------------------------------------

    @property
    def origin(self) -> str:
        """The address under which the peer is counted."""
        return self.connection.origin

    def start(self) -> None:
        """Send the server's version, behind the end of the line in which the prompt for a name stands if it was sent.

        Clients pass over the lines before the version (RFC 4253, 4.2).
        """
        if self._prompted:
            self.connection.write(b"\r\n")
        self.packets = PacketTransport(self.connection, self._parts.loop, self)
        self._stream = self._parts.door.open(self.packets)
        self.connection.resume_input()

    def take_turn(self) -> None:
        """Process one read of input."""
        self._has_turn = True
        self.connection.resume_input()

    # --- the connection's calls -----------------------------------------------------------------------------------

    @property
    def wire_name(self) -> str:
        """The name under which the stats count the connection; "" if they count its channels."""
        return "" if self.channels else "arriving"

    def begin(self, connection: Connection) -> None:
        """Wait until the login may begin."""
        self.connection = connection
        self._since = self._since or connection.heard_at
        self._parts.queue.enter(self)

    def feed(self, data: bytes) -> None:
        """Keep received bytes until `next_item`."""
        self._data += data

    def ready(self) -> bool:
        """Return whether asyncssh may have more input.

        It may not while the peer does not read: asyncssh would answer, and the answers would pile up.
        """
        if self._stream is None or self._paused:
            return False
        if not (self._is_in or self._has_turn):
            self._parts.queue.ask(self)
            return False
        return True

    def next_item(self) -> None:
        """Pass the input on to asyncssh. There is never an item: channels have items."""
        data, self._data = self._data, b""
        self._has_turn = False
        self._received += len(data)
        if not data or self._stream is None:
            return
        was_in, began = self._is_in, thread_time()
        self._stream.data_received(data, None)
        if was_in:  # until then, the turns bound what it costs
            self.connection.charge(max(len(data) / LINE_BYTES, (thread_time() - began) / LINE_SECONDS))
        if not self._is_in and self._received > LOGIN_BYTES:
            self._disconnect("Too much was sent before the login")
        elif self.channels and self._environment > ENVIRONMENT:
            self._disconnect("Too many environment variables")

    @property
    def _environment(self) -> int:
        """Bytes of the environment variables."""
        return sum(channel.environment_size for channel in self.channels)

    def handle(self, item: object) -> None:
        """Do nothing: `next_item` never returns an item."""

    def ended(self) -> bool:
        """End the connection: the peer has closed its side."""
        if self._stream is None:
            self.connection.finish()
        else:
            self._stream.connection_lost(None)
        return True

    def connection_lost(self) -> None:
        """Let asyncssh end all channels."""
        self._parts.queue.leave(self)
        if self._stream is not None:
            self._stream.connection_lost(None)

    def pause(self) -> None:
        """Let the channels write no more: the peer does not read."""
        self._paused = True
        for channel in list(self.channels):
            channel.block("peer")

    def resume(self) -> None:
        """Go on: the peer reads again."""
        self._paused = False
        for channel in list(self.channels):
            channel.unblock("peer")
        self.connection.resume_input()

    @property
    def is_paused(self) -> bool:
        """Whether the peer does not read."""
        return self._paused

    @property
    def is_ending(self) -> bool:
        """Whether nothing more is begun for the peer: the server is stopping, or the login is void."""
        return self._ending

    @property
    def _has_begun(self) -> bool:
        """Whether a session has begun in an open channel: a peer may open channels and ask for nothing in them."""
        return any(channel.connection for channel in self.channels)

    def hold(self, channel: SshChannel) -> None:
        """Let a channel write no more until a packet is written: asyncssh keeps its output during a key exchange."""
        channel.block("keys")
        self.packets.on_write = self._release_soon

    def _release_soon(self) -> None:
        """Let the channels go on when asyncssh has sent all that it kept: it would send what they write before that."""
        self.packets.on_write = None
        self._parts.loop.call_soon(self._release)

    def _release(self) -> None:
        for channel in list(self.channels):
            channel.unblock("keys")

    def shut_down(self) -> None:
        """Close once all channels are closed; the server tells their clients apart that it is stopping.

        The peer confirms the end of each channel, so its packets are still read.
        """
        self._ending = True
        self.connection.read_on()
        if not self._has_begun:
            self._disconnect(STOPPING)

    def ask_sign_of_life(self) -> bool:
        """Send nothing and return False: the kernel's probe tells enough."""
        return False

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Disconnect a peer whose login takes too long, or that has no session. Return seconds until the next check."""
        if not self._is_in:
            most = LOGIN_SECONDS if self._received >= BEGUN else self._parts.settings.name_timeout
            left = self._since + most - now
            if left <= 0:
                self._disconnect("The login took too long")
            return left
        if any(channel.is_live for channel in self.channels):
            self._empty_since = 0.0
            return TICK
        self._empty_since = self._empty_since or now
        left = self._empty_since + IDLE_SECONDS - now
        if left <= 0:
            self._disconnect("Nothing was asked for")
        return left

    def _disconnect(self, reason: str) -> None:
        """Tell the client why, and close."""
        if self.login is None:
            self.connection.finish()
        else:
            self.login.connection.disconnect(asyncssh.DISC_BY_APPLICATION, reason)

    # --- the login's calls ----------------------------------------------------------------------------------------

    def logged_in(self) -> None:
        """Let the peer in: its login is complete, and it may open channels. Its place in the queue is free."""
        assert self.login
        self._is_in = True
        self._parts.queue.leave(self)
        log.info("%s has logged in over ssh (%s)", self.connection.peer, self.login.description)
        self.connection.on_timer()

    def account_changed(self, account: Account, now: float) -> None:
        """Follow an account: end if it is the peer's and is closed, or has the peer's key no more.

        A guest whose key it has now is its owner: that one has just registered, or joined the key to the account.

        Args:
            account: the changed account.
            now: epoch seconds.

        """
        if not self._is_in:
            return
        identity = self.identity
        before, fingerprint = identity.account, identity.key.fingerprint if identity.key else ""
        has_key = account.has_ssh_key(fingerprint)
        if before is None and has_key and account.is_open(now):
            identity.account = account
        elif before is None or before.id != account.id:
            return
        elif not account.is_open(now):
            self._hang_up(sessions=False)
        elif account.valid_from > before.valid_from and not (has_key or identity.vouched):
            self._hang_up(sessions=False)
        elif before.has_ssh_key(fingerprint) and not has_key:
            self._hang_up(sessions=True)
        else:
            identity.account = account

    def _hang_up(self, sessions: bool) -> None:
        """End the commands, open no more channels, and close when all channels are closed.

        Args:
            sessions: whether the sessions end, too. If not, the hub ends those that must end: the one in which the
                owner of an account changes the password stays.

        """
        self._ending = True
        for channel in list(self.channels):
            if sessions or channel.command is not None:
                channel.hang_up()
        if not self._has_begun:
            self._disconnect("Log in again")

    @property
    def identity(self) -> SshIdentity:
        """The account, the key and the name of the peer. Only after `connection_made` of the login."""
        assert self.login
        return self.login.identity

    def new_channel(self) -> SshChannel | None:
        """Return a new channel; None if there are enough, or the server is stopping."""
        if len(self.channels) >= CHANNELS or self._ending:
            return None
        channel = SshChannel(self, self._parts.shared, self._parts.shapes, self._parts.frames)
        self.channels[channel] = None
        return channel

    def channel_closed(self, channel: SshChannel) -> None:
        """Forget a channel that is closed."""
        self.channels.pop(channel, None)
        if not self._has_begun:
            if self._ending:
                self._disconnect("All is closed")
            self.connection.on_timer()
