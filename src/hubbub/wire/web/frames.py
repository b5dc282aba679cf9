"""JSON over a WebSocket: the requests of a browser or a program, and the replies. Users read docs/protocol.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from hubbub.model.client import Encoder
from hubbub.model.codec import text_of
from hubbub.model.entries import (
    Edited,
    Entry,
    Ephemeral,
    Erased,
    Kind,
    Reacted,
    Redacted,
    Unknown,
    Unreacted,
    Voted,
)
from hubbub.model.events import (
    Acknowledged,
    ClassShown,
    Clock,
    Event,
    ForOperators,
    Goodbye,
    HistoryShown,
    Invited,
    Knocked,
    LoggedIn,
    MarkerMoved,
    MembersListed,
    Mentioned,
    Missed,
    NickAssigned,
    Notice,
    PollCounted,
    Private,
    PrivateShown,
    QueryResult,
    ReactionsAdded,
    Refusal,
    RoomEntered,
    RoomExited,
    RoomNameChanged,
    RoomsListed,
    RoomSummary,
    SettingsListed,
)
from hubbub.model.queries import LogPage
from hubbub.text.bounds import FOLDED_CHARS, MESSAGE_BYTES
from hubbub.text.list_pages import MAX_LISTED
from hubbub.wire.web.shown_entry import marks, shown
from hubbub.wire.web.websocket import frame

UNSEEN = frozenset({Ephemeral, Erased, Unknown, Voted})  # bodies that a browser does not get; votes are secret
MAX_FRAME = 64 * 1024  # bytes of a frame from a peer
MAX_TEXT = MESSAGE_BYTES
MAX_PAGE = 200  # entries of an answer

Label = Annotated[str, Meta(pattern="^[A-Za-z0-9-]{0,36}$")]  # as long as a UUID
Text = Annotated[str, Meta(max_length=MAX_TEXT)]
Name = Annotated[str, Meta(max_length=FOLDED_CHARS)]
Seq = Annotated[int, Meta(ge=0, lt=1 << 62)]
Limit = Annotated[int, Meta(ge=1, le=MAX_PAGE)]
Listed = Annotated[int, Meta(ge=1, le=MAX_LISTED)]


# --- in -------------------------------------------------------------------------------------------------------


class Hello(Struct, tag="hello", tag_field="type"):
    """Take a name, and enter the lobby, or enter earlier rooms and continue there after the given numbers.

    A room whose number is null is entered like a new one. `keys` holds the keys of rooms that need one. `log` is the
    identity of the log that the numbers belong to; `resume` is the secret of a session to continue. `password` is that
    of the account with the name, or a code or a token of it.
    """

    name: Name
    rooms: Annotated[dict[Name, Seq | None], Meta(max_length=1000)] = {}
    keys: Annotated[dict[Name, Name], Meta(max_length=1000)] = {}
    log: Annotated[str, Meta(max_length=64)] = ""
    resume: Annotated[str, Meta(max_length=64)] = ""
    password: str = ""
    label: Label = ""


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


class Join(Struct, tag="join", tag_field="type"):
    """Become a member of a room, and continue there after a number."""

    room: Name
    key: Name = ""
    after: Seq | None = None
    label: Label = ""


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


# --- out ------------------------------------------------------------------------------------------------------


def encode(type: str, /, **fields: Any) -> bytes:
    """Return an object of the given type and fields as a JSON frame."""
    return frame(msgspec.json.encode({"type": type, **fields}))


class JsonEncoder:
    """Encode entries for a browser: all entries of a batch in one frame, including its own."""

    echo = True
    dedupes = False

    @property
    def for_other_room(self) -> Encoder:
        """Return this encoder: each entry names its room."""
        return self

    def encode(self, entry: Entry) -> bytes:
        """Return the entry as a JSON object; b"" for the kinds in UNSEEN."""
        if type(entry.body) in UNSEEN:
            return b""
        return msgspec.json.encode(shown(entry))

    def encode_own(self, entry: Entry) -> bytes:
        """Return b"": the author gets their own entries in the same form as the others (`echo`)."""
        return b""

    def join(self, entries: Iterable[bytes]) -> bytes:
        """Return one frame with all entries; b"" if there are none."""
        inner = b",".join(filter(None, entries))
        return frame(b'{"type":"entries","entries":[' + inner + b"]}") if inner else b""

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return a frame that tells how many entries were skipped; the peer can request them."""
        return encode("skipped", room=room, count=count)


FORM = JsonEncoder()

EVENTS: dict[type[Event], Callable[[Any], bytes]] = {
    Notice: lambda event: encode("notice", lines=event.lines, **_label(event)),
    Refusal: lambda event: _refusal(event),
    Acknowledged: lambda event: _stored(event),
    RoomEntered: lambda event: _entered(event),
    ReactionsAdded: lambda event: b"",
    PollCounted: lambda event: b"" if event.told else _counted(event),
    Mentioned: lambda event: encode("mention", room=event.entry.room, seq=event.entry.seq, id=event.entry.id),
    MarkerMoved: lambda event: encode("read", room=event.room, time=event.time),
    ForOperators: lambda event: encode("notice", room=event.room, lines=[event.text]),
    RoomExited: lambda event: encode("left", room=event.room),
    RoomNameChanged: lambda event: encode("left", room=event.room) + _joined(event.to, event),
    NickAssigned: lambda event: encode("nick", nick=event.nick),
    LoggedIn: lambda event: encode("account", name=event.name),
    Missed: lambda event: encode(
        "missed", room=event.room, count=event.count, since=event.since, **({"more": True} if event.more else {})
    ),
    Private: lambda event: _private(event) if event.text else b"",
    PrivateShown: lambda event: _private_past(event),
    Invited: lambda event: encode("invited", nick=event.nick, room=event.room),
    Knocked: lambda event: encode("notice", lines=[event.text]),
    QueryResult: lambda event: encode("page", label=event.label, **_page(event.page)),
    HistoryShown: lambda event: encode("past", entries=_objects(event.entries), lines=event.tail),
    MembersListed: lambda event: _members(event),
    RoomsListed: lambda event: encode(
        "rooms", rooms=[_room(room) for room in event.rooms], more=event.more, **_label(event)
    ),
    SettingsListed: lambda event: encode(
        "settings", room=event.room, settings=event.settings, may=event.may, **_label(event)
    ),
    ClassShown: lambda event: encode(
        "class",
        room=event.room,
        hands=event.hands,
        questions=event.questions,
        polls=event.polls,
        codes=event.codes,
        **_label(event),
    ),
    Clock: lambda event: encode("clock", time=event.now),
    Goodbye: lambda event: b"",
}


def _entered(event: RoomEntered) -> bytes:
    more: dict[str, object] = {"current": event.current} if event.current else {}
    if event.hands:
        more["hands"] = event.hands
    if event.polls:
        more["polls"] = event.polls
    return _joined(event.room, event, **more)


def _joined(room: str, event: RoomEntered | RoomNameChanged, **more: object) -> bytes:
    if event.pins:
        more["pins"] = event.pins
    return encode("joined", room=room, seq=event.seq, topic=event.topic, **more)


def _page(page: LogPage) -> dict[str, Any]:
    note = {"note": page.note} if page.note else {}
    return {"entries": _objects(page.entries), "more": page.more, **note}


def _objects(entries: Iterable[Entry]) -> list[msgspec.Raw]:
    return [msgspec.Raw(data) for entry in entries if (data := FORM.encode(entry))]


def _refusal(event: Refusal) -> bytes:
    more = {name: value for name, value in (("room", event.room), ("offer", event.offer)) if value}
    return encode("error", code=event.code, text=event.text, label=event.label, **more)


def _stored(event: Acknowledged) -> bytes:
    entry = event.entry
    if event.to and isinstance(entry.body, _Change):
        name = entry.room.removeprefix("@")
        changed = _changed(entry, entry.body, {"nick": entry.nick, "to": name, "user": event.to})
        return changed + encode("stored", label=event.label, room=entry.room, seq=entry.seq, id=entry.id)
    if event.to:
        name = entry.room.removeprefix("@")
        return encode("sent", label=event.label, nick=name, user=event.to, **_place(entry))
    return encode("stored", label=event.label, room=entry.room, seq=entry.seq, id=entry.id)


def _private(event: Private) -> bytes:
    if event.to and not event.user:
        return b""  # to several members of a channel: the page has no conversation for it
    more: dict[str, object] = {name: value for name, value in (("user", event.user), ("to", event.to)) if value}
    if event.entry and isinstance(event.entry.body, _Change):
        return _changed(event.entry, event.entry.body, {"nick": event.nick, **more})
    if event.entry and event.entry.seq:
        more |= _place(event.entry)
        more |= {} if event.entry.kind is Kind.MESSAGE else {"kind": event.entry.kind}
        more |= marks(event.entry.tags)
    return encode("private", nick=event.nick, text=event.text, **more)


def _place(entry: Entry) -> dict[str, object]:
    """Return the fields of a private message that is stored; {} if it is not."""
    return {"time": entry.time, "id": entry.id, "seq": entry.seq} if entry.seq else {}


_Change = Redacted | Edited | Reacted | Unreacted


def _changed(entry: Entry, body: _Change, about: dict[str, Any]) -> bytes:
    """Return a frame for a change of a private message; `about` names both people as in the message's frame."""
    about |= _place(entry) | {"id": body.target}
    if isinstance(body, Redacted):
        return encode("deleted", **about)
    if isinstance(body, Edited):
        return encode("corrected", **about, text=body.text)
    return encode("reacted", **about, reaction=body.reaction, on=type(body) is Reacted)


def _private_past(event: PrivateShown) -> bytes:
    """Return a frame for each message, and one for the notices behind them."""
    frames = []
    for entry in event.entries:
        to = entry.room.removeprefix("@")
        recipient = "" if to == event.reader else to
        frames.append(_private(Private(entry.nick, text_of(entry.body), entry, event.user, recipient)))
    return b"".join([*frames, encode("notice", lines=event.tail) if event.tail else b""])


def _members(event: MembersListed) -> bytes:
    fields: dict[str, object] = {"nicks": event.nicks, "more": event.more, "operators": event.operators}
    if event.users:
        fields["users"] = event.users
    if event.watching:
        fields["watching"] = event.watching
    return encode("members", room=event.room, **fields, **_label(event))


def _label(event: Notice | MembersListed | RoomsListed | SettingsListed | ClassShown) -> dict[str, str]:
    return {"label": event.label} if event.label else {}


def _counted(event: PollCounted) -> bytes:
    return encode("votes", room=event.room, id=event.id, votes=event.votes, guests=event.guests)


def _room(room: RoomSummary) -> dict[str, Any]:
    return {"name": room.name, "members": room.members, "topic": room.topic}


def render(event: Event) -> bytes:
    """Return an event as frames; b"" if the peer gets no frame for it, as when the connection is closed."""
    return EVENTS[type(event)](event)
