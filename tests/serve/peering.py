"""A line listener in the test's own process: a real loop, real sockets, and the hub behind them."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from serving import until

from hubbub.chat.hub import Hub
from hubbub.chat.operations.table import OPERATIONS
from hubbub.config import Settings
from hubbub.serve.line.line_client import LineClient
from hubbub.serve.sockets.connection import ClientProtocol, Connection, Shared
from hubbub.serve.sockets.timer_wheel import TimerWheel
from hubbub.startup.app import limits
from hubbub.storage.memory import MemoryBroker

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
PATIENCE = 90.0
PROMPT = b"Enter your name: "


class Peer:
    """The other end of a connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.seen = b""
        self.connection: Any = None

    async def send(self, data: bytes) -> None:
        await asyncio.wait_for(asyncio.get_running_loop().sock_sendall(self.sock, data), PATIENCE)

    async def receive(self) -> bytes:
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.sock, 1 << 16), PATIENCE)
        self.seen += data
        return data

    async def sees(self, what: bytes | str) -> re.Match[bytes]:
        """What comes next is exactly this; a str is a pattern."""
        pattern = re.compile(what.encode() if isinstance(what, str) else re.escape(what))
        while not (match := pattern.match(self.seen)):
            before = self.seen
            assert await self.receive(), f"expected {what!r}, saw {before[:300]!r} and the end"
        self.seen = self.seen[match.end() :]
        return match

    async def rest(self) -> bytes:
        """Return everything up to the end."""
        while await self.receive():
            pass
        rest, self.seen = self.seen, b""
        return rest

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Listener:
    """Makes connections for peers, one `Connection` each, without a listening address."""

    def __init__(self, converse: Callable[[], ClientProtocol], shared: Shared) -> None:
        self.line_client = converse
        self.shared = shared
        self.gone: list[Connection] = []
        self._peers: list[Peer] = []

    async def connect(self, small: bool = False) -> Peer:
        """Return a peer over TCP; the kernel keeps little for it if it is small."""
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listening:
            sock = socket.socket()
            if small:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            sock.connect(listening.getsockname())
            accepted, address = listening.accept()
        sock.setblocking(False)
        accepted.setblocking(False)
        peer = Peer(sock)
        self._peers.append(peer)
        connection = peer.connection = Connection(self.shared, self.line_client(), accepted, self.gone.append)
        connection.peer = address
        await loop.connect_accepted_socket(lambda: connection, accepted)
        return peer

    async def join(self, name: str, small: bool = False) -> Peer:
        peer = await self.connect(small)
        await peer.sees(PROMPT)
        await peer.send(name.encode() + b"\n/time\n")
        await peer.sees(r"(?:.*\n)*?\*\*\* \d{4}-\d\d-.*\n")
        return peer

    async def close(self) -> None:
        for peer in self._peers:
            peer.sock.close()
        for connection in list(self.shared.connections):
            connection.abort()
        await until(lambda: not self.shared.connections)
        self.shared.deadlines.__init__(self.shared.loop, time.monotonic)  # type: ignore[misc]


@asynccontextmanager
async def listening(converse: Callable[[Settings, Shared], ClientProtocol], **settings: Any) -> AsyncIterator[Listener]:
    """Yield a listener whose connections talk as `converse` makes them."""
    loop = asyncio.get_running_loop()
    shared = Shared(loop, Settings(**settings), time.monotonic, TimerWheel(loop, time.monotonic))
    listener = Listener(lambda: converse(shared.settings, shared), shared)
    try:
        yield listener
    finally:
        await listener.close()


@asynccontextmanager
async def chat(**settings: Any) -> AsyncIterator[Listener]:
    """Yield a line listener with a hub of its own that stores in memory."""
    loop = asyncio.get_running_loop()
    in_force = Settings(**settings)
    broker = MemoryBroker(time.time)
    hub = Hub(broker, time.time, "test-", loop, limits(in_force))
    hub.add_operations(OPERATIONS)
    hub.index = broker
    broker.start(hub.pipeline.committed, hub.pipeline.failed)
    async with listening(lambda s, shared: LineClient(hub, s, shared.clock()), **settings) as listener:
        yield listener
    await broker.stop(1)


def run_on(loop: str, scene: Callable[[], Any]) -> None:
    """Run a scene on a loop of this name, and let no exception in a callback pass."""
    faults: list[dict[str, Any]] = []

    async def watched() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        await asyncio.wait_for(scene(), 300)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(watched())
    assert not faults
