"""The hub holds all sessions, users and rooms of one process; it checks permissions and publishes drafts.

Rules of this file:

 1. Every method is a plain `def`: the event loop is the only lock. An operation that must wait for the log
    ends later in another call. Meanwhile the next commands of that session wait (`Session.pending`), and no
    other session does.
 2. Every action of a session becomes a draft. No session sees any of it until `Pipeline.committed` brings it
    back as an entry.
 3. Every reply to a session goes through `reply`, which keeps its place behind the earlier drafts of the session:
    when a session gets its reply, the others have already received the entries that it published before.
 4. Delivery never waits. A session whose transport takes no bytes is skipped, and is brought up to date from
    the log when the transport is ready again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from hubbub.chat.classroom import hands
from hubbub.chat.classroom.questions import Questions
from hubbub.chat.core import Core, HubLog
from hubbub.chat.effects import Effects
from hubbub.chat.giving import is_hidden
from hubbub.chat.nodes.person import Screen, screen
from hubbub.chat.nodes.remote_users import RemoteUsers
from hubbub.chat.notices.mentions import Mentions
from hubbub.chat.notices.pushes import Pushes
from hubbub.chat.pipeline import Scheduler
from hubbub.chat.private.private_history import PrivateHistory
from hubbub.chat.private.private_log import PrivateLog
from hubbub.chat.rooms.delivery import Limits
from hubbub.chat.rooms.membership import Rooms
from hubbub.chat.session import Room, Session, User
from hubbub.chat.taking_back import TakingBack
from hubbub.chat.turns import OperationKind, by_name
from hubbub.chat.users.account_users import AccountUsers
from hubbub.chat.users.accounts import Accounts
from hubbub.chat.users.credential_checks import CredentialChecks
from hubbub.chat.users.lingering import Lingering
from hubbub.chat.users.naming import Naming
from hubbub.chat.users.reading import Reading
from hubbub.chat.users.staying import Staying
from hubbub.errors import Refused
from hubbub.model.access import Action, members_speak_freely
from hubbub.model.accounts.account import Account
from hubbub.model.accounts.grants import EVERYTHING
from hubbub.model.client import ByteSink, Client, Encoder
from hubbub.model.entries import Kind, Left, Said, TopicSet
from hubbub.model.events import Event, Goodbye, Notice
from hubbub.model.ids import end_of
from hubbub.model.room.room_ids import NamedRoom
from hubbub.text import names, refusals
from hubbub.text.bounds import TOPIC_BYTES
from hubbub.text.cleaning import clean, cut, is_blank, one_line, reason_of, said
from hubbub.text.tags import join


class Post(Struct, frozen=True):
    """A session wants to publish a message in a room that it need not be in; see `Hub.post`.

    Args:
        name: the nick that the session asked for.
        room: the name of the room.
        body: the message.
        tags: its tags.
        label: the session's label for it.

    """

    name: str
    room: str
    body: Said
    tags: str
    label: str


class Hub(Core):
    """All rooms and all sessions of this process.

    Args:
        log: orders and stores the entries.
        clock: returns the seconds since the epoch.
        boot: a prefix of every id; it differs for every start of every server.
        scheduler: the running event loop.
        limits: the limits of the core.
        ticks: returns seconds on a monotonic clock, which measures durations; `clock` by default.

    """

    def __init__(
        self,
        log: HubLog,
        clock: Callable[[], float],
        boot: str,
        scheduler: Scheduler,
        limits: Limits | None = None,
        ticks: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(log, clock, scheduler, limits, ticks)
        self.node_name = ""  # as people see it in the list of their sessions; the owner sets it
        self.page_url = ""  # the address of the page, "" if there is none; the owner sets it
        # Returns a QR code of a text as lines for a terminal; the owner sets it.
        self.qr: Callable[[str], Sequence[str]] = lambda text: ()
        self._boot = boot
        self._sessions = 0
        self.remote = RemoteUsers(self)
        self.rooms = Rooms(self, self.remote)
        self.naming = Naming(self, self.rooms, self.depart)
        self.lingering = Lingering(self, self.rooms, self.remote, self.leave)
        self.account_users = AccountUsers(self, self.rooms, self.naming, self.remote, self, self.lingering)
        self.credentials = CredentialChecks(self, self.naming, self.account_users)
        self.staying = Staying(self, self.rooms, self.remote, self.account_users, self, self.lingering)
        self.private_log = PrivateLog(self, self.remote)
        self.private_history = PrivateHistory(self)
        self.questions = Questions(self, f"{boot}q.")
        self.mentions = Mentions(self)
        self.reading = Reading(self)
        self.pushes = Pushes(self, self.mentions, lambda: self.page_url)
        self.mentions.found = self.private_log.arrived = self.pushes.note
        self.taking_back = TakingBack(self)
        self.effects = Effects(self, self.rooms, self.naming, self.remote, self.private_log, self.mentions)
        self.user_changes.append(self.note_ignored)
        self.remote.members.bring, self.remote.members.take_out = self.rooms.bring, self.rooms.remove
        self.remote.rename = self.naming.renamed_elsewhere
        self.holders.end = self._end_of_grant
        self.operations |= by_name(OperationKind(Post, self._post, self._load_for_post, at_once=True))

    def use_accounts(self, accounts: Accounts) -> None:
        """Let these accounts decide who owns a name."""
        self.nicks.accounts = accounts
        self.remote.know_accounts()
        self.guests_read = accounts.guests == "read"
        accounts.changed.append(self.account_users.changed)
        accounts.changed.append(self.taking_back.review)
        self.holders.follow(accounts)
        self.mentions.follow(accounts)
        accounts.changed.append(self._note_account)

    def note_ignored(self, user: User) -> None:
        """Note whether a user of this node ignores somebody: only then is what they are written looked through."""
        if user.ignored and user.sessions:
            self.delivery.ignorers[user] = user.ignored
        else:
            self.delivery.ignorers.pop(user, None)

    def _note_account(self, account: Account) -> None:
        if user := self.owners.get(account.host):
            self.note_ignored(user)

    # --- sessions -------------------------------------------------------------------------------------------

    def connect(self, client: Client, sink: ByteSink, encoder: Encoder, host: str = "", address: str = "") -> Session:
        """Return the session of a new connection; it has no nick yet and is in no room."""
        self._sessions += 1
        session = Session(f"{self._boot}{self._sessions:x}.", client, sink, encoder, host, address)
        session.redactions = self.redactions
        session.deliver, session.operations = self.delivery.start, self.operations
        return session

    def session_ready(self, session: Session) -> bool:
        """Return whether the session's next command may run now; if not, `Client.resume_input` is called later."""
        user = session.user
        # The first half is `Session.waits`, without a call: this is asked before each line.
        if session.closed or session.pending or (user and user.changing) or (session.replies and session.is_blocked):
            return False
        if self.pipeline.is_full:
            self.pipeline.wait_for_room(session)
            return False
        return True

    def depart(self, session: Session, reason: str = "", asked: bool = False) -> None:
        """End a session: no more entries are delivered to it. With its last session the user leaves.

        `asked` says that the user wanted to leave; otherwise the connection was lost, or others ended the session.
        Replies that wait are still sent, followed by Goodbye. A second call does nothing.
        """
        if session.closed:
            return
        self.delivery.settle(session)
        session.closed = True
        user = session.user
        if user and len(user.sessions) == 1 and not self.lingering.lingers(user, asked):
            self.leave(session, user, reason, asked)
        else:
            self._go(session, user, reason)
        self.rooms.withdraw(session)
        self.holders.release(session)
        session.pending.clear()
        self.reply(session, Goodbye())

    def _go(self, session: Session, user: User | None, reason: str) -> None:
        """Take a session from its rooms and its user. The user remains in the rooms."""
        rooms = list(session.rooms.values())
        if user and len(user.sessions) == 1:
            user.left_at = self.clock()
        if user:
            user.remove_session(session)
            # Those that no session is given any more: another session may be there for some rooms only.
            alone = [room for room in rooms if not any(one in room.sessions for one in user.sessions)]
            user.given = {**user.given} | {room.id: self.delivery.delivered_up_to(session, room) for room in alone}
        for room in rooms:
            self.rooms.detach(session, room)
        if user:
            self.on_user_changed(user)
            if not user.sessions:
                self.lingering.wait(session, user, reason)

    def leave(self, session: Session, user: User, reason: str, asked: bool) -> None:
        """Take a user out of all rooms with their last session, and free their nick."""
        leaves: dict[NamedRoom, Left] = {}
        joining = [self.loaded.by_id[id] for id in user.joining]
        for room in () if self.closing else (*user.rooms.values(), *joining):
            # `must_store`: the other members must see the leave even if the disk is full at the moment.
            if leave := user.leave_of(room.id):
                leave.must_store = True
            else:
                text = self.reason(session, room, reason) if asked else reason_of(reason)
                leaves[room] = Left(text, quit=True, lost=not asked)
        # A node on which the owner of an account was before may publish this leave as well.
        joins = [room.members.get(user, 0) for room in user.rooms.values()]
        id = end_of(user.account.id, joins) if user.account else ""
        self.publish_event(session, leaves, next(iter(user.held_names()), ""), must_store=True, id=id)
        for joined in list(user.rooms.values()):
            self.rooms.remove(user, joined)
        if session in user.sessions:
            user.remove_session(session)
        self.account_users.forget(user)
        user.present = False
        self.nicks.release_all(user)
        self.on_user_changed(user)
        for tell in self.presence:
            tell(user, "")

    def expel(self, user: User, reason: str) -> None:
        """End all sessions of a user, on this node or on another one, and give them the reason."""
        if self.remote.homes(user):
            self.remote.expel(user, reason)
        self.expel_here(user, reason)

    def expel_here(self, user: User, reason: str) -> None:
        """End all sessions of a user on this node, and give them the reason."""
        for session in list(user.sessions):
            self.reply(session, Notice((f"You are cut off: {reason}",)))
            self.depart(session, reason)
        if user.present and user.last_session:
            self.leave(user.last_session, user, reason, False)

    def screens(self, user: User) -> list[Screen]:
        """Return the sessions of the owner of an account on all nodes; without others, the node has no name."""
        others = self.remote.screens(user)
        node = self.node_name if others else ""
        return [*(screen(one, node) for one in user.sessions), *others]

    def end_sessions(self, user: User, ids: Collection[str]) -> None:
        """End those sessions of a user that have one of the ids, on this node or on another one."""
        if self.remote.homes(user):
            self.remote.end(user, ids)
        self.end_sessions_here(user, ids)

    def end_sessions_here(self, user: User, ids: Collection[str]) -> None:
        """End those sessions of a user on this node that have one of the ids."""
        for session in list(user.sessions):
            if session.id_prefix in ids:
                self.reply(session, Notice(("You have ended this session from another device",)))
                self.depart(session)

    def send_to(self, user: User, event: Event) -> None:
        """Send an event to all sessions of a user, on this node or on another one; paused sessions miss it."""
        if self.remote.homes(user):
            self.remote.send(user, event)
        if not is_hidden(user, event):
            for session in user.sessions:
                session.tell(event)

    def _end_of_grant(self, session: Session) -> None:
        self.reply(session, Notice(("This session was ended, because its token or login is no longer valid",)))
        self.depart(session, "session ended")

    # --- actions of sessions --------------------------------------------------------------------------------

    def say(
        self,
        session: Session,
        text: str,
        room: str = "",
        kind: Kind = Kind.MESSAGE,
        label: str = "",
        tags: str = "",
    ) -> None:
        """Publish a message of the session (or an action, for Kind.ACTION) in a room, its current one by default.

        A label consists of letters, digits and hyphens, and the session uses it only once. With a label the session
        gets an `Acknowledged` reply when the entry is stored, and the id of the entry ends with the label.

        Raises:
            Refused: the session is not in that room or may not speak there; or there is a label, and the text is empty.
                Without a label an empty text is no error, and nothing is published.

        """
        if session.permit is not EVERYTHING and "read" not in session.permit.scopes:
            self._say_unseen(session, text, room, kind, label)
            return
        text, formatting = said(text, session.preserves_spaces)
        if label and not text:
            raise refusals.NO_TEXT()
        if text:
            where = self.rooms.of(session, room)
            assert session.user is not None
            is_free = members_speak_freely(where.state)
            if self.guests_read or not is_free or session.permit is not EVERYTHING:
                self.speak(self.viewer(session), where)
            session.user.active = self.clock()
            tags = join(tags, formatting) if tags else formatting
            self.publish(session, where.state, Said(text, kind), tags, label)
            if not is_free:
                hands.use_turn(self, session, where, session.user)

    def _say_unseen(self, session: Session, text: str, room: str, kind: Kind, label: str) -> None:
        """Publish a message of a session whose token does not let it read, so that it is in no room.

        Raises:
            Refused: as `post` does; or no room is named, and the token is for several.

        """
        rooms = session.permit.rooms
        if not room and len(rooms) != 1:
            raise refusals.NOT_IN_ANY_ROOM()
        self.post(session, "", room or next(iter(rooms)), text, label, kind)

    def post(self, session: Session, name: str, room: str, text: str, label: str, kind: Kind = Kind.MESSAGE) -> None:
        """Publish a message under a nick that no user holds, in a room that the session need not be in.

        A session that acts for an account publishes under the account's name.

        The session gets an `Acknowledged` reply with the label when the message is stored, or a Refusal, for example
        because of the room's modes. The session does not hold the nick afterwards.

        Raises:
            Refused: the nick is invalid, taken or not that of the session's account; the room's name is invalid, or
                another room is being renamed to it; or the text is empty.

        """
        self._posting_nick(session, name)
        room = names.check_room(clean(room))
        self.rooms.check_not_coming(room)
        text, formatting = said(text)
        if not text:
            raise refusals.NO_TEXT()
        session.start(Post(name, room, Said(text, kind), formatting, label))

    def _load_for_post(self, session: Session, post: Post, done: Callable[[None], None]) -> None:
        self.rooms.visit(session, [post.room], done)

    def _post(self, session: Session, post: Post, _: object) -> None:
        try:
            self._publish_post(session, post)
        except Refused as refusal:
            self.refuse(session, refusal, post.label, post.room)
        self.rooms.end_visit(session)

    def _publish_post(self, session: Session, post: Post) -> None:
        room = self.rooms.loaded.get(post.room)
        if room is None:
            raise refusals.ROOM_UNREADABLE(room=post.room)
        nick = self._posting_nick(session, post.name)
        if not room.end.seq:
            names.check_new_room(post.room)
        viewer = self.viewer(session, "" if session.user else nick)
        self.speak(viewer, room)
        self.rooms.check_may_open(session, room)
        self.publish(session, room.state, post.body, post.tags, post.label, nick)
        if viewer.user:
            hands.use_turn(self, session, room, viewer.user)

    def _posting_nick(self, session: Session, name: str) -> str:
        account = session.account
        if account is None:
            return self.nicks.free(name)
        if name and names.key_of(name) != names.key_of(account.name):
            raise refusals.NAME_IS_ACCOUNT(name=account.name)
        return account.name

    def set_topic(self, session: Session, text: str, room: str = "", cuts: bool = False) -> None:
        """Publish a new topic for a room; a blank text removes the topic.

        With `cuts` a topic longer than TOPIC_BYTES bytes is cut to that size instead of refused.

        Raises:
            Refused: the session is not in that room or may not set its topic, or the topic is too long.

        """
        text, formatting = one_line(text)
        if is_blank(text):
            text = formatting = ""
        if (size := len(text.encode())) > TOPIC_BYTES and not cuts:
            raise refusals.TOPIC_TOO_LONG(limit=TOPIC_BYTES, size=size)
        where = self.rooms.of(session, room)
        self.check(session, Action.SET_TOPIC, where)
        self.publish(session, where.state, TopicSet(cut(text, TOPIC_BYTES)), formatting)

    def say_from_outside(
        self, session: Session, room: Room, text: str, kind: Kind, label: str = "", tags: str = ""
    ) -> None:
        """Publish a message in a room that the session is not in; a blank text publishes nothing.

        Raises:
            Refused: the session may not speak in the room.

        """
        self.speak(self.viewer(session), room)
        text, formatting = said(text, exact=True)
        if text:
            self.publish(session, room.state, Said(text, kind), join(tags, formatting), label)

    def announce(self, text: str) -> None:
        """Send a notice to every user of this node at once; sessions whose transport takes no bytes miss it."""
        for user in dict.fromkeys(self.users.values()):
            if not user.is_remote:
                self.send_to(user, Notice((text,)))

    def set_encoder(self, session: Session, encoder: Encoder) -> None:
        """Use another encoder for the session from now on, in all its rooms."""
        session.encoder = encoder
        for room in session.rooms.values():
            room.set_encoder(session, session.encoder_in(room.id))

    def has_unsettled(self, session: Session) -> bool:
        """Return whether the session is behind in a room; `Client.resume_input` is called when it has caught up."""
        return session in self.delivery.behind

    @property
    def settled(self) -> bool:
        """Whether every draft has its outcome, and every member has received every entry."""
        return self.pipeline.idle and not self.delivery.behind

    # --- slow readers ---------------------------------------------------------------------------------------

    def pause(self, session: Session) -> None:
        """Mark the session as paused, because its transport takes no bytes: it is now behind in all its rooms."""
        session.paused = True
        if not session.closed:
            self.delivery.fall_behind(session)

    def resume(self, session: Session) -> None:
        """Send the waiting replies and missed entries to a session whose transport takes bytes again."""
        session.paused = False
        session.flush()
        if session.closed:
            return
        self.delivery.catch_up(session)
        if not session.paused:
            session.client.resume_input()
