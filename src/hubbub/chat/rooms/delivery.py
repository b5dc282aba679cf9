"""Fan-out: each committed batch of a room is written to every member once, and no member waits for another.

A member is either *live* or *behind*. A live member has received everything, and each new batch is written to it at
once. A member is behind while its transport takes no bytes, and until it has caught up: only its cursor is kept, and it
catches up from the batches in memory or, if they do not reach back far enough, from the log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct

from hubbub.chat.rooms.loaded_room import CommittedBatch, Cursor, slices
from hubbub.chat.session import Room, Session, User
from hubbub.errors import BrokerError
from hubbub.model.client import Encoder, Send
from hubbub.model.entries import Entry, Left, NickChanged, Said
from hubbub.model.notices.ignoring import Ignored, hides
from hubbub.model.queries import After, AllRooms, LogPage, LogQuery, OpenedRoom
from hubbub.model.viewer import SYSTEM

EVENTS = 1_000  # events of users that are remembered, so that each of them is shown once
PAGE = 256  # entries per log page for a session that is behind
NOBODY: Mapping[Session, int] = {}


class LogReader(Protocol):
    """The part of a log that can be read; storage/ports.py documents its guarantees."""

    @property
    def log_id(self) -> str:
        """The identity of the log, in letters and digits; valid once the log has started.

        Entry numbers are comparable only within one identity. The identity changes when the log does not continue the
        log that clients saw: a new log, a lost end, a restored backup.
        """
        ...

    def open(self, room: str, latest: int, done: Callable[[OpenedRoom | BrokerError], None]) -> None:
        """Start to follow a room, and call `done` later with its state and its `latest` newest messages."""
        ...

    def close(self, id: str) -> None:
        """Stop following the room with an id, which `open` has opened."""
        ...

    def read(self, query: LogQuery | AllRooms, done: Callable[[Any], None]) -> None:
        """Call `done` later with the answer to a query, or with a BrokerError."""
        ...


class Limits(Struct, frozen=True):
    """The limits of the core; the settings of the same names explain them."""

    history: int = 20  # messages for a newcomer
    edit_minutes: int = 15  # for which a message can be corrected
    max_behind: int = 10_000  # entries; a session further behind skips ahead
    max_rooms: int = 50  # rooms per session
    write_bytes: int = 32 * 1024  # bytes per write to a member
    recent: int = 16 * 1024 * 1024  # bytes of entries in memory, all rooms together
    gathered: int = 32 * 1024 * 1024  # characters of uncommitted text, all sessions together


class Delivery:
    """Write committed batches to members, and keep the newest batches for members that are a little behind.

    Args:
        read: answers a query from the log, later.
        limits: the limits of the core.

    """

    def __init__(self, read: Callable[[LogQuery, Callable[[Any], None]], None], limits: Limits) -> None:
        self._query = read
        self._limits = limits
        self._recent: deque[tuple[Room, CommittedBatch]] = deque()  # all remembered batches, oldest first
        self._cost = 0  # bytes of memory, as CommittedBatch.cost estimates them
        self._stale = 0  # batches in `_recent` that no room holds any more
        self._aged = 0  # batches in `_recent` since before the last `expire`
        self.behind: dict[Session, dict[Room, Cursor]] = {}  # sessions that miss entries, and their positions
        self.delivered = 0  # entries times members, since the start
        # The users of this node who ignore somebody, with these people.
        self.ignorers: dict[User, Sequence[Ignored]] = {}
        # The entries for which `_lines` was asked last, with the bytes of each by encoder.
        self._encoded: tuple[Sequence[Entry], dict[Encoder, Sequence[bytes]]] = ((), {})
        # The newest events of users by id, and the rooms in which they were shown so far.
        self._events: dict[str, tuple[Room, ...]] = {}

    def fan_out(
        self,
        room: Room,
        entries: Sequence[Entry],
        own: Mapping[Session, Sequence[int]],
        leaving: Mapping[Session, int] = NOBODY,
    ) -> CommittedBatch:
        """Append entries to the room and write them to its live members; return them as a batch.

        Args:
            room: the room of all entries.
            entries: the committed entries, in order.
            own: the sessions that published some of the entries, with the indexes of these. They are not written their
                own entries, unless their encoder echoes them.
            leaving: the sessions whose user leaves the room by one of the entries, with its index. They are written
                nothing that follows it.

        """
        for session in leaving:
            self.settle(session)
        batch = room.append(entries)
        if len(entries) > 1 or type(entries[0].body) is not Said:
            batch.shown_in = self._shown_before(room, entries)
        self._recent.append((room, batch))
        self._cost += batch.cost
        if self._cost > self._limits.recent:
            self._make_room()
        hidden = self._hidden(room, batch.entries) if self.ignorers else {}
        for encoder, group in list(room.live.items()):
            # The group is copied: a write may make a member fall behind, which changes the group.
            others = dict(group)
            self.delivered += len(entries) * len(others)
            apart = [s for s in leaving if others.pop(s, None)] if leaving else []
            apart += [s for s in hidden if others.pop(s, None)] if hidden else []
            apart += [] if encoder.echo else [s for s in own if others.pop(s, None)]
            if batch.shown_in and encoder.dedupes:
                apart += [s for s in others if batch.repeats_for(s)]
                others = {s: send for s, send in others.items() if s not in apart}
            lines = [*map(encoder.encode, batch.entries)]
            batch.rendered[encoder] = whole = encoder.join(lines)
            if whole:
                _send(whole, others)
            for session in apart:
                span = slice(0, leaving.get(session, len(entries)) + 1)
                mine = () if encoder.echo else own.get(session, ())
                shown = _without(lines, hidden[session]) if session in hidden else lines
                if part := batch.encoded_for(session, encoder, shown, mine, span):
                    session.sink.write(part)
        return batch

    def _hidden(self, room: Room, entries: Sequence[Entry]) -> dict[Session, Sequence[int]]:
        """Return the indexes of the entries that are hidden from sessions in a room, if there are any."""
        found = {}
        for user, ignored in self.ignorers.items():
            if user in room.members and (indexes := _hidden_from(ignored, entries)):
                found.update(dict.fromkeys(user.sessions, indexes))
        return found

    def _shown_before(self, room: Room, entries: Sequence[Entry]) -> dict[int, tuple[Room, ...]]:
        """Return the other rooms in which the events of these entries were shown before, by index.

        A nick change and the end of a user have an entry in each room of the user, all with the same id.
        """
        found = {}
        for index, entry in enumerate(entries):
            if type(entry.body) is NickChanged or (type(entry.body) is Left and entry.body.quit):
                rooms = self._events.pop(entry.id, ())
                self._events[entry.id] = (*rooms, room)
                if rooms:
                    found[index] = rooms
        while len(self._events) > EVENTS:
            del self._events[next(iter(self._events))]
        return found

    def signal(self, room: Room, entry: Entry, author: Session | None) -> None:
        """Write an ephemeral entry to the live members except its author; members that are behind miss it."""
        for encoder, group in list(room.live.items()):
            if data := encoder.encode(entry):
                without = {author, *(self._hidden(room, (entry,)) if self.ignorers else ())}
                _send(data, {session: send for session, send in group.items() if session not in without})

    def start(self, session: Session, room: Room, cursor: Cursor) -> None:
        """Start to write to a new member: the entries after the cursor first, then every new batch."""
        if session in room.sessions:
            self.behind.setdefault(session, {})[room] = cursor
            self.catch_up(session)

    def delivered_up_to(self, session: Session, room: Room) -> int:
        """Return the number of the last entry of a room that a member has received."""
        return self.behind.get(session, {}).get(room, room.end).seq

    def end(self, session: Session, room: Room) -> None:
        """Remove a session from a room, and write nothing more of the room to it."""
        self.settle(session)
        room.remove_session(session)
        cursors = self.behind.get(session)
        if cursors is not None:
            cursors.pop(room, None)
            if not cursors:
                del self.behind[session]

    def forget(self, room: Room) -> None:
        """Drop the batches of a room from memory."""
        self._cost -= sum(batch.cost for batch in room.recent_batches.values())
        self._stale += len(room.recent_batches)
        room.recent_batches.clear()
        # The queue is filtered when half of it is stale: rarely enough to be cheap, and often enough to save memory.
        if self._stale * 2 > len(self._recent):
            self._recent = deque(pair for pair in self._recent if pair[1].after.seq in pair[0].recent_batches)
            self._stale = self._aged = 0

    def expire(self) -> bool:
        """Drop the batches that were in memory at the last call already, unless a session is stalled.

        The log still has them.

        Returns:
            Whether any batch was dropped.

        """
        count = 0 if self.stalled else self._aged
        for _ in range(count):
            self._drop_oldest()
        self._aged = len(self._recent)
        return count > 0

    @property
    def stalled(self) -> int:
        """The number of sessions that are behind, but not by choice: see `fall_behind`."""
        return sum(session.paused or session.reading for session in self.behind)

    def suspend(self, session: Session) -> None:
        """Write nothing more to a session until `start` is called for each of its rooms; forget its positions."""
        self.behind.pop(session, None)
        for room in session.rooms.values():
            room.mark_behind(session)

    def fall_behind(self, session: Session) -> None:
        """Write nothing more to a session, and remember its position in each room where it was live.

        Its transport takes no bytes, or it is behind by choice: it is written in frames, and calls `catch_up` itself.
        """
        for room in session.rooms.values():
            if room.mark_behind(session):
                self.behind.setdefault(session, {})[room] = room.end

    def settle(self, session: Session) -> None:
        """Write to a session that is behind by choice all that it misses: see `fall_behind`."""
        if session in self.behind:
            self.catch_up(session)

    def catch_up(self, session: Session) -> None:
        """Write the entries that the session missed, until it is live in all rooms, is paused, or waits for the log."""
        while (cursors := self.behind.get(session)) and not session.paused and not session.reading:
            room, cursor = next(iter(cursors.items()))
            if cursor.seq != room.end.seq:
                self._next(session, room, cursor)
                continue
            del cursors[room]
            if not cursors:
                del self.behind[session]
            room.mark_live(session)

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
            session.sink.write(room.sessions[session].encode_skipped(room.name, to.ordinal - cursor.ordinal))

    def _give(self, session: Session, room: Room, batch: CommittedBatch) -> None:
        cursor = self.behind[session][room]
        self.behind[session][room] = batch.end
        self.delivered += len(batch.entries)
        encoder = room.sessions[session]
        start = batch.index_after(cursor.seq)
        own = () if encoder.echo else batch.authored_by(session.id_prefix, start)
        hidden = _hidden_from(session.ignored, batch.entries) if self.ignorers else ()
        if start or batch.shown_in or own or hidden:
            lines = _without(self._lines(batch.entries, encoder), hidden)
            span = slice(start, len(batch.entries))
            data = batch.encoded_for(session, encoder, lines, own, span)
        else:
            data = batch.encoded(encoder)
        if data:
            session.sink.write(data)

    def _lines(self, entries: Sequence[Entry], encoder: Encoder) -> Sequence[bytes]:
        """Return the bytes of each entry of a batch. Those of the batch asked for last are kept.

        When many join at once, a batch has the joins of many sessions, and each of them is given what follows its own.
        """
        if self._encoded[0] is not entries:
            self._encoded = (entries, {})
        kept = self._encoded[1]
        if encoder not in kept:
            kept[encoder] = [*map(encoder.encode, entries)]
        return kept[encoder]

    def _read(self, session: Session, room: Room, cursor: Cursor) -> None:
        """Read entries that are no longer in memory; the batches in memory or the next page follow them."""

        def done(result: LogPage | BrokerError) -> None:
            session.reading = False
            if session.paused or self.behind.get(session, {}).get(room) != cursor:
                # The session left, or its transport takes no bytes again: the page is read again when it is needed.
                pass
            elif isinstance(result, BrokerError):
                # A notice about skipped entries is better than a session that never catches up.
                self._skip(session, room, cursor)
            elif not result.entries:  # past the retention
                self._skip(session, room, cursor, room.cursor_at(upto))
            else:
                for piece in slices(result.entries, self._limits.write_bytes):
                    if not session.paused:
                        self._give(session, room, CommittedBatch(piece, self.behind[session][room]))
            self.catch_up(session)
            if session not in self.behind:
                session.client.resume_input()

        session.reading = True
        upto = room.newest_uncached()
        # The session has access already, as a member or as a watcher, so the read needs no permission check.
        # It asks by the id: the room may be renamed, and another one may have the name, before the log is read.
        self._query(After(room.name, cursor.seq, upto, PAGE, room_id=room.id, viewer=SYSTEM), done)

    def _make_room(self) -> None:
        """Drop the oldest batches of all rooms from memory, above `Limits.recent` bytes."""
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


def _hidden_from(ignored: Sequence[Ignored], entries: Sequence[Entry]) -> Sequence[int]:
    return [index for index, entry in enumerate(entries) if hides(ignored, entry)] if ignored else ()


def _without(lines: Sequence[bytes], hidden: Sequence[int]) -> Sequence[bytes]:
    """Return the bytes of entries, with none for those that are hidden."""
    return [b"" if index in hidden else line for index, line in enumerate(lines)] if hidden else lines


def _send(data: bytes, group: Mapping[Session, Send]) -> None:
    """Write the same bytes to many sessions.

    The server spends most of its time here, so the loop calls the socket's `send` directly, with no method between.
    """
    size = len(data)
    for session, send in group.items():
        sent = 0
        try:
            sent = send(data)
        except OSError:
            pass
        if sent != size:
            session.sink.write_rest(data, sent)
