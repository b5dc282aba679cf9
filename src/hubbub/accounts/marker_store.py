"""The read markers of accounts in the key-value store: one item for each account."""

from __future__ import annotations

from typing import Annotated

import msgspec

from hubbub.accounts.merged_store import MergedStore
from hubbub.chat.users.read_markers import ReadMarkers
from hubbub.storage.key_value import KeyValueStore

PREFIX = "read/"  # of the keys, before the id of the account
LATEST = 1e11  # latest time of a marker, in epoch seconds: the year 5138

_Time = Annotated[float, msgspec.Meta(ge=0, le=LATEST)]
_decoder = msgspec.json.Decoder(dict[str, _Time])


def marker_store(store: KeyValueStore, markers: ReadMarkers) -> MergedStore:
    """Return the store of read markers, which takes over the changes of `markers` as soon as it is loaded."""

    def take(account: str, value: bytes) -> None:
        markers.merge(account, _decoder.decode(value))

    made = MergedStore(store, PREFIX, take, lambda account: msgspec.json.encode(markers.of(account)))
    markers.keep = made.keep
    return made
