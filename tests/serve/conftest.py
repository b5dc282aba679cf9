"""Servers in a thread, for clients that block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from in_thread import InThread


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., InThread]]:
    """Start servers: serve(*flags)."""
    started: list[InThread] = []

    def start(*flags: str) -> InThread:
        started.append(InThread(tmp_path / f"data-{len(started)}", *flags))
        return started[-1]

    yield start
    for server in started:
        server.close()
