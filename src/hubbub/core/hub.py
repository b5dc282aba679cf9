"""The hub: who is here, what they may do, and who is given what.

Rules of this file:

 1. Every method is a plain `def`: the event loop is the lock, there is no other. What must wait for the
    broker ends later in another call; meanwhile the session's next commands wait (`Session.waiting`), and
    nobody else does.
 2. What a session does becomes a draft. Nobody is shown anything of it before `committed` brings it back
    as an entry.
 3. What a session is told goes through `reply`, which keeps its place behind the drafts before it: what you
    caused, others have, when you get your answer.
 4. Delivery never waits. A session whose transport takes no bytes is skipped, and is brought up to date from
    the log when the transport says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from hubbub.core import names
from hubbub.core.delivery import Broker, Delivery, Limits
from hubbub.core.model import (
    LOBBY,
    SAID,
    AllRooms,
    Draft,
    Entry,
    Event,
    Form,
    Goodbye,
    Joined,
    Kind,
    Left,
    Named,
    Notice,
    Outlet,
    Page,
    Past,
    Private,
    Query,
    Refusal,
    RoomList,
    RoomState,
    Sink,
)
from hubbub.core.outbox import Outbox
from hubbub.core.room import Chunk, Room, slices
from hubbub.core.session import Session, User
from hubbub.core.text import clean, clean_lines, fold
from hubbub.errors import BrokerError, Refused

Effect = Callable[[Session, Room, Chunk, int, Sequence[Entry]], None]


class _Opening:
    """A room that the broker is asked for: who waits, and what was committed to it meanwhile."""

    __slots__ = ("meanwhile", "waiters")

    def __init__(self) -> None:
        self.waiters: dict[Session, None] = {}
        self.meanwhile: list[Entry] = []


class Hub:
    """All rooms and all sessions of this process.

    Args:
        broker: orders and stores.
        clock: returns the seconds since the epoch.
        boot: differs for every start of every server; begins every id.
        wake: called when there is something to publish; the owner then calls `outbox.gather`.

    """

    def __init__(
        self,
        broker: Broker,
        clock: Callable[[], float],
        boot: str,
        wake: Callable[[], None],
        limits: Limits | None = None,
    ) -> None:
        self.broker = broker
        self.clock = clock
        self.limits = limits or Limits()
        self.users: dict[str, User] = {}
        self.rooms: dict[str, Room] = {}
        self.closing = False  # everybody leaves: nobody needs to be told who does
        self._boot = boot
        self._sessions = 0
        self._opening: dict[str, _Opening] = {}
        self.outbox = Outbox(wake, self.limits.gathered)
        self._delivery = Delivery(broker, self.limits)
        # What an entry changes for the session that published it.
        self._effects: dict[Kind, Effect] = {
            Kind.JOIN: self._joined,
            Kind.LEAVE: self._left,
            Kind.RENAME: self._took_name,
            Kind.TOPIC: lambda *_: None,  # but what asks for it next is answered from what is stored
        }

    # --- sessions -------------------------------------------------------------------------------------------

    def connect(self, outlet: Outlet, sink: Sink, form: Form) -> Session:
        """Return the session of a new connection; it has no name yet and is in no room."""
        self._sessions += 1
        return Session(f"{self._boot}{self._sessions:x}.", outlet, sink, form)

    def enter(self, session: Session, name: str) -> None:
        """Give the session a name of its own and take it into the lobby.

        Raises:
            Refused: the name is invalid or taken; the session may try another.

        """
        session.user, _ = self._claim(name)
        session.user.sessions.append(session)
        self.join(session, LOBBY)

    def _claim(self, name: str, owner: User | None = None) -> tuple[User, str]:
        nick = names.check_name(clean(name))
        key = fold(nick)
        holder = self.users.get(key)
        if holder is not None and holder is not owner:
            raise Refused("name-taken", f"The name {nick} is taken.")
        user = owner or User(nick)
        if holder is None:
            user.keys += (key,)
        self.users[key] = user
        return user, nick

    def find(self, name: str) -> Session | None:
        """Return a session of the user who holds a name."""
        user = self.users.get(fold(name))
        return user.sessions[0] if user and user.sessions else None

    def ready(self, session: Session) -> bool:
        """Return whether the session's next command may be taken; if not, `Outlet.go_on` follows."""
        return not (session.gone or session.clogged) and not self.outbox.full(session)

    def depart(self, session: Session, reason: str = "") -> None:
        """Take the session out of all its rooms and free its name; nothing more is delivered to it.

        Replies that wait are still told, then Goodbye. Calling it again does nothing.
        """
        if session.gone:
            return
        session.gone = True
        session.waiting = 0
        for opening in self._opening.values():
            opening.waiters.pop(session, None)
        asked = [room for room, draft in (session.joining or {}).items() if draft]
        for room in () if self.closing else (*session.rooms, *asked):
            # Insisted on: the others must learn of it even if the disk is full just now.
            if leave := session.leave_of(room):
                leave.insist = True
            else:
                draft = self._draft(session, room, Kind.LEAVE, clean(reason), insist=True)
                draft.nick = next(iter(session.claimed()), draft.nick)
        for name in list(session.rooms):
            self._dismiss(session, name)
        if session.user:
            session.user.sessions.remove(session)
            if not session.user.sessions:
                for key in session.user.keys:
                    self.users.pop(key, None)
        self.reply(session, Goodbye())

    # --- what sessions do -----------------------------------------------------------------------------------

    def say(self, session: Session, text: str, room: str = "", kind: Kind = Kind.MESSAGE, label: str = "") -> None:
        """Publish what the session says (or does, for Kind.ACTION) in a room, its current one by default.

        With a label it is told `Stored` when that is done, and the entry's id ends with it: letters and digits, which
        it uses once.

        Raises:
            Refused: it is not in that room. An empty text is no error and says nothing.

        """
        text = clean_lines(text)
        if text:
            draft = self._draft(session, self.room_of(session, room).name, kind, text)
            if label:
                draft.label = label
                draft.id += f"-{label}"

    def set_topic(self, session: Session, text: str, room: str = "") -> None:
        """Publish a new topic for a room.

        Raises:
            Refused: the session is not in that room.

        """
        name = self.room_of(session, room).name
        session.waiting += 1
        self._draft(session, name, Kind.TOPIC, clean(text).strip())

    def whisper(self, session: Session, name: str, text: str) -> None:
        """Tell a user something that nobody else hears. Between guests it is stored nowhere.

        Raises:
            Refused: nobody has that name, or the text is empty.

        """
        text = clean(text).strip()
        target = self.find(name)
        if target is None:
            raise Refused("no-such-name", f"Nobody here is called {clean(name)}.")
        if not text:
            raise Refused("no-text", "There is nothing to send.")
        session.waiting += 1  # what it says next must not overtake this
        session.turn.append(partial(self._hand_over, session, target, text))
        session.flush()

    def _hand_over(self, session: Session, target: Session, text: str) -> Event | None:
        session.waiting -= 1
        if target.gone:
            return Refusal("no-such-name", "Not sent: who it was for has left.")
        if target.paused:
            return Refusal("not-reading", f"Not sent: {target.nick} does not read just now.")
        target.outlet.tell(Private(session.nick, text))
        return None

    def rename(self, session: Session, name: str) -> None:
        """Give the session's user another name.

        Raises:
            Refused: the name is invalid or taken.

        """
        user = session.user
        assert user is not None
        _, nick = self._claim(name, user)
        if nick == user.nick:
            self.reply(session, Notice((f"You are {nick} already",)))
            return
        if not session.rooms:
            self._renamed(session, nick)
            session.flush()
        for room in session.rooms:
            session.waiting += 1
            self._draft(session, room, Kind.RENAME, nick)

    def join(self, session: Session, name: str) -> None:
        """Make the session a member of a room and the room its current one; it is shown the newest messages.

        Raises:
            Refused: the name is invalid, or the session is in too many rooms.

        """
        room = names.check_room(clean(name))
        if room in session.rooms:
            self.focus(session, room)
            self.reply(session, Notice((f"You are in {room}",)))
            return
        joining = session.joining or {}
        if room in joining:
            return
        if len(session.rooms) + len(joining) >= self.limits.max_rooms:
            raise Refused("too-many-rooms", f"You are in {self.limits.max_rooms} rooms; /leave one first.")
        session.waiting += 1
        session.joining = {**joining, room: None}
        if room in self.rooms:
            self._ask_in(session, room)
            return
        opening = self._opening.get(room)
        if opening is None:
            opening = self._opening[room] = _Opening()
            self.broker.open(room, self.limits.history, lambda result: self._opened(room, result))
        opening.waiters[session] = None

    def leave(self, session: Session, name: str = "") -> None:
        """Take the session out of a room, its current one by default.

        Raises:
            Refused: it is not in that room.

        """
        room = self.room_of(session, name)
        session.waiting += 1
        self._draft(session, room.name, Kind.LEAVE, "")

    def ask(self, session: Session, query: Query | AllRooms, answer: Callable[[Any], Event]) -> None:
        """Read the log for a session, and reply with what `answer` makes of the page."""
        session.waiting += 1

        def done(result: Page | RoomList | BrokerError) -> None:
            if session.gone:
                return
            if isinstance(result, BrokerError):
                self.reply(session, Refusal("broker", f"The log cannot be read: {result}."))
            else:
                self.reply(session, answer(result))
            self._release(session)

        session.turn.append(partial(self.broker.read, query, done))
        session.flush()

    def reply(self, session: Session, event: Event) -> None:
        """Tell the session something, after what it published before is settled."""
        session.turn += self._pieces(event)
        session.flush()

    def _pieces(self, event: Event) -> Sequence[Event]:
        """Cut what is long, so that a session that takes no bytes is not written all of it."""
        if not isinstance(event, Past) or len(event.entries) < 2:
            return (event,)
        pieces = [Past(piece, event.now) for piece in slices(event.entries, self.limits.chunk)]
        pieces[-1] = replace(pieces[-1], tail=event.tail)
        return pieces

    def set_form(self, session: Session, form: Form) -> None:
        """Write to the session in another form from now on, in all its rooms."""
        session.form = form
        for name, room in session.rooms.items():
            room.dress(session, session.form_in(name))

    def owes(self, session: Session) -> bool:
        """Return whether the session misses something; when it does no longer, `Outlet.go_on` is called."""
        return session in self._delivery.behind

    @property
    def settled(self) -> bool:
        """Whether all that was said is stored, and given to every member."""
        return self.outbox.idle and not self._delivery.behind

    def room_of(self, session: Session, name: str = "") -> Room:
        """Return a room that the session is in, its current one by default.

        Raises:
            Refused: it is not in that room.

        """
        room = session.rooms.get(fold(clean(name).removeprefix("#")) if name else session.current)
        if room is None:
            where = f"You are not in {clean(name)}" if name else "You are in no room"
            raise Refused("not-in-room", f"{where}; /join one first.")
        return room

    def focus(self, session: Session, name: str) -> None:
        """Let the session speak in a room that it is in."""
        before, session.current = session.current, name
        for room in (before, name):
            if room in session.rooms:
                session.rooms[room].dress(session, session.form_in(room))

    def _draft(self, session: Session, room: str, kind: Kind, text: str, insist: bool = False) -> Draft:
        session.published += 1
        draft = Draft(room, kind, session.nick, text, f"{session.tag}{session.published:x}", session, insist)
        self.outbox.add(draft)
        return draft

    # --- gather, commit, fan out ----------------------------------------------------------------------------

    def committed(self, entries: Sequence[Entry]) -> None:
        """Deliver what the broker has stored, in its order, to every member of its rooms; settle its drafts."""
        by_room: dict[str, list[Entry]] = {}
        for entry in entries:
            by_room.setdefault(entry.room, []).append(entry)
        for name, part in by_room.items():
            if room := self.rooms.get(name):
                self._advance(room, part)
            elif opening := self._opening.get(name):
                opening.meanwhile += part
        self._settle(self.outbox.stored(entries))
        for name in by_room:
            self._close_if_empty(name)
        self._delivery.tidy()

    def failed(self, drafts: Iterable[Draft], reason: str) -> None:
        """Tell the senders that these were not stored. What must be known to others is gathered again, first."""
        self._settle(self.outbox.refused(drafts, reason))

    def _settle(self, drafts: Sequence[Draft]) -> None:
        """Tell the sessions of these drafts how they ended, and let them go on."""
        touched: dict[Session, None] = {}
        for draft in drafts:
            if draft.session:
                touched[draft.session] = None
                if draft.error:
                    self._undo(draft.session, draft)
        for session in (*touched, *self.outbox.relieved()):
            session.flush()
            if not session.gone:
                session.outlet.go_on()

    def _undo(self, session: Session, draft: Draft) -> None:
        """Take back what was prepared for a draft that is not stored."""
        if draft.kind is Kind.JOIN:
            session.joining = {k: v for k, v in (session.joining or {}).items() if v is not draft} or None
            self._close_if_empty(draft.room)
        elif draft.kind is Kind.RENAME:
            if session.gone:
                for leave in session.turn:
                    if isinstance(leave, Draft) and leave.kind is Kind.LEAVE:
                        leave.nick = session.nick
            else:
                self._keep_name(session, session.nick)
        elif draft.kind in SAID:
            return
        self._release(session)

    def _release(self, session: Session) -> None:
        if session.gone:
            return
        session.waiting -= 1
        if not session.waiting:
            session.outlet.go_on()

    # --- rooms ----------------------------------------------------------------------------------------------

    def _opened(self, name: str, result: RoomState | BrokerError) -> None:
        opening = self._opening.pop(name)
        if isinstance(result, BrokerError):
            for session in opening.waiters:
                session.joining = {k: v for k, v in (session.joining or {}).items() if k != name} or None
                self.reply(session, Refusal("broker", f"Not joined: {result}."))
                self._release(session)
            return
        room = self.rooms[name] = Room(name, result, self.limits.history)
        if opening.meanwhile:
            self._advance(room, opening.meanwhile)
        for session in opening.waiters:
            self._ask_in(session, name)
        self._close_if_empty(name)

    def _ask_in(self, session: Session, name: str) -> None:
        assert session.joining is not None
        session.joining[name] = self._draft(session, name, Kind.JOIN, "")

    def _close_if_empty(self, name: str) -> None:
        room = self.rooms.get(name)
        if room is None or room.members:
            return
        if self.outbox.joins(name):
            return  # somebody is on the way in
        del self.rooms[name]
        self._delivery.forget(room)
        self.broker.close(name)

    def _dismiss(self, session: Session, name: str) -> None:
        self._delivery.end(session, session.rooms.pop(name))
        if session.current == name:
            session.current = ""
            if session.rooms and not session.gone:
                self.focus(session, next(reversed(session.rooms)))
        self._close_if_empty(name)

    def _advance(self, room: Room, entries: Sequence[Entry]) -> None:
        """Append committed entries to a room, write them to its members, and let them take effect.

        The sessions that published them are told nothing yet: that is done in their turn, when everybody was given
        the whole batch.
        """
        if entries[0].seq <= room.end.seq:  # the room was read from the log after their commit
            entries = [entry for entry in entries if entry.seq > room.end.seq]
        if not entries:
            return
        for piece in slices(entries, self.limits.chunk):
            drafts = [self.outbox.open.get(entry.id) for entry in piece]
            earlier = list(room.latest)
            chunk = self._delivery.fan_out(room, piece, {draft.session for draft in drafts if draft})
            for index, draft in enumerate(drafts):
                if draft and draft.session and not draft.session.gone and draft.kind in self._effects:
                    self._effects[draft.kind](draft.session, room, chunk, index, earlier)
                    draft.session.waiting -= 1

    def _joined(self, session: Session, room: Room, chunk: Chunk, index: int, earlier: Sequence[Entry]) -> None:
        """The newcomer is at number n: show what was said up to n, and give it the rest from n+1 on."""
        session.joining = {k: v for k, v in (session.joining or {}).items() if k != room.name} or None
        first, session.fresh = session.fresh, False
        session.rooms[room.name] = room
        room.admit(session, session.form_in(room.name))
        self.focus(session, room.name)
        past = [*earlier, *(entry for entry in chunk.entries[:index] if entry.kind in SAID)]
        past = past[-self.limits.history :] if self.limits.history else []
        session.turn.append(Joined(room.name, chunk.cursor(index).seq, room.topic, first))
        if past:
            session.turn += self._pieces(Past(past, self.clock()))
        session.turn.append(partial(self._delivery.start, session, room, chunk.cursor(index)))

    def _left(self, session: Session, room: Room, *_: object) -> None:
        self._dismiss(session, room.name)
        session.turn.append(Left(room.name, session.current))

    def _took_name(self, session: Session, _: Room, chunk: Chunk, index: int, __: object) -> None:
        nick = chunk.entries[index].text
        if session.nick != nick:  # one entry a room, one new name
            self._renamed(session, nick)

    def _renamed(self, session: Session, nick: str) -> None:
        assert session.user is not None
        self._keep_name(session, nick)
        session.turn.append(Named(nick))

    def _keep_name(self, session: Session, nick: str) -> None:
        """Let a user who claimed two names have this one, and the other only while a rename is under way."""
        user = session.user
        assert user is not None
        user.nick = nick
        kept = {fold(nick), *(fold(name) for name in session.claimed())}
        for key in user.keys:
            if key not in kept:
                del self.users[key]
        user.keys = tuple(kept)

    # --- readers that stall ---------------------------------------------------------------------------------

    def pause(self, session: Session) -> None:
        """Note that the session's transport takes no bytes: from here on it is behind in all its rooms."""
        session.paused = True
        if not session.gone:
            self._delivery.stand_back(session)

    def resume(self, session: Session) -> None:
        """Bring a session up to date whose transport takes bytes again."""
        session.paused = False
        session.flush()
        if session.gone:
            return
        self._delivery.catch_up(session)
        self._delivery.tidy()
        if not session.paused:
            session.outlet.go_on()
