"""Rooms that are renamed while other nodes open, rename and follow others: a name is one room's, on every node."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from nats.aio.msg import Msg
from nodes import Node, Peer, Start, same, until

from hubbub.brokers.jetstream import broker as broker_module
from hubbub.brokers.jetstream import feed as feed_module
from hubbub.brokers.jetstream import following, streams
from hubbub.brokers.jetstream.link import Unknown
from hubbub.core import moderation
from hubbub.core.model import Kind


def rename(who: Peer, to: str, room: str = "") -> None:
    """Rename the room that somebody is in, as IRC's RENAME does."""
    found = who.session.rooms[room or who.session.current]
    moderation.move(who.node.hub, who.session, found, to, "", lambda refusal: None)


def give(who: Peer, to: str) -> None:
    """The same, but nobody looks first whether there is a room of that name."""
    who.session.waiting += 1
    who.node.hub.draft(who.session, who.session.current, Kind.MOVE, to)


class Gate:
    """Holds what a node publishes to one room."""

    def __init__(self, node: Node, room: str) -> None:
        self.open = asyncio.Event()
        self.reached = 0
        self.lost = False  # nobody answers
        self._publish = node.broker.link.publish
        self._subject = f"{streams.ROOM}{room}"
        node.broker.link.publish = self.publish  # type: ignore[method-assign]

    async def publish(self, subject: str, data: bytes, headers: Mapping[str, str]) -> int:
        if subject == self._subject:
            self.reached += 1
            if self.lost:
                raise Unknown
            await self.open.wait()
        return await self._publish(subject, data, headers)


def deaf(node: Node, room: str) -> None:
    """Let a node hear nothing of a room that it follows."""

    async def ignore(message: Msg) -> None:
        pass

    node.broker.following.feeds[room]._subscription._cb = ignore


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


async def test_who_opens_a_room_whose_name_another_one_is_given_comes_into_that(start: Start) -> None:
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await in_rooms(ann)
    gate = Gate(one, "ops")
    rename(ann, "dev")
    await until(lambda: gate.reached > 0, lambda: "nothing was published")
    bo.types("/join dev", "hello")
    await asyncio.sleep(0.1)
    assert "dev" not in bo.session.rooms
    gate.open.set()
    await same([one, two], ["Ann", "Bo"], "dev")
    await ann.sees("hello")
    bo.types("/join ops", "/who")
    await bo.sees("In ops: 1")


@pytest.mark.parametrize("hears", [True, False])
async def test_who_opens_it_where_the_room_is_known_by_its_name_before_is_in_the_same(
    start: Start, monkeypatch: pytest.MonkeyPatch, hears: bool
) -> None:
    monkeypatch.setattr(feed_module, "IN_THE_WAY", 60)
    one, two = await start(), await start()
    ann, bo, cy = await one.enter("Ann"), await two.enter("Bo"), await two.enter("Cy")
    await in_rooms(ann, bo)
    if not hears:
        deaf(two, "ops")
    gate = Gate(one, "ops")
    rename(ann, "dev")
    await until(lambda: gate.reached > 0, lambda: "nothing was published")
    cy.types("/join dev", "hello")
    await asyncio.sleep(0.1)
    assert "dev" not in cy.session.rooms
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
    await ann.sees("Not sent: there is a room dev already.")
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
            await until(lambda who=who: not who.session.waiting, lambda: "somebody waits")  # type: ignore[misc]
        rooms = {ann.session.current, bo.session.current}
        assert name in rooms and len(rooms) == 2
        await one.stop()
        await two.stop()


async def test_name_that_a_dead_node_had_claimed_is_free_after_a_while(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "ABANDONED", 0.5)
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await in_rooms(ann)
    gate = Gate(one, "ops")
    rename(ann, "dev")
    await until(lambda: gate.reached > 0, lambda: "nothing was published")
    await one.die()
    bo.types("/join dev", "/who", "/join ops", "/who")
    await bo.sees("In dev: 1")
    await bo.sees("In ops: ")


async def test_name_is_claimed_as_long_as_it_is_not_known_whether_it_was_given(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "ABANDONED", 0.5)
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await in_rooms(ann)
    gate = Gate(one, "ops")
    gate.lost = True
    rename(ann, "dev")
    await until(lambda: gate.reached > 0, lambda: "nothing was published")
    bo.types("/join dev")
    await until(lambda: gate.reached > 10, lambda: "it is not tried again")
    assert "dev" not in bo.session.rooms
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
    await ann.sees("Not confirmed: there is a room dev already. It may be shown yet.")
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
        await until(lambda who=who, to=to: who.session.current == to, lambda: "it has no new name")  # type: ignore[misc]
    await same([one, two], ["Ann", "Bo"], "den")
    await same([one, two], ["Cy", "Dee"], "ops")
    bo.types("among us")
    await ann.sees("among us")
    dee.types("among others")
    await cy.sees("among others")
    assert "others" not in ann.seen + bo.seen and "us" not in cy.seen + dee.seen


async def test_room_does_not_wait_for_ever_for_its_name(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "IN_THE_WAY", 0.3)
    one, two = await start(), await start()
    ann, bo = await one.enter("Ann"), await two.enter("Bo")
    await in_rooms(ann, bo)
    two.broker.following.feeds["dev"] = two.broker.following.feeds["lobby"]  # what cannot be
    rename(ann, "dev")
    await same([one, two], ["Ann", "Bo"], "dev")


async def test_who_opens_rooms_that_take_each_others_names_comes_into_the_right_ones(start: Start) -> None:
    one = await start()
    ann, bo = await one.enter("Ann"), await one.enter("Bo")
    await in_rooms(ann)
    await in_rooms(bo, room="den")

    def settled() -> bool:
        return not (ann.session.waiting or bo.session.waiting)

    for turn in range(4):
        node = await start()
        cy = await node.enter("Cy")
        first, second = ann.session.current, bo.session.current
        rename(ann, f"tmp{turn}")
        await until(settled, lambda: "somebody waits")
        rename(bo, first)
        cy.types(f"/join {first}", f"/join {second}")
        await until(lambda who=cy: len(who.session.rooms) == 3, lambda who=cy: who.seen)  # type: ignore[misc]
        await until(settled, lambda: "somebody waits")
        for room in {ann.session.current, bo.session.current}.intersection(cy.session.rooms):
            await until(
                lambda at=node, room=room: at.who(room) == one.who(room),  # type: ignore[misc]
                lambda at=node, room=room: f"{room}: {at.who(room)} and {one.who(room)}",  # type: ignore[misc]
            )
        await node.stop()
