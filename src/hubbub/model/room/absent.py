"""Find out which users have left a room, and how much of its log each of them had received by then.

A user who comes back within a day continues from there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from hubbub.model.account import host_of, is_account
from hubbub.model.entries import Entry, Kicked, Left, NickChanged
from hubbub.model.ids import process_of
from hubbub.text.names import key_of

LOOKED_BACK = 400  # newest log entries of a room that are searched for leaves
DAY = 86_400.0  # seconds after which a returning user counts as new
Key = tuple[str, str]  # a folded nick, and the host that other users see


class Absence(NamedTuple):
    """The number of the last log entry that a user received, and the time of their leaving in epoch seconds."""

    seq: int
    at: float


def departed(entry: Entry) -> str:
    """Return the host of the owner of an account who leaves the room by an entry, or is kicked; else ""."""
    body = entry.body
    if isinstance(body, Kicked):
        return host_of(body.user) if body.user else ""
    return entry.host if isinstance(body, Left) and is_account(entry.host) else ""


def absences(entries: Sequence[Entry]) -> dict[Key, Absence]:
    """Return the users who have left an empty room, from the newest entries of its log, oldest first.

    A user who was in the room when their server was stopped or killed has no leave entry. Such a user had received all
    that this process stored in the room, and the process had ended by the time of the next entry. All ids that one
    process assigns begin with the same prefix.
    """
    newest: dict[str, int] = {}  # index of the newest entry, by process
    doing: dict[Key, int] = {}  # index of a user's last entry
    for index, entry in enumerate(entries):
        newest[process_of(entry.id)] = index
        key = key_of(entry.nick), entry.host
        if isinstance(entry.body, NickChanged):
            doing.pop(key, None)
            key = key_of(entry.body.nick), entry.host
        doing[key] = index
    absent = {}
    for key, index in doing.items():
        if isinstance(entries[index].body, Left):
            absent[key] = Absence(entries[index].seq, entries[index].time)
        else:
            last = newest[process_of(entries[index].id)]
            absent[key] = Absence(entries[last].seq, entries[last + 1].time if last + 1 < len(entries) else math.inf)
    return absent
