"""People who do anything at all on nodes that come, go and miss things: in the end all nodes say the same of all."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest
from nats.aio.msg import Msg
from nodes import Node, Peer, until

from hubbub.chat import moderation
from hubbub.cluster.nats import lease, presence, streams
from hubbub.cluster.nats.log import batches, subscriptions
from hubbub.cluster.nats.log.room_feed import RoomFeed
from hubbub.cluster.nats.presence import Presence
from hubbub.errors import Refused
from hubbub.model.entries import Entry, Kind
from hubbub.model.events import RoomEntered
from hubbub.model.room.masks.mask_lists import LISTS
from hubbub.text.cleaning import fold
from nats_servers import NatsServers

NAMES = ("Ann", "Bo", "Cy", "Dee", "Eve")
ROOMS = ("tea", "ops", "dev")
STEPS = 250


class Numbers:
    """Shows entries as their numbers."""

    dedupes = False
    echo = True

    @property
    def for_other_room(self) -> Numbers:
        return self

    def encode(self, entry: Entry) -> bytes:
        return b"%d\n" % entry.seq

    encode_own = encode

    def join(self, entries: Iterable[bytes]) -> bytes:
        return b"".join(entries)

    def encode_skipped(self, room: str, count: int) -> bytes:
        return b"skipped\n"


class Person(Peer):
    """Notes what it is shown, and when it came into rooms."""

    def __init__(self, node: Node, name: str) -> None:
        self.shown: list[int | str | RoomEntered] = []
        super().__init__(node, name, Numbers())

    def _note(self, data: bytes) -> None:
        self.shown += [int(line) if line.isdigit() else line for line in data.decode().splitlines()]

    def send_event(self, event: Any) -> None:
        if isinstance(event, RoomEntered):
            self.shown.append(event)

    def send(self, data: bytes) -> int:
        self._note(data)
        return len(data)

    def write(self, data: bytes) -> None:
        self._note(data)

    @property
    def here(self) -> bool:
        return bool(self.session.user) and not self.session.closed and not self.refused


class World:
    """Nodes, and the people on them."""

    def __init__(self, servers: NatsServers, seed: int, faults: bool) -> None:
        self._servers = servers
        self._random = random.Random(seed)
        self._faults = faults
        self.nodes: list[Node] = []
        self.people: list[Person] = []

    async def start(self) -> Node:
        self.nodes.append(await Node(self._servers.url).start())
        return self.nodes[-1]

    @property
    def living(self) -> list[Person]:
        return [one for one in self.people if one.here and one.node in self.nodes]

    # --- what happens ---------------------------------------------------------------------------------------------

    async def step(self) -> None:
        dice = self._random
        await asyncio.sleep(dice.choice((0, 0, 0, 0.001, 0.004, 0.02)))
        coming = [one for one in self.people if one.node in self.nodes and not one.session.closed and not one.refused]
        if len(coming) < 3 or (len(coming) < 6 and dice.random() < 0.1):
            self.people.append(Person(dice.choice(self.nodes), dice.choice(NAMES)))
            return
        who = dice.choice(coming)
        chance = dice.random()
        if chance < 0.04:
            who.node.hub.depart(who.session, "bye")
        elif chance < 0.14 and who.session.rooms:
            room = who.session.rooms[dice.choice(list(who.session.rooms))]
            try:
                moderation.move(who.node.hub, who.session, room, dice.choice(ROOMS))
            except Refused:
                pass
        elif chance < 0.17 and self._faults:
            await self._fault()
        else:
            who.types(*(self._line() for _ in range(dice.choice((1, 1, 2, 3)))))

    def _line(self) -> str:
        dice = self._random
        name, room = dice.choice(NAMES), dice.choice(ROOMS)
        lines = {
            "hello": 18,
            f"/join {room}": 16,
            "/leave": 3,
            f"/nick {name}": 6,
            "/topic about tea": 3,
            f"/kick {name}": 3,
            f"/ban {name}": 2,
            f"/unban {name}": 2,
            f"/op {name}": 5,
            f"/deop {name}": 2,
            f"/mute {name}": 1,
            "/set moderated on": 1,
            "/set moderated off": 2,
            "/undo": 1,
        }
        return dice.choices(list(lines), list(lines.values()))[0]

    async def _fault(self) -> None:
        node = self._random.choice(self.nodes)
        match self._random.choice(("cut", "missed", "starts", "stops", "dies")):
            case "cut":
                node.broker.link._nats._transport._io_writer.transport.abort()  # type: ignore[union-attr]
            case "missed":
                assert node.cluster.presence
                node.cluster.presence._told += 1
            case "starts" if len(self.nodes) < 3:
                await self.start()
            case "stops" if len(self.nodes) > 2:
                self.nodes.remove(node)
                for one in self.people:
                    if one.node is node and not one.session.closed:
                        node.hub.depart(one.session, "the server stops")
                await node.stop()
            case "dies" if len(self.nodes) > 2:
                self.nodes.remove(node)
                await node.die()

    # --- what must hold -------------------------------------------------------------------------------------------

    def wrong(self) -> list[str]:
        """Return in what the nodes differ from what their people are."""
        names = sorted(one.session.nick for one in self.living)
        inside: dict[str, set[str]] = {}
        for one in self.living:
            for room in one.session.rooms.values():
                inside.setdefault(room.id, set()).add(one.session.nick)
        found = []
        if len({fold(name) for name in names}) != len(names):
            found.append(f"one name twice: {names}")
        for number, node in enumerate(self.nodes):
            seen = sorted(user.nick for user in node.hub.users.values())
            if seen != names:
                found.append(f"node {number} knows {seen}, not {names}")
            places = {id: {one.nick for one in there} for id, there in node.hub.remote.members.rooms.items() if there}
            for id, room in node.hub.rooms.loaded.by_id.items():
                places.setdefault(id, set()).update(one.nick for one in room.members)
            if places != inside:
                found.append(f"node {number} has {places}, not {inside}")
        for name in {room.name for one in self.living for room in one.session.rooms.values()}:
            views = {str(self._view(node, name)) for node in self.nodes if name in node.hub.rooms.loaded}
            if len(views) > 1:
                found.append(f"{name} is {' or '.join(views)}")
        waiting = [
            one
            for one in self.living
            if one.session.pending or (one.session.user and one.session.user.joining) or one.session.replies
        ]
        found += [f"{one.session.nick} waits" for one in waiting]
        found += [
            f"node {number} has more to do" for number, node in enumerate(self.nodes) if not node.hub.pipeline.idle
        ]
        return found

    def _view(self, node: Node, name: str) -> tuple[object, ...]:
        room, rules = node.hub.rooms.loaded[name], node.hub.rooms.loaded[name].state
        return (
            node.broker.following.named(name).state.key,
            room.end.seq,
            room.topic,
            sorted(rules.flags),
            {letter: sorted(rules.lists[letter]) for letter in LISTS},
            sorted((one.nick, *sorted(letters)) for one, letters in rules.status.items()),
            [entry.id for entry in room.latest if entry.kind is not Kind.REDACTED],
        )

    async def logs(self) -> dict[int, tuple[str, int]]:
        """Return of every number the room's key, and its place in that room."""
        link = self.nodes[0].broker.link
        places: dict[int, tuple[str, int]] = {}
        counts: dict[str, int] = {}
        last = await link.last(streams.LOG, f"{streams.ROOM}*")
        async for page in streams.forward(link, streams.LOG, f"{streams.ROOM}*", 1, last.number if last else 0):
            for one in page:
                for entry in batches.entries("", one.number, 0, batches.decode(*one.parts)):
                    place = counts[one.subject] = counts.get(one.subject, 0) + 1
                    places[entry.seq] = one.subject, place
            if last is None or page[-1].number >= last.number:
                break
        return places


@pytest.fixture
async def world(
    request: pytest.FixtureRequest, servers: NatsServers, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    seed, faults, late = request.param
    monkeypatch.setattr(lease, "LEASE", 3)
    monkeypatch.setattr(lease, "RENEW", 0.5)
    monkeypatch.setattr(presence, "SILENT", 1.5)
    monkeypatch.setattr(subscriptions, "LINGER", 1.0)
    if late:  # news and entries come late, each for itself
        for of, name in ((RoomFeed, "_on_live"), (Presence, "_on_news")):
            monkeypatch.setattr(of, name, late_sometimes(getattr(of, name), random.Random(seed)))
    world = World(servers, seed, faults)
    await world.start()
    await world.start()
    yield world
    for node in world.nodes:
        await node.stop()
    await servers.forget()


def late_sometimes(hear: Callable[..., Any], dice: random.Random) -> Callable[..., Any]:
    async def heard(self: object, message: Msg) -> None:
        if dice.random() < 0.3:
            await asyncio.sleep(dice.choice((0.001, 0.005, 0.02, 0.06)))
        await hear(self, message)

    return heard


@pytest.mark.parametrize(
    "world",
    [(1, False, False), (2, False, True), (3, True, False), (4, True, True)],
    indirect=True,
    ids=["as it is", "late", "faults", "faults and late"],
)
async def test_nodes_agree_in_the_end(world: World) -> None:
    for _ in range(STEPS):
        await world.step()
    await until(lambda: not world.wrong(), lambda: "\n".join(world.wrong()))
    places = await world.logs()
    for one in world.people:
        at: dict[str, int] = {}
        for shown in one.shown:
            number = shown.seq if isinstance(shown, RoomEntered) else shown
            assert isinstance(number, int) and number in places, f"{shown} is in no log"
            key, place = places[number]
            if isinstance(shown, RoomEntered):
                at[key] = place
            else:
                assert at[key] + 1 == place, f"{one.session.nick} was shown {place} after {at[key]} of {key}"
                at[key] = place
