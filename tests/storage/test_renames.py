"""Rooms that are renamed while other nodes open, rename and follow others: a name is one room's, on every node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from nats.aio.msg import Msg
from nodes import Node, Peer, Start, same, until

from hubbub.chat import moderation
from hubbub.chat.session import Room
from hubbub.cluster.nats import broker as broker_module
from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link.messages import NatsMessage
from hubbub.cluster.nats.link.outcomes import OutcomeUnknown
from hubbub.cluster.nats.log import reading, subscriptions
from hubbub.cluster.nats.log.room_feed import RoomFeed
from hubbub.errors import BrokerError
from hubbub.model.entries import RoomRenamed


def named(who: Peer) -> dict[str, Room]:
    """Return the rooms that somebody is in, by name."""
    return {room.name: room for room in who.session.rooms.values()}


def rename(who: Peer, to: str, room: str = "") -> None:
    """Rename the room that somebody is in, as IRC's RENAME does."""
    found = named(who)[room or who.session.current_name]
    moderation.move(who.node.hub, who.session, found, to)


def give(who: Peer, to: str) -> None:
    """The same, but nobody looks first whether there is a room of that name."""
    room = who.node.hub.rooms.of(who.session)
    who.node.hub.publish(who.session, room.state, RoomRenamed(to))


class Gate:
    """Holds what a node publishes to one room."""

    def __init__(self, node: Node, room: str) -> None:
        self.open = asyncio.Event()
        self.reached = 0
        self.lost = False  # nobody answers
        self._publish = node.broker.link.publish
        self._subject = f"{streams.ROOM}{room}"
        node.broker.link.publish = self.publish  # type: ignore[method-assign]

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str], *patience: float) -> int:
        if subject == self._subject:
            self.reached += 1
            if self.lost:
                raise OutcomeUnknown
            await self.open.wait()
        return await self._publish(subject, data, headers, *patience)


async def under_way(who: Peer, to: str, lost: bool = False) -> Gate:
    """Rename ops, and hold what its node publishes, or lose every answer to it; the new name is claimed by now."""
    gate = Gate(who.node, "ops")
    gate.lost = lost
    rename(who, to)
    await until(lambda: gate.reached > 0, lambda: "nothing was published")
    return gate


def deaf(node: Node, room: str) -> None:
    """Let a node hear nothing of a room that it follows."""

    async def ignore(message: Msg) -> None:
        pass

    node.broker.following.named(room)._subscription._cb = ignore


class Held:
    """Holds what the connection of a node answers to the first question of some sort, until the end of the block."""

    def __init__(self, node: Node, name: str, sort: Callable[[Any], bool]) -> None:
        self._link, self._name, self._sort = node.broker.link, name, sort
        self._ask = getattr(self._link, name)
        self.reached, self._go = asyncio.Event(), asyncio.Event()

    async def _held(self, stream: str, question: Any) -> Any:
        mine = self._sort(question) and not self.reached.is_set()
        if mine:
            self.reached.set()
        answer = await self._ask(stream, question)
        if mine:
            await self._go.wait()
        return answer

    async def __aenter__(self) -> Held:
        setattr(self._link, self._name, self._held)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._go.set()
        setattr(self._link, self._name, self._ask)


def of_ops(question: Any) -> bool:
    return isinstance(question, dict) and question.get("next_by_subj") == f"{streams.ROOM}ops"


async def called(who: Peer, room: str) -> None:
    await until(lambda: who.session.current_name == room, lambda: f"{who.session.current_name}, not {room}: {who.seen}")


async def in_rooms(*peers: Peer, room: str = "ops") -> None:
    """Let them come into a room one after the other: the first one is its operator."""
    for count, peer in enumerate(peers, 1):
        peer.types(f"/join {room}")
        await same([one.node for one in peers[:count]], sorted(one.session.nick for one in peers[:count]), room)


async def test_room_that_is_renamed_is_so_on_every_node(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await in_rooms(ann, bo)
    rename(ann, "dev")
    await same([one, two], ["Ann", "Bo"], "dev")
    bo.types("still here")
    await ann.sees("still here")
    three = await start()
    cy = await three.enter("Cy")
    cy.types("/join dev")
    await cy.sees("still here")
    cy.types("/join ops", "/who")
    await cy.sees("In ops: 1")


async def test_join_during_a_rename_to_that_name_on_another_node_enters_the_renamed_room(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await in_rooms(ann)
    gate = await under_way(ann, "dev")
    bo.types("/join dev", "hello")
    await asyncio.sleep(0.1)
    assert "dev" not in named(bo)
    gate.open.set()
    await same([one, two], ["Ann", "Bo"], "dev")
    await ann.sees("hello")
    bo.types("/join ops", "/who")
    await bo.sees("In ops: 1")


@pytest.mark.parametrize("hears", [True, False])
async def test_join_on_a_node_that_knows_the_old_name_enters_the_same_room(start: Start, hears: bool) -> None:
    one, two = await start(), await start()
    ann, bo, cy = await one.enter("Ann"), await two.enter("Bo"), await two.enter("Cy")
    await in_rooms(ann, bo)
    if not hears:
        deaf(two, "ops")
    gate = await under_way(ann, "dev")
    cy.types("/join dev", "hello")
    await asyncio.sleep(0.1)
    assert "dev" not in named(cy)
    gate.open.set()
    await same([one, two], ["Ann", "Bo", "Cy"], "dev")
    await ann.sees("hello")
    await bo.sees("hello")
    assert len(two.broker.following.feeds) == 2


async def test_name_of_a_room_that_was_opened_meanwhile_is_not_given(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await in_rooms(ann)
    await in_rooms(bo, room="dev")
    give(ann, "dev")
    await ann.sees("Not sent: there is already a room called dev.")
    ann.types("here", "/who")
    await ann.sees("In ops: 1")
    rename(ann, "lab")
    await same([one, two], [], "ops")
    assert one.who("lab") == ["Ann"] and two.who("dev") == ["Bo"]


async def test_one_of_two_rooms_that_are_given_one_name_at_once_has_it(start: Start) -> None:
    for round in range(5):
        one, two = await start(), await start()
        ann, bo = await one.enter("Ann"), await two.enter("Bo")
        await in_rooms(ann, room=f"ops{round}")
        await in_rooms(bo, room=f"den{round}")
        name = f"dev{round}"
        give(ann, name)
        give(bo, name)
        for who in (ann, bo):
            await until(lambda who=who: not who.session.pending, lambda: "somebody waits")  # type: ignore[misc]
        rooms = {ann.session.current_name, bo.session.current_name}
        assert name in rooms and len(rooms) == 2
        await one.stop()
        await two.stop()


async def test_name_that_a_dead_node_had_claimed_is_free_after_a_while(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "ABANDONED", 0.5)
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await in_rooms(ann)
    await under_way(ann, "dev")
    await one.die()
    bo.types("/join dev", "/who", "/join ops", "/who")
    await bo.sees("In dev: 1")
    await bo.sees("In ops: ")


async def test_name_is_claimed_as_long_as_it_is_not_known_whether_it_was_given(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "ABANDONED", 0.5)
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await in_rooms(ann)
    gate = await under_way(ann, "dev", lost=True)
    bo.types("/join dev")
    await until(lambda: gate.reached > 10, lambda: "it is not tried again")
    assert "dev" not in named(bo)
    gate.lost = False
    gate.open.set()
    await same([one, two], ["Ann", "Bo"], "dev")


async def test_claim_that_was_lost_meanwhile_is_told_of(start: Start) -> None:
    """It is not known whether the room has its new name, and another one has it now: that is no end of the room."""
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await in_rooms(ann)
    gate = Gate(one, "ops")
    gate.lost = True
    rename(ann, "dev")
    await until(lambda: gate.reached > 1, lambda: "it is not tried again")
    claim = await two.broker.link.last(streams.NOW, f"{streams.STATE}dev")
    assert claim and await two.broker.link.delete(streams.NOW, claim.number)
    bo.types("/join dev")
    await ann.sees("Not confirmed: there is already a room called dev. It may still appear.")
    gate.lost = False
    gate.open.set()
    ann.types("/who")
    await ann.sees("In ops: 1")


async def test_room_is_found_by_its_new_name_though_nobody_could_note_it(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = await start(), await start(), await start()
    ann, bo, cy = await one.enter("Ann"), await two.enter("Bo"), await three.enter("Cy")
    await in_rooms(ann)
    ann.types("the first")

    async def nothing(*_: object) -> None:
        pass

    monkeypatch.setattr(one.broker.following, "keep", nothing)
    rename(ann, "dev")
    await same([one], ["Ann"], "dev")
    bo.types("/join dev")
    await bo.sees("the first")
    cy.types("/join ops", "/who", "/join dev")
    await cy.sees("In ops: 1")
    await same([one, two, three], ["Ann", "Bo", "Cy"], "dev")
    rename(cy, "lab", "ops")
    await same([one, two, three], [], "ops")
    assert three.who("lab") == ["Cy"]


async def test_name_that_only_a_note_still_gives_to_a_room_is_free(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await in_rooms(ann)
    await in_rooms(bo, room="den")

    async def nothing(*_: object) -> None:
        pass

    monkeypatch.setattr(one.broker.following, "keep", nothing)
    rename(ann, "dev")
    await same([one], ["Ann"], "dev")
    give(bo, "ops")
    await same([two], ["Bo"], "ops")


@pytest.mark.parametrize("deaf_to", [("ops",), ("ops", "den"), ("den",)])
async def test_room_that_is_given_anothers_former_name_comes_after_that(
    start: Start, deaf_to: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Copies are lost on the way to a node: it must not take the one room for the other."""
    monkeypatch.setattr(broker_module, "AUDIT", 0.2)
    one, two = await start(), await start()
    ann, bo, cy, dee = [await node.enter(name) for node, name in ((one, "Ann"), (two, "Bo"), (one, "Cy"), (two, "Dee"))]
    await in_rooms(ann, bo)
    await in_rooms(cy, dee, room="den")
    for room in deaf_to:
        deaf(two, room)
    for who, to in ((ann, "dev"), (cy, "ops"), (ann, "den")):
        rename(who, to)
        seen = lambda who=who: f"it has no new name: {who.seen[-300:]!r}"  # noqa: E731
        await until(lambda who=who, to=to: who.session.current_name == to, seen)  # type: ignore[misc]
    await same([one, two], ["Ann", "Bo"], "den")
    await same([one, two], ["Cy", "Dee"], "ops")
    bo.types("among us")
    await ann.sees("among us")
    dee.types("among others")
    await cy.sees("among others")
    assert "others" not in ann.seen + bo.seen and "us" not in cy.seen + dee.seen


async def test_renames_are_in_the_order_of_the_log_over_all_rooms(start: Start) -> None:
    """Three rooms take one name in turn, and a node hears of two of them late."""
    one, two = await start(), await start()
    here = [await one.enter(name) for name in ("A1", "B1", "C1")]
    there = [await two.enter(name) for name in ("A2", "B2", "C2")]
    for first, second, room in zip(here, there, ("ops", "den", "lab"), strict=True):
        await in_rooms(first, second, room=room)
    deaf(two, "ops")
    deaf(two, "den")
    ann, bo, cy = here
    for who, to in ((ann, "dev"), (bo, "ops"), (bo, "hut"), (cy, "ops")):
        rename(who, to)
        await called(who, to)
    for who, room in ((there[0], "dev"), (there[1], "hut"), (there[2], "ops")):
        await called(who, room)
        assert two.broker.following.named(room).room == room


async def test_rename_waits_as_long_as_the_servers_do_not_answer(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = await start(), await start()
    ann, bo, cy, dee = [await node.enter(name) for node, name in ((one, "Ann"), (two, "Bo"), (one, "Cy"), (two, "Dee"))]
    await in_rooms(ann, bo)
    await in_rooms(cy, dee, room="den")
    deaf(two, "ops")

    async def nothing(*_: object) -> NatsMessage | None:
        raise BrokerError("nothing answers")

    with monkeypatch.context() as down:
        for what in ("last", "batch"):
            down.setattr(two.broker.link, what, nothing)
        for who, to in ((ann, "dev"), (cy, "ops")):
            rename(who, to)
            await called(who, to)
        await asyncio.sleep(0.5)
        assert dee.session.current_name == "den"
    await called(bo, "dev")
    await called(dee, "ops")


async def test_room_that_is_followed_no_more_does_not_change_its_name(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo, cy = await one.enter("Ann"), await one.enter("Bo"), await two.enter("Cy")
    await in_rooms(ann)
    await in_rooms(bo, room="den")
    followed = two.broker.following
    await followed.room("ops")
    den = await followed.room("den")
    assert den
    async with Held(two, "batch", lambda question: "up_to_seq" in question) as held:
        for who, to in ((ann, "dev"), (bo, "ops")):
            rename(who, to)
            await called(who, to)
        await held.reached.wait()
        den.used -= 2 * subscriptions.LINGER
        await followed.tidy(())
        while await two.broker.link.last(streams.NOW, f"{streams.STATE}den"):  # noqa: ASYNC110 - or Cy waits
            await asyncio.sleep(0.01)
        cy.types("/join den")
        await until(lambda: "den" in named(cy), lambda: cy.seen)
    await asyncio.sleep(0.2)
    assert followed.named("den") is not den and "den" in named(cy)


async def test_note_of_a_name_is_not_taken_away_from_who_claims_it_anew(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, three = await start(), await start(), await start()
    ann, bo, cy = await one.enter("Ann"), await two.enter("Bo"), await three.enter("Cy")
    await in_rooms(ann, bo)
    go, kept = asyncio.Event(), asyncio.Event()
    keep = one.broker.following.keep

    async def late(feed: RoomFeed, before: str) -> None:
        await go.wait()
        await keep(feed, before)
        kept.set()

    monkeypatch.setattr(one.broker.following, "keep", late)
    rename(ann, "dev")
    await same([one, two], ["Ann", "Bo"], "dev")
    gate = Gate(two, "ops")
    give(bo, "ops")
    await until(lambda: gate.reached > 0, lambda: "nothing was published")
    go.set()
    await kept.wait()
    cy.types("/join ops")
    await asyncio.sleep(0.2)
    assert "ops" not in named(cy)
    gate.open.set()
    await same([one, two, three], ["Ann", "Bo", "Cy"], "ops")


async def test_room_is_followed_once_though_it_is_opened_under_two_names(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo, cy = await one.enter("Ann"), await two.enter("Bo"), await two.enter("Cy")
    await in_rooms(ann)
    gate = await under_way(ann, "dev")
    async with Held(two, "batch", of_ops) as held:
        bo.types("/join ops")
        await held.reached.wait()
        cy.types("/join dev")
        await until(lambda: two.broker.following.named("ops") is not None, lambda: "it is not followed")
        gate.open.set()
        await same([one, two], ["Ann", "Cy"], "dev")
    await until(lambda: "ops" in named(bo), lambda: bo.seen)
    keys = [feed.state.key for feed in two.broker.following.feeds.values()]
    assert len(set(keys)) == len(keys) == 3
    ann.types("hello")
    await cy.sees("hello")
    assert "hello" not in bo.seen and all(feed.open for feed in two.broker.following.feeds.values())


async def test_what_a_room_did_under_its_former_name_is_not_the_next_ones(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo, cy = await one.enter("Ann"), await two.enter("Bo"), await two.enter("Cy")
    await in_rooms(ann)
    gate = await under_way(ann, "dev")
    async with Held(two, "last", lambda subject: subject == f"{streams.STATE}ops") as held:
        bo.types("/join ops")
        await held.reached.wait()
        cy.types("/join dev")
        await until(lambda: two.broker.following.named("ops") is not None, lambda: "it is not followed")
        gate.open.set()
        await same([one, two], ["Ann", "Cy"], "dev")
    await until(lambda: "ops" in named(bo), lambda: bo.seen)
    ann.types("hello")
    await cy.sees("hello")
    assert "hello" not in bo.seen


async def test_room_that_is_renamed_while_it_is_opened_gives_nothing_to_the_next_one(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await start(), await start()
    ann, cy = await one.enter("Ann"), await two.enter("Cy")
    await in_rooms(ann)
    ann.types("the first", "/topic plans")
    await until(lambda: named(ann)["ops"].topic == "plans", lambda: ann.seen)
    at, go = asyncio.Event(), asyncio.Event()
    answer = reading.answer

    async def late(*args: Any) -> Any:
        at.set()
        await go.wait()
        return await answer(*args)

    monkeypatch.setattr(reading, "answer", late)
    cy.types("/join ops")
    await at.wait()
    monkeypatch.setattr(reading, "answer", answer)
    rename(ann, "dev")
    await until(lambda: two.broker.following.named("dev") is not None, lambda: "it is not followed")
    go.set()
    await until(lambda: "ops" in named(cy), lambda: cy.seen)
    assert "the first" not in cy.seen and named(cy)["ops"].topic == ""
    assert {feed.room for feed in two.broker.following.feeds.values() if feed.open} == {"lobby", "ops"}


async def test_join_of_a_name_that_is_being_given_up_opens_the_next_room(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo, b2, cy = [await node.enter(name) for node, name in ((one, "Ann"), (one, "Bo"), (two, "B2"), (two, "Cy"))]
    await in_rooms(ann)
    await in_rooms(bo, b2, room="den")
    async with Held(two, "batch", of_ops) as held:
        cy.types("/join ops")
        await held.reached.wait()
        for who, to in ((ann, "dev"), (bo, "ops")):
            rename(who, to)
            await called(who, to)
        await called(b2, "ops")
    await same([one, two], ["B2", "Bo", "Cy"], "ops")


async def test_room_that_is_found_again_is_not_let_go_meanwhile(start: Start) -> None:
    one, two = await start(), await start()
    ann, cy = await one.enter("Ann"), await two.enter("Cy")
    await in_rooms(ann)
    feed = await two.broker.following.room("ops")
    assert feed
    feed.used -= 2 * subscriptions.LINGER
    deaf(two, "ops")
    rename(ann, "dev")
    await called(ann, "dev")
    cy.types("/join dev")
    await until(lambda: bool(feed._news), lambda: "it waits for nothing")
    await two.broker.following.tidy(())
    await until(lambda: "dev" in named(cy), lambda: cy.seen)
    assert two.broker.following.named("dev").open


async def test_name_that_two_operators_give_at_once_is_given_once(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await in_rooms(ann, bo)
    gates = Gate(one, "ops"), Gate(two, "ops")
    for who in (ann, bo):
        give(who, "dev")
    await until(lambda: all(gate.reached for gate in gates), lambda: "nothing was published")
    for gate in gates:
        gate.open.set()
    await same([one, two], ["Ann", "Bo"], "dev")
    three = await start()
    cy = await three.enter("Cy")
    cy.types("/join dev")
    await same([one, two, three], ["Ann", "Bo", "Cy"], "dev")


async def test_joins_of_rooms_that_swap_names_enter_the_right_ones(start: Start) -> None:
    one = await start()
    ann, bo = await one.enter("Ann"), await one.enter("Bo")
    await in_rooms(ann)
    await in_rooms(bo, room="den")

    def settled() -> bool:
        return not (ann.session.pending or bo.session.pending)

    for turn in range(4):
        node = await start()
        cy = await node.enter("Cy")
        first, second = ann.session.current_name, bo.session.current_name
        rename(ann, f"tmp{turn}")
        await until(settled, lambda: "somebody waits")
        rename(bo, first)
        cy.types(f"/join {first}", f"/join {second}")
        await until(lambda who=cy: len(named(who)) == 3, lambda who=cy: who.seen)  # type: ignore[misc]
        await until(settled, lambda: "somebody waits")
        for room in {ann.session.current_name, bo.session.current_name}.intersection(named(cy)):
            await until(
                lambda at=node, room=room: at.who(room) == one.who(room),  # type: ignore[misc]
                lambda at=node, room=room: f"{room}: {at.who(room)} and {one.who(room)}",  # type: ignore[misc]
            )
        await node.stop()
