"""What cluster/port.py promises, asked of every cluster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from probing import SetClock, draft

from hubbub.chat.hub import Hub
from hubbub.chat.operations.table import OPERATIONS
from hubbub.cluster.nats.broker import JetStreamBroker
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.model.entries import Draft, Entry
from hubbub.startup.brokers import Backend, alone, clustered
from hubbub.storage.memory import MemoryBroker
from hubbub.storage.sqlite.broker import SqliteBroker
from nats_servers import NatsServers

running: list[NatsServers] = []
BACKENDS: dict[str, Callable[[Path], Backend]] = {
    "memory": lambda folder: alone(MemoryBroker(SetClock())),
    "sqlite": lambda folder: alone(SqliteBroker(folder, SetClock())),
    "nats": lambda folder: clustered(JetStreamBroker(NatsCredentials(running[0].url), time.time), folder),
}


@pytest.fixture(scope="module", params=BACKENDS)
def name(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Name a cluster; the servers that it needs run as long as its tests."""
    if request.param == "nats":
        running.append(NatsServers(tmp_path_factory.mktemp("nats"), 1))
        running[0].start()
    yield request.param
    while running:
        running.pop().stop()


@pytest.fixture
async def backend(name: str, tmp_path: Path) -> AsyncIterator[Backend]:
    yield BACKENDS[name](tmp_path)
    if running:
        await running[0].forget()


async def test_a_node_meets_others_serves_its_hub_tells_figures_and_leaves(backend: Backend) -> None:
    stored: list[Entry] = []
    lost: list[Draft] = []
    news = asyncio.Event()

    def committed(entries: object) -> None:
        stored.extend(entries)  # type: ignore[call-overload]
        news.set()

    cluster = backend.cluster
    hub = Hub(backend.log, time.time, "boot-", asyncio.get_running_loop())
    hub.add_operations(OPERATIONS)
    await cluster.connect()
    await cluster.meet(hub)
    backend.log.start(committed, lambda drafts, *_: lost.extend(drafts))
    cluster.start()
    backend.log.publish([draft("hi")])
    async with asyncio.timeout(60):
        await news.wait()
    assert all(text.endswith(".") and value >= 0 for text, value in cluster.figures().values())
    await cluster.give_up()
    assert len(stored) == 1 and not lost, "what can be stored is not given up"
    await backend.log.stop(5.0)
    await cluster.leave()


async def test_a_secret_is_the_clusters_and_is_the_same_on_all_of_its_nodes(name: str, tmp_path: Path) -> None:
    secrets = []
    for number in range(2):
        backend = BACKENDS[name](tmp_path / f"{number}")
        await backend.cluster.connect()
        secrets.append(backend.cluster.secret)
        await backend.cluster.leave()
    assert secrets[0] == secrets[1] and len(secrets[0]) == (32 if name == "nats" else 0)
