"""What was said and is not yet in the log: gathered for the next batch, or with the broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from hubbub.core.model import Draft, Entry, Kind
from hubbub.core.session import Session

MAX_UNSURE = 10_000


class Outbox:
    """Drafts from the moment they are made until their outcome is known.

    Args:
        wake: called when there is something to gather.
        bound: characters of text that may wait here before sessions must wait.

    """

    def __init__(self, wake: Callable[[], None], bound: int) -> None:
        self.in_flight: dict[str, Draft] = {}  # with the broker, by id
        self._unsure: dict[str, Draft] = {}  # those whose sender was told that it is not sure what became of them
        self._drafts: list[Draft] = []  # gathered for the next batch
        self._wake = wake
        self._bound = bound
        self._size = 0  # characters of text in both
        self._joins: Counter[str] = Counter()  # of drafts in both, by room
        self._starved: dict[Session, None] = {}  # sessions that were told to wait because of the bound

    def add(self, draft: Draft) -> None:
        """Gather a draft; its session's turn keeps the place for its outcome."""
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
        """Return what waits to be published, and start anew. Each draft must come back, stored or refused."""
        batch, self._drafts = self._drafts, []
        self.in_flight.update((draft.id, draft) for draft in batch)
        return batch

    def __iter__(self) -> Iterator[Draft]:
        """Yield what has no outcome yet."""
        yield from self.in_flight.values()
        yield from self._drafts

    @property
    def newest(self) -> Draft | None:
        """The newest draft that has no outcome yet: when it has one, so have all that are here now."""
        return self._drafts[-1] if self._drafts else next(reversed(self.in_flight.values()), None)

    @property
    def queued(self) -> bool:
        """Whether `gather` would return something."""
        return bool(self._drafts)

    @property
    def count(self) -> int:
        """How many have no outcome yet."""
        return len(self._drafts) + len(self.in_flight)

    @property
    def idle(self) -> bool:
        """Whether everything that was said has its outcome."""
        return not self.count

    def full(self, session: Session) -> bool:
        """Whether a session must wait until less waits here; then it is among `relieved` one day."""
        if self._size <= self._bound:
            return False
        self._starved[session] = None
        return True

    def on_room_in_queue(self) -> Iterable[Session]:
        """Return the sessions that need not wait any more."""
        if not self._starved or self._size > self._bound:
            return ()
        starved, self._starved = self._starved, {}
        return starved

    def joins(self, room: str) -> bool:
        """Whether a join of this room is here."""
        return room in self._joins

    def pending_joins(self, room: str) -> int:
        """Return how many people are on the way into a room, and not in it yet."""
        joins = (draft for draft in self if draft.kind is Kind.JOIN and draft.room == room)
        return sum(bool(draft.session and not draft.session.closed) for draft in joins)

    def move(self, room: str, to: str) -> None:
        """Let what waits for a room go to it under its new name."""
        for draft in (*self._drafts, *self.in_flight.values()):
            if draft.room == room:
                draft.room = to
        if count := self._joins.pop(room, 0):
            self._joins[to] += count

    def stored(self, entries: Sequence[Entry]) -> Sequence[Draft]:
        """Settle the drafts that became these entries, and return them."""
        drafts = []
        for entry in entries:
            if draft := self.in_flight.pop(entry.id, None):
                draft.entry = entry
                drafts.append(draft)
        self._settle(drafts)
        return drafts

    def find(self, id: str) -> Draft | None:
        """Return the draft that has become an entry, if it is of this process."""
        return self.in_flight.get(id) or self._unsure.get(id)

    def confirmed(self, entries: Iterable[Entry]) -> Sequence[Draft]:
        """Return those of which it was not sure whether they would become entries, and which are among these."""
        drafts = []
        for entry in entries if self._unsure else ():
            if draft := self._unsure.pop(entry.id, None):
                draft.entry = entry
                drafts.append(draft)
        return drafts

    def refused(self, drafts: Iterable[Draft], reason: str, sure: bool = True) -> Sequence[Draft]:
        """Settle drafts that will not be stored, keep those that insist for the next batch, and return both.

        Unless it is sure, they may be stored still: they are remembered for that, the newest MAX_UNSURE.

        What nobody needs any more is settled with them: the leave of somebody whose join was not stored. Who left
        does not wait until there is room on the disk for that.
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
    """Give the drafts of one event the id of one, told apart by what follows a `~`."""
    first = drafts[0].id if drafts else ""
    for number, draft in enumerate(drafts):
        draft.id = f"{first}~{number:x}"
        draft.earlier = tuple(other.room for other in drafts[:number])


def set_label(draft: Draft, label: str) -> None:
    """Let a draft carry its session's word for it; its id ends with that."""
    if label and not draft.label:
        draft.label = label
        draft.id += f"-{label}"
