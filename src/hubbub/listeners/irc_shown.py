"""How an IRC client is shown what the hub tells it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hubbub.core.model import (
    SAID,
    Answer,
    Entry,
    Invited,
    Joined,
    Kind,
    Knocked,
    Left,
    Moved,
    Named,
    Notice,
    Past,
    Private,
    Refusal,
    Stored,
)
from hubbub.listeners import irc_channels, irc_history, irc_metadata
from hubbub.wire import irc as wire
from hubbub.wire.irc_form import RENAMING, channel
from hubbub.wire.irc_numerics import REFUSALS, TEXTS

if TYPE_CHECKING:
    from hubbub.listeners.irc import IrcDialogue


def _joined(client: IrcDialogue, event: Joined, again: bool = False) -> None:
    room = client.hub.rooms.awake.get(event.room)
    if room is None or room.name not in client.session.rooms:
        return
    session, real = client.session, client.user.real if client.user else ""
    entry = Entry(room.name, 0, 0, client.hub.clock(), Kind.JOIN, client.nick, real, "", session.host, session.tags)
    client.emit(*client.form.lines(entry), *irc_channels.greeting(client, room), *irc_metadata.greeting(client, room))
    if not again:
        irc_metadata.introduce(client, room)
    client.network.tell_away(client.session, room)


def _moved(client: IrcDialogue, event: Moved) -> None:
    room = client.hub.rooms.awake.get(event.to)
    if RENAMING in client.caps or room is None:
        return
    why = event.entry.text.partition(" ")[2]
    client.emit(client.event(client.session, "PART", channel(event.room), *([why] if why else [])))
    _joined(client, Joined(event.to, event.entry.seq, room.topic, False), again=True)


def _left(client: IrcDialogue, event: Left) -> None:
    if event.kick:
        client.emit(client.form.render(event.kick))


def _stored(client: IrcDialogue, event: Stored) -> None:
    entry = event.entry
    if entry.kind in SAID or entry.kind is Kind.SIGNAL:
        shown = "echo-message" in client.caps and event.label != "quiet"
    else:
        shown = entry.kind is not Kind.JOIN
    again = "~" in entry.id and not entry.id.endswith("~0")  # the same in another room
    if shown and not again:
        client.emit(*client.form.lines(entry))


def _past(client: IrcDialogue, event: Past) -> None:
    client.emit(*irc_history.replay(client, event))


def _refusal(client: IrcDialogue, event: Refusal) -> None:
    about = [channel(event.room)] if event.room else []
    code = REFUSALS.get(event.code)
    if event.code == "broker" and event.room and event.room not in client.session.rooms:
        code = 437  # it is not in
    if code and (about or code == 412):
        text = TEXTS[code] if code in (471, 473, 474, 475) else event.text
        client.emit(client.line(f"{code:03d}", client.nick, *about, text))
    else:
        client.emit(client.line("NOTICE", *(about or [client.nick]), event.text))


def _private(client: IrcDialogue, event: Private) -> None:
    if event.entry:
        lines = client.form.lines(event.entry)
        if event.entry.id.startswith(client.session.tag):  # to itself: after the echo, and no part of an answer
            client.afterwards(lines)
        else:
            client.connection.write(b"".join(lines))


def _invited(client: IrcDialogue, event: Invited) -> None:
    author = client.hub.directory.find(event.nick)
    if author and author.host == event.host:
        client.emit(client.event(author, "INVITE", client.nick, channel(event.room)))
    else:  # it has left, or has another name, by now
        client.emit(wire.line(f"{event.nick}!{event.host}", "INVITE", client.nick, channel(event.room)))


def _knocked(client: IrcDialogue, event: Knocked) -> None:
    name = channel(event.room)
    client.emit(client.line("710", name, name, f"{event.nick}!{event.host}", "has asked for an invite."))


def _named(client: IrcDialogue, event: Named) -> None:
    if event.alone:
        client.emit(
            wire.line(f"{event.before}!{client.session.host}", "NICK", event.nick, tags=client.marks(client.session))
        )


EVENTS: dict[type[Any], Callable[[IrcDialogue, Any], None]] = {
    Joined: _joined,
    Left: _left,
    Moved: _moved,
    Stored: _stored,
    Past: _past,
    Refusal: _refusal,
    Private: _private,
    Named: _named,
    Answer: lambda client, event: None,
    Notice: lambda client, event: client.emit(
        *(wire.line(client.network.name, "NOTICE", client.nick, text) for text in event.lines)
    ),
    Invited: _invited,
    Knocked: _knocked,
}
