"""Whether a log in an SQLite file is whole: everything in it is read, and compared with what else is known of it."""

from __future__ import annotations

import logging
import math
import sqlite3
from array import array
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from hubbub.brokers import salvage
from hubbub.brokers.schema import VERSION, fields, lenient, mark
from hubbub.brokers.words import search_form, tokens
from hubbub.core.model import SAID, Entry, Kind
from hubbub.core.room_modes import parse

if TYPE_CHECKING:
    from hubbub.brokers.store import Store

LISTED = 20  # faults of one sort that are told one by one
AHEAD = 60.0  # seconds that the newest entry may be ahead of the clock before that is worth a word
LATEST = 1e11  # seconds since the epoch: no entry can be from then
BUCKETS = 1 << 16  # of tokens that are counted together, so that any log can be checked in little memory
LONG = 4_000  # characters; the index cuts such tokens off

Progress = Callable[[int, int], None]  # called with how much is done, and of how much

# Versions of SQLite in which the bug is mended that two connections that write may lose commits of each other.
_MENDED = ((3, 44, 6), (3, 50, 7), (3, 51, 3))


def sqlite_warning(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str:
    """Return a sentence about the bug of SQLite that this version has, "" if it has none."""
    if any(version[:2] == mended[:2] and version >= mended for mended in _MENDED) or version > _MENDED[-1]:
        return ""
    return (
        f"SQLite {'.'.join(map(str, version))} can damage a log that two programs write at the same time. Let no other "
        "program (Litestream, the sqlite3 shell) write to hubbub.db, or use SQLite 3.51.3, 3.50.7, 3.44.6 or newer."
    )


def future_warning(newest: float, clock: float) -> str:
    """Return a sentence about a newest entry that is from the future, "" if it is not."""
    if newest <= clock + AHEAD:
        return ""
    try:
        when = datetime.fromtimestamp(newest).strftime("%Y-%m-%d %H:%M")
    except (ValueError, OverflowError, OSError):
        when = "a time that no calendar has"
    return (
        f"The newest entry is from the future ({when}): the clock was wrong then, or is wrong now. New entries have "
        "the time of the clock."
    )


def warnings(log: Store, clock: float) -> list[str]:
    """Return what should be known about a log though it is whole."""
    past = "" if log.past.level > logging.WARNING else log.past.text
    return [text for text in (sqlite_warning(), past, future_warning(log.newest, clock)) if text]


def faults(log: Store, progress: Progress = lambda done, whole: None) -> list[str]:
    """Return what is wrong with a log, a sentence each; nothing if it is whole."""
    db = log._db
    db.text_factory = lenient
    found = [log.past.text] if log.past.level > logging.WARNING else []
    counts = array("q", bytes(8 * BUCKETS))
    try:
        db.execute("BEGIN")
        for part in (_pages(db), _links(db), _rulings(db), _rows(log, counts, progress), _index(log, counts)):
            try:
                found += part
            except sqlite3.Error as error:
                found.append(f"{error}.")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")
    return list(dict.fromkeys(found))


def _pages(db: sqlite3.Connection) -> Iterator[str]:
    """What SQLite itself knows of its file."""
    for (fault,) in db.execute(f"PRAGMA integrity_check({LISTED})"):
        if fault != "ok":
            yield str(fault)


def _links(db: sqlite3.Connection) -> Iterator[str]:
    """Each entry names the one before it in its room; of what was forgotten (trimming.py), some are left."""
    chain = (
        "SELECT name, seq FROM"
        " (SELECT room, seq, prev, lag(seq, 1, 0) OVER (PARTITION BY room ORDER BY seq) AS before FROM entry)"
        " AS chain JOIN room ON room.id = chain.room"
        f" WHERE seq > :trimmed AND prev <> before AND NOT (prev <= :trimmed AND before <= prev) LIMIT {LISTED}"
    )
    for room, seq in db.execute(chain, {"trimmed": mark(db, "trimmed")}):
        yield f"In {room}, something is missing before number {seq}."


def _rulings(db: sqlite3.Connection) -> Iterator[str]:
    """What holds in a room (ruling.py) is what its entries said, or a part of it."""
    known = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'ruling'").fetchone()
    if not known or mark(db, "mirrored"):  # a copy (copy.py) answers nobody who may not see all
        return
    made = (
        "SELECT name, ruling.seq, ruling.kind, ruling.text, entry.kind, entry.text FROM ruling"
        " JOIN room ON room.id = ruling.room"
        " LEFT JOIN entry ON entry.seq = ruling.seq AND entry.room = ruling.room AND entry.id = ruling.id"
    )
    for room, seq, kind, text, said_kind, said in db.execute(made):
        if kind == said_kind == Kind.MODE:
            whole = set(parse(text)[0]) <= set(parse(said)[0])
        else:
            whole = (kind, text) == (said_kind, said) or (kind, said_kind) == (Kind.MODE, Kind.RENAME)
        if not whole:
            yield f"What holds in {room} is not what number {seq} said."


def _rows(log: Store, counts: array[int], progress: Progress) -> Iterator[str]:
    """Every entry can be read; what the index should know of those that it holds is counted."""
    db = log._db
    names = dict(db.execute("SELECT id, name FROM room"))
    indexed, unindexed = (mark(db, "indexed"), mark(db, "unindexed")) if log._version == VERSION else (0, 0)
    whole, bad, unreadable = log._count("entry"), 0, 0

    def lost(count: int) -> None:
        nonlocal unreadable
        unreadable += max(count, 1)
        log.damage = log.damage or "pages cannot be read"

    rows = salvage.walk(db, f"{fields(log._version)}, room", 0, False, lost)
    for done, (seq, prev, when, *rest, room) in enumerate(rows, 1):
        entry = log._entry(names.get(room, ""), seq, prev, when, *rest)
        if entry is None or not entry.room or not _is_time(when):
            bad += 1
            if bad <= LISTED:
                yield f"The entry with number {seq} is damaged."
        if entry and entry.kind in SAID and unindexed < seq <= indexed:
            _count(entry, counts)
        if not done % 1_000:
            progress(done, whole)
    if bad > LISTED:
        yield f"So are {bad - LISTED:,} others."
    if unreadable:
        yield f"{unreadable:,} entries or more cannot be read; hubbub export --salvage saves the others."


def _is_time(when: object) -> bool:
    return isinstance(when, float) and math.isfinite(when) and 0 <= when < LATEST


def _count(entry: Entry, counts: array[int]) -> None:
    for token in tokens(search_form(entry.text)).split():
        if len(token) < LONG:
            counts[hash(token) % BUCKETS] += 1


def _index(log: Store, counts: array[int]) -> Iterator[str]:
    """The text index knows as many tokens of each kind as there are in the entries, if those can be read."""
    if log._version < VERSION or log.damage:
        return
    log._db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.terms USING fts5vocab (main, entry_text, row)")
    for term, count in log._db.execute("SELECT term, cnt FROM temp.terms"):
        if len(term) < LONG:
            counts[hash(term) % BUCKETS] -= count
    if any(counts):
        yield "The text index is not that of the entries, so a search may miss some; export and import make a new one."
