"""The key-value store of a cluster: the last message of a subject is the value of a key, its number is the revision.

The subjects are in the stream of the state, which keeps one message of each and republishes none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.connection import NatsConnection, Taken
from hubbub.cluster.nats.messages import NatsMessage
from hubbub.cluster.nats.subjects import decode_name, encode_name
from hubbub.errors import BrokerError
from hubbub.storage.key_value import MAX_ITEMS, MAX_VALUE_BYTES, Changed, Item, check_key, check_prefix, check_value

ITEM = "hubbub.state.item."  # + the parts of a key


class NatsKeyValue:
    """Reads and changes the items of a cluster.

    Args:
        link: the connection to the NATS servers.
        ask: waits for a result in the background, and gives it, or its BrokerError, to a callback.

    """

    def __init__(self, link: NatsConnection, ask: Callable[[Awaitable[Any], Callable[[Any], None]], None]) -> None:
        self._link = link
        self._ask = ask

    def get(self, key: str, done: Callable[[Item | BrokerError | None], None]) -> None:
        """Read the item of a key from the stream's leader."""
        self._ask(self._get(check_key(key)), done)

    def put(self, key: str, value: bytes, revision: int, done: Callable[[int | BrokerError], None]) -> None:
        """Replace the value of a key."""
        self._ask(self._put(check_key(key), check_value(value), revision), done)

    def delete(self, key: str, revision: int, done: Callable[[BrokerError | None], None]) -> None:
        """Delete a key if its item still has this revision."""
        self._ask(self._delete(check_key(key), revision), done)

    def items(self, prefix: str, after: int, limit: int, done: Callable[[Sequence[Item] | BrokerError], None]) -> None:
        """Read the items under a prefix."""
        self._ask(self._items(check_prefix(prefix), after, min(limit, MAX_ITEMS)), done)

    async def _get(self, key: str) -> Item | None:
        found = await self._link.last(streams.NOW, _subject(key))
        return self._item(found) if found else None

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

    async def _delete(self, key: str, revision: int) -> None:
        # Only the last message of a subject is kept, so a message that is still there is the present value.
        found = await self._link.last(streams.NOW, _subject(key))
        if not found or found.number != revision or not await self._link.delete(streams.NOW, revision):
            raise Changed

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
            key = "/".join(decode_name(part) for part in message.subject.removeprefix(ITEM).split("."))
            check_key(key)
        except ValueError:
            key = ""
        if not key or _subject(key) != message.subject or len(message.data) > MAX_VALUE_BYTES:
            self._link.distrust(message.subject, "it is no item")
            return None
        return Item(key, message.data, message.number)


def _subject(key: str) -> str:
    return ITEM + ".".join(encode_name(part) for part in key.split("/"))
