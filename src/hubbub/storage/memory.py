"""A broker that keeps the log only in memory: for tests, and for servers that store nothing (`--ephemeral`)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from operator import attrgetter, length_hint
from typing import TYPE_CHECKING, Any

from hubbub.errors import BrokerError, Closed
from hubbub.model.absent import LOOKED_BACK
from hubbub.model.access import Action, may
from hubbub.model.entries import SAID, Draft, Entry, Kind
from hubbub.model.queries import After, AllRooms, Around, Latest, LogPage, Query, RoomList, RoomState, Search, Since
from hubbub.model.room_modes import CHANGING, RoomModes
from hubbub.model.state_entries import with_ruling
from hubbub.model.viewer import SYSTEM
from hubbub.storage.key_value import KeyValueStore
from hubbub.storage.memory_key_value import MemoryKeyValue
from hubbub.storage.ports import Committed, Failed, around, new_log_id, page, readable, stamp
from hubbub.storage.search_scheduler import SearchScheduler
from hubbub.storage.words import Words

if TYPE_CHECKING:
    from hubbub.chat.hub import Hub

SLICE = 500  # entries that a search checks in one iteration of the loop: a few milliseconds
ENTRY_COST = 500  # approximate bytes of an entry besides its text


class MemoryBroker:
    """Keeps the newest entries of all rooms in memory.

    Args:
        clock: returns epoch seconds.
        bound: bytes of entries that are kept; beyond it the oldest entries are dropped.

    """

    def __init__(self, clock: Callable[[], float], bound: int = 64 * 1024 * 1024) -> None:
        self.gathers = False
        self.secret = b""
        self.log_id = new_log_id()
        self.health = ""
        self.broken: Callable[[str], None] = lambda reason: None
        self.key_values: KeyValueStore = MemoryKeyValue(lambda done, value: self._loop.call_soon(done, value))
        self._clock = clock
        self._bound = bound
        self._size = 0
        self._seq = 0
        self._now = 0.0
        self._log: deque[Entry] = deque()
        self._rooms: dict[str, deque[Entry]] = {}
        self._last: dict[str, int] = {}
        self._topics: dict[str, str] = {}
        self._rules: dict[str, list[Entry]] = {}  # by room, as RoomState has them

    async def connect(self) -> None:
        """Do nothing: this broker needs no other servers."""

    async def meet(self, hub: Hub) -> None:
        """Do nothing: there are no users on other nodes."""

    def start(self, committed: Committed, failed: Failed) -> None:
        """Deliver outcomes on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._searches = SearchScheduler(self._search, 1)
        self._committed = committed

    def figures(self) -> Mapping[str, tuple[str, float]]:
        """Return an empty mapping: this broker has no statistics of its own."""
        return {}

    async def give_up(self) -> None:
        """Do nothing: every draft gets its outcome in the next iteration of the loop."""

    async def stop(self, deadline: float) -> None:
        """Wait for one iteration of the loop, in which all published drafts get their outcome."""
        await asyncio.sleep(0)

    def publish(self, drafts: Sequence[Draft]) -> None:
        """Order drafts, and store them as entries; drop the oldest entries beyond the bound."""
        now = self._now = stamp(self._clock(), self._now)
        moved: dict[str, str] = {}  # rooms that this batch renames
        entries = []
        for draft in drafts:
            room = moved.get(draft.room, draft.room)
            entries.append(self._append(draft, room, now))
            if draft.kind is Kind.ROOM_RENAMED:
                moved[room] = draft.text.partition(" ")[0]
        self._loop.call_soon(self._committed, entries)

    def open(self, room: str, latest: int, done: Callable[[RoomState | BrokerError], None]) -> None:
        """Call `done` later with the state of a room and its `latest` newest messages."""
        said = self._answer(Latest(room, latest, viewer=SYSTEM)).entries
        recent = list(islice(reversed(self._rooms.get(room, ())), LOOKED_BACK))[::-1]
        rules = self._rules.get(room, ())
        state = RoomState(self._last.get(room, 0), self._topics.get(room, ""), said, rules, recent)
        self._loop.call_soon(done, state)

    def close(self, room: str) -> None:
        """Do nothing: `open` made no subscription."""

    def read(self, query: Query | AllRooms, done: Callable[[Any], None]) -> None:
        """Answer a query in the next iteration of the loop; a search may take several."""
        if isinstance(query, AllRooms):
            self._loop.call_soon(done, self._all_rooms(query))
            return
        try:
            seen = query.room is None or readable(query.viewer, self._rules_of(query.room))
        except Closed as closed:
            self._loop.call_soon(done, closed)
            return
        if not seen:
            self._loop.call_soon(done, LogPage(()))
        elif isinstance(query, Search):
            self._searches.ask(query, done)
        else:
            self._loop.call_soon(done, self._answer(query))

    def _all_rooms(self, query: AllRooms) -> RoomList:
        rooms = [(name, self._rules_of(name)) for name in sorted(self._last) if name > query.after]
        known = [(name, rules) for name, rules in rooms if not may(query.viewer, Action.LIST, rules)]
        shown = [
            (name, "" if may(query.viewer, Action.SEE_TOPIC, rules) else self._topics.get(name, ""))
            for name, rules in known[: query.limit]
        ]
        return RoomList(shown, len(known))

    def _rules_of(self, room: str) -> RoomModes:
        return RoomModes(room, self._rules.get(room, ()))

    def probe(self, done: Callable[[BrokerError | None], None]) -> None:
        """Call `done` later with None: memory can always commit."""
        self._loop.call_soon(done, None)

    def _append(self, draft: Draft, room: str, now: float) -> Entry:
        self._seq += 1
        prev = self._last.get(room, 0)
        entry = Entry(room, self._seq, prev, now, draft.kind, draft.nick, draft.text, draft.id, draft.host, draft.tags)
        self._last[room] = self._seq
        self._rooms.setdefault(room, deque()).append(entry)
        self._log.append(entry)
        if draft.kind is Kind.TOPIC:
            self._topics[room] = draft.text
        if draft.kind in CHANGING:
            self._rules[room] = with_ruling(room, self._rules.get(room, []), entry)
        if draft.kind is Kind.ROOM_RENAMED:
            self._move(room, draft.text.partition(" ")[0])
        if draft.kind is Kind.REDACT:
            self._forget(room, draft.text.partition(" ")[0])
        self._size += len(draft.text) + ENTRY_COST
        # The oldest entry of the log is also the oldest of its room, so both ends stay in step.
        while self._size > self._bound:
            oldest = self._log.popleft()
            self._rooms[oldest.room].popleft()
            self._size -= len(oldest.text) + ENTRY_COST
        return entry

    def _move(self, room: str, to: str) -> None:
        """Rename a room, also in all its entries."""
        self._last[to], self._topics[to] = self._last.pop(room), self._topics.pop(room, "")
        self._rules[to] = self._rules.pop(room, [])
        self._rooms[to] = deque(entry._replace(room=to) for entry in self._rooms.pop(room))
        self._log = deque(entry._replace(room=to) if entry.room == room else entry for entry in self._log)

    def _forget(self, room: str, id: str) -> None:
        # The text must leave both lists; entries are immutable, so each gets a new one in its place.
        for log in (self._rooms[room], self._log):
            for index, entry in enumerate(log):
                if entry.id == id:
                    log[index] = entry._replace(kind=Kind.REDACTED, text="", tags="")

    def _search(self, query: Search, done: Callable[[Any], None]) -> None:
        """Search SLICE entries in each iteration of the loop: a search of the whole log would block the server."""
        words = Words(query.words)
        entries = iter(list(self._newest(query.room, query.before)) if words else ())
        reads = cache(lambda room: may(query.viewer, Action.READ, self._rules_of(room)) is None)
        found: list[Entry] = []

        def look() -> None:
            for entry in islice(entries, SLICE):
                if words.are_in(entry.text) and reads(entry.room):
                    found.append(entry)
                    if len(found) > query.limit:
                        break
            else:
                if length_hint(entries) and not (query.asker and query.asker.closed):
                    self._loop.call_soon(look)
                    return
            done(page(True, found, query.limit))

        self._loop.call_soon(look)

    def _answer(self, query: Latest | After | Since | Around) -> LogPage:
        match query:
            case After():
                entries = (e for e in self._rooms.get(query.room, ()) if query.seq < e.seq <= query.upto)
                entries = (e for e in entries if e.kind in SAID or not query.said)
                return page(False, entries, query.limit)
            case Since():
                log = self._rooms.get(query.room, ())
                entries = (e for e in log if query.time <= e.time <= query.until and e.kind in SAID)
                found = page(False, sorted(entries, key=attrgetter("time")), query.limit)
                return replace(found, entries=sorted(found.entries, key=attrgetter("seq")))
            case Latest():
                newest = self._newest(query.room, query.before, query.every or bool(query.kinds))
                return page(True, (e for e in newest if not query.kinds or e.kind in query.kinds), query.limit)
            case Around():
                return around(self._rooms.get(query.room, ()), query)

    def _newest(self, room: str | None, before: int, every: bool = False) -> Iterator[Entry]:
        log = self._log if room is None else self._rooms.get(room, ())
        end = before or self._seq + 1
        return (entry for entry in reversed(log) if entry.seq < end and (every or entry.kind in SAID))
