"""Turns at writing a log: a server and a command never write at the same time."""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
from pathlib import Path

import pytest
from probing import Probe, SetClock

from hubbub.errors import BrokerError
from hubbub.storage.sqlite import turns
from hubbub.storage.sqlite.broker import SqliteBroker
from hubbub.storage.sqlite.schema import FILE
from hubbub.storage.sqlite.turns import Beside, Turns


def test_a_turn_waits_until_the_other_one_is_over(tmp_path: Path) -> None:
    one, other = Turns(tmp_path), Turns(tmp_path)
    order: queue.SimpleQueue[str] = queue.SimpleQueue()

    def second() -> None:
        with other:
            order.put("second")

    with one:
        thread = threading.Thread(target=second)
        thread.start()
        order.put("first")
    thread.join()
    assert [order.get(), order.get()] == ["first", "second"]
    one.close()
    other.close()


def test_a_turn_that_never_ends_holds_nobody_up_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "WAIT", 0.01)
    one, other = Turns(tmp_path), Turns(tmp_path)
    with one, other:
        pass
    one.close()
    other.close()


async def test_both_write_and_neither_loses_anything(tmp_path: Path) -> None:
    clock = SetClock()
    probe = Probe(SqliteBroker(tmp_path, clock), clock)
    probe.start()
    beside = Beside(tmp_path, tmp_path / FILE)
    for number in range(20):
        await probe.say("hi")
        beside.change(
            lambda db, number=number: db.execute("INSERT INTO item VALUES (?, x'', ?)", (f"a/{number}", 1000 + number))
        )
    assert len(probe.entries) == 20
    assert beside.look_up(lambda db: db.execute("SELECT count(*) FROM item").fetchone()) == (20,)
    with pytest.raises(BrokerError):
        beside.change(lambda db: db.execute("INSERT INTO nothing VALUES (1)"))
    with pytest.raises(BrokerError):
        beside.look_up(lambda db: db.execute("SELECT * FROM nothing"))
    with pytest.raises(ZeroDivisionError):
        beside.change(lambda db: 1 // 0)
    beside.close()
    await probe.stop()
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("SELECT count(*) FROM item").fetchone() == (20,)
        assert db.execute("SELECT count(*) FROM entry").fetchone() == (20,)
