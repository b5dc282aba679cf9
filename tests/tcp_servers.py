"""A TCP server with a dialogue of the test's own, in the event loop of the test; nothing stays open when it stops."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

# Iterations of the event loop until a connection that was just accepted has its streams (CPython takes three).
ACCEPTING = 8


class TcpServer:
    """Listens on 127.0.0.1 and has a dialogue with each client.

    Args:
        talk: the dialogue. It need not close anything, and is cancelled when the server stops.

    """

    def __init__(self, talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self.port = 0
        self._talk = talk
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, port: int = 0) -> TcpServer:
        """Listen on a port; 0 for any that is free."""
        self._server = await asyncio.start_server(self._take, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    # Not a coroutine: the event loop would begin it in a later turn, and one that is cancelled before its beginning
    # never learns that it has a connection to close.
    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._tasks.add(asyncio.create_task(self._run(reader, writer)))

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await self._talk(reader, writer)

    async def connect(self, port: int) -> Streams:
        """Connect to another server; the connection is closed when this server stops."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self._writers.append(writer)
        return reader, writer

    async def stop(self) -> None:
        """End all dialogues and close all connections. A fault of a dialogue is raised."""
        # A connection that was just accepted has no streams yet, and a closed server would drop it without closing it.
        for sock in self._server.sockets:
            asyncio.get_running_loop().remove_reader(sock.fileno())
        for _ in range(ACCEPTING):
            await asyncio.sleep(0)
        self._server.close()
        for task in self._tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome


async def passed_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    change: Callable[[bytes], bytes | None] = lambda data: data,
) -> None:
    """Write to one connection what another one brings until it ends, then close the first.

    Args:
        reader: of the one.
        writer: of the other.
        change: makes what is written of what was read; nothing is written for None.

    """
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            if changed := change(data):
                writer.write(changed)
    writer.close()
