"""Whatever times out, on whatever wire, the loop goes on: nobody else waits, and everything happens once."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

import pytest
from housing import PROMPT, Client, Serving, housing
from serving import until
from stepped_time import SteppedTime

from hubbub.serve.accept import sniffer
from hubbub.serve.irc import protocol as irc_protocol

STEP = 0.1  # seconds that pass between two lines of the watcher
# Calls of functions, of Python and of C, that one callback of the loop may make: for itself, and for each of the peers
# whose time runs out. The most are made for 60 leaves in one batch.
CALLS, CALLS_EACH = 12_000, 2_000
Act = Callable[[Serving, str], Awaitable[Client]]


@dataclass
class Case:
    """How somebody comes whose time runs out, and what that looks like."""

    come: Act
    ends: bytes  # the last that the peer itself sees
    joins: bool = True  # whether others see it come and go
    closes: bool = True  # whether the server closes before the peer does
    settings: dict[str, Any] = field(default_factory=dict)


async def plain(serving: Serving, data: bytes = b"") -> Client:
    client = await serving.connect()
    client.send(data)
    return client


async def irc(serving: Serving, name: str) -> Client:
    client = await plain(serving, f"NICK {name}\r\nUSER x 0 * :x\r\nJOIN #lobby\r\n".encode())
    await client.skips_to(b" 366 ")
    return client


async def line_client(serving: Serving, name: str) -> Client:
    return await serving.join(name)


async def refused(serving: Serving, name: str) -> Client:
    client = await plain(serving, b"not a name\n")
    await client.skips_to(PROMPT)
    return client


async def web_socket(serving: Serving, name: str, path: str = "/ws") -> Client:
    key = base64.b64encode(os.urandom(16)).decode()
    heads = "Host: localhost", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"
    request = "\r\n".join([f"GET {path} HTTP/1.1", *heads, f"Sec-WebSocket-Key: {key}", "", ""])
    client = await plain(serving, request.encode())
    await client.skips_to(b"\r\n\r\n")
    return client


def first(data: bytes) -> Act:
    async def come(serving: Serving, name: str) -> Client:
        return await plain(serving, data)

    return come


async def stalled(serving: Serving, name: str) -> Client:
    """Somebody who asks for a lot and reads nothing: its stream is paused before it is asked for."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", serving.port))
    client = Client(*await asyncio.open_connection(sock=sock))
    serving.clients.append(client)
    client.send(f"{name}\n/time\n".encode())
    await client.skips_to(b" ***\n")
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.send(b"/help\n" * 200)
    return client


CASES = {
    "irc-ping": Case(irc, b"(Ping timeout: "),
    "irc-registration": Case(first(b"NICK late\r\n"), b"(Registration timed out)", False),
    "irc-capabilities": Case(
        first(b"CAP LS 302\r\nNICK late\r\nUSER l 0 * :l\r\n"), b"(Registration timed out)", False
    ),
    "line-idle": Case(line_client, b"Disconnected: idle timeout.\n", settings={"idle_timeout": 0.4}),
    "line-name": Case(first(b""), PROMPT + b"\nDisconnected: no name was given in time.\n", False),
    "line-refused": Case(refused, b"\nDisconnected: no name was given in time.\n", False),
    "line-unfinished": Case(first(b"Al"), b"\nDisconnected: no name was given in time.\n", False),
    "line-stall": Case(stalled, b"", settings={"stall_timeout": 0.4, "no_limits": True, "buffer": 16384}),
    "sniffing": Case(first(b"GE"), b"\nDisconnected: no name was given in time.\n", False),
    "tls-hello": Case(first(b"\x16\x03\x01"), b"", False, settings={"tls": "self-signed"}),
    "http-head": Case(first(b"GET / HTTP/1.1\r\nHost: "), b"", False),
    "web-socket-hello": Case(web_socket, b"No name was given in time.", False),
}


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(irc_protocol, "PING_AFTER", 0.3)
    monkeypatch.setattr(irc_protocol, "PONG_WITHIN", 0.25)
    monkeypatch.setattr(sniffer, "DEADLINE", 0.3)


class Work:
    """How much the callbacks of the loop do at once, in calls: that does not depend on how fast the machine is."""

    def __init__(self) -> None:
        self.most = self._calls = 0

    def _note(self, frame: FrameType, event: str, arg: object) -> None:
        self._calls += event in ("call", "c_call")

    @contextmanager
    def watched(self) -> Iterator[None]:
        run = asyncio.Handle._run

        def counted(handle: asyncio.Handle) -> None:
            self._calls = 0
            sys.setprofile(self._note)
            try:
                run(handle)
            finally:
                sys.setprofile(None)
                self.most = max(self.most, self._calls)

        with patch.object(asyncio.Handle, "_run", counted):
            yield


def lines_with(text: str, caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


async def end(case: Case, clients: list[Client], caplog: pytest.LogCaptureFixture) -> None:
    """See these ended."""
    if case.joins:
        await until(lambda: len(lines_with("has left", caplog)) == len(clients))
    for client in clients:
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        if case.ends:
            await client.skips_to(case.ends)
        if case.closes:
            assert not case.ends or case.ends not in await client.rest(), "it is ended once"
        client.close()


async def seen_while_time_passes(
    serving: Serving, time: SteppedTime, watcher: Client, ended: asyncio.Task[None]
) -> bytes:
    """Let time pass until all of this has ended, and return all that was shown to somebody who is never idle."""
    seen = b""
    for number in count():
        if ended.done():
            await ended
            break
        await until(lambda: serving.house.hub.pipeline.idle)  # the disk takes no time on this clock
        time.step(STEP)
        watcher.send(b"/step%d\n" % number)
        seen += await watcher.skips_to(b"/step%d" % number)
    return seen


async def seen_so_far(watcher: Client) -> bytes:
    """Return all that was shown to somebody until the answer to a question that is asked now."""
    watcher.send(b"/nick Marker\n")
    before = await watcher.skips_to(b"*** You are Marker now ***\n")
    watcher.send(b"/nick Watcher\n")
    await watcher.skips_to(b"*** You are Watcher now ***\n")
    return before


STORED = [(name, True) for name, case in CASES.items() if case.joins]  # what is stored may be so on disk or in memory


@pytest.mark.parametrize("many", [1, 60])
@pytest.mark.parametrize(("name", "disk"), [*((name, False) for name in CASES), *STORED])
async def test_the_loop_goes_on_when_time_runs_out(
    name: str, disk: bool, many: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "hubbub")
    case = CASES[name]
    settings = {"name_timeout": 30 if case.joins else 0.4, "idle_timeout": 0, "ephemeral": not disk} | case.settings
    time, work = SteppedTime(), Work()
    async with housing(tmp_path / "data", time.rule, **settings) as serving:
        watcher = await serving.join("Watcher")
        names = [f"Zz{number}" for number in range(many)]
        with work.watched():
            clients = await asyncio.gather(*(case.come(serving, name) for name in names))
            ended = asyncio.create_task(end(case, clients, caplog))
            seen = await seen_while_time_passes(serving, time, watcher, ended)
        assert work.most < CALLS + CALLS_EACH * many
        seen += await seen_so_far(watcher)
    for name in names:
        assert seen.count(f"*** {name} has joined the chat ***\n".encode()) == case.joins
        assert seen.count(f"*** {name} has left the chat".encode()) == case.joins
        assert len(lines_with(f"{name} (", caplog)) == 2 * case.joins, "it came once and left once"
