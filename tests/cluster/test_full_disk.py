"""A NATS server without room: what each message's sender is told, and that it goes on when there is room."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from crowd import crowd
from load import SOAK
from pages import NOT_STORED, STORED, pages, settle

from nats_servers import NatsServers

FULL_FOR = 25.0 if SOAK else 10.0  # seconds: longer than a lease


async def test_full_disk_is_told_of_each_message_and_it_goes_on_with_room(tmp_path: Path) -> None:
    """The servers' own bound is reached, and leases are stored there too; later it is raised."""
    servers = NatsServers(tmp_path, 1, jetstream="max_file: 3MB")
    async with crowd(tmp_path, servers, nodes=2) as made, pages(made, 4, 150.0, filler="x" * 1500) as people:
        async with asyncio.timeout(120):
            while not any(NOT_STORED in page.fates.values() for page in people):  # noqa: ASYNC110 - it is a test
                await asyncio.sleep(0.1)
        await asyncio.sleep(FULL_FOR)
        assert {reason for page in people for reason in page.reasons} == {"Not sent: the disk is full."}
        refused = [sum(fate == NOT_STORED for fate in page.fates.values()) for page in people]
        servers.signal(0, signal.SIGKILL)
        config = tmp_path / "nats-0" / "nats.conf"
        config.write_text(config.read_text().replace("max_file: 3MB", "max_file: 1GB"))
        await asyncio.to_thread(servers.start, 0)
        before = [sum(fate == STORED for fate in page.fates.values()) for page in people]
        await asyncio.sleep(5)
        await settle(servers.url, people)
        after = [sum(fate == STORED for fate in page.fates.values()) for page in people]
        assert all(refused), f"not everybody was told while it was full: {refused}"
        assert all(b > a for a, b in zip(before, after, strict=True)), f"it did not go on: {before}, {after}"
