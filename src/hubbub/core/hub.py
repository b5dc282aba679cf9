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

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from hubbub.core import names
from hubbub.core.access import Action, may
from hubbub.core.bounds import TOPIC_BYTES
from hubbub.core.budget import Budget
from hubbub.core.commit_handler import CommitHandler
from hubbub.core.delivery import Delivery, Limits, LogReader
from hubbub.core.model import (
    LOST,
    AllRooms,
    ByteSink,
    Client,
    Draft,
    Encoder,
    Event,
    Goodbye,
    HistoryShown,
    Kind,
    LogPage,
    Notice,
    Query,
    Refusal,
    RoomList,
)
from hubbub.core.naming import Naming
from hubbub.core.outbox import Outbox, link_drafts, set_label
from hubbub.core.redactions import Redactions
from hubbub.core.remote_users import RemoteUsers
from hubbub.core.room import Room, slices
from hubbub.core.room_modes import without_secrets
from hubbub.core.rooms import Rooms
from hubbub.core.session import Placeholder, Session
from hubbub.core.tags import join
from hubbub.core.text import clean, cut, is_blank, one_line, reason_of, said
from hubbub.core.users import Directory, User
from hubbub.core.viewer import Viewer
from hubbub.errors import BrokerError, Busy, Closed, Refused


class Hub:
    """All rooms and all sessions of this process.

    Args:
        broker: orders and stores.
        clock: returns the seconds since the epoch.
        boot: differs for every start of every server; begins every id.
        wake: called when there is something to publish; the owner then calls `outbox.gather`.
        limits: what the core bounds.
        ticks: returns seconds on a clock that never goes back: durations are measured by it.

    """

    def __init__(
        self,
        broker: LogReader,
        clock: Callable[[], float],
        boot: str,
        wake: Callable[[], None],
        limits: Limits | None = None,
        ticks: Callable[[], float] | None = None,
    ) -> None:
        self.broker = broker
        self.clock = clock
        self.ticks = ticks or clock
        self.limits = limits or Limits()
        self.directory = Directory()
        self.users = self.directory.users
        # Called with a user who came, left (no sessions any more), or was renamed, and the name before or "".
        self.presence: list[Callable[[User, str], None]] = []
        self.moves: list[Callable[[str, str], None]] = []  # called with a room's name before, and its new one
        # Asked whether a name and password are a server operator's; calls back, later, with the answer.
        self.verify: Callable[[str, str, Callable[[bool], None]], None] = lambda name, password, done: done(False)
        # The same, of a session that asks; it may be refused to try.
        self.check_login: Callable[[Session, str, str, Callable[[bool], None]], None] = (
            lambda session, name, password, done: self.verify(name, password, done)
        )
        # Returns what others are shown of an address, for masks.
        self.cloak: Callable[[str], str] = lambda address: "hidden"
        # Called with a user of this node of whom something has changed that other nodes are told.
        self.on_user_changed: Callable[[User], None] = lambda user: None
        # Asked whether a session's peer is there; calls back, later, with the answer.
        self.probe: Callable[[Session, Callable[[bool], None]], None] = lambda session, answer: answer(True)
        self.budget = Budget(lambda: 0.0)  # of each address; without limits until the owner sets them
        # Calls something in so many seconds. What is not set waits for nothing.
        self.later: Callable[[float, Callable[[], None]], object] = lambda seconds, call: call()
        self.closing = False  # everybody leaves: nobody needs to be told who does
        self._boot = boot
        self._sessions = 0
        self.outbox = Outbox(wake, self.limits.gathered)
        self.redactions = Redactions()
        self.delivery = Delivery(self.read, self.limits)
        self.remote = RemoteUsers(self)
        self.rooms = Rooms(self)
        self.naming = Naming(self)
        self.commits = CommitHandler(self)

    # --- sessions -------------------------------------------------------------------------------------------

    def connect(self, client: Client, sink: ByteSink, encoder: Encoder, host: str = "", address: str = "") -> Session:
        """Return the session of a new connection; it has no name yet and is in no room."""
        self._sessions += 1
        session = Session(f"{self._boot}{self._sessions:x}.", client, sink, encoder, host, address)
        session.redactions = self.redactions
        return session

    def touch(self, session: Session) -> None:
        """Note that something has changed about the session's user that other nodes are told."""
        if session.user:
            self.on_user_changed(session.user)

    def session_ready(self, session: Session) -> bool:
        """Return whether the session's next command may be taken; if not, `Client.resume_input` follows."""
        return not (session.closed or session.is_blocked) and not self.outbox.full(session)

    def depart(self, session: Session, reason: str = "", asked: bool = False) -> None:
        """Take the session out of all its rooms and free its name; nothing more is delivered to it.

        `asked` says that its user wanted to leave; otherwise the connection was lost, or others ended it. Replies that
        wait are still told, then Goodbye. Calling it again does nothing.
        """
        if session.closed:
            return
        session.closed = True
        session.pending_operations = 0
        self.rooms.withdraw(session)
        drafts: list[Draft] = []
        joining = [room for room, draft in (session.joining or {}).items() if draft]
        for room in () if self.closing or not session.user else (*session.rooms, *joining):
            # Insisted on: the others must learn of it even if the disk is full just now.
            if leave := session.leave_of(room):
                leave.must_store = True
            else:
                text = self.reason(session, self.rooms.loaded.get(room), reason) if asked else reason_of(reason)
                drafts.append(self.draft(session, room, Kind.LEAVE, text, insist=True))
                drafts[-1].nick = next(iter(session.held_names()), session.nick)
                drafts[-1].tags = join(session.tags, "" if asked else LOST)
        link_drafts(drafts)
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
        if session in self.remote:
            self.remote.expel(session, reason)
        elif not session.closed:
            self.reply(session, Notice((f"You are cut off: {reason}",)))
            self.depart(session, reason)

    # --- who may see and do what ----------------------------------------------------------------------------

    def viewer(self, session: Session, nick: str = "", key: str = "") -> Viewer:
        """Return a session as somebody who asks: under a name that it does not hold, with a key that it offers.

        One that only watches a room is no member of it.
        """
        user = session.user
        rooms = tuple(session.rooms) if user else ()
        operator = bool(user and user.operator)
        mask = nick + session.mask
        return Viewer(rooms, mask, operator, self.clock(), self.ticks(), session, session.address, key)

    def stranger(self, host: str, address: str) -> Viewer:
        """Return somebody without a name and a session as one who asks; `host` is what others see of the address."""
        return Viewer(mask=f"!{host}", now=self.clock(), ticks=self.ticks(), address=address)

    def may(self, session: Session, action: Action, room: Room) -> bool:
        """Return whether a session may see or do something in a room."""
        return may(self.viewer(session), action, room.rules) is None

    def check(self, session: Session, action: Action, room: Room) -> None:
        """Raise Refused unless a session may see or do something in a room."""
        if refused := may(self.viewer(session), action, room.rules):
            raise refused

    def reason(self, session: Session, room: Room | None, text: str) -> str:
        """Return the reason that a session gives for something in a room; "" if it may say nothing there."""
        return reason_of(text) if room and self.may(session, Action.SIGNAL, room) else ""

    def speak(self, viewer: Viewer, room: Room) -> None:
        """Raise Refused unless somebody may speak in a room; note that it does, for slow mode."""
        if refused := may(viewer, Action.SPEAK, room.rules):
            raise refused
        room.rules.note_message(viewer)

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

        With a label it is told `Stored` when that is done, and the entry's id ends with it: letters, digits and
        hyphens, which it uses once.

        Raises:
            Refused: it is not in that room; or there is a label, and nothing to say. Without a label an empty text is
                no error and says nothing.

        """
        text, formatting = said(text, session.preserves_spaces)
        if label and is_blank(text):
            raise Refused("no-text", "There is nothing to send.")
        if not is_blank(text):
            where = self.rooms.of(session, room)
            self.speak(self.viewer(session), where)
            assert session.user is not None
            session.user.active = self.clock()
            draft = self.draft(session, where.name, kind, text)
            draft.tags = join(session.tags, tags, formatting)
            set_label(draft, label)

    def post(self, session: Session, name: str, room: str, text: str, label: str) -> None:
        """Publish a message under a name that nobody holds, in a room that the session need not be in.

        It is told `Stored` with the label when that is done, or a Refusal: by the room's rules, say. The name is not
        held by it.

        Raises:
            Refused: the name is invalid or taken, the room's is invalid or just being given, or the text is empty.

        """
        self.directory.free(name)
        room = names.check_room(clean(room))
        self.rooms.check_not_coming(room)
        text, formatting = said(text)
        if is_blank(text):
            raise Refused("no-text", "There is nothing to send.")

        def publish() -> None:
            try:
                if (awake := self.rooms.loaded.get(room)) is None:
                    raise Refused("broker", f"Not sent: {room} cannot be read just now.")
                nick = self.directory.free(name)
                if not awake.end.seq:
                    names.check_new_room(room)
                self.speak(self.viewer(session, nick), awake)
                self.rooms.check_may_open(session, awake)
                draft = self.draft(session, room, Kind.MESSAGE, text)
                draft.nick, draft.tags = nick, formatting
                set_label(draft, label)
            except Refused as refusal:
                self.reply(session, Refusal(refusal.code, refusal.text, label, room))
            self.rooms.end_visit(session)

        self.rooms.visit(session, [room], publish)

    def set_topic(self, session: Session, text: str, room: str = "", cuts: bool = False) -> None:
        """Publish a new topic for a room: none, if it shows nothing.

        One that is too long is cut if its sender expects that.

        Raises:
            Refused: the session is not in that room, may not, or the topic is too long.

        """
        text, formatting = one_line(text)
        if is_blank(text):
            text = formatting = ""
        if (size := len(text.encode())) > TOPIC_BYTES and not cuts:
            raise Refused("topic-too-long", f"Not set: a topic has at most {TOPIC_BYTES} bytes; this one has {size}.")
        where = self.rooms.of(session, room)
        self.check(session, Action.SET_TOPIC, where)
        session.pending_operations += 1
        draft = self.draft(session, where.name, Kind.TOPIC, cut(text, TOPIC_BYTES))
        draft.tags = join(session.tags, formatting)

    def say_from_outside(
        self, session: Session, room: Room, text: str, kind: Kind, label: str = "", tags: str = ""
    ) -> None:
        """Publish a message in a room that the session is not in. Raises Refused."""
        self.speak(self.viewer(session), room)
        text, formatting = said(text, exact=True)
        if not is_blank(text):
            draft = self.draft(session, room.name, kind, text)
            draft.tags = join(session.tags, tags, formatting)
            set_label(draft, label)

    def announce(self, text: str) -> None:
        """Tell everybody here something."""
        for user in dict.fromkeys(self.users.values()):
            for session in user.sessions:
                if session not in self.remote and not session.paused:
                    session.client.send_event(Notice((text,)))

    def read(self, query: Query | AllRooms, done: Callable[[Any], None]) -> None:
        """Answer a query, later: with what its viewer may see, without the keys of rooms and what was taken back."""

        def show(result: LogPage | RoomList | BrokerError) -> None:
            if isinstance(result, LogPage):
                result = replace(result, entries=self.redactions.apply(without_secrets(result.entries)))
            done(result)

        self.broker.read(query, show)

    def ask(self, session: Session, query: Query | AllRooms, answer: Callable[[Any], Event]) -> None:
        """Read the log for a session, and reply with what `answer` makes of the page."""
        session.pending_operations += 1

        def done(result: LogPage | RoomList | BrokerError) -> None:
            if session.closed:
                return
            if isinstance(result, Closed):
                self.reply(session, Refusal(result.code, f"{result}."))
            elif isinstance(result, Busy):
                self.reply(session, Refusal("busy", f"Not done: {result}; try again in a while."))
            elif isinstance(result, BrokerError):
                self.reply(session, Refusal("broker", f"The log cannot be read: {result}."))
            else:
                self.reply(session, answer(result))
            self.release(session)

        session.replies.append(partial(self.read, query, done))
        session.flush()

    def ask_raw(self, session: Session, query: Query | AllRooms, answer: Callable[[Any], None]) -> None:
        """Read the log for a session, and let `answer` tell it what was found: in the place of the question."""

        def current(result: LogPage | RoomList | BrokerError) -> None:
            """Answer: it may have waited until the session took bytes again."""
            if isinstance(result, LogPage):
                result = replace(result, entries=self.redactions.apply(result.entries))
            answer(result)

        self.ask_for(session, partial(self.read, query), current)

    def check_password(
        self, session: Session, name: str, password: str, answer: Callable[[bool], Event | None]
    ) -> None:
        """Ask whether a name and password are a server operator's; `answer` is told in the place of the question."""
        self.ask_for(session, partial(self.check_login, session, name, password), answer)

    def ask_for(
        self, session: Session, start: Callable[[Callable[[Any], None]], None], answer: Callable[[Any], Event | None]
    ) -> None:
        """Begin something when a session has its turn; it is told what `answer` makes of the outcome, in that place.

        `start` is given what to call with the outcome, later and once; meanwhile the session waits.
        """
        session.pending_operations += 1
        hold = Placeholder()

        def done(outcome: Any) -> None:
            hold.action = lambda: None if session.closed else answer(outcome)
            session.flush()  # also if it is gone: its Goodbye waits behind this
            self.release(session)

        session.replies += [partial(start, done), hold]
        session.flush()

    def reply(self, session: Session, event: Event) -> None:
        """Tell the session something, after what it published before is settled."""
        session.replies += self.pieces(event)
        session.flush()

    def after_earlier_entries(self, session: Session) -> None:
        """Let what the session is told from here on wait until all that anybody said before was given to the others."""
        if newest := self.outbox.newest:
            newest.watchers = newest.watchers or []
            newest.watchers.append(session)
            session.replies.append(Placeholder(newest))

    def pieces(self, event: Event) -> Sequence[Event]:
        """Cut what is long, so that a session that takes no bytes is not written all of it."""
        if not isinstance(event, HistoryShown) or len(event.entries) < 2:
            return (event,)
        pieces = [replace(event, entries=piece, tail=()) for piece in slices(event.entries, self.limits.write_bytes)]
        pieces[-1] = replace(pieces[-1], tail=event.tail)
        return pieces

    def set_encoder(self, session: Session, encoder: Encoder) -> None:
        """Write to the session in another form from now on, in all its rooms."""
        session.encoder = encoder
        for name, room in session.rooms.items():
            room.set_encoder(session, session.encoder_in(name))

    def has_unsettled(self, session: Session) -> bool:
        """Return whether the session misses something; when it does no longer, `Client.resume_input` is called."""
        return session in self.delivery.behind

    @property
    def settled(self) -> bool:
        """Whether all that was said is stored, and given to every member."""
        return self.outbox.idle and not self.delivery.behind

    def draft(self, session: Session, room: str, kind: Kind, text: str, insist: bool = False) -> Draft:
        """Gather something that a session does, and return it."""
        session.next_id += 1
        draft = Draft(room, kind, session.nick, text, f"{session.id_prefix}{session.next_id:x}", session, insist)
        draft.tags = session.tags
        set_label(draft, session.label)
        self.outbox.add(draft)
        return draft

    def rejoin(self, session: Session, room: str) -> None:
        """Tell the others that somebody is in a room of whom they were told that he has left."""
        session.next_id += 1
        real = session.user.real if session.user else ""
        draft = Draft(room, Kind.JOIN, session.nick, real, f"{session.id_prefix}{session.next_id:x}", insist=True)
        draft.host, draft.tags = session.host, session.tags
        self.outbox.add(draft)

    def release(self, session: Session) -> None:
        """Let a session go on: one of the calls that it waits for has ended."""
        if session.closed:
            return
        session.pending_operations -= 1
        if not session.pending_operations:
            session.client.resume_input()

    def block(self, session: Session, seconds: float) -> None:
        """Take the session's next command no sooner than in so many seconds."""
        if seconds:
            session.pending_operations += 1
            self.later(seconds, partial(self.release, session))

    # --- readers that stall ---------------------------------------------------------------------------------

    def pause(self, session: Session) -> None:
        """Note that the session's transport takes no bytes: from here on it is behind in all its rooms."""
        session.paused = True
        if not session.closed:
            self.delivery.fall_behind(session)

    def resume(self, session: Session) -> None:
        """Bring a session up to date whose transport takes bytes again."""
        session.paused = False
        session.flush()
        if session.closed:
            return
        self.delivery.catch_up(session)
        self.delivery.drop_caches()
        if not session.paused:
            session.client.resume_input()
