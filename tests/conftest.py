"""What tests of several folders ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nats_servers import NatsServers


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServers]:
    """One NATS server, for all tests of a module; they clean up behind themselves with `forget`."""
    servers = NatsServers(tmp_path_factory.mktemp("nats"))
    servers.start()
    yield servers
    servers.stop()
