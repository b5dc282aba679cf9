"""A room is a log. This is the loaded part of it: its newest committed batches, and the members who get the next."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from hubbub.model import ids
from hubbub.model.client import ByteSink, Encoder, Send
from hubbub.model.codec import text_of
from hubbub.model.entries import HISTORY, Entry, Kicked, Left, ModesChanged, PollClosed, Redacted, RoomRenamed, Said
from hubbub.model.events import PinnedMessage
from hubbub.model.messages.overlays import overlaid, target_of
from hubbub.model.messages.quotes import with_quotes, with_results
from hubbub.model.queries import OpenedRoom
from hubbub.model.room.absent import Absence, Key, absences, departed
from hubbub.model.room.modes import without_secrets
from hubbub.model.room.state import RoomState
from hubbub.model.viewer import Principal
from hubbub.text.names import key_of

# Bodies of entries that may remove a member or a watcher, or change the name by which the members know the room.
ENDING = (Kicked, ModesChanged, RoomRenamed)
_seq = attrgetter("seq")
ABSENT = 1_000  # absences that a room remembers
ENTRY_COST = 400  # bytes of an entry in memory besides its text, as measured
CHUNK_COST = 800  # bytes of a batch in memory besides its entries, as measured


class Member(Principal, Protocol):
    """A user, as far as a room needs to know them; chat/users/user.py has the class."""

    @property
    def rooms(self) -> dict[str, Any]:
        """The rooms of which the user is a member, by id."""
        ...


class RoomReader(Protocol):
    """A session, as far as a room needs to know it; chat/session.py has the class."""

    @property
    def id_prefix(self) -> str:
        """The prefix of the ids of everything that the session publishes."""
        ...

    @property
    def user(self) -> Member | None:
        """The user of the session, None for a watcher."""
        ...

    @property
    def nick(self) -> str:
        """The nick of the user, "" without one."""
        ...

    @property
    def host(self) -> str:
        """The public form of the address."""
        ...

    @property
    def sink(self) -> ByteSink:
        """The output of the session."""
        ...

    @property
    def unheard(self) -> float:
        """The last seconds before its end, in which entries written to it may not have arrived."""
        ...


MemberT = TypeVar("MemberT", bound=Member)
ReaderT = TypeVar("ReaderT", bound=RoomReader)


class Cursor(NamedTuple):
    """A member's position in a room's log: it has received everything up to the entry with number `seq`.

    The numbers are not dense, so `ordinal` counts the room's entries since it was loaded.
    """

    seq: int
    ordinal: int


class CommittedBatch:
    """Entries of one room that were committed together and are written together.

    Its bytes are rendered once for each encoder and kept, for the live members now and for those who catch up later.

    Args:
        entries: the entries as they are shown, in order of their numbers.
        after: the position of a member that has received everything before the batch.

    """

    __slots__ = ("after", "cost", "end", "entries", "rendered", "shown_in")

    def __init__(self, entries: Sequence[Entry], after: Cursor) -> None:
        self.entries = entries
        # For some entries, by index: the other rooms in which the same event was shown before.
        self.shown_in: Mapping[int, Sequence[LoadedRoom[Any, Any]]] = {}
        self.after = after
        self.end = Cursor(entries[-1].seq, after.ordinal + len(entries))
        bodies = (entry.body for entry in entries)
        size = sum(len(body.text if type(body) is Said else text_of(body)) for body in bodies)
        self.cost = 2 * size + ENTRY_COST * len(entries) + CHUNK_COST
        self.rendered: dict[Encoder, bytes] = {}  # the bytes of the whole batch

    def cursor(self, index: int) -> Cursor:
        """Return the position of a member that has received everything up to the entry at `index`."""
        return Cursor(self.entries[index].seq, self.after.ordinal + index + 1)

    def index_after(self, seq: int) -> int:
        """Return the index of the first entry whose number is greater than `seq`."""
        return 0 if seq <= self.after.seq else bisect_right(self.entries, seq, key=_seq)

    def authored_by(self, tag: str, start: int) -> Sequence[int]:
        """Return the indexes, from `start` on, of the entries that the session with the id prefix `tag` published."""
        # Most ids begin with another prefix, and that is seen without a call of `session_of` for each.
        alike = [index for index, entry in enumerate(self.entries[start:], start) if entry.id.startswith(tag)]
        return [index for index in alike if ids.session_of(self.entries[index].id) == tag]

    def encoded(self, encoder: Encoder) -> bytes:
        """Return the bytes of the whole batch, rendered once for each encoder."""
        whole = self.rendered.get(encoder)
        if whole is None:
            whole = self.rendered[encoder] = encoder.join([*map(encoder.encode, self.entries)])
        return whole

    def repeats_for(self, session: RoomReader) -> Sequence[int]:
        """Return the indexes of the entries whose event the session was shown in another room."""
        return [index for index, rooms in self.shown_in.items() if any(session in room.sessions for room in rooms)]

    def encoded_for(
        self, session: RoomReader, encoder: Encoder, lines: Sequence[bytes], own: Sequence[int], span: slice
    ) -> bytes:
        """Return the bytes of some entries for one session.

        Entries whose event it was shown in another room are left out, if the encoder shows an event once. Its own
        entries with a label are left out as well: it gets those with `Acknowledged`, in order with its other replies.

        Args:
            session: the session.
            encoder: its encoder.
            lines: each entry's bytes.
            own: the indexes of its own entries, which `encode_own` renders; none if the encoder echoes them.
            span: the first index, and the end.

        """
        seen = self.repeats_for(session) if self.shown_in and encoder.dedupes else ()
        start, end = span.start, span.stop
        pieces: list[bytes] = []
        for index in sorted({*own, *seen}) if seen else own:
            if start <= index < end:
                pieces += lines[start:index]
                start = index + 1
                entry = self.entries[index]
                if index in own and index not in seen and (data := encoder.encode_own(entry)):
                    pieces += [] if ids.has_label(entry.id) else [data]
        pieces += lines[start:end]
        return encoder.join(pieces) if pieces else b""

    def overlay(self, by: Entry) -> bool:
        """Change the entries that a later one changes, and drop the rendered bytes; return whether there are any."""
        now = [overlaid(entry, by) for entry in self.entries]
        if all(one is entry for one, entry in zip(now, self.entries, strict=True)):
            return False
        self.entries = now
        self.rendered.clear()
        return True


class LoadedRoom(Generic[MemberT, ReaderT]):
    """A loaded room: the end of its log, its newest entries, its modes, its members and their sessions.

    Args:
        name: the folded name.
        opened: the room as its log has it.
        history: the number of newest messages to keep for newcomers.

    """

    __slots__ = (
        "absent",
        "departed",
        "end",
        "latest",
        "live",
        "members",
        "recent_batches",
        "sessions",
        "state",
        "watchers",
    )  # fmt: skip

    def __init__(self, name: str, opened: OpenedRoom, history: int) -> None:
        self.end = Cursor(opened.seq, 0)
        self.state = RoomState(name, opened.snapshot, opened.id)
        self.latest: deque[Entry] = deque(opened.latest, maxlen=history)
        self.absent = absences(opened.recent)
        # The owners of accounts who left or were kicked lately, by host, with the number of the entry.
        self.departed = {host: entry.seq for entry in opened.recent if (host := departed(entry))}
        self.recent_batches: dict[int, CommittedBatch] = {}  # by the number before it, oldest first
        self.members: dict[MemberT, int] = {}  # of all nodes, with the number of their join
        self.state.members = self.members
        self.sessions: dict[ReaderT, Encoder] = {}  # that are given its entries: those of members here, and watchers
        self.watchers: set[ReaderT] = set()  # sessions without a user, invisible to others
        # The sessions that have received everything, by encoder: a batch is written to them without any more checks.
        self.live: dict[Encoder, dict[ReaderT, Send]] = {}

    def append(self, entries: Sequence[Entry]) -> CommittedBatch:
        """Append committed entries, in order, and return them as a batch; nothing is written to the members yet.

        The entries also change the room's state, newest messages and absences.
        """
        # Messages without tags have neither secrets nor quotes.
        plain = all(type(entry.body) is Said and not entry.tags for entry in entries)
        shown = entries if plain else without_secrets(with_quotes(entries, self.latest))
        batch = CommittedBatch(shown, self.end)
        self.recent_batches[self.end.seq] = batch
        self.end = batch.end
        for entry in entries:
            body = entry.body
            if type(body) is Said:
                self.latest.append(entry)
                continue
            if isinstance(body, HISTORY):
                self.latest.append(entry)
            target = target_of(body)
            changed = self.state.polls.get(target) or self._newest(target)
            self.state.apply(entry)
            if host := departed(entry):
                self.departed.pop(host, None)
                self.departed[host] = entry.seq
                if len(self.departed) > ABSENT:
                    del self.departed[next(iter(self.departed))]
            if type(body) is Left:
                self._note((key_of(entry.nick), entry.host), Absence(entry.seq, entry.time))
            elif target:
                self._overlay(entry, changed)
            if type(body) is PollClosed:
                batch.entries = with_results(batch.entries, self.state.closed_polls)
        return batch

    def _newest(self, id: str) -> Entry | None:
        """Return one of the newest messages by its id."""
        return next((one for one in reversed(self.latest) if one.id == id), None) if id else None

    def _overlay(self, by: Entry, changed: Entry | None) -> None:
        """Change messages in everything that the room holds in memory, as a later entry says.

        `changed` is the message that it changes, if that is at hand.
        """
        shown = (overlaid(one, by) for one in self.latest)
        self.latest = deque((one for one in shown if isinstance(one.body, HISTORY)), self.latest.maxlen)
        # Many may react to one message, with many batches behind it.
        if changed and type(by.body) is not Redacted:
            if batch := self.following(Cursor(changed.prev, 0)):
                batch.overlay(by)
            return
        for batch in reversed(self.recent_batches.values()):
            # Only the text of a redacted message may be in several entries.
            if batch.overlay(by) and type(by.body) is not Redacted:
                return

    @property
    def name(self) -> str:
        """The folded name of the room, as its state has it now."""
        return self.state.name

    @property
    def id(self) -> str:
        """The id of the room, which it keeps when it is renamed."""
        return self.state.id

    @property
    def topic(self) -> str:
        """The topic, "" for none."""
        return self.state.topic.text

    @property
    def pins(self) -> Sequence[PinnedMessage]:
        """The messages that are pinned to the room, the oldest first."""
        return tuple(PinnedMessage(id, pin.text, pin.by) for id, pin in self.state.pins.items())

    @property
    def raised(self) -> Sequence[str]:
        """The nicks of the members who have raised a hand, the first one first."""
        return [member.nick for member in self.waiting] if self.state.hands else ()

    @property
    def waiting(self) -> list[MemberT]:
        """The members who have raised a hand, the first one first."""
        there = {(key_of(member.nick), member.host): member for member in self.members}
        return [there[holder] for holder, turn in self.state.hands.items() if not turn and holder in there]

    def forget_oldest(self) -> None:
        """Drop the oldest batch from memory; it stays in the log."""
        del self.recent_batches[next(iter(self.recent_batches))]

    def following(self, cursor: Cursor) -> CommittedBatch | None:
        """Return the batch in memory that holds the entry after the cursor; None if only the log has that entry."""
        batch = self.recent_batches.get(cursor.seq)
        if batch is None:
            # The cursor is inside a batch if the session joined there while its transport took no bytes.
            inside = (c for c in reversed(self.recent_batches.values()) if c.after.seq < cursor.seq < c.end.seq)
            batch = next(inside, None)
        return batch

    def cursor_at(self, seq: int) -> Cursor:
        """Return the position of a client that claims to have received everything up to number `seq`.

        If `seq` lies before the batches in memory, the number of missed entries is not known, and a small one is used.
        """
        if seq >= self.end.seq:
            return self.end
        batch = self.following(Cursor(seq, 0)) or next(iter(self.recent_batches.values()), None)
        if batch is None or seq < batch.after.seq:
            return Cursor(seq, (batch.after if batch else self.end).ordinal - 1)
        return Cursor(seq, batch.after.ordinal + batch.index_after(seq))

    def newest_uncached(self) -> int:
        """Return the number after which the entries are in memory; those up to it are only in the log."""
        return next(iter(self.recent_batches), self.end.seq)

    @property
    def count(self) -> int:
        """The number of members, on all nodes."""
        return len(self.members)

    def add_member(self, user: MemberT, seq: int) -> None:
        """Make a user a member, whose join has number `seq`; the rights that are saved for the user come back."""
        self.members[user] = seq
        user.rooms[self.id] = self
        self.absent.pop((key_of(user.nick), user.host), None)
        self.state.admit(user)

    def remove_member(self, user: MemberT) -> None:
        """Make a user a member no more; raise KeyError if the user is none."""
        del self.members[user]
        user.rooms.pop(self.id, None)
        self.state.dismiss(user)

    def add_session(self, session: ReaderT, encoder: Encoder) -> None:
        """Add a session that is given no entries yet.

        `mark_live` or a cursor in `Delivery.behind` then sets the entry from which on it receives them.
        """
        self.sessions[session] = encoder
        if not session.user:
            self.watchers.add(session)

    def remove_session(self, session: ReaderT) -> None:
        """Remove a session; raise KeyError if it is none of this room."""
        self.watchers.discard(session)
        self.mark_behind(session, self.sessions.pop(session))

    def note_absence(self, session: ReaderT, seq: int, now: float) -> None:
        """Remember that a member leaves at `now` (epoch seconds), and the number up to which it has received the log.

        Messages that were written within the member's last `unheard` seconds may not have arrived, and do not count.
        """
        unsure = (entry.seq - 1 for entry in self.latest if entry.time >= now - session.unheard)
        seq = min(seq, next(unsure, seq)) if session.unheard else seq
        self._note((key_of(session.nick), session.host), Absence(seq, now))

    def _note(self, key: Key, absence: Absence) -> None:
        """Remember an absence; if the user has one already, the smaller of the two numbers counts.

        One departure makes two absences: one when the member is dismissed, one when its leave is stored.
        """
        known = self.absent.pop(key, absence)
        self.absent[key] = absence._replace(seq=min(known.seq, absence.seq))
        if len(self.absent) > ABSENT:
            del self.absent[next(iter(self.absent))]

    def mark_live(self, session: ReaderT) -> None:
        """Write every batch to the session from now on; it has received everything before."""
        self.live.setdefault(self.sessions[session], {})[session] = session.sink.send

    def mark_behind(self, session: ReaderT, encoder: Encoder | None = None) -> bool:
        """Stop writing batches to the session; return whether it was live."""
        encoder = encoder or self.sessions.get(session)
        if encoder is None:  # not given the room yet: its user logs in, and the rooms follow one by one
            return False
        group = self.live.get(encoder)
        if group is None or group.pop(session, None) is None:
            return False
        if not group:
            del self.live[encoder]
        return True

    def set_encoder(self, session: ReaderT, encoder: Encoder) -> None:
        """Use another encoder for the session from now on."""
        live = self.mark_behind(session)
        self.sessions[session] = encoder
        if live:
            self.mark_live(session)


def slices(entries: Sequence[Entry], limit: int) -> Iterator[Sequence[Entry]]:
    """Yield the entries in pieces of at most `limit` bytes each, or of one entry.

    A piece also ends after a kick or a change of modes: a session that loses access by it gets none of the entries
    that follow. A rename of the room is a piece of its own: the entries before it were made under the old name. So is a
    kick: a rename before it has taken effect, so that it can name the member as the others know it.
    """
    start = size = 0
    for index, entry in enumerate(entries):
        text = text_of(entry.body)
        cost = (len(text) if text.isascii() else len(text.encode())) + len(entry.nick) + 48  # protocol overhead
        ends = isinstance(entry.body, RoomRenamed | Kicked) or isinstance(entries[index - 1].body, ENDING)
        if size and (ends or size + cost > limit):
            yield entries[start:index]
            start, size = index, 0
        size += cost
    yield entries if not start else entries[start:]
