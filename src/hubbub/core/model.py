"""The words of the house: entries of a room's log, drafts of them, and what a session is told beside them.

Nothing here does anything; every layer may import it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from hubbub.core.session import Session
    from hubbub.core.viewer import Viewer

LOBBY = "lobby"  # the room in which everybody starts
BOT = "bot"  # among the tags of what a bot does
LOST = "lost"  # among the tags of a leave that its author did not ask for: the connection ended


class Kind(StrEnum):
    """What an entry tells."""

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
    ROOM_RENAMED = "move"  # the room is called `text` from now on
    REDACTED = "gone"  # what a message becomes that was taken back
    EPHEMERAL = "signal"  # not stored: who is typing, say


# What a newcomer is shown, /history lists and search finds.
SAID = frozenset({Kind.MESSAGE, Kind.ACTION, Kind.NOTICE})
RULING = frozenset(
    {Kind.MODE, Kind.KICK, Kind.TOPIC, Kind.REDACT, Kind.ROOM_RENAMED}
)  # what was done to a room or to somebody in it


class Draft:
    """What a session wants in a room's log: it has no number yet, and nobody has seen it.

    Args:
        room: the room's name.
        kind: what it tells.
        nick: who.
        text: depends on the kind: the message; the reason of a leave; the new nick; the topic; mode changes as
            core/room_modes.py writes them; the nick of the member who was kicked, a space and the reason; the id of the
            redacted entry, a space and the reason; the room's new name, a space and the reason.
        id: unique for ever, given before the commit, so that a retry can be recognised. It begins with the tag of its
            session; what is one event in several rooms (a rename, somebody's end) is the same up to a `~`.
        session: who waits for the outcome; None for nobody.
        insist: a failed commit is tried again until it succeeds (a leave: the session is gone anyway).

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
        self.earlier: tuple[str, ...] = ()  # other rooms in which the same event was told before
        self.unblocks = ""  # the text as its own session is shown it, if that is another: with a key as it was typed
        self.label = ""  # its session's own word for it, which it is told back; stored nowhere
        self.after: int | None = None  # a join's: the number after which its session wants to go on
        self.entry: Entry | None = None  # once it is stored
        self.settled = False
        self.detached = False  # its session does not wait for its outcome
        self.error: str | None = None  # why it was not stored
        self.definite = True  # of the error: it will not be stored
        self.watchers: list[Session] | None = None  # other sessions that wait until it has its outcome


class Entry(NamedTuple):
    """One line of a room's log.

    `seq` rises within a room but is not dense; `prev` is the seq of the room's entry before this one, 0
    for the first. `time` is in seconds since the epoch. `id` is its draft's. `host` tells from where `nick` comes,
    like `~nc@1f2e3d4c5a.nc`: never an address, but the same for the same one. `tags` are what a client
    said beside the text, as IRC writes them (`+draft/reply=x.1`), and BOT, LOST and where lines were joined (`cut=`).
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
        """What is the same in the ids of one event in several rooms; "" if it is of this room alone."""
        return self.id.partition("~")[0] if "~" in self.id else ""


# --- what a session is told beside the log; each wire has a renderer for each -------------------------------


@dataclass(frozen=True, slots=True)
class Notice:
    """The server says something: one sentence, or several lines that belong together."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was asked is not done; `code` is for programs, `text` for people, `label` the asker's word for it."""

    code: str
    text: str
    label: str = ""
    room: str = field(default="", compare=False)  # that it is about
    offer: str = field(default="", compare=False)  # what could be asked for instead: a name


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What the session said under `label` is stored, and was given to everybody."""

    label: str
    entry: Entry
    to: str = field(default="", compare=False)  # of a private message: the id of the user who was told it


@dataclass(frozen=True, slots=True)
class Joined:
    """The session is a member of a room from number `seq` on, and speaks there; `first`: it was in no room before."""

    room: str
    seq: int
    topic: str
    first: bool


@dataclass(frozen=True, slots=True)
class Left:
    """The session is a member of a room no more, and speaks in `current` now, "" for nowhere.

    `kick` is the entry of who threw it out.
    """

    room: str
    current: str
    kick: Entry | None = None


@dataclass(frozen=True, slots=True)
class RoomRenamed:
    """A room that the session is in is called `to` now; `entry` says who renamed it, and why."""

    room: str
    to: str
    entry: Entry
    topic: str = ""


@dataclass(frozen=True, slots=True)
class NickChanged:
    """The session's user has this nick from now on."""

    nick: str
    before: str = field(default="", compare=False)
    alone: bool = field(default=False, compare=False)  # no entry tells it


@dataclass(frozen=True, slots=True)
class Private:
    """`nick` says `text` to this session alone."""

    nick: str
    text: str
    entry: Entry | None = field(default=None, compare=False)  # the same as an entry; its room is "@" and for whom it is
    user: str = field(default="", compare=False)  # the id of the user who says it


@dataclass(frozen=True, slots=True)
class Invited:
    """`nick`, who comes from `host`, asks the session into a room.

    `opens` is when an operator did so (epoch seconds): the room is open to the session then. Else it is 0.
    """

    nick: str
    host: str
    room: str
    opens: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True)
class Knocked:
    """`nick`, who comes from `host`, asks an operator of a room to be let in."""

    nick: str
    host: str
    room: str

    @property
    def text(self) -> str:
        """The same as a sentence."""
        return f"{self.nick} asks to be let into {self.room}. To let them in, type /invite {self.nick} there"


@dataclass(frozen=True, slots=True)
class HistoryShown:
    """Entries from the log, oldest first, shown with their time; `now` (epoch seconds) decides about the date.

    `tail` is a notice behind them. If it `folds`, nobody asked for it: of messages with many lines the first ones do.
    """

    entries: Sequence[Entry]
    now: float
    tail: tuple[str, ...] = ()
    folds: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class MembersListed:
    """Who is in a room, sorted by name; `more` of them are not listed."""

    room: str
    nicks: Sequence[str]
    more: int = 0
    operators: Sequence[str] = ()
    users: Sequence[str] = field(default=(), compare=False)  # the ids of the users with these nicks
    label: str = ""  # the asker's word for the question
    watching: int = 0  # how many read along without being in it


@dataclass(frozen=True, slots=True)
class RoomSummary:
    """A room as /rooms shows it."""

    name: str
    members: int
    topic: str


@dataclass(frozen=True, slots=True)
class RoomsListed:
    """The rooms there are, the liveliest first; `current` is the session's own."""

    rooms: Sequence[RoomSummary]
    current: str
    more: int = 0
    label: str = ""  # the asker's word for the question


@dataclass(frozen=True, slots=True)
class Clock:
    """The server's time, in epoch seconds."""

    now: float


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The session has left: whatever was before this is told, and the connection may be closed."""


# --- reading the log ----------------------------------------------------------------------------------------

# Every query tells who asks, and is answered with what `access.may` lets that viewer see.


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest `limit` messages of a room, or entries of `every` kind, before number `before` (0: the end)."""

    room: str
    limit: int
    before: int = 0
    every: bool = False
    kinds: tuple[Kind, ...] = ()  # only these, if there are any
    viewer: Viewer = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class After:
    """Up to `limit` entries from the one after number `seq` up to number `upto`: all, or only what was `said`."""

    room: str
    seq: int
    upto: int
    limit: int
    said: bool = False
    viewer: Viewer = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Since:
    """Up to `limit` messages said at or after `time` and not after `until` (epoch seconds), the oldest first.

    Times need not rise with the numbers: clocks are set, and imports bring older entries.
    """

    room: str
    time: float
    limit: int
    until: float = float("inf")  # what a clock that was wrong has dated far ahead is left out by it
    viewer: Viewer = field(kw_only=True)


class Asker(Protocol):
    """The peer that waits for a search: a session, say. Both are read from other threads."""

    @property
    def address(self) -> str:
        """From where it comes: one search at a time is done for each address."""
        ...

    @property
    def closed(self) -> bool:
        """Whether it does not wait any more."""
        ...


@dataclass(frozen=True, slots=True)
class Search:
    """The newest `limit` messages that hold all of `words`, before number `before` (0: the end).

    In every room if `room` is None. What a word is, and when a text holds it, is told in brokers/words.py.
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

    With `after` they are those whose names follow it.
    """

    limit: int
    after: str = ""
    viewer: Viewer = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Around:
    """Up to `limit` messages of a room, or entries of `every` kind, where IRC's CHATHISTORY means them.

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
    """The answer to a query: entries, oldest first; `more` if the limit or the byte bound cut it.

    `note` is a sentence for people if something is missing in it: damaged entries, or a part that was not searched.
    """

    entries: Sequence[Entry]
    more: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """A page that a program asked for, with its word for the question. No terminal shows it."""

    label: str
    page: LogPage


@dataclass(frozen=True, slots=True)
class RoomList:
    """The answer to AllRooms: names and topics; `count` is how many there are after its `after`, listed or not."""

    rooms: Sequence[tuple[str, str]]
    count: int


@dataclass(frozen=True, slots=True)
class RoomState:
    """What the log says of a room when it wakes: its last number, topic, and newest messages.

    `rules` are the entries that made its rules: the first join, who set the topic last, all of Kind.MODE, and the
    renames of those who may do something. On many nodes the last are entries of Kind.MODE as well. `recent` are the
    newest entries of every kind, from which it is known who has left; none if that is not known.
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


# --- what the hub needs from a listener ---------------------------------------------------------------------


class Encoder(Protocol):
    """One way in which entries look on a wire; members with the same form are written the same bytes.

    Forms are compared by identity, so a wire makes each of them once.
    """

    @property
    def echo(self) -> bool:
        """Whether a session is given its own entries too."""
        ...

    @property
    def dedupes(self) -> bool:
        """Whether one event in several rooms is shown once."""
        ...

    @property
    def for_other_room(self) -> Encoder:
        """The form for rooms that are not the session's current one."""
        ...

    def encode(self, entry: Entry) -> bytes:
        """Return the bytes of one entry, b"" if this wire does not show it."""
        ...

    def encode_own(self, entry: Entry) -> bytes:
        """Return the bytes of an entry for its own session, if `echo` does not give it what others get."""
        ...

    def join(self, entries: Iterable[bytes]) -> bytes:
        """Return the bytes of several rendered entries, b"" of none."""
        ...

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return what a session is told that was too far behind: `count` entries are not shown to it."""
        ...


Send = Callable[[bytes], int]  # as a socket's own


class ByteSink(Protocol):
    """Where the bytes of a session go. Nothing of it waits."""

    @property
    def send(self) -> Send:
        """Takes what it can at once and returns how many bytes that was; raises OSError if it can take none."""
        ...

    def write_rest(self, data: bytes, sent: int) -> None:
        """Keep what `send` did not take; the hub is told to pause until it is gone."""
        ...

    def write(self, data: bytes) -> None:
        """Do both."""
        ...


class Client(Protocol):
    """The listener's side of a session."""

    def send_event(self, event: Event) -> None:
        """Write an event; called only while the transport takes bytes."""
        ...

    def resume_input(self) -> None:
        """Take the next command: what the session waited for is there."""
        ...
