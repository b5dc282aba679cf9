"""A load test for a running server: clients join one room, some of them send, all of them check what they receive."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from hubbub.errors import HubbubError

MARK = b"^"  # separator: a message is  ^run^number^nanoseconds^padding
WINDOW = 200  # undelivered messages at a time if there is no rate
JOINING = 64  # clients that join at the same time
PATIENCE = 30.0  # seconds without a delivery after which the rest counts as missing


@dataclass(frozen=True, slots=True)
class Plan:
    """The parameters of a load test, see `hubbub bench --help`.

    `rate` is in messages per second, 0 for as fast as WINDOW allows; `payload` is in bytes.
    """

    address: str
    clients: int
    senders: int
    messages: int
    rate: float
    payload: int
    room: str
    proto: str = "line"


class _Client(asyncio.Protocol):
    def __init__(self, run: _Run, name: str) -> None:
        self._run = run
        self._rest = b""
        self._order = hashlib.blake2b(digest_size=16)
        self.name = name
        self.got = 0
        # The sum of all received and sent numbers, which shows whether each number came exactly once.
        self.sum = 0
        self.said = 0
        self.joined: asyncio.Future[None] = run.loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(f"{self.name}\n/join {self._run.plan.room}\n".encode())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.joined.done():
            said = self._rest.decode("utf-8", "replace").strip().removeprefix("Enter your name: ")
            self.joined.set_exception(
                HubbubError(f"The server did not admit client {self.name}: {said or 'it closed'}")
            )

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if not self.joined.done():
            if not any(b"You are in" in line for line in lines):
                self._rest = b"\n".join([*lines[-1:], self._rest])
                return
            self.joined.set_result(None)
        now = time.perf_counter_ns()
        for line in lines:
            _, _, message = line.partition(self._run.mark)
            if message:
                self.heard(message, now)

    def heard(self, message: bytes, now: int) -> None:
        number, sent, _ = message.split(MARK, 2)
        self.got += 1
        self.sum += int(number)
        self._order.update(number)
        self._run.delivered(int(number), now - int(sent))

    def say(self, number: int) -> None:
        text = b"%s%d^%d^" % (self._run.mark, number, time.perf_counter_ns())
        self.said += 1
        self.sum += number
        self.send(text.ljust(self._run.plan.payload, b"x"))

    def send(self, text: bytes) -> None:
        self.transport.write(text + b"\n")

    @property
    def order(self) -> bytes:
        return self._order.digest()


class _Entry(msgspec.Struct):
    nick: str
    text: str


class _Told(msgspec.Struct):
    """The fields of a WebSocket frame that this test needs."""

    type: str
    room: str = ""
    text: str = ""
    entries: list[_Entry] = []


_told = msgspec.json.Decoder(_Told).decode


class _WebClient(_Client):
    """A client over a WebSocket. Its own messages come back to it, and are not counted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.upgraded = False
        self.transport.write(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: aHViYnViIGJlbmNoLi4uLg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )

    def _frame(self, opcode: int, **fields: str) -> None:
        payload = msgspec.json.encode(fields) if fields else b""
        size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
        self.transport.write(bytes([0x80 | opcode]) + size + bytes(4) + payload)  # masked, with zeroes

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        at = 0
        if not self.upgraded:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found or b" 101 " not in head[:16]:
                self._rest = head
                return
            self.upgraded = True
            self._frame(0x1, type="hello", name=self.name)
            self._frame(0x1, type="join", room=self._run.plan.room)
        now = time.perf_counter_ns()
        while len(data) >= at + 4 or (len(data) == at + 2 and data[at + 1] == 0):
            size, start = data[at + 1], at + 2
            if size >= 126:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start], "big")
            if len(data) < start + size:
                break
            if data[at] == 0x81:
                self._take(data[start : start + size], now)
            elif data[at] == 0x89:
                self._frame(0xA)
            at = start + size
        self._rest = data[at:]

    def _take(self, frame: bytes, now: int) -> None:
        told = _told(frame)
        if told.type == "joined" and told.room == self._run.plan.room and not self.joined.done():
            self.joined.set_result(None)
        elif told.type == "error" and not self.joined.done():
            self.joined.set_exception(HubbubError(f"The server did not admit client {self.name}: {told.text}"))
        for entry in told.entries:
            _, _, message = entry.text.encode().partition(self._run.mark)
            if message and entry.nick != self.name:
                self.heard(message, now)

    def send(self, text: bytes) -> None:
        self._frame(0x1, type="say", room=self._run.plan.room, text=text.decode())


_KINDS = {"line": (_Client,), "ws": (_WebClient,), "mixed": (_Client, _WebClient)}


class _Run:
    def __init__(self, plan: Plan, progress: Callable[[int], object]) -> None:
        self.plan = plan
        self.loop = asyncio.get_running_loop()
        self.run = secrets.token_hex(3)
        self.mark = MARK + self.run.encode() + MARK
        self.latencies: list[int] = []
        self.deliveries = 0
        self.last = 0.0
        self._per_message = plan.clients - 1
        self._heard = [0] * plan.messages
        self._open = 0
        self._progress = progress
        self._room = asyncio.Event()

    def delivered(self, number: int, latency: int) -> None:
        self.deliveries += 1
        self.last = time.perf_counter()
        if self.deliveries % 16 == 1:
            self.latencies.append(latency)
        self._heard[number] += 1
        if self._heard[number] == self._per_message:
            self._open -= 1
            self._progress(1)
            self._room.set()

    async def join(self) -> list[_Client]:
        host, colon, port = self.plan.address.rpartition(":")
        if not colon or not port.isdecimal() or len(port) > 5 or int(port) > 65535:
            raise HubbubError(f"The address {self.plan.address!r} does not look like 127.0.0.1:8888.")
        gate = asyncio.Semaphore(JOINING)
        clients = []

        async def one(number: int) -> _Client:
            async with gate:
                kinds = _KINDS[self.plan.proto]
                client = kinds[number % len(kinds)](self, f"bench-{self.run}-{number}")
                clients.append(client)
                try:
                    await self.loop.create_connection(lambda: client, host.strip("[]"), int(port))
                    await asyncio.wait_for(client.joined, PATIENCE)
                except TimeoutError:
                    raise HubbubError(f"The server at {self.plan.address} does not answer.") from None
                except OSError:
                    raise HubbubError(f"Nothing listens on {self.plan.address}.") from None
                return client

        try:
            async with asyncio.TaskGroup() as tasks:
                joining = [tasks.create_task(one(number)) for number in range(self.plan.clients)]
        except BaseExceptionGroup as group:
            for client in clients:
                if hasattr(client, "transport"):
                    client.transport.abort()
            raise group.exceptions[0] from None
        return [task.result() for task in joining]

    async def talk(self, talkers: list[_Client]) -> None:
        start = time.perf_counter()
        for number in range(self.plan.messages):
            if self.plan.rate:
                await asyncio.sleep(start + number / self.plan.rate - time.perf_counter())
            while not self.plan.rate and self._open >= WINDOW:
                await self._change()
            self._open += 1
            talkers[number % len(talkers)].say(number)
        while self._open:
            await self._change()

    async def _change(self) -> None:
        self._room.clear()
        before = self.deliveries
        while not self._room.is_set():
            try:
                await asyncio.wait_for(self._room.wait(), PATIENCE)
            except TimeoutError:
                if self.deliveries == before:
                    raise
                before = self.deliveries


async def run(plan: Plan, progress: Callable[[int], object]) -> dict[str, Any]:
    """Run a load test, and return its figures: counts, deliveries per second, and latencies in milliseconds.

    Args:
        plan: the parameters of the test.
        progress: called with 0 when all clients have joined, and with 1 for each message that all clients have.

    Raises:
        HubbubError: the server cannot be reached, or does not admit a client.

    """
    load = _Run(plan, progress)
    clients = await load.join()
    progress(0)
    talkers, listeners = clients[: plan.senders], clients[plan.senders :]
    start = load.last = time.perf_counter()
    try:
        await load.talk(talkers)
    except TimeoutError:
        pass  # the figures show the missing messages
    finally:
        for client in clients:
            client.transport.abort()
    seconds = max(load.last - start, 1e-9)
    latencies = [nanoseconds / 1e6 for nanoseconds in load.latencies] or [0.0]
    percentiles = statistics.quantiles(latencies, n=100, method="inclusive") if len(latencies) > 1 else latencies * 99
    numbers = plan.messages * (plan.messages - 1) // 2
    once = all(client.got + client.said == plan.messages and client.sum == numbers for client in clients)
    return {
        "clients": plan.clients,
        "messages": plan.messages,
        "deliveries": load.deliveries,
        "seconds": round(seconds, 3),
        "deliveries_per_s": round(load.deliveries / seconds),
        "latency_ms": {f"p{n}": round(percentiles[n - 1], 3) for n in (50, 90, 99)} | {"max": round(max(latencies), 3)},
        "complete": once and len({client.order for client in listeners}) <= 1,
    }


def table(figures: dict[str, Any]) -> str:
    """Return the figures as a table of two columns, for the terminal."""
    rows = {
        "clients": f"{figures['clients']:,}",
        "messages": f"{figures['messages']:,}",
        "deliveries": f"{figures['deliveries']:,}",
        "seconds": f"{figures['seconds']:,}",
        "deliveries/s": f"{figures['deliveries_per_s']:,}",
        **{f"latency {name}": f"{value:,} ms" for name, value in figures["latency_ms"].items()},
        "every message once, one order": "yes" if figures["complete"] else "NO",
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:{width}}  {value}" for name, value in rows.items())
