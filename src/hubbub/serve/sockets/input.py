"""The input side of a peer: one item at a time, as the client and the rate limit allow.

Unprocessed input stays where it is and the socket is not read: the bytes of one read wait in the process, the rest
waits in the kernel. The kernel's bytes of a TLS connection could not be decrypted later, so up to AHEAD more bytes are
read.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Protocol

from hubbub.model.rates.throttle import Throttle
from hubbub.serve.sockets.peer_socket import READ, ConnectionState, PeerSocket, SharedParts

# Bytes kept in addition to READ: of TLS connections, and of any connection that the peer has closed.
AHEAD = 64 * 1024
AT_ONCE = 256  # items processed in one iteration of the event loop
SECONDS_AT_ONCE = 0.005  # after which no further item is begun in it


class InputTaker(Protocol):
    """The part of a client that takes input. No method may block."""

    @property
    def is_idle(self) -> bool:
        """Whether no input that was fed is left, and no command is still running: nothing is to do until more comes."""
        ...

    def feed(self, data: bytes) -> None:
        """Buffer received bytes until `next_item` returns the items in them."""
        ...

    @property
    def next_item(self) -> Callable[[], Any]:
        """Return the next complete item of the input, or None if there is none."""
        ...

    def ready(self) -> bool:
        """Return whether the next item may be processed. If not, `PacedInput.resume_input` is called later."""
        ...

    def handle(self, item: Any) -> None:
        """Process one item that `next_item` returned."""
        ...

    def ended(self) -> bool:
        """End the conversation: the peer has closed its side, and all of its input is processed.

        Return whether the end is complete. If not, `PacedInput.resume_input` is called later.
        """
        ...


class PacedInput(PeerSocket):
    """A peer's socket whose input is passed to a client at the pace of the client and of the rate limit.

    Args:
        shared: the parts that all sockets use.
        client: takes the input.
        sock: the transport's socket; None if output must pass through the transport (TLS).

    """

    __slots__ = (
        "_ahead", "_arrived", "_held", "_items", "_more", "_pumping", "_throttle", "_throttled", "_uncharged", "client",
        "origin",
    )  # fmt: skip

    client: InputTaker

    def __init__(self, shared: SharedParts, client: InputTaker, sock: socket.socket | None) -> None:
        super().__init__(shared, sock)
        now = shared.clock()
        settings = shared.settings
        self.client = client
        self.origin = ""  # the address under which the peer is counted; the acceptor sets it
        self._ahead = b""  # bytes read but not yet passed to the client
        self._items = 0  # number of items processed
        # The cost of the bytes besides the items in them, in lines: as many bytes as the longest line holds cost one.
        self._uncharged = 0.0
        self._arrived = now  # time of the last input
        self._held: Any = None  # an item already charged to the rate limit, processed when the limit allows
        self._more = False  # there may be unprocessed input
        self._pumping = False
        self._throttle = Throttle(0 if settings.no_limits else settings.rate, settings.burst, now)
        self._throttled: asyncio.TimerHandle | None = None

    # --- what arrives -----------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return the read buffer. All connections share one, because `buffer_updated` copies its bytes at once."""
        return self._shared.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Process `nbytes` bytes that were read into the shared buffer.

        They are kept for later if earlier input is not processed yet, and discarded if the connection is closing.
        """
        if self.state is not ConnectionState.OPEN:
            return
        self._arrived = self._shared.clock()
        data = bytes(self._shared.buffer[:nbytes])
        self._uncharged += nbytes / self._shared.settings.line_limit
        if self._more:
            self._ahead += data
            self._read(self._has_room)
            return
        self.client.feed(data)
        self.process_input()

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

    def _drain(self) -> bytes:
        """Return the bytes that the kernel still holds after the peer has gone; nothing for TLS.

        The result may exceed AHEAD by less than READ bytes.
        """
        data = b""
        with contextlib.suppress(OSError):
            while self._sock and len(data) < AHEAD and (piece := self._sock.recv(READ)):
                data += piece
        return data

    def share_rate(self, other: PacedInput) -> None:
        """Count the items together with those of another connection of the same peer."""
        self._throttle = other._throttle

    @property
    def heard_at(self) -> float:
        """The time of the last input, in seconds on the server's clock."""
        return self._arrived

    # --- what is processed --------------------------------------------------------------------------------------

    def resume_input(self) -> None:
        """Process waiting input, if there is any. Called when the client is ready again."""
        if self._more and not self._pumping:
            self.process_input()

    def process_input(self) -> None:
        """Process input until none is left, the client is not ready, or the rate limit is reached.

        After AT_ONCE items or SECONDS_AT_ONCE, the rest waits for the next iteration of the event loop: other
        connections come first.
        """
        if self._pumping or self._throttled:
            self._more = True
            return
        self._pumping = True
        try:
            began = 0.0
            for _ in range(AT_ONCE):
                if self.state is not ConnectionState.OPEN:
                    break
                self._more = True
                if not self.client.ready() or not self._take_one():
                    break
                # The time at which the last item began, so that the clock is not read once more for each item.
                began = began or self._arrived
                if self._arrived - began > SECONDS_AT_ONCE:
                    self._shared.loop.call_soon(self.resume_input)
                    break
            else:
                self._shared.loop.call_soon(self.resume_input)
        finally:
            self._pumping = False
        if self.state is not ConnectionState.OPEN:
            return
        if self._more:
            wanted = self._has_room
        else:
            # All is processed but bytes without a line: those of a line that has no end yet or was too long.
            left, self._uncharged = self._uncharged, 0.0
            wanted = left <= 0.0 or not self._is_over_the_rate(left, self._shared.clock())
        if wanted is not self._reading:
            self._read(wanted)

    def charge(self, lines: float) -> None:
        """Count input that cost as much as a number of lines, though the client found fewer items in it."""
        self._uncharged += lines

    @property
    def waiting(self) -> bool:
        """Whether there may be unprocessed input."""
        return self._more and self.state is ConnectionState.OPEN

    @property
    def _has_room(self) -> bool:
        """Whether more may be read while input waits: TLS connections read ahead."""
        return self._sock is None and len(self._ahead) < AHEAD

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
                # Wait for more input, or end the client if the peer has closed its side.
                self._more = self._eof and not self.client.ended()
                if self._lost_at:
                    self._forget()
                return False
            self._uncharged -= 1.0
            if self._is_over_the_rate(1.0, now):
                self._held = item
                return False
        self._items += 1
        self.client.handle(item)
        # Mostly this was the only item: the client is not asked whether it is ready for another one.
        self._more = bool(self._ahead or self._eof or self._lost_at) or not self.client.is_idle
        return self._more

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

    def _rate_allows(self) -> None:
        self._throttled = None
        self.process_input()

    def take_last_input(self) -> None:
        """Process all input received so far without a rate limit, and read no more: the server is stopping.

        `waiting` is False when this is done.
        """
        self._read(False)
        self._last_call = True
        if self._throttled:
            self._throttled.cancel()
            self._rate_allows()

    def read_on(self) -> None:
        """Read again after `take_last_input`, within the rate limit: the peer's answer to the end is waited for."""
        self._last_call = False
        self._read(True)

    def _forget(self) -> None:
        super()._forget()
        if self._throttled:
            self._throttled.cancel()
            self._throttled = None
