"""JSON over a WebSocket: what a browser or a program says, and what it is told. docs/protocol.md tells it for users."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from hubbub.core.bounds import FOLDED_CHARS, MESSAGE_BYTES
from hubbub.core.list_pages import MAX_LISTED
from hubbub.core.model import (
    Acknowledged,
    Clock,
    Encoder,
    Entry,
    Event,
    Goodbye,
    HistoryShown,
    Invited,
    Joined,
    Kind,
    Knocked,
    Left,
    LogPage,
    MembersListed,
    NickChanged,
    Notice,
    Private,
    QueryResult,
    Refusal,
    RoomRenamed,
    RoomsListed,
    RoomSummary,
)
from hubbub.core.room_modes import describe
from hubbub.core.tags import shown

UNSEEN = frozenset({Kind.EPHEMERAL, Kind.REDACTED})  # kinds that a browser is not told of
MAX_FRAME = 64 * 1024  # bytes of a frame that a peer sends
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
    """Take a name, and enter the lobby, or the rooms in which one was, and go on there after these numbers.

    A room whose number is null is entered like a new one. `keys` are those of the rooms that have one. `log` is the
    identity of the log that the numbers belong to; `resume` the secret of a session to go on with.
    """

    name: Name
    rooms: Annotated[dict[Name, Seq | None], Meta(max_length=1000)] = {}
    keys: Annotated[dict[Name, Name], Meta(max_length=1000)] = {}
    log: Annotated[str, Meta(max_length=64)] = ""
    resume: Annotated[str, Meta(max_length=64)] = ""
    label: Label = ""


class Say(Struct, tag="say", tag_field="type"):
    """Say a text in a room; its lines stay one message."""

    room: Name
    text: Text
    label: Label = ""


class ClientCommand(Struct, tag="command", tag_field="type"):
    """Do what a line says in a room, as in a terminal; a `room` that begins with @ is a private talk, and no room."""

    line: Text
    room: Name = ""
    label: Label = ""


class Join(Struct, tag="join", tag_field="type"):
    """Become a member of a room, and go on there after a number."""

    room: Name
    key: Name = ""
    after: Seq | None = None
    label: Label = ""


class Leave(Struct, tag="leave", tag_field="type"):
    """Leave a room."""

    room: Name
    label: Label = ""


class Msg(Struct, tag="msg", tag_field="type"):
    """Send a private message: to whoever has the name, or only to the user with an id."""

    to: Name
    text: Text
    user: Name = ""
    label: Label = ""


class Redact(Struct, tag="redact", tag_field="type"):
    """Take a message back."""

    room: Name
    id: Name
    reason: Text = ""
    label: Label = ""


class History(Struct, tag="history", tag_field="type"):
    """Ask for the entries of a room before a number (0: the newest), or for those after one; of every kind."""

    room: Name
    before: Seq = 0
    after: Seq | None = None
    limit: Limit = 50
    label: Label = ""


class Find(Struct, tag="search", tag_field="type"):
    """Ask for the newest messages with all these words, in a room or in all."""

    words: Text
    room: Name = ""
    before: Seq = 0
    limit: Limit = 20
    label: Label = ""


class AskRooms(Struct, tag="rooms", tag_field="type"):
    """Ask for the liveliest rooms; with `after`, also if it is empty, for those whose names follow it, by name."""

    after: Name | None = None
    limit: Listed = MAX_LISTED
    label: Label = ""


class AskMembers(Struct, tag="members", tag_field="type"):
    """Ask for the people in a room, by name; with `after` for those whose names follow it."""

    room: Name
    after: Name | None = None
    limit: Listed = MAX_LISTED
    label: Label = ""


Request = Hello | Say | ClientCommand | Join | Leave | Msg | Redact | History | Find | AskRooms | AskMembers
_decode = msgspec.json.Decoder(Request).decode


_LABEL = re.compile(r'"label"\s*:\s*"([A-Za-z0-9-]{1,36})"')


class BadFrame(ValueError):
    """A peer sent what is not a request; the text says why, `label` is the peer's word for it as far as it is known."""

    def __init__(self, text: str, label: str) -> None:
        super().__init__(text)
        self.label = label


def parse(data: str) -> Request:
    """Return what a frame asks for.

    Raises:
        BadFrame: it is not a request; the peer may go on with the next.

    """
    try:
        request: Request = _decode(data)
        return request
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        label = _LABEL.search(data)
        raise BadFrame(str(error), label[1] if label else "") from None


# --- out ------------------------------------------------------------------------------------------------------


def frame(payload: bytes) -> bytes:
    """Return a text frame, unmasked as a server sends it (RFC 6455, section 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2, "big") + payload
    return b"\x81\x7f" + size.to_bytes(8, "big") + payload


def encode(type: str, /, **fields: Any) -> bytes:
    """Return an object as a frame."""
    return frame(msgspec.json.encode({"type": type, **fields}))


class JsonEncoder:
    """How entries look to a browser: all of a batch in one frame, its own among them."""

    echo = True
    dedupes = False

    @property
    def for_other_room(self) -> Encoder:
        """Return the same: each entry tells its room."""
        return self

    def encode(self, entry: Entry) -> bytes:
        """Return the entry's object."""
        return msgspec.json.encode(_object(entry)) if entry.kind not in UNSEEN else b""

    def encode_own(self, entry: Entry) -> bytes:
        """Return nothing: it is given its own as others are."""
        return b""

    def join(self, entries: Iterable[bytes]) -> bytes:
        """Return a frame with all of them."""
        inner = b",".join(filter(None, entries))
        return frame(b'{"type":"entries","entries":[' + inner + b"]}") if inner else b""

    def encode_skipped(self, room: str, count: int) -> bytes:
        """Return a frame that says that entries were left out; the peer can ask for them."""
        return encode("skipped", room=room, count=count)


FORM = JsonEncoder()

EVENTS: dict[type[Event], Callable[[Any], bytes]] = {
    Notice: lambda event: encode("notice", lines=event.lines),
    Refusal: lambda event: _refusal(event),
    Acknowledged: lambda event: _stored(event),
    Joined: lambda event: encode("joined", room=event.room, seq=event.seq, topic=event.topic),
    Left: lambda event: encode("left", room=event.room),
    RoomRenamed: lambda event: (
        encode("left", room=event.room) + encode("joined", room=event.to, seq=event.entry.seq, topic=event.topic)
    ),
    NickChanged: lambda event: encode("nick", nick=event.nick),
    Private: lambda event: _private(event) if event.text else b"",
    Invited: lambda event: encode("invited", nick=event.nick, room=event.room),
    Knocked: lambda event: encode("notice", lines=[event.text]),
    QueryResult: lambda event: encode("page", label=event.label, **_page(event.page)),
    HistoryShown: lambda event: encode("past", entries=_objects(event.entries), lines=event.tail),
    MembersListed: lambda event: _members(event),
    RoomsListed: lambda event: encode(
        "rooms", rooms=[_room(room) for room in event.rooms], more=event.more, **_label(event)
    ),
    Clock: lambda event: encode("clock", time=event.now),
    Goodbye: lambda event: b"",
}


def _page(page: LogPage) -> dict[str, Any]:
    note = {"note": page.note} if page.note else {}
    return {"entries": _objects(page.entries), "more": page.more, **note}


def _objects(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    return [_object(entry) for entry in entries if entry.kind not in UNSEEN]


def _refusal(event: Refusal) -> bytes:
    more = {name: value for name, value in (("room", event.room), ("offer", event.offer)) if value}
    return encode("error", code=event.code, text=event.text, label=event.label, **more)


def _stored(event: Acknowledged) -> bytes:
    entry = event.entry
    if event.to:
        return encode("sent", label=event.label, nick=entry.room.removeprefix("@"), user=event.to)
    return encode("stored", label=event.label, room=entry.room, seq=entry.seq, id=entry.id)


def _private(event: Private) -> bytes:
    user = {"user": event.user} if event.user else {}
    return encode("private", nick=event.nick, text=event.text, **user)


def _members(event: MembersListed) -> bytes:
    fields: dict[str, object] = {"nicks": event.nicks, "more": event.more, "operators": event.operators}
    if event.users:
        fields["users"] = event.users
    if event.watching:
        fields["watching"] = event.watching
    return encode("members", room=event.room, **fields, **_label(event))


def _label(event: MembersListed | RoomsListed) -> dict[str, str]:
    return {"label": event.label} if event.label else {}


def _object(entry: Entry) -> dict[str, Any]:
    """Return an entry as an object; what was done to a room or somebody in it is told in words, too."""
    fields = entry._asdict()
    fields["tags"] = shown(entry.tags)
    if entry.kind is Kind.MODE:
        fields["words"] = describe(entry.text)
    elif entry.kind is Kind.KICK:
        whom, _, why = entry.text.partition(" ")
        fields["words"] = f"has kicked {whom}{f' ({why})' if why else ''}"
    elif entry.kind is Kind.REDACT:
        fields["words"] = "has taken a message back"
    elif entry.kind is Kind.ROOM_RENAMED:
        fields["words"] = f"has renamed the room: it is {entry.text.partition(' ')[0]} now"
    return fields


def _room(room: RoomSummary) -> dict[str, Any]:
    return {"name": room.name, "members": room.members, "topic": room.topic}


def render(event: Event) -> bytes:
    """Return what a session is told as a frame; b"" for what it is told by closing."""
    return EVENTS[type(event)](event)
