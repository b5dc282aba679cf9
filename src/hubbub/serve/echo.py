"""The first system of the how-to, made robust: an echo server, which sends every line back unchanged."""

from __future__ import annotations

import logging

from hubbub.config import Settings
from hubbub.serve.sockets.connection import Connection

log = logging.getLogger("hubbub")


class EchoClient:
    """Sends all input back byte for byte, and stops reading while the peer does not read."""

    wire_name = "echo"
    __slots__ = ("_connection", "_data", "_discard", "_paused", "_settings")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: Connection
        self._data = b""
        self._discard = False
        self._paused = False

    def begin(self, connection: Connection) -> None:
        """Log the new connection. The server sends no greeting."""
        self._connection = connection
        log.info("New connection from %s", connection.peer)

    def feed(self, data: bytes) -> None:
        """Buffer received bytes until their line is complete."""
        self._data += data

    def next_item(self) -> bytes | None:
        """Return the next line with its end, or None.

        A line over the limit is returned as b"", and its bytes are discarded up to its end.
        """
        end = self._data.find(b"\n") + 1
        if self._discard:
            self._discard = not end
            self._data = self._data[end:] if end else b""
            return self.next_item() if end else None
        if (end or len(self._data)) > self._settings.line_limit + 1:
            self._discard = True
            return b""
        line, self._data = self._data[:end], self._data[end:]
        return line or None

    @property
    def _too_long(self) -> bytes:
        return f"Not sent back: a line has at most {self._settings.line_limit} bytes.\n".encode()

    @property
    def is_idle(self) -> bool:
        """Whether no line waits, so that the connection can be idle."""
        return not self._data

    def ready(self) -> bool:
        """Return whether the peer reads, so the next line may be sent back."""
        return not self._paused

    def handle(self, item: bytes) -> None:
        """Send a line back; for b"", the message that the line was too long."""
        self._connection.write(item or self._too_long)

    def ended(self) -> bool:
        """Send back an unfinished last line, as the how-to's server does, and close."""
        rest = b"" if self._discard else self._data
        self._connection.finish(rest if len(rest) <= self._settings.line_limit else self._too_long)
        return True

    def connection_lost(self) -> None:
        """Log the end of the connection."""
        log.info("Connection from %s closed", self._connection.peer)

    def pause(self) -> None:
        """Stop reading because the peer does not read."""
        self._paused = True

    def resume(self) -> None:
        """Continue reading: the peer reads again."""
        self._paused = False
        self._connection.resume_input()

    def shut_down(self) -> None:
        """Close once the lines still being sent back are delivered."""
        self._connection.finish()

    def ask_sign_of_life(self) -> bool:
        """Send nothing and return False: the echo protocol has no ping."""
        return False

    def check_deadlines(self, now: float, quiet: float) -> float:
        """Disconnect a peer that exceeds the idle timeout. Return the seconds until the next check."""
        timeout = self._settings.idle_timeout
        if timeout and quiet >= timeout:
            self._connection.finish(b"Disconnected: idle timeout.\n")
        return timeout - quiet if timeout else 60.0
