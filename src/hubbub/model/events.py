"""The events for a session besides the entries; each protocol renders each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from msgspec import Struct

from hubbub.errors import Refused
from hubbub.model.entries import Entry
from hubbub.model.queries import LogPage
from hubbub.text.concealed import concealed


class _Event(Struct, frozen=True, eq=False):
    # The fields that only some wires show. Events that differ in nothing else are equal.
    details: ClassVar[frozenset[str]] = frozenset()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        fields = (name for name in self.__struct_fields__ if name not in self.details)
        return all(getattr(self, name) == getattr(other, name) for name in fields)


class Notice(_Event, frozen=True):
    """A notice from the server: one sentence, or several lines that belong together."""

    details = frozenset({"label"})

    lines: tuple[str, ...]
    label: str = ""  # the label of the request that it answers


class Refusal(_Event, frozen=True):
    """A request is refused; `code` is for programs, `text` for people, `label` is the label of the request."""

    details = frozenset({"room", "offer"})

    code: str
    text: str
    label: str = ""
    room: str = ""  # the room of the request
    offer: str = ""  # a name that could be used instead

    @classmethod
    def of(cls, refused: Refused, label: str = "", room: str = "") -> Refusal:
        """Return the event that reports a refusal to its session."""
        return cls(refused.code, refused.text, label, room, refused.offer)


class Acknowledged(_Event, frozen=True):
    """The session's draft with this `label` is stored and delivered.

    A message that is not stored, such as a private or ephemeral one, is delivered.
    """

    details = frozenset({"to"})

    label: str
    entry: Entry
    to: str = ""  # of a private message: the id of its recipient


class PinnedMessage(Struct, frozen=True):
    """A pinned message of a room: its id, its author with the beginning of its text, and the nick that pinned it."""

    id: str
    text: str
    by: str


class OpenPoll(Struct, frozen=True):
    """An open poll of a room; `mine` is the number of the answer that the session's user chose, 0 for none.

    So many votes as `guests` are by people who can vote again under another name.
    """

    id: str
    nick: str
    question: str
    answers: Sequence[str]
    votes: Sequence[int]  # for each answer
    mine: int = 0
    guests: int = 0


class RoomEntered(_Event, frozen=True):
    """The session is a member of a room from number `seq` on, and speaks there; `first`: it was in no room before.

    `current` is the room in which the session speaks instead, if its user has joined with another session. `operator`:
    the user is an operator of the room, for example because it was new. `room_id` stays when the room is renamed.
    """

    room: str
    seq: int
    topic: str
    first: bool
    current: str = ""
    pins: Sequence[PinnedMessage] = ()  # the oldest first
    hands: Sequence[str] = ()  # the nicks of those who have raised a hand, the first one first
    polls: Sequence[OpenPoll] = ()  # the oldest first
    operator: bool = False
    past_polls: Sequence[str] = ()  # the ids of the polls in the history that the session is shown next
    room_id: str = ""

    @property
    def further_polls(self) -> Sequence[OpenPoll]:
        """The open polls that are not in the history that the session is shown next."""
        return [poll for poll in self.polls if poll.id not in self.past_polls]


class ReactionsAdded(_Event, frozen=True):
    """Users with these nicks have reacted to a message of the session's user, whose text this is."""

    room: str
    text: str
    reaction: str
    nicks: Sequence[str]


class PollCounted(_Event, frozen=True):
    """The poll with an id has these numbers of votes for its answers, `guests` of them by people who can vote again.

    `text` is the poll with them.

    `told` says that the session's user is its author, and that the session shows a line about it.
    """

    room: str
    id: str
    votes: Sequence[int]
    guests: int
    text: str
    told: bool = False


class Mentioned(_Event, frozen=True):
    """The session has been given an entry that mentions its user; `rings`: a terminal is to sound its bell."""

    entry: Entry
    rings: bool = False


class MarkerMoved(_Event, frozen=True):
    """Another session of this session's user has read a room up to a time (epoch seconds).

    For a private conversation, `room` is `@` and the name of the other person; for the list of mentions it is "".
    """

    room: str
    time: float


class ForOperators(_Event, frozen=True):
    """A notice in a room for its operators, of which this session's user is one."""

    room: str
    text: str


class RoomExited(_Event, frozen=True):
    """The session is no longer a member of a room, and speaks in `current` now, "" for no room.

    `kick` is the entry of the kick that removed it, if the session has not received that entry. `unseen` says that no
    entry tells the session that it has left, because it goes on as another user.
    """

    details = frozenset({"unseen"})

    room: str
    current: str
    kick: Entry | None = None
    unseen: bool = False


class RoomNameChanged(_Event, frozen=True):
    """A room that the session is in has the new name `to` from number `seq` on."""

    room: str
    to: str
    seq: int
    reason: str = ""
    topic: str = ""
    pins: Sequence[PinnedMessage] = ()  # the oldest first


class NickAssigned(_Event, frozen=True):
    """The session's user has this nick from now on."""

    details = frozenset({"before", "alone"})

    nick: str
    before: str = ""
    alone: bool = False  # no entry records the change


class LoggedIn(_Event, frozen=True):
    """The session belongs to the owner of the account `name` from now on."""

    name: str


class Private(_Event, frozen=True):
    """A private message with this `text` from `nick` to this session's user.

    With `to` it is a message to the user (or channel members) of this name that another session of this user has sent.
    """

    details = frozenset({"entry", "user"})

    nick: str
    text: str
    entry: Entry | None = None  # the message as an entry; its room is "@NICK"
    user: str = ""  # the id of the other user; "" if there are several
    to: str = ""


class PrivateShown(_Event, frozen=True):
    """Stored private messages between this session's user, `reader`, and the user `other`, the oldest first.

    The room of each entry is `@` and the name of its recipient. `now` (epoch seconds) decides whether a date is shown
    as well. `missed` says that the session did not ask for them: they came while its user was away.
    """

    details = frozenset({"user"})

    entries: Sequence[Entry]
    now: float
    reader: str
    other: str
    user: str = ""  # the id of the other account
    missed: bool = False
    tail: tuple[str, ...] = ()


class Invited(_Event, frozen=True):
    """`nick` with this `host` invites the session to a room.

    `opens` is the time of an operator's invitation (epoch seconds), which opens the room to the session; else it is 0.
    """

    details = frozenset({"opens", "room_id"})

    nick: str
    host: str
    room: str
    opens: float = 0.0
    room_id: str = ""  # the room keeps it when it is renamed


class Knocked(_Event, frozen=True):
    """`nick` with this `host` asks an operator of a room for an invitation."""

    nick: str
    host: str
    room: str

    @property
    def text(self) -> str:
        """The request as a sentence for people, with the command that admits the user."""
        return f"{self.nick} asks to be let into {self.room}. To let them in, type /invite {self.nick} there"


class HistoryShown(_Event, frozen=True):
    """Entries from the log, oldest first, shown with their times.

    `now` (epoch seconds) decides whether a date is shown as well. `tail` is a notice behind the entries. `folds` marks
    a history that the session did not ask for: only the first lines of a long message are shown. `elsewhere` says that
    the session speaks in another room, so a terminal shows the room before each line.
    """

    details = frozenset({"folds", "elsewhere"})

    entries: Sequence[Entry]
    now: float
    tail: tuple[str, ...] = ()
    folds: bool = False
    elsewhere: bool = False


class Missed(_Event, frozen=True):
    """The session is about to be given messages that its user has missed while no session was connected.

    `count` is their number; with `more` there are more than that. `since` is the time when the user left, or that of
    the first message if it is older or if others of their sessions are connected; `now` is the time of the event (epoch
    seconds). Without a room they are private messages. `elsewhere` means a room that is not the session's current one.
    """

    room: str
    count: int
    since: float
    now: float
    more: bool = False
    elsewhere: bool = False


class MembersListed(_Event, frozen=True):
    """The members of a room, sorted by nick; `more` is the number of members that are not listed."""

    details = frozenset({"users"})

    room: str
    nicks: Sequence[str]
    more: int = 0
    operators: Sequence[str] = ()
    users: Sequence[str] = ()  # the ids of the users with these nicks
    label: str = ""  # the label of the request
    watching: int = 0  # watchers, besides the members


class SettingsListed(_Event, frozen=True):
    """The settings of a room by the names that /set has for them, and the actions that the session may do there."""

    room: str
    settings: dict[str, bool | int]  # a number for a limit, 0 for none; of a key only whether there is one
    may: Sequence[str]
    label: str = ""  # the label of the request


class OpenQuestion(Struct, frozen=True):
    """An open question to the operators of a room, with its time (epoch seconds)."""

    number: int
    nick: str
    text: str
    time: float


class OpenCode(Struct, frozen=True):
    """A code that lets `most` people (0: any number) into a room until a time (epoch seconds), and how many it has."""

    code: str
    expires: float
    most: int
    used: int
    nick: str

    __repr__ = concealed


class ClassShown(_Event, frozen=True):
    """Those who wait to speak in a room, and its open questions, polls and codes.

    The questions are those that the session's user may see; the codes are there for operators alone.
    """

    room: str
    hands: Sequence[str]
    questions: Sequence[OpenQuestion]
    polls: Sequence[OpenPoll]
    codes: Sequence[OpenCode]
    label: str = ""  # the label of the request


class RoomSummary(Struct, frozen=True):
    """A room as /rooms shows it."""

    name: str
    members: int
    topic: str


class RoomsListed(_Event, frozen=True):
    """The rooms that exist, those with most members first, or a later part of the list by name.

    `current` is the session's current room; `more` is the number of rooms that are not listed.
    """

    rooms: Sequence[RoomSummary]
    current: str
    more: int = 0
    label: str = ""  # the label of the request


class Clock(_Event, frozen=True):
    """The server's time, in epoch seconds."""

    now: float


class Goodbye(_Event, frozen=True):
    """The session has left and all its replies are sent: the connection may be closed."""


class QueryResult(_Event, frozen=True):
    """A page that a program asked for, with the label of the request. No terminal shows it."""

    label: str
    page: LogPage


Event = (
    QueryResult
    | Notice
    | Refusal
    | Acknowledged
    | RoomEntered
    | ReactionsAdded
    | PollCounted
    | Mentioned
    | MarkerMoved
    | ForOperators
    | RoomExited
    | NickAssigned
    | LoggedIn
    | Missed
    | RoomNameChanged
    | Private
    | PrivateShown
    | Invited
    | Knocked
    | HistoryShown
    | MembersListed
    | RoomsListed
    | SettingsListed
    | ClassShown
    | Clock
    | Goodbye
)
