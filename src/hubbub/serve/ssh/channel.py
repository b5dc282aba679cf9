"""A channel of an ssh client: a session with lines, a terminal or one command.

A channel has a connection of its own, which is read, paused and ended like one to a socket. So any client of a
connection can be its other end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import asyncssh
from msgspec import Struct

from hubbub.serve.sockets.connection import ClientProtocol, Connection, Shared
from hubbub.serve.sockets.peer_socket import ConnectionState
from hubbub.serve.ssh.authentication.identity import SshIdentity
from hubbub.serve.ssh.channel_connection import ChannelConnection
from hubbub.serve.ssh.command_line import LINE_BYTES
from hubbub.serve.ssh.frames import FrameClock
from hubbub.serve.ssh.transport import ChannelTransport, PacketTransport
from hubbub.text.cleaning import SHOWN, clean

LEAST, MOST = 20, 500  # columns and rows of a window
DEFAULT = (80, 24)  # columns and rows, if the client does not know them


class Window(Struct):
    """The terminal of a channel: its type, as TERM names it, and its size."""

    type: str
    columns: int
    rows: int

    def resize(self, columns: int, rows: int) -> None:
        """Set the size, within bounds; 0 stands for a number that the client does not know."""
        self.columns = min(max(columns, LEAST), MOST) if columns else DEFAULT[0]
        self.rows = min(max(rows, LEAST // 4), MOST) if rows else DEFAULT[1]


class ChannelClient(ClientProtocol, Protocol):
    """The client at the other end of a channel."""

    def resized(self) -> None:
        """Note that the channel's window has another size."""
        ...

    def signalled(self, name: str) -> None:
        """Note a signal from the peer, such as INT."""
        ...


class ChannelOwner(Protocol):
    """The peer of a channel."""

    connection: Connection
    packets: PacketTransport
    channels: dict[SshChannel, None]

    @property
    def identity(self) -> SshIdentity:
        """The account, the key and the name of the peer."""
        ...

    @property
    def is_paused(self) -> bool:
        """Whether the peer does not read."""
        ...

    @property
    def is_ending(self) -> bool:
        """Whether nothing more is begun for the peer: the server is stopping, or the login is void."""
        ...

    def hold(self, channel: SshChannel) -> None:
        """Let a channel write no more until a packet is written."""
        ...

    def channel_closed(self, channel: SshChannel) -> None:
        """Forget a channel that is closed."""
        ...


class Shapes(NamedTuple):
    """The kinds of channels: each makes the client for a channel that asks for it; None if that kind is refused."""

    lines: Callable[[SshChannel], ChannelClient]
    terminal: Callable[[SshChannel], ChannelClient] | None = None
    command: Callable[[SshChannel], ChannelClient] | None = None


class SshChannel(asyncssh.SSHServerSession[bytes]):
    """One channel. asyncssh calls it; its methods have the names that asyncssh gives them.

    Args:
        peer: the peer.
        shared: the state that all connections share.
        shapes: the kinds of channels.
        frames: gives the channel its turns to write.

    """

    def __init__(self, peer: ChannelOwner, shared: Shared, shapes: Shapes, frames: FrameClock) -> None:
        self.peer = peer
        self.window: Window | None = None  # None for a channel without a terminal
        self.command: str | None = None  # that the peer asks for; None for a session
        self.connection: ChannelConnection | None = None  # once the session has started
        self._shared = shared
        self._shapes = shapes
        self._frames = frames
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None  # once it is open
        self._transport: ChannelTransport
        self._client: ChannelClient
        # Why nothing may be written: the client's window ("window") or its socket ("peer") is full, or keys are
        # exchanged ("keys").
        self._blocked: set[str] = set()

    # --- for the client -------------------------------------------------------------------------------------------

    @property
    def is_live(self) -> bool:
        """Whether the session has begun and has not ended; the peer may keep a channel open that has none."""
        return self.connection is not None and self.connection.state is ConnectionState.OPEN

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment variables that the peer has set, cleaned."""
        found = self._channel.get_environment() if self._channel else {}
        return {clean(name[:SHOWN]): clean(value[:SHOWN]) for name, value in found.items()}

    @property
    def environment_size(self) -> int:
        """Bytes of the environment variables."""
        found = self._channel.get_environment_bytes() if self._channel else {}
        return sum(len(name) + len(value) for name, value in found.items())

    def write_error(self, data: bytes) -> None:
        """Write to the standard error output of the peer."""
        self._transport.write_error(data)

    def hang_up(self) -> None:
        """End the client as on the signal HUP, if it has begun."""
        if self.connection:
            self._client.signalled("HUP")

    def set_status(self, status: int) -> None:
        """Set the exit status with which the channel ends: 0 until then."""
        self._transport.status = status

    # --- asyncssh's calls: the requests of the peer ---------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """Note the channel of asyncssh; the client begins with `session_started`."""
        self._channel = chan

    def pty_requested(
        self, term_type: str, term_size: tuple[int, int, int, int], term_modes: Mapping[int, int]
    ) -> bool:
        """Return whether the peer gets a terminal: one of its channels may have one."""
        if self._shapes.terminal is None or any(channel.window for channel in self.peer.channels):
            return False
        self.window = Window(clean(term_type[:SHOWN]), *DEFAULT)
        self.window.resize(term_size[0], term_size[1])
        return True

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """Note another size of the window."""
        if self.window:
            self.window.resize(width, height)
            if self.connection:
                self._client.resized()

    def shell_requested(self) -> bool:
        """Return whether the peer gets a session in the chat, which is no shell."""
        return not self.peer.is_ending

    def exec_requested(self, command: str) -> bool:
        """Return whether the peer may run a command of the chat."""
        if self._shapes.command is None or self.peer.is_ending:
            return False
        self.command = command[: LINE_BYTES + 1]  # a longer one is refused with a sentence
        return True

    def session_started(self) -> None:
        """Start the client that the peer has asked for."""
        shapes = self._shapes
        shape = shapes.lines
        if self.command is not None and shapes.command:
            shape = shapes.command
        elif self.window and shapes.terminal:
            shape = shapes.terminal
        self._client = shape(self)
        connection = self.connection = ChannelConnection(self._shared, self._client, self._frames, lambda _: None)
        outer = self.peer.connection
        connection.peer, connection.origin = outer.peer, outer.origin
        connection.share_rate(outer)
        assert self._channel
        self._transport = ChannelTransport(self._channel, self.peer.packets, lambda: self.peer.hold(self))
        connection.connection_made(self._transport)
        if self.peer.is_paused:
            self.block("peer")

    def signal_received(self, signal: str) -> None:
        """Pass the name of a signal on, cleaned."""
        if self.connection:
            self._client.signalled(clean(signal[:SHOWN]))

    # --- asyncssh's calls: bytes ----------------------------------------------------------------------------------

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Pass input on, in pieces that fit into the buffer for reads."""
        connection = self.connection
        if connection is None:
            return
        buffer = connection.get_buffer(-1)
        for at in range(0, len(data), len(buffer)):
            piece = data[at : at + len(buffer)]
            buffer[: len(piece)] = piece
            connection.buffer_updated(len(piece))

    def eof_received(self) -> bool:
        """Pass the end of the input on; return True, because output may follow."""
        if self.connection:
            self.connection.eof_received()
        return True

    def pause_writing(self) -> None:
        """Let nothing more be written: the client's window is full."""
        self.block("window")

    def resume_writing(self) -> None:
        """Go on: the client's window has room."""
        self.unblock("window")

    def connection_lost(self, exc: Exception | None) -> None:
        """End the client: the channel is closed."""
        if self.connection:
            self.connection.connection_lost(exc)
        self.peer.channel_closed(self)

    def block(self, reason: str) -> None:
        """Let nothing more be written for a reason."""
        was_free = not self._blocked
        self._blocked.add(reason)
        if was_free and self.connection:
            self.connection.pause_writing()

    def unblock(self, reason: str) -> None:
        """Let a reason hold no more; without another one, writing goes on."""
        if reason in self._blocked:
            self._blocked.discard(reason)
            if not self._blocked and self.connection:
                self.connection.resume_writing()
