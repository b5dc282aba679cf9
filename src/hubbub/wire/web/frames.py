"""JSON over a WebSocket: the frames that a browser or a program gets. Users read docs/protocol.md."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

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
from hubbub.wire.web.shown_entry import marks, shown
from hubbub.wire.web.websocket import frame

UNSEEN = frozenset({Ephemeral, Erased, Unknown, Voted})  # bodies that a browser does not get; votes are secret


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
    RoomNameChanged: lambda event: encode("left", room=event.room, to=event.to) + _joined(event.to, event),
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
    more: dict[str, object] = {"id": event.room_id}
    if event.current:
        more["current"] = event.current
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
