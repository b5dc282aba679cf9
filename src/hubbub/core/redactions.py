"""Messages that were taken back a short while ago: what was read of the log before that is shown without them."""

from __future__ import annotations

from collections.abc import Sequence

from hubbub.core.model import SAID, Entry, Kind

REMEMBERED = 10_000  # ids: more than are taken back while an answer of the log waits for a slow reader


def gone(entry: Entry) -> Entry:
    """Return what is left of a message that was taken back."""
    return entry._replace(kind=Kind.REDACTED, text="", tags="")


class Redactions:
    """Ids of messages that were taken back, the newest."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def note(self, id: str) -> None:
        """Note that a message was taken back."""
        self._ids[id] = None
        if len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]

    def apply(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return entries as they are now."""
        ids = self._ids
        if not ids or not any(entry.id in ids for entry in entries):
            return entries
        return [gone(entry) if entry.id in ids and entry.kind in SAID else entry for entry in entries]
