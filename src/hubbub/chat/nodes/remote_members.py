"""The rooms of the users of other nodes, as far as this node knows of them.

In which rooms they are is known from two sides: their node reports it, and the logs of the rooms that are loaded here
say it. Both give the number of a join or a leave in the log, and the highest number counts, whoever says it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from hubbub.chat.core import Core
from hubbub.chat.nodes.orphans import Orphans
from hubbub.chat.nodes.person import Person
from hubbub.chat.nodes.remote_places import Place, RemotePlaces
from hubbub.chat.session import Posting, Room, User
from hubbub.model.accounts.account import id_of, is_account
from hubbub.model.entries import Draft, Entry, Joined, Kicked, Left
from hubbub.model.ids import user_of
from hubbub.model.room.room_ids import RoomRef
from hubbub.text.names import key_of

FRESH = 60.0  # seconds up to which a join in the log is taken for a new one; older ones were imported or read late


class RemoteMembers:
    """The memberships of the users of all other nodes, in the rooms that are loaded here and in others.

    Args:
        core: the rooms that are loaded, and the pipeline.
        authors: the users of all nodes who are here, by the prefixes of their ids.

    """

    def __init__(self, core: Core, authors: Mapping[str, User]) -> None:
        self._core = core
        self._authors = authors
        self._places = RemotePlaces()
        self.rooms = self._places.rooms  # by the id of a room that has any: its remote members, and their joins
        # Called with a remote user, and the loaded room of which the user became a member.
        self.on_arrival: list[Callable[[User, Room], None]] = []
        # Returns whether this node may publish joins of its users; if not, `rejoin` is called when it may.
        self.may_speak: Callable[[], bool] = lambda: True
        # The members of this node whose membership the log has ended, for example because this node was cut off. They
        # are here still, so they join again.
        self._ended: dict[tuple[User, Room], None] = {}
        self.orphans = Orphans(core, authors, self.publish_leaves)
        # Called with a user of this node whom another node has put into a room, or taken out of one.
        self.bring: Callable[[User, RoomRef], None] = lambda user, room: None
        self.take_out: Callable[[User, Room], None] = lambda user, room: None

    # --- users who come and go --------------------------------------------------------------------------------------

    def begin(self, user: User) -> None:
        """Begin with a user, whose rooms are not known yet."""
        self._places.begin(user)

    def begin_here(self, user: User) -> None:
        """Begin with a user who has been on this node alone, and is in some rooms."""
        if user not in self._places:
            self._places.begin(user)
            for room in user.rooms.values():
                self._places.note(user, _ref(room), Place(room.members.get(user, 0), True))

    def bring_in(self, user: User) -> None:
        """Bring a user, whose first session on this node has come, into the rooms that are not loaded yet."""
        for room in self.places(user):
            if room not in self._core.loaded.by_id:
                self.bring(user, self._places.ref(room))

    def end(self, user: User) -> None:
        """Forget a user who is on this node alone now."""
        self._places.end(user)

    def depart(self, user: User, orphans: bool) -> None:
        """Take a user who is gone out of all rooms; `orphans` says that their leaves are still to come."""
        for room, seq in self.places(user).items():
            if orphans and seq and user.id_prefix and room in self._core.loaded.by_id:
                self.orphans.add(user.id_prefix, room, seq, user.nick, user.host)
        for room in list(self._places.of(user)):
            self._forget(user, room)
        self._places.end(user)

    # --- rooms ------------------------------------------------------------------------------------------------------

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

    def of_room(self, name: str) -> Mapping[User, int]:
        """Return the remote members of a room that is not loaded here, by its name, with their joins."""
        return {} if name in self._core.loaded else self._places.named(name)

    def counts(self) -> dict[str, int]:
        """Return the number of the remote members of each room that is not loaded here, by the names of the rooms."""
        elsewhere = ((id, name) for id, name in self._places.names.items() if id not in self._core.loaded.by_id)
        return {name: len(self.rooms[id]) for id, name in elsewhere if name not in self._core.loaded}

    # --- what the logs and the other nodes say ----------------------------------------------------------------------

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

    def report(self, user: User, before: Person, who: Person, alone: bool) -> None:
        """Apply a report of a node: the rooms of one of its users, with the numbers of the joins.

        The report of another node may be newer than this one, so a room is left only if this node has reported it.

        Args:
            user: the user.
            before: the last report of the node about the user.
            who: the new one.
            alone: whether the user is on that node alone.

        """
        places = self._places.of(user)
        rooms, earlier = self._by_id(who), self._by_id(before)
        for room, seq in rooms.items():
            known = places.get(room.id)
            if known is None or seq >= known.seq:
                self._set(user, room, Place(seq, True))
        kept = {room.id for room in rooms}
        seqs = {room.id: seq for room, seq in earlier.items()}
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
