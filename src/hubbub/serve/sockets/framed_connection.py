"""A connection on which each line of a client's output travels in a frame of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubbub.errors import Refused
from hubbub.serve.sockets.connection import Connection


class FramedConnection:
    """The connection of a client that writes lines, where the peer expects frames.

    It has the methods of a Connection that such a client and its session use.

    Args:
        connection: the peer's connection.
        frames: turns whole lines into frames.
        goodbye: returns the bytes that end the frames.

    """

    def __init__(self, connection: Connection, frames: Callable[[bytes], bytes], goodbye: Callable[[], bytes]) -> None:
        self.connection = connection
        self._frames = frames
        self._goodbye = goodbye

    def write(self, data: bytes) -> None:
        """Write whole lines, each of which ends in CR LF."""
        self.connection.write(self._frames(data))

    def send(self, data: bytes) -> int:
        """Write whole lines, and return their size: the connection keeps the bytes that the socket does not take."""
        self.write(data)
        return len(data)

    def write_rest(self, data: bytes, sent: int) -> None:
        """Do nothing: `send` leaves no rest."""

    def finish(self, farewell: bytes = b"") -> None:
        """Write the last lines and the end of the frames, and close the connection in order."""
        self.connection.finish(self._frames(farewell) + self._goodbye())

    def resume_input(self) -> None:
        """Process waiting input, if there is any."""
        self.connection.resume_input()

    def on_timer(self) -> None:
        """Check the deadlines, and set the time of the next check."""
        self.connection.on_timer()

    def set_origin(self, peer: Any, origin: str) -> Refused | None:
        """Replace the peer's address as Connection.set_origin does, and return the refusal."""
        return self.connection.set_origin(peer, origin)

    @property
    def peer(self) -> Any:
        """The peer's socket address, as the socket module returns it for the family."""
        return self.connection.peer

    @property
    def origin(self) -> str:
        """The address under which the peer is counted."""
        return self.connection.origin

    @property
    def cloak(self) -> str:
        """The public form of the peer's address."""
        return self.connection.cloak

    @property
    def encrypted(self) -> bool:
        """Whether the connection uses TLS."""
        return self.connection.encrypted
