"""The complete log in the stream: the export of all its entries, and the import of entries from another log."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing

from msgspec import structs

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.broker import JetStreamBroker
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.messages import NatsMessage
from hubbub.cluster.nats.log.batches import STEP, decode, entries
from hubbub.cluster.nats.log.room_feed import RoomFeed
from hubbub.cluster.nats.log.stream_state import StreamState, new_state, read_state
from hubbub.cluster.nats.subjects import first_name
from hubbub.cluster.nats.supervisor import Supervisor
from hubbub.model.entries import Entry, Kind, RoomRenamed
from hubbub.storage.imported_rooms import ImportedRooms

AT_ONCE = 32  # rooms that are written to at the same time


class StreamReader:
    """Reads all entries that are in the stream when `begin` returns.

    Args:
        link: the connection to the NATS servers.

    """

    def __init__(self, link: NatsConnection) -> None:
        self._link = link
        self.first = self.last = 0  # message numbers
        self._feeds: dict[str, RoomFeed] = {}  # rooms by key
        self._names: dict[str, str] = {}  # their names at the message that is being read

    async def begin(self) -> None:
        """Read the bounds of the stream, and the state and first name of each room. Raises BrokerError."""
        question = {"subjects_filter": f"{streams.ROOM}*"}
        state = (await self._link.ask(f"STREAM.INFO.{streams.LOG}", question))["state"]
        self.first, self.last = (int(state[name]) if state["messages"] else 0 for name in ("first_seq", "last_seq"))
        noted = await self._noted()
        tasks = Supervisor()
        for subject in state.get("subjects") or {}:
            key = subject.removeprefix(streams.ROOM)
            feed = RoomFeed(
                self._link, noted.get(key) or new_state(key, first_name(key)), lambda found: None, tasks, _nothing
            )
            await feed.look()
            self._feeds[key] = feed
            self._names[key] = await self._name_at_first(feed.state)

    async def _noted(self) -> dict[str, StreamState]:
        found: dict[str, StreamState] = {}
        newest = await self._link.last(streams.NOW, f"{streams.STATE}*")
        last = newest.number if newest else 0
        async with aclosing(_forward(self._link, streams.NOW, f"{streams.STATE}*", 1, last)) as messages:
            async for one in messages:
                if not (state := read_state(one.data)):
                    continue
                # Several nodes may have stored a state of the room. The one that knows the newest change is right.
                if state.key not in found or found[state.key].ruling <= state.ruling:
                    found[state.key] = state
        return found

    async def _name_at_first(self, state: StreamState) -> str:
        """Return the name that a room had at the beginning of the stream.

        That is its first name, unless retention has deleted the entry of its rename.
        """
        name = first_name(state.key)
        if self.first <= 1 or state.name == name:
            return name
        subject = f"{streams.ROOM}{state.key}"
        async with aclosing(_forward(self._link, streams.LOG, subject, self.first, self.last)) as messages:
            async for one in messages:
                if any(line.kind == Kind.ROOM_RENAMED for line in decode(*one.parts).entries):
                    return name
        return state.name

    async def pages(self) -> AsyncGenerator[tuple[list[Entry], int], None]:
        """Yield pages of entries, each with the number of its last message. Raises BrokerError.

        An entry has the name that its room had at that time. The first page has the entries that set the rooms' modes
        and topics and whose messages retention has deleted.
        """
        rules = [
            rule
            for key, feed in self._feeds.items()
            for rule in feed.state.snapshot(self._names[key])
            if rule.seq < self.first * STEP
        ]
        # They come first, so that an import knows the modes of a room before its first message.
        yield sorted(rules, key=lambda rule: rule.seq), self.first
        if not self.last:
            return
        pages = streams.forward(self._link, streams.LOG, f"{streams.ROOM}*", self.first, self.last)
        async with aclosing(pages):
            async for page in pages:
                yield (
                    [entry for one in page if one.number <= self.last for entry in self._entries(one)],
                    page[-1].number,
                )
                if page[-1].number >= self.last:
                    return

    def _entries(self, message: NatsMessage) -> Iterator[Entry]:
        key = message.subject.removeprefix(streams.ROOM)
        feed = self._feeds.get(key)
        if feed is None:  # the room is newer than `begin`
            return
        for entry in feed.shown(entries("", message.number, 0, decode(*message.parts))):
            yield structs.replace(entry, room=self._names[key])
            if isinstance(entry.body, RoomRenamed):
                self._names[key] = entry.body.to


class StreamImport:
    """Imports entries from another log in their order, while the nodes of the cluster may run.

    Args:
        broker: attached to the servers.

    """

    def __init__(self, broker: JetStreamBroker) -> None:
        self._broker = broker
        self._known = Ids()
        self._imported = ImportedRooms[str]()

    async def begin(self) -> None:
        """Read the ids of all entries that are already in the log. Raises BrokerError."""
        state = (await self._broker.link.ask(f"STREAM.INFO.{streams.LOG}"))["state"]
        if not state["messages"]:
            return
        first, last = int(state["first_seq"]), int(state["last_seq"])
        pages = streams.forward(self._broker.link, streams.LOG, f"{streams.ROOM}*", first, last)
        async with aclosing(pages):
            async for page in pages:
                for one in page:
                    key = one.subject.removeprefix(streams.ROOM)
                    self._known.add((line.id, key) for line in decode(*one.parts).entries)
                if page[-1].number >= last:
                    return

    async def take_in(self, found: Sequence[Entry]) -> int:
        """Store the entries that are not in the log yet, and return their number. Raises BrokerError."""
        known = self._known.holders(entry.id for entry in found)
        fresh: list[tuple[str, str]] = []
        part: dict[str, list[Entry]] = {}
        for entry in found:
            holders = known.setdefault(entry.id, set())
            if self._imported.is_known(entry, holders):
                continue
            key = self._imported.find(entry.room) or await self._broker.key_of(entry.room)
            holders.add(key)
            fresh.append((entry.id, key))
            self._imported.note(entry, key)
            part.setdefault(entry.room, []).append(entry)
            # After a rename, the same name may mean another room. So everything before it is stored first.
            if isinstance(entry.body, RoomRenamed):
                await self._store(part)
                part = {}
        await self._store(part)
        self._known.add(fresh)
        return len(fresh)

    async def _store(self, part: dict[str, list[Entry]]) -> None:
        limit = asyncio.Semaphore(AT_ONCE)

        async def store(room: str, entries: Sequence[Entry]) -> None:
            async with limit:
                await self._broker.take_in(room, entries)

        # All rooms finish before an error is raised: otherwise some would still be written to in the background.
        outcomes = await asyncio.gather(*(store(*one) for one in part.items()), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome


class Ids:
    """The ids of entries and their rooms, in a temporary file instead of memory, so that there may be any number."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("PRAGMA cache_size = -16384")
        self._db.execute("CREATE TABLE id (id TEXT, room TEXT, PRIMARY KEY (id, room)) WITHOUT ROWID")

    def add(self, ids: Iterable[tuple[str, str]]) -> None:
        """Add ids, each with the key of its room."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO id VALUES (?, ?)", ids)
        self._db.execute("COMMIT")

    def holders(self, ids: Iterable[str]) -> dict[str, set[str]]:
        """Return, by id, the keys of the rooms that have an entry with that id."""
        look = "SELECT room FROM id WHERE id = ?"
        return {id: {str(room) for (room,) in self._db.execute(look, (id,))} for id in ids}


async def _forward(
    link: NatsConnection, stream: str, subject: str, first: int, last: int
) -> AsyncGenerator[NatsMessage, None]:
    """Yield the messages of a subject from number `first` to number `last`. Raises BrokerError."""
    if first > last or not last:
        return
    async with aclosing(streams.forward(link, stream, subject, first, last)) as pages:
        async for page in pages:
            for one in page:
                if one.number <= last:
                    yield one
            if page[-1].number >= last:
                return


async def _nothing(subject: str, number: int) -> None:
    """Return at once: this reader follows no rooms, so a rename need not wait for any."""
