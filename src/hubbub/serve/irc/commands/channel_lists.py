"""The IRC commands that list channels and their members: NAMES and LIST."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hubbub.chat.operations.asking import LogQuestion, client_question
from hubbub.errors import BrokerError
from hubbub.model.access import Action, may
from hubbub.model.queries import AllRooms, RoomList
from hubbub.model.room.masks.masks import read_mask
from hubbub.model.viewer import ASKER
from hubbub.serve.irc.client import IrcClient
from hubbub.serve.irc.commands.channels import find_room, names_lines
from hubbub.text.names import key_of
from hubbub.wire.irc.encoder import channel

ROOMS = 1_000_000  # maximum number of rooms in a list


def names_of(client: IrcClient, params: list[str]) -> None:
    """NAMES #channel[,#channel]: list the people in a channel."""
    if not params:
        client.numeric(366, "*")
        return
    for name in list(dict.fromkeys(params[0].split(",")))[: client.settings.max_rooms]:
        room = find_room(client, name)
        if room and client.hub.may(client.session, Action.SEE_MEMBERS, room):
            client.send(*names_lines(client, room))
    client.numeric(366, params[0])  # one end for all channels, as in RFC 1459 and conformance tests


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


class ListedChannel(NamedTuple):
    """A room in a list. The times are in seconds since 1970, 0 if this node does not know them."""

    name: str
    people: int
    topic: str
    created: float = 0.0
    topic_at: float = 0.0


def _condition(text: str, now: float) -> Callable[[ListedChannel], bool] | None:
    """Return the test for one ELIST condition; None if the text is a channel name."""
    if text[:1] in "<>" and _is_number(text[1:]):
        number = int(text[1:10])
        more = text[0] == ">"
        return lambda room: room.people > number if more else room.people < number
    if text[:1].upper() in "CT" and text[1:2] in ("<", ">") and _is_number(text[2:]):
        minutes = int(text[2:11])
        older = text[1] == ">"
        topic = text[0].upper() == "T"

        def fits(room: ListedChannel) -> bool:
            then = room.topic_at if topic else room.created
            if topic and not room.topic:
                return False
            age = now - then
            return age > minutes * 60 if older else age < minutes * 60

        return fits
    if text.startswith("!"):
        unwanted = read_mask(text[1:])
        return lambda room: not unwanted.matches([channel(room.name)])
    if set(text) & set("*?"):
        wanted = read_mask(text)
        return lambda room: wanted.matches([channel(room.name)])
    return None


class ListAsked(LogQuestion, frozen=True):
    """LIST of the channels that fit all of some words: names, or conditions of ELIST."""

    words: tuple[str, ...]


def list_channels(client: IrcClient, params: list[str]) -> None:
    """LIST [#channel,...] [conditions]: list channels (ELIST=CMNTU)."""
    hub = client.hub
    words = tuple(word for param in params for word in param.split(",") if word)
    viewer = hub.viewer(client.session)
    client.reply("321", client.nick, "Channel", "Users  Name")
    row = _row(client, words)
    for room in list(hub.rooms.loaded.values()):
        if room.count and not may(viewer, Action.LIST, room.state):
            rules = room.state
            shown = "" if may(viewer, Action.SEE_TOPIC, rules) else room.topic
            client.send(row(ListedChannel(room.name, room.count, shown, rules.created, rules.topic.at)))
    if hub.remote.members.counts():  # of rooms with remote users only
        client.session.queue(ListAsked(AllRooms(ROOMS, viewer=ASKER), words))
    client.numeric(323)


def _row(client: IrcClient, words: Sequence[str]) -> Callable[[ListedChannel], bytes]:
    """Return the function that makes the line of a channel; b"" for one that does not fit the words."""
    conditions = []
    wanted: set[str] = set()
    for word in words:
        condition = _condition(word, client.hub.clock())
        if condition:
            conditions.append(condition)
        else:
            wanted.add(key_of(word.removeprefix("#")))

    def row(room: ListedChannel) -> bytes:
        fits = (not wanted or room.name in wanted) and all(condition(room) for condition in conditions)
        return client.line("322", client.nick, channel(room.name), str(room.people), room.topic) if fits else b""

    return row


def _elsewhere(client: IrcClient, asked: ListAsked, found: RoomList | BrokerError) -> None:
    """Add the channels with users on other nodes alone to a list."""
    if isinstance(found, BrokerError):
        return
    row, counts = _row(client, asked.words), client.hub.remote.members.counts()
    client.emit(*(row(ListedChannel(name, counts[name], topic)) for name, topic in found.rooms if counts.get(name)))


OPERATIONS = (client_question(ListAsked, _elsewhere),)
