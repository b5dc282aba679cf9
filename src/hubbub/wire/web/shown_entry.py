"""Entries as JSON objects: the same fields on the API and on the WebSocket. docs/protocol.md explains them to users."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import astuple

from hubbub.model.codec import Record, shown_record
from hubbub.model.entries import (
    Body,
    Braked,
    Edited,
    Entry,
    HandMoved,
    Kicked,
    ModesChanged,
    Pinned,
    PollClosed,
    Polled,
    Reacted,
    Redacted,
    RoomRenamed,
    Said,
    TurnGiven,
    Unpinned,
    Unreacted,
)
from hubbub.model.messages import polls, reactions
from hubbub.model.room.modes import HANDS, describe, rest
from hubbub.text.tags import EDITED, reply_to


class QuotedMessage(Struct):
    """The nick and the text of the message that another one answers; of a poll that ends, its author and the result."""

    nick: str
    text: str


class LogEntry(Record):
    """An entry of a room's log. `prev` is the number of the entry before it; `time` is in seconds since the epoch.

    Only where they apply: `words` describe an act and follow the nick in a sentence; `re` is the id of the message that
    this one answers; `reactions` has the nicks by reaction; `edited` is true for a corrected message; a poll has its
    question, its answers, the number of votes for each of them, the number of `guests` among them who can vote again
    under another name, and `closed` if it has ended.
    """

    words: str | UnsetType = UNSET
    re: str | UnsetType = UNSET
    reactions: dict[str, list[str]] | UnsetType = UNSET
    edited: bool | UnsetType = UNSET
    question: str | UnsetType = UNSET
    answers: Sequence[str] | UnsetType = UNSET
    votes: Sequence[int] | UnsetType = UNSET
    guests: int | UnsetType = UNSET
    closed: bool | UnsetType = UNSET
    quote: QuotedMessage | UnsetType = UNSET


class Posted(LogEntry):
    """The entry of a sent message. `people` is 0 if the message opened an empty room: the room's name may be wrong."""

    people: int | UnsetType = UNSET


def shown(entry: Entry, form: type[LogEntry] = LogEntry) -> LogEntry:
    """Return an entry in the form of the API's answers and of the frames."""
    body = entry.body
    # The usual case, in one call: most entries are messages of which nothing else is to be said.
    if type(body) is Said and not (entry.tags or entry.quote):
        kind = body.style.value
        return form(entry.room, entry.seq, entry.prev, entry.time, kind, entry.nick, body.text, entry.id, entry.host)
    more: dict[str, Any] = {}
    if words := _WORDS.get(type(body)):
        more["words"] = words(body)
    if entry.tags:
        more |= marks(entry.tags)
    if isinstance(body, Polled):
        more |= {"words": f"asks: {polls.asked(entry, body)}", **_poll(entry, body)}
    if entry.quote:
        more["quote"] = QuotedMessage(*entry.quote)
    return form(*astuple(shown_record(entry)), **more)


def marks(tags: str) -> dict[str, Any]:
    """Return the message that a message answers, its reactions, and whether it was corrected, if they are set."""
    found = {"re": reply_to(tags), "reactions": reactions.read(tags), "edited": EDITED in tags.split(";")}
    return {name: value for name, value in found.items() if value}


def _poll(entry: Entry, body: Polled) -> dict[str, Any]:
    """Return the parts of a poll with the number of votes for each answer, and whether it is closed."""
    counts, guests = polls.counts(entry, body), polls.guests(entry, body)
    fields = {"question": body.question, "answers": body.answers, "votes": counts, "guests": guests}
    return {**fields, "closed": True} if polls.is_closed(entry) else fields


_WORDS: dict[type[Body], Callable[[Any], str]] = {
    ModesChanged: lambda body: describe(body.changes),
    Kicked: lambda body: f"has kicked {body.nick}{f' ({body.reason})' if body.reason else ''}",
    Redacted: lambda body: "has deleted a message",
    RoomRenamed: lambda body: f"has renamed the room: it is {body.to} now",
    Edited: lambda body: "has corrected a message",
    Reacted: lambda body: f"has reacted with {body.reaction}",
    Unreacted: lambda body: f"has taken the reaction {body.reaction} back",
    Pinned: lambda body: f"has pinned a message of {body.text}",
    Unpinned: lambda body: "has taken a pin away",
    HandMoved: lambda body: HANDS.get(body.step, body.step),
    Braked: lambda body: f"({rest(body.seconds)})",
    PollClosed: lambda body: "has ended a poll",
    TurnGiven: lambda body: f"lets {body.who.partition('!')[0]} speak",
}
