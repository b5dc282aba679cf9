"""The shared parts of a hub: clocks, limits, users, the log, the pipeline, and the replies of a session.

The operations on rooms, names and users of other nodes are built on this; hub.py puts them together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from hubbub.chat.pipeline import DraftPublisher, Pipeline, Scheduler
from hubbub.chat.posting import MEMBERSHIP, Barrier
from hubbub.chat.private.positions import Positions
from hubbub.chat.rooms.delivery import Delivery, Limits, LogReader
from hubbub.chat.rooms.loaded_room import slices
from hubbub.chat.rooms.loaded_rooms import LoadedRooms
from hubbub.chat.session import Posting, Room, Session, User
from hubbub.chat.turns import OperationKind, by_name, no_reply
from hubbub.chat.users.grant_holders import GrantHolders
from hubbub.chat.users.nicks import Nicks
from hubbub.chat.users.read_markers import ReadMarkers
from hubbub.errors import BrokerError, Refused
from hubbub.model import ids
from hubbub.model.access import Action, may, may_describe, may_set_modes
from hubbub.model.accounts.account import Account
from hubbub.model.entries import Body, Draft, Joined, Kicked, Said
from hubbub.model.events import Event, HistoryShown, Refusal
from hubbub.model.messages.quotes import with_quotes, with_results
from hubbub.model.messages.redactions import Redactions
from hubbub.model.queries import After, AllRooms, Around, Latest, LogPage, Query, RoomList, Search
from hubbub.model.rates.budget import Budget
from hubbub.model.room.memory import Memories
from hubbub.model.room.modes import without_secrets
from hubbub.model.room.room_ids import NamedRoom
from hubbub.model.viewer import Viewer
from hubbub.text.cleaning import reason_of
from hubbub.text.tags import join

RoomQueryT = TypeVar("RoomQueryT", Latest, After, Around, Search)

# Called with whether a password is right; with None if it could not be checked.
Verified = Callable[[bool | None], None]


class HubLog(LogReader, DraftPublisher, Protocol):
    """The part of a log that the hub needs; storage/ports.py documents its guarantees."""


class Index(Protocol):
    """A search index of the log; storage/ports.py documents its guarantees."""

    def search(self, query: Search, done: Callable[[Any], None]) -> None:
        """Call `done` later with the messages that match a search, or with a BrokerError."""
        ...


class NoIndex:
    """The index of a server that keeps none."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def search(self, query: Search, done: Callable[[Any], None]) -> None:
        """Call `done` soon with a BrokerError: there is nothing to search in."""
        self._scheduler.call_soon(done, BrokerError("this node keeps no search index"))


class Pause(Struct, frozen=True):
    """The next command of a session comes a number of seconds later."""

    seconds: float


class Core:
    """The parts of a hub that its operations share.

    Args:
        log: orders and stores the entries.
        clock: returns the seconds since the epoch.
        scheduler: the running event loop.
        limits: the limits of the core.
        ticks: returns seconds on a monotonic clock, which measures durations; `clock` by default.

    """

    def __init__(
        self,
        log: HubLog,
        clock: Callable[[], float],
        scheduler: Scheduler,
        limits: Limits | None = None,
        ticks: Callable[[], float] | None = None,
    ) -> None:
        self.log = log
        self.index: Index = NoIndex(scheduler)  # the owner sets another one
        self.clock = clock
        self.ticks = ticks or clock
        self.limits = limits or Limits()
        # How far people were given their private conversations; None if those are not stored.
        self.positions: Positions | None = None
        self.nicks = Nicks()
        self.users = self.nicks.users
        # Called with a user who arrived, left (it is not present any more) or was renamed, and with the name before a
        # rename, else "".
        self.presence: list[Callable[[User, str], None]] = []
        # Called with a user who now owns an account, and with their mask before that.
        self.account_changes: list[Callable[[User, str], None]] = []
        # Called with a user whose modes, or rights as a server operator, may have changed.
        self.mode_changes: list[Callable[[User], None]] = []
        self.read_markers = ReadMarkers()
        self.holders = GrantHolders(clock)
        self.guests_read = False  # people without an account may read, and nothing else
        self.closing = False  # the server shuts down: all sessions leave, and their leaves are not published
        # Checks whether a name and password belong to a server operator; calls back later with the result.
        self.verify: Callable[[str, str, Verified], None] = lambda name, password, done: done(False)
        # The same check for one session; the attempt itself may be refused.
        self.check_login: Callable[[Session, str, str, Verified], None] = lambda session, name, password, done: (
            self.verify(name, password, done)
        )
        # Returns the form of an address that other users see, for masks.
        self.cloak: Callable[[str], str] = lambda address: "hidden"
        # Called with a user of this node when their sessions, rooms or one of the details have changed that other nodes
        # receive.
        self.user_changes: list[Callable[[User], None]] = []
        # Checks whether the peer of a session still responds; calls back later with the result.
        self.probe: Callable[[Session, Callable[[bool], None]], None] = lambda session, answer: answer(True)
        self.budget = Budget(lambda: 0.0)  # per address; unlimited until the owner sets limits
        # Calls a function after a number of seconds; until the owner sets it, it calls at once.
        self.later: Callable[[float, Callable[[], None]], object] = lambda seconds, call: call()
        self.owners: dict[str, User] = {}  # the users who own an account, of all nodes, by their hosts
        self.operations = by_name(OperationKind(Pause, no_reply, self._pause, at_once=True))  # of its sessions
        self.loaded = LoadedRooms()
        self.redactions = Redactions()
        self.memories = Memories()  # of browsers and accounts
        self.delivery = Delivery(self.read, self.limits)
        self.pipeline = Pipeline(log, scheduler, self.ticks, self.limits.gathered)

    def add_operations(self, kinds: Iterable[OperationKind]) -> None:
        """Let sessions wait for operations of further kinds. Their functions are called with the hub first."""
        for kind in kinds:
            start = partial(kind.start, self) if kind.start else None
            self.operations[kind.request.__name__] = kind._replace(answer=partial(kind.answer, self), start=start)

    # --- permissions -----------------------------------------------------------------------------------------------

    def viewer(self, session: Session, nick: str = "", key: str = "") -> Viewer:
        """Return the viewer for a session: the subject of its permission checks and log queries.

        A session without a user only watches its rooms, and does not count as a member of them.

        Args:
            session: the session that asks.
            nick: a nick that the session does not hold but wants to speak under, for its mask.
            key: a room key that the session offers.

        """
        if session.acts_for:
            return self.viewer_for(session.acts_for, session.address)
        user, permit = session.user, session.permit
        return Viewer(
            tuple(user.rooms) if user else (),
            nick + session.mask,
            session.operator,
            self.clock(),
            self.ticks(),
            user,
            session.address,
            key,
            not session.preserves_spaces,
            self.guests_read and not (user and user.account),
            account=user.account.id if user and user.account and permit.reads_private else "",
            only=permit.rooms,
            scopes=permit.scopes,
        )

    def viewer_of(self, user: User) -> Viewer:
        """Return the viewer for a user, in whichever session."""
        now, ticks = self.clock(), self.ticks()
        reads_only = self.guests_read and not user.account
        return Viewer(
            tuple(user.rooms), user.mask, user.operator, now, ticks, user, user.address, reads_only=reads_only
        )

    def viewer_for(self, account: Account, address: str) -> Viewer:
        """Return the viewer for a program that acts for an account: a member of the rooms that its owner is in now."""
        owner, permit = self.nicks.find(account.name), account.permit
        if owner and owner.host == account.host:
            rights = self.viewer_of(owner)
        else:
            rights = Viewer(mask=f"{account.name}!{account.host}", now=self.clock(), ticks=self.ticks())
        return rights._replace(
            operator=account.operator,
            address=address,
            reads_only=False,
            account=account.id if permit.reads_private else "",
            only=permit.rooms,
            scopes=permit.scopes,
        )

    def stranger(self, host: str, address: str) -> Viewer:
        """Return the viewer for a peer without a nick and a session; `host` is the public form of its address."""
        now, ticks = self.clock(), self.ticks()
        return Viewer(mask=f"!{host}", now=now, ticks=ticks, address=address, reads_only=self.guests_read)

    def may(self, session: Session, action: Action, room: Room) -> bool:
        """Return whether a session may perform an action in a room."""
        return may(self.viewer(session), action, room.state) is None

    def check(self, session: Session, action: Action, room: Room) -> None:
        """Raise Refused unless a session may perform an action in a room."""
        if refused := may(self.viewer(session), action, room.state):
            raise refused

    def kicked_user(self, room: Room, kick: Kicked) -> User | None:
        """Return the user that a kick means, even under another name; None if nobody here is that user."""
        user = self.nicks.find(kick.nick)
        if not kick.user or (user and user.is_known_as(kick.user)):
            return user
        return next((member for member in room.members if member.is_known_as(kick.user)), None)

    def reason(self, session: Session, room: Room | None, text: str) -> str:
        """Return the reason that a session gives for an action in a room; "" if it may not speak there."""
        return reason_of(text) if room and self.may(session, Action.SIGNAL, room) else ""

    def may_describe(self, session: Session) -> bool:
        """Return whether a session may change the texts about its user that others see."""
        return may_describe(self.viewer(session)) is None

    def check_describe(self, session: Session) -> None:
        """Raise Refused unless a session may change the texts about its user that others see."""
        if refused := may_describe(self.viewer(session)):
            raise refused

    def check_set_modes(self, session: Session) -> None:
        """Raise Refused unless a session may change the modes of its user."""
        if refused := may_set_modes(self.viewer(session)):
            raise refused

    def speak(self, viewer: Viewer, room: Room) -> None:
        """Raise Refused unless a viewer may speak in a room; otherwise count the message for slow mode."""
        if refused := may(viewer, Action.SPEAK, room.state):
            raise refused
        room.state.slow.note(viewer)

    # --- replies ---------------------------------------------------------------------------------------------------

    def reply(self, session: Session, event: Event) -> None:
        """Send an event to the session after the outcomes of all drafts that it published before."""
        session.replies += self.pieces(event)
        session.flush()

    def refuse(self, session: Session, refused: Refused, label: str = "", room: str = "") -> None:
        """Report a refusal to the session, like `reply`; `label` and `room` are those of its request."""
        self.reply(session, Refusal.of(refused, label, room))

    def pieces(self, event: Event) -> Sequence[Event]:
        """Return an event as a list of events, with a long history cut into pieces of about `write_bytes` bytes.

        Between two pieces the session may pause: not all of a long history is written to a slow transport.
        """
        if not isinstance(event, HistoryShown) or len(event.entries) < 2:
            return (event,)
        pieces = [replace(event, entries=piece, tail=()) for piece in slices(event.entries, self.limits.write_bytes)]
        pieces[-1] = replace(pieces[-1], tail=event.tail)
        return pieces

    def after_earlier_entries(self, session: Session) -> None:
        """Hold back the session's next replies until all drafts made so far, of all sessions, have their outcome."""
        if newest := self.pipeline.newest:
            newest.watchers = newest.watchers or []
            newest.watchers.append(session)
            session.replies.append(Barrier(newest))

    # --- questions to the log --------------------------------------------------------------------------------------

    def by_id(self, query: RoomQueryT) -> RoomQueryT:
        """Return a query of a room by its name as one of the room that has the name now, whatever its name is later.

        Only a loaded room can be renamed by this node.
        """
        room = self.loaded.get(query.room or "")
        return replace(query, room_id=room.id) if room else query

    def read(self, query: Query | AllRooms, done: Callable[[Any], None]) -> None:
        """Call `done` later with the answer to a query, or with a BrokerError.

        The answer holds only entries that the viewer may see, without room keys and redacted texts.
        """

        def show(result: LogPage | RoomList | BrokerError) -> None:
            if isinstance(result, LogPage):
                entries = self.redactions.apply(without_secrets(result.entries))
                result = replace(result, entries=with_results(with_quotes(entries), entries))
            done(result)

        if isinstance(query, Search):
            self.index.search(query, show)
        else:
            self.log.read(query, show)

    # --- drafts ----------------------------------------------------------------------------------------------------

    def publish(  # noqa: PLR0913 - the parts of a draft
        self,
        session: Session,
        room: NamedRoom,
        body: Body,
        tags: str = "",
        label: str = "",
        nick: str = "",
        must_store: bool = False,
        id: str = "",
    ) -> Posting:
        """Publish a draft of a session: it gets the session's next id, its tags and its label.

        Args:
            session: the author's session.
            room: the room.
            body: the content of the entry.
            tags: tags besides those of all entries of the session.
            label: the session's label for the draft, if the current command has none.
            nick: the nick of the author, if it is not that of the session.
            must_store: publish the draft again after every failed commit, until it is stored.
            id: the id of the entry, if it is not the session's next one.

        """
        session.next_id += 1
        label = session.label or label
        id = id or ids.make_id(session.id_prefix, session.next_id, label)
        if user := session.user:
            nick = nick or user.nick
            tags = join(session.tags, tags) if user.modes else tags
        draft = Draft(room.name, nick, body, id, session.host, tags, must_store, room.id)
        posting = Posting(draft, session, label)
        if type(body) is not Said and not session.closed:
            session.pending.append(posting)
        if session.user and isinstance(body, MEMBERSHIP):
            session.user.changing.append(posting)
        self.pipeline.add(posting)
        return posting

    def publish_event(
        self, session: Session, bodies: Mapping[NamedRoom, Body], nick: str = "", must_store: bool = False, id: str = ""
    ) -> None:
        """Publish one event of the session's user in several rooms, with a body for each: all drafts have the same id.

        Only the first draft has the label of the current command, so that the command is acknowledged once.
        """
        number = session.next_id
        for room, body in bodies.items():
            session.next_id = number
            posting = self.publish(session, room, body, nick=nick, must_store=must_store, id=id)
            if room is not next(iter(bodies)):
                posting.label = ""

    def rejoin(self, user: User, room: Room) -> None:
        """Publish a join for a member that has left the room according to the log, but is still in it."""
        session = user.sessions[0] if user.sessions else user.last_session
        assert session is not None
        session.next_id += 1
        id = ids.make_id(session.id_prefix, session.next_id)
        body = Joined(user.real)
        self.pipeline.add(Posting(Draft(room.name, user.nick, body, id, user.host, user.tags, True, room.id)))

    def disown(self, user: User) -> None:
        """Forget the owner of an account who has left; do nothing for a guest."""
        if self.owners.get(user.host) is user:
            del self.owners[user.host]

    def set_modes(self, user: User, modes: frozenset[str]) -> None:
        """Set the modes of a user of this node, which are letters."""
        user.modes = modes
        self.on_user_changed(user)
        self.tell_modes(user)

    def tell_modes(self, user: User) -> None:
        """Report that a user's modes, or rights as a server operator, may have changed."""
        for tell in self.mode_changes:
            tell(user)

    def on_user_changed(self, user: User) -> None:
        """Report that the sessions, rooms or details of a user of this node have changed."""
        for tell in self.user_changes:
            tell(user)

    def touch(self, session: Session) -> None:
        """Report a change to the session's user that other nodes must receive; do nothing without a user."""
        if session.user:
            self.on_user_changed(session.user)

    def block(self, session: Session, seconds: float) -> None:
        """Delay the session's next command by a number of seconds; 0 does nothing."""
        if seconds:
            session.start(Pause(seconds))

    def _pause(self, session: Session, pause: Pause, done: Callable[[None], None]) -> None:
        self.later(pause.seconds, partial(done, None))
