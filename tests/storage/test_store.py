"""The log in its file: what is in force, what survives, and what is said when it cannot be written or read."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from msgspec.structs import astuple
from probing import FOUND, MESSAGES, SetClock, draft, said, texts

from hubbub.errors import BrokerError, SettingsError
from hubbub.model.codec import record
from hubbub.model.entries import Entry, Kind
from hubbub.model.room.absent import LOOKED_BACK
from hubbub.model.room.state import RoomState
from hubbub.storage.retention import Retention
from hubbub.storage.sqlite import full_text, queries
from hubbub.storage.sqlite import store as module
from hubbub.storage.sqlite.schema import FILE, SAID, VERSION
from hubbub.storage.sqlite.store import Store
from hubbub.storage.sqlite.upkeep import trimming
from records import draft_of, text_in, topic_of
from system_queries import After, Around, Latest, Search, Since

LAST = 1 << 60
COMMITTING = Path(__file__).parent / "committing.py"
clock = SetClock()


@contextmanager
def opened(folder: Path, write: bool = True) -> Iterator[Store]:
    with closing(Store(folder, write)) as store:
        yield store


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Store]:
    with opened(tmp_path) as store:
        yield store


def append(store: Store, *words: str) -> list[Entry]:
    return store.append(said(*words), clock())


def pragma(store: Store, name: str) -> object:
    return store._db.execute(f"PRAGMA {name}").fetchone()[0]


def everything(store: Store, room: str = "lobby") -> list[Entry]:
    got: list[Entry] = []
    more = True
    while more:
        page = store.answer(After(room, got[-1].seq if got else 0, LAST, 1000))
        got += page.entries
        more = page.more
    return got


# --- what is in force -----------------------------------------------------------------------------------------


def test_a_commit_survives_a_power_cut(log: Store) -> None:
    assert pragma(log, "journal_mode") == "wal"
    assert pragma(log, "synchronous") == 2, "FULL: every commit is synced"


def test_a_reader_cannot_write(tmp_path: Path, log: Store) -> None:
    with opened(tmp_path, write=False) as reader, pytest.raises(BrokerError):
        append(reader, "hi")


def test_a_batch_is_one_transaction(log: Store) -> None:
    statements: list[str] = []
    log._db.set_trace_callback(statements.append)
    log.append([*said(*map(str, range(50))), draft("t", kind=Kind.TOPIC), draft("new", "another")], clock())
    assert [s for s in statements if s.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]
    assert statements[-1] == "COMMIT"


def test_nothing_of_a_batch_is_stored_when_one_of_it_cannot_be(log: Store) -> None:
    first = append(log, "one")
    twice = draft("two")
    with pytest.raises(BrokerError):
        log.append([draft("new room", "other"), twice, twice], clock())
    assert everything(log) == first
    assert log.opened("other", 5).seq == 0
    (entry,) = log.append([twice], clock())
    assert entry.prev == first[0].seq


def test_a_room_that_a_failed_batch_made_is_made_again(log: Store) -> None:
    twice = draft("x", "new")
    with pytest.raises(BrokerError):
        log.append([twice, twice], clock())
    log.append([draft("other", "another")], clock())
    (entry,) = log.append([draft("hi", "new")], clock())
    assert everything(log, "new") == [entry]


def test_a_room_wakes_with_its_newest_entries_of_every_kind(log: Store) -> None:
    entries = log.append([draft(kind=Kind.JOIN), *said("one"), draft("x", "other"), draft(kind=Kind.LEAVE)], clock())
    assert list(log.opened("lobby", 5).recent) == [entry for entry in entries if entry.room == "lobby"]
    more = log.append(said(*map(str, range(LOOKED_BACK))), clock())
    assert list(log.opened("lobby", 5).recent) == list(more)


# --- opening it again, and beside it --------------------------------------------------------------------------


def test_reopening_keeps_everything(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        entries = store.append([draft("t", kind=Kind.TOPIC), *said("one", "two"), draft("hi", "other")], clock())
    with opened(tmp_path) as store:
        (more,) = append(store, "three")
        assert everything(store) == [*entries[:3], more]
        assert everything(store, "other") == entries[3:]
        assert (more.seq, more.prev) == (entries[3].seq + 1, entries[2].seq)
        assert topic_of(store.opened("lobby", 2)) == "t"
        assert store.check() == []


def test_the_last_numbers_of_more_rooms_than_are_kept_in_mind(log: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROOMS_KEPT", 3)
    for number in range(40):
        log.append([draft("hi", f"room{number % 8}")], clock())
    assert log.check() == []


def test_a_reader_beside_the_writer_sees_each_commit(tmp_path: Path, log: Store) -> None:
    append(log, "before")
    with opened(tmp_path, write=False) as reader:
        for number in range(5):
            append(log, str(number))
            assert texts(everything(reader)) == ["before", *map(str, range(number + 1))]
            assert texts(reader.answer(Search(str(number), 5)).entries) == [str(number)]


@pytest.mark.parametrize("lines", [1, 40, 400])
def test_what_a_killed_writer_committed_is_in_the_log(tmp_path: Path, lines: int) -> None:
    """It printed each entry after its commit, and was killed at any moment after that many."""
    with subprocess.Popen([sys.executable, COMMITTING, tmp_path], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout
        shown = [writer.stdout.readline().split() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        shown += [line.split() for line in writer.stdout if line.endswith("\n")]
    shown = [pair for pair in shown if len(pair) == 2]
    with opened(tmp_path, write=False) as reader:
        stored = sorted((entry.seq, entry.id) for n in range(3) for entry in everything(reader, f"room{n}"))
        assert reader.check() == []
    assert [(int(seq), id) for seq, id in shown] == stored[: len(shown)]
    assert len({id for _, id in stored}) == len(stored)
    with opened(tmp_path) as store:
        (entry,) = append(store, "after")
        assert entry.seq == stored[-1][0] + 1
        assert store.check() == []


# --- what cannot be written or opened -------------------------------------------------------------------------


@contextmanager
def full_disk(store: Store) -> Iterator[None]:
    """Let the file not grow any more."""
    (pages,) = store._db.execute("PRAGMA page_count").fetchone()
    store._db.execute(f"PRAGMA max_page_count = {pages}")
    yield
    store._db.execute("PRAGMA max_page_count = 1073741823")


@contextmanager
def no_writing(store: Store) -> Iterator[None]:
    """Let the system refuse to write to any file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("fault", [full_disk, no_writing])
def test_a_failed_write_is_a_sentence_and_stores_nothing(
    tmp_path: Path, log: Store, fault: object, capfd: pytest.CaptureFixture[str]
) -> None:
    before = append(log, "before")
    with fault(log):  # type: ignore[operator]
        for _ in range(2):
            with pytest.raises(BrokerError) as caught:
                append(log, *(f"lost {number} ".ljust(3000, "x") for number in range(50)))
            text = str(caught.value)
            assert text.startswith("the ") and not any(mark in text for mark in ("/", str(tmp_path), "SQL", "INSERT"))
            if fault is full_disk:
                assert text == "the disk is full"
            assert everything(log) == before
    (after,) = append(log, "after")
    assert everything(log) == [*before, after]
    assert after.prev == before[-1].seq
    assert log.check() == []


def test_indexing_on_a_full_disk_gives_up_and_is_made_up_for(log: Store) -> None:
    append(log, *(f"word{number} " * 20 for number in range(400)))
    with full_disk(log):
        assert log.index_some(400) is False
    assert texts(log.answer(Search("word7", 2)).entries) == ["word7 " * 20]
    log.index_some(400)
    assert texts(log.answer(Search("word7", 2)).entries) == ["word7 " * 20]


def test_there_is_no_log_to_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="There is no log in"):
        Store(tmp_path)
    assert not list(tmp_path.iterdir()), "a reader makes nothing"


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize("content", [b"what is this?" * 500, b"SQLite format 3\0" + bytes(range(256)) * 40])
def test_a_garbage_file_is_said(tmp_path: Path, write: bool, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(SettingsError, match="cannot be opened"):
        Store(tmp_path, write)
    assert (tmp_path / FILE).read_bytes() == content


@pytest.mark.parametrize("write", [True, False])
@pytest.mark.parametrize("version", [0, VERSION])
def test_another_programs_database_is_said_and_left_alone(tmp_path: Path, write: bool, version: int) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.executescript(f"CREATE TABLE recipes (name); PRAGMA user_version = {version};")
    with pytest.raises(SettingsError):
        Store(tmp_path, write)
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]


@pytest.mark.parametrize("write", [True, False])
def test_a_log_of_a_newer_version_is_said(tmp_path: Path, write: bool) -> None:
    with opened(tmp_path) as store:
        store._db.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(SettingsError, match="newer"):
        Store(tmp_path, write)


def test_a_folder_in_the_files_place_is_said(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(SettingsError, match="cannot be opened"):
        Store(tmp_path, write=True)


def test_size_counts_what_is_not_in_the_file_itself_yet(tmp_path: Path, log: Store) -> None:
    append(log, "x" * 100_000)
    assert log.size().bytes == (tmp_path / FILE).stat().st_size + (tmp_path / f"{FILE}-wal").stat().st_size > 100_000


# --- reading where nothing can be written ---------------------------------------------------------------------


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose way to it everybody may go, other than that of tmp_path."""
    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o755)
        yield Path(path)


@contextmanager
def read_only(folder: Path, files: int = 0o444) -> Iterator[None]:
    """Let this process write nothing there, though root may."""
    root = os.getuid() == 0
    for path in folder.iterdir():
        path.chmod(files)
    folder.chmod(0o555)
    if root:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)
        folder.chmod(0o755)


def test_a_log_that_was_closed_is_read_from_a_folder_that_cannot_be_written(folder: Path) -> None:
    with opened(folder) as store:
        append(store, "one", "two")
    with read_only(folder), opened(folder, write=False) as reader:
        assert [text_in(entry) for entry in everything(reader)] == ["one", "two"]
        assert texts(reader.answer(Search("two", 5)).entries) == ["two"]
        assert reader.check() == [] and reader.size() == (2, 1, (folder / FILE).stat().st_size)


def test_a_log_that_was_not_closed_is_not_read_by_half(folder: Path) -> None:
    copy = folder / "copy"
    copy.mkdir()
    with opened(folder) as store:
        append(store, "one", "two")
        for name in (FILE, f"{FILE}-wal"):
            shutil.copy(folder / name, copy)
    with read_only(copy), pytest.raises(SettingsError, match=r"is in use or was not closed; .* must be writable\.$"):
        Store(copy)


def test_a_file_that_cannot_be_read_is_said(folder: Path) -> None:
    with opened(folder) as store:
        append(store, "one")
    with read_only(folder, 0), pytest.raises(SettingsError, match=r"cannot be opened: "):
        Store(folder)


# --- is it whole? ---------------------------------------------------------------------------------------------


def test_a_whole_log_has_no_faults(log: Store) -> None:
    assert log.check() == []
    log.append([draft(str(n), f"room{n % 3}") for n in range(30)], clock())
    log.index_some(10)
    assert log.check() == []
    assert log.size()[:2] == (30, 3)


@pytest.mark.parametrize(
    ("change", "number"),
    [("DELETE FROM entry WHERE seq = 3", 4), ("UPDATE entry SET prev = 1 WHERE seq = 3", 3)],
)
def test_a_broken_chain_is_found(log: Store, change: str, number: int) -> None:
    append(log, *map(str, range(6)))
    log._db.execute(change)
    (fault,) = log.check()
    assert "lobby" in fault and str(number) in fault


def test_a_lost_beginning_is_found(log: Store) -> None:
    append(log, *map(str, range(6)))
    log._db.execute("DELETE FROM entry WHERE seq = 1")
    assert len(log.check()) == 1


def test_a_damaged_file_is_found(tmp_path: Path) -> None:
    """Pages full of something else: check says what is wrong, it does not fail itself."""
    with opened(tmp_path) as store:
        append(store, *(f"text {number} ".ljust(500, ".") for number in range(500)))
    path = tmp_path / FILE
    data = bytearray(path.read_bytes())
    start = len(data) // 2 // 4096 * 4096
    data[start : start + 16 * 4096] = b"\xa5" * (16 * 4096)
    path.write_bytes(data)
    with opened(tmp_path, write=False) as store:
        assert store.check()
        left = everything(store)
        assert 300 < len(left) < 500 and store.left_out == 500 - len(left) and store.damage


# --- searching, and the time it takes -------------------------------------------------------------------------


@pytest.mark.parametrize("indexed", [len(MESSAGES), 5])
def test_search_finds_the_same_from_the_index(log: Store, indexed: int) -> None:
    append(log, *MESSAGES)
    log.index_some(indexed)
    found = {words: texts(log.answer(Search(words, 100)).entries) for words, _ in FOUND}
    assert found == {words: [MESSAGES[number] for number in expected] for words, expected in FOUND}


def test_index_some_catches_up_step_by_step(log: Store) -> None:
    append(log, *(f"word{number}" for number in range(25)))
    steps = [log.index_some(10) for _ in range(4)]
    assert steps == [True, True, False, False]
    (marked,) = log._db.execute("SELECT value FROM mark").fetchone()
    assert marked == 25
    append(log, "late")
    assert log.index_some(10) is False
    assert texts(log.answer(Search("late", 5)).entries) == ["late"]
    log._db.execute("INSERT INTO entry_text (entry_text) VALUES ('integrity-check')")


@pytest.mark.parametrize("limit", [1, 3, 4, 100])
def test_search_joins_what_is_indexed_and_what_is_not(log: Store, limit: int) -> None:
    append(log, *(f"tea {number}" for number in range(8)))
    log.index_some(5)
    page = log.answer(Search("tea", limit))
    assert texts(page.entries) == [f"tea {number}" for number in range(8)][-limit:]
    assert page.more is (limit < 8)


def test_search_finds_once_what_is_indexed_meanwhile(
    tmp_path: Path, log: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(log, "tea one", "tea two", "tea three")
    indexed = full_text.indexed

    def then_index(store: Store) -> tuple[int, int]:
        found = indexed(store)
        log.index_some(100)
        return found

    monkeypatch.setattr(full_text, "indexed", then_index)
    with opened(tmp_path, write=False) as reader:
        assert texts(reader.answer(Search("tea", 10)).entries) == ["tea one", "tea two", "tea three"]


ROWS = 50_000


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A log of many messages of which every one has a word in common, and few another."""
    folder = tmp_path_factory.mktemp("large")
    with opened(folder) as store:
        for start in range(0, ROWS, 5000):
            numbers = range(start, start + 5000)
            words = [f"common {'rare' if n % 10_000 == 9 else 'often'} {n}" for n in numbers]
            store.append([draft(word, "big" if n % 2 else "lobby") for n, word in enumerate(words)], float(start))
        while store.index_some(5000):
            pass
    yield folder


def steps(store: Store, query: object) -> int:
    """Return the thousands of steps of SQLite's machine that an answer takes."""
    count = 0

    class Counting(sqlite3.Connection):
        def set_progress_handler(self, *_: object) -> None:
            def step() -> int:
                nonlocal count
                count += 1
                return 0

            super().set_progress_handler(step, 1000)

    store._db.close()
    uri = f"{store._path.as_uri()}?mode=ro"
    store._db.close()
    store._db = sqlite3.connect(uri, isolation_level=None, uri=True, factory=Counting)
    store.answer(query)  # type: ignore[call-overload]
    return count


@pytest.mark.parametrize(
    "query",
    [
        Latest("lobby", 20),
        Latest("lobby", 20, 30_000, every=True),
        After("lobby", 30_000, LAST, 20),
        Since("lobby", 25_000.0, 20),
        Search("rare", 20),
        Search("common", 20),
        Search("common", 20, "big"),
        Search("common rare", 20, before=30_000),
        Search("nowhere", 20),
    ],
    ids=str,
)
def test_an_answer_does_not_read_the_whole_log(large: Path, query: object) -> None:
    """Reading every row would take more than ten steps each."""
    with opened(large, write=False) as store:
        assert steps(store, query) < 100


def test_the_measure_sees_who_reads_the_whole_log(large: Path) -> None:
    with opened(large, write=False) as store:
        assert steps(store, Latest("lobby", 20, kinds=(Kind.KICK,))) > 100


def test_a_long_query_is_interrupted(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "PATIENCE", 0.0)
    with opened(large, write=False) as store:
        with pytest.raises(BrokerError, match="that takes too long"):
            store.answer(Latest("lobby", 20, kinds=(Kind.KICK,)))
        assert len(store.answer(Latest("lobby", 20)).entries) == 20


# --- what is forgotten ------------------------------------------------------------------------------------------


def trim(store: Store, keep: Retention, now: float = 0, limit: int = 7) -> int:
    """Forget all that is to be forgotten, and return in how many steps."""
    count = 0
    while store.trim_some(keep, now, limit):
        count += 1
    return count


def indexed(store: Store, word: str) -> int:
    """Return how often the text index itself knows a word, whatever the log says of it."""
    return len(store._db.execute("SELECT rowid FROM entry_text WHERE entry_text MATCH ?", (word,)).fetchall())


def test_oldest_beyond_a_number_are_forgotten_step_by_step(log: Store) -> None:
    append(log, *(f"tea{number}" for number in range(50)))
    assert not log.trim_some(Retention(count=50), 0, 7) and log.size().entries == 50
    assert trim(log, Retention(count=20)) == 5, "seven at a time"
    assert texts(everything(log)) == [f"tea{number}" for number in range(30, 50)]
    assert log.check() == []


def test_what_is_too_old_is_forgotten(log: Store) -> None:
    for number in range(50):
        log.append(said(str(number)), 100.0 * number)
    trim(log, Retention(age=1000), now=5000.0)
    assert texts(everything(log)) == [str(number) for number in range(40, 50)]
    trim(log, Retention(age=1000), now=9000.0)
    assert everything(log) == [] and log.check() == []


def test_what_is_young_is_kept_though_something_older_stands_behind_it(log: Store) -> None:
    append(log, "young")
    append(log, "old")
    log._db.execute("UPDATE entry SET time = 1 WHERE text = 'old'")
    trim(log, Retention(age=1000), clock())
    assert texts(everything(log)) == ["young", "old"]


def test_log_of_a_bounded_size_uses_its_pages_again(
    tmp_path: Path, log: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimming, "LEAST", 500)
    keep = Retention(size=1024 * 1024)
    sizes = []
    for batch in range(40):
        append(log, *(f"word{batch} w{number} tea and more of it ".ljust(300, ".") for number in range(250)))
        while log.index_some(1000):
            pass
        trim(log, keep, limit=100)
        log._db.execute("PRAGMA wal_checkpoint")
        sizes.append((tmp_path / FILE).stat().st_size)
    assert 0.7 * keep.size < trimming.used(log._db) <= keep.size
    # The file is full after about eight batches. It has its final size after the first merge of the whole text index,
    # which needs the room of both indexes. The length of the ids decides in which batch that happens.
    assert sizes[-1] <= 1.05 * sizes[19], "twice as many entries need no more space"
    assert log.check() == [] and texts(log.answer(Search("word39 w7", 5)).entries)
    log._db.execute("INSERT INTO entry_text (entry_text) VALUES ('integrity-check')")


@pytest.mark.parametrize("known", [0, 25, 100])
def test_what_is_forgotten_is_found_no_more(log: Store, known: int) -> None:
    append(log, *(f"tea cup{number}" for number in range(50)))
    log.append([draft(f"{everything(log)[3].id} why", kind=Kind.REDACT)], clock())
    log.index_some(known)
    trim(log, Retention(count=11))
    while log.index_some(10):
        pass
    assert texts(log.answer(Search("tea", 100)).entries) == [f"tea cup{number}" for number in range(40, 50)]
    assert (indexed(log, "tea"), indexed(log, "cup39"), indexed(log, "cup40")) == (10, 0, 1)
    log._db.execute("INSERT INTO entry_text (entry_text) VALUES ('integrity-check')")


def test_what_makes_a_rooms_rules_stays(log: Store) -> None:
    kinds = [Kind.JOIN, Kind.TOPIC, Kind.MESSAGE, Kind.MODE, Kind.JOIN, Kind.LEAVE, Kind.TOPIC, Kind.MODE, Kind.KICK]
    made = {3: "+m", 7: "+i"}
    for room in ("a", "b"):
        log.append([draft(made.get(at, f"{at}"), room, kind) for at, kind in enumerate(kinds)], clock())
    before = [log.opened(room, 5).snapshot for room in ("a", "b")]
    for limit in (1, 7):
        trim(log, Retention(count=1), limit=limit)
        assert [log.opened(room, 5).snapshot for room in ("a", "b")] == before
        assert [text_in(entry) for entry in everything(log, "a")] == ["0", "+m", "6", "+i"]
        log.append([draft("x", "b")], clock())
    assert (topic_of(log.opened("a", 5)), log.check()) == ("6", [])
    log.append([draft("new", "a", Kind.TOPIC), draft("y", "b")], clock())
    trim(log, Retention(count=1), limit=3)
    kept = [text_in(entry) for entry in everything(log, "a")]
    assert kept == ["0", "+m", "+i", "new"], "a topic that is not in force goes"
    assert log.check() == []


def test_renames_of_those_who_may_do_something_stay(log: Store) -> None:
    al, bo, cy = "~nc@aa.nc", "~nc@bb.nc", "~nc@cc.nc"
    rows = [("Al", al, Kind.JOIN, ""), ("Bo", bo, Kind.JOIN, ""), ("Cy", cy, Kind.JOIN, "")]
    rows += [("Al", al, Kind.MODE, f"+o Bo!{bo}"), ("Cy", cy, Kind.RENAME, "Cyd"), ("Bo", bo, Kind.RENAME, "Bob")]
    log.append([draft("Zed", "empty", Kind.RENAME), draft("z", "empty")], clock())  # nobody ever joined it
    rows += [("Al", al, Kind.RENAME, "Alf"), ("Cyd", cy, Kind.MESSAGE, "x"), ("Cyd", cy, Kind.MESSAGE, "y")]
    for nick, host, kind, text in rows:
        one = draft(text, "ops", kind)
        one.nick, one.host = nick, host
        log.append([one], clock())
    before = log.opened("ops", 5).snapshot
    trim(log, Retention(count=1))
    assert log.opened("ops", 5).snapshot == before and len(before) == 3
    assert [text_in(entry) for entry in everything(log, "ops")] == [
        "",
        f"+o Bob!{bo}",
        f"-o+o Al!{al} Alf!{al}",
        "y",
    ]
    assert everything(log, "empty") == []


def test_room_with_more_operators_than_a_statement_has_parameters_opens(log: Store) -> None:
    log._db.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, 20)
    log.append([draft(f"+v N{number}!~u{number}@h.irc", "ops", Kind.MODE) for number in range(50)], clock())
    assert len(log.opened("ops", 5).snapshot) == 50


def test_reading_from_a_deleted_number_returns_the_remaining_entries(log: Store) -> None:
    first, *_ = append(log, *map(str, range(30)))
    trim(log, Retention(count=5))
    for query in (After("lobby", first.seq, LAST, 100), Latest("lobby", 100), Since("lobby", 1.0, 100)):
        assert texts(log.answer(query).entries) == ["25", "26", "27", "28", "29"]
    assert list(log.answer(After("lobby", 1, 20, 100)).entries) == []
    assert log.answer(Around("lobby", "after", (first.id,), 5, False)).entries == []


def test_numbers_are_never_given_twice(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        last = append(store, *map(str, range(30)))[-1]
        trim(store, Retention(age=1), now=clock() + 100)
        assert store.size().entries == 0
    with opened(tmp_path) as store:
        (entry,) = append(store, "new")
        assert entry.seq == last.seq + 1 and store.check() == []
        store.index_some(10)
        assert texts(store.answer(Search("new", 5)).entries) == ["new"]


@pytest.mark.parametrize(
    "change", ["DELETE FROM entry WHERE seq = 25", "DELETE FROM entry WHERE seq = 21", "UPDATE mark SET value = 19"]
)
def test_what_is_missing_behind_what_was_forgotten_is_a_fault(log: Store, change: str) -> None:
    append(log, *map(str, range(30)))
    trim(log, Retention(count=10))
    log._db.execute(change + (" AND name = 'trimmed'" if "mark" in change else "").replace("AND", "WHERE"))
    assert len(log.check()) == 1


def test_a_full_disk_does_not_end_forgetting(log: Store) -> None:
    append(log, *(f"word{number} " * 20 for number in range(400)))
    while log.index_some(100):
        pass
    with no_writing(log):
        assert log.trim_some(Retention(count=10), 0, 100) is False
    trim(log, Retention(count=10))
    assert log.size().entries == 10 and log.check() == []


# --- a file that goes away --------------------------------------------------------------------------------------


def test_what_would_go_into_a_removed_file_is_refused_until_it_is_back(tmp_path: Path, log: Store) -> None:
    append(log, "one")
    there, aside = tmp_path / FILE, tmp_path / "aside"
    there.rename(aside)
    with pytest.raises(BrokerError, match="the log was removed"):
        append(log, "lost")
    there.touch()
    with pytest.raises(BrokerError, match="the log was replaced"):
        append(log, "lost")
    aside.rename(there)
    append(log, "two")
    assert texts(everything(log)) == ["one", "two"]


# --- logs of before ---------------------------------------------------------------------------------------------------

FIRST = """
CREATE TABLE room (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, topic TEXT NOT NULL DEFAULT '') STRICT;
CREATE TABLE entry (seq INTEGER PRIMARY KEY, room INTEGER NOT NULL REFERENCES room, prev INTEGER NOT NULL,
    time REAL NOT NULL, kind TEXT NOT NULL, nick TEXT NOT NULL, text TEXT NOT NULL, id TEXT NOT NULL UNIQUE) STRICT;
CREATE INDEX entry_room ON entry (room, seq);
CREATE INDEX entry_said ON entry (room, seq) WHERE kind IN ('message', 'action');
CREATE VIRTUAL TABLE entry_text USING fts5 (text, content='entry', content_rowid='seq', tokenize='unicode61');
CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
INSERT INTO mark VALUES ('indexed', 0);
INSERT INTO room VALUES (1, 'lobby', 'tea');
INSERT INTO entry VALUES (1, 1, 0, 5.0, 'join', 'Al', '', 'x.1'), (2, 1, 1, 6.0, 'message', 'Al', 'hi', 'x.2');
PRAGMA user_version = 1;
"""


def test_log_of_the_first_version_is_read_and_then_brought_up_to_date(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.executescript(FIRST)
    with opened(tmp_path, write=False) as reader:
        assert texts(everything(reader)) == ["", "hi"] and everything(reader)[1].host == ""
    with opened(tmp_path) as log:
        append(log, "new")
        assert texts(everything(log)) == ["", "hi", "new"] and not log.check()
        assert [entry.kind for entry in log.opened("lobby", 5).snapshot] == [Kind.JOIN]
        assert pragma(log, "user_version") == VERSION == 4


def test_overruled_state_entries_of_an_older_version_do_not_come_back(log: Store) -> None:
    """Older versions stored whole entries as the state, also those of which a part was overruled."""
    first, second, _ = log.append([draft(text, kind=Kind.MODE) for text in ("+m", "-m+i", "+t")], clock())
    log._db.execute("DELETE FROM ruling")
    for entry in (first, second):
        row = (1, *astuple(record(entry))[1:])
        log._db.execute("INSERT INTO ruling VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
    log.reopen()
    log.append([draft("-i", kind=Kind.MODE)], clock())
    log.reopen()
    assert RoomState("lobby", log.opened("lobby", 1).snapshot).flags == set()
    assert log._db.execute("SELECT count(*) FROM ruling").fetchone() == (0,)


def test_rooms_may_swap_their_names_in_one_batch(log: Store) -> None:
    log.append([draft("in a", room="a"), draft("in b", room="b")], 1.0)
    moves = (("a", "t"), ("b", "a"), ("t", "b"))
    log.append([draft_of(room, Kind.ROOM_RENAMED, "Ann", to, f"move-{room}") for room, to in moves], 2.0)
    for room, text in (("a", "in b"), ("b", "in a")):
        assert text in [text_in(entry) for entry in log.answer(Latest(room, 5, every=True)).entries]


def test_index_of_messages_of_an_older_version_is_made_again_and_used(tmp_path: Path) -> None:
    """As a list with IN, the condition of the index cost a third of the work for a message."""
    with closing(Store(tmp_path, write=True)) as store:
        store.append(said("tea"), 1.0)
        store._db.executescript(
            "DROP INDEX entry_said;"
            "CREATE INDEX entry_said ON entry (room, seq) WHERE kind IN ('message', 'action', 'notice');"
        )
    with closing(Store(tmp_path, write=True)) as store:
        assert texts(store.opened("lobby", 5).latest) == ["tea"] and store.check() == []
        (plan,) = store._db.execute(
            f"EXPLAIN QUERY PLAN SELECT seq FROM entry WHERE room = 1 AND {SAID} ORDER BY seq DESC"
        )
        assert "entry_said" in plan[-1]


def test_log_of_a_version_in_which_ids_were_unique_over_all_rooms_is_carried_forward(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        append(log, "one", "two")
        db = log._db
        before = everything(log)
        db.executescript(
            "ALTER TABLE entry RENAME TO newer; CREATE TABLE entry (seq INTEGER PRIMARY KEY, room INTEGER NOT NULL"
            " REFERENCES room, prev INTEGER NOT NULL, time REAL NOT NULL, kind TEXT NOT NULL, nick TEXT NOT NULL, text"
            " TEXT NOT NULL, id TEXT NOT NULL UNIQUE, host TEXT NOT NULL DEFAULT '', tags TEXT NOT NULL DEFAULT '',"
            " sum INTEGER) STRICT; INSERT INTO entry SELECT * FROM newer; DROP TABLE newer;"
            " CREATE INDEX entry_room ON entry (room, seq); DROP INDEX room_key; ALTER TABLE room DROP COLUMN key;"
            " PRAGMA user_version = 3"
        )
    with opened(tmp_path, write=False) as reader:
        assert everything(reader) == before
        assert texts(reader.answer(Search("two", 5)).entries) == ["two"]
    with opened(tmp_path) as log:
        assert everything(log) == before and not log.check()
        log.append([draft_of(room, Kind.RENAME, "Al", "Bo", "x.9") for room in ("lobby", "tea")], clock())
        assert len(log.stored([draft_of("tea", Kind.RENAME, "Al", "Bo", "x.9")])) == 1
        with pytest.raises(BrokerError):
            log.append([draft_of("tea", Kind.RENAME, "Al", "Bo", "x.9")], clock())


def test_retention_deletes_the_oldest_private_messages_like_all_others(log: Store) -> None:
    talk = "@idann+idbo"
    for number in range(6):
        log.append([draft_of(("lobby", talk)[number % 2], Kind.MESSAGE, "Ann", f"tea {number}", f"x.{number}")], 1.0)
    trim(log, Retention(count=3))
    assert texts(log.answer(Latest(talk, 10)).entries) == ["tea 3", "tea 5"]
    assert texts(log.answer(Search("tea", 10, talk)).entries) == ["tea 3", "tea 5"]
    assert texts(log.answer(After(talk, 0, 100, 10)).entries) == ["tea 3", "tea 5"]
