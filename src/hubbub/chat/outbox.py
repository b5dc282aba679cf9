"""Drafts that are not in the log yet: gathered for the next batch, or being committed by the broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from hubbub.chat.session import Posting, Session
from hubbub.model.entries import Draft, Entry, Kind

MAX_UNSURE = 10_000  # postings without a definite outcome that are remembered


class Outbox:
    """Hold postings from their creation until their outcome is known.

    Args:
        wake: called when there are drafts to gather.
        bound: the number of characters of text in the outbox above which sessions must wait.

    """

    def __init__(self, wake: Callable[[], None], bound: int) -> None:
        self.in_flight: dict[str, Posting] = {}  # with the broker, by id
        self._unsure: dict[str, Posting] = {}  # reported as not confirmed, by id
        self._gathered: list[Posting] = []  # for the next batch
        self._wake = wake
        self._bound = bound
        self._size = 0  # characters of text in `in_flight` and `_gathered`
        self._joins: Counter[str] = Counter()  # joins in `in_flight` and `_gathered`, by room
        self._starved: dict[Session, None] = {}  # sessions that wait because of the bound

    def add(self, posting: Posting) -> None:
        """Add a posting to the next batch; the session's replies keep a place for its outcome."""
        size = len(posting.draft.text)
        self._size += size
        if posting.session:
            posting.session.replies.append(posting)
            posting.session.unsettled += size
        if posting.draft.kind is Kind.JOIN:
            self._joins[posting.draft.room] += 1
        self._gathered.append(posting)
        if len(self._gathered) == 1:
            self._wake()

    def gather(self) -> Sequence[Draft]:
        """Return the next batch of drafts, and begin an empty one.

        Each draft of the batch must come back later, by `stored` or `refused`.
        """
        batch, self._gathered = self._gathered, []
        self.in_flight.update((posting.draft.id, posting) for posting in batch)
        return [posting.draft for posting in batch]

    def __iter__(self) -> Iterator[Posting]:
        """Yield the postings that have no outcome yet, those with the broker first."""
        yield from self.in_flight.values()
        yield from self._gathered

    @property
    def newest(self) -> Posting | None:
        """The newest posting that has no outcome yet: when it has one, all that are here now have one as well."""
        return self._gathered[-1] if self._gathered else next(reversed(self.in_flight.values()), None)

    @property
    def queued(self) -> bool:
        """Whether `gather` would return any drafts."""
        return bool(self._gathered)

    @property
    def count(self) -> int:
        """The number of postings that have no outcome yet."""
        return len(self._gathered) + len(self.in_flight)

    @property
    def idle(self) -> bool:
        """Whether every posting has its outcome."""
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
        joins = (one for one in self if one.draft.kind is Kind.JOIN and one.draft.room == room)
        return sum(bool(join.session and not join.session.closed) for join in joins)

    def move(self, room: str, to: str) -> None:
        """Redirect the drafts for a renamed room to its new name."""
        for posting in self:
            if posting.draft.room == room:
                posting.draft.room = to
        if count := self._joins.pop(room, 0):
            self._joins[to] += count

    def stored(self, entries: Sequence[Entry]) -> Sequence[Posting]:
        """Settle the postings of these stored entries, and return them."""
        postings = []
        for entry in entries:
            if posting := self.in_flight.pop(entry.id, None):
                posting.entry = entry
                postings.append(posting)
        self._settle(postings)
        return postings

    def find(self, id: str) -> Posting | None:
        """Return the posting of the entry with this id, if this process published it."""
        return self.in_flight.get(id) or self._unsure.get(id)

    def confirmed(self, entries: Iterable[Entry]) -> Sequence[Posting]:
        """Return the postings of these entries that were reported as not confirmed and are stored after all."""
        postings = []
        for entry in entries if self._unsure else ():
            if posting := self._unsure.pop(entry.id, None):
                posting.entry = entry
                postings.append(posting)
        return postings

    def refused(self, drafts: Iterable[Draft], reason: str, sure: bool = True) -> Sequence[Posting]:
        """Settle drafts after a failed commit, keep those with `must_store` for the next batch; return the postings.

        If the failure is not `sure`, the drafts may still be stored later: the newest MAX_UNSURE of them are
        remembered, for `confirmed`.

        A leave whose join was not stored is settled as well, because no log needs it: the session that left does not
        have to wait until the disk has space for it.
        """
        lost, insisting = [], []
        for posting in [one for draft in drafts if (one := self.in_flight.pop(draft.id, None))]:
            draft = posting.draft
            if draft.must_store and not _never_joined(posting):
                posting.detached = True
                insisting.append(posting)
            else:
                posting.error, posting.definite = reason, sure
                lost.append(posting)
                if not sure:
                    self._unsure[draft.id] = posting
        while len(self._unsure) > MAX_UNSURE:
            del self._unsure[next(iter(self._unsure))]
        kept = [*insisting]
        for posting in self._gathered:
            if _never_joined(posting):
                posting.error = reason
                lost.append(posting)
            else:
                kept.append(posting)
        self._gathered = kept
        self._settle(lost)
        if kept:
            self._wake()
        return [*lost, *insisting]

    def _settle(self, postings: Sequence[Posting]) -> None:
        for posting in postings:
            posting.settled = True
            draft = posting.draft
            if draft.kind is Kind.JOIN:
                self._joins[draft.room] -= 1
                if not self._joins[draft.room]:
                    del self._joins[draft.room]
            size = len(draft.text)
            self._size -= size
            if posting.session:
                posting.session.unsettled -= size


def _never_joined(posting: Posting) -> bool:
    if posting.draft.kind is not Kind.LEAVE or posting.session is None:
        return False
    join = (posting.session.joining or {}).get(posting.draft.room)
    return join is not None and join.error is not None


def link_drafts(postings: Sequence[Posting]) -> None:
    """Give the drafts of one event in several rooms the id of the first, with a `~` and a different number each."""
    first = postings[0].draft.id if postings else ""
    for number, posting in enumerate(postings):
        posting.draft.id = f"{first}~{number:x}"
        posting.earlier = tuple(other.draft.room for other in postings[:number])
