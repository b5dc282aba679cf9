"""Nodes that fail, or are cut off from NATS, or have nothing to do. `make soak` runs this for longer."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from crowd import Crowd, Voice, Wire, crowd
from load import CALM, CUT, RATE

from nats_servers import NatsServers


def sent(made: Crowd) -> int:
    return sum(voice.sent for voice in made.voices)


async def test_node_that_is_killed_under_load(tmp_path: Path) -> None:
    servers = NatsServers(tmp_path, 1)
    async with crowd(tmp_path, servers) as made:
        await made.start(6, 3, RATE)
        await asyncio.sleep(CALM)
        await made.nodes[1].end(signal.SIGKILL)
        await asyncio.sleep(2 * CALM)
        await made.settle()  # who was there has gone to another node


async def test_nodes_are_restarted_one_by_one(tmp_path: Path) -> None:
    servers = NatsServers(tmp_path, 1)
    async with crowd(tmp_path, servers) as made:
        await made.start(6, 3, RATE)
        for node in made.nodes:
            await asyncio.sleep(CALM)
            assert await node.end() == 0
            await node.start()
        await asyncio.sleep(CALM)
        log = await made.settle()
        assert len(log) > CALM * RATE


async def test_node_with_nobody_in_a_room_pays_nothing_for_it(tmp_path: Path) -> None:
    servers = NatsServers(tmp_path, 1)
    async with crowd(tmp_path, servers, nodes=2) as made:
        busy, idle = made.nodes
        for node in made.nodes:
            await node.start()
        made.voices = [Voice(f"t{number}", [busy], 200.0).start() for number in range(5)]
        await asyncio.gather(*(voice.here() for voice in made.voices))
        before = busy.cpu, idle.cpu
        given = await asyncio.to_thread(servers.given)
        await asyncio.sleep(3)
        spent = busy.cpu - before[0], idle.cpu - before[1]
        got = [now - then for now, then in zip(await asyncio.to_thread(servers.given), given, strict=True)]
        assert sum(voice.sent for voice in made.voices) > 1000
        assert spent[1] < spent[0] / 5 and spent[1] < 0.15, spent
        assert got[0] > 200_000 and got[1] < 5_000, got  # bytes; the second has its lease to renew, and no more
        await made.settle()


@pytest.mark.parametrize("way", ["up", "down"])
async def test_node_that_is_cut_off_one_way(tmp_path: Path, way: str) -> None:
    servers = NatsServers(tmp_path, 1)
    async with crowd(tmp_path, servers) as made:
        wire = await Wire(servers.ports[0]).start()
        made.nodes[0].url = f"nats://127.0.0.1:{wire.port}"
        await made.start(6, 3, RATE)
        await asyncio.sleep(CALM)
        wire.swallows = way
        await asyncio.sleep(CUT)
        wire.swallows = ""
        await asyncio.sleep(CALM)
        log = await made.settle()
        assert [v for v in made.voices if "The chat cannot be reached" in " ".join(v.told)], "nobody was told"
        told = [line for voice in made.voices for line in voice.told if line.startswith("Not ")]
        assert len(log) >= sent(made) - len(told), f"{sent(made)} sent, {len(log)} stored, {told[:3]}"
        await made.stop()
        await wire.stop()
