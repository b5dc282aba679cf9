"""The questions and join codes of rooms in the key-value store: one item for each list that is not empty."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from hubbub.chat.classroom.join_codes import JoinCode, JoinCodes
from hubbub.chat.classroom.lists import ListChange, ListChanged, Lists
from hubbub.chat.classroom.questions import Question, Questions
from hubbub.errors import BrokerError, Refused
from hubbub.storage import key_value
from hubbub.storage.key_value import Item, KeyValueStore
from hubbub.text import refusals

log = logging.getLogger(__name__)

QUESTIONS = "question/"  # before the id of the room
JOIN_CODES = "join-code/"  # before the letters of the code
TRIES = 5  # of a change that others overtake
T = TypeVar("T")


class StoredLists(Generic[T]):
    """Lists in a key-value store.

    Args:
        store: the key-value store of the log.
        lists: takes over all changes, also those of other nodes.
        prefix: of the keys.
        of: the type of a value.

    """

    def __init__(self, store: KeyValueStore, lists: Lists[T], prefix: str, of: type[T]) -> None:
        self._store = store
        self._lists = lists
        self._prefix = prefix
        self._decoder: Any = msgspec.json.Decoder(tuple[of, ...])  # type: ignore[valid-type]

    def load(self, done: Callable[[BrokerError | None], None]) -> None:
        """Read all lists, follow their changes, and call `done`."""
        self._lists.store = self
        self._store.watch(self._prefix, self._note, done)

    def _note(self, key: str, item: Item | None) -> None:
        self._lists.note(key.removeprefix(self._prefix), self._read(item))

    def change(self, key: str, change: ListChange[T], done: ListChanged[T]) -> None:
        """Change the list with a key, and call `done` with it or with a refusal."""
        self._try(key, change, done, TRIES)

    def _try(self, key: str, change: ListChange[T], done: ListChanged[T], tries: int) -> None:
        def read(item: Item | BrokerError | None) -> None:
            if isinstance(item, BrokerError):
                done(refusals.BUSY(reason=item))
                return
            try:
                values = change(self._read(item))
            except Refused as refusal:
                done(refusal)
                return
            written = partial(self._written, key, change, done, tries - 1, values)
            revision = item.revision if item else 0
            if values:
                self._store.put(self._prefix + key, msgspec.json.encode(values), revision, written)
            else:
                self._store.delete(self._prefix + key, revision, written)

        self._store.get(self._prefix + key, read)

    def _written(
        self,
        key: str,
        change: ListChange[T],
        done: ListChanged[T],
        tries: int,
        values: Sequence[T],
        outcome: int | BrokerError | None,
    ) -> None:
        if isinstance(outcome, key_value.Changed) and tries:
            self._try(key, change, done, tries)
        elif isinstance(outcome, BrokerError):
            done(refusals.BUSY(reason=outcome))
        else:
            self._lists.note(key, tuple(values))
            done(values)

    def _read(self, item: Item | None) -> Sequence[T]:
        """Return the list in an item; none if it is damaged: the next change replaces it."""
        try:
            values: Sequence[T] = self._decoder.decode(item.value) if item else ()
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            log.error("%s is damaged and void", item.key if item else "")
            return ()
        return values


def stored_questions(store: KeyValueStore, questions: Questions) -> StoredLists[Question]:
    """Return the open questions in a key-value store."""
    return StoredLists(store, questions, QUESTIONS, Question)


def stored_join_codes(store: KeyValueStore, codes: JoinCodes) -> StoredLists[JoinCode]:
    """Return the join codes in a key-value store."""
    return StoredLists(store, codes, JOIN_CODES, JoinCode)
