"""The registry of nicks: all users that this process knows, by the folded nicks that they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from hubbub.chat.session import User
from hubbub.chat.users.accounts import Accounts
from hubbub.chat.users.no_accounts import NoAccounts
from hubbub.errors import Refused
from hubbub.model.accounts.account import Account
from hubbub.text import names, refusals
from hubbub.text.confusables.lookalikes import Lookalikes
from hubbub.text.names import key_of


class Names(Protocol):
    """The name registry of a cluster: the other nodes must agree before a user may hold a name."""

    def claim(self, key: str, done: Callable[[Refused | None], None], wait: Callable[[], None]) -> None:
        """Claim a folded name for this node; `done` is called later, with None on success or with the refusal.

        `wait` is called before that if the claim takes long, because the node that holds the name does not respond.
        """
        ...

    def release(self, key: str) -> None:
        """Release a folded name that this node holds; do nothing if another node holds it."""
        ...


class Nicks:
    """All users that this process knows, of every node, by the folded names that they hold."""

    def __init__(self) -> None:
        self.users: dict[str, User] = {}
        self.names: Names | None = None  # the cluster's registry; None on a single node
        # Users of other nodes whose name another user seems to hold, by folded name, the newest last. They may have
        # lost the name, or they have left and this node does not know it yet.
        self._shadowed: dict[str, list[User]] = {}
        # The folded names that users of other nodes have taken: their holders here are about to be renamed.
        self.losing: set[str] = set()
        self._lookalikes = Lookalikes()
        self.accounts: Accounts = NoAccounts()
        self._waiting: dict[str, list[Callable[[], None]]] = {}  # called once when a folded name is free

    def check_free(self, name: str) -> str:
        """Return a name in its displayed form, if it is valid and no user of this node holds it.

        Only a claim finds out whether a user of another node holds it.

        Raises:
            Refused: the name is invalid, taken, or looks like another user's.

        """
        nick = names.typed_name(name)
        self._check_guest(nick)
        holder = self.users.get(key_of(nick))
        if holder and not holder.is_remote:
            raise refusals.NAME_TAKEN(name=nick)
        self._check_looks(nick)
        return nick

    def free(self, name: str, owner: User | None = None) -> str:
        """Return a name in its displayed form, if it is valid and no user other than `owner` holds it.

        Raises:
            Refused: the name is invalid, taken, registered, or looks like another user's.

        """
        nick = names.typed_name(name)
        self._check_guest(nick)
        self._check(nick, owner)
        return nick

    def unregistered(self, name: str, owner: User | None = None) -> str:
        """Return a name in its displayed form, if `owner` may register it.

        Raises:
            Refused: the name is invalid, taken, registered, or looks like another user's.

        """
        nick = names.typed_name(name)
        self.check_registered(nick)
        self._check(nick, owner)
        return nick

    def check_registered(self, nick: str) -> None:
        """Raise Refused if a name is registered or looks like a registered one."""
        if self.accounts.find(nick):
            raise refusals.NAME_REGISTERED(name=nick)
        if other := self.accounts.looks_like(nick):
            raise refusals.NAME_LOOKS_REGISTERED(name=nick, other=other)

    def _check_guest(self, nick: str) -> None:
        """Raise Refused if a guest cannot have a name because of the accounts, or if guests may not come."""
        self.check_registered(nick)
        if self.accounts.guests == "no":
            raise refusals.NEWCOMERS_REFUSED() if self.accounts.registration == "closed" else refusals.REGISTERED_ONLY()

    def _check(self, nick: str, owner: User | None) -> None:
        self._check_taken(nick, owner)
        self._check_looks(nick, owner)

    def _check_taken(self, nick: str, owner: User | None) -> None:
        if self.users.get(key_of(nick), owner) is not owner:
            raise refusals.NAME_TAKEN(name=nick)

    def _check_looks(self, nick: str, owner: User | None = None) -> None:
        """Raise Refused if a name looks like the name of another user."""
        key = self._lookalikes.find(nick, (key_of(nick), *(owner.keys if owner else ())))
        if key is not None:
            other = self.users[key].nick
            shown = other if key_of(other) == key else key
            raise refusals.NAME_LOOKS_TAKEN(name=nick, other=shown)

    def claim(self, name: str, owner: User | None = None, account: Account | None = None) -> tuple[User, str]:
        """Let a user hold a name besides those it holds already; return the user and the name's displayed form.

        Without an owner, create a new user. A registered name needs its account, and nobody who looks like it keeps it
        from its owner.

        Raises:
            Refused: the name is invalid, taken, registered, or looks like another user's.

        """
        nick = names.typed_name(name)
        key = key_of(nick)
        if account is None and not (owner and key in owner.keys):
            self._check_guest(nick)
        if (holder := self.users.get(key)) and holder.is_remote and self.names:
            # Only the registry of the cluster knows whether the remote user still holds the name.
            if account is None:
                self._check_looks(nick, owner)
            self._shadow(key, self.users.pop(key))
        self._check_taken(nick, owner)
        if account is None:
            self._check_looks(nick, owner)
        user = owner or User(nick)
        if key not in user.keys:
            user.keys += (key,)
        self._hold(key, user, nick)
        return user, nick

    def set_nick(self, user: User, nick: str, claimed: Iterable[str]) -> None:
        """Set a user's nick; release all names that it holds except the nick and those in `claimed`."""
        user.nick = nick
        kept = {key_of(nick), *(key_of(name) for name in claimed)}
        for key in user.keys:
            if key not in kept:
                self._let_go(key)
        user.keys = tuple(kept)

    def release_all(self, user: User) -> None:
        """Release all names of a user that has left, or whose claim failed."""
        for key in user.keys:
            self._let_go(key)
        user.keys = ()

    def is_held_by_guest(self, name: str, but: User | None = None) -> bool:
        """Return whether a user of this node other than `but`, without an account, holds a name."""
        holder = self.users.get(key_of(name))
        return bool(holder and holder is not but and not (holder.account or holder.is_remote))

    def held_by_guests(self, name: str, exact: bool = True) -> list[str]:
        """Return the folded names that look like a registered one, and that guests of this node hold.

        With `exact` the name itself is one of them. Others do not count if their holder has the name as well.
        """
        key = key_of(name)
        owner, alike = self.users.get(key), [one for one in self._lookalikes.alike(name) if one != key]
        found = [one for one in alike if self.is_held_by_guest(one, owner)]
        return [key, *found] if exact and self.is_held_by_guest(key) else found

    def when_free(self, name: str, call: Callable[[], None]) -> None:
        """Call a function when the holder of a name lets it go."""
        self._waiting.setdefault(key_of(name), []).append(call)

    def need_no_lease(self, user: User) -> None:
        """Let go, in the cluster alone, of the names of a user who owns an account: its record keeps guests away."""
        if self.names:
            for key in user.keys:
                self.names.release(key)

    def release(self, nick: str) -> None:
        """Release a name in the cluster whose user left during the claim, unless a user of this node holds it."""
        holder = self.users.get(key_of(nick))
        if self.names and (holder is None or holder.is_remote):
            self.names.release(key_of(nick))

    def note(self, user: User) -> None:
        """Register a user of another node.

        A user of this node with the same name keeps the name here. A user of another node with the same name is
        shadowed by the new one.
        """
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
        """Remove a user of another node; its own node releases its names in the cluster."""
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
        """Remove a name's holder; the newest shadowed user of that name becomes the holder."""
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
        for call in self._waiting.pop(key, ()):
            call()

    def find(self, name: str) -> User | None:
        """Return the user that holds a name; None if there is none."""
        key = key_of(name)
        user = self.users.get(key)
        # A user that is not present yet is still waiting for the cluster's answer to its claim.
        if user and not user.present and key in self._shadowed:
            user = self._shadowed[key][-1]
        return user if user and user.present else None
