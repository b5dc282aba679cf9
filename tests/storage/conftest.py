"""What tests of several nodes ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from nodes import Node, Start

import lost_connections
from hubbub.cluster.nats import lease, presence
from hubbub.cluster.nats.log import search_index
from nats_servers import NatsServers


@pytest.fixture
async def start(servers: NatsServers, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Start a node, with a short lease."""
    monkeypatch.setattr(lease, "LEASE", 3)
    monkeypatch.setattr(lease, "RENEW", 0.5)
    monkeypatch.setattr(presence, "SILENT", 1.5)
    nodes: list[Node] = []

    async def start() -> Node:
        nodes.append(await Node(servers.url).start())
        return nodes[-1]

    yield start
    for node in nodes:
        await node.stop()
    await servers.forget()


@pytest.fixture(autouse=True)
def patient_searches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a search wait for its copy of the log for as long as a busy disk takes to make it."""
    monkeypatch.setattr(search_index, "PATIENCE", 60.0)


@pytest.fixture(scope="module", autouse=True)
def lost_at_the_end() -> Iterator[None]:
    """Collect the connections that the last test has lost."""
    yield
    lost_connections.collect()
