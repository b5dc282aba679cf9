"""A redacted text leaves the files of an SQLite log: the table, its indices, the text index and the write-ahead log."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from probing import draft, said

from hubbub.model.entries import Draft, Kind, Redacted
from hubbub.storage.retention import Retention
from hubbub.storage.sqlite.store import FILE, Store
from hubbub.storage.sqlite.trimming import ERASE_EVERY

NOON = 1_800_000_000.0


def holds(folder: Path, text: str) -> list[str]:
    """Return the names of the log's files that contain a text."""
    return [file.name for file in sorted(folder.glob(f"{FILE}*")) if text.encode() in file.read_bytes()]


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
