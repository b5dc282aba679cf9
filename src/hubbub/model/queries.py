"""Queries of the log, and their answers.

The history of a room are the entries with the bodies `entries.HISTORY`: messages and polls.

Every query names its viewer, and the answer holds only entries that `access.may` lets that viewer see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from hubbub.model.entries import HISTORY_KINDS, Entry, Kind
from hubbub.model.viewer import Viewer
from hubbub.text.names import key_of

LAST = (1 << 62) - 1  # a number higher than that of every entry


class _Query(Struct, frozen=True, kw_only=True, tag=True):
    viewer: Viewer


class _RoomQuery(_Query, frozen=True, kw_only=True):
    """A query of the room that has the name `room`, or of that with the id `room_id`, whatever its name is by then."""

    room_id: str = ""


class Latest(_RoomQuery, frozen=True):
    """The newest `limit` entries of a room's history, or of `every` kind, before number `before` (0: the end)."""

    room: str
    limit: int
    before: int = 0
    every: bool = False
    kinds: tuple[Kind, ...] = ()  # only entries of these kinds, unless empty


class After(_RoomQuery, frozen=True):
    """Up to `limit` entries after number `seq` up to number `upto`: of all kinds, or of the history alone."""

    room: str
    seq: int
    upto: int
    limit: int
    history: bool = False


class Since(_RoomQuery, frozen=True):
    """Up to `limit` entries of the history from `time` to `until` (epoch seconds), both included, the oldest first.

    Times need not rise with the numbers, because clocks are set, and imports bring older entries. `until` leaves out
    entries that a wrong clock has dated far ahead.
    """

    room: str
    time: float
    limit: int
    until: float = float("inf")


class Asker(Protocol):
    """The peer that waits for a search, for example a session. Other threads read both attributes."""

    @property
    def address(self) -> str:
        """The address of the peer: only one search at a time runs for each address."""
        ...

    @property
    def closed(self) -> bool:
        """Whether the peer does not wait any more."""
        ...


class Search(_RoomQuery, frozen=True):
    """The newest `limit` entries of the history that contain all of `words`, before number `before` (0: the end).

    The search covers every room if `room` is None. storage/words.py defines words and their matches. Without words it
    finds every entry of the author and the times, and nothing without these either.
    """

    words: str
    limit: int
    room: str | None = None
    before: int = 0
    asker: Asker | None = None
    author: str = ""  # the key of a nick; "" for all authors
    since: float = float("-inf")  # the earliest time of an entry (epoch seconds), included
    until: float = float("inf")  # the latest time, not included

    @property
    def has_times(self) -> bool:
        """Whether the entries must have a time within a bound."""
        return self.since > float("-inf") or self.until < float("inf")

    @property
    def narrows(self) -> bool:
        """Whether the query finds something without words: the entries of an author or of a time."""
        return bool(self.author) or self.has_times

    def fits(self, entry: Entry) -> bool:
        """Return whether an entry has the author and a time of the query; the words are not compared."""
        return self.since <= entry.time < self.until and (not self.author or key_of(entry.nick) == self.author)


class AllRooms(_Query, frozen=True):
    """Up to `limit` rooms that have a log, by name, with those of their topics that the viewer may see.

    With `after` the list begins behind that name.
    """

    limit: int
    after: str = ""


class Around(_RoomQuery, frozen=True):
    """Up to `limit` entries of a room's history, or of `every` kind but some, selected as by IRC's CHATHISTORY.

    `verb` is latest, before, after, around or between; a bound is a time (epoch seconds, to the millisecond) or an id.
    `without` are the kinds that are left out of every kind.
    """

    room: str
    verb: str
    bounds: tuple[float | str, ...]
    limit: int
    every: bool
    without: tuple[Kind, ...] = ()

    def asks_for(self, kind: str) -> bool:
        """Return whether the query is about the entries of a kind."""
        return kind not in self.without if self.every else kind in HISTORY_KINDS


LogQuery = Latest | After | Since | Around  # the log answers them
Query = LogQuery | Search


class LogPage(Struct, frozen=True):
    """The answer to a query: entries, oldest first; `more` is set if the limit or the byte bound cut the answer.

    `note` is a sentence for people if entries are missing: damaged ones, or a part of the log that was not searched.
    """

    entries: Sequence[Entry]
    more: bool = False
    note: str = ""


class RoomList(Struct, frozen=True):
    """The answer to AllRooms: names and topics; `count` is the number of rooms after its `after`, listed or not."""

    rooms: Sequence[tuple[str, str]]
    count: int


class OpenedRoom(Struct, frozen=True):
    """A room as its log has it when the room is loaded: its last number, its state, and the end of its history.

    `snapshot` are the entries that `model.state.RoomState` makes the state of. `recent` are the newest entries of every
    kind, which show the members that have left; it is empty if that is not known. `id` is the id of the room, also of a
    room that has no log yet.
    """

    seq: int
    snapshot: Sequence[Entry]
    latest: Sequence[Entry]
    recent: Sequence[Entry] = ()
    id: str = ""
