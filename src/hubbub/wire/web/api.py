"""The API over HTTP: its queries and its answers. docs/protocol.md explains it to users."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, Struct

from hubbub.errors import Refused
from hubbub.model.events import OpenPoll
from hubbub.model.messages.polls import doubt, question, tally
from hubbub.text import refusals
from hubbub.text.bounds import FOLDED_CHARS, MESSAGE_BYTES, REASON_BYTES, SEARCH_CHARS
from hubbub.text.list_pages import MAX_LISTED
from hubbub.wire.web.shown_entry import LogEntry

MAX_LAST = 200  # messages of an answer
MAX_BODY = MESSAGE_BYTES  # of a message, in UTF-8
ID_CHARS = 128  # of an entry
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


# --- queries: each field is a parameter -----------------------------------------------------------------------


class MessagesQuery(Struct):
    """The newest messages and polls, the newest before a number, or the oldest after a number."""

    last: Last = 50
    before: Seq = 0
    after: Mark | None = None


class SearchQuery(Struct):
    """The newest messages and polls that contain all these words.

    A star after a word finds longer words that begin with it. The filters from:NAME, in:ROOM, before:TIME and
    after:TIME may stand among the words.
    """

    q: Words
    last: Last = 20
    before: Seq = 0


class PostQuery(Struct):
    """The name of the message's author; with a token it is the name of the account, and may be left out."""

    name: Name = ""


class SendQuery(Struct):
    """No fields: the author is the account of the token."""


class TranscriptQuery(Struct):
    """The form of the transcript: html, markdown or text."""

    format: Annotated[Literal["html", "markdown", "text"], Meta(description="html, markdown or text")] = "html"


class StreamQuery(Struct):
    """The entries after a number, followed by all new ones; without a number, only new ones."""

    after: Mark | None = None


class RoomsQuery(Struct):
    """The rooms with most members; with `after`, even if it is empty, the rooms whose names follow it, by name."""

    after: Name | None = None
    limit: Limit = MAX_LISTED


class MembersQuery(Struct):
    """The members of a room, sorted by name; with `after`, those whose names follow it."""

    after: Name | None = None
    limit: Limit = MAX_LISTED


class MentionsQuery(Struct):
    """The newest messages that mention you; with `unread`, those that you have not read on any device."""

    last: Last = 20
    unread: bool = False


class PollQuery(Struct):
    """No fields: the author of the poll is the account of the token."""


class VoteQuery(Struct):
    """The id of an open poll; without it, the vote is for the newest one."""

    id: Annotated[str, Meta(max_length=ID_CHARS, description="the id of a poll")] = ""


class EndQuery(Struct):
    """The id of an open poll."""

    id: Annotated[str, Meta(min_length=1, max_length=ID_CHARS, description="the id of a poll")]


class ConversationsQuery(Struct):
    """The conversations that changed last; with `after`, even if it is empty, those behind a name, by name."""

    after: Name | None = None
    limit: Annotated[int, Meta(ge=1, le=100, description="a whole number from 1 to 100")] = 100


class DeleteQuery(Struct):
    """The id of the message, and the reason that the other person is shown."""

    id: Annotated[str, Meta(min_length=1, max_length=ID_CHARS, description="the id of a message")]
    reason: Annotated[str, Meta(max_length=REASON_BYTES, description=f"at most {REASON_BYTES} characters")] = ""


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
    """A message as a JSON body, in the form of Slack's webhooks."""

    text: str


# --- answers ---------------------------------------------------------------------------------------------------


class Page(Struct, omit_defaults=True):
    """Entries, oldest first. `more`: there are further entries. `note`: the reason why some are missing."""

    entries: list[LogEntry]
    more: bool
    note: str = ""


class RoomInfo(Struct):
    """A room, with its number of members and its topic."""

    name: str
    members: int
    topic: str


class RoomPage(Struct):
    """Rooms, those with most members first, or by name. `more` is the number of rooms that are not listed."""

    rooms: list[RoomInfo]
    more: int


class PollInfo(Struct):
    """A poll, with the number of votes for each answer; `guests` of them are by people who can vote again.

    `mine` is the number of the answer that the caller chose, 0 for none.
    """

    id: str
    nick: str
    question: str
    answers: Sequence[str]
    votes: Sequence[int]
    guests: int
    mine: int
    closed: bool

    @classmethod
    def of(cls, poll: OpenPoll, closed: bool = False) -> PollInfo:
        """Return a poll in the form of the API's answers."""
        counts = (poll.votes, poll.guests, poll.mine)
        return cls(poll.id, poll.nick, poll.question, poll.answers, *counts, closed)

    @property
    def line(self) -> str:
        """The poll in one line of text: its author, its answers with their votes, and whether it is open."""
        state = " (has ended)" if self.closed else " (is open)"
        counted = tally(self.answers, self.votes) + doubt(self.guests)
        return f"{self.nick} asks: {question(self.question)} {counted}{state}"


class PollPage(Struct):
    """The open polls of a room, the oldest first."""

    polls: list[PollInfo]


class ConversationInfo(Struct):
    """A private conversation: the name of the other person, and the time of the last message."""

    name: str
    time: float


class ConversationPage(Struct):
    """Private conversations, those that changed last first, or by name. `more` of them are not listed."""

    conversations: list[ConversationInfo]
    more: int


class MemberPage(Struct, omit_defaults=True):
    """The members of a room, by name. `more` members are not listed; `watching` streams follow the room, too."""

    room: str
    nicks: list[str]
    more: int
    watching: int = 0


class Problem(Struct):
    """An error (RFC 9457). `code` is for programs, `detail` is for people."""

    status: int
    title: str
    detail: str
    code: str
    type: str = "about:blank"
