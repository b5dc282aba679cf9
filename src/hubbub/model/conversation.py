"""Private conversations: the messages between two accounts are the log of a room that nobody lists or joins.

The name of such a room is made of the ids of the two accounts. No room that people name can have it, because those
names contain neither `@` nor `+`.
"""

from __future__ import annotations

import re

from hubbub.text.names import is_room

MARK = "@"
_NAME = re.compile(r"@[0-9A-Za-z]{1,64}\+[0-9A-Za-z]{1,64}")


def conversation_of(one: str, other: str) -> str:
    """Return the name of the room for the messages between two accounts, from their ids in any order."""
    return MARK + "+".join(sorted((one, other)))


def is_conversation(room: str) -> bool:
    """Return whether a room is a private conversation, by its name."""
    return room.startswith(MARK)


def can_have_log(name: str) -> bool:
    """Return whether a name is that of a room, or of a private conversation: no other names are in a log."""
    return _NAME.fullmatch(name) is not None if is_conversation(name) else is_room(name)


def parties_of(room: str) -> tuple[str, ...]:
    """Return the ids of the two accounts whose conversation a room is; () for any other room."""
    return tuple(room[1:].split("+")) if is_conversation(room) else ()


def partner_of(room: str, account: str) -> str:
    """Return the id of the account that another one has a conversation with."""
    return next((party for party in parties_of(room) if party != account), account)
