"""The rooms that this node follows, and where each has its log.

A room's messages have a subject of their own, which it keeps when it is renamed; what a name means now, and what the
room's entries made of it, is noted in the stream of states. That note may lag behind the log, and is mended by who
opens the room. Before a room is renamed, its state is noted under its new name as well: there is one note of a name,
so nobody opens another room under it meanwhile.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import secrets
from collections.abc import Callable, Container, Sequence

from hubbub.brokers.jetstream import batches, streams
from hubbub.brokers.jetstream.batches import RoomSnapshot, SnapshotPart, checksum
from hubbub.brokers.jetstream.connection import NatsConnection, Taken
from hubbub.brokers.jetstream.messages import GONE, NatsMessage
from hubbub.brokers.jetstream.room_feed import RoomFeed
from hubbub.brokers.jetstream.supervisor import Supervisor
from hubbub.brokers.keys import encode_name
from hubbub.core.model import Entry
from hubbub.errors import BrokerError

log = logging.getLogger("hubbub")

LINGER = 30.0  # seconds that a room is followed which nobody needs
ABANDONED = 15.0  # seconds after which a claim that was not renewed is no more: the log does not say that it was used
LOOK = 0.05  # seconds between two looks whether it was
AUDITED = 500  # rooms that are looked at by one request; the server's limit is 1,024


class Subscriptions:
    """Rooms that are followed, by name.

    Args:
        link: the connection.
        tasks: owns what is done in the background.
        told: is given the entries of all of them, each room's once and in order.

    """

    def __init__(self, link: NatsConnection, tasks: Supervisor, told: Callable[[Sequence[Entry]], None]) -> None:
        self._link = link
        self._tasks = tasks
        self._told = told
        self._locks: dict[str, asyncio.Lock] = {}  # of rooms that are being opened
        self._loop = asyncio.get_running_loop()
        self.feeds: dict[str, RoomFeed] = {}

    async def room(self, name: str, make: bool = False) -> RoomFeed | None:
        """Return a room, followed; None if it is not there and shall not be made. Raises BrokerError."""
        if feed := self.feeds.get(name):
            feed.used = self._loop.time()
            return feed
        async with self._locks.setdefault(name, asyncio.Lock()):
            feed = self.feeds.get(name) or await self._begin(name, make)
        if name not in self.feeds:
            self._locks.pop(name, None)
        return feed

    def moved(self, before: str, to: str) -> None:
        """Follow a room under its new name."""
        if feed := self.feeds.pop(before, None):
            self.feeds[to] = feed
            self._locks.pop(before, None)

    def let_go(self, name: str) -> None:
        """Follow a room no more, unless it is needed again soon."""
        if feed := self.feeds.get(name):
            feed.open = False
            feed.used = self._loop.time()

    async def tidy(self, busy: Container[str]) -> None:
        """Follow those no more that nobody has needed for a while, and that are not busy."""
        now = self._loop.time()
        for feed in list(self.feeds.values()):
            name = feed.room  # now: it may be renamed while another one ends
            if not feed.open and name not in busy and now - feed.used > LINGER and self.feeds.get(name) is feed:
                del self.feeds[name]
                self._locks.pop(name, None)
                await feed.end()

    async def catch_up(self) -> None:
        """Wait until all that is stored now was handed on, as far as the servers answer."""
        await asyncio.gather(*(feed.sync() for feed in list(self.feeds.values())), return_exceptions=True)

    async def audit(self) -> str:
        """See that the newest message of each room is here: nothing that follows would show that it is missing.

        Returns:
            A room in which the log is not the one that was handed on; "" if there is none, as far as is known.

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
        """Return whether the log has another message than what was handed on. Raises BrokerError."""
        for number, sum in list(feed.doubts.items()):
            if await feed.differs(number, sum):
                return True
            feed.doubts.pop(number, None)
        return False

    async def _reach_all(self, subject: str, number: int) -> None:
        """Wait until every room was handed on up to a message, the last one of its subject up to there."""
        lags = streams.TRIES  # of who answers, behind that message; or it is not there any more
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

    # --- what is noted of a room ----------------------------------------------------------------------------------

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
            state = batches.read_state(found.data)
            if state is None:
                self._link.distrust(subject, "what is noted of a room cannot be read")
                await self._note(subject, await self._restored_state(name), found.number)
                continue
            noted, ruling = state.name, state.ruling
            feed = await self._follow(state)
            feed.noted = max(feed.noted, ruling)
            if noted != feed.room:  # it was renamed, and who did it could not note that
                await self._keep_state(feed)
            if feed.room == name:
                return feed
            if noted != name and found.number != claim:
                claim, since = found.number, self._loop.time()
            if noted == name or self._loop.time() - since > ABANDONED:
                await self._link.delete(streams.NOW, found.number)
            else:
                await asyncio.sleep(LOOK)

    async def _follow(self, noted: RoomSnapshot) -> RoomFeed:
        """Follow the room of which this was noted, under whatever name it has now."""
        for _ in range(streams.TRIES):
            state = copy.deepcopy(noted)
            if known := self._by_key(state.key):
                known.used = self._loop.time()
                await known.sync()
                return known
            feed = RoomFeed(self._link, state, self._told, self._tasks, self._reach_all)
            await feed.begin()
            other = self.feeds.get(feed.room)
            if other is None and self._by_key(state.key) is None:
                feed.used = self._loop.time()
                self.feeds[feed.room] = feed
                feed.go_on()
                return feed
            await feed.end()
            if other:
                await other.sync()
            await asyncio.sleep(streams.LAG)
        raise BrokerError(GONE)

    def _by_key(self, key: str) -> RoomFeed | None:
        return next((feed for feed in self.feeds.values() if feed.state.key == key), None)

    async def _new_state(self, name: str) -> RoomSnapshot:
        key = encode_name(name)
        if await self._link.last(streams.LOG, f"{streams.ROOM}{key}"):  # of a room that is called otherwise now
            key += f"=={secrets.token_hex(4)}"
        return RoomSnapshot(key, name)

    async def _restored_state(self, name: str) -> RoomSnapshot:
        """Return the state of a room of which what was noted is lost, as the log tells it. Raises BrokerError."""
        feed = RoomFeed(self._link, RoomSnapshot(encode_name(name), name), self._told, self._tasks, self._reach_all)
        await feed.look()
        return RoomSnapshot(feed.state.key, name) if feed.room == name else await self._new_state(name)

    async def _note(self, subject: str, state: RoomSnapshot, expected: int) -> bool:
        """Store a room's state, if the last one is what is expected; return whether it is. Raises BrokerError."""
        try:
            await self._link.replace(subject, state.encode(), expected)
        except Taken:
            return False
        return True

    async def claim(self, feed: RoomFeed, name: str) -> bool:
        """Let nobody open another room under the name that a room is about to be given; return False if one is there.

        A claim is to be renewed before each try: who waits for it takes it for abandoned after a while.
        Raises BrokerError.
        """
        subject = f"{streams.STATE}{encode_name(name)}"
        while True:
            found = await self._link.last(streams.NOW, subject)
            if found:
                known = batches.read_state(found.data)
                if known and known.key == feed.state.key and known.ruling > feed.state.ruling:
                    return True  # others have seen already that the name was given
                if known and known.key != feed.state.key:
                    if known.name != name or await self.room(name):  # it has that name, or is just being given it
                        return False
                    continue
            if await self._note(subject, feed.state, found.number if found else 0):
                return True

    async def _keep_state(self, feed: RoomFeed) -> None:
        """Note what has become of a room, so that who opens it need not read it all. Raises BrokerError."""
        state, ruling = feed.state, feed.state.ruling
        subject = f"{streams.STATE}{encode_name(state.name)}"
        while True:
            found = await self._link.last(streams.NOW, subject)
            if found:
                known = batches.read_state(found.data)
                if known and known.key == state.key and known.ruling >= state.ruling:
                    break
            await self._seal(feed)
            if await self._note(subject, state, found.number if found else 0):
                break
        feed.noted = max(feed.noted, ruling)

    async def _seal(self, feed: RoomFeed) -> None:
        """Note ids of what was taken back apart from the state, if they are many: a message has a bound.

        What a part has follows from the log, so nodes that do this at the same time do the same. Raises BrokerError.
        """
        state = feed.state
        while ids := state.sealable():
            part = batches.encode_part(SnapshotPart(ids, state.upto))
            subject = f"{streams.GONE_IDS}{state.key}.{state.sealed}"
            try:
                await self._link.replace(subject, part, 0)
            except Taken:
                found = await self._link.last(streams.NOW, subject)
                if found is None:
                    raise BrokerError(GONE) from None
                if batches.decode_part(found.data).ids != ids:
                    await self._link.replace(subject, part, found.number)
            if ids == state.sealable():
                feed.sealed.update(ids)
                state.seal(ids)

    async def keep(self, feed: RoomFeed, before: str) -> None:
        """Note what has become of a room, and its name before as free if it was renamed."""
        try:
            await self._keep_state(feed)
            if before != feed.room:
                found = await self._link.last(streams.NOW, f"{streams.STATE}{encode_name(before)}")
                noted = batches.read_state(found.data) if found else None
                if found and noted and (noted.key, noted.name) == (feed.state.key, before):  # no claim of it
                    await self._link.delete(streams.NOW, found.number)
        except BrokerError:
            log.warning("the state of a room could not be noted yet")

    async def keep_late(self) -> None:
        """Note what has become of rooms where who did it could not: retention may take what tells it."""
        for feed in list(self.feeds.values()):
            if feed.noted < feed.state.ruling:
                await self.keep(feed, feed.room)


def _look(feed: RoomFeed, known: int, newest: NatsMessage) -> None:
    """Compare the newest message of a room with what was handed on up to number `known` when it was asked for."""
    if newest.number > feed.last:
        feed.repair(newest.number)
    elif newest.number < known or (newest.number == feed.last and checksum(newest.data) != feed.state.sum):
        feed.doubt()
