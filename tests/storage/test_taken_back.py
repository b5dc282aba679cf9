"""What was taken back in a room stays hidden, and what is noted of that stays small, however much it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from nodes import Start, until
from test_forged import alone

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.log import batches, stream_state
from hubbub.cluster.nats.log.batches import EntryBatch
from hubbub.cluster.nats.log.stream_state import StateMessage, StreamState, new_state
from hubbub.model.entries import Entry, Kind
from hubbub.model.room.masks.mask_lists import LISTS
from hubbub.model.room.state import MAX_RIGHTS
from hubbub.text.bounds import MASKS_IN_LIST
from records import changed, entry_of, text_in
from system_queries import Latest

MANY = 50_000
MOST = 512 * 1024  # bytes of what is noted of a room; NATS takes 1 MiB


def redactions(count: int, first: int = 0) -> Iterator[Entry]:
    for number in range(first, first + count):
        id = f"3839e1d58ef1-{number % 97:x}.{number:x}"
        yield entry_of(
            "den", 1024 + number, 1023 + number, 9.0, Kind.REDACT, "Ann", f"{id} why", f"r-{number}", "~nc@ann.nc"
        )


def test_state_stays_small_however_much_is_taken_back() -> None:
    state, parts = new_state("den", "den"), []
    for entry in redactions(MANY):
        state.fold(entry)
        state.upto = state.ruling
        if entry.seq % 512 == 0:  # a pack is full, and the state is noted
            while ids := state.sealable():
                parts.append(ids)
                state.seal(ids)
            assert len(state.encode()) < MOST
    left = stream_state.read_state(state.encode())
    assert left and left.sealed == len(parts) > 1
    assert sum(map(len, parts)) + len(left.gone) == MANY and all(len(part) < 20_000 for part in parts)


def test_full_state_fits_in_a_message() -> None:
    """As many masks as the hub allows in each list, and as many rights as a room remembers, all of them long."""
    state = new_state("den", "den")
    nick, host, id = "漢" * 28, "~nc@" + "h" * 60, "3839e1d58ef1-ffff."
    users = [f"+o {nick}{number:02x}!{host}{number}" for number in range(MAX_RIGHTS)]
    masks = [f"+{letter} {'é' * 120}{number}!*@*" for letter in LISTS for number in range(MASKS_IN_LIST)]
    for number, text in enumerate([*users, *masks], 1):
        state.fold(entry_of("den", 1024 * number, 0, 9.0, Kind.MODE, nick, text, f"{id}{number:x}", host))
    for entry in redactions(MANY // 10):
        state.fold(entry)
    assert len(state.room.rights) == MAX_RIGHTS and all(len(state.room.lists[one]) == MASKS_IN_LIST for one in LISTS)
    assert len(state.encode()) < MOST * 3 // 2
    state.upto = state.ruling
    restored = stream_state.read_state(state.encode())
    assert restored and restored.room.rights == state.room.rights
    assert all(restored.room.lists[letter] == state.room.lists[letter] for letter in LISTS)


async def test_what_was_taken_back_is_hidden_on_every_node_and_noted_in_parts(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_state, "PART_CHARS", 15_000)
    one = await start()
    ann = await one.enter("Ann")
    ann.types("secret", "public")
    await until(lambda: one.broker.following.named("lobby") is not None and one.hub.pipeline.idle, lambda: "busy")
    feed = one.broker.following.named("lobby")
    secret = next(entry.id for entry in feed.recent if text_in(entry) == "secret")
    lines = [batches.line(entry, 9.0) for entry in redactions(MANY // 20)]
    lines.insert(0, batches.line(changed(next(redactions(1)), text=secret), 9.0))
    for begin in range(0, len(lines), batches.MAX_ENTRIES):
        data = batches.encode(feed.pack(lines[begin : begin + batches.MAX_ENTRIES]))
        await feed.reach(await one.broker.link.publish(feed.subject, data, {}))
    await one.broker.following.keep(feed, "lobby")
    noted = await one.broker.link.last(streams.NOW, f"{streams.STATE}lobby")
    assert noted and len(noted.data) < 100_000 and feed.state.sealed > 1 and secret not in feed.state.gone
    two = await start()
    again = await two.broker.following.room("lobby")
    assert again and len(again.sealed) + len(again.state.gone) == len(lines) and secret in again.sealed
    answers: list[object] = []
    two.broker.read(Latest("lobby", 10, every=True, kinds=(Kind.MESSAGE, Kind.REDACTED)), answers.append)
    await until(lambda: bool(answers), lambda: "no answer")
    assert "secret" not in str(answers) and "public" in str(answers)


async def test_parts_of_what_has_left_the_stream_are_forgotten() -> None:
    async with alone() as node:
        state = StreamState(StateMessage("den", "den", upto=2, sealed=2))
        for number, upto in enumerate((2, 9)):
            part = stream_state.SnapshotPart([f"x-{number}.1"], upto)
            await node.broker.link.replace(f"{streams.GONE_IDS}den.{number}", stream_state.encode_part(part), 0)
        node.server.streams[streams.LOG] = [(5, f"{streams.ROOM}den", batches.encode(EntryBatch([])))]
        node.server.last[streams.LOG] = 5
        await node.broker.link.replace(f"{streams.STATE}den", state.encode(), 0)
        feed = await node.broker.following.room("den")
        assert feed and feed.sealed == {"x-1.1"}
        assert await node.broker.link.last(streams.NOW, f"{streams.GONE_IDS}den.0") is None
