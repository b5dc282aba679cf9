"""Bytes to a peer: what its socket takes goes there at once, the rest through the transport.

Most of the server's time is spent here and in the loop of `core.delivery` that calls `send`. The socket's own
`send` takes a fifth less CPU time than the transport's `write`, which does the same after some bookkeeping.
"""

from __future__ import annotations

import asyncio
import socket

from hubbub.core.model import Send


def _nothing(data: bytes) -> int:
    return 0


class SocketWriter:
    """The core's Sink, over a socket and its transport.

    The transport must be told to say pause as soon as anything is left with it: then whoever writes stops, and what a
    peer that does not read can hold is one write.
    """

    __slots__ = ("_has_buffered", "send", "transport")

    transport: asyncio.Transport

    def __init__(self, sock: socket.socket | None) -> None:
        """Begin; `sock` is None if what is written must pass through the transport (TLS)."""
        self.send: Send = sock.send if sock else _nothing
        self._has_buffered = False  # the transport holds bytes: what is written now belongs behind them

    def write(self, data: bytes) -> None:
        """Write bytes, unless it is too late."""
        sent = 0
        if not self._has_buffered:
            try:
                sent = self.send(data)
            except OSError:
                pass
        if sent != len(data):
            self.write_rest(data, sent)

    def write_rest(self, data: bytes, sent: int) -> None:
        """Keep what the socket did not take; if it is broken, the transport finds that out here, and says so."""
        if not self.transport.is_closing():
            self.transport.write(data[sent:])
            self._has_buffered = self.transport.get_write_buffer_size() > 0

    def stop(self) -> None:
        """Write nothing from now on."""
        self.send = len
        self._has_buffered = False

    def start(self, high: int) -> None:
        """Let the transport, which others have written to, say pause as it must; at `high` bytes if it encrypts."""
        self.transport.set_write_buffer_limits(high if self.send is _nothing else 0, 0)
        self._has_buffered = self.transport.get_write_buffer_size() > 0
