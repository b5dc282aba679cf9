"""The loaded rooms and their members: sessions join, watch and leave rooms, and each speaks in its current room."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from hubbub.chat.classroom import ballots
from hubbub.chat.classroom.join_codes import INVITED, JoinCodes
from hubbub.chat.core import Core
from hubbub.chat.nodes.remote_users import RemoteUsers
from hubbub.chat.rooms.loaded_room import CommittedBatch
from hubbub.chat.rooms.missed import tell_missed
from hubbub.chat.rooms.replay import replay
from hubbub.chat.rooms.room_loader import RoomLoader
from hubbub.chat.rooms.watching import Watching
from hubbub.chat.session import Posting, Room, Session, User, author, owner
from hubbub.chat.turns import DELIVER, HubStep, Operation
from hubbub.errors import BrokerError, Refused
from hubbub.model.access import Action, bars, is_known, may
from hubbub.model.entries import Entry, Joined, Kicked, Left, ModeChange, ModesChanged, RoomRenamed, Said
from hubbub.model.events import HistoryShown, Notice, RoomEntered, RoomExited, RoomNameChanged
from hubbub.model.queries import Latest, LogPage
from hubbub.model.room.room_ids import RoomRef
from hubbub.model.viewer import SYSTEM
from hubbub.text import names, refusals
from hubbub.text.cleaning import beginning, clean
from hubbub.text.codes import read_code
from hubbub.text.names import LOBBY, key_of


class Rooms:
    """The rooms, with the operations that change their members."""

    def __init__(self, core: Core, remote: RemoteUsers) -> None:
        self._core = core
        self._remote = remote
        # Set by Effects: delivers the entries that were committed while a room was loaded.
        self.advance: Callable[[Room, Sequence[Entry]], None]
        self.codes = JoinCodes(core)
        self._limits = core.limits
        self._delivery = core.delivery
        self._waking = RoomLoader(core, self._take_in, self.close_if_empty, remote)
        self.loaded = self._waking.loaded
        self._visits: dict[Session, set[str]] = {}  # ids of rooms that stay loaded for a session, member or not
        self.watching = Watching(core, self.detach)

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
        user.asking.add(room)
        self.load(session, room, partial(self._ask_in, session, room, after, key))

    def join_by_code(self, session: Session, typed: str) -> None:
        """Make the session's user a member of the room that a code is for. Raises Refused like `join`."""
        code = self.codes.find(session, typed)
        if room := self.loaded.by_id.get(code.room):
            self.join(session, room.name, key=typed)
            return
        operation = session.begin("code")

        def read(page: LogPage | BrokerError) -> None:
            """Join the room under the name that it has now; without an entry, under the one that it had."""
            known = page.entries if isinstance(page, LogPage) else ()
            try:
                if not session.closed:
                    self.join(session, known[0].room if known else code.name, key=typed)
            except Refused as refusal:
                self._core.refuse(session, refusal)
            session.end(operation)

        self._core.read(Latest(code.name, 1, every=True, viewer=SYSTEM, room_id=code.room), read)

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
        self.load(session, room, partial(self.watching.begin, session, after))

    def visit(self, session: Session, names: Collection[str], then: Callable[[], None]) -> None:
        """Load rooms for a session, which need not be a member, and call `then` when all of them are loaded.

        The rooms stay loaded at least until `end_visit`. A room that cannot be read is not in `loaded` then. `then` is
        not called if the session leaves before that.
        """
        visited = self._visits[session] = set()
        left = len(names)

        def opened(room: Room | BrokerError) -> None:
            nonlocal left
            if not isinstance(room, BrokerError):
                visited.add(room.id)
            left -= 1
            if not left:
                then()

        for name in names:
            self.load(session, name, opened)

    def load(self, session: Session, name: str, then: Callable[[Room | BrokerError], None]) -> None:
        """Call `then` with a loaded room, or with the error, unless the session leaves before that."""
        operation = session.begin("load", name)

        def opened(room: Room | BrokerError) -> None:
            then(room)
            session.end(operation)

        self._waking.load(name, session, opened)

    def load_for(self, user: User, name: str, then: Callable[[Room | BrokerError], None]) -> None:
        """Call `then` with a loaded room, or with the error, whichever sessions of a user of this node end before.

        The next commands of the user's sessions wait until then.
        """
        operation = user.begin("load", name)

        def opened(room: Room | BrokerError) -> None:
            then(room)
            user.end(operation)

        self._waking.load(name, user, opened)

    def end_visit(self, session: Session) -> None:
        """End a session's visit: unload the visited rooms that are not needed otherwise."""
        for id in self._visits.pop(session, ()):
            self.close_if_empty(self.loaded.by_id.get(id))

    def is_free(self, name: str) -> bool:
        """Return whether no room of this name is loaded or being loaded here, and none is being renamed to it."""
        return name not in self._waking and not self._is_coming(name)

    def check_not_coming(self, name: str) -> None:
        """Raise Refused if a room is being renamed to this name."""
        if self._is_coming(name):
            raise refusals.ROOM_ON_ITS_WAY(room=name)

    def check_may_open(self, session: Session, room: Room) -> None:
        """Charge the budget of the session's address for a new room; do nothing if the room exists or is being created.

        Raises:
            Refused: too many rooms were opened from that address.

        """
        if not room.end.seq and room.name != LOBBY and not self._core.pipeline.pending_joins(room.id):
            self._core.budget.open_room(session.address)

    def _is_coming(self, name: str) -> bool:
        """Return whether a room is being renamed to this name: a room that is loaded under it now would collide."""
        if name in self._waking:
            return False
        bodies = (posting.draft.body for posting in self._core.pipeline)
        return any(body.to == name for body in bodies if isinstance(body, RoomRenamed))

    def leave(self, session: Session, name: str = "", reason: str = "") -> None:
        """Take the session's user out of a room, its current one by default.

        Raises:
            Refused: it is not in that room.

        """
        room = self.of(session, name)
        self._core.publish(session, room.state, Left(self._core.reason(session, room, reason)))

    def of(self, session: Session, name: str = "") -> Room:
        """Return a room that the session is in, its current one by default.

        Raises:
            Refused: it is not in that room.

        """
        room = self.loaded.get(name) if name else self.loaded.by_id.get(session.current)
        if name and (room is None or session not in room.sessions):
            room = self.inside(session, name) or self.inside(session, key_of(clean(name).removeprefix("#")))
        if room is None and session.rooms and not name:
            raise refusals.NOT_A_ROOM()
        if room is None:
            where = beginning(clean(name)).removeprefix("#")
            raise refusals.NOT_IN_ROOM(room=where) if name else refusals.NOT_IN_ANY_ROOM()
        return room

    def inside(self, session: Session, name: str) -> Room | None:
        """Return the room with this name if the session is in it."""
        room = self.loaded.get(name)
        return room if room and room.id in session.rooms else None

    def seen(self, session: Session, name: str) -> Room:
        """Return a loaded room that the session may know of.

        Raises:
            Refused: there is no room of that name, or it is hidden from the session; both refusals look the same.

        """
        room = self.loaded.get(key_of(clean(name).removeprefix("#")))
        return room if room and self._core.may(session, Action.LIST, room) else self.of(session, name)

    def focus(self, session: Session, id: str) -> None:
        """Make a room of the session its current one, and change the encoders of the old and the new one."""
        before, session.current = session.current, id
        for room in (before, id):
            if room in session.rooms:
                session.rooms[room].set_encoder(session, session.encoder_in(room))

    def withdraw(self, session: Session) -> None:
        """Cancel a session's pending loads and watches, and end its visit."""
        for name in self._waking.withdraw(session):
            if session.user:
                session.user.asking.discard(name)
        for one in [one for one in session.pending if isinstance(one, Operation) and one.kind == "load"]:
            session.end(one)
        self.watching.withdraw(session)
        self.end_visit(session)

    # --- steps of joining and leaving -------------------------------------------------------------------------

    def _ask_in(self, session: Session, name: str, after: int | None, key: str, room: Room | BrokerError) -> None:
        owner(session).asking.discard(name)
        if not self._needs_code(session, key, room):
            opens = not isinstance(room, BrokerError) and self.codes.are_for(room, key)
            self._let_in(session, name, after, "" if opens else key, room)
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
            self._let_in(session, name, after, key, room)
            return
        operation = session.begin("code", name)

        def spent(refusal: Refused | None) -> None:
            if refusal:
                self._core.refuse(session, refusal, room=name)
            elif not session.closed:
                # The room may have been unloaded meanwhile.
                owner(session).invite(room.id, INVITED)
                self.load(session, name, partial(self._let_in, session, name, after, key))
            session.end(operation)

        self.codes.spend(session, key, spent)

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

    def _let_in(self, session: Session, name: str, after: int | None, key: str, room: Room | BrokerError) -> None:
        user = owner(session)
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
        self._remote.orphans.end_former(user, room)
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
            session.replies.append(_entered(session, room, cursor.seq, first))
            if after is None and self._limits.history:
                past = [*earlier, *(entry for entry in batch.entries[:index] if type(entry.body) is Said)]
                replay(self._core, session, room, past[-self._limits.history :], cursor.seq, left)
            start = cursor if after is None else room.cursor_at(after)
            session.replies.append(HubStep(DELIVER, (room, start)))
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

    def fit(self, session: Session) -> None:
        """Show a session the rooms of its user that its login permits and that it was not shown, and end the others."""
        permitted = session.rooms
        for room in list(owner(session).rooms.values()):
            if session not in room.sessions:
                if room.id in permitted:
                    self.show_again(session, room)
            elif room.id not in permitted:
                self._close(session, room, room.name)
        session.flush()

    def _close(self, session: Session, room: Room, name: str, kick: Entry | None = None, unseen: bool = True) -> None:
        """Give a session nothing more of a room, and say so. The room has this name for the session."""
        self.detach(session, room)
        if not session.closed:
            session.replies.append(RoomExited(name, session.current_name, kick, unseen))
            session.flush()

    def _give(self, session: Session, room: Room, focus: bool) -> None:
        """Let a session be given a room of its user; the step DELIVER begins with the entries."""
        room.add_session(session, session.encoder_in(room.id))
        if focus:
            self.focus(session, room.id)

    def show_again(self, session: Session, room: Room) -> None:
        """Show a session a room in which its user is already, and the entries that the user has missed there."""
        user = owner(session)
        given = user.given.pop(room.id, None)
        left_at = 0.0 if given is None else user.left_at
        self.show(session, room, session.seen.get(room.id, given), left_at)

    def show(self, session: Session, room: Room, seq: int | None, left_at: float = 0.0) -> None:
        """Show a session a room of its user: the entries after a number, or the newest messages, and all that comes.

        `left_at` is the time when the last session of its user ended, in epoch seconds; 0 if others are connected.
        """
        if session not in room.sessions:
            self._give(session, room, focus=not session.current)
        first, session.never_joined = session.never_joined, False
        session.replies.append(_entered(session, room, room.end.seq, first))
        if seq is not None:
            tell_missed(self._core, session, room, seq, left_at)
        elif room.latest:
            past, elsewhere = list(room.latest), session.current != room.id
            session.replies += self._core.pieces(HistoryShown(past, self._core.clock(), elsewhere=elsewhere))
        cursor = room.end if seq is None else room.cursor_at(seq)
        session.replies.append(HubStep(DELIVER, (room, cursor)))

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

    def detach(self, session: Session, room: Room) -> None:
        """Give a session nothing more of a room; if that was its current room, the last of its others becomes it."""
        self._delivery.end(session, room)
        session.watched.pop(room.id, None)
        if session.current == room.id:
            session.current = ""
            if session.rooms and not session.closed:
                self.focus(session, next(reversed(session.rooms)))
        self.close_if_empty(room)

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

    def close_if_empty(self, room: Room | None) -> None:
        """Unload a room that has no members on this node, no visitors and no pending joins."""
        if room is None or room.id not in self.loaded.by_id or room is self._waking.handing:
            return
        if room.sessions or self._core.pipeline.has_joins(room.id):
            return
        if any(not member.is_remote for member in room.members):  # owners of accounts who have no session now
            return
        if any(room.id in visited for visited in self._visits.values()):
            return
        self._delivery.forget(room)
        self._waking.unload(room)

    def _take_in(self, room: Room, entries: Sequence[Entry]) -> None:
        self.advance(room, entries)

    def keep(self, entries: Sequence[Entry]) -> None:
        """Hold committed entries of a room that is being loaded, until it is loaded."""
        self._waking.hold_entries(entries)


def _entered(session: Session, room: Room, seq: int, first: bool) -> RoomEntered:
    current = "" if session.current == room.id else session.current_name
    listed = ballots.listed(session, room)
    rules = room.state.is_operator(owner(session))
    return RoomEntered(room.name, seq, room.topic, first, current, room.pins, room.raised, listed, rules)
