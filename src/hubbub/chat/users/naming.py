"""Naming: sessions enter under a name, change it or lose it. In a cluster the other nodes must agree first."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from hubbub.chat.core import Core
from hubbub.chat.replies import NOTHING
from hubbub.chat.rooms.membership import Rooms
from hubbub.chat.session import Posting, Room, Session, User, author, owner
from hubbub.chat.turns import ClientStep, Operation, OperationKind, by_name, no_reply
from hubbub.chat.users.name_requests import (
    ArrivalClaim,
    ArrivalProbe,
    ArrivalWanted,
    LostName,
    NameClaim,
    NameWanted,
    RenameProbe,
)
from hubbub.errors import Refused
from hubbub.model.access import Action, may
from hubbub.model.accounts.account import Account
from hubbub.model.entries import NickChanged
from hubbub.model.events import NickAssigned, Notice
from hubbub.text import names, refusals
from hubbub.text.bounds import NAME_CHARS
from hubbub.text.cleaning import clean
from hubbub.text.names import LOBBY, key_of

TAKEN = ("name-taken", "name-registered")  # codes of refusals that another name may not get
LAST_NUMBER = 99  # highest number appended to a lost name


CLAIMS = ("claim", NameClaim.__name__)  # the kinds of operations in which somebody waits for a name


class Naming:
    """Give the sessions their names, and change them."""

    def __init__(self, core: Core, rooms: Rooms, depart: Callable[[Session, str], None]) -> None:
        self._core = core
        self._rooms = rooms
        self._depart = depart
        core.operations |= by_name(
            OperationKind(NameClaim, no_reply, self._claim, at_once=True),
            OperationKind(RenameProbe, self._rename_again, self.probe, at_once=True),
            # The session has no user yet, and no session without one is moved.
            OperationKind(ArrivalProbe, self._enter_again, self.probe, at_once=True, moves=False),
            OperationKind(ArrivalClaim, no_reply, self._claim_arrival, at_once=True, moves=False),
        )

    def enter(
        self,
        session: Session,
        name: str,
        room: str = LOBBY,
        after: int | None = None,
        outcome: ClientStep | None = None,
        key: str = "",
    ) -> None:
        """Give the session a name of its own, and let it join a room.

        Args:
            session: the session, which has no user yet.
            name: the name that it asks for.
            room: the room to join, the lobby by default.
            after: show the entries after this number, as in `Rooms.join`.
            outcome: the client's step for the outcome, done now or later, unless the session closes. Its last argument
                is None when the session has the name, or the refusal. A later refusal means that a user of another node
                holds the name, or that its holder here was probed and is still connected.
            key: the room key that the session offers.

        Raises:
            Refused: the name or the room's name is invalid, or the name is taken on this node. The session may try
                another one.

        """
        room = names.check_room(clean(room))
        try:
            self._enter(session, ArrivalWanted(name, room, after, key, outcome))
        except Refused as refusal:
            if not self.make_free(session, refusal, ArrivalProbe(name, room, after, key, outcome)):
                raise

    def _enter(self, session: Session, arrival: ArrivalWanted) -> None:
        user, nick = self._core.nicks.claim(arrival.name)
        claim = ArrivalClaim(nick, arrival.room, arrival.after, arrival.key, arrival.outcome)
        if self._core.nicks.names is None:
            self._arrive(session, claim, user, None)
        else:
            session.start(claim)

    def _claim_arrival(self, session: Session, claim: ArrivalClaim, done: Callable[[None], None]) -> None:
        user = self._core.nicks.users[key_of(claim.name)]  # it is claimed on this node already

        def claimed(refusal: Refused | None) -> None:
            self._arrive(session, claim, user, refusal)
            done(None)

        self.claim(session, claim.name, claimed)

    def _arrive(self, session: Session, arrival: ArrivalWanted, user: User, refusal: Refused | None) -> None:
        if refusal or session.closed:
            self._core.nicks.release_all(user)
        else:
            self.attach(session, user)
            self._rooms.join(session, arrival.room, arrival.after, arrival.key)
        self._tell(session, arrival, refusal)

    def _enter_again(self, session: Session, arrival: ArrivalProbe, _: object) -> None:
        try:
            self._enter(session, arrival)
        except Refused as refusal:
            self._tell(session, arrival, refusal)

    @staticmethod
    def _tell(session: Session, arrival: ArrivalWanted, refusal: Refused | None) -> None:
        if arrival.outcome and not session.closed:
            session.call_client(arrival.outcome, refusal)

    def make_free(self, session: Session, refusal: Refused, wanted: NameWanted) -> bool:
        """Probe the holder of a taken name, if it came from the same address, and end its sessions that are gone.

        A connection can disappear without a notice: the network was lost, or the machine sleeps.

        Args:
            session: the session that asks for the name; its next commands wait meanwhile.
            refusal: the refusal of the name.
            wanted: the request of an operation whose kind starts with `probe`. It is answered after the probe; the name
                is free then if the holder was gone.

        Returns:
            Whether the holder is probed. If not, the operation is not started.

        """
        if refusal.code != "name-taken" or not self._silent(session, wanted.name):
            return False
        session.start(wanted)
        return True

    def _silent(self, session: Session, name: str) -> list[Session]:
        """Return the sessions of the holder of a name if all of them may be earlier ones of the peer of a session."""
        holder = self._core.nicks.find(name)
        if holder is None or holder is session.user or not session.address or holder.is_remote:
            return []
        if any(one.address != session.address for one in holder.sessions):
            return []
        return list(holder.sessions)

    def probe(self, session: Session, wanted: NameWanted, done: Callable[[None], None]) -> None:
        """Start to probe the holder of a name; see `make_free`."""
        waiting = dict.fromkeys(self._silent(session, wanted.name))
        if not waiting:  # the holder has left
            done(None)
            return

        def known(one: Session, there: bool) -> None:
            del waiting[one]
            if not there:
                self._depart(one, "")
            if not waiting:
                done(None)

        for one in list(waiting):
            self._core.probe(one, partial(known, one))

    def claim(self, session: Session, nick: str, done: Callable[[Refused | None], None]) -> None:
        """Claim a name in the cluster that the session has claimed on this node already.

        `done` is called later, with None on success, or with the refusal. A name that is registered meanwhile is
        refused.
        """
        assert self._core.nicks.names

        def claimed(refusal: Refused | None) -> None:
            if refusal and refusal.code == "name-taken":
                # The cluster refuses the folded name; the user sees the name as it was typed.
                refusal = refusals.NAME_TAKEN(name=nick)
            elif refusal is None:
                refusal = self._registered(nick)
            done(refusal)

        def wait() -> None:
            if not session.closed:
                self._core.reply(session, Notice((f"One moment: checking whether {nick} is still here",)))

        self._core.nicks.names.claim(key_of(nick), claimed, wait)

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

    def rename(self, session: Session, name: str, refused: ClientStep | None = None) -> None:
        """Give the session's user another name.

        If the name is refused later, because a user of another node holds it or its holder here is still connected, the
        client does the step `refused`, whose last argument is the refusal. Without one the session gets a Refusal.

        Raises:
            Refused: the name is invalid or taken on this node, or a room of the session does not allow it to change its
                name.

        """
        user = owner(session)
        if user.account and key_of(clean(name)) not in user.keys:
            raise refusals.NAME_IS_ACCOUNT(name=user.nick)
        if refused_here := self._kept_name(session):
            raise refused_here
        try:
            self._rename(session, name, refused)
        except Refused as refusal:
            if not self.make_free(session, refusal, RenameProbe(name, refused)):
                raise

    def _kept_name(self, session: Session) -> Refused | None:
        """Return the refusal of a room that does not allow a session to change its user's name; None if all do."""
        viewer = self._core.viewer(session)
        found = (may(viewer, Action.CHANGE_NAME, room.state) for room in owner(session).rooms.values())
        return next(filter(None, found), None)

    def _rename_again(self, session: Session, wanted: RenameProbe, _: object) -> None:
        try:
            self._rename(session, wanted.name, wanted.refused)
        except Refused as refusal:
            self._refuse(session, wanted.refused, refusal)

    def _refuse(self, session: Session, refused: ClientStep | None, refusal: Refused) -> None:
        if refused:
            session.call_client(refused, refusal)
        else:
            self._core.refuse(session, refusal)

    def _rename(
        self,
        session: Session,
        name: str,
        refused: ClientStep | None = None,
        lost: LostName | None = None,
    ) -> None:
        user = owner(session)
        had = user.keys
        _, nick = self._core.nicks.claim(name, user)
        if nick == user.nick:
            self._core.reply(session, Notice((f"You are already {nick}",)))
            return
        claim = NameClaim(nick, user.nick, user.id, refused, lost)
        if key_of(nick) in had:
            self._give(session, claim)
        elif self._core.nicks.names is None:
            self._held(session, claim, None)
        else:
            session.start(claim)

    def _claim(self, session: Session, claim: NameClaim, done: Callable[[None], None]) -> None:
        """Claim a new name in the cluster, which the user of a session has claimed on this node already."""
        try:
            self._core.nicks.claim(claim.nick, owner(session))
        except Refused as refusal:  # the claim was begun in another process
            self._held(session, claim, refusal)
            done(None)
            return

        def claimed(refusal: Refused | None) -> None:
            self._held(session, claim, refusal)
            done(None)

        self.claim(session, claim.nick, claimed)

    def _held(self, session: Session, claim: NameClaim, refusal: Refused | None) -> None:
        """Go on with a rename when the user of a session has the new name, or was refused it."""
        user = session.user
        if user is None or not user.is_known_as(claim.user) or not user.present:
            self._core.nicks.losing.discard(key_of(claim.before))
            self._core.nicks.release(claim.nick)
        elif refusal is None and (claim.lost or (refusal := self._kept_name(session)) is None):
            self._give(session, claim)
        else:
            assert refusal
            self.set_nick(user, user.nick)
            if claim.lost:
                self._try_number(session, claim.lost, refusal)
            else:
                self._refuse(session, claim.refused, refusal)

    def _give(self, session: Session, claim: NameClaim) -> None:
        if claim.lost and claim.lost.in_log:
            self._come_again(session, claim.nick)
        else:
            self._publish(session, claim.nick)

    def rename_to(self, session: Session, account: Account) -> None:
        """Give a guest the name of their account, which they do not hold yet.

        Raises:
            Refused: another user holds the name, or one that looks like it.

        """
        _, nick = self._core.nicks.claim(account.name, owner(session), account)
        self._publish(session, nick)

    def lose_name(self, key: str) -> None:
        """Rename a user whose name a user of another node has taken meanwhile: append the first number that is free.

        The log says already that the user has left, so the user joins the rooms again under the new name: a rename
        would look like one of the new holder.

        Args:
            key: the folded name.

        """
        self._rename_by_number(key, "was taken while the chat could not be reached", True)

    def give_up_name(self, name: str, exact: bool = True) -> None:
        """Rename the guests of this node who hold a name that is registered now, or a name that looks like it.

        Without `exact` the holder of the name itself keeps it.
        """
        for key in self._core.nicks.held_by_guests(name, exact):
            guest = self._core.users[key]
            looks = "" if key == key_of(name) else f"looks like {name}, which "
            # A claim that the cluster has not answered yet is refused when it does.
            if not any(isinstance(one, Operation) and one.kind in CLAIMS for one in guest.changing):
                self._rename_by_number(key, f"{looks}is registered by somebody else now", False)

    def _rename_by_number(self, key: str, reason: str, in_log: bool) -> None:
        user = self._core.users.get(key)
        if user is None or user.is_remote or not user.sessions:
            self._core.nicks.losing.discard(key)
            return
        for one in user.sessions:
            self._core.reply(one, Notice((f"The name {user.nick} {reason}",)))
        self._try_number(user.sessions[0], LostName(key, user.nick[: NAME_CHARS - 4], in_log))

    def _try_number(self, session: Session, lost: LostName, refusal: Refused | None = None) -> None:
        """Give the user of a session the first free name with a number, from a number on."""
        for number in range(lost.number, LAST_NUMBER + 1):
            if refusal and refusal.code not in TAKEN:
                break
            if key_of(f"{lost.name}{number}") == lost.key:
                continue
            try:
                self._rename(session, f"{lost.name}{number}", lost=replace(lost, number=number + 1))
            except Refused as taken:
                refusal = taken
            else:
                return
        self._core.nicks.losing.discard(lost.key)
        for one in list(owner(session).sessions):
            self._depart(one, "no name")

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
