"""The names of deleted accounts that were freed: `former/ID`, so that others still find their conversations by name."""

from __future__ import annotations

from collections.abc import Callable

from hubbub.errors import BrokerError
from hubbub.model.accounts.account import Account
from hubbub.storage.key_value import Changed, Item, KeyValueStore
from hubbub.text.names import is_name, key_of

PREFIX = "former/"
MARK = "~"  # stands in no name


class FormerNames:
    """The former owners of names.

    An owner is shown under the name alone while nobody else has or had it, else under the name, a MARK and the id.

    Args:
        store: the key-value store of the log.
        find: returns the account that owns a name now.

    """

    def __init__(self, store: KeyValueStore, find: Callable[[str], Account | None]) -> None:
        self._store = store
        self._find = find
        self._names: dict[str, str] = {}  # by id
        self._ids: dict[str, dict[str, None]] = {}  # by folded name

    def load(self, done: Callable[[BrokerError | None], None]) -> None:
        """Read all records, follow the store, and call `done`."""
        self._store.watch(PREFIX, self._note, done)

    def _note(self, key: str, item: Item | None) -> None:
        id, name = key.removeprefix(PREFIX), item.value.decode("utf-8", "replace") if item else ""
        if is_name(name):
            self._names[id] = name
            self._ids.setdefault(key_of(name), {})[id] = None

    def add(self, account: Account, done: Callable[[BrokerError | None], None]) -> None:
        """Store the name of an account that is about to be removed, and call `done`."""
        key, value = PREFIX + account.id, account.name.encode()

        def stored(outcome: int | BrokerError) -> None:
            if isinstance(outcome, BrokerError) and not isinstance(outcome, Changed):
                done(outcome)
            else:
                self._note(key, Item(key, value, 0))
                done(None)

        self._store.put(key, value, 0, stored)

    def by_id(self, id: str) -> Account | None:
        """Return the removed account with an id, under the name by which it is found; None if there is none."""
        name = self._names.get(id, "")
        if not name:
            return None
        alone = self._find(name) is None and len(self._ids[key_of(name)]) == 1
        return Account(id=id, name=name if alone else f"{name}{MARK}{id}", created=0.0, deleted=True)

    def find(self, name: str) -> Account | None:
        """Return the removed account with a name, as `by_id` returns it; None if there is none, or several."""
        plain, _, id = name.partition(MARK)
        ids = [one for one in self._ids.get(key_of(plain), ()) if one.casefold() == id.casefold() or not id]
        return self.by_id(ids[0]) if len(ids) == 1 else None
