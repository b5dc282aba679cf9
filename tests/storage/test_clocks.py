"""Clocks that are wrong: what entries are dated, what is found by time, and what is forgotten by age."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from probing import SECONDS, Probe, SetClock, said, texts

from hubbub.storage.ports import LEAD, stamp
from hubbub.storage.retention import Retention
from hubbub.storage.sqlite import broker as module
from hubbub.storage.sqlite.broker import SqliteBroker
from hubbub.storage.sqlite.store import Store
from hubbub.storage.sqlite.upkeep.ageing import PACE, SLACK, Ageing
from system_queries import After, Around, Since

LAST = 1 << 60
NOON = 1_700_000_000.0
HOUR = 3600.0
DAY = 24 * HOUR
YEAR = 365 * DAY


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Store]:
    with closing(Store(tmp_path, write=True)) as store:
        yield store


def fill(store: Store, *times: float) -> None:
    """Store a message at each of these times, whatever the clock has shown before: as an older version did."""
    for time in times:
        store.append(said(f"{time:.0f}"), time)
        store._db.execute("UPDATE entry SET time = ? WHERE seq = ?", (time, store.last))
        store.newest = time


def everything(store: Store) -> list[str]:
    return texts(store.answer(After("lobby", 0, LAST, 1000)).entries)


# --- what entries are dated ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "newest", "expected"),
    [
        (10.0, 5.0, 10.0),
        (10.0, 10.0, 10.0),
        (10.0, 10.5, 10.5),  # an adjusted clock: times still rise
        (10.0, 10.0 + LEAD, 10.0 + LEAD),
        (10.0, 10.1 + LEAD, 10.0),
        (10.0, 10.0 + YEAR, 10.0),
    ],
)
def test_time_of_an_entry_is_the_clocks(clock: float, newest: float, expected: float) -> None:
    assert stamp(clock, newest) == expected


def test_clock_that_was_wrong_once_is_forgotten_after_a_restart_too(tmp_path: Path) -> None:
    with closing(Store(tmp_path, write=True)) as store:
        assert store.append(said("ahead"), NOON + 5 * YEAR)[0].time == NOON + 5 * YEAR
        assert store.append(said("right"), NOON)[0].time == NOON
        store.append(said("ahead again"), NOON + YEAR)
    with closing(Store(tmp_path, write=True)) as store:
        assert store.append(said("right again"), NOON + 1)[0].time == NOON + 1


# --- history by time ----------------------------------------------------------------------------------------------


def test_since_finds_what_was_said_after_the_clock_was_right_again(log: Store) -> None:
    fill(log, NOON, NOON + YEAR, NOON + 10, NOON + 20, NOON + 30)
    page = log.answer(Since("lobby", NOON + 15, 10, until=NOON + 30 + DAY))
    assert texts(page.entries) == [f"{NOON + 20:.0f}", f"{NOON + 30:.0f}"]
    assert len(log.answer(Since("lobby", NOON + 15, 10)).entries) == 3


def test_since_cuts_by_time_and_shows_by_number(log: Store) -> None:
    fill(log, 100.0, 500.0, 200.0, 300.0, 400.0)
    page = log.answer(Since("lobby", 150.0, 3))
    assert texts(page.entries) == ["200", "300", "400"] and page.more
    assert texts(log.answer(Since("lobby", 150.0, 4)).entries) == ["500", "200", "300", "400"]


@pytest.mark.parametrize(
    ("verb", "bounds", "limit", "expected"),
    [
        ("before", (300.0,), 2, ["100", "200"]),
        ("before", (500.0,), 2, ["300", "400"]),
        ("after", (200.0,), 2, ["300", "400"]),
        ("after", (399.0,), 5, ["400", "500"]),
        ("latest", (250.0,), 5, ["300", "400", "500"]),
        ("around", (300.0,), 3, ["200", "300", "400"]),
        ("between", (100.0, 500.0), 5, ["200", "300", "400"]),
        ("between", (500.0, 100.0), 2, ["300", "400"]),
    ],
)
def test_windows_of_time_in_a_log_whose_times_do_not_rise(
    log: Store, verb: str, bounds: tuple[float, ...], limit: int, expected: list[str]
) -> None:
    fill(log, 100.0, 500.0, 200.0, 300.0, 400.0)
    for every in (False, True):
        assert texts(log.answer(Around("lobby", verb, bounds, limit, every)).entries) == expected


def test_window_between_an_entry_and_a_time(log: Store) -> None:
    fill(log, 100.0, 500.0, 200.0, 300.0, 400.0)
    id = log.answer(After("lobby", 2, 3, 1)).entries[0].id  # the one of 200
    assert texts(log.answer(Around("lobby", "between", (id, 500.0), 5, False)).entries) == ["300", "400"]
    by_number = log.answer(Around("lobby", "after", (id,), 5, False)).entries
    assert texts(by_number) == ["300", "400"]


def test_windows_of_time_do_not_read_the_whole_log(log: Store) -> None:
    plan = log._db.execute(
        "EXPLAIN QUERY PLAN SELECT seq FROM entry WHERE room = 1 AND (time, seq) >= (?, ?) AND (time, seq) < (?, ?) "
        "ORDER BY time DESC, seq DESC LIMIT 5",
        (1.0, 0, 2.0, 0),
    ).fetchall()
    assert len(plan) == 1 and "entry_time (room=? AND time>? AND time<?)" in plan[0][3]


# --- the log's own time -------------------------------------------------------------------------------------------


def test_log_ages_as_the_clock_does() -> None:
    ageing = Ageing(0.0, NOON, 0.0)
    for hours in range(1, 100):
        assert ageing.advance(NOON + hours * HOUR, hours * HOUR) == NOON + hours * HOUR


def test_log_ages_no_faster_than_the_server_runs_when_the_clock_jumps_ahead() -> None:
    ageing = Ageing(0.0, NOON, 0.0)
    for minutes in range(1, 60):
        assert ageing.advance(NOON + YEAR, 60.0 * minutes) <= NOON + PACE * 60 * minutes + SLACK
    assert ageing.advance(NOON + HOUR, HOUR) == NOON + HOUR, "the clock is right again"


def test_clock_that_goes_back_forgets_nothing_and_is_soon_believed_when_it_is_right() -> None:
    ageing = Ageing(0.0, NOON, 0.0)
    assert ageing.advance(0.0, 10 * HOUR) == 0.0
    found = [ageing.advance(NOON + hours * HOUR, hours * HOUR) for hours in range(11, 40)]
    assert found[-1] == NOON + 39 * HOUR


def test_log_ages_on_after_a_restart_where_it_was() -> None:
    ageing = Ageing(NOON, NOON + 90 * DAY, 0.0)
    assert ageing.advance(NOON + 90 * DAY, 0.0) == NOON + SLACK
    days = next(
        day for day in range(100) if ageing.advance(NOON + (90 + day) * DAY, day * DAY) == NOON + (90 + day) * DAY
    )
    assert 20 < days <= 31, "a server that was off for three months has forgotten all that is too old after one"


# --- what is forgotten --------------------------------------------------------------------------------------------


def trim(store: Store, keep: Retention, now: float, limit: int = 7) -> list[str]:
    while store.trim_some(keep, now, limit):
        pass
    return everything(store)


def test_entries_from_the_future_do_not_keep_older_ones_behind_them(log: Store) -> None:
    fill(log, 100.0, *[NOON + YEAR + n for n in range(20)], *[200.0 + n for n in range(5)], NOON)
    assert trim(log, Retention(age=DAY), NOON + 10) == [f"{NOON:.0f}"]
    assert log.check() == []


def test_entries_from_the_future_are_kept_as_long_as_what_follows_them(log: Store) -> None:
    fill(log, 100.0, *[NOON + YEAR + n for n in range(20)], NOON, 200.0)
    assert len(trim(log, Retention(age=DAY), NOON + 10)) == 22
    fill(log, NOON + YEAR)
    assert len(trim(log, Retention(age=DAY), NOON + 10)) == 23, "nothing follows that one"


def test_young_entries_are_young_by_the_systems_clock_though_the_log_ages_behind_it(log: Store) -> None:
    fill(log, NOON + 90 * DAY, 100.0)
    while log.trim_some(Retention(age=DAY), NOON, 7, NOON + 90 * DAY):
        pass
    assert len(everything(log)) == 2


class Uptime(SetClock):
    """A clock that only the test moves."""


def serving(folder: Path, clock: SetClock, uptime: SetClock, monkeypatch: pytest.MonkeyPatch) -> Probe:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.setattr(module, "TRIM_EVERY", 0.01)
    probe = Probe(SqliteBroker(folder, clock, Retention(age=90 * DAY), uptime), clock)
    probe.start()
    return probe


async def looked(probe: Probe) -> None:
    """Wait until the writer has looked at least twice what has become too old."""
    seen = 0
    ageing = probe.broker._ageing  # type: ignore[attr-defined]
    advance, done = ageing.advance, asyncio.Event()
    loop = asyncio.get_running_loop()

    def noted(*values: float) -> float:
        nonlocal seen
        seen += 1
        if seen > 2:
            loop.call_soon_threadsafe(done.set)
        return float(advance(*values))

    ageing.advance = noted
    async with asyncio.timeout(SECONDS):
        await done.wait()
    ageing.advance = advance


async def count(probe: Probe) -> int:
    return len((await probe.read(After("lobby", 0, LAST, 1000))).entries)


async def test_clock_that_jumps_ahead_does_not_erase_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    clock, uptime = SetClock(NOON), Uptime(0.0)
    probe = serving(tmp_path, clock, uptime, monkeypatch)
    await probe.say(*map(str, range(200)))
    clock.now += YEAR
    uptime.now += 10 * 60.0
    await probe.say("a", "b", "c")
    await looked(probe)
    assert await count(probe) == 203
    assert "365 days ahead of the newest entry of this log" in caplog.text
    clock.now = NOON + 20 * 60
    uptime.now += 10 * 60.0
    await looked(probe)
    assert (await probe.say("right again"))[0].time == clock.now and await count(probe) == 204
    await probe.stop()


async def test_start_with_a_wrong_clock_does_not_erase_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, uptime = SetClock(NOON), Uptime(0.0)
    probe = serving(tmp_path, clock, uptime, monkeypatch)
    await probe.say(*map(str, range(200)))
    await probe.stop()
    clock.now += YEAR
    for _ in range(3):  # however often it is started
        probe = serving(tmp_path, clock, Uptime(0.0), monkeypatch)
        await looked(probe)
        assert await count(probe) == 200
        await probe.stop()


async def test_what_is_forgotten_is_said_on_the_console(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    clock, uptime = SetClock(NOON), Uptime(0.0)
    probe = serving(tmp_path, clock, uptime, monkeypatch)
    await probe.say(*map(str, range(200)))
    for now in (clock, uptime):
        now.now += 91 * DAY
    await looked(probe)
    async with asyncio.timeout(SECONDS):
        while "200 entries" not in caplog.text:  # noqa: ASYNC110 - it comes from another thread
            await asyncio.sleep(0.01)
    assert await count(probe) == 0
    await probe.stop()
    assert "200 entries that were older than 2023-11-1" in caplog.text


async def test_newest_entry_from_the_future_is_said_once_at_the_start_and_when_the_clock_is_set_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = SetClock(NOON + YEAR)
    probe = Probe(SqliteBroker(tmp_path, clock), clock)
    probe.start()
    await probe.say("ahead")
    assert "from the future" not in caplog.text
    clock.now = NOON
    await probe.say("one", "two")
    await probe.say("three")
    assert caplog.text.count("The newest entry is from the future (2024-11-1") == 1
    clock.now = NOON + YEAR
    await probe.say("ahead")
    await probe.stop()
    caplog.clear()
    clock.now = NOON + 10
    probe = Probe(SqliteBroker(tmp_path, clock), clock)
    probe.start()
    assert caplog.text.count("from the future") == 1
    await probe.say("four")
    await probe.stop()
    assert caplog.text.count("from the future") == 1
