"""Users: a user is a member of rooms and has rights there, and is the author of entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

from hubbub.chat.posting import PostingOf
from hubbub.chat.replies import NOTHING
from hubbub.chat.turns import Operation
from hubbub.model.accounts.account import Account, is_account
from hubbub.model.client import Client
from hubbub.model.entries import Body, Draft, Entry, Left, NickChanged
from hubbub.model.notices.ignoring import Ignored
from hubbub.model.room.memory import RoomMemory
from hubbub.text.tags import BOT

NO_MODES: frozenset[str] = frozenset()  # shared by the users without modes: an empty set takes 216 bytes


class UserSession(Protocol):
    """A session, as far as its user needs to know it; chat/session.py has the class."""

    user: Any
    client: Client
    host: str
    address: str
    id_prefix: str
    came_as: str

    @property
    def account(self) -> Account | None:
        """The account that it acts for."""
        ...

    @property
    def operator(self) -> bool:
        """Whether it may act as a server operator."""
        ...

    @property
    def waits(self) -> bool:
        """Whether its next command must wait."""
        ...


SessionT = TypeVar("SessionT", bound=UserSession)


class UserOf(RoomMemory, Generic[SessionT]):
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
        self.present = False  # it has come, and has not left yet
        self.keys: tuple[str, ...] = ()  # folded names that it holds: one, or two during a rename
        self.account: Account | None = None  # that it owns; None for a guest
        # Those that are connected. The owner of an account may have none for a while, and still be present.
        self.sessions: list[SessionT] = []
        self.last_session: SessionT | None = None  # the one that ended last, while there is no other
        # Since when it had none the last time, in epoch seconds; and by the id of a room that no session has been shown
        # since then, the number of the last entry that it was given there.
        self.left_at = 0.0
        self.given: Mapping[str, int] = NOTHING
        self.screens = 0  # how many sessions it has had
        self.rooms: dict[str, Any] = {}  # of which it is a member, by id, in the order of joining; loaded ones alone
        self.asking: tuple[str, ...] = ()  # the names of the rooms that are being loaded because it wants to join them
        self.joining: dict[str, Any] = {}  # its joins that have no outcome yet, by the ids of the rooms
        # Its joins, leaves and renames that have no outcome yet, and the operations before them. The next commands of
        # all its sessions wait for them: two changes at once would both start from the same state.
        self.changing: list[Any] = []
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

    def hears(self, session: SessionT) -> bool:
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

    def add_session(self, session: SessionT) -> None:
        """Give the user one more session."""
        session.user = self
        self.screens += 1
        if self.screens == 1:
            self.host, self.id_prefix = self.host or session.host, session.id_prefix
        else:
            session.id_prefix = f"{self.id_prefix}{self.screens:x}."
        session.host = self.host
        session.came_as = session.came_as or self.mask
        self.sessions.append(session)
        self.last_session = None
        self.address = self.sessions[0].address

    def remove_session(self, session: SessionT) -> None:
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
        postings = (one for one in self.changing if isinstance(one, PostingOf))
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
