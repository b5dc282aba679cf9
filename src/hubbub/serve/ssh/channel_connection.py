"""The connection that runs through a channel: like one through a socket, but it writes in frames."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from hubbub.serve.sockets.connection import ClientProtocol, Connection, Shared
from hubbub.serve.sockets.peer_socket import ConnectionState
from hubbub.serve.ssh.frames import FRAME_BYTES, FrameClock, SessionPace


class Turn(Enum):
    """The state of a channel's frames."""

    QUIET = auto()  # nothing waits, and nothing was written for a while
    ASKED = auto()  # it has asked for a turn
    HELD = auto()  # it has written a moment ago, and has another turn soon
    TAKEN = auto()  # it gathers what it writes in its turn


class ChannelConnection(Connection):
    """The connection of one channel.

    Args:
        shared: the state that all connections share.
        client: the client at the other end.
        frames: gives the channel its turns to write.
        gone: called once with this connection, when it is closed.

    """

    __slots__ = ("_echoes", "_frame", "_frames", "_size", "_turn", "_written", "pace")

    def __init__(
        self, shared: Shared, client: ClientProtocol, frames: FrameClock, gone: Callable[[Connection], None]
    ) -> None:
        super().__init__(shared, client, None, gone)
        # Lets the session of the client fall behind between frames; None while the client has no session.
        self.pace: SessionPace | None = None
        self._frames = frames
        self._frame: list[bytes] = []  # the gathered bytes
        self._size = 0  # bytes in _frame
        self._turn = Turn.QUIET
        self._written = False  # bytes were written since the last turn, because they were many
        self._echoes = False  # `_flush` is called in this iteration of the event loop

    def write(self, data: bytes) -> None:
        """Gather bytes for the next frame. They are discarded if the channel is closing."""
        if not data or self.state is not ConnectionState.OPEN:
            return
        self._frame.append(data)
        self._size += len(data)
        if self._size >= FRAME_BYTES:
            self._flush()
            self._written = True
        if self._turn is Turn.QUIET:
            self._ask()

    def write_rest(self, data: bytes, sent: int) -> None:
        """Gather the bytes from index `sent` on."""
        self.write(data[sent:])

    def echo(self, data: bytes) -> None:
        """Write bytes in this iteration of the event loop: they show what the user has typed."""
        self._frame.append(data)
        self._size += len(data)
        if not self._echoes:
            self._echoes = True
            self._shared.loop.call_soon(self._show)

    def write_frame(self) -> None:
        """Write the gathered bytes, and the entries that the session has missed."""
        self._turn = Turn.TAKEN
        if self.state is ConnectionState.OPEN and not self._paused_at:
            if self.pace:
                self.pace.catch_up()
            written, self._written = self._written or self._size > 0, False
            if self._size:
                self._flush()
            if written:
                self._turn = Turn.HELD
                self._frames.hold(self)
                if self.pace:
                    self.pace.hold()
        if self._turn is Turn.TAKEN:
            self._turn = Turn.QUIET

    def finish(self, farewell: bytes = b"") -> None:
        """Write everything with the last bytes, and close the channel once the peer has received them."""
        self.write(farewell)
        if self.state is ConnectionState.OPEN:
            self._flush()
        super().finish()

    def resume_writing(self) -> None:
        """Let the client write again, and write what was gathered before."""
        super().resume_writing()
        if self._size and self._turn is Turn.QUIET:
            self._ask()

    def abort(self) -> None:
        """Close at once, without waiting until the peer has closed its side of the channel."""
        super().abort()
        self._forget()

    def _give_up(self) -> None:
        self.abort()

    def _show(self) -> None:
        self._echoes = False
        if self.state is ConnectionState.OPEN:
            self._flush()

    def _ask(self) -> None:
        """Ask for a turn; until then the session is written no more of its rooms."""
        self._turn = Turn.ASKED
        self._frames.ask(self)
        if self.pace:
            self.pace.hold()

    def _flush(self) -> None:
        """Write the gathered bytes, in this iteration of the event loop."""
        data = b"".join(self._frame)
        self._frame.clear()
        self._size = 0
        super().write_rest(data, 0)
