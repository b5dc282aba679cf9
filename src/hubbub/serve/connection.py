"""The socket side of a peer: input, output, back-pressure in both directions, deadlines and the orderly close.

The client (serve/line_client.py, serve/echo.py and others) interprets the bytes. The rules of this module:

 1. Input is processed one item at a time, and only when the client is ready and the rate limit allows it. Unprocessed
    input stays where it is and the socket is not read: the bytes of one read wait in the process, the rest waits in
    the kernel. The kernel's bytes of a TLS connection could not be decrypted later, so up to AHEAD more bytes are read.
 2. Output goes directly to the socket (serve/socket_writer.py). The transport buffers the bytes that the socket
    did not accept and pauses the writer until they are sent, so a peer that does not read holds at most one write in
    memory.
 3. Every wait for the peer has a deadline. When it passes, the connection is closed with `transport.abort()`.
 4. Complete lines that have arrived are processed at the normal pace, even if the peer then closes, resets or loses
    the connection. After a FIN the client ends in order. After anything else the connection is dropped, and an
    unfinished last line is discarded.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Protocol, cast

from hubbub.config import Settings
from hubbub.errors import Refused
from hubbub.model.budget import Budget
from hubbub.model.throttle import Throttle
from hubbub.serve.socket_writer import SocketWriter
from hubbub.serve.timer_wheel import TimerWheel

# Bytes per read. A connection whose input is held back keeps at most this much in memory.
READ = 16 * 1024
# Bytes kept in addition to READ: of TLS connections, and of any connection that the peer has closed.
AHEAD = 64 * 1024
AT_ONCE = 256  # items processed in one iteration of the event loop
LINGER = 10.0  # seconds that the peer has to receive the last bytes and to close
TICK = 60.0  # maximum seconds between two checks of a connection's deadlines
RESET = b"\x07"  # TCP_CLOSE, the first byte of Linux's tcp_info
STOPPING = "The server is shutting down"


class ClientProtocol(Protocol):
    """The protocol spoken over a connection. Every method is called on the event loop and must not block."""

    wire_name: str  # name under which the stats count its connections

    def begin(self, connection: Connection) -> None:
        """Start the conversation. Called once the connection has its transport."""
        ...

    def feed(self, data: bytes) -> None:
        """Buffer received bytes until `next_item` returns the items in them."""
        ...

    def next_item(self) -> Any:
        """Return the next complete item of the input, or None if there is none."""
        ...

    def ready(self) -> bool:
        """Return whether the next item may be processed. If not, `Connection.resume_input` is called later."""
        ...

    def handle(self, item: Any) -> None:
        """Process one item that `next_item` returned."""
        ...

    def ended(self) -> bool:
        """End the conversation: the peer has closed its side, and all of its input is processed.

        Return whether the end is complete. If not, `Connection.resume_input` is called later.
        """
        ...

    def connection_lost(self) -> None:
        """Release everything held for the peer. Nothing can be written any more."""
        ...

    def pause(self) -> None:
        """Stop writing because the peer does not read. `resume` follows when it reads again."""
        ...

    def resume(self) -> None:
        """Continue writing: the peer reads again after `pause`."""
        ...

    def shut_down(self) -> None:
        """Tell the peer that the server is stopping, and close."""
        ...

    def ask_sign_of_life(self) -> bool:
        """Send a message that the peer must answer, such as a ping. Return whether an answer is to be expected.

        Protocols without such a message send nothing and return False.
        """
        ...

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Enforce the client's deadlines, and return the seconds until the next check.

        Args:
            now: seconds on the connection's clock.
            quiet: seconds since the last input.

        Returns:
            Seconds until the next check. 0 or less means that the client has ended or is ending; then this method is
            not called again.

        """
        ...


class ConnectionState(Enum):
    """The phases of a connection's life, in order. A connection never returns to an earlier one."""

    OPEN = auto()
    CLOSING = auto()  # the last bytes are being sent, further input is discarded
    CLOSED = auto()


@dataclass(slots=True)
class Shared:
    """The state that all connections of a server share."""

    loop: asyncio.AbstractEventLoop
    settings: Settings
    clock: Callable[[], float]  # monotonic seconds
    deadlines: TimerWheel
    cloak: Callable[[str], str] = lambda address: "hidden"  # the public form of an address
    # Moves a connection from one address's count to another's. Returns the refusal, None if allowed.
    recount: Callable[[str, str], Refused | None] = lambda before, after: None
    budget: Budget = field(default_factory=lambda: Budget(lambda: 0.0))  # per address; this default has no limits
    connections: set[Connection] = field(default_factory=set)
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(READ)))


class Connection(SocketWriter, asyncio.BufferedProtocol):
    """One peer's socket.

    Args:
        shared: the state that all connections share.
        client: the protocol spoken over the connection.
        sock: the transport's socket; None if output must pass through the transport (TLS).
        gone: called once with this connection, when the connection is closed.

    """

    __slots__ = (
        "_ahead", "_arrived", "_eof", "_gone", "_held", "_items", "_last_call", "_lost_at", "_more", "_over",
        "_paused_at", "_paused_size", "_pumping", "_reading", "_shared", "_sock", "_throttle", "_throttled",
        "client", "made", "origin", "peer", "slot", "state",
    )  # fmt: skip

    def __init__(
        self, shared: Shared, client: ClientProtocol, sock: socket.socket | None, gone: Callable[[Connection], None]
    ) -> None:
        super().__init__(sock)
        now = shared.clock()
        self.client = client
        self.state = ConnectionState.OPEN
        # The acceptor sets both: the peer's socket address, and the address under which the peer is counted.
        self.peer: Any = None
        self.origin = ""
        self.slot = 0
        self.made = False
        self._shared = shared
        self._gone = gone
        self._sock = sock
        self._lost_at = 0.0  # time at which the transport closed with input unprocessed; 0: open
        self._ahead = b""  # bytes read but not yet passed to the client
        self._items = 0  # number of items processed
        self._arrived = now  # time of the last input
        self._eof = False
        self._last_call = False  # the server is stopping: nothing more is read
        self._held: Any = None  # an item already charged to the rate limit, processed when the limit allows
        self._more = False  # there may be unprocessed input
        self._over = False  # the client has no more deadlines, it only waits for its goodbye
        # While writing is paused: the time at which the peer last took a byte (0: not paused), and the bytes buffered.
        self._paused_at = 0.0
        self._paused_size = 0
        self._pumping = False
        self._reading = True
        settings = shared.settings
        self._throttle = Throttle(0 if settings.no_limits else settings.rate, settings.burst, now)
        self._throttled: asyncio.TimerHandle | None = None

    # --- the transport's calls ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the client and the deadlines. The transport calls this once, before any input."""
        # uvloop's transport does not inherit from asyncio.Transport.
        self.transport = cast(asyncio.Transport, transport)
        self.made = True
        self.start(self._shared.settings.buffer // 2)
        self._shared.connections.add(self)
        self.client.begin(self)
        self.on_timer()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the read buffer. All connections share one, because `buffer_updated` copies its bytes at once."""
        return self._shared.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Process `nbytes` bytes that were read into the shared buffer.

        They are kept for later if earlier input is not processed yet, and discarded if the connection is closing.
        """
        if self.state is not ConnectionState.OPEN:
            return
        now = self._arrived = self._shared.clock()
        data = bytes(self._shared.buffer[:nbytes])
        if self._more:
            self._ahead += data
            self._read(self._has_room)
            return
        before = self._items
        self.client.feed(data)
        self.process_input()
        if self._items == before and not self._throttled and self.state is ConnectionState.OPEN:
            # Input without a line end counts too: as many bytes as the longest line holds cost as much as one line.
            if self._is_over_the_rate(nbytes / self._shared.settings.line_limit, now):
                self._read(False)

    def eof_received(self) -> bool:
        """Process the rest of the input, then end the client. The transport stays open for the remaining output.

        Return whether the transport stays open: with TLS it cannot.
        """
        self._eof = True
        if self.state is ConnectionState.OPEN:
            self.process_input()
        else:
            self.transport.close()
        return self._sock is not None  # TLS connections cannot be half-closed

    def pause_writing(self) -> None:
        """Pause the client because the peer does not read, and start the stall deadline."""
        self._paused_at = self._shared.clock()
        self._paused_size = self.transport.get_write_buffer_size()
        self.client.pause()
        self._shared.deadlines.advance(self, self._shared.settings.stall_timeout / 4)

    def resume_writing(self) -> None:
        """Let the client write again: the transport has sent everything that it buffered."""
        self._paused_at = 0.0
        self._has_buffered = False
        self.client.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the connection once the complete lines that the peer sent are processed.

        This takes at most `stall_timeout` seconds; then the rest is discarded.
        """
        self.stop()
        self._ahead += self._drain()
        if self.state is not ConnectionState.OPEN or not (self._more or self._ahead):
            self._forget()
            return
        self._lost_at = self._shared.clock()
        if self._paused_at:
            self.resume_writing()
        self._more = True
        self._shared.deadlines.advance(self, self._shared.settings.stall_timeout)
        self.resume_input()

    def _drain(self) -> bytes:
        """Return the bytes that the kernel still holds after the peer has gone; nothing for TLS.

        The result may exceed AHEAD by less than READ bytes.
        """
        data = b""
        with contextlib.suppress(OSError):
            while self._sock and len(data) < AHEAD and (piece := self._sock.recv(READ)):
                data += piece
        return data

    def hand_over(self, client: ClientProtocol) -> None:
        """Replace the client by another one, which continues with the same peer."""
        self.client = client
        self._over = False
        client.begin(self)
        if self._paused_at:
            client.pause()
        if self.state is ConnectionState.OPEN:
            self.on_timer()

    def _forget(self) -> None:
        if self.state is ConnectionState.CLOSED:
            return
        self.state = ConnectionState.CLOSED
        if self._throttled:
            self._throttled.cancel()
            self._throttled = None
        self._shared.deadlines.clear(self)
        self._shared.connections.discard(self)
        self.client.connection_lost()
        self._gone(self)

    def set_origin(self, peer: Any, origin: str) -> Refused | None:
        """Replace the peer's address by the one that its gateway reports, and count the connection there.

        Args:
            peer: the new socket address.
            origin: the address under which the peer is counted from now on.

        Returns:
            The refusal if the limits do not allow the new address (then nothing changes); None if it was replaced.

        """
        refused = self._shared.recount(self.origin, origin)
        if refused is None:
            self.peer, self.origin = peer, origin
        return refused

    @property
    def socket(self) -> Any:
        """The transport's socket, for reading and setting socket options."""
        return self._sock or self.transport.get_extra_info("socket")

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

    @property
    def heard_at(self) -> float:
        """The time of the last input, in seconds on the server's clock."""
        return self._arrived

    @property
    def encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return self._sock is None

    @property
    def cloak(self) -> str:
        """The public form of the peer's address. Equal addresses have equal cloaks; a cloak reveals no address."""
        return self._shared.cloak(self.origin)

    # --- input ----------------------------------------------------------------------------------------------

    def resume_input(self) -> None:
        """Process waiting input, if there is any. Called when the client is ready again."""
        if self._more and not self._pumping:
            self.process_input()

    def process_input(self) -> None:
        """Process input until none is left, the client is not ready, or the rate limit is reached.

        After AT_ONCE items, the rest waits for the next iteration of the event loop: other connections come first.
        """
        if self._pumping or self._throttled:
            self._more = True
            return
        self._pumping = True
        try:
            for _ in range(AT_ONCE):
                if self.state is not ConnectionState.OPEN:
                    break
                self._more = True
                if not self.client.ready() or not self._take_one():
                    break
            else:
                self._shared.loop.call_soon(self.resume_input)
        finally:
            self._pumping = False
        wanted = not self._more or self._has_room
        if wanted is not self._reading and self.state is ConnectionState.OPEN:
            self._read(wanted)

    @property
    def waiting(self) -> bool:
        """Whether there may be unprocessed input."""
        return self._more and self.state is ConnectionState.OPEN

    @property
    def _has_room(self) -> bool:
        """Whether more may be read. TLS connections also read ahead while the client is not ready."""
        return not self._more or (self._sock is None and len(self._ahead) < AHEAD)

    def _take_one(self) -> bool:
        """Process one item; return whether another may follow."""
        # Input that waited because of the server must not make the peer count as idle.
        now = self._arrived = self._shared.clock()
        item, self._held = self._held, None
        if item is None:
            item = self.client.next_item()
            if item is None and self._ahead:
                self.client.feed(self._ahead)
                self._ahead = b""
                return True
            if item is None:
                self._all_taken()
                return False
            if self._is_over_the_rate(1.0, now):
                self._held = item
                return False
        self._items += 1
        self.client.handle(item)
        return True

    def _is_over_the_rate(self, lines: float, now: float) -> bool:
        """Charge a number of lines to the rate limits of the connection and of its address.

        Return whether the peer is over a limit. Then `_rate_allows` is called when it is within the limits again.
        """
        if self._last_call:
            return False
        delay = max(self._throttle.charge(lines, now), self._shared.budget.lines.charge(self.origin, lines))
        if delay:
            self._throttled = self._shared.loop.call_later(delay, self._rate_allows)
        return delay > 0

    def _all_taken(self) -> None:
        """Wait for more input, or end the client if the peer has closed its side."""
        self._more = self._eof and not self.client.ended()
        if self._lost_at:
            self._forget()

    def _rate_allows(self) -> None:
        self._throttled = None
        self.process_input()

    def _read(self, wanted: bool) -> None:
        settled = self._eof or self._last_call or self.transport.is_closing()
        if wanted is not self._reading and not settled:
            self._reading = wanted
            if wanted:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def take_last_input(self) -> None:
        """Process all input received so far without a rate limit, and read no more: the server is stopping.

        `waiting` is False when this is done.
        """
        self._read(False)
        self._last_call = True
        if self._throttled:
            self._throttled.cancel()
            self._rate_allows()

    # --- output, and the end --------------------------------------------------------------------------------

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

    # --- deadlines ------------------------------------------------------------------------------------------

    def on_timer(self) -> None:
        """Enforce the deadlines, and set the time of the next check, which is always in the future."""
        if self.state is ConnectionState.CLOSING:
            self._give_up()
        if self.state is not ConnectionState.OPEN:
            return
        now = self._shared.clock()
        delay = TICK
        if not self._over:
            # Input that waits because of the server does not make the peer idle.
            late = self._more and not self._paused_at
            delay = self.client.check_deadlines(now, 0.0 if late else now - self._arrived)
            self._over = delay <= 0
        # The goodbye that the client waits for has not come, because the disk is full, for example.
        elif not self._paused_at:
            self.finish()
            return
        if self._over:
            delay = LINGER
        if self._paused_at or self._lost_at:
            delay = min(delay, self._shared.settings.stall_timeout / 4)
            self._check_stall(now)
        if self.state is ConnectionState.OPEN:
            self._shared.deadlines.set(self, min(delay, TICK))

    def _check_stall(self, now: float) -> None:
        timeout = self._shared.settings.stall_timeout
        if self._lost_at:
            if now - self._lost_at >= timeout:
                self._forget()
            return
        size = self.transport.get_write_buffer_size()
        if size < self._paused_size:
            self._paused_at, self._paused_size = now, size
        elif now - self._paused_at >= timeout:
            self._give_up()
