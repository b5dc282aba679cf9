"""The hub holds all sessions, users and rooms of one process; it checks permissions and publishes drafts.

Rules of this file:

 1. Every method is a plain `def`: the event loop is the only lock. An operation that must wait for the broker
    ends later in another call. Meanwhile the next commands of that session wait (`Session.is_blocked`), and no
    other session does.
 2. Every action of a session becomes a draft. No session sees any of it until `Pipeline.committed` brings it
    back as an entry.
 3. Every reply to a session goes through `reply`, which keeps its place behind the earlier drafts of the session:
    when a session gets its reply, the others have already received the entries that it published before.
 4. Delivery never waits. A session whose transport takes no bytes is skipped, and is brought up to date from
    the log when the transport is ready again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from hubbub.chat.budget import Budget
from hubbub.chat.delivery import Delivery, Limits, LogReader
from hubbub.chat.effects import Effects
from hubbub.chat.naming import Naming
from hubbub.chat.nicks import Nicks
from hubbub.chat.pipeline import Pipeline, Publisher, Scheduler, link_drafts
from hubbub.chat.remote_users import RemoteUsers
from hubbub.chat.room import Room, slices
from hubbub.chat.rooms import Rooms
from hubbub.chat.session import Barrier, Operation, Posting, Session, User
from hubbub.errors import BrokerError, Busy, Closed, Refused
from hubbub.model.access import Action, may, members_speak_freely
from hubbub.model.client import ByteSink, Client, Encoder
from hubbub.model.entries import SAID, Draft, Kind
from hubbub.model.events import Event, Goodbye, HistoryShown, Notice, Refusal
from hubbub.model.queries import AllRooms, LogPage, Query, RoomList
from hubbub.model.redactions import Redactions
from hubbub.model.room_modes import without_secrets
from hubbub.model.viewer import Viewer
from hubbub.text import names, refusals
from hubbub.text.bounds import TOPIC_BYTES
from hubbub.text.cleaning import clean, cut, is_blank, one_line, reason_of, said
from hubbub.text.tags import LOST, join

MEMBERSHIP = frozenset({Kind.JOIN, Kind.LEAVE, Kind.RENAME})  # what is published in the name of all of a user


class Log(LogReader, Publisher, Protocol):
    """The part of a broker that the hub needs; storage/ports.py documents its guarantees."""


class Hub:
    """All rooms and all sessions of this process.

    Args:
        broker: orders and stores the entries.
        clock: returns the seconds since the epoch.
        boot: a prefix of every id; it differs for every start of every server.
        scheduler: the running event loop.
        limits: the limits of the core.
        ticks: returns seconds on a monotonic clock, which measures durations; `clock` by default.

    """

    def __init__(
        self,
        broker: Log,
        clock: Callable[[], float],
        boot: str,
        scheduler: Scheduler,
        limits: Limits | None = None,
        ticks: Callable[[], float] | None = None,
    ) -> None:
        self.broker = broker
        self.clock = clock
        self.ticks = ticks or clock
        self.limits = limits or Limits()
        self.nicks = Nicks()
        self.users = self.nicks.users
        # Called with a user who arrived, left (it is not present any more) or was renamed, and with the name before a
        # rename, else "".
        self.presence: list[Callable[[User, str], None]] = []
        self.moves: list[Callable[[str, str], None]] = []  # called with the old and the new name of a room
        # Checks whether a name and password belong to a server operator; calls back later with the result.
        self.verify: Callable[[str, str, Callable[[bool], None]], None] = lambda name, password, done: done(False)
        # The same check for one session; the attempt itself may be refused.
        self.check_login: Callable[[Session, str, str, Callable[[bool], None]], None] = (
            lambda session, name, password, done: self.verify(name, password, done)
        )
        # Returns the form of an address that other users see, for masks.
        self.cloak: Callable[[str], str] = lambda address: "hidden"
        # Called with a user of this node when one of the details that other nodes receive has changed.
        self.on_user_changed: Callable[[User], None] = lambda user: None
        # Checks whether the peer of a session still responds; calls back later with the result.
        self.probe: Callable[[Session, Callable[[bool], None]], None] = lambda session, answer: answer(True)
        self.budget = Budget(lambda: 0.0)  # per address; unlimited until the owner sets limits
        # Calls a function after a number of seconds; until the owner sets it, it calls at once.
        self.later: Callable[[float, Callable[[], None]], object] = lambda seconds, call: call()
        # The server shuts down: all sessions leave, and their leaves are not published.
        self.closing = False
        self._boot = boot
        self._sessions = 0
        self.pipeline = Pipeline(broker, scheduler, self.ticks, self.limits.gathered)
        self.redactions = Redactions()
        self.delivery = Delivery(self.read, self.limits)
        self.remote = RemoteUsers(self)
        self.rooms = Rooms(self)
        self.naming = Naming(self)
        self.effects = Effects(self)
        self.pipeline.deliver, self.pipeline.undo = self.effects.stored, self.effects.undo

    # --- sessions -------------------------------------------------------------------------------------------

    def connect(self, client: Client, sink: ByteSink, encoder: Encoder, host: str = "", address: str = "") -> Session:
        """Return the session of a new connection; it has no nick yet and is in no room."""
        self._sessions += 1
        session = Session(f"{self._boot}{self._sessions:x}.", client, sink, encoder, host, address)
        session.redactions = self.redactions
        return session

    def touch(self, session: Session) -> None:
        """Report a change to the session's user that other nodes must receive; do nothing without a user."""
        if session.user:
            self.on_user_changed(session.user)

    def session_ready(self, session: Session) -> bool:
        """Return whether the session's next command may run now; if not, `Client.resume_input` is called later."""
        if session.closed or session.pending or (session.replies and session.is_blocked):
            return False
        return self.pipeline.has_room_for(session)

    def depart(self, session: Session, reason: str = "", asked: bool = False) -> None:
        """End a session: no more entries are delivered to it. With its last session the user leaves.

        `asked` says that the user wanted to leave; otherwise the connection was lost, or others ended the session.
        Replies that wait are still sent, followed by Goodbye. A second call does nothing.
        """
        if session.closed:
            return
        session.closed = True
        session.pending.clear()
        self.rooms.withdraw(session)
        user = session.user
        if user and len(user.sessions) == 1:
            self._leave(session, user, reason, asked)
        else:
            for room in list(session.rooms.values()):
                self.rooms.detach(session, room)
            if user:
                user.remove_session(session)
                self.on_user_changed(user)
        self.reply(session, Goodbye())

    def _leave(self, session: Session, user: User, reason: str, asked: bool) -> None:
        """Take a user out of all rooms with their last session, and free their nick."""
        leaves: list[Posting] = []
        joining = [room for room, join in user.joining.items() if join]
        for room in () if self.closing else (*user.rooms, *joining):
            # `must_store`: the other members must see the leave even if the disk is full at the moment.
            if leave := user.leave_of(room):
                leave.must_store = True
            else:
                text = self.reason(session, self.rooms.loaded.get(room), reason) if asked else reason_of(reason)
                nick = next(iter(user.held_names()), "")
                tags = "" if asked else LOST
                leaves.append(self.publish(session, room, Kind.LEAVE, text, tags, nick=nick, must_store=True))
        link_drafts(leaves)
        for joined in list(user.rooms.values()):
            self.rooms.remove(user, joined)
        user.remove_session(session)
        user.present = False
        self.nicks.release_all(user)
        self.on_user_changed(user)
        for tell in self.presence:
            tell(user, "")

    def expel(self, user: User, reason: str) -> None:
        """End all sessions of a user, on this node or on another one, and give them the reason."""
        if user.is_remote:
            self.remote.expel(user, reason)
        for session in list(user.sessions):
            self.reply(session, Notice((f"You are cut off: {reason}",)))
            self.depart(session, reason)

    def send_to(self, user: User, event: Event) -> None:
        """Send an event to all sessions of a user, on this node or on another one; paused sessions miss it."""
        if user.is_remote:
            self.remote.send(user, event)
        for session in user.sessions:
            if not session.paused:
                session.client.send_event(event)

    # --- permissions ----------------------------------------------------------------------------------------

    def viewer(self, session: Session, nick: str = "", key: str = "") -> Viewer:
        """Return the viewer for a session: the subject of its permission checks and log queries.

        A session without a user only watches its rooms, and does not count as a member of them.

        Args:
            session: the session that asks.
            nick: a nick that the session does not hold but wants to speak under, for its mask.
            key: a room key that the session offers.

        """
        user = session.user
        return Viewer(
            tuple(user.rooms) if user else (),
            nick + session.mask,
            bool(user and user.operator),
            self.clock(),
            self.ticks(),
            user,
            session.address,
            key,
            not session.preserves_spaces,
        )

    def viewer_of(self, user: User) -> Viewer:
        """Return the viewer for a user, in whichever session."""
        now, ticks = self.clock(), self.ticks()
        return Viewer(tuple(user.rooms), user.mask, user.operator, now, ticks, user, user.address)

    def stranger(self, host: str, address: str) -> Viewer:
        """Return the viewer for a peer without a nick and a session; `host` is the public form of its address."""
        return Viewer(mask=f"!{host}", now=self.clock(), ticks=self.ticks(), address=address)

    def may(self, session: Session, action: Action, room: Room) -> bool:
        """Return whether a session may perform an action in a room."""
        return may(self.viewer(session), action, room.rules) is None

    def check(self, session: Session, action: Action, room: Room) -> None:
        """Raise Refused unless a session may perform an action in a room."""
        if refused := may(self.viewer(session), action, room.rules):
            raise refused

    def reason(self, session: Session, room: Room | None, text: str) -> str:
        """Return the reason that a session gives for an action in a room; "" if it may not speak there."""
        return reason_of(text) if room and self.may(session, Action.SIGNAL, room) else ""

    def speak(self, viewer: Viewer, room: Room) -> None:
        """Raise Refused unless a viewer may speak in a room; otherwise count the message for slow mode."""
        if refused := may(viewer, Action.SPEAK, room.rules):
            raise refused
        room.rules.note_message(viewer)

    # --- actions of sessions --------------------------------------------------------------------------------

    def say(
        self,
        session: Session,
        text: str,
        room: str = "",
        kind: Kind = Kind.MESSAGE,
        label: str = "",
        tags: str = "",
    ) -> None:
        """Publish a message of the session (or an action, for Kind.ACTION) in a room, its current one by default.

        A label consists of letters, digits and hyphens, and the session uses it only once. With a label the session
        gets an `Acknowledged` reply when the entry is stored, and the id of the entry ends with the label.

        Raises:
            Refused: the session is not in that room or may not speak there; or there is a label, and the text is empty.
                Without a label an empty text is no error, and nothing is published.

        """
        text, formatting = said(text, session.preserves_spaces)
        if label and is_blank(text):
            raise refusals.NO_TEXT()
        if not is_blank(text):
            where = self.rooms.of(session, room)
            if not members_speak_freely(where.rules):
                self.speak(self.viewer(session), where)
            assert session.user is not None
            session.user.active = self.clock()
            self.publish(session, where.name, kind, text, join(tags, formatting) if tags else formatting, label)

    def post(self, session: Session, name: str, room: str, text: str, label: str) -> None:
        """Publish a message under a nick that no user holds, in a room that the session need not be in.

        The session gets an `Acknowledged` reply with the label when the message is stored, or a Refusal, for example
        because of the room's modes. The session does not hold the nick afterwards.

        Raises:
            Refused: the nick is invalid or taken; the room's name is invalid, or another room is being renamed to it;
                or the text is empty.

        """
        self.nicks.free(name)
        room = names.check_room(clean(room))
        self.rooms.check_not_coming(room)
        text, formatting = said(text)
        if is_blank(text):
            raise refusals.NO_TEXT()

        def publish() -> None:
            try:
                if (awake := self.rooms.loaded.get(room)) is None:
                    raise refusals.ROOM_UNREADABLE(room=room)
                nick = self.nicks.free(name)
                if not awake.end.seq:
                    names.check_new_room(room)
                self.speak(self.viewer(session, nick), awake)
                self.rooms.check_may_open(session, awake)
                self.publish(session, room, Kind.MESSAGE, text, formatting, label, nick)
            except Refused as refusal:
                self.refuse(session, refusal, label, room)
            self.rooms.end_visit(session)

        self.rooms.visit(session, [room], publish)

    def set_topic(self, session: Session, text: str, room: str = "", cuts: bool = False) -> None:
        """Publish a new topic for a room; a blank text removes the topic.

        With `cuts` a topic longer than TOPIC_BYTES bytes is cut to that size instead of refused.

        Raises:
            Refused: the session is not in that room or may not set its topic, or the topic is too long.

        """
        text, formatting = one_line(text)
        if is_blank(text):
            text = formatting = ""
        if (size := len(text.encode())) > TOPIC_BYTES and not cuts:
            raise refusals.TOPIC_TOO_LONG(limit=TOPIC_BYTES, size=size)
        where = self.rooms.of(session, room)
        self.check(session, Action.SET_TOPIC, where)
        self.publish(session, where.name, Kind.TOPIC, cut(text, TOPIC_BYTES), formatting)

    def say_from_outside(
        self, session: Session, room: Room, text: str, kind: Kind, label: str = "", tags: str = ""
    ) -> None:
        """Publish a message in a room that the session is not in; a blank text publishes nothing.

        Raises:
            Refused: the session may not speak in the room.

        """
        self.speak(self.viewer(session), room)
        text, formatting = said(text, exact=True)
        if not is_blank(text):
            self.publish(session, room.name, kind, text, join(tags, formatting), label)

    def announce(self, text: str) -> None:
        """Send a notice to every user of this node at once; sessions whose transport takes no bytes miss it."""
        for user in dict.fromkeys(self.users.values()):
            if not user.is_remote:
                self.send_to(user, Notice((text,)))

    def read(self, query: Query | AllRooms, done: Callable[[Any], None]) -> None:
        """Call `done` later with the answer to a query, or with a BrokerError.

        The answer holds only entries that the viewer may see, without room keys and redacted texts.
        """

        def show(result: LogPage | RoomList | BrokerError) -> None:
            if isinstance(result, LogPage):
                result = replace(result, entries=self.redactions.apply(without_secrets(result.entries)))
            done(result)

        self.broker.read(query, show)

    def ask(self, session: Session, query: Query | AllRooms, answer: Callable[[Any], Event]) -> None:
        """Read the log for a session, and reply with the event that `answer` makes of the result.

        A BrokerError becomes a Refusal. The session's next commands wait until the reply.
        """
        read, tell = partial(self.read, query), partial(self._tell, session, answer)
        session.queue(Operation("query", start=read, answer=tell, holds=False))

    def _tell(self, session: Session, answer: Callable[[Any], Event], result: LogPage | RoomList | BrokerError) -> None:
        if isinstance(result, Closed):
            self.refuse(session, result.refused)
        elif isinstance(result, Busy):
            self.refuse(session, refusals.BUSY(reason=result))
        elif isinstance(result, BrokerError):
            self.refuse(session, refusals.LOG_UNREADABLE(reason=result))
        else:
            self.reply(session, answer(result))

    def ask_raw(self, session: Session, query: Query | AllRooms, answer: Callable[[Any], None]) -> None:
        """Read the log for a session, and call `answer` with the result, a BrokerError included.

        The call takes the place of the query among the session's replies.
        """

        def current(result: LogPage | RoomList | BrokerError) -> None:
            """Apply the newest redactions: the result may have waited until the session took bytes again."""
            if isinstance(result, LogPage):
                result = replace(result, entries=self.redactions.apply(result.entries))
            answer(result)

        session.queue(Operation("query", start=partial(self.read, query), answer=current))

    def check_password(
        self, session: Session, name: str, password: str, answer: Callable[[bool], Event | None]
    ) -> None:
        """Check whether a name and password belong to a server operator, and call `answer` with the result.

        The call takes the place of the check among the session's replies.
        """
        check = partial(self.check_login, session, name, password)
        session.queue(Operation("login", name, check, answer))

    def reply(self, session: Session, event: Event) -> None:
        """Send an event to the session after the outcomes of all drafts that it published before."""
        session.replies += self.pieces(event)
        session.flush()

    def refuse(self, session: Session, refused: Refused, label: str = "", room: str = "") -> None:
        """Report a refusal to the session, like `reply`; `label` and `room` are those of its request."""
        self.reply(session, Refusal.of(refused, label, room))

    def after_earlier_entries(self, session: Session) -> None:
        """Hold back the session's next replies until all drafts made so far, of all sessions, have their outcome."""
        if newest := self.pipeline.newest:
            newest.watchers = newest.watchers or []
            newest.watchers.append(session)
            session.replies.append(Barrier(newest))

    def pieces(self, event: Event) -> Sequence[Event]:
        """Return an event as a list of events, with a long history cut into pieces of about `write_bytes` bytes.

        Between two pieces the session may pause: not all of a long history is written to a slow transport.
        """
        if not isinstance(event, HistoryShown) or len(event.entries) < 2:
            return (event,)
        pieces = [replace(event, entries=piece, tail=()) for piece in slices(event.entries, self.limits.write_bytes)]
        pieces[-1] = replace(pieces[-1], tail=event.tail)
        return pieces

    def set_encoder(self, session: Session, encoder: Encoder) -> None:
        """Use another encoder for the session from now on, in all its rooms."""
        session.encoder = encoder
        for name, room in session.rooms.items():
            room.set_encoder(session, session.encoder_in(name))

    def has_unsettled(self, session: Session) -> bool:
        """Return whether the session is behind in a room; `Client.resume_input` is called when it has caught up."""
        return session in self.delivery.behind

    @property
    def settled(self) -> bool:
        """Whether every draft has its outcome, and every member has received every entry."""
        return self.pipeline.idle and not self.delivery.behind

    def publish(  # noqa: PLR0913 - the parts of a draft
        self,
        session: Session,
        room: str,
        kind: Kind,
        text: str,
        tags: str = "",
        label: str = "",
        nick: str = "",
        must_store: bool = False,
    ) -> Posting:
        """Publish a draft of a session: it gets the session's next id, its tags and its label.

        Args:
            session: the author's session.
            room: the room's name.
            kind: the kind of the entry.
            text: as in Draft.
            tags: tags besides those of all entries of the session.
            label: the session's label for the draft, if the current command has none.
            nick: the nick of the author, if it is not that of the session.
            must_store: publish the draft again after every failed commit, until it is stored.

        """
        session.next_id += 1
        label = session.label or label
        id = f"{session.id_prefix}{session.next_id:x}{'-' if label else ''}{label}"
        if user := session.user:
            nick = nick or user.nick
            tags = join(session.tags, tags) if user.modes else tags
        posting = Posting(Draft(room, kind, nick, text, id, session.host, tags, must_store), session, label)
        if kind not in SAID and not session.closed:
            session.pending[posting] = None
        if session.user and kind in MEMBERSHIP:
            session.user.add_change(posting)
        self.pipeline.add(posting)
        return posting

    def rejoin(self, user: User, room: str) -> None:
        """Publish a join for a member that has left the room according to the log, but is still in it."""
        session = user.sessions[0]
        session.next_id += 1
        id = f"{session.id_prefix}{session.next_id:x}"
        self.pipeline.add(
            Posting(Draft(room, Kind.JOIN, user.nick, user.real, id, user.host, user.tags, must_store=True))
        )

    def block(self, session: Session, seconds: float) -> None:
        """Delay the session's next command by a number of seconds; 0 does nothing."""
        if seconds:
            self.later(seconds, partial(session.end, session.begin("pause")))

    # --- slow readers ---------------------------------------------------------------------------------------

    def pause(self, session: Session) -> None:
        """Mark the session as paused, because its transport takes no bytes: it is now behind in all its rooms."""
        session.paused = True
        if not session.closed:
            self.delivery.fall_behind(session)

    def resume(self, session: Session) -> None:
        """Send the waiting replies and missed entries to a session whose transport takes bytes again."""
        session.paused = False
        session.flush()
        if session.closed:
            return
        self.delivery.catch_up(session)
        self.delivery.drop_caches()
        if not session.paused:
            session.client.resume_input()
