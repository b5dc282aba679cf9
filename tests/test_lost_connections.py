"""A connection of nats-py that nothing closes makes no later test fail."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import Any
from urllib.parse import urlparse

from nats.aio.transport import TcpTransport

import lost_connections


def test_lost_connection_is_collected_without_a_warning() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = urlparse(f"nats://127.0.0.1:{listening.getsockname()[1]}")
        loop = asyncio.new_event_loop()
        lost: Any = TcpTransport()
        lost.itself = lost  # a cycle, as with the tasks of a client: only the garbage collector finds it
        loop.run_until_complete(lost.connect(address, 1024, 60))
        loop.close()
        del loop, lost
        lost_connections.collect()
        gc.collect()  # it would warn now
