"""A cluster that really runs, people on its nodes who talk and listen, and the judge who compares what they saw.

Every message is unique. What anybody saw must be the log: in its order, each once, none left out between the first
and the last that he saw, but for his own (nc does not show those).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import holders
from holders import Holder

import forked
from forked import Forked
from hubbub.cluster.nats import streams
from hubbub.cluster.nats.link.client import NatsCredentials
from hubbub.cluster.nats.link.connection import NatsConnection
from hubbub.cluster.nats.log.batches import decode, entries
from hubbub.model.entries import SAID, Entry, Joined, Kicked, Left, NickChanged
from hubbub.model.ids import user_of
from nats_servers import NatsServers
from records import text_in
from tcp_servers import TcpServer, passed_on

CALM = 6  # halves of a second in which nothing new comes, at the end
PATIENCE = 120.0  # seconds until what must happen has: an election takes up to ten
_SAID = re.compile(r"(?:\[\d\d:\d\d\] )?(\w+): (\S+)")


class Node:
    """A hubbub in a process of its own."""

    def __init__(self, url: str, data: Path, *flags: str) -> None:
        self.url, self.data, self.flags = url, data, flags
        self.port = 0
        self.ended = 0.0  # when it was told to end; 0 while it runs
        self.process: Forked

    async def start(self) -> Node:
        self.ended = 0.0
        data = str(self.data)
        place = ["--broker", self.url, "--data", data, "--listen", f"127.0.0.1:{self.port}"]
        self.process = forked.start(["serve", *place, "--no-limits", *self.flags], dict(os.environ))
        output = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(output), self.process.stdout)
        async with asyncio.timeout(PATIENCE):
            while line := (await output.readline()).decode():
                if match := re.search(r"running on \S+:(\d+)", line):
                    self.port = int(match[1])
                    break
            else:
                raise AssertionError(f"the node did not start: {line}")
        self._reading = asyncio.create_task(self._drain(output))
        return self

    async def _drain(self, output: asyncio.StreamReader) -> None:
        with (self.data.parent / f"{self.data.name}.log").open("ab") as out:
            while line := await output.readline():
                out.write(line)

    @property
    def cpu(self) -> float:
        """Seconds of CPU time that it took."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    async def end(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.ended = time.monotonic()
        self.process.send_signal(how)
        async with asyncio.timeout(PATIENCE):
            await self._reading  # up to the end of its output
        return self.process.wait(PATIENCE)


async def pace(rate: float) -> AsyncIterator[None]:
    """Yield so many times a second, however long it takes to go on; what was missed for long is not made up for."""
    due = time.monotonic()
    while rate:
        due = max(due + 1 / rate, time.monotonic() - 0.1)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        yield


class Voice:
    """Somebody at the line wire of one of some nodes; when it ends he goes to the next."""

    def __init__(self, name: str, nodes: list[Node], rate: float = 0.0) -> None:
        self.name = name
        self.nodes = nodes
        self.rate = rate
        self.sent = 0
        self.stays: list[list[tuple[str, str]]] = []  # what he saw: nick and text, by connection
        self.told: list[str] = []  # what else he saw
        self._tasks: list[asyncio.Task[None]] = []
        self._writer: asyncio.StreamWriter | None = None
        self.stopped = False

    def start(self) -> Voice:
        self._tasks = [asyncio.create_task(self._live()), asyncio.create_task(self._talk())]
        return self

    async def here(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self._writer is None:  # noqa: ASYNC110 - the event would be one more thing to keep right
                await asyncio.sleep(0.01)

    async def _live(self) -> None:
        turn = sum(map(ord, self.name))
        while True:
            turn += 1
            with contextlib.suppress(OSError):
                await self._stay(self.nodes[turn % len(self.nodes)].port)
            self._writer = None
            await asyncio.sleep(0.1)

    async def _stay(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(PATIENCE):
                await reader.readuntil(b"name: ")
                writer.write(f"{self.name}\n/time\n".encode())
                first = (await reader.readuntil(b" ***\n")).decode()
                if "is taken" in first or "again in a while" in first:
                    return
            seen: list[tuple[str, str]] = []
            self.stays.append(seen)
            self._see(first, seen)
            self._writer = writer
            while line := (await reader.readline()).decode():
                self._see(line, seen)
        except (asyncio.IncompleteReadError, TimeoutError):
            pass
        finally:
            writer.close()

    def _see(self, text: str, seen: list[tuple[str, str]]) -> None:
        for line in text.splitlines():
            if match := _SAID.fullmatch(line):
                seen.append((match[1], match[2]))
            else:
                self.told.append(line)

    async def _talk(self) -> None:
        async for _ in pace(self.rate):
            if self.stopped:
                return
            if self._writer and not self._writer.is_closing():
                self.sent += 1
                self._writer.write(f"{self.name}-{self.sent:06}\n".encode())

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def entries_of(url: str, room: str = "lobby") -> list[Entry]:
    """Return the entries of a room that was never renamed, as the stream has them."""
    link = NatsConnection(NatsCredentials(url), "judge", lambda up: None)
    await link.connect()
    try:
        subject = f"{streams.ROOM}{room}"
        newest = await link.last(streams.LOG, subject)
        found: list[Entry] = []
        before = 0
        if newest:
            async for page in streams.forward(link, streams.LOG, subject, 1, newest.number):
                for message in page:
                    found += entries(room, message.number, before, decode(*message.parts))
                    before = message.number
                if page[-1].number >= newest.number:
                    break
        return found
    finally:
        await link.close()


async def log_of(url: str, room: str = "lobby") -> list[tuple[str, str]]:
    """Return what was said in a room, as the stream has it: nick and text."""
    return [(one.nick, text_in(one)) for one in await entries_of(url, room) if one.kind in SAID]


def judge(log: list[tuple[str, str]], voices: Iterable[Voice]) -> None:
    """Compare what everybody saw with the log."""
    place = {said: index for index, said in enumerate(log)}
    assert len(place) == len(log), f"{len(log) - len(place)} are in the log twice"
    for voice in voices:
        for number, seen in enumerate(voice.stays):
            who = f"{voice.name}, connection {number}"
            lost = [said for said in seen if said not in place]
            assert not lost, f"{who} saw what is not in the log: {lost[:5]}"
            for before, after in pairwise(seen):
                at, next_ = place[before], place[after]
                assert at < next_, f"{who} saw {after} after {before}: twice, or out of order"
                missed = [said for said in log[at + 1 : next_] if said[0] != voice.name]
                assert not missed, f"{who} missed {len(missed)} between {before} and {after}: {missed[:5]}"
        for line in voice.told:
            assert "missed" not in line and "skipped" not in line, line


def members(log: Iterable[Entry]) -> list[str]:
    """Return the nicks of those who are in a room, as its log alone tells it."""
    here: dict[str, str] = {}  # by the prefix of a user's ids
    for entry in log:
        match entry.body:
            case Joined():
                here[user_of(entry.id)] = entry.nick
            case Left():
                here.pop(user_of(entry.id), None)
            case NickChanged(nick):
                here[user_of(entry.id)] = nick
            case Kicked(nick):
                here = {user: one for user, one in here.items() if one != nick}
    return sorted(here.values())


async def listed(node: Node) -> list[str]:
    """Return the nicks of those who are in the lobby, as a node lists them."""

    def ask() -> list[str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{node.port}/api/v1/rooms/lobby/members", timeout=PATIENCE) as it:
            return sorted(json.load(it)["nicks"])

    return await asyncio.to_thread(ask)


class Crowd:
    """A cluster and its people.

    Args:
        folder: for all that they write.
        servers: the NATS servers, which run.
        nodes: how many nodes.

    """

    def __init__(
        self, folder: Path, servers: NatsServers, nodes: int = 3, url: Callable[[int], str] | None = None
    ) -> None:
        self.servers = servers
        of = url or (lambda number: servers.url)
        self.nodes = [Node(of(number), folder / f"node-{number}", "--search", "off") for number in range(nodes)]
        self.voices: list[Voice] = []
        self.holders: list[Holder] = []

    async def start(self, talkers: int, listeners: int, rate: float) -> None:
        await self.nodes[0].start()
        await asyncio.gather(*(node.start() for node in self.nodes[1:]))
        names = [f"t{n}" for n in range(talkers)] + [f"l{n}" for n in range(listeners)]
        for number, name in enumerate(names):
            nodes = self.nodes[number % len(self.nodes) :] + self.nodes[: number % len(self.nodes)]
            self.voices.append(Voice(name, nodes, rate / talkers if number < talkers else 0.0).start())
        await asyncio.gather(*(voice.here() for voice in self.voices))
        self.holders = [Holder(number, node) for number, node in enumerate(self.nodes)]

    async def settle(self) -> list[tuple[str, str]]:
        """Stop talking; wait until everybody saw the end of the log; return it, judged."""
        for voice in self.voices:
            voice.stopped = True
        end = time.monotonic() + PATIENCE
        # A short fault may have left the name with one.
        while self.holders and time.monotonic() < end and sum(bool(one.spans) for one in self.holders) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await asyncio.gather(*(holder.end() for holder in self.holders))
        if self.holders:
            holders.judge([span for holder in self.holders for span in holder.spans])
        end = time.monotonic() + PATIENCE
        behind = ["nobody could look"]
        calm = 0
        length = -1
        while calm < CALM:  # what a node keeps back comes when it can
            await asyncio.sleep(0.5)
            with contextlib.suppress(Exception):
                log = await log_of(self.servers.url)
                behind = [voice.name for voice in self.voices if not _at_the_end(voice, log)]
                calm = calm + 1 if log and not behind and len(log) == length else 0
                length = len(log)
            assert time.monotonic() < end, f"these do not see the end: {behind}"
        judge(log, self.voices)
        await self.agree()
        return log

    async def agree(self) -> None:
        """Wait until every node that runs lists those in the room whom the log shows there: nobody more or less."""
        end = time.monotonic() + PATIENCE
        while True:
            shown = members(await entries_of(self.servers.url))
            lists = [await listed(node) for node in self.nodes if node.port and node.process.poll() is None]
            if all(one == shown for one in lists) and shown == members(await entries_of(self.servers.url)):
                return
            assert time.monotonic() < end, f"the log shows {shown}, the nodes list {lists}"
            await asyncio.sleep(0.2)

    async def stop(self) -> None:
        await asyncio.gather(*(one.end() for one in (*self.voices, *self.holders)))
        for node in self.nodes:
            if node.port and node.process.poll() is None:
                await node.end(signal.SIGKILL)


def _at_the_end(voice: Voice, log: list[tuple[str, str]]) -> bool:
    others = [said for said in log if said[0] != voice.name]
    return bool(voice.stays) and (not others or others[-1] in voice.stays[-1][-500:])


@contextlib.asynccontextmanager
async def crowd(folder: Path, servers: NatsServers, **options: Any) -> AsyncIterator[Crowd]:
    """Start servers, and end everything with the block."""
    servers.start()
    made = Crowd(folder, servers, **options)
    try:
        yield made
    finally:
        await made.stop()
        servers.stop()


class Wire(TcpServer):
    """What is between a node and its NATS server, and can swallow what goes either way."""

    def __init__(self, port: int) -> None:
        super().__init__(self._pass)
        self._to = port
        self.swallows = ""  # "up" to the server, "down" to the node, or ""

    async def start(self, port: int = 0) -> Wire:
        await super().start(port)
        return self

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await self.connect(self._to)

        def up(data: bytes) -> bytes | None:
            return None if self.swallows == "up" else data

        def down(data: bytes) -> bytes | None:
            return None if self.swallows == "down" else data

        await asyncio.gather(passed_on(reader, up_writer, up), passed_on(up_reader, writer, down))
