"""Users of other nodes: they hold names and are members of rooms here as well, but have no sessions here.

Lists, masks and room modes treat them like the users of this node. Events for them go to their own node.

The owner of an account may have sessions on several nodes, this one included, and is one user here all the same, known
by the host of the account. Each node with sessions of theirs describes them; such a description is a `home` of the
user. The rooms are the same on all nodes: the others follow the changes of one by its description and by the log.

In which rooms they are is known from two sides: their node reports it, and the logs of the rooms that are loaded here
say it. Both give the number of a join or a leave in the log, and the highest number counts, whoever says it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from hubbub.chat.core import Core
from hubbub.chat.nodes.orphans import Orphans
from hubbub.chat.nodes.person import Person, Screen, note_details, take_details
from hubbub.chat.nodes.remote_places import Place, RemotePlaces
from hubbub.chat.session import NOTHING, Posting, Room, User
from hubbub.model.accounts.account import id_of, is_account
from hubbub.model.entries import Draft, Entry, Joined, Kicked, Left
from hubbub.model.events import Event, Private
from hubbub.model.ids import end_of, user_of
from hubbub.model.room.room_ids import RoomRef
from hubbub.text.names import key_of

FRESH = 60.0  # seconds up to which a join in the log is taken for a new one; older ones were imported or read late


def _nowhere(user: User, event: Private, done: Callable[[bool | None], None]) -> None:
    done(None)


class RemoteUsers:
    """The users of all other nodes, their sessions and their rooms."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._places = RemotePlaces()
        self.rooms = self._places.rooms  # by the id of a room that has any: its remote members, and their joins
        # The homes of each user on other nodes, with the newest description of each. A guest has one, which is the
        # user itself.
        self._homes: dict[User, dict[User, Person]] = {}
        self._users: dict[User, User] = {}  # by home
        # The users who were on this node and went on to other ones, with the reason of their last session's end.
        self._gone_on: dict[User, str] = {}
        self._authors: dict[str, User] = {}  # the users of all nodes who are here, by the prefixes of their ids
        # Called with a remote user, and the old away text and real name, after one of them has changed.
        self.described: list[Callable[[User, str, str], None]] = []
        # Called with a remote user, and the loaded room of which the user became a member.
        self.on_arrival: list[Callable[[User, Room], None]] = []
        # Called with an ephemeral entry (such as a typing notice), for the members on other nodes.
        self.signal: Callable[[Entry], None] = lambda entry: None
        # Called with a remote user, and an event for all sessions of the user.
        self.send: Callable[[User, Event], None] = lambda user, event: None
        # Called with a remote user, a private message for them, and a callback for the result: whether the message was
        # delivered, or None if that is not known.
        self.deliver: Callable[[User, Private, Callable[[bool | None], None]], None] = _nowhere
        # Returns whether this node may publish joins of its users; if not, `rejoin` is called when it may.
        self.may_speak: Callable[[], bool] = lambda: True
        # The members of this node whose membership the log has ended, for example because this node was cut off. They
        # are here still, so they join again.
        self._ended: dict[tuple[User, Room], None] = {}
        self.orphans = Orphans(core, self._authors, self.publish_leaves)
        # Called with a remote user whose sessions are to be ended, and the reason.
        self.expel: Callable[[User, str], None] = lambda user, reason: None
        # Called with a user, and the ids of sessions that are to be ended if they are on other nodes.
        self.end: Callable[[User, Collection[str]], None] = lambda user, ids: None
        # Called with a user of this node whom another node has put into a room, or taken out of one, or renamed.
        self.bring: Callable[[User, RoomRef], None] = lambda user, room: None
        self.take_out: Callable[[User, Room], None] = lambda user, room: None
        self.rename: Callable[[User, str], None] = lambda user, nick: None
        core.presence.append(self._note_author)

    def _note_author(self, user: User, before: str) -> None:
        if user.present and user.id_prefix:
            self._authors[user.id_prefix] = user
            self.orphans.found(user.id_prefix)
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
            self._start_places(user)
        if who.id_prefix:
            self._authors[who.id_prefix] = user
            self.orphans.found(who.id_prefix)
        self._report(home, Person(""), who)

    def _start_places(self, user: User) -> None:
        """Note the rooms of a user who has been on this node alone."""
        if user not in self._places:
            self._places.begin(user)
            for room in user.rooms.values():
                self._places.note(user, _ref(room), Place(room.members.get(user, 0), True))

    def _arrive(self, user: User) -> None:
        user.present = True
        self._places.begin(user)
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
        if user.is_remote and len(self._homes[user]) == 1:
            self._describe(user, who)
            if is_account(who.host):
                self._core.owners.setdefault(who.host, user)
        else:
            self._follow_details(user, before, who)
        if who.nick not in (before.nick, user.nick):
            self._rename(user, who.nick)
        self._report(home, before, who)
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
            self._places.end(user)
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
        places = self.places(user)
        if (id := end_of(id_of(user.host), places.values())) and self.may_speak():
            self.publish_leaves(id, user.nick, user.host, places, reason)
        self._depart(user, orphans=False)

    def _depart(self, user: User, orphans: bool = True) -> None:
        user.present = False
        self._gone_on.pop(user, None)
        for room, seq in self.places(user).items():
            if orphans and seq and user.id_prefix and room in self._core.loaded.by_id:
                self.orphans.add(user.id_prefix, room, seq, user.nick, user.host)
        for room in list(self._places.of(user)):
            self._forget(user, room)
        self._places.end(user)
        self._core.nicks.forget(user)
        self._core.disown(user)
        for tell in self._core.presence:
            tell(user, "")

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
        for room in self.places(user):
            if room not in self._core.loaded.by_id:
                self.bring(user, self._places.ref(room))

    def hand_over(self, user: User, reason: str) -> None:
        """Leave a user, whose last session on this node has ended for a reason, to the other nodes."""
        user.is_remote = True
        user.screens, user.last_session, user.left_at, user.given = 0, None, 0.0, NOTHING
        self._authors.pop(user.id_prefix, None)
        user.id_prefix = next(reversed(self._homes[user].values())).id_prefix
        self._gone_on[user] = reason
        self._core.on_user_changed(user)

    # --- the rooms of users -----------------------------------------------------------------------------------------

    def room_loaded(self, room: Room, recent: Sequence[Entry]) -> None:
        """Make the remote users in a room that has just been loaded its members; `recent` are its newest entries."""
        for user, seq in self.rooms.get(room.id, {}).items():
            room.add_member(user, seq)
        self.orphans.note_loaded(room, recent)

    def room_unloaded(self, room: Room) -> None:
        """Detach the remote members from a room that is unloaded; they stay listed in `rooms`."""
        for user in self.rooms.get(room.id, ()):
            user.rooms.pop(room.id, None)
        self._places.note_name(_ref(room))
        self.orphans.forget(room.id)

    def places(self, user: User) -> dict[str, int]:
        """Return the ids of the rooms of a remote user, with the numbers of the joins."""
        return self._places.joins(user)

    def members_of(self, name: str) -> Mapping[User, int]:
        """Return the remote members of a room that is not loaded here, by its name, with their joins."""
        return {} if name in self._core.loaded else self._places.named(name)

    def counts(self) -> dict[str, int]:
        """Return the number of the remote members of each room that is not loaded here, by the names of the rooms."""
        elsewhere = ((id, name) for id, name in self._places.names.items() if id not in self._core.loaded.by_id)
        return {name: len(self.rooms[id]) for id, name in elsewhere if name not in self._core.loaded}

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

    def follow(self, room: Room, entry: Entry) -> None:
        """Apply a join, leave or kick from a room's log to its author, or to the user that a kick names."""
        if isinstance(entry.body, Kicked):
            self._kick(room, entry, entry.body)
            return
        prefix = user_of(entry.id)
        user = self._authors.get(prefix)
        if is_account(entry.host) and prefix == f"{id_of(entry.host)}.":  # a leave that several nodes may publish
            user = self._core.owners.get(entry.host)
            self.orphans.ended(entry.host, entry.room_id)
        if user is None:
            if not isinstance(entry.body, Joined):
                self.orphans.left(prefix, entry.room_id)
            elif prefix and self._core.clock() - entry.time < FRESH:
                self.orphans.add(prefix, entry.room_id, entry.seq, entry.nick, entry.host)
            return
        waits = self._waits_for(entry)
        ends = isinstance(entry.body, Left) and entry.body.quit
        if user in self._places and (user.is_remote or waits or not ends):
            self._follow_place(user, entry, waits)
        elif user in room.members and not waits:
            self._answer_leave(user, room, entry)

    def _follow_place(self, user: User, entry: Entry, waits: bool) -> None:
        """Follow a join or leave of a user on other nodes; if a posting waits for it here, that has the effect."""
        known = self._places.of(user).get(entry.room_id)
        if known is None or entry.seq > known.seq:
            change = self._places.note if waits else self._set
            change(user, RoomRef(entry.room_id, entry.room), Place(entry.seq, isinstance(entry.body, Joined)))

    def _answer_leave(self, user: User, room: Room, entry: Entry) -> None:
        """Answer a leave of a user of this node with a join: the node that published it takes the user for gone."""
        joins = isinstance(entry.body, Joined)
        room.members[user] = entry.seq if joins else 0
        self._core.on_user_changed(user)
        if not joins:
            self._ended[user, room] = None
            if self.may_speak():
                self.rejoin()

    def publish_leaves(
        self, id: str, nick: str, host: str, rooms: Iterable[str], reason: str = "connection lost"
    ) -> None:
        """Publish leaves of a remote user whose node is gone, as one event under an id; `rooms` are ids of rooms."""
        for room in map(self._ref, rooms):
            draft = Draft(room.name, nick, Left(reason, quit=True), id, host, "", True, room.id)
            self._core.pipeline.add(Posting(draft))

    def _ref(self, room: str) -> RoomRef:
        """Return the room with an id, and the name that it has as far as is known."""
        loaded = self._core.loaded.by_id.get(room)
        return _ref(loaded) if loaded else self._places.ref(room)

    def _kick(self, room: Room, entry: Entry, kick: Kicked) -> None:
        """Take a kicked user out of a room at once; their node says in the end whether it meant this one.

        The owner of an account may be on several nodes, and is meant for certain if the kick names them.
        """
        user = self._core.kicked_user(room, kick)
        if user and user in self._places and (known := self._places.of(user).get(room.id)):
            certain = bool(kick.user) and is_account(user.host)
            place = Place(entry.seq if certain else known.seq, False)
            if user.is_remote:
                self._set(user, _ref(room), place)
            else:
                self._places.note(user, _ref(room), place)

    def _waits_for(self, entry: Entry) -> bool:
        """Return whether a session here published an entry and waits for it: it takes effect with its posting."""
        posting = self._core.pipeline.find(entry)
        return posting is not None and posting.session is not None

    def rejoin(self) -> None:
        """Publish joins for users of this node that are still here, although the log says that they have left.

        A user that is about to lose its name is left out: `Naming.lose_name` lets it join under the new name.
        """
        ended, self._ended = self._ended, {}
        for user, room in ended:
            here = user.present and not user.is_remote and room.id in user.rooms
            if here and key_of(user.nick) not in self._core.nicks.losing:
                self._core.rejoin(user, room)

    def _report(self, home: User, before: Person, who: Person) -> None:
        """Apply a report of a node: the rooms of one of its users, with the numbers of the joins.

        `before` is the node's last report. The report of another node may be newer than this one, so a room is left
        only if this node has reported it.
        """
        user = self._users[home]
        places = self._places.of(user)
        rooms, earlier = self._by_id(who), self._by_id(before)
        for room, seq in rooms.items():
            known = places.get(room.id)
            if known is None or seq >= known.seq:
                self._set(user, room, Place(seq, True))
        kept = {room.id for room in rooms}
        seqs = {room.id: seq for room, seq in earlier.items()}
        alone = user.is_remote and len(self._homes[user]) == 1
        for id in [id for id in places if id not in kept]:
            # A join that only the log has told may be newer than the report, so it is for the log to end it.
            reported = id in seqs and places[id].seq <= seqs[id]
            if reported or (alone and id not in self._core.loaded.by_id):
                self._forget(user, id)

    def _by_id(self, who: Person) -> dict[RoomRef, int]:
        """Return the places of a description; a node of an older version names the rooms alone."""
        if who.room_ids:
            return who.places
        loaded = self._core.loaded
        return {_ref(loaded[room.name]) if room.name in loaded else room: seq for room, seq in who.places.items()}

    def _forget(self, user: User, room: str) -> None:
        self._set(user, self._ref(room), self._places.of(user)[room]._replace(inside=False))
        self._places.forget(user, room)

    def _set(self, user: User, where: RoomRef, place: Place) -> None:
        """Note whether a user is in a room, and make them a member of it, or a member no more."""
        self._places.note(user, where, place)
        room = self._core.loaded.by_id.get(where.id)
        if place.inside and room:
            self._receive(room, user, place.seq)
        elif place.inside and not user.is_remote:
            self.bring(user, where)
        elif room and user in room.members and user.is_remote:
            room.remove_member(user)
        elif room and user in room.members:
            self.take_out(user, room)

    def _receive(self, room: Room, user: User, seq: int) -> None:
        if user in room.members:
            room.members[user] = seq
            return
        room.add_member(user, seq)
        if not user.is_remote:
            self.bring(user, _ref(room))
            return
        for came in self.on_arrival:
            came(user, room)


def _ref(room: Room) -> RoomRef:
    return RoomRef(room.id, room.name)
