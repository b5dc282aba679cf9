"""A log that is kept only in memory: for tests, and for servers that store nothing (`--ephemeral`)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import islice
from operator import attrgetter, length_hint
from typing import Any

from msgspec import structs

from hubbub.errors import BrokerError, Closed
from hubbub.model.access import Action, may
from hubbub.model.codec import text_of
from hubbub.model.entries import HISTORY, Draft, Entry, Redacted
from hubbub.model.messages.overlays import overlaid, target_of
from hubbub.model.queries import (
    After,
    AllRooms,
    Around,
    Latest,
    LogPage,
    LogQuery,
    OpenedRoom,
    Query,
    RoomList,
    Search,
    Since,
)
from hubbub.model.room.absent import LOOKED_BACK
from hubbub.model.room.room_ids import new_room_id
from hubbub.model.room.state import RoomState
from hubbub.model.viewer import SYSTEM
from hubbub.storage.key_value import KeyValueStore
from hubbub.storage.memory_key_value import MemoryKeyValue
from hubbub.storage.ports import Committed, Failed, around, new_log_id, page, readable, stamp
from hubbub.storage.search_scheduler import SearchScheduler
from hubbub.storage.words import Words

SLICE = 500  # entries that a search checks in one iteration of the loop: a few milliseconds
ENTRY_COST = 500  # approximate bytes of an entry besides its text


class _Room:
    """The entries of a room that are kept, its last number, and its state."""

    def __init__(self, name: str, id: str) -> None:
        self.log: deque[Entry] = deque()
        self.last = 0
        self.state = RoomState(name, id=id)


class MemoryBroker:
    """Keeps the newest entries of all rooms in memory.

    Args:
        clock: returns epoch seconds.
        bound: bytes of entries that are kept; beyond it the oldest entries are dropped.

    """

    def __init__(self, clock: Callable[[], float], bound: int = 64 * 1024 * 1024) -> None:
        self.gathers = False
        self.log_id = new_log_id()
        self.health = ""
        self.broken: Callable[[str], None] = lambda reason: None
        self.key_values: KeyValueStore = MemoryKeyValue(lambda *call: self._loop.call_soon(*call))
        self._clock = clock
        self._bound = bound
        self._size = 0
        self._seq = 0
        self._now = 0.0
        self._log: deque[Entry] = deque()
        self._rooms: dict[str, _Room] = {}  # by name
        self._by_id: dict[str, _Room] = {}  # the same rooms

    def start(self, committed: Committed, failed: Failed) -> None:
        """Deliver outcomes on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._searches = SearchScheduler(self._search, 1)
        self._committed = committed

    async def stop(self, deadline: float) -> None:
        """Wait for one iteration of the loop, in which all published drafts get their outcome."""
        await asyncio.sleep(0)

    def publish(self, drafts: Sequence[Draft]) -> None:
        """Order drafts, and store them as entries; drop the oldest entries beyond the bound."""
        now = self._now = stamp(self._clock(), self._now)
        self._loop.call_soon(self._committed, [self._append(draft, self._room(draft), now) for draft in drafts])

    def open(self, room: str, latest: int, done: Callable[[OpenedRoom | BrokerError], None]) -> None:
        """Call `done` later with the state of a room and its `latest` newest messages."""
        said = self._named(self._answer(Latest(room, latest, viewer=SYSTEM))).entries
        known = self._rooms.get(room) or _Room(room, self._new_id(room))
        recent = list(islice(reversed(known.log), LOOKED_BACK))[::-1]
        self._loop.call_soon(done, OpenedRoom(known.last, known.state.snapshot(), said, recent, known.state.id))

    def close(self, id: str) -> None:
        """Do nothing: `open` made no subscription."""

    def read(self, query: LogQuery | AllRooms, done: Callable[[Any], None]) -> None:
        """Answer a query in the next iteration of the loop."""
        if isinstance(query, AllRooms):
            self._loop.call_soon(done, self._all_rooms(query))
        elif self._lets_read(query, done):
            self._loop.call_soon(done, self._named(self._answer(query)))

    def search(self, query: Search, done: Callable[[Any], None]) -> None:
        """Search in one of the next iterations of the loop; a search may take several."""
        if self._lets_read(query, done):
            self._searches.ask(query, done)

    def _lets_read(self, query: Query, done: Callable[[Any], None]) -> bool:
        """Return whether the viewer may read the room of a query; if not, answer the query."""
        try:
            if query.room is None or readable(query.viewer, self._state_of(query)):
                return True
        except Closed as closed:
            self._loop.call_soon(done, closed)
        else:
            self._loop.call_soon(done, LogPage(()))
        return False

    def _all_rooms(self, query: AllRooms) -> RoomList:
        states = [self._rooms[name].state for name in sorted(self._rooms) if name > query.after]
        known = [state for state in states if not may(query.viewer, Action.LIST, state)]
        shown = [
            (state.name, "" if may(query.viewer, Action.SEE_TOPIC, state) else state.topic.text)
            for state in known[: query.limit]
        ]
        return RoomList(shown, len(known))

    def _asked(self, query: Query) -> _Room | None:
        """Return the room that a query is about; None if there is none."""
        return self._by_id.get(query.room_id) if query.room_id else self._rooms.get(query.room or "")

    def _state_of(self, query: Query) -> RoomState:
        room = self._asked(query)
        return room.state if room else RoomState(query.room or "")

    def probe(self, done: Callable[[BrokerError | None], None]) -> None:
        """Call `done` later with None: memory can always commit."""
        self._loop.call_soon(done, None)

    def _room(self, draft: Draft) -> _Room:
        name, id = draft.room, draft.room_id
        room = self._by_id.get(id) if id else self._rooms.get(name)
        if room is None:
            room = self._rooms[name] = _Room(name, id or self._new_id(name))
            self._by_id[room.state.id] = room
        return room

    def _new_id(self, name: str) -> str:
        return new_room_id(name, self._by_id.__contains__)

    def _append(self, draft: Draft, room: _Room, now: float) -> Entry:
        self._seq += 1
        body, name, id = draft.body, room.state.name, room.state.id
        entry = Entry(name, self._seq, room.last, now, draft.nick, draft.id, body, draft.host, draft.tags, id)
        room.last = self._seq
        room.log.append(entry)
        self._log.append(entry)
        if room.state.apply(entry) and room.state.name != name:
            self._rooms[room.state.name] = self._rooms.pop(name)
        if target_of(body):
            self._overlay(room, entry)
        self._size += len(text_of(body)) + ENTRY_COST
        # The oldest entry of the log is also the oldest of its room, so both ends stay in step.
        while self._size > self._bound:
            oldest = self._log.popleft()
            self._by_id[oldest.room_id].log.popleft()
            self._size -= len(text_of(oldest.body)) + ENTRY_COST
        return entry

    def _overlay(self, room: _Room, by: Entry) -> None:
        for log in (room.log, self._log):
            for back, entry in enumerate(reversed(log), 1):
                if entry.room_id != room.state.id or (now := overlaid(entry, by)) is entry:
                    continue
                log[-back] = now
                if log is self._log:
                    self._size -= len(text_of(entry.body)) - len(text_of(now.body))
                if type(by.body) is not Redacted:  # only the text of a redacted message may be in several entries
                    break

    def _search(self, query: Search, done: Callable[[Any], None]) -> None:
        """Search SLICE entries in each iteration of the loop: a search of the whole log would block the server."""
        words = Words(query.words)
        entries = iter(list(self._newest(query)) if words or query.narrows else ())
        reads = cache(lambda id: may(query.viewer, Action.READ, self._by_id[id].state) is None)
        found: list[Entry] = []

        def look() -> None:
            for entry in islice(entries, SLICE):
                hit = query.fits(entry) and words.are_in(text_of(entry.body))
                if hit and reads(entry.room_id):
                    found.append(entry)
                    if len(found) > query.limit:
                        break
            else:
                if length_hint(entries) and not (query.asker and query.asker.closed):
                    self._loop.call_soon(look)
                    return
            done(self._named(page(True, found, query.limit)))

        self._loop.call_soon(look)

    def _answer(self, query: LogQuery) -> LogPage:
        match query:
            case After():
                entries = (e for e in self._entries(query) if query.seq < e.seq <= query.upto)
                entries = (e for e in entries if isinstance(e.body, HISTORY) or not query.history)
                return page(False, entries, query.limit)
            case Since():
                log = self._entries(query)
                entries = (e for e in log if query.time <= e.time <= query.until and isinstance(e.body, HISTORY))
                found = page(False, sorted(entries, key=attrgetter("time")), query.limit)
                return structs.replace(found, entries=sorted(found.entries, key=attrgetter("seq")))
            case Latest():
                newest = self._newest(query, query.every or bool(query.kinds))
                return page(True, (e for e in newest if not query.kinds or e.kind in query.kinds), query.limit)
            case Around():
                return around(self._entries(query), query)

    def _named(self, found: LogPage) -> LogPage:
        """Return a page on which the entries have the names that their rooms have now."""
        names = [self._by_id[entry.room_id].state.name for entry in found.entries]
        entries = [
            entry if entry.room == name else structs.replace(entry, room=name)
            for entry, name in zip(found.entries, names, strict=True)
        ]
        return structs.replace(found, entries=entries)

    def _entries(self, query: Query) -> deque[Entry]:
        room = self._asked(query)
        return room.log if room else deque()

    def _newest(self, query: Latest | Search, every: bool = False) -> Iterator[Entry]:
        log = self._log if query.room is None else self._entries(query)
        end = query.before or self._seq + 1
        return (entry for entry in reversed(log) if entry.seq < end and (every or isinstance(entry.body, HISTORY)))
