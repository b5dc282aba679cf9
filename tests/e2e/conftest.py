"""Servers for the scenes; each is stopped by who asked for it, and must end without a fuss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scene import HowTo, Program, Server


@pytest.fixture(scope="module")
def stopping() -> Iterator[list[Server]]:
    """Servers of the scene before: they stop while the next one is played, for that takes a second after browsers."""
    servers: list[Server] = []
    yield servers
    for server in servers:
        server.check_end()


@pytest.fixture
def serve(tmp_path: Path, stopping: list[Server]) -> Iterator[Callable[..., Server]]:
    """Start servers: serve(*flags, data=..., port=..., before=...)."""
    started: list[Server] = []

    def start(*flags: str, data: Path | None = tmp_path / "data", **options: object) -> Server:
        started.append(Server(data, *flags, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    before = stopping[:]
    stopping[:] = started
    for server in started:
        server.let_end()
    for server in before:
        server.check_end()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve()


@pytest.fixture
def howto() -> Iterator[HowTo]:
    program = HowTo()
    yield program
    program.disconnect()
    program.kill()


@pytest.fixture(params=["hubbub", "how-to"])
def either(request: pytest.FixtureRequest) -> Program:
    """Either of the two servers, for what both show."""
    return request.getfixturevalue("server" if request.param == "hubbub" else "howto")
