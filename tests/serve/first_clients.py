"""A server that has just started, and its first clients, as a program of its own.

It prints the wires that are loaded before the clients come, the modules that nc, IRC and web clients load besides their
wires, and whether asyncssh is loaded before and after the first ssh client comes.

The clients are plain sockets, so they load nothing themselves.
"""

from __future__ import annotations

import asyncio
import json
import sys

from hubbub.config import Settings
from hubbub.startup.app import App

SECONDS = 30.0
NC = "Al\nh\u00e4llo \u200dx\n/rooms\n/history 3\n/search h\n/time\n".encode()
IRC = b"""CAP LS 302\r
NICK Bo\r
USER bo 0 * :Bo\r
CAP REQ :batch server-time draft/chathistory message-tags\r
CAP END\r
JOIN #lobby\r
CHATHISTORY LATEST #lobby * 10\r
WHO #lobby\r
WHOIS Al\r
LIST\r
MODE #lobby +b *!*@x\r
PRIVMSG #lobby :hi\r
PING done\r
"""
HEAD = " HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
PAGES = ("/", "/metrics", "/healthz", "/api/v1/rooms", "/api/v1/rooms/lobby/messages", "/api/v1/rooms/lobby/members")
POST = f"POST /api/v1/rooms/lobby/messages?name=Zed{HEAD}Content-Length: 5\r\n\r\nhello"
WEBSOCKET = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class Peer:
    """A client that has sent its first bytes."""

    async def __aenter__(self) -> Peer:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.send(self._first)
        return self

    def __init__(self, port: int, first: str | bytes) -> None:
        self._port = port
        self._first = first if isinstance(first, bytes) else first.encode()
        self._seen = b""

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def sees(self, what: bytes) -> None:
        async with asyncio.timeout(SECONDS):
            while what not in self._seen:
                data = await self._reader.read(1 << 16)
                assert data, (what, self._seen[-300:])
                self._seen += data


async def talk(port: int) -> None:
    """Do what the first clients of a server do."""
    async with Peer(port, NC) as al, Peer(port, IRC) as bo:
        await al.sees(b" ***\n")
        await bo.sees(b"PONG")
        for page in PAGES:
            async with Peer(port, f"GET {page}{HEAD}\r\n") as web:
                await web.sees(b"200 OK")
        async with Peer(port, POST) as web:
            await web.sees(b"201 Created")
        async with Peer(port, WEBSOCKET) as web:
            await web.sees(b"\r\n\r\n")
            hello = json.dumps({"type": "hello", "name": "Cy"}).encode()
            web.send(bytes([0x81, 0x80 | len(hello), 0, 0, 0, 0]) + hello)
            await web.sees(b"joined")


async def main(folder: str) -> None:
    app = App(asyncio.get_running_loop(), Settings(listen=["127.0.0.1:0"], data=folder))
    async with asyncio.TaskGroup() as tasks:
        acceptor = app.accept(tasks)
        port = int(acceptor.bind()[0][0].rpartition(":")[2])
        app.start_storage()
        app.load_secret()
        acceptor.listen()
        await app.open_wires()
        wires = ("hubbub.serve.irc.protocol", "hubbub.serve.web.site")
        print([wire for wire in wires if wire in sys.modules])
        await app._load_irc()
        await app._load_web()
        before = set(sys.modules)
        await talk(port)
        print(sorted(set(sys.modules) - before))
        print("asyncssh" in sys.modules)
        async with Peer(port, "SSH-2.0-first\r\n") as ssh:
            await ssh.sees(b"SSH-2.0-hubbub\r\n")
        print("asyncssh" in sys.modules)
        acceptor.close()
        for connection in list(app.shared.connections):
            connection.abort()
        assert app.web
        await app.web.stop()
        await app.log.stop(1.0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
