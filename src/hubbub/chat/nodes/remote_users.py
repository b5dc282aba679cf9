"""Users of other nodes: they hold names and are members of rooms here as well, but have no sessions here.

Lists, masks and room modes treat them like the users of this node. Events for them go to their own node.

The owner of an account may have sessions on several nodes, this one included, and is one user here all the same, known
by the host of the account. Each node with sessions of theirs describes them; such a description is a `home` of the
user. The rooms are the same on all nodes: the others follow the changes of one by its description and by the log.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from hubbub.chat.core import Core
from hubbub.chat.nodes.person import Person, Screen, note_details, take_details
from hubbub.chat.nodes.remote_members import RemoteMembers
from hubbub.chat.replies import NOTHING
from hubbub.chat.session import User
from hubbub.model.accounts.account import id_of, is_account
from hubbub.model.entries import Entry
from hubbub.model.events import Event, Private
from hubbub.model.ids import end_of


def _nowhere(user: User, event: Private, done: Callable[[bool | None], None]) -> None:
    done(None)


class RemoteUsers:
    """The users of all other nodes and their sessions; `members` has their rooms."""

    def __init__(self, core: Core) -> None:
        self._core = core
        # The homes of each user on other nodes, with the newest description of each. A guest has one, which is the
        # user itself.
        self._homes: dict[User, dict[User, Person]] = {}
        self._users: dict[User, User] = {}  # by home
        # The users who were on this node and went on to other ones, with the reason of their last session's end.
        self._gone_on: dict[User, str] = {}
        self._authors: dict[str, User] = {}  # the users of all nodes who are here, by the prefixes of their ids
        # Called with a remote user, and the old away text and real name, after one of them has changed.
        self.described: list[Callable[[User, str, str], None]] = []
        # Called with an ephemeral entry (such as a typing notice), for the members on other nodes.
        self.signal: Callable[[Entry], None] = lambda entry: None
        # Called with a remote user, and an event for all sessions of the user.
        self.send: Callable[[User, Event], None] = lambda user, event: None
        # Called with a remote user, a private message for them, and a callback for the result: whether the message was
        # delivered, or None if that is not known.
        self.deliver: Callable[[User, Private, Callable[[bool | None], None]], None] = _nowhere
        self.members = RemoteMembers(core, self._authors)
        # Called with a remote user whose sessions are to be ended, and the reason.
        self.expel: Callable[[User, str], None] = lambda user, reason: None
        # Called with a user, and the ids of sessions that are to be ended if they are on other nodes.
        self.end: Callable[[User, Collection[str]], None] = lambda user, ids: None
        # Called with a user of this node whom another node has renamed, and the new nick.
        self.rename: Callable[[User, str], None] = lambda user, nick: None
        core.presence.append(self._note_author)

    def _note_author(self, user: User, before: str) -> None:
        if user.present and user.id_prefix:
            self._authors[user.id_prefix] = user
            self.members.orphans.found(user.id_prefix)
        elif self._authors.get(user.id_prefix) is user:
            del self._authors[user.id_prefix]

    # --- the homes of users -----------------------------------------------------------------------------------------

    def add(self, who: Person) -> User:
        """Add a user that arrived on another node, and return the home by which that node describes the user."""
        home = User(who.nick, is_remote=True)
        self._add_home(home, who)
        return home

    def _add_home(self, home: User, who: Person) -> None:
        self._describe(home, who)
        user = self._core.owners.get(who.host, home)
        self._homes.setdefault(user, {})[home] = who
        self._users[home] = user
        if user is home:
            self._arrive(user)
        else:
            self._follow_details(user, who, who)
            self.members.begin_here(user)
        if who.id_prefix:
            self._authors[who.id_prefix] = user
            self.members.orphans.found(who.id_prefix)
        self.members.report(user, Person(""), who, self._is_alone(user))

    def _arrive(self, user: User) -> None:
        user.present = True
        self.members.begin(user)
        self._core.nicks.note(user)
        if is_account(user.host):
            self._core.owners[user.host] = user
        for tell in self._core.presence:
            tell(user, "")

    def update(self, home: User, who: Person) -> None:
        """Apply a new description of a user by another node: the details, a rename, and the rooms."""
        user = self._users[home]
        if self._core.owners.get(who.host, user) is not user:  # a guest has logged in, and the owner is known here
            self.remove(home)
            self._add_home(home, who)
            return
        before, self._homes[user][home] = self._homes[user][home], who
        away, real = user.away, user.real
        if self._is_alone(user):
            self._describe(user, who)
            if is_account(who.host):
                self._core.owners.setdefault(who.host, user)
        else:
            self._follow_details(user, before, who)
        if who.nick not in (before.nick, user.nick):
            self._rename(user, who.nick)
        self.members.report(user, before, who, self._is_alone(user))
        if (away, real) != (user.away, user.real):
            for described in self.described:
                described(user, away, real)

    def _follow_details(self, user: User, before: Person, who: Person) -> None:
        """Apply what one node has changed of a user who is on several nodes."""
        user.active = max(user.active, who.active)
        if who.version:
            note_details(user)  # those that were changed here a moment ago
            if (who.version, who.real, who.away, who.modes, who.operator) <= (user.version, *user.details):
                return
            take_details(user, who)
        else:
            for name in ("real", "away", "operator"):
                if (value := getattr(who, name)) != getattr(before, name):
                    setattr(user, name, value)
            if who.modes != before.modes:
                user.modes = frozenset(who.modes)
        self._core.tell_modes(user)

    def _rename(self, user: User, nick: str) -> None:
        if not user.is_remote:
            self.rename(user, nick)
            return
        before = user.nick
        self._core.nicks.forget(user)
        user.nick = nick
        self._core.nicks.note(user)
        for room in user.rooms.values():
            room.state.move_status(user, before)
        for tell in self._core.presence:
            tell(user, before)

    def remove(self, home: User) -> None:
        """Remove a home: the user has left that node, or the node is gone. Without another home the user is gone."""
        user = self._users.pop(home)
        who = self._homes[user].pop(home)
        if self._authors.get(who.id_prefix) is user and (user.is_remote or who.id_prefix != user.id_prefix):
            del self._authors[who.id_prefix]
        if others := self._homes[user]:
            if user.is_remote:
                user.id_prefix = next(reversed(others.values())).id_prefix
            return
        del self._homes[user]
        if not user.is_remote:
            self.members.end(user)
            if not user.sessions:  # they stay here, and have left the last other node now
                user.left_at = self._core.clock()
                user.given = {room.id: room.end.seq for room in user.rooms.values()}
                self._core.on_user_changed(user)
        elif user in self._gone_on:
            self._leave(user, self._gone_on[user])
        else:
            self._depart(user)

    def _leave(self, user: User, reason: str) -> None:
        """Publish the leave of a user whose sessions have ended on this node and then on the last other one.

        Each node may have taken the user to be on another one. If the last one has not, it publishes the leave as well.
        The id is the same on all of them, so that one leave is stored.
        """
        places = self.members.places(user)
        if (id := end_of(id_of(user.host), places.values())) and self.members.may_speak():
            self.members.publish_leaves(id, user.nick, user.host, places, reason)
        self._depart(user, orphans=False)

    def _depart(self, user: User, orphans: bool = True) -> None:
        user.present = False
        self._gone_on.pop(user, None)
        self.members.depart(user, orphans)
        self._core.nicks.forget(user)
        self._core.disown(user)
        for tell in self._core.presence:
            tell(user, "")

    def _is_alone(self, user: User) -> bool:
        """Return whether a user is on one other node, and nowhere else."""
        return user.is_remote and len(self._homes[user]) == 1

    def homes(self, user: User) -> Sequence[User]:
        """Return the homes of a user; none for a user who is on this node alone."""
        return tuple(self._homes.get(user, ()))

    def screens(self, user: User) -> list[Screen]:
        """Return the sessions of the owner of an account on other nodes."""
        return [one for who in self._homes.get(user, {}).values() for one in who.screens]

    def user_at(self, home: User) -> User:
        """Return the user of a home."""
        return self._users[home]

    def take_in(self, user: User) -> None:
        """Make a remote user, whose first session on this node has logged in, a user of this node as well."""
        user.is_remote = False
        self._gone_on.pop(user, None)

    def came(self, user: User) -> None:
        """Note the first session of a user who was on other nodes alone, and bring the session into all rooms."""
        self._authors[user.id_prefix] = user
        self.members.bring_in(user)

    def hand_over(self, user: User, reason: str) -> None:
        """Leave a user, whose last session on this node has ended for a reason, to the other nodes."""
        user.is_remote = True
        user.screens, user.last_session, user.left_at, user.given = 0, None, 0.0, NOTHING
        self._authors.pop(user.id_prefix, None)
        user.id_prefix = next(reversed(self._homes[user].values())).id_prefix
        self._gone_on[user] = reason
        self._core.on_user_changed(user)

    def _describe(self, user: User, who: Person) -> None:
        user.host, user.address = who.host, who.address
        take_details(user, who)
        user.id, user.id_prefix, user.since, user.active = who.id, who.id_prefix, who.since, who.active
        self._recognise(user)

    def _recognise(self, user: User) -> None:
        user.account = self._core.nicks.accounts.by_id(id_of(user.host)) if is_account(user.host) else None

    def know_accounts(self) -> None:
        """Give the users of other nodes their accounts: other nodes are heard before the accounts are read."""
        for user in self._core.owners.values():
            self._recognise(user)
