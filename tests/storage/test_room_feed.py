"""A room as a node follows it: what is lost on the way is read again, what comes twice is given once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from msgspec import structs
from nats.aio.msg import Msg
from probing import Probe, SetClock, draft, said, texts

from hubbub.cluster.nats import broker as broker_module
from hubbub.cluster.nats import streams
from hubbub.cluster.nats.broker import JetStreamBroker
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.cluster.nats.log import batches, subscriptions
from hubbub.cluster.nats.log import room_feed as feed_module
from hubbub.cluster.nats.log.room_feed import RoomFeed
from hubbub.cluster.nats.log.stream_state import new_state
from hubbub.model.conversation import conversation_of
from hubbub.model.entries import Entry, Kind
from hubbub.model.viewer import Viewer
from nats_servers import NatsServers
from records import text_in, topic_of
from system_queries import After, Latest

LAST = 1 << 60
Heard = Callable[[Msg], Awaitable[None]]


def made(servers: NatsServers) -> Probe:
    clock = SetClock()
    return Probe(JetStreamBroker(NatsCredentials(servers.url), clock), clock)


@pytest.fixture
async def nodes(servers: NatsServers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Probe, Probe]]:
    """Two nodes: what the first one publishes, the second one hears."""
    monkeypatch.setattr(broker_module, "AUDIT", 0.2)
    pair = made(servers), made(servers)
    for probe in pair:
        await probe.cluster.connect()
        probe.start()
    yield pair
    for probe in pair:
        await probe.stop()
    await servers.forget()


def feed_of(probe: Probe, room: str = "lobby") -> RoomFeed:
    feed: RoomFeed = probe.broker.following.named(room)  # type: ignore[attr-defined]
    return feed


def through(probe: Probe, way: Callable[[Msg, Heard], Awaitable[None]]) -> None:
    """Let what a node hears of the lobby go through a function."""
    feed = feed_of(probe)
    hear = feed._on_live
    feed._subscription._cb = lambda message: way(message, hear)  # type: ignore[assignment, return-value]


async def nothing() -> None:
    """Look for nothing."""


async def test_all_nodes_know_the_log_by_one_identity_and_a_new_log_by_another(nodes: tuple[Probe, Probe]) -> None:
    one, two = nodes
    before = one.broker.log_id
    assert before == two.broker.log_id
    link = one.broker.link  # type: ignore[attr-defined]
    await link.ask(f"STREAM.DELETE.{streams.LOG}")
    fresh = made_like(one)
    await fresh.cluster.connect()
    fresh.start()
    assert fresh.broker.log_id not in ("", before)
    await fresh.stop()


async def hears(probe: Probe, *words: str) -> None:
    await probe.until(lambda: len(probe.entries) >= len(words))
    assert texts(probe.entries) == list(words)
    numbers = [entry.seq for entry in probe.entries]
    assert numbers == sorted(set(numbers))
    for before, entry in zip(probe.entries, probe.entries[1:], strict=False):
        assert entry.prev == before.seq


async def test_what_is_lost_on_the_way_is_read_before_anything_later(nodes: tuple[Probe, Probe]) -> None:
    one, two = nodes
    await two.open("lobby")
    count = 0

    async def lossy(message: Msg, hear: Heard) -> None:
        nonlocal count
        count += 1
        if count not in (2, 3, 5):
            await hear(message)

    through(two, lossy)
    for number in range(7):
        await one.say(str(number))
    await hears(two, *map(str, range(7)))


async def test_last_message_of_a_quiet_room_cannot_stay_missing(nodes: tuple[Probe, Probe]) -> None:
    one, two = nodes
    await two.open("lobby")

    async def deaf(message: Msg, hear: Heard) -> None:
        pass

    through(two, deaf)
    await one.say("nothing follows this")
    await hears(two, "nothing follows this")


async def test_own_message_whose_copy_is_lost_is_looked_for_at_once(
    nodes: tuple[Probe, Probe], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = nodes
    await one.open("lobby")
    monkeypatch.setattr(one.broker.following, "audit", nothing)  # type: ignore[attr-defined]

    async def deaf(message: Msg, hear: Heard) -> None:
        pass

    through(one, deaf)
    assert texts(await one.say("mine")) == ["mine"]


async def test_what_comes_twice_or_out_of_order_is_given_once_and_in_order(nodes: tuple[Probe, Probe]) -> None:
    one, two = nodes
    await two.open("lobby")
    held: list[Msg] = []

    async def muddled(message: Msg, hear: Heard) -> None:
        held.append(message)
        if len(held) == 4:
            for index in (2, 1, 1, 0, 3, 0, 2):
                await hear(held[index])

    through(two, muddled)
    for number in range(4):
        await one.say(str(number))
    await hears(two, *map(str, range(4)))


async def test_more_than_can_be_held_is_read_again(nodes: tuple[Probe, Probe], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "HELD", 3)
    one, two = nodes
    await two.open("lobby")
    first = True

    async def without_the_first(message: Msg, hear: Heard) -> None:
        nonlocal first
        if first:
            first = False
        else:
            await hear(message)
            assert len(feed._held) <= 3

    feed = feed_of(two)
    monkeypatch.setattr(feed, "repair", lambda upto: None)  # until there is more than can be held
    through(two, without_the_first)
    for number in range(8):
        await one.say(str(number))
    await two.until(lambda: len(feed._held) == 3)
    monkeypatch.undo()
    for number in range(8, 12):
        await one.say(str(number))
    await hears(two, *map(str, range(12)))


async def test_what_the_stream_has_forgotten_meanwhile_holds_nothing_up(nodes: tuple[Probe, Probe]) -> None:
    one, two = nodes
    await two.open("lobby")
    link = one.broker.link  # type: ignore[attr-defined]

    async def lossy(message: Msg, hear: Heard) -> None:
        if b'"lost"' in message.data:
            (entry,) = batches.decode(message.data, 1, 0.0).entries
            await link.delete(streams.LOG, int((message.headers or {})["Nats-Sequence"]))
            assert text_in(entry) == "lost"
        else:
            await hear(message)

    through(two, lossy)
    await one.say("before")
    await one.say("lost")
    await one.say("after")
    await two.until(lambda: len(two.entries) == 2)
    assert texts(two.entries) == ["before", "after"]


async def test_message_that_hubbub_did_not_write_is_passed_over(nodes: tuple[Probe, Probe]) -> None:
    one, two = nodes
    await two.open("lobby")
    await one.say("before")
    for data in (b"", b"{", b"[1]", b'{"entries": 1}', b"\xff" * 100):
        await one.broker.link.publish(f"{streams.ROOM}lobby", data, {})  # type: ignore[attr-defined]
    await one.say("after")
    await two.until(lambda: len(two.entries) == 2)
    assert texts(two.entries) == ["before", "after"]
    assert texts((await two.read(After("lobby", 0, LAST, 9))).entries) == ["before", "after"]
    assert texts((await two.read(Latest("lobby", 9))).entries) == ["before", "after"]


# --- reading backwards ------------------------------------------------------------------------------------------------


async def test_history_is_whole_however_it_was_published(nodes: tuple[Probe, Probe]) -> None:
    """In packs large and small, by two nodes, with another room between."""
    one, two = nodes
    await two.open("lobby")
    for size in (1, 200, 1, 1, 70, 3, 64, 1, 130):
        await one.commit(*said(*(f"{size}.{number}" for number in range(size))))
        await two.say("from two")
        await one.say("elsewhere", room="other")
    fresh = made_like(one)
    await fresh.cluster.connect()
    fresh.start()
    whole = (await pages(fresh, lambda seq: After("lobby", seq, LAST, 50)))[0]
    assert len(whole) == 471 + 9
    back: list[Entry] = []
    before, more = 0, True
    while more:
        page = await fresh.read(Latest("lobby", 37, before, every=True))
        back = [*page.entries, *back]
        before, more = page.entries[0].seq, page.more
    assert back == whole
    await fresh.stop()


def made_like(probe: Probe) -> Probe:
    clock = SetClock()
    return Probe(JetStreamBroker(probe.broker.link._access, clock), clock)  # type: ignore[attr-defined]


async def pages(probe: Probe, query: Callable[[int], After]) -> tuple[list[Entry], int]:
    found: list[Entry] = []
    count, more = 0, True
    while more:
        page = await probe.read(query(found[-1].seq if found else 0))
        found += page.entries
        count, more = count + 1, page.more
    return found, count


async def test_rules_of_a_room_are_known_though_nobody_could_note_them(nodes: tuple[Probe, Probe]) -> None:
    """Its node died between storing them and noting it, and much was said since."""
    one, _ = nodes
    state = new_state("lobby", "lobby")
    await one.commit(draft(kind=Kind.JOIN), draft("tea", kind=Kind.TOPIC), draft("+t", kind=Kind.MODE))
    for number in range(5):
        await one.commit(*said(*(f"{number}.{n}" for n in range(40))))
    link = one.broker.link  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    noted = await link.last(streams.NOW, f"{streams.STATE}lobby")
    await link.replace(f"{streams.STATE}lobby", state.encode(), noted.number)
    fresh = made_like(one)
    await fresh.cluster.connect()
    fresh.start()
    opened = await fresh.open("lobby")
    assert topic_of(opened) == "tea" and [rule.kind for rule in opened.snapshot] == [Kind.JOIN, Kind.TOPIC, Kind.MODE]
    await fresh.stop()


@pytest.mark.parametrize(
    "data", [b"\xff not a state", b"", b'{"key":"x y","name":"\x1b"}', b'{"key":"den","name":"a b"}']
)
async def test_state_that_cannot_be_read_is_made_again_from_the_log(nodes: tuple[Probe, Probe], data: bytes) -> None:
    one, two = nodes
    await one.commit(draft("tea", "den", Kind.TOPIC), draft("hi", "den"))
    await one.broker.link.publish(f"{streams.STATE}den", data, {})  # type: ignore[attr-defined]
    opened = await two.open("den")
    assert topic_of(opened) == "tea" and texts(opened.latest) == ["hi"]
    await two.say("there", room="den")
    assert texts((await two.read(Latest("den", 9))).entries) == ["hi", "there"]


# --- clocks -----------------------------------------------------------------------------------------------------------


async def test_time_does_not_depend_on_a_clock_that_was_wrong_once(nodes: tuple[Probe, Probe]) -> None:
    one, two = nodes
    await two.open("lobby")
    noon, true = one.clock.now, time.time()
    times = []
    for clock in (noon, noon + 7200.0, noon + 1.0, noon + 0.5, true + 400 * 86400.0, noon + 2.0):
        one.clock.now = clock
        (entry,) = await one.say(f"at {clock}")
        times.append(entry.time)
    assert times[:4] == [noon, noon + 7200.0, noon + 1.0, noon + 1.0] and times[5] == noon + 2.0
    assert true - 5 < times[4] < time.time() + 5, "later than the servers say"
    await two.until(lambda: len(two.entries) == 6)
    two.clock.now = noon + 3.0
    (entry,) = await two.say("on another node")
    assert entry.time == noon + 3.0
    fresh = made_like(one)
    await fresh.cluster.connect()
    fresh.start()
    fresh.clock.now = noon + 4.0
    (entry,) = await fresh.say("after a restart")
    assert entry.time == noon + 4.0
    await fresh.stop()


# --- who has left -----------------------------------------------------------------------------------------------------


async def test_newest_entries_of_every_kind_tell_who_has_left(nodes: tuple[Probe, Probe]) -> None:
    one, two = nodes
    await one.commit(draft("", kind=Kind.JOIN), draft("bye", kind=Kind.LEAVE))
    assert [entry.kind for entry in (await two.open("lobby")).recent] == [Kind.JOIN, Kind.LEAVE]
    for _ in range(5):
        await one.commit(*said(*("more" for _ in range(60))))
    fresh = made_like(one)
    await fresh.cluster.connect()
    fresh.start()
    state = await fresh.open("lobby")
    assert [entry.kind for entry in state.recent[:2]] == [Kind.JOIN, Kind.LEAVE] and len(state.recent) == 302
    assert [entry.seq for entry in state.recent] == sorted({entry.seq for entry in state.recent})
    assert state.recent[-1].seq == state.seq
    await fresh.stop()


# --- memory -----------------------------------------------------------------------------------------------------------


async def test_memory_of_rooms_that_nobody_is_in_comes_back(
    nodes: tuple[Probe, Probe], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "LINGER", 0.0)
    one, _ = nodes
    for number in range(20):
        name = f"room{number}"
        await one.open(name)
        await one.say("hi", room=name)
        await one.commit(draft(f"new{number}", name, Kind.ROOM_RENAMED))
        one.broker.close(name)
    broker: JetStreamBroker = one.broker  # type: ignore[assignment]
    while broker.publisher.outgoing:  # noqa: ASYNC110 - it is a test
        await asyncio.sleep(0)
    await broker.following.tidy(())
    rooms = broker.following
    assert not rooms.feeds and not rooms._locks and not broker.publisher.forsaken


async def test_room_for_which_drafts_without_its_id_wait_is_followed_on(
    nodes: tuple[Probe, Probe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a private conversation, for example."""
    monkeypatch.setattr(subscriptions, "LINGER", 0.0)
    one, _ = nodes
    await one.say("hi", room="den")
    rooms: subscriptions.Subscriptions = one.broker.following  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    await rooms.tidy({subscriptions.queue_of("", "den")})
    assert rooms.named("den")
    await rooms.tidy(())
    assert not rooms.named("den")


@pytest.mark.parametrize("room", ["café", conversation_of("a1", "b2"), "den"])
@pytest.mark.parametrize("name", ["", "caf"])
async def test_room_that_nobody_has_named_here_is_found_by_its_id(
    nodes: tuple[Probe, Probe], room: str, name: str
) -> None:
    """A mention, for example, has the id of its room alone."""
    one, two = nodes
    (entry,) = await one.say("hi", room=room)
    page = await two.read(After(name, 0, LAST, 9, room_id=entry.room_id, viewer=Viewer(account="a1")))
    assert [found.room for found in page.entries] == [room] and texts(page.entries) == ["hi"]
    assert (await two.open(room)).id == entry.room_id
    assert texts((await two.read(Latest(room, 9, viewer=Viewer(account="a1")))).entries) == ["hi"]
    (late,) = await two.commit(structs.replace(draft("late", name), room_id=entry.room_id))
    assert (late.room, late.room_id) == (room, entry.room_id)


async def test_renamed_room_is_found_by_its_id_alone(nodes: tuple[Probe, Probe]) -> None:
    one, two = nodes
    (entry, _) = await one.commit(draft("hi", "ops"), draft("dev", "ops", Kind.ROOM_RENAMED))
    (other,) = await one.say("anew", room="ops")
    for id, name, word in (entry.room_id, "dev", "hi"), (other.room_id, "ops", "anew"):
        page = await two.read(After("", 0, LAST, 1, room_id=id))
        assert [(found.room, text_in(found)) for found in page.entries] == [(name, word)]
    assert (await two.open("dev")).id == entry.room_id and (await two.open("ops")).id == other.room_id
