"""What the listeners' tests share: an echo server inside the test, and one that is a program of its own."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from hubbub.config import Settings
from hubbub.serve.accept.acceptor import Acceptor
from hubbub.serve.sockets.connection import Connection, Shared
from hubbub.serve.sockets.timer_wheel import TimerWheel
from hubbub.server import echo_wires

SECONDS = 90.0  # until an effect that does not come is a failure


async def until(reached: Callable[[], Any]) -> None:
    async with asyncio.timeout(SECONDS):
        while not reached():  # noqa: ASYNC110 - it may be in the kernel
            await asyncio.sleep(0.005)


@dataclass
class Serving:
    """A front that echoes, and where it listens."""

    front: Acceptor
    shared: Shared
    addresses: list[str]

    @property
    def port(self) -> int:
        return int(self.addresses[0].rpartition(":")[2])

    async def join(self, source: str = "127.0.0.1") -> Peer:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(source, 0))
        return Peer(reader, writer)

    async def only_connection(self) -> Connection:
        await until(lambda: self.shared.connections)
        (connection,) = self.shared.connections
        return connection


@dataclass
class Peer:
    """A client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def got(self, expected: bytes) -> bool:
        """Whether the next bytes are these."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.readexactly(len(expected)) == expected

    async def rest(self) -> bytes:
        """Return what comes until the server closes."""
        async with asyncio.timeout(SECONDS):
            return await self.reader.read()

    async def echoes(self) -> bool:
        self.send(b"are you there?\n")
        return await self.got(b"are you there?\n")

    def close(self) -> None:
        self.writer.close()


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Serving]:
    """Serve echo on a free port while the context lasts."""
    loop = asyncio.get_running_loop()
    chosen = Settings(**{"listen": ["127.0.0.1:0"]} | settings)
    shared = Shared(loop, chosen, time.monotonic, TimerWheel(loop, time.monotonic))
    async with asyncio.TaskGroup() as tasks:
        front = Acceptor(shared, tasks, echo_wires(chosen))
        addresses = [address for address, _ in front.bind()]
        front.listen()
        try:
            yield Serving(front, shared, addresses)
        finally:
            front.close()
            for connection in list(shared.connections):
                connection.abort()
            await until(lambda: not shared.connections)


class Program:
    """`hubbub echo` as a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self.port = 0

    async def line(self, part: str) -> str:
        """Return the next line on its console that has this in it."""
        assert self.process.stdout
        async with asyncio.timeout(SECONDS):
            while True:
                line = (await self.process.stdout.readline()).decode()
                assert line, f"it ended: {self.lines}"
                self.lines.append(line)
                if part in line:
                    return line

    async def end(self) -> int:
        """Ask it to stop, read the rest of its console, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(SECONDS):
            rest, _ = await self.process.communicate()
        self.lines += rest.decode().splitlines()
        assert self.process.returncode is not None
        return self.process.returncode


@asynccontextmanager
async def program(*options: str, files: int = 256) -> AsyncIterator[Program]:
    """Run `hubbub echo` on a free port, with so many files that it may open."""
    script = f'ulimit -n {files} && exec "$0" -m hubbub echo --listen 127.0.0.1:0 "$@"'
    process = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", script, sys.executable, *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        running = Program(process)
        running.port = int((await running.line("running on")).rpartition(":")[2])
        yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True
