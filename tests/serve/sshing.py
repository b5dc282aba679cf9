"""Clients that speak ssh, in the test's own loop, and what is between them and the server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
from housing import Serving, housing
from serving import SECONDS

from hubbub.serve.ssh.peer import SshPeer
from tcp_servers import TcpServer, passed_on


def new_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@dataclass
class Session:
    """A channel without a terminal. What was received and not yet taken is in `seen`."""

    process: asyncssh.SSHClientProcess[bytes]
    seen: bytes = b""

    def send(self, data: bytes) -> None:
        self.process.stdin.write(data)

    def end(self) -> None:
        """Send the end of the input."""
        self.process.stdin.write_eof()

    async def skips_to(self, what: bytes) -> bytes:
        """This comes, some time; return what came before it."""
        async with asyncio.timeout(SECONDS):
            while what not in self.seen:
                data = await self.process.stdout.read(1 << 16)
                assert data, f"expected {what!r}, saw {self.seen[-300:]!r} and the end"
                self.seen += data
        before, _, self.seen = self.seen.partition(what)
        return before

    async def rest(self) -> bytes:
        """Return everything until the server closes the channel."""
        async with asyncio.timeout(SECONDS):
            while data := await self.process.stdout.read(1 << 16):
                self.seen += data
            await self.process.wait_closed()
        return self.seen


class Answering(asyncssh.SSHClient):
    """Answers the questions of the server, and keeps them in `asked`."""

    def __init__(self, answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.banner = ""

    def auth_banner_received(self, msg: str, lang: str) -> None:
        self.banner += msg

    def kbdint_auth_requested(self) -> str:
        return ""

    def kbdint_challenge_received(
        self, name: str, instructions: str, lang: str, prompts: Sequence[tuple[str, bool]]
    ) -> list[str] | None:
        if not prompts:
            return []
        self.asked.append(instructions)
        return [self.answers.pop(0)] if self.answers else None


AS_GUEST: dict[str, Any] = {
    "client_keys": [],
    "known_hosts": None,
    "config": None,
    "agent_path": None,
    "username": "ann",
    "client_factory": lambda: Answering(()),
}


@asynccontextmanager
async def dialled(
    port: int, name: str = "ann", key: Any = None, answers: Sequence[str] = (), **options: Any
) -> AsyncIterator[Any]:
    """Yield a client that is logged in, by a key (or one of several), by answers or without both."""
    keys = key if isinstance(key, list) else [key] if key else []
    answering = {"client_keys": keys, "username": name, "client_factory": lambda: Answering(answers)}
    chosen = AS_GUEST | answering | options
    async with asyncio.timeout(SECONDS):
        client = await asyncssh.connect("127.0.0.1", port, **chosen)
    try:
        yield client
    finally:
        client.abort()
        async with asyncio.timeout(SECONDS):
            await client.wait_closed()


async def session(client: asyncssh.SSHClientConnection) -> Session:
    """Return a new session of a client."""
    async with asyncio.timeout(SECONDS):
        return Session(await client.create_process(encoding=None))


@asynccontextmanager
async def joined(port: int, name: str = "ann", key: Any = None, **options: Any) -> AsyncIterator[Session]:
    """Yield a session of a client in the lobby; the replay was read."""
    async with dialled(port, name, key, **options) as client:
        one = await session(client)
        one.send(b"/time\n")
        await one.skips_to(b" ***\n")
        yield one


@asynccontextmanager
async def ssh_house(data: Path, **settings: Any) -> AsyncIterator[Serving]:
    """Serve the chat with its log in memory."""
    async with housing(data, **{"ephemeral": True} | settings) as serving:
        yield serving


def peers(serving: Serving) -> list[SshPeer]:
    """Return the ssh clients that the server knows."""
    clients = [connection.client for connection in serving.house.shared.connections]
    return [client for client in clients if isinstance(client, SshPeer)]


@dataclass
class Relay:
    """A way to the server on which the client's bytes are changed.

    Args:
        port: that of the server.
        pieces: cuts what the client sends.
        waits_for: what the server must have sent before anything of the client goes through.

    """

    port: int
    pieces: Callable[[bytes], list[bytes]] = lambda data: [data]
    waits_for: bytes = b""
    seen: bytes = b""  # of the server's bytes, up to what is waited for

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Yield the port of the relay."""
        server = self._server = await TcpServer(self._take).start()
        try:
            yield server.port
        finally:
            await server.stop()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await self._server.connect(self.port)
        heard = asyncio.Event()

        def down(data: bytes) -> bytes:
            self.seen += b"" if heard.is_set() else data
            if self.waits_for in self.seen:
                heard.set()
            return data

        async def up() -> None:
            if self.waits_for:
                await heard.wait()
            with contextlib.suppress(OSError):
                while data := await reader.read(1 << 16):
                    for piece in self.pieces(data):
                        back.write(piece)
                        await asyncio.sleep(0)
            back.close()

        await asyncio.gather(passed_on(there, writer, down), up())
