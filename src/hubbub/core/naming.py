"""Who is called what: coming in under a name, taking another, losing one. On a cluster the other nodes agree first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from hubbub.core import names
from hubbub.core.access import Action
from hubbub.core.bounds import NAME_CHARS
from hubbub.core.model import LOBBY, Draft, Kind, NickChanged, Notice, Refusal
from hubbub.core.names import key_of
from hubbub.core.outbox import link_drafts
from hubbub.core.session import Session, author
from hubbub.core.text import clean
from hubbub.core.users import User
from hubbub.errors import Refused

if TYPE_CHECKING:
    from hubbub.core.hub import Hub
    from hubbub.core.room import Room

LAST_NUMBER = 99  # behind a name that was lost


class Naming:
    """The names of a hub's sessions."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.losing: set[str] = set()  # folded names that others have taken: their users here are about to be renamed

    def enter(
        self,
        session: Session,
        name: str,
        room: str = LOBBY,
        after: int | None = None,
        outcome: Callable[[Refused | None], None] = lambda refusal: None,
        key: str = "",
    ) -> None:
        """Give the session a name of its own and take it into a room, the lobby by default (see `join`).

        `outcome` is called with None when it has the name; or, later, with why it has not: another node's user has it,
        or somebody here who was asked and is still there.

        Raises:
            Refused: a name is invalid, or the session's is taken here; it may try another.

        """
        room = names.check_room(clean(room))

        join = partial(self._hub.rooms.join, session, room, after, key)

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
        user, nick = self._hub.directory.claim(name)

        def held(refusal: Refused | None) -> None:
            if refusal or session.closed:
                self._hub.directory.release_all(user)
            else:
                self.attach(session, user)
                join()
            if not session.closed:
                outcome(refusal)

        self.reserve(session, nick, held)

    def make_free(self, session: Session, name: str, refusal: Refused, again: Callable[[], None]) -> bool:
        """Find out whether the holder of a name that was refused is still there, if it came from the same address.

        A connection may have vanished without a word: the network was lost, or the machine sleeps.

        Args:
            session: wants the name; it waits meanwhile.
            name: the name.
            refusal: why it was refused.
            again: called, later, when that is known; the name is free if the holder was gone.

        Returns:
            False if nobody is asked.

        """
        holder = self._hub.directory.find(name) if refusal.code == "name-taken" else None
        if holder is None or holder is session or not session.address or holder.address != session.address:
            return False
        if holder in self._hub.remote:
            return False
        session.pending_operations += 1

        def known(there: bool) -> None:
            if not there:
                self._hub.depart(holder)
            if not session.closed:
                again()
            self._hub.release(session)

        self._hub.probe(holder, known)
        return True

    def reserve(self, session: Session, nick: str, held: Callable[[Refused | None], None]) -> None:
        """Hold a name for a session that it claimed here, everywhere: `held` is called with why not, or None.

        That is at once if nobody else need be asked; meanwhile the session waits.
        """
        if self._hub.directory.names is None:
            held(None)
            return
        session.pending_operations += 1

        def done(refusal: Refused | None) -> None:
            if refusal and refusal.code == "name-taken":
                refusal = Refused(refusal.code, f"The name {nick} is taken.")  # as it was typed
            held(refusal)
            self._hub.release(session)

        def wait() -> None:
            if not session.closed:
                self._hub.reply(session, Notice((f"One moment: it is not sure whether {nick} is still here",)))

        self._hub.directory.names.claim(key_of(nick), done, wait)

    def attach(self, session: Session, user: User) -> None:
        """Make a session that of a user, who holds a name already; it is in no room yet."""
        session.user = user
        user.id = user.id or session.user_id
        user.since = user.active = self._hub.clock()
        user.sessions.append(session)
        self._hub.on_user_changed(user)
        for tell in self._hub.presence:
            tell(user, "")

    def rename(self, session: Session, name: str, refused: Callable[[Refused], None] | None = None) -> None:
        """Give the session's user another name.

        If it turns out later that another node's user has it, `refused` is called, or the session is told.

        Raises:
            Refused: the name is invalid, or taken here; or the session may not speak in a room of its own.

        """
        for room in session.rooms.values():
            self._hub.check(session, Action.CHANGE_NAME, room)
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
                self._hub.reply(session, Refusal(refusal.code, refusal.text))

    def _rename(
        self,
        session: Session,
        name: str,
        refused: Callable[[Refused], None] | None,
        publish: Callable[[Session, str], None] | None = None,
    ) -> None:
        publish = publish or self._publish
        user = session.user
        assert user is not None
        had = user.keys
        _, nick = self._hub.directory.claim(name, user)
        if nick == user.nick:
            self._hub.reply(session, Notice((f"You are {nick} already",)))
            return

        def held(refusal: Refused | None) -> None:
            if session.closed:
                self.losing.discard(key_of(user.nick))
                self._hub.directory.release(nick)
            elif refusal is None:
                publish(session, nick)
            else:
                self.set_nick(session, session.nick)
                if refused:
                    refused(refusal)
                else:
                    self._hub.reply(session, Refusal(refusal.code, refusal.text))

        if key_of(nick) in had:
            publish(session, nick)
        else:
            self.reserve(session, nick, held)

    def lose_name(self, key: str) -> None:
        """Give a user whose name another node's user took meanwhile the next one that is free.

        Others were told that he has left, so he comes in again under it: a rename would look like the new holder's.
        """
        user = self._hub.users.get(key)
        if user is None or user.is_remote or not user.sessions:
            self.losing.discard(key)
            return
        session, name = user.sessions[0], user.nick[: NAME_CHARS - 4]
        self._hub.reply(session, Notice((f"The name {user.nick} was taken while the chat could not be reached",)))
        numbers = iter(range(2, LAST_NUMBER + 1))

        def next_one(refusal: Refused | None = None) -> None:
            number = next(numbers, None)
            if number is None or (refusal and refusal.code != "name-taken"):
                self.losing.discard(key)
                self._hub.depart(session, "no name")
                return
            if key_of(f"{name}{number}") == key:
                next_one()
                return
            try:
                self._rename(session, f"{name}{number}", next_one, self._come_again)
            except Refused as taken:
                next_one(taken)

        next_one()

    def _come_again(self, session: Session, nick: str) -> None:
        self.losing.discard(key_of(session.nick))
        self._renamed(session, nick, True)
        session.flush()
        for room in session.rooms.values():
            room.rules.restore_status(session)
            self._hub.rejoin(session, room.name)

    def _publish(self, session: Session, nick: str) -> None:
        if not session.rooms:
            self._renamed(session, nick, True)
            session.flush()
        session.pending_operations += len(session.rooms)
        link_drafts([self._hub.draft(session, room, Kind.RENAME, nick) for room in session.rooms])

    def rename_stored(self, draft: Draft, room: Room | None = None, *_: object) -> None:
        """Call a user by his new name: that is stored."""
        session = author(draft)
        if session.nick != draft.text:  # one entry a room, one new name
            self._renamed(session, draft.text, False)
        if room:
            room.rules.move_status(session, draft.nick)  # what came with it is about the new name

    def _renamed(self, session: Session, nick: str, alone: bool) -> None:
        before = session.nick
        self.set_nick(session, nick)
        session.replies.append(NickChanged(nick, before, alone))
        assert session.user is not None
        self._hub.on_user_changed(session.user)
        for tell in self._hub.presence:
            tell(session.user, before)

    def set_nick(self, session: Session, nick: str) -> None:
        """Let a user who claimed two names have this one, and the other only while a rename is under way."""
        assert session.user is not None
        self._hub.directory.set_nick(session.user, nick, session.held_names())
