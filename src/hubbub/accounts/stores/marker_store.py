"""The read markers of accounts in the key-value store: one item for each account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec

from hubbub.accounts.stores.merged_store import MergedStore
from hubbub.chat.users.read_markers import ReadMarkers, of_person
from hubbub.model.accounts.account import Account
from hubbub.storage.key_value import KeyValueStore

PREFIX = "read/"  # of the keys, before the id of the account
LATEST = 1e11  # latest time of a marker, in epoch seconds: the year 5138

_Time = Annotated[float, msgspec.Meta(ge=0, le=LATEST)]
_decoder = msgspec.json.Decoder(dict[str, _Time])


def marker_store(
    store: KeyValueStore, markers: ReadMarkers, find: Callable[[str], Account | None] = lambda name: None
) -> MergedStore:
    """Return the store of read markers, which takes over the changes of `markers` as soon as it is loaded.

    Args:
        store: the key-value store.
        markers: the read markers.
        find: returns the account that owns a name. Markers of before the first release are for the names of people, not
            for their accounts; those of names that nobody owned at the time of the marker are dropped.

    """

    def target_of(target: str, time: float) -> str:
        if target[:1] in ("#", "@"):
            return target
        account = find(target)
        return of_person(account.id) if account and account.created <= time else ""

    def take(account: str, value: bytes) -> None:
        stored = _decoder.decode(value)
        known = {target_of(target, time): time for target, time in stored.items()}
        markers.merge(account, {target: time for target, time in known.items() if target})

    made = MergedStore(store, PREFIX, take, lambda account: msgspec.json.encode(markers.of(account)))
    markers.keep = made.keep
    return made
