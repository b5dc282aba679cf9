"""The socket side of a peer: bytes in and out, back-pressure both ways, deadlines, an orderly end.

What the bytes mean is the dialogue's business (listeners/line_client.py, listeners/echo.py). The rules here:

 1. Input is taken one item at a time, and only when the dialogue is ready for it and the rate allows. What is
    not taken stays where it is, and the socket is not read: one read's bytes wait here, the rest in the kernel. Of TLS
    the kernel's bytes could not be decrypted later, so up to AHEAD bytes more are read meanwhile.
 2. Output goes straight to the socket (listeners/socket_writer.py). The transport buffers the rest and pauses the
    writer until it is sent, so a peer that does not read holds at most one write in memory.
 3. Every wait on the peer has a deadline, then `transport.abort()`.
 4. Complete lines that arrived are taken in their own time, whatever the peer does after them: close, reset, vanish.
    After a FIN the dialogue ends; after anything else it is forgotten, with the line that has no end.
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
from hubbub.core.budget import Budget
from hubbub.core.throttle import Throttle
from hubbub.listeners.socket_writer import SocketWriter
from hubbub.listeners.timer_wheel import TimerWheel

READ = 16 * 1024  # bytes read at once: what a connection that is held back keeps
AHEAD = 64 * 1024  # bytes that are kept besides: of TLS, and of any peer that is gone
AT_ONCE = 256  # items that are taken in one turn of the loop
LINGER = 10.0  # seconds that a peer has to take the last bytes, and to close
TICK = 60.0  # seconds between two looks at a connection's deadlines, at most
RESET = b"\x07"  # TCP_CLOSE, the first byte of Linux's tcp_info
STOPPING = "The server is shutting down"


class ClientProtocol(Protocol):
    """What is talked about over a connection. Every method is called on the loop and returns at once."""

    wire_name: str  # the name under which its connections are counted

    def begin(self, connection: Connection) -> None:
        """Greet: the transport is there."""
        ...

    def feed(self, data: bytes) -> None:
        """Keep bytes that came in, until they are taken by `next_item`."""
        ...

    def next_item(self) -> Any:
        """Return what came in next, None if nothing is complete."""
        ...

    def ready(self) -> bool:
        """Whether an item may be taken; if not, `Connection.resume_input` is called later."""
        ...

    def handle(self, item: Any) -> None:
        """Do what an item says."""
        ...

    def ended(self) -> bool:
        """Come to an end: the peer has said all it will, and all of it was taken.

        Return whether that is done; if not, `Connection.resume_input` is called later.
        """
        ...

    def connection_lost(self) -> None:
        """Forget the peer: nothing can be written any more."""
        ...

    def pause(self) -> None:
        """Write nothing: the peer does not read."""
        ...

    def resume(self) -> None:
        """Write again."""
        ...

    def shut_down(self) -> None:
        """Say that the server stops, and close."""
        ...

    def ask_sign_of_life(self) -> bool:
        """Send what makes the peer answer, if the wire has something of the kind; return whether it will."""
        ...

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Keep the dialogue's deadlines, `quiet` seconds after the last input; return seconds until the next one.

        0 or less means that the dialogue has ended or is ending: it is not called again.
        """
        ...


class ConnectionState(Enum):
    """Where a connection is in its life; it only goes forward."""

    OPEN = auto()
    CLOSING = auto()  # our last bytes are on their way, what comes in is discarded
    CLOSED = auto()


@dataclass(slots=True)
class Shared:
    """What all connections of a server have in common."""

    loop: asyncio.AbstractEventLoop
    settings: Settings
    clock: Callable[[], float]  # seconds that never go back
    deadlines: TimerWheel
    cloak: Callable[[str], str] = lambda address: "hidden"  # what others are shown of an address
    # Counts a connection from another address than before; returns why that may not be, "" if it may.
    recount: Callable[[str, str], str] = lambda before, after: ""
    budget: Budget = field(default_factory=lambda: Budget(lambda: 0.0))  # of each address; without limits
    connections: set[Connection] = field(default_factory=set)
    buffer: memoryview = field(default_factory=lambda: memoryview(bytearray(READ)))


class Connection(SocketWriter, asyncio.BufferedProtocol):
    """One peer's socket.

    Args:
        shared: the server's.
        dialogue: what is talked about.
        sock: the transport's socket; None if what is written must pass through the transport (TLS).
        gone: called once with this connection, when the socket is closed.

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
        self.peer: Any = None  # its socket address; who accepts it says so
        self.origin = ""  # what counts as its address; likewise
        self.slot = 0
        self.made = False
        self._shared = shared
        self._gone = gone
        self._sock = sock
        self._lost_at = 0.0  # when the transport closed while input was not yet taken; 0: it has not
        self._ahead = b""  # read, and not yet given to the dialogue
        self._items = 0  # taken so far
        self._arrived = now  # when the last input came
        self._eof = False
        self._last_call = False  # the server is stopping: nothing more is read
        self._held: Any = None  # an item that is paid for, and taken when the rate allows
        self._more = False  # there may be input to take
        self._over = False  # the dialogue has no deadlines any more: it only waits for its goodbye
        self._paused_at = 0.0  # when it last took a byte while it takes no more; 0: it does
        self._paused_size = 0
        self._pumping = False
        self._reading = True
        settings = shared.settings
        self._throttle = Throttle(0 if settings.no_limits else settings.rate, settings.burst, now)
        self._throttled: asyncio.TimerHandle | None = None

    # --- the transport's calls ------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.made = True
        self.start(self._shared.settings.buffer // 2)
        self._shared.connections.add(self)
        self.client.begin(self)
        self.on_timer()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read to: one buffer serves all, it is emptied at once."""
        return self._shared.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read."""
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
            # Bytes without an end have their price too: a line's worth of them that of a line.
            if self._is_over_the_rate(nbytes / self._shared.settings.line_limit, now):
                self._read(False)

    def eof_received(self) -> bool:
        """Take the rest of the input, then end; the transport stays open for what is still to be said."""
        self._eof = True
        if self.state is ConnectionState.OPEN:
            self.process_input()
        else:
            self.transport.close()
        return self._sock is not None  # there is no half-closed TLS

    def pause_writing(self) -> None:
        """Stop writing: the peer does not read."""
        self._paused_at = self._shared.clock()
        self._paused_size = self.transport.get_write_buffer_size()
        self.client.pause()
        self._shared.deadlines.advance(self, self._shared.settings.stall_timeout / 4)

    def resume_writing(self) -> None:
        """Write again."""
        self._paused_at = 0.0
        self._has_buffered = False
        self.client.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the peer, once the complete lines that it sent are taken."""
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
        """Return what the kernel still holds of a peer that is gone, of TLS nothing; it may be a little over AHEAD."""
        data = b""
        with contextlib.suppress(OSError):
            while self._sock and len(data) < AHEAD and (piece := self._sock.recv(READ)):
                data += piece
        return data

    def hand_over(self, client: ClientProtocol) -> None:
        """Let another dialogue go on with the peer."""
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

    def set_origin(self, peer: Any, origin: str) -> str:
        """Take another address for the peer's, as its gateway says; return why that may not be, "" if it may."""
        refusal = self._shared.recount(self.origin, origin)
        if not refusal:
            self.peer, self.origin = peer, origin
        return refusal

    @property
    def socket(self) -> Any:
        """The socket, for its options."""
        return self._sock or self.transport.get_extra_info("socket")

    @property
    def is_lost(self) -> bool:
        """Whether the peer is gone, and its last lines are being taken."""
        return self._lost_at > 0

    @property
    def is_reset(self) -> bool:
        """Whether the peer has reset the connection: seen also while the socket is not read, if the system tells."""
        with contextlib.suppress(OSError, AttributeError):
            return bool(self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == RESET)
        return False

    @property
    def heard_at(self) -> float:
        """When the last input came, on the server's clock."""
        return self._arrived

    @property
    def encrypted(self) -> bool:
        """Whether what is written passes through TLS."""
        return self._sock is None

    @property
    def cloak(self) -> str:
        """What others are shown of its address: the same for the same one, and no way back."""
        return self._shared.cloak(self.origin)

    # --- input ----------------------------------------------------------------------------------------------

    def resume_input(self) -> None:
        """Take the input that waits, if there is any: the dialogue is ready again."""
        if self._more and not self._pumping:
            self.process_input()

    def process_input(self) -> None:
        """Take input until there is no more, the dialogue must wait, the rate is used up, or others have their turn."""
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
        if self.state is ConnectionState.OPEN:
            self._read(self._has_room)

    @property
    def waiting(self) -> bool:
        """Whether there may be input that was not taken yet."""
        return self._more and self.state is ConnectionState.OPEN

    @property
    def _has_room(self) -> bool:
        """Whether more may be read: of TLS also while the dialogue is not ready for it."""
        return not self._more or (self._sock is None and len(self._ahead) < AHEAD)

    def _take_one(self) -> bool:
        """Take an item; return whether another may follow."""
        now = self._arrived = self._shared.clock()  # what waited because of us is no idleness of the peer
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
        """Charge for lines; return whether the peer must wait for that, until `_rate_allows` is called."""
        if self._last_call:
            return False
        delay = max(self._throttle.charge(lines, now), self._shared.budget.lines.charge(self.origin, lines))
        if delay:
            self._throttled = self._shared.loop.call_later(delay, self._rate_allows)
        return delay > 0

    def _all_taken(self) -> None:
        """Wait for more input; if there will be none, come to an end."""
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
        """Take all that came in, however fast it came, and read no more: the server is stopping.

        `waiting` says when that is done.
        """
        self._read(False)
        self._last_call = True
        if self._throttled:
            self._throttled.cancel()
            self._rate_allows()

    # --- output, and the end --------------------------------------------------------------------------------

    def finish(self, farewell: bytes = b"") -> None:
        """Write the last bytes, let the peer take them, and close.

        A FIN, not a close: closing a socket with unread input would reset it and take our last bytes with it.
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
            return  # a write has found it broken: connection_lost is on its way
        if not self._reading and not self._eof:
            self.transport.resume_reading()
        if self._eof or not self.transport.can_write_eof():
            self.transport.close()
        else:
            self.transport.write_eof()
        self._shared.deadlines.set(self, LINGER)

    def abort(self) -> None:
        """Close at once; what is not written yet is lost, and so is what was not taken."""
        if self._lost_at:
            self._forget()
        elif self.state is not ConnectionState.CLOSED:
            self.state = ConnectionState.CLOSING
            self.transport.abort()

    def _give_up(self) -> None:
        """Close at once, by a reset: the kernel would keep what the peer does not take for minutes."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    # --- deadlines ------------------------------------------------------------------------------------------

    def on_timer(self) -> None:
        """Look at the deadlines, and say when to look again: always later than now."""
        if self.state is ConnectionState.CLOSING:
            self._give_up()
        if self.state is not ConnectionState.OPEN:
            return
        now = self._shared.clock()
        delay = TICK
        if not self._over:
            late = self._more and not self._paused_at  # what waits because of us does not make the peer idle
            delay = self.client.check_deadlines(now, 0.0 if late else now - self._arrived)
            self._over = delay <= 0
        elif not self._paused_at:  # what it waits for does not come: a full disk, say
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
