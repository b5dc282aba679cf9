"""A node notices when the log on the servers is not the one that it has shown: and only then."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from mini_nats import STORED
from nodes import until
from test_forged import Alone, alone

from hubbub.cluster.nats import streams
from hubbub.cluster.nats.log import batches
from hubbub.cluster.nats.log.batches import EntryBatch, checksum
from hubbub.cluster.nats.log.log_identity import ANOTHER
from hubbub.cluster.nats.log.packed_entries import PackedEntry
from hubbub.cluster.nats.log.stream_state import StateMessage, StreamState
from hubbub.model.entries import Kind

LOBBY = f"{streams.ROOM}lobby"


def pack(text: str, after: int = 0, sum: int | None = None) -> bytes:
    return batches.encode(EntryBatch([PackedEntry(Kind.MESSAGE, STORED, "Bo", text, f"x-{text}")], after, sum=sum))


def replaced(node: Alone) -> None:
    """Another message has the newest number: a backup was restored, and others wrote to it since."""
    log = node.server.streams[streams.LOG]
    log[-1] = (log[-1][0], LOBBY, pack("another"))


def of_another_room(node: Alone) -> None:
    log = node.server.streams[streams.LOG]
    log[-1] = (log[-1][0], f"{streams.ROOM}den", pack("another"))
    log.insert(0, (0, LOBBY, pack("older")))


def made_again(node: Alone) -> None:
    node.server.created = "2026-02-02T00:00:00Z"


def shorter(node: Alone) -> None:
    node.server.streams[streams.LOG].clear()
    node.server.last[streams.LOG] = 0


@pytest.mark.parametrize("change", [replaced, of_another_room, made_again, shorter])
async def test_log_with_another_past_is_noticed_and_told_once(
    change: Callable[[Alone], None], caplog: pytest.LogCaptureFixture
) -> None:
    async with alone() as node:
        broker, ends = node.broker, []
        broker.broken = ends.append
        before = broker.log_id
        node.people[0].types("one", "two")
        await until(lambda: "two" in node.people[2].seen, lambda: "it is not said")
        await look(node)
        assert not broker.identity.fault
        change(node)
        await look(node, 4)
        await until(lambda: bool(ends), lambda: "nobody is told to end")
        assert ends == [broker.identity.fault] and "restart the server" in broker.identity.fault
        assert sum("not the one that this node has shown" in one.message for one in caplog.records) == 1
        assert await streams.log_id(broker.link, node.server.created) != before
        node.people[0].types("three")
        await until(lambda: "Not sent" in node.people[0].seen, lambda: node.people[0].seen)


async def look(node: Alone, times: int = 1) -> None:
    for _ in range(times):
        await node.broker.identity.check(node.broker.following.newest)
        if room := await node.broker.following.audit():
            node.broker.identity.mistrust(ANOTHER, room)


async def test_log_that_has_grown_again_is_noticed_by_what_comes_next() -> None:
    async with alone() as node:
        node.people[0].types("one")
        await until(lambda: "one" in node.people[2].seen, lambda: "it is not said")
        replaced(node)
        await node.broker.link.publish(LOBBY, pack("next"), {})  # its copy follows on the number
        await until(lambda: "next" in node.people[2].seen, lambda: "it did not come")
        feed = node.broker.following.named("lobby")
        await node.broker.link.publish(LOBBY, pack("last", feed.last, sum=1), {})  # its node has seen something else
        await until(lambda: "last" in node.people[2].seen, lambda: "it did not come")
        assert feed.doubts
        await look(node)
        assert not feed.doubts and not node.broker.identity.fault, "here it was seen as it is"


@pytest.mark.parametrize("sum", [None, 1, checksum(pack("three", 51))])
async def test_note_of_another_past_is_made_again_from_the_log(sum: int | None) -> None:
    async with alone() as node:
        log = node.server.streams[streams.LOG]
        den = f"{streams.ROOM}den"
        topic = batches.encode(EntryBatch([PackedEntry(Kind.TOPIC, STORED, "Bo", "tea", "x-1")]))
        log += [(50, den, topic), (51, den, pack("two", 50)), (52, den, pack("three", 51))]
        node.server.last[streams.LOG] = 52
        lost = (52 * 1024 + 1023, PackedEntry(Kind.MODE, STORED, "Bo", "+m", "x-lost"))
        kept = (9 * 1024 + 1023, PackedEntry(Kind.MODE, STORED, "Bo", "+mb x!*@*", "x-kept"))
        state = StreamState(StateMessage("den", "den", upto=52, ruling=52, topic="coffee", modes=[kept, lost], sum=sum))
        await node.broker.link.replace(f"{streams.STATE}den", state.encode(), 0)
        feed = await node.broker.following.room("den")
        assert feed
        ids = [one.id for one in feed.state.snapshot("den") if one.kind is Kind.MODE]
        if sum == 1:
            assert feed.state.topic == "tea" and ids == ["x-kept"]
        else:
            assert feed.state.topic == "coffee" and ids == ["x-kept", "x-lost"]
