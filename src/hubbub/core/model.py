"""The data model: entries of a room's log, drafts of entries, events for a session, and queries of the log.

The module holds only data types and protocols, no behaviour; every layer may import it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from hubbub.core.session import Session
    from hubbub.core.viewer import Viewer

LOBBY = "lobby"  # the default room
BOT = "bot"  # tag of all entries of a bot
LOST = "lost"  # tag of a leave without the user's request, such as a lost connection


class Kind(StrEnum):
    """The kind of event that an entry records."""

    MESSAGE = "message"
    ACTION = "action"
    JOIN = "join"
    LEAVE = "leave"
    RENAME = "rename"
    TOPIC = "topic"
    NOTICE = "notice"
    MODE = "mode"
    KICK = "kick"
    REDACT = "redact"
    ROOM_RENAMED = "move"  # `text` begins with the room's new name
    REDACTED = "gone"  # a message after its redaction
    EPHEMERAL = "signal"  # not stored, such as a typing notice


# The kinds that newcomers are shown, /history lists and search finds.
SAID = frozenset({Kind.MESSAGE, Kind.ACTION, Kind.NOTICE})
# The kinds that record an action on a room or on one of its members.
RULING = frozenset({Kind.MODE, Kind.KICK, Kind.TOPIC, Kind.REDACT, Kind.ROOM_RENAMED})


class Draft:
    """An entry before its commit: it has no number yet, and no other session has seen it.

    Args:
        room: the room's name.
        kind: the kind of the entry.
        nick: the nick of the author.
        text: depends on the kind: the message; the user's real name for a join; the reason of a leave; the new nick;
            the topic; mode changes in the syntax of core/room_modes.py; the nick of the kicked member, a space and the
            reason; the id of the redacted entry, a space and the reason; the room's new name, a space and the reason.
        id: unique for ever, and assigned before the commit to recognise a retry. It begins with the id prefix of its
            session. One event in several rooms (a rename, the end of a session) has ids that are the same up to a `~`.
        session: the session that waits for the outcome, or None.
        insist: repeat a failed commit until it succeeds (for example a leave: the session is gone anyway).

    """

    __slots__ = (
        "after",
        "definite",
        "detached",
        "earlier",
        "entry",
        "error",
        "host",
        "id",
        "kind",
        "label",
        "must_store",
        "nick",
        "room",
        "session",
        "settled",
        "tags",
        "text",
        "unblocks",
        "watchers",
    )

    def __init__(  # noqa: PLR0913 - a record
        self,
        room: str,
        kind: Kind,
        nick: str,
        text: str,
        id: str,
        session: Session | None = None,
        insist: bool = False,
    ) -> None:
        self.room = room
        self.kind = kind
        self.nick = nick
        self.text = text
        self.id = id
        self.session = session
        self.must_store = insist
        self.host = session.host if session else ""  # as in an entry
        self.tags = ""  # likewise
        self.earlier: tuple[str, ...] = ()  # other rooms that show the same event first
        # The text for its own session, if it differs from the stored one: with a room key as the session typed it.
        self.unblocks = ""
        # The session's own identifier for it: the reply repeats it, and the stored id ends with it.
        self.label = ""
        self.after: int | None = None  # of a join: the number after which its session wants to go on
        self.entry: Entry | None = None  # the stored entry
        self.settled = False
        self.detached = False  # its session does not wait for its outcome
        self.error: str | None = None  # reason of the failed commit
        self.definite = True  # with an error: it is certain that the draft is not stored
        self.watchers: list[Session] | None = None  # other sessions that wait for its outcome


class Entry(NamedTuple):
    """One line of a room's log.

    `seq` rises within a room but is not dense; `prev` is the seq of the room's entry before this one, 0 for the first.
    `time` is in seconds since the epoch. `id` is the id of its draft. `host` stands for the author's address, like
    `~nc@1f2e3d4c5a.nc`: it never shows the address, but is the same for the same address. `tags` are the client's tags
    in IRC syntax (`+draft/reply=x.1`), besides BOT, LOST and the places where lines were joined (`cut=`).
    """

    room: str
    seq: int
    prev: int
    time: float
    kind: Kind
    nick: str
    text: str
    id: str
    host: str = ""
    tags: str = ""

    @property
    def shared(self) -> str:
        """The common part of the ids of one event in several rooms; "" if the event is in this room alone."""
        return self.id.partition("~")[0] if "~" in self.id else ""


# --- events for a session besides the entries; each protocol renders each of them ---------------------------


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


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The session's draft with this `label` is stored and delivered.

    A message that is not stored, such as a private or ephemeral one, is delivered.
    """

    label: str
    entry: Entry
    to: str = field(default="", compare=False)  # of a private message: the id of its recipient


@dataclass(frozen=True, slots=True)
class Joined:
    """The session is a member of a room from number `seq` on, and speaks there; `first`: it was in no room before."""

    room: str
    seq: int
    topic: str
    first: bool


@dataclass(frozen=True, slots=True)
class Left:
    """The session is no longer a member of a room, and speaks in `current` now, "" for no room.

    `kick` is the entry of the kick that removed it, if the session has not received that entry.
    """

    room: str
    current: str
    kick: Entry | None = None


@dataclass(frozen=True, slots=True)
class RoomRenamed:
    """A room that the session is in has the new name `to`; `entry` holds the author and the reason of the rename."""

    room: str
    to: str
    entry: Entry
    topic: str = ""


@dataclass(frozen=True, slots=True)
class NickChanged:
    """The session's user has this nick from now on."""

    nick: str
    before: str = field(default="", compare=False)
    alone: bool = field(default=False, compare=False)  # no entry records the change


@dataclass(frozen=True, slots=True)
class Private:
    """A private message with this `text` from `nick` to this session."""

    nick: str
    text: str
    entry: Entry | None = field(default=None, compare=False)  # the message as an entry; its room is "@NICK"
    user: str = field(default="", compare=False)  # the id of the author


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


# --- reading the log ----------------------------------------------------------------------------------------

# Every query names its viewer, and the answer holds only entries that `access.may` lets that viewer see.


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest `limit` messages of a room, or entries of `every` kind, before number `before` (0: the end)."""

    room: str
    limit: int
    before: int = 0
    every: bool = False
    kinds: tuple[Kind, ...] = ()  # only entries of these kinds, unless empty
    viewer: Viewer = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class After:
    """Up to `limit` entries after number `seq` up to number `upto`: of all kinds, or messages alone if `said`."""

    room: str
    seq: int
    upto: int
    limit: int
    said: bool = False
    viewer: Viewer = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Since:
    """Up to `limit` messages with a time from `time` to `until` (epoch seconds), both included, the oldest first.

    Times need not rise with the numbers, because clocks are set, and imports bring older entries. `until` leaves out
    messages that a wrong clock has dated far ahead.
    """

    room: str
    time: float
    limit: int
    until: float = float("inf")
    viewer: Viewer = field(kw_only=True)


class Asker(Protocol):
    """The peer that waits for a search, for example a session. Other threads read both attributes."""

    @property
    def address(self) -> str:
        """The address of the peer: only one search at a time runs for each address."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the peer does not wait any more."""
        ...


@dataclass(frozen=True, slots=True)
class Search:
    """The newest `limit` messages that contain all of `words`, before number `before` (0: the end).

    The search covers every room if `room` is None. brokers/words.py defines words and their matches.
    """

    words: str
    limit: int
    room: str | None = None
    before: int = 0
    viewer: Viewer = field(kw_only=True)
    asker: Asker | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class AllRooms:
    """Up to `limit` rooms that have a log, by name, with those of their topics that the viewer may see.

    With `after` the list begins behind that name.
    """

    limit: int
    after: str = ""
    viewer: Viewer = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Around:
    """Up to `limit` messages of a room, or entries of `every` kind, selected as by IRC's CHATHISTORY.

    `verb` is latest, before, after, around or between; a bound is a time (epoch seconds, to the millisecond) or an id.
    """

    room: str
    verb: str
    bounds: tuple[float | str, ...]
    limit: int
    every: bool
    viewer: Viewer = field(kw_only=True)


Query = Latest | After | Since | Search | Around


@dataclass(frozen=True, slots=True)
class LogPage:
    """The answer to a query: entries, oldest first; `more` is set if the limit or the byte bound cut the answer.

    `note` is a sentence for people if entries are missing: damaged ones, or a part of the log that was not searched.
    """

    entries: Sequence[Entry]
    more: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """A page that a program asked for, with the label of the request. No terminal shows it."""

    label: str
    page: LogPage


@dataclass(frozen=True, slots=True)
class RoomList:
    """The answer to AllRooms: names and topics; `count` is the number of rooms after its `after`, listed or not."""

    rooms: Sequence[tuple[str, str]]
    count: int


@dataclass(frozen=True, slots=True)
class RoomState:
    """The state of a room according to its log when it is loaded: its last number, topic and newest messages.

    `rules` are the entries that made its modes: the first join, the last change of the topic, all of Kind.MODE, and the
    renames of users with rights. In a cluster those renames are entries of Kind.MODE as well. `recent` are the newest
    entries of every kind, which show the members that have left; it is empty if that is not known.
    """

    seq: int
    topic: str
    latest: Sequence[Entry]
    rules: Sequence[Entry] = ()
    recent: Sequence[Entry] = ()


Event = (
    QueryResult
    | Notice
    | Refusal
    | Acknowledged
    | Joined
    | Left
    | NickChanged
    | RoomRenamed
    | Private
    | Invited
    | Knocked
    | HistoryShown
    | MembersListed
    | RoomsListed
    | Clock
    | Goodbye
)


# --- the interface of a listener for the hub ----------------------------------------------------------------


class Encoder(Protocol):
    """Render entries in one format of a protocol; members with the same encoder are written the same bytes.

    Encoders are compared by identity, so a protocol creates each of them only once.
    """

    @property
    def echo(self) -> bool:
        """Whether a session receives its own entries like those of others."""
        ...

    @property
    def dedupes(self) -> bool:
        """Whether one event in several rooms is shown once."""
        ...

    @property
    def for_other_room(self) -> Encoder:
        """The encoder for rooms that are not the session's current one."""
        ...

    def encode(self, entry: Entry) -> bytes:
        """Return the bytes of one entry, b"" if this protocol does not show it."""
        ...

    def encode_own(self, entry: Entry) -> bytes:
        """Return the bytes of an entry for the session that published it, if `echo` is not set."""
        ...

    def join(self, entries: Iterable[bytes]) -> bytes:
        """Return the bytes of several rendered entries, b"" for none."""
        ...

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return the bytes of a notice that `count` entries of a room were skipped: the session was too far behind."""
        ...


Send = Callable[[bytes], int]  # like socket.send


class ByteSink(Protocol):
    """The output of a session. None of its methods blocks."""

    @property
    def send(self) -> Send:
        """A function that takes as many bytes as possible at once and returns their number.

        It raises OSError if it can take none.
        """
        ...

    def write_rest(self, data: bytes, sent: int) -> None:
        """Keep the bytes of `data` that `send` did not take; the session is paused until they are written."""
        ...

    def write(self, data: bytes) -> None:
        """Send the bytes, and keep those that cannot be written at once."""
        ...


class Client(Protocol):
    """The listener's side of a session."""

    def send_event(self, event: Event) -> None:
        """Write an event; called only while the transport takes bytes."""
        ...

    def resume_input(self) -> None:
        """Take the next command: the session need not wait any more."""
        ...
