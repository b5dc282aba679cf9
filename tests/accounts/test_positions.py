"""How far people were given their private conversations, in the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from registered import BrokenStore

from called_later import Loop
from hubbub.accounts.stores import positions
from hubbub.accounts.stores.positions import StoredPositions
from hubbub.chat.private.positions import Position
from hubbub.errors import BrokerError


class Kept:
    """Positions on a store in memory, and the writes that are to come soon."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.store = BrokenStore(self.loop.later)
        self.soon: list[Callable[[], None]] = []
        self.positions = self.another()

    def another(self) -> StoredPositions:
        """Return the positions of another node."""
        return StoredPositions(self.store, lambda seconds, call: self.soon.append(call))

    def announce(self, owner: str, other: str, node: StoredPositions | None = None) -> Any:
        answers: list[BrokerError | None] = []
        (node or self.positions).announce(owner, other, answers.append)
        self.loop.run()
        (answer,) = answers
        return answer

    def write(self) -> None:
        while self.soon:
            self.soon.pop(0)()
        self.loop.run()

    def of(self, owner: str) -> Any:
        answers: list[Sequence[Position] | BrokerError] = []
        self.positions.of(owner, answers.append)
        self.loop.run()
        return answers[0]


def test_an_announced_message_waits_for_its_recipient_and_both_have_the_conversation() -> None:
    kept = Kept()
    assert kept.announce("bo", "ann") is None and kept.announce("bo", "ann") is None
    assert kept.of("bo") == [Position("ann", 0, True)] and kept.of("ann") == [Position("bo", 0, False)]
    assert kept.of("cy") == []


def test_a_position_rises_and_is_written_once_for_many_messages() -> None:
    kept = Kept()
    kept.announce("bo", "ann")
    kept.positions.settled("bo", "ann")
    for seq in (3, 9, 6):
        kept.positions.given("bo", "ann", seq)
    assert kept.of("bo") == [Position("ann", 0, True)] and len(kept.soon) == 1
    kept.write()
    kept.another().given("bo", "ann", 4)
    kept.write()
    assert kept.of("bo") == [Position("ann", 9, True)]
    kept.positions.shown("bo", "ann", 9, all=True)
    kept.write()
    assert kept.of("bo") == [Position("ann", 9, False)]
    kept.announce("bo", "ann")
    assert kept.of("bo") == [Position("ann", 9, True)]


def test_nothing_is_called_given_as_long_as_an_announced_message_has_no_outcome() -> None:
    kept = Kept()
    kept.announce("bo", "ann")
    kept.positions.shown("bo", "ann", 3, all=True)
    kept.write()
    assert kept.of("bo") == [Position("ann", 3, True)]
    kept.positions.settled("bo", "ann")
    kept.positions.shown("bo", "ann", 3, all=True)
    kept.announce("bo", "ann")  # meanwhile
    kept.write()
    assert kept.of("bo") == [Position("ann", 3, True)]


def test_a_message_that_was_on_its_way_when_all_was_given_waits_after_its_outcome() -> None:
    kept = Kept()
    kept.announce("bo", "ann")
    kept.positions.shown("bo", "ann", 3, all=True)
    kept.positions.settled("bo", "ann")
    kept.write()
    assert kept.of("bo") == [Position("ann", 3, True)]


def test_a_missed_message_holds_the_position_on_all_nodes_until_it_is_shown() -> None:
    kept = Kept()
    other = kept.another()
    kept.announce("bo", "ann")
    kept.positions.settled("bo", "ann")
    kept.positions.given("bo", "ann", 3)
    kept.write()
    kept.positions.missed("bo", "ann", 4)
    kept.positions.missed("bo", "ann", 6)
    other.given("bo", "ann", 5)
    kept.write()
    assert kept.of("bo") == [Position("ann", 3, True)]
    # Another node has read the log before the message was stored, or it reads a part.
    other.shown("bo", "ann", 3, all=True)
    kept.write()
    assert kept.of("bo") == [Position("ann", 3, True)]
    other.shown("bo", "ann", 4, all=False)
    kept.write()
    other.given("bo", "ann", 7)
    other.shown("bo", "ann", 7, all=True)
    kept.announce("bo", "ann")
    kept.write()
    assert kept.of("bo") == [Position("ann", 7, False)]
    # The node of the recipient did not answer in time: the message is shown twice.
    kept.positions.missed("bo", "ann", 5)
    kept.write()
    assert kept.of("bo") == [Position("ann", 4, True)]


def test_two_nodes_that_change_one_position_lose_nothing() -> None:
    kept = Kept()
    other = kept.another()
    kept.announce("bo", "ann")
    kept.positions.given("bo", "ann", 3)
    other.given("bo", "ann", 5)
    kept.write()
    assert kept.of("bo") == [Position("ann", 5, True)]


def test_a_store_that_fails_is_reported_and_announces_nothing() -> None:
    kept = Kept()
    kept.store.broken = True
    assert isinstance(kept.announce("bo", "ann"), BrokerError)
    kept.store.items = lambda prefix, after, limit, done: done(BrokerError("away"))  # type: ignore[method-assign]
    assert isinstance(kept.of("bo"), BrokerError)
    del kept.store.items  # type: ignore[method-assign]
    kept.positions.shown("bo", "ann", 3, all=True)
    kept.write()
    kept.store.broken = False
    kept.positions.shown("bo", "ann", 3, all=True)
    kept.write()
    assert kept.of("bo") == [Position("ann", 3, False)]


def test_a_damaged_record_counts_as_a_conversation_that_waits(monkeypatch: Any) -> None:
    kept = Kept()
    monkeypatch.setattr(positions, "KNOWN", 1)
    kept.store.put("private/bo/ann", b"{", 0, lambda outcome: None)
    assert kept.of("bo") == [Position("ann", 0, True)]
    assert kept.announce("bo", "ann") is None and kept.announce("bo", "cy") is None
    assert len(kept.positions._known) == 1


def test_a_conversation_that_goes_on_while_they_are_read_is_the_last(monkeypatch: Any) -> None:
    kept = Kept()
    for other in ("ann", "cy"):
        kept.announce("bo", other)
    read = kept.store.items

    def items(prefix: str, after: int, limit: int, done: Any) -> None:
        read(prefix, after, limit, done)
        if not after:
            kept.positions.given("bo", "ann", 9)
            kept.soon.pop()()

    monkeypatch.setattr(positions, "MAX_ITEMS", 1)
    monkeypatch.setattr(kept.store, "items", items)
    assert kept.of("bo") == [Position("cy", 0, True), Position("ann", 9, True)]
