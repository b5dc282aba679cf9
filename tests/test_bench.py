"""The load command: its figures against a real server, and against servers that lose, double or refuse."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from hubbub.errors import HubbubError
from hubbub.tools import bench
from hubbub.tools.bench import Plan
from programs import SECONDS, Server, hubbub, sentence, serving


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving("--ephemeral", "--no-limits") as server:
        yield server


def figures(address: str, *options: object) -> dict[str, Any]:
    result = hubbub("bench", address, "--json", *options)
    assert result.returncode == 0, result.stderr
    got: dict[str, Any] = json.loads(result.stdout)
    return got


# --- against a real server --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clients", "senders", "messages", "more"),
    [
        (5, 2, 50, []),
        (2, 1, 1, []),
        (3, 10, 20, ["--payload", 3000]),
        (4, 4, 500, []),
        (4, 1, 10, ["--rate", 200, "--room", "elsewhere"]),
        (4, 2, 200, ["--proto", "ws", "--payload", 3000]),
        (5, 4, 200, ["--proto", "mixed"]),
    ],
)
def test_figures_are_complete(server: Server, clients: int, senders: int, messages: int, more: list[object]) -> None:
    got = figures(server.address, "--clients", clients, "--senders", senders, "--messages", messages, *more)
    assert set(got) == {
        "clients", "messages", "deliveries", "seconds", "deliveries_per_s", "latency_ms", "complete",
    }  # fmt: skip
    assert (got["clients"], got["messages"], got["complete"]) == (clients, messages, True)
    assert got["deliveries"] == messages * (clients - 1)
    assert got["seconds"] >= 0 and got["deliveries_per_s"] > 0
    latencies = [got["latency_ms"][name] for name in ("p50", "p90", "p99", "max")]
    assert latencies == sorted(latencies) and latencies[0] > 0


def test_the_table_is_for_people(server: Server) -> None:
    result = hubbub("bench", server.address, "--clients", 4, "--messages", 1000)
    assert result.returncode == 0
    rows = dict(line.split("  ", 1) for line in result.stdout.splitlines())
    assert {name: value.strip() for name, value in rows.items() if name in ("clients", "messages", "deliveries")} == {
        "clients": "4",
        "messages": "1,000",
        "deliveries": "3,000",
    }
    assert rows["every message once, one order"].strip() == "yes"
    assert rows["latency p99"].endswith(" ms")
    assert "Messages" in result.stderr, "the progress bar is not among the figures"


def test_the_limits_of_a_server_are_kept() -> None:
    with serving("--ephemeral") as limited:
        got = figures(limited.address, "--clients", 4, "--senders", 2, "--messages", 100)
        assert got["complete"]
        assert limited.stop() == 0


def test_who_is_in_the_lobby_is_not_bothered(server: Server) -> None:
    ann, bob = server.join("Ann"), server.join("Bob")
    assert figures(server.address, "--clients", 3, "--messages", 20)["complete"]
    bob.said("still here")
    assert "^" not in ann.sees("Bob: still here")
    ann.close()
    bob.close()


# --- where nothing can be measured ------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_said() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        result = hubbub("bench", address)
        assert (result.stdout, sentence(result)) == ("", f"Nothing listens on {address}.")


@pytest.mark.parametrize("address", ["127.0.0.1", "8888", "", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:99999"])
def test_a_bad_address_is_said(address: str) -> None:
    assert "does not look like 127.0.0.1:8888" in sentence(hubbub("bench", address))


def test_a_full_server_is_said() -> None:
    with serving("--ephemeral", "--max-per-address", "3") as small:
        result = hubbub("bench", small.address, "--clients", 5)
        assert ": There are too many connections from your address." in sentence(result)
        assert result.stdout == ""
        assert small.stop() == 0


# --- against servers that are not as they should be ---------------------------------------------------------------


Dialogue = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Relay = Callable[[int, int], int]  # for message number n and client number c: how many times it gets it


@asynccontextmanager
async def fake(dialogue: Dialogue) -> AsyncIterator[str]:
    """Serve a dialogue with each client until all of them are gone; yields the address."""
    talks: list[asyncio.Future[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        done = asyncio.get_running_loop().create_future()
        talks.append(done)
        with suppress(ConnectionError):
            await dialogue(reader, writer)
        writer.transport.abort()
        done.set_result(None)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*talks)


@asynccontextmanager
async def relaying(relay: Relay) -> AsyncIterator[str]:
    """A chat server that delivers as it is told to."""
    writers: list[asyncio.StreamWriter] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Enter your name: ")
        await reader.readline()
        await reader.readline()
        number = len(writers)
        writers.append(writer)
        writer.write(b"*** You are in bench ***\n")
        while line := await reader.readline():
            message = int(line.split(b"^")[2])
            for other, peer in enumerate(writers):
                if other != number:
                    peer.write((b"x: " + line) * relay(message, other))

    async with fake(talk) as address:
        yield address


def plan(address: str, clients: int = 4, messages: int = 20) -> Plan:
    return Plan(address, clients, 1, messages, 0.0, 64, "bench")


@pytest.mark.parametrize(
    ("relay", "deliveries", "complete"),
    [
        (lambda message, client: 1, 60, True),
        (lambda message, client: 0 if (message, client) == (7, 3) else 1, 59, False),
        (lambda message, client: 0 if message == 7 else 1, 57, False),
        (lambda message, client: 2 if (message, client) == (7, 3) else 1, 61, False),
        (lambda message, client: {(7, 3): 2, (8, 3): 0}.get((message, client), 1), 60, False),
    ],
    ids=["right", "one lost", "lost for all", "one doubled", "one doubled and one lost"],
)
async def test_what_is_lost_or_doubled_shows(
    relay: Relay, deliveries: int, complete: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "PATIENCE", 0.3)
    async with relaying(relay) as address:
        got = await bench.run(plan(address), lambda _: None)
    assert (got["deliveries"], got["complete"]) == (deliveries, complete)
    assert ("yes" if complete else "NO") in bench.table(got).splitlines()[-1]


async def test_progress_is_told_for_each_message_that_everybody_has() -> None:
    told: list[int] = []
    async with relaying(lambda message, client: 1) as address:
        await bench.run(plan(address), told.append)
    assert told == [0, *[1] * 20]


async def test_a_server_that_refuses_a_name_is_said() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"Enter your name: ")
        name = (await reader.readline()).strip()
        await reader.readline()
        writer.write(b"The name %s is taken.\n" % name)
        writer.write_eof()
        await reader.read()

    async with fake(refuse) as address:
        with pytest.raises(HubbubError, match=r"did not admit client bench-\w+-\d: The name bench-\w+-\d is taken\."):
            await bench.run(plan(address), lambda _: None)


async def test_a_server_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    monkeypatch.setattr(bench, "PATIENCE", 0.2)
    async with fake(ignore) as address:
        with pytest.raises(HubbubError, match=f"The server at {address} does not answer."):
            await bench.run(plan(address), lambda _: None)
