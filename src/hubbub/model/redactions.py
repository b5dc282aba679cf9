"""Recent redactions: entries that were read from the log before a redaction are shown without the redacted text."""

from __future__ import annotations

from collections.abc import Sequence

from hubbub.model.entries import SAID, Entry, Kind

REMEMBERED = 10_000  # ids: more than are redacted while an answer from the log waits for a slow reader


def gone(entry: Entry) -> Entry:
    """Return a redacted message without its text and tags."""
    return entry._replace(kind=Kind.REDACTED, text="", tags="")


class Redactions:
    """The ids of the newest REMEMBERED redacted messages."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def note(self, id: str) -> None:
        """Record that a message was redacted."""
        self._ids[id] = None
        if len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]

    def apply(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return entries with the recorded redactions applied."""
        ids = self._ids
        if not ids or not any(entry.id in ids for entry in entries):
            return entries
        return [gone(entry) if entry.id in ids and entry.kind in SAID else entry for entry in entries]
