"""What tests of several folders ask for."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import settings

import lost_connections
from hubbub.accounts import hashing
from nats_servers import NatsServers
from pure import PURE

# How long an example takes depends on what else the machine is doing.
settings.register_profile("hubbub", deadline=None)
settings.load_profile("hubbub")

# Cheap hashes of accounts: the tests' own time is not what makes passwords safe.
hashing.MEMORY, hashing.PASSES, hashing.ROUNDS = 8, 1, 4096
hashing.NOBODY = PasswordHasher(1, 8, 1).hash("nobody's")

lost_connections.note()

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


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where all tests run, leave out those that test_coverage.py runs: no worker need load them."""
    given = {Path(argument).absolute() for argument in config.args}
    every = given & {TESTS, TESTS.parent} and not config.option.keyword and not config.option.markexpr
    return True if every and collection_path.parent == TESTS and collection_path.name in PURE else None


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest; within a file the order stays."""

    @cache
    def rank(path: Path) -> int:
        name = path.as_posix()
        return next((place for place, part in enumerate(SLOWEST) if f"/tests/{part}" in name or f"/{part}" in name), 99)

    items.sort(key=lambda item: rank(item.path))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServers]:
    """One NATS server, for all tests of a module; they clean up behind themselves with `forget`."""
    servers = NatsServers(tmp_path_factory.mktemp("nats"))
    servers.start()
    yield servers
    servers.stop()


@pytest.fixture(autouse=True)
def lost() -> None:
    """Collect the connections that the test before has lost: its event loop has ended."""
    lost_connections.collect()
