"""A room is a log; this is the part of it that is awake: its newest chunks, and who is given the next one."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from hubbub.core.absent import Absence, Key, absences
from hubbub.core.model import SAID, Encoder, Entry, Kind, RoomState, Send
from hubbub.core.names import key_of
from hubbub.core.redactions import gone
from hubbub.core.room_modes import CHANGING, RoomModes, without_secrets

if TYPE_CHECKING:
    from hubbub.core.session import Session

ENDING = frozenset({Kind.KICK, Kind.MODE})  # what may end somebody's being in a room
_seq = attrgetter("seq")
ABSENT = 1_000  # people who have left a room that it knows of
ENTRY_COST = 400  # bytes that an entry takes in memory besides its text, as measured
CHUNK_COST = 800  # and those of a chunk besides its entries


class Cursor(NamedTuple):
    """How far a member has been given a room's log: up to the entry with number `seq`.

    Numbers are not dense, so `ordinal` counts the room's entries since it woke.
    """

    seq: int
    ordinal: int


class CommittedBatch:
    """Entries of one room that were committed together and are written together.

    What it looks like in a form is rendered once and kept, for the members who are written to now and for
    those who catch up later.
    """

    __slots__ = ("_lines", "_own", "_whole", "after", "cost", "duplicates", "end", "entries")

    def __init__(
        self, entries: Sequence[Entry], after: Cursor, doubled: Mapping[int, Sequence[str]] | None = None
    ) -> None:
        self.entries = without_secrets(entries)
        self.duplicates = doubled or {}  # of entries by index: rooms in which the same was told before
        self.after = after  # the cursor of who was given everything before it
        self.end = self.cursor(len(entries) - 1)
        self.cost = 2 * sum(len(entry.text) for entry in entries) + ENTRY_COST * len(entries) + CHUNK_COST
        self._own: dict[str, list[int]] | None = None
        self._lines: dict[Encoder, list[bytes]] = {}
        self._whole: dict[Encoder, bytes] = {}

    def cursor(self, index: int) -> Cursor:
        """Return the cursor of who was given everything up to the entry at `index`."""
        return Cursor(self.entries[index].seq, self.after.ordinal + index + 1)

    def index_after(self, seq: int) -> int:
        """Return the index of the first entry that follows a number."""
        return 0 if seq <= self.after.seq else bisect_right(self.entries, seq, key=_seq)

    def authored_by(self, tag: str) -> Sequence[int]:
        """Return which of the entries the session with this tag published."""
        if self._own is None:
            self._own = {}
            for index, entry in enumerate(self.entries):
                self._own.setdefault(entry.id[: entry.id.rfind(".") + 1], []).append(index)
        return self._own.get(tag, ())

    def _rendered(self, encoder: Encoder) -> list[bytes]:
        lines = self._lines.get(encoder)
        if lines is None:
            render = encoder.encode
            lines = self._lines[encoder] = [render(entry) for entry in self.entries]
        return lines

    def encoded(self, encoder: Encoder) -> bytes:
        """Return all of it."""
        whole = self._whole.get(encoder)
        if whole is None:
            whole = self._whole[encoder] = encoder.join(self._rendered(encoder))
        return whole

    def already_shown(self, encoder: Encoder, session: Session) -> Sequence[int]:
        """Return which entries a session was told in another room."""
        if not self.duplicates or not encoder.dedupes or len(session.rooms) < 2:
            return ()
        return [index for index, rooms in self.duplicates.items() if any(room in session.rooms for room in rooms)]

    def encoded_for(self, encoder: Encoder, tag: str, start: int = 0, seen: Collection[int] = ()) -> bytes:
        """Return the entries from index `start` on as one session is shown them; its own by `Encoder.encode_own`.

        Entries at the indexes `seen` are left out, and so are the session's own that have a label: it gets those with
        `Acknowledged`, in order with its other replies.

        After its own leave of the room a session sees nothing.
        """
        lines = self._rendered(encoder)
        own = () if encoder.echo else self.authored_by(tag)
        pieces = []
        for index in sorted({*own, *seen}) if seen else own:
            if index >= start:
                pieces += lines[start:index]
                start = index + 1
                entry = self.entries[index]
                if index in own and index not in seen and "-" not in entry.id[len(tag) :]:
                    pieces.append(encoder.encode_own(entry))
                if entry.kind is Kind.LEAVE and index in own:
                    return encoder.join(pieces)
        return encoder.join(pieces + lines[start:])

    def take_back(self, id: str) -> bool:
        """Forget what a message said, and how it looked; return whether it is one of these entries."""
        index = next((index for index, entry in enumerate(self.entries) if entry.id == id), None)
        if index is None:
            return False
        self.entries = [*self.entries[:index], gone(self.entries[index]), *self.entries[index + 1 :]]
        self._lines.clear()
        self._whole.clear()
        return True

    def drop_cache(self) -> None:
        """Forget what a part needs: the fan-out is over, from now on the whole is asked for, or rarely a part."""
        self._lines.clear()
        self._own = None


class Room:
    """A room that has members: where its log ends, the newest of it, and the members as cursors.

    Args:
        name: its one name, folded.
        state: what the log says of it.
        history: how many messages a newcomer is shown.
        elsewhere: who is in it on other nodes; that changes without its doing.

    """

    __slots__ = (
        "absent",
        "end",
        "latest",
        "live",
        "members",
        "name",
        "recent_batches",
        "remote_members",
        "rules",
        "topic",
        "watchers",
    )  # fmt: skip

    def __init__(self, name: str, state: RoomState, history: int, elsewhere: dict[Session, None] | None = None) -> None:
        self.name = name
        self.end = Cursor(state.seq, 0)
        self.topic = state.topic
        self.rules = RoomModes(name, state.rules)
        self.latest: deque[Entry] = deque(state.latest, maxlen=history)
        self.absent = absences(state.recent)
        self.recent_batches: dict[int, CommittedBatch] = {}  # by the number before it, oldest first
        self.members: dict[Session, Encoder] = {}
        self.watchers: set[Session] = set()  # those of them whom others do not see: they have no name
        # The members that were given all there is, by form: a chunk is written to them without another look.
        self.live: dict[Encoder, dict[Session, Send]] = {}
        self.remote_members = {} if elsewhere is None else elsewhere
        for session in self.remote_members:
            self.receive(session)

    def append(self, entries: Sequence[Entry], doubled: Mapping[int, Sequence[str]] | None = None) -> CommittedBatch:
        """Append what was committed, in order, and return it as a chunk. Nobody is given it yet."""
        batch = CommittedBatch(entries, self.end, doubled)
        self.recent_batches[self.end.seq] = batch
        self.end = batch.end
        for entry in entries:
            if entry.kind in SAID:
                self.latest.append(entry)
            elif entry.kind in CHANGING:
                if entry.kind is Kind.TOPIC:
                    self.topic = entry.text
                # Who joins here is no member yet; all are looked at only where somebody is named.
                apart = () if entry.kind is Kind.JOIN else self.members
                self.rules.apply(entry, (*apart, *self.remote_members))
            elif entry.kind is Kind.LEAVE:
                self._note((key_of(entry.nick), entry.host), Absence(entry.seq, entry.time))
            elif entry.kind is Kind.REDACT:
                self._take_back(entry.text.partition(" ")[0])
        return batch

    def _take_back(self, id: str) -> None:
        """Forget what a message said, in all that is in memory."""
        self.latest = deque((one for one in self.latest if one.id != id), self.latest.maxlen)
        for batch in reversed(self.recent_batches.values()):
            if batch.take_back(id):
                return

    def forget_oldest(self) -> None:
        """Drop the oldest chunk from memory; it stays in the log."""
        del self.recent_batches[next(iter(self.recent_batches))]

    def following(self, cursor: Cursor) -> CommittedBatch | None:
        """Return the chunk in memory that holds what follows the cursor, None if that is on disk alone."""
        batch = self.recent_batches.get(cursor.seq)
        if batch is None:  # in the middle of one: who joined there, but could not be written to
            inside = (c for c in reversed(self.recent_batches.values()) if c.after.seq < cursor.seq < c.end.seq)
            batch = next(inside, None)
        return batch

    def cursor_at(self, seq: int) -> Cursor:
        """Return the cursor of who was given everything up to a number, as it says.

        How much it misses is not known if that reaches back further than memory; it counts as little.
        """
        if seq >= self.end.seq:
            return self.end
        batch = self.following(Cursor(seq, 0)) or next(iter(self.recent_batches.values()), None)
        if batch is None or seq < batch.after.seq:
            return Cursor(seq, (batch.after if batch else self.end).ordinal - 1)
        return Cursor(seq, batch.after.ordinal + batch.index_after(seq))

    def newest_uncached(self) -> int:
        """Return the number at which the log in memory begins: what is before it is on disk alone."""
        return next(iter(self.recent_batches), self.end.seq)

    @property
    def people(self) -> list[Session]:
        """The members that others see: who has a name. The rest only watch."""
        return [*(session for session in self.members if session.user), *self.remote_members]

    @property
    def count(self) -> int:
        """How many people there are, without looking at each of them."""
        return len(self.members) - len(self.watchers) + len(self.remote_members)

    def has_member(self, session: Session) -> bool:
        """Whether somebody is a member, here or on another node."""
        return session in self.members or session in self.remote_members

    def receive(self, session: Session) -> None:
        """Note that somebody came in on another node."""
        session.rooms[self.name] = self
        self.absent.pop((key_of(session.nick), session.host), None)
        self.rules.admit(session)

    def add_member(self, session: Session, encoder: Encoder) -> None:
        """Make a session a member that is given nothing yet; `go_live` or `session.behind` says from where."""
        self.members[session] = encoder
        if not session.user:
            self.watchers.add(session)

    def remove_member(self, session: Session) -> None:
        """Make it a member no more."""
        self.rules.dismiss(session)
        self.watchers.discard(session)
        self.mark_behind(session, self.members.pop(session))

    def note_absence(self, session: Session, seq: int, now: float) -> None:
        """Note that a member leaves who was given the log up to a number, less what may not have arrived."""
        unsure = (entry.seq - 1 for entry in self.latest if entry.time >= now - session.unheard)
        seq = min(seq, next(unsure, seq)) if session.unheard else seq
        self._note((key_of(session.nick), session.host), Absence(seq, now))

    def _note(self, key: Key, absence: Absence) -> None:
        """Note an absence: of two of one person, which are the dismissal and the leave, the smaller number counts."""
        known = self.absent.pop(key, absence)
        self.absent[key] = absence._replace(seq=min(known.seq, absence.seq))
        if len(self.absent) > ABSENT:
            del self.absent[next(iter(self.absent))]

    def mark_live(self, session: Session) -> None:
        """Give the session every chunk from now on: it has all there is."""
        self.live.setdefault(self.members[session], {})[session] = session.sink.send

    def mark_behind(self, session: Session, encoder: Encoder | None = None) -> bool:
        """Give the session nothing for now; return whether it was live."""
        encoder = encoder or self.members[session]
        group = self.live.get(encoder)
        if group is None or group.pop(session, None) is None:
            return False
        if not group:
            del self.live[encoder]
        return True

    def set_encoder(self, session: Session, encoder: Encoder) -> None:
        """Write to the session in another form from now on."""
        live = self.mark_behind(session)
        self.members[session] = encoder
        if live:
            self.mark_live(session)


def slices(entries: Sequence[Entry], limit: int) -> Iterator[Sequence[Entry]]:
    """Cut entries so that each piece is at most `limit` bytes of text, or one entry.

    A piece ends with a kick or a change of modes: whoever is thrown out by it is given nothing that follows.
    """
    start = size = 0
    for index, entry in enumerate(entries):
        text = entry.text
        cost = (len(text) if text.isascii() else len(text.encode())) + len(entry.nick) + 48  # what a wire adds
        if size and (size + cost > limit or entries[index - 1].kind in ENDING):
            yield entries[start:index]
            start, size = index, 0
        size += cost
    yield entries if not start else entries[start:]
