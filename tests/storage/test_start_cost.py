"""A start and the first join cost the same however long the log is: counted in steps of SQLite, not in seconds."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from probing import draft

from hubbub.model.entries import Kind
from hubbub.storage.sqlite.store import Store

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
