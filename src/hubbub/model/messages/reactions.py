"""The reactions to a message, as a tag of its entry: the nicks of those who reacted, by reaction.

They follow from the log, in which each reaction is an entry; only storages that change messages in place store the tag.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from hubbub.text.names import key_of
from hubbub.text.tags import REACTIONS, escape, join, unescape, value, without

MOST = 20  # different reactions to one message; others have no effect
MOST_NICKS = 1_000  # of all reactions to one message

_decode = msgspec.json.Decoder(dict[str, list[str]]).decode


def read(tags: str) -> Mapping[str, list[str]]:
    """Return the nicks of those who reacted by reaction, the oldest first; damaged ones are none."""
    if not (text := value(tags, REACTIONS)):
        return {}
    try:
        return _decode(unescape(text))
    except msgspec.DecodeError:
        return {}


def has_room(tags: str, reaction: str) -> bool:
    """Return whether one more reaction of this form can be added."""
    return _has_room(read(tags), reaction)


def _has_room(known: Mapping[str, list[str]], reaction: str) -> bool:
    return sum(map(len, known.values())) < MOST_NICKS and (reaction in known or len(known) < MOST)


def add(tags: str, reaction: str, nick: str) -> str:
    """Return tags with the reaction of a user; each user has each reaction at most once."""
    known = {**read(tags)}
    nicks = known.get(reaction, [])
    if key_of(nick) in _keys(nicks) or not _has_room(known, reaction):
        return tags
    known[reaction] = [*nicks, nick]
    return _write(tags, known)


def remove(tags: str, reaction: str, nick: str) -> str:
    """Return tags without the reaction of a user."""
    known, key = {**read(tags)}, key_of(nick)
    nicks = known.get(reaction, [])
    if key not in (keys := _keys(nicks)):
        return tags
    known[reaction] = [one for one, of_one in zip(nicks, keys, strict=True) if of_one != key]
    return _write(tags, known)


def _keys(nicks: Sequence[str]) -> Sequence[str]:
    """Return the keys of nicks; those of a thousand plain ones cost little, because many react to one message."""
    text = "\n".join(nicks)
    plain = text.isascii() and text.count("\n") + 1 == len(nicks)
    return text.lower().split("\n") if plain else [key_of(one) for one in nicks]


def _write(tags: str, known: Mapping[str, list[str]]) -> str:
    left = {reaction: nicks for reaction, nicks in known.items() if nicks}
    text = escape(msgspec.json.encode(left).decode()) if left else ""
    return join(without(tags, REACTIONS), f"{REACTIONS}={text}" if text else "")
