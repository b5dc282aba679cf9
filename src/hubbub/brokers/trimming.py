"""How the oldest entries of an SQLite log are forgotten: in steps that hold up nobody.

What was forgotten goes out of the text index too. Of it stays what makes a room's rules: its first join, its last
topic, and those changes of its modes that were not overruled. The mark `trimmed` tells up to which number all else is
gone, so that it is not missed. The pages that become free are used again; the file does not shrink.
"""

from __future__ import annotations

import math
import sqlite3

from hubbub.brokers.keep import Keep

MERGED = 8  # pages of the text index that are written by one step of tidying it
LEAST = 5_000  # entries that must be forgotten before the text index is tidied
SHARE = 4  # and as many as a quarter of those that are left

_STALE_TOPICS = """
DELETE FROM entry WHERE kind = 'topic' AND kind IN ('mode', 'topic') AND seq <= :done
AND room IN (SELECT room FROM entry WHERE seq > :done AND seq <= :upto AND kind = 'topic')
"""
_UNINDEX = """
INSERT INTO entry_text (entry_text, rowid, text) SELECT 'delete', seq, text FROM entry
WHERE seq > :done AND seq <= min(:upto, :indexed) AND kind IN ('message', 'action', 'notice')
"""
# Of the changes of a room's rules those stay that still hold in part, and then with that part alone (ruling.py).
_OVERRULED = """
DELETE FROM entry WHERE {which} AND seq <= :done
AND room IN (SELECT room FROM entry WHERE {which} AND seq > :done AND seq <= :upto)
AND NOT EXISTS (SELECT 1 FROM ruling WHERE ruling.room = entry.room AND ruling.seq = entry.seq)
"""
_STALE_MODES = _OVERRULED.format(which="kind = 'mode' AND kind IN ('mode', 'topic')")
_STALE_RENAMES = _OVERRULED.format(which="kind = 'rename'")
_REWRITE = """
UPDATE entry SET kind = ruling.kind, text = ruling.text FROM ruling
WHERE entry.seq = ruling.seq AND entry.room = ruling.room AND entry.seq <= :upto AND entry.text <> ruling.text
"""
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


def mark(db: sqlite3.Connection, name: str) -> int:
    """Return the value of a mark, 0 if there is none."""
    row = db.execute("SELECT value FROM mark WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row else 0


def used(db: sqlite3.Connection) -> int:
    """Return the bytes of the file that hold something."""
    pages, free, size = (
        db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def bound(db: sqlite3.Connection, keep: Keep, now: float, limit: int) -> int:
    """Return up to which number is to be forgotten next: at most `limit` entries beyond what is forgotten already."""
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
    if keep.age:  # up to the first that is young enough: an import may have brought older ones behind it
        old = next((index for index, (_, time) in enumerate(rows) if time >= now - keep.age), len(rows))
        over = max(over, old)
    over = min(over, len(rows))
    return int(rows[over - 1][0]) if over > 0 else done


def trim(db: sqlite3.Connection, upto: int) -> int:
    """Forget up to a number, within a transaction that is under way; return how many entries that was at most."""
    done = mark(db, "trimmed")
    if upto <= done:
        return 0
    values = {"done": done, "upto": upto, "indexed": mark(db, "indexed")}
    for stale in (_STALE_TOPICS, _STALE_MODES, _STALE_RENAMES):
        db.execute(stale, values)
    db.execute(_UNINDEX, values)
    db.execute(_REWRITE, values)
    count = db.execute(_DELETE, values).rowcount
    db.execute("INSERT OR REPLACE INTO mark VALUES ('trimmed', ?)", (upto,))
    return count


class Tidying:
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
