"""Who has left a room, and how far they were given its log: whoever comes back soon goes on from there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from hubbub.core.model import Entry, Kind
from hubbub.core.names import key_of

LOOKED_BACK = 400  # newest entries of a room from which it is known who has left
DAY = 86_400.0  # seconds after which somebody is a newcomer again
Key = tuple[str, str]  # a folded nick, and the host that others see


class Absence(NamedTuple):
    """Up to which number somebody was given a room's log, and when that was, in seconds since the epoch."""

    seq: int
    at: float


def absences(entries: Sequence[Entry]) -> dict[Key, Absence]:
    """Return who has left a room in which nobody is, from the newest entries of its log, oldest first.

    People who were in when their server was stopped or killed have no leave. They were given what that process stored
    last in the room, and it ended before the next entry; the ids of a process have their beginning in common.
    """
    newest: dict[str, int] = {}  # of each process, by index
    doing: dict[Key, int] = {}  # what people did last, by index
    for index, entry in enumerate(entries):
        newest[_process(entry)] = index
        key = key_of(entry.nick), entry.host
        if entry.kind is Kind.RENAME:
            doing.pop(key, None)
            key = key_of(entry.text), entry.host
        doing[key] = index
    absent = {}
    for key, index in doing.items():
        if entries[index].kind is Kind.LEAVE:
            absent[key] = Absence(entries[index].seq, entries[index].time)
        else:
            last = newest[_process(entries[index])]
            absent[key] = Absence(entries[last].seq, entries[last + 1].time if last + 1 < len(entries) else math.inf)
    return absent


def _process(entry: Entry) -> str:
    return entry.id.partition("-")[0]
