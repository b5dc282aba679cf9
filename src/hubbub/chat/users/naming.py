"""Naming: sessions enter under a name, change it or lose it. In a cluster the other nodes must agree first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from hubbub.chat.core import Core
from hubbub.chat.rooms.membership import Rooms
from hubbub.chat.session import NOTHING, Posting, Room, Session, User, author, owner
from hubbub.chat.turns import Operation
from hubbub.errors import Refused
from hubbub.model.access import Action
from hubbub.model.accounts.account import Account
from hubbub.model.entries import NickChanged
from hubbub.model.events import NickAssigned, Notice
from hubbub.text import names, refusals
from hubbub.text.bounds import NAME_CHARS
from hubbub.text.cleaning import clean
from hubbub.text.names import LOBBY, key_of

TAKEN = ("name-taken", "name-registered")  # codes of refusals that another name may not get
LAST_NUMBER = 99  # highest number appended to a lost name


class Naming:
    """Give the sessions their names, and change them."""

    def __init__(self, core: Core, rooms: Rooms, depart: Callable[[Session, str], None]) -> None:
        self._core = core
        self._rooms = rooms
        self._depart = depart

    def enter(
        self,
        session: Session,
        name: str,
        room: str = LOBBY,
        after: int | None = None,
        outcome: Callable[[Refused | None], None] = lambda refusal: None,
        key: str = "",
    ) -> None:
        """Give the session a name of its own, and let it join a room.

        Args:
            session: the session, which has no user yet.
            name: the name that it asks for.
            room: the room to join, the lobby by default.
            after: show the entries after this number, as in `Rooms.join`.
            outcome: called now or later, unless the session closes: with None when it has the name, or with the
                refusal. A later refusal means that a user of another node holds the name, or that its holder here was
                probed and is still connected.
            key: the room key that the session offers.

        Raises:
            Refused: the name or the room's name is invalid, or the name is taken on this node. The session may try
                another one.

        """
        room = names.check_room(clean(room))

        join = partial(self._rooms.join, session, room, after, key)

        def again() -> None:
            try:
                self._enter(session, name, join, outcome)
            except Refused as refusal:
                outcome(refusal)

        try:
            self._enter(session, name, join, outcome)
        except Refused as refusal:
            if not self.make_free(session, name, refusal, again):
                raise

    def _enter(
        self,
        session: Session,
        name: str,
        join: Callable[[], None],
        outcome: Callable[[Refused | None], None],
    ) -> None:
        user, nick = self._core.nicks.claim(name)

        def held(refusal: Refused | None) -> None:
            if refusal or session.closed:
                self._core.nicks.release_all(user)
            else:
                self.attach(session, user)
                join()
            if not session.closed:
                outcome(refusal)

        self.reserve(session, nick, held)

    def make_free(self, session: Session, name: str, refusal: Refused, again: Callable[[], None]) -> bool:
        """Probe the holder of a taken name, if it came from the same address, and end its sessions that are gone.

        A connection can disappear without a notice: the network was lost, or the machine sleeps.

        Args:
            session: the session that asks for the name; its next commands wait meanwhile.
            name: the name.
            refusal: the refusal of the name.
            again: called later, after the probe; the name is free then if the holder was gone.

        Returns:
            Whether the holder is probed. If not, `again` is never called.

        """
        holder = self._core.nicks.find(name) if refusal.code == "name-taken" else None
        if holder is None or holder is session.user or not session.address or holder.is_remote:
            return False
        if not holder.sessions or any(one.address != session.address for one in holder.sessions):
            return False
        operation = session.begin("probe")
        waiting = dict.fromkeys(holder.sessions)

        def known(one: Session, there: bool) -> None:
            del waiting[one]
            if not there:
                self._depart(one, "")
            if not waiting:
                if not session.closed:
                    again()
                session.end(operation)

        for one in list(waiting):
            self._core.probe(one, partial(known, one))
        return True

    def reserve(self, session: Session, nick: str, held: Callable[[Refused | None], None]) -> None:
        """Claim a name in the cluster that the session has claimed on this node already.

        `held` is called with None on success, or with the refusal: at once on a single node, otherwise later. The
        session's next commands wait meanwhile. A name that is registered meanwhile is refused.
        """
        if self._core.nicks.names is None:
            held(None)
            return
        operation = session.begin("claim")

        def done(refusal: Refused | None) -> None:
            if refusal and refusal.code == "name-taken":
                # The cluster refuses the folded name; the user sees the name as it was typed.
                refusal = refusals.NAME_TAKEN(name=nick)
            elif refusal is None:
                refusal = self._registered(nick)
            held(refusal)
            session.end(operation)

        def wait() -> None:
            if not session.closed:
                self._core.reply(session, Notice((f"One moment: checking whether {nick} is still here",)))

        self._core.nicks.names.claim(key_of(nick), done, wait)

    def _registered(self, nick: str) -> Refused | None:
        try:
            self._core.nicks.check_registered(nick)
        except Refused as refusal:
            return refusal
        return None

    def attach(self, session: Session, user: User, welcome: Callable[[], None] = lambda: None) -> None:
        """Give a session to a user that holds a name already; the first one lets the user come.

        A further session is shown all rooms of the user, and is given their entries from now on. `welcome` is called
        before that.
        """
        user.add_session(session)
        if session.browser:
            user.recall(self._core.memories.of(session.browser, self._core.clock()))
        if not user.present:
            user.present = True
            user.id = user.id or session.user_id
            user.since = user.active = self._core.clock()
            for tell in self._core.presence:
                tell(user, "")
        self._core.on_user_changed(user)
        welcome()
        for room in session.rooms.values():
            self._rooms.show_again(session, room)
        session.seen = NOTHING
        session.flush()

    def rename(self, session: Session, name: str, refused: Callable[[Refused], None] | None = None) -> None:
        """Give the session's user another name.

        If the name is refused later, because a user of another node holds it or its holder here is still connected,
        `refused` is called. Without `refused` the session gets a Refusal.

        Raises:
            Refused: the name is invalid or taken on this node, or a room of the session does not allow it to change its
                name.

        """
        user = owner(session)
        if user.account and key_of(clean(name)) not in user.keys:
            raise refusals.NAME_IS_ACCOUNT(name=user.nick)
        for room in user.rooms.values():
            self._core.check(session, Action.CHANGE_NAME, room)
        try:
            self._rename(session, name, refused)
        except Refused as refusal:
            if not self.make_free(session, name, refusal, partial(self._rename_again, session, name, refused)):
                raise

    def _rename_again(self, session: Session, name: str, refused: Callable[[Refused], None] | None) -> None:
        try:
            self._rename(session, name, refused)
        except Refused as refusal:
            if refused:
                refused(refusal)
            else:
                self._core.refuse(session, refusal)

    def _rename(
        self,
        session: Session,
        name: str,
        refused: Callable[[Refused], None] | None,
        publish: Callable[[Session, str], None] | None = None,
        account: Account | None = None,
    ) -> None:
        publish = publish or self._publish
        user = owner(session)
        had = user.keys
        _, nick = self._core.nicks.claim(name, user, account)
        if nick == user.nick:
            self._core.reply(session, Notice((f"You are already {nick}",)))
            return

        def held(refusal: Refused | None) -> None:
            if not user.present:
                self._core.nicks.losing.discard(key_of(user.nick))
                self._core.nicks.release(nick)
            elif refusal is None:
                publish(session, nick)
            else:
                self.set_nick(user, user.nick)
                if refused:
                    refused(refusal)
                else:
                    self._core.refuse(session, refusal)

        if key_of(nick) in had:
            publish(session, nick)
        elif account:
            held(None)
        else:
            self.reserve(session, nick, held)

    def rename_to(self, session: Session, account: Account, published: Callable[[], None]) -> None:
        """Give a guest the name of their account, and call `published` when the rename is on its way.

        Raises:
            Refused: another user holds the name, or one that looks like it.

        """

        def publish(session: Session, nick: str) -> None:
            self._publish(session, nick)
            published()

        self._rename(session, account.name, None, publish, account)

    def lose_name(self, key: str) -> None:
        """Rename a user whose name a user of another node has taken meanwhile: append the first number that is free.

        The log says already that the user has left, so the user joins the rooms again under the new name: a rename
        would look like one of the new holder.

        Args:
            key: the folded name.

        """
        self._rename_by_number(key, "was taken while the chat could not be reached", self._come_again)

    def give_up_name(self, name: str, exact: bool = True) -> None:
        """Rename the guests of this node who hold a name that is registered now, or a name that looks like it.

        Without `exact` the holder of the name itself keeps it.
        """
        for key in self._core.nicks.held_by_guests(name, exact):
            guest = self._core.users[key]
            looks = "" if key == key_of(name) else f"looks like {name}, which "
            # A claim that the cluster has not answered yet is refused when it does.
            if not any(isinstance(one, Operation) and one.kind == "claim" for one in guest.changing):
                self._rename_by_number(key, f"{looks}is registered by somebody else now", self._publish)

    def _rename_by_number(self, key: str, reason: str, publish: Callable[[Session, str], None]) -> None:
        user = self._core.users.get(key)
        if user is None or user.is_remote or not user.sessions:
            self._core.nicks.losing.discard(key)
            return
        session, name = user.sessions[0], user.nick[: NAME_CHARS - 4]
        for one in user.sessions:
            self._core.reply(one, Notice((f"The name {user.nick} {reason}",)))
        numbers = iter(range(2, LAST_NUMBER + 1))

        def next_one(refusal: Refused | None = None) -> None:
            number = next(numbers, None)
            if number is None or (refusal and refusal.code not in TAKEN):
                self._core.nicks.losing.discard(key)
                for one in list(user.sessions):
                    self._depart(one, "no name")
                return
            if key_of(f"{name}{number}") == key:
                next_one()
                return
            try:
                self._rename(session, f"{name}{number}", next_one, publish)
            except Refused as taken:
                next_one(taken)

        next_one()

    def _come_again(self, session: Session, nick: str) -> None:
        user = owner(session)
        self._core.nicks.losing.discard(key_of(user.nick))
        self._renamed(user, nick, True)
        for room in user.rooms.values():
            room.state.restore_status(user)
            self._core.rejoin(user, room)

    def _publish(self, session: Session, nick: str) -> None:
        rooms = owner(session).rooms
        if not rooms:
            self._renamed(owner(session), nick, True)
        self._core.publish_event(session, {room: NickChanged(nick) for room in rooms.values()})

    def renamed_elsewhere(self, user: User, nick: str) -> None:
        """Follow a rename by a session of the user on another node."""
        self._renamed(user, nick, False)

    def rename_stored(self, posting: Posting, room: Room | None = None, *_: object) -> None:
        """Give a user the new name after a rename was stored, and move its status in the room to that name."""
        user, draft = owner(author(posting)), posting.draft
        # A rename has one entry for each room; the first one changes the name.
        assert isinstance(draft.body, NickChanged)
        if user.nick != draft.body.nick:
            self._renamed(user, draft.body.nick, False)
        if room:
            # Later entries of the same batch use the new name already.
            room.state.move_status(user, draft.nick)

    def _renamed(self, user: User, nick: str, alone: bool) -> None:
        before = user.nick
        self.set_nick(user, nick)
        for session in user.sessions:
            session.replies.append(NickAssigned(nick, before, alone))
            session.flush()
        self._core.on_user_changed(user)
        for tell in self._core.presence:
            tell(user, before)

    def set_nick(self, user: User, nick: str) -> None:
        """Set a user's nick, and release its other names except those of renames that are not stored yet."""
        self._core.nicks.set_nick(user, nick, user.held_names())
