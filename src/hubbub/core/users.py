"""Who is here, and who holds which name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

from hubbub.core import names
from hubbub.core.lookalikes import Lookalikes
from hubbub.core.names import key_of
from hubbub.errors import Refused

if TYPE_CHECKING:
    from hubbub.core.session import Session


class Names(Protocol):
    """Who else must agree that somebody holds a name: the other nodes of a cluster."""

    def claim(self, key: str, done: Callable[[Refused | None], None], wait: Callable[[], None]) -> None:
        """Ask for a folded name; `done` is called later, with None if it is held for this node now.

        `wait` is called before that if it takes long, because the node that holds it does not answer.
        """
        ...

    def release(self, key: str) -> None:
        """Let a name go that is held for this node; of another one nothing happens."""
        ...


class User:
    """Who a nick belongs to. A guest has one session; who has an account may have several."""

    __slots__ = (
        "active",
        "away",
        "host",
        "id",
        "is_remote",
        "keys",
        "modes",
        "nick",
        "operator",
        "real",
        "sessions",
        "since",
    )

    def __init__(self, nick: str) -> None:
        self.nick = nick
        self.id = ""  # stays the same whatever the user is called, and belongs to nobody else; others may know it
        self.is_remote = False  # on another node
        self.keys: tuple[str, ...] = ()  # folded names that it holds: one, or two while it is renamed
        self.sessions: list[Session] = []
        self.real = ""  # a longer name, for people
        self.host = ""  # from where it was here last
        self.away = ""  # why; "" if it is here
        self.modes: frozenset[str] = frozenset()  # letters: i invisible, w wallops, B bot
        self.since = self.active = 0.0  # when it came, and last said something; seconds since the epoch
        self.operator = False  # of the server: may act in every room


class Directory:
    """All users of this process, by the folded names that they hold."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.names: Names | None = None  # who must be asked besides; nobody on a node that is alone
        # Users of other nodes whose name somebody else has, as it seems: they may have lost it, or it is not known yet
        # that they have left. The newest is the last.
        self._shadowed: dict[str, list[User]] = {}
        self._lookalikes = Lookalikes()

    def check_free(self, name: str) -> str:
        """Return a name as it would be shown, if it is valid and nobody here holds it. Raises Refused.

        Whether people of other nodes hold it is known when it is claimed.
        """
        nick = names.typed_name(name)
        holder = self.users.get(key_of(nick))
        if holder and not holder.is_remote:
            raise Refused("name-taken", f"The name {nick} is taken.")
        self._check_looks(nick)
        return nick

    def free(self, name: str, owner: User | None = None) -> str:
        """Return a name as it is shown, if it is valid and nobody but its owner holds it. Raises Refused."""
        nick = names.typed_name(name)
        self._check(nick, owner)
        return nick

    def _check(self, nick: str, owner: User | None) -> None:
        if self.users.get(key_of(nick), owner) is not owner:
            raise Refused("name-taken", f"The name {nick} is taken.")
        self._check_looks(nick, owner)

    def _check_looks(self, nick: str, owner: User | None = None) -> None:
        """Raise Refused if a name looks like that of somebody else who is here."""
        key = self._lookalikes.find(nick, (key_of(nick), *(owner.keys if owner else ())))
        if key is not None:
            other = self.users[key].nick
            shown = other if key_of(other) == key else key
            raise Refused("name-taken", f"The name {nick} looks like {shown}, who is here. Use another.")

    def claim(self, name: str, owner: User | None = None) -> tuple[User, str]:
        """Let a user, a new one by default, hold a name beside what it holds; return it and the name as it is shown.

        Raises:
            Refused: the name is invalid or taken.

        """
        nick = names.typed_name(name)
        key = key_of(nick)
        if (holder := self.users.get(key)) and holder.is_remote and self.names:
            self._shadow(key, self.users.pop(key))  # whether he has it still is for all nodes to say
        self._check(nick, owner)
        user = owner or User(nick)
        if key not in user.keys:
            user.keys += (key,)
        self._hold(key, user, nick)
        return user, nick

    def set_nick(self, user: User, nick: str, claimed: Iterable[str]) -> None:
        """Let a user be called `nick`, and hold this name and those it claimed, and no other."""
        user.nick = nick
        kept = {key_of(nick), *(key_of(name) for name in claimed)}
        for key in user.keys:
            if key not in kept:
                self._let_go(key)
        user.keys = tuple(kept)

    def release_all(self, user: User) -> None:
        """Let a user who has left, or never came, hold no name."""
        for key in user.keys:
            self._let_go(key)
        user.keys = ()

    def release(self, nick: str) -> None:
        """Let a name go that is held for somebody who left meanwhile; unless somebody else here wants it."""
        holder = self.users.get(key_of(nick))
        if self.names and (holder is None or holder.is_remote):
            self.names.release(key_of(nick))

    def note(self, user: User) -> None:
        """Put a user of another node on the list: who has his name here keeps it, elsewhere who is heard of last."""
        key = key_of(user.nick)
        user.keys = (key,)
        holder = self.users.get(key)
        if holder and not holder.is_remote:
            self._shadow(key, user)
            return
        if holder:
            self._shadow(key, holder)
        self._hold(key, user, user.nick)

    def forget(self, user: User) -> None:
        """Take a user of another node off the list: what it holds is not ours to let go."""
        for key in user.keys:
            if self.users.get(key) is user:
                self._pass_on(key)
            elif others := [one for one in self._shadowed.pop(key, ()) if one is not user]:
                self._shadowed[key] = others
        user.keys = ()

    def _hold(self, key: str, user: User, nick: str) -> None:
        self.users[key] = user
        self._lookalikes.add(key, nick)

    def _shadow(self, key: str, user: User) -> None:
        self._shadowed.setdefault(key, []).append(user)

    def _pass_on(self, key: str) -> None:
        """Let who is said to have a name elsewhere have it, now that somebody does no more."""
        self.users.pop(key, None)
        self._lookalikes.remove(key)
        if shadowed := self._shadowed.get(key):
            user = shadowed.pop()
            self._hold(key, user, user.nick)
            if not shadowed:
                del self._shadowed[key]

    def _let_go(self, key: str) -> None:
        self._pass_on(key)
        if self.names:
            self.names.release(key)

    def leave(self, session: Session) -> None:
        """Take a session from its user; who has none left is here no more."""
        if user := session.user:
            user.sessions.remove(session)
            if not user.sessions:
                self.release_all(user)

    def find(self, name: str) -> Session | None:
        """Return a session of the user who holds a name."""
        key = key_of(name)
        user = self.users.get(key)
        if user and not user.sessions and key in self._shadowed:  # somebody here asks for it, and has it not yet
            user = self._shadowed[key][-1]
        return user.sessions[0] if user and user.sessions else None
