"""The tests' own TCP server: it leaves no connection open, however late it came."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import pytest

from tcp_servers import TcpServer


@pytest.mark.parametrize("turns", range(6))
async def test_connections_of_the_last_moment_are_closed(turns: int) -> None:
    """The server stops some turns of the event loop after the clients have connected."""

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    server = await TcpServer(wait).start()
    clients = [socket.create_connection(("127.0.0.1", server.port), timeout=60) for _ in range(8)]
    for _ in range(turns):
        await asyncio.sleep(0)
    await server.stop()
    for client in clients:
        with contextlib.suppress(ConnectionError):
            assert client.recv(1) == b""
        client.close()


async def test_fault_of_a_dialogue_is_raised() -> None:
    begun = asyncio.Event()

    async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        raise ValueError("no")

    server = await TcpServer(fail).start()
    with socket.create_connection(("127.0.0.1", server.port), timeout=60):
        await asyncio.wait_for(begun.wait(), 60)
        with pytest.raises(ValueError, match="no"):
            await server.stop()
