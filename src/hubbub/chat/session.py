"""Users and their sessions: a user is a member of rooms and has rights there, a session is one screen of a user.

A guest has one session; a user with an account may have several. A user's properties and rights are kept once, here; a
session has its own connection, its own replies in order, and its own place in the log of each room.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct, structs

from hubbub.chat.rooms.loaded_room import LoadedRoom
from hubbub.chat.turns import ClientStep, HubStep, Operation, OperationKind, OperationTable, StepTable
from hubbub.model.accounts.account import Account, SshKey, is_account
from hubbub.model.accounts.grants import EVERYTHING, Permit
from hubbub.model.client import ByteSink, Client, Encoder
from hubbub.model.entries import HISTORY, Body, Draft, Entry, Joined, Left, ModeChange, ModesChanged, NickChanged, Said
from hubbub.model.events import (
    Acknowledged,
    Event,
    HistoryShown,
    Mentioned,
    Private,
    PrivateShown,
    QueryResult,
    Refusal,
)
from hubbub.model.messages.redactions import Redactions
from hubbub.model.notices.ignoring import Ignored, shown
from hubbub.model.room.memory import RoomMemory
from hubbub.text import refusals
from hubbub.text.cleaning import beginning
from hubbub.text.tags import BOT

TURN_LIMIT = 256  # pending replies at which the session's next command has to wait
UNSETTLED_LIMIT = 64 * 1024  # characters of uncommitted text above which the session has to wait
MEMBERSHIP = (Joined, Left, NickChanged)  # bodies that change a user, with all their sessions
# Shared by the users and sessions that have nothing of a kind. An empty dict of each one's own would take 64 bytes, an
# empty set 216.
NOTHING: Mapping[str, Any] = MappingProxyType({})
NO_MODES: frozenset[str] = frozenset()

Value = TypeVar("Value")


class Parties(Struct, frozen=True, eq=False):
    """The accounts of the author and the recipient of a stored private message.

    `name` is that by which the author names the recipient.
    """

    author: Account
    recipient: Account
    name: str

    def shown(self, entry: Entry) -> Entry:
        """Return the message as wires show it: in the room `@NAME`."""
        return structs.replace(entry, room=f"@{self.name}")


class Posting(Struct, eq=False):
    """A draft on its way into the log, with everything about it that only this process needs to know.

    Args:
        draft: the draft, as the log gets it.
        session: the session that published it and waits for the outcome, or None.
        label: the session's own identifier for it: the reply repeats it, and the stored id ends with it.
        size: the characters of its text while it is in the pipeline.
        typed: changes as its own session typed them, if they are stored in another form: with a room key in plain text.
        after: of a join: the number after which its session wants to go on.
        entry: the stored entry.
        settled: whether it has its outcome.
        done: whether its session does not wait for its outcome: it has one, or the draft is published again.
        error: the reason of the failed commit.
        definite: with an error, whether it is certain that the draft is not stored.
        watchers: other sessions that wait for its outcome.
        parties: the accounts that it is from and for, if it is a private message.

    """

    draft: Draft
    session: Session | None = None
    label: str = ""
    size: int = 0
    typed: ModesChanged | None = None
    after: int | None = None
    entry: Entry | None = None
    settled: bool = False
    done: bool = False
    error: str | None = None
    definite: bool = True
    watchers: list[Session] | None = None
    parties: Parties | None = None

    @property
    def outcome(self) -> Event | None:
        """The reply for its session, if there is anything to say."""
        draft = self.draft
        if self.error and not self.definite:
            # Without a label, the text itself tells the user which message the refusal is about.
            if isinstance(draft.body, Said):
                unsure = refusals.MESSAGE_NOT_CONFIRMED(reason=self.error, text=beginning(draft.body.text))
            else:
                unsure = refusals.NOT_CONFIRMED(reason=self.error)
            return Refusal.of(unsure, self.label)
        if self.error and isinstance(draft.body, Joined):
            return Refusal.of(refusals.JOIN_NOT_STORED(reason=self.error, room=draft.room), self.label)
        if self.error:
            return Refusal.of(refusals.NOT_STORED(reason=self.error), self.label)
        entry = structs.replace(self.entry, body=self.typed) if self.entry and self.typed else self.entry
        return self.acknowledged(entry) if entry and self.label else None

    def acknowledged(self, entry: Entry) -> Acknowledged:
        """Return the reply that says that it is stored as this entry."""
        if self.parties:
            return Acknowledged(self.label, self.parties.shown(entry), self.parties.recipient.id)
        return Acknowledged(self.label, entry)


class Barrier:
    """A place among a session's replies: those behind it wait until a posting, also of another session, has an outcome.

    Args:
        posting: the posting.

    """

    __slots__ = ("posting",)

    def __init__(self, posting: Posting) -> None:
        self.posting = posting

    @property
    def done(self) -> bool:
        """Whether the replies behind it need not wait any more."""
        return self.posting.done


# An item among a session's replies: a posting or an operation of it, an event for it, a barrier, or a step.
Turn = Posting | Operation | Event | Barrier | HubStep | ClientStep


class Session:
    """One peer, as the hub knows it.

    Args:
        id_prefix: the prefix of the ids of this session's drafts.
        client: the listener's side of the connection.
        sink: receives the bytes for the peer.
        encoder: renders the entries of the session's current room.
        host: the public form of the peer's address, as entries show it.
        address: the peer's address, which only operators see.

    """

    __slots__ = (
        "acts_for",
        "address",
        "browser",
        "client",
        "client_operations",
        "client_steps",
        "closed",
        "current",
        "encoder",
        "grant",
        "host",
        "id_prefix",
        "keeps_history",
        "label",
        "last_ban",
        "never_joined",
        "next_id",
        "operations",
        "paused",
        "pending",
        "permit",
        "plain",
        "preserves_spaces",
        "reading",
        "redactions",
        "replies",
        "rings",
        "secure",
        "seen",
        "sink",
        "ssh_key",
        "steps",
        "told_unstored",
        "unheard",
        "unsettled",
        "user",
        "user_id",
        "watched",
    )

    def __init__(
        self, id_prefix: str, client: Client, sink: ByteSink, encoder: Encoder, host: str = "", address: str = ""
    ) -> None:
        self.id_prefix = id_prefix
        self.client = client
        # The functions of steps: of the hub, called with the session, and of the client, called with the client.
        self.steps: StepTable = NOTHING
        self.client_steps: StepTable = NOTHING
        # The functions of its operations, likewise.
        self.operations: OperationTable = NOTHING
        self.client_operations: OperationTable = NOTHING
        self.sink = sink
        self.encoder = encoder
        self.host = host
        self.address = address
        self.browser = ""  # identifies the browser that it runs in, among all of them; "" on other wires
        self.last_ban: tuple[str, list[ModeChange]] | None = None  # room and changes of its last ban
        self.preserves_spaces = False  # the spaces in its messages are kept
        # Its client keeps the history: after a return to a room it is shown only the messages that it missed.
        self.keeps_history = False
        # The last seconds before its end, in which entries written to it may not have arrived.
        self.unheard = 0.0
        self.rings = False  # a guest wants the terminal to ring for mentions, also once logged in; see Account.bell
        self.plain = False  # likewise: nothing is to be written twice to the terminal; see Account.plain
        self.secure = False  # encrypted connection
        self.ssh_key: SshKey | None = None  # that its peer has proven; None for another one
        self.permit = EVERYTHING  # the permissions of its login
        self.grant = ""  # the id of the token or cookie with which it ends; see GrantHolders
        # Before it has a user: by the id of a room, the number of the last entry that its client has of an earlier
        # connection.
        self.seen: Mapping[str, int] = NOTHING
        self.user: User | None = None
        # The account that a program without a user acts for; see `Core.viewer_for`.
        self.acts_for: Account | None = None
        self.user_id = id_prefix.rstrip(".")  # the id that a new user of this session will have
        self.watched: Mapping[str, Room] = NOTHING  # the rooms that it reads without a user, by id
        # The label for the drafts that it publishes now: each of them is acknowledged under it.
        self.label = ""
        self.current = ""  # the id of the room in which it speaks; "" for none
        # Its drafts without an outcome and the replies behind them, in the order in which they are sent.
        self.replies: list[Turn] = []
        self.next_id = 0
        self.unsettled = 0  # characters of text in `replies` that wait for a commit
        # Its operations and postings that must end before its next command.
        self.pending: list[Operation | Posting] = []
        self.paused = False  # the transport takes no bytes
        self.reading = False  # a log page is being read for it
        self.never_joined = True  # no room joined yet
        self.told_unstored: tuple[str, ...] = ()  # the accounts of which it knows that messages to them are not stored
        self.redactions = Redactions()
        self.closed = False  # it has left; only its pending replies are still sent

    @property
    def account(self) -> Account | None:
        """The account that it acts for: its user's, or a program's; None for a guest."""
        return self.acts_for or (self.user.account if self.user else None)

    @property
    def is_plain(self) -> bool:
        """Whether nothing is to be written twice to its terminal."""
        return self.plain or (self.account is not None and self.account.plain)

    @property
    def ignored(self) -> tuple[Ignored, ...]:
        """The people whose messages are hidden from it."""
        account = self.account
        return account.ignored if account else self.user.ignored if self.user else ()

    @property
    def rooms(self) -> Mapping[str, Room]:
        """The rooms whose entries it is given, by id: those of its user, or those that it watches without a user.

        If its login is for some rooms only, the others are as if its user were not in them.
        """
        if self.user is None:
            return self.watched
        if self.permit is EVERYTHING:
            return self.user.rooms
        return {id: room for id, room in self.user.rooms.items() if self.permit.opens(room.name)}

    @property
    def current_name(self) -> str:
        """The name of the room in which it speaks; "" for none."""
        room = self.rooms.get(self.current)
        return room.name if room else ""

    @property
    def operator(self) -> bool:
        """Whether it may act as a server operator."""
        return bool(self.user and self.user.operator and not self.permit.is_limited)

    @property
    def nick(self) -> str:
        """The nick of its user, or the name of the account that it acts for; "" before it has a user."""
        if self.user:
            return self.user.nick
        return self.acts_for.name if self.acts_for else ""

    @property
    def mask(self) -> str:
        """Its `nick!~user@host` mask, which bans are matched against; the mask never holds its address."""
        return f"{self.nick}!{self.host}"

    @property
    def tags(self) -> str:
        """The tags of all entries of its user."""
        return self.user.tags if self.user else ""

    @property
    def waits(self) -> bool:
        """Whether its next command must wait: for its own operations and postings, or for a change of its user."""
        return bool(self.pending or (self.user and self.user.changing))

    @property
    def is_blocked(self) -> bool:
        """Whether its next command must wait for its drafts, or until it reads its replies; not if it has none."""
        turn = self.replies
        if len(turn) >= TURN_LIMIT or self.unsettled > UNSETTLED_LIMIT:
            return True
        return self.paused and any(type(item) is not Posting for item in turn)

    def begin(self, kind: str, request: Struct | None = None) -> Operation:
        """Return a new operation that has started; the next command of each session of its user waits for its `end`."""
        operation = Operation(kind, request)
        self.pending.append(operation)
        if self.user:
            self.user.changing.append(operation)
        return operation

    def start(self, request: Struct) -> None:
        """Start an operation of a kind that starts at once; the next commands wait for its end, as for `begin`."""
        self._start(self.begin(type(request).__name__, request))

    def end(self, operation: Operation) -> None:
        """End one of the session's operations; after the last one, let the clients take their next commands."""
        waited = operation in self.pending and not self.closed
        if operation in self.pending:
            self.pending.remove(operation)
        if self.user and operation in self.user.changing:
            self.user.end(operation)
        elif waited and not self.waits:
            self.client.resume_input()

    def queue(self, request: Struct) -> None:
        """Start an operation after the replies that wait already; its reply takes the place of the operation."""
        operation = Operation(type(request).__name__, request)
        self.pending.append(operation)
        self.replies.append(operation)
        self.flush()

    def tell(self, event: Event) -> bool:
        """Send an event that is no reply; return False if it misses it, because it takes no bytes or may not see it."""
        if self.paused or not (self.permit is EVERYTHING or _is_for(self.permit, event)):
            return False
        self.client.send_event(event)
        return True

    def take_step(self, kind: str, *args: Any) -> None:
        """Let the hub do something after the replies that wait already."""
        self.replies.append(HubStep(kind, args))
        self.flush()

    def call_client(self, step: ClientStep, *more: Any) -> Event | None:
        """Let the client do a step at once, with further arguments."""
        return self.client_steps[step.kind](self.client, *step.args, *more)

    def flush(self) -> None:
        """Send the replies that are ready: all before the first posting or operation without an outcome."""
        turn = self.replies
        while turn and not self.paused:
            item = turn[0]
            if isinstance(item, Operation) and not item.started:
                self._start(item)
                continue
            if isinstance(item, (Posting, Operation, Barrier)) and not item.done:
                return
            del turn[0]
            if isinstance(item, Posting) and not (item.error or item.label):
                continue  # stored, and its session sees that by itself
            event = self._reply(item)
            if event is not None:
                self.client.send_event(self._current(event))

    def _reply(self, item: Turn) -> Event | None:
        """Return the event for a reply whose turn has come."""
        if isinstance(item, Posting):
            return item.outcome
        if isinstance(item, Operation):
            kind, party = self.kind_of(item)
            if kind.start and self.closed:
                return None
            if not kind.start and item in self.pending:
                self.pending.remove(item)
            return kind.answer(party, item.request, item.outcome)
        if isinstance(item, Barrier):
            return None
        if isinstance(item, ClientStep):
            return self.call_client(item)
        if isinstance(item, HubStep):
            return self.steps[item.kind](self, *item.args)
        return item

    def kind_of(self, operation: Operation) -> tuple[OperationKind, Session | Client]:
        """Return the functions of an operation, and the party that they are called with."""
        if kind := self.operations.get(operation.kind):
            return kind, self
        return self.client_operations[operation.kind], self.client

    def _start(self, operation: Operation) -> None:
        operation.started = True
        kind, party = self.kind_of(operation)
        if not (kind.holds or kind.at_once):
            del self.replies[0]
        if kind.start:
            kind.start(party, operation.request, partial(self._finish, operation))
        else:
            operation.done = True

    def _finish(self, operation: Operation, outcome: Any) -> None:
        """Note the outcome of an operation, and send the replies that waited for it."""
        operation.outcome, operation.done = outcome, True
        # A closed session is flushed, too: its Goodbye may wait behind the operation.
        self.flush()
        kind, party = self.kind_of(operation)
        if not self.closed and (kind.at_once or not kind.holds):
            kind.answer(party, operation.request, outcome)
        self.end(operation)

    def _current(self, event: Event) -> Event:
        """Return an event without texts that were redacted while it waited, and without those of ignored people."""
        if isinstance(event, PrivateShown):
            now = shown(self.ignored, event.entries)
            return event if now is event.entries else structs.replace(event, entries=now)
        if isinstance(event, HistoryShown):
            now = shown(self.ignored, self.redactions.apply(event.entries))
            said = [one for one in now if isinstance(one.body, HISTORY)]
            return event if now is event.entries else structs.replace(event, entries=said)
        if isinstance(event, QueryResult):
            now = shown(self.ignored, self.redactions.apply(event.page.entries))
            return (
                event
                if now is event.page.entries
                else structs.replace(event, page=structs.replace(event.page, entries=now))
            )
        return event

    def encoder_in(self, room: str) -> Encoder:
        """Return the encoder for the entries of the room with an id: the current room may have another than others."""
        return self.encoder if room == self.current else self.encoder.for_other_room


def _is_for(permit: Permit, event: Event) -> bool:
    """Return whether a login allows to see an event that is no reply."""
    if isinstance(event, Private):
        return "read" in permit.scopes and not permit.rooms
    room = event.entry.room if isinstance(event, Mentioned) else getattr(event, "room", "")
    return not room or permit.opens(room)


class User(RoomMemory):
    """The owner of a nick: a member of rooms, with rights in them, and the author of entries.

    Args:
        nick: the name, as it is shown.
        is_remote: whether the user is on another node: then `sessions` is empty.

    """

    __slots__ = (
        "account",
        "active",
        "address",
        "asking",
        "away",
        "came_as",
        "changing",
        "details",
        "former_id",
        "given",
        "guest_ignores",
        "host",
        "id",
        "id_prefix",
        "is_remote",
        "joining",
        "keys",
        "last_session",
        "left_at",
        "modes",
        "nick",
        "operator",
        "present",
        "real",
        "rooms",
        "screens",
        "sessions",
        "since",
        "version",
    )

    def __init__(self, nick: str, is_remote: bool = False) -> None:
        super().__init__()
        self.nick = nick
        # Unique and public; a rename does not change it. The owner of an account has that of the account.
        self.id = ""
        self.former_id = ""  # that it had as a guest, before it owned an account
        # The prefix of the ids of everything that the user publishes, in whichever session, and of nothing else.
        self.id_prefix = ""
        self.is_remote = is_remote
        self.came_as = ""  # the mask with which it came
        self.present = False  # it has come, and has not left yet
        self.keys: tuple[str, ...] = ()  # folded names that it holds: one, or two during a rename
        self.account: Account | None = None  # that it owns; None for a guest
        # Those that are connected. The owner of an account may have none for a while, and still be present.
        self.sessions: list[Session] = []
        self.last_session: Session | None = None  # the one that ended last, while there is no other
        # Since when it had none the last time, in epoch seconds; and by the id of a room that no session has been shown
        # since then, the number of the last entry that it was given there.
        self.left_at = 0.0
        self.given: Mapping[str, int] = NOTHING
        self.screens = 0  # how many sessions it has had
        self.rooms: dict[str, Room] = {}  # of which it is a member, by id, in the order of joining; loaded ones alone
        self.asking: tuple[str, ...] = ()  # the names of the rooms that are being loaded because it wants to join them
        self.joining: dict[str, Posting] = {}  # its joins that have no outcome yet, by the ids of the rooms
        # Its joins, leaves and renames that have no outcome yet, and the operations before them. The next commands of
        # all its sessions wait for them: two changes at once would both start from the same state.
        self.changing: list[Operation | Posting] = []
        self.real = ""  # real name
        self.host = ""  # the host of its first session, as entries show it; it stays the same until the user has left
        self.address = ""  # of its oldest session; only operators see it
        self.away = ""  # away message; "" if it is not away
        self.modes = NO_MODES  # letters: i invisible, w wallops, B bot, R refuses guests
        self.since = self.active = 0.0  # times of its arrival and its last message; seconds since the epoch
        self.operator = False  # server operator: may act in every room
        # For other nodes: real, away, modes and operator as they were in the description with the last version.
        self.details: tuple[str, str, str, bool] = ("", "", "", False)
        self.version = 0
        self.guest_ignores: tuple[Ignored, ...] = ()  # the people whom it ignores, while it has no account

    @property
    def ignored(self) -> tuple[Ignored, ...]:
        """The people whose messages are hidden from it."""
        return self.account.ignored if self.account else self.guest_ignores

    @property
    def mask(self) -> str:
        """Its `nick!~user@host` mask, which bans are matched against; the mask never holds its address."""
        return f"{self.nick}!{self.host}"

    @property
    def tags(self) -> str:
        """The tags of all its entries: BOT if it is a bot, else ""."""
        return BOT if "B" in self.modes else ""

    def hears(self, session: Session) -> bool:
        """Return whether it takes private messages from a session: with the mode R only from people with an account."""
        return "R" not in self.modes or session.user is self or session.operator or bool(session.account)

    def own(self, account: Account) -> None:
        """Make it the owner of an account, or give it a newer record of its account."""
        self.operator = account.operator or (self.operator and not (self.account and self.account.operator))
        self.account = account
        self.host = account.host
        if self.id != account.id:
            self.former_id, self.id = self.id, account.id
        for session in self.sessions:
            session.host = account.host

    def is_known_as(self, id: str) -> bool:
        """Return whether an id is that of the user, now or as a guest."""
        return bool(id) and id in (self.id, self.former_id)

    def wrote(self, entry: Entry) -> bool:
        """Return whether the user is the author of an entry, the owner of an account also of an earlier login's."""
        if self.account and entry.host == self.account.host:
            return True
        return bool(self.id_prefix) and entry.id.startswith(self.id_prefix)

    def add_session(self, session: Session) -> None:
        """Give the user one more session."""
        session.user = self
        self.screens += 1
        if self.screens == 1:
            self.host, self.id_prefix = self.host or session.host, session.id_prefix
            self.came_as = self.mask
        else:
            session.id_prefix = f"{self.id_prefix}{self.screens:x}."
        session.host = self.host
        self.sessions.append(session)
        self.last_session = None
        self.address = self.sessions[0].address

    def remove_session(self, session: Session) -> None:
        """Take a session from the user."""
        self.sessions.remove(session)
        if self.sessions:
            self.address = self.sessions[0].address
        else:
            self.last_session = session

    def begin(self, kind: str) -> Operation:
        """Return a new operation that has started; the next command of each session waits for its `end`."""
        operation = Operation(kind)
        self.changing.append(operation)
        return operation

    def end(self, operation: Operation) -> None:
        """End an operation; after the last one, let the clients take their next commands."""
        self.changing.remove(operation)
        for session in list(self.sessions):
            if not session.waits:
                session.client.resume_input()

    # --- what it has published, and is not stored yet ----------------------------------------------------------------

    def changes(self, kind: type[Body]) -> list[Draft]:
        """Return the user's drafts with a kind of body that have no outcome yet: joins, leaves or renames."""
        postings = (one for one in self.changing if isinstance(one, Posting))
        return [one.draft for one in postings if type(one.draft.body) is kind]

    def held_names(self) -> list[str]:
        """Return the new nicks of its renames that are not stored yet."""
        bodies = (draft.body for draft in self.changes(NickChanged))
        return [body.nick for body in bodies if isinstance(body, NickChanged)]

    def leave_of(self, room: str) -> Draft | None:
        """Return the draft of its leave of the room with an id, if it is not stored yet."""
        return next((draft for draft in self.changes(Left) if draft.room_id == room), None)

    # --- what it remembers of rooms that it is not in ----------------------------------------------------------------

    def remember(self, room: str, now: float) -> None:
        """Remember its mask in the room with an id at a time (epoch seconds)."""
        self.keep_mask(room, self.mask, now)

    def masks_in(self, room: str) -> list[str]:
        """Return the masks that it, or others in its browser, had earlier in the room with an id.

        The owner of an account is not taken for the other accounts that were used in the same browser.
        """
        masks = dict.fromkeys(mask for memory in (self.former, *self.recalled) for mask in memory.get(room, ()))
        if self.account is None:
            return list(masks)
        return [mask for mask in masks if not is_account(mask) or mask.endswith(f"!{self.host}")]


Room: TypeAlias = LoadedRoom[User, Session]


def without(known: Mapping[str, Value], key: str) -> Mapping[str, Value]:
    """Return a mapping without a key, which need not be in it."""
    return {one: value for one, value in known.items() if one != key} if key in known else known


def author(posting: Posting) -> Session:
    """Return the session that published a draft; the posting must have one."""
    assert posting.session is not None
    return posting.session


def wrote(session: Session, entry: Entry) -> bool:
    """Return whether the user of a session, or the owner of the account that it acts for, is the author of an entry."""
    if session.acts_for:
        return entry.host == session.acts_for.host
    return owner(session).wrote(entry)


def owner(session: Session) -> User:
    """Return the user of a session; it must have one."""
    assert session.user is not None
    return session.user
