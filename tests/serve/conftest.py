"""Servers in a thread, for clients that block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from in_thread import InThread


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., InThread]]:
    """Start servers: serve(*flags, ephemeral=..., sniffs=..., listen=...)."""
    started: list[InThread] = []

    def start(*flags: str, ephemeral: bool = False, sniffs: bool = True, listen: str = "") -> InThread:
        data = None if ephemeral else tmp_path / f"data-{len(started)}"
        started.append(InThread(data, *flags, sniffs=sniffs, listen=listen))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def server(serve: Callable[..., InThread]) -> InThread:
    return serve()
