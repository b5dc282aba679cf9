"""A node's copy of the log: it follows renames, is made anew when it must be, and says how far it is."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
from probing import Probe, SetClock, draft, texts

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.broker import JetStreamBroker
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.cluster.nats.link.outcomes import Rejected
from hubbub.cluster.nats.log import search_index as projection_module
from hubbub.cluster.nats.log.stream_state import read_state
from hubbub.errors import BrokerError, SettingsError
from hubbub.model.entries import Kind
from hubbub.model.viewer import Viewer
from hubbub.startup.brokers import clustered
from hubbub.storage.sqlite.store import Store
from nats_servers import NatsServers
from records import topic_of
from system_queries import AllRooms, Latest, Search


@pytest.fixture
async def probe(servers: NatsServers, tmp_path: Path) -> AsyncIterator[Probe]:
    probe = await made(servers, tmp_path / "copy")
    yield probe
    await probe.stop()
    await servers.forget()


async def made(servers: NatsServers, folder: Path | None) -> Probe:
    clock = SetClock()
    probe = Probe(clustered(JetStreamBroker(NatsCredentials(servers.url), clock), folder), clock)
    await probe.cluster.connect()
    probe.start()
    return probe


async def test_room_is_found_under_its_new_name(probe: Probe, tmp_path: Path) -> None:
    await probe.commit(draft("tea one", "ops"), draft("topic", "ops", Kind.TOPIC))
    await probe.commit(draft("dev", "ops", Kind.ROOM_RENAMED))
    await probe.commit(draft("tea two", "dev"), draft("tea three", "ops"))
    assert texts((await probe.read(Search("tea", 9, "dev"))).entries) == ["tea one", "tea two"]
    assert texts((await probe.read(Search("tea", 9, "ops"))).entries) == ["tea three"]
    copy = Store(tmp_path / "copy")
    assert not copy.check()
    assert {name for name, _ in copy.answer(AllRooms(9)).rooms} == {"dev", "ops"}
    (move,) = copy.answer(Latest("dev", 9, kinds=(Kind.ROOM_RENAMED,))).entries
    assert copy.called_before(move) == "ops"
    copy.close()


async def test_copy_that_was_deleted_is_made_anew(servers: NatsServers, probe: Probe, tmp_path: Path) -> None:
    await probe.say("tea for two")
    assert texts((await probe.read(Search("tea", 9))).entries) == ["tea for two"]
    other = await made(servers, tmp_path / "other")
    assert texts((await other.read(Search("tea", 9))).entries) == ["tea for two"]
    await other.stop()
    shutil.rmtree(tmp_path / "other")
    again = await made(servers, tmp_path / "other")
    assert texts((await again.read(Search("tea", 9))).entries) == ["tea for two"]
    await again.stop()


async def test_copy_of_another_stream_is_not_used(servers: NatsServers, probe: Probe, tmp_path: Path) -> None:
    await probe.say("tea of yore")
    await probe.read(Search("tea", 9))
    await probe.stop()
    await servers.forget()
    again = await made(servers, tmp_path / "copy")
    await again.say("tea of today")
    assert texts((await again.read(Search("tea", 9))).entries) == ["tea of today"]
    await again.stop()


async def test_copy_that_is_far_behind_says_how_far(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    await probe.say("tea")
    monkeypatch.setattr(projection_module, "PATIENCE", 0.05)
    copy = probe.index.copy  # type: ignore[attr-defined]

    async def slow() -> None:
        for _ in range(100):
            copy.upto, copy.last = 43, 100
            await asyncio.sleep(0.01)

    monkeypatch.setattr(copy, "sync", slow)
    async with copy._lock:  # what was begun before ends, or it would count as well
        pass
    answer = await probe.read(Search("tea", 9))
    assert isinstance(answer, BrokerError) and str(answer) == "the index is being built: it has 43 % of the log"
    assert probe.cluster.figures()["search_behind"][1] == 57.0


async def test_little_that_is_new_is_found_before_it_is_indexed(
    servers: NatsServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection_module, "EVERY", 60.0)
    other = await made(servers, tmp_path / "copy")
    copy = other.index.copy  # type: ignore[attr-defined]
    await copy.sync()
    indexed = []
    await other.say("tea")
    await other.say("tea", "more tea")
    for _ in range(2):
        assert texts((await other.read(Search("tea", 9))).entries) == ["tea", "tea", "more tea"]
        indexed += copy._store._db.execute("SELECT value FROM mark WHERE name = 'indexed'").fetchone()
    assert indexed == [0, copy._store.last]  # one commit for all, when nothing comes
    await other.stop()
    await servers.forget()


async def test_two_nodes_do_not_share_a_copy(servers: NatsServers, probe: Probe, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"The data folder .*copy is in use by another server\."):
        await made(servers, tmp_path / "copy")


async def test_copy_that_cannot_be_opened_is_a_sentence_and_is_tried_again(
    servers: NatsServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection_module, "EVERY", 0.05)
    folder = tmp_path / "broken"
    (folder / "hubbub.db").mkdir(parents=True)
    other = await made(servers, folder)
    await other.say("tea")
    answer = await other.read(Search("tea", 9))
    assert str(answer) == "the index cannot be used right now"
    (folder / "hubbub.db").rmdir()
    assert texts((await other.read(Search("tea", 9))).entries) == ["tea"]
    await other.stop()
    await servers.forget()


async def test_copy_is_closed_though_its_node_ends_while_it_is_opened(
    servers: NatsServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = projection_module.SearchIndex._open
    opened = []

    def slow(copy: projection_module.SearchIndex, origin: str, last: int) -> None:
        time.sleep(0.2)
        open_(copy, origin, last)
        opened.append(copy._store)

    monkeypatch.setattr(projection_module.SearchIndex, "_open", slow)
    other = await made(servers, tmp_path / "copy")
    await asyncio.sleep(0.1)
    await other.stop()
    assert len(opened) == 1 and other.index.copy._store is None  # type: ignore[attr-defined]
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        opened[0]._db.execute("SELECT 1")
    await servers.forget()


async def test_node_without_a_copy_says_so(servers: NatsServers, probe: Probe) -> None:
    other = await made(servers, None)
    answer = await other.read(Search("tea", 9))
    assert str(answer) == "this node keeps no search index"
    await other.stop()


async def test_question_right_before_the_stop_is_not_begun(servers: NatsServers, probe: Probe) -> None:
    """Its coroutine would never be awaited."""
    other = await made(servers, None)
    answers: list[object] = []
    other.broker.read(Latest("lobby", 9), answers.append)
    await other.stop()
    gc.collect()
    assert not answers


async def test_rename_that_was_not_noted_is_completed_by_who_opens_the_room(servers: NatsServers, probe: Probe) -> None:
    """Its node died between storing the rename and noting it."""
    await probe.commit(draft("one", "ops"), draft("tea", "ops", Kind.TOPIC))
    link = probe.broker.link  # type: ignore[attr-defined]
    noted = await link.last(streams.NOW, f"{streams.STATE}ops")
    before = read_state(noted.data)
    await probe.commit(draft("dev", "ops", Kind.ROOM_RENAMED))
    await probe.say("two", room="dev")
    for name in ("ops", "dev"):
        while found := await link.last(streams.NOW, f"{streams.STATE}{name}"):
            with contextlib.suppress(Rejected):  # a newer state has taken its place meanwhile
                await link.ask(f"STREAM.MSG.DELETE.{streams.NOW}", {"seq": found.number})
    await link.publish(f"{streams.STATE}ops", before.encode(), {})
    other = await made(servers, None)
    assert (await other.open("ops")).seq == 0
    state = await other.open("dev")
    assert topic_of(state) == "tea" and texts(state.latest) == ["one", "two"]
    assert texts((await other.read(Latest("dev", 9))).entries) == ["one", "two"]
    await other.stop()


async def test_what_the_stream_has_forgotten_is_found_no_more(probe: Probe) -> None:
    for number in range(6):
        await probe.say(f"tea {number}")
    assert len((await probe.read(Search("tea", 9))).entries) == 6
    link = probe.broker.link  # type: ignore[attr-defined]
    config = (await link.ask(f"STREAM.INFO.{streams.LOG}"))["config"]
    await link.ask(f"STREAM.UPDATE.{streams.LOG}", {**config, "max_msgs": 2})
    assert texts((await probe.read(Search("tea", 9))).entries) == ["tea 4", "tea 5"]
    assert texts((await probe.read(Latest("lobby", 9))).entries)[-2:] == ["tea 4", "tea 5"]


async def test_closed_room_is_not_found_though_retention_took_what_closed_it(
    servers: NatsServers, probe: Probe, tmp_path: Path
) -> None:
    await probe.commit(draft("tea one", "ops"), draft("+s", "ops", Kind.MODE))
    broker = cast("JetStreamBroker", probe.broker)
    async with asyncio.timeout(120):
        while not broker.following.named("ops").noted:  # noqa: ASYNC110 - it is a test
            await asyncio.sleep(0.01)
    await probe.commit(draft("tea secret", "ops"), draft("tea for all", "lobby"))
    last = await broker.link.last(streams.LOG, f"{streams.ROOM}ops")
    assert last
    await broker.link.ask(f"STREAM.PURGE.{streams.LOG}", {"seq": last.number})
    other = await made(servers, tmp_path / "other")
    try:
        for query in (Latest("ops", 9, viewer=Viewer()), Search("tea", 9, "ops", viewer=Viewer())):
            assert list((await other.read(query)).entries) == [], query
        assert texts((await other.read(Search("tea", 9, viewer=Viewer()))).entries) == ["tea for all"]
        assert texts((await other.read(Search("tea", 9, viewer=Viewer(("ops",))))).entries) == [
            "tea secret",
            "tea for all",
        ]
    finally:
        await other.stop()


async def test_redacted_text_leaves_the_copy(
    servers: NatsServers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(projection_module, "EVERY", 60.0)
    node = await made(servers, tmp_path / "copy")
    copy = node.index.copy  # type: ignore[attr-defined]
    async with copy._lock:  # the first round of the task is over
        pass
    (entry,) = await node.say("hunterpassword")
    await copy.sync()
    await copy.sync()
    await node.commit(draft(entry.id, kind=Kind.REDACT))
    await copy.sync()
    holding = lambda: [f.name for f in (tmp_path / "copy").iterdir() if b"hunterpassword" in f.read_bytes()]  # noqa: E731
    assert holding()
    await copy.erase()
    assert holding() == []
    await node.stop()
    await servers.forget()
