"""What tests of several folders ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from nats_servers import NatsServers
from pure import PURE

# How long an example takes depends on what else the machine is doing.
settings.register_profile("hubbub", deadline=None)
settings.load_profile("hubbub")


# The files that take longest, in this order: begun last, one of them would keep the other workers waiting.
SLOWEST = (
    "test_coverage.py",
    "cluster/test_faults_of_servers.py",
    "cluster/test_pages_over_nodes.py",
    "cluster/test_faults_of_nodes.py",
    "cluster/test_full_disk.py",
    "cluster",
    "test_installed.py",
    "test_bench.py",
    "test_transfer.py",
    "e2e",
    "test_cli.py",
    "storage",
)


TESTS = Path(__file__).parent


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest; within a file the order stays. Leave out what test_coverage.py runs itself."""
    if any(item.path.name == "test_coverage.py" for item in items):
        run = [item for item in items if item.path.relative_to(TESTS).parts[0] in PURE]
        config.hook.pytest_deselected(items=run)
        items[:] = [item for item in items if item not in set(run)]

    def rank(item: pytest.Item) -> int:
        path = item.path.as_posix()
        return next((place for place, part in enumerate(SLOWEST) if f"/tests/{part}" in path or f"/{part}" in path), 99)

    items.sort(key=rank)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServers]:
    """One NATS server, for all tests of a module; they clean up behind themselves with `forget`."""
    servers = NatsServers(tmp_path_factory.mktemp("nats"))
    servers.start()
    yield servers
    servers.stop()
