"""The hub's side of a connection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from hubbub.core.model import (
    BOT,
    SAID,
    Acknowledged,
    ByteSink,
    Client,
    Draft,
    Encoder,
    Event,
    HistoryShown,
    Kind,
    QueryResult,
    Refusal,
)
from hubbub.core.redactions import Redactions
from hubbub.core.text import beginning

if TYPE_CHECKING:
    from hubbub.core.room import Room
    from hubbub.core.room_modes import ModeChange
    from hubbub.core.users import User

TURN_LIMIT = 256  # outcomes a session may wait for before its next command has to wait
INVITATIONS = 100  # that a session remembers
FORMER_ROOMS = 1_000  # rooms of which a session remembers under which names it was in them
FORMER_NAMES = 4
UNSETTLED_LIMIT = 64 * 1024  # characters of text that may wait for their commit before it has to wait


class Placeholder:
    """A place in a session's turn that is kept until what belongs there is known: then it is done.

    Args:
        until: whose outcome frees the place, with nothing to be done.

    """

    __slots__ = ("action", "until")

    def __init__(self, until: Draft | None = None) -> None:
        self.action: Callable[[], Event | None] | None = None
        self.until = until

    @property
    def kept(self) -> bool:
        """Whether what follows must still wait."""
        return self.action is None and not (self.until and (self.until.settled or self.until.detached))


# What has its place in a session's turn: what it published, what it is told, and what happens between them.
Turn = Draft | Event | Placeholder | Callable[[], Event | None]


class Session:
    """One peer, as the hub knows it.

    Args:
        tag: begins the id of everything that this session publishes, and of nothing else.
        outlet: the listener's side.
        sink: where its bytes go.
        form: how entries look to it in its current room.
        host: from where it comes, as in an entry.
        address: the same as operators know it.

    """

    __slots__ = (
        "address",
        "client",
        "closed",
        "current",
        "encoder",
        "former",
        "host",
        "id_prefix",
        "invited",
        "joining",
        "keeps_history",
        "label",
        "last_ban",
        "never_joined",
        "next_id",
        "paused",
        "pending_operations",
        "preserves_spaces",
        "reading",
        "redactions",
        "replies",
        "rooms",
        "secure",
        "sink",
        "trusted",
        "unheard",
        "unsettled",
        "user",
        "user_id",
    )

    def __init__(
        self, id_prefix: str, client: Client, sink: ByteSink, encoder: Encoder, host: str = "", address: str = ""
    ) -> None:
        self.id_prefix = id_prefix
        self.client = client
        self.sink = sink
        self.encoder = encoder
        self.host = host
        self.address = address
        self.last_ban: tuple[str, list[ModeChange]] | None = None  # whom it banned last, and where
        # Rooms that it was invited to, and when an operator did so (epoch seconds), which opens the room; else 0.
        self.invited: dict[str, float] = {}
        # By rooms that it has left: as whom a ban may mean it there, besides as whom it is now.
        self.former: dict[str, tuple[str, ...]] = {}
        # Rooms of which it is known that it is who it says: it had rights there, or knows the key.
        self.trusted: dict[str, None] = {}
        self.preserves_spaces = False  # what it says is kept with its spaces
        self.keeps_history = False  # its client does: when it comes back to a room, it goes on from where it left
        self.unheard = 0.0  # seconds before its end from which on nothing may have arrived
        self.secure = False  # its connection is encrypted
        self.user: User | None = None
        self.user_id = id_prefix.rstrip(".")  # of the user that it becomes
        self.rooms: dict[str, Room] = {}
        self.joining: dict[str, Draft | None] | None = None  # asked for, not yet in; None until published
        self.label = ""  # given to what it publishes now, so that it is told of each
        self.current = ""  # the room in which it speaks; "" for none
        # Drafts whose outcome is open and what follows them, in the order in which they are to be told.
        self.replies: list[Turn] = []
        self.next_id = 0
        self.unsettled = 0  # characters of text in `turn` that wait for a commit
        self.pending_operations = 0  # hub calls that must end before its next command is taken
        self.paused = False  # the transport takes no bytes
        self.reading = False  # a page of the log is on its way to it
        self.never_joined = True  # it was in no room yet
        self.redactions = Redactions()
        self.closed = False  # it has left, and is told what it may still know

    @property
    def nick(self) -> str:
        """Its user's nick; "" before it has one."""
        return self.user.nick if self.user else ""

    @property
    def mask(self) -> str:
        """Who it is, as a ban may mean it: never by its address."""
        return f"{self.nick}!{self.host}"

    def invite(self, room: str, opens: float) -> None:
        """Note an invitation to a room; by an operator, that is at `opens` (epoch seconds), or else 0."""
        self.invited[room] = max(opens, self.invited.pop(room, 0.0))
        while len(self.invited) > INVITATIONS:
            del self.invited[next(iter(self.invited))]

    def remember(self, room: str) -> None:
        """Note under which name it was in a room: bans and mutes of that name go on to mean it."""
        known = self.former.pop(room, ())
        self.former[room] = (*(mask for mask in known if mask != self.mask), self.mask)[-FORMER_NAMES:]
        if len(self.former) > FORMER_ROOMS:
            del self.former[next(iter(self.former))]

    def trust(self, room: str) -> None:
        """Note that it is known to be who it says in a room."""
        self.trusted[room] = None
        if len(self.trusted) > FORMER_ROOMS:
            del self.trusted[next(iter(self.trusted))]

    def move(self, before: str, to: str) -> None:
        """Note that a room has another name."""
        if before in self.invited:
            self.invite(to, self.invited.pop(before))
        if before in self.former:
            self.former[to] = self.former.pop(before)
        if before in self.trusted:
            self.trusted[to] = self.trusted.pop(before)

    @property
    def tags(self) -> str:
        """What marks all that it does: that its user is a bot."""
        return BOT if self.user and "B" in self.user.modes else ""

    @property
    def is_blocked(self) -> bool:
        """Whether its next command must wait for what it did before, or until it reads what it is told."""
        if self.pending_operations:
            return True
        turn = self.replies
        if not turn:
            return False
        if len(turn) >= TURN_LIMIT or self.unsettled > UNSETTLED_LIMIT:
            return True
        return self.paused and any(type(item) is not Draft for item in turn)

    def flush(self) -> None:
        """Tell it what has its turn: all that does not follow a draft whose outcome is open."""
        turn = self.replies
        while turn and not self.paused:
            item = turn[0]
            if type(item) is Draft and not (item.settled or item.detached):
                return
            if type(item) is Placeholder and item.kept:
                return
            del turn[0]
            event = self._outcome(item)
            if event is not None:
                self.client.send_event(self._current(event))

    def _current(self, event: Event) -> Event:
        """Return an event without what was taken back while it waited."""
        if isinstance(event, HistoryShown):
            now = self.redactions.apply(event.entries)
            return event if now is event.entries else replace(event, entries=[one for one in now if one.kind in SAID])
        if isinstance(event, QueryResult):
            now = self.redactions.apply(event.page.entries)
            return event if now is event.page.entries else replace(event, page=replace(event.page, entries=now))
        return event

    def _outcome(self, item: Turn) -> Event | None:
        if isinstance(item, Draft):
            return _outcome(item)
        if isinstance(item, Placeholder):
            return item.action() if item.action else None
        return item() if callable(item) else item

    def held_names(self) -> list[str]:
        """Return the new names of its renames that are on their way into the log."""
        drafts = (item for item in self.replies if isinstance(item, Draft) and not item.settled)
        return [draft.text for draft in drafts if draft.kind is Kind.RENAME]

    def leave_of(self, room: str) -> Draft | None:
        """Return its leave of a room that is on its way into the log."""
        for item in self.replies:
            if isinstance(item, Draft) and item.kind is Kind.LEAVE and item.room == room and not item.settled:
                return item
        return None

    def encoder_in(self, room: str) -> Encoder:
        """Return how entries of a room look to it."""
        return self.encoder if room == self.current else self.encoder.for_other_room


def _outcome(draft: Draft) -> Event | None:
    if draft.error and not draft.definite:
        # Who gave no label does not know otherwise what it is about.
        what = f"It may be shown yet: {beginning(draft.text)}" if draft.kind in SAID else "It may be shown yet."
        return Refusal("not-confirmed", f"Not confirmed: {draft.error}. {what}", draft.label)
    if draft.error:
        what = "Not joined" if draft.kind is Kind.JOIN else "Not sent"
        again = f"; try /join {draft.room} again" if draft.kind is Kind.JOIN else ""
        return Refusal("not-stored", f"{what}: {draft.error}{again}.", draft.label)
    if not (draft.label and draft.entry):
        return None
    return Acknowledged(draft.label, draft.entry._replace(text=draft.unblocks) if draft.unblocks else draft.entry)


def author(draft: Draft) -> Session:
    """Return the session that made a draft."""
    assert draft.session is not None
    return draft.session
