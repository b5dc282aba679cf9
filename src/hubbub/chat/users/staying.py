"""The owners of accounts who stay in their rooms while no session of theirs is connected, also over a restart.

Their rooms are kept in a store. When the server starts, each of them comes back as a user without a session. The others
see nothing of it: the log says that they never left.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, NamedTuple, Protocol

from hubbub.chat.core import Core
from hubbub.chat.nodes.remote_users import RemoteUsers
from hubbub.chat.rooms.membership import Rooms
from hubbub.chat.session import Room, User
from hubbub.chat.users.account_users import AccountUsers, Chat, Recalled
from hubbub.chat.users.lingering import Lingering
from hubbub.errors import BrokerError, Refused
from hubbub.model.accounts.account import Account, id_of
from hubbub.model.events import Event

SOON = 1.0  # seconds until a change is stored: a user who joins many rooms costs one write
TOO_LONG = "away for too long"  # the reason of a leave


class StayedRoom(NamedTuple):
    """A room in which the owner of an account stays.

    Args:
        id: the id of the room.
        name: its name.
        joined: the number of the join in its log.
        given: the number of the last entry that the owner's last session was given; only known if that has ended.

    """

    id: str
    name: str
    joined: int
    given: int


class Stay(NamedTuple):
    """The rooms in which the owner of an account stays.

    Args:
        account: the id of the account.
        rooms: the rooms.
        since: the time when the last session ended, in epoch seconds; 0 while one is connected.

    """

    account: str
    rooms: tuple[StayedRoom, ...]
    since: float


class Stays(Protocol):
    """The stored stays: durable, and the same on all nodes."""

    def all(self, done: Callable[[Sequence[Stay] | BrokerError], None]) -> None:
        """Call `done` later with the stays: a bounded number of them, those that were changed last."""
        ...

    def get(self, account: str, done: Callable[[Stay | None], None]) -> None:
        """Call `done` later with the stay of the account with an id; None if there is none, or it cannot be read."""
        ...

    def keep(self, account: str, stay: Stay | None) -> None:
        """Store the stay of the account with an id in place of the last one; None deletes it."""
        ...

    def claim(self, stay: Stay, done: Callable[[bool], None]) -> None:
        """Call `done` later, with True on one node alone of all that have read the same stay."""
        ...


class _Nobody:
    """The client of a session that no connection has."""

    def send_event(self, event: Event) -> None: ...

    def resume_input(self) -> None: ...


NOTHING: Any = None  # the output of such a session: it ends before it is in a room, so nothing is written to it


class Staying:
    """Keep the rooms of the owners of accounts, and bring the owners back.

    Args:
        core: the users and the clock.
        rooms: the rooms.
        remote: the users of other nodes.
        users: the users who own an account.
        chat: connects and ends sessions.
        lingering: the users who are here without a session.

    """

    def __init__(
        self,
        core: Core,
        rooms: Rooms,
        remote: RemoteUsers,
        users: AccountUsers,
        chat: Chat,
        lingering: Lingering,
    ) -> None:
        self._core = core
        self._rooms = rooms
        self._remote = remote
        self._users = users
        self._chat = chat
        self._lingering = lingering
        self.store: Stays | None = None  # None if nothing is stored
        self.seconds = 0.0  # for which a user stays without a session; 0 for ever
        self._stored: set[str] = set()  # the ids of accounts that have an item in the store
        self._planned: set[str] = set()  # the ids of accounts that are stored soon
        self._coming: set[str] = set()  # the ids of accounts whose rooms are being loaded
        core.user_changes.append(self._note)
        users.recall = self._recall

    def _note(self, user: User) -> None:
        """Follow a change of a user of this node."""
        account = user.account
        if account is None or self.store is None or account.id in self._coming:
            return
        if not user.present:
            self._forget(self.store, account.id)
        elif (account.stays or account.id in self._stored) and account.id not in self._planned:
            self._planned.add(account.id)
            self._core.later(SOON, partial(self._write, self.store, user, account.id))

    def _is_alone(self, user: User) -> bool:
        """Return whether a user is here, and has no session on any node.

        Two nodes may have taken over the same user, if one of them read the stay just after the claim of the other.
        """
        return user.present and not (user.is_remote or user.sessions or self._remote.screens(user))

    def _write(self, store: Stays, user: User, id: str) -> None:
        self._planned.discard(id)
        if self.store is None or not user.present:
            return
        if not (user.account and user.account.stays):
            self._forget(store, id)
        elif user.sessions or self._is_alone(user):  # else the other node stores it
            self._stored.add(id)
            store.keep(id, self._stay(user, id, 0.0 if user.sessions else user.left_at))

    def _forget(self, store: Stays, id: str) -> None:
        if id in self._stored:
            self._stored.discard(id)
            store.keep(id, None)

    def _stay(self, user: User, id: str, since: float) -> Stay:
        rooms = user.rooms.values()
        return Stay(
            id,
            tuple(StayedRoom(one.id, one.name, one.members.get(user, 0), self._given(user, one)) for one in rooms),
            since,
        )

    def _given(self, user: User, room: Room) -> int:
        here = [self._core.delivery.delivered_up_to(one, room) for one in user.sessions if one in room.sessions]
        return max(here) if here else user.given.get(room.id, 0)

    def end(self) -> None:
        """Store all stays for the last time: the server stops, and all sessions end now."""
        store, self.store = self.store, None
        if store is None:
            return
        for user in self._core.owners.values():
            if user.account and user.account.stays and (user.sessions or self._is_alone(user)):
                since = self._core.clock() if user.sessions else user.left_at
                store.keep(user.account.id, self._stay(user, user.account.id, since))

    def expire(self) -> None:
        """Let everybody leave who has had no session for too long."""
        before = self._core.clock() - self.seconds
        for user in list(self._core.owners.values()) if self.seconds else ():
            if user.left_at <= before and self._is_alone(user):
                self._lingering.end_stay(user, TOO_LONG)

    # --- after the end of another node ------------------------------------------------------------------------------

    def _recall(self, id: str, done: Recalled) -> None:
        def read(stay: Stay | None) -> None:
            known = stay if stay and stay.since else Stay(id, (), 0.0)
            done(known.since, {one.id: one.given for one in known.rooms})

        if self.store:
            self.store.get(id, read)
        else:
            done(0.0, {})

    def keeps(self, user: User) -> bool:
        """Return whether a user stays without a session, so that another node takes them over if theirs is gone."""
        # Not that of the user: other nodes are heard before the accounts are read.
        account = self._core.nicks.accounts.find(user.nick) if self.store else None
        return bool(account and account.host == user.host and account.stays and account.is_open(self._core.clock()))

    def take_over(self, user: User) -> None:
        """Let a user come here whose last node is gone, unless they do not stay, or another node is faster."""
        store = self.store

        def read(stay: Stay | None) -> None:
            if stay and store and (account := self._account_of(stay)):
                store.claim(stay, partial(self._claimed, account, stay, lambda: None))

        if store and self.keeps(user) and not user.present:
            store.get(id_of(user.host), read)

    # --- after a restart --------------------------------------------------------------------------------------------

    def begin(self, store: Stays, done: Callable[[BrokerError | None], None]) -> None:
        """Let all owners of accounts stay again who stayed before, and store the stays from now on.

        They come one after the other, so the rooms of one of them are being loaded at a time. `done` is called when
        all are here, or with the error if the store cannot be read.
        """

        def read(stays: Sequence[Stay] | BrokerError) -> None:
            if isinstance(stays, BrokerError):
                done(stays)
                return
            self.store = store
            self._next(store, deque(stays), partial(done, None))

        store.all(read)

    def _next(self, store: Stays, waiting: deque[Stay], done: Callable[[], None]) -> None:
        go_on = partial(self._next, store, waiting, done)
        while waiting:
            stay = waiting.popleft()
            if account := self._account_of(stay):
                store.claim(stay, partial(self._claimed, account, stay, go_on))
                return
            store.keep(stay.account, None)
        done()

    def _account_of(self, stay: Stay) -> Account | None:
        """Return the account whose owner stays; None if that is over."""
        account, now = self._core.nicks.accounts.by_id(stay.account), self._core.clock()
        over = bool(self.seconds and stay.since) and now - stay.since >= self.seconds
        return account if account and account.stays and account.is_open(now) and not over else None

    def _claimed(self, account: Account, stay: Stay, done: Callable[[], None], won: bool) -> None:
        if won and account.host not in self._core.owners:  # else another node has them
            self._come(account, stay, done)
        else:
            done()

    def _come(self, account: Account, stay: Stay, done: Callable[[], None]) -> None:
        """Let the owner of an account log in with a session that ends at once, and bring them into their rooms."""
        self._coming.add(account.id)
        session = self._chat.connect(_Nobody(), NOTHING, NOTHING)
        with suppress(Refused):
            self._users.log_in(session, account, lambda refusal: None)
        user = session.user
        self._chat.depart(session)
        if user is None:  # a guest has the name, and is about to lose it
            self._coming.discard(account.id)
            done()
            return
        self._stored.add(account.id)
        user.left_at = stay.since or self._core.clock()
        rooms = stay.rooms[: self._core.limits.max_rooms]
        left = len(rooms)

        def opened(one: StayedRoom, room: Room | BrokerError) -> None:
            nonlocal left
            if not isinstance(room, BrokerError) and self._is_member(user, one, room):
                self._enter(user, one, room, bool(stay.since))
            left -= 1
            if not left:
                # In the order of joining, whichever was loaded first: the first one is current at the next login.
                user.rooms |= {known.id: user.rooms.pop(known.id) for known in rooms if known.id in user.rooms}
                self._came(user, account.id, done)

        for one in rooms:
            self._rooms.load_for(user, one.name, partial(opened, one))
        if not rooms:
            self._came(user, account.id, done)

    def _is_member(self, user: User, one: StayedRoom, room: Room) -> bool:
        """Return whether a user has neither left the room since, nor was kicked or banned."""
        if room.id != one.id or not room.end.seq or room.departed.get(user.host, 0) > one.joined:
            return False
        return user.operator or not room.state.lists.verdict(self._core.viewer_of(user)).banned

    def _enter(self, user: User, one: StayedRoom, room: Room, knows: bool) -> None:
        """Make a user a member of a room; `knows` says that the end of their last session is known."""
        user.trust(room.id)  # the host is that of an account, so the rights there are theirs
        room.add_member(user, one.joined)
        if knows:
            user.given = {**user.given, room.id: one.given}

    def _came(self, user: User, id: str, done: Callable[[], None]) -> None:
        self._coming.discard(id)
        if user.rooms:
            self._core.on_user_changed(user)
        else:
            self._lingering.end_stay(user, "")
        done()
