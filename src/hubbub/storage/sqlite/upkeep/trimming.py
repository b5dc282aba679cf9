"""The deletion of the oldest entries of an SQLite log, in steps that are too short to delay users.

Deleted entries also leave the text index. The entries that set a room's modes and topic stay: its first join, its last
topic, and the mode changes that are not overruled. Up to the number in the mark `trimmed` all other entries are
deleted, so a check does not report them as missing. Free pages are used again; the file does not shrink.

The mark `erasing` is 1 while the text index or the write-ahead log may still have the text of a redacted message. It
is set in the transaction of the redaction, so that the text also leaves these after a restart.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence

from hubbub.storage.retention import Retention
from hubbub.storage.sqlite import full_text
from hubbub.storage.sqlite.schema import checksum, mark

AHEAD = 24 * 60 * 60.0  # seconds ahead of the clock; a later time comes from a wrong clock
MERGED = 8  # pages of the text index that one merge step writes
LEAST = 5_000  # minimum deleted entries before the text index is merged
ERASE_EVERY = 60 * 60.0  # minimum seconds between two merges of the whole index because of redactions
SHARE = 4  # the deleted entries must also be a quarter of the remaining ones

_STALE_TOPICS = """
DELETE FROM entry WHERE kind = 'topic' AND kind IN ('mode', 'topic') AND seq <= :done
AND room IN (SELECT room FROM entry WHERE seq > :done AND seq <= :upto AND kind = 'topic')
"""
# Mode changes that are still valid in part stay, reduced to the valid part (room_state.py).
_OVERRULED = """
DELETE FROM entry WHERE {which} AND seq <= :done
AND room IN (SELECT room FROM entry WHERE {which} AND seq > :done AND seq <= :upto)
AND NOT EXISTS (SELECT 1 FROM ruling WHERE ruling.room = entry.room AND ruling.seq = entry.seq)
"""
_STALE_MODES = _OVERRULED.format(which="kind = 'mode' AND kind IN ('mode', 'topic')")
_STALE_RENAMES = _OVERRULED.format(which="kind = 'rename'")
_DELETE = """
DELETE FROM entry WHERE seq > :done AND seq <= :upto AND CASE kind
WHEN 'mode' THEN NOT EXISTS (SELECT 1 FROM ruling WHERE ruling.room = entry.room AND ruling.seq = entry.seq)
WHEN 'rename' THEN NOT EXISTS (SELECT 1 FROM ruling WHERE ruling.room = entry.room AND ruling.seq = entry.seq)
WHEN 'join' THEN EXISTS (
    SELECT 1 FROM entry AS other WHERE other.room = entry.room AND other.seq < entry.seq AND other.kind = 'join')
WHEN 'topic' THEN EXISTS (
    SELECT 1 FROM entry AS other WHERE other.room = entry.room AND other.seq > entry.seq AND other.kind = 'topic'
    AND other.kind IN ('mode', 'topic'))
ELSE 1 END
"""


def used(db: sqlite3.Connection) -> int:
    """Return the bytes of the file's pages that are in use."""
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def bound(db: sqlite3.Connection, keep: Retention, now: float, limit: int, clock: float = 0.0) -> int:
    """Return the number up to which entries are to be deleted next: at most `limit` further entries.

    Args:
        db: the connection.
        keep: the retention.
        now: the time of the log from which the age of entries is counted (ageing.py), in epoch seconds.
        limit: a number of entries.
        clock: the time of the system's clock in epoch seconds, if it differs from `now`.

    """
    done = mark(db, "trimmed")
    rows = db.execute("SELECT seq, time FROM entry WHERE seq > ? ORDER BY seq LIMIT ?", (done, limit)).fetchall()
    if not rows:
        return done
    count = over = 0
    if keep.count or keep.size:
        (last,) = db.execute("SELECT max(seq) FROM entry").fetchone()
        count = last - done
        over = count - keep.count if keep.count else 0
        if keep.size and (size := used(db)) > keep.size:
            over = max(over, math.ceil(count * (1 - keep.size / size)))
    if keep.age:
        over = max(over, _too_old(db, rows, now - keep.age, max(now, clock) + AHEAD))
    over = min(over, len(rows))
    return int(rows[over - 1][0]) if over > 0 else done


def _too_old(db: sqlite3.Connection, rows: Sequence[tuple[int, float]], since: float, until: float) -> int:
    """Return how many of the oldest rows are too old: the rows before the first one with a time in the given range.

    That row is young enough, and so is everything after it, although an import may have added older entries there.
    A row that a wrong clock has dated after `until` counts as old as the rows that follow it.
    """
    old = 0
    for index, (_, time) in enumerate(rows):
        if since <= time <= until:
            return old
        if time < since:
            old = index + 1
    if old < len(rows):  # all other rows have a time after `until`
        sql = "SELECT time FROM entry WHERE seq > ? AND time <= ? ORDER BY seq LIMIT 1"
        following = db.execute(sql, (rows[-1][0], until)).fetchone()
        if following and following[0] < since:
            return len(rows)
    return old


def trim(db: sqlite3.Connection, upto: int) -> int:
    """Delete entries up to a number within an open transaction; return the number of deleted entries."""
    done = mark(db, "trimmed")
    if upto <= done:
        return 0
    values = {"done": done, "upto": upto}
    # Earlier calls kept the state of each room. The parts that entries up to `upto` replace can go now.
    for stale in (_STALE_TOPICS, _STALE_MODES, _STALE_RENAMES):
        db.execute(stale, values)
    # The text index needs the texts of the entries to remove them, so it comes before the entries.
    full_text.forget(db, done, upto)
    _rewrite(db, upto)
    count = db.execute(_DELETE, values).rowcount
    db.execute("INSERT OR REPLACE INTO mark VALUES ('trimmed', ?)", (upto,))
    return count


def _rewrite(db: sqlite3.Connection, upto: int) -> None:
    """Reduce the mode changes and renames up to a number to their parts that are still valid."""
    which = "entry.seq = ruling.seq AND entry.room = ruling.room WHERE entry.seq <= ? AND entry.text <> ruling.text"
    texts = "ruling.kind, entry.nick, ruling.text, entry.id, entry.host, entry.tags"
    for seq, *row in db.execute(f"SELECT entry.seq, {texts} FROM ruling JOIN entry ON {which}", (upto,)).fetchall():
        values = (row[0], row[2], checksum(tuple(row)), seq)
        db.execute("UPDATE entry SET kind = ?, text = ?, sum = ? WHERE seq = ?", values)


def prepare(db: sqlite3.Connection) -> None:
    """Make the mark `erasing` if it does not exist: older versions forgot at each stop what was to be erased."""
    db.execute("INSERT OR IGNORE INTO mark SELECT 'erasing', EXISTS (SELECT 1 FROM entry)")


class Trimming:
    """Merges the text index, so that it frees the space of deleted entries: each deletion makes it larger at first."""

    def __init__(self) -> None:
        self._forgotten = 0
        self._busy = False  # a merge is under way
        self._late = False  # a text was redacted after that merge had begun, so that merge does not erase it
        self._erased = -math.inf  # time of the last erasure, in epoch seconds

    def erase(self, db: sqlite3.Connection) -> None:
        """Note within an open transaction that a redacted text has to leave the index and the write-ahead log."""
        self._late = self._busy
        db.execute("UPDATE mark SET value = 1 WHERE name = 'erasing'")

    def note(self, count: int) -> None:
        """Add to the number of entries that were deleted since the last merge."""
        self._forgotten += count

    def step(self, db: sqlite3.Connection, clock: float) -> bool:
        """Merge a few pages if enough entries were deleted, or one was redacted; return whether there is more to do."""
        # Not more often, because an erasure rewrites the index. After the clock was set back, at once.
        erases = abs(clock - self._erased) >= ERASE_EVERY and bool(mark(db, "erasing"))
        if not self._busy and not erases:
            (left,) = db.execute("SELECT coalesce(max(seq), 0) FROM entry").fetchone()
            if self._forgotten < max(LEAST, (left - mark(db, "trimmed")) // SHARE):
                return False
        # A negative number starts a merge of the whole index; positive ones continue it.
        pages = MERGED if self._busy else -MERGED
        before = db.total_changes
        db.execute("INSERT INTO entry_text (entry_text, rank) VALUES ('merge', ?)", (pages,))
        # FTS5 documents fewer than two changes as the end of the merge.
        self._busy = db.total_changes - before >= 2
        if not self._busy:
            self._forgotten = 0
            if erases:
                self._erased = clock
                if not self._late and _empty_wal(db):
                    db.execute("UPDATE mark SET value = 0 WHERE name = 'erasing'")
            self._late = False
        return self._busy


def _empty_wal(db: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the file and truncate it; return False if a reader still needs it.

    The log has the pages as they were before a redaction. This does not wait for readers.
    """
    db.execute("PRAGMA busy_timeout = 0")
    try:
        (busy, *_) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        db.execute("PRAGMA busy_timeout = 5000")
    return not busy
