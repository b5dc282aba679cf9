"""The account that docs/cluster.md shows: a node needs no other permissions, and these keep others out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import Node, same, until

from hubbub.cluster.nats import streams
from hubbub.model.entries import Entry
from nats_servers import NatsServers
from records import text_in
from system_queries import Latest

GUIDE = Path(__file__).parents[2] / "docs" / "cluster.md"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[NatsServers]:
    account = re.search(r"^   (accounts \{.*?)^   ```", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    assert account
    servers = NatsServers(tmp_path, more=account[1])
    servers.start()
    yield servers
    servers.stop()


async def test_nodes_work_with_the_permissions_of_the_guide_and_nobody_can_forge_a_copy(guarded: NatsServers) -> None:
    url = guarded.url.replace("nats://", "nats://hubbub:change-me@")
    nodes = [await Node(url).start() for _ in range(2)]
    one, two = nodes
    try:
        ann, bo = await one.enter("Ann"), await two.enter("Bo")
        await same(nodes, ["Ann", "Bo"])
        ann.types("hello", "/join dev", "/topic tea", "/rename ops", "/msg Bo psst", "/nick Al")
        await bo.sees("Ann: hello")
        await bo.sees("Ann (private): psst")
        bo.types("/join ops")
        await same(nodes, ["Al", "Bo"], "ops")
        answers: list[object] = []
        two.broker.read(Latest("lobby", 1), answers.append)
        await until(lambda: bool(answers), lambda: "no history")
        await one.broker.link._nats.publish(f"{streams.LIVE}lobby", b"{}")  # the server refuses it
        await one.broker.link.flush()
        await until(lambda: "permissions violation" in one.broker.link._error, lambda: one.broker.link._error)
        bo.types("/leave ops", "still here")
        await until(lambda: "still here" in _said(two), lambda: str(_said(two)))
        assert not one.broker.link.ignored and "permissions" not in two.broker.link._error
    finally:
        for node in nodes:
            await node.stop()


def _said(node: Node) -> list[str]:
    entries: list[Entry] = list(node.broker.following.named("lobby").recent)
    return [text_in(entry) for entry in entries]
