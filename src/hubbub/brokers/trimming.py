"""How the oldest entries of an SQLite log are forgotten: in steps that hold up nobody.

What was forgotten goes out of the text index too. Of it stays what makes a room's rules: its first join, its last
topic, and those changes of its modes that were not overruled. The mark `trimmed` tells up to which number all else is
gone, so that it is not missed. The pages that become free are used again; the file does not shrink.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Sequence

from hubbub.brokers import full_text
from hubbub.brokers.retention import Retention
from hubbub.brokers.schema import checksum, mark

AHEAD = 24 * 60 * 60.0  # seconds; what is dated further ahead was dated by a wrong clock
MERGED = 8  # pages of the text index that are written by one step of tidying it
LEAST = 5_000  # entries that must be forgotten before the text index is tidied
SHARE = 4  # and as many as a quarter of those that are left

_STALE_TOPICS = """
DELETE FROM entry WHERE kind = 'topic' AND kind IN ('mode', 'topic') AND seq <= :done
AND room IN (SELECT room FROM entry WHERE seq > :done AND seq <= :upto AND kind = 'topic')
"""
# Of the changes of a room's rules those stay that still hold in part, and then with that part alone (ruling.py).
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
    """Return the bytes of the file that hold something."""
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def bound(db: sqlite3.Connection, keep: Retention, now: float, limit: int, clock: float = 0.0) -> int:
    """Return up to which number is to be forgotten next: at most `limit` entries beyond what is forgotten already.

    Args:
        db: the connection.
        keep: the bounds.
        now: the time by which entries are too old (ageing.py), in epoch seconds.
        limit: a number of entries.
        clock: what the system's clock shows, if that is another time.

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
    """Return how many of the oldest rows are too old, up to the first that was said in a time.

    That one is young enough, though an import may have brought older ones behind it. What a wrong clock has dated after
    that time is as old as what follows it.
    """
    old = 0
    for index, (_, time) in enumerate(rows):
        if since <= time <= until:
            return old
        if time < since:
            old = index + 1
    if old < len(rows):  # all others are dated ahead
        sql = "SELECT time FROM entry WHERE seq > ? AND time <= ? ORDER BY seq LIMIT 1"
        following = db.execute(sql, (rows[-1][0], until)).fetchone()
        if following and following[0] < since:
            return len(rows)
    return old


def trim(db: sqlite3.Connection, upto: int) -> int:
    """Forget up to a number, within a transaction that is under way; return how many entries that was at most."""
    done = mark(db, "trimmed")
    if upto <= done:
        return 0
    values = {"done": done, "upto": upto}
    for stale in (_STALE_TOPICS, _STALE_MODES, _STALE_RENAMES):
        db.execute(stale, values)
    full_text.forget(db, done, upto)
    _rewrite(db, upto)
    count = db.execute(_DELETE, values).rowcount
    db.execute("INSERT OR REPLACE INTO mark VALUES ('trimmed', ?)", (upto,))
    return count


def _rewrite(db: sqlite3.Connection, upto: int) -> None:
    """Leave of what makes a room's rules only what still holds."""
    which = "entry.seq = ruling.seq AND entry.room = ruling.room WHERE entry.seq <= ? AND entry.text <> ruling.text"
    texts = "ruling.kind, entry.nick, ruling.text, entry.id, entry.host, entry.tags"
    for seq, *row in db.execute(f"SELECT entry.seq, {texts} FROM ruling JOIN entry ON {which}", (upto,)).fetchall():
        values = (row[0], row[2], checksum(tuple(row)), seq)
        db.execute("UPDATE entry SET kind = ?, text = ?, sum = ? WHERE seq = ?", values)


class Trimming:
    """Takes what was forgotten out of the text index for good: until it is tidied, that grows by what is deleted."""

    def __init__(self) -> None:
        self._forgotten = 0
        self._busy = False

    def note(self, count: int) -> None:
        """Note how many entries were forgotten."""
        self._forgotten += count

    def step(self, db: sqlite3.Connection) -> bool:
        """Do a little of it if it is worth it, in a transaction; return whether there is more to do."""
        if not self._busy:
            (left,) = db.execute("SELECT coalesce(max(seq), 0) FROM entry").fetchone()
            if self._forgotten < max(LEAST, (left - mark(db, "trimmed")) // SHARE):
                return False
        pages = MERGED if self._busy else -MERGED  # a negative number begins with all of the index
        before = db.total_changes
        db.execute("INSERT INTO entry_text (entry_text, rank) VALUES ('merge', ?)", (pages,))
        self._busy = db.total_changes - before >= 2
        if not self._busy:
            self._forgotten = 0
        return self._busy
