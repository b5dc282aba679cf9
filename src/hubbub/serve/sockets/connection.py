"""The socket side of a peer: input, output, back-pressure in both directions, deadlines and the orderly close.

The client (serve/line/line_client.py, serve/echo.py and others) interprets the bytes. The rules of a connection:

 1. Input is processed one item at a time, and only when the client is ready and the rate limit allows it
    (serve/sockets/input.py).
 2. Output goes directly to the socket (serve/sockets/socket_writer.py). The transport buffers the bytes that the socket
    did not accept and pauses the writer until they are sent, so a peer that does not read holds at most one write in
    memory.
 3. Every wait for the peer has a deadline. When it passes, the connection is closed with `transport.abort()`.
 4. Complete lines that have arrived are processed at the normal pace, even if the peer then closes, resets or loses
    the connection. After a FIN the client ends in order (serve/sockets/peer_socket.py). After anything else the
    connection is dropped, and an unfinished last line is discarded.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Protocol, cast

from msgspec import field

from hubbub.errors import Refused
from hubbub.serve.sockets import peer_socket
from hubbub.serve.sockets.input import InputTaker, PacedInput
from hubbub.serve.sockets.peer_socket import ConnectionState, SharedParts

TICK = 60.0  # maximum seconds between two checks of a connection's deadlines
STOPPING = "The server is shutting down"


class ClientProtocol(InputTaker, Protocol):
    """The protocol spoken over a connection. Every method is called on the event loop and must not block."""

    @property
    def wire_name(self) -> str:
        """The name under which the stats count its connections; "" if they do not."""
        ...

    def begin(self, connection: Connection) -> None:
        """Start the conversation. Called once the connection has its transport."""
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


class Shared(SharedParts, eq=False):
    """The state that all connections of a server share."""

    cloak: Callable[[str], str] = lambda address: "hidden"  # the public form of an address
    # Moves a connection from one address's count to another's. Returns the refusal, None if allowed.
    recount: Callable[[str, str], Refused | None] = lambda before, after: None
    connections: set[Connection] = field(default_factory=set)


class Connection(PacedInput, asyncio.BufferedProtocol):
    """The connection of one peer.

    Args:
        shared: the state that all connections share.
        client: the protocol spoken over the connection.
        sock: the transport's socket; None if output must pass through the transport (TLS).
        gone: called once with this connection, when the connection is closed.

    """

    __slots__ = ("_gone", "_over", "_paused_at", "_paused_size", "made", "peer")

    client: ClientProtocol
    _shared: Shared

    def __init__(
        self, shared: Shared, client: ClientProtocol, sock: socket.socket | None, gone: Callable[[Connection], None]
    ) -> None:
        super().__init__(shared, client, sock)
        self.peer: Any = None  # the peer's socket address; the acceptor sets it
        self.made = False
        self._gone = gone
        self._over = False  # the client has no more deadlines, it only waits for its goodbye
        # While writing is paused: the time at which the peer last took a byte (0: not paused), and the bytes buffered.
        self._paused_at = 0.0
        self._paused_size = 0

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
        super()._forget()
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
    def cloak(self) -> str:
        """The public form of the peer's address. Equal addresses have equal cloaks; a cloak reveals no address."""
        return self._shared.cloak(self.origin)

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
            delay = peer_socket.LINGER
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
