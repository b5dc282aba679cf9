"""Recent changes of messages: entries that were read from the log before a change are shown as they are after it."""

from __future__ import annotations

from collections.abc import Sequence

from hubbub.model.entries import Edited, Entry, PollClosed, Redacted
from hubbub.model.messages.overlays import erased, overlaid, quoted_by, target_of

REMEMBERED = 10_000  # entries: more than are changed while an answer from the log waits for a slow reader
REACTIONS = 20  # changes of one message that are remembered, besides the last correction: more only set a number right


class Redactions:
    """The newest REMEMBERED entries that changed earlier ones, by the ids of those."""

    def __init__(self) -> None:
        self._changes: dict[str, list[Entry]] = {}
        self._count = 0

    def note(self, by: Entry) -> None:
        """Record an entry that may change an earlier one."""
        if not (target := target_of(by.body)):
            return
        known = self._changes.pop(target, [])
        self._count -= len(known)
        if type(by.body) is Redacted:  # nothing else matters from now on
            known = []
        elif type(by.body) is Edited:
            known = [one for one in known if type(one.body) is not Edited]
        elif len(known) > REACTIONS:
            known = [one for one in known if type(one.body) in (Edited, Redacted, PollClosed)]
        self._changes[target] = [*known, by]
        self._count += len(known) + 1
        while self._count > REMEMBERED:
            oldest = next(iter(self._changes))
            self._count -= len(self._changes.pop(oldest))

    def late(self, entry: Entry) -> Entry:
        """Return an entry that was stored now: without its text if that is of a message that was redacted before."""
        known = self._changes.get(quoted_by(entry), ())
        return erased(entry) if any(type(one.body) is Redacted for one in known) else entry

    def apply(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Return entries with the recorded changes applied."""
        changes = self._changes
        if not changes or not any(entry.id in changes or quoted_by(entry) in changes for entry in entries):
            return entries
        return [self._changed(entry) for entry in entries]

    def _changed(self, entry: Entry) -> Entry:
        for by in (*self._changes.get(entry.id, ()), *self._changes.get(quoted_by(entry), ())):
            entry = overlaid(entry, by)
        return entry
