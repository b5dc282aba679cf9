"""The positions of accounts in their private conversations, in the key-value store: `private/OWNER/OTHER`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from hubbub.chat.private.positions import Position
from hubbub.errors import BrokerError
from hubbub.storage.key_value import MAX_ITEMS, Changed, Item, KeyValueStore

PREFIX = "private/"
SOON = 1.0  # seconds until a position is written: a lively conversation needs no write for each message
TRIES = 5  # of a change that others overtake
KNOWN = 10_000  # conversations of which a process remembers that both people have a record

Done = Callable[[BrokerError | None], None]


class _Record(msgspec.Struct, frozen=True, omit_defaults=True):
    seq: int = 0  # of the last entry that was given
    waiting: bool = False  # there may be more
    missed: int = 0  # the number of the first message that was stored and not given; 0 if there is none


class _Plan(NamedTuple):
    """Positions to write soon: the highest numbers of `given` and of `shown`, and whether nothing more waits."""

    given: int = 0
    shown: int = 0
    all: bool = False


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Record)


class StoredPositions:
    """Positions in a key-value store.

    Args:
        store: the key-value store of the log.
        later: calls a function after some seconds.

    """

    def __init__(self, store: KeyValueStore, later: Callable[[float, Callable[[], None]], object]) -> None:
        self._store = store
        self._later = later
        self._flying: Counter[tuple[str, str]] = Counter()  # announced messages without an outcome
        self._plans: dict[tuple[str, str], _Plan] = {}
        self._known: set[tuple[str, str]] = set()  # authors who have a record of the conversation

    def announce(self, owner: str, other: str, done: Done) -> None:
        """Note that a message of `other` to `owner` is about to be stored, and call `done` when that is durable."""
        self._flying[owner, other] += 1

        def noted(error: BrokerError | None) -> None:
            if error or (other, owner) in self._known:
                self._finish(owner, other, done, error)
            else:
                # An empty record: so the author finds the conversation as well.
                finish = partial(self._finish, owner, other, done)
                self._change(other, owner, lambda record: record or _Record(), finish)

        self._change(owner, other, lambda record: replace(record or _Record(), waiting=True), noted)

    def _finish(self, owner: str, other: str, done: Done, error: BrokerError | None) -> None:
        if error:
            self.settled(owner, other)
        else:
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known.add((other, owner))
        done(error)

    def settled(self, owner: str, other: str) -> None:
        """Note that an announced message has its outcome. Until then `all` of `shown` does not count."""
        self._flying[owner, other] -= 1
        if self._flying[owner, other] <= 0:
            del self._flying[owner, other]

    def given(self, owner: str, other: str, seq: int) -> None:
        """Note soon that `owner` was given the message with a number, unless they have missed an earlier one."""
        self._plan(owner, other, _Plan(given=seq))

    def shown(self, owner: str, other: str, seq: int, all: bool) -> None:
        """Note soon that `owner` was shown all up to a number from the log; with `all`, that nothing more waits."""
        self._plan(owner, other, _Plan(shown=seq, all=all and not self._flying[owner, other]))

    def missed(self, owner: str, other: str, seq: int) -> None:
        """Note that `owner` was not given the message with a number: the position stays before it until `shown`."""

        def edit(record: _Record | None) -> _Record:
            known = record or _Record()
            return _Record(min(known.seq, seq - 1), True, min(known.missed or seq, seq))

        self._change(owner, other, edit, lambda error: None)

    def _plan(self, owner: str, other: str, new: _Plan) -> None:
        planned = self._plans.get((owner, other))
        given, shown, all = planned or _Plan()
        self._plans[owner, other] = _Plan(max(given, new.given), max(shown, new.shown), all or new.all)
        if planned is None:
            self._later(SOON, partial(self._write, owner, other))

    def _write(self, owner: str, other: str) -> None:
        given, shown, all = self._plans.pop((owner, other))
        all = all and not self._flying[owner, other]

        def edit(record: _Record | None) -> _Record:
            known = record or _Record()
            # It may have been missed on another node since the log was read.
            missed = known.missed if known.missed > shown else 0
            seq = max(known.seq, shown if missed else max(given, shown))
            return _Record(seq, known.waiting and not (all and not missed), missed)

        self._change(owner, other, edit, lambda error: None)  # after an error, a message is shown twice

    def _change(self, owner: str, other: str, edit: Callable[[_Record | None], _Record], done: Done) -> None:
        key, left = f"{PREFIX}{owner}/{other}", TRIES

        def read(item: Item | BrokerError | None) -> None:
            if isinstance(item, BrokerError):
                done(item)
                return
            record = _record(item) if item else None
            changed = edit(record)
            if changed == record:
                done(None)
            else:
                self._store.put(key, _encoder.encode(changed), item.revision if item else 0, stored)

        def stored(outcome: int | BrokerError) -> None:
            nonlocal left
            left -= 1
            if isinstance(outcome, Changed) and left:
                self._store.get(key, read)
            else:
                done(outcome if isinstance(outcome, BrokerError) else None)

        self._store.get(key, read)

    def of(self, owner: str, done: Callable[[Sequence[Position] | BrokerError], None]) -> None:
        """Call `done` later with the positions of an account in its conversations, the last one changed at the end."""
        prefix, found = f"{PREFIX}{owner}/", dict[str, Position]()

        def read(items: Sequence[Item] | BrokerError) -> None:
            if isinstance(items, BrokerError):
                done(items)
                return
            for item in items:
                other, record = item.key.removeprefix(prefix), _record(item)
                found.pop(other, None)
                found[other] = Position(other, record.seq, record.waiting)
            if len(items) < MAX_ITEMS:
                done(list(found.values()))
            else:
                self._store.items(prefix, items[-1].revision, MAX_ITEMS, read)

        self._store.items(prefix, 0, MAX_ITEMS, read)


def _record(item: Item) -> _Record:
    """Return the record of an item; that of a conversation of which nothing was given if it cannot be read."""
    try:
        return _decoder.decode(item.value)
    except msgspec.MsgspecError:
        return _Record(waiting=True)
