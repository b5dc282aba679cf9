"""A backup beside a running server: whole, private, never half under its name; and who may write to a log."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from probing import SECONDS, Probe, SetClock, said, texts

from hubbub.cli import main
from hubbub.errors import SettingsError
from hubbub.storage.sqlite.broker import SqliteBroker
from hubbub.storage.sqlite.schema import FILE
from hubbub.storage.sqlite.store import Store
from hubbub.storage.sqlite.upkeep import backup as module
from hubbub.storage.sqlite.upkeep.backup import back_up
from hubbub.storage.sqlite.watermark import NAME
from system_queries import After, Search

LAST = 1 << 60
clock = SetClock()


@pytest.fixture
async def probe(tmp_path: Path) -> AsyncIterator[Probe]:
    """A server's broker, at work."""
    probe = Probe(SqliteBroker(tmp_path / "data", clock), clock)
    probe.start()
    (tmp_path / "data" / "secret").write_bytes(b"s" * 32)
    await probe.say(*(f"tea {number} ".ljust(400, ".") for number in range(1000)))
    yield probe
    await probe.stop()


def quiet(done: int, whole: int) -> None:
    """Show nothing."""


def everything(folder: Path) -> list[str]:
    found: list[str] = []
    with closing(Store(folder)) as store:
        seq, more = 0, True
        while more:
            page = store.answer(After("lobby", seq, LAST, 1000))
            found += texts(page.entries)
            seq, more = page.entries[-1].seq, page.more
    return found


async def test_backup_is_one_view_of_a_log_that_is_written(
    probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "new" / "backup"
    steps: list[tuple[int, int]] = []
    loop = asyncio.get_running_loop()

    def copying(done: int, whole: int) -> None:
        steps.append((done, whole))
        asyncio.run_coroutine_threadsafe(probe.say(f"meanwhile {done}"), loop).result(SECONDS)

    monkeypatch.setattr(module, "PAGES", 10)
    size = await asyncio.to_thread(back_up, tmp_path / "data", target, copying, quiet)
    assert size[:2] == (1000, 1) and len(steps) > 10 and steps[-1][0] == steps[-1][1]
    assert everything(target) == [f"tea {number} ".ljust(400, ".") for number in range(1000)]
    assert sorted(os.listdir(target)) == [FILE, "secret"] and (target / "secret").read_bytes() == b"s" * 32
    assert stat.S_IMODE(target.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in target.iterdir()} == {0o600}
    assert os.listdir(target.parent) == ["backup"]
    with closing(Store(target)) as store:
        assert store.check() == [] and len(store.answer(Search("tea 7", 5)).entries) == 1


async def test_restored_backup_is_another_log(probe: Probe, tmp_path: Path) -> None:
    target = tmp_path / "backup"
    back_up(tmp_path / "data", target, quiet, quiet)
    (later,) = await probe.say("after the backup")
    with closing(Store(target, write=True)) as store:
        restored = store.log_id
        (entry,) = store.append(said("another entry"), clock())
    assert entry.seq == later.seq and restored not in ("", probe.broker.log_id)
    assert (target / NAME).exists()
    with closing(Store(target, write=True)) as store:
        assert store.log_id == restored


async def test_backup_restored_over_the_log_goes_on_above_its_numbers(probe: Probe, tmp_path: Path) -> None:
    back_up(tmp_path / "data", tmp_path / "backup", quiet, quiet)
    (later,) = await probe.say("after the backup")
    await probe.stop()
    (tmp_path / "backup" / FILE).replace(tmp_path / "data" / FILE)
    with closing(Store(tmp_path / "data", write=True)) as store:
        assert store.append(said("new"), clock())[0].seq == later.seq + 1
        assert store.log_id != probe.broker.log_id


async def test_backup_is_not_there_before_it_is_whole(
    probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "backup"

    def look(done: int, whole: int) -> None:
        assert not target.exists()

    def fail(done: int, whole: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(SettingsError, match=r"The backup .* cannot be written: No space left on device\.$"):
        back_up(tmp_path / "data", target, look, fail)
    assert os.listdir(tmp_path) == ["data"]
    monkeypatch.setattr(Store, "check", lambda store, progress: ["Page 7 is not what it was."])
    with pytest.raises(SettingsError, match=r"The log is damaged, so there is no backup: Page 7 .* --salvage"):
        back_up(tmp_path / "data", target, look, quiet)
    assert os.listdir(tmp_path) == ["data"]


async def test_backup_takes_no_folder_that_is_used(probe: Probe, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").touch()
    with pytest.raises(SettingsError, match=r"The folder .*old is not empty"):
        back_up(tmp_path / "data", tmp_path / "old", quiet, quiet)
    (tmp_path / "old" / "file").unlink()
    back_up(tmp_path / "data", tmp_path / "old", quiet, quiet)
    assert len(everything(tmp_path / "old")) == 1000
    with pytest.raises(SettingsError, match="There is no log in"):
        back_up(tmp_path / "nowhere", tmp_path / "new", quiet, quiet)
    assert not (tmp_path / "new").exists()


async def test_everything_but_the_server_reads_only(
    probe: Probe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that write at the same time may damage the log, as long as SQLite has its bug."""
    opened: list[str] = []
    connect = sqlite3.connect

    def noted(database: Any, *args: Any, **options: Any) -> sqlite3.Connection:
        opened.append(str(database))
        return connect(database, *args, **options)

    monkeypatch.setattr(sqlite3, "connect", noted)
    data = tmp_path / "data"
    for command in (
        ["history"], ["search", "tea"], ["check"], ["export", str(tmp_path / "all.jsonl")],
        ["export", "--salvage", str(tmp_path / "more.jsonl")], ["backup", str(tmp_path / "backup")],
    ):  # fmt: skip
        opened.clear()
        result = CliRunner().invoke(main, [*command, "--data", str(data)])
        assert result.exit_code == 0, (command, result.output)
        ours = [uri for uri in opened if str(data / FILE) in uri]
        assert ours and all("mode=ro" in uri for uri in ours), (command, opened)
    opened.clear()
    result = CliRunner().invoke(main, ["import", "--data", str(data), str(tmp_path / "all.jsonl")])
    assert result.exit_code == 2 and "is in use by another server" in result.output and not opened
