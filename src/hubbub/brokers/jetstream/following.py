"""The rooms that this node follows, and where each has its log.

A room's messages have a subject of their own, which it keeps when it is renamed; what a name means now, and what the
room's entries made of it, is noted in the stream of states. That note may lag behind the log, and is mended by who
opens the room. Before a room is renamed, its state is noted under its new name as well: there is one note of a name,
so nobody opens another room under it meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Container, Sequence

from hubbub.brokers.jetstream import packs, streams
from hubbub.brokers.jetstream.feed import Feed
from hubbub.brokers.jetstream.link import GONE, Link, Taken
from hubbub.brokers.jetstream.packs import State
from hubbub.brokers.jetstream.tasks import Tasks
from hubbub.brokers.keys import encode_name
from hubbub.core.model import Entry
from hubbub.errors import BrokerError

log = logging.getLogger("hubbub")

LINGER = 30.0  # seconds that a room is followed which nobody needs
ABANDONED = 15.0  # seconds after which a claim that was not renewed is no more: the log does not say that it was used
LOOK = 0.05  # seconds between two looks whether it was
AUDITED = 500  # rooms that are looked at by one request; the server's limit is 1,024


class Following:
    """Rooms that are followed, by name.

    Args:
        link: the connection.
        tasks: owns what is done in the background.
        told: is given the entries of all of them, each room's once and in order.

    """

    def __init__(self, link: Link, tasks: Tasks, told: Callable[[Sequence[Entry]], None]) -> None:
        self._link = link
        self._tasks = tasks
        self._told = told
        self._locks: dict[str, asyncio.Lock] = {}  # of rooms that are being opened
        self._loop = asyncio.get_running_loop()
        self.feeds: dict[str, Feed] = {}

    async def room(self, name: str, make: bool = False) -> Feed | None:
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

    def let_go(self, name: str) -> None:
        """Follow a room no more, unless it is needed again soon."""
        if feed := self.feeds.get(name):
            feed.open = False
            feed.used = self._loop.time()

    async def tidy(self, busy: Container[str]) -> None:
        """Follow those no more that nobody has needed for a while, and that are not busy."""
        now = self._loop.time()
        for name, feed in list(self.feeds.items()):
            if not feed.open and name not in busy and now - feed.used > LINGER:
                del self.feeds[name]
                self._locks.pop(name, None)
                await feed.end()

    async def audit(self) -> None:
        """See that the newest message of each room is here: nothing that follows would show that it is missing."""
        feeds = {feed.subject: feed for feed in self.feeds.values()}
        subjects = list(feeds)
        try:
            for start in range(0, len(subjects), AUDITED):
                question = {"multi_last": subjects[start : start + AUDITED], "batch": AUDITED}
                for found in await self._link.batch(streams.LOG, question):
                    if (feed := feeds.get(found.subject)) and found.number > feed.last:
                        feed.repair(found.number)
        except BrokerError as error:
            log.debug("no audit: %s", error)

    # --- what is noted of a room ----------------------------------------------------------------------------------

    async def _begin(self, name: str, make: bool) -> Feed | None:
        subject = f"{streams.STATE}{encode_name(name)}"
        claim, since = 0, 0.0
        while True:
            found = await self._link.last(streams.NOW, subject)
            if found is None:
                if not make:
                    return None
                await self._note(subject, await self._new_state(name), 0)
                continue
            noted = packs.decode_state(found.data).name
            feed = await self._follow(packs.decode_state(found.data))
            if noted != feed.room:  # it was renamed, and who did it could not note that
                await self._keep_state(feed.state)
            if feed.room == name:
                return feed
            if noted != name and found.number != claim:
                claim, since = found.number, self._loop.time()
            if noted == name or self._loop.time() - since > ABANDONED:
                await self._link.delete(streams.NOW, found.number)
            else:
                await asyncio.sleep(LOOK)

    async def _follow(self, state: State) -> Feed:
        """Follow the room of which this was noted, under whatever name it has now."""
        for feed in self.feeds.values():
            if feed.state.key == state.key:
                await feed.sync()
                return feed
        feed = Feed(self._link, state, self._told, self._tasks, self.feeds)
        await feed.begin()
        try:
            tries = streams.TRIES
            while known := self.feeds.get(feed.room):
                if known.state.key == state.key:
                    await feed.end()
                    return known
                if not tries:
                    raise BrokerError(GONE)
                tries -= 1
                await known.sync()  # it is called otherwise by now, which was not told here yet
                await asyncio.sleep(streams.LAG)
        except BrokerError:
            await feed.end()
            raise
        feed.used = self._loop.time()
        self.feeds[feed.room] = feed
        feed.go_on()
        return feed

    async def _new_state(self, name: str) -> State:
        key = encode_name(name)
        if await self._link.last(streams.LOG, f"{streams.ROOM}{key}"):  # of a room that is called otherwise now
            key += f"=={secrets.token_hex(4)}"
        return State(key, name)

    async def _note(self, subject: str, state: State, expected: int) -> bool:
        """Store a room's state, if the last one is what is expected; return whether it is. Raises BrokerError."""
        try:
            await self._link.replace(subject, state.encode(), expected)
        except Taken:
            return False
        return True

    async def claim(self, feed: Feed, name: str) -> bool:
        """Let nobody open another room under the name that a room is about to be given; return False if one is there.

        A claim is to be renewed before each try: who waits for it takes it for abandoned after a while.
        Raises BrokerError.
        """
        subject = f"{streams.STATE}{encode_name(name)}"
        while True:
            found = await self._link.last(streams.NOW, subject)
            if found:
                known = packs.decode_state(found.data)
                if known.key == feed.state.key and known.ruling > feed.state.ruling:
                    return True  # others have seen already that the name was given
                if known.key != feed.state.key:
                    if await self.room(name):
                        return False
                    continue
            if await self._note(subject, feed.state, found.number if found else 0):
                return True

    async def _keep_state(self, state: State) -> None:
        """Note what has become of a room, so that who opens it need not read it all. Raises BrokerError."""
        subject = f"{streams.STATE}{encode_name(state.name)}"
        while True:
            found = await self._link.last(streams.NOW, subject)
            if found:
                known = packs.decode_state(found.data)
                if known.key == state.key and known.ruling >= state.ruling:
                    return
            if await self._note(subject, state, found.number if found else 0):
                return

    async def keep(self, feed: Feed, before: str) -> None:
        """Note what has become of a room, and its name before as free if it was renamed."""
        try:
            await self._keep_state(feed.state)
            if before != feed.room:
                found = await self._link.last(streams.NOW, f"{streams.STATE}{encode_name(before)}")
                if found and packs.decode_state(found.data).key == feed.state.key:
                    await self._link.delete(streams.NOW, found.number)
        except BrokerError:
            log.warning("the state of a room could not be noted; it will be read again from its log")
