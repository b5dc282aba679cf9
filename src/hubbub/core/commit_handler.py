"""What comes back from the broker: it is given to every member, takes effect, and its sender is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from hubbub.core.model import SAID, Acknowledged, Draft, Entry, Kind, Notice
from hubbub.core.room import CommittedBatch, Room, slices
from hubbub.core.room_modes import parse
from hubbub.core.rooms import without
from hubbub.core.session import Session
from hubbub.core.text import beginning

if TYPE_CHECKING:
    from hubbub.core.hub import Hub

COMING = frozenset({Kind.JOIN, Kind.LEAVE, Kind.KICK})
SHARED = 1_000  # events of other nodes that are remembered, so that one in several rooms is told once

Effect = Callable[[Draft, Room, CommittedBatch, int, Sequence[Entry]], None]


class CommitHandler:
    """What a hub does with entries, and with drafts that became none."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._shared: dict[str, tuple[str, ...]] = {}  # events of other nodes, and the rooms in which they were told
        # What an entry changes for the session that published it.
        self._effects: dict[Kind, Effect] = {
            Kind.JOIN: hub.rooms.joined,
            Kind.LEAVE: hub.rooms.left,
            Kind.RENAME: hub.naming.rename_stored,
            # What is asked next is answered from what is stored.
            Kind.TOPIC: lambda *_: None,
            Kind.MODE: self._changed,
            Kind.KICK: lambda *_: None,
            Kind.REDACT: lambda *_: None,
            Kind.ROOM_RENAMED: lambda *_: None,
        }

    def stored(self, entries: Sequence[Entry]) -> None:
        """Deliver what the broker has stored, in its order, to every member of its rooms; settle its drafts."""
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
        """Tell the senders that these were not stored, or that it is not `sure`: then they may come in `stored` yet.

        What must be known to others is gathered again, first.
        """
        self._settle(self._hub.outbox.refused(drafts, reason, sure))

    def _confirm(self, entries: Iterable[Entry]) -> None:
        """Tell who was told that it is not sure whether something is stored: it is."""
        for draft in self._hub.outbox.confirmed(entries):
            if draft.session and not draft.session.closed:
                if draft.label and draft.entry:
                    self._hub.reply(draft.session, Acknowledged(draft.label, draft.entry))
                self._hub.reply(draft.session, Notice((f"This was sent after all: {beginning(draft.text)}",)))

    def _settle(self, drafts: Sequence[Draft]) -> None:
        """Tell the sessions of these drafts how they ended, and let them go on."""
        touched: dict[Session, None] = {}
        watchers: list[Session] = []
        for draft in drafts:
            if draft.watchers:
                watchers += draft.watchers
                draft.watchers = None
            if draft.session:
                touched[draft.session] = None
                if draft.error:
                    self._undo(draft.session, draft)
        for session in (*touched, *watchers, *self._hub.outbox.on_room_in_queue()):
            session.flush()
            if not session.closed:
                session.client.resume_input()

    def _undo(self, session: Session, draft: Draft) -> None:
        """Take back what was prepared for a draft that is not stored."""
        if draft.kind is Kind.JOIN:
            session.joining = without(session.joining, draft.room)
            self._hub.rooms.close_if_empty(draft.room)
        elif draft.kind is Kind.RENAME:
            if session.closed:
                for leave in session.replies:
                    if isinstance(leave, Draft) and leave.kind is Kind.LEAVE:
                        leave.nick = session.nick
            else:
                self._hub.naming.set_nick(session, session.nick)
        elif draft.kind in SAID:
            return
        self._hub.release(session)

    def advance(self, room: Room, entries: Sequence[Entry]) -> None:
        """Append committed entries to a room, write them to its members, and let them take effect.

        The sessions that published them are told nothing yet: that is done in their turn, when everybody was given
        the whole batch.
        """
        if entries[0].seq <= room.end.seq:  # the room was read from the log after their commit
            self._missed(entry for entry in entries if entry.seq <= room.end.seq)
            entries = [entry for entry in entries if entry.seq > room.end.seq]
        if not entries:
            return
        for piece in slices(entries, self._hub.limits.write_bytes):
            drafts = [self._hub.outbox.find(entry.id) for entry in piece]
            earlier = list(room.latest)
            earlier_in = [d.earlier if d else self._told_before(e) for d, e in zip(drafts, piece, strict=True)]
            doubled = {index: rooms for index, rooms in enumerate(earlier_in) if rooms}
            batch = self._hub.delivery.fan_out(room, piece, {draft.session for draft in drafts if draft}, doubled)
            for index, entry in enumerate(piece):
                if entry.kind not in SAID:
                    self._follow(room, batch, index)
            for index, draft in enumerate(drafts):
                if draft and draft.session and not draft.session.closed and draft.kind in self._effects:
                    self._effects[draft.kind](draft, room, batch, index, earlier)
                    self._go_on(draft)

    def _follow(self, room: Room, batch: CommittedBatch, index: int) -> None:
        """Let an entry take effect on who is where."""
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
    def _changed(draft: Draft, room: Room, *_: object) -> None:
        """Remember a new key as it was typed."""
        for change in parse(draft.unblocks)[0]:
            if change.letter == "k":
                room.rules.learn_key(change.param)

    def _missed(self, entries: Iterable[Entry]) -> None:
        """Let those go on who were thrown out of a room before what they did there was stored.

        It sleeps since then, or was opened again by others.
        """
        for entry in entries:
            draft = self._hub.outbox.find(entry.id)
            if draft and draft.session and not draft.session.closed and draft.kind in self._effects:
                if draft.kind is Kind.RENAME:
                    self._hub.naming.rename_stored(draft)
                self._go_on(draft)

    @staticmethod
    def _go_on(draft: Draft) -> None:
        """Let the sender of what is stored wait for that no more: who was told that it is not sure went on already."""
        if draft.session and not draft.error:
            draft.session.pending_operations -= 1

    def _told_before(self, entry: Entry) -> tuple[str, ...]:
        """Return the other rooms in which an event on another node was told already."""
        if not entry.shared:
            return ()
        rooms = self._shared.setdefault(entry.shared, ())
        self._shared[entry.shared] = (*rooms, entry.room)
        if len(self._shared) > SHARED:
            del self._shared[next(iter(self._shared))]
        return rooms
