"""The entries that make a room's rules: as few as will do, however often its modes were changed."""

from __future__ import annotations

from collections.abc import Iterable

from hubbub.core.mask_lists import LISTS
from hubbub.core.model import Entry, Kind
from hubbub.core.names import key_of
from hubbub.core.room_modes import PREFIXES, ModeChange, RoomModes, parse, write
from hubbub.core.text import fold_text

MAX_RULING = 256  # entries of a room's rules from which on they are compacted
RULING_STEP = 64


def state_entries(room: str, entries: Iterable[Entry]) -> list[Entry]:
    """Return of entries those that make a room's rules: of the renames, those of people who may do something."""
    rules = RoomModes(room)
    made = []
    for entry in entries:
        if entry.kind is not Kind.RENAME or (key_of(entry.nick), entry.host) in rules.saved_status:
            rules.apply(entry, ())
            made.append(entry)
    return made


def with_ruling(room: str, made: list[Entry], entry: Entry) -> list[Entry]:
    """Return the entries that make a room's rules once another one of the kinds in CHANGING has followed.

    However often the modes of a room are changed, that is a bounded number.
    """
    if entry.kind is Kind.TOPIC:
        return [*(one for one in made if one.kind is not Kind.TOPIC), entry]
    if entry.kind is Kind.JOIN and any(one.kind is Kind.JOIN for one in made):
        return made
    if entry.kind is Kind.RENAME and (key_of(entry.nick), entry.host) not in RoomModes(room, made).saved_status:
        return made
    made = [*made, entry]
    return compact(room, made) if is_long(len(made)) else made


def is_long(count: int) -> bool:
    """Return whether so many entries of a room's rules are to be compacted: now and then, for all may be in force."""
    return count >= MAX_RULING and not count % RULING_STEP


def compact(room: str, made: Iterable[Entry]) -> list[Entry]:
    """Return entries that make the same rules as others, without what was overruled.

    An entry of which a part still holds is left with that part. A rename becomes what it has made of somebody's rights.
    """
    rules = RoomModes(room)
    changed: list[tuple[Entry, list[ModeChange], float]] = []
    for entry in made:
        changes, until = _changes(rules, entry)
        rules.apply(entry, ())
        changed.append((entry, changes, until))
    opener = next((f"{key_of(entry.nick)}!{entry.host}" for entry, *_ in changed if entry.kind is Kind.JOIN), "")
    kept: list[Entry] = []
    known: set[tuple[str, str]] = set()
    for entry, changes, until in reversed(changed):
        if entry.kind in (Kind.JOIN, Kind.TOPIC):
            kept.append(entry)
            continue
        left = []
        for change in reversed(changes):
            key = _about(change)
            by_default = change.letter == "n" or key == ("o", opener)  # is on unless it is said to be off
            if key not in known and (change.on or by_default):
                left.append(change)
            known.add(key)
        if left:
            kept.append(entry._replace(kind=Kind.MODE, text=write(left[::-1], until)))
    return kept[::-1]


def _changes(rules: RoomModes, entry: Entry) -> tuple[list[ModeChange], float]:
    """Return what an entry changes where these rules hold, and until when."""
    if entry.kind is Kind.MODE:
        return parse(entry.text)
    if entry.kind is not Kind.RENAME:
        return [], 0.0
    letters = rules.saved_status.get((key_of(entry.nick), entry.host), "")
    names = ((False, entry.nick), (True, entry.text))
    return [ModeChange(on, letter, f"{nick}!{entry.host}") for on, nick in names for letter in letters], 0.0


def _about(change: ModeChange) -> tuple[str, str]:
    """Return what a change is about: of two about the same, the later one holds."""
    if change.letter in PREFIXES:
        nick, _, host = change.param.partition("!")
        return change.letter, f"{key_of(nick)}!{host}"
    return change.letter, fold_text(change.param) if change.letter in LISTS else ""
