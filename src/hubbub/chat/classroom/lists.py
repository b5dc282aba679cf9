"""Short lists of facts about rooms that are no entries of the log, which all members read: they are kept beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from hubbub.errors import Refused

T = TypeVar("T")

# Gets the list as it is stored and returns the new one, or raises Refused.
ListChange = Callable[[Sequence[T]], Sequence[T]]
ListChanged = Callable[[Sequence[T] | Refused], None]  # gets the list after the change, or why it was not changed


class ListStore(Protocol[T]):
    """Lists by key, outside this process: the same ones on all nodes."""

    def change(self, key: str, change: ListChange[T], done: ListChanged[T]) -> None:
        """Change the list with a key, and call `done`, now or later, with it or with a refusal.

        `change` is called again if another node changes the list at the same time.
        """
        ...


class Lists(Generic[T]):
    """Lists by key, in memory; they follow `store`, which is this object itself until the owner sets another one."""

    def __init__(self) -> None:
        self._known: dict[str, Sequence[T]] = {}
        self.store: ListStore[T] = self

    def of(self, key: str) -> Sequence[T]:
        """Return the list with a key, the first one first."""
        return self._known.get(key, ())

    def change(self, key: str, change: ListChange[T], done: ListChanged[T]) -> None:
        """Change a list in memory alone."""
        try:
            self.note(key, change(self.of(key)))
        except Refused as refusal:
            done(refusal)
        else:
            done(self.of(key))

    def note(self, key: str, values: Sequence[T]) -> None:
        """Take over a list as it is stored now."""
        self._known.pop(key, None)
        if values:
            self._known[key] = values
