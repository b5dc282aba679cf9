"""The contracts of a log and of a search index.

A log orders, stores and distributes entries; the hub decides everything else. An index finds messages in it. The same
contract test runs against every implementation (tests/storage/test_contract.py). The other two ports of the storage are
KeyValueStore (key_value.py) and Cluster (cluster/port.py).

 1. `publish(drafts)` returns at once. Later, each draft goes either to `committed` as an entry, or to `failed`. An
    entry is stored before that, so that killing the process cannot undo it. `failed` gets True if the draft is
    certainly not stored and never will be. It gets False if that is unknown; the draft may then still go to
    `committed`.
 2. `committed` gets the entries of each room in the order of the room. The seqs of a room rise (not densely), and the
    `prev` of each entry is the seq of the entry before it. No entry is delivered twice.
 3. Drafts of one room are stored in the order in which they were published, also within one batch.
 4. `open(room, latest, done)`: `done` gets the state of the room with a name, and with it the room's id, which a rename
    does not change; from then on every entry of the room is delivered. `close(id)` ends that. Drafts and delivered
    entries name their room by the id, so a draft reaches its room although the room was renamed meanwhile.
 5. `read(query, done)`: `done` gets a LogPage (for AllRooms a RoomList) of committed entries that model/access.py lets
    the query's viewer see. It gets Closed if a room is not open to the viewer, and an empty page for a hidden room. A
    page holds at most MAX_PAGE characters of text, but at least one entry if there is one.
 6. `search(query, done)` follows the same rules as `read`. A search finds the same messages in every index (words.py),
    including the newest ones. Each address has one search at a time; if too many searches wait, `done` gets Busy.
 7. `probe(done)`: `done` gets None after the log has committed a test record, which is no entry.
 8. Every `done` is called exactly once, later and not from within the call, on the loop's thread. If the request
    fails, it gets a BrokerError whose text may be shown to users.
 9. `stop` returns when all published drafts have their outcome, or after its deadline.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from hubbub.chat.core import HubLog
from hubbub.errors import BrokerError, Closed
from hubbub.model.access import HIDDEN, Action, may
from hubbub.model.codec import text_of
from hubbub.model.entries import Draft, Entry
from hubbub.model.queries import Around, LogPage
from hubbub.model.room.state import RoomState
from hubbub.model.viewer import Viewer

LEAD = 1.0  # seconds that an entry's time may be ahead of the clock
MAX_PAGE = 32 * 1024  # characters of text in a page: a slow reader's share of memory

_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # without characters that look alike

Committed = Callable[[Sequence[Entry]], None]
Failed = Callable[[Sequence[Draft], str, bool], None]


class Log(HubLog, Protocol):
    """The interface of a log for the server; HubLog is the part of it that the hub uses."""

    @property
    def health(self) -> str:
        """A fault of the log, for the server's operator, although the log can still be written; "" if there is none."""
        ...

    # Called once, on the loop's thread, with the reason when nothing can be stored any more: the server must then end.
    broken: Callable[[str], None]

    def start(self, committed: Committed, failed: Failed) -> None:
        """Start work on the running loop, and deliver outcomes to `committed` and `failed`. Raises SettingsError."""
        ...

    def probe(self, done: Callable[[BrokerError | None], None]) -> None:
        """Check that the log can commit; call `done` later with None or a BrokerError."""
        ...

    async def stop(self, deadline: float) -> None:
        """Store the published drafts, within `deadline` seconds, and release all resources."""
        ...


def new_log_id() -> str:
    """Return a new random identity for a log: 10 letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(10))


def readable(viewer: Viewer, rules: RoomState) -> bool:
    """Return whether a viewer may read a room's log; False if the room is hidden and must seem not to exist.

    Raises:
        Closed: the room is not open to the viewer.

    """
    refused = may(viewer, Action.READ, rules)
    if refused and refused.code != HIDDEN:
        raise Closed(refused)
    return not refused


def stamp(clock: float, newest: float) -> float:
    """Return the time of the next entry, in epoch seconds.

    It is the clock's time, or the time of the newest entry if the clock is at most LEAD seconds behind that. So the
    times do not fall when the clock is set back by a second, and one wrong time does not affect all later entries.
    """
    return newest if clock < newest <= clock + LEAD else clock


def page(newest_first: bool, entries: Iterable[Entry], limit: int) -> LogPage:
    """Return at most `limit` entries, oldest first, with at most MAX_PAGE characters of text in them."""
    taken: list[Entry] = []
    size = 0
    more = False
    for entry in entries:
        size += len(text_of(entry.body))
        if len(taken) == limit or (taken and size > MAX_PAGE):
            more = True
            break
        taken.append(entry)
    if newest_first:
        taken.reverse()
    return LogPage(taken, more)


# A place in a room's log: a number, or a time and a number among the entries of that time.
Place = TypeVar("Place", int, tuple[float, int])
Span = tuple[Place, Place]  # from the first place, up to but not including the second
END = 1 << 62  # higher than every number
DAWN = (float("-inf"), 0)
DOOM = (float("inf"), END)


def is_by_time(query: Around) -> bool:
    """Return whether a bound of a query is a time: the entries are then ordered by time, not by number."""
    return any(isinstance(bound, float) for bound in query.bounds)


def millisecond(bound: float) -> Span[tuple[float, int]]:
    """Return the span of all entries in the millisecond of a time, which is in epoch seconds."""
    at = round(bound * 1000)
    first, second = (then / 1000 - 1e-6 for then in (at, at + 1))
    return (first, 0), (second, 0)


def windows(
    query: Around, find: Callable[[float | str], Span[Place] | None], first: Place, last: Place
) -> list[tuple[Span[Place], bool, int]]:
    """Return the parts of a log to read for a query: spans, whether the newest entries are wanted, and how many.

    Args:
        query: the query.
        find: returns the span of a bound: for an id its entry, for a time the whole millisecond; None for an unknown
            id.
        first: the place before all entries.
        last: the place after all entries.

    """
    spans = [find(bound) for bound in query.bounds]
    if None in spans:
        return []
    known = [span for span in spans if span]
    limit = query.limit
    match query.verb, known:
        case "latest", []:
            return [((first, last), True, limit)]
        case "latest", [span]:
            return [((span[1], last), True, limit)]
        case "before", [span]:
            return [((first, span[0]), True, limit)]
        case "after", [span]:
            return [((span[1], last), False, limit)]
        case "around", [span]:
            return [((first, span[0]), True, limit // 2), ((span[0], last), False, limit - limit // 2)]
        case "between", [one, two] if one <= two:
            return [((one[1], two[0]), False, limit)]
        case "between", [one, two]:
            return [((two[1], one[0]), True, limit)]
    return []


def around(entries: Iterable[Entry], query: Around) -> LogPage:
    """Return the entries that a query asks for, selected from all entries of its room."""
    by_time = is_by_time(query)
    found: list[Entry] = []
    log = [((entry.time, entry.seq) if by_time else (0.0, entry.seq), entry) for entry in entries]
    log.sort(key=lambda pair: pair[0])

    def find(bound: float | str) -> Span[tuple[float, int]] | None:
        if isinstance(bound, str):
            return next(((at, (at[0], at[1] + 1)) for at, entry in log if entry.id == bound), None)
        return millisecond(bound)

    for (low, high), newest, limit in windows(query, find, DAWN, DOOM):
        part = [entry for at, entry in log if low <= at < high and query.asks_for(entry.kind)]
        found += part[max(0, len(part) - limit) :] if newest else part[:limit]
    return LogPage(found)
