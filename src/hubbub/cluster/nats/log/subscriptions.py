"""The rooms that this node follows, and the subjects of their logs.

Each room has its own subject, which it keeps after a rename. The stream of states has a message for each room name,
with the room's subject and state. This stored state may lag behind the log; the node that opens the room corrects it.
Before a room is renamed, its state is also stored under its new name. A name has only one such message, so no node can
open another room under the new name meanwhile.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import secrets
from collections.abc import Callable, Container, Sequence

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.messages import GONE, NatsMessage
from hubbub.cluster.nats.link.outcomes import Taken
from hubbub.cluster.nats.log.batches import checksum
from hubbub.cluster.nats.log.reading import states_of
from hubbub.cluster.nats.log.room_feed import RoomFeed
from hubbub.cluster.nats.log.stream_state import (
    SnapshotPart,
    StreamState,
    decode_part,
    encode_part,
    new_state,
    read_state,
)
from hubbub.cluster.nats.subjects import encode_name, first_name
from hubbub.cluster.nats.supervisor import Supervisor
from hubbub.errors import BrokerError
from hubbub.model.entries import Entry

log = logging.getLogger("hubbub")

LINGER = 30.0  # seconds that an unused room is still followed
ABANDONED = 15.0  # seconds without renewal after which an unused claim of a name is invalid
LOOK = 0.05  # seconds between two checks of a claim
AUDITED = 500  # rooms in one request; the server's limit is 1,024


def queue_of(room_id: str, name: str) -> str:
    """Return the name of the queue of drafts for a room: its id, or its name with a mark if the drafts have no id."""
    return room_id or f"#{name}"  # no id has a `#`


class Subscriptions:
    """The followed rooms.

    Args:
        link: the connection to the NATS servers.
        tasks: owns the background tasks.
        told: receives the entries of all followed rooms, each once and in the order of its room.

    """

    def __init__(self, link: NatsConnection, tasks: Supervisor, told: Callable[[Sequence[Entry]], None]) -> None:
        self._link = link
        self._tasks = tasks
        self._told = told
        self._locks: dict[str, asyncio.Lock] = {}  # for rooms that are being opened
        self._loop = asyncio.get_running_loop()
        self.feeds: dict[str, RoomFeed] = {}  # by the ids of the rooms
        self._found: dict[str, RoomFeed] = {}  # by name: those that were looked for and had the name then

    async def room(self, name: str, make: bool = False) -> RoomFeed | None:
        """Return the feed of a room, and follow the room; None if there is no such room and `make` is false.

        Raises BrokerError.
        """
        if feed := self.named(name):
            feed.used = self._loop.time()
            return feed
        async with self._locks.setdefault(name, asyncio.Lock()):
            feed = self.named(name) or await self._begin(name, make)
        if feed is None:
            self._locks.pop(name, None)
        return feed

    def named(self, name: str) -> RoomFeed | None:
        """Return the feed of the followed room that has a name now."""
        feed = self._found.get(name)
        if feed and feed.room == name and self.feeds.get(feed.state.key) is feed:
            return feed
        self._found.pop(name, None)
        feed = next((one for one in self.feeds.values() if one.room == name), None)
        if feed:
            self._found[name] = feed
        return feed

    async def room_of(self, key: str, name: str) -> RoomFeed:
        """Return the feed of the room with an id, whatever its name is; without an id, that of the room with the name.

        Raises BrokerError.
        """
        if feed := self.feeds.get(key):
            return feed
        # Most rooms still have their first name; then the stored state is found at once.
        for known in filter(None, dict.fromkeys((name, first_name(key)) if key else (name,))):
            feed = await self.room(known, make=not key)
            if feed and key in ("", feed.state.key):
                return feed
        state = next((one for one in await states_of(self._link, ()) if one.key == key), None)
        # The log of a room tells its state as well.
        return await self._follow(state or new_state(key, first_name(key)))

    @property
    def newest(self) -> int:
        """The number of the newest message of all followed rooms; 0 if there is none."""
        return max((feed.last for feed in self.feeds.values()), default=0)

    def let_go(self, key: str) -> None:
        """Mark the room with an id as unused: after LINGER seconds without use it is not followed any more."""
        if feed := self.feeds.get(key):
            feed.open = False
            feed.used = self._loop.time()

    async def tidy(self, busy: Container[str]) -> None:
        """Stop following the rooms that are not open, not busy, and were not used for LINGER seconds.

        `busy` has the queues of drafts that wait, as `queue_of` names them.
        """
        now = self._loop.time()
        for key, feed in list(self.feeds.items()):
            waits = key in busy or queue_of("", feed.room) in busy
            if not feed.open and not waits and now - feed.used > LINGER and self.feeds.get(key) is feed:
                del self.feeds[key]
                self._found = {name: one for name, one in self._found.items() if one is not feed}
                await feed.end()
        self._locks = {name: lock for name, lock in self._locks.items() if lock.locked() or self.named(name)}

    async def catch_up(self) -> None:
        """Wait until every message that is stored now was delivered; ignore errors of the servers."""
        await asyncio.gather(*(feed.sync() for feed in list(self.feeds.values())), return_exceptions=True)

    async def audit(self) -> str:
        """Check that the newest message of each room was delivered: no later message would show that it is missing.

        Returns:
            The name of a room whose log differs from the delivered messages; "" if no such room is known.

        """
        feeds = {feed.subject: feed for feed in self.feeds.values()}
        known = {subject: feed.last for subject, feed in feeds.items()}
        subjects = list(feeds)
        try:
            for start in range(0, len(subjects), AUDITED):
                for found in await self._last_of(subjects[start : start + AUDITED]):
                    if feed := feeds.get(found.subject):
                        _look(feed, known[found.subject], found)
            for feed in feeds.values():
                if await self._has_another(feed):
                    return feed.room
        except BrokerError as error:
            log.debug("no audit: %s", error)
        return ""

    async def _has_another(self, feed: RoomFeed) -> bool:
        """Return whether the log has another message in place of a delivered one. Raises BrokerError."""
        for number, sum in list(feed.doubts.items()):
            if await feed.differs(number, sum):
                return True
            feed.doubts.pop(number, None)
        return False

    async def _reach_all(self, subject: str, number: int) -> None:
        """Wait until every other room was delivered up to the message `number`, which belongs to `subject`."""
        # Retries while the answering replica lags behind that message, or the message is no longer there.
        lags = streams.TRIES
        while True:
            behind = False
            try:
                feeds = {feed.subject: feed for feed in self.feeds.values() if feed.subject != subject}
                others = list(feeds)
                for start in range(0, max(len(others), 1), AUDITED):
                    part = [*others[start : start + AUDITED], subject]
                    last = {one.subject: one.number for one in await self._last_of(part, number)}
                    if last.get(subject) != number and lags:
                        lags -= 1
                        behind = True
                    for other in part[:-1]:
                        if last.get(other, 0) > feeds[other].last:
                            feeds[other].repair(last[other])
                            behind = True
            except BrokerError:
                behind = True
            if not behind:
                return
            await asyncio.sleep(streams.LAG)

    async def _last_of(self, subjects: Sequence[str], upto: int = 0) -> list[NatsMessage]:
        question: dict[str, object] = {"multi_last": subjects, "batch": len(subjects)}
        return await self._link.batch(streams.LOG, {**question, "up_to_seq": upto} if upto else question)

    # --- the stored state of a room -------------------------------------------------------------------------------

    async def _begin(self, name: str, make: bool) -> RoomFeed | None:
        subject = f"{streams.STATE}{encode_name(name)}"
        claim, since = 0, 0.0
        while True:
            found = await self._link.last(streams.NOW, subject)
            if found is None:
                if not make:
                    return None
                await self._note(subject, await self._new_state(name), 0)
                continue
            state = read_state(found.data)
            if state is None:
                self._link.distrust(subject, "the stored state of a room cannot be read")
                await self._note(subject, await self._restored_state(name), found.number)
                continue
            noted, ruling = state.name, state.ruling
            feed = await self._follow(state)
            feed.noted = max(feed.noted, ruling)
            # The room was renamed, and the renaming node could not store that.
            if noted != feed.room:
                await self._keep_state(feed)
            if feed.room == name:
                return feed
            if noted != name and found.number != claim:
                claim, since = found.number, self._loop.time()
            if noted == name or self._loop.time() - since > ABANDONED:
                await self._link.delete(streams.NOW, found.number)
            else:
                await asyncio.sleep(LOOK)

    async def _follow(self, noted: StreamState) -> RoomFeed:
        """Follow the room of a stored state, under the name that the room has now. Raises BrokerError."""
        for _ in range(streams.TRIES):
            state = copy.deepcopy(noted)
            if known := self.feeds.get(state.key):
                known.used = self._loop.time()
                await known.sync()
                return known
            feed = RoomFeed(self._link, state, self._told, self._tasks, self._reach_all)
            await feed.begin()
            other = self.named(feed.room)
            if other is None and state.key not in self.feeds:
                feed.used = self._loop.time()
                self.feeds[state.key] = feed
                feed.go_on()
                return feed
            await feed.end()
            if other:
                await other.sync()
            await asyncio.sleep(streams.LAG)
        raise BrokerError(GONE)

    async def _new_state(self, name: str) -> StreamState:
        key = encode_name(name)
        # A room that has another name now uses this subject.
        if await self._link.last(streams.LOG, f"{streams.ROOM}{key}"):
            key += f"=={secrets.token_hex(4)}"
        return new_state(key, name)

    async def _restored_state(self, name: str) -> StreamState:
        """Return the state of a room whose stored state is lost, rebuilt from its log. Raises BrokerError."""
        feed = RoomFeed(self._link, new_state(encode_name(name), name), self._told, self._tasks, self._reach_all)
        await feed.look()
        return new_state(feed.state.key, name) if feed.room == name else await self._new_state(name)

    async def _note(self, subject: str, state: StreamState, expected: int) -> bool:
        """Store a room's state if the subject's last message has the expected number; return whether it was stored.

        Raises BrokerError.
        """
        try:
            await self._link.replace(subject, state.encode(), expected)
        except Taken:
            return False
        return True

    async def claim(self, feed: RoomFeed, name: str) -> bool:
        """Reserve the new name of a room, so that no node opens another room under it; return False if a room has it.

        Renew the claim before each attempt to rename: other nodes treat it as abandoned after ABANDONED seconds.
        Raises BrokerError.
        """
        subject = f"{streams.STATE}{encode_name(name)}"
        while True:
            found = await self._link.last(streams.NOW, subject)
            if found:
                known = read_state(found.data)
                if known and known.key == feed.state.key and known.ruling > feed.state.ruling:
                    return True  # another node has already seen the rename
                if known and known.key != feed.state.key:
                    # Another room has the name or is about to get it.
                    if known.name != name or await self.room(name):
                        return False
                    continue
            if await self._note(subject, feed.state, found.number if found else 0):
                return True

    async def _keep_state(self, feed: RoomFeed) -> None:
        """Store the state of a room, so that a node that opens it need not read its whole log. Raises BrokerError."""
        state, ruling = feed.state, feed.state.ruling
        subject = f"{streams.STATE}{encode_name(state.name)}"
        while True:
            found = await self._link.last(streams.NOW, subject)
            if found:
                known = read_state(found.data)
                if known and known.key == state.key and known.ruling >= state.ruling:
                    break
            await self._seal(feed)
            if await self._note(subject, state, found.number if found else 0):
                break
        feed.noted = max(feed.noted, ruling)

    async def _seal(self, feed: RoomFeed) -> None:
        """Store redacted ids in separate messages if they are many: the size of one message is limited.

        The content of a part follows from the log, so nodes that do this at the same time write the same parts.
        Raises BrokerError.
        """
        state = feed.state
        while ids := state.sealable():
            part = encode_part(SnapshotPart(ids, state.upto))
            subject = f"{streams.GONE_IDS}{state.key}.{state.sealed}"
            try:
                await self._link.replace(subject, part, 0)
            except Taken:
                found = await self._link.last(streams.NOW, subject)
                if found is None:
                    raise BrokerError(GONE) from None
                if decode_part(found.data).ids != ids:
                    await self._link.replace(subject, part, found.number)
            if ids == state.sealable():
                feed.sealed.update(ids)
                state.seal(ids)

    def keep_soon(self, feed: RoomFeed) -> None:
        """Store the state of a room, which keeps its name, in the background."""
        self._tasks.spawn(self.keep(feed, feed.room))

    async def keep(self, feed: RoomFeed, before: str) -> None:
        """Store the state of a room, and free its former name after a rename. Log a BrokerError."""
        try:
            await self._keep_state(feed)
            if before != feed.room:
                found = await self._link.last(streams.NOW, f"{streams.STATE}{encode_name(before)}")
                noted = read_state(found.data) if found else None
                # A claim of the name by another room must stay.
                if found and noted and (noted.key, noted.name) == (feed.state.key, before):
                    await self._link.delete(streams.NOW, found.number)
        except BrokerError:
            log.warning("the state of a room could not be noted yet")

    async def keep_late(self) -> None:
        """Store the state of rooms that no node could store before: retention may delete the messages it comes from."""
        for feed in list(self.feeds.values()):
            if feed.noted < feed.state.ruling:
                await self.keep(feed, feed.room)


def _look(feed: RoomFeed, known: int, newest: NatsMessage) -> None:
    """Compare the newest message of a room with the delivered ones; repair or doubt the feed if they differ.

    Args:
        feed: the room.
        known: the last delivered message at the time of the request.
        newest: the newest message of the room.

    """
    if newest.number > feed.last:
        feed.repair(newest.number)
    elif newest.number < known or (newest.number == feed.last and checksum(newest.data) != feed.state.sum):
        feed.doubt()
