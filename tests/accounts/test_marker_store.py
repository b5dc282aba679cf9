"""Read markers in the key-value store: together in one item of an account, also from several nodes."""

from __future__ import annotations

from typing import Any

import pytest

from called_later import Loop
from hubbub.accounts.stores.marker_store import PREFIX, marker_store
from hubbub.chat.users.read_markers import ReadMarkers
from hubbub.errors import BrokerError
from hubbub.model.accounts.account import Account
from hubbub.storage.memory_key_value import MemoryKeyValue


def node(loop: Loop, store: MemoryKeyValue) -> ReadMarkers:
    markers = ReadMarkers()
    loaded: list[BrokerError | None] = []
    marker_store(store, markers).load(loaded.append)
    loop.run()
    assert loaded == [None]
    return markers


def test_markers_outlive_a_restart_and_reach_other_nodes() -> None:
    loop = Loop()
    store = MemoryKeyValue(loop.later)
    one, two = node(loop, store), node(loop, store)
    one.advance("a", "#ops", 5.0)
    one.advance("a", "@bo", 6.0)
    loop.run()
    assert two.of("a") == {"#ops": 5.0, "@bo": 6.0}
    # Both write at once: nothing is lost.
    one.advance("a", "#ops", 7.0)
    two.advance("a", "@bo", 8.0)
    two.advance("a", "#dev", 1.0)
    loop.run()
    assert one.of("a") == two.of("a") == node(loop, store).of("a") == {"#ops": 7.0, "@bo": 8.0, "#dev": 1.0}


def test_a_store_that_fails_is_written_with_the_next_change() -> None:
    loop = Loop()
    store = MemoryKeyValue(loop.later)
    one = node(loop, store)
    put, store.put = store.put, lambda *args: loop.later(args[-1], BrokerError("full"))  # type: ignore[method-assign]
    one.advance("a", "#ops", 5.0)
    loop.run()
    store.put = put  # type: ignore[method-assign]
    assert node(loop, store).of("a") == {}
    one.advance("a", "#ops", 6.0)
    loop.run()
    assert node(loop, store).of("a") == {"#ops": 6.0}
    # The item is deleted, and written again.
    found: list[Any] = []
    store.get(PREFIX + "a", found.append)
    loop.run()
    store.delete(PREFIX + "a", found[0].revision, found.append)
    loop.run()
    one.advance("a", "#ops", 7.0)
    loop.run()
    assert node(loop, store).of("a") == {"#ops": 7.0}
    # The store cannot be read after a conflict.
    other = node(loop, store)
    other.advance("a", "#ops", 8.0)
    one.advance("a", "#ops", 9.0)
    get, store.get = store.get, lambda key, done: loop.later(done, BrokerError("gone"))  # type: ignore[method-assign]
    loop.run()
    store.get = get  # type: ignore[method-assign]
    one.advance("a", "#ops", 10.0)
    loop.run()
    assert node(loop, store).of("a") == {"#ops": 10.0}


def test_markers_for_names_are_carried_to_the_accounts_that_own_them() -> None:
    loop = Loop()
    store = MemoryKeyValue(loop.later)
    store.put(PREFIX + "a", b'{"bo": 5, "cy": 5, "di": 5, "#ops": 5}', 0, lambda outcome: None)
    owners = {"bo": Account(id="b", name="Bo", created=4.0), "cy": Account(id="c", name="Cy", created=6.0)}
    markers = ReadMarkers()
    marker_store(store, markers, owners.get).load(lambda error: None)
    loop.run()
    assert markers.of("a") == {"@b": 5.0, "#ops": 5.0}


@pytest.mark.parametrize("value", [b"", b"[]", b'{"#ops": "x"}', b'{"\xff": 1}', b'{"#ops": 1e300}', b'{"#ops": -1}'])
def test_a_damaged_item_is_void_and_replaced_by_the_next_change(value: bytes) -> None:
    loop = Loop()
    store = MemoryKeyValue(loop.later)
    store.put(PREFIX + "a", value, 0, lambda outcome: None)
    one = node(loop, store)
    assert one.of("a") == {}
    one.advance("a", "#ops", 5.0)
    loop.run()
    assert node(loop, store).of("a") == {"#ops": 5.0}
