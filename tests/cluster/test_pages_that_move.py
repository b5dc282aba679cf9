"""Who comes in at another node may say again what is not in the log by then: docs/protocol.md promises that."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from crowd import Wire, crowd
from load import SOAK
from pages import STORED, pages, settle

from hubbub.model.entries import Kind
from nats_servers import NatsServers

ROUNDS = 6 if SOAK else 1


async def test_page_that_leaves_a_cut_off_node_may_say_again_what_is_not_in_the_log(tmp_path: Path) -> None:
    """What its old node kept back must not come after it came in elsewhere, and was right that it is not stored."""
    servers = NatsServers(tmp_path, 1)
    async with crowd(tmp_path, servers, nodes=2) as made:
        wire = await Wire(servers.ports[0]).start()
        made.nodes[0].url = f"nats://127.0.0.1:{wire.port}"
        async with pages(made, 3, 0.0) as people:
            mover, _, stayer = people  # the first and the last are at the node that is cut off
            await mover.says(3)
            await mover.told()
            wire.swallows = "up"
            await mover.says(5)
            await stayer.says(2)
            await asyncio.sleep(1)
            mover.moves(made.nodes[1])
            await mover.told(stays=2)  # its name is free when the lease of its node is over
            wire.swallows = ""
            await asyncio.sleep(5)  # the node comes back, with what it kept
            await stayer.says(2)
            log = await settle(servers.url, people)
            assert mover.said_again == 5 and stayer.stays == 1
            kept = [label for label, fate in stayer.fates.items() if fate == STORED]
            assert kept[-2:] == ["m000003", "m000004"], stayer.fates  # the node speaks for its people again
            assert sum(entry.kind is Kind.MESSAGE for entry in log) == 8 + len(kept)
        await made.stop()
        await wire.stop()


async def test_page_that_moves_while_the_log_has_no_leader_may_say_again_what_is_not_in_it(tmp_path: Path) -> None:
    """Names are in another stream than the log, and may work while it does not."""
    servers = NatsServers(tmp_path, 3)
    async with crowd(tmp_path, servers, nodes=2) as made, pages(made, 6, 0.0) as people:
        for turn in range(1, ROUNDS + 1):
            leader = await asyncio.to_thread(servers.leader)
            servers.signal(leader, signal.SIGKILL)
            await asyncio.sleep(0.5)
            for page in people:
                await page.says(3)
            await asyncio.sleep(0.5)
            for page in people:
                assert page.stays_at
                page.moves(made.nodes[1 - made.nodes.index(page.stays_at)])
            await asyncio.sleep(1.5)
            await asyncio.to_thread(servers.start, leader)
            await asyncio.gather(*(page.told(stays=turn + 1) for page in people))
            await asyncio.sleep(2)
        log = await settle(servers.url, people)
        assert sum(entry.kind is Kind.MESSAGE for entry in log) == 3 * ROUNDS * len(people)
