"""The entries that determine a room's modes: a bounded number, however often the modes were changed."""

from __future__ import annotations

from collections.abc import Iterable

from hubbub.model.entries import Entry, Kind
from hubbub.model.mask_lists import LISTS
from hubbub.model.room_modes import PREFIXES, ModeChange, RoomModes, parse, write
from hubbub.text.cleaning import fold_text
from hubbub.text.names import key_of

MAX_RULING = 256  # entries of a room's modes from which they are compacted
RULING_STEP = 64


def state_entries(room: str, entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries that determine a room's modes: of the renames, only those of users with rights."""
    rules = RoomModes(room)
    made = []
    for entry in entries:
        if entry.kind is not Kind.RENAME or (key_of(entry.nick), entry.host) in rules.saved_status:
            rules.apply(entry, ())
            made.append(entry)
    return made


def with_ruling(room: str, made: list[Entry], entry: Entry) -> list[Entry]:
    """Return the entries that determine a room's modes after another entry of the kinds in CHANGING.

    Their number is bounded, however often the modes of a room are changed.
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
    """Return whether this many entries are to be compacted now; not on every change, as all may still be in force."""
    return count >= MAX_RULING and not count % RULING_STEP


def compact(room: str, made: Iterable[Entry]) -> list[Entry]:
    """Return entries that determine the same modes as the given ones, without changes that later ones overrule.

    An entry that is still partly in force keeps only that part. A rename becomes the change of rights that it caused.
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
            by_default = change.letter == "n" or key == ("o", opener)  # on unless an entry turns it off
            if key not in known and (change.on or by_default):
                left.append(change)
            known.add(key)
        if left:
            kept.append(entry._replace(kind=Kind.MODE, text=write(left[::-1], until)))
    return kept[::-1]


def _changes(rules: RoomModes, entry: Entry) -> tuple[list[ModeChange], float]:
    """Return the changes that an entry makes to the given modes, and when they end (epoch seconds, 0: never)."""
    if entry.kind is Kind.MODE:
        return parse(entry.text)
    if entry.kind is not Kind.RENAME:
        return [], 0.0
    letters = rules.saved_status.get((key_of(entry.nick), entry.host), "")
    names = ((False, entry.nick), (True, entry.text))
    return [ModeChange(on, letter, f"{nick}!{entry.host}") for on, nick in names for letter in letters], 0.0


def _about(change: ModeChange) -> tuple[str, str]:
    """Return the subject of a change: of two changes with the same subject, the later one is in force."""
    if change.letter in PREFIXES:
        nick, _, host = change.param.partition("!")
        return change.letter, f"{key_of(nick)}!{host}"
    return change.letter, fold_text(change.param) if change.letter in LISTS else ""
