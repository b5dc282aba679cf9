"""The users who own an account: one user for all sessions of an account, under the account's name.

In a cluster these may be sessions on several nodes. No node holds a lease of the name: the record of the account, of
which the store accepts one, keeps the guests of all nodes away from it.

A session logs in before it has a user, or while its user is a guest. Then the guest becomes the account's user, or the
session moves to the account's user if that one is here already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import Struct

from hubbub.chat.core import Core
from hubbub.chat.nodes.remote_users import RemoteUsers
from hubbub.chat.rooms.membership import Rooms
from hubbub.chat.session import Posting, Session, User
from hubbub.chat.turns import Operation, OperationKind, by_name
from hubbub.chat.users.lingering import Lingering
from hubbub.chat.users.naming import Naming
from hubbub.errors import Refused
from hubbub.model import ids
from hubbub.model.accounts.account import Account
from hubbub.model.client import ByteSink, Client, Encoder
from hubbub.model.entries import Draft, Left
from hubbub.model.events import LoggedIn, NickAssigned, Notice
from hubbub.text import refusals
from hubbub.text.concealed import concealed
from hubbub.text.names import key_of

Outcome = Callable[[Refused | None], None]
# Gets the time when the last session of somebody who stays ended, in epoch seconds, and by the id of a room the number
# of the last entry that it was given there; 0.0 and nothing if that is not known.
Recalled = Callable[[float, Mapping[str, int]], None]


class Chat(Protocol):
    """The part of the hub that ends sessions and users; hub.py has the class."""

    def connect(self, client: Client, sink: ByteSink, encoder: Encoder, host: str = "", address: str = "") -> Session:
        """Return the session of a new connection."""
        ...

    def depart(self, session: Session, reason: str = "", asked: bool = False) -> None:
        """End a session with a reason for its peer; `asked` says that its user wished that."""
        ...

    def leave(self, session: Session, user: User, reason: str, asked: bool) -> None:
        """Take a user out of all rooms, by its last session."""
        ...

    def expel_here(self, user: User, reason: str) -> None:
        """End all sessions of a user on this node with a reason."""
        ...


class LoginDue(Struct, frozen=True):
    """A login to the account with an id goes on when its turn comes."""

    account: str


class PasswordChange(Struct, frozen=True):
    """The account of a session is to have another password; `told` is the sentence about it."""

    password: str
    told: str

    __repr__ = concealed


class AccountUsers:
    """Let sessions log in, and follow the changes of accounts.

    Args:
        core: the users, the pipeline and the accounts.
        rooms: the rooms.
        naming: gives users their nicks.
        remote: the users of other nodes.
        chat: ends sessions and users.
        lingering: the users who are here without a session.

    """

    def __init__(
        self,
        core: Core,
        rooms: Rooms,
        naming: Naming,
        remote: RemoteUsers,
        chat: Chat,
        lingering: Lingering,
    ) -> None:
        self._core = core
        self._rooms = rooms
        self._naming = naming
        self._remote = remote
        self._chat = chat
        self._lingering = lingering
        # Reads what the owner of an account who stays, and has no session on any node, was given last; see Staying.
        self.recall: Callable[[str, Recalled], None] = lambda id, done: done(0.0, {})
        self.registering: set[str] = set()  # the folded names that sessions here are registering
        self._due: dict[Session, list[Callable[[], None]]] = {}  # logins whose turn comes, by LoginDue
        core.operations |= by_name(OperationKind(LoginDue, self._go_on, moves=False))
        # By the id of an account: the user who is about to own it, and the other logins, which wait for that.
        self._coming: dict[str, tuple[User, list[Callable[[], None]]]] = {}

    def log_in(self, session: Session, account: Account, outcome: Outcome) -> None:
        """Make a session one of an account, whose credential was right.

        A session that is logged in to the account already has the rights of the new credential afterwards.

        `outcome` is called now or later, unless the session closes: with None when the session belongs to the account's
        user, or with the refusal.

        Raises:
            Refused: the session is logged in to another account, somebody holds the name, or the account was closed or
                its password changed since.

        """
        user, there = session.user, self._core.owners.get(account.host)
        now = self._check_still(account)
        if user and user.account:
            check_same(session, account)
            session.permit = account.permit
            self._rooms.fit(session)
            self._greet(session, user)
            outcome(None)
            return
        if user:
            self._rooms.note_masks(user)
        if user and any(isinstance(one, Posting) and not one.done for one in user.changing):
            # The page logs in beside the commands of its session. What the guest joins, leaves or is renamed to must
            # not become that of the account.
            self._queue(session, account, self._again(session, account, outcome))
            return
        session.permit = account.permit
        if there and not (there.is_remote and self._core.nicks.is_held_by_guest(account.name, user)):
            if now.stays and self._is_away(there):
                self._move_after_recall(session, now, outcome)
            else:
                self._move(session, there, now, outcome)
        elif coming := self._coming.get(account.id):
            coming[1].append(self._again(session, account, outcome))
        elif user and key_of(account.name) in user.keys:
            self._own(user, now)
            outcome(None)
        elif self._core.nicks.is_held_by_guest(account.name, user):
            self._take_back(session, account, outcome)
        elif user:
            self._rename(session, user, account, outcome)
        else:
            self._come(session, now, outcome)

    def _queue(self, session: Session, account: Account, go_on: Callable[[], None]) -> None:
        """Go on with a login after the replies that wait already."""
        self._due.setdefault(session, []).append(go_on)
        session.queue(LoginDue(account.id))

    def _go_on(self, session: Session, due: LoginDue, _: object) -> None:
        calls = self._due.get(session)
        if calls is None:  # it has left, and the logins that it waited for are forgotten
            return
        go_on = calls.pop(0)
        if not calls:
            del self._due[session]
        go_on()

    def _check_still(self, account: Account) -> Account:
        """Return the newest record of an account.

        Raises:
            Refused: it was closed since its credential was checked, or its password was changed.

        """
        now = self._core.nicks.accounts.find(account.name)
        if now is None or now.id != account.id or not now.is_open(self._core.clock()):
            raise refusals.ACCOUNT_CLOSED(name=account.name)
        if now.valid_from > account.valid_from:
            raise refusals.LOGIN_FAILED()
        return now

    def _again(self, session: Session, account: Account, outcome: Outcome) -> Callable[[], None]:
        """Return the call that goes on with a login; the session's next commands wait until then."""
        operation = session.begin("claim")

        def go_on() -> None:
            if not session.closed:
                self.finish(session, account, outcome)
            session.end(operation)

        return go_on

    def _came(self, user: User, id: str) -> None:
        """Go on with the logins that wait for that of a user, which has ended."""
        for go_on in self._coming.pop(id, (user, ()))[1]:
            go_on()

    def finish(self, session: Session, account: Account | Refused, outcome: Outcome) -> None:
        """Log a session in after the check of its credential, or report the refusal; see `log_in`."""
        if isinstance(account, Refused):
            outcome(account)
            return
        try:
            self.log_in(session, account, outcome)
        except Refused as refusal:
            outcome(refusal)

    def _take_back(self, session: Session, account: Account, outcome: Outcome) -> None:
        """Let the guest who holds the name of an account have another one, and log in when the name is free."""
        self._core.nicks.when_free(account.name, self._again(session, account, outcome))
        self._naming.give_up_name(account.name)

    def _come(self, session: Session, account: Account, outcome: Outcome) -> None:
        """Give a session without a user the new user of an account."""
        user, _ = self._core.nicks.claim(account.name, account=account)
        self._assign(user, account)
        self._naming.attach(session, user)
        self._greet(session, user)
        outcome(None)

    def _rename(self, session: Session, user: User, account: Account, outcome: Outcome) -> None:
        """Give a guest the name of their account."""

        def end(refusal: Refused | None) -> None:
            outcome(refusal)
            self._came(user, account.id)

        def stored() -> None:
            now = self._now(account)
            if isinstance(now, Refused):
                end(now)
                self._naming.give_up_name(account.name)
            elif key_of(user.nick) != key_of(account.name):
                end(refusals.LOGIN_FAILED())  # the rename could not be stored, and the session has been told so
            else:
                self._own(user, now)
                end(None)

        self._coming[account.id] = user, []
        try:
            self._naming.rename_to(session, account)
        except Refused:
            del self._coming[account.id]
            raise
        self._queue(session, account, stored)  # behind the rename among the session's replies

    def _now(self, account: Account) -> Account | Refused:
        """Return the newest record of an account, or the refusal of `_check_still`."""
        try:
            return self._check_still(account)
        except Refused as refusal:
            return refusal

    def _is_away(self, user: User) -> bool:
        """Return whether the owner of an account is kept by another node, and has no session there."""
        return user.is_remote and not self._remote.screens(user)

    def _move_after_recall(self, session: Session, account: Account, outcome: Outcome) -> None:
        """Make a session one of the user whom another node keeps, and show the entries that the user has missed."""
        operation = session.begin("claim")

        def recalled(left_at: float, given: Mapping[str, int]) -> None:
            there = self._core.owners.get(account.host)
            if not session.closed and there and self._is_away(there):
                there.left_at, there.given = left_at, dict(given)
                self._move(session, there, account, outcome)
            elif not session.closed:
                self.finish(session, account, outcome)
            session.end(operation)

        self.recall(account.id, recalled)

    def _move(self, session: Session, there: User, account: Account, outcome: Outcome) -> None:
        """Make a session one of the account's user that is in the chat already; the guest that it was leaves it."""

        def welcome() -> None:
            self._greet(session, there)
            outcome(None)

        if guest := session.user:
            self._retire(session, guest)
            there.absorb(guest)
            session.replies.append(NickAssigned(there.nick, guest.nick, alone=True))
        if first := there.is_remote:
            self._remote.take_in(there)
            there.own(account)
        self._naming.attach(session, there, welcome)
        if first:
            self._remote.came(there)
        for room in there.rooms.values():
            self._rooms.inherit_rights(there, room)

    def _retire(self, session: Session, guest: User) -> None:
        """Take a guest out of the chat, whose session goes on as another user's."""
        session.next_id += 1
        id = ids.make_id(session.id_prefix, session.next_id)
        leaves = []
        for room in list(guest.rooms.values()):
            left = Draft(room.name, guest.nick, Left(quit=True), id, guest.host, guest.tags, True, room.id)
            # Without the session, because by the time that it is stored, the session belongs to the other user.
            leaves.append(Posting(left))
            self._rooms.remove(guest, room, unseen=True)
        for leave in leaves:
            self._core.pipeline.add(leave)
        guest.remove_session(session)
        guest.present = False
        self._core.nicks.release_all(guest)
        self._core.on_user_changed(guest)
        for tell in self._core.presence:
            tell(guest, "")

    def _own(self, user: User, account: Account) -> None:
        """Make a guest the user of an account; the rights that they have in rooms now belong to the account."""
        before = user.mask
        rights = {room: letters for room in user.rooms.values() if (letters := room.state.status.get(user))}
        self._assign(user, account)
        for room, letters in rights.items():
            self._rooms.move_rights(user, room, {before: letters})
        self._core.on_user_changed(user)
        for tell in self._core.account_changes:
            tell(user, before)
        for session in user.sessions:
            self._rooms.fit(session)
            self._greet(session, user)

    def _assign(self, user: User, account: Account) -> None:
        user.own(account)
        user.recall(self._core.memories.of(account.host, self._core.clock()))
        self._core.owners[user.host] = user
        self._core.nicks.need_no_lease(user)

    def _greet(self, session: Session, user: User) -> None:
        self._core.reply(session, LoggedIn(user.nick))

    def forget(self, user: User) -> None:
        """Forget a user who has left."""
        self._core.disown(user)
        # They may never be sent the replies before their login: their peers are gone.
        for session in [one for one in self._due if one.user is user]:
            del self._due[session]
        for id in [id for id, (coming, _) in self._coming.items() if coming is user]:
            self._came(user, id)

    # --- changes of accounts ----------------------------------------------------------------------------------------

    def changed(self, account: Account) -> None:
        """Follow an account that was registered, changed, suspended or deleted, here or elsewhere."""
        user = self._core.owners.get(account.host)
        if user is None or user.is_remote:
            if user:
                user.account = account
            busy = key_of(account.name) in self.registering or account.id in self._coming
            self._naming.give_up_name(account.name, exact=not busy)
        elif not account.is_open(self._core.clock()):
            self._chat.expel_here(user, f"The account {account.name} is closed")
        else:
            before = user.account
            user.own(account)
            self._core.on_user_changed(user)
            self._core.tell_modes(user)
            if before and before.stays and not account.stays:
                self._lingering.end_stay(user, "")
            if before and account.valid_from > before.valid_from:
                self._end_older(user)

    def _end_older(self, user: User) -> None:
        """End the sessions of a user whose password was changed, except the one in which it was changed."""
        for session in list(user.sessions):
            if not any(
                isinstance(one, Operation) and isinstance(one.request, PasswordChange) for one in session.pending
            ):
                self._core.reply(session, Notice(("Your password was changed; log in again",)))
                self._chat.depart(session, "password changed")


def check_same(session: Session, account: Account) -> None:
    """Raise Refused if a session is logged in to another account: its nick and its rooms belong to that one."""
    mine = session.user.account if session.user else None
    if mine and mine.id != account.id:
        raise refusals.LOGGED_IN_ALREADY(name=mine.name)
