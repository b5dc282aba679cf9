"""The key-value store of a cluster: the last message of a subject is the value of a key, its number is the revision.

The subjects are in the stream of the state, which keeps one message of each and republishes none. The node that changes
a key sends the key to the other nodes, which read its value from the stream's leader. A forged message does no harm. A
lost one does little: the keys are also compared every COMPARE seconds, and after each connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from nats.aio.msg import Msg

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.messages import NatsMessage
from hubbub.cluster.nats.link.outcomes import Taken
from hubbub.cluster.nats.subjects import decode_name, encode_name
from hubbub.cluster.nats.supervisor import Supervisor
from hubbub.errors import BrokerError
from hubbub.storage.key_value import (
    MAX_ITEMS,
    MAX_VALUE_BYTES,
    Changed,
    Item,
    Watched,
    check_key,
    check_prefix,
    check_value,
)

ITEM = "hubbub.state.item."  # + the parts of a key
# Below the subjects of presence, which the permissions of every cluster allow.
CHANGED = "hubbub.who.changed."  # + the parts of a key that was changed
COMPARE = 60.0  # seconds between two comparisons of the watched items with the stored ones


class _WatchedPrefix:
    """A watched prefix, and the revisions of its keys that were reported."""

    def __init__(self, prefix: str, changed: Watched) -> None:
        self.prefix = prefix
        self.changed = changed
        self.known: dict[str, int] = {}
        self.asked: set[str] = set()  # keys that are about to be read
        self.lock = asyncio.Lock()  # reads are reported in their order

    def note(self, key: str, item: Item | None) -> None:
        """Report an item as it was read now, if it is new."""
        if item is None:
            if self.known.pop(key, None):
                self.changed(key, None)
        elif item.revision > self.known.get(key, 0):
            self.known[key] = item.revision
            self.changed(key, item)


class NatsKeyValue:
    """Reads and changes the items of a cluster.

    Args:
        link: the connection to the NATS servers.
        ask: calls a question in the background, and gives its result, or its BrokerError, to a callback.
        tasks: owns the background tasks.

    """

    def __init__(
        self,
        link: NatsConnection,
        ask: Callable[[Callable[[], Awaitable[Any]], Callable[[Any], None]], None],
        tasks: Supervisor,
    ) -> None:
        self._link = link
        self._ask = ask
        self._tasks = tasks
        self._watchers: list[_WatchedPrefix] = []

    def get(self, key: str, done: Callable[[Item | BrokerError | None], None]) -> None:
        """Read the item of a key from the stream's leader."""
        self._ask(partial(self._get, check_key(key)), done)

    def put(self, key: str, value: bytes, revision: int, done: Callable[[int | BrokerError], None]) -> None:
        """Replace the value of a key."""
        self._ask(partial(self._put, check_key(key), check_value(value), revision), done)

    def delete(self, key: str, revision: int, done: Callable[[BrokerError | None], None]) -> None:
        """Delete a key if its item still has this revision."""
        self._ask(partial(self._delete, check_key(key), revision), done)

    def items(self, prefix: str, after: int, limit: int, done: Callable[[Sequence[Item] | BrokerError], None]) -> None:
        """Read the items under a prefix."""
        self._ask(partial(self._items, check_prefix(prefix), after, min(limit, MAX_ITEMS)), done)

    def watch(self, prefix: str, changed: Watched, ready: Callable[[BrokerError | None], None]) -> None:
        """Report the items under a prefix, and then every change."""
        self._ask(partial(self._watch, _WatchedPrefix(check_prefix(prefix), changed)), ready)

    def compare_soon(self) -> None:
        """Look for changes that were missed because the servers could not be reached."""
        for watcher in self._watchers:
            self._tasks.spawn(self._compare(watcher))

    async def _get(self, key: str) -> Item | None:
        found = await self._link.last(streams.NOW, _subject(key))
        return self._item(found) if found else None

    async def _watch(self, watcher: _WatchedPrefix) -> None:
        async def hinted(message: Msg) -> None:
            key = _key(message.subject.removeprefix(CHANGED))
            if key not in watcher.asked:
                watcher.asked.add(key)
                self._tasks.spawn(self._check(watcher, key))

        hints = await self._link.subscribe(f"{_subject(watcher.prefix.removesuffix('/'), CHANGED)}.>", hinted)
        try:
            async with watcher.lock:
                async for item in self._all(watcher.prefix):
                    watcher.note(item.key, item)
        except BrokerError:
            await self._link.unsubscribe(hints)
            raise
        self._watchers.append(watcher)
        self._tasks.insist(lambda: self._keep_comparing(watcher))

    async def _keep_comparing(self, watcher: _WatchedPrefix) -> None:
        while True:
            await asyncio.sleep(COMPARE)
            await self._compare(watcher)

    async def _compare(self, watcher: _WatchedPrefix) -> None:
        """Read all keys whose stored revisions are not the reported ones; ignore errors of the servers."""
        with contextlib.suppress(BrokerError):
            there = {item.key: item.revision async for item in self._all(watcher.prefix)}
            for key in there.keys() | watcher.known.keys():
                if there.get(key) != watcher.known.get(key):
                    await self._check(watcher, key)

    async def _check(self, watcher: _WatchedPrefix, key: str) -> None:
        """Report the present item of a key if it is new; ignore errors of the servers."""
        with contextlib.suppress(BrokerError):
            async with watcher.lock:
                watcher.asked.discard(key)
                watcher.note(key, await self._get(key))

    async def _all(self, prefix: str) -> AsyncGenerator[Item, None]:
        after = 0
        while page := await self._items(prefix, after, MAX_ITEMS):
            for item in page:
                yield item
            after = page[-1].revision

    async def _put(self, key: str, value: bytes, revision: int) -> int:
        subject = _subject(key)
        try:
            return await self._link.replace(subject, value, revision)
        except Taken:
            # It may also be stored, and only the answer was lost.
            found = await self._link.last(streams.NOW, subject)
            if found and found.number > revision and found.data == value:
                return found.number
            raise Changed from None
        finally:
            await self._link.tell(_subject(key, CHANGED), b"")

    async def _delete(self, key: str, revision: int) -> None:
        # Only the last message of a subject is kept, so a message that is still there is the present value.
        found = await self._link.last(streams.NOW, _subject(key))
        if not found or found.number != revision or not await self._link.delete(streams.NOW, revision):
            raise Changed
        await self._link.tell(_subject(key, CHANGED), b"")

    async def _items(self, prefix: str, after: int, limit: int) -> list[Item]:
        subject = f"{_subject(prefix.removesuffix('/'))}.>"
        newest = await self._link.last(streams.NOW, subject)
        if newest is None or newest.number <= after:
            return []
        found: list[Item] = []
        async for page in streams.forward(self._link, streams.NOW, subject, after + 1, newest.number):
            found += filter(None, map(self._item, page))
            if len(found) >= limit or page[-1].number >= newest.number:
                break
        return found[:limit]

    def _item(self, message: NatsMessage) -> Item | None:
        """Return the item of a message, None if hubbub did not write the message."""
        try:
            key = _key(message.subject.removeprefix(ITEM))
        except ValueError:
            key = ""
        if not key or _subject(key) != message.subject or len(message.data) > MAX_VALUE_BYTES:
            self._link.distrust(message.subject, "it is no item")
            return None
        return Item(key, message.data, message.number)


def _subject(key: str, prefix: str = ITEM) -> str:
    return prefix + ".".join(encode_name(part) for part in key.split("/"))


def _key(tokens: str) -> str:
    """Return the key whose parts are the tokens of a subject. Raises ValueError."""
    return check_key("/".join(decode_name(part) for part in tokens.split(".")))
