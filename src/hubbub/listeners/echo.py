"""The how-to's first system, made robust: every line comes back as it was."""

from __future__ import annotations

import logging

from hubbub.config import Settings
from hubbub.listeners.connection import Connection

log = logging.getLogger("hubbub")


class EchoDialogue:
    """Sends back what comes in, byte for byte, and reads no more while the peer takes nothing."""

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
        """Return the lines that are complete; b"" for a line over the limit."""
        end = self._data.rfind(b"\n") + 1
        limit = self._settings.line_limit
        if self._discard:
            first = self._data.find(b"\n") + 1
            self._data = self._data[first:] if first else b""
            self._discard = not first
            return self.next_item() if first else None
        line = self._data.find(b"\n") + 1
        if (line or len(self._data)) > limit + 1:
            self._discard = True
            return b""
        # Several lines go back at once, up to the first that is too long.
        while line and (after := self._data.find(b"\n", line) + 1) and after - line <= limit + 1:
            line = after
        lines, self._data = self._data[:line], self._data[line:]
        return lines if end else None

    def ready(self) -> bool:
        """Whether the peer takes bytes."""
        return not self._paused

    def take(self, item: bytes) -> None:
        """Send it back."""
        self._connection.write(
            item or f"Not sent back: a line has at most {self._settings.line_limit} bytes.\n".encode()
        )

    def ended(self) -> None:
        """Send back what has no end of line, as the how-to's server does, and close."""
        self._connection.finish(b"" if self._discard else self._data)

    def lost(self) -> None:
        """Say so on the console."""
        log.info("Connection from %s closed", self._connection.peer)

    def pause(self) -> None:
        """Read no more."""
        self._paused = True

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        self._connection.go_on()

    def farewell(self) -> None:
        """Close, after what is still to be sent back."""
        self._connection.finish()

    def tick(self, now: float, quiet: float) -> float:
        """End it with who sends nothing for too long."""
        timeout = self._settings.idle_timeout
        if timeout and quiet >= timeout:
            self._connection.finish(b"Disconnected: idle timeout.\n")
        return timeout - quiet if timeout else 60.0
