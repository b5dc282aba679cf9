"""A start and the first join cost the same however long the log is: counted in steps of SQLite, not in seconds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from probing import draft

from hubbub.model.entries import Kind
from hubbub.model.queries import LogPage
from hubbub.storage.sqlite.store import Store
from system_queries import Latest, Search, Since

ROOMS = 2
LATEST = 20  # messages that somebody who joins is shown


def make(folder: Path, messages: int) -> None:
    """Write a log with joins, topics and so many messages; all of them are in the text index."""
    folder.mkdir()
    with closing(Store(folder, write=True)) as store:
        for room in range(ROOMS):
            store.append([draft("", f"room{room}", Kind.JOIN), draft("tea", f"room{room}", Kind.TOPIC)], 1.0)
        for start in range(0, messages, 500):
            store.append([draft(f"message {n}", f"room{n % ROOMS}") for n in range(start, start + 500)], 2.0 + start)
        while store.index_some(1_000):
            pass


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the steps of SQLite's virtual machine on all connections that are opened from now on."""
    count = [0]
    connect = sqlite3.connect

    def one_more() -> None:
        count[0] += 1

    def counting(*values: Any, **options: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*values, **options)
        db.set_progress_handler(one_more, 1)
        return db

    monkeypatch.setattr(sqlite3, "connect", counting)
    return count


def test_a_start_and_the_first_join_do_not_read_the_log(tmp_path: Path, steps: list[int]) -> None:
    found = []
    for messages in (1_000, 4_000):
        folder = tmp_path / str(messages)
        make(folder, messages)
        steps[0] = 0
        with closing(Store(folder, write=True)), closing(Store(folder)) as reader:
            opened = steps[0]
            room = reader.opened("room1", LATEST)
            found.append((opened, steps[0] - opened))
        assert len(room.latest) == LATEST and room.snapshot
    (start, join), (later_start, later_join) = found
    assert later_start <= start * 1.1
    assert later_join <= join * 1.1
    assert 100 < start < 5_000 and 100 < join < 20_000, "what is counted here is the whole work"


def test_polls_are_looked_for_in_no_message(tmp_path: Path, steps: list[int]) -> None:
    found = []
    for messages in (1_000, 4_000):
        folder = tmp_path / str(messages)
        make(folder, messages)
        with closing(Store(folder)) as reader:
            for query in (Latest("room1", LATEST), Since("room1", 0.0, LATEST), Search("absent", 5)):
                steps[0] = 0
                assert isinstance(reader._ANSWERS[type(query)](reader, query), LogPage)
                found.append(steps[0])
    short, long = found[:3], found[3:]
    assert min(short) > 100 and all(later < 2 * cost for cost, later in zip(short, long, strict=True))


def test_log_of_an_older_version_gets_the_index_of_polls(tmp_path: Path) -> None:
    make(tmp_path / "log", 500)
    with closing(Store(tmp_path / "log", write=True)) as store:
        store.append([draft("tea? | yes | no", "room1", Kind.POLL)], 9.0)
        store._db.execute("DROP INDEX entry_polls")
    with closing(Store(tmp_path / "log")) as reader:
        assert reader.answer(Latest("room1", 1)).entries[0].kind == Kind.POLL, "it is only slower without the index"
    with closing(Store(tmp_path / "log", write=True)) as store:
        assert store.answer(Latest("room1", 1)).entries[0].kind == Kind.POLL
        assert store._db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'entry_polls'").fetchone() == (1,)
        assert store.check() == []
