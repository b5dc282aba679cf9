"""Output to a peer: directly to its socket, and through the transport for the bytes that the socket does not accept.

The server spends most of its CPU time here and in the loop of `core.delivery` that calls `send`. The socket's own
`send` needs a fifth less CPU time than the transport's `write`, which does the same after some bookkeeping.
"""

from __future__ import annotations

import asyncio
import socket

from hubbub.model.client import Send


def _nothing(data: bytes) -> int:
    return 0


class SocketWriter:
    """Implements the core's Sink with a socket and its transport.

    The transport is configured to pause the writer as soon as it buffers anything. So a peer that does not read holds
    at most one write in memory.
    """

    __slots__ = ("_has_buffered", "send", "transport")

    transport: asyncio.Transport

    def __init__(self, sock: socket.socket | None) -> None:
        """Create a writer that cannot be used before `start`.

        Args:
            sock: the socket; None if output must pass through the transport (TLS).

        """
        self.send: Send = sock.send if sock else _nothing
        self._has_buffered = False  # the transport buffers bytes: later output must queue behind them

    def write(self, data: bytes) -> None:
        """Write bytes. They are discarded if the connection is broken or closing."""
        sent = 0
        if not self._has_buffered:
            try:
                sent = self.send(data)
            except OSError:
                pass
        if sent != len(data):
            self.write_rest(data, sent)

    def write_rest(self, data: bytes, sent: int) -> None:
        """Pass the bytes from index `sent` on to the transport, because the socket did not accept them.

        If the socket is broken, the transport notices here and closes the connection.
        """
        if not self.transport.is_closing():
            self.transport.write(data[sent:])
            self._has_buffered = self.transport.get_write_buffer_size() > 0

    def stop(self) -> None:
        """Discard all output from now on."""
        self.send = len
        self._has_buffered = False

    def start(self, high: int) -> None:
        """Set the transport's buffer limits, and note whether it buffers bytes already.

        Args:
            high: bytes that a TLS transport may buffer before it pauses the writer; a plain one pauses at once.

        """
        self.transport.set_write_buffer_limits(high if self.send is _nothing else 0, 0)
        self._has_buffered = self.transport.get_write_buffer_size() > 0
