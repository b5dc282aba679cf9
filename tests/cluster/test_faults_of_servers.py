"""NATS servers that fail: nothing lost, nothing doubled, one order. `make soak` runs this for longer."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from crowd import Crowd, crowd, judge, log_of
from load import CALM, FREEZE, RATE

from nats_servers import NatsServers


def sent(made: Crowd) -> int:
    return sum(voice.sent for voice in made.voices)


async def test_each_nats_server_is_killed_in_turn(tmp_path: Path) -> None:
    servers = NatsServers(tmp_path, 3)
    async with crowd(tmp_path, servers) as made:
        await made.start(6, 3, RATE)
        first = await asyncio.to_thread(servers.leader)
        for number in (first, (first + 1) % 3, (first + 2) % 3):
            await asyncio.sleep(CALM)
            servers.signal(number, signal.SIGKILL)
            await asyncio.sleep(2)
            await asyncio.to_thread(servers.start, number)
        await asyncio.sleep(CALM)
        log = await made.settle()
        told = [line for voice in made.voices for line in voice.told if line.startswith("Not ")]
        assert len(log) >= sent(made) - len(told), f"{sent(made)} sent, {len(log)} stored, {told[:3]}"


async def test_frozen_nats_server(tmp_path: Path) -> None:
    servers = NatsServers(tmp_path, 3)
    async with crowd(tmp_path, servers) as made:
        await made.start(6, 3, RATE)
        await asyncio.sleep(CALM)
        number = await asyncio.to_thread(servers.leader)
        servers.signal(number, signal.SIGSTOP)
        await asyncio.sleep(FREEZE)
        servers.signal(number, signal.SIGCONT)
        await asyncio.sleep(CALM)
        log = await made.settle()
        told = [line for voice in made.voices for line in voice.told if line.startswith("Not ")]
        assert len(log) >= sent(made) - len(told)


async def test_full_disk_is_told_and_nothing_that_was_seen_is_lost(tmp_path: Path) -> None:
    servers = NatsServers(tmp_path, 1, jetstream="max_file: 3MB")
    async with crowd(tmp_path, servers, nodes=2) as made:
        await made.start(2, 2, 40)
        writer = made.voices[0]._writer
        assert writer
        for number in range(1500):
            writer.write(f"big-{number:04}-{'x' * 3500}\n".encode())
            await asyncio.sleep(0.01)
            if any(line.startswith("Not ") for line in made.voices[0].told):
                break
        for voice in made.voices:
            voice.stopped = True
        await asyncio.sleep(1)
        told = {line for voice in made.voices for line in voice.told if line.startswith("Not ")}
        assert told == {"Not sent: the disk is full."}, told
        judge(await log_of(servers.url), made.voices)
