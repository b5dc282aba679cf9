"""A key-value store in memory: for tests, and for servers that store nothing (`--ephemeral`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from hubbub.errors import BrokerError
from hubbub.storage.key_value import MAX_ITEMS, Changed, Item, Watched, check_key, check_prefix, check_value


class MemoryKeyValue:
    """Keeps items in memory, in the order of their revisions.

    Args:
        later: calls a function with values in the next iteration of the loop.

    """

    def __init__(self, later: Callable[..., object]) -> None:
        self._later = later
        self._items: dict[str, Item] = {}
        self._revision = 0
        self._watchers: list[tuple[str, Watched]] = []  # each with its prefix

    def get(self, key: str, done: Callable[[Item | BrokerError | None], None]) -> None:
        """Call `done` later with the item of a key."""
        self._later(done, self._items.get(check_key(key)))

    def put(self, key: str, value: bytes, revision: int, done: Callable[[int | BrokerError], None]) -> None:
        """Replace the value of a key."""
        check_value(value)
        if not self._has(check_key(key), revision):
            self._later(done, Changed())
            return
        self._revision += 1
        self._items.pop(key, None)
        self._items[key] = Item(key, value, self._revision)
        self._later(done, self._revision)
        self._tell(key, self._items[key])

    def delete(self, key: str, revision: int, done: Callable[[BrokerError | None], None]) -> None:
        """Delete a key if its item still has this revision."""
        if not self._has(check_key(key), revision) or not revision:
            self._later(done, Changed())
            return
        del self._items[key]
        self._later(done, None)
        self._tell(key, None)

    def items(self, prefix: str, after: int, limit: int, done: Callable[[Sequence[Item] | BrokerError], None]) -> None:
        """Call `done` later with the items under a prefix."""
        check_prefix(prefix)
        found = (item for item in self._items.values() if item.revision > after and item.key.startswith(prefix))
        self._later(done, list(islice(found, min(limit, MAX_ITEMS))))

    def watch(self, prefix: str, changed: Watched, ready: Callable[[BrokerError | None], None]) -> None:
        """Report the items under a prefix, and then every change."""
        check_prefix(prefix)
        for key, item in self._items.items():
            if key.startswith(prefix):
                self._later(changed, key, item)
        self._later(ready, None)
        self._watchers.append((prefix, changed))

    def _tell(self, key: str, item: Item | None) -> None:
        for prefix, changed in self._watchers:
            if key.startswith(prefix):
                self._later(changed, key, item)

    def _has(self, key: str, revision: int) -> bool:
        item = self._items.get(key)
        return (item.revision if item else 0) == revision
