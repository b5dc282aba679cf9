"""The how-to's first system, made robust: every line comes back as it was."""

from __future__ import annotations

import logging

from hubbub.config import Settings
from hubbub.listeners.connection import Connection

log = logging.getLogger("hubbub")


class EchoClient:
    """Sends back what comes in, byte for byte, and reads no more while the peer takes nothing."""

    wire_name = "echo"
    __slots__ = ("_connection", "_data", "_discard", "_paused", "_settings")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: Connection
        self._data = b""
        self._discard = False
        self._paused = False

    def begin(self, connection: Connection) -> None:
        """Say nothing."""
        self._connection = connection
        log.info("New connection from %s", connection.peer)

    def feed(self, data: bytes) -> None:
        """Keep bytes that came in."""
        self._data += data

    def next_item(self) -> bytes | None:
        """Return the next line with its end; b"" for one over the limit, which is discarded up to its end."""
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

    def ready(self) -> bool:
        """Whether the peer takes bytes."""
        return not self._paused

    def handle(self, item: bytes) -> None:
        """Send it back."""
        self._connection.write(item or self._too_long)

    def ended(self) -> bool:
        """Send back what has no end of line, as the how-to's server does, and close."""
        rest = b"" if self._discard else self._data
        self._connection.finish(rest if len(rest) <= self._settings.line_limit else self._too_long)
        return True

    def connection_lost(self) -> None:
        """Say so on the console."""
        log.info("Connection from %s closed", self._connection.peer)

    def pause(self) -> None:
        """Read no more."""
        self._paused = True

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        self._connection.resume_input()

    def shut_down(self) -> None:
        """Close, after what is still to be sent back."""
        self._connection.finish()

    def ask_sign_of_life(self) -> bool:
        """Return that there is nothing to ask."""
        return False

    def check_deadlines(self, now: float, quiet: float) -> float:
        """End it with who sends nothing for too long."""
        timeout = self._settings.idle_timeout
        if timeout and quiet >= timeout:
            self._connection.finish(b"Disconnected: idle timeout.\n")
        return timeout - quiet if timeout else 60.0
