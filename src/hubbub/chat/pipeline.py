"""The pipeline: drafts are gathered, published as a batch, delivered when they are stored, and then settled.

The batch that is gathered while the last one is committed and delivered is the next one: a transaction for the log
and one write for each member. So batches grow with the load by back-pressure, and no draft waits for a timer.

There is one exception: while joins pile up, the fan-outs are paced. Each join is written to everybody who is in the
room already, so thousands of them at once would cost the square of their number in small writes. After a fan-out of d
seconds the next batch is then gathered for d seconds, which leaves half of the time for new connections and makes a few
big batches of the storm. Messages need no pace: a burst of them fills the batches by itself, and a wait would only add
latency.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from hubbub.chat.posting import MEMBERSHIP
from hubbub.chat.postings_by_id import PostingsById
from hubbub.chat.session import Posting, Session
from hubbub.model.codec import text_of
from hubbub.model.entries import (
    Body,
    Draft,
    Edited,
    Entry,
    Joined,
    Left,
    NickChanged,
    PollClosed,
    Redacted,
    Said,
)
from hubbub.model.events import Notice
from hubbub.text.cleaning import beginning

MAX_UNCONFIRMED = 10_000  # postings without a definite outcome that are remembered
NEXT_SECONDS = 0.05  # until the next batch, for a log that gathers batches itself
RETRY_SECONDS = 0.25  # until the next batch after the log failed
ENDS = (PollClosed, Redacted)  # after which their target takes no votes and no other end
STORM_JOINS = 8  # joins without an outcome from which on the next batch is paced


class Scheduler(Protocol):
    """The part of an event loop that the pipeline needs."""

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Any:
        """Call a function in the next turn of the loop."""
        ...

    def call_later(self, delay: float, callback: Callable[..., Any], *args: Any) -> Any:
        """Call a function after some seconds."""
        ...


class DraftPublisher(Protocol):
    """The part of a log that takes drafts; storage/ports.py documents its guarantees."""

    @property
    def gathers(self) -> bool:
        """Whether the log forms batches itself: it then accepts more drafts before it has stored the last ones."""
        ...

    def publish(self, drafts: Sequence[Draft]) -> None:
        """Order and store drafts; return at once."""
        ...


class Pipeline:
    """The postings of all sessions, from their creation until their outcome is known.

    Args:
        log: orders and stores the drafts.
        scheduler: the running event loop.
        clock: returns the seconds of a precise clock that never goes back.
        bound: the number of characters of text in the pipeline above which sessions must wait.

    """

    def __init__(self, log: DraftPublisher, scheduler: Scheduler, clock: Callable[[], float], bound: int) -> None:
        self._log = log
        self._scheduler = scheduler
        self._clock = clock
        self._bound = bound
        # The owner sets both: one delivers stored entries and calls `settle` then, the other undoes the preparations
        # for a failed draft.
        self.deliver: Callable[[Sequence[Entry]], None] = self.settle
        self.undo: Callable[[Session, Draft], None] = lambda session, draft: None
        self.on_commit: Callable[[float], None] = lambda seconds: None  # called with the duration of each commit
        self.on_fan_out: Callable[[float], None] = lambda seconds: None  # called with the duration of each fan-out
        self.entries = 0  # entries stored since the start
        self.not_stored = 0  # drafts not stored since the start
        self._gathered: list[Posting] = []  # for the next batch
        self._in_flight = PostingsById()  # with the log
        self._unconfirmed = PostingsById()  # reported as not confirmed
        self._size = 0  # characters of text in `_in_flight` and `_gathered`
        self.is_full = False  # that is over the bound: sessions must wait
        self._joins: Counter[str] = Counter()  # joins in `_in_flight` and `_gathered`, by id of the room
        self._join_count = 0  # the sum of `_joins`
        self._ends: Counter[str] = Counter()  # ends of polls and deletions there, by id of their target
        self._starved: dict[Session, None] = {}  # sessions that wait because of the bound
        self._busy = False  # a batch is with the log, or being delivered
        self._planned = False  # a call of `_publish` is scheduled
        self._earliest = 0.0  # time on the clock before which no batch is published
        self._published_at = 0.0  # time of the last publication; 0 after its commit

    # --- postings without an outcome ----------------------------------------------------------------------------

    def add(self, posting: Posting) -> None:
        """Add a posting to the next batch; the session's replies keep a place for its outcome."""
        draft, session = posting.draft, posting.session
        body = draft.body
        size = posting.size = len(body.text if type(body) is Said else text_of(body))
        self._size += size
        self.is_full = self._size > self._bound
        if session:
            session.replies.append(posting)
            session.unsettled += size
        if type(body) is Joined:
            self._joins[draft.room_id] += 1
            self._join_count += 1
        elif isinstance(body, ENDS):
            self._ends[body.target] += 1
        self._gathered.append(posting)
        if not (self._busy or self._planned):
            self._plan()

    def __iter__(self) -> Iterator[Posting]:
        """Yield the postings that have no outcome yet, those with the log first."""
        yield from self._in_flight.all()
        yield from self._gathered

    def __len__(self) -> int:
        return len(self._gathered) + sum(1 for _ in self._in_flight.all())

    @property
    def newest(self) -> Posting | None:
        """The newest posting that has no outcome yet: when it has one, all that are here now have one as well."""
        return self._gathered[-1] if self._gathered else self._in_flight.newest

    @property
    def idle(self) -> bool:
        """Whether every posting has its outcome."""
        return not (self._gathered or self._in_flight)

    @property
    def queued(self) -> bool:
        """Whether drafts wait for the next batch."""
        return bool(self._gathered)

    def find(self, entry: Entry) -> Posting | None:
        """Return the posting of an entry, if this process published it."""
        posting = self._in_flight.get(entry.id)
        if posting and posting.draft.room_id == entry.room_id:
            return posting
        return self._in_flight.find(entry) or self._unconfirmed.find(entry)

    def bodies(self, room: str) -> Iterator[Body]:
        """Yield what is on its way into the room with an id: it takes effect before a new draft."""
        return (one.draft.body for one in self if one.draft.room_id == room)

    def is_ending(self, id: str) -> bool:
        """Return whether the end of the poll with an id, or the deletion of that message, has no outcome yet."""
        return id in self._ends

    def wait_for_room(self, session: Session) -> None:
        """Resume a session when the pipeline is within its bound again."""
        self._starved[session] = None

    def has_joins(self, room: str) -> bool:
        """Return whether a join of the room with this id has no outcome yet."""
        return room in self._joins

    def pending_joins(self, room: str) -> int:
        """Return the number of users who are here and whose join of the room with an id has no outcome yet."""
        joins = (one for one in self if isinstance(one.draft.body, Joined) and one.draft.room_id == room)
        users = (join.session.user for join in joins if join.session)
        return sum(bool(user and user.present) for user in users)

    # --- to the log ---------------------------------------------------------------------------------------------

    def _plan(self) -> None:
        """Schedule the publication of the gathered drafts as early as possible."""
        self._planned = True
        now = self._clock()
        if self._earliest > now:
            self._scheduler.call_later(self._earliest - now, self._publish)
        else:
            # Not at once: other drafts of this turn of the loop belong to the same batch.
            self._scheduler.call_soon(self._publish)

    def _publish(self) -> None:
        self._planned = False
        batch, self._gathered = self._gathered, []
        if batch:
            for posting in batch:
                if self._in_flight.setdefault(posting.draft.id, posting) is not posting:
                    self._in_flight.add(posting)
            self._busy = True
            # A log that gathers batches itself takes the next batch before this one is stored, to shorten the wait.
            if self._log.gathers:
                self._scheduler.call_later(NEXT_SECONDS, self._next)
            self._published_at = self._clock()
            self._log.publish([posting.draft for posting in batch])

    def _next(self) -> None:
        self._busy = False
        if self._gathered and not self._planned:
            self._plan()

    # --- from the log -------------------------------------------------------------------------------------------

    def committed(self, entries: Sequence[Entry]) -> None:
        """Deliver stored entries, in the log's order, and publish the next batch when the loop has written them."""
        start = self._clock()
        if self._published_at:
            self.on_commit(start - self._published_at)
            self._published_at = 0.0
        self.entries += len(entries)
        storm = self._join_count >= STORM_JOINS
        try:
            self.deliver(entries)
        finally:
            # The next batch follows even after a bug in the delivery. It starts when the loop has flushed the writes.
            self._scheduler.call_soon(self._delivered, start, storm)

    def _delivered(self, start: float, storm: bool) -> None:
        now = self._clock()
        self.on_fan_out(now - start)
        if storm or self._join_count >= STORM_JOINS:
            self._earliest = now + (now - start)
        self._busy = False
        if self._gathered and not self._planned:
            self._plan()

    def settle(self, entries: Sequence[Entry]) -> None:
        """Settle the drafts of these stored entries, once the entries are delivered."""
        stored = []
        for entry in entries:
            flying = self._in_flight
            if posting := flying.take(flying.find(entry)) if flying.others else flying.pop(entry.id, None):
                posting.entry = entry
                stored.append(posting)
            elif self._unconfirmed:
                self._confirm(entry)
        self._settle(stored)

    def _confirm(self, entry: Entry) -> None:
        """Tell the session of a draft that was reported as not confirmed that the draft is stored after all."""
        posting = self._unconfirmed.take(self._unconfirmed.find(entry))
        if posting and posting.session and not posting.session.closed:
            if posting.label:
                posting.session.replies.append(posting.acknowledged(entry))
            posting.session.replies.append(Notice((after_all(entry),)))
            posting.session.flush()

    def failed(self, drafts: Iterable[Draft], reason: str, sure: bool = True) -> None:
        """Settle drafts after a failed commit, and send the reason to their sessions.

        Drafts with `must_store` are gathered for the next batch again, before all others. It follows after
        RETRY_SECONDS. If the failure is not `sure`, the drafts may still be stored later: the newest MAX_UNCONFIRMED
        are remembered for that.

        A leave whose join was not stored is settled as well, because no log needs it: the session that left does not
        have to wait until the disk has space for it.
        """
        lost, again = [], []
        flying = self._in_flight
        for posting in [one for draft in drafts if (one := flying.take(flying.find_draft(draft)))]:
            if posting.draft.must_store and not _never_joined(posting):
                posting.done = True
                again.append(posting)
            else:
                posting.error, posting.definite = reason, sure
                lost.append(posting)
                if not sure:
                    self._unconfirmed.add(posting)
        self._unconfirmed.limit(MAX_UNCONFIRMED)
        self.not_stored += len(lost) + len(again)
        moot: list[Posting] = []
        for posting in self._gathered:
            if _never_joined(posting):
                posting.error = reason
                moot.append(posting)
            else:
                again.append(posting)
        self._gathered = again
        self._earliest = self._clock() + RETRY_SECONDS
        try:
            self._settle([*lost, *moot], again)
        finally:
            self._next()

    def _settle(self, postings: Sequence[Posting], again: Sequence[Posting] = ()) -> None:
        """Send the outcomes of postings to their sessions, and let the sessions take their next commands.

        The sessions of the postings in `again`, which have no outcome yet, do not wait for them any more.
        """
        for posting in postings:
            posting.settled = posting.done = True
            draft, session = posting.draft, posting.session
            self._size -= posting.size
            if type(draft.body) is Joined:
                self._join_count -= 1
                _take_one(self._joins, draft.room_id)
            elif isinstance(draft.body, ENDS):
                _take_one(self._ends, draft.body.target)
            if session:
                session.unsettled -= posting.size
                if session.user and posting in session.user.changing:
                    session.user.changing.remove(posting)
                if posting.error:
                    self.undo(session, draft)
        self._resume((*postings, *again) if again else postings)

    def _resume(self, postings: Sequence[Posting]) -> None:
        """Let the sessions that wait for these postings go on, and those that wait for the bound if there is room."""
        touched: dict[Session, None] = {}
        for posting in postings:
            if posting.session:
                if posting in posting.session.pending:
                    posting.session.pending.remove(posting)
                touched[posting.session] = None
                if type(posting.draft.body) in MEMBERSHIP and (user := posting.session.user):
                    touched.update(dict.fromkeys(user.sessions))
            if posting.watchers:
                touched.update(dict.fromkeys(posting.watchers))
                posting.watchers = None
        self.is_full = self._size > self._bound
        if self._starved and not self.is_full:
            touched.update(self._starved)
            self._starved = {}
        for session in touched:
            session.flush()
            if not session.closed:
                session.client.resume_input()


def _take_one(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if not counter[key]:
        del counter[key]


def _never_joined(posting: Posting) -> bool:
    if not isinstance(posting.draft.body, Left) or posting.session is None:
        return False
    join = posting.session.user.joining.get(posting.draft.room_id) if posting.session.user else None
    # A join whose outcome is not known may still be stored, and then the log needs the leave.
    return join is not None and join.error is not None and join.definite


def after_all(entry: Entry) -> str:
    """Return the sentence for the author of an entry that was reported as not confirmed, and is stored."""
    match entry.body:
        case Said(text):
            return f"This was sent after all: {beginning(text)}"
        case Joined():
            return f"You joined {entry.room} after all"
        case Left():
            return f"You left {entry.room} after all"
        case NickChanged(nick):
            return f"You became {nick} after all"
        case Redacted():
            return "The message was deleted after all"
        case Edited():
            return "Your message was corrected after all"
        case _:
            return f"Your change of {entry.room} was stored after all"
