"""The read markers of accounts in the key-value store: one item for each account."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Annotated

import msgspec

from hubbub.accounts.records import UNREADABLE
from hubbub.chat.read_markers import ReadMarkers
from hubbub.errors import BrokerError
from hubbub.storage.key_value import Changed, Item, KeyValueStore

log = logging.getLogger(__name__)

PREFIX = "read/"  # of the keys, before the id of the account
LATEST = 1e11  # latest time of a marker, in epoch seconds: the year 5138

_Time = Annotated[float, msgspec.Meta(ge=0, le=LATEST)]
_decoder = msgspec.json.Decoder(dict[str, _Time])


class MarkerStore:
    """Store read markers, and follow those that other nodes store.

    While an item of an account is being written, further changes wait, and are then written together.

    Args:
        store: the key-value store.
        markers: the read markers.

    """

    def __init__(self, store: KeyValueStore, markers: ReadMarkers) -> None:
        self._store = store
        self._markers = markers
        self._revisions: dict[str, int] = {}  # by the id of the account
        self._writing: set[str] = set()
        self._waiting: set[str] = set()  # accounts with changes that are not being written yet

    def load(self, done: Callable[[BrokerError | None], None]) -> None:
        """Read all markers, follow their changes, and call `done`."""
        self._markers.keep = self._keep
        self._store.watch(PREFIX, self._note, done)

    def _note(self, key: str, item: Item | None) -> None:
        """Take over a state of the store; a damaged item is void, and the next change replaces it."""
        account = key.removeprefix(PREFIX)
        if item is None:
            self._revisions.pop(account, None)
            return
        self._revisions[account] = max(item.revision, self._revisions.get(account, 0))
        try:
            self._markers.merge(account, _decoder.decode(item.value))
        except UNREADABLE:
            log.error("%s is damaged and void", key)

    def _keep(self, account: str) -> None:
        self._waiting.add(account)
        if account not in self._writing:
            self._write(account)

    def _write(self, account: str) -> None:
        self._writing.add(account)
        self._waiting.discard(account)
        value = msgspec.json.encode(self._markers.of(account))
        self._store.put(PREFIX + account, value, self._revisions.get(account, 0), partial(self._written, account))

    def _written(self, account: str, outcome: int | BrokerError) -> None:
        if isinstance(outcome, Changed):
            self._store.get(PREFIX + account, partial(self._read_again, account))
            return
        self._writing.discard(account)
        if isinstance(outcome, int):
            self._revisions[account] = max(outcome, self._revisions.get(account, 0))
            if account in self._waiting:
                self._write(account)
        # After an error the markers are stored with the next change.

    def _read_again(self, account: str, found: Item | BrokerError | None) -> None:
        if isinstance(found, BrokerError):
            self._writing.discard(account)
        else:
            self._note(PREFIX + account, found)
            self._write(account)
