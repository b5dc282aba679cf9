"""Nodes of a cluster in one process: a hub and a JetStream broker each, and people without sockets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from doubles import refusing
from hubbub.chat.commands import slash
from hubbub.chat.hub import Hub
from hubbub.chat.operations.table import OPERATIONS
from hubbub.chat.session import Session
from hubbub.cluster.nats.broker import JetStreamBroker
from hubbub.cluster.nats.cluster import NatsCluster
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.errors import Refused
from hubbub.model.client import Encoder
from hubbub.model.events import Event, Notice, Refusal
from hubbub.startup.brokers import clustered
from hubbub.wire.line.encoder import RAW, render

SECONDS = 90.0


class Peer:
    """Somebody on a node, who sees what nc would show."""

    def __init__(self, node: Node, name: str, form: Encoder = RAW) -> None:
        self.node = node
        self.seen = ""
        self.events: list[Event] = []
        self.refused: Refused | None = None
        self._lines: list[str] = []
        self.session: Session = node.hub.connect(self, self, form, f"~nc@{name.lower()}.nc", "127.0.0.1")
        try:
            node.hub.naming.enter(self.session, name, outcome=refusing(self.session, self._entered))
        except Refused as refusal:
            self.refused = refusal

    def _entered(self, refusal: Refused | None) -> None:
        self.refused = refusal

    def types(self, *lines: str) -> None:
        self._lines += lines
        self.resume_input()

    def resume_input(self) -> None:
        while self._lines and self.session.user and self.node.hub.session_ready(self.session):
            line = self._lines.pop(0)
            try:
                slash.run(self.node.hub, self.session, line)
            except Refused as refusal:
                self.node.hub.reply(self.session, Refusal(refusal.code, refusal.text))

    def send_event(self, event: Event) -> None:
        self.events.append(event)
        self.seen += render(event, "\n").decode()

    def send(self, data: bytes) -> int:
        self.seen += data.decode()
        return len(data)

    def write_rest(self, data: bytes, sent: int) -> None:
        self.seen += data[sent:].decode()

    def write(self, data: bytes) -> None:
        self.seen += data.decode()

    async def sees(self, text: str) -> None:
        """Wait until it sees a text, and forget all up to that."""
        await until(lambda: text in self.seen, lambda: f"{text!r} in {self.seen!r}")
        self.seen = self.seen.partition(text)[2]

    @property
    def notices(self) -> list[str]:
        return [line for event in self.events if isinstance(event, Notice) for line in event.lines]


class Node:
    """One node."""

    def __init__(self, url: str, folder: Path | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.broker = JetStreamBroker(NatsCredentials(url), time.time)
        self.backend = clustered(self.broker, folder)
        cluster = self.backend.cluster
        assert isinstance(cluster, NatsCluster)
        self.cluster = cluster
        self.hub = Hub(self.broker, time.time, f"{self.broker.node}-", loop)
        self.hub.add_operations(OPERATIONS)
        self.hub.index = self.backend.index or self.hub.index

    async def start(self) -> Node:
        await self.cluster.connect()
        await self.cluster.meet(self.hub)
        self.broker.start(self.hub.pipeline.committed, self.hub.pipeline.failed)
        self.cluster.start()
        return self

    async def enter(self, name: str) -> Peer:
        peer = Peer(self, name)
        await until(lambda: bool(peer.refused or peer.session.rooms), lambda: f"{name} is in no room")
        return peer

    async def die(self) -> None:
        """End without a word, as a killed process does."""
        await self.broker.tasks.stop()
        await self.broker.link.close()

    async def stop(self) -> None:
        await self.broker.stop(2.0)
        await self.cluster.leave()

    def who(self, room: str = "lobby") -> list[str]:
        return list(slash.members_of(self.hub, room).nicks) if room in self.hub.rooms.loaded else []


async def until(true: Callable[[], bool], otherwise: Callable[[], str], seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {otherwise()}")
        await asyncio.sleep(0.002)


async def same(nodes: list[Node], names: list[str], room: str = "lobby") -> None:
    """Wait until the same people are in a room on every node."""
    await until(
        lambda: all(node.who(room) == names for node in nodes),
        lambda: f"{[node.who(room) for node in nodes]} should be {names}",
    )


async def knows(node: Node, room: str, *nicks: str) -> None:
    """Wait until a node was told that people of other nodes are in a room, which need not be awake on it."""
    await until(
        lambda: {one.nick for one in node.hub.remote.members.rooms.get(room, ())} >= set(nicks),
        lambda: f"{nicks} are not in {room}",
    )


Start = Callable[[], Awaitable[Node]]
