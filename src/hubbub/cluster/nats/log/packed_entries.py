"""Entries as they come from NATS: cleaned and checked like an import, because other programs may write there.

This module does no I/O. A checked entry contains only content that a client could have sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import msgspec

from hubbub.model.entries import KIND, SAID, Kind
from hubbub.model.messages import polls
from hubbub.text import bounds
from hubbub.text.cleaning import clean, clean_exactly, cut, reaction_of, real_name, reason_of
from hubbub.text.formatting import TAG
from hubbub.text.names import RESERVED, is_name, is_room, key_of
from hubbub.text.tags import clean_tags

UNKNOWN = "unknown"  # the nick of a sender with an invalid nick
SKEW = 60.0  # seconds that the author's clock may be ahead of the servers' clock
LATEST = 1e11  # latest valid time, in epoch seconds: the year 5138
TEXT_BYTES = 64 * 1024  # bytes of a message: the maximum of --line-limit
CHANGES_CHARS = 4096  # characters of mode changes
ID_CHARS = 128
HOST_CHARS = 128
TAGS_CHARS = 2 * 4096 + bounds.FORMAT_CHARS  # a client's tags, escaped once more, and the formatting

# Nearly all entries that hubbub writes match these patterns, and need no further check.
_PLAIN_NICK = re.compile(r"[A-Za-z][0-9A-Za-z_-]{0,31}")
_PLAIN_ID = re.compile(r"[0-9A-Za-z.~_-]{1,128}")
_PLAIN_HOST = re.compile(r"(?:~[0-9A-Za-z._-]{1,40}@[0-9A-Za-z.:-]{1,80})?")
_KIND = re.compile(KIND)
_SPACE = re.compile(r"\s")
_FORMER = re.compile(r"~[0-9A-Za-z]{1,64}\Z")  # behind the name of a deleted account that others have or had
_STATUS = re.compile(r"[@+]*#")


class PackedEntry(msgspec.Struct, array_like=True, frozen=True):
    """A stored entry without its room and its numbers, which follow from its message."""

    kind: str  # of `Kind`, or one that only newer versions know
    time: float
    nick: str
    text: str
    id: str
    host: str = ""
    tags: str = ""


def checked(one: PackedEntry, stored: float) -> PackedEntry:
    """Return an entry in a form that is safe for clients; a REDACTED entry without text if it cannot be shown.

    Args:
        one: the entry, as it is in a message.
        stored: the time at which the servers stored the message, in epoch seconds; 0 if unknown.

    """
    time = when(one.time, stored)
    if time == one.time and _is_plain(one):
        return one
    id = clean_id(one.id)
    text = _TEXTS.get(one.kind, said)(one.text) if _KIND.fullmatch(one.kind) else None
    if text is None or not id:
        return PackedEntry(Kind.REDACTED, time, UNKNOWN, "", id or "-")
    tags = clean_tags(one.tags) if 0 < len(one.tags) <= TAGS_CHARS else ""
    if text != one.text:  # positions of its formatting may be wrong now
        tags = ";".join(tag for tag in tags.split(";") if not tag.startswith(f"{TAG}="))
    return PackedEntry(one.kind, time, clean_nick(one.nick), text, id, clean_host(one.host), tags)


def when(time: float, stored: float) -> float:
    """Return the author's time of an entry, in epoch seconds; a corrected one if that is impossible.

    A time more than SKEW seconds after `stored` becomes `stored`, a time outside of 0 to LATEST becomes 0.
    """
    if stored and not time <= stored + SKEW:
        return stored
    return time if 0 <= time <= LATEST else 0.0


def clean_id(id: str) -> str:
    """Return an id as one word of at most ID_CHARS; "" if no valid character is left."""
    return id if _PLAIN_ID.fullmatch(id) else _SPACE.sub("", clean(id[:ID_CHARS]))


def clean_host(host: str) -> str:
    """Return a host that is valid for display; "" if it is not."""
    if _PLAIN_HOST.fullmatch(host):
        return host
    return host if len(host) <= HOST_CHARS and not _SPACE.search(host) and clean(host) == host else ""


@lru_cache(4096)
def clean_nick(nick: str) -> str:
    """Return a valid nick, or UNKNOWN if it is not valid; a reserved name gets a `_` at its end."""
    if not is_name(nick):
        return UNKNOWN
    return f"{nick}_" if key_of(nick) in RESERVED else nick


def is_target(name: str) -> bool:
    """Return whether a name is `@` and a target: a user, or some members of a room.

    chat/private/direct.py writes such names.
    """
    to = name.removeprefix("@")
    return to != name and (is_name(_FORMER.sub("", to)) or is_room(_STATUS.sub("", to)))


def _is_plain(one: PackedEntry) -> bool:
    return (
        one.kind in SAID
        and not one.tags
        and one.text.isascii()
        and one.text.isprintable()
        and len(one.text) <= TEXT_BYTES
        and _PLAIN_NICK.fullmatch(one.nick) is not None
        and clean_nick(one.nick) == one.nick
        and _PLAIN_ID.fullmatch(one.id) is not None
        and _PLAIN_HOST.fullmatch(one.host) is not None
    )


# --- the texts of each kind; None if the text is invalid for the kind -------------------------------------------------


def said(text: str) -> str:
    """Return the text of a message, cleaned and cut to TEXT_BYTES."""
    return cut(clean_exactly(cut(text, TEXT_BYTES)), TEXT_BYTES)


def _line(text: str) -> str:
    return clean(text.replace("\n", " "))[: bounds.FOLDED_CHARS]


def _is_id(id: str) -> bool:
    return bool(id) and clean_id(id) == id


def _about(text_of: Callable[[str], str]) -> Callable[[str], str | None]:
    """Return a function that checks a text of the id of a message, a space and a second text."""

    def text(text: str) -> str | None:
        id, space, rest = text.partition(" ")
        return f"{id}{space}{text_of(cut(rest, TEXT_BYTES))}" if _is_id(id) else None

    return text


def _named(fits: Callable[[str], bool]) -> Callable[[str], str | None]:
    """Return a function that checks a text of a name, a space and a reason; `fits` checks the name."""

    def text(text: str) -> str | None:
        name, space, reason = text.partition(" ")
        return f"{name}{space}{reason_of(cut(reason, 4 * bounds.REASON_BYTES))}" if fits(name) else None

    return text


def _who(text: str) -> str | None:
    nick, _, host = text.partition("!")
    return text if is_name(nick) and clean_host(host) == host else None


def _hand(text: str) -> str | None:
    step, _, who = text.partition(" ")
    return text if step in ("up", "down", "spoken") and _who(who) else None


def _nick(text: str) -> str | None:
    nick = clean_nick(text)
    return nick if nick != UNKNOWN or text == UNKNOWN else None


def _poll(text: str) -> str | None:
    plain = clean(text.replace("\n", " ")) if len(text) <= 2 * polls.POLL_BYTES else ""
    return plain if polls.LEAST_ANSWERS <= plain.count(" | ") <= polls.MOST_ANSWERS else None


def _vote(text: str) -> str | None:
    id, _, rest = text.partition(" ")
    choice, _, voter = rest.partition(" ")
    fits = _is_id(id) and choice.isascii() and choice.isdigit() and len(choice) < 3
    return text if fits and polls.is_voter(voter) else None


# The text of a kind that only newer versions know is kept like that of a message.
_TEXTS: dict[str, Callable[[str], str | None]] = {
    **dict.fromkeys(SAID, said),
    Kind.JOIN: lambda text: real_name(cut(text, 4 * bounds.REAL_NAME_BYTES)),
    Kind.LEAVE: lambda text: reason_of(cut(text, 4 * bounds.REASON_BYTES)),
    Kind.RENAME: _nick,
    Kind.TOPIC: lambda text: cut(clean(cut(text, 4 * bounds.TOPIC_BYTES)).strip(), bounds.TOPIC_BYTES),
    Kind.MODE: lambda text: clean(text) if len(text) <= CHANGES_CHARS else None,
    Kind.KICK: _named(is_name),
    Kind.REDACT: _named(_is_id),
    Kind.ROOM_RENAMED: _named(is_room),
    Kind.EDIT: _about(said),
    Kind.REACT: _about(reaction_of),
    Kind.UNREACT: _about(reaction_of),
    Kind.PIN: _about(_line),
    Kind.UNPIN: _about(reason_of),
    Kind.HAND: _hand,
    Kind.TURN: _who,
    Kind.BRAKE: lambda text: text if text.isascii() and text.isdigit() and len(text) < 10 else None,
    Kind.POLL: _poll,
    Kind.VOTE: _vote,
    Kind.POLL_CLOSED: _about(reason_of),
    Kind.REDACTED: lambda text: "",
    Kind.EPHEMERAL: lambda text: None,  # no log has such an entry
}
