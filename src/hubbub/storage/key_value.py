"""The key-value store: small durable facts that are no entries, such as accounts, read markers and tokens.

The same contract test runs against every implementation (tests/storage/test_key_value.py).

 1. A key is a path like `account/zoë`: parts between slashes, none of them empty, of any characters but NUL and lone
    surrogates. A value is bytes.
 2. Each change gives the key a new revision, a number that rises over all keys and is never used twice.
 3. `put` and `delete` name the revision that they replace, 0 for a key that must not exist. If the key has another
    revision, `done` gets Changed and nothing changes. So of two writers that have read the same value, one wins.
 4. `done` is called exactly once, later and not from within the call, on the loop's thread, when the change is as
    durable as an entry. A read that begins after that finds it. If it fails, `done` gets a BrokerError whose text may
    be shown to users. A change that failed for another reason than Changed may be stored all the same.
 5. `items` returns the items under a prefix in the order of their revisions, so a reader that continues after the
    last revision of a page misses no change.
 6. Values are never exported or shown, and search does not find them.
 7. `watch` reports every change under a prefix within WATCH_SECONDS, whichever process or node of the store made it;
    changes of one key that come faster than that may be reported as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from hubbub.errors import BrokerError

MAX_KEY_BYTES = 200  # in UTF-8
_INVALID = r"[\0\ud800-\udfff]"  # NUL, and lone surrogates, which have no UTF-8
MAX_VALUE_BYTES = 64 * 1024
MAX_ITEMS = 500  # items in a page
WATCH_SECONDS = 0.5  # until a change is reported, while the store can be reached


class Item(NamedTuple):
    """A key with its value and revision."""

    key: str
    value: bytes
    revision: int


class Changed(BrokerError):
    """A key does not have the expected revision."""

    def __init__(self) -> None:
        super().__init__("it was changed meanwhile")


Watched = Callable[[str, Item | None], None]  # receives a key and its item, None if it was deleted


class KeyValueStore(Protocol):
    """Small durable facts by key."""

    def get(self, key: str, done: Callable[[Item | BrokerError | None], None]) -> None:
        """Call `done` with the item of a key, None if there is none."""
        ...

    def put(self, key: str, value: bytes, revision: int, done: Callable[[int | BrokerError], None]) -> None:
        """Replace the value of a key, and call `done` with its new revision.

        Args:
            key: the key, of at most MAX_KEY_BYTES.
            value: the new value, of at most MAX_VALUE_BYTES.
            revision: the revision to be replaced; 0 if the key must not exist.
            done: receives the new revision, or the error.

        Raises:
            ValueError: the key is not valid, or the value is too long.

        """
        ...

    def delete(self, key: str, revision: int, done: Callable[[BrokerError | None], None]) -> None:
        """Delete a key that has a revision, and call `done` with None."""
        ...

    def items(self, prefix: str, after: int, limit: int, done: Callable[[Sequence[Item] | BrokerError], None]) -> None:
        """Call `done` with the items whose keys begin with a prefix.

        Args:
            prefix: whole parts of keys with a slash at the end, like `account/`.
            after: a revision; only items with a higher one are returned.
            limit: the maximum number of items, at most MAX_ITEMS.
            done: receives the items, or the error.

        """
        ...

    def watch(self, prefix: str, changed: Watched, ready: Callable[[BrokerError | None], None]) -> None:
        """Call `changed` with the items under a prefix, and from then on with every change, until the store is stopped.

        Args:
            prefix: whole parts of keys with a slash at the end.
            changed: receives the key and the item of each change in the order of the changes of that key, on the loop's
                thread and not from within a call of the store.
            ready: is called once, with None after all items that are there were given; with an error if they cannot
                be read, and then nothing is watched.

        """
        ...


def check_key(key: str) -> str:
    """Return a key. Raise ValueError if it is not valid."""
    if not all(key.split("/")) or re.search(_INVALID, key) or len(key.encode()) > MAX_KEY_BYTES:
        raise ValueError(f"{key[:MAX_KEY_BYTES]!r} is no key")
    return key


def check_value(value: bytes) -> bytes:
    """Return a value. Raise ValueError if it is too long."""
    if len(value) > MAX_VALUE_BYTES:
        raise ValueError("a value is too long")
    return value


def check_prefix(prefix: str) -> str:
    """Return a prefix. Raise ValueError if it does not consist of whole parts of a key."""
    if not prefix.endswith("/"):
        raise ValueError(f"{prefix[:MAX_KEY_BYTES]!r} is no prefix")
    check_key(prefix.removesuffix("/"))
    return prefix
