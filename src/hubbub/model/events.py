"""The events for a session besides the entries; each protocol renders each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hubbub.errors import Refused
from hubbub.model.entries import Entry
from hubbub.model.queries import LogPage


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice from the server: one sentence, or several lines that belong together."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request is refused; `code` is for programs, `text` for people, `label` is the label of the request."""

    code: str
    text: str
    label: str = ""
    room: str = field(default="", compare=False)  # the room of the request
    offer: str = field(default="", compare=False)  # a name that could be used instead

    @classmethod
    def of(cls, refused: Refused, label: str = "", room: str = "") -> Refusal:
        """Return the event that reports a refusal to its session."""
        return cls(refused.code, refused.text, label, room, refused.offer)


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The session's draft with this `label` is stored and delivered.

    A message that is not stored, such as a private or ephemeral one, is delivered.
    """

    label: str
    entry: Entry
    to: str = field(default="", compare=False)  # of a private message: the id of its recipient


@dataclass(frozen=True, slots=True)
class RoomEntered:
    """The session is a member of a room from number `seq` on, and speaks there; `first`: it was in no room before."""

    room: str
    seq: int
    topic: str
    first: bool


@dataclass(frozen=True, slots=True)
class RoomExited:
    """The session is no longer a member of a room, and speaks in `current` now, "" for no room.

    `kick` is the entry of the kick that removed it, if the session has not received that entry.
    """

    room: str
    current: str
    kick: Entry | None = None


@dataclass(frozen=True, slots=True)
class RoomNameChanged:
    """A room that the session is in has the new name `to` from number `seq` on."""

    room: str
    to: str
    seq: int
    reason: str = ""
    topic: str = ""


@dataclass(frozen=True, slots=True)
class NickAssigned:
    """The session's user has this nick from now on."""

    nick: str
    before: str = field(default="", compare=False)
    alone: bool = field(default=False, compare=False)  # no entry records the change


@dataclass(frozen=True, slots=True)
class Private:
    """A private message with this `text` from `nick` to this session's user.

    With `to` it is a message to the user (or channel members) of this name that another session of this user has sent.
    """

    nick: str
    text: str
    entry: Entry | None = field(default=None, compare=False)  # the message as an entry; its room is "@NICK"
    user: str = field(default="", compare=False)  # the id of the other user; "" if there are several
    to: str = ""


@dataclass(frozen=True, slots=True)
class Invited:
    """`nick` with this `host` invites the session to a room.

    `opens` is the time of an operator's invitation (epoch seconds), which opens the room to the session; else it is 0.
    """

    nick: str
    host: str
    room: str
    opens: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Knocked:
    """`nick` with this `host` asks an operator of a room for an invitation."""

    nick: str
    host: str
    room: str

    @property
    def text(self) -> str:
        """The request as a sentence for people, with the command that admits the user."""
        return f"{self.nick} asks to be let into {self.room}. To let them in, type /invite {self.nick} there"


@dataclass(frozen=True, slots=True)
class HistoryShown:
    """Entries from the log, oldest first, shown with their times.

    `now` (epoch seconds) decides whether a date is shown as well. `tail` is a notice behind the entries. `folds` marks
    a history that the session did not ask for: only the first lines of a long message are shown.
    """

    entries: Sequence[Entry]
    now: float
    tail: tuple[str, ...] = ()
    folds: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class MembersListed:
    """The members of a room, sorted by nick; `more` is the number of members that are not listed."""

    room: str
    nicks: Sequence[str]
    more: int = 0
    operators: Sequence[str] = ()
    users: Sequence[str] = field(default=(), compare=False)  # the ids of the users with these nicks
    label: str = ""  # the label of the request
    watching: int = 0  # watchers, besides the members


@dataclass(frozen=True, slots=True)
class RoomSummary:
    """A room as /rooms shows it."""

    name: str
    members: int
    topic: str


@dataclass(frozen=True, slots=True)
class RoomsListed:
    """The rooms that exist, those with most members first, or a later part of the list by name.

    `current` is the session's current room; `more` is the number of rooms that are not listed.
    """

    rooms: Sequence[RoomSummary]
    current: str
    more: int = 0
    label: str = ""  # the label of the request


@dataclass(frozen=True, slots=True)
class Clock:
    """The server's time, in epoch seconds."""

    now: float


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The session has left and all its replies are sent: the connection may be closed."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """A page that a program asked for, with the label of the request. No terminal shows it."""

    label: str
    page: LogPage


Event = (
    QueryResult
    | Notice
    | Refusal
    | Acknowledged
    | RoomEntered
    | RoomExited
    | NickAssigned
    | RoomNameChanged
    | Private
    | Invited
    | Knocked
    | HistoryShown
    | MembersListed
    | RoomsListed
    | Clock
    | Goodbye
)
