"""A peer's socket: whether it is read, the orderly close and the abrupt one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from msgspec import Struct, field

from hubbub.config import Settings
from hubbub.model.rates.budget import Budget
from hubbub.serve.sockets.socket_writer import SocketWriter
from hubbub.serve.sockets.timer_wheel import TimerWheel

# Bytes per read. A connection whose input is held back keeps at most this much in memory.
READ = 16 * 1024
LINGER = 10.0  # seconds that the peer has to receive the last bytes and to close
RESET = b"\x07"  # TCP_CLOSE, the first byte of Linux's tcp_info


class ConnectionState(Enum):
    """The phases of a connection's life, in order. A connection never returns to an earlier one."""

    OPEN = auto()
    CLOSING = auto()  # the last bytes are being sent, further input is discarded
    CLOSED = auto()


class SharedParts(Struct, eq=False):
    """The parts of a server that the sockets of all peers use."""

    loop: asyncio.AbstractEventLoop
    settings: Settings
    clock: Callable[[], float]  # monotonic seconds
    deadlines: TimerWheel
    # Per address; this default has no limits.
    budget: Budget = field(default_factory=lambda: Budget(lambda: 0.0))
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(READ)))


class PeerSocket(SocketWriter):
    """One peer's socket.

    Args:
        shared: the parts that all sockets use.
        sock: the transport's socket; None if output must pass through the transport (TLS).

    """

    __slots__ = ("_eof", "_last_call", "_lost_at", "_reading", "_shared", "_sock", "slot", "state")

    def __init__(self, shared: SharedParts, sock: socket.socket | None) -> None:
        super().__init__(sock)
        self.state = ConnectionState.OPEN
        self.slot = 0
        self._shared = shared
        self._sock = sock
        self._reading = True
        self._eof = False  # the peer has closed its side
        self._lost_at = 0.0  # time at which the transport closed with input unprocessed; 0: open
        self._last_call = False  # the server is stopping: nothing more is read

    def on_timer(self) -> None:
        """Enforce the deadline that has passed."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Release everything that is held for the peer: nothing can be written or processed any more."""
        self.state = ConnectionState.CLOSED
        self._shared.deadlines.clear(self)

    @property
    def socket(self) -> Any:
        """The transport's socket, for reading and setting socket options."""
        return self._sock or self.transport.get_extra_info("socket")

    @property
    def encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return self._sock is None

    @property
    def is_lost(self) -> bool:
        """Whether the peer is gone and its last lines are still being processed."""
        return self._lost_at > 0

    @property
    def is_reset(self) -> bool:
        """Whether the peer has reset the connection. The kernel reports this even while the socket is not read.

        Always False on systems without TCP_INFO.
        """
        with contextlib.suppress(OSError, AttributeError):
            return bool(self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == RESET)
        return False

    def _read(self, wanted: bool) -> None:
        """Start or stop reading from the socket."""
        settled = self._eof or self._last_call or self.transport.is_closing()
        if wanted is not self._reading and not settled:
            self._reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def finish(self, farewell: bytes = b"") -> None:
        """Write the last bytes, and close the connection once the peer has received them, within LINGER seconds.

        A FIN is sent first. Closing a socket with unread input at once would reset the connection, and the peer would
        lose the last bytes.
        """
        if self.state is not ConnectionState.OPEN:
            return
        self.write(farewell)
        if self._lost_at:
            self._forget()
            return
        self.state = ConnectionState.CLOSING
        self.stop()  # nothing is written after a FIN
        if self.transport.is_closing():
            return  # a write found the socket broken: the loop will call connection_lost
        if not self._reading and not self._eof:
            self.transport.resume_reading()
        if self._eof or not self.transport.can_write_eof():
            self.transport.close()
        else:
            with contextlib.suppress(OSError):  # the peer has reset the connection: the loop will call connection_lost
                self.transport.write_eof()
        self._shared.deadlines.set(self, LINGER)

    def abort(self) -> None:
        """Close at once. Unsent output and unprocessed input are lost."""
        if self._lost_at:
            self._forget()
        elif self.state is not ConnectionState.CLOSED:
            self.state = ConnectionState.CLOSING
            self.transport.abort()

    def _give_up(self) -> None:
        """Close at once with a reset. After a normal close, the kernel would keep the unsent bytes for minutes."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()
