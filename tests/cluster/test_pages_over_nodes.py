"""Pages through the faults of a cluster: nothing missed over all connections, and each message is what they were told.

`make soak` runs this for longer.
"""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from crowd import Wire, crowd
from load import CALM, CUT, RATE
from pages import STORED, pages, settle

from nats_servers import NatsServers


async def test_pages_miss_nothing_when_nodes_are_restarted_and_killed(tmp_path: Path) -> None:
    servers = NatsServers(tmp_path, 1)
    async with crowd(tmp_path, servers) as made, pages(made, 6, RATE / 2) as people:
        for node in made.nodes:
            await asyncio.sleep(CALM)
            assert await node.end() == 0
            await node.start()
        await asyncio.sleep(CALM)
        await made.nodes[1].end(signal.SIGKILL)
        await asyncio.sleep(CALM)
        log = await settle(servers.url, people)
        assert len(log) > 3 * CALM * RATE / 2
        assert all(page.stays > 1 for page in people), "somebody never went on elsewhere"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_pages_are_told_the_truth_when_the_leading_server_fails(tmp_path: Path, how: signal.Signals) -> None:
    servers = NatsServers(tmp_path, 3)
    async with crowd(tmp_path, servers) as made, pages(made, 6, RATE / 2) as people:
        await asyncio.sleep(CALM)
        leader = await asyncio.to_thread(servers.leader)
        servers.signal(leader, how)
        await asyncio.sleep(CUT)
        if how is signal.SIGKILL:
            await asyncio.to_thread(servers.start, leader)
        else:
            servers.signal(leader, signal.SIGCONT)
        await asyncio.sleep(CALM)
        await settle(servers.url, people)
        assert sum(fate == STORED for page in people for fate in page.fates.values()) > CALM * RATE / 2


@pytest.mark.parametrize("way", ["up", "down"])
async def test_pages_are_told_the_truth_when_their_node_is_cut_off(tmp_path: Path, way: str) -> None:
    servers = NatsServers(tmp_path, 1)
    async with crowd(tmp_path, servers, nodes=2) as made:
        wire = await Wire(servers.ports[0]).start()
        made.nodes[0].url = f"nats://127.0.0.1:{wire.port}"
        async with pages(made, 4, RATE / 2) as people:
            await asyncio.sleep(CALM)
            wire.swallows = way
            await asyncio.sleep(CUT)
            wire.swallows = ""
            await asyncio.sleep(CALM)
            await settle(servers.url, people)
        await made.stop()
        await wire.stop()
