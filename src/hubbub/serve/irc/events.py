"""The conversion of the hub's events into IRC messages for one client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hubbub.model import ids
from hubbub.model.entries import Edited, Entry, Ephemeral, Joined, Reacted, Redacted, Said, Unreacted
from hubbub.model.events import (
    Acknowledged,
    ForOperators,
    HistoryShown,
    Invited,
    Knocked,
    LoggedIn,
    MarkerMoved,
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
)
from hubbub.model.messages import polls
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.commands import channels, history, metadata
from hubbub.wire.irc import lines as wire
from hubbub.wire.irc.encoder import RENAMING, VOTING, channel, stamp
from hubbub.wire.irc.numerics import REFUSALS, TEXTS


def _joined(client: IrcClient, event: RoomEntered, again: bool = False) -> None:
    room = client.hub.rooms.loaded.get(event.room)
    if room is None or room.id not in client.session.rooms:
        return
    session, real = client.session, client.user.real if client.user else ""
    entry = Entry(room.name, 0, 0, client.hub.clock(), client.nick, "", Joined(real), session.host, session.tags)
    client.emit(*client.form.lines(entry), *channels.greeting(client, room), *metadata.greeting(client, room))
    for pin in event.pins:
        client.emit(client.line("NOTICE", channel(room.name), f"Pinned: {pin.text}"))
    for poll in event.further_polls if history.gets_replay(client) else event.polls:
        told = f"{poll.nick} asks: {polls.ballot(poll)} ({VOTING})"
        client.emit(client.line("NOTICE", channel(room.name), told))
    if not again:
        metadata.announce(client, room)
    if client.user:
        client.network.tell_away(client.user, room)


def _moved(client: IrcClient, event: RoomNameChanged) -> None:
    room = client.hub.rooms.loaded.get(event.to)
    if RENAMING in client.caps or room is None:
        return
    client.emit(client.event(client.session, "PART", channel(event.room), *([event.reason] if event.reason else [])))
    _joined(client, RoomEntered(event.to, event.seq, room.topic, False), again=True)


def _left(client: IrcClient, event: RoomExited) -> None:
    if event.kick:
        client.emit(client.form.encode(event.kick))
    elif event.unseen:
        client.emit(client.event(client.session, "PART", channel(event.room)))


def _stored(client: IrcClient, event: Acknowledged) -> None:
    entry = event.entry
    if isinstance(entry.body, Said | Ephemeral | Edited | Reacted | Unreacted):
        shown = "echo-message" in client.caps and event.label != "quiet"
    else:
        shown = not isinstance(entry.body, Joined)
    if shown:
        client.emit(*client.form.lines(entry))


def _past(client: IrcClient, event: HistoryShown) -> None:
    client.emit(*history.replay(client, event))


def _refusal(client: IrcClient, event: Refusal) -> None:
    about = [channel(event.room)] if event.room else []
    code = REFUSALS[event.code]
    if event.code == "broker" and event.room and not client.hub.rooms.inside(client.session, event.room):
        code = 437  # the join failed
    if code and (about or code == 412):
        text = TEXTS[code] if code in (471, 473, 474, 475) else event.text
        client.emit(client.line(f"{code:03d}", client.nick, *about, text))
    else:
        client.emit(client.line("NOTICE", *(about or [client.nick]), event.text))


def _private(client: IrcClient, event: Private) -> None:
    redacts = event.entry is not None and isinstance(event.entry.body, Redacted)
    if event.to and not redacts and not client.caps & {"echo-message", "znc.in/self-message"}:
        return  # the client would take it for a message from somebody else
    if event.entry:
        lines = client.form.lines(event.entry)
        if ids.session_of(event.entry.id) == client.session.id_prefix:
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


def _named(client: IrcClient, event: NickAssigned) -> None:
    if event.alone:
        client.emit(
            wire.line(f"{event.before}!{client.session.host}", "NICK", event.nick, tags=client.marks(client.session))
        )


def _logged_in(client: IrcClient, event: LoggedIn) -> None:
    # login.py has said so already. Before the registration, the messages follow the welcome.
    if client.registered:
        client.emit(client.mode_line())
        history.catch_up(client)


def _marked(client: IrcClient, event: MarkerMoved) -> None:
    if event.room and "draft/read-marker" in client.caps:
        target = event.room[1:] if event.room.startswith("@") else channel(event.room)
        client.emit(client.line("MARKREAD", target, f"timestamp={stamp(event.time)}"))


EVENTS: dict[type[Any], Callable[[IrcClient, Any], None]] = {
    RoomEntered: _joined,
    RoomExited: _left,
    RoomNameChanged: _moved,
    Acknowledged: _stored,
    HistoryShown: _past,
    Refusal: _refusal,
    Private: _private,
    PrivateShown: lambda client, event: client.emit(*history.replay_private(client, event)),
    NickAssigned: _named,
    LoggedIn: _logged_in,
    Missed: lambda client, event: None,
    ReactionsAdded: lambda client, event: None,
    PollCounted: lambda client, event: (
        client.emit(client.line("NOTICE", channel(event.room), event.text)) if event.told else None
    ),
    Mentioned: lambda client, event: None,  # clients find their own highlights
    MarkerMoved: _marked,
    ForOperators: lambda client, event: client.emit(client.line("NOTICE", channel(event.room), event.text)),
    QueryResult: lambda client, event: None,
    Notice: lambda client, event: client.emit(
        *(wire.line(client.network.name, "NOTICE", client.nick, text) for text in event.lines)
    ),
    Invited: _invited,
    Knocked: _knocked,
}
