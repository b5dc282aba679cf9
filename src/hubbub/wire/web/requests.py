"""JSON over a WebSocket: the requests of a browser or a program. Users read docs/protocol.md."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from hubbub.text.bounds import FOLDED_CHARS, MESSAGE_BYTES
from hubbub.text.concealed import concealed
from hubbub.text.list_pages import MAX_LISTED

MAX_FRAME = 64 * 1024  # bytes of a frame from a peer
MAX_TEXT = MESSAGE_BYTES
MAX_PAGE = 200  # entries of an answer

Label = Annotated[str, Meta(pattern="^[A-Za-z0-9-]{0,36}$")]  # as long as a UUID
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Name = Annotated[str, Meta(max_length=FOLDED_CHARS)]
Seq = Annotated[int, Meta(ge=0, lt=1 << 62)]
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE)]
Listed = Annotated[int, Meta(ge=1, le=MAX_LISTED)]


class Hello(Struct, tag="hello", tag_field="type"):
    """Take a name, and enter the lobby, or enter earlier rooms and continue there after the given numbers.

    A room whose number is null is entered like a new one. `keys` holds the keys of rooms that need one, `ids` the ids
    of the rooms that had these names, which may have other names now. `log` is the identity of the log that the numbers
    belong to; `resume` is the secret of a session to continue. `password` is that of the account with the name, or a
    code or a token of it.
    """

    name: Name
    rooms: Annotated[dict[Name, Seq | None], Meta(max_length=1000)] = {}
    keys: Annotated[dict[Name, Name], Meta(max_length=1000)] = {}
    ids: Annotated[dict[Name, Name], Meta(max_length=1000)] = {}
    log: Annotated[str, Meta(max_length=64)] = ""
    resume: Annotated[str, Meta(max_length=64)] = ""
    password: str = ""
    label: Label = ""

    __repr__ = concealed


class Say(Struct, tag="say", tag_field="type"):
    """Say a text in a room, as an answer to the message with the id `re` if that is given.

    A text of several lines stays one message.
    """

    room: Name
    text: Text
    re: Name = ""
    label: Label = ""


class ClientCommand(Struct, tag="command", tag_field="type"):
    """Run a line in a room, as if typed in a terminal; a `room` that begins with @ is a private conversation."""

    line: Text
    room: Name = ""
    label: Label = ""

    __repr__ = concealed


class Join(Struct, tag="join", tag_field="type"):
    """Become a member of a room, and continue there after a number."""

    room: Name
    key: Name = ""
    after: Seq | None = None
    label: Label = ""

    __repr__ = concealed


class Leave(Struct, tag="leave", tag_field="type"):
    """Leave a room; its other members get a leave entry."""

    room: Name
    label: Label = ""


class Msg(Struct, tag="msg", tag_field="type"):
    """Send a private message to the user with a name; with `user`, only if that user has this id.

    `re` is the id of the message that it answers.
    """

    to: Name
    text: Text
    user: Name = ""
    re: Name = ""
    label: Label = ""


class Redact(Struct, tag="redact", tag_field="type"):
    """Redact a message by its id."""

    room: Name
    id: Name
    reason: Text = ""
    label: Label = ""


class Correct(Struct, tag="edit", tag_field="type"):
    """Give one's own message, by its id, a new text."""

    room: Name
    id: Name
    text: Text
    label: Label = ""


class React(Struct, tag="react", tag_field="type"):
    """Add a reaction to a message by its id, or take it back (`on` is false)."""

    room: Name
    id: Name
    reaction: Name
    on: bool = True
    label: Label = ""


class PinMessage(Struct, tag="pin", tag_field="type"):
    """Pin a message to its room by its id, or take the pin away (`on` is false)."""

    room: Name
    id: Name
    on: bool = True
    label: Label = ""


class OpenPollRequest(Struct, tag="poll", tag_field="type"):
    """Ask the people in a room a question with answers to choose from."""

    room: Name
    question: Text
    answers: Annotated[list[Text], Meta(max_length=100)]
    label: Label = ""


class Vote(Struct, tag="vote", tag_field="type"):
    """Choose the answer of an open poll, by its id, with a number from 1 on; 0 takes the vote back."""

    room: Name
    id: Name
    choice: Annotated[int, Meta(ge=0, le=100)]
    label: Label = ""


class EndPoll(Struct, tag="close", tag_field="type"):
    """End a poll by its id."""

    room: Name
    id: Name
    label: Label = ""


class History(Struct, tag="history", tag_field="type"):
    """Request the entries of a room, of every kind: before a number (0: the newest), after one, or around an id."""

    room: Name
    before: Seq = 0
    after: Seq | None = None
    limit: Limit = 50
    around: Name = ""
    label: Label = ""


class Find(Struct, tag="search", tag_field="type"):
    """Request the newest messages with all these words, in one room or in all."""

    words: Text
    room: Name = ""
    before: Seq = 0
    limit: Limit = 20
    label: Label = ""


class MarkRead(Struct, tag="read", tag_field="type"):
    """Note that the user has read a room up to the entry of a time (epoch seconds); without a room, all mentions."""

    room: Name = ""
    time: Annotated[float, Meta(ge=0)] = 0
    label: Label = ""


class AskMentions(Struct, tag="mentions", tag_field="type"):
    """Request the newest messages that mention the user, in all rooms that they may read; `unread`: not yet."""

    limit: Limit = 20
    unread: bool = False
    label: Label = ""


class AskRooms(Struct, tag="rooms", tag_field="type"):
    """Request the busiest rooms; with `after`, even if it is "", the rooms whose names follow it, ordered by name."""

    after: Name | None = None
    limit: Listed = MAX_LISTED
    label: Label = ""


class AskMembers(Struct, tag="members", tag_field="type"):
    """Request the members of a room, in order of names; with `after`, those whose names follow it."""

    room: Name
    after: Name | None = None
    limit: Listed = MAX_LISTED
    label: Label = ""


class AskClass(Struct, tag="class", tag_field="type"):
    """Request the raised hands and the open questions, polls and codes of a room that one is in."""

    room: Name
    label: Label = ""


class AskSettings(Struct, tag="settings", tag_field="type"):
    """Request the settings of a room that one is in, and one's permissions there."""

    room: Name
    label: Label = ""


Request = (
    Hello
    | Say
    | ClientCommand
    | Join
    | Leave
    | Msg
    | Redact
    | Correct
    | React
    | PinMessage
    | OpenPollRequest
    | Vote
    | EndPoll
    | History
    | Find
    | MarkRead
    | AskMentions
    | AskRooms
    | AskMembers
    | AskSettings
    | AskClass
)
_decode = msgspec.json.Decoder(Request).decode


_LABEL = re.compile(r'"label"\s*:\s*"([A-Za-z0-9-]{1,36})"')


class BadFrame(ValueError):
    """A frame is not a request; the text tells the fault, and `label` is the request's label as far as it is known."""

    def __init__(self, text: str, label: str) -> None:
        super().__init__(text)
        self.label = label


def parse(data: str) -> Request:
    """Return the request in a frame.

    Raises:
        BadFrame: it is not a request; the peer may continue with the next one.

    """
    try:
        request: Request = _decode(data)
        return request
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        label = _LABEL.search(data)
        text = "It is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadFrame(text, label[1] if label else "") from None
