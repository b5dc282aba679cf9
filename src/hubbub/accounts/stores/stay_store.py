"""The stays of accounts in the key-value store: one item for each account, `stay/ID`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from hubbub.chat.users.staying import Stay, StayedRoom
from hubbub.errors import BrokerError
from hubbub.storage.key_value import MAX_ITEMS, Changed, Item, KeyValueStore

PREFIX = "stay/"
TRIES = 5  # of a change that others overtake
MOST = 5_000  # stays that are read: those that were changed last. Each of them costs memory, and time at the start
ROOMS = 200  # of one stay: the value of an item is bounded


class _StayRecord(msgspec.Struct, frozen=True):
    rooms: tuple[StayedRoom, ...]
    since: float


_decoder = msgspec.json.Decoder(_StayRecord)


class StayStore:
    """Stays in a key-value store.

    While the item of an account is being written, the newest further change waits.

    Args:
        store: the key-value store of the log.

    """

    def __init__(self, store: KeyValueStore) -> None:
        self._store = store
        self._revisions: dict[str, int] = {}  # by the id of the account
        self._writing: set[str] = set()
        self._waiting: dict[str, Stay | None] = {}

    @property
    def idle(self) -> bool:
        """Whether all changes are stored, or have failed."""
        return not self._writing

    def all(self, done: Callable[[Sequence[Stay] | BrokerError], None]) -> None:
        """Call `done` later with the stays, at most the MOST that were changed last; damaged ones are left out."""
        found: deque[Stay] = deque(maxlen=MOST)

        def read(items: Sequence[Item] | BrokerError) -> None:
            if isinstance(items, BrokerError):
                done(items)
                return
            for item in items:
                id = item.key.removeprefix(PREFIX)
                self._revisions[id] = item.revision
                if stay := _stay(id, item):
                    found.append(stay)
            if len(items) < MAX_ITEMS:
                done(list(found))
            else:
                self._store.items(PREFIX, items[-1].revision, MAX_ITEMS, read)

        self._store.items(PREFIX, 0, MAX_ITEMS, read)

    def get(self, account: str, done: Callable[[Stay | None], None]) -> None:
        """Call `done` later with the stay of the account with an id; None if there is none, or it cannot be read."""

        def read(item: Item | BrokerError | None) -> None:
            if isinstance(item, Item):
                self._revisions[account] = item.revision
                done(_stay(account, item))
            else:
                done(None)

        self._store.get(PREFIX + account, read)

    def claim(self, stay: Stay, done: Callable[[bool], None]) -> None:
        """Call `done` later, with True for one of all nodes that have read this stay: the item gets a new revision."""
        id = stay.account

        def stored(outcome: int | BrokerError) -> None:
            if isinstance(outcome, int):
                self._revisions[id] = outcome
            done(isinstance(outcome, int))

        self._store.put(PREFIX + id, _value(stay), self._revisions.get(id, 0), stored)

    def keep(self, account: str, stay: Stay | None) -> None:
        """Store the stay of an account; None deletes it. After an error it is stored with the next change."""
        self._waiting[account] = stay
        if account not in self._writing:
            self._writing.add(account)
            self._write(account, TRIES)

    def _write(self, id: str, tries: int) -> None:
        stay, revision = self._waiting.pop(id), self._revisions.get(id, 0)
        written = partial(self._written, id, stay, tries - 1)
        if stay:
            self._store.put(PREFIX + id, _value(stay), revision, written)
        else:
            self._store.delete(PREFIX + id, revision, written)

    def _written(self, id: str, stay: Stay | None, tries: int, outcome: int | BrokerError | None) -> None:
        if isinstance(outcome, Changed) and tries:
            self._waiting.setdefault(id, stay)
            self._store.get(PREFIX + id, partial(self._read_again, id, tries))
            return
        if outcome is None:
            self._revisions.pop(id, None)
        elif isinstance(outcome, int):
            self._revisions[id] = outcome
        self._go_on(id)

    def _read_again(self, id: str, tries: int, item: Item | BrokerError | None) -> None:
        if isinstance(item, Item):
            self._revisions[id] = item.revision
        else:
            self._revisions.pop(id, None)
        if isinstance(item, BrokerError) or (item is None and self._waiting[id] is None):
            del self._waiting[id]  # the store is away, or the item is deleted already
            self._writing.discard(id)
        else:
            self._write(id, tries)

    def _go_on(self, id: str) -> None:
        if id in self._waiting:
            self._write(id, TRIES)
        else:
            self._writing.discard(id)


def _value(stay: Stay) -> bytes:
    return msgspec.json.encode(_StayRecord(stay.rooms[:ROOMS], stay.since))


def _stay(id: str, item: Item) -> Stay | None:
    """Return the stay in an item; None if it cannot be read."""
    try:
        record = _decoder.decode(item.value)
    except msgspec.MsgspecError:
        return None
    return Stay(id, record.rooms, record.since)
