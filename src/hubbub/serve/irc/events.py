"""The conversion of the hub's events into IRC messages for one client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubbub.model.entries import SAID, Entry, Kind
from hubbub.model.events import (
    Acknowledged,
    HistoryShown,
    Invited,
    Joined,
    Knocked,
    Left,
    NickChanged,
    Notice,
    Private,
    QueryResult,
    Refusal,
    RoomRenamed,
)
from hubbub.serve.irc import channels, history, metadata
from hubbub.serve.irc.client import IrcClient
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.encoder import RENAMING, channel
from hubbub.wire.irc.numerics import REFUSALS, TEXTS


def _joined(client: IrcClient, event: Joined, again: bool = False) -> None:
    room = client.hub.rooms.loaded.get(event.room)
    if room is None or room.name not in client.session.rooms:
        return
    session, real = client.session, client.user.real if client.user else ""
    entry = Entry(room.name, 0, 0, client.hub.clock(), Kind.JOIN, client.nick, real, "", session.host, session.tags)
    client.emit(*client.form.lines(entry), *channels.greeting(client, room), *metadata.greeting(client, room))
    if not again:
        metadata.announce(client, room)
    if client.user:
        client.network.tell_away(client.user, room)


def _moved(client: IrcClient, event: RoomRenamed) -> None:
    room = client.hub.rooms.loaded.get(event.to)
    if RENAMING in client.caps or room is None:
        return
    why = event.entry.text.partition(" ")[2]
    client.emit(client.event(client.session, "PART", channel(event.room), *([why] if why else [])))
    _joined(client, Joined(event.to, event.entry.seq, room.topic, False), again=True)


def _left(client: IrcClient, event: Left) -> None:
    if event.kick:
        client.emit(client.form.render(event.kick))


def _stored(client: IrcClient, event: Acknowledged) -> None:
    entry = event.entry
    if entry.kind in SAID or entry.kind is Kind.EPHEMERAL:
        shown = "echo-message" in client.caps and event.label != "quiet"
    else:
        shown = entry.kind is not Kind.JOIN
    again = "~" in entry.id and not entry.id.endswith("~0")  # a copy of the entry in another room
    if shown and not again:
        client.emit(*client.form.lines(entry))


def _past(client: IrcClient, event: HistoryShown) -> None:
    client.emit(*history.replay(client, event))


def _refusal(client: IrcClient, event: Refusal) -> None:
    about = [channel(event.room)] if event.room else []
    code = REFUSALS[event.code]
    if event.code == "broker" and event.room and event.room not in client.session.rooms:
        code = 437  # the join failed
    if code and (about or code == 412):
        text = TEXTS[code] if code in (471, 473, 474, 475) else event.text
        client.emit(client.line(f"{code:03d}", client.nick, *about, text))
    else:
        client.emit(client.line("NOTICE", *(about or [client.nick]), event.text))


def _private(client: IrcClient, event: Private) -> None:
    if event.entry:
        lines = client.form.lines(event.entry)
        if event.entry.id.startswith(client.session.id_prefix):
            # A message to oneself follows the echo and is not part of the answer.
            client.after_response(lines)
        else:
            client.connection.write(b"".join(lines))


def _invited(client: IrcClient, event: Invited) -> None:
    author = client.hub.nicks.find(event.nick)
    if author and author.host == event.host:
        client.emit(client.event(author, "INVITE", client.nick, channel(event.room)))
    else:  # the author has left or renamed since
        client.emit(wire.line(f"{event.nick}!{event.host}", "INVITE", client.nick, channel(event.room)))


def _knocked(client: IrcClient, event: Knocked) -> None:
    name = channel(event.room)
    client.emit(client.line("710", name, name, f"{event.nick}!{event.host}", "has asked for an invite."))


def _named(client: IrcClient, event: NickChanged) -> None:
    if event.alone:
        client.emit(
            wire.line(f"{event.before}!{client.session.host}", "NICK", event.nick, tags=client.marks(client.session))
        )


EVENTS: dict[type[Any], Callable[[IrcClient, Any], None]] = {
    Joined: _joined,
    Left: _left,
    RoomRenamed: _moved,
    Acknowledged: _stored,
    HistoryShown: _past,
    Refusal: _refusal,
    Private: _private,
    NickChanged: _named,
    QueryResult: lambda client, event: None,
    Notice: lambda client, event: client.emit(
        *(wire.line(client.network.name, "NOTICE", client.nick, text) for text in event.lines)
    ),
    Invited: _invited,
    Knocked: _knocked,
}
