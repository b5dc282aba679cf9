"""Files that are durable and private: what is synced, in which order, and what is left when it fails."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubbub import files
from hubbub.files import is_open_to_others, make_folder, make_private, write_file_durably


@pytest.fixture(autouse=True)
def careless() -> Iterator[None]:
    """Nothing here may depend on the umask."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the disk, in order."""
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        events.append(f"sync {'folder ' + path.name if path.is_dir() else 'file'}")
        fsync(descriptor)

    def noted_replace(source: str, target: str) -> None:
        events.append("rename")
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", noted_fsync)
    monkeypatch.setattr(files.os, "replace", noted_replace)
    return events


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_file_is_synced_before_its_name_and_its_name_after_that(tmp_path: Path, done: list[str]) -> None:
    write_file_durably(tmp_path / "secret", b"abc")
    assert done == ["sync file", "rename", f"sync folder {tmp_path.name}"]
    assert (tmp_path / "secret").read_bytes() == b"abc" and os.listdir(tmp_path) == ["secret"]
    assert mode(tmp_path / "secret") == 0o600


def test_file_that_was_there_is_replaced_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("old and longer")
    write_file_durably(tmp_path / "key", b"new")
    assert (tmp_path / "key").read_bytes() == b"new" and mode(tmp_path / "key") == 0o600


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_file_is_as_it_was_when_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    (tmp_path / "key").write_text("old")
    monkeypatch.setattr(files.os, call, fail)
    with pytest.raises(OSError):
        write_file_durably(tmp_path / "key", b"new")
    assert (tmp_path / "key").read_text() == "old" and os.listdir(tmp_path) == ["key"]


def test_folders_are_made_for_their_owner_alone_and_their_names_are_synced(tmp_path: Path, done: list[str]) -> None:
    make_folder(tmp_path / "a" / "b")
    assert sorted(done) == ["sync folder a", f"sync folder {tmp_path.name}"]
    assert mode(tmp_path / "a" / "b") == 0o700
    done.clear()
    make_folder(tmp_path / "a" / "b")
    assert done == []


def test_what_others_may_read_is_taken_from_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    assert not is_open_to_others(tmp_path) and not is_open_to_others(tmp_path / "nowhere")
    for open_mode in (0o755, 0o701, 0o750):
        tmp_path.chmod(open_mode)
        assert is_open_to_others(tmp_path)
    (tmp_path / "log").write_text("x")
    make_private(tmp_path / "log")
    make_private(tmp_path / "nowhere")
    assert mode(tmp_path / "log") == 0o600
