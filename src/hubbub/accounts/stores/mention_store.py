"""The mentions of accounts in the key-value store: one item for each account, with the newest ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from hubbub.accounts.decoding import UNREADABLE
from hubbub.errors import BrokerError
from hubbub.model.notices.mentions import KEPT, Mention, merged
from hubbub.storage.key_value import Changed, Item, KeyValueStore

PREFIX = "mentions/"  # of the keys, before the id of the account

_decoder = msgspec.json.Decoder(list[Mention])


class StoredMentions:
    """Mentions in a key-value store. Several nodes may add some at once.

    They are read when they are asked for, so they cost no memory. While an item is being written, further mentions of
    the account wait, and are then written together. After an error they are written with the next one.

    Args:
        store: the key-value store of the log.

    """

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store
        self._waiting: dict[str, list[Mention]] = {}  # that are not stored yet, by the id of the account
        self._writing: set[str] = set()

    def add(self, account: str, mention: Mention) -> None:
        """Store a mention of the account with an id."""
        self._waiting[account] = merged(self._waiting.get(account, ()), [mention])
        if account not in self._writing:
            self._writing.add(account)
            self._begin(account)

    def of(self, account: str, done: Callable[[Sequence[Mention] | BrokerError], None]) -> None:
        """Call `done` with the mentions of the account with an id, the oldest first."""

        def read(item: Item | BrokerError | None) -> None:
            waiting = self._waiting.get(account, ())
            done(item if isinstance(item, BrokerError) else merged(_mentions(item), waiting))

        self._store.get(PREFIX + account, read)

    def drop(self, account: str) -> None:
        """Delete the mentions of the account with an id."""
        key = PREFIX + account

        def read(item: Item | BrokerError | None) -> None:
            if isinstance(item, Item):
                self._store.delete(key, item.revision, lambda error: None)

        self._waiting.pop(account, None)
        self._store.get(key, read)

    def _begin(self, account: str) -> None:
        self._store.get(PREFIX + account, partial(self._write, account))

    def _write(self, account: str, item: Item | BrokerError | None) -> None:
        new = self._waiting.get(account, ())
        if isinstance(item, BrokerError) or not new:
            self._writing.discard(account)
            return
        value, revision = msgspec.json.encode(merged(_mentions(item), new)), item.revision if item else 0
        self._store.put(PREFIX + account, value, revision, partial(self._written, account, frozenset(new)))

    def _written(self, account: str, new: frozenset[Mention], outcome: int | BrokerError) -> None:
        if isinstance(outcome, Changed):  # another node was faster
            self._begin(account)
            return
        if isinstance(outcome, BrokerError):
            self._writing.discard(account)
            return
        left = [one for one in self._waiting.pop(account, ()) if one not in new]
        if left:
            self._waiting[account] = left
            self._begin(account)
        else:
            self._writing.discard(account)


def _mentions(item: Item | None) -> Sequence[Mention]:
    """Return the mentions in an item; none if it cannot be read."""
    try:
        return _decoder.decode(item.value)[:KEPT] if item else ()
    except UNREADABLE:
        return ()
