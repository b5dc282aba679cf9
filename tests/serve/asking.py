"""The chat server in the test's own loop, for clients that speak HTTP and WebSocket to it."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from opening import opened
from serving import SECONDS
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from hubbub.config import Settings
from hubbub.serve.accept.acceptor import Acceptor
from hubbub.serve.sockets.connection import Connection
from hubbub.startup.app import App

TRUSTING = ssl.create_default_context()
TRUSTING.check_hostname = False
TRUSTING.verify_mode = ssl.CERT_NONE


@dataclass
class Answer:
    """What a request was answered with."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Peer:
    """The other end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> None:
        """Send a request; the names of headers are written with _ for -."""
        fields = {"Host": "localhost"} | {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and "Content-Length" not in fields:
            fields["Content-Length"] = str(len(body))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + (body or b""))

    async def head(self) -> tuple[int, dict[str, str]]:
        """Return the status and the headers of the next answer."""
        async with asyncio.timeout(SECONDS):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value for name, value in fields.items()}

    async def answer(self, bodiless: bool = False) -> Answer:
        status, headers = await self.head()
        if headers.get("transfer-encoding") == "chunked" and not bodiless:
            return Answer(status, headers, b"".join([chunk async for chunk in self._chunks()]))
        length = 0 if bodiless or status in (101, 304) else int(headers["content-length"])
        async with asyncio.timeout(SECONDS):
            return Answer(status, headers, await self.reader.readexactly(length))

    async def _chunks(self) -> AsyncIterator[bytes]:
        async with asyncio.timeout(SECONDS):
            while size := int(await self.reader.readline(), 16):
                yield await self.reader.readexactly(size)
                await self.reader.readline()
            await self.reader.readline()

    async def sees(self, what: bytes) -> bytes:
        """This comes, some time; return all up to its end."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.readuntil(what)

    async def rest(self) -> bytes:
        """Return everything until the server closes."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.read()

    def half_close(self) -> None:
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


@dataclass
class Web:
    """A chat server that stores in memory, with all its wires."""

    house: App
    front: Acceptor
    port: int
    peers: list[Peer] = field(default_factory=list)
    talkers: list[Talker] = field(default_factory=list)

    @property
    def connections(self) -> set[Connection]:
        return self.house.shared.connections

    def count(self, kind: str) -> int:
        return self.house.readings().connections[kind]

    async def connect(self, source: str = "127.0.0.1", buffer: int = 0, tls: bool = False) -> Peer:
        """Return a peer from an address; the kernel keeps so many bytes for it, at most."""
        sock = socket.socket()
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.bind((source, 0))
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self.port))
        options: dict[str, Any] = {"ssl": TRUSTING, "server_hostname": ""} if tls else {}
        self.peers.append(Peer(*await asyncio.open_connection(sock=sock, **options)))
        return self.peers[-1]

    async def ask(
        self, method: str, path: str, body: bytes | None = None, source: str = "127.0.0.1", **headers: str
    ) -> Answer:
        """Ask in a connection of its own."""
        peer = await self.connect(source)
        peer.ask(method, path, body, **headers)
        answer = await peer.answer(bodiless=method == "HEAD")
        peer.close()
        return answer

    async def say(self, room: str, text: str, name: str = "ci") -> Answer:
        answer = await self.ask("POST", f"/api/v1/rooms/{room}/messages?name={name}", text.encode())
        assert answer.status == 201, answer.body
        return answer

    async def join(self, name: str, source: str = "127.0.0.1") -> Peer:
        """Return somebody at the line wire who is in the lobby."""
        peer = await self.connect(source)
        await peer.sees(b"Enter your name: ")
        peer.send(f"{name}\n/time\n")
        await peer.sees(b" UTC ***\n")
        return peer

    async def talk(self, name: str = "", **more: Any) -> Talker:
        """Return a WebSocket; with a name, after its welcome."""
        options = {"additional_headers": more.pop("headers", None), "ping_interval": None}
        tls = more.pop("tls", False)
        address = f"ws{'s' * tls}://127.0.0.1:{self.port}/ws"
        talker = Talker(await connect(address, ssl=TRUSTING if tls else None, **options))
        self.talkers.append(talker)
        if name:
            talker.welcome = await talker.hello(name=name, **more)
        return talker

    async def close(self) -> None:
        for peer in self.peers:
            peer.close()
        for talker in self.talkers:
            talker.socket.transport.abort()
            await talker.socket.wait_closed()


class Talker:
    """A client at the WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.welcome: dict[str, Any] = {}
        self.before: list[dict[str, Any]] = []  # what the last `sees` has passed over

    async def say(self, **request: Any) -> None:
        await self.socket.send(json.dumps(request, ensure_ascii=False))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(SECONDS):
            return json.loads(await self.socket.recv())  # type: ignore[no-any-return]

    async def sees(self, type: str, **fields: Any) -> dict[str, Any]:
        """A frame of this type with these fields comes, some time; return it."""
        self.before = []
        while True:
            frame = await self.next()
            if frame["type"] == type and fields.items() <= frame.items():
                return frame
            self.before.append(frame)

    async def sees_label(self, label: str) -> dict[str, Any]:
        """A frame with this label comes, some time; return it."""
        self.before = []
        while (frame := await self.next()).get("label") != label:
            self.before.append(frame)
        return frame

    async def hello(self, **fields: Any) -> dict[str, Any]:
        await self.say(type="hello", **fields)
        return await self.sees("welcome")

    async def closed(self) -> tuple[int | None, str | None]:
        """Return the code and reason of the close frame that comes, some time."""
        async with asyncio.timeout(SECONDS):
            with suppress(ConnectionClosed):
                while True:
                    await self.socket.recv()
            await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason


@asynccontextmanager
async def asking(**settings: Any) -> AsyncIterator[Web]:
    """Serve the chat on a free port while the context lasts."""
    async with opened(Settings(**{"listen": ["127.0.0.1:0"], "ephemeral": True} | settings)) as (house, port):
        web = Web(house, house.front, port)
        try:
            yield web
        finally:
            await web.close()
