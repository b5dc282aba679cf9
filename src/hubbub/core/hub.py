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
from hubbub.core.abroad import Abroad
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
    Kind,
    Named,
    Notice,
    Outlet,
    Page,
    Past,
    Query,
    Refusal,
    RoomList,
    Sink,
    Stored,
)
from hubbub.core.outbox import Outbox
from hubbub.core.room import Chunk, Room, slices
from hubbub.core.rooms import Rooms, without
from hubbub.core.session import Hold, Session, author
from hubbub.core.text import clean, clean_exactly, clean_lines, fold
from hubbub.core.users import Directory, User
from hubbub.errors import BrokerError, Refused

COMING = frozenset({Kind.JOIN, Kind.LEAVE, Kind.KICK})
SHARED = 1_000  # events of other nodes that are remembered, so that one in several rooms is told once
SHOWN = 60  # characters of a message by which its sender knows it

Effect = Callable[[Draft, Room, Chunk, int, Sequence[Entry]], None]


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
        self.directory = Directory()
        self.users = self.directory.users
        # Called with a user who came, left (no sessions any more), or was renamed, and the name before or "".
        self.presence: list[Callable[[User, str], None]] = []
        self.moves: list[Callable[[str, str], None]] = []  # called with a room's name before, and its new one
        # Asked whether a name and password are a server operator's; calls back, later, with the answer.
        self.verify: Callable[[str, str, Callable[[bool], None]], None] = lambda name, password, done: done(False)
        # Called with a user of this node of whom something has changed that other nodes are told.
        self.touched: Callable[[User], None] = lambda user: None
        self.closing = False  # everybody leaves: nobody needs to be told who does
        self._boot = boot
        self._sessions = 0
        self._shared: dict[str, tuple[str, ...]] = {}  # events of other nodes, and the rooms in which they were told
        self.outbox = Outbox(wake, self.limits.gathered)
        self.delivery = Delivery(broker, self.limits)
        self.abroad = Abroad(self)
        self.rooms = Rooms(self)
        # What an entry changes for the session that published it.
        self._effects: dict[Kind, Effect] = {
            Kind.JOIN: self.rooms.joined,
            Kind.LEAVE: self.rooms.left,
            Kind.RENAME: self._took_name,
            # What is asked next is answered from what is stored.
            Kind.TOPIC: lambda *_: None,
            Kind.MODE: lambda *_: None,
            Kind.KICK: lambda *_: None,
            Kind.REDACT: lambda *_: None,
            Kind.MOVE: lambda *_: None,
        }

    # --- sessions -------------------------------------------------------------------------------------------

    def connect(self, outlet: Outlet, sink: Sink, form: Form, host: str = "", address: str = "") -> Session:
        """Return the session of a new connection; it has no name yet and is in no room."""
        self._sessions += 1
        return Session(f"{self._boot}{self._sessions:x}.", outlet, sink, form, host, address)

    def enter(
        self,
        session: Session,
        name: str,
        room: str = LOBBY,
        after: int | None = None,
        outcome: Callable[[Refused | None], None] = lambda refusal: None,
    ) -> None:
        """Give the session a name of its own and take it into a room, the lobby by default (see `join`).

        `outcome` is called with None when it has the name; or, later, with why it has not: another node's user has it.

        Raises:
            Refused: a name is invalid, or the session's is taken here; it may try another.

        """
        room = names.check_room(clean(room))
        user, nick = self.directory.claim(name)

        def held(refusal: Refused | None) -> None:
            if refusal or session.gone:
                self.directory.drop(user)
            else:
                self.attach(session, user)
                self.rooms.join(session, room, after)
            if not session.gone:
                outcome(refusal)

        self.hold(session, nick, held)

    def hold(self, session: Session, nick: str, held: Callable[[Refused | None], None]) -> None:
        """Hold a name for a session that it claimed here, everywhere: `held` is called with why not, or None.

        That is at once if nobody else need be asked; meanwhile the session waits.
        """
        if self.directory.names is None:
            held(None)
            return
        session.waiting += 1

        def done(refusal: Refused | None) -> None:
            held(refusal)
            self.release(session)

        self.directory.names.claim(fold(nick), done)

    def attach(self, session: Session, user: User) -> None:
        """Make a session that of a user, who holds a name already; it is in no room yet."""
        session.user = user
        user.since = user.active = self.clock()
        user.sessions.append(session)
        self.touched(user)
        for tell in self.presence:
            tell(user, "")

    def touch(self, session: Session) -> None:
        """Note that something has changed about the session's user that other nodes are told."""
        if session.user:
            self.touched(session.user)

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
        self.rooms.withdraw(session)
        drafts: list[Draft] = []
        asked = [room for room, draft in (session.joining or {}).items() if draft]
        for room in () if self.closing or not session.user else (*session.rooms, *asked):
            # Insisted on: the others must learn of it even if the disk is full just now.
            if leave := session.leave_of(room):
                leave.insist = True
            else:
                drafts.append(self.draft(session, room, Kind.LEAVE, clean(reason), insist=True))
                drafts[-1].nick = next(iter(session.claimed()), session.nick)
        _share(drafts)
        for name in list(session.rooms):
            self.rooms.dismiss(session, name)
        self.directory.leave(session)
        self.touch(session)
        if session.user and not session.user.sessions:
            for tell in self.presence:
                tell(session.user, "")
        self.reply(session, Goodbye())

    def expel(self, session: Session, reason: str) -> None:
        """End somebody's session, here or on another node."""
        if session in self.abroad:
            self.abroad.expel(session, reason)
        else:
            self.depart(session, reason)

    # --- what sessions do -----------------------------------------------------------------------------------

    def say(
        self,
        session: Session,
        text: str,
        room: str = "",
        kind: Kind = Kind.MESSAGE,
        label: str = "",
        tags: str = "",
    ) -> None:
        """Publish what the session says (or does, for Kind.ACTION) in a room, its current one by default.

        With a label it is told `Stored` when that is done, and the entry's id ends with it: letters and digits, which
        it uses once.

        Raises:
            Refused: it is not in that room. An empty text is no error and says nothing.

        """
        text = clean_exactly(text) if session.exact else clean_lines(text)
        if text.strip():
            where = self.rooms.of(session, room)
            where.rules.check_say(session, self.clock())
            assert session.user is not None
            session.user.active = self.clock()
            draft = self.draft(session, where.name, kind, text)
            draft.tags = tags
            _mark(draft, label)

    def post(self, session: Session, name: str, room: str, text: str, label: str) -> None:
        """Publish a message under a name that nobody holds, in a room that the session need not be in.

        It is told `Stored` with the label when that is done. The name is not held by it.

        Raises:
            Refused: the name is invalid or taken, the room's is invalid, or the text is empty.

        """
        nick = self.directory.free(name)
        room = names.check_room(clean(room))
        if awake := self.rooms.awake.get(room):
            who = tuple(nick + mask for mask in session.masks)
            awake.rules.check_outsider(who, self.clock())
        text = clean_lines(text)
        if not text:
            raise Refused("no-text", "There is nothing to send.")
        draft = self.draft(session, room, Kind.MESSAGE, text)
        draft.nick = nick
        _mark(draft, label)

    def set_topic(self, session: Session, text: str, room: str = "") -> None:
        """Publish a new topic for a room.

        Raises:
            Refused: the session is not in that room.

        """
        where = self.rooms.of(session, room)
        if "t" in where.rules.flags and not where.rules.is_operator(session):
            raise Refused("not-operator", f"The topic of {where.name} is locked; its operators set it.")
        session.waiting += 1
        self.draft(session, where.name, Kind.TOPIC, clean(text).strip())

    def say_outside(self, session: Session, room: Room, text: str, kind: Kind, label: str = "", tags: str = "") -> None:
        """Publish a message in a room that the session is not in. Raises Refused."""
        room.rules.check_say(session, self.clock())
        if (text := clean_exactly(text)).strip():
            draft = self.draft(session, room.name, kind, text)
            draft.tags = tags
            _mark(draft, label)

    def rename(self, session: Session, name: str, refused: Callable[[Refused], None] | None = None) -> None:
        """Give the session's user another name.

        If it turns out later that another node's user has it, `refused` is called, or the session is told.

        Raises:
            Refused: the name is invalid, or taken here.

        """
        user = session.user
        assert user is not None
        had = user.keys
        _, nick = self.directory.claim(name, user)
        if nick == user.nick:
            self.reply(session, Notice((f"You are {nick} already",)))
            return

        def held(refusal: Refused | None) -> None:
            if session.gone:
                self.directory.drop(user)
            elif refusal is None:
                self._publish_name(session, nick)
            else:
                self._keep_name(session, session.nick)
                if refused:
                    refused(refusal)
                else:
                    self.reply(session, Refusal(refusal.code, refusal.text))

        if fold(nick) in had:
            self._publish_name(session, nick)
        else:
            self.hold(session, nick, held)

    def lose_name(self, key: str) -> None:
        """Give a user whose name another node's user took meanwhile the next one that is free."""
        user = self.users.get(key)
        if user is None or not user.sessions:
            return
        session, name = user.sessions[0], user.nick[: names.MAX - 4]
        self.reply(session, Notice((f"The name {user.nick} was taken while the chat could not be reached",)))
        numbers = iter(range(2, 100))

        def next_one(refusal: Refused | None = None) -> None:
            number = next(numbers, None)
            if number is None or (refusal and refusal.code != "name-taken"):
                self.depart(session, "no name")
                return
            try:
                self.rename(session, f"{name}{number}", next_one)
            except Refused as taken:
                next_one(taken)

        next_one()

    def announce(self, text: str) -> None:
        """Tell everybody here something."""
        for user in dict.fromkeys(self.users.values()):
            for session in user.sessions:
                if session not in self.abroad and not session.paused:
                    session.outlet.tell(Notice((text,)))

    def _publish_name(self, session: Session, nick: str) -> None:
        if not session.rooms:
            self._renamed(session, nick)
            session.flush()
        session.waiting += len(session.rooms)
        _share([self.draft(session, room, Kind.RENAME, nick) for room in session.rooms])

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
            self.release(session)

        session.turn.append(partial(self.broker.read, query, done))
        session.flush()

    def ask_raw(self, session: Session, query: Query, answer: Callable[[Page | BrokerError], None]) -> None:
        """Read the log for a session, and let `answer` tell it what was found: in the place of the question."""
        self.ask_for(session, partial(self.broker.read, query), answer)

    def check_password(
        self, session: Session, name: str, password: str, answer: Callable[[bool], Event | None]
    ) -> None:
        """Ask whether a name and password are a server operator's; `answer` is told in the place of the question."""
        self.ask_for(session, partial(self.verify, name, password), answer)

    def ask_for(
        self, session: Session, start: Callable[[Callable[[Any], None]], None], answer: Callable[[Any], Event | None]
    ) -> None:
        """Begin something when a session has its turn; it is told what `answer` makes of the outcome, in that place.

        `start` is given what to call with the outcome, later and once; meanwhile the session waits.
        """
        session.waiting += 1
        hold = Hold()

        def done(outcome: Any) -> None:
            hold.act = lambda: answer(outcome)
            if not session.gone:
                session.flush()
                self.release(session)

        session.turn += [partial(start, done), hold]
        session.flush()

    def reply(self, session: Session, event: Event) -> None:
        """Tell the session something, after what it published before is settled."""
        session.turn += self.pieces(event)
        session.flush()

    def after_all(self, session: Session) -> None:
        """Let what the session is told from here on wait until all that anybody said before was given to the others."""
        if newest := self.outbox.newest:
            newest.watchers = newest.watchers or []
            newest.watchers.append(session)
            session.turn.append(Hold(newest))

    def pieces(self, event: Event) -> Sequence[Event]:
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
        return session in self.delivery.behind

    @property
    def settled(self) -> bool:
        """Whether all that was said is stored, and given to every member."""
        return self.outbox.idle and not self.delivery.behind

    def draft(self, session: Session, room: str, kind: Kind, text: str, insist: bool = False) -> Draft:
        """Gather something that a session does, and return it."""
        session.published += 1
        draft = Draft(room, kind, session.nick, text, f"{session.tag}{session.published:x}", session, insist)
        _mark(draft, session.label)
        self.outbox.add(draft)
        return draft

    # --- gather, commit, fan out ----------------------------------------------------------------------------

    def committed(self, entries: Sequence[Entry]) -> None:
        """Deliver what the broker has stored, in its order, to every member of its rooms; settle its drafts."""
        by_room: dict[str, list[Entry]] = {}
        for entry in entries:
            by_room.setdefault(entry.room, []).append(entry)
        for name, part in by_room.items():
            if room := self.rooms.awake.get(name):
                self.advance(room, part)
            else:
                self.rooms.keep(name, part)
        self._settle(self.outbox.stored(entries))
        self._confirm(entries)
        for name in by_room:
            self.rooms.close_if_empty(name)
        self.delivery.tidy()

    def failed(self, drafts: Iterable[Draft], reason: str, sure: bool = True) -> None:
        """Tell the senders that these were not stored, or that it is not `sure`: then they may come in `committed` yet.

        What must be known to others is gathered again, first.
        """
        self._settle(self.outbox.refused(drafts, reason, sure))

    def _confirm(self, entries: Iterable[Entry]) -> None:
        """Tell who was told that it is not sure whether something is stored: it is."""
        for draft in self.outbox.confirmed(entries):
            if draft.session and not draft.session.gone:
                if draft.label and draft.entry:
                    self.reply(draft.session, Stored(draft.label, draft.entry))
                start = draft.text.partition("\n")[0]
                shown = start if len(start) <= SHOWN else f"{start[:SHOWN]}…"
                self.reply(draft.session, Notice((f"This was sent after all: {shown}",)))

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
        for session in (*touched, *watchers, *self.outbox.relieved()):
            session.flush()
            if not session.gone:
                session.outlet.go_on()

    def _undo(self, session: Session, draft: Draft) -> None:
        """Take back what was prepared for a draft that is not stored."""
        if draft.kind is Kind.JOIN:
            session.joining = without(session.joining, draft.room)
            self.rooms.close_if_empty(draft.room)
        elif draft.kind is Kind.RENAME:
            if session.gone:
                for leave in session.turn:
                    if isinstance(leave, Draft) and leave.kind is Kind.LEAVE:
                        leave.nick = session.nick
            else:
                self._keep_name(session, session.nick)
        elif draft.kind in SAID:
            return
        self.release(session)

    def release(self, session: Session) -> None:
        """Let a session go on: one of the calls that it waits for has ended."""
        if session.gone:
            return
        session.waiting -= 1
        if not session.waiting:
            session.outlet.go_on()

    # --- rooms ----------------------------------------------------------------------------------------------

    def advance(self, room: Room, entries: Sequence[Entry]) -> None:
        """Append committed entries to a room, write them to its members, and let them take effect.

        The sessions that published them are told nothing yet: that is done in their turn, when everybody was given
        the whole batch.
        """
        if entries[0].seq <= room.end.seq:  # the room was read from the log after their commit
            entries = [entry for entry in entries if entry.seq > room.end.seq]
        if not entries:
            return
        for piece in slices(entries, self.limits.chunk):
            drafts = [self.outbox.find(entry.id) for entry in piece]
            earlier = list(room.latest)
            earlier_in = [d.earlier if d else self._told_before(e) for d, e in zip(drafts, piece, strict=True)]
            doubled = {index: rooms for index, rooms in enumerate(earlier_in) if rooms}
            chunk = self.delivery.fan_out(room, piece, {draft.session for draft in drafts if draft}, doubled)
            for index, entry in enumerate(piece):
                if entry.kind in COMING:
                    self.abroad.follow(entry)
                if entry.kind is Kind.KICK:
                    self.rooms.kicked(room, chunk, index)
                elif entry.kind is Kind.MOVE:
                    self.rooms.moved(room, entry)
            for index, draft in enumerate(drafts):
                if draft and draft.session and not draft.session.gone and draft.kind in self._effects:
                    self._effects[draft.kind](draft, room, chunk, index, earlier)
                    draft.session.waiting -= 1

    def _told_before(self, entry: Entry) -> tuple[str, ...]:
        """Return the other rooms in which an event on another node was told already."""
        if not entry.shared:
            return ()
        rooms = self._shared.setdefault(entry.shared, ())
        self._shared[entry.shared] = (*rooms, entry.room)
        if len(self._shared) > SHARED:
            del self._shared[next(iter(self._shared))]
        return rooms

    def _took_name(self, draft: Draft, *_: object) -> None:
        session = author(draft)
        if session.nick != draft.text:  # one entry a room, one new name
            self._renamed(session, draft.text)

    def _renamed(self, session: Session, nick: str) -> None:
        before = session.nick
        self._keep_name(session, nick)
        session.turn.append(Named(nick, before))
        assert session.user is not None
        self.touched(session.user)
        for tell in self.presence:
            tell(session.user, before)

    def _keep_name(self, session: Session, nick: str) -> None:
        """Let a user who claimed two names have this one, and the other only while a rename is under way."""
        assert session.user is not None
        self.directory.keep(session.user, nick, session.claimed())

    # --- readers that stall ---------------------------------------------------------------------------------

    def pause(self, session: Session) -> None:
        """Note that the session's transport takes no bytes: from here on it is behind in all its rooms."""
        session.paused = True
        if not session.gone:
            self.delivery.stand_back(session)

    def resume(self, session: Session) -> None:
        """Bring a session up to date whose transport takes bytes again."""
        session.paused = False
        session.flush()
        if session.gone:
            return
        self.delivery.catch_up(session)
        self.delivery.tidy()
        if not session.paused:
            session.outlet.go_on()


def _share(drafts: Sequence[Draft]) -> None:
    """Give the drafts of one event the id of one, told apart by what follows a `~`."""
    first = drafts[0].id if drafts else ""
    for number, draft in enumerate(drafts):
        draft.id = f"{first}~{number:x}"
        draft.earlier = tuple(other.room for other in drafts[:number])


def _mark(draft: Draft, label: str) -> None:
    """Let a draft carry its session's word for it; its id ends with that."""
    if label and not draft.label:
        draft.label = label
        draft.id += f"-{label}"
