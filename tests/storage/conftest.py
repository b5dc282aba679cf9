"""What tests of several nodes ask for."""

from __future__ import annotations

import gc
import warnings
from collections.abc import AsyncIterator, Iterator

import pytest
from nodes import Node, Start

from hubbub.cluster.nats import lease, presence
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


@pytest.fixture(scope="module", autouse=True)
def half_made_connections() -> Iterator[None]:
    """Collect the sockets that nats-py leaves open if it is closed while it connects, so that no later test fails."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
