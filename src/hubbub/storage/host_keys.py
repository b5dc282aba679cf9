"""The fingerprints of the ssh host keys that were shown to clients, beside the log: by this node or by others.

Clients remember the key of a name, and warn of an attack when it changes. The keys themselves are secrets, which not
every reader of the log may have, so only their fingerprints are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hubbub.errors import BrokerError
from hubbub.storage.key_value import Item, KeyValueStore

KEY = "ssh/host-keys"


def announce(store: KeyValueStore, fingerprints: Sequence[str], differs: Callable[[str], None]) -> None:
    """Store the fingerprints of this node, and call `differs` with those that were stored if they are others."""

    def read(found: Item | BrokerError | None) -> None:
        if isinstance(found, BrokerError):
            return
        before = found.value.decode("utf-8", "replace") if found else ""
        now = " ".join(sorted(fingerprints))
        if before and before != now:
            differs(before)
        if before != now:
            store.put(KEY, now.encode(), found.revision if found else 0, lambda outcome: None)

    store.get(KEY, read)
