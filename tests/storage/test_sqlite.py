"""The broker around the log: its threads, its lock, what it says when the disk fails, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from probing import SECONDS, Probe, SetClock, draft, said, texts

from hubbub.errors import BrokerError, SettingsError
from hubbub.model import queries as forms
from hubbub.model.entries import Kind
from hubbub.storage.retention import Retention
from hubbub.storage.sqlite import broker as module
from hubbub.storage.sqlite import queries
from hubbub.storage.sqlite.broker import READERS, SqliteBroker
from hubbub.storage.sqlite.schema import FILE, VERSION
from hubbub.storage.sqlite.store import Store
from hubbub.storage.sqlite.watermark import NAME
from system_queries import After, Latest, Search

LAST = 1 << 60


def made(folder: Path, clock: SetClock | None = None, keep: Retention | None = None) -> Probe:
    clock = clock or SetClock()
    return Probe(SqliteBroker(folder, clock, keep), clock)


def stuck(folder: Path) -> tuple[Probe, threading.Event]:
    """Return a broker that has begun, and stores nothing before the gate is open."""
    gate = threading.Event()

    class Gated(SetClock):
        def __call__(self) -> float:
            gate.wait(SECONDS)
            return self.now

    probe = made(folder, Gated())
    gate.set()
    probe.start()
    gate.clear()
    return probe, gate


@pytest.fixture
async def probe(tmp_path: Path) -> AsyncIterator[Probe]:
    probe = made(tmp_path / "data")
    probe.start()
    yield probe
    await probe.stop()
    assert not threads()


_before: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def forget_other_threads() -> None:
    """Look at the threads of this test alone: one that failed before, in any file, may have left some."""
    _before.clear()
    _before.update(threading.enumerate())


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "hubbub-sqlite" and thread not in _before]


async def log_of(folder: Path) -> list[str]:
    with closing(Store(folder)) as store:
        return texts(store.answer(After("lobby", 0, LAST, 10_000)).entries)


# --- its threads ----------------------------------------------------------------------------------------------


async def test_the_loop_goes_on_while_the_disk_does_not_answer(tmp_path: Path) -> None:
    """What comes meanwhile waits, and nothing is handed over before it is stored."""
    probe, gate = stuck(tmp_path)
    probe.publish(said("one"))
    probe.publish(said("two", "three"))
    answer = await probe.read(Latest("lobby", 5))
    assert not answer.entries and not probe.entries
    gate.set()
    await probe.until(lambda: len(probe.entries) == 3)
    assert [texts(batch) for batch in probe.batches] == [["one"], ["two", "three"]]
    await probe.stop()


async def test_every_callback_is_on_the_loops_thread(probe: Probe) -> None:
    seen = set()

    def done(_: object) -> None:
        seen.add(threading.current_thread())
        probe._news.set()

    probe.broker.read(Latest("lobby", 5), done)
    await probe.say("hi")
    await probe.read(Latest("lobby", 5))
    await probe.until(lambda: bool(seen))
    assert seen == {threading.current_thread()}


async def test_the_writer_survives_an_unexpected_error(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "append", fail)
        lost = draft("lost")
        probe.publish([lost])
        await probe.until(lambda: bool(probe.failed))
    assert probe.failed == [lost] and "bug" not in probe.reasons[0]
    assert "ZeroDivisionError" in caplog.text
    assert texts(await probe.say("after")) == ["after"]


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), ZeroDivisionError("a bug")])
async def test_the_writer_survives_an_error_of_the_indexing(
    probe: Probe, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    tried = threading.Event()

    def fail(*_: object) -> bool:
        tried.set()
        raise error

    monkeypatch.setattr(Store, "index_some", fail)
    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    await probe.say("before")
    assert await asyncio.to_thread(tried.wait, SECONDS)
    assert texts(await probe.say("after")) == ["after"]


async def test_readers_survive_an_unexpected_error(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked is told, each time, and who asks next is answered."""
    await probe.say("hi")

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(threading, "excepthook", lambda args: None)
    with monkeypatch.context() as patch:
        patch.setattr(Store, "answer", fail)
        for _ in range(READERS + 1):
            answer = await probe.read(Latest("lobby", 5))
            assert isinstance(answer, BrokerError) and "bug" not in str(answer)
    assert texts((await probe.read(Latest("lobby", 5))).entries) == ["hi"]


async def test_the_index_is_fed_while_nobody_talks(probe: Probe, tmp_path: Path) -> None:
    await probe.say(*(f"word{number}" for number in range(100)))
    with closing(sqlite3.connect(tmp_path / "data" / FILE)) as db:
        async with asyncio.timeout(SECONDS):
            while db.execute("SELECT value FROM mark WHERE name = 'indexed'").fetchone()[0] < 100:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert texts((await probe.read(Search("word7", 5))).entries) == ["word7"]


async def test_the_index_is_fed_under_load_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INDEX_LAG", 10)
    monkeypatch.setattr(module, "INDEX_STEP", 15)
    monkeypatch.setattr(module, "PAUSE", 3600.0)
    probe = made(tmp_path)
    probe.start()
    for number in range(30):
        await probe.say(*(f"{number}.{n}" for n in range(10)))
    await probe.stop()
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("SELECT value FROM mark WHERE name = 'indexed'").fetchone()[0] > 200


async def forgotten(probe: Probe, left: int) -> list[str]:
    """Wait until so many entries are left, and return what they say."""
    async with asyncio.timeout(SECONDS):
        while len((page := await probe.read(After("lobby", 0, LAST, 1000))).entries) != left:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return texts(page.entries)


async def test_the_oldest_are_forgotten_while_nobody_talks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.setattr(module, "TRIM_STEP", 10)
    probe = made(tmp_path, keep=Retention(count=100))
    probe.start()
    await probe.say(*map(str, range(300)))
    assert await forgotten(probe, 100) == [str(number) for number in range(200, 300)]
    await probe.say("more")
    assert (await forgotten(probe, 100))[-1] == "more"
    await probe.stop()
    with closing(Store(tmp_path)) as store:
        assert store.check() == []


async def test_what_becomes_too_old_is_forgotten_though_nobody_says_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    monkeypatch.setattr(module, "TRIM_EVERY", 0.01)
    probe = made(tmp_path, keep=Retention(age=60))
    probe.start()
    await probe.say("old")
    probe.clock.now += 50
    await probe.say("young")
    assert await forgotten(probe, 2)
    probe.clock.now += 50
    assert await forgotten(probe, 1) == ["young"]
    await probe.stop()


async def test_the_oldest_are_forgotten_under_load_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 3600.0)
    probe = made(tmp_path, keep=Retention(count=50))
    probe.start()
    for number in range(60):
        await probe.say(*(f"{number}.{n}" for n in range(20)))
    assert len((await probe.read(After("lobby", 0, LAST, 2000))).entries) < 300
    await probe.stop()


async def test_the_writer_survives_an_error_of_the_forgetting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.01)
    tried = threading.Event()

    def fail(*_: object) -> bool:
        tried.set()
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(Store, "trim_some", fail)
    probe = made(tmp_path, keep=Retention(count=1))
    probe.start()
    await probe.say("before")
    assert await asyncio.to_thread(tried.wait, SECONDS)
    assert texts(await probe.say("after")) == ["after"]
    await probe.stop()


# --- a disk that fails ----------------------------------------------------------------------------------------


async def test_a_full_disk_refuses_and_recovers_by_itself(probe: Probe) -> None:
    (before,) = await probe.say("before")
    store = probe.broker._store  # type: ignore[attr-defined]
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    for attempt in range(1, 3):
        lost = said(*("x" * 4000 for _ in range(50)))
        probe.publish(lost)
        await probe.until(lambda attempt=attempt: len(probe.reasons) == attempt)
        assert probe.failed[-50:] == lost
    assert probe.reasons == ["the disk is full"] * 2
    store._db.execute("PRAGMA max_page_count = 1073741823")
    (after,) = await probe.say("after")
    assert after.prev == before.seq
    assert texts((await probe.read(Latest("lobby", 100))).entries) == ["before", "after"]


async def test_a_log_that_cannot_be_read_is_a_sentence(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    await probe.say("hi")

    def fail(store: Store, query: object) -> None:
        store._db.execute("SELECT nothing FROM nowhere")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_ANSWERS", {forms.Latest: fail})
        answer = await probe.read(Latest("lobby", 5))
    assert isinstance(answer, BrokerError) and str(answer) == "the log cannot be used right now"
    assert texts((await probe.read(Latest("lobby", 5))).entries) == ["hi"]


async def test_a_long_answer_is_given_up(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    await probe.say(*map(str, range(5000)))
    monkeypatch.setattr(queries, "PATIENCE", 0.0)
    answer = await probe.read(Latest("lobby", 5, kinds=(Kind.KICK,)))
    assert isinstance(answer, BrokerError) and str(answer) == "that takes too long"


# --- the folder -----------------------------------------------------------------------------------------------


async def test_the_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    probe = made(folder)
    probe.start()
    await probe.stop()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / FILE).exists()


async def test_a_folder_in_use_by_another_server_is_said(probe: Probe, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with pytest.raises(SettingsError, match=f"The data folder {folder} is in use by another server."):
        made(folder).start()
    await probe.say("still here")
    assert await log_of(folder) == ["still here"]


async def test_a_stopped_server_lets_go_of_its_folder(tmp_path: Path) -> None:
    for number in range(3):
        probe = made(tmp_path)
        probe.start()
        await probe.say(str(number))
        await probe.stop()
    assert await log_of(tmp_path) == ["0", "1", "2"]


async def test_a_folder_under_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot be written: Not a directory"):
        made(tmp_path / "file" / "data").start()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_said(tmp_path: Path) -> None:
    async def start() -> None:
        made(tmp_path / "data").start()

    tmp_path.chmod(0o500)
    with pytest.raises(SettingsError, match="cannot be written: Permission denied"):
        asyncio.run(start())
    tmp_path.chmod(0o700)


async def test_a_start_that_fails_lets_go_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"garbage " * 1000)
    with pytest.raises(SettingsError, match="cannot be opened"):
        made(tmp_path).start()
    (tmp_path / FILE).unlink()
    probe = made(tmp_path)
    probe.start()
    assert texts(await probe.say("hi")) == ["hi"]
    await probe.stop()


async def test_a_newer_log_is_said_and_no_thread_is_left(tmp_path: Path) -> None:
    with closing(Store(tmp_path, write=True)) as store:
        store._db.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(SettingsError, match="newer"):
        made(tmp_path).start()
    assert not threads()


async def test_a_history_can_be_read_beside_the_server_and_after_it(probe: Probe, tmp_path: Path) -> None:
    await probe.say("one", "two")
    await probe.commit(draft("three", kind=Kind.ACTION))
    assert await log_of(tmp_path / "data") == ["one", "two", "three"]
    await probe.stop()
    assert await log_of(tmp_path / "data") == ["one", "two", "three"]


async def test_the_identity_of_a_log_stays_with_its_file(tmp_path: Path) -> None:
    found = []
    for folder in ("one", "one", "two"):
        probe = made(tmp_path / folder)
        probe.start()
        found.append(probe.broker.log_id)
        await probe.stop()
    assert found[0] == found[1] != found[2]


# --- the end --------------------------------------------------------------------------------------------------


async def test_stop_returns_after_the_outcome_was_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even when the last commit ends in the very turn of the loop in which stop looks."""
    monkeypatch.setattr(module, "PAUSE", SECONDS)  # in a pause the writer would wait for the clock with nothing taken
    probe, gate = stuck(tmp_path)
    probe.publish(said("last"))
    seen: list[int] = []

    async def stop() -> None:
        await probe.stop()
        seen.append(len(probe.entries))

    def commit_now() -> None:
        gate.set()
        for thread in threads():
            thread.join(SECONDS)

    async def queued(count: int) -> None:
        async with asyncio.timeout(SECONDS):
            while probe.broker._batches.qsize() != count:  # type: ignore[attr-defined]  # noqa: ASYNC110
                await asyncio.sleep(0)  # in no turn of the loop is it missed

    await queued(0)  # the writer has taken it
    stopping = asyncio.ensure_future(stop())
    await queued(1)  # the readers have ended, and the writer was told to
    loop = asyncio.get_running_loop()
    loop.call_later(0.001, loop.call_soon, commit_now)
    loop.call_soon(time.sleep, 0.05)  # after this both that and the look of stop are due: in one turn, in this order
    await stopping
    assert seen == [1]


async def test_a_clean_stop_leaves_one_file(tmp_path: Path) -> None:
    """The readers close first: only who may write can put all into one file, and only the last one to close does."""
    probe = made(tmp_path)
    probe.start()
    await probe.say("hi")
    await probe.read(Latest("lobby", 5))
    assert (tmp_path / f"{FILE}-wal").exists()
    await probe.stop()
    assert sorted(os.listdir(tmp_path)) == [FILE, NAME, "lock", "writing"]
    assert await log_of(tmp_path) == ["hi"]


async def test_stop_gives_up_at_its_deadline(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    probe, gate = stuck(tmp_path)
    probe.publish(said("never"))
    async with asyncio.timeout(SECONDS / 2):
        await probe.stop(0.05)
    assert not probe.entries
    gate.set()
    for thread in threads():
        await asyncio.to_thread(thread.join, SECONDS)


async def test_exactly_one_connection_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two, SQLite before 3.51.3 could lose a commit; so drafts, items, marks and the index share one."""
    opened: list[str] = []
    connect = sqlite3.connect

    def noting(target: str, **options: Any) -> sqlite3.Connection:
        opened.append(target.partition("?mode=")[2])
        return connect(target, **options)

    monkeypatch.setattr(sqlite3, "connect", noting)
    probe = made(tmp_path, keep=Retention(count=1))
    probe.start()
    await probe.say("one", "two")
    for method, *values in (
        (probe.key_values.put, "a/b", b"1", 0),
        (probe.index.search, Search("two", 5)),
        (probe.broker.probe,),
    ):
        answers = probe.asking(method, *values)
        await probe.until(lambda answers=answers: bool(answers))
    await probe.stop()
    assert opened.count("rwc") == 1 and set(opened) == {"rwc", "ro"}
