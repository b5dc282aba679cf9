"""The entries of a room's log with their typed bodies, and drafts of entries.

A body holds the content of an entry. Only model/room/state.py knows the effect of a body on a room, and only
model/codec.py turns bodies into stored texts and back. A new kind of entry begins here, with a body class and its row
in KINDS.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct


class Kind(StrEnum):
    """The public name of a kind of entry, as the API, the WebSocket, exports and storages write it."""

    MESSAGE = "message"
    ACTION = "action"
    JOIN = "join"
    LEAVE = "leave"
    RENAME = "rename"
    TOPIC = "topic"
    NOTICE = "notice"
    MODE = "mode"
    KICK = "kick"
    REDACT = "redact"
    ROOM_RENAMED = "move"
    EDIT = "edit"
    REACT = "react"
    UNREACT = "unreact"
    PIN = "pin"
    UNPIN = "unpin"
    HAND = "hand"
    TURN = "turn"
    BRAKE = "brake"
    POLL = "poll"
    VOTE = "vote"
    POLL_CLOSED = "poll-end"
    REDACTED = "gone"  # a message after its redaction
    UNKNOWN = "unknown"  # written by a newer version
    EPHEMERAL = "signal"  # not stored, such as a typing notice


KIND = r"^[a-z-]{1,32}\Z"  # pattern of all kinds, also of those that only newer versions know

SAID = frozenset({Kind.MESSAGE, Kind.ACTION, Kind.NOTICE})  # the kinds of messages
HISTORY_KINDS = SAID | {Kind.POLL}  # the kinds of HISTORY

# The kinds that record an action on a room or on one of its members.
RULING = frozenset({Kind.MODE, Kind.KICK, Kind.TOPIC, Kind.REDACT, Kind.ROOM_RENAMED, Kind.PIN, Kind.UNPIN})


class ModeChange(NamedTuple):
    """One letter of a change of modes: `on` or off, with its parameter or ""."""

    on: bool
    letter: str
    param: str


# --- bodies -----------------------------------------------------------------------------------------------------------


class Body(Struct, frozen=True, gc=False):
    """The content of an entry. Texts are clean (text/cleaning.py).

    The field `source` of some bodies is the text that a body was read from, if codec.py would write another one, else
    "". It keeps for example mode letters that only newer versions know.
    """


class Said(Body, frozen=True, gc=False):
    """A message, an action (`/me`) or a notice, by its `style`; the lines of its text are separated by LF."""

    text: str
    style: Kind = Kind.MESSAGE


class Joined(Body, frozen=True, gc=False):
    """A user became a member of the room."""

    real_name: str = ""


class Left(Body, frozen=True, gc=False):
    """A user is no longer a member.

    Args:
        reason: the reason that was given, or "".
        quit: the user left all rooms at once, because their session ended.
        lost: the user did not ask to leave: for example, the connection was lost.

    """

    reason: str = ""
    quit: bool = False
    lost: bool = False


class NickChanged(Body, frozen=True, gc=False):
    """A member has the new name `nick`."""

    nick: str


class TopicSet(Body, frozen=True, gc=False):
    """The room has a new topic; "" removes the topic."""

    text: str


class ModesChanged(Body, frozen=True, gc=False):
    """Modes, lists or the rights of members changed; `until` is the end of new bans (epoch seconds, 0: never)."""

    changes: tuple[ModeChange, ...]
    until: float = 0.0
    source: str = ""


class Kicked(Body, frozen=True, gc=False):
    """The member `nick` was removed from the room.

    Args:
        nick: the member's nick when the kick was made; a rename before it in the log may have changed it.
        reason: the reason that was given, or "".
        source: as in ModesChanged.
        user: the member's id; "" in older logs.

    """

    nick: str
    reason: str = ""
    source: str = ""
    user: str = ""


class Redacted(Body, frozen=True, gc=False):
    """The message with the id `target` was redacted."""

    target: str
    reason: str = ""
    source: str = ""


class Edited(Body, frozen=True, gc=False):
    """The author of the message with the id `target` corrected it: `text` is its text from now on."""

    target: str
    text: str
    source: str = ""


class Reacted(Body, frozen=True, gc=False):
    """A user added a reaction, an emoji or a word, to the message with the id `target`."""

    target: str
    reaction: str
    source: str = ""


class Unreacted(Body, frozen=True, gc=False):
    """A user took a reaction to the message with the id `target` back."""

    target: str
    reaction: str
    source: str = ""


class Pinned(Body, frozen=True, gc=False):
    """The message with the id `target` was pinned to the room; `text` is its author with the beginning of its text."""

    target: str
    text: str
    source: str = ""


class Unpinned(Body, frozen=True, gc=False):
    """The message with the id `target` is no longer pinned to the room."""

    target: str
    reason: str = ""
    source: str = ""


class HandMoved(Body, frozen=True, gc=False):
    """A user raised a hand (`step` is "up"), lowered it ("down"), or has said what they had a turn for ("spoken").

    `who` is the user, as `nick!host`.
    """

    step: str
    who: str
    source: str = ""


class TurnGiven(Body, frozen=True, gc=False):
    """A user, `who` as `nick!host`, has a voice for one message; their hand is down."""

    who: str


class Braked(Body, frozen=True, gc=False):
    """Too many messages came at once: for `seconds`, only those with a voice speak. 0 seconds: everybody speaks again.

    `source` is as in ModesChanged.
    """

    seconds: int
    source: str = ""


class Polled(Body, frozen=True, gc=False):
    """A user asks the room a question with these answers to choose from; neither has " | " in it."""

    question: str
    answers: tuple[str, ...]


class Voted(Body, frozen=True, gc=False):
    """Somebody chose an answer of the poll with the id `target`.

    `choice` is the number of the answer from 1 on, 0 to take the vote back. `voter` is the same for all votes of a
    person in this poll, and says nothing about them elsewhere (chat/classroom/polls.py).
    """

    target: str
    choice: int
    voter: str


class PollClosed(Body, frozen=True, gc=False):
    """The poll with the id `target` takes no more votes."""

    target: str
    reason: str = ""
    source: str = ""


class RoomRenamed(Body, frozen=True, gc=False):
    """The room has the new name `to`."""

    to: str
    reason: str = ""
    source: str = ""


class Erased(Body, frozen=True, gc=False):
    """The place of a message that was redacted. No draft has this body."""


class Unknown(Body, frozen=True, gc=False):
    """An entry of a kind that only newer versions know: it is kept and copied as it was stored, but never shown."""

    stored_kind: str = Kind.UNKNOWN
    stored_text: str = ""


class Ephemeral(Body, frozen=True, gc=False):
    """A message that is not stored: tags alone, or a client-to-client request (CTCP) by the IRC command `verb`."""

    verb: str = ""
    text: str = ""


KINDS: dict[type[Body], Kind] = {
    Joined: Kind.JOIN,
    Left: Kind.LEAVE,
    NickChanged: Kind.RENAME,
    TopicSet: Kind.TOPIC,
    ModesChanged: Kind.MODE,
    Kicked: Kind.KICK,
    Redacted: Kind.REDACT,
    RoomRenamed: Kind.ROOM_RENAMED,
    Edited: Kind.EDIT,
    Reacted: Kind.REACT,
    Unreacted: Kind.UNREACT,
    Pinned: Kind.PIN,
    Unpinned: Kind.UNPIN,
    HandMoved: Kind.HAND,
    TurnGiven: Kind.TURN,
    Braked: Kind.BRAKE,
    Polled: Kind.POLL,
    Voted: Kind.VOTE,
    PollClosed: Kind.POLL_CLOSED,
    Erased: Kind.REDACTED,
    Unknown: Kind.UNKNOWN,
    Ephemeral: Kind.EPHEMERAL,
}


# The bodies of the entries that newcomers are shown, /history and the API list, and search finds: messages and polls.
HISTORY = (Said, Polled)


def kind_of(body: Body) -> Kind:
    """Return the public kind of a body."""
    return body.style if type(body) is Said else KINDS[type(body)]


# --- entries and drafts -----------------------------------------------------------------------------------------------


class Quote(NamedTuple):
    """The message that another one answers: the nick of its author, and its text; of a poll that ends, the result."""

    nick: str
    text: str


class Entry(Struct, frozen=True, gc=False):
    """One line of a room's log.

    Args:
        room: the name of the room: when the entry was committed, or now if it was read from the log later.
        seq: the number of the entry. Numbers rise within a room but are not dense.
        prev: the number of the room's entry before this one, 0 for the first.
        time: epoch seconds.
        nick: the nick of the author.
        id: unique within the room for ever (model/ids.py).
        body: the content.
        host: a form of the author's address, like `~nc@1f2e3d4c5a.nc`: it never shows the address, but is the same for
            the same address.
        tags: the client's tags in IRC syntax (`+draft/reply=x.1`), besides hubbub's own (text/tags.py).
        room_id: the id of the room (model/room/room_ids.py), which a rename does not change; "" if it is in no log.
        quote: the message that this one answers, if it is at hand; it is never stored.

    """

    room: str
    seq: int
    prev: int
    time: float
    nick: str
    id: str
    body: Body
    host: str = ""
    tags: str = ""
    room_id: str = ""
    quote: Quote | None = None

    @property
    def kind(self) -> Kind:
        """The public kind of the entry."""
        return kind_of(self.body)


class Draft(Struct):
    """An entry before its commit: it has no number yet, and no other session has seen it.

    Args:
        room: the room's name when the draft was made.
        nick: the nick of the author.
        body: the content.
        id: as in an entry; it is assigned before the commit, to recognise a retry.
        host: as in an entry.
        tags: as in an entry.
        must_store: repeat a failed commit until it succeeds (for example a leave: its user is gone anyway).
        room_id: the room's id, which the room keeps if it is renamed before the commit; "" for the room that has the
            name then.

    """

    room: str
    nick: str
    body: Body
    id: str
    host: str = ""
    tags: str = ""
    must_store: bool = False
    room_id: str = ""

    def is_for(self, entry: Entry) -> bool:
        """Return whether an entry with the draft's id is in the draft's room."""
        return self.room_id == entry.room_id if self.room_id else self.room == entry.room
