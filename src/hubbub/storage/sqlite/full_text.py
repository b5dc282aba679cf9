"""Searching a log in an SQLite file: the text index, how it is filled, and the search of entries outside of it.

The index (schema.py) holds the tokens of all messages with numbers above the mark `unindexed`, up to the mark
`indexed`. It is filled separately from the writes, because doing so in the same transaction would cost most of the
throughput. Messages newer than `indexed` are found by reading them. After an upgrade, the messages up to `unindexed`
wait to be indexed, the newest first; until then a search says that it is incomplete.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from heapq import merge
from itertools import chain
from operator import attrgetter

from msgspec.structs import replace

from hubbub.model.access import Action
from hubbub.model.codec import text_of
from hubbub.model.entries import Entry
from hubbub.model.queries import LogPage, Search
from hubbub.storage.ports import END, page
from hubbub.storage.sqlite.entry_reader import EntryReader
from hubbub.storage.sqlite.schema import INDEXED, POLLS, SAID, has_authors, listed, mark
from hubbub.storage.words import Words, search_form, tokens
from hubbub.text.names import key_of

FEW = 20_000  # messages of an author that are compared one by one
_NOT_ASCII = "entry.text GLOB '*[^' || char(1) || '-' || char(127) || ']*'"


# --- filling it -------------------------------------------------------------------------------------------------------


def prepare(db: sqlite3.Connection) -> None:
    """Define the SQL function that returns the tokens of a text; call it on each connection that writes."""
    db.create_function("search_tokens", 1, _tokens, deterministic=True)


def _tokens(text: bytes) -> str:
    # The argument has bytes, because a damaged text that is not UTF-8 must not stop the indexing of later ones.
    return tokens(search_form(text.decode("utf-8", "replace")))


def feed(db: sqlite3.Connection, last: int, limit: int) -> bool:
    """Index at most `limit` further entries, within an open transaction; return whether there is more to do.

    `last` is the number of the newest entry. New entries come first, then those up to `unindexed`.
    """
    done, behind = mark(db, "indexed"), mark(db, "unindexed")
    if done < last:
        row = db.execute("SELECT seq FROM entry WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET ?", (done, limit - 1))
        (upto,) = row.fetchone() or (last,)
        _index(db, done, upto)
        db.execute("UPDATE mark SET value = ? WHERE name = 'indexed'", (upto,))
        return bool(upto < last or behind)
    row = db.execute("SELECT seq FROM entry WHERE seq <= ? ORDER BY seq DESC LIMIT 1 OFFSET ?", (behind, limit))
    (down_to,) = row.fetchone() or (0,)
    _index(db, down_to, behind)
    db.execute("UPDATE mark SET value = ? WHERE name = 'unindexed'", (down_to,))
    return bool(down_to)


def is_fed(db: sqlite3.Connection, last: int) -> bool:
    """Return whether all entries up to number `last` are in the index."""
    return mark(db, "indexed") >= last and not mark(db, "unindexed")


def _index(db: sqlite3.Connection, after: int, upto: int) -> None:
    db.execute(
        "INSERT INTO entry_text (rowid, text) SELECT seq, search_tokens(CAST(text AS BLOB)) FROM entry "
        f"WHERE seq > ? AND seq <= ? AND {SAID} ORDER BY seq",
        (after, upto),
    )


def forget(db: sqlite3.Connection, after: int, upto: int) -> None:
    """Remove the entries after one number, up to another, from the index; call it while they are still in the log."""
    after, upto = max(after, mark(db, "unindexed")), min(upto, mark(db, "indexed"))
    db.execute(
        "INSERT INTO entry_text (entry_text, rowid, text) "
        "SELECT 'delete', seq, search_tokens(CAST(text AS BLOB)) FROM entry "
        f"WHERE seq > ? AND seq <= ? AND {SAID}",
        (after, upto),
    )


def renew(db: sqlite3.Connection, seq: int) -> None:
    """Add an entry, whose text has changed after `forget`, to the index again if its number is in the indexed range."""
    if mark(db, "unindexed") < seq <= mark(db, "indexed"):
        _index(db, seq - 1, seq)


# --- asking it --------------------------------------------------------------------------------------------------------


def search(log: EntryReader, query: Search) -> LogPage:
    """Return the newest entries that contain all words of a query, and fit its filters. Raises sqlite3.Error."""
    words = Words(query.words)
    if not words and not query.narrows:
        return LogPage(())
    where = _Where(log, query)
    done, behind = indexed(log)
    if where.is_short or not words:
        behind = 0
        candidates = where.said("WHERE TRUE", "seq")
    else:
        candidates = chain(_unindexed(where, words, done), _indexed(where, words, done))
    # Polls are few, so no text index has them.
    both = merge(candidates, _polls(where, words), key=attrgetter("seq"), reverse=True)
    hits = (entry for entry in both if query.fits(entry) and words.are_in(text_of(entry.body)))
    found = page(True, hits, query.limit)
    if behind and not found.more:
        return replace(found, note=f"Only the newest {share(log, behind)} % were searched: the index is being built")
    return found


class _Where:
    """The conditions of a query in SQL, besides its words.

    Args:
        log: the log.
        query: the query.

    """

    def __init__(self, log: EntryReader, query: Search) -> None:
        self._log = log
        self._sql = ""
        self._values: list[object] = []
        self._by: tuple[str, ...] = ("TRUE",)  # the condition for the author of a message, and its value
        self._first, self._last = 0, (query.before or END) - 1  # the numbers between which the messages are
        self.is_short = False  # few messages fit, so that their texts are compared one by one
        self._room = log._asked(query)[0] if query.room else None
        if query.room:
            self._add("entry.room = ?", self._room)
        elif closed := log._kept_from(query.viewer, Action.READ):
            self._add("entry.room NOT IN (SELECT value FROM json_each(?))", listed(closed))
        if query.has_times:
            self._add_times(query)
        if query.author:
            self._add_author(query.author)

    def entries(self, where: str, number: str, *values: object, after: int = 0, upto: int = END) -> Iterator[Entry]:
        """Yield the entries after one number, up to another, that fulfil the conditions, the newest first.

        Args:
            where: a further condition, which `values` are for.
            number: the column of the numbers.
            values: the values of `where`.
            after: the number before the first one.
            upto: the last number.

        """
        span = (max(self._first, after + 1), min(self._last, upto))
        sql = f"{where} AND {number} BETWEEN ? AND ? {self._sql} ORDER BY {number} DESC"
        return self._log._entries(sql, *values, *span, *self._values)

    def said(self, where: str, number: str, *values: object, after: int = 0, upto: int = END) -> Iterator[Entry]:
        """Yield the messages of the author, as `entries` does."""
        by, *names = self._by
        return self.entries(f"{where} AND {SAID} AND {by}", number, *values, *names, after=after, upto=upto)

    def _add(self, condition: str, *values: object) -> None:
        self._sql += f" AND {condition}"
        self._values += values

    def _add_times(self, query: Search) -> None:
        # The index by time gives the numbers between which the messages are, and the text index finds those quickly.
        times = (query.since, query.until)
        span = (
            "SELECT min(seq), max(seq) FROM entry WHERE room IN (SELECT id FROM room WHERE ?1 IS NULL OR id = ?1) "
            "AND time >= ?2 AND time < ?3"
        )
        first, last = self._log._db.execute(span, (self._room, *times)).fetchone()
        self._first, self._last = first or 0, min(self._last, last or 0)
        self._add("entry.time >= ? AND entry.time < ?", *times)

    def _add_author(self, author: str) -> None:
        db = self._log._db
        names = listed(nick for nick in self._nicks() if key_of(nick) == author)
        written = f"SELECT seq FROM entry WHERE nick IN (SELECT value FROM json_each(?)) AND {SAID}"
        (count,) = db.execute(f"SELECT count(*) FROM ({written} LIMIT {FEW + 1})", (names,)).fetchone()
        self.is_short = count <= FEW
        # The plus keeps SQLite from sorting all messages of somebody who wrote many.
        self._by = (f"seq IN ({written})" if self.is_short else "+nick IN (SELECT value FROM json_each(?))", names)

    def _nicks(self) -> Iterator[str]:
        """Yield the nicks of all authors: with one look-up in the index for each, however much they wrote."""
        nick, after = "", f"SELECT nick FROM entry WHERE nick > ? AND {SAID} ORDER BY nick LIMIT 1"
        if not has_authors(self._log._db):
            yield from (nick for (nick,) in self._log._db.execute(f"SELECT DISTINCT nick FROM entry WHERE {SAID}"))
            return
        while row := self._log._db.execute(after, (nick,)).fetchone():
            (nick,) = row
            yield nick


def indexed(log: EntryReader) -> tuple[int, int]:
    """Return the marks `indexed` and `unindexed`: the index holds the entries after the second, up to the first."""
    if log._version < INDEXED:
        return 0, 0
    return mark(log._db, "indexed"), mark(log._db, "unindexed")


def share(log: EntryReader, behind: int) -> int:
    """Return the percentage of the log that comes after a number, at most 99."""
    first, last = (log._db.execute(f"SELECT {edge}(seq) FROM entry").fetchone()[0] or 0 for edge in ("min", "max"))
    return min(99, 100 * (last - behind) // max(1, last - first + 1))


def _alike(words: Words) -> str:
    """Return the condition that a text may contain the words, which `words.likes` are the values for.

    SQLite compares texts of ASCII itself, which leaves few texts for the slower comparison in Python.
    """
    likes = " AND ".join([r"entry.text LIKE ? ESCAPE '\'"] * len(words.likes)) or "TRUE"
    return f"(({likes}) OR {_NOT_ASCII})"


def _unindexed(where: _Where, words: Words, done: int) -> Iterator[Entry]:
    """Yield the messages newer than the index that may contain the words, the newest first."""
    yield from where.said(f"WHERE {_alike(words)}", "seq", *words.likes, after=done)


def _indexed(where: _Where, words: Words, done: int) -> Iterator[Entry]:
    """Yield the messages that may contain the words by the index, the newest first: a ranking would read them all."""
    if done:
        older = "JOIN entry_text AS found ON found.rowid = seq WHERE found.text MATCH ?"
        yield from where.said(older, "found.rowid", words.match, upto=done)


def _polls(where: _Where, words: Words) -> Iterator[Entry]:
    """Yield the polls of all authors that may contain the words, the newest first."""
    # The plus keeps SQLite from reading all entries in the order of their numbers.
    yield from where.entries(f"WHERE {POLLS} AND {_alike(words)}", "+seq", *words.likes)
