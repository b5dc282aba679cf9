"""Somebody who is muted stays so under another name: after a restart, and on the other nodes."""

from __future__ import annotations

from typing import Any

import pytest

from called_later import Loop
from doubles import NOON, House, Peer
from hubbub.accounts.stores.barred_store import PREFIX, barred_store
from hubbub.model.events import Refusal
from hubbub.model.room.memory import KEPT_SECONDS
from hubbub.storage.memory_key_value import MemoryKeyValue

BROWSER = "0f" * 16


def node(loop: Loop, store: MemoryKeyValue, before: House | None = None) -> House:
    """Return a node that has the log of another one, and knows what is stored."""
    house = House()
    if before:
        house.now = before.now
        house.broker.log = list(before.broker.log)
    loaded: list[Any] = []
    barred_store(store, house.hub.memories, lambda: house.now).load(loaded.append)
    loop.run()
    assert loaded == [None]
    return house


def browse(house: House, name: str, browser: str = BROWSER) -> Peer:
    peer = house.connect()
    peer.session.browser, peer.session.host = browser, f"~web@{browser[:4]}{name}.web"
    peer.types(name)
    house.settle()
    return peer


def is_muted(house: House, peer: Peer) -> bool:
    peer.sees()
    peer.types("hello")
    house.settle()
    return any(isinstance(one, Refusal) and one.code == "muted" for one in peer.sees())


def muted(loop: Loop, store: MemoryKeyValue) -> House:
    house = node(loop, store)
    (teacher,) = house.enter("Teacher")
    browse(house, "Joker")
    browse(house, "Neighbour", "1e" * 16)
    teacher.session.user.operator = True
    teacher.types("/mute Joker yes")
    house.settle()
    loop.run()
    return house


def test_the_joker_stays_muted_after_a_restart_and_on_another_node() -> None:
    loop = Loop()
    store = MemoryKeyValue(loop.later)
    other = node(loop, store)
    house = muted(loop, store)
    other.broker.log = list(house.broker.log)
    for place in (other, node(loop, store, house)):
        assert is_muted(place, browse(place, "Somebody"))
        assert not is_muted(place, browse(place, "Else", "1e" * 16))
    keys = list(store._items)
    assert keys == [PREFIX + BROWSER], "the neighbour is not stored"


def test_a_day_after_the_last_visit_all_is_forgotten() -> None:
    loop = Loop()
    store = MemoryKeyValue(loop.later)
    house = muted(loop, store)
    house.now += KEPT_SECONDS
    later = node(loop, store, house)
    later.hub.memories.expire(later.now)
    loop.run()
    assert not store._items and not later.hub.memories.barred


@pytest.mark.parametrize("value", [b"", b"[]", b'{"used": 1}', b'{"used": 1, "rooms": {"ops": [1]}}', b'{"\xff": 1}'])
def test_a_damaged_item_is_void(value: bytes) -> None:
    loop = Loop()
    store = MemoryKeyValue(loop.later)
    store.put(PREFIX + BROWSER, value, 0, lambda outcome: None)
    assert not node(loop, store).hub.memories.barred


def test_a_memory_from_the_future_is_from_now() -> None:
    loop = Loop()
    store = MemoryKeyValue(loop.later)
    store.put(PREFIX + BROWSER, b'{"used": 1e99, "rooms": {"ops": ["Joker!a@b"]}}', 0, lambda outcome: None)
    assert node(loop, store).hub.memories.barred[BROWSER].used == NOON
