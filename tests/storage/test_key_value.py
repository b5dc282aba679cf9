"""The promises of storage/key_value.py, asked of every implementation."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from probing import Probe, SetClock

from hubbub.cluster.nats.broker import JetStreamBroker
from hubbub.cluster.nats.key_value import CHANGED
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.errors import BrokerError
from hubbub.storage.key_value import MAX_KEY_BYTES, MAX_VALUE_BYTES, Changed, Item, KeyValueStore
from hubbub.storage.memory import MemoryBroker
from hubbub.storage.sqlite import key_value
from hubbub.storage.sqlite.broker import SqliteBroker
from hubbub.storage.sqlite.schema import FILE
from nats_servers import NatsServers

running: list[NatsServers] = []
STORES: dict[str, Callable[[Path, SetClock], MemoryBroker | SqliteBroker | JetStreamBroker]] = {
    "memory": lambda folder, clock: MemoryBroker(clock),
    "sqlite": SqliteBroker,
    "nats": lambda folder, clock: JetStreamBroker(NatsCredentials(running[0].url), clock),
}


@pytest.fixture(scope="module", params=STORES)
def name(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name a store; the servers that it needs run as long as its tests."""
    if request.param == "nats":
        running.append(NatsServers(tmp_path_factory.mktemp("nats"), 1))
        running[0].start()
    yield request.param
    while running:
        running.pop().stop()


class Asked:
    """A store whose methods return what their callbacks get."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.store: KeyValueStore = probe.key_values

    async def _answer(self, method: Callable[..., None], *values: Any) -> Any:
        answers = self.probe.asking(method, *values)
        await self.probe.until(lambda: bool(answers))
        return answers[0]

    async def get(self, key: str) -> Any:
        return await self._answer(self.store.get, key)

    async def put(self, key: str, value: bytes, revision: int = 0) -> Any:
        return await self._answer(self.store.put, key, value, revision)

    async def delete(self, key: str, revision: int) -> Any:
        return await self._answer(self.store.delete, key, revision)

    async def items(self, prefix: str, after: int = 0, limit: int = 100) -> Any:
        return await self._answer(self.store.items, prefix, after, limit)


@pytest.fixture
async def asked(name: str, tmp_path: Path) -> AsyncIterator[Asked]:
    clock = SetClock()
    probe = Probe(STORES[name](tmp_path, clock), clock)
    await probe.cluster.connect()
    probe.start()
    yield Asked(probe)
    await probe.stop()
    if running:
        await running[0].forget()
    assert not probe.early


async def test_a_value_is_read_as_it_was_put(asked: Asked) -> None:
    for number, value in enumerate((b"", b"\0\xff one", b"x" * MAX_VALUE_BYTES)):
        key = f"account/zoë {number}.*>"
        revision = await asked.put(key, value)
        assert await asked.get(key) == Item(key, value, revision)
    assert await asked.get("account/nobody") is None


async def test_of_two_writers_that_read_the_same_revision_one_wins(asked: Asked) -> None:
    first = await asked.put("a/b", b"1")
    assert isinstance(await asked.put("a/b", b"2"), Changed), "it is there already"
    second = await asked.put("a/b", b"2", first)
    assert second > first
    assert isinstance(await asked.put("a/b", b"3", first), Changed)
    assert isinstance(await asked.put("a/new", b"3", first), Changed)
    assert await asked.get("a/b") == Item("a/b", b"2", second)


async def test_a_deleted_key_is_gone_and_its_revision_is_not_used_again(asked: Asked) -> None:
    first = await asked.put("a/b", b"1")
    for key, revision in (("a/b", 0), ("a/b", first + 1), ("a/c", first)):
        assert isinstance(await asked.delete(key, revision), Changed)
    assert await asked.delete("a/b", first) is None
    assert await asked.get("a/b") is None
    assert isinstance(await asked.delete("a/b", first), Changed)
    assert await asked.put("a/b", b"2") > first


async def test_items_come_in_the_order_of_their_changes_page_by_page(asked: Asked) -> None:
    assert list(await asked.items("a/")) == []
    for key in ("a/x", "a/b/c", "ab/x", "a", "a0", "b/a/x", "a/ö"):
        await asked.put(key, key.encode())
    again = await asked.get("a/x")
    await asked.put("a/x", b"new", again.revision)
    found = await asked.items("a/")
    assert [(item.key, item.value) for item in found] == [("a/b/c", b"a/b/c"), ("a/ö", "a/ö".encode()), ("a/x", b"new")]
    assert await asked.items("a/", 0, 2) == found[:2]
    assert await asked.items("a/", found[1].revision, 2) == found[2:]
    assert list(await asked.items("a/", found[2].revision)) == []


async def test_odd_keys_and_long_values_are_refused(asked: Asked) -> None:
    store = asked.store

    def done(result: object) -> None:
        raise AssertionError

    for key in ("", "/", "a/", "/a", "a//b", "x" * (MAX_KEY_BYTES + 1), "a\0b", "a\ud800b"):
        for ask in (
            lambda k: store.get(k, done),
            lambda k: store.put(k, b"", 0, done),
            lambda k: store.delete(k, 1, done),
            lambda k: store.delete(k, 0, done),
        ):
            with pytest.raises(ValueError, match="key"):
                ask(key)
    with pytest.raises(ValueError, match="too long"):
        store.put("a", b"x" * (MAX_VALUE_BYTES + 1), 0, done)
    for prefix in ("", "/", "a", "\udfff/"):
        with pytest.raises(ValueError, match=r"prefix|key"):
            store.items(prefix, 0, 1, done)


async def test_a_value_outlives_the_server_and_the_log_is_the_same(tmp_path: Path) -> None:
    clock = SetClock()
    revision = 0
    for before in (None, b"kept"):
        probe = Probe(SqliteBroker(tmp_path, clock), clock)
        probe.start()
        asked = Asked(probe)
        item = await asked.get("a/b")
        assert (item and item.value) == before
        revision = await asked.put("a/b", b"kept", item.revision if item else 0)
        await probe.say("hi")
        await probe.stop()
    assert revision == 2


async def test_a_change_that_the_disk_refuses_changes_nothing(tmp_path: Path) -> None:
    clock = SetClock()
    probe = Probe(SqliteBroker(tmp_path, clock), clock)
    probe.start()
    asked = Asked(probe)
    assert await asked.put("a/b", b"1") == 1
    broker = probe.broker
    assert isinstance(broker, SqliteBroker)
    broker._store._db.execute("PRAGMA query_only = 1")
    outcome = await asked.put("a/b", b"2", 1)
    assert isinstance(outcome, BrokerError) and not isinstance(outcome, Changed)
    assert (await asked.get("a/b")).value == b"1"
    broker._store._db.execute("PRAGMA query_only = 0")
    assert await asked.put("a/b", b"2", 1) == 2
    await probe.stop()


async def test_a_value_that_is_too_long_leaves_the_old_one(asked: Asked) -> None:
    revision = await asked.put("a/b", b"1")
    with pytest.raises(ValueError, match="too long"):
        await asked.put("a/b", b"x" * (MAX_VALUE_BYTES + 1), revision)
    item = await asked.get("a/b")
    assert item and item.value == b"1"


# --- watching ---------------------------------------------------------------------------------------------------------


class Watch:
    """The changes that a store reports, as keys with their values."""

    def __init__(self, asked: Asked, prefix: str) -> None:
        self.asked = asked
        self.seen: list[tuple[str, bytes | None]] = []
        self.ready: list[BrokerError | None] = []
        asked.probe._call(asked.store.watch, prefix, self._changed, self._ready)

    def _changed(self, key: str, item: Item | None) -> None:
        assert item is None or item.key == key
        self.asked.probe._arrived()
        self.seen.append((key, item.value if item else None))

    def _ready(self, error: BrokerError | None) -> None:
        self.asked.probe._arrived()
        self.ready.append(error)

    async def until(self, *seen: tuple[str, bytes | None]) -> None:
        await self.asked.probe.until(lambda: len(self.seen) >= len(seen) and bool(self.ready))
        assert self.seen == list(seen) and self.ready == [None]


async def test_a_watcher_gets_the_items_that_are_there_and_then_every_change(asked: Asked) -> None:
    old = await asked.put("a/old", b"0")
    await asked.delete("a/old", old)
    first = await asked.put("a/b", b"1")
    await asked.put("ab/c", b"not this one")
    watch = Watch(asked, "a/")
    there: list[tuple[str, bytes | None]] = [("a/b", b"1")]
    await watch.until(*there)
    second = await asked.put("a/b", b"2", first)
    await watch.until(*there, ("a/b", b"2"))
    await asked.put("ab/d", b"nor this one")
    await asked.put("a/ö/c", b"")
    await watch.until(*there, ("a/b", b"2"), ("a/ö/c", b""))
    assert isinstance(await asked.put("a/b", b"3", first), Changed)
    await asked.delete("a/b", second)
    await watch.until(*there, ("a/b", b"2"), ("a/ö/c", b""), ("a/b", None))
    await asked.put("a/b", b"4")
    await watch.until(*there, ("a/b", b"2"), ("a/ö/c", b""), ("a/b", None), ("a/b", b"4"))
    both = Watch(asked, "a/")
    await asked.probe.until(lambda: bool(both.ready))
    assert set(both.seen) == {("a/ö/c", b""), ("a/b", b"4")} and len(both.seen) == 2, "in any order of the keys"


async def test_a_watcher_gets_more_items_than_a_page_holds(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("sqlite", "nats"):
        where = {"sqlite": "hubbub.storage.sqlite.key_value", "nats": "hubbub.cluster.nats.key_value"}[module]
        monkeypatch.setattr(f"{where}.MAX_ITEMS", 2)
    for number in range(5):
        await asked.put(f"a/{number}", b"")
    await Watch(asked, "a/").until(*((f"a/{number}", b"") for number in range(5)))


@pytest.mark.parametrize("name", ["sqlite", "nats"], indirect=True, scope="module")
async def test_a_watcher_gets_the_changes_of_another_process(asked: Asked, name: str, tmp_path: Path) -> None:
    watch = Watch(asked, "a/")
    await watch.until()
    if name == "sqlite":
        with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as db, db:
            revision = key_value._put(db, "a/b", b"1", 0)
        await watch.until(("a/b", b"1"))
        with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as db, db:
            key_value._delete(db, "a/b", revision)
    else:
        clock = SetClock()
        other = Asked(Probe(STORES[name](tmp_path, clock), clock))
        await other.probe.broker.connect()
        other.probe.start()
        revision = await other.put("a/b", b"1")
        await watch.until(("a/b", b"1"))
        await other.delete("a/b", revision)
        await other.probe.stop()
    await watch.until(("a/b", b"1"), ("a/b", None))


@pytest.mark.parametrize("name", ["nats"], indirect=True, scope="module")
async def test_a_node_finds_the_changes_of_which_it_got_no_message(
    asked: Asked, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = asked.probe.broker
    assert isinstance(broker, JetStreamBroker)
    revision = await asked.put("a/gone", b"1")
    watch = Watch(asked, "a/")
    await watch.until(("a/gone", b"1"))

    async def lost(subject: str, data: bytes, reply: str = "") -> None:
        assert subject.startswith(CHANGED)

    monkeypatch.setattr(broker.link, "tell", lost)
    await asked.delete("a/gone", revision)
    await asked.put("a/new", b"2")
    broker.key_values.compare_soon()
    await asked.probe.until(lambda: len(watch.seen) == 3)
    assert set(watch.seen[1:]) == {("a/gone", None), ("a/new", b"2")}


def test_a_disk_that_fails_is_asked_for_changes_less_often() -> None:
    asked: list[Callable[[Any], None]] = []
    timers: list[tuple[float, Callable[[], None]]] = []
    store = key_value.SqliteKeyValue(
        lambda act, done: asked.append(done),
        lambda act, done: None,
        lambda seconds, call: timers.append((seconds, call)),
    )
    store.watch("a/", lambda key, item: None, lambda error: None)
    asked.pop()(([], 1))
    for newest, looks, wait in (
        (1, 1, key_value.POLL),
        (1, 0, key_value.POLL),
        (BrokerError("broken"), 0, key_value.PAUSE),
    ):
        timers.pop()[1]()
        asked.pop()(newest)
        assert (len(asked), timers[-1][0]) == (looks, wait)
        for done in asked:
            done(([], 1))
        asked.clear()


def test_a_deletion_between_two_pages_of_the_items_that_are_there_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a token that is revoked while the server starts would stay valid until the next start."""
    monkeypatch.setattr(key_value, "MAX_ITEMS", 2)
    with contextlib.closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL)")
        key_value.prepare(db)
        revisions = [key_value._put(db, f"a/{number}", b"", 0) for number in range(5)]
        asked: list[tuple[Callable[[sqlite3.Connection], Any], Callable[[Any], None]]] = []
        store = key_value.SqliteKeyValue(
            lambda act, done: asked.append((act, done)), lambda act, done: None, lambda seconds, call: None
        )
        there: dict[str, Item] = {}
        ready: list[BrokerError | None] = []

        def changed(key: str, item: Item | None) -> None:
            if item:
                there[key] = item
            else:
                there.pop(key, None)

        def answer() -> None:
            act, done = asked.pop(0)
            done(act(db))

        store.watch("a/", changed, ready.append)
        answer()
        assert set(there) == {"a/0", "a/1"} and not ready
        key_value._delete(db, "a/0", revisions[0])
        key_value._put(db, "a/1", b"new", revisions[1])
        while asked:
            answer()
        assert ready == [None]
        assert {key: item.value for key, item in there.items()} == {"a/1": b"new", "a/2": b"", "a/3": b"", "a/4": b""}


async def test_a_store_that_cannot_be_read_is_not_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SetClock()
    probe = Probe(SqliteBroker(tmp_path, clock), clock)
    probe.start()

    def broken(*_: object) -> object:
        raise sqlite3.OperationalError("no")

    monkeypatch.setattr(key_value, "_page", broken)
    watch = Watch(Asked(probe), "a/")
    await probe.until(lambda: bool(watch.ready))
    assert isinstance(watch.ready[0], BrokerError) and not watch.seen
    await probe.stop()
