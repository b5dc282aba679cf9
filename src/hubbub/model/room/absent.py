"""Find out from the newest entries of a room which users have left it, and which have joined and not left.

A user who comes back within a day continues where they left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from hubbub.model.accounts.account import host_of, is_account
from hubbub.model.entries import Entry, Joined, Kicked, Left, NickChanged
from hubbub.model.ids import process_of, user_of
from hubbub.text.names import key_of

LOOKED_BACK = 400  # newest log entries of a room that are searched for leaves
DAY = 86_400.0  # seconds after which a returning user counts as new
Key = tuple[str, str]  # a folded nick, and the host that other users see


class Absence(NamedTuple):
    """The number of the last log entry that a user received, and the time of their leaving in epoch seconds."""

    seq: int
    at: float


class OpenJoin(NamedTuple):
    """A join without a leave: its number, the nick that the user has by now, and their host."""

    seq: int
    nick: str
    host: str


def open_joins(entries: Sequence[Entry]) -> dict[str, OpenJoin]:
    """Return the joins among entries of a room, oldest first, that have no leave, by the prefixes of the users' ids."""
    found: dict[str, OpenJoin] = {}
    for entry in entries:
        prefix, body = user_of(entry.id), entry.body
        if isinstance(body, Joined) and prefix:
            found[prefix] = OpenJoin(entry.seq, entry.nick, entry.host)
        elif isinstance(body, NickChanged) and prefix in found:
            found[prefix] = found[prefix]._replace(nick=body.nick)
        elif isinstance(body, Kicked):
            found = {one: join for one, join in found.items() if key_of(join.nick) != key_of(body.nick)}
        elif isinstance(body, Left):
            found.pop(prefix, None)
            if host := departed(entry):  # several nodes may publish it, so its id is not one of the user
                found = {one: join for one, join in found.items() if join.host != host}
    return found


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
