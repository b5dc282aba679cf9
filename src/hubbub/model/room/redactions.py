"""Recent redactions: entries that were read from the log before a redaction are shown without the redacted text."""

from __future__ import annotations

from collections.abc import Sequence

from hubbub.model.entries import Body, Entry
from hubbub.model.room.state import overlaid

REMEMBERED = 10_000  # entries: more than are changed while an answer from the log waits for a slow reader


class Redactions:
    """The newest REMEMBERED entries that changed earlier ones, by the ids of those."""

    def __init__(self) -> None:
        self._changes: dict[str, Body] = {}

    def note(self, target: str, by: Body) -> None:
        """Record that the entry with the id `target` was changed by an entry with the body `by`."""
        self._changes[target] = by
        if len(self._changes) > REMEMBERED:
            del self._changes[next(iter(self._changes))]

    def apply(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return entries with the recorded changes applied."""
        changes = self._changes
        if not changes or not any(entry.id in changes for entry in entries):
            return entries
        return [overlaid(entry, changes[entry.id]) if entry.id in changes else entry for entry in entries]
