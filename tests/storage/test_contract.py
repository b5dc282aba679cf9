"""What storage/ports.py promises, asked of every log and every index. Nothing here knows how one of them works."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from probing import FOUND, MESSAGES, ODD, Probe, SetClock, draft, said, texts

from hubbub.cluster.nats.broker import JetStreamBroker
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.errors import BrokerError, Closed
from hubbub.model import queries
from hubbub.model.conversation import conversation_of
from hubbub.model.entries import SAID, Draft, Entry, Kind, Left, Polled, Said
from hubbub.model.messages import polls, reactions
from hubbub.model.room.state import RoomState
from hubbub.model.viewer import SYSTEM, Viewer
from hubbub.startup.brokers import Backend, alone, clustered
from hubbub.storage.memory import MemoryBroker
from hubbub.storage.ports import MAX_PAGE
from hubbub.storage.sqlite.broker import SqliteBroker
from nats_servers import NatsServers
from records import text_in, topic_of
from system_queries import After, AllRooms, Around, Latest, Search, Since

BACKENDS: dict[str, Callable[[Path, SetClock], Backend]] = {
    "memory": lambda folder, clock: alone(MemoryBroker(clock)),
    "sqlite": lambda folder, clock: alone(SqliteBroker(folder, clock)),
    "nats": lambda folder, clock: on_nats(folder, clock, 1),
    "nats of three": lambda folder, clock: on_nats(folder, clock, 3),
}
LAST = 1 << 60


running: dict[int, NatsServers] = {}


def on_nats(folder: Path, clock: SetClock, count: int) -> Backend:
    return clustered(JetStreamBroker(NatsCredentials(running[count].url), clock, replicas=count), folder)


@pytest.fixture(scope="module", params=BACKENDS)
def name(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name a log and its index; the servers that it needs run as long as its tests."""
    count = {"nats": 1, "nats of three": 3}.get(request.param)
    if count is None:
        yield request.param
        return
    running[count] = NatsServers(tmp_path_factory.mktemp("nats"), count)
    running[count].start()
    yield request.param
    running.pop(count).stop()


@pytest.fixture
async def probe(name: str, tmp_path: Path) -> AsyncIterator[Probe]:
    clock = SetClock()
    probe = Probe(BACKENDS[name](tmp_path, clock), clock)
    await probe.cluster.connect()
    probe.start()
    yield probe
    await probe.stop()
    if isinstance(probe.broker, JetStreamBroker):
        await next(iter(running.values())).forget()
    assert not probe.early


async def test_the_log_has_an_identity(probe: Probe) -> None:
    assert probe.broker.log_id.isalnum() and probe.broker.log_id.isascii() and len(probe.broker.log_id) <= 16


def of(entries: list[Entry], room: str) -> list[Entry]:
    return [entry for entry in entries if entry.room == room]


# --- what is published ----------------------------------------------------------------------------------------


async def test_an_entry_is_its_draft_with_number_and_time(probe: Probe) -> None:
    asked = draft("tea?", "kitchen", Kind.ACTION, "Zoë")
    asked.host, asked.tags = "~nc@1f2e.nc", "+draft/reply=x.1"
    (entry,) = await probe.commit(asked)
    body, host, tags = Said("tea?", Kind.ACTION), "~nc@1f2e.nc", "+draft/reply=x.1"
    assert entry == Entry("kitchen", entry.seq, 0, probe.clock.now, "Zoë", asked.id, body, host, tags, entry.room_id)
    assert entry.seq > 0 and entry.room_id == (await probe.open("kitchen")).id


async def test_every_kind_and_any_text_comes_back_as_it_was(probe: Probe) -> None:
    odd = "\N{SNOWMAN} 'quoted' \"twice\" 日本 e\u0301 \N{GRINNING FACE} %_\\"
    texts = {
        **dict.fromkeys(set(Kind) - {Kind.ROOM_RENAMED, Kind.EPHEMERAL, Kind.REDACTED, Kind.UNKNOWN}, (odd, "")),
        **dict.fromkeys(SAID, (f"two\n\tlines {odd}", "")),
        Kind.RENAME: ("Zoë",),
        Kind.MODE: (f"+o-k Zoë!{odd.replace(' ', '')} *", "+b x!*@* until=9"),
        Kind.HAND: ("up Zoë!~nc@a.nc", "down Zoë!~nc@a.nc", "spoken Zoë!"),
        Kind.BRAKE: ("0", "60"),
        Kind.POLL: (f"tea? | yes | {odd}",),
        Kind.VOTE: ("x-1.2~3 2 abcdefghij",),
        Kind.POLL_CLOSED: ("x-1.2~3",),
        Kind.TURN: ("Zoë!~nc@a.nc",),
        Kind.KICK: (f"Zoë {odd}", "Zoë"),
        **dict.fromkeys((Kind.REDACT, Kind.UNPIN), (f"x-1.2~3 {odd}", "x-1.2~3")),
        **dict.fromkeys((Kind.EDIT, Kind.PIN), (f"x-1.2~4 {odd}", "x-1.2~4")),
        **dict.fromkeys((Kind.REACT, Kind.UNREACT), ("x-1.2~3 👍", "x-1.2~3 \N{SNOWMAN}")),
    }
    drafts = [draft(text, kind=kind) for kind, some in texts.items() for text in some]
    await probe.commit(*drafts)
    page = await probe.read(After("lobby", 0, LAST, 100))
    assert [(e.body, e.nick, e.id) for e in page.entries] == [(d.body, d.nick, d.id) for d in drafts]


async def test_drafts_of_a_batch_keep_their_order(probe: Probe) -> None:
    words = [str(number) for number in range(300)]
    await probe.say(*words)
    assert texts(probe.entries) == words


async def test_many_batches_are_handed_over_once_in_order(probe: Probe) -> None:
    drafts = [draft(str(number), f"room{number % 7}") for number in range(700)]
    for start in range(0, len(drafts), 10):
        probe.publish(drafts[start : start + 10])
    await probe.until(lambda: len(probe.entries) >= len(drafts))
    for room in {d.room for d in drafts}:
        assert [entry.id for entry in of(probe.entries, room)] == [d.id for d in drafts if d.room == room]
    assert len(probe.entries) == len(drafts) and not probe.failed


async def test_numbers_rise_and_chain_in_each_room(probe: Probe) -> None:
    for number in range(20):
        probe.publish([draft(str(number), room) for room in ("a", "b", "a", "c")[: 1 + number % 4]])
    await probe.until(lambda: len(probe.entries) == 50)
    for room in "abc":
        before = 0
        for entry in of(probe.entries, room):
            assert entry.prev == before < entry.seq
            before = entry.seq


async def test_what_is_handed_over_can_be_read_at_once(probe: Probe) -> None:
    entries = await probe.say("one", "two")
    page = await probe.read(After("lobby", 0, LAST, 10))
    assert list(page.entries) == entries


async def test_an_empty_batch_does_no_harm(probe: Probe) -> None:
    probe.publish([])
    assert texts(await probe.say("after")) == ["after"]
    assert texts(probe.entries) == ["after"]


# --- rooms ----------------------------------------------------------------------------------------------------


async def test_a_room_without_a_log_opens_empty(probe: Probe) -> None:
    state = await probe.open("nowhere")
    assert (state.seq, topic_of(state), list(state.latest)) == (0, "", [])


async def test_a_room_opens_with_its_last_number_topic_and_newest_messages(probe: Probe) -> None:
    await probe.say("one", "two", "three")
    await probe.say("elsewhere", room="other")
    await probe.commit(draft("first topic", kind=Kind.TOPIC), draft("tea at four", kind=Kind.TOPIC))
    (last,) = await probe.commit(draft(kind=Kind.LEAVE))
    state = await probe.open("lobby", 2)
    assert (state.seq, topic_of(state), texts(state.latest)) == (last.seq, "tea at four", ["two", "three"])


async def test_a_topic_of_one_room_is_not_another_ones(probe: Probe) -> None:
    await probe.commit(draft("mine", "a", Kind.TOPIC), draft("hi", "b"))
    assert topic_of(await probe.open("b")) == ""


async def test_a_topic_that_was_taken_away_is_gone(probe: Probe) -> None:
    await probe.commit(draft("old", kind=Kind.TOPIC), draft("", kind=Kind.TOPIC))
    assert topic_of(await probe.open("lobby")) == ""


async def test_a_room_opens_with_nothing_said_if_nothing_is_wanted(probe: Probe) -> None:
    (entry,) = await probe.say("hi")
    state = await probe.open("lobby", 0)
    assert (state.seq, list(state.latest)) == (entry.seq, [])


async def test_opening_while_others_publish_misses_nothing(probe: Probe) -> None:
    """What is after the state's number is handed over, what is up to it can be read: together it is all."""
    published = []
    answers = []
    for number in range(60):
        drafts = said(*(f"{number}.{n}" for n in range(5)))
        published += drafts
        probe.publish(drafts)
        if number % 6 == 3:
            answers.append(probe.asking(probe.broker.open, "lobby", 10))
        await asyncio.sleep(0)
    await probe.until(lambda: len(probe.entries) == len(published) and all(answers))
    for (state,) in answers:
        past = (await probe.read(After("lobby", 0, state.seq, 1000))).entries
        rest = [entry for entry in probe.entries if entry.seq > state.seq]
        assert [entry.id for entry in [*past, *rest]] == [d.id for d in published]
        assert list(state.latest) == list(past)[-10:]


async def test_a_room_that_was_closed_opens_again(probe: Probe) -> None:
    await probe.open("lobby")
    await probe.say("one")
    probe.broker.close("lobby")
    (entry,) = await probe.say("two")
    state = await probe.open("lobby")
    assert (state.seq, texts(state.latest)) == (entry.seq, ["one", "two"])


# --- reading --------------------------------------------------------------------------------------------------


async def filled(probe: Probe) -> list[Entry]:
    """Publish ten messages with a join after each, another room's between; return what is in the lobby."""
    for number in range(10):
        probe.clock.now = 1000.0 + number
        await probe.commit(draft(f"m{number}"), draft("x", "other"), draft(kind=Kind.JOIN))
    return of(probe.entries, "lobby")


async def test_latest_returns_the_newest_messages_oldest_first(probe: Probe) -> None:
    await filled(probe)
    page = await probe.read(Latest("lobby", 3))
    assert (texts(page.entries), page.more) == (["m7", "m8", "m9"], True)


async def test_more_is_said_if_and_only_if_there_is_more(probe: Probe) -> None:
    entries = await filled(probe)
    before = entries[-1].seq + 1
    first = entries[0]
    for limit, more in ((9, True), (10, False), (11, False)):
        for query in (
            Latest("lobby", limit),
            Latest("lobby", limit, before),
            Since("lobby", first.time, limit),
            Search("x", limit),
            Search("x", limit, "other", before),
            After("lobby", entries[9].seq, LAST, limit),
        ):
            page = await probe.read(query)
            assert (len(page.entries), page.more) == (min(limit, 10), more), query


async def test_latest_of_every_kind(probe: Probe) -> None:
    entries = await filled(probe)
    page = await probe.read(Latest("lobby", 5, every=True))
    assert (list(page.entries), page.more) == (entries[-5:], True)


async def test_latest_before_a_number_leaves_it_out(probe: Probe) -> None:
    entries = await filled(probe)
    said_before = [entry for entry in entries[:8] if entry.kind is Kind.MESSAGE]
    assert list((await probe.read(Latest("lobby", 2, entries[8].seq))).entries) == said_before[-2:]
    assert list((await probe.read(Latest("lobby", 2, entries[8].seq, every=True))).entries) == entries[6:8]
    assert not (await probe.read(Latest("lobby", 2, entries[0].seq))).entries


async def test_pages_backwards_are_the_whole_log(probe: Probe) -> None:
    entries = await filled(probe)
    got: list[Entry] = []
    more, before = True, 0
    while more:
        page = await probe.read(Latest("lobby", 3, before, every=True))
        got = [*page.entries, *got]
        more, before = page.more, page.entries[0].seq
    assert got == entries


async def test_after_returns_what_follows_up_to_a_number(probe: Probe) -> None:
    entries = await filled(probe)
    page = await probe.read(After("lobby", entries[3].seq, entries[8].seq, 100))
    assert (list(page.entries), page.more) == (entries[4:9], False)
    page = await probe.read(After("lobby", entries[3].seq, entries[8].seq, 3))
    assert (list(page.entries), page.more) == (entries[4:7], True)


async def test_after_the_end_is_nothing(probe: Probe) -> None:
    entries = await filled(probe)
    page = await probe.read(After("lobby", entries[-1].seq, LAST, 5))
    assert (list(page.entries), page.more) == ([], False)


async def test_since_returns_messages_from_a_time_on(probe: Probe) -> None:
    await filled(probe)
    for time, first in ((0, 0), (1000, 0), (1004, 4), (1004.5, 5), (1009, 9), (1009.1, 10)):
        page = await probe.read(Since("lobby", time, 100))
        assert texts(page.entries) == [f"m{n}" for n in range(first, 10)], time


async def test_since_returns_the_oldest_first_up_to_its_limit(probe: Probe) -> None:
    await filled(probe)
    page = await probe.read(Since("lobby", 1002.0, 3))
    assert (texts(page.entries), page.more) == (["m2", "m3", "m4"], True)


async def test_since_misses_nothing_after_the_clock_was_set_back(probe: Probe) -> None:
    for now in (1000, 2000, 3000, 1500, 1600, 1700, 1800, 1900):
        probe.clock.now = now
        await probe.say(f"at {now}")
    assert "at 3000" in texts((await probe.read(Since("lobby", 2500, 100))).entries)


async def test_time_follows_the_clock_again_after_it_was_wrong(probe: Probe) -> None:
    times = []
    for now in (1000.0, 1000.0 + 5 * 365 * 86400, 1010.0, 1009.5, 900.0):
        probe.clock.now = now
        times += [entry.time for entry in await probe.say("hi")]
    assert times == [1000.0, 1000.0 + 5 * 365 * 86400, 1010.0, 1010.0, 900.0]
    page = await probe.read(Since("lobby", 950.0, 10, until=5000.0))
    assert [entry.time for entry in page.entries] == [1000.0, 1010.0, 1010.0]


async def test_nothing_is_found_in_a_room_without_a_log(probe: Probe) -> None:
    await probe.say("hi")
    for query in (
        Latest("no", 5),
        Latest("no", 5, every=True),
        After("no", 0, LAST, 5),
        Since("no", 0, 5),
        Search("hi", 5, "no"),
    ):
        page = await probe.read(query)
        assert (list(page.entries), page.more) == ([], False), query


async def test_an_empty_log_answers(probe: Probe) -> None:
    for query in (Since("lobby", 0, 5), After("lobby", 0, LAST, 5), Search("hi", 5)):
        page = await probe.read(query)
        assert (list(page.entries), page.more) == ([], False), query


async def test_a_page_holds_a_bounded_text(probe: Probe) -> None:
    size = MAX_PAGE // 4
    await probe.say(*(f"word{n} ".ljust(size, "x") for n in range(10)))
    for query in (
        Latest("lobby", 10),
        After("lobby", 0, LAST, 10),
        Since("lobby", 0, 10),
        Latest("lobby", 10, LAST),
    ):
        page = await probe.read(query)
        assert (len(page.entries), page.more) == (4, True), query


async def test_a_page_holds_one_entry_however_long_it_is(probe: Probe) -> None:
    await probe.say("x" * (MAX_PAGE + 1), "y" * (MAX_PAGE + 1))
    for query, letter in (
        (Latest("lobby", 9), "y"),
        (After("lobby", 0, LAST, 9), "x"),
        (Since("lobby", 0, 9), "x"),
    ):
        page = await probe.read(query)
        assert ([text[0] for text in texts(page.entries)], page.more) == ([letter], True), query


async def test_all_rooms_come_by_name_with_their_topics(probe: Probe) -> None:
    await probe.commit(draft("t", "b", Kind.TOPIC), draft("hi", "ü"), draft("hi", "a"), draft("hi", "c"))
    rooms = [("a", ""), ("b", "t"), ("c", ""), ("ü", "")]
    for limit in (10, 2):
        answer = await probe.read(AllRooms(limit))
        assert (list(answer.rooms), answer.count) == (rooms[:limit], 4)
    for after, left in (("a", 3), ("b", 2), ("bb", 2), ("c", 1), ("z", 1), ("ü", 0)):
        answer = await probe.read(AllRooms(2, after=after))
        assert (list(answer.rooms), answer.count) == (rooms[4 - left :][:2], left)


async def test_a_room_that_was_only_looked_at_has_no_log(probe: Probe) -> None:
    await probe.open("looked-at")
    assert list((await probe.read(AllRooms(10))).rooms) == []


# --- searching: nothing waits for an index, so this is what was just said -------------------------------------


async def test_search_finds_messages_with_all_words(probe: Probe) -> None:
    await probe.say(*MESSAGES)
    found = {words: texts((await probe.read(Search(words, 100))).entries) for words, _ in FOUND}
    assert found == {words: [MESSAGES[number] for number in expected] for words, expected in FOUND}


async def test_search_answers_odd_words(probe: Probe) -> None:
    await probe.say(*MESSAGES)
    for words in ODD:
        page = await probe.read(Search(words, 100))
        assert not isinstance(page, BrokerError), (words, page)
        if not words.strip():
            assert not page.entries


@pytest.mark.parametrize("word", ["hello", "世界"])
async def test_search_is_bounded_by_room_number_and_limit(probe: Probe, word: str) -> None:
    entries = []
    for number in range(6):
        entries += await probe.commit(draft(f"{word} {number}", "a"), draft(f"{word} {number}", "b"))
    entries.sort(key=lambda entry: entry.seq)  # rooms have no order among each other
    here = of(entries, "a")
    assert list((await probe.read(Search(word, 100, "a"))).entries) == here
    assert list((await probe.read(Search(word, 3))).entries) == entries[-3:]
    assert list((await probe.read(Search(word, 2, "a"))).entries) == here[-2:]
    assert list((await probe.read(Search(word, 2, "a", here[4].seq))).entries) == here[2:4]
    assert (await probe.read(Search(word, 2, "a", here[2].seq))).more is False
    assert list((await probe.read(Search(word, 100, before=entries[7].seq))).entries) == entries[:7]


async def test_search_is_narrowed_by_author_and_time(probe: Probe) -> None:
    start = probe.clock.now
    for number in range(6):
        probe.clock.now = start + 10 * number
        nick = ("Ann", "Zoë", "ANN")[number % 3]
        await probe.commit(draft(f"tea {number}", "a", nick=nick), draft(f"cake {number}", "b", nick=nick))
    await probe.commit(draft("tea", "a", Kind.TOPIC, "Ann"))

    async def found(words: str, room: str | None = None, **filters: Any) -> list[str]:
        return texts((await probe.read(Search(words, 20, room, **filters))).entries)

    assert await found("tea", author="ann") == ["tea 0", "tea 2", "tea 3", "tea 5"]
    assert await found("", "b", author="ann") == ["cake 0", "cake 2", "cake 3", "cake 5"]
    assert sorted(await found("", author="zoë", since=start + 20)) == ["cake 4", "tea 4"]
    assert await found("tea", since=start + 10, until=start + 30) == ["tea 1", "tea 2"]
    assert await found("", "a", until=start + 20) == ["tea 0", "tea 1"]
    assert await found("", "a", until=start + 40, author="ann", before=of(probe.entries, "a")[2].seq) == ["tea 0"]
    assert not await found("cake", "a", author="ann") and not await found("", author="bo")
    assert not await found("tea", since=start + 90)
    page = await probe.read(Search("tea", 2, author="ann"))
    assert texts(page.entries) == ["tea 3", "tea 5"] and page.more


async def test_search_finds_only_what_was_said(probe: Probe) -> None:
    await probe.commit(*(draft("tea", kind=kind) for kind in Kind))
    page = await probe.read(Search("tea", 100))
    assert [entry.kind for entry in page.entries] == [Kind.MESSAGE, Kind.ACTION, Kind.NOTICE]


# --- calling back, and the end --------------------------------------------------------------------------------


async def test_answers_come_once_and_not_from_within_the_call(probe: Probe) -> None:
    await probe.say("hi")
    queries = (Latest("lobby", 5), After("lobby", 0, LAST, 5), Since("lobby", 0, 5), Search("hi", 5), AllRooms(5))
    answers = [probe.asking(probe.way(query), query) for query in queries]
    answers += [probe.asking(probe.broker.open, "lobby", 5), probe.asking(probe.broker.open, "none", 5)]
    assert not any(answers)
    await probe.until(lambda: all(answers))
    await probe.read(Latest("lobby", 1))
    assert [len(answer) for answer in answers] == [1] * len(answers)


async def test_stop_settles_what_was_published(probe: Probe) -> None:
    drafts = said(*map(str, range(500)))
    for start in range(0, 500, 25):
        probe.publish(drafts[start : start + 25])
    await probe.stop()
    assert [entry.id for entry in probe.entries] == [d.id for d in drafts]


async def test_stop_without_any_drafts_ends(probe: Probe) -> None:
    await probe.stop()
    assert not probe.entries and not probe.failed


async def test_what_follows_may_be_only_what_was_said(probe: Probe) -> None:
    await probe.commit(draft("one"), draft(kind=Kind.JOIN), draft("two", kind=Kind.ACTION), draft("t", kind=Kind.TOPIC))
    page = await probe.read(After("lobby", 0, LAST, 10, history=True))
    assert texts(page.entries) == ["one", "two"] and not page.more
    assert (await probe.read(After("lobby", 0, LAST, 1, history=True))).more


async def a_poll(probe: Probe, question: str, end: Kind) -> Entry:
    """Store a poll between two messages, with two votes, then its end; return it."""
    voted = f"{question} | yes | no"
    (_, poll, *_) = await probe.commit(draft("one"), draft(voted, kind=Kind.POLL, nick="Bo"), draft("two"))
    votes = [draft(f"{poll.id} {choice} {voter:010}", kind=Kind.VOTE) for voter, choice in ((1, 1), (2, 2))]
    await probe.commit(*votes, draft(poll.id, kind=end))
    return poll


async def test_polls_stand_in_the_history_in_their_last_state(probe: Probe) -> None:
    probe.clock.now += 1
    poll = await a_poll(probe, "tea?", Kind.POLL_CLOSED)
    deleted = await a_poll(probe, "cake?", Kind.REDACT)
    await probe.read(Search("tea", 5))  # the copy of a cluster's log has everything by now
    said = ["one", "tea? | yes | no", "two", "one", "two"]
    queries = (
        Latest("lobby", 9),
        After("lobby", 0, LAST, 9, history=True),
        Since("lobby", 0, 9),
        Around("lobby", "latest", (), 9, False),
        Around("lobby", "after", (1.0,), 9, False),
    )
    pages = [*[await probe.read(query) for query in queries], await probe.read(Search("", 9, room="lobby", since=0.0))]
    opened = await probe.open("lobby", 9)
    for found in (*(page.entries for page in pages), opened.latest):
        assert texts(found) == said
        asked = found[1]
        assert asked.id == poll.id and isinstance(asked.body, Polled)
        assert polls.counts(asked, asked.body) == [1, 1] and polls.is_closed(asked)
    assert texts((await probe.read(Latest("lobby", 2, before=poll.seq + 1))).entries) == said[:2]
    assert texts((await probe.read(Around("lobby", "around", (poll.id,), 2, False))).entries) == said[:2]
    for bound in (poll.id, poll.time - 0.5):  # all kinds but the votes
        found = await probe.read(Around("lobby", "after", (bound,), 9, True, (Kind.VOTE,)))
        assert found.entries and {Kind.VOTE} == {
            one.kind for one in (await probe.read(Around("lobby", "after", (bound,), 9, True))).entries
        } - {one.kind for one in found.entries}
    for search in (Search("no tea", 5), Search("tea", 5, author="bo"), Search("", 5, author="bo", room="lobby")):
        assert [one.id for one in (await probe.read(search)).entries] == [poll.id]
    for search in (Search("cake", 5), Search("tea", 5, author="ann"), Search("tea", 5, before=poll.seq)):
        assert not (await probe.read(search)).entries
    assert deleted.id not in {one.id for page in pages for one in page.entries}


async def test_probe_ends_after_what_was_published(probe: Probe) -> None:
    probe.publish([draft("one")])
    done = probe.asking(probe.broker.probe)
    await probe.until(lambda: bool(done))
    assert done == [None] and texts(probe.entries) == ["one"]


# --- around a point, and what makes a room's rules --------------------------------------------------------------------


async def timed(probe: Probe) -> list[Entry]:
    """Return ten entries of lobby, 10 ms apart, every third a join, and others of another room between them."""
    entries = []
    for number in range(10):
        probe.clock.now += 0.01
        kind = Kind.JOIN if number % 3 == 2 else Kind.MESSAGE
        entries += await probe.commit(draft(str(number), kind=kind), draft("elsewhere", "ops"))
    return of(entries, "lobby")


async def test_around(probe: Probe) -> None:
    entries = await timed(probe)
    for verb, bounds, limit, found in (
        ("latest", (), 3, [6, 7, 9]),
        ("latest", (6,), 5, [7, 9]),
        ("before", (6,), 2, [3, 4]),
        ("after", (3,), 2, [4, 6]),
        ("after", (9,), 2, []),
        ("around", (4,), 1, [4]),
        ("around", (4,), 3, [3, 4, 6]),
        ("around", (4,), 4, [1, 3, 4, 6]),
        ("between", (1, 7), 2, [3, 4]),
        ("between", (7, 1), 2, [4, 6]),
        ("between", (3, 3), 5, []),
    ):
        by_id = tuple(entries[at].id for at in bounds)
        by_time = tuple(int(entries[at].time * 1000) / 1000 for at in bounds)
        for points in (by_id, by_time):
            query = Around("lobby", verb, points, limit, False)
            page = await probe.read(query)
            assert texts(page.entries) == [str(number) for number in found], query
            everything = (await probe.read(Around("lobby", verb, points, 50, True))).entries
            assert set(page.entries) <= set(everything) and {entry.room for entry in everything} <= {"lobby"}, query


async def test_around_what_is_not_there(probe: Probe) -> None:
    await timed(probe)
    for query in [
        Around("lobby", "before", ("no-such-id",), 5, False),
        Around("nowhere", "latest", (), 5, True),
        Around("lobby", "sideways", (1.0,), 5, True),
    ]:
        assert list((await probe.read(query)).entries) == []


async def test_rights_follow_a_member_to_a_new_name(probe: Probe) -> None:
    al, bo = "~nc@aa.nc", "~nc@bb.nc"

    def by(nick: str, host: str, kind: Kind, text: str = "") -> Draft:
        one = draft(text, "ops", kind, nick)
        one.host = host
        return one

    await probe.commit(by("Al", al, Kind.JOIN), by("Bo", bo, Kind.JOIN), by("Cy", bo, Kind.JOIN))
    await probe.commit(by("Al", al, Kind.MODE, f"+o Bo!{bo}"), by("Cy", bo, Kind.RENAME, "Cyd"))
    await probe.commit(by("Bo", bo, Kind.RENAME, "Bob"), by("Al", al, Kind.RENAME, "Alf"))
    opened = await probe.open("ops")
    standing = {("alf", al): "o", ("bob", bo): "o"}
    assert RoomState("ops", opened.snapshot).rights == standing and len(opened.snapshot) == 3
    await probe.commit(by("Alf", al, Kind.MODE, f"-o Bob!{bo}"), by("Bob", bo, Kind.RENAME, "Bo"))
    assert RoomState("ops", (await probe.open("ops")).snapshot).rights == {("alf", al): "o"}


async def test_rules_are_the_first_join_the_last_topic_and_all_modes(probe: Probe) -> None:
    kinds = [Kind.MESSAGE, Kind.JOIN, Kind.TOPIC, Kind.MODE, Kind.JOIN, Kind.TOPIC, Kind.MODE, Kind.KICK]
    made = {3: "+m", 6: "+i"}
    await probe.commit(*(draft(made.get(number, f"{number}"), kind=kind) for number, kind in enumerate(kinds)))
    state = await probe.open("lobby")
    assert sorted(texts(list(state.snapshot))) == ["+i", "+m", "1", "5"] and topic_of(state) == "5"


async def test_only_some_kinds_are_read(probe: Probe) -> None:
    await probe.commit(draft("one"), draft("t", kind=Kind.TOPIC), draft("Bo", kind=Kind.KICK), draft("two"))
    page = await probe.read(Latest("lobby", 10, kinds=(Kind.KICK, Kind.TOPIC)))
    assert texts(page.entries) == ["t", "Bo"]


async def test_what_is_taken_back_is_gone_from_log_and_search(probe: Probe) -> None:
    (secret, _) = await probe.commit(draft("the secret word"), draft("other words"))
    assert texts((await probe.read(Search("secret", 5))).entries)
    await probe.commit(draft(f"{secret.id} oops", kind=Kind.REDACT), draft("unknown-id", kind=Kind.REDACT))
    await probe.commit(draft(f"{secret.id}", "ops", kind=Kind.REDACT))
    assert not (await probe.read(Search("secret", 5))).entries
    assert texts((await probe.read(Latest("lobby", 5))).entries) == ["other words"]
    assert texts((await probe.open("lobby")).latest) == ["other words"]
    (gone, *_) = (await probe.read(After("lobby", 0, LAST, 10))).entries
    assert (gone.seq, gone.kind, text_in(gone)) == (secret.seq, Kind.REDACTED, "")


async def test_corrected_message_has_its_last_text_and_its_reactions_everywhere(probe: Probe) -> None:
    first, other = await probe.commit(draft("tea at four"), draft("other words"))
    await probe.commit(draft(f"{first.id} tea at five", kind=Kind.EDIT), draft(f"{first.id} 👍", kind=Kind.REACT))
    await probe.commit(draft(f"{first.id} cake at six", kind=Kind.EDIT), draft(f"{other.id} 🎉", kind=Kind.REACT))
    await probe.commit(draft(f"{other.id} 🎉", kind=Kind.UNREACT), draft(f"{first.id} elsewhere", "ops", Kind.EDIT))

    async def shows() -> bool:
        """A node of a cluster has the newest changes in its copy of the log within a second."""
        await probe.read(Search("cake", 5))
        page = await probe.read(Latest("lobby", 5))
        said = {text_in(one): reactions.read(one.tags) for one in page.entries}
        return said == {"cake at six": {"👍": ["Ann"]}, "other words": {}}

    while not await shows():
        pass
    assert [one.id for one in (await probe.read(Search("cake", 5))).entries] == [first.id]
    assert not (await probe.read(Search("four", 5))).entries and not (await probe.read(Search("five", 5))).entries
    opened = await probe.open("lobby")
    assert texts(opened.latest) == ["cake at six", "other words"]
    await probe.commit(draft(first.id, kind=Kind.REDACT))
    assert texts((await probe.read(Latest("lobby", 5))).entries) == ["other words"]
    kinds = [one.kind for one in (await probe.read(After("lobby", 0, LAST, 20))).entries]
    assert kinds == ["gone", "message", "gone", "react", "gone", "react", "unreact", "redact"]


async def test_pins_are_a_part_of_the_room(probe: Probe) -> None:
    (said,) = await probe.commit(draft("tea at four"))
    await probe.commit(draft(f"{said.id} Ann: tea at four", kind=Kind.PIN))
    await probe.commit(draft(f"{said.id} tea at five", kind=Kind.EDIT))

    async def pins() -> list[str]:
        opened = await probe.open("lobby")
        return [pin.text for pin in RoomState("lobby", opened.snapshot).pins.values()]

    assert await pins() == ["Ann: tea at five"]
    await probe.commit(draft(said.id, kind=Kind.REDACT))
    assert await pins() == []


async def test_room_that_is_renamed_takes_its_log_along(probe: Probe) -> None:
    (first, _) = await probe.commit(draft("one", "ops"), draft("tea", "ops", kind=Kind.TOPIC))
    late = structs.replace(draft("late", "ops"), room_id=first.room_id)
    moved = await probe.commit(structs.replace(draft("dev why", "ops", Kind.ROOM_RENAMED), room_id=first.room_id), late)
    assert [entry.room for entry in moved] == ["ops", "dev"] and moved[1].prev == moved[0].seq
    await probe.commit(draft("two", "dev"), draft("anew", "ops"))
    page = await probe.read(After("dev", 0, LAST, 10))
    assert texts(page.entries) == ["one", "tea", "dev why", "late", "two"]
    assert [entry.prev for entry in page.entries[1:]] == [entry.seq for entry in page.entries[:-1]]
    assert texts((await probe.read(After("ops", 0, LAST, 10))).entries) == ["anew"]
    assert topic_of(await probe.open("dev")) == "tea" and topic_of(await probe.open("ops")) == ""


async def test_draft_reaches_its_room_although_another_one_has_the_name_by_now(probe: Probe) -> None:
    """A kick or mute, for example, that is on its way while the room is renamed."""
    (first,) = await probe.commit(draft("one", "ops"))
    await probe.commit(draft("dev", "ops", kind=Kind.ROOM_RENAMED))
    other = await probe.open("ops")
    await probe.commit(structs.replace(draft("another room", "ops"), room_id=other.id))
    (late,) = await probe.commit(structs.replace(draft("late", "ops"), room_id=first.room_id))
    assert (late.room, late.room_id) == ("dev", first.room_id) and other.id != first.room_id
    assert texts((await probe.read(After("ops", 0, LAST, 10))).entries) == ["another room"]
    for name in ("ops", ""):
        page = await probe.read(After(name, 0, LAST, 10, room_id=first.room_id))
        assert texts(page.entries) == ["one", "dev", "late"] and {entry.room for entry in page.entries} == {"dev"}
    assert (await probe.open("dev")).id == first.room_id and (await probe.open("ops")).id == other.id


async def test_question_with_an_id_is_about_that_room_whatever_its_name_is_by_then(probe: Probe) -> None:
    (first,) = await probe.commit(draft("one tea", "ops"))
    await probe.commit(draft("dev", "ops", kind=Kind.ROOM_RENAMED))
    (other,) = await probe.commit(structs.replace(draft("other tea", "ops"), room_id=(await probe.open("ops")).id))
    await probe.commit(*(draft("+i", room, kind=Kind.MODE) for room in ("dev", "ops")))
    member = Viewer(rooms=(first.room_id,))
    for ask in (
        partial(queries.Latest, "ops", 1),
        partial(queries.After, "ops", 0, LAST, 1),
        partial(queries.Since, "ops", 0.0, 1),
        partial(queries.Around, "ops", "around", (first.id,), 1, False),
        partial(queries.Search, "tea", 1, "ops"),
    ):
        assert texts((await probe.read(ask(room_id=first.room_id, viewer=member))).entries) == ["one tea"], ask
        assert isinstance(await probe.read(ask(room_id=other.room_id, viewer=member)), Closed), ask


# --- rooms that are read by their members only ------------------------------------------------------------------------


def inside(*rooms: str) -> Viewer:
    return Viewer(rooms, "Al!~nc@aaaaaaaaaa.nc")


async def test_closed_room_is_read_by_its_members_and_a_secret_one_seems_not_to_be_there(probe: Probe) -> None:
    names = ("open", "keyed", "invited", "hidden", "opened")
    await probe.commit(
        *(draft("needle", room) for room in names),
        *(draft(f"about {room}", room, Kind.TOPIC) for room in names),
        draft("+k s3", "keyed", Kind.MODE),
        draft("+i", "invited", Kind.MODE),
        draft("+s", "hidden", Kind.MODE),
        draft("+k s3", "opened", Kind.MODE),
        draft("-k s3", "opened", Kind.MODE),
        draft("+m", "open", Kind.MODE),
    )
    first = (await probe.read(Latest("open", 1))).entries[0]
    listed = await probe.read(AllRooms(10, viewer=inside()))
    assert listed.rooms == [("invited", ""), ("keyed", ""), ("open", "about open"), ("opened", "about opened")]
    assert listed.count == 4
    everything = [(name, f"about {name}") for name in sorted(names)]
    assert list((await probe.read(AllRooms(10, viewer=inside(*names)))).rooms) == everything
    for viewer in (SYSTEM, Viewer(operator=True)):
        assert list((await probe.read(AllRooms(10, viewer=viewer))).rooms) == everything
    assert {e.room for e in (await probe.read(Search("needle", 10, viewer=inside()))).entries} == {"open", "opened"}
    found = await probe.read(Search("needle", 10, viewer=inside("keyed", "hidden")))
    assert {entry.room for entry in found.entries} == {"open", "opened", "keyed", "hidden"}
    for room in names:
        for viewer in (inside(), inside(room), SYSTEM, Viewer(operator=True)):
            for query in (
                Latest(room, 5, viewer=viewer),
                After(room, 0, LAST, 5, viewer=viewer),
                Since(room, 0, 5, viewer=viewer),
                Search("needle", 5, room, viewer=viewer),
                Around(room, "latest", (), 5, False, viewer=viewer),
                Around(room, "after", (first.time - 1,), 5, False, viewer=viewer),
            ):
                answer = await probe.read(query)
                if viewer is SYSTEM or room in viewer.rooms or room in ("open", "opened"):
                    assert "needle" in texts(answer.entries), query
                elif room == "hidden" and not viewer.operator:
                    assert list(answer.entries) == [] and not answer.more, query
                else:
                    assert isinstance(answer, Closed) and str(answer) == f"Only members of {room} can read it", query


async def test_bearer_of_a_token_for_some_rooms_sees_these_alone(probe: Probe) -> None:
    await probe.commit(*(draft("needle", room) for room in ("ops", "tea", *"abcdef")), draft("+s", "tea", Kind.MODE))
    bearer = Viewer(only=frozenset(("ops", "tea", "none")))
    listed = await probe.read(AllRooms(10, viewer=bearer))
    assert (listed.rooms, listed.count) == ([("ops", "")], 1)
    found = await probe.read(Search("needle", 1, viewer=bearer))
    assert [entry.room for entry in found.entries] == ["ops"] and not found.more
    found = await probe.read(Search("needle", 10, viewer=bearer._replace(rooms=("tea", "a"))))
    assert {entry.room for entry in found.entries} == {"ops", "tea"}
    for room in ("tea", "a"):
        answer = await probe.read(Search("needle", 5, room, viewer=bearer))
        assert isinstance(answer, Closed) if room == "a" else not answer.entries


async def test_banned_user_outside_a_room_cannot_read_it(probe: Probe) -> None:
    await probe.commit(draft("needle", "ops"), draft("needle", "tea"), draft("+b al!*@*", "ops", Kind.MODE))
    answer = await probe.read(Latest("ops", 5, viewer=inside()))
    assert isinstance(answer, Closed) and str(answer) == "You are banned from ops"
    assert {e.room for e in (await probe.read(Search("needle", 10, viewer=inside()))).entries} == {"tea"}
    for viewer in (inside("ops"), Viewer(mask="Bo!~nc@bbbbbbbbbb.nc")):
        assert len((await probe.read(Search("needle", 10, viewer=viewer))).entries) == 2


async def test_point_of_another_room_is_none(probe: Probe) -> None:
    (secret,) = await probe.commit(draft("psst", "hidden"))
    await probe.commit(draft("hi", "open"))
    assert not (await probe.read(Around("open", "after", (secret.id,), 5, True))).entries


async def test_modes_that_were_changed_often_cost_nothing(probe: Probe) -> None:
    """What was overruled is not kept: not in the room's rules, however long its log is."""
    one = draft("", "ops", Kind.JOIN, "Al")
    await probe.commit(one)
    for start in range(0, 600, 100):
        changes = [f"{'+-'[number % 2]}mb x{number}!*@*" for number in range(start, start + 100)]
        await probe.commit(*(draft(text, "ops", Kind.MODE) for text in changes))
    await probe.commit(draft("+ks tea", "ops", Kind.MODE), draft("-s", "ops", Kind.MODE))
    made = (await probe.open("ops")).snapshot
    rules = RoomState("ops", made)
    assert len(made) < 400 and rules.closed == "k" and "m" not in rules.flags
    assert rules.rights == {("al", one.host): "o"} and len(rules.lists["b"]) == 300
    assert isinstance(await probe.read(Latest("ops", 1, viewer=inside())), Closed)


async def test_one_event_of_a_user_has_one_id_in_all_rooms(probe: Probe) -> None:
    gone = [Draft(room, "Ann", Left("bye", quit=True), "x.1") for room in ("a", "b", "c")]
    probe.publish(gone[:2])
    probe.publish(gone[2:])
    await probe.until(lambda: len(probe.entries) == len(gone))
    for room in "abc":
        (entry,) = (await probe.read(After(room, 0, LAST, 10))).entries
        assert (entry.room, entry.id, entry.body) == (room, "x.1", gone[0].body)


async def test_room_keeps_its_id_when_it_is_renamed_and_the_next_one_of_the_name_gets_another(probe: Probe) -> None:
    before = (await probe.open("ops")).id
    await probe.say("one", room="ops")
    assert (await probe.open("ops")).id == before != ""
    await probe.commit(draft("dev", "ops", Kind.ROOM_RENAMED))
    await probe.say("two", room="ops")
    assert (await probe.open("dev")).id == before != (await probe.open("ops")).id
    after = (await probe.open("ops")).id
    await probe.commit(draft("lab", "ops", Kind.ROOM_RENAMED))
    assert (await probe.open("lab")).id == after
    assert len({(await probe.open(name)).id for name in ("dev", "lab", "ops")}) == 3


async def test_a_private_conversation_is_stored_like_a_room_and_hidden_from_all_but_two(probe: Probe) -> None:
    room = conversation_of("a1", "b2")
    await probe.say("tea in the lobby")
    entries = await probe.commit(*said("tea for two", "more", room=room))
    for viewer in (Viewer(account="a1"), Viewer(account="b2")):
        page = await probe.read(queries.Latest(room, 10, viewer=viewer))
        assert texts(page.entries) == ["tea for two", "more"]
        assert texts((await probe.read(queries.After(room, entries[0].seq, LAST, 9, viewer=viewer))).entries) == [
            "more"
        ]
        found = await probe.read(queries.Search("tea", 10, viewer=viewer))
        assert sorted(texts(found.entries)) == ["tea for two", "tea in the lobby"]
        assert texts((await probe.read(queries.Search("tea", 10, room, viewer=viewer))).entries) == ["tea for two"]
    for viewer in (Viewer(), Viewer(operator=True), Viewer(account="c3"), Viewer(rooms=(room,), account="c3")):
        assert not (await probe.read(queries.Latest(room, 10, viewer=viewer))).entries
        assert texts((await probe.read(queries.Search("tea", 10, viewer=viewer))).entries) == ["tea in the lobby"]
        assert not (await probe.read(queries.Search("tea", 10, room, viewer=viewer))).entries
        listed = await probe.read(queries.AllRooms(10, viewer=viewer))
        assert [name for name, _ in listed.rooms] == ["lobby"] and listed.count == 1
