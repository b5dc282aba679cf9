"""Private conversations: the messages between two accounts are the log of a room that nobody lists or joins.

The name of such a room is made of the ids of the two accounts. No room that people name can have it, because those
names contain neither `@` nor `+`.
"""

from __future__ import annotations

MARK = "@"


def conversation_of(one: str, other: str) -> str:
    """Return the name of the room for the messages between two accounts, from their ids in any order."""
    return MARK + "+".join(sorted((one, other)))


def is_conversation(room: str) -> bool:
    """Return whether a room is a private conversation, by its name."""
    return room.startswith(MARK)


def parties_of(room: str) -> tuple[str, ...]:
    """Return the ids of the two accounts whose conversation a room is; () for any other room."""
    return tuple(room[1:].split("+")) if is_conversation(room) else ()


def partner_of(room: str, account: str) -> str:
    """Return the id of the account that another one has a conversation with."""
    return next((party for party in parties_of(room) if party != account), account)
