"""What a broker promises.

A broker orders, stores and distributes; the hub decides everything else. The same contract test runs against
every broker (tests/brokers/test_contract.py).

 1. `publish(drafts)` returns at once. Later, each draft is either handed to `committed` as an entry, after it
    is stored so that killing the process cannot undo it, or to `failed`: with True when it is sure that it is not
    stored and will not be; with False when that is not known, and then it may be handed to `committed` still.
 2. `committed` is called with the entries of each room in their one order. In a room their seqs rise (not densely),
    and each entry's `prev` is the seq of the entry before it. Nothing is handed over twice.
 3. Drafts of one room are stored in the order in which they were published, those of one batch too.
 4. `open(room, latest, done)`: `done` gets the room's state; from then on nothing of the room is missed.
    `close(room)` ends that.
 5. `read(query, done)`: `done` gets a Page (for AllRooms a RoomList), of what is committed and of what core/access.py
    lets the query's viewer see: Closed if a room is not open to it, nothing of a room that is hidden. A page holds at
    most MAX_PAGE characters of text, and at least one entry if there is one. A search finds the same messages on
    every broker (words.py), also those that were stored just now. Of an address one search is done at a time; if
    too many wait, `done` gets Busy.
 6. `probe(done)`: `done` gets None once something was committed, which is no entry.
 7. Every `done` is called later, never from within the call, once, on the loop's thread; with a BrokerError
    whose text may be shown to people when it cannot be done.
 8. `stop` returns when what was published has its outcome, at the latest after its deadline.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from hubbub.core import delivery
from hubbub.core.access import HIDDEN, Action, may
from hubbub.core.model import SAID, Around, Draft, Entry, LogPage
from hubbub.core.room_modes import RoomModes
from hubbub.core.viewer import Viewer
from hubbub.errors import BrokerError, Closed

LEAD = 1.0  # seconds that an entry's time may be ahead of the clock
MAX_PAGE = 32 * 1024  # characters of text in a page: a slow reader's share of memory

if TYPE_CHECKING:
    from hubbub.core.hub import Hub

_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"  # none that is taken for another one

Committed = Callable[[Sequence[Entry]], None]
Failed = Callable[[Sequence[Draft], str, bool], None]


class Broker(delivery.LogReader, Protocol):
    """The hub's view of a broker, and what the server does with it.

    `gathers` says whether it makes batches of what it is given: then it may have more before it is done with the last.
    """

    @property
    def gathers(self) -> bool:
        """Whether it makes batches itself."""
        ...

    @property
    def log_id(self) -> str:
        """The identity of the log, once the broker has started; letters and digits.

        Numbers of entries mean something only within one identity: it changes when the log is not the continuation
        of the one that clients saw (a new log, a lost end, a restored backup).
        """
        ...

    @property
    def health(self) -> str:
        """What is wrong with the log though it can be committed to, for the server's operator; "" if nothing."""
        ...

    # Called once, on the loop's thread, with the reason if nothing can be stored any more: the server has to end.
    broken: Callable[[str], None]

    @property
    def secret(self) -> bytes:
        """What all nodes share and nobody else knows, once it is connected; b"" if there is only this one."""
        ...

    async def connect(self) -> None:
        """Find what it needs elsewhere, before anybody comes. Raises SettingsError when that cannot be."""
        ...

    async def meet(self, hub: Hub) -> None:
        """Let the hub know who is here by other ways than through it. Raises SettingsError when that cannot be."""
        ...

    def start(self, committed: Committed, failed: Failed) -> None:
        """Begin to work for the running loop. Raises SettingsError when that cannot be."""
        ...

    def publish(self, drafts: Sequence[Draft]) -> None:
        """Order and store drafts."""
        ...

    def probe(self, done: Callable[[BrokerError | None], None]) -> None:
        """See whether it can commit."""
        ...

    def figures(self) -> Mapping[str, tuple[str, float]]:
        """Return what it counts for who watches the server: by name, with an explanation."""
        ...

    async def give_up(self) -> None:
        """Tell of what cannot be stored just now that it is not, or not for sure: soon nobody is there to be told."""
        ...

    async def stop(self, deadline: float) -> None:
        """Finish what was published, at most `deadline` seconds long, and let go of everything."""
        ...


def new_log_id() -> str:
    """Return an identity that no other log has: 10 letters and digits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(10))


def readable(viewer: Viewer, rules: RoomModes) -> bool:
    """Return whether somebody may read a room's log; False if it is to seem that there is no such room.

    Raises:
        Closed: the room is not open to the viewer.

    """
    refused = may(viewer, Action.READ, rules)
    if refused and refused.code != HIDDEN:
        raise Closed(refused)
    return not refused


def stamp(clock: float, newest: float) -> float:
    """Return the time of the next entry: the clock's, or that of the newest entry if the clock is a little behind it.

    So times rise when a clock is adjusted by a second, and a clock that was wrong once does not date what comes later.
    """
    return newest if clock < newest <= clock + LEAD else clock


def page(newest_first: bool, entries: Iterable[Entry], limit: int) -> LogPage:
    """Return at most `limit` entries, oldest first, with at most MAX_PAGE characters of text in them."""
    taken: list[Entry] = []
    size = 0
    more = False
    for entry in entries:
        size += len(entry.text)
        if len(taken) == limit or (taken and size > MAX_PAGE):
            more = True
            break
        taken.append(entry)
    if newest_first:
        taken.reverse()
    return LogPage(taken, more)


# A place in a room's log: a number, or a time and a number among the entries of that time.
Place = TypeVar("Place", int, tuple[float, int])
Span = tuple[Place, Place]  # from the first, up to but without the second
END = 1 << 62  # after every number
DAWN = (float("-inf"), 0)
DOOM = (float("inf"), END)


def is_by_time(query: Around) -> bool:
    """Return whether a query is about times: then entries are in the order of these, and not of their numbers."""
    return any(isinstance(bound, float) for bound in query.bounds)


def millisecond(bound: float) -> Span[tuple[float, int]]:
    """Return the places of all entries in the millisecond of a time."""
    at = round(bound * 1000)
    first, second = (then / 1000 - 1e-6 for then in (at, at + 1))
    return (first, 0), (second, 0)


def windows(
    query: Around, find: Callable[[float | str], Span[Place] | None], first: Place, last: Place
) -> list[tuple[Span[Place], bool, int]]:
    """Return what to read for a query: spans, whether their newest are wanted, and how many.

    Args:
        query: the query.
        find: returns the span that a bound covers: of an id its entry, of a time all of that millisecond; None if
            the id is not known.
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
    """Return what a query asks of all entries of its room."""
    by_time = is_by_time(query)
    found: list[Entry] = []
    log = [((entry.time, entry.seq) if by_time else (0.0, entry.seq), entry) for entry in entries]
    log.sort(key=lambda pair: pair[0])

    def find(bound: float | str) -> Span[tuple[float, int]] | None:
        if isinstance(bound, str):
            return next(((at, (at[0], at[1] + 1)) for at, entry in log if entry.id == bound), None)
        return millisecond(bound)

    for (low, high), newest, limit in windows(query, find, DAWN, DOOM):
        part = [entry for at, entry in log if low <= at < high and (query.every or entry.kind in SAID)]
        found += part[max(0, len(part) - limit) :] if newest else part[:limit]
    return LogPage(found)
