"""The commit handler delivers the broker's results: entries to members, effects to rooms, outcomes to senders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from hubbub.chat.room import CommittedBatch, Room, slices
from hubbub.chat.rooms import without
from hubbub.chat.session import Posting, Session
from hubbub.model.entries import SAID, Draft, Entry, Kind
from hubbub.model.events import Acknowledged, Notice
from hubbub.model.room_modes import parse
from hubbub.text.cleaning import beginning

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub

COMING = frozenset({Kind.JOIN, Kind.LEAVE, Kind.KICK})
SHARED = 1_000  # events of other nodes that are remembered, to show each only once

Effect = Callable[[Posting, Room, CommittedBatch, int, Sequence[Entry]], None]


class CommitHandler:
    """Handle stored entries and failed drafts for a hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._shared: dict[str, tuple[str, ...]] = {}  # events of other nodes, and the rooms that have shown them
        # The effect of an entry on the session that published it, by kind. A kind with an empty effect is listed
        # because its session waits until the entry is stored: its next command then sees the stored state.
        self._effects: dict[Kind, Effect] = {
            Kind.JOIN: hub.rooms.joined,
            Kind.LEAVE: hub.rooms.left,
            Kind.RENAME: hub.naming.rename_stored,
            Kind.TOPIC: lambda *_: None,
            Kind.MODE: self._changed,
            Kind.KICK: lambda *_: None,
            Kind.REDACT: lambda *_: None,
            Kind.ROOM_RENAMED: lambda *_: None,
        }

    def stored(self, entries: Sequence[Entry]) -> None:
        """Deliver the entries that the broker has stored to the members of their rooms, and settle their drafts.

        The entries must come in the broker's order.
        """
        by_room: dict[str, list[Entry]] = {}
        for entry in entries:
            if entry.kind is Kind.REDACT:
                self._hub.redactions.note(entry.text.partition(" ")[0])
            by_room.setdefault(entry.room, []).append(entry)
        for name, part in by_room.items():
            if room := self._hub.rooms.loaded.get(name):
                self.advance(room, part)
            else:
                self._hub.rooms.keep(name, part)
                self._missed(part)
        self._settle(self._hub.outbox.stored(entries))
        self._confirm(entries)
        for name in by_room:
            self._hub.rooms.close_if_empty(name)
        self._hub.delivery.drop_caches()

    def failed(self, drafts: Iterable[Draft], reason: str, sure: bool = True) -> None:
        """Settle drafts whose commit failed, and send the reason to their sessions.

        If the failure is not `sure`, the drafts may still arrive in `stored` later. Drafts with `must_store` are put at
        the head of the next batch.
        """
        self._settle(self._hub.outbox.refused(drafts, reason, sure))

    def _confirm(self, entries: Iterable[Entry]) -> None:
        """Tell the senders of drafts that were reported as not confirmed that the drafts are stored after all."""
        for posting in self._hub.outbox.confirmed(entries):
            if posting.session and not posting.session.closed:
                if posting.label and posting.entry:
                    self._hub.reply(posting.session, Acknowledged(posting.label, posting.entry))
                text = beginning(posting.draft.text)
                self._hub.reply(posting.session, Notice((f"This was sent after all: {text}",)))

    def _settle(self, postings: Sequence[Posting]) -> None:
        """Send the outcomes of these drafts to their sessions, and let the sessions take their next commands."""
        touched: dict[Session, None] = {}
        watchers: list[Session] = []
        for posting in postings:
            if posting.watchers:
                watchers += posting.watchers
                posting.watchers = None
            if posting.session:
                touched[posting.session] = None
                if posting.error:
                    self._undo(posting.session, posting.draft)
        for session in (*touched, *watchers, *self._hub.outbox.on_room_in_queue()):
            session.flush()
            if not session.closed:
                session.client.resume_input()

    def _undo(self, session: Session, draft: Draft) -> None:
        """Undo the preparations for a draft that is not stored."""
        if draft.kind is Kind.JOIN:
            session.joining = without(session.joining, draft.room)
            self._hub.rooms.close_if_empty(draft.room)
        elif draft.kind is Kind.RENAME:
            if session.closed:
                for leave in session.replies:
                    if isinstance(leave, Posting) and leave.draft.kind is Kind.LEAVE:
                        leave.draft.nick = session.nick
            else:
                self._hub.naming.set_nick(session, session.nick)
        elif draft.kind in SAID:
            return
        self._hub.release(session)

    def advance(self, room: Room, entries: Sequence[Entry]) -> None:
        """Append committed entries to a room, write them to its members, and apply their effects.

        The sessions that published them get no replies yet: those follow in order when all members have received the
        whole batch.
        """
        # The room was loaded after the commit of these entries, so its state includes them already.
        if entries[0].seq <= room.end.seq:
            self._missed(entry for entry in entries if entry.seq <= room.end.seq)
            entries = [entry for entry in entries if entry.seq > room.end.seq]
        if not entries:
            return
        for piece in slices(entries, self._hub.limits.write_bytes):
            postings = [self._hub.outbox.find(entry.id) for entry in piece]
            earlier = list(room.latest)
            earlier_in = [p.earlier if p else self._told_before(e) for p, e in zip(postings, piece, strict=True)]
            doubled = {index: rooms for index, rooms in enumerate(earlier_in) if rooms}
            authors = {posting.session for posting in postings if posting}
            batch = self._hub.delivery.fan_out(room, piece, authors, doubled)
            for index, entry in enumerate(piece):
                if entry.kind not in SAID:
                    self._follow(room, batch, index)
            for index, posting in enumerate(postings):
                if posting and (effect := self._effect(posting)):
                    effect(posting, room, batch, index, earlier)
                    self._go_on(posting)

    def _effect(self, posting: Posting) -> Effect | None:
        """Return the effect of a stored posting on its session, if the session is still connected."""
        if posting.session is None or posting.session.closed:
            return None
        return self._effects.get(posting.draft.kind)

    def _follow(self, room: Room, batch: CommittedBatch, index: int) -> None:
        """Apply an entry to the members of rooms: joins and leaves elsewhere, kicks, renamed rooms, lost access."""
        entry = batch.entries[index]
        if entry.kind in COMING:
            self._hub.remote.follow(entry)
        if entry.kind is Kind.KICK:
            self._hub.rooms.kicked(room, batch, index)
        elif entry.kind is Kind.ROOM_RENAMED:
            self._hub.rooms.moved(room, entry)
        elif entry.kind in (Kind.MODE, Kind.JOIN):
            self._hub.rooms.review_watchers(room, entry.kind)

    @staticmethod
    def _changed(posting: Posting, room: Room, *_: object) -> None:
        """Remember a new room key as the session typed it: the stored entry has only its hash."""
        for change in parse(posting.typed)[0]:
            if change.letter == "k":
                room.rules.learn_key(change.param)

    def _missed(self, entries: Iterable[Entry]) -> None:
        """Complete the drafts of sessions that were removed from a room before their entries were stored.

        The room is unloaded since then, or others have loaded it again.
        """
        for entry in entries:
            posting = self._hub.outbox.find(entry.id)
            if posting and self._effect(posting):
                if posting.draft.kind is Kind.RENAME:
                    self._hub.naming.rename_stored(posting)
                self._go_on(posting)

    @staticmethod
    def _go_on(posting: Posting) -> None:
        """End the pending operation of a stored draft.

        The session of a draft that was reported as not confirmed has ended it already.
        """
        if posting.session and not posting.error:
            posting.session.pending_operations -= 1

    def _told_before(self, entry: Entry) -> tuple[str, ...]:
        """Return the other rooms in which an event of another node was shown before, and remember the entry's room."""
        if not entry.shared:
            return ()
        rooms = self._shared.setdefault(entry.shared, ())
        self._shared[entry.shared] = (*rooms, entry.room)
        if len(self._shared) > SHARED:
            del self._shared[next(iter(self._shared))]
        return rooms
