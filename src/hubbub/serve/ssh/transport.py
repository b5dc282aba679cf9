"""The transports below and above asyncssh: it writes packets to a peer's connection, and channels write to it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import asyncssh

from hubbub.serve.sockets.connection import Connection
from hubbub.serve.sockets.peer_socket import ConnectionState

AT_ONCE = 16 * 1024  # bytes of packets that are gathered at most before they are written


class PacketTransport(asyncio.Transport):
    """Takes the packets of one peer, and writes those of one iteration of the event loop together.

    Args:
        connection: the peer's connection.
        loop: the running event loop.
        owner: the object that asyncssh's connection shows as its extra information "peer".

    """

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop, owner: object) -> None:
        super().__init__()
        self.sent = 0  # bytes of all packets so far
        self.on_write: Callable[[], None] | None = None  # called after each packet
        self._connection = connection
        self._loop = loop
        self._owner = owner
        self._packets: list[bytes] = []
        self._size = 0  # bytes in _packets

    def write(self, data: Any) -> None:
        """Gather a packet; it is written in this iteration of the event loop, or once AT_ONCE bytes are there."""
        if not self._packets:
            self._loop.call_soon(self.flush)
        self._packets.append(data)
        self.sent += len(data)
        self._size += len(data)
        if self._size >= AT_ONCE:
            self.flush()
        if self.on_write:
            self.on_write()

    def flush(self) -> None:
        """Write the packets that were gathered."""
        data = b"".join(self._packets)
        self._packets.clear()
        self._size = 0
        if data:
            self._connection.write(data)

    @property
    def buffered(self) -> int:
        """Bytes that the peer's socket has not taken yet."""
        return self._size + self._connection.transport.get_write_buffer_size()

    def abort(self) -> None:
        """Write the last packets, such as the reason of the end, and close the connection."""
        self.flush()
        self._connection.finish()

    def close(self) -> None:
        """Write the last packets, and close the connection."""
        self.abort()

    def is_closing(self) -> bool:
        """Return whether nothing more is written."""
        return self._connection.state is not ConnectionState.OPEN

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the peer's address, the owner of the transport, or a fact about the connection."""
        if name == "peername":
            return self._connection.peer
        if name == "peer":
            return self._owner
        return self._connection.transport.get_extra_info(name, default)


class ChannelTransport(asyncio.Transport):
    """The transport of a connection that runs through a channel.

    Args:
        channel: the channel.
        packets: takes the packets of the peer.
        hold: called when asyncssh keeps what was written, because the peer exchanges keys.

    """

    def __init__(
        self, channel: asyncssh.SSHServerChannel[bytes], packets: PacketTransport, hold: Callable[[], None]
    ) -> None:
        super().__init__()
        self.status = 0  # the exit status with which the channel ends
        self._channel = channel
        self._packets = packets
        self._hold = hold

    def write(self, data: Any) -> None:
        """Write bytes to the channel. They are discarded if it is closing."""
        self._write(self._channel.write, data)

    def write_error(self, data: bytes) -> None:
        """Write bytes to the standard error output of the peer. They are discarded if the channel is closing."""
        self._write(self._channel.write_stderr, data)

    def _write(self, write: Callable[[bytes], None], data: bytes) -> None:
        before = self._packets.sent
        with contextlib.suppress(OSError):  # the channel is closing
            write(data)
            if data and self._packets.sent == before and not self._channel.get_write_buffer_size():
                self._hold()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the numbers of buffered bytes at which the writer is paused, and goes on."""
        self._channel.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait for the peer."""
        return self._channel.get_write_buffer_size() + self._packets.buffered

    def pause_reading(self) -> None:
        """Take no more input; the peer can send as much as its window has room for."""
        self._channel.pause_reading()

    def resume_reading(self) -> None:
        """Take input again; the peer's window grows with it."""
        self._channel.resume_reading()

    def can_write_eof(self) -> bool:
        """Return False: the end of the output comes with the exit status, and closes the channel."""
        return False

    def is_closing(self) -> bool:
        """Return whether nothing more is written."""
        return self._channel.is_closing()

    def close(self) -> None:
        """Send the exit status behind all output, and close the channel."""
        self._channel.exit(self.status)

    def abort(self) -> None:
        """Close the channel; bytes that the peer has not taken are lost."""
        self._channel.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return a fact about the peer's connection."""
        return self._channel.get_extra_info(name, default)
