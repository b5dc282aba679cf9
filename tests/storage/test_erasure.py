"""A redacted text leaves the files of an SQLite log: the table, its indices, the text index and the write-ahead log."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from probing import draft, said

from hubbub.config import Settings
from hubbub.model.entries import Body, Draft, Edited, Kind, Pinned, Reacted, Redacted
from hubbub.model.room.state import RoomState
from hubbub.storage.retention import Retention
from hubbub.storage.sqlite.store import Store
from hubbub.storage.sqlite.upkeep import trimming
from hubbub.storage.sqlite.upkeep.backup import back_up
from hubbub.storage.sqlite.upkeep.trimming import ERASE_EVERY
from hubbub.tools import exported_lines, transfer

NOON = 1_800_000_000.0


def holds(folder: Path, text: str) -> list[str]:
    """Return the names of the files in a folder that contain a text."""
    return [file.name for file in sorted(folder.rglob("*")) if file.is_file() and text.encode() in file.read_bytes()]


def tidy(store: Store, clock: float = NOON) -> None:
    """Do everything that a server does when it is idle."""
    while store.index_some(100):
        pass
    while store.trim_some(Retention(), clock, 100):
        pass


def redact(store: Store, *ids: str) -> None:
    store.append([Draft("lobby", "Ann", Redacted(id), f"r-{id}") for id in ids], NOON)


@pytest.mark.parametrize("length", [1, 3_000, 60_000], ids=["short", "page", "pages"])
@pytest.mark.parametrize("indexed", [False, True])
def test_redacted_text_leaves_all_files(tmp_path: Path, length: int, indexed: bool) -> None:
    secret = "hunterpassword"
    with closing(Store(tmp_path, write=True)) as store:
        text = f"my {secret} is {'x ' * length}"
        store.append(said(*(f"before {number}" for number in range(50))), NOON)
        (entry,) = store.append(said(text), NOON)
        store.append(said(*(f"after {number}" for number in range(50))), NOON)
        if indexed:
            tidy(store)
        assert holds(tmp_path, secret)
        redact(store, entry.id)
        tidy(store)
        assert holds(tmp_path, secret) == [] and store.check() == []


def test_redacted_text_leaves_its_corrections_and_pins(tmp_path: Path) -> None:
    """The texts of its corrections leave, and that before them."""
    with closing(Store(tmp_path, write=True)) as store:
        entry, other = store.append(said("my hunterpassword is tea", "cake"), NOON)
        password = "my hunterpassword"
        bodies = [Edited(entry.id, password), Edited(other.id, "pie"), Pinned(entry.id, f"Ann: {password}")]
        store.append([Draft("lobby", "Ann", body, f"e-{number}") for number, body in enumerate(bodies)], NOON)
        tidy(store)
        redact(store, entry.id)
        tidy(store)
        assert holds(tmp_path, "hunterpassword") == [] and holds(tmp_path, "pie") and store.check() == []


@pytest.mark.parametrize("apart", [True, False])
def test_correction_and_pin_that_come_after_the_redaction_have_no_text(tmp_path: Path, apart: bool) -> None:
    with closing(Store(tmp_path, write=True)) as store:
        (entry,) = store.append(said("my hunterpassword is tea"), NOON)
        bodies = [Redacted(entry.id), Edited(entry.id, "hunterpassword"), Pinned(entry.id, "Ann: hunterpassword")]
        drafts = [Draft("lobby", "Ann", body, f"e-{number}") for number, body in enumerate(bodies)]
        for batch in [[one] for one in drafts] if apart else [drafts]:
            store.append(batch, NOON)
        tidy(store)
        assert holds(tmp_path, "hunterpassword") == [] and store.check() == []
        assert not RoomState("lobby", store.opened("lobby", 5).snapshot).pins


def test_text_leaves_the_index_again_after_an_hour_at_most(tmp_path: Path) -> None:
    """A merge rewrites the whole index, so it does not follow each redaction at once."""
    with closing(Store(tmp_path, write=True)) as store:
        first, second = store.append(said("firstsecret", "secondsecret"), NOON)
        tidy(store)
        redact(store, first.id)
        tidy(store)
        assert holds(tmp_path, "firstsecret") == []
        redact(store, second.id)
        tidy(store, NOON + ERASE_EVERY - 1)
        assert holds(tmp_path, "secondsecret")
        tidy(store, NOON + ERASE_EVERY)
        assert holds(tmp_path, "secondsecret") == [] and store.check() == []


def test_clock_that_is_set_back_delays_no_erasure(tmp_path: Path) -> None:
    """The server was started with a clock of next year."""
    with closing(Store(tmp_path, write=True)) as store:
        first, second = store.append(said("firstsecret", "secondsecret"), NOON)
        redact(store, first.id)
        tidy(store, NOON + 365 * 24 * ERASE_EVERY)
        assert holds(tmp_path, "firstsecret") == []
        redact(store, second.id)
        tidy(store, NOON)
        assert holds(tmp_path, "secondsecret") == []


def test_reader_delays_the_end_of_the_write_ahead_log_and_nothing_waits_for_it(tmp_path: Path) -> None:
    with closing(Store(tmp_path, write=True)) as store:
        (entry,) = store.append(said("onlysecret"), NOON)
        tidy(store)
        with closing(Store(tmp_path)) as reader:
            reader.begin_view()
            redact(store, entry.id)
            tidy(store)
            assert holds(tmp_path, "onlysecret")
        tidy(store, NOON + ERASE_EVERY)
        assert holds(tmp_path, "onlysecret") == []


def test_redaction_in_the_same_batch_as_its_message_takes_the_text_as_well(tmp_path: Path) -> None:
    with closing(Store(tmp_path, write=True)) as store:
        message = draft("hastysecret")
        store.append([message, Draft("lobby", "Ann", Redacted(message.id), "r-1")], NOON)
        tidy(store)
        assert holds(tmp_path, "hastysecret") == []
        assert [entry.kind for entry in store.opened("lobby", 5).recent] == [Kind.REDACTED, Kind.REDACT]


# --- the erasure that is still to come ------------------------------------------------------------------------------


def killed(folder: Path) -> Path:
    """Return a copy of a folder as a kill of its server at this moment would leave it."""
    return Path(shutil.copytree(folder, folder.with_name("killed")))


def test_redacted_text_leaves_all_files_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    with closing(Store(folder, write=True)) as store:
        store.append(said(*(f"before {number}" for number in range(50))), NOON)
        (entry,) = store.append(said("my hunterpassword is"), NOON)
        tidy(store)
        redact(store, entry.id)
        left = killed(folder)
    for data in (left, folder):
        assert holds(data, "hunterpassword")
        with closing(Store(data, write=True)) as store:
            tidy(store)
            assert holds(data, "hunterpassword") == [] and store.check() == []


def test_log_of_an_older_version_is_erased_once(tmp_path: Path) -> None:
    """Older versions forgot at each stop which texts were still to be erased."""
    with closing(Store(tmp_path, write=True)) as store:
        (entry,) = store.append(said("oldsecret"), NOON)
        tidy(store)
        redact(store, entry.id)
        store._db.execute("DELETE FROM mark WHERE name = 'erasing'")
    assert holds(tmp_path, "oldsecret")
    with closing(Store(tmp_path, write=True)) as store:
        tidy(store)
        assert holds(tmp_path, "oldsecret") == []
        assert not store.merge_some(NOON + ERASE_EVERY)


def test_text_that_is_redacted_during_a_merge_leaves_the_index_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trimming, "MERGED", 1)
    with closing(Store(tmp_path, write=True)) as store:
        for step in range(8):
            store.append(said(*(f"word{step}x{number}" for number in range(500))), NOON)
            while store.index_some(100):
                pass
        (first, second) = store.append(said("firstsecret", "secondsecret"), NOON)
        while store.index_some(100):
            pass
        redact(store, first.id)
        assert store.merge_some(NOON)
        redact(store, second.id)
        while store.merge_some(NOON):
            pass
        while store.merge_some(NOON + ERASE_EVERY):
            pass
        assert holds(tmp_path, "firstsecret") == holds(tmp_path, "secondsecret") == []


@pytest.mark.parametrize("step", [1, 1_000])
def test_import_erases_the_texts_that_it_redacts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Of a message that was in the log before, and of one in the same file."""
    monkeypatch.setattr(transfer, "STEP", step)
    folder = tmp_path / "log"
    folder.mkdir()
    with closing(Store(folder, write=True)) as store:
        store.append([Draft("lobby", "Ann", draft("firstsecret").body, "m-1")], NOON)
        tidy(store)
    lines = [
        '{"hubbub":"export","version":1}',
        _line(2, "message", "secondsecret", "m-2"),
        _line(3, "redact", "m-1", "r-1"),
        _line(4, "redact", "m-2", "r-2"),
    ]
    file = tmp_path / "lines.jsonl"
    file.write_text("\n".join(lines) + "\n")
    with exported_lines.source(str(file)) as source:
        assert transfer.take_in(Settings(data=str(folder)), source, lambda done, whole: None) == (3, 0)
    assert holds(folder, "firstsecret") == holds(folder, "secondsecret") == []


def _line(seq: int, kind: str, text: str, id: str) -> str:
    return (
        f'{{"room":"lobby","seq":{seq},"time":{NOON - 1e8},"kind":"{kind}","nick":"Ann","text":"{text}","id":"{id}"}}'
    )


def test_backup_has_no_redacted_text(tmp_path: Path) -> None:
    folder, target = tmp_path / "log", tmp_path / "backup"
    folder.mkdir()
    with closing(Store(folder, write=True)) as store:
        (entry,) = store.append(said("backedsecret"), NOON)
        tidy(store)
        redact(store, entry.id)
        assert holds(folder, "backedsecret")
        back_up(folder, target, lambda done, whole: None, lambda done, whole: None)
    assert holds(target, "backedsecret") == []
    with closing(Store(target)) as copy:
        assert copy.check() == []


@pytest.mark.parametrize("body", [Redacted, lambda id: Edited(id, "better"), lambda id: Reacted(id, "👍")])
def test_a_change_of_a_message_does_not_read_the_whole_room(tmp_path: Path, body: Callable[[str], Body]) -> None:
    with closing(Store(tmp_path, write=True)) as store:
        first = store.append(said(*map(str, range(3_000))), NOON)[0]
        steps: list[None] = []
        store._db.set_progress_handler(lambda: steps.append(None), 100)  # called after each 100 steps
        store.append([Draft("lobby", "Ann", body(first.id), "r-1")], NOON)
        assert len(steps) < 30
