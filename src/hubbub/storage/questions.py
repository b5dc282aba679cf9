"""The open questions of rooms in the key-value store: one item for each room that has some."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from hubbub.chat.classroom.questions import Change, Changed, Question, Questions
from hubbub.errors import BrokerError, Refused
from hubbub.storage import key_value
from hubbub.storage.key_value import Item, KeyValueStore
from hubbub.text import refusals

log = logging.getLogger(__name__)

PREFIX = "question/"  # of the keys, before the id of the room
TRIES = 5  # of a change that others overtake
_decoder = msgspec.json.Decoder(tuple[Question, ...])


class StoredQuestions:
    """The questions in a key-value store.

    Args:
        store: the key-value store of the log.
        questions: takes over all changes, also those of other nodes.

    """

    def __init__(self, store: KeyValueStore, questions: Questions) -> None:
        self._store = store
        self._questions = questions

    def load(self, done: Callable[[BrokerError | None], None]) -> None:
        """Read all questions, follow their changes, and call `done`."""
        self._questions.store = self
        self._store.watch(PREFIX, self._note, done)

    def _note(self, key: str, item: Item | None) -> None:
        self._questions.note(key.removeprefix(PREFIX), _read(item))

    def change(self, room: str, change: Change, done: Changed) -> None:
        """Change the questions of the room with an id, and call `done` with them or with a refusal."""
        self._try(room, change, done, TRIES)

    def _try(self, room: str, change: Change, done: Changed, tries: int) -> None:
        def read(item: Item | BrokerError | None) -> None:
            if isinstance(item, BrokerError):
                done(refusals.BUSY(reason=item))
                return
            try:
                questions = change(_read(item))
            except Refused as refusal:
                done(refusal)
                return
            written = partial(self._written, room, change, done, tries - 1, questions)
            revision = item.revision if item else 0
            if questions:
                self._store.put(PREFIX + room, msgspec.json.encode(questions), revision, written)
            else:
                self._store.delete(PREFIX + room, revision, written)

        self._store.get(PREFIX + room, read)

    def _written(
        self,
        room: str,
        change: Change,
        done: Changed,
        tries: int,
        questions: Sequence[Question],
        outcome: int | BrokerError | None,
    ) -> None:
        if isinstance(outcome, key_value.Changed) and tries:
            self._try(room, change, done, tries)
        elif isinstance(outcome, BrokerError):
            done(refusals.BUSY(reason=outcome))
        else:
            self._questions.note(room, tuple(questions))
            done(questions)


def _read(item: Item | None) -> Sequence[Question]:
    """Return the questions in an item; none if it is damaged: the next change replaces it."""
    try:
        return _decoder.decode(item.value) if item else ()
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        log.error("the stored questions of a room are damaged and void")
        return ()
