"""What a node does when answers are lost, the log has become shorter, retention took a room, or others wrote to it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from nats.aio.msg import Msg
from nodes import Node, Peer, Start, same, until

from hubbub.chat.hub import Hub
from hubbub.cluster.nats import broker as broker_module
from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.link.outcomes import OutcomeUnknown, Rejected
from hubbub.cluster.nats.log import reading, subscriptions
from hubbub.cluster.nats.log.archive import StreamReader
from hubbub.cluster.nats.log.room_feed import RoomFeed
from hubbub.cluster.nats.log.search_index import SearchIndex
from hubbub.config import Settings
from hubbub.errors import BrokerError
from hubbub.model.entries import Entry, Kind
from hubbub.model.queries import LogPage, RoomList
from hubbub.serve.irc.network import IrcNetwork
from hubbub.text.names import check_room
from hubbub.wire.line.encoder import RAW
from nats_servers import NatsServers
from records import text_in
from system_queries import After, AllRooms, Latest, Search

if TYPE_CHECKING:
    from hubbub.serve.irc.client import IrcClient


async def idle(node: Node, *peers: Peer) -> None:
    """Wait until all that was typed has its outcome."""
    await until(lambda: node.hub.pipeline.idle and not any(peer._lines for peer in peers), lambda: "busy")


async def ask(node: Node, query: Any) -> Any:
    answer = asyncio.get_running_loop().create_future()
    node.broker.read(query, answer.set_result)
    async with asyncio.timeout(120):
        return await answer


# --- a log that is not what it was ----------------------------------------------------------------------------------


async def test_node_says_that_the_log_has_lost_its_end_and_another_goes_on_from_there(tmp_path: Path) -> None:
    """A power cut takes what the only server had not synced, and what comes then has the same numbers again."""
    servers = NatsServers(tmp_path)
    data, kept = tmp_path / "nats-0" / "js", tmp_path / "kept"
    servers.start()
    nodes: list[Node] = []
    try:
        nodes.append(one := await Node(servers.url).start())
        ann = await one.enter("Ann")
        ann.types("first")
        await idle(one, ann)
        servers.signal(0, signal.SIGKILL)
        shutil.copytree(data, kept)
        servers.start(0)
        await until(lambda: one.cluster.reachable, lambda: "the server is not back")
        ann.types("a", "b", "/topic of then", "c")
        await idle(one, ann)
        await until(lambda: one.broker.following.named("lobby").noted > 0, lambda: "the topic is not noted")
        state = await one.broker.link.last(streams.NOW, f"{streams.STATE}lobby")
        assert state
        servers.signal(0, signal.SIGKILL)
        shutil.rmtree(data)
        shutil.copytree(kept, data)
        servers.start(0)
        await until(lambda: one.cluster.reachable, lambda: "the server is not back")
        # The other stream has lost nothing:
        await streams.patiently(lambda: one.broker.link.publish(state.subject, state.data, {}))
        ann.types("after the power cut")
        await until(lambda: "ot sent" in ann.seen or "Not confirmed" in ann.seen, lambda: ann.seen)
        await until(lambda: bool(one.broker.identity.fault), lambda: "nothing was noticed")
        ann.seen = ""
        ann.types("and again")
        await ann.sees("Not sent: the log has lost its end; restart the server")
        health = asyncio.get_running_loop().create_future()
        one.broker.probe(health.set_result)
        assert isinstance(await health, BrokerError)
        await nodes.pop().stop()
        before = one.broker.log_id
        nodes.append(two := await Node(servers.url).start())
        assert two.broker.log_id != before, "its numbers are given again"
        bo = await two.enter("Bo")
        bo.types("here we are", "/history")
        await bo.sees("Ann: first")
        await bo.sees("here we are")
    finally:
        for node in nodes:
            await node.stop()
        servers.stop()


@pytest.mark.parametrize("ends", [(0, 0, 0), (0, 0, 1 << 40, 0, 0)])
async def test_log_that_ends_too_early_is_mistrusted_when_that_is_sure(
    start: Start, monkeypatch: pytest.MonkeyPatch, ends: tuple[int, ...]
) -> None:
    """A server that has just become leader may lag behind."""
    one = await start()
    await one.enter("Ann")
    told, seen = list(ends), 0

    real = streams.log

    async def log(link: NatsConnection) -> streams.StreamLog:
        nonlocal seen
        seen += 1
        return (await real(link))._replace(last=told.pop(0) if told else 1 << 40)

    monkeypatch.setattr(streams, "log", log)
    monkeypatch.setattr(broker_module, "AUDIT", 0.02)
    looks = len(ends) + 3  # the last of which find it as it should be
    await until(lambda: seen >= looks, lambda: "it does not look")
    assert bool(one.broker.identity.fault) is (len(ends) == 3)


async def test_room_of_which_retention_took_everything_is_empty_and_not_out_of_reach(start: Start) -> None:
    one = await start()
    ann = await one.enter("Ann")
    ann.types("a", "b")
    await idle(one, ann)
    await one.broker.link.ask(f"STREAM.PURGE.{streams.LOG}", {"filter": f"{streams.ROOM}lobby"})
    for query in (Latest("lobby", 10), After("lobby", 0, (1 << 62) - 1, 20, history=True)):
        page = await ask(one, query)
        assert isinstance(page, LogPage) and not page.entries, query


async def test_renamed_room_is_read_as_a_whole_when_retention_took_its_rename(start: Start) -> None:
    one = await start()
    ann = await one.enter("Ann")
    ann.types("/join dev", "/rename ops", "hello ops", "/join lobby")
    await until(lambda: one.broker.following.named("ops") is not None, lambda: "it was not renamed")
    await idle(one, ann)
    last = one.broker.following.named("ops").last
    ann.types("hello lobby")
    await idle(one, ann)
    await one.broker.link.ask(f"STREAM.PURGE.{streams.LOG}", {"seq": last})
    whole = StreamReader(one.broker.link)
    await whole.begin()
    found = [entry async for entries, _ in whole.pages() for entry in entries]
    assert [entry.room for entry in found if entry.kind is Kind.MESSAGE] == ["ops", "lobby"]


async def test_topic_that_who_set_it_could_not_note_survives_retention(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "AUDIT", 0.2)
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    ann.types("/join dev")
    await idle(one, ann)
    bo.types("/join dev")
    await same([one, two], ["Ann", "Bo"], "dev")

    async def dies(feed: RoomFeed, before: str) -> None:
        """It is ended before it can."""

    monkeypatch.setattr(one.broker.following, "keep", dies)
    ann.types("/topic important")
    await bo.sees("important")
    await one.die()
    feed = two.broker.following.named("dev")
    await until(lambda: feed.noted == feed.state.ruling, lambda: "nobody notes it")
    bo.types("later")
    await idle(two, bo)
    await two.broker.link.ask(f"STREAM.PURGE.{streams.LOG}", {"filter": feed.subject, "keep": 1})
    three = await start()
    cy = await three.enter("Cy")
    cy.types("/join dev")
    await until(lambda: "dev" in [room.name for room in cy.session.rooms.values()], lambda: "Cy is not in")
    assert three.hub.rooms.loaded["dev"].topic == "important"


# --- answers that are lost, or nobody's -----------------------------------------------------------------------------


async def test_message_that_could_not_be_deleted_is_not_taken_for_gone(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a quorum the servers refuse; a name that was let go then must be let go later."""
    one, two = await start(), await start()
    ann = await one.enter("Ann")
    await two.enter("Bo")
    real = NatsConnection.ask

    async def refuses(
        link: NatsConnection, what: str, question: object = None, patience: float = 3.0
    ) -> dict[str, Any]:
        if what.startswith("STREAM.MSG.DELETE"):
            raise Rejected("JetStream system temporarily unavailable", 10008)
        return await real(link, what, question, patience)

    monkeypatch.setattr(NatsConnection, "ask", refuses)
    with pytest.raises(BrokerError):
        await one.broker.link.delete(streams.NOW, 1)
    one.hub.depart(ann.session)
    await until(lambda: "ann" in one.broker.lease._freed, lambda: "nothing was let go")
    monkeypatch.setattr(NatsConnection, "ask", real)
    assert not await one.broker.link.delete(streams.NOW, 1 << 40)  # it is not there
    await until(lambda: not one.broker.lease._freed, lambda: "it is not tried again")
    assert not (await two.enter("Ann")).refused


async def test_lease_goes_on_when_somebody_answers_in_the_servers_place(start: Start) -> None:
    one = await start()
    ann = await one.enter("Ann")
    foreign = NatsConnection(NatsCredentials(one.broker.link._access.servers), "foreign", lambda up: None)
    await foreign.connect()

    replies = 0

    async def reply(message: Msg) -> None:
        nonlocal replies
        replies += 1
        await foreign.tell(message.reply, b"ok")

    subscription = await foreign.subscribe(f"{streams.NODE}*", reply)
    await until(lambda: replies > 3, lambda: "it has given up")
    await foreign.unsubscribe(subscription)
    await foreign.close()
    await until(lambda: one.cluster.reachable, lambda: "it has no lease")
    ann.types("still here")
    await idle(one, ann)
    assert [text_in(entry) for entry in (await ask(one, Latest("lobby", 1))).entries] == ["still here"]


async def test_work_that_fails_is_begun_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    one = await start()
    looks = 0

    async def fails() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ValueError("a bug")

    monkeypatch.setattr(broker_module, "AUDIT", 0.05)
    monkeypatch.setattr(one.broker.following, "audit", fails)
    await until(lambda: looks > 1, lambda: "it has ended")


async def test_entry_is_there_once_after_an_outage_longer_than_ids_are_known(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "FORGET_IDS", 1)
    monkeypatch.setattr(broker_module, "AUDIT", 60.0)
    one = await start()
    ann = await one.enter("Ann")
    feed = one.broker.following.named("lobby")
    publish, hear, repair, sync = one.broker.link.publish, feed._on_live, feed.repair, feed.sync
    stored, looked, cut, begun = asyncio.Event(), 0, True, time.monotonic()

    async def lossy(subject: str, data: bytes, headers: Mapping[str, str], *patience: float) -> int:
        if cut and subject.startswith(streams.ROOM):
            if not stored.is_set():
                stored.set()
                await publish(subject, data, headers, *patience)
            raise OutcomeUnknown
        return await publish(subject, data, headers, *patience)

    async def deaf(message: Msg) -> None:
        if not cut:
            await hear(message)

    async def fails() -> None:
        nonlocal cut, looked
        if cut:
            looked += 1
            cut = time.monotonic() - begun < 3  # then the servers are back just behind this question
            raise BrokerError("no leader")
        await sync()

    monkeypatch.setattr(one.broker.link, "publish", lossy)
    monkeypatch.setattr(feed._subscription, "_cb", deaf)
    monkeypatch.setattr(feed, "repair", lambda upto: None if cut else repair(upto))
    monkeypatch.setattr(feed, "sync", fails)
    ann.types("/topic once")
    await idle(one, ann)
    page = await reading.answer(feed, Latest("lobby", 50, every=True))
    assert looked and [text_in(entry) for entry in page.entries if entry.kind is Kind.TOPIC] == ["once"]


async def test_node_starts_while_a_leader_is_being_chosen(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    await start()
    real, fails = NatsConnection.ask, [1]

    async def shy(link: NatsConnection, what: str, question: object = None, patience: float = 3.0) -> dict[str, Any]:
        if what == f"STREAM.INFO.{streams.LOG}" and fails:
            fails.pop()
            raise BrokerError("no leader")
        if what == f"STREAM.CREATE.{streams.LOG}":
            raise Rejected("in use", streams.IN_USE)
        return await real(link, what, question, patience)

    monkeypatch.setattr(NatsConnection, "ask", shy)
    await start()
    assert not fails


# --- rooms and people -----------------------------------------------------------------------------------------------


async def test_room_that_could_not_be_opened_is_not_followed_for_ever(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = await start()
    ann = await one.enter("Ann")
    ann.types("/join dev", "hello", "/leave dev")
    await idle(one, ann)
    await until(lambda: "dev" not in one.hub.rooms.loaded, lambda: "it is awake")
    feed = one.broker.following.named("dev")
    feed.recent.clear()
    feed.whole = False

    async def gone(*_: object) -> LogPage:
        raise BrokerError("gone")

    monkeypatch.setattr(reading, "answer", gone)
    ann.types("/join dev")
    await ann.sees("Not joined")
    assert not feed.open and "dev" not in one.hub.rooms.loaded


async def test_rooms_are_looked_after_when_one_is_renamed_while_another_is_let_go(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "LINGER", 0.0)
    one, two = await start(), await start()
    ann = await one.enter("Ann")
    ann.types("/join a", "/join b")
    await until(lambda: "b" in ann.session.rooms, lambda: "Ann is not in")
    end = RoomFeed.end

    async def slow(feed: RoomFeed) -> None:
        if feed.link is two.broker.link and feed.room == "a":
            ann.types("/rename c")
            await until(lambda: two.broker.following.named("c") is not None, lambda: "it was not renamed")
        await end(feed)

    monkeypatch.setattr(RoomFeed, "end", slow)
    assert await two.broker.following.room("a") and await two.broker.following.room("b")
    await two.broker.following.tidy(())
    assert not {"a", "b"} & {feed.room for feed in two.broker.following.feeds.values()}


async def test_name_that_was_lost_after_its_user_left_is_nobodys(start: Start) -> None:
    one, two = await start(), await start()
    zoe = await one.enter("Zoe")
    await two.enter("Ann")
    await same([one, two], ["Ann", "Zoe"])
    lease = one.broker.lease
    lease._lost, lease._away = ["ann", "bo"], True
    lease.release("bo")
    await lease._reclaim()
    assert not lease._lost
    zoe.types("/nick Zoa")
    await same([one, two], ["Ann", "Zoa"])


@pytest.mark.parametrize("letter", ["a", "中"])
async def test_people_in_many_rooms_are_known_elsewhere_however_long_their_names(start: Start, letter: str) -> None:
    one = await start()
    people = crowd(one.hub, [check_room((letter * 29 + f"{number:03}")[:32]) for number in range(20)])
    two = await start()
    try:
        await until(
            lambda: bool(
                two.cluster.presence and [len(peer.people) for peer in two.cluster.presence.peers.values()] == [500]
            ),
            lambda: "they are not known",
        )
    finally:
        for peer in people:
            peer.session.user.rooms = {}


def crowd(hub: Hub, rooms: list[str]) -> list[Silent]:
    hub.nicks.names = None
    people = []
    for number in range(500):
        people.append(peer := Silent())
        peer.session = hub.connect(peer, peer, RAW, "~nc@1f2e3d4c5a.irc", "192.168.100.100")
        user, _ = hub.nicks.claim(f"somebody{number}")
        user.away = "I am away until tomorrow morning " * 8
        hub.naming.attach(peer.session, user)
        for room in rooms:
            user.rooms[room] = SimpleNamespace(name=room, id=room, members={user: 1 << 40})  # type: ignore[assignment]
    return people


class Silent:
    """Somebody who reads nothing."""

    def send_event(self, event: object) -> None:
        pass

    def resume_input(self) -> None:
        pass

    def send(self, data: bytes) -> int:
        return len(data)

    def write_rest(self, data: bytes, sent: int) -> None:
        pass

    def write(self, data: bytes) -> None:
        pass


async def test_monitor_is_not_told_that_somebody_left_who_came_anew_on_another_node(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = await start(), await start(), await start()
    network, told = IrcNetwork(three.hub, Settings()), Told()
    network.watch("Kat", cast("IrcClient", told))
    assert three.cluster.presence
    look, gate = three.cluster.presence._look_at, asyncio.Event()

    async def late(node: str, peer: Any) -> None:
        await gate.wait()
        await look(node, peer)

    monkeypatch.setattr(three.cluster.presence, "_look_at", late)
    await one.enter("Kat")
    await until(lambda: told.codes == [730], lambda: str(told.codes))
    await one.die()
    assert not (await two.enter("Kat")).refused
    await until(lambda: told.codes == [730, 730], lambda: str(told.codes))
    gate.set()
    await until(lambda: len(three.cluster.presence.peers) == 1, lambda: "it is there still")
    assert told.codes[-1] == 730
    two.hub.depart(two.hub.nicks.find("Kat").sessions[0])  # type: ignore[union-attr]
    await until(lambda: told.codes[-1] == 731, lambda: str(told.codes))


class Told:
    """An IRC client that watches for somebody."""

    def __init__(self) -> None:
        self.codes: list[int] = []

    def numeric(self, code: int, *params: str) -> None:
        self.codes.append(code)


# --- what others wrote ----------------------------------------------------------------------------------------------


async def test_entry_of_a_kind_to_come_hides_no_other(start: Start) -> None:
    one = await start()
    ann = await one.enter("Ann")
    feed = one.broker.following.named("lobby")
    lines = b'[["message",1.0,"Bo","known","i1"],["raffle",1.0,"Bo","x","i2","",7],["message",1.0,"Bo","too","i3"]]'
    number = await one.broker.link.publish(feed.subject, b'{"entries":' + lines + b',"after":1,"back":1}', {})
    await feed.reach(number)
    await ann.sees("Bo: known\nBo: too\n")
    entries: list[Entry] = list((await ask(one, Latest("lobby", 3))).entries)
    assert [entry.seq % 1024 for entry in entries[-2:]] == [1021, 1023]


async def test_note_that_cannot_be_read_hides_no_other_room(start: Start) -> None:
    one = await start()
    await one.enter("Ann")
    note = b'{"key":"zzz","name":"zzz","opened":[5,["shiny-new-kind",1.0,"A","",""]]}'
    await one.broker.link.publish(f"{streams.STATE}zzz", note, {})
    found = await ask(one, AllRooms(10))
    assert isinstance(found, RoomList) and [room[0] for room in found.rooms] == ["lobby"]
    whole = StreamReader(one.broker.link)
    await whole.begin()


async def test_search_goes_on_past_a_subject_that_is_no_room(start: Start, tmp_path: Path) -> None:
    one = await start()
    ann = await one.enter("Ann")
    await one.broker.link.publish(f"{streams.ROOM}a=zz", b"x", {})
    ann.types("needle")
    await idle(one, ann)
    projection = SearchIndex(one.broker.link, tmp_path)
    projection.begin()
    try:
        assert len((await projection.search(Search("needle", 10))).entries) == 1
        whole = StreamReader(one.broker.link)
        await whole.begin()
    finally:
        await projection.close()
