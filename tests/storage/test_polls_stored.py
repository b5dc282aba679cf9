"""Polls in the storages: after a restart, exported and imported, deleted, and in the state that nodes share."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from hubbub.cluster.nats.log.stream_state import new_state, read_state
from hubbub.model.entries import Body, Draft, Entry, Erased, PollClosed, Polled, Redacted, Voted
from hubbub.model.messages import polls
from hubbub.model.queries import LAST, After
from hubbub.model.room.state import RoomState
from hubbub.model.viewer import SYSTEM
from hubbub.storage.sqlite.archive import Archive
from hubbub.storage.sqlite.store import Store

TEA = Polled("tea?", ("yes", "no"))


def voter(number: int) -> str:
    return f"{number:010}"


def draft(number: int, body: Body) -> Draft:
    return Draft("ops", "Al", body, f"x.{number}", "~nc@al.nc")


def entries(store: Store) -> list[Entry]:
    return [*store.answer(After("ops", 0, LAST, 99, viewer=SYSTEM)).entries]


def test_polls_outlive_a_restart_an_export_and_an_import(tmp_path: Path) -> None:
    votes = [draft(number, Voted("x.1", 1 + number % 2, voter(number))) for number in range(2, 7)]
    with closing(Store(tmp_path, write=True)) as store:
        store.append([draft(1, TEA), *votes], 1.0)
    with closing(Store(tmp_path, write=True)) as store:
        state = RoomState("ops", store.opened("ops", 20).snapshot)
        assert polls.counts(state.polls["x.1"], TEA) == [3, 2]
        assert polls.counts(entries(store)[0], TEA) == [3, 2]
        store.append([draft(7, Voted("x.1", 1, voter(3))), draft(8, PollClosed("x.1"))], 2.0)
        assert not RoomState("ops", store.opened("ops", 20).snapshot).polls
        assert store.check() == []
        whole = entries(store)
    assert polls.is_closed(whole[0]) and polls.counts(whole[0], TEA) == [4, 1]
    with closing(Archive(tmp_path)) as archive:
        (page,) = archive.pages()
    (tmp_path / "copy").mkdir()
    with closing(Archive(tmp_path / "copy", write=True)) as copy:
        assert copy.take_in(page) == 8
    with closing(Store(tmp_path / "copy", write=True)) as store:
        again = entries(store)
        assert [(one.body, one.tags) for one in again] == [(one.body, one.tags) for one in whole]
        store.append([draft(9, Redacted("x.1"))], 3.0)
        assert type(entries(store)[0].body) is Erased
    files = [file for file in (tmp_path / "copy").rglob("*") if file.is_file()]
    assert files and not any(b"tea?" in file.read_bytes() for file in files)


def test_all_votes_of_a_poll_are_in_the_state_that_nodes_share() -> None:
    state = new_state("ops", "ops")
    state.fold(Entry("ops", 1, 0, 1.0, "Al", "x.1", TEA, "~nc@al.nc"))
    for number in range(polls.MOST_VOTES):
        state.fold(Entry("ops", number + 2, 1, 1.0, "Al", f"y.{number}", Voted("x.1", 1 + number % 2, voter(number))))
    again = read_state(state.encode())
    assert again and polls.counts(again.room.polls["x.1"], TEA) == [polls.MOST_VOTES // 2] * 2
    assert polls.votes(again.room.polls["x.1"], TEA) == polls.votes(state.room.polls["x.1"], TEA)
