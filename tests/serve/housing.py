"""The whole chat server in the test's own process: every wire, a log in memory or on disk."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from opening import opened
from serving import SECONDS

from hubbub.config import Settings
from hubbub.startup.app import App

PROMPT = b"Enter your name: "


@dataclass
class Client:
    """A peer with a stream, at any wire. What was received and not yet taken is in `seen`."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    seen: bytes = b""

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def skips_to(self, what: bytes) -> bytes:
        """This comes, some time; return what came before it."""
        async with asyncio.timeout(SECONDS):
            while what not in self.seen:
                data = await self.reader.read(1 << 16)
                assert data, f"expected {what!r}, saw {self.seen[-300:]!r} and the end"
                self.seen += data
        before, _, self.seen = self.seen.partition(what)
        return before

    async def rest(self) -> bytes:
        """Return everything until the server closes."""
        async with asyncio.timeout(SECONDS):
            with suppress(ConnectionError):
                while data := await self.reader.read(1 << 16):
                    self.seen += data
        return self.seen

    def close(self) -> None:
        self.writer.close()


@dataclass
class Serving:
    """A chat server in this loop."""

    house: App
    port: int
    clients: list[Client] = field(default_factory=list)

    async def connect(self, **options: Any) -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, **options))
        self.clients.append(client)
        return client

    async def join(self, name: str) -> Client:
        """Return somebody in the lobby, at the line wire; the replay was read."""
        client = await self.connect()
        client.send(f"{name}\n/time\n".encode())
        await client.skips_to(PROMPT)
        await client.skips_to(b" ***\n")
        return client

    def close(self) -> None:
        for client in self.clients:
            client.close()


@asynccontextmanager
async def housing(
    data: Path, begin: Callable[[App], None] = lambda house: None, **settings: Any
) -> AsyncIterator[Serving]:
    """Serve the chat on a free port, with its data in this folder, while the context lasts; `begin` may prepare it."""
    chosen = Settings(**{"listen": ["127.0.0.1:0"], "data": str(data)} | settings)
    async with opened(chosen, begin=begin) as (house, port):
        serving = Serving(house, port)
        gc.collect()
        gc.freeze()  # what other tests have left would be looked at again in the middle of this one
        try:
            yield serving
        finally:
            gc.unfreeze()
            serving.close()
