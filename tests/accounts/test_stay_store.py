"""Who stays in which rooms, in the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from registered import BrokenStore

from called_later import Loop
from hubbub.accounts.stores import stay_store
from hubbub.accounts.stores.stay_store import PREFIX, StayStore
from hubbub.chat.users.staying import Stay, StayedRoom
from hubbub.errors import BrokerError
from hubbub.storage.key_value import MAX_VALUE_BYTES


class Kept:
    """Stays on a store in memory."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.store = BrokenStore(self.loop.later)
        self.stays = self.another()

    def another(self) -> StayStore:
        """Return the stays of another node."""
        return StayStore(self.store)

    def all(self, node: StayStore | None = None) -> Any:
        answers: list[Sequence[Stay] | BrokerError] = []
        (node or self.stays).all(answers.append)
        self.loop.run()
        (answer,) = answers
        return answer

    def claims(self, stay: Stay, *nodes: StayStore) -> list[bool]:
        answers: list[bool] = []
        for node in nodes:
            node.claim(stay, answers.append)
        self.loop.run()
        return answers


def stay(account: str, *rooms: str, since: float = 5.5) -> Stay:
    return Stay(account, tuple(StayedRoom(f"id of {room}", room, 3, 9) for room in rooms), since)


def test_a_stay_is_stored_replaced_and_deleted() -> None:
    kept = Kept()
    assert kept.all() == []
    kept.stays.keep("ann", stay("ann", "lobby"))
    assert not kept.stays.idle
    kept.loop.run()
    assert kept.stays.idle and kept.all(kept.another()) == [stay("ann", "lobby")]
    kept.stays.keep("ann", stay("ann"))
    kept.stays.keep("bo", stay("bo", "tea", since=0.0))
    kept.loop.run()
    assert kept.all(kept.another()) == [stay("ann"), stay("bo", "tea", since=0.0)]
    kept.stays.keep("ann", None)
    kept.stays.keep("cy", None)
    kept.loop.run()
    assert kept.stays.idle and kept.all(kept.another()) == [stay("bo", "tea", since=0.0)]
    kept.stays.keep("ann", stay("ann", "dev"))
    kept.loop.run()
    assert stay("ann", "dev") in kept.all()


def test_changes_during_a_write_are_written_as_one_after_it() -> None:
    kept = Kept()
    puts: list[int] = []
    put = kept.store.put
    kept.store.put = lambda key, value, revision, done: (puts.append(revision), put(key, value, revision, done))  # type: ignore[method-assign, assignment, return-value, func-returns-value]
    for room in ("a", "b", "c"):
        kept.stays.keep("ann", stay("ann", room))
    kept.loop.run()
    assert len(puts) == 2 and kept.all() == [stay("ann", "c")]


def test_of_two_nodes_one_claims_a_stay_and_the_other_one_may_still_store_it() -> None:
    kept = Kept()
    kept.stays.keep("ann", stay("ann", "lobby"))
    kept.loop.run()
    one, two = kept.another(), kept.another()
    assert kept.all(one) == kept.all(two) == [stay("ann", "lobby")]
    assert kept.claims(stay("ann", "lobby"), one, two) == [True, False]
    two.keep("ann", stay("ann", "tea"))
    kept.loop.run()
    one.keep("ann", None)
    kept.loop.run()
    assert kept.all() == [] and one.idle and two.idle


def test_a_node_that_reads_one_stay_may_claim_it() -> None:
    kept = Kept()
    kept.stays.keep("ann", stay("ann", "lobby"))
    kept.loop.run()
    other, found = kept.another(), list[Stay | None]()
    other.get("ann", found.append)
    other.get("bo", found.append)
    kept.loop.run()
    assert found == [stay("ann", "lobby"), None]
    assert kept.claims(stay("ann", "lobby"), other, kept.stays) == [True, False]


def test_a_store_that_is_away_loses_one_change_and_takes_the_next_one() -> None:
    kept = Kept()
    kept.store.broken = True
    kept.stays.keep("ann", stay("ann", "lobby"))
    assert kept.claims(stay("bo"), kept.another()) == [False]
    assert kept.stays.idle
    kept.store.broken = False
    kept.stays.keep("ann", stay("ann", "tea"))
    kept.loop.run()
    assert kept.all() == [stay("ann", "tea")]
    late = kept.another()
    late.keep("ann", stay("ann", "dev"))  # with a revision that it does not know
    kept.store.broken = False
    get = kept.store.get
    kept.store.get = lambda key, done: kept.loop.later(done, BrokerError("away"))  # type: ignore[method-assign]
    kept.loop.run()
    kept.store.get = get  # type: ignore[method-assign]
    assert late.idle and kept.all() == [stay("ann", "tea")]


def test_who_is_always_overtaken_gives_up() -> None:
    kept = Kept()
    kept.stays.keep("ann", stay("ann", "lobby"))
    kept.loop.run()
    late, other = kept.another(), kept.stays
    get, tries = kept.store.get, 0

    def overtaken(key: str, done: Any) -> None:
        nonlocal tries
        tries += 1
        get(key, done)
        other.keep("ann", stay("ann", f"room{tries}"))

    kept.store.get = overtaken  # type: ignore[method-assign]
    late.keep("ann", stay("ann", "never"))
    kept.loop.run()
    assert late.idle and tries == stay_store.TRIES - 1 and kept.all() == [stay("ann", f"room{tries}")]


def test_pages_damage_and_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept()
    monkeypatch.setattr(stay_store, "MAX_ITEMS", 2)
    monkeypatch.setattr(stay_store, "MOST", 3)
    for id in "abcde":
        kept.stays.keep(id, stay(id))
    kept.store.put(f"{PREFIX}f", b"[]", 0, lambda outcome: None)
    kept.loop.run()
    assert [one.account for one in kept.all(kept.another())] == ["c", "d", "e"]
    long = stay("g", *("ü" * 32 + str(number) for number in range(1000)))
    kept.stays.keep("g", long)
    kept.loop.run()
    (found,) = [one for one in kept.all() if one.account == "g"]
    assert found.rooms == long.rooms[: stay_store.ROOMS] and len(stay_store._value(long)) < MAX_VALUE_BYTES
    kept.store.items = lambda prefix, after, limit, done: kept.loop.later(done, BrokerError("away"))  # type: ignore[method-assign]
    assert str(kept.all()) == "away"
