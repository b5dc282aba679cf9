"""What tests of several folders ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from nats_servers import NatsServers

# How long an example takes depends on what else the machine is doing.
settings.register_profile("hubbub", deadline=None)
settings.load_profile("hubbub")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServers]:
    """One NATS server, for all tests of a module; they clean up behind themselves with `forget`."""
    servers = NatsServers(tmp_path_factory.mktemp("nats"))
    servers.start()
    yield servers
    servers.stop()
