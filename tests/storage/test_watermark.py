"""A log that is not the one that clients saw: its end is missing, it was copied or restored."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest
from probing import SetClock, said, texts

from hubbub import files
from hubbub.errors import SettingsError
from hubbub.model.entries import Entry, Kind
from hubbub.storage.sqlite import watermark
from hubbub.storage.sqlite.archive import Archive
from hubbub.storage.sqlite.schema import FILE
from hubbub.storage.sqlite.store import Store
from hubbub.storage.sqlite.upkeep.checking import warnings
from hubbub.storage.sqlite.watermark import NAME, Mark
from records import entry_of
from system_queries import After

LAST = 1 << 60
clock = SetClock()


def write(folder: Path, *words: str) -> tuple[str, list[Entry]]:
    """Store something in a log that is opened for it; return its identity."""
    with closing(Store(folder, write=True)) as store:
        return store.log_id, store.append(said(*words), clock()) if words else []


def everything(folder: Path) -> list[str]:
    with closing(Store(folder)) as store:
        return texts(store.answer(After("lobby", 0, LAST, 1000)).entries)


def checked(folder: Path) -> tuple[list[str], list[str]]:
    """Return what `check` finds wrong, and what it warns of besides SQLite."""
    with closing(Store(folder)) as store:
        return store.check(), [text for text in warnings(store.past, store.newest, clock()) if "SQLite" not in text]


def test_log_that_goes_on_keeps_its_identity_and_is_whole(tmp_path: Path) -> None:
    ids = {write(tmp_path, "one")[0] for _ in range(3)}
    assert len(ids) == 1 and checked(tmp_path) == ([], [])
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_start_that_changes_nothing_leaves_the_mark_and_syncs_it_later(tmp_path: Path) -> None:
    write(tmp_path, "one")
    before = (tmp_path / NAME).stat().st_ino
    with closing(Store(tmp_path, write=True)) as store:
        assert (tmp_path / NAME).stat().st_ino == before and store.is_ahead_of_mark


def test_mark_whose_place_in_the_folder_may_be_unsynced_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process may be killed after it has renamed a new mark, and before it syncs the folder."""

    def killed(folder: Path) -> None:
        if (folder / NAME).exists():
            raise OSError(errno.EIO, "killed")

    with monkeypatch.context() as patch:
        patch.setattr(files, "sync_folder", killed)
        with pytest.raises(SettingsError):
            Store(tmp_path, write=True)
    synced: list[Path] = []
    monkeypatch.setattr(files, "sync_folder", synced.append)
    for _ in range(2):
        Store(tmp_path, write=True).close()
    assert synced == [tmp_path], "the log says from then on that it has a mark, which a power cut must not take away"


def test_mark_is_as_new_as_the_log_when_the_process_is_killed(tmp_path: Path) -> None:
    store = Store(tmp_path, write=True)
    store.append(said("one", "two"), clock())
    assert watermark.read(tmp_path) == Mark(store.log_id, 2, 0)
    assert store.is_ahead_of_mark
    store.sync_mark(clock())
    assert not store.is_ahead_of_mark and watermark.read(tmp_path) == Mark(store.log_id, 2, int(clock()))
    store.close()


@pytest.mark.parametrize("lost", [1, 154])
def test_lost_end_is_said_and_numbers_are_not_given_again(
    tmp_path: Path, lost: int, caplog: pytest.LogCaptureFixture
) -> None:
    before, entries = write(tmp_path, *(f"text {number}" for number in range(1000)))
    shutil.copy(tmp_path / FILE, tmp_path / "older")
    write(tmp_path, *(f"lost {number}" for number in range(lost)))
    os.replace(tmp_path / "older", tmp_path / FILE)
    (fault,), _ = checked(tmp_path)
    assert fault.startswith("The log has lost its end: ") and "after number 1,000" in fault
    assert (f"{lost} entries" in fault) is (lost > 1)
    after, (entry,) = write(tmp_path, "new")
    assert fault in caplog.text
    assert entry.seq == entries[-1].seq + lost + 1 and entry.prev == entries[-1].seq
    assert after != before and checked(tmp_path) == ([], []), "it is said once; then the log is another one"
    caplog.clear()
    assert write(tmp_path, "newer")[0] == after and not caplog.text


def test_flipped_byte_in_what_was_written_last_is_a_lost_end(tmp_path: Path) -> None:
    """SQLite takes what is behind it in its write-ahead log for something that was never committed."""
    copy = tmp_path / "copy"
    copy.mkdir()
    with closing(Store(tmp_path, write=True)) as store:
        for number in range(100):
            store.append(said(f"text {number}"), clock())
        for name in (FILE, f"{FILE}-wal", NAME):
            shutil.copy(tmp_path / name, copy)
        before = store.log_id
    data = bytearray((copy / f"{FILE}-wal").read_bytes())
    data[len(data) // 2] ^= 1
    (copy / f"{FILE}-wal").write_bytes(data)
    left = len(everything(copy))
    assert 0 < left < 100
    (fault,), _ = checked(copy)
    assert f"{100 - left} entries after number {left} are missing" in fault
    after, (entry,) = write(copy, "new")
    assert entry.seq == 101 and after != before


def test_numbers_stay_above_what_was_lost_after_more_starts(tmp_path: Path) -> None:
    write(tmp_path, "one")
    shutil.copy(tmp_path / FILE, tmp_path / "older")
    write(tmp_path, "two", "three")
    os.replace(tmp_path / "older", tmp_path / FILE)
    found = [write(tmp_path)[0] for _ in range(3)]
    assert len(set(found)) == 1
    assert write(tmp_path, "four")[1][0].seq == 4


def test_copy_without_its_mark_is_another_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before, _ = write(tmp_path, "one")
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / FILE, tmp_path / "copy")
    faults, (warning,) = checked(tmp_path / "copy")
    assert not faults and "hubbub.mark is missing" in warning and "hubbub.db-wal" in warning
    after, (entry,) = write(tmp_path / "copy", "two")
    assert after != before and entry.seq == 2 and warning in caplog.text
    assert checked(tmp_path / "copy") == ([], [])


def test_log_in_the_place_of_another_is_another_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, _ = write(tmp_path / "one" if (tmp_path / "one").mkdir() is None else tmp_path, "one", "two", "three")
    (tmp_path / "two").mkdir()
    two, _ = write(tmp_path / "two", "other")
    shutil.copy(tmp_path / "two" / FILE, tmp_path / "one" / FILE)
    after, (entry,) = write(tmp_path / "one", "new")
    assert after not in (one, two) and entry.seq == 4 and "another log than before" in caplog.text


@pytest.mark.parametrize("content", ["", "garbage", "hubbub-mark 1 abc 00000000000000000001 000000000000 00000000\n"])
def test_mark_that_cannot_be_read_is_as_if_there_were_none(tmp_path: Path, content: str) -> None:
    before, _ = write(tmp_path, "one")
    (tmp_path / NAME).write_text(content)
    assert watermark.read(tmp_path) is None
    after, _ = write(tmp_path, "two")
    assert after != before and everything(tmp_path) == ["one", "two"]


def test_log_of_which_everything_was_forgotten_has_not_lost_its_end(tmp_path: Path) -> None:
    from hubbub.storage.retention import Retention

    with closing(Store(tmp_path, write=True)) as store:
        store.append(said("one", "two"), clock())
        store.trim_some(Retention(age=1), clock() + 100, 10)
        before = store.log_id
    assert checked(tmp_path) == ([], []) and write(tmp_path)[0] == before


def test_import_notes_how_far_the_log_is(tmp_path: Path) -> None:
    with closing(Archive(tmp_path, write=True)) as archive:
        archive.take_in([entry_of("lobby", 1, 0, 1.0, Kind.MESSAGE, "Al", "hi", f"x.{n}") for n in range(5)])
    mark = watermark.read(tmp_path)
    assert mark and mark.newest == 5 and checked(tmp_path) == ([], [])


def test_log_goes_on_though_its_mark_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(Store(tmp_path, write=True)) as store:
        with monkeypatch.context() as patch:

            def fail(*_: object) -> None:
                raise OSError(28, "No space left on device")

            patch.setattr(os, "pwrite", fail)
            patch.setattr(os, "fdatasync", fail)
            for word in ("one", "two"):
                store.append(said(word), clock())
                store.sync_mark(clock())
        assert caplog.text.count("hubbub.mark cannot be written: No space left") == 1
        store.append(said("three"), clock())
        store.sync_mark(clock())
    mark = watermark.read(tmp_path)
    assert mark and mark.newest == 3 and everything(tmp_path) == ["one", "two", "three"]


def test_empty_file_of_a_copy_is_explained(tmp_path: Path) -> None:
    """Of a new log, all is in hubbub.db-wal until the server stops."""
    (tmp_path / FILE).touch()
    with pytest.raises(SettingsError, match=r"is empty: .* hubbub backup"):
        Store(tmp_path)
