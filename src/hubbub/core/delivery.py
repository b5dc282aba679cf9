"""Fan-out: each chunk of a room's log is written to every member once, and nobody waits for anybody.

A member is *live* (it was given all there is, and is written each new chunk) or *behind* (its transport takes
no bytes, or did not until now): then only its cursor is kept, and it is brought up to date from the chunks in
memory or, where they reach not back that far, from the broker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hubbub.core.model import After, AllRooms, Entry, LogPage, Query, RoomState, Send
from hubbub.core.room import CommittedBatch, Cursor, Room, slices
from hubbub.core.session import Session
from hubbub.core.viewer import SYSTEM
from hubbub.errors import BrokerError

PAGE = 256  # entries that are read from the log at once for a session that is behind


class LogReader(Protocol):
    """What the core needs of a broker; the promises are told in brokers/base.py."""

    @property
    def log_id(self) -> str:
        """The identity of the log that the numbers of its entries belong to."""
        ...

    def open(self, room: str, latest: int, done: Callable[[RoomState | BrokerError], None]) -> None:
        """Start to follow a room."""
        ...

    def close(self, room: str) -> None:
        """Follow a room no more."""
        ...

    def read(self, query: Query | AllRooms, done: Callable[[Any], None]) -> None:
        """Answer a query, later."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """What the core bounds; the settings of the same names tell more."""

    history: int = 20  # messages a newcomer is shown
    max_behind: int = 10_000  # entries; a session further behind skips ahead
    max_rooms: int = 50  # rooms a session may be in
    write_bytes: int = 32 * 1024  # bytes written to a member at once
    recent: int = 16 * 1024 * 1024  # bytes of entries kept in memory, all rooms together
    gathered: int = 32 * 1024 * 1024  # characters of text that may wait for a commit, all sessions together


class Delivery:
    """Writes chunks to members, and remembers the newest ones for those who are a little behind.

    Args:
        read: answers a query from the log, later.
        limits: what is bounded.

    """

    def __init__(self, read: Callable[[Query, Callable[[Any], None]], None], limits: Limits) -> None:
        self._query = read
        self._limits = limits
        self._recent: deque[tuple[Room, CommittedBatch]] = deque()  # what all rings hold, oldest first
        self._cost = 0
        self._stale = 0  # of those, how many no ring holds any more
        self._aged = 0  # of those, how many were there at the last call of `expire`
        self._rendered: list[CommittedBatch] = []  # those that may hold more than their whole
        self.behind: dict[Session, dict[Room, Cursor]] = {}  # who misses something, and from where on
        self.delivered = 0  # entries times members, since the start

    def fan_out(
        self,
        room: Room,
        entries: Sequence[Entry],
        authors: Collection[Session | None],
        doubled: Mapping[int, Sequence[str]] | None = None,
    ) -> CommittedBatch:
        """Append entries to the room and write them to its live members; return them as a chunk.

        Args:
            room: the room of all of them.
            entries: what was committed, in order.
            authors: the sessions that published some of them: they are not given their own.
            doubled: of some of them, by index, the rooms in which the same was told before.

        """
        batch = room.append(entries, doubled)
        self._remember(room, batch)
        self._rendered.append(batch)
        for encoder, group in list(room.live.items()):
            others = dict(group)  # writing may make a member fall behind, which changes the group
            self.delivered += len(entries) * len(others)
            apart = [] if encoder.echo else [s for s in authors if s and others.pop(s, None)]
            if batch.duplicates and encoder.dedupes:
                apart += [s for s in others if batch.already_shown(encoder, s)]
                others = {s: send for s, send in others.items() if s not in apart}
            if whole := batch.encoded(encoder):
                _send(whole, others)
            for session in apart:
                if part := batch.encoded_for(encoder, session.id_prefix, 0, batch.already_shown(encoder, session)):
                    session.sink.write(part)
        return batch

    def signal(self, room: Room, entry: Entry, author: Session | None) -> None:
        """Write what is not stored to the live members, but for its author."""
        for encoder, group in list(room.live.items()):
            if data := encoder.encode(entry):
                _send(data, {session: send for session, send in group.items() if session is not author})

    def start(self, session: Session, room: Room, cursor: Cursor) -> None:
        """Give a new member what follows the cursor, and everything from then on."""
        if session.rooms.get(room.name) is room:
            self.behind.setdefault(session, {})[room] = cursor
            self.catch_up(session)

    def delivered_up_to(self, session: Session, room: Room) -> int:
        """Return up to which number a member was given a room's log."""
        return self.behind.get(session, {}).get(room, room.end).seq

    def end(self, session: Session, room: Room) -> None:
        """Give a session nothing more of a room: it is no member any longer."""
        room.remove_member(session)
        cursors = self.behind.get(session)
        if cursors is not None:
            cursors.pop(room, None)
            if not cursors:
                del self.behind[session]

    def forget(self, room: Room) -> None:
        """Drop from memory what was remembered of a room."""
        self._cost -= sum(batch.cost for batch in room.recent_batches.values())
        self._stale += len(room.recent_batches)
        room.recent_batches.clear()
        if self._stale * 2 > len(self._recent):  # seldom enough to cost nothing, often enough to hold nothing
            self._recent = deque(pair for pair in self._recent if pair[1].after.seq in pair[0].recent_batches)
            self._stale = self._aged = 0

    def expire(self) -> bool:
        """Drop the chunks that were remembered already at the last call, unless somebody is behind: the log has them.

        Returns:
            Whether there were any.

        """
        count = 0 if self.behind else self._aged
        for _ in range(count):
            self._drop_oldest()
        self._aged = len(self._recent)
        return count > 0

    def suspend(self, session: Session) -> None:
        """Write nothing more to a session until `start` says from where on, in each of its rooms."""
        self.behind.pop(session, None)
        for room in session.rooms.values():
            room.mark_behind(session)

    def fall_behind(self, session: Session) -> None:
        """Write nothing more to a session: from here on it is behind in all its rooms."""
        for room in session.rooms.values():
            if room.mark_behind(session):
                self.behind.setdefault(session, {})[room] = room.end

    def catch_up(self, session: Session) -> None:
        """Write what the session missed, until it has all there is or its transport says pause."""
        while (cursors := self.behind.get(session)) and not session.paused and not session.reading:
            room, cursor = next(iter(cursors.items()))
            if cursor.seq != room.end.seq:
                self._next(session, room, cursor)
                continue
            del cursors[room]
            if not cursors:
                del self.behind[session]
            room.mark_live(session)

    def drop_caches(self) -> None:
        """Forget what was rendered besides whole chunks; to be called when a batch, or a session, was given all."""
        for batch in self._rendered:
            batch.drop_cache()
        self._rendered.clear()

    def _next(self, session: Session, room: Room, cursor: Cursor) -> None:
        if room.end.ordinal - cursor.ordinal > self._limits.max_behind:
            self._skip(session, room, cursor)
        elif batch := room.following(cursor):
            self._give(session, room, batch)
        else:
            self._read(session, room, cursor)

    def _skip(self, session: Session, room: Room, cursor: Cursor, to: Cursor | None = None) -> None:
        to = to or room.end
        self.behind[session][room] = to
        if to.ordinal > cursor.ordinal:
            session.sink.write(room.members[session].encode_skipped(room.name, to.ordinal - cursor.ordinal))

    def _give(self, session: Session, room: Room, batch: CommittedBatch) -> None:
        self._rendered.append(batch)
        cursor = self.behind[session][room]
        self.behind[session][room] = batch.end
        self.delivered += len(batch.entries)
        encoder = room.members[session]
        start = batch.index_after(cursor.seq)
        seen = batch.already_shown(encoder, session)
        whole = not (start or seen or batch.authored_by(session.id_prefix))
        data = batch.encoded(encoder) if whole else batch.encoded_for(encoder, session.id_prefix, start, seen)
        if data:
            session.sink.write(data)

    def _read(self, session: Session, room: Room, cursor: Cursor) -> None:
        """Read what is no longer in memory; where that page ends, memory or the next page begins."""

        def done(result: LogPage | BrokerError) -> None:
            session.reading = False
            if session.paused or self.behind.get(session, {}).get(room) != cursor:
                pass  # it left, or must wait again: the page is read again when it is wanted
            elif isinstance(result, BrokerError):
                self._skip(session, room, cursor)  # rather say that something is missing than stand still for ever
            elif not result.entries:  # the log has forgotten it
                self._skip(session, room, cursor, room.cursor_at(upto))
            else:
                for piece in slices(result.entries, self._limits.write_bytes):
                    if not session.paused:
                        self._give(session, room, CommittedBatch(piece, self.behind[session][room]))
            self.catch_up(session)
            self.drop_caches()
            if session not in self.behind:
                session.client.resume_input()

        session.reading = True
        upto = room.newest_uncached()
        # It was let in: as a member, or to watch for as long as it may.
        self._query(After(room.name, cursor.seq, upto, PAGE, viewer=SYSTEM), done)

    def _remember(self, room: Room, batch: CommittedBatch) -> None:
        """Keep a chunk in memory, and drop the oldest of all rooms beyond the bound."""
        self._recent.append((room, batch))
        self._cost += batch.cost
        while self._cost > self._limits.recent and len(self._recent) > 1:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        room, batch = self._recent.popleft()
        self._aged = max(0, self._aged - 1)
        if batch.after.seq in room.recent_batches:
            room.forget_oldest()
            self._cost -= batch.cost
        else:
            self._stale -= 1


def _send(data: bytes, group: Mapping[Session, Send]) -> None:
    """Write to many: where most of the server's time is spent, so without a call of our own for each."""
    size = len(data)
    for session, send in group.items():
        sent = 0
        try:
            sent = send(data)
        except OSError:
            pass
        if sent != size:
            session.sink.write_rest(data, sent)
