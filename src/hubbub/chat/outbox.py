"""Drafts that are not in the log yet: gathered for the next batch, or being committed by the broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from hubbub.chat.session import Session
from hubbub.model.entries import Draft, Entry, Kind

MAX_UNSURE = 10_000  # drafts without a definite outcome that are remembered


class Outbox:
    """Hold drafts from their creation until their outcome is known.

    Args:
        wake: called when there are drafts to gather.
        bound: the number of characters of text in the outbox above which sessions must wait.

    """

    def __init__(self, wake: Callable[[], None], bound: int) -> None:
        self.in_flight: dict[str, Draft] = {}  # drafts with the broker, by id
        self._unsure: dict[str, Draft] = {}  # drafts reported as not confirmed, by id
        self._drafts: list[Draft] = []  # gathered for the next batch
        self._wake = wake
        self._bound = bound
        self._size = 0  # characters of text in `in_flight` and `_drafts`
        self._joins: Counter[str] = Counter()  # joins in `in_flight` and `_drafts`, by room
        self._starved: dict[Session, None] = {}  # sessions that wait because of the bound

    def add(self, draft: Draft) -> None:
        """Add a draft to the next batch; the session's replies keep a place for its outcome."""
        size = len(draft.text)
        self._size += size
        if draft.session:
            draft.session.replies.append(draft)
            draft.session.unsettled += size
        if draft.kind is Kind.JOIN:
            self._joins[draft.room] += 1
        self._drafts.append(draft)
        if len(self._drafts) == 1:
            self._wake()

    def gather(self) -> Sequence[Draft]:
        """Return the next batch of drafts, and begin an empty one.

        Each draft of the batch must come back later, by `stored` or `refused`.
        """
        batch, self._drafts = self._drafts, []
        self.in_flight.update((draft.id, draft) for draft in batch)
        return batch

    def __iter__(self) -> Iterator[Draft]:
        """Yield the drafts that have no outcome yet, those with the broker first."""
        yield from self.in_flight.values()
        yield from self._drafts

    @property
    def newest(self) -> Draft | None:
        """The newest draft that has no outcome yet: when it has one, all drafts that are here now have one as well."""
        return self._drafts[-1] if self._drafts else next(reversed(self.in_flight.values()), None)

    @property
    def queued(self) -> bool:
        """Whether `gather` would return any drafts."""
        return bool(self._drafts)

    @property
    def count(self) -> int:
        """The number of drafts that have no outcome yet."""
        return len(self._drafts) + len(self.in_flight)

    @property
    def idle(self) -> bool:
        """Whether every draft has its outcome."""
        return not self.count

    def full(self, session: Session) -> bool:
        """Return whether the outbox is over its bound, so that a session must wait.

        If so, `on_room_in_queue` returns the session when it need not wait any more.
        """
        if self._size <= self._bound:
            return False
        self._starved[session] = None
        return True

    def on_room_in_queue(self) -> Iterable[Session]:
        """Return the sessions that had to wait because of the bound, once the outbox is below it again."""
        if not self._starved or self._size > self._bound:
            return ()
        starved, self._starved = self._starved, {}
        return starved

    def joins(self, room: str) -> bool:
        """Return whether a join of this room has no outcome yet."""
        return room in self._joins

    def pending_joins(self, room: str) -> int:
        """Return the number of connected sessions whose join of a room has no outcome yet."""
        joins = (draft for draft in self if draft.kind is Kind.JOIN and draft.room == room)
        return sum(bool(draft.session and not draft.session.closed) for draft in joins)

    def move(self, room: str, to: str) -> None:
        """Redirect the drafts for a renamed room to its new name."""
        for draft in (*self._drafts, *self.in_flight.values()):
            if draft.room == room:
                draft.room = to
        if count := self._joins.pop(room, 0):
            self._joins[to] += count

    def stored(self, entries: Sequence[Entry]) -> Sequence[Draft]:
        """Settle the drafts of these stored entries, and return them."""
        drafts = []
        for entry in entries:
            if draft := self.in_flight.pop(entry.id, None):
                draft.entry = entry
                drafts.append(draft)
        self._settle(drafts)
        return drafts

    def find(self, id: str) -> Draft | None:
        """Return the draft of the entry with this id, if this process published it."""
        return self.in_flight.get(id) or self._unsure.get(id)

    def confirmed(self, entries: Iterable[Entry]) -> Sequence[Draft]:
        """Return the drafts of these entries that were reported as not confirmed before: they are stored after all."""
        drafts = []
        for entry in entries if self._unsure else ():
            if draft := self._unsure.pop(entry.id, None):
                draft.entry = entry
                drafts.append(draft)
        return drafts

    def refused(self, drafts: Iterable[Draft], reason: str, sure: bool = True) -> Sequence[Draft]:
        """Settle drafts after a failed commit, keep those with `must_store` for the next batch, and return both.

        If the failure is not `sure`, the drafts may still be stored later: the newest MAX_UNSURE of them are
        remembered, for `confirmed`.

        A leave whose join was not stored is settled as well, because no log needs it: the session that left does not
        have to wait until the disk has space for it.
        """
        lost, insisting = [], []
        for draft in drafts:
            self.in_flight.pop(draft.id, None)
            if draft.must_store and not _never_joined(draft):
                draft.detached = True
                insisting.append(draft)
            else:
                draft.error, draft.definite = reason, sure
                lost.append(draft)
                if not sure:
                    self._unsure[draft.id] = draft
        while len(self._unsure) > MAX_UNSURE:
            del self._unsure[next(iter(self._unsure))]
        kept = [*insisting]
        for draft in self._drafts:
            if _never_joined(draft):
                draft.error = reason
                lost.append(draft)
            else:
                kept.append(draft)
        self._drafts = kept
        self._settle(lost)
        if kept:
            self._wake()
        return [*lost, *insisting]

    def _settle(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            draft.settled = True
            if draft.kind is Kind.JOIN:
                self._joins[draft.room] -= 1
                if not self._joins[draft.room]:
                    del self._joins[draft.room]
            size = len(draft.text)
            self._size -= size
            if draft.session:
                draft.session.unsettled -= size


def _never_joined(draft: Draft) -> bool:
    if draft.kind is not Kind.LEAVE or draft.session is None:
        return False
    join = (draft.session.joining or {}).get(draft.room)
    return join is not None and join.error is not None


def link_drafts(drafts: Sequence[Draft]) -> None:
    """Give the drafts of one event in several rooms the id of the first, with a `~` and a different number each."""
    first = drafts[0].id if drafts else ""
    for number, draft in enumerate(drafts):
        draft.id = f"{first}~{number:x}"
        draft.earlier = tuple(other.room for other in drafts[:number])


def set_label(draft: Draft, label: str) -> None:
    """Set the label of a draft and append it to the id; do nothing if it has a label, or `label` is empty."""
    if label and not draft.label:
        draft.label = label
        draft.id += f"-{label}"
