"""Programs at the WebSocket, and requests for the page, for scenes."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any

import websockets

from scene import Place

SECONDS = 90.0


class Talker:
    """A program at the WebSocket."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket

    async def asks(self, **request: Any) -> None:
        await self.socket.send(json.dumps(request))

    async def sees(self, kind: str) -> dict[str, Any]:
        """Return the next object of a kind; others before it are passed over."""
        async with asyncio.timeout(SECONDS):
            while (got := json.loads(await self.socket.recv()))["type"] != kind:
                pass
        return got

    async def joins(self, name: str) -> dict[str, Any]:
        await self.asks(type="hello", name=name)
        await self.sees("welcome")
        return await self.sees("joined")


async def talker(server: Place) -> Talker:
    return Talker(await websockets.connect(f"ws://127.0.0.1:{server.port}/ws"))


def fetch(server: Place, path: str = "/", **headers: str) -> tuple[int, dict[str, str], bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return answer.status, dict(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read()
