"""The number of messages that somebody has missed in a room, counted before the room is shown."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice, takewhile

from msgspec import Struct

from hubbub.chat.core import Core
from hubbub.chat.rooms.delivery import PAGE
from hubbub.chat.session import Room, Session
from hubbub.chat.turns import OperationKind
from hubbub.errors import BrokerError
from hubbub.model.entries import HISTORY
from hubbub.model.events import Missed
from hubbub.model.notices.ignoring import hides, shown
from hubbub.model.queries import After, LogPage

Count = tuple[int, bool, float]  # messages, whether there are more, and the time of the first in epoch seconds


def tell_missed(core: Core, session: Session, room: Room, after: int, left_at: float) -> None:
    """Tell a session how many messages follow number `after` of a room, if any.

    They are counted in memory if all of them are there; else in the log, up to the number that a session can be behind.

    Args:
        core: reads the log.
        session: the session.
        room: the room.
        after: the number of the last entry that it was given.
        left_at: when its user left, in epoch seconds; 0 if that is not known. The first message counts if it is older:
            a lost connection is noticed late, and messages written to it meanwhile did not arrive.

    """
    asked = MissedCount(room.id, after, left_at)
    if after >= room.newest_uncached():
        if found := _event(core, session, asked, _in_memory(session, room, after, core.limits.max_behind)):
            session.replies.append(found)
    else:
        session.queue(asked)


class MissedCount(Struct, frozen=True):
    """The messages after a number in the room with an id must be counted; see `tell_missed`."""

    room: str
    after: int
    left_at: float


def _event(core: Core, session: Session, asked: MissedCount, count: Count | BrokerError) -> Missed | None:
    room = core.loaded.by_id.get(asked.room)
    if room is None or isinstance(count, BrokerError) or not count[0]:
        return None
    number, more, first = count
    since = min(asked.left_at or first, first)
    return Missed(room.name, number, since, core.clock(), more, session.current != room.id)


def _in_memory(session: Session, room: Room, after: int, limit: int) -> Count:
    """Count the messages after a number in the batches in memory, which hold all of them."""
    batches = takewhile(lambda batch: batch.end.seq > after, reversed(room.recent_batches.values()))
    newest = (entry for batch in batches for entry in reversed(batch.entries))
    seen = (one for one in newest if isinstance(one.body, HISTORY) and not hides(session.ignored, one))
    said = list(islice((one.time for one in seen if one.seq > after), limit + 1))
    return len(said[:limit]), len(said) > limit, said[-1] if said else 0.0


def _count(core: Core, session: Session, asked: MissedCount, done: Callable[[Count | BrokerError], None]) -> None:
    """Count the messages after a number in the log, page by page."""
    room = core.loaded.by_id.get(asked.room)
    if room is None:
        done((0, False, 0.0))
        return
    name, upto, limit = room.name, room.end.seq, core.limits.max_behind
    number, first, looked_at = 0, 0.0, 0  # the messages of ignored people count for the limit, too

    def read(seq: int) -> None:
        most, viewer = min(PAGE, limit - looked_at), core.viewer(session)
        query = After(name, seq, upto, most, history=True, viewer=viewer, room_id=asked.room)
        core.read(query, take)

    def take(page: LogPage | BrokerError) -> None:
        nonlocal number, first, looked_at
        if isinstance(page, BrokerError):
            done(page)
            return
        seen = shown(session.ignored, page.entries)
        first = first or (seen[0].time if seen else 0.0)
        number += len(seen)
        looked_at += len(page.entries)
        if page.more and page.entries and looked_at < limit:
            read(page.entries[-1].seq)
        else:
            done((number, page.more, first))

    read(asked.after)


OPERATIONS = (OperationKind(MissedCount, _event, _count),)
