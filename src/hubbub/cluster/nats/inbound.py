"""Incoming messages of other nodes that are not part of the log: decoded, and checked like the input of users.

This module does no I/O. Any program with access to these subjects may write anything to them, so the result contains
only content that a client could have sent.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TypeVar

import msgspec

from hubbub.chat.nodes.person import MOST_SCREENS, Person, Screen
from hubbub.cluster.nats.forwarded import END, EXPEL, INVITED, KNOCK, PRIVATE, ForwardedEvent
from hubbub.cluster.nats.log.packed_entries import (
    HOST_CHARS,
    SKEW,
    TEXT_BYTES,
    PackedEntry,
    checked,
    clean_host,
    clean_id,
    clean_nick,
    is_target,
    said,
    when,
)
from hubbub.model.entries import SAID, Kind
from hubbub.model.ids import user_of
from hubbub.model.room.room_ids import RoomRef
from hubbub.text import bounds
from hubbub.text.cleaning import clean, cut, real_name, reason_of
from hubbub.text.names import is_name, is_room

HIGHEST = 1 << 53  # upper bound of the numbers of news and of users
MODES = "BRiw"  # user modes; the operator flag is a separate field
SCREEN_CHARS = 100  # of each part of the description of a session
ROOMS = 1000  # rooms of one user: the maximum of --max-rooms
_NODE = re.compile(r"[0-9a-f]{12}")  # as secrets.token_hex makes it; it becomes part of subjects


class NewsMessage(msgspec.Struct, omit_defaults=True):
    """News of a node: its lease, the number of the news, new or changed users, and the numbers of users who left."""

    node: str
    lease: str
    number: int
    people: list[tuple[int, Person]] = []
    gone: list[int] = []
    answer: bool = False  # whether this is a part of the full list
    last: bool = False  # whether this is the last part
    bye: bool = False  # whether the node is stopping


class SignalMessage(msgspec.Struct):
    """An ephemeral entry for the members of a room; it is not stored."""

    node: str
    room: str
    line: PackedEntry
    room_id: str = ""  # missing in a message from a node of an older version


T = TypeVar("T")
_news = msgspec.json.Decoder(NewsMessage)
_told = msgspec.json.Decoder(ForwardedEvent)
_signal = msgspec.json.Decoder(SignalMessage)


def _decoded(decoder: msgspec.json.Decoder[T], data: bytes) -> T:
    """Return the decoded data of a message. Raises ValueError."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(str(error)) from None


def is_node(text: str) -> bool:
    """Return whether a text has the form of a node id or a lease id: 12 hexadecimal digits."""
    return _NODE.fullmatch(text) is not None


def node(data: bytes) -> str:
    """Return the id of the node that asks for news. Raises ValueError if the data is no node id."""
    text = data.decode("ascii", "replace")
    _need(is_node(text), "it names no node")
    return text


def news(data: bytes, now: float) -> NewsMessage:
    """Return the checked news of a node, without users whose number or nick is impossible.

    Args:
        data: the data of the message.
        now: the current time, in epoch seconds.

    Raises:
        ValueError: the message is no news of a node.

    """
    found = _decoded(_news, data)
    _need(is_node(found.node) and is_node(found.lease), "it names no node")
    _need(0 <= found.number < HIGHEST, "it has an impossible number")
    found.people = [(number, _person(who, now)) for number, who in found.people if _can_be(number, who)]
    return found


def _can_be(number: int, who: Person) -> bool:
    return 0 < number < HIGHEST and clean_nick(who.nick) == who.nick


def _person(who: Person, now: float) -> Person:
    places = {
        RoomRef(clean_id(room.id), room.name): seq
        for room, seq in islice(who.places.items(), ROOMS)
        if is_room(room.name) and 0 <= seq < HIGHEST
    }
    return Person(
        who.nick,
        clean_host(who.host),
        clean(who.address[:HOST_CHARS]),
        real_name(who.real[: 4 * bounds.REAL_NAME_BYTES]),
        cut(clean(who.away[: 4 * bounds.AWAY_BYTES]), bounds.AWAY_BYTES),
        "".join(mode for mode in MODES if mode in who.modes),
        who.operator,
        when(who.since, now),
        when(who.active, now),
        tuple(room.name for room in places),
        clean_id(who.id),
        user_of(clean_id(who.id_prefix)),
        tuple(places.values()),
        who.version if 0 <= who.version < HIGHEST else 0,
        tuple(_screen(one) for one in who.screens[:MOST_SCREENS]),
        tuple(room.id or room.name for room in places),
    )


def _screen(one: Screen) -> Screen:
    short = (clean(text[:SCREEN_CHARS]) for text in (one.wire, one.address, one.node))
    return Screen(clean_id(one.id), *short)


def told(data: bytes, now: float) -> ForwardedEvent:
    """Return a checked event from another node for one local user. Raises ValueError."""
    one = _decoded(_told, data)
    if one.what == EXPEL:
        return ForwardedEvent(one.to, text=reason_of(one.text[: 4 * bounds.REASON_BYTES]), what=EXPEL)
    if one.what == END:
        return ForwardedEvent(one.to, what=END, ids=tuple(clean_id(id) for id in one.ids[:MOST_SCREENS]))
    _need(is_name(one.nick), "its author has no name")
    if one.what in (INVITED, KNOCK):
        _need(is_room(one.room), "it names no room")
        opens = one.opens if 0 <= one.opens <= now + SKEW else 0.0
        event = ForwardedEvent(one.to, one.nick, clean_host(one.host), room=one.room, what=one.what, opens=opens)
        return msgspec.structs.replace(event, room_id=clean_id(one.room_id))
    _need(one.what == PRIVATE and (not one.line or is_target(one.room)), "it is not known what it says")
    _need(0 <= one.seq < HIGHEST and (not one.recipient or is_target(f"@{one.recipient}")), "it has no recipient")
    line = _aside(one.line, now, one.seq > 0) if one.line else None
    text = line.text if line else said(one.text)
    event = ForwardedEvent(one.to, clean_nick(one.nick), text=text, room=one.room, line=line, user=clean_id(one.user))
    return msgspec.structs.replace(event, seq=one.seq, recipient=one.recipient)


def signal(data: bytes, now: float) -> SignalMessage:
    """Return a checked ephemeral entry from another node for the members of a room. Raises ValueError."""
    found = _decoded(_signal, data)
    _need(is_node(found.node) and is_room(found.room) and found.line.kind == Kind.EPHEMERAL, "it is no signal")
    return SignalMessage(found.node, found.room, _aside(found.line, now), clean_id(found.room_id))


_CHANGES = (Kind.REDACT, Kind.EDIT, Kind.REACT, Kind.UNREACT)


def _aside(line: PackedEntry, now: float, stored: bool = False) -> PackedEntry:
    """Return a checked entry of no room; one that is stored may change a message. Raises ValueError."""
    if line.kind != Kind.EPHEMERAL:
        one = checked(line, now)
        _need(one.kind in SAID or (stored and one.kind in _CHANGES), "it is not known what it says")
        return one
    text = clean(cut(line.text, TEXT_BYTES))
    # A message between two clients (CTCP) begins with its IRC command, and encoders write it unchanged.
    _need(not text or text.partition(" ")[0] in ("PRIVMSG", "NOTICE"), "it is no command of a client to a client")
    one = checked(msgspec.structs.replace(line, kind=Kind.MESSAGE, text=text), now)
    _need(one.kind == Kind.MESSAGE, "it has no id")
    return msgspec.structs.replace(one, kind=Kind.EPHEMERAL)


def _need(is_right: bool, otherwise: str) -> None:
    if not is_right:
        raise ValueError(otherwise)
