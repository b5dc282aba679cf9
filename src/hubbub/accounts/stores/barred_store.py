"""The former masks of people who are banned or muted, in the key-value store: one item for each browser or account.

A browser is named by a hash of its token, never by the token itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from hubbub.accounts.stores.merged_store import MergedStore
from hubbub.model.room.memory import FORMER_NAMES, KEPT_ROOMS, Memories
from hubbub.storage.key_value import KeyValueStore

PREFIX = "barred/"  # of the keys, before the hash of the browser's token, or the host of the account's owner

_Masks = Annotated[tuple[str, ...], Meta(max_length=FORMER_NAMES)]


class _StoredMasks(Struct, frozen=True):
    """The masks by the ids of rooms, and the time of their last use (epoch seconds)."""

    used: float
    rooms: Annotated[dict[str, _Masks], Meta(max_length=KEPT_ROOMS)]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_StoredMasks)


def barred_store(store: KeyValueStore, memories: Memories, clock: Callable[[], float]) -> MergedStore:
    """Return the store of the masks of barred people, which takes over the changes of `memories` from now on.

    Args:
        store: the key-value store.
        memories: the memories of browsers and accounts.
        clock: returns epoch seconds.

    """

    def take(key: str, value: bytes) -> None:
        record = _decoder.decode(value)
        memories.merge(key, record.rooms, min(record.used, clock()))

    def value(key: str) -> bytes:
        memory = memories.barred.get(key)
        return _encoder.encode(_StoredMasks(memory.used, dict(memory))) if memory else b""

    made = MergedStore(store, PREFIX, take, value)
    memories.store, memories.drop = made.keep, made.drop
    return made
