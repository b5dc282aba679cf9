"""The lines that were typed in a session, for Up, Down and Ctrl-R."""

from __future__ import annotations

from collections import deque

LINES = 100
CHARS = 8 * 1024  # of all lines together, but for one that is longer by itself


class TypedHistory:
    """The newest lines, bounded, and a position among them: behind the newest one until somebody goes back."""

    __slots__ = ("_at", "_chars", "_draft", "_lines", "_searched")

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._chars = 0
        self._at = 0  # how far back: 0 is the draft, 1 the newest line
        self._draft = ""  # that was being typed
        self._searched = ""

    def add(self, line: str) -> None:
        """Keep a line, unless it is the same as the newest one; the position is behind it."""
        self._at = 0
        if not line.strip() or (self._lines and self._lines[-1] == line):
            return
        self._lines.append(line)
        self._chars += len(line)
        while len(self._lines) > LINES or (self._chars > CHARS and len(self._lines) > 1):
            self._chars -= len(self._lines.popleft())

    def older(self, typed: str) -> str | None:
        """Return the line before the position, and go there; None if there is none."""
        return self._go(self._at + 1, typed)

    def newer(self, typed: str) -> str | None:
        """Return the line after the position, or the draft, and go there; None if there is none."""
        return self._go(self._at - 1, typed) if self._at else None

    def search(self, typed: str) -> str | None:
        """Return the next older line that contains the draft, and go there; None if there is none."""
        if not self._at:
            self._searched = typed
        matching = (at for at in range(self._at + 1, len(self._lines) + 1) if self._searched in self._lines[-at])
        return self._go(next(matching, len(self._lines) + 1), typed)

    def edited(self) -> None:
        """Take the line that is shown for a new draft: it was changed."""
        self._at = 0

    def _go(self, at: int, typed: str) -> str | None:
        if at > len(self._lines):
            return None
        if not self._at:
            self._draft = typed
        self._at = at
        return self._lines[-at] if at else self._draft
