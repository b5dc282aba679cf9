"""Accounts of a cluster: one directory for all nodes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from hubbub.accounts.registry import AccountRegistry
from hubbub.chat.users.accounts import LoginPeer
from hubbub.cluster.nats.broker import JetStreamBroker
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.config import Settings
from hubbub.errors import Refused, SettingsError
from hubbub.model.accounts.account import Account
from hubbub.startup.accounts import opened_accounts
from hubbub.tools.accounts import ask, opened
from nats_servers import NatsServers

PEER = LoginPeer("192.0.2.1", True)
RACES = 25


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[list[AccountRegistry]]:
    """Two nodes on one NATS server, and what the commands of an operator use."""
    servers = NatsServers(tmp_path, 1)
    servers.start()
    brokers = []
    registries = []
    for _ in range(2):
        broker = JetStreamBroker(NatsCredentials(servers.url), time.time)
        await broker.attach()
        brokers.append(broker)
        registries.append(await opened_accounts(Settings(no_limits=True), broker.key_values, b"secret"))
    settings = Settings(broker=servers.url)
    async with opened(settings) as beside:
        yield [*registries, beside]
    for broker in brokers:
        await broker.stop(1.0)
    servers.stop()


async def until(reached: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not reached():  # noqa: ASYNC110 - the change comes from another process
            await asyncio.sleep(0.005)


async def test_of_all_nodes_one_registers_a_name_and_all_obey_a_suspension(nodes: list[AccountRegistry]) -> None:
    for number in range(RACES):
        outcomes: list[Account | Refused] = []
        for node in nodes:
            node.register(f"ann{number}", "correct horse", PEER, outcomes.append)
        await until(lambda outcomes=outcomes: len(outcomes) == len(nodes))
        (winner,) = [one for one in outcomes if isinstance(one, Account)]
        assert {one.code for one in outcomes if isinstance(one, Refused)} == {"name-registered"}
        for node in nodes:
            await until(lambda node=node, winner=winner: node.find(winner.name) == winner)
    one, other, beside = nodes
    cookie = await ask(one.make_cookie, winner, "Firefox")
    assert (await ask(other.by_cookie, cookie)).id == winner.id
    await ask(beside.suspend, winner)
    with pytest.raises(SettingsError, match="is closed"):
        await ask(other.log_in, winner.name, "correct horse", PEER)
    await until(lambda: all((found := node.find(winner.name)) and found.suspended for node in nodes))
    await ask(beside.suspend, winner, suspended=False)
    await ask(one.change_password, winner, "another one", PEER)
    for node in nodes:
        with pytest.raises(SettingsError, match="not the password"):
            await ask(node.log_in, winner.name, "correct horse", PEER)
        assert await ask(node.log_in, winner.name, "another one", PEER) == one.find(winner.name)
