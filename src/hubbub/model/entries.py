"""The entries of a room's log, and drafts of entries."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """The kind of event that an entry records."""

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
    ROOM_RENAMED = "move"  # `text` begins with the room's new name
    REDACTED = "gone"  # a message after its redaction
    EPHEMERAL = "signal"  # not stored, such as a typing notice


# The kinds that newcomers are shown, /history lists and search finds.
SAID = frozenset({Kind.MESSAGE, Kind.ACTION, Kind.NOTICE})


# The kinds that record an action on a room or on one of its members.
RULING = frozenset({Kind.MODE, Kind.KICK, Kind.TOPIC, Kind.REDACT, Kind.ROOM_RENAMED})


class Draft:
    """An entry before its commit: it has no number yet, and no other session has seen it.

    Args:
        room: the room's name.
        kind: the kind of the entry.
        nick: the nick of the author.
        text: depends on the kind: the message; the user's real name for a join; the reason of a leave; the new nick;
            the topic; mode changes in the syntax of model/room_modes.py; the nick of the kicked member, a space and the
            reason; the id of the redacted entry, a space and the reason; the room's new name, a space and the reason.
        id: unique for ever, and assigned before the commit to recognise a retry. It begins with the id prefix of its
            session. One event in several rooms (a rename, the end of a session) has ids that are the same up to a `~`.
        host: as in an entry.
        tags: as in an entry.
        must_store: repeat a failed commit until it succeeds (for example a leave: its user is gone anyway).

    """

    __slots__ = ("host", "id", "kind", "must_store", "nick", "room", "tags", "text")

    def __init__(  # noqa: PLR0913 - a record
        self,
        room: str,
        kind: Kind,
        nick: str,
        text: str,
        id: str,
        host: str = "",
        tags: str = "",
        must_store: bool = False,
    ) -> None:
        self.room = room
        self.kind = kind
        self.nick = nick
        self.text = text
        self.id = id
        self.host = host
        self.tags = tags
        self.must_store = must_store


class Entry(NamedTuple):
    """One line of a room's log.

    `seq` rises within a room but is not dense; `prev` is the seq of the room's entry before this one, 0 for the first.
    `time` is in seconds since the epoch. `id` is the id of its draft. `host` stands for the author's address, like
    `~nc@1f2e3d4c5a.nc`: it never shows the address, but is the same for the same address. `tags` are the client's tags
    in IRC syntax (`+draft/reply=x.1`), besides BOT, LOST and the places where lines were joined (`cut=`).
    """

    room: str
    seq: int
    prev: int
    time: float
    kind: Kind
    nick: str
    text: str
    id: str
    host: str = ""
    tags: str = ""

    @property
    def shared(self) -> str:
        """The common part of the ids of one event in several rooms; "" if the event is in this room alone."""
        return self.id.partition("~")[0] if "~" in self.id else ""
