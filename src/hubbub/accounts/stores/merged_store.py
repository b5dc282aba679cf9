"""Items of the key-value store that several nodes change at once: their additions are merged."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from hubbub.accounts.decoding import UNREADABLE
from hubbub.errors import BrokerError
from hubbub.storage.key_value import Changed, Item, KeyValueStore

log = logging.getLogger(__name__)


class MergedStore:
    """Store values by their ids, and follow those that other nodes store.

    While an item is being written, further changes of it wait, and are then written together.

    Args:
        store: the key-value store.
        prefix: of the keys, before the id.
        take: merges a stored value into what is known of an id; it may raise one of UNREADABLE.
        value: returns the value of an id, as it is to be stored; b"" for nothing.

    """

    def __init__(
        self,
        store: KeyValueStore,
        prefix: str,
        take: Callable[[str, bytes], None],
        value: Callable[[str], bytes],
    ) -> None:
        self._store = store
        self._prefix = prefix
        self._take = take
        self._value = value
        self._revisions: dict[str, int] = {}  # by id
        self._writing: set[str] = set()
        self._waiting: set[str] = set()  # ids with changes that are not being written yet

    def load(self, done: Callable[[BrokerError | None], None]) -> None:
        """Read all values, follow their changes, and call `done`."""
        self._store.watch(self._prefix, self._note, done)

    def keep(self, id: str) -> None:
        """Store the present value of an id."""
        self._waiting.add(id)
        if id not in self._writing:
            self._write(id)

    def drop(self, id: str) -> None:
        """Delete an item, unless another node has changed it meanwhile."""
        if revision := self._revisions.pop(id, 0):
            self._store.delete(self._prefix + id, revision, lambda error: None)

    def _note(self, key: str, item: Item | None) -> None:
        """Take over a state of the store; a damaged item is void, and the next change replaces it."""
        id = key.removeprefix(self._prefix)
        if item is None:
            self._revisions.pop(id, None)
            return
        self._revisions[id] = max(item.revision, self._revisions.get(id, 0))
        try:
            self._take(id, item.value)
        except UNREADABLE:
            log.error("%s is damaged and void", key)

    def _write(self, id: str) -> None:
        self._waiting.discard(id)
        if value := self._value(id):
            self._writing.add(id)
            self._store.put(self._prefix + id, value, self._revisions.get(id, 0), partial(self._written, id))

    def _written(self, id: str, outcome: int | BrokerError) -> None:
        if isinstance(outcome, Changed):
            self._store.get(self._prefix + id, partial(self._read_again, id))
            return
        self._writing.discard(id)
        if isinstance(outcome, int):
            self._revisions[id] = max(outcome, self._revisions.get(id, 0))
            if id in self._waiting:
                self._write(id)
        # After an error the value is stored with the next change.

    def _read_again(self, id: str, found: Item | BrokerError | None) -> None:
        self._writing.discard(id)
        if not isinstance(found, BrokerError):
            self._note(self._prefix + id, found)
            self._write(id)
