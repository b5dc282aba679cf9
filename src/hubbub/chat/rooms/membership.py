"""The members of rooms: sessions join, watch and leave rooms with their users."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, structs

from hubbub.chat.classroom.join_codes import INVITED, JoinCodes
from hubbub.chat.core import Core
from hubbub.chat.nodes.remote_users import RemoteUsers
from hubbub.chat.rooms.loaded_room import CommittedBatch
from hubbub.chat.rooms.opening import RoomAsked
from hubbub.chat.rooms.replay import replay, seen_by
from hubbub.chat.rooms.showing import ShownRooms, entered
from hubbub.chat.rooms.watching import Watching
from hubbub.chat.session import Posting, Room, Session, User, author, owner
from hubbub.chat.turns import DeliveryStart, OperationKind, by_name
from hubbub.errors import BrokerError, Refused
from hubbub.model.access import Action, bars, is_known, may
from hubbub.model.entries import Entry, Joined, Kicked, Left, ModeChange, ModesChanged, RoomRenamed
from hubbub.model.events import Notice, RoomNameChanged
from hubbub.model.queries import Latest, LogPage
from hubbub.model.room.room_ids import RoomRef
from hubbub.model.viewer import SYSTEM
from hubbub.text import names, refusals
from hubbub.text.cleaning import clean
from hubbub.text.concealed import concealed
from hubbub.text.names import LOBBY, key_of
from hubbub.text.typed.codes import is_shown_code, read_code


class JoinAsked(RoomAsked, frozen=True):
    """A session wants its user to join a room; with `after` it is shown all entries after that number."""

    after: int | None
    key: str = ""

    __repr__ = concealed


class KeyedJoin(JoinAsked, frozen=True):
    """The same with a key, or with a code that may let the user in."""


class Admitted(KeyedJoin, frozen=True):
    """The same after the code was found right and used."""


class CodeJoin(Struct, frozen=True):
    """A session has typed a code for the room with an id, which had this name when the code was made."""

    room: str
    name: str
    typed: str

    __repr__ = concealed


class CodeSpent(Struct, frozen=True):
    """The code of a join must be used before it lets the user into the room with an id."""

    room: str
    join: Admitted


class WatchAsked(RoomAsked, frozen=True):
    """A session wants to watch a room: all that comes, or all entries after a number."""

    after: int | None


class Rooms(ShownRooms):
    """The rooms, with the operations that change their members."""

    def __init__(self, core: Core, remote: RemoteUsers) -> None:
        super().__init__(core, remote)
        self._remote = remote
        self.codes = JoinCodes(core)
        self._limits = core.limits
        self.watching = Watching(core, self.detach)
        core.operations |= by_name(
            OperationKind(JoinAsked, self._ask_in, self._load_to_join, at_once=True),
            OperationKind(WatchAsked, self._begin_to_watch, self.load, at_once=True),
            # These have a key or a code, which are secrets.
            OperationKind(KeyedJoin, self._ask_in, self._load_to_join, at_once=True, moves=False),
            OperationKind(CodeJoin, self._join_by_code, self._look_up, at_once=True, moves=False),
            OperationKind(CodeSpent, self._spent, self._spend, at_once=True, moves=False),
            OperationKind(Admitted, self._let_in, self.load, at_once=True, moves=False),
        )

    # --- operations of a session ------------------------------------------------------------------------------

    def join(self, session: Session, name: str, after: int | None = None, key: str = "") -> None:
        """Make the session's user a member of a room and the room its current one, and show it the newest messages.

        With `after` the session is shown all entries after that number instead.

        Raises:
            Refused: the name is invalid, or the user is in too many rooms. A refusal by the room's modes follows as
                a reply when the room is loaded.

        """
        user = owner(session)
        room = names.check_room(clean(name))
        if known := self.inside(session, room):
            self.focus(session, known.id)
            self._core.reply(session, Notice((f"You are in {room}",)))
            return
        there = self.loaded.get(room)
        if room in user.asking or (there and there.id in user.joining):
            return
        if len(user.rooms) + len(user.joining) + len(user.asking) >= self._limits.max_rooms:
            raise refusals.TOO_MANY_ROOMS(limit=self._limits.max_rooms)
        if self._is_coming(room):
            self._core.refuse(session, refusals.ROOM_ON_ITS_WAY(room=room), room=room)
            return
        self._core.block(session, self._core.budget.joins.charge(session.address))
        session.start(KeyedJoin(room, after, key) if key else JoinAsked(room, after))

    def may_be_code(self, typed: str) -> bool:
        """Return whether a typed name of a room may be a code, in any of the forms in which people type codes."""
        return key_of(typed) not in self.loaded and bool(read_code(typed))

    def join_by_code(self, session: Session, typed: str) -> None:
        """Make the session's user a member of the room that a code is for. Raises Refused like `join`.

        Without its hyphen, a text that is no valid code is the name of a room.
        """
        try:
            code = self.codes.find(session, typed)
        except Refused as refusal:
            if is_shown_code(typed) or refusal.code != refusals.CODE_WRONG.code:
                raise
            self.join(session, typed)
            return
        if room := self.loaded.by_id.get(code.room):
            self.join(session, room.name, key=typed)
        else:
            session.start(CodeJoin(code.room, code.name, typed))

    def enter_first(self, session: Session) -> None:
        """Let a session that is in no room join the lobby, or the first of the rooms that its login is for."""
        if not session.rooms and "read" in session.permit.scopes:
            self.join(session, min(session.permit.rooms, default=LOBBY))

    def watch(self, session: Session, name: str, after: int | None = None) -> None:
        """Write a room's entries to a session without a user: all from now on, or all after number `after`.

        When the room becomes closed to the session, it gets a Refusal, and no more entries.

        Raises:
            Refused: the room's name is invalid, or another room is being renamed to it.

        """
        room = names.check_room(clean(name))
        self.check_not_coming(room)
        session.start(WatchAsked(room, after))

    def leave(self, session: Session, name: str = "", reason: str = "") -> None:
        """Take the session's user out of a room, its current one by default.

        Raises:
            Refused: it is not in that room.

        """
        room = self.of(session, name)
        self._core.publish(session, room.state, Left(self._core.reason(session, room, reason)))

    def withdraw(self, session: Session) -> None:
        """Cancel a session's pending loads and watches, and end its visit."""
        self._waking.withdraw(session)
        self.watching.withdraw(session)
        self.end_visit(session)

    # --- steps of joining and leaving -------------------------------------------------------------------------

    def _load_to_join(self, session: Session, asked: JoinAsked, done: Callable[[Room | BrokerError], None]) -> None:
        user = owner(session)
        user.asking += (asked.room,)

        def loaded(room: Room | BrokerError) -> None:
            user.asking = tuple(one for one in user.asking if one != asked.room)
            done(room)

        self.load(session, asked, loaded)

    def _ask_in(self, session: Session, asked: JoinAsked, room: Room | BrokerError) -> None:
        name, key = asked.room, asked.key
        if not self._needs_code(session, key, room):
            opens = not isinstance(room, BrokerError) and self.codes.are_for(room, key)
            self._let_in(session, structs.replace(asked, key="") if opens else asked, room)
            return
        assert not isinstance(room, BrokerError)
        try:
            opens = self.codes.find(session, key).room == room.id
        except Refused as refusal:
            if refusal.code != refusals.CODE_WRONG.code:
                self._core.refuse(session, refusal, room=name)
                return
            opens = False
        if not opens:
            self._let_in(session, asked, room)
            return
        session.start(CodeSpent(room.id, Admitted(name, asked.after, key)))

    def _spend(self, session: Session, spent: CodeSpent, done: Callable[[Refused | None], None]) -> None:
        self.codes.spend(session, spent.join.key, done)

    def _spent(self, session: Session, spent: CodeSpent, refusal: Refused | None) -> None:
        if refusal:
            self._core.refuse(session, refusal, room=spent.join.room)
        else:
            owner(session).invite(spent.room, INVITED)
            # The room may have been unloaded or renamed meanwhile.
            room = self.loaded.by_id.get(spent.room)
            session.start(structs.replace(spent.join, room=room.name) if room else spent.join)

    def _look_up(self, session: Session, code: CodeJoin, done: Callable[[LogPage | BrokerError], None]) -> None:
        self._core.read(Latest(code.name, 1, every=True, viewer=SYSTEM, room_id=code.room), done)

    def _join_by_code(self, session: Session, code: CodeJoin, page: LogPage | BrokerError) -> None:
        """Join the room under the name that it has now; without an entry, under the one that it had."""
        known = page.entries if isinstance(page, LogPage) else ()
        try:
            self.join(session, known[0].room if known else code.name, key=code.typed)
        except Refused as refusal:
            self._core.refuse(session, refusal)

    def _begin_to_watch(self, session: Session, asked: WatchAsked, room: Room | BrokerError) -> None:
        self.watching.begin(session, asked.after, room)

    def _needs_code(self, session: Session, key: str, room: Room | BrokerError) -> bool:
        """Return whether a key that looks like a code is all that may let a session in."""
        if isinstance(room, BrokerError) or owner(session) in room.members or not read_code(key):
            return False
        return not any(
            may(self._core.viewer(session, key=one), Action.JOIN, room.state, self._coming(room)) is None
            for one in ("", key)
        )

    def _coming(self, room: Room) -> int:
        """Return the number of users who are in a room or on their way into it; 0 if the room has no limit."""
        return room.count + self._core.pipeline.pending_joins(room.id) if room.state.limit else 0

    def _let_in(self, session: Session, asked: JoinAsked, room: Room | BrokerError) -> None:
        user, name, after, key = owner(session), asked.room, asked.after, asked.key
        try:
            if isinstance(room, BrokerError):
                raise refusals.JOIN_FAILED(reason=room)
            # The user has joined it on another node meanwhile, or the session has become another user's.
            if room.id in session.rooms:
                self._enter(session, room, after)
                return
            if not room.end.seq:
                names.check_new_room(name)
            if refused := may(self._core.viewer(session, key=key), Action.JOIN, room.state, self._coming(room)):
                raise refused
            self.check_may_open(session, room)
            room.state.learn_key(key)
            if room.state.accepts_key(key):
                user.trust(room.id)
        except Refused as refusal:
            self._core.refuse(session, refusal, room=name)
            return
        self._remote.members.orphans.end_former(user, room)
        posting = user.joining[room.id] = self._core.publish(session, room.state, Joined(user.real))
        posting.after = after

    def _enter(self, session: Session, room: Room, after: int | None) -> None:
        """Make a room of the session's user its current one; show it the room if it was not shown it yet."""
        if session in room.sessions:
            self.focus(session, room.id)
            return
        self._give(session, room, focus=True)
        self.show(session, room, after)
        session.flush()

    def joined(self, posting: Posting, room: Room, batch: CommittedBatch, index: int, earlier: Sequence[Entry]) -> None:
        """Make the user of a stored join a member of the room, and give all their sessions the room.

        If the join has number n, a session is shown the newest messages before n, and is written all entries from n+1
        on. With `after` the session that joined is written all entries after that number instead.
        """
        user = owner(author(posting))
        user.joining.pop(room.id, None)
        user.rooms[room.id] = room
        cursor = batch.cursor(index)
        left = room.absent.pop((key_of(user.nick), user.host), None)
        room.add_member(user, cursor.seq)
        self._core.on_user_changed(user)
        for session in user.sessions:
            mine = session is posting.session
            # The user has joined on another node at the same time; or the login of the session is not for the room.
            if session in room.sessions or room.id not in session.rooms:
                continue
            after = posting.after if mine and posting.after is not None and posting.after <= cursor.seq else None
            first, session.never_joined = session.never_joined, False
            self._give(session, room, focus=mine or not session.current)
            past: Sequence[Entry] = ()
            if after is None and self._limits.history:
                past = seen_by(self._core, session, earlier[-self._limits.history :], left)
            session.replies.append(entered(session, room, cursor.seq, first, past))
            if past:
                replay(self._core, session, room, past, cursor.seq, left)
            start = cursor if after is None else room.cursor_at(after)
            session.replies.append(DeliveryStart(room, start))
            session.flush()
        self.inherit_rights(user, room)

    def inherit_rights(self, user: User, room: Room) -> None:
        """Let the account of a user have the rights that its owner had in a room before they logged in."""
        if rights := room.state.inherited_rights(user):
            self.move_rights(user, room, rights)

    def move_rights(self, user: User, room: Room, rights: Mapping[str, str]) -> None:
        """Give a user the rights in a room that other masks have; letters by masks."""
        taken = [ModeChange(False, letter, mask) for mask, letters in rights.items() for letter in letters]
        given = [ModeChange(True, letter, user.mask) for letter in dict.fromkeys("".join(rights.values()))]
        session = user.sessions[0] if user.sessions else user.last_session
        assert session is not None
        self._core.publish(session, room.state, ModesChanged((*taken, *given)))

    def bring(self, user: User, where: RoomRef) -> None:
        """Show the sessions of a user a room that the user has joined on another node; load it if needed."""

        def opened(room: Room | BrokerError) -> None:
            if isinstance(room, BrokerError):
                for session in list(user.sessions):
                    self._core.refuse(session, refusals.JOIN_FAILED(reason=room), room=where.name)
                return
            # The loader makes the user a member, unless they have left meanwhile.
            if user.is_remote or user not in room.members:
                return
            self._core.on_user_changed(user)
            for session in user.sessions:
                self.fit(session)

        known = self.loaded.by_id.get(where.id)
        self.load_for(user, known.name if known else where.name, opened)

    def left(self, posting: Posting, room: Room, *_: object) -> None:
        """Remove the user of a stored leave from the room."""
        user = owner(author(posting))
        if room.id in user.rooms:  # not removed before, by a kick for example
            self.remove(user, room)

    def kicked(self, room: Room, entry: Entry, body: Kicked) -> None:
        """Remove the member that a stored kick means from the room, if it is on this node."""
        user = self._core.kicked_user(room, body)
        if user and not user.is_remote and user in room.members:
            self.remove(user, room, entry)

    def remove(self, user: User, room: Room, kick: Entry | None = None, unseen: bool = False) -> None:
        """Make a user of this node a member no more, after a leave or a kick, or because they are gone.

        `unseen` says that the entry of the leave is not given to the sessions of the user.
        """
        del user.rooms[room.id]
        self._note_mask(user, room)
        if room.state.status.get(user):
            user.trust(room.id)
        inside = [session for session in user.sessions if session in room.sessions]
        for session in inside:
            if session.keeps_history:
                room.note_absence(session, self._delivery.delivered_up_to(session, room), self._core.clock())
        room.remove_member(user)
        for session in inside:
            unread = session in self._delivery.behind
            self._close(session, room, room.name, kick if unread else None, unseen)
        if user.account:
            self.watching.dismiss(
                room, [one for one in room.watchers if one.acts_for and one.acts_for.id == user.account.id]
            )
        self._core.on_user_changed(user)

    def note_masks(self, user: User) -> None:
        """Remember the masks of a user who leaves all rooms, or logs in to an account."""
        for room in user.rooms.values():
            self._note_mask(user, room)

    def _note_mask(self, user: User, room: Room) -> None:
        # Somebody who is barred by a former mask could make the memory forget it with more names.
        if not (known := is_known(self._core.viewer_of(user), room.state)):
            user.remember(room.id, self._core.clock())
        if known or (user.recalled and bars(self._core.viewer_of(user), room.state)):
            self._core.memories.bar(user.recalled, self._core.clock())

    def note_barred(self, room: Room, body: ModesChanged) -> None:
        """Remember the masks of those members whom a ban or mute hits, for others in the same browser."""
        if not any(change.on and change.letter == "b" for change in body.changes):
            return
        for member in room.members:
            if member.recalled and bars(self._core.viewer_of(member), room.state):
                member.remember(room.id, self._core.clock())
                self._core.memories.bar(member.recalled, self._core.clock())

    def moved(self, room: Room, entry: Entry, body: RoomRenamed) -> None:
        """Rename a room after the rename was stored, here and in all that refers to it by name."""
        to = body.to
        before = self.loaded.rename(room, to)
        for user in [one for one in room.members if one.account and one.account.stays and not one.is_remote]:
            self._core.on_user_changed(user)
        # The sessions are copied: an event stream of the API ends when it gets RoomNameChanged.
        for session in list(room.sessions):
            self._core.touch(session)
            if room.id in session.rooms:
                self._core.reply(session, RoomNameChanged(before, to, entry.seq, body.reason, room.topic, room.pins))
            else:
                self._close(session, room, before)
        for session in [one for member in room.members for one in member.sessions if one.permit.rooms]:
            self.fit(session)
        self.watching.admit(room)
