"""Every wire on every node: a page that goes on elsewhere, IRC and nc that hear each other."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from crowd import Crowd, Voice, crowd
from websockets.asyncio.client import ClientConnection, connect

from nats_servers import NatsServers

SECONDS = 90.0  # a name whose node died is free after ten


@pytest.fixture
async def made(tmp_path: Path) -> AsyncIterator[Crowd]:
    async with crowd(tmp_path, NatsServers(tmp_path), nodes=2) as made:
        await asyncio.gather(*(node.start() for node in made.nodes))
        yield made


class EndedError(AssertionError):
    """A connection has ended before what was awaited came."""


class Irc:
    """An IRC client."""

    async def start(self, port: int, nick: str) -> Irc:
        while True:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", port)
            self.says(f"NICK {nick}", f"USER {nick} 0 * :{nick}")
            try:
                await self.sees(" 376 ", " 422 ")
            except (EndedError, OSError):  # on a busy machine the first line may come too late to be taken for IRC
                self.close()
            else:
                return self

    def says(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())

    async def sees(self, *words: str) -> str:
        """Return the next line with one of these words."""
        async with asyncio.timeout(SECONDS):
            while line := (await self._reader.readline()).decode():
                if any(word in line for word in words):
                    return line.strip()
        raise EndedError(f"{words} did not come")

    async def knows(self, line: str, answer: str, otherwise: str) -> None:
        """Say a line until it has this answer: who is where follows the messages by some milliseconds."""
        while True:
            self.says(line)
            if answer in await self.sees(answer, otherwise):
                return
            await asyncio.sleep(0.01)

    def close(self) -> None:
        self._writer.close()


async def until(socket: ClientConnection, kind: str, numbers: dict[str, int], texts: list[str]) -> dict[str, Any]:
    """Return the next frame of a kind; note the entries that come before."""
    async with asyncio.timeout(SECONDS):
        while True:
            frame: dict[str, Any] = json.loads(await socket.recv())
            for entry in frame.get("entries", ()):
                if frame["type"] == "entries":
                    assert entry["seq"] > numbers.get(entry["room"], 0)
                    if entry["kind"] == "message":
                        texts.append(entry["text"])
                numbers[entry["room"]] = entry["seq"]
            if frame["type"] == kind:
                return frame


async def test_page_goes_on_at_another_node_when_its_own_died(made: Crowd) -> None:
    one, two = made.nodes
    talker = Voice("t", [two], 100.0).start()
    made.voices.append(talker)
    await talker.here()
    numbers: dict[str, int] = {}
    texts: list[str] = []
    async with connect(f"ws://127.0.0.1:{one.port}/ws") as socket:
        await socket.send(json.dumps({"type": "hello", "name": "Ann"}))
        await until(socket, "joined", numbers, texts)
        while len(texts) < 50:
            await until(socket, "entries", numbers, texts)
        await one.end(signal.SIGKILL)
        with_rest = asyncio.timeout(SECONDS)
        try:
            async with with_rest:
                while True:
                    await until(socket, "entries", numbers, texts)
        except Exception:
            pass
    async with connect(f"ws://127.0.0.1:{two.port}/ws") as socket:
        await socket.send(json.dumps({"type": "hello", "name": "Ann", "rooms": numbers}))
        await until(socket, "joined", numbers, texts)
        while len(texts) < 300:
            await until(socket, "entries", numbers, texts)
    first = int(texts[0].partition("-")[2])
    assert texts == [f"t-{number:06}" for number in range(first, first + len(texts))]


async def test_irc_and_nc_on_two_nodes_are_in_one_room(made: Crowd) -> None:
    one, two = made.nodes
    ann = await Irc().start(one.port, "Ann")
    ann.says("JOIN #lobby", "MONITOR + Bob")
    await ann.sees(" 366 ")
    await ann.sees(" 731 ")
    reader, writer = await asyncio.open_connection("127.0.0.1", two.port)
    await reader.readuntil(b"name: ")
    writer.write(b"ann\n")
    assert b"The name ann is taken." in await reader.readuntil(b"name: ")
    writer.write(b"Bob\n")
    assert "Bob!~nc@" in await ann.sees(" 730 ")
    writer.write(b"hi from nc\n")  # only now: who is where may come behind what he says
    assert (await ann.sees("PRIVMSG #lobby")).endswith(":hi from nc")
    await ann.knows("WHOIS Bob", "#lobby", " 318 ")
    ann.says("PRIVMSG #lobby :hi from irc", "NAMES #lobby", "WHOIS Bob", "PRIVMSG Bob :psst")
    assert {"Ann", "Bob"} <= set((await ann.sees(" 353 ")).rpartition(":")[2].split())
    assert " Bob ~nc " in await ann.sees(" 311 ")
    async with asyncio.timeout(SECONDS):
        assert b"Ann: hi from irc\n" in await reader.readuntil(b"irc\n")
        assert b"Ann (private): psst\n" in await reader.readuntil(b"psst\n")
    writer.write(b"/nick Rob\n")
    assert (await ann.sees(" NICK ")).endswith("Rob")
    ann.says("JOIN #den", "MODE #den +i")
    await ann.knows("INVITE Rob #den", " 341 ", " 401 ")
    async with asyncio.timeout(SECONDS):
        await reader.readuntil(b"den")
        writer.write(b"/join den\n")
        assert (await ann.sees("JOIN #den")).startswith(":Rob!")
    ann.says("KICK #den Rob :out")
    async with asyncio.timeout(SECONDS):
        await reader.readuntil(b"Ann has kicked")
    writer.close()
    await ann.sees(" QUIT ", "PART #lobby")
    ann.close()


async def test_irc_clients_are_told_what_changes_with_who_is_on_another_node(made: Crowd) -> None:
    one, two = made.nodes
    ann = await Irc().start(one.port, "Ann")
    ann.says("CAP REQ :away-notify setname", "JOIN #lobby")
    await ann.sees(" 366 ")
    bob = await Irc().start(two.port, "Bob")
    bob.says("CAP REQ :setname", "JOIN #lobby")
    await ann.sees("Bob!")
    bob.says("AWAY :tea")
    assert (await ann.sees(" AWAY ")).endswith("AWAY tea")
    bob.says("SETNAME :Bob of two")
    assert (await ann.sees(" SETNAME ")).endswith("SETNAME :Bob of two")
    bob.says("AWAY")
    assert (await ann.sees(" AWAY")).endswith("AWAY")
    bob.says("AWAY :back soon")
    assert (await ann.sees(" AWAY ")).endswith("AWAY :back soon")
    ann.says("JOIN #den")
    await ann.sees(" 366 ")
    bob.says("JOIN #den")
    assert (await ann.sees(" AWAY ")).endswith("AWAY :back soon")
    ann.close()
    bob.close()


async def test_room_in_which_only_people_of_another_node_are_is_one_for_irc_and_the_api(made: Crowd) -> None:
    one, two = made.nodes
    ann = await Irc().start(one.port, "Ann")
    ann.says("JOIN #solo", "TOPIC #solo :of one", "MODE #solo -n", "JOIN #shut", "MODE #shut +k s3")
    await ann.sees("MODE #shut")
    bob = await Irc().start(two.port, "Bob")
    await bob.knows("NAMES #solo", "@Ann", " 366 ")
    bob.says("LIST", "LUSERS", "TOPIC #solo", "WHO #solo", "MODE #solo", "PRIVMSG #solo :hi", "PRIVMSG #shut :hi")
    listed = [await bob.sees(" 322 "), await bob.sees(" 322 ")]
    assert sorted(line.partition(" Bob ")[2] for line in listed) == ["#shut 1 :", "#solo 1 :of one"]
    assert (await bob.sees(" 254 ")).split()[3] == "2"
    assert (await bob.sees(" 332 ")).endswith(":of one")
    assert " Ann " in await bob.sees(" 352 ")
    assert (await bob.sees(" 324 ")).split()[3:] == ["#solo", "+"]
    assert (await ann.sees("PRIVMSG")).endswith("PRIVMSG #solo :hi")
    await bob.sees(" 404 ")
    bob.says("TOPIC #nowhere", "LIST >1")
    await bob.sees(" 403 ")
    assert " 323 " in await bob.sees(" 322 ", " 323 ")
    for path, status in (("solo/members", 200), ("shut/members", 403), ("shut/messages?name=ci", 400)):
        body = b"done" if "name" in path else None
        answer = await asyncio.to_thread(api, f"http://127.0.0.1:{two.port}/api/v1/rooms/{path}", body)
        assert answer[0] == status and (status != 200 or answer[1]["nicks"] == ["Ann"]), (path, answer)
    ann.close()
    bob.close()


def api(url: str, body: bytes | None) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(url, body, timeout=SECONDS) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
