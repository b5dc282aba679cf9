"""The API over HTTP: what may be asked, and how the log looks in a stream. docs/protocol.md tells it for users."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, get_args, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from hubbub.errors import Refused
from hubbub.model.client import Encoder
from hubbub.model.entries import Entry
from hubbub.text import refusals, tags
from hubbub.text.bounds import FOLDED_CHARS, MESSAGE_BYTES, SEARCH_CHARS
from hubbub.text.list_pages import MAX_LISTED
from hubbub.wire.line import encoder

MAX_LAST = 200  # messages of an answer
MAX_BODY = MESSAGE_BYTES  # of a message, in UTF-8
MAX_READ = 4 * MAX_BODY  # bytes of a body: JSON and other charsets may take more of them

# The descriptions are ends of the sentence "NAME must be …".
Name = Annotated[str, Meta(max_length=FOLDED_CHARS, description=f"a name of at most {FOLDED_CHARS} characters")]
Seq = Annotated[int, Meta(ge=0, lt=1 << 62, description="the number of an entry")]
Limit = Annotated[int, Meta(ge=1, le=MAX_LISTED, description=f"a whole number from 1 to {MAX_LISTED}")]
Last = Annotated[int, Meta(ge=1, le=MAX_LAST, description=f"a whole number from 1 to {MAX_LAST}")]
Words = Annotated[
    str, Meta(min_length=1, max_length=SEARCH_CHARS, description=f"a text of 1 to {SEARCH_CHARS} characters")
]
_MARK = "([A-Za-z0-9]{1,64}-)?[0-9]{1,18}"
Mark = Annotated[
    str,
    Meta(
        pattern=f"^{_MARK}$",
        description="the number of an entry, or the id of an event in a stream",
    ),
]


# --- what may be asked: the fields are the query's -------------------------------------------------------------


class MessagesQuery(Struct):
    """The newest messages, those before a number, or those that follow one."""

    last: Last = 50
    before: Seq = 0
    after: Mark | None = None


class SearchQuery(Struct):
    """The newest messages with all these words; a star at the end of one finds words that begin with it."""

    q: Words
    last: Last = 20
    before: Seq = 0


class PostQuery(Struct):
    """The name under which the message is said."""

    name: Name


class StreamQuery(Struct):
    """What follows a number, and then what comes."""

    after: Mark | None = None


class RoomsQuery(Struct):
    """The liveliest rooms; with `after`, also if it is empty, those whose names follow it, by name."""

    after: Name | None = None
    limit: Limit = MAX_LISTED


class MembersQuery(Struct):
    """The people in a room, by name; with `after` those whose names follow it."""

    after: Name | None = None
    limit: Limit = MAX_LISTED


def explain(error: msgspec.ValidationError, query: type[Struct]) -> Refused:
    """Return the refusal of a query that has this fault."""
    text = str(error)
    if "missing required field" in text:
        field = text.split("`")[1]
        return refusals.QUERY_MISSING(field=field)
    field = text.partition("`$.")[2].rstrip("`")
    kind = get_type_hints(query, include_extras=True)[field]
    kind = kind if hasattr(kind, "__metadata__") else get_args(kind)[0]
    return refusals.QUERY_INVALID(field=field, expected=kind.__metadata__[0].description)


def is_mark(text: str) -> bool:
    """Return whether a text is the number of an entry, or the id of an event."""
    return re.fullmatch(_MARK, text) is not None


def place(mark: str, log: str) -> int | None:
    """Return the number that a mark means; None if it is about another log than this one."""
    of, _, number = mark.rpartition("-")
    return int(number) if of in ("", log) else None


class MessageBody(Struct):
    """A message as a JSON body, as Slack's webhooks take it."""

    text: str


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


class Posted(LogEntry):
    """The entry that a post has become; `people` is 0 if it opened a room in which nobody is: is the name right?"""

    people: int | UnsetType = UNSET


class Page(Struct, omit_defaults=True):
    """Entries, the oldest first; `more`: there are others beyond what was asked for; `note`: what else is missing."""

    entries: list[LogEntry]
    more: bool
    note: str = ""


class RoomInfo(Struct):
    """A room, and how many are in it."""

    name: str
    members: int
    topic: str


class RoomPage(Struct):
    """Rooms, the liveliest first or by name; `more` of them are not listed."""

    rooms: list[RoomInfo]
    more: int


class MemberPage(Struct, omit_defaults=True):
    """The people in a room, by name; `more` of them are not listed, `watching` follow it without being in it."""

    room: str
    nicks: list[str]
    more: int
    watching: int = 0


class Problem(Struct):
    """Why something was not done (RFC 9457): `code` is for programs, `detail` for people."""

    status: int
    title: str
    detail: str
    code: str
    type: str = "about:blank"


def shown(entry: Entry) -> LogEntry:
    """Return an entry as it is answered."""
    return LogEntry(*entry[:-1], tags.shown(entry.tags))


# --- answers that are written past aiohttp ---------------------------------------------------------------------

HEADERS = {  # of every answer
    "Server": "hubbub",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
ENCRYPTED = HEADERS | {"Strict-Transport-Security": "max-age=31536000"}  # where the connection is encrypted


def head(status: str, headers: Mapping[str, str]) -> bytes:
    """Return the head of an answer."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode("ascii")


def refusal(status: str, sentence: str, headers: Mapping[str, str]) -> bytes:
    """Return a whole answer that refuses something and ends the connection."""
    body = f"{sentence}\n".encode()
    fields = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body)), "Connection": "close"}
    return head(status, {**headers, **fields}) + body


# --- streams ---------------------------------------------------------------------------------------------------


def chunk(data: bytes) -> bytes:
    """Return bytes as one chunk of a body that has no length (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def whole(data: bytes) -> bytes:
    """Return bytes as they are: HTTP/1.0 knows no chunks, there the end of the connection ends the body."""
    return data


LAST_CHUNK = b"0\r\n\r\n"
ALIVE = b":\n\n"  # a comment, so that a peer that is gone is noticed


class EventStreamEncoder:
    """How entries look as server-sent events: the event's id is the log's identity and the number.

    Args:
        log: returns the identity of the log.

    """

    def __init__(self, log: Callable[[], str]) -> None:
        self._log = log

    def encode(self, entry: Entry) -> bytes:
        """Return the entry's event."""
        data = msgspec.json.encode(shown(entry))
        return b"id: %b-%d\ndata: %b\n\n" % (self._log().encode(), entry.seq, data)

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return an event that says that entries were left out."""
        return b"event: skipped\ndata: %d\n\n" % count

    def other_log(self) -> bytes:
        """Return an event that says that the number from which the client wants to go on is of another log."""
        return b"event: other-log\ndata: %b\n\n" % self._log().encode()


class TextEncoder:
    """How entries look as lines in a terminal."""

    def encode(self, entry: Entry) -> bytes:
        """Return the entry's lines."""
        return encoder.RAW.encode(entry)

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return a line that says that entries were left out."""
        return encoder.RAW.encode_skipped(room, count)

    def other_log(self) -> bytes:
        """Return a line that says that the number from which the client wants to go on is of another log."""
        return encoder.encode(
            encoder.notice("The log is another one than before: this begins with what comes next"), "\n"
        )


class StreamEncoder:
    """A form in a body without a length.

    Args:
        form: how entries look.
        cut: makes a part of the body of bytes.

    """

    echo = True
    dedupes = False

    def __init__(self, form: EventStreamEncoder | TextEncoder, cut: Callable[[bytes], bytes]) -> None:
        self._form = form
        self.cut = cut

    @property
    def for_other_room(self) -> Encoder:
        """Return the same: a stream is of one room."""
        return self

    def encode(self, entry: Entry) -> bytes:
        """Return the entry as the form shows it."""
        return self._form.encode(entry)

    def encode_own(self, entry: Entry) -> bytes:
        """Return nothing: a stream's session says nothing."""
        return b""

    def join(self, entries: Iterable[bytes]) -> bytes:
        """Return a part with all of them."""
        return self.cut(b"".join(entries))

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return the form's notice as a part."""
        return self.cut(self._form.encode_skipped(room, count))

    def other_log(self) -> bytes:
        """Return the form's notice as a part."""
        return self.cut(self._form.other_log())

    @property
    def alive(self) -> bytes:
        """A sign of life that nobody is shown; b"" where there is none."""
        return self.cut(ALIVE) if isinstance(self._form, EventStreamEncoder) else b""

    @property
    def end(self) -> bytes:
        """What ends the body."""
        return LAST_CHUNK if self.cut is chunk else b""
