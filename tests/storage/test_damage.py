"""A log that is damaged: what is noticed, what is read of it all the same, and what is saved."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from probing import SECONDS, Probe, SetClock, draft, said, texts

from hubbub.errors import BrokerError, SettingsError
from hubbub.model import queries as forms
from hubbub.model.entries import Kind
from hubbub.model.queries import Query
from hubbub.model.viewer import Viewer
from hubbub.storage.sqlite.archive import Archive
from hubbub.storage.sqlite.broker import SqliteBroker
from hubbub.storage.sqlite.schema import FILE
from hubbub.storage.sqlite.store import Store
from hubbub.storage.sqlite.upkeep import checking
from hubbub.storage.sqlite.upkeep.checking import sqlite_warning
from records import text_in, topic_of
from system_queries import After, AllRooms, Around, Latest, Search, Since

LAST = 1 << 60
COUNT = 600
NUMBER = 300  # of the entry that is damaged
clock = SetClock()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of entries that are long enough that a page of the file holds seven of them."""
    folder = tmp_path_factory.mktemp("whole")
    with closing(Store(folder, write=True)) as store:
        store.append([draft("", kind=Kind.JOIN), draft("+m", kind=Kind.MODE), draft("tea", kind=Kind.TOPIC)], clock())
        store.append(said(*(f"text {number} ".ljust(500, ".") for number in range(4, COUNT + 1))), clock())
        while store.index_some(100):
            pass
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of that log, to be damaged."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return tmp_path


def flip(folder: Path, what: bytes, at: int, to: int) -> None:
    """Change a byte of the place in the file that has a text."""
    data = bytearray((folder / FILE).read_bytes())
    assert data.count(what) == 1
    data[data.index(what) + at] = to
    (folder / FILE).write_bytes(data)


def spoil(folder: Path, name: str, which: int = -1) -> None:
    """Overwrite a page: one of the leaves of a table or of an index."""
    with closing(sqlite3.connect(folder / FILE)) as db:
        pages = db.execute("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf'", (name,)).fetchall()
    page = pages[which if which >= 0 else len(pages) // 2][0]
    data = bytearray((folder / FILE).read_bytes())
    data[(page - 1) * 4096 : page * 4096] = b"\xa5" * 4096
    (folder / FILE).write_bytes(data)


def everything(store: Store) -> list[int]:
    """Return the numbers of all entries that can be read."""
    found: list[int] = []
    more = True
    while more:
        page = store.answer(After("lobby", found[-1] if found else 0, LAST, 200))
        found += [entry.seq for entry in page.entries]
        more = page.more
    return found


@pytest.mark.parametrize("change", ["text = '+i'", "kind = 'möde'", "id = 'x'", "kind = 'topic'"])
def test_what_holds_in_a_room_is_compared_with_what_was_said(folder: Path, change: str) -> None:
    with closing(sqlite3.connect(folder / FILE)) as db, db:
        db.execute(f"UPDATE ruling SET {change} WHERE kind = 'mode'")
    with closing(Store(folder)) as store:
        assert store.check() == ["The stored state of lobby does not match the entry with number 2."]
        assert store.opened("lobby", 1).seq == COUNT


def test_damage_does_not_open_a_closed_room(folder: Path) -> None:
    with closing(Store(folder, write=True)) as store:
        store.append([draft("+i", kind=Kind.MODE)], clock())
    with closing(sqlite3.connect(folder / FILE)) as db, db:
        db.execute("UPDATE ruling SET kind = 'möde' WHERE text = '+i'")
    with closing(Store(folder)) as store:
        with pytest.raises(BrokerError, match="the log is damaged"):
            store.answer(forms.Latest("lobby", 5, viewer=Viewer()))
        assert "+i" in [text_in(rule) for rule in store.opened("lobby", 1).snapshot], "as the entries say"


# --- a byte of an entry -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", [0xFF, 0x80, ord("T"), 0x00], ids=hex)
def test_flipped_byte_in_a_text_is_noticed_and_only_that_entry_is_missing(folder: Path, to: int) -> None:
    flip(folder, f"text {NUMBER} ..".encode(), 0, to)
    with closing(Store(folder)) as store:
        assert f"The entry with number {NUMBER} is damaged." in store.check()
    with closing(Store(folder)) as store:
        assert everything(store) == [number for number in range(1, COUNT + 1) if number != NUMBER]
        assert store.left_out == 1 and store.damage
        page = store.answer(Latest("lobby", 10, NUMBER + 5))
        assert page.note == "A damaged entry is left out" and len(page.entries) == 10
        assert store.answer(Latest("lobby", 10)).note == ""
        assert topic_of(store.opened("lobby", 20)) == "tea"


@pytest.mark.parametrize("column", ["nick", "id", "kind", "tags"])
def test_other_texts_of_an_entry_are_looked_at_too(folder: Path, column: str) -> None:
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute(f"UPDATE entry SET {column} = {column} || 'x' WHERE seq = ?", (NUMBER,))
        db.commit()
    with closing(Store(folder)) as store:
        assert f"The entry with number {NUMBER} is damaged." in store.check()
        assert len(everything(store)) == COUNT - 1


def test_time_that_cannot_be_is_damage(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute("UPDATE entry SET time = 1e300 WHERE seq = ?", (NUMBER,))
        db.commit()
    with closing(Store(folder)) as store:
        assert store.check() == [f"The entry with number {NUMBER} is damaged."]


def test_entry_without_a_room_is_damage(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute("UPDATE entry SET room = 77 WHERE seq = ?", (NUMBER,))
        db.commit()
    with closing(Store(folder)) as store:
        assert f"The entry with number {NUMBER} is damaged." in store.check()


def test_what_was_taken_back_is_no_damage(folder: Path) -> None:
    with closing(Store(folder, write=True)) as store:
        id = store.answer(Latest("lobby", 1)).entries[0].id
        store.append([draft(id, kind=Kind.REDACT)], clock())
        store.index_some(1000)
        assert store.check() == []


def test_entries_of_an_older_version_have_no_checksum_and_are_read(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as db:
        db.execute("UPDATE entry SET sum = NULL")
        db.commit()
    with closing(Store(folder)) as store:
        assert store.check() == [] and len(everything(store)) == COUNT
    flip(folder, f"text {NUMBER} ..".encode(), 0, 0xFF)
    with closing(Store(folder)) as store:
        assert f"The entry with number {NUMBER} is damaged." in store.check()
        assert len(everything(store)) == COUNT - 1


def test_damaged_entry_does_not_stop_the_index_or_the_forgetting(folder: Path) -> None:
    from hubbub.storage.retention import Retention

    with closing(Store(folder, write=True)) as store:
        store.append(said("late"), clock())
    flip(folder, b"late", 0, 0xFF)
    with closing(Store(folder, write=True)) as store:
        while store.index_some(50):
            pass
        store.append(said("later"), clock())
        assert texts(store.answer(Search("later", 5)).entries) == ["later"]
        while store.trim_some(Retention(count=1), clock(), 100):
            pass
        assert store.size().entries == 4, "what makes the rules, and one"


# --- a page of the file -------------------------------------------------------------------------------------------

PLACES = ["entry", "entry_room", "entry_said", "entry_id", "entry_time"]


@pytest.mark.parametrize("place", PLACES)
def test_spoilt_page_is_noticed_and_the_rest_is_read(folder: Path, place: str) -> None:
    spoil(folder, place)
    with closing(Store(folder)) as store:
        assert store.check()
        assert store.quick_check()
    with closing(Store(folder)) as store:
        found = everything(store)
        assert COUNT - 8 <= len(found) <= COUNT and found == sorted(set(found))
        assert len(found) == COUNT or place == "entry"
        queries: list[tuple[Query, int]] = [
            (Latest("lobby", 1000), 20), (Since("lobby", 0.0, 1000), 20), (Search("text", 1000), 20),
            (Around("lobby", "latest", (), 1000, True), COUNT - 8), (Around("lobby", "after", (1.0,), 90, False), 20),
        ]  # fmt: skip
        for query, least in queries:
            page = store.answer(query)
            assert len(page.entries) >= least, query
        state = store.opened("lobby", 20)
        assert (topic_of(state), state.seq) == ("tea", COUNT)
        assert [rule.kind for rule in state.snapshot] == [Kind.JOIN, Kind.MODE, Kind.TOPIC]
        assert len(store.answer(AllRooms(5)).rooms) == 1


def test_how_much_of_a_spoilt_page_is_missing_is_said(folder: Path) -> None:
    spoil(folder, "entry")
    with closing(Store(folder)) as store:
        missing = COUNT - len(everything(store))
        assert 0 < missing < 8
        note = store.answer(Around("lobby", "latest", (), 1000, True)).note
    assert note == f"{missing} damaged entries are left out"
    with closing(Store(folder)) as store:
        faults = store.check()
    assert any(f"{missing} entries or more cannot be read" in fault for fault in faults)


def test_spoilt_text_index_is_noticed(folder: Path) -> None:
    spoil(folder, "entry_text_data")
    with closing(Store(folder)) as store:
        assert store.check()


def test_text_index_that_lacks_an_entry_is_noticed(folder: Path) -> None:
    with closing(Store(folder, write=True)) as store:
        store._db.execute("INSERT INTO entry_text (entry_text, rowid, text) VALUES ('delete', 10, 'text')")
        (fault,) = store.check()
        assert "text index" in fault


@pytest.mark.parametrize("place", PLACES)
def test_export_of_a_damaged_log_has_the_rest(folder: Path, place: str) -> None:
    spoil(folder, place)
    with closing(Archive(folder)) as archive:
        found = [entry.seq for page in archive.pages() for entry in page]
        assert len(found) + archive.left_out == COUNT and found == sorted(set(found))


@pytest.mark.parametrize(
    "destroy",
    [
        lambda db: db.execute("DELETE FROM room"),
        lambda db: db.execute("DROP TABLE note"),
        lambda db: db.execute("DELETE FROM mark"),
    ],
)
def test_salvage_saves_entries_though_what_is_beside_them_is_lost(
    folder: Path, destroy: Callable[[sqlite3.Connection], None]
) -> None:
    with closing(sqlite3.connect(folder / FILE)) as db:
        destroy(db)
        db.commit()
    with closing(Archive(folder, salvage=True)) as archive:
        entries = [entry for page in archive.pages() for entry in page]
    assert len(entries) == COUNT and {entry.room for entry in entries} <= {"lobby", "lost-1"}


def test_salvage_saves_what_is_before_a_spoilt_end(folder: Path) -> None:
    """The page that new entries would be written to."""
    with closing(sqlite3.connect(folder / FILE)) as db:
        pages = db.execute("SELECT pageno FROM dbstat WHERE name = 'entry' AND pagetype = 'leaf'").fetchall()
    spoil(folder, "entry", len(pages) - 1)
    with pytest.raises(SettingsError, match="cannot be opened: database disk image is malformed"):
        Store(folder, write=True)
    with closing(Archive(folder, salvage=True)) as archive:
        entries = [entry.seq for page in archive.pages() for entry in page]
        assert COUNT - 10 < len(entries) < COUNT and archive.left_out


# --- a server on such a log ---------------------------------------------------------------------------------------


def said_on(caplog: pytest.LogCaptureFixture, text: str) -> list[int | None]:
    """Return the thread of each line of the console that has this text."""
    return [record.thread for record in caplog.records if text in record.getMessage()]


async def test_server_says_at_its_start_that_the_file_is_damaged(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(folder, "entry")
    probe = Probe(SqliteBroker(folder, clock), clock)
    probe.start()
    async with asyncio.timeout(SECONDS):
        while not probe.broker.health:  # noqa: ASYNC110 - it is found on another thread
            await asyncio.sleep(0.01)
    assert "damaged" in probe.broker.health and "hubbub check" in probe.broker.health
    assert caplog.text.count("The log is damaged: ") == 1 and "export --salvage" in caplog.text
    assert said_on(caplog, "The log is damaged") == [threading.get_ident()], "after `health`, on another thread"
    assert texts(await probe.say("goes on")) == ["goes on"]
    await probe.stop()


async def test_server_says_when_it_comes_upon_a_damaged_entry(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    flip(folder, f"text {NUMBER} ..".encode(), 0, 0xFF)
    probe = Probe(SqliteBroker(folder, clock), clock)
    probe.start()
    assert not (await probe.read(Latest("lobby", 10))).note and not probe.broker.health
    assert (await probe.read(Latest("lobby", 10, NUMBER + 5))).note
    assert "damaged" in probe.broker.health and said_on(caplog, "The log is damaged") == [threading.get_ident()]
    await probe.stop()


async def test_whole_log_is_healthy(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    probe = Probe(SqliteBroker(folder, clock), clock)
    probe.start()
    await probe.read(Latest("lobby", 10))
    await probe.stop()
    assert not probe.broker.health and "damaged" not in caplog.text


# --- SQLite's own bug ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "bad"),
    [
        ((3, 40, 1), True), ((3, 44, 5), True), ((3, 44, 6), False), ((3, 44, 7), False), ((3, 45, 0), True),
        ((3, 50, 6), True), ((3, 50, 7), False), ((3, 51, 0), True), ((3, 51, 2), True), ((3, 51, 3), False),
        ((3, 52, 0), False), ((4, 0, 0), False),
    ],
)  # fmt: skip
def test_versions_of_sqlite_with_the_bug_of_two_writers(version: tuple[int, int, int], bad: bool) -> None:
    assert bool(sqlite_warning(version)) is bad


async def test_version_of_sqlite_is_warned_of_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(checking, "sqlite_warning", lambda: "SQLite is old.")
    probe = Probe(SqliteBroker(tmp_path, clock), clock)
    probe.start()
    await probe.stop()
    assert caplog.text.count("SQLite is old.") == 1
