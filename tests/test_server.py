"""The start of the server: the order in which it takes what it needs."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from hubbub import process, server
from hubbub.config import Settings
from hubbub.errors import SettingsError
from hubbub.storage.sqlite.broker import SqliteBroker, lock


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A free port; the process of the tests stays as it is."""
    monkeypatch.setattr(process, "stop_on_signals", lambda loop: asyncio.Event())
    monkeypatch.setattr(process, "prepare_process", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as other:
        return int(other.getsockname()[1])


async def test_nobody_can_connect_before_the_server_has_its_data_folder(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, asked = SqliteBroker.start, []

    def starting(broker: SqliteBroker, *outcomes: Any) -> None:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
        asked.append(port)
        start(broker, *outcomes)

    monkeypatch.setattr(SqliteBroker, "start", starting)
    held = lock(tmp_path)
    with pytest.raises(SettingsError, match=f"The data folder {tmp_path} is in use by another server."):
        await server.serve(Settings(listen=[f"127.0.0.1:{port}"], data=str(tmp_path)))
    os.close(held)
    assert asked


async def test_address_that_another_program_takes_meanwhile_is_said(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, others = SqliteBroker.start, []

    def starting(broker: SqliteBroker, *outcomes: Any) -> None:
        others.append(socket.socket())
        others[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        others[0].bind(("127.0.0.1", port))
        others[0].listen()
        start(broker, *outcomes)

    monkeypatch.setattr(SqliteBroker, "start", starting)
    with pytest.raises(SettingsError, match=f"The address 127.0.0.1:{port} is in use by another program."):
        await server.serve(Settings(listen=[f"127.0.0.1:{port}"], data=str(tmp_path)))
    others[0].close()
