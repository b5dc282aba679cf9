"""The API over HTTP: what may be asked, and how the log looks in a stream. docs/protocol.md tells it for users."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from hubbub.core.model import Entry, Form

MAX_LAST = 200  # messages of an answer
MAX_BODY = 16 * 1024  # bytes of a message

Name = Annotated[str, Meta(max_length=128)]
Seq = Annotated[int, Meta(ge=0, lt=1 << 62)]
Last = Annotated[int, Meta(ge=1, le=MAX_LAST)]


# --- what may be asked: the fields are the query's -------------------------------------------------------------


class Nothing(Struct):
    """No parameters."""


class Messages(Struct):
    """The newest messages, those before a number, or those that follow one."""

    last: Last = 50
    before: Seq = 0
    after: Seq | None = None


class Search(Struct):
    """The newest messages with all these words."""

    q: Annotated[str, Meta(min_length=1, max_length=1024)]
    last: Last = 20
    before: Seq = 0


class Post(Struct):
    """Who says it."""

    name: Name


class Stream(Struct):
    """What follows a number, and then what comes."""

    after: Seq | None = None


# --- what is answered ------------------------------------------------------------------------------------------


class LogEntry(Struct):
    """An entry of a room's log; `prev` is the number of the one before it, `time` in seconds since the epoch."""

    room: str
    seq: int
    prev: int
    time: float
    kind: str
    nick: str
    text: str
    id: str
    host: str = ""
    tags: str = ""


class Page(Struct):
    """Entries, the oldest first; `more`: there are others beyond what was asked for."""

    entries: list[LogEntry]
    more: bool


class RoomInfo(Struct):
    """A room, and how many are in it."""

    name: str
    members: int
    topic: str


class RoomPage(Struct):
    """Rooms, the liveliest first; `more` of them are not listed."""

    rooms: list[RoomInfo]
    more: int


class MemberPage(Struct):
    """Who is in a room, by name; `more` of them are not listed."""

    room: str
    nicks: list[str]
    more: int


class Problem(Struct):
    """Why something was not done (RFC 9457): `code` is for programs, `detail` for people."""

    status: int
    title: str
    detail: str
    code: str
    type: str = "about:blank"


def shown(entry: Entry) -> LogEntry:
    """Return an entry as it is answered."""
    return LogEntry(*entry)


# --- streams ---------------------------------------------------------------------------------------------------


def chunk(data: bytes) -> bytes:
    """Return bytes as one chunk of a body that has no length (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


class EventForm:
    """How entries look as server-sent events: the number is the event's id, the entry's object its data."""

    def render(self, entry: Entry) -> bytes:
        """Return the entry's event."""
        return b"id: %d\ndata: %b\n\n" % (entry.seq, msgspec.json.encode(shown(entry)))

    def skipped(self, room: str, count: int) -> bytes:
        """Return an event that says that entries were left out."""
        return b"event: skipped\ndata: %d\n\n" % count


class Streamed:
    """A form in a body without a length: each batch is a chunk."""

    echo = True
    once = False

    def __init__(self, form: Form | EventForm) -> None:
        self._form = form

    @property
    def elsewhere(self) -> Form:
        """Return the same: a stream is of one room."""
        return self

    def render(self, entry: Entry) -> bytes:
        """Return the entry as the form shows it."""
        return self._form.render(entry)

    def mine(self, entry: Entry) -> bytes:
        """Return nothing: who follows says nothing."""
        return b""

    def join(self, entries: Iterable[bytes]) -> bytes:
        """Return a chunk with all of them."""
        return chunk(b"".join(entries))

    def skipped(self, room: str, count: int) -> bytes:
        """Return the form's notice as a chunk."""
        return chunk(self._form.skipped(room, count))


EVENTS = Streamed(EventForm())
ALIVE = chunk(b":\n\n")  # a comment, so that who is gone is noticed
