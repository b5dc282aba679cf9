"""Whose search is done when, what happens to those that nobody waits for, and searching while the index is made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from probing import SECONDS, Probe, SetClock, draft, said, texts

from hubbub.errors import BrokerError, Busy
from hubbub.model import queries as forms
from hubbub.model.entries import Kind
from hubbub.model.queries import LogPage
from hubbub.storage import memory
from hubbub.storage.memory import MemoryBroker
from hubbub.storage.search_scheduler import WAITING, WAITING_IN_ALL, SearchScheduler
from hubbub.storage.sqlite import queries
from hubbub.storage.sqlite.broker import SEARCHERS, SqliteBroker
from hubbub.storage.sqlite.schema import VERSION, upgrade
from hubbub.storage.sqlite.store import Store
from system_queries import Latest, Search

Done = Callable[[Any], None]
clock = SetClock()


@dataclass
class Peer:
    """Somebody who asks."""

    address: str = "192.0.2.1"
    closed: bool = False


def query(asker: Peer, words: str = "tea") -> Search:
    return Search(words, 20, asker=asker)


class Desk:
    """Searches that end when the test says so."""

    def __init__(self, at_once: int = 2) -> None:
        self.begun: list[tuple[Search, Done]] = []
        self.ended: list[tuple[str, Any]] = []
        self.searches = SearchScheduler(lambda query, done: self.begun.append((query, done)), at_once)

    def ask(self, asker: Peer, words: str = "tea") -> None:
        self.searches.ask(query(asker, words), lambda result: self.ended.append((words, result)))

    def end_first(self) -> None:
        _, done = self.begun.pop(0)
        done(LogPage(()))

    @property
    def under_way(self) -> list[str]:
        return [query.words for query, _ in self.begun]


async def test_of_an_address_one_search_is_done_at_a_time() -> None:
    desk, one, two = Desk(), Peer("a"), Peer("b")
    for number in range(3):
        desk.ask(one, f"a{number}")
    desk.ask(two, "b0")
    assert desk.under_way == ["a0", "b0"]
    desk.end_first()
    assert desk.under_way == ["b0", "a1"]


async def test_addresses_take_turns() -> None:
    desk = Desk(at_once=1)
    for number in range(3):
        for name in "abc":
            desk.ask(Peer(name), f"{name}{number}")
    order = []
    while desk.begun:
        order += desk.under_way
        desk.end_first()
    assert order == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


async def test_too_many_of_an_address_are_told_so_and_others_are_not() -> None:
    desk = Desk()
    for number in range(1 + WAITING + 3):
        desk.ask(Peer("a"), str(number))
    desk.ask(Peer("b"), "b")
    assert desk.under_way == ["0", "b"] and not desk.ended, "never from within the call"
    await asyncio.sleep(0)
    assert [words for words, result in desk.ended if isinstance(result, Busy)] == [
        str(WAITING + number) for number in (1, 2, 3)
    ]


async def test_too_many_in_all_are_told_so() -> None:
    desk = Desk()
    for number in range(SEARCHERS + WAITING_IN_ALL + 1):
        desk.ask(Peer(str(number)), str(number))
    await asyncio.sleep(0)
    assert len(desk.ended) == 1 and isinstance(desk.ended[0][1], Busy)


async def test_search_of_an_asker_that_has_gone_is_not_begun() -> None:
    desk, one = Desk(at_once=1), Peer("a")
    gone = Peer("b")
    desk.ask(one, "a")
    desk.ask(gone, "b")
    desk.ask(Peer("c"), "c")
    gone.closed = True
    desk.end_first()
    assert not desk.under_way
    await asyncio.sleep(0)
    assert desk.under_way == ["c"] and [words for words, _ in desk.ended] == ["a", "b"]


# --- on a log -----------------------------------------------------------------------------------------------------


async def test_searches_delay_neither_joins_nor_history_nor_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = Probe(SqliteBroker(tmp_path, clock), clock)
    probe.start()
    await probe.say("tea")
    gate, answer = threading.Event(), Store.answer

    def slow(store: Store, query: Any) -> Any:
        if isinstance(query, forms.Search):
            gate.wait(SECONDS)
        return answer(store, query)

    monkeypatch.setattr(Store, "answer", slow)
    found = [probe.asking(probe.index.search, query(Peer(f"192.0.2.{number}"))) for number in range(40)]
    assert texts((await probe.open("lobby")).latest) == ["tea"]
    assert texts((await probe.read(Latest("lobby", 5))).entries) == ["tea"]
    await probe.say("more")
    assert not any(found)
    gate.set()
    await probe.until(lambda: all(found))
    assert all(texts(page.entries) == ["tea"] for (page,) in found)
    await probe.stop()


async def test_search_ends_when_its_asker_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "STEPS", 10)
    probe = Probe(SqliteBroker(tmp_path, clock), clock)
    probe.start()
    await probe.say(*(f"tea {number}" for number in range(2000)))
    asker = Peer()
    looks = 0

    class Leaving(Peer):
        @property
        def closed(self) -> bool:  # type: ignore[override]
            nonlocal looks
            looks += 1
            return looks > 2

        @closed.setter
        def closed(self, value: bool) -> None:
            pass

    result = await probe.read(Search("nowhere", 20, asker=Leaving()))
    assert isinstance(result, BrokerError) and looks < 20
    assert len((await probe.read(query(asker))).entries) == 20
    await probe.stop()


async def test_search_in_memory_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SLICE", 10)
    probe = Probe(MemoryBroker(clock), clock)
    probe.start()
    await probe.say(*(f"tea {number}" for number in range(1000)))
    found = probe.asking(probe.index.search, query(Peer(), "nowhere"))
    later = probe.asking(probe.broker.read, Latest("lobby", 1))
    await probe.until(lambda: bool(later))
    assert not found
    await probe.until(lambda: bool(found))
    assert not found[0].entries
    assert len((await probe.read(query(Peer(), "tea"))).entries) == 20


# --- while the index is made --------------------------------------------------------------------------------------


def old_log(folder: Path, count: int) -> Store:
    """Return a log that an older version wrote, opened by this one."""
    with closing(Store(folder, write=True)) as store:
        store.append(said(*(f"tea {number}" for number in range(count))), clock())
        db = store._db
        db.executescript(
            "DROP INDEX room_key; ALTER TABLE room DROP COLUMN key;"
            "DROP TABLE entry_text; DROP INDEX entry_time; ALTER TABLE entry DROP COLUMN sum; PRAGMA user_version = 2;"
            "CREATE VIRTUAL TABLE entry_text USING fts5 (text, content='entry', content_rowid='seq')"
        )
    return Store(folder, write=True)


def test_index_of_an_older_log_is_made_from_its_end(tmp_path: Path) -> None:
    with closing(old_log(tmp_path, 100)) as log:
        page = log.answer(Search("tea", 200))
        assert not page.entries and page.note == "Only the newest 0 % were searched: the index is being built"
        assert log.index_some(40)
        page = log.answer(Search("tea", 200))
        assert texts(page.entries) == [f"tea {number}" for number in range(60, 100)]
        assert page.note == "Only the newest 40 % were searched: the index is being built"
        page = log.answer(Search("tea", 10))
        assert texts(page.entries)[-1] == "tea 99" and page.more and not page.note, "that is what was asked for"
        log.append(said("tea 100"), clock())
        assert len(log.answer(Search("tea", 200)).entries) == 41, "what is new is found at once"
        while log.index_some(7):
            pass
        page = log.answer(Search("tea", 200))
        assert len(page.entries) == 101 and not page.note
        assert log.check() == []
        log.append([draft(f"{page.entries[5].id} why", kind=Kind.REDACT)], clock())
        assert len(log.answer(Search("tea", 200)).entries) == 100 and log.check() == []


@pytest.mark.parametrize("fed", [0, 40, 100])
def test_what_is_forgotten_while_the_index_is_made_leaves_it_whole(tmp_path: Path, fed: int) -> None:
    from hubbub.storage.retention import Retention

    with closing(old_log(tmp_path, 100)) as log:
        if fed:
            log.index_some(fed)
        while log.trim_some(Retention(count=50), 0, 7):
            pass
        while log.index_some(7):
            pass
        assert len(log.answer(Search("tea", 200)).entries) == 50 and log.check() == []


def test_reader_searches_a_log_that_no_new_server_has_opened(tmp_path: Path) -> None:
    old_log(tmp_path, 20).close()
    with closing(Store(tmp_path, write=True)) as log:
        log._db.executescript("DROP INDEX room_key; ALTER TABLE room DROP COLUMN key")
        log._db.executescript("DROP TABLE entry_text; DROP INDEX entry_time; PRAGMA user_version = 2")
        log._db.execute("ALTER TABLE entry DROP COLUMN sum")
    with closing(Store(tmp_path)) as reader:
        assert texts(reader.answer(Search("TEA 7", 5)).entries) == ["tea 7"]
        assert len(reader.answer(Latest("lobby", 50)).entries) == 20 and reader.check() == []


def test_upgrade_of_a_log_of_this_version_does_nothing(tmp_path: Path) -> None:
    with closing(Store(tmp_path, write=True)) as log:
        before = log._db.total_changes
        upgrade(log._db, VERSION)
        assert log._db.total_changes == before
